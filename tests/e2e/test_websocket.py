"""WebSocket over HTTP/1.1: the proof is checked on the upgrade, a 101 that answers the key opens a tunnel, and everything else
stays HTTP."""

import base64
import hashlib
import os
import socket
import threading
import time

import pytest

from harness import client as clients
from harness.client import request_bytes

KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def accept_for(key):
    digest = hashlib.sha1(key.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    return base64.b64encode(digest).decode()


def upgrade(world, path="/ws", key=KEY, credentials=None, more=(), drop=(), body=b"", method="GET"):
    fields = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"),
              ("Sec-WebSocket-Key", key)]
    fields = [(name, value) for name, value in fields if name not in drop and value is not None]
    credentials = world.credentials(method, path) if credentials is None else credentials
    return request_bytes(method, path, headers=credentials + fields + list(more), body=body)


def switching(key, more=""):
    return (f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept_for(key)}\r\n{more}\r\n").encode()


def pouring(chunks):
    """A service that accepts the upgrade and sends so many times 64 KiB, until it is held back for 3 s; and where it counts."""
    sent = [0]

    def pours(request, stream):
        stream.socket.sendall(switching(request.get("sec-websocket-key")))
        stream.socket.settimeout(3)
        try:
            for _ in range(chunks):
                sent[0] += stream.socket.send(b"x" * 65536)
        except OSError:
            pass
        return None
    return pours, sent


def echo(request, stream):
    """Accepts the upgrade, then gives back what comes until the end."""
    stream.socket.sendall(switching(request.get("sec-websocket-key"), "Sec-WebSocket-Protocol: chat\r\n"))
    data = stream.data
    while True:
        if data:
            stream.socket.sendall(data)
        data = stream.socket.recv(65536)
        if not data:
            return None


def exactly(connection, size):
    return connection._exactly(size)


def test_an_upgrade_opens_a_tunnel_both_ways(world, start):
    gate, upstream = start(handler=echo)
    with world.connect(gate) as connection:
        connection.send(upgrade(world, more=[("Sec-WebSocket-Protocol", "chat"), ("X-Popgate-Subject", "forged")]))
        response = connection.response()
        assert response.status == 101
        assert response.get("upgrade").lower() == "websocket"
        assert response.get("connection").lower() == "upgrade"
        assert response.get("sec-websocket-accept") == accept_for(KEY)
        assert response.get("sec-websocket-protocol") == "chat"
        for size in (1, 5, 1000, 16384, 300000):
            data = os.urandom(size)
            # Piece by piece, on one thread: OpenSSL allows no second one, and a piece fits every buffer on the way.
            for start_of in range(0, size, 16384):
                piece = data[start_of:start_of + 16384]
                connection.send(piece)
                assert exactly(connection, len(piece)) == piece
    [seen] = upstream.take()
    assert seen.get("upgrade").lower() == "websocket" and seen.get("connection").lower() == "upgrade"
    assert seen.get("sec-websocket-key") == KEY and seen.get("sec-websocket-version") == "13"
    assert seen.get("x-popgate-subject") == "service-a"
    assert seen.get("authorization") is None and seen.get("dpop") is None
    [entry] = gate.wait_log(path="/ws")
    assert entry["status"] == 101
    assert gate.metric("popgate_requests_total", outcome="allowed") + \
        gate.metric("popgate_requests_total", outcome="client_gone") == 1


def test_bytes_behind_the_upgrade_wait_for_the_tunnel(world, start):
    def slow(request, stream):
        time.sleep(0.3)
        return echo(request, stream)
    gate, _ = start(handler=slow)
    early = b"early " + os.urandom(20000)
    with world.connect(gate) as connection:
        connection.send(upgrade(world) + early)
        assert connection.response().status == 101
        assert exactly(connection, len(early)) == early
        connection.send(b"late")
        assert exactly(connection, 4) == b"late"


def test_bytes_behind_the_101_are_the_tunnels(world, start):
    def eager(request, stream):
        stream.socket.sendall(switching(request.get("sec-websocket-key")) + b"at once")
        stream.socket.recv(1)
        return None
    gate, _ = start(handler=eager)
    with world.connect(gate) as connection:
        connection.send(upgrade(world))
        assert connection.response().status == 101
        assert exactly(connection, 7) == b"at once"


