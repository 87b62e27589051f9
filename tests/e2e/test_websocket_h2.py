"""WebSocket over HTTP/2 (RFC 8441): extended CONNECT from the client, HTTP/1.1 or h2c to the service, and an Upgrade of HTTP/1.1
to a service that takes extended CONNECT."""

import os
import socket
import struct
import threading
import time

import pytest

from harness import client as clients
from harness import client2 as h2c
from harness.gate import Gate
from harness.upstream2 import Upstream2
from test_websocket import accept_for, echo, exactly, pouring, switching, upgrade

connect_fields, Tunnel = h2c.connect_fields, h2c.Tunnel


@pytest.fixture
def start2(world, backend):
    """Gates before a service that speaks h2c."""
    started = []

    def begin(gate_changes=None, connect=True, **options):
        upstream = Upstream2(**options)
        upstream.takes_connect = connect
        gate = Gate(world.config(upstream, backend, **(gate_changes or {}))).start()
        started.append((gate, upstream))
        return gate, upstream
    yield begin
    for gate, upstream in started:
        gate.stop()
        upstream.stop()
        assert not upstream.errors


# ---- to a service that speaks HTTP/1.1 ----

def test_the_setting_is_announced(world, gate):
    with h2c.connect(world, gate) as client:
        assert client.until(lambda: client.settings)
        assert client.settings[h2c.ENABLE_CONNECT_PROTOCOL] == 1


def test_a_tunnel_both_ways(world, start):
    gate, upstream = start(handler=echo)
    with h2c.connect(world, gate) as client:
        tunnel = Tunnel(client, connect_fields(world, "/ws?room=1", extra=[
            ("sec-websocket-protocol", "chat"), ("sec-websocket-key", "the client's own"), ("x-popgate-subject", "forged"),
            ("cookie", "a=1"), ("cookie", "b=2")], ))
        assert tunnel.status == 200
        assert tunnel.answer.get("sec-websocket-protocol") == "chat"
        for name in ("sec-websocket-accept", "upgrade", "connection", "content-length", "transfer-encoding"):
            assert tunnel.answer.all(name) == [], name
        for size in (1, 5, 1000, 16384, 300000):
            data = os.urandom(size)
            for begin in range(0, size, 16384):
                tunnel.send(data[begin:begin + 16384])
                assert tunnel.exactly(len(data[begin:begin + 16384])) == data[begin:begin + 16384]
        # Beside it the connection serves requests and other tunnels.
        other = Tunnel(client, connect_fields(world, "/ws2"))
        other.send(b"other")
        assert other.exactly(5) == b"other"
        tunnel.send(b"last")
        assert tunnel.exactly(4) == b"last"
    seen, other = upstream.take()
    assert seen.method == b"GET" and seen.target == b"/ws?room=1" and seen.version == b"HTTP/1.1"
    assert seen.get("upgrade").lower() == "websocket" and seen.get("connection").lower() == "upgrade"
    assert len(seen.get("sec-websocket-key")) == 24 and seen.get("sec-websocket-version") == "13"
    assert seen.get("sec-websocket-key") != other.get("sec-websocket-key"), "a nonce each"
    assert seen.get("x-popgate-subject") == "service-a" and seen.get("cookie") == "a=1; b=2"
    assert seen.get("origin") == "https://orders.example.com" and seen.get("host") == "orders.example.com"
    assert seen.get("authorization") is None and seen.get("dpop") is None
    assert seen.get("content-length") is None and seen.get("transfer-encoding") is None
    [entry] = gate.wait_log(path="/ws")
    assert entry["status"] == 200 and entry["method"] == "CONNECT"


