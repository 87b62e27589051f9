"""Every trick with TLS: who may not connect, what may not be resumed, what is no TLS at all. After each the gate serves the
next client, and the service has seen nothing else."""

import datetime
import os
import pathlib
import random
import signal
import socket
import ssl
import subprocess
import time

import pytest

from harness.authority import Authority
from harness.client import Closed, Connection, request_bytes
from harness.gate import POPGATE, SANITIZED
from harness.hostile import expect_denied, expect_next_works

KEY_UPDATE = pathlib.Path(POPGATE).parent / "tests" / "key_update"


def refused(world, gate, certificate, *, authority=None, **options):
    """The handshake, or the first read after it (TLS 1.3 tells the client late), fails with an alert."""
    from harness.client import context
    with pytest.raises((ssl.SSLError, ConnectionError, Closed)) as caught:
        tls = context(authority or world.authority, certificate, **options)
        with Connection(gate.port, tls) as connection:
            connection.send(request_bytes("GET", "/", headers=world.credentials()))
            connection.response()
    return str(caught.value)


def test_no_certificate(world, gate, upstream):
    before = gate.metric("popgate_handshakes_total", result="refused")
    alert = refused(world, gate, None)
    assert "CERTIFICATE_REQUIRED" in alert.upper().replace(" ", "_") or "closed" in alert
    assert gate.metric("popgate_handshakes_total", result="refused") == before + 1
    expect_next_works(world, gate, upstream)


def test_another_ca(world, gate, upstream, tmp_path):
    other = Authority(tmp_path / "other", "other")
    refused(world, gate, other.issue("client", spiffe="spiffe://example.com/client-a"))
    # of the same name, with another key
    same = Authority(tmp_path / "same", world.authority.name)
    refused(world, gate, same.issue("client", spiffe="spiffe://example.com/client-a"))
    expect_next_works(world, gate, upstream)


@pytest.mark.parametrize("name, options", [
    ("expired", {"days": -0.5}), ("not yet valid", {"starts_days": 1.0}), ("for servers only", {"client": False, "server": True}),
    ("two URI SANs", {"uris": ["spiffe://example.com/a", "spiffe://example.com/b"]}),
    ("two URI SANs, one no SPIFFE ID", {"uris": ["https://example.com/a", "spiffe://example.com/b"]}),
    ("a CA", {"is_ca": True}),
    ("a SPIFFE ID with a query", {"uris": ["spiffe://example.com/a?b"]}),
    ("a SPIFFE ID with a port", {"uris": ["spiffe://example.com:443/a"]}),
    ("a SPIFFE ID with dots", {"uris": ["spiffe://example.com/../a"]}),
    ("a SPIFFE ID in capitals", {"uris": ["SPIFFE://example.com/a"]}),
    ("a SPIFFE ID with a space", {"uris": ["spiffe://example.com/a b"]}),
    ("a line break in a URI SAN", {"uris": ["spiffe://example.com/a\r\nx-popgate-subject: root"]}),
    ("a line break in a DNS SAN", {"dns": ["a\r\nx"]}),
])
def test_certificates(world, gate, upstream, name, options):
    leaf = world.authority.issue("bad", **options)
    for _ in range(2):  # no memory of it lets it in the second time
        refused(world, gate, leaf)
    refused(world, gate, leaf, maximum=ssl.TLSVersion.TLSv1_2)
    expect_next_works(world, gate, upstream)


def test_the_key_of_another_certificate(world, gate, upstream, tmp_path):
    """The client shows a good certificate and cannot sign for it."""
    if not KEY_UPDATE.exists():
        pytest.skip("built with -DPOPGATE_TESTS=OFF")
    other = world.authority.issue("holder")
    run = subprocess.run([KEY_UPDATE, str(gate.port), str(world.client.path), str(other.key_path), "flood", "1"],
                         capture_output=True, timeout=30)
    assert run.returncode == 2  # BoringSSL notices for us; the gate's own refusal: tests/unit/tls
    expect_next_works(world, gate, upstream)


def test_old_versions_and_ciphers(world, gate, upstream):
    refused(world, gate, world.client, maximum=ssl.TLSVersion.TLSv1_2)
    expect_next_works(world, gate, upstream)