def test_without_credentials_there_is_no_upgrade(world, start):
    gate, upstream = start(handler=echo)
    with world.connect(gate) as connection:
        connection.send(upgrade(world, credentials=[]))
        assert connection.response().status == 401
        proof = world.credentials("GET", "/ws")
        connection.send(upgrade(world, credentials=proof))
        assert connection.response().status == 101
    with world.connect(gate) as connection:
        connection.send(upgrade(world, credentials=proof))
        assert connection.response().status == 401, "the proof was used"
        connection.send(upgrade(world, path="/other", credentials=world.credentials("GET", "/ws")))
        assert connection.response().status == 401, "the proof is for another path"
    assert len(upstream.take()) == 1


@pytest.mark.parametrize("key", [None, "", "short", KEY[:-1], KEY + "=", "!" + KEY[1:]])
def test_a_key_that_is_none_is_refused(world, start, key):
    gate, upstream = start(handler=echo)
    with world.connect(gate) as connection:
        connection.send(upgrade(world, key=key))
        assert connection.response().status == 400
        assert connection.closed()
    assert upstream.take() == []


def test_two_keys_are_refused(world, start):
    gate, upstream = start(handler=echo)
    with world.connect(gate) as connection:
        connection.send(upgrade(world, more=[("Sec-WebSocket-Key", KEY)]))
        assert connection.response().status == 400
    assert upstream.take() == []


def plain(request, _stream):
    assert request.get("upgrade") is None and request.get("connection") is None
    return b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.mark.parametrize("changes", [
    dict(drop=("Connection",)),
    dict(drop=("Upgrade",)),
    dict(drop=("Upgrade",), more=[("Upgrade", "h2c")]),
    dict(drop=("Upgrade",), more=[("Upgrade", "websocket, h2c")]),
    dict(more=[("Upgrade", "h2c")]),
    dict(method="POST", body=b"a body"),
    dict(body=b"a body"),
    dict(method="PUT"),
])
def test_what_asks_for_no_websocket_is_forwarded_without_the_upgrade(world, start, changes):
    """RFC 9110 section 7.8: a server MAY ignore Upgrade."""
    gate, upstream = start(handler=plain)
    with world.connect(gate) as connection:
        for _ in range(2):
            connection.send(upgrade(world, **changes))
            assert connection.response().status == 200
    assert len(upstream.take()) == 2


def test_an_http_1_0_request_is_never_upgraded(world, start):
    gate, upstream = start(handler=plain)
    with world.connect(gate) as connection:
        connection.send(upgrade(world).replace(b"HTTP/1.1", b"HTTP/1.0", 1))
        assert connection.response().status == 200
    assert len(upstream.take()) == 1


def test_a_refusal_of_the_service_is_a_normal_answer_and_the_connection_goes_on(world, start):
    def refuses(request, stream):
        if request.target != b"/ws":
            return clients_ok
        return (b"HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 13\r\nContent-Length: 4\r\n\r\n"
                b"13!\n")
    clients_ok = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    gate, upstream = start(handler=refuses)
    with world.connect(gate) as connection:
        connection.send(upgrade(world))
        response = connection.response()
        assert response.status == 426 and response.body == b"13!\n"
        assert response.get("sec-websocket-version") == "13"
        # What follows is a request like any other, and needs a proof like any other.
        connection.send(request_bytes("GET", "/smuggled"))
        assert connection.response().status == 401
        assert world.request(connection, "GET", "/next").status == 200
    assert [seen.target for seen in upstream.take()] == [b"/ws", b"/next"]