def test_the_proof_is_checked_on_the_connect(world, start):
    gate, upstream = start(handler=echo)
    with h2c.connect(world, gate) as client:
        bare = [f for f in connect_fields(world) if f[0] not in ("authorization", "dpop")]
        assert Tunnel(client, bare).status == 401
        for method, path in (("GET", "/ws"), ("CONNECT", "/other"), ("connect", "/ws")):
            wrong = bare + [(k.lower(), v) for k, v in world.credentials(method, path)]
            assert Tunnel(client, wrong).status == 401, (method, path)
        good = connect_fields(world)
        assert Tunnel(client, good).status == 200
        assert Tunnel(client, good).status == 401, "the proof was used"
    assert len(upstream.take()) == 1


def test_a_rule_for_get_is_a_rule_for_the_tunnel(world, start):
    """The service sees a GET: what may not be asked for in HTTP/1.1 may not be had by another method."""
    gate, upstream = start(handler=echo, policy=[{"path": "/admin/", "methods": ["GET"], "scope": ["admin"]},
                                                 {"path": "/none/", "methods": ["CONNECT"], "deny": True}])
    with h2c.connect(world, gate) as client:
        for path, status in (("/admin/ws", 403), ("/none/ws", 403), ("/ws", 200)):
            assert Tunnel(client, connect_fields(world, path)).status == status, path
        assert client.answer(client.request(h2c.fields(world, "get", "/admin/ws"))).status == 403
    assert [seen.target for seen in upstream.take()] == [b"/ws"]


@pytest.mark.parametrize("name,changes,status", [
    ("another protocol", dict(protocol="connect-udp"), 501),
    ("no protocol that is known", dict(protocol="WebSocket2"), 501),
    ("an empty protocol", dict(protocol=""), 501),
    ("no protocol", dict(drop=(":protocol",)), 400),
    ("no scheme", dict(drop=(":scheme",)), 400),
    ("no path", dict(drop=(":path",)), 400),
    ("no authority", dict(drop=(":authority",)), 400),
    ("a length", dict(extra=[("content-length", "0")]), 400),
    ("connection", dict(extra=[("connection", "upgrade")]), 400),
    ("upgrade", dict(extra=[("upgrade", "websocket")]), 400),
])
def test_what_is_no_websocket_is_refused(world, start, name, changes, status):
    gate, upstream = start(handler=echo)
    with h2c.connect(world, gate) as client:
        tunnel = Tunnel(client, connect_fields(world, **changes))
        assert tunnel.over()
        assert tunnel.status == status
        client.until(lambda: tunnel.answer.reset is not None, 2)
        assert tunnel.answer.reset == (h2c.PROTOCOL_ERROR if status == 400 else h2c.NO_ERROR)
        assert client.alive()
    assert upstream.take() == []


def test_protocol_twice_or_late_is_malformed(world, start):
    gate, upstream = start(handler=echo)
    fields = connect_fields(world)
    for wrong in ([(":protocol", "websocket")] + fields, fields + [(":protocol", "websocket")],
                  [f for f in fields if f[0] != ":protocol"] + [(":protocol", "websocket")]):
        with h2c.connect(world, gate) as client:
            tunnel = Tunnel(client, wrong)
            client.until(lambda: tunnel.answer.reset is not None, 2)
            assert tunnel.status == 400 and tunnel.answer.reset == h2c.PROTOCOL_ERROR
    assert upstream.take() == []


def test_a_connect_that_ends_at_once_is_refused(world, start):
    gate, upstream = start(handler=echo)
    with h2c.connect(world, gate) as client:
        assert client.answer(client.request(connect_fields(world))).status == 400
    assert upstream.take() == []


def test_bytes_before_the_answer_wait_for_the_tunnel(world, start):
    def slow(request, stream):
        assert stream.data == b"", "not before the tunnel is open"
        time.sleep(0.3)
        return echo(request, stream)
    gate, _ = start(handler=slow)
    early = os.urandom(16000)
    with h2c.connect(world, gate) as client:
        tunnel = Tunnel(client, connect_fields(world), early)
        assert tunnel.status == 200
        assert tunnel.exactly(len(early)) == early
        tunnel.send(b"late")
        assert tunnel.exactly(4) == b"late"


