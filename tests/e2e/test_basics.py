"""The main job: a good request passes with its identity, everything else is refused, and the service sees only the good."""

import json
import ssl
import subprocess
import time

import pytest

from conftest import ORIGIN
from harness import client as clients
from harness.gate import POPGATE
from harness.mint import Key, b64


def test_a_good_request_passes(world, gate, upstream):
    with world.connect(gate) as connection:
        response = world.request(connection, "GET", "/orders/7?full=1")
    assert response.status == 200 and response.body == b"hello /orders/7?full=1"
    [seen] = upstream.take()
    assert seen.get("authorization") is None and seen.get("dpop") is None
    assert seen.get("x-popgate-subject") == "service-a"
    assert seen.get("x-popgate-client-id") == "client-a"
    assert seen.get("x-popgate-issuer") == world.issuer.issuer
    assert seen.get("x-popgate-scope") == "orders"
    assert seen.get("x-popgate-jkt") == world.key.thumbprint
    assert seen.get("x-popgate-spiffe-id") == "spiffe://example.com/client-a"
    assert seen.get("host") == "orders.example.com"
    assert seen.get("traceparent").startswith("00-")
    certificate = seen.get("x-forwarded-client-cert")
    assert f"Hash={world.client.sha256.hex()}" in certificate
    assert "URI=spiffe://example.com/client-a" in certificate


def test_a_replay_is_refused(world, gate, upstream):
    headers = world.credentials("GET", "/once")
    with world.connect(gate) as connection:
        assert world.request(connection, "GET", "/once", headers).status == 200
        again = world.request(connection, "GET", "/once", headers)
    assert again.status == 401
    challenge = again.get("www-authenticate")
    assert challenge.startswith("DPoP ") and 'error="invalid_dpop_proof"' in challenge
    assert 'algs="ES256 EdDSA Ed25519"' in challenge
    assert len(upstream.take()) == 1
    entry = gate.wait_log(check="proof_replay")[-1]
    assert entry["status"] == 401 and entry["path"] == "/once"


def test_a_replay_is_refused_on_another_connection_and_worker(world, backend, start):
    gate, upstream = start(workers=2)
    headers = world.credentials("GET", "/once")
    answers = []
    for _ in range(8):
        with world.connect(gate) as connection:
            answers.append(world.request(connection, "GET", "/once", headers).status)
    assert sorted(answers) == [200] + [401] * 7
    assert len(upstream.take()) == 1


def test_a_stolen_token_is_refused_without_its_key(world, gate, upstream):
    token = world.token()
    thief = Key("ES256")
    headers = [("Authorization", f"DPoP {token}"), ("DPoP", thief.proof("GET", ORIGIN + "/", token))]
    with world.connect(gate) as connection:
        response = world.request(connection, headers=headers)
        assert response.status == 401 and 'error="invalid_token"' in response.get("www-authenticate")
        response = world.request(connection, headers=[("Authorization", f"Bearer {token}")])
        assert response.status == 401 and 'error="invalid_token"' in response.get("www-authenticate")
        response = world.request(connection, headers=[("Authorization", f"DPoP {token}")])
        assert response.status == 401
        assert 'error="invalid_dpop_proof"' in response.get("www-authenticate")
    assert upstream.take() == []


def test_no_credentials(world, gate, upstream):
    with world.connect(gate) as connection:
        response = world.request(connection, headers=[])
        assert response.status == 401
        assert response.get("www-authenticate") == 'DPoP algs="ES256 EdDSA Ed25519"'
        assert world.request(connection).status == 200, "the connection stays usable"
    assert len(upstream.take()) == 1


@pytest.mark.parametrize("alg", ["ES256", "EdDSA", "Ed25519"])
def test_proof_algorithms(world, gate, upstream, alg):
    key = Key(alg)
    with world.connect(gate) as connection:
        assert world.request(connection, key=key).status == 200
    [seen] = upstream.take()
    assert seen.get("x-popgate-jkt") == key.thumbprint


@pytest.mark.parametrize("alg", ["ES256", "EdDSA", "PS256", "RS256", "ES384", "ES512"])
def test_issuer_algorithms(world, start, tmp_path, alg):
    issuer = type(world.issuer)(alg=alg, kid=f"kid-{alg}")
    jwks = tmp_path / "jwks.json"
    jwks.write_text(issuer.jwks())
    gate, upstream = start(issuers=[{"issuer": issuer.issuer, "audience": issuer.audience,
                                     "jwks_file": str(jwks)}])
    with world.connect(gate) as connection:
        assert world.request(connection, token=issuer.token(jkt=world.key.thumbprint)).status == 200
        # The same key id with another algorithm's signature never passes.
        other = Key("ES256" if alg != "ES256" else "EdDSA", issuer.key.kid)
        response = world.request(connection, token=issuer.token(jkt=world.key.thumbprint, key=other))
        assert response.status == 401
    assert len(upstream.take()) == 1