@pytest.mark.parametrize("head", [
    "Upgrade: websocket\r\nConnection: Upgrade\r\n",  # no Accept
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + accept_for("x" * 24) + "\r\n",
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Accept: {accept}\r\n",
    "Upgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n",
    "Connection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n",
    "Upgrade: h2c\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n",
    "Upgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 5\r\nSec-WebSocket-Accept: {accept}\r\n",
])
def test_a_101_that_is_no_answer_to_the_key_is_502(world, start, head):
    """A service that can be made to say 101 is not left with a connection on which anything passes."""
    def handler(_request, stream):
        stream.socket.sendall(b"HTTP/1.1 101 Switching Protocols\r\n"
                              + head.format(accept=accept_for(KEY)).encode() + b"\r\n")
        assert stream.socket.recv(65536) == b"", "nothing follows"
        return None
    gate, upstream = start(handler=handler)
    with world.connect(gate) as connection:
        connection.send(upgrade(world) + request_bytes("GET", "/smuggled"))
        assert connection.response().status == 502
        assert connection.response().status == 401
    assert gate.metric("popgate_upstream_errors_total", kind="illegal") == 1
    assert len(upstream.take()) == 1


def test_an_unasked_101_stays_502(world, start):
    gate, _ = start(handler=lambda request, stream: switching(KEY))
    with world.connect(gate) as connection:
        assert world.request(connection).status == 502


def test_other_interim_answers_pass_before_the_101(world, start):
    def handler(request, stream):
        stream.socket.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
        return echo(request, stream)
    gate, _ = start(handler=handler)
    with world.connect(gate) as connection:
        connection.send(upgrade(world))
        assert connection.response(interim=True).status == 103
        assert connection.response().status == 101
        connection.send(b"x")
        assert exactly(connection, 1) == b"x"


# ---- back-pressure ----

def test_a_client_that_does_not_read_holds_the_service_back(world, start):
    pours, sent = pouring(2000)
    gate, _ = start(handler=pours)
    with world.connect(gate) as connection:
        connection.send(upgrade(world))
        assert connection.response().status == 101
        time.sleep(1.5)
        stopped_at = sent[0]
        time.sleep(0.5)
        assert sent[0] == stopped_at < 60 * 1000 * 1000, "the service was told to wait"
        assert len(exactly(connection, stopped_at)) == stopped_at