def test_bytes_behind_the_101_are_the_tunnels(world, start):
    def eager(request, stream):
        stream.socket.sendall(switching(request.get("sec-websocket-key")) + b"at once")
        stream.socket.recv(1)
        return None
    gate, _ = start(handler=eager)
    with h2c.connect(world, gate) as client:
        assert Tunnel(client, connect_fields(world)).exactly(7) == b"at once"


@pytest.mark.parametrize("status,body", [(403, b"no\n"), (426, b"13\n"), (302, b"")])
def test_a_refusal_of_the_service_is_a_normal_answer(world, start, status, body):
    def refuses(request, stream):
        if request.target != b"/ws":
            return b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        return b"HTTP/1.1 %d No\r\nContent-Length: %d\r\nX-Why: because\r\n\r\n%s" % (status, len(body), body)
    gate, upstream = start(handler=refuses)
    with h2c.connect(world, gate) as client:
        tunnel = Tunnel(client, connect_fields(world), b"never to be seen")
        assert tunnel.over() and tunnel.status == status
        assert tunnel.answer.body == body and tunnel.answer.get("x-why") == "because"
        after = client.answer(client.request(h2c.fields(world, "GET", "/next")))
        assert after.status == 200 and after.body == b"ok"
    assert [seen.body for seen in upstream.take()] == [b"", b""]


@pytest.mark.parametrize("answer", [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",  # to the client of a CONNECT this would be an open tunnel
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
    + accept_for("x" * 24).encode() + b"\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
    b"nonsense\r\n\r\n",
])
def test_what_does_not_switch_is_502(world, start, answer):
    gate, _ = start(handler=lambda request, stream: answer)
    with h2c.connect(world, gate) as client:
        tunnel = Tunnel(client, connect_fields(world))
        assert tunnel.over() and tunnel.status == 502
        assert client.alive()
    assert gate.metric("popgate_upstream_errors_total") == 1


# ---- ends ----

def test_the_services_end_is_end_stream(world, start):
    def bye(request, stream):
        stream.socket.sendall(switching(request.get("sec-websocket-key")) + b"bye")
        return None
    gate, _ = start(handler=bye)
    with h2c.connect(world, gate) as client:
        tunnel = Tunnel(client, connect_fields(world))
        assert tunnel.exactly(3) == b"bye"
        assert tunnel.over() and tunnel.answer.ended and tunnel.answer.reset in (None, h2c.NO_ERROR)
        assert client.alive()


def test_the_services_reset_is_cancel(world, start):
    def cut(request, stream):
        stream.socket.sendall(switching(request.get("sec-websocket-key")))
        assert stream.exactly(2) == b"go"
        stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return None
    gate, _ = start(handler=cut)
    with h2c.connect(world, gate) as client:
        tunnel = Tunnel(client, connect_fields(world))
        tunnel.send(b"go")
        assert tunnel.over() and tunnel.answer.reset == h2c.CANCEL and not tunnel.answer.ended
        assert client.alive()


def test_the_clients_end_is_a_half_close(world, start):
    got = []

    def after(request, stream):
        stream.socket.sendall(switching(request.get("sec-websocket-key")))
        got.append(stream.exactly(6))
        got.append(stream.socket.recv(1))
        stream.socket.sendall(b"and more")
        return None
    gate, _ = start(handler=after)
    with h2c.connect(world, gate) as client:
        tunnel = Tunnel(client, connect_fields(world))
        tunnel.send(b"do it.", end=True)
        assert tunnel.exactly(8) == b"and more"
        assert tunnel.over() and tunnel.answer.ended and tunnel.answer.reset is None
    assert got == [b"do it.", b""]
    [entry] = gate.wait_log(path="/ws")
    assert entry["outcome"] == "allowed"


