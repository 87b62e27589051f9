"""What a new user does: the demo, and curl with what `popgate token` and `popgate proof` print."""

import json
import pathlib
import subprocess

import pytest

from harness.gate import Gate, POPGATE, free_port
from harness.upstream import Upstream

ROOT = pathlib.Path(__file__).resolve().parents[2]


def popgate(*arguments):
    return subprocess.run([POPGATE, *map(str, arguments)], check=True, capture_output=True,
                          text=True).stdout.strip()


def test_the_demo_ends_well_and_shows_every_refusal():
    result = subprocess.run(["/usr/bin/python3", str(ROOT / "deploy" / "demo" / "demo.py"), "--popgate", POPGATE],
                            capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stdout + result.stderr
    text = result.stdout
    assert "HTTP/1.1 200 OK" in text or "HTTP/2 200" in text  # as curl chooses
    for expected in ('"hello": "client-a"', "proof_replay", "binding_jkt", "proof_missing",
                     "the certificate is from no trusted CA", "make test"):
        assert expected in text, expected
    assert "UNEXPECTED" not in text and "Traceback" not in result.stderr


@pytest.fixture(scope="module")
def demo_gate(backend, tmp_path_factory):
    folder = tmp_path_factory.mktemp("curl")
    authority, port = folder / "authority", free_port()
    upstream = Upstream()
    popgate("demo-authority", authority, "--listen", f"127.0.0.1:{port}", "--upstream", upstream.url,
            "--audience", f"https://localhost:{port}")
    config = authority / "popgate.yaml"
    gate = Gate({}, folder=folder)
    text = config.read_text().replace("127.0.0.1:9901", f"127.0.0.1:{gate.admin_port}")
    config.write_text(text + f"io_backend: {backend}\n")
    gate.config_path, gate.port, gate.authority = config, port, authority
    with gate.start():
        yield gate
    upstream.stop()


def curl(gate, *arguments, certificate="client-a", path="/orders"):
    authority = gate.authority
    return subprocess.run(
        ["curl", "-sS", "--max-time", "20", "-o", "/dev/null", "-w", "%{http_code}", "--cacert",
         str(authority / "ca.crt"), "--cert", str(authority / f"{certificate}.crt"), "--key",
         str(authority / f"{certificate}.key"), *arguments, f"https://localhost:{gate.port}{path}"],
        capture_output=True, text=True)


def credentials(gate, method="GET", path="/orders", **options):
    more = [part for name, value in options.items() for part in (f"--{name.replace('_', '-')}", value)]
    token = popgate("token", "--dir", gate.authority, "--audience", f"https://localhost:{gate.port}", *more)
    proof = popgate("proof", "--header", "--dir", gate.authority, "--method", method, "--token", token, "--url",
                    f"https://localhost:{gate.port}{path}")
    return "-H", f"Authorization: DPoP {token}", "-H", proof


def test_curl_passes_and_its_replay_does_not(demo_gate):
    headers = credentials(demo_gate)
    assert curl(demo_gate, *headers).stdout == "200"
    assert curl(demo_gate, *headers).stdout == "401"


def test_curl_with_a_body(demo_gate):
    headers = credentials(demo_gate, "POST")
    assert curl(demo_gate, *headers, "--data", "a=b").stdout == "200"


def test_curl_with_an_expired_token(demo_gate):
    assert curl(demo_gate, *credentials(demo_gate, expires="-1m")).stdout == "401"


def test_curl_without_a_certificate_of_ours(demo_gate):
    result = curl(demo_gate, *credentials(demo_gate), certificate="stranger")
    assert result.returncode != 0 and result.stdout == "000"


def test_the_demo_authority_is_refused_off_loopback(demo_gate, tmp_path):
    config = tmp_path / "popgate.yaml"
    config.write_text(demo_gate.config_path.read_text().replace(f"127.0.0.1:{demo_gate.port}",
                                                                f"0.0.0.0:{free_port()}"))
    result = subprocess.run([POPGATE, "run", "-c", str(config)], capture_output=True, text=True, timeout=20)
    assert result.returncode == 1 and "--allow-demo" in result.stdout + result.stderr
    assert subprocess.run([POPGATE, "validate", "--allow-demo", "-c", str(config)]).returncode == 0


def test_the_demo_authoritys_keys_are_private(demo_gate):
    for key in demo_gate.authority.glob("*.key"):
        assert key.stat().st_mode & 0o777 == 0o600, key
    assert json.loads((demo_gate.authority / "jwks.json").read_text())["keys"][0].get("d") is None