def test_a_service_that_does_not_read_holds_the_client_back(world, start):
    ready = threading.Event()
    got = [0]

    def sleeps(request, stream):
        stream.socket.sendall(switching(request.get("sec-websocket-key")))
        ready.wait(10)
        got[0] = len(stream.data)
        while True:
            part = stream.socket.recv(1 << 18)
            got[0] += len(part)
            if not part:
                return None
    gate, _ = start(handler=sleeps)
    with world.connect(gate) as connection:
        connection.send(upgrade(world))
        assert connection.response().status == 101
        total, done = 64 * 1000 * 1000, threading.Event()

        def pour():
            for _ in range(total // 64000):
                connection.send(b"y" * 64000)
            done.set()
        sender = threading.Thread(target=pour, daemon=True)
        sender.start()
        assert not done.wait(1.5), "64 MB do not fit into what the gate holds"
        ready.set()
        assert done.wait(30)
        deadline = time.monotonic() + 20
        while got[0] < total and time.monotonic() < deadline:
            time.sleep(0.02)
        assert got[0] == total


# ---- ends ----

def test_the_services_end_is_the_clients(world, start):
    def bye(request, stream):
        stream.socket.sendall(switching(request.get("sec-websocket-key")) + b"bye")
        return None
    gate, _ = start(handler=bye)
    with world.connect(gate) as connection:
        connection.send(upgrade(world))
        assert connection.response().status == 101
        assert exactly(connection, 3) == b"bye"
        assert connection.closed()
    [entry] = gate.wait_log(path="/ws")
    assert entry["outcome"] == "allowed" and entry["bytes_out"] == 3


def test_a_reset_of_the_service_is_a_cut(world, start):
    def reset(request, stream):
        stream.socket.sendall(switching(request.get("sec-websocket-key")) + b"bye")
        time.sleep(0.2)
        stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        return None
    gate, _ = start(handler=reset)
    with world.connect(gate) as connection:
        connection.send(upgrade(world))
        assert connection.response().status == 101
        assert exactly(connection, 3) == b"bye"
        with pytest.raises(clients.Closed, match="cut|reset"):
            connection._more()
    [entry] = gate.wait_log(path="/ws")
    assert entry["outcome"] == "upstream_error"


def test_the_clients_half_close_reaches_the_service_behind_its_bytes(world, start):
    got = []

    def reads_all(request, stream):
        stream.socket.sendall(switching(request.get("sec-websocket-key")))
        data = stream.data
        while True:
            part = stream.socket.recv(65536)
            if not part:
                break
            data += part
        got.append(data)
        stream.socket.sendall(b"got all")
        return None
    gate, _ = start(handler=reads_all)
    sent = os.urandom(400000)
    connection = world.connect(gate)
    connection.send(upgrade(world))
    assert connection.response().status == 101
    connection.send(sent)
    connection.socket.settimeout(10)
    try:  # close_notify, and a wait for the gate's
        connection.socket.unwrap()
    except OSError:
        pass
    deadline = time.monotonic() + 10
    while not got and time.monotonic() < deadline:
        time.sleep(0.02)
    assert got == [sent]
    connection.close()
    [entry] = gate.wait_log(path="/ws")
    assert entry["bytes_in"] == len(sent) and entry["outcome"] == "allowed"


def test_a_client_that_vanishes_ends_the_services_side(world, start):
    ended = threading.Event()

    def waits(request, stream):
        stream.socket.sendall(switching(request.get("sec-websocket-key")))
        try:
            assert stream.socket.recv(1) == b""
        except ConnectionError:
            pass
        ended.set()
        return None
    gate, _ = start(handler=waits)
    connection = world.connect(gate)
    connection.send(upgrade(world))
    assert connection.response().status == 101
    connection.plain.close()
    connection.socket.close()
    assert ended.wait(10)


def test_an_idle_tunnel_ends_and_a_busy_one_does_not(world, start):
    gate, _ = start(handler=echo, timeouts={"idle": "700ms"})
    with world.connect(gate) as idle, world.connect(gate) as busy:
        for connection in (idle, busy):
            connection.send(upgrade(world))
            assert connection.response().status == 101
        for _ in range(10):
            time.sleep(0.2)
            busy.send(b"tick")
            assert exactly(busy, 4) == b"tick"
        assert idle.closed(1)
    assert gate.metric("popgate_limits_hit_total", limit="idle") == 1


def test_a_tunnel_that_only_receives_is_not_idle(world, start):
    def ticks(request, stream):
        stream.socket.sendall(switching(request.get("sec-websocket-key")))
        for _ in range(10):
            time.sleep(0.2)
            stream.socket.sendall(b"tock")
        return None
    gate, _ = start(handler=ticks, timeouts={"idle": "700ms"})
    with world.connect(gate) as connection:
        connection.send(upgrade(world))
        assert connection.response().status == 101
        assert exactly(connection, 40) == b"tock" * 10


def test_a_tunnel_ends_with_its_token(world, start):
    gate, _ = start(handler=echo)
    expires = int(time.time()) + 3
    with world.connect(gate) as connection, world.connect(gate) as other:
        token = world.token(payload={"exp": expires})
        connection.send(upgrade(world, credentials=world.credentials("GET", "/ws", token=token)))
        other.send(upgrade(world, path="/long"))
        assert connection.response().status == other.response().status == 101
        while time.time() < expires - 0.7:
            connection.send(b"still")
            assert exactly(connection, 5) == b"still"
            time.sleep(0.1)
        with pytest.raises(clients.Closed, match="cut"):
            while time.time() < expires + 3:
                connection._more()
        assert expires - 0.1 <= time.time() < expires + 2
        other.send(b"another token")
        assert exactly(other, 13) == b"another token"
    assert gate.metric("popgate_limits_hit_total", limit="expiry") == 1
    [entry] = gate.wait_log(path="/ws")
    assert entry["outcome"] == "allowed" and "expired" in entry["reason"]


def test_a_tunnel_ends_with_the_certificate(world, start):
    leaf = world.authority.issue("ws-short", spiffe="spiffe://example.com/ws-short", days=4 / 86400)
    gate, _ = start(handler=echo)
    with world.connect(gate, leaf) as connection:
        connection.send(upgrade(world))
        assert connection.response().status == 101
        began = time.time()
        with pytest.raises(clients.Closed, match="cut"):
            while time.time() < began + 10:
                connection._more()
        assert time.time() - began < 7


def test_a_stream_without_an_end_stops_with_its_token(world, start):
    def events(request, stream):
        stream.socket.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            for _ in range(100):
                stream.socket.sendall(b"5\r\nevent\r\n")
                time.sleep(0.1)
        except OSError:
            pass
        return None
    gate, _ = start(handler=events)
    expires = int(time.time()) + 3
    with world.connect(gate) as connection:
        token = world.token(payload={"exp": expires})
        response = world.request(connection, token=token)
        assert response.status == 200 and not response.clean, "a cut, never a clean end"
        assert expires - 0.1 <= time.time() < expires + 2
    assert gate.metric("popgate_limits_hit_total", limit="expiry") == 1


def test_an_upload_without_a_length_ends_with_its_token_before_the_answer_begins(world, start):
    gate, upstream = start()
    expires = int(time.time()) + 3
    with world.connect(gate) as connection:
        token = world.token(payload={"exp": expires})
        headers = [*world.credentials("POST", "/up", token=token), ("Transfer-Encoding", "chunked")]
        connection.send(clients.request_bytes("POST", "/up", headers=headers))
        while time.time() < expires + 1.5:
            try:
                connection.send(b"1\r\nx\r\n")
            except OSError:
                break
            time.sleep(0.2)
        response = connection.response("POST")
        assert response.status == 401 and 'error="invalid_token"' in response.get("www-authenticate")
        assert connection.closed()
    assert upstream.take() == [], "it was never whole"
    [entry] = gate.wait_log(path="/up")
    assert entry["outcome"] == "denied" and entry["check"] == "token_expired"
    assert gate.metric("popgate_limits_hit_total", limit="expiry") == 1


def test_a_whole_upload_is_answered_though_the_token_expires(world, start):
    def late(request, stream):
        time.sleep(3)
        return b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    gate, _ = start(handler=late)
    with world.connect(gate) as connection:
        token = world.token(payload={"exp": int(time.time()) + 2})
        headers = [*world.credentials("POST", "/up", token=token), ("Transfer-Encoding", "chunked")]
        connection.send(clients.request_bytes("POST", "/up", headers=headers))
        time.sleep(0.2)
        connection.send(b"1\r\nx\r\n0\r\n\r\n")
        response = connection.response("POST")
        assert response.status == 200 and response.body == b"ok"


def test_a_body_of_known_length_is_finished_though_the_token_expires(world, start):
    def slow(request, stream):
        stream.socket.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n")
        for _ in range(30):
            stream.socket.sendall(b"z")
            time.sleep(0.1)
        return b""
    gate, _ = start(handler=slow)
    with world.connect(gate) as connection:
        token = world.token(payload={"exp": int(time.time()) + 2})
        response = world.request(connection, token=token)
        assert response.status == 200 and response.clean and response.body == b"z" * 30
        assert world.request(connection, token=token).status == 401


def test_a_drain_waits_for_tunnels_and_ends_them_at_its_timeout(world, start):
    gate, _ = start(handler=echo, timeouts={"drain": "1s"})
    with world.connect(gate) as connection:
        connection.send(upgrade(world))
        assert connection.response().status == 101
        began = time.monotonic()
        gate.signal(15)
        time.sleep(0.3)
        connection.send(b"still open")
        assert exactly(connection, 10) == b"still open"
        assert gate.process.wait(10) == 0
        assert 0.9 <= time.monotonic() - began < 5


def test_many_tunnels_do_not_mix(world, start):
    gate, _ = start(handler=echo)
    failures = []

    def one(number):
        try:
            with world.connect(gate) as connection:
                connection.send(upgrade(world, path=f"/ws/{number}"))
                assert connection.response().status == 101
                for turn in range(20):
                    data = (b"%d:%d;" % (number, turn)) * 300
                    connection.send(data)
                    assert exactly(connection, len(data)) == data
        except Exception as error:  # noqa: BLE001: reported below
            failures.append(repr(error))
    threads = [threading.Thread(target=one, args=(i,)) for i in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