def test_the_clients_reset_ends_the_services_connection(world, start):
    ended = threading.Event()

    def waits(request, stream):
        stream.socket.sendall(switching(request.get("sec-websocket-key")))
        try:
            while stream.socket.recv(1000):
                pass
        except OSError:
            pass
        ended.set()
        return None
    gate, _ = start(handler=waits)
    with h2c.connect(world, gate) as client:
        tunnel = Tunnel(client, connect_fields(world))
        tunnel.send(b"x")
        client.send(h2c.rst(tunnel.number))
        assert ended.wait(5)
        assert client.alive()
    [entry] = gate.wait_log(path="/ws")
    assert entry["outcome"] == "client_gone"


def test_a_field_block_in_a_tunnel_is_a_stream_error(world, start):
    """RFC 9113 section 8.5."""
    gate, _ = start(handler=echo)
    with h2c.connect(world, gate) as client:
        tunnel = Tunnel(client, connect_fields(world))
        client.send(h2c.frame(h2c.HEADERS, h2c.END_HEADERS | h2c.END_STREAM, tunnel.number,
                              client.encoder.encode([("x-late", "1")])))
        assert tunnel.over() and tunnel.answer.reset == h2c.PROTOCOL_ERROR
        assert client.alive()


def test_an_idle_tunnel_ends_and_a_busy_one_does_not(world, start):
    gate, _ = start(handler=echo, timeouts={"idle": "700ms"})
    with h2c.connect(world, gate) as client:
        idle, busy = Tunnel(client, connect_fields(world, "/idle")), Tunnel(client, connect_fields(world, "/busy"))
        for _ in range(10):
            time.sleep(0.2)
            busy.send(b"tick")
            assert busy.exactly(4) == b"tick"
        assert idle.answer.reset == h2c.CANCEL and busy.answer.reset is None
    assert gate.metric("popgate_limits_hit_total", limit="idle") == 1


def test_a_tunnel_ends_with_its_token_and_the_connection_goes_on(world, start):
    gate, _ = start(handler=echo)
    expires = int(time.time()) + 3
    with h2c.connect(world, gate) as client:
        token = world.token(payload={"exp": expires})
        short = Tunnel(client, connect_fields(world, "/short", token=token))
        longer = Tunnel(client, connect_fields(world, "/long"))
        assert short.status == longer.status == 200
        assert short.over() and short.answer.reset == h2c.CANCEL and not short.answer.ended
        assert expires - 0.1 <= time.time() < expires + 2
        longer.send(b"goes on")
        assert longer.exactly(7) == b"goes on"
    assert gate.metric("popgate_limits_hit_total", limit="expiry") == 1


def test_a_drain_waits_for_tunnels_and_ends_them_at_its_timeout(world, start):
    gate, _ = start(handler=echo, timeouts={"drain": "2s"})
    with h2c.connect(world, gate) as client:
        tunnel = Tunnel(client, connect_fields(world))
        gate.signal(15)
        assert client.until(lambda: client.goaway)
        time.sleep(0.2)
        tunnel.send(b"still open")
        assert tunnel.exactly(10) == b"still open"
        assert gate.process.wait(10) == 0


# ---- back-pressure ----

def test_a_client_with_its_window_shut_holds_the_service_back(world, start):
    pours, sent = pouring(1000)
    gate, _ = start(handler=pours)
    with h2c.connect(world, gate, auto_window=False) as client:
        tunnel = Tunnel(client, connect_fields(world))
        assert tunnel.status == 200
        time.sleep(1.2)
        stopped_at = sent[0]
        time.sleep(0.5)
        assert sent[0] == stopped_at < 40 * 1000 * 1000, "the service was told to wait"
        client.auto_window = True
        client.until(lambda: len(tunnel.answer.body) >= 65535)
        client.send(h2c.window_update(0, 1 << 30) + h2c.window_update(tunnel.number, 1 << 30))
        assert len(tunnel.exactly(stopped_at)) == stopped_at