def test_another_name(world, gate, upstream):
    with pytest.raises((ssl.SSLError, Closed, ConnectionError, ssl.CertificateError)):
        world.connect(gate, server_name="evil.example.com")
    # no server name at all is how an address is asked for: Host decides
    tls = world.tls()
    tls.check_hostname = False
    with Connection(gate.port, tls, server_name=None) as connection:
        assert world.request(connection, "GET", "/no-sni").status == 200
    expect_next_works(world, gate, upstream, before=[b"/no-sni"])


# ---- what is no TLS ----

GARBAGE = [b"GET / HTTP/1.1\r\nHost: orders.example.com\r\n\r\n", b"\0" * 64, b"\xff" * 4096, b"SSH-2.0-x\r\n",
           b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n", b"\r\n\r\n\0\r\nQUIT\n" + b"\x21\x11\0\x0c" + b"\1\2\3\4\5\6\7\x08\0\1\0\2",
           b"\x16\x03\x01\xff\xff" + b"\x01" * 100, b"\x16\x03\x01\x00\x05\x01\xff\xff\xff\x03", b"\x15\x03\x03\x00\x02\x02\x28",
           b"\x17\x03\x03\x00\x01x", b"\x14\x03\x03\x00\x01\x01", b"\x80\x2e\x01\x03\x01", b"\x16\x03\x01\x00\x00" * 2000,
           b"\x16\x03\x03\x00\x01\x01" * 3000]


@pytest.mark.parametrize("number", range(len(GARBAGE)))
def test_garbage(world, gate, upstream, number):
    for pieces in ([GARBAGE[number]], [GARBAGE[number][:3], GARBAGE[number][3:]]):
        with socket.create_connection(("127.0.0.1", gate.port), timeout=10) as plain:
            try:
                for piece in pieces:
                    plain.sendall(piece)
                plain.shutdown(socket.SHUT_WR)
                got = b""
                while True:
                    part = plain.recv(65536)
                    if not part:
                        break
                    got += part
            except ConnectionError:
                pass
            assert len(got) < 1024 and b"HTTP/" not in got
    expect_next_works(world, gate, upstream)


def client_flights(world):
    """What an honest client sends in its handshake, as bytes, over a pair of memory buffers against a server of our own."""
    tls = world.tls()
    inbound, outbound = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = tls.wrap_bio(inbound, outbound, server_hostname="orders.example.com")
    with pytest.raises(ssl.SSLWantReadError):
        session.do_handshake()
    return outbound.read()


def test_half_a_handshake(world, start):
    gate, upstream = start(timeouts={"handshake": "400ms"})
    hello = client_flights(world)
    random.seed(7)
    held = []
    for cut in sorted({1, 4, 5, 6, len(hello) - 1, len(hello), *(random.randrange(1, len(hello)) for _ in range(10))}):
        plain = socket.create_connection(("127.0.0.1", gate.port), timeout=10)
        plain.sendall(hello[:cut])
        held.append(plain)
    begun = time.monotonic()
    with world.connect(gate) as connection:  # they hold nobody up
        assert world.request(connection, "GET", "/beside").status == 200
    for plain in held:
        try:
            while plain.recv(65536):
                pass
        except ConnectionError:
            pass
        plain.close()
    assert time.monotonic() - begun < 5
    assert gate.metric("popgate_handshakes_total", result="timeout") == len(held)
    expect_next_works(world, gate, upstream, before=[b"/beside"])


def test_a_handshake_byte_by_byte(world, gate, upstream):
    """A client hello in one-byte segments is slow, not wrong; and a record of each byte is refused or read, never worse."""
    tls = world.tls()
    inbound, outbound = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = tls.wrap_bio(inbound, outbound, server_hostname="orders.example.com")
    with socket.create_connection(("127.0.0.1", gate.port), timeout=10) as plain:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            try:
                session.do_handshake()
                break
            except ssl.SSLWantReadError:
                for byte in outbound.read():
                    plain.sendall(bytes([byte]))
                inbound.write(plain.recv(65536))
        session.write(request_bytes("GET", "/bytes", headers=world.credentials("GET", "/bytes")))
        for byte in outbound.read():
            plain.sendall(bytes([byte]))
        answer = b""
        while b"hello /bytes" not in answer:
            inbound.write(plain.recv(65536))
            try:
                answer += session.read(65536)
            except ssl.SSLWantReadError:
                pass
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    expect_next_works(world, gate, upstream, before=[b"/bytes"])


