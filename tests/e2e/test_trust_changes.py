"""What is trusted changes while connections are open: revoked, expired, removed; reloaded, and through tickets."""

import shutil
import signal
import ssl
import time

import pytest

from harness import client as clients
from harness.authority import Authority


def reload(gate):
    before = gate.metric("popgate_config_reloads_total", result="ok")
    gate.signal(signal.SIGHUP)
    for _ in range(200):
        if gate.metric("popgate_config_reloads_total", result="ok") > before:
            return
        time.sleep(0.02)
    raise AssertionError("no reload:\n" + gate.output[-3000:])


def refused(connect):
    """The handshake, or with TLS 1.3 the first read after it, fails."""
    try:
        with connect() as connection:
            connection.send(b"GET / HTTP/1.1\r\nHost: orders.example.com\r\n\r\n")
            connection.response()
    except (ssl.SSLError, clients.Closed, ConnectionError):
        return True
    return False


def test_a_revoked_certificate_loses_its_open_connection_and_its_ticket(world, start, tmp_path):
    leaf = world.authority.issue("to-revoke", spiffe="spiffe://example.com/to-revoke")
    crl = tmp_path / "crl.pem"
    shutil.copy(world.authority.crl(name="empty-crl"), crl)
    gate, _ = start(tls={"client_crl": str(crl)})
    tls = world.tls(leaf)
    open_connection = clients.Connection(gate.port, tls)
    other = world.connect(gate)
    assert world.request(open_connection, token=world.token()).status == 200
    assert world.request(other).status == 200
    session = open_connection.socket.session
    assert session is not None and session.has_ticket
    with clients.Connection(gate.port, tls, session=session) as resumed:
        assert world.request(resumed).status == 200 and resumed.socket.session_reused
    shutil.copy(world.authority.crl([leaf], name="full-crl"), crl)
    reload(gate)
    assert open_connection.closed(), "closed by the reload"
    assert refused(lambda: clients.Connection(gate.port, tls, session=session)), "not back through its ticket"
    assert refused(lambda: clients.Connection(gate.port, tls))
    assert world.request(other).status == 200, "others stay"
    other.close()


def test_a_removed_ca_loses_its_clients(world, start, tmp_path):
    second = Authority(tmp_path / "second", "second")
    leaf = second.issue("client-second", spiffe="spiffe://second.example/x")
    bundle = tmp_path / "bundle.crt"
    bundle.write_bytes(world.authority.root.path.read_bytes() + second.root.path.read_bytes())
    gate, _ = start(tls={"client_ca": str(bundle)})
    tls = world.tls(leaf)
    with clients.Connection(gate.port, tls) as connection:
        assert world.request(connection).status == 200
        session = connection.socket.session
        bundle.write_bytes(world.authority.root.path.read_bytes())
        reload(gate)
        assert connection.closed()
    assert refused(lambda: clients.Connection(gate.port, tls, session=session))
    with world.connect(gate) as connection:
        assert world.request(connection).status == 200


def test_a_certificate_that_expires_while_connected_passes_no_more(world, start):
    leaf = world.authority.issue("short", spiffe="spiffe://example.com/short", days=4 / 86400)
    gate, upstream = start()
    tls = world.tls(leaf)
    with clients.Connection(gate.port, tls) as connection:
        assert world.request(connection).status == 200
        session = connection.socket.session
        upstream.take()
        time.sleep(6)
        try:
            assert world.request(connection).status == 401
        except (clients.Closed, ConnectionError):
            pass
    assert refused(lambda: clients.Connection(gate.port, tls, session=session))
    assert upstream.take() == []


def test_an_intermediate_that_expires_while_connected_passes_no_more(world, start, tmp_path):
    """Every certificate of the chain, as in the handshake."""
    middle = Authority(tmp_path, "middle", issuer=world.authority, days=4 / 86400)
    leaf = middle.issue("below", spiffe="spiffe://example.com/below", chain=[middle.root])
    gate, upstream = start()
    tls = world.tls(leaf)
    with clients.Connection(gate.port, tls) as connection:
        assert world.request(connection).status == 200
        upstream.take()
        time.sleep(6)
        try:
            assert world.request(connection).status == 401
        except (clients.Closed, ConnectionError):
            pass
    assert refused(lambda: clients.Connection(gate.port, tls))
    assert upstream.take() == []


def test_a_bad_configuration_keeps_the_old_one(world, gate_of_its_own):
    gate, _ = gate_of_its_own
    generation = gate.metric("popgate_config_generation")
    gate.config_path.write_text("listen: [\n")
    gate.signal(signal.SIGHUP)
    for _ in range(200):
        if gate.metric("popgate_config_reloads_total", result="failed"):
            break
        time.sleep(0.02)
    assert gate.metric("popgate_config_reloads_total", result="failed") == 1
    assert gate.metric("popgate_config_generation") == generation
    gate.wait_output(str(gate.config_path) + ":")
    with world.connect(gate) as connection:
        assert world.request(connection).status == 200
    gate.write_config()
    reload(gate)
    assert gate.metric("popgate_config_generation") == generation + 1


@pytest.fixture
def gate_of_its_own(start):
    return start()


def test_changed_issuer_keys_drop_cached_tokens(world, start, tmp_path):
    jwks = tmp_path / "jwks.json"
    jwks.write_text(world.issuer.jwks())
    gate, upstream = start(issuers=[{"issuer": world.issuer.issuer, "audience": world.issuer.audience,
                                     "jwks_file": str(jwks)}])
    token = world.token()
    rotated = type(world.issuer)(kid="rotated")
    with world.connect(gate) as connection:
        assert world.request(connection, token=token).status == 200
        assert world.request(connection, token=token).status == 200
        jwks.write_text(rotated.jwks())
        reload(gate)
        assert world.request(connection, token=token).status == 401, "the cache is dropped with its keys"
        fresh = rotated.token(jkt=world.key.thumbprint)
        assert world.request(connection, token=fresh).status == 200
    assert len(upstream.take()) == 3