def test_a_service_that_does_not_read_holds_the_client_back(world, start):
    ready = threading.Event()

    def sleeps(request, stream):
        stream.socket.sendall(switching(request.get("sec-websocket-key")))
        ready.wait(20)
        return echo_rest(stream)

    def echo_rest(stream):
        got = len(stream.data)
        while got < 32 * 1000 * 1000:
            part = stream.socket.recv(1 << 18)
            if not part:
                break
            got += len(part)
        stream.socket.sendall(b"%010d" % got)
        return None
    gate, _ = start(handler=sleeps)
    total = 32 * 1000 * 1000
    with h2c.connect(world, gate) as client:
        tunnel = Tunnel(client, connect_fields(world))
        sent = 0
        deadline = time.monotonic() + 1.5
        while time.monotonic() < deadline and sent < total:
            size = min(tunnel.room(), 16384, total - sent)
            if size > 0:
                tunnel.send(b"y" * size)
                sent += size
                continue
            try:
                client.step(0.2)
            except (TimeoutError, socket.timeout):
                pass
        assert sent < total, "32 MB do not fit into what the gate holds"
        ready.set()
        tunnel.send(b"y" * (total - sent))
        assert tunnel.exactly(10) == b"%010d" % total


# ---- to a service that speaks h2c ----

def answers_tunnels(stream):
    """The head of a CONNECT to a service that takes it; DATA is echoed by `echo_data`."""
    if stream.get(":method") != "CONNECT":
        return
    if stream.path == "/no":
        stream.respond(403, b"no")
    elif stream.path == "/ok":
        stream.respond(299, headers=[("x-kind", "tunnel")], end=False)
    else:
        stream.respond(200, headers=[("sec-websocket-protocol", "chat")], end=False)


def echo_data(stream, data):
    if stream.get(":method") == "CONNECT":
        threading.Thread(target=stream.send, args=(data,), daemon=True).start()


def ends_tunnels(stream):
    if stream.get(":method") == "CONNECT":
        stream.send(b"the end", end=True)
    else:
        stream.respond(200, b"plain " + stream.path.encode())


@pytest.mark.parametrize("warm", [False, True])
def test_extended_connect_is_passed_on(world, start2, warm):
    gate, upstream = start2(handler=ends_tunnels, on_head=answers_tunnels, on_data=echo_data)
    with h2c.connect(world, gate) as client:
        if warm:
            assert client.answer(client.request(h2c.fields(world, "GET", "/first"))).body == b"plain /first"
        tunnel = Tunnel(client, connect_fields(world, "/ws?q", extra=[("sec-websocket-key", "dropped"),
                                                                     ("x-popgate-jkt", "forged")]), b"early")
        assert tunnel.status == 200 and tunnel.answer.get("sec-websocket-protocol") == "chat"
        assert tunnel.exactly(5) == b"early"
        for size in (1, 1000, 16384):
            data = os.urandom(size)
            tunnel.send(data)
            assert tunnel.exactly(size) == data
        refused = Tunnel(client, connect_fields(world, "/no"))
        assert refused.over() and refused.status == 403 and refused.answer.body == b"no"
        other = Tunnel(client, connect_fields(world, "/ok"))
        assert other.status == 200 and other.answer.get("x-kind") == "tunnel"
        tunnel.send(b"done", end=True)
        assert tunnel.exactly(11) in (b"donethe end", b"the enddone")
        assert tunnel.over() and tunnel.answer.ended
    seen = [s for c in upstream.connections for s in c.streams.values() if s.path == "/ws?q"]
    assert len(seen) == 1 and seen[0].get(":method") == "CONNECT" and seen[0].get(":protocol") == "websocket"
    assert seen[0].get(":scheme") == "http" and seen[0].get(":authority") == "orders.example.com"
    for name in ("sec-websocket-key", "upgrade", "connection", "authorization", "dpop"):
        assert seen[0].all(name) == [], name
    assert seen[0].get("x-popgate-jkt") == world.key.thumbprint
    assert seen[0].get("sec-websocket-version") == "13"


