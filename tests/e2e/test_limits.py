"""Every named limit and timeout, reached on purpose: the answer, the counter, and that the next connection works."""

import threading
import time

from harness import client as clients
from harness import client2 as h2
from test_websocket import echo, upgrade
from test_websocket_h2 import Tunnel, connect_fields


def alive(world, gate):
    with world.connect(gate) as connection:
        return world.request(connection).status == 200


def test_head_bytes(world, start):
    gate, upstream = start(limits={"head_bytes": "8KiB"})
    with world.connect(gate) as connection:
        assert world.request(connection, headers=world.credentials() + [("X-Pad", "a" * 4000)]).status == 200
        connection.send(clients.request_bytes(headers=world.credentials() + [("X-Pad", "a" * 8000)]))
        assert connection.response().status == 431
        assert connection.closed()
    assert gate.metric("popgate_limits_hit_total", limit="head_bytes") == 1
    assert len(upstream.take()) == 1 and alive(world, gate)


def test_a_target_longer_than_a_head_is_414(world, start):
    gate, upstream = start(limits={"head_bytes": "8KiB"})
    with world.connect(gate) as connection:
        connection.send(clients.request_bytes("GET", "/" + "a" * 9000))
        assert connection.response().status == 414
    assert upstream.take() == [] and alive(world, gate)


def test_headers(world, start):
    gate, upstream = start(limits={"headers": 20})
    with world.connect(gate) as connection:
        few = [(f"X-{i}", "1") for i in range(17)]
        assert world.request(connection, headers=world.credentials() + few).status == 200
        connection.send(clients.request_bytes(headers=world.credentials() + few + [("X-One-More", "1")]))
        assert connection.response().status == 431
    assert gate.metric("popgate_limits_hit_total", limit="headers") == 1
    assert len(upstream.take()) == 1 and alive(world, gate)


def test_proof_token_and_jti_bytes(world, start):
    gate, upstream = start(limits={"proof_bytes": "2KiB", "token_bytes": "2KiB", "jti_bytes": 64})
    cases = [
        (dict(payload={"jti": "j" * 65}), "proof_jti"),
        (dict(payload={"pad": "p" * 2048}), "proof_too_large"),
        (dict(token=world.token(payload={"pad": "p" * 2048})), "token_too_large"),
    ]
    with world.connect(gate) as connection:
        assert world.request(connection, payload={"jti": "j" * 64}).status == 200
        for changes, check in cases:
            assert world.request(connection, **changes).status == 401
            assert gate.metric("popgate_denials_total", check=check) == 1, check
    assert len(upstream.take()) == 1 and alive(world, gate)


def test_a_head_that_trickles_is_408_all_the_same(world, start):
    gate, _ = start(timeouts={"head": "500ms"})
    with world.connect(gate) as connection:
        text = clients.request_bytes(headers=world.credentials())
        ended = None
        for byte in text[:60]:
            try:
                connection.send(bytes([byte]))
            except OSError as error:
                ended = error
                break
            time.sleep(0.02)
        assert ended or connection.response().status == 408


def test_a_full_replay_cache_is_503_and_never_a_silent_accept(world, start):
    gate, upstream = start(replay={"capacity": 16})
    accepted = refused = 0
    with world.connect(gate) as connection:
        for i in range(400):
            response = world.request(connection, "GET", f"/{i}")
            if response.status == 200:
                accepted += 1
            else:
                assert response.status in (503, 429) and int(response.get("retry-after")) > 0
                refused += 1
    assert accepted >= 12 and refused > 0, "one client has three quarters to itself, then its share"
    assert len(upstream.take()) == accepted
    assert gate.metric("popgate_denials_total", check="replay_full") + \
        gate.metric("popgate_denials_total", check="replay_share") == refused


def test_many_pipelined_requests_are_answered_in_order(world, start):
    gate, upstream = start(limits={"pipeline": 4})
    count = 40
    with world.connect(gate) as connection:
        connection.send(b"".join(clients.request_bytes("GET", f"/{i}", headers=world.credentials("GET", f"/{i}"))
                                 for i in range(count)))
        answers = [connection.response() for _ in range(count)]
    assert [a.body for a in answers] == [b"hello /%d" % i for i in range(count)]
    assert [seen.target for seen in upstream.take()] == [b"/%d" % i for i in range(count)]


