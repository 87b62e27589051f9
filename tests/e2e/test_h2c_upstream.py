"""A service that speaks HTTP/2 in clear: from HTTP/2 and HTTP/1.1 clients, and what it does wrong."""

import signal
import threading
import time

import pytest

from harness import client as clients
from harness import client2 as h2
from harness.gate import Gate
from harness.upstream import Broken, Upstream
from harness.upstream2 import Upstream2


@pytest.fixture
def begin(world, backend):
    started = []

    def start(upstream=None, raw=None, gate_options=None, changes=None, **options):
        upstream = upstream or Upstream2(**options)
        gate = Gate(world.config(upstream, backend, **(changes or {}))).start()
        started.append((gate, upstream))
        return gate, upstream

    yield start
    failures = []
    for gate, upstream in started:
        try:
            gate.stop()
        except AssertionError as error:
            failures.append(str(error))
        upstream.stop()
        failures += upstream.errors
    assert not failures, failures


def good(world, client, method="GET", path="/", extra=(), **options):
    return client.answer(client.request(h2.fields(world, method, path, extra), **options))


def test_http2_all_the_way(world, begin):
    gate, upstream = begin()
    with h2.connect(world, gate) as client:
        answer = good(world, client, "GET", "/orders?a=b", [("X-Kept".lower(), "1"), ("cookie", "a=1"), ("cookie", "b=2")])
        assert (answer.status, answer.body) == (200, b"hello /orders?a=b")
    seen = upstream.take()[0]
    assert seen.path == "/orders?a=b" and seen.get(":authority") == "orders.example.com"
    assert seen.get(":method") == "GET" and seen.get(":scheme") == "http" and seen.get("x-kept") == "1"
    assert seen.get("cookie") == "a=1; b=2" and not seen.all("host")
    assert not seen.all("authorization") and not seen.all("dpop")
    assert seen.get("x-popgate-jkt") == world.key.thumbprint
    assert "client-a" in seen.get("x-forwarded-client-cert") and seen.get("x-forwarded-for") == "127.0.0.1"


def test_http1_in_http2_out(world, begin):
    def echo(stream):
        stream.respond(200, stream.body, [("content-length", str(len(stream.body))), ("x-kind", "echo")])

    gate, upstream = begin(handler=echo)
    with world.connect(gate) as connection:
        for size in (0, 1, 70000):
            body = b"e" * size
            answer = world.request(connection, "POST", "/echo", body=body)
            assert answer.status == 200 and answer.body == body and answer.get("x-kind") == "echo"
        connection.send(clients.request_bytes("POST", "/chunked", headers=world.credentials("POST", "/chunked")
                                              + [("Transfer-Encoding", "chunked")]) + b"3\r\nabc\r\n0\r\n\r\n")
        assert connection.response().body == b"abc"
    seen = upstream.take()
    assert [len(s.body) for s in seen] == [0, 1, 70000, 3]
    assert not any(s.all("transfer-encoding") for s in seen) and seen[2].get("content-length") == "70000"


def test_empty_answers_are_framed_for_http1(world, begin):
    def nothing(stream):
        stream.respond(int(stream.path[1:]) if stream.path[1:] else 200)

    gate, _ = begin(handler=nothing)
    with world.connect(gate) as connection:
        for status in (200, 204, 304, 404, 200):
            answer = world.request(connection, "GET", f"/{status}")
            assert answer.status == status and answer.body == b""
        assert world.request(connection, "HEAD", "/200").status == 200
    with h2.connect(world, gate) as client:
        for status in (200, 204, 304):
            answer = good(world, client, "GET", f"/{status}")
            assert answer.status == status and answer.ended and len(answer.heads) == 1


def test_many_streams_share_a_connection(world, begin):
    gate, upstream = begin()
    with h2.connect(world, gate) as client:
        assert good(world, client).status == 200
        heads = [client.head(h2.fields(world, "GET", f"/{i}")) for i in range(90)]
        client.send(b"".join(data for _, data in heads))
        for i, (number, _) in enumerate(heads):
            assert client.answer(number).body == b"hello /%d" % i
    assert len(upstream.connections) == 1
    assert gate.metric("popgate_connections", side="upstream") == 1