def test_a_broken_record(world, gate, upstream):
    for size in (1, 5, 100, 16384):
        connection = world.connect(gate)
        assert world.request(connection, "GET", "/r").status == 200
        connection.plain_descriptor = os.dup(connection.socket.fileno())
        os.write(connection.plain_descriptor, b"\x17\x03\x03" + size.to_bytes(2, "big") + os.urandom(size))
        os.close(connection.plain_descriptor)
        assert connection.closed()
        connection.close()
    expect_next_works(world, gate, upstream, before=[b"/r"] * 4)


# ---- floods ----

def cpu_seconds(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_kib(pid):
    for text in open(f"/proc/{pid}/status"):
        if text.startswith("VmRSS"):
            return int(text.split()[1])


@pytest.mark.skipif(not KEY_UPDATE.exists(), reason="built with -DPOPGATE_TESTS=OFF")
def test_ten_thousand_key_updates(world, gate, upstream):
    run = subprocess.run([KEY_UPDATE, str(gate.port), str(world.client.path), str(world.client.key_path), "flood", "10000"],
                         capture_output=True, timeout=60, check=True)
    assert int(run.stdout.split()[1]) <= 10000 and b"HTTP" not in run.stdout
    gate.wait_log(event="tls", reason="too many KeyUpdates")
    expect_next_works(world, gate, upstream)


@pytest.mark.skipif(not KEY_UPDATE.exists(), reason="built with -DPOPGATE_TESTS=OFF")
def test_ten_thousand_key_updates_between_bytes(world, gate, upstream):
    """Each is followed by a byte of a pipeline of requests, so none is one too many: they are followed and cost no memory."""
    before_kib = rss_kib(gate.process.pid)
    text = request_bytes("GET", "/k", headers=[("X-Padding", "a" * 900)])
    run = subprocess.run([KEY_UPDATE, str(gate.port), str(world.client.path), str(world.client.key_path), "between", "10000"],
                         input=text, capture_output=True, timeout=120)
    assert run.stdout.startswith(b"sent 10000\n")
    assert run.stdout.count(b"HTTP/1.1 401") == 10000 // len(text)
    if not SANITIZED:
        assert rss_kib(gate.process.pid) - before_kib < 4096
    expect_next_works(world, gate, upstream)


@pytest.mark.alone  # CPU time
def test_tiny_records(world, gate, upstream):
    """One byte of plaintext a record: it costs the sender more than us, and is read as one request."""
    data = request_bytes("GET", "/tiny", headers=world.credentials("GET", "/tiny") + [("X-Padding", "a" * 8000)])
    with world.connect(gate) as connection:
        cpu = cpu_seconds(gate.process.pid)
        for i in range(len(data)):
            connection.send(data[i:i + 1])
        assert connection.response().status == 200
        if not SANITIZED:
            assert cpu_seconds(gate.process.pid) - cpu < 1.0, "10,000 records, well under 100 microseconds each"
    expect_next_works(world, gate, upstream, before=[b"/tiny"])


def test_close_without_notify(world, gate, upstream):
    """A stream that just ends is no end of a message: a body until close, a head and an idle connection alike."""
    head = request_bytes("POST", "/cut", headers=world.credentials("POST", "/cut") + [("Content-Length", "10")])
    for data in (b"", b"GET / HT", head, head + b"12345"):
        connection = world.connect(gate)
        if data:
            connection.send(data)
        descriptor = os.dup(connection.socket.fileno())
        half = socket.socket(fileno=descriptor)
        half.shutdown(socket.SHUT_WR)
        half.settimeout(10)
        try:
            while half.recv(65536):
                pass
        except ConnectionError:
            pass
        half.close()
        connection.close()
    expect_next_works(world, gate, upstream)


# ---- resumption, expiry and reload ----

def ticket(world, gate, certificate):
    """A session of one good request, ready to be resumed."""
    with world.connect(gate, certificate) as connection:
        assert world.request(connection, "GET", "/first").status == 200
        return connection.socket.context, connection.socket.session


def resumed(world, gate, tls, session):
    with Connection(gate.port, tls, session=session) as connection:
        response = world.request(connection, "GET", "/again")
        return connection.socket.session_reused, response.status


def reload_and_wait(gate):
    generation = gate.metric("popgate_config_generation")
    gate.signal(signal.SIGHUP)
    deadline = time.monotonic() + 15
    while gate.metric("popgate_config_generation") == generation:
        assert time.monotonic() < deadline, gate.output[-2000:]
        time.sleep(0.02)


def test_a_session_is_resumed(world, gate, upstream):
    tls, session = ticket(world, gate, world.client)
    assert resumed(world, gate, tls, session) == (True, 200)
    first, again = upstream.take()
    assert first.get("x-forwarded-client-cert") == again.get("x-forwarded-client-cert")
    expect_next_works(world, gate, upstream)


def test_an_expired_certificate_on_an_open_connection_and_through_a_ticket(world, gate, upstream):
    leaf = world.authority.issue("short", spiffe="spiffe://example.com/short", days=4 / 86400)
    with world.connect(gate, leaf) as connection:
        assert world.request(connection, "GET", "/first").status == 200
        tls, session = connection.socket.context, connection.socket.session
        end = leaf.certificate.not_valid_after.replace(tzinfo=None)
        while datetime.datetime.utcnow() < end + datetime.timedelta(seconds=1.1):
            time.sleep(0.05)
        expect_denied(world.request(connection, "GET", "/late"), "certificate_expired")
        assert connection.closed()
    with pytest.raises((ssl.SSLError, ConnectionError, Closed)):
        resumed(world, gate, tls, session)
    refused(world, gate, leaf)
    expect_next_works(world, gate, upstream, before=[b"/first"])


def test_a_revoked_certificate(world, start):
    crl = world.authority.crl(name="crl-empty")
    gate, upstream = start(tls={"client_crl": str(crl)})
    leaf = world.authority.issue("revoked", spiffe="spiffe://example.com/revoked")
    tls, session = ticket(world, gate, leaf)
    tls_b, session_b = ticket(world, gate, world.client)
    open_connection = world.connect(gate, leaf)
    assert world.request(open_connection, "GET", "/first").status == 200
    crl.write_bytes(world.authority.crl(revoked=[leaf], name="crl-revoked").read_bytes())
    reload_and_wait(gate)
    with pytest.raises((OSError, Closed, AssertionError)):
        world.request(open_connection, "GET", "/open")
    open_connection.close()
    with pytest.raises((ssl.SSLError, ConnectionError, Closed)):
        resumed(world, gate, tls, session)
    refused(world, gate, leaf)
    assert resumed(world, gate, tls_b, session_b)[1] == 200
    expect_next_works(world, gate, upstream, before=[b"/first"] * 3 + [b"/again"])


def test_a_removed_ca(world, start, tmp_path):
    other = Authority(tmp_path / "other", "other")
    bundle = tmp_path / "bundle.pem"
    both = world.authority.root.path.read_bytes() + other.root.path.read_bytes()
    bundle.write_bytes(both)
    gate, upstream = start(tls={"client_ca": str(bundle)})
    leaf = other.issue("client", spiffe="spiffe://other.example/client")
    tls, session = ticket(world, gate, leaf)
    open_connection = world.connect(gate, leaf)
    assert world.request(open_connection, "GET", "/first").status == 200
    bundle.write_bytes(world.authority.root.path.read_bytes())
    reload_and_wait(gate)
    with pytest.raises((OSError, Closed, AssertionError)):
        world.request(open_connection, "GET", "/open")
    open_connection.close()
    with pytest.raises((ssl.SSLError, ConnectionError, Closed)):
        resumed(world, gate, tls, session)
    refused(world, gate, leaf)
    expect_next_works(world, gate, upstream, before=[b"/first"] * 2)
    bundle.write_bytes(both)
    reload_and_wait(gate)
    with world.connect(gate, leaf) as connection:
        assert world.request(connection, "GET", "/back").status == 200
    assert [seen.target for seen in upstream.take()] == [b"/back"]