def test_a_service_without_extended_connect_is_502_and_never_asked(world, start2):
    gate, upstream = start2(connect=False, handler=ends_tunnels, on_head=answers_tunnels)
    with h2c.connect(world, gate) as client:
        for _ in range(2):
            tunnel = Tunnel(client, connect_fields(world))
            assert tunnel.over() and tunnel.status == 502
        assert client.answer(client.request(h2c.fields(world, "GET", "/next"))).body == b"plain /next"
    assert all(s.get(":method") == "GET" for c in upstream.connections for s in c.streams.values())
    assert gate.metric("popgate_upstream_errors_total", kind="websocket") == 2


@pytest.mark.parametrize("warm", [False, True])
def test_an_upgrade_becomes_extended_connect(world, start2, warm):
    gate, upstream = start2(handler=ends_tunnels, on_head=answers_tunnels, on_data=echo_data)
    with world.connect(gate) as connection:
        if warm:
            assert world.request(connection, "GET", "/first").body == b"plain /first"
        connection.send(upgrade(world) + b"early")
        response = connection.response()
        assert response.status == 101 and response.get("upgrade").lower() == "websocket"
        assert response.get("connection").lower() == "upgrade"
        assert response.get("sec-websocket-accept") == accept_for("dGhlIHNhbXBsZSBub25jZQ==")
        assert response.get("sec-websocket-protocol") == "chat"
        assert response.all("content-length") == response.all("transfer-encoding") == []
        assert exactly(connection, 5) == b"early"
        data = os.urandom(10000)
        connection.send(data)
        assert exactly(connection, len(data)) == data
    seen = [s for c in upstream.connections for s in c.streams.values() if s.path == "/ws"]
    assert len(seen) == 1 and seen[0].get(":method") == "CONNECT" and seen[0].get(":protocol") == "websocket"
    for name in ("sec-websocket-key", "upgrade", "connection"):
        assert seen[0].all(name) == [], name


def test_an_upgrade_is_ignored_by_a_service_without_extended_connect(world, start2):
    gate, upstream = start2(connect=False, handler=ends_tunnels)
    with world.connect(gate) as connection:
        for _ in range(2):
            connection.send(upgrade(world))
            response = connection.response()
            assert response.status == 200 and response.body == b"plain /ws"
    assert all(s.get(":method") == "GET" for s in upstream.take())


def test_an_upgrade_that_the_service_refuses(world, start2):
    gate, _ = start2(handler=ends_tunnels, on_head=answers_tunnels)
    with world.connect(gate) as connection:
        connection.send(upgrade(world, path="/no"))
        response = connection.response()
        assert response.status == 403 and response.body == b"no"
        assert world.request(connection, "GET", "/next").body == b"plain /next"


def test_a_reset_of_the_service_is_cancel_to_the_client(world, start2):
    def resets(stream, data):
        stream.connection.call(lambda c: c.reset_stream(stream.number, 2))
    gate, _ = start2(handler=None, on_head=answers_tunnels, on_data=resets)
    with h2c.connect(world, gate) as client:
        tunnel = Tunnel(client, connect_fields(world))
        tunnel.send(b"x")
        assert tunnel.over() and tunnel.answer.reset == h2c.CANCEL
    with world.connect(gate) as connection:
        connection.send(upgrade(world))
        assert connection.response().status == 101
        connection.send(b"x")
        with pytest.raises(clients.Closed, match="cut"):
            connection._more()


def test_a_reset_of_the_client_is_a_reset_to_the_service(world, start2):
    gate, upstream = start2(handler=None, on_head=answers_tunnels, on_data=echo_data)
    with h2c.connect(world, gate) as client:
        tunnel = Tunnel(client, connect_fields(world))
        tunnel.send(b"x")
        assert tunnel.exactly(1) == b"x"
        client.send(h2c.rst(tunnel.number))
        [stream] = [s for c in upstream.connections for s in c.streams.values()]
        deadline = time.monotonic() + 5
        while stream.reset is None and time.monotonic() < deadline:
            time.sleep(0.02)
        assert stream.reset == h2c.CANCEL