@pytest.mark.parametrize("alg", ["ES384", "ES512", "PS256", "RS256"])
def test_proof_algorithms_by_configuration(world, start, gate, alg):
    key = Key(alg)
    with world.connect(gate) as connection:
        response = world.request(connection, key=key)
        assert response.status == 401, "not among the defaults"
    own, upstream = start(dpop={"algorithms": [alg]})
    with world.connect(own) as connection:
        assert world.request(connection, key=key).status == 200
        assert world.request(connection, key=Key("ES256")).status == 401
    assert len(upstream.take()) == 1


def test_both_bindings_are_enforced(world, gate, upstream):
    other = world.authority.issue("client-other", spiffe="spiffe://example.com/other")
    token = world.token(x5t=world.client.sha256)
    with world.connect(gate) as connection:
        assert world.request(connection, token=token).status == 200
    with world.connect(gate, other) as connection:
        response = world.request(connection, token=token)
        assert response.status == 401 and 'error="invalid_token"' in response.get("www-authenticate")
    assert len(upstream.take()) == 1


def test_certificate_bound_tokens_where_accepted(world, start):
    gate, upstream = start(accept=["dpop", "mtls"])
    token = world.issuer.token(x5t=world.client.sha256)
    with world.connect(gate) as connection:
        assert world.request(connection, headers=[("Authorization", f"Bearer {token}")]).status == 200
        response = world.request(connection, headers=[])
        challenges = ", ".join(response.all("www-authenticate"))
        assert "DPoP" in challenges and "Bearer" in challenges
        unbound = world.issuer.token()
        response = world.request(connection, headers=[("Authorization", f"Bearer {unbound}")])
        assert response.status == 401
        bound = world.token(x5t=world.client.sha256)
        response = world.request(connection, headers=[("Authorization", f"Bearer {bound}")])
        assert response.status == 401, "a DPoP-bound token is no bearer token"
    [seen] = upstream.take()
    assert seen.get("x-popgate-jkt") is None


def test_mode_off_is_mutual_tls_alone(world, start):
    gate, upstream = start(dpop={"mode": "off"})
    with world.connect(gate) as connection:
        assert world.request(connection, headers=[("Authorization", "Basic Zm9v"),
                                                  ("X-Popgate-Subject", "forged")]).status == 200
    [seen] = upstream.take()
    assert seen.get("authorization") == "Basic Zm9v", "left alone"
    assert seen.get("x-popgate-subject") is None
    assert seen.get("x-popgate-spiffe-id") == "spiffe://example.com/client-a"
    with pytest.raises((ssl.SSLError, clients.Closed, ConnectionError)):
        with world.connect(gate, None) as connection:
            world.request(connection)


def test_mode_shadow_forwards_and_tells(world, start):
    gate, upstream = start(dpop={"mode": "shadow"})
    headers = world.credentials("GET", "/x")
    forged = [("X-Popgate-Subject", "forged"), ("X_Popgate_Jkt", "forged")]
    with world.connect(gate) as connection:
        assert world.request(connection, "GET", "/x", headers).status == 200
        assert world.request(connection, "GET", "/x", headers + forged).status == 200
        assert world.request(connection, "GET", "/x", forged).status == 200
    good, replayed, bare = upstream.take()
    assert good.get("x-popgate-subject") == "service-a" and good.get("x-popgate-shadow") is None
    assert replayed.get("x-popgate-shadow") == "deny; check=proof_replay"
    assert bare.get("x-popgate-shadow") == "deny; check=no_credentials"
    for seen in (replayed, bare):
        assert seen.get("x-popgate-subject") is None and seen.get("x-popgate-jkt") is None
    assert gate.metric("popgate_denials_total", check="proof_replay") == 1


def test_forward_credentials(world, start):
    gate, upstream = start(forward_credentials=True)
    headers = world.credentials()
    with world.connect(gate) as connection:
        assert world.request(connection, headers=headers).status == 200
    [seen] = upstream.take()
    assert seen.get("authorization") == headers[0][1] and seen.get("dpop") == headers[1][1]


def test_policy(world, start):
    gate, upstream = start(policy=[
        {"path": "/public/", "open": True},
        {"path": "/admin/", "scope": ["admin"]},
        {"path": "/none", "deny": True},
        {"path": "/b-only", "spiffe": ["spiffe://example.com/client-b"]},
        {},
    ])
    with world.connect(gate) as connection:
        assert world.request(connection, "GET", "/public/x", []).status == 200
        response = world.request(connection, "GET", "/admin/x")
        assert response.status == 403 and 'error="insufficient_scope"' in response.get("www-authenticate")
        admin = world.token(payload={"scope": "orders admin"})
        assert world.request(connection, "GET", "/admin/x", token=admin).status == 200
        assert world.request(connection, "GET", "/none").status == 403
        assert world.request(connection, "GET", "/b-only").status == 403
        assert world.request(connection, "GET", "/else").status == 200
        assert world.request(connection, "GET", "/else", []).status == 401
    assert [seen.target for seen in upstream.take()] == [b"/public/x", b"/admin/x", b"/else"]