def test_the_services_own_limit_is_kept(world, begin):
    release = threading.Event()

    def slow(stream):
        release.wait(10)
        stream.respond(200, b"ok")

    gate, upstream = begin(handler=slow, streams_max=4)
    with h2.connect(world, gate) as client:
        release.set()
        assert good(world, client).status == 200
        release.clear()
        heads = [client.head(h2.fields(world, "GET", f"/{i}")) for i in range(10)]
        client.send(b"".join(data for _, data in heads))
        time.sleep(0.3)
        release.set()
        for number, _ in heads:
            assert client.answer(number).status == 200
    assert len(upstream.connections) == 3


def test_trailers_both_ways(world, begin):
    def grpc(stream):
        stream.respond(200, b"answer", [("content-type", "application/grpc")],
                       [("grpc-status", "0"), ("grpc-message", "fine"), ("x-popgate-subject", "forged")])

    gate, upstream = begin(handler=grpc)
    with h2.connect(world, gate) as client:
        extra = [("content-type", "application/grpc"), ("te", "trailers")]
        answer = good(world, client, "POST", "/p.S/M", extra, body=b"ask",
                      trailers=[("x-late", "1"), ("x-popgate-subject", "admin"), ("authorization", "x")])
        assert answer.body == b"answer"
        assert answer.trailers == [("grpc-status", "0"), ("grpc-message", "fine")]
    seen = upstream.take()[0]
    assert seen.body == b"ask" and seen.trailers == [("x-late", "1")] and seen.get("te") == "trailers"
    assert seen.get("x-popgate-subject") != "admin"


def test_trailers_only_and_trailers_without_body(world, begin):
    def kinds(stream):
        if stream.path == "/only":
            stream.respond(200, headers=[("content-type", "application/grpc"), ("grpc-status", "5")])
        else:
            stream.respond(200, headers=[("content-type", "application/grpc")], trailers=[("grpc-status", "6")])

    gate, _ = begin(handler=kinds)
    with h2.connect(world, gate) as client:
        only = good(world, client, "POST", "/only", body=b"x")
        assert only.get("grpc-status") == "5" and only.trailers is None and only.ended
        late = good(world, client, "POST", "/late", body=b"x")
        assert late.trailers == [("grpc-status", "6")] and late.body == b""
    with world.connect(gate) as connection:  # HTTP/1.1 has no place for them
        answer = world.request(connection, "POST", "/late", body=b"x")
        assert answer.status == 200 and answer.body == b"" and not answer.all("grpc-status")


def test_streaming_in_both_directions(world, begin):
    """Every message comes back before the next one is sent: nothing waits for an end."""
    def first(stream):
        stream.respond(200, headers=[("content-type", "application/grpc")], end=False)

    gate, _ = begin(handler=lambda s: s.send(b"", end=True), on_head=first, on_data=lambda s, d: s.send(d.upper()))
    with h2.connect(world, gate) as client:
        number, data = client.head(h2.fields(world, "POST", "/p.S/Chat", [("content-type", "application/grpc")]), end=False)
        client.send(data)
        answer = client.answers[number]
        assert client.until(lambda: answer.heads)
        for i in range(20):
            client.send(h2.frame(h2.DATA, 0, number, b"m%02d" % i))
            assert client.until(lambda: len(answer.body) == 3 * (i + 1)), i
        client.send(h2.frame(h2.DATA, h2.END_STREAM, number, b"."))
        assert client.answer(number).body == b"".join(b"M%02d" % i for i in range(20)) + b"."


def test_large_bodies_and_back_pressure(world, begin):
    big = bytes(range(256)) * 8192  # 2 MiB

    gate, upstream = begin(handler=lambda s: s.respond(200, big))
    with h2.connect(world, gate, initial=[(h2.INITIAL_WINDOW_SIZE, 20000)]) as client:
        assert good(world, client).body == big
    with world.connect(gate) as connection:
        answer = world.request(connection, "POST", "/", body=big)
        assert answer.body == big
    assert upstream.take()[-1].body == big


def test_a_client_that_is_slow_pauses_the_service(world, begin):
    sent = []

    def flood(stream):
        stream.respond(200, end=False)
        for _ in range(400):
            stream.send(b"f" * 16384)
            sent.append(1)
        stream.send(b"", end=True)

    gate, _ = begin(handler=flood)
    with h2.connect(world, gate, auto_window=False) as client:
        number = client.request(h2.fields(world))
        client.until(lambda: len(client.answers[number].body) >= 65535)
        time.sleep(0.5)
        held = len(sent)
        assert held < 60, held
        client.auto_window = True
        client.send(h2.window_update(0, 7_000_000) + h2.window_update(number, 7_000_000))
        assert len(client.answer(number, 20).body) == 400 * 16384