def test_pipelined_refusals_keep_their_place(world, gate, upstream):
    good = [world.credentials("GET", f"/{i}") for i in range(3)]
    requests = [(f"/{i}", good[i]) for i in range(3)] + [("/x", []), ("/0", good[0]), ("/3", None)]
    requests[-1] = ("/3", world.credentials("GET", "/3"))
    with world.connect(gate) as connection:
        connection.send(b"".join(clients.request_bytes("GET", path, headers=headers)
                                 for path, headers in requests))
        statuses = [connection.response().status for _ in requests]
    assert statuses == [200, 200, 200, 401, 401, 200]
    assert [seen.target for seen in upstream.take()] == [b"/0", b"/1", b"/2", b"/3"]


def test_header_bytes(world, start):
    gate, upstream = start(limits={"header_bytes": "4KiB"})
    most = 4096 - len("X-Pad: ")
    with world.connect(gate) as connection:
        assert world.request(connection, headers=world.credentials() + [("X-Pad", "a" * most)]).status == 200
        connection.send(clients.request_bytes(headers=world.credentials() + [("X-Pad", "a" * (most + 1))]))
        assert connection.response().status == 431
        assert connection.closed()
    with world.connect(gate) as connection:
        # Refused before its end has come.
        connection.send(b"GET / HTTP/1.1\r\nHost: orders.example.com\r\nX-Pad: " + b"a" * 5000)
        assert connection.response().status == 431
    with h2.connect(world, gate) as client:
        assert client.answer(client.request(h2.fields(world, extra=[("x-pad", "a" * most)]))).status == 200
        assert client.answer(client.request(h2.fields(world, extra=[("x-pad", "a" * (most + 1))]))).status == 431
        assert client.answer(client.request(h2.fields(world))).status == 200
    assert gate.metric("popgate_limits_hit_total", limit="header_bytes") == 3
    assert gate.metric("popgate_limits_hit_total", limit="head_bytes") == 0
    assert len(upstream.take()) == 3 and alive(world, gate)


def test_requests_per_connection(world, start):
    gate, upstream = start(limits={"requests_per_connection": 3})
    with world.connect(gate) as connection:
        for i in range(3):
            response = world.request(connection, "GET", f"/{i}")
            assert response.status == 200 and response.get("connection") == ("close" if i == 2 else None)
        assert connection.closed()
    assert gate.metric("popgate_limits_hit_total", limit="requests_per_connection") == 1
    with world.connect(gate) as connection:  # pipelined: what is behind the last one is never begun
        connection.send(b"".join(clients.request_bytes("GET", f"/p{i}", headers=world.credentials("GET", f"/p{i}")) for i in range(5)))
        assert [connection.response().status for _ in range(3)] == [200] * 3
        assert connection.closed()
    assert [seen.target for seen in upstream.take()] == [b"/0", b"/1", b"/2", b"/p0", b"/p1", b"/p2"]
    assert alive(world, gate)


def test_requests_per_connection_of_http2(world, start):
    """The last GOAWAY names the last stream that is served; those behind it can be tried again, and are not served."""
    gate, upstream = start(limits={"requests_per_connection": 3})
    with h2.connect(world, gate) as client:
        heads = [client.head(h2.fields(world, "GET", f"/{i}")) for i in range(60)]
        client.send(b"".join(data for _, data in heads))
        for number, _ in heads[:3]:
            answer = client.answer(number)
            assert answer.status == 200 and answer.reset is None
        assert client.dies() == h2.NO_ERROR, "and no one was too many"
        assert client.goaway == (heads[2][0], h2.NO_ERROR)
        assert all(client.answers[number].reset in (None, h2.REFUSED_STREAM) and not client.answers[number].heads
                   for number, _ in heads[3:])
    assert sorted(seen.target for seen in upstream.take()) == [b"/0", b"/1", b"/2"]
    assert gate.metric("popgate_limits_hit_total", limit="requests_per_connection") == 1


