"""PROXY protocol v2 in front of TLS: only from addresses that are trusted for it, and from those always."""

import socket
import ssl
import struct
import time

import pytest

from harness import client as clients

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V4 = socket.inet_pton(socket.AF_INET, "203.0.113.7") + socket.inet_pton(socket.AF_INET, "10.0.0.1") + \
    struct.pack(">HH", 51234, 8443)
V6 = socket.inet_pton(socket.AF_INET6, "2001:db8::7") + socket.inet_pton(socket.AF_INET6, "fd00::1") + \
    struct.pack(">HH", 51235, 8443)


def header(block=V4, family=0x11, command=1, version=2):
    return SIGNATURE + bytes([version << 4 | command, family]) + struct.pack(">H", len(block)) + block


class Through(clients.Connection):
    """A connection that begins with these pieces before TLS."""

    def __init__(self, port, tls, pieces, pause=0.0):
        self.plain = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            self.plain.sendall(piece)
            time.sleep(pause)
        self.socket = tls.wrap_socket(self.plain, server_hostname="orders.example.com", suppress_ragged_eofs=False)
        self.data = b""


def through(world, gate, *pieces, **options):
    return Through(gate.port, world.tls(), pieces, **options)


def refused(connect):
    try:
        connect().close()
    except (ssl.SSLError, OSError):
        return True
    return False


TRUSTED = {"trusted": ["127.0.0.0/8"]}
FORGED = [("X-Forwarded-For", "198.51.100.1"), ("X_Forwarded_For", "198.51.100.2")]


def test_the_client_is_who_the_header_says(world, start):
    gate, upstream = start(proxy_protocol=TRUSTED)
    for block, family, address, port in ((V4, 0x11, "203.0.113.7", "203.0.113.7:51234"),
                                         (V6, 0x21, "2001:db8::7", "[2001:db8::7]:51235")):
        path = f"/{family}"
        with through(world, gate, header(block, family)) as connection:
            headers = world.credentials("GET", path) + FORGED
            assert world.request(connection, "GET", path, headers).status == 200
            [seen] = upstream.take()
            assert seen.all("x-forwarded-for") == [address] and seen.all("x_forwarded_for") == []
        [entry] = gate.wait_log(path=path)
        assert entry["client_address"] == port


def test_in_pieces_and_with_tlvs(world, start):
    gate, upstream = start(proxy_protocol=TRUSTED)
    whole = header(V4 + b"\xea\0\x07vpce-01" + b"\x04\0\x05" + b"\0" * 5)
    with through(world, gate, *[whole[i:i + 1] for i in range(len(whole))], pause=0.001) as connection:
        assert world.request(connection).status == 200
    [seen] = upstream.take()
    assert seen.get("x-forwarded-for") == "203.0.113.7"


def test_local_is_the_load_balancer_itself(world, start):
    gate, upstream = start(proxy_protocol=TRUSTED)
    for text in (header(b"", 0, 0), header(b"junk", 0x77, 0), header(b"", 0, 1)):
        with through(world, gate, text) as connection:
            assert world.request(connection).status == 200
        [seen] = upstream.take()
        assert seen.get("x-forwarded-for") == "127.0.0.1"


@pytest.mark.parametrize("trusted", [[], ["192.0.2.0/24", "::1"]])
def test_from_anyone_else_it_is_no_tls(world, start, trusted):
    gate, upstream = start(proxy_protocol={"trusted": trusted})
    assert refused(lambda: through(world, gate, header()))
    with world.connect(gate) as connection:
        assert world.request(connection, headers=world.credentials() + FORGED).status == 200
    [seen] = upstream.take()
    assert seen.all("x-forwarded-for") == ["127.0.0.1"]


def test_a_trusted_address_must_send_it(world, start):
    """Else the client behind a load balancer that forgot it could name any address."""
    gate, upstream = start(proxy_protocol=TRUSTED)
    assert refused(lambda: world.connect(gate))
    [entry] = gate.wait_log(reason="no PROXY header")
    assert entry["client_address"].startswith("127.0.0.1:")
    assert gate.metric("popgate_handshakes_total", result="refused") == 1
    with through(world, gate, header()) as connection:
        assert world.request(connection).status == 200
    assert len(upstream.take()) == 1


@pytest.mark.parametrize("bad", [
    b"PROXY TCP4 203.0.113.7 10.0.0.1 51234 8443\r\n",
    header(version=1), header(version=3), header(command=2), header(family=0x12), header(V4[:-1]),
    header(V4 + b"\1\0\x09h2"), header(V4 + b"\3\0\4\0\0\0\0"), SIGNATURE + b"\x21\x11\xff\xff",
    header() + header(),
], ids=range(10))
def test_a_header_that_is_none_is_refused(world, start, bad):
    gate, upstream = start(proxy_protocol=TRUSTED)
    assert refused(lambda: through(world, gate, bad))
    with through(world, gate, header()) as connection:
        assert world.request(connection).status == 200
    assert len(upstream.take()) == 1


def test_half_a_header_ends_with_the_handshakes_timeout(world, start):
    gate, _ = start(proxy_protocol=TRUSTED, timeouts={"handshake": "500ms"})
    for sent in (b"", SIGNATURE[:5], header()[:20]):
        with socket.create_connection(("127.0.0.1", gate.port), timeout=5) as plain:
            plain.sendall(sent)
            assert plain.recv(1) == b""
    assert gate.metric("popgate_limits_hit_total", limit="handshake") == 3
    # Who leaves in the middle of it is gone.
    with socket.create_connection(("127.0.0.1", gate.port)) as plain:
        plain.sendall(header()[:20])
    time.sleep(0.2)
    assert gate.metric("popgate_connections", side="downstream") == 0


def test_a_reload_changes_who_is_trusted(world, start):
    gate, upstream = start()
    with world.connect(gate) as connection:
        assert world.request(connection).status == 200
        gate.config["proxy_protocol"] = TRUSTED
        gate.write_config()
        gate.signal(1)
        gate.wait_log(event="reload")
        assert world.request(connection).status == 200, "what is open stays what it is"
    with through(world, gate, header()) as connection:
        assert world.request(connection).status == 200
    assert [seen.get("x-forwarded-for") for seen in upstream.take()] == ["127.0.0.1"] * 2 + ["203.0.113.7"]