def test_a_unix_socket(world, begin, tmp_path):
    gate, _ = begin(path=tmp_path / "app.sock")
    with h2.connect(world, gate) as client:
        assert good(world, client).body == b"hello /"


# ---- what goes wrong ----

def test_no_service(world, begin):
    gate, upstream = begin()
    upstream.stop()
    with h2.connect(world, gate) as client:
        assert good(world, client).status == 502
        grpc = good(world, client, "POST", "/p.S/M", [("content-type", "application/grpc")], body=b"x")
        assert (grpc.status, grpc.get("grpc-status")) == (200, "14")
    assert gate.metric("popgate_upstream_errors_total", kind="refused") == 2


def test_a_service_that_speaks_http1(world, begin):
    gate, _ = begin(upstream=H1AsH2())
    with h2.connect(world, gate) as client:
        assert good(world, client).status == 502


class H1AsH2(Upstream):
    def __init__(self):
        super().__init__(raw=lambda s: s.socket.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
        self.url = self.url.replace("http://", "h2c://")


def test_the_service_dies_in_the_middle(world, begin):
    def half(stream):
        stream.respond(200, b"half", end=False)
        time.sleep(0.2)
        stream.connection.socket.shutdown(2)

    gate, upstream = begin(handler=half)
    with h2.connect(world, gate) as client:
        answer = good(world, client)
        assert answer.body == b"half" and answer.reset == h2.INTERNAL_ERROR and not answer.ended
        upstream.handler = lambda s: s.respond(200, b"again")
        assert good(world, client).body == b"again"
    with world.connect(gate) as connection:
        upstream.handler = half
        answer = world.request(connection)
        assert answer.status == 200 and not answer.clean


def test_a_refused_stream_is_tried_again(world, begin):
    tries = []

    def refuse(stream):
        tries.append(stream)
        if len(tries) == 1:
            stream.connection.call(lambda c: c.reset_stream(stream.number, 7))
        else:
            stream.respond(200, b"second")

    gate, _ = begin(handler=refuse)
    with h2.connect(world, gate) as client:
        assert good(world, client).body == b"second"
    assert len(tries) == 2 and gate.metric("popgate_upstream_errors_total") == 1


def test_a_reset_is_a_bad_gateway(world, begin):
    gate, _ = begin(handler=lambda s: s.connection.call(lambda c: c.reset_stream(s.number, 2)))
    with h2.connect(world, gate) as client:
        assert good(world, client).status == 502


def test_a_goaway_moves_to_a_new_connection(world, begin):
    gate, upstream = begin()
    with h2.connect(world, gate) as client:
        assert good(world, client).status == 200
        upstream.connections[0].socket.sendall(h2.frame(h2.GOAWAY, 0, 0, b"\0\0\0\1\0\0\0\0"))
        time.sleep(0.1)
        assert good(world, client).status == 200
    assert len(upstream.connections) == 2


@pytest.mark.parametrize("length,body", [("3", b"abcd"), ("5", b"abcd")])
def test_a_service_that_lies_about_its_length(world, begin, length, body):
    gate, upstream = begin(handler=lambda s: lie(s, length, body))
    with h2.connect(world, gate) as client:
        answer = good(world, client)
        assert not answer.ended or answer.status == 502, answer
        assert client.alive()


def lie(stream, length, body):
    """python3-h2 would not send it."""
    connection = stream.connection
    with connection.lock:
        connection.state.send_headers(stream.number, [(":status", "200"), ("content-length", length)])
        data = connection.state.data_to_send()
        connection.socket.sendall(data + h2.frame(h2.DATA, h2.END_STREAM, stream.number, body))


def test_too_many_interim_answers(world, begin):
    def interims(stream):
        for _ in range(40):
            stream.connection.call(lambda c: c.send_headers(stream.number, [(":status", "103"), ("link", "</a>")]))
        stream.respond(200, b"late")

    gate, _ = begin(handler=interims)
    with h2.connect(world, gate) as client:
        answer = good(world, client)
        assert answer.status == 502 or answer.reset is not None


def test_a_silent_service_is_a_timeout(world, begin):
    gate, upstream = begin(handler=lambda s: None, changes={"timeouts": {"upstream_head": "500ms"}})
    with h2.connect(world, gate) as client:
        assert good(world, client).status == 504
        assert client.alive()
    seen = upstream.take()[0]
    deadline = time.monotonic() + 5
    while seen.reset is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert seen.reset == h2.CANCEL


def test_grpc_timeout_is_honoured(world, begin):
    gate, upstream = begin(handler=lambda s: None)
    with h2.connect(world, gate) as client:
        begun = time.monotonic()
        extra = [("content-type", "application/grpc"), ("te", "trailers"), ("grpc-timeout", "300m")]
        answer = good(world, client, "POST", "/p.S/M", extra, body=b"x")
        assert (answer.status, answer.get("grpc-status")) == (200, "4") and 0.25 < time.monotonic() - begun < 3
    seen = upstream.take()[0]
    assert seen.get("grpc-timeout") == "300m"
    deadline = time.monotonic() + 5
    while seen.reset is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert seen.reset == h2.CANCEL


def test_a_client_that_cancels_cancels_the_stream(world, begin):
    seen = threading.Event()
    gate, upstream = begin(handler=lambda s: seen.set())
    with h2.connect(world, gate) as client:
        number = client.request(h2.fields(world))
        assert seen.wait(5)
        client.send(h2.rst(number))
        stream = upstream.take()[0]
        deadline = time.monotonic() + 5
        while stream.reset is None and time.monotonic() < deadline:
            time.sleep(0.02)
        assert stream.reset == h2.CANCEL
        upstream.handler = lambda s: s.respond(200, b"on")
        assert good(world, client).body == b"on"
    assert len(upstream.connections) == 1


def test_a_silent_connection_is_asked_and_given_up(world, begin):
    """A peer that is gone without a word: PINGs find it."""
    gate, _ = begin(upstream=Mute(), changes={"timeouts": {"upstream_head": "60s"}})
    with h2.connect(world, gate) as client:
        begun = time.monotonic()
        assert client.answer(client.request(h2.fields(world)), 20).status == 502
        assert 8 < time.monotonic() - begun < 16
    assert gate.wait_log(reason="the service does not answer a PING")


class Mute(Upstream):
    def __init__(self):
        super().__init__(raw=lambda s: (s.socket.sendall(h2.settings()), time.sleep(30)))
        self.url = self.url.replace("http://", "h2c://")


def test_a_drain_waits_for_streams(world, begin):
    release = threading.Event()

    def slow(stream):
        release.wait(10)
        stream.respond(200, b"done")

    gate, _ = begin(handler=slow)
    with h2.connect(world, gate) as client:
        number = client.request(h2.fields(world))
        assert client.alive()
        gate.signal(15)
        time.sleep(0.3)
        release.set()
        assert client.answer(number).body == b"done"
    gate.process.wait(10)


def test_an_empty_body_that_h2c_refused_is_whole_in_http1(world, backend):
    """The service refuses the stream, and a reload has made it one of HTTP/1.1: what is written anew needs its last chunk, or the
    next request on that connection would be read as this one's body."""
    reloaded, behind = threading.Event(), []

    def refuses(stream):
        assert reloaded.wait(10)
        stream.connection.call(lambda c: c.reset_stream(stream.number, h2.REFUSED_STREAM))

    def hasty(stream):
        for _ in range(2):
            stream.until(b"\r\n\r\n")
            stream.socket.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            time.sleep(0.3)
            behind.append(stream.data)
        raise Broken("seen enough")

    before, after = Upstream2(handler=refuses), Upstream(raw=hasty)
    with Gate(world.config(before, backend)) as gate:
        with h2.connect(world, gate) as client:
            number, data = client.head(h2.fields(world, "POST", "/empty"), end=False)
            client.send(data + h2.frame(h2.DATA, h2.END_STREAM, number))
            deadline = time.monotonic() + 5
            while not before.requests and time.monotonic() < deadline:
                time.sleep(0.02)
            gate.config["upstream"] = after.url
            gate.write_config()
            gate.signal(signal.SIGHUP)
            while not gate.metric("popgate_config_reloads_total", result="ok") and time.monotonic() < deadline:
                time.sleep(0.02)
            reloaded.set()
            assert client.answer(number).status == 200
            assert good(world, client, "GET", "/next").status == 200
    assert behind[0] == b"0\r\n\r\n", "whatever follows is another request"
    before.stop()
    after.stop()