def test_streams_are_counted(world, start):
    release = threading.Event()

    def slow(*_):
        release.wait(10)
        return b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    gate, _ = start(handler=slow, limits={"streams": 2})
    with h2.connect(world, gate) as client:
        heads = [client.head(h2.fields(world, "GET", f"/{i}")) for i in range(4)]
        client.send(b"".join(data for _, data in heads))
        assert client.answer(heads[3][0]).reset == h2.REFUSED_STREAM
        assert gate.metric("popgate_limits_hit_total", limit="streams") == 2
        release.set()
        assert client.answer(heads[0][0]).status == 200
    with h2.connect(world, gate) as client:
        client.until(lambda: client.acks)
        release.clear()
        assert client.alive()
        client.send(b"".join(client.head(h2.fields(world, "GET", f"/{i}"))[1] for i in range(3)))
        client.dies()
        release.set()
    assert gate.metric("popgate_limits_hit_total", limit="streams") == 3


def dripping(request, stream):
    """An answer that never stands still, and takes three seconds."""
    if request.target == b"/quick":
        return b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    if request.target == b"/silent":
        time.sleep(3)
        return b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    try:
        stream.socket.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n")
        for _ in range(30):
            stream.socket.sendall(b"d")
            time.sleep(0.1)
    except OSError:
        return None
    return b""


def test_total(world, start):
    gate, _ = start(handler=dripping, timeouts={"total": "800ms"})
    with world.connect(gate) as connection:
        assert world.request(connection, "GET", "/quick").status == 200
        assert world.request(connection, "GET", "/silent").status == 504
        response = world.request(connection, "GET", "/drips")
        assert response.status == 200 and not response.clean, "a cut"
    with world.connect(gate) as connection:
        connection.send(clients.request_bytes("POST", "/body", headers=world.credentials("POST", "/body")
                                              + [("Content-Length", "30")]))
        for _ in range(8):
            connection.send(b"u")
            time.sleep(0.12)
        assert connection.response().status == 408
    with h2.connect(world, gate) as client:
        assert client.answer(client.request(h2.fields(world, "GET", "/silent"))).status == 504
        drips = client.answer(client.request(h2.fields(world, "GET", "/drips")))
        assert drips.status == 200 and drips.reset == h2.INTERNAL_ERROR
        assert client.answer(client.request(h2.fields(world, "GET", "/quick"))).status == 200
    assert gate.metric("popgate_limits_hit_total", limit="total") == 5
    assert alive_at(world, gate, "/quick")


def alive_at(world, gate, path):
    with world.connect(gate) as connection:
        return world.request(connection, "GET", path).status == 200


def test_total_leaves_tunnels_alone(world, start):
    gate, _ = start(handler=echo, timeouts={"total": "500ms"})
    with world.connect(gate) as connection:
        connection.send(upgrade(world))
        assert connection.response().status == 101
        time.sleep(1)
        connection.send(b"still here")
        assert connection._exactly(10) == b"still here"
    assert gate.metric("popgate_limits_hit_total", limit="total") == 0


def test_stream_idle(world, start):
    gate, _ = start(handler=dripping, timeouts={"stream_idle": "700ms"})
    grpc = [("content-type", "application/grpc"), ("te", "trailers")]
    with h2.connect(world, gate) as client:
        drips = client.answer(client.request(h2.fields(world, "GET", "/drips")))
        assert drips.body == b"d" * 30 and drips.reset is None, "it was never idle"
        assert client.answer(client.request(h2.fields(world, "GET", "/silent"))).status == 504
        number, data = client.head(h2.fields(world, "POST", "/silent", grpc), end=False)
        client.send(data)
        answer = client.answer(number)
        assert answer.status == 200 and answer.get("grpc-status") == "14", "gRPC too"
        assert client.answer(client.request(h2.fields(world, "GET", "/quick"))).status == 200
    assert gate.metric("popgate_limits_hit_total", limit="stream_idle") == 2


def test_stream_idle_of_tunnels(world, start):
    gate, _ = start(handler=echo, timeouts={"stream_idle": "600ms", "idle": "60s"})
    with world.connect(gate) as connection:
        connection.send(upgrade(world))
        assert connection.response().status == 101
        assert connection.closed(3)
    with h2.connect(world, gate) as client:
        tunnel = Tunnel(client, connect_fields(world))
        assert tunnel.over(3) and tunnel.answer.reset == h2.CANCEL
        assert client.alive()
    assert gate.metric("popgate_limits_hit_total", limit="stream_idle") == 2
    assert gate.metric("popgate_limits_hit_total", limit="idle") == 0
