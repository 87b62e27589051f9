"""Clients that others wrote: curl, nghttp and h2load against the gate, and what they report."""

import json
import socket
import subprocess
import time

from harness.gate import free_port


def wait_port(port, timeout=10):
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"nothing listens on {port}")


def run(*command, timeout=60):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=timeout)
    return done.returncode, done.stdout + done.stderr


def tls_of(world):
    return ["--cert", world.client.path, "--key", world.client.key_path]


def test_curl(world, gate, upstream, tmp_path):
    headers = [a for name, value in world.credentials("POST", "/curl") for a in ("-H", f"{name}: {value}")]
    body = tmp_path / "body"
    body.write_bytes(b"c" * 200000)
    code, output = run("curl", "-sS", "--http2", "--cacert", world.authority.root.path, *tls_of(world), *headers,
                       "--resolve", f"orders.example.com:{gate.port}:127.0.0.1", "-H", "Host: orders.example.com",
                       "--data-binary", f"@{body}", "-o", "/dev/null", "-w", '{"v":"%{http_version}","s":%{http_code}}',
                       f"https://orders.example.com:{gate.port}/curl")
    assert code == 0, output
    result = json.loads(output[output.index("{"):])
    assert result == {"v": "2", "s": 200}
    assert len(upstream.take()[0].body) == 200000


def test_nghttp(world, gate):
    code, output = run("nghttp", "-nv", "--no-dep", "--cert", world.client.path, "--key", world.client.key_path,
                       "-H", ":authority: orders.example.com",
                       *[a for name, value in world.credentials("GET", "/nghttp") for a in ("-H", f"{name}: {value}")],
                       f"https://127.0.0.1:{gate.port}/nghttp")
    assert code == 0 and ":status: 200" in output, output[-3000:]


HAPROXY = """
defaults
    mode tcp
    timeout connect 5s
    timeout client 30s
    timeout server 30s
listen tls
    bind 127.0.0.1:{port}
    server gate 127.0.0.1:{gate} ssl crt {pem} ca-file {ca} verify required verifyhost orders.example.com {more}
"""


def test_h2load(world, start, tmp_path):
    """h2load has no client certificate of its own: HAProxy puts the bytes into TLS. 401s are answers too: what counts
    is that each of many streams on many connections has one."""
    gate, _ = start()
    pem, config, port = tmp_path / "client.pem", tmp_path / "haproxy.cfg", free_port()
    pem.write_bytes(world.client.path.read_bytes() + world.client.key_path.read_bytes())
    config.write_text(HAPROXY.format(port=port, gate=gate.port, pem=pem, ca=world.authority.root.path,
                                     more="sni str(orders.example.com) alpn h2"))
    proxy = subprocess.Popen(["haproxy", "-db", "-f", str(config)], stderr=subprocess.DEVNULL)
    try:
        wait_port(port)
        code, output = run("h2load", "-n", 20000, "-c", 10, "-m", 100, "-H", ":scheme: https",
                           f"--connect-to=127.0.0.1:{port}", "http://orders.example.com/")
    finally:
        proxy.terminate()
        proxy.wait()
    assert code == 0, output
    assert "requests: 20000 total, 20000 started, 20000 done, 0 succeeded, 20000 failed, 0 errored" in output, output
    assert "status codes: 0 2xx, 0 3xx, 20000 4xx, 0 5xx" in output, output
    assert gate.metric("popgate_requests_total", outcome="denied") == 20000