def test_host_outside_the_public_origins_is_misdirected(world, gate, upstream):
    with world.connect(gate) as connection:
        connection.send(clients.request_bytes(host="other.example.com", headers=world.credentials()))
        assert connection.response().status == 421
    assert upstream.take() == []


def test_upstream_over_a_unix_socket(world, start, tmp_path):
    gate, upstream = start(unix=tmp_path / "app.sock")
    with world.connect(gate) as connection:
        for i in range(3):
            assert world.request(connection, "GET", f"/{i}").status == 200
    assert len(upstream.take()) == 3 and upstream.connections == 1


def test_health_and_metrics(world, backend, gate):
    with world.connect(gate) as connection:
        assert world.request(connection).status == 200
        assert gate.metric("popgate_connections", side="downstream") >= 1
    assert gate.admin("/livez")[0] == 200
    assert gate.admin("/readyz")[0] == 200
    assert gate.admin("/nothing")[0] == 404
    status, text = gate.admin("/metrics")
    assert status == 200
    for name in ("popgate_build_info", "popgate_requests_total", "popgate_denials_total",
                 "popgate_request_duration_seconds_bucket", "popgate_verify_duration_seconds_bucket",
                 "popgate_verify_batch_size_bucket", "popgate_signatures_total", "popgate_key_contexts",
                 "popgate_token_cache_events_total", "popgate_replay_entries", "popgate_replay_capacity",
                 "popgate_replay_inserts_total", "popgate_handshakes_total", "popgate_connections",
                 "popgate_upstream_errors_total", "popgate_limits_hit_total",
                 "popgate_certificate_expiry_timestamp_seconds", "popgate_config_generation",
                 "popgate_config_reloads_total"):
        assert f"\n{name}" in text or text.startswith(name), name
    assert gate.metric("popgate_build_info", io_backend=backend) == 1
    assert gate.metric("popgate_requests_total", outcome="allowed") >= 1


def test_access_log_has_identity_and_no_secret(world, gate):
    marker = f"/marker-{time.time_ns()}"
    headers = world.credentials("GET", marker)
    with world.connect(gate) as connection:
        assert world.request(connection, "GET", marker, headers).status == 200
    [entry] = gate.wait_log(path=marker)
    assert entry["outcome"] == "allowed" and entry["subject"] == "service-a"
    text = json.dumps(gate.lines)
    assert headers[0][1].split(".")[2] not in text and headers[1][1].split(".")[2] not in text


def test_no_openssl_in_the_process(gate):
    maps = open(f"/proc/{gate.process.pid}/maps").read()
    assert "libcrypto.so.3" not in maps and "libssl.so.3" not in maps
    assert "popgate" in maps


def test_version_names_what_it_is_built_from():
    text = subprocess.run([POPGATE, "--version"], capture_output=True, text=True, check=True).stdout
    assert "BoringSSL" in text and "io" in text and "crypto" in text
    assert subprocess.run([POPGATE, "nonsense"], capture_output=True).returncode == 2


def test_validate(world, backend, tmp_path):
    from harness.gate import Gate
    from harness.upstream import Upstream
    upstream = Upstream()
    gate = Gate(world.config(upstream, backend), folder=tmp_path)
    upstream.stop()
    good = subprocess.run([POPGATE, "validate", "-c", str(gate.config_path)], capture_output=True,
                          text=True)
    assert good.returncode == 0, good.stderr
    broken = tmp_path / "broken.yaml"
    broken.write_text("listen: 127.0.0.1:1\ndpop:\n  max_agee: 60s\n  clock_skew: 5\n")
    bad = subprocess.run([POPGATE, "validate", "-c", str(broken)], capture_output=True, text=True)
    assert bad.returncode == 1
    assert f"{broken}:3:3: " in bad.stderr and "max_age" in bad.stderr
    assert f"{broken}:4:15: " in bad.stderr


def test_one_jti_under_two_keys_is_two_proofs(world, gate, upstream):
    jti = b64(b"the same for both keys")
    with world.connect(gate) as connection:
        for key in (Key("ES256"), Key("EdDSA")):
            assert world.request(connection, key=key, payload={"jti": jti}).status == 200
            assert world.request(connection, key=key, payload={"jti": jti}).status == 401
    assert len(upstream.take()) == 2
