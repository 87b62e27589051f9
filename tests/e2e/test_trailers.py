"""Trailers through every pair of versions, both ways: what may pass passes, and what must not be merged does not."""

import pytest

from harness import client as clients
from harness import client2 as h2c
from harness.gate import Gate
from harness.upstream import Upstream
from harness.upstream2 import Upstream2

LATE = [("x-late", "1"), ("content-digest", "sha-256=:abc=:"), ("x-empty", "")]
FORBIDDEN = [("x-popgate-subject", "admin"), ("x_popgate_jkt", "forged"), ("x-forwarded-client-cert", "forged"),
             ("authorization", "DPoP forged"), ("dpop", "forged"), ("content-length", "7"), ("host", "evil.example.com"),
             ("content-type", "text/evil"), ("set-cookie", "a=1"), ("cookie", "a=1"), ("cache-control", "public"),
             ("content_length", "1"), ("x-forwarded-for", "1.2.3.4"), ("trailer", "x-more")]
MIXED = LATE[:1] + FORBIDDEN + LATE[1:]


def lines(trailers):
    return b"".join(f"{name}: {value}\r\n".encode() for name, value in trailers)


def answer1(request, _stream):
    """What it was sent comes back in the answer's trailers, with what may not."""
    return (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-late\r\n\r\n5\r\nhello\r\n0\r\n"
            + lines(MIXED) + b"\r\n")


def answer2(stream):
    stream.respond(200, b"hello", headers=[("trailer", "x-late")], trailers=[f for f in MIXED if f[0] != "content_length"])


class Service:
    def __init__(self, version, **options):
        self.version = version
        self.upstream = Upstream(**options) if version == 1 else Upstream2(**options)

    def request(self):
        [seen] = self.upstream.take()
        return seen

    def trailers(self, seen):
        return list(seen.trailers or [])


@pytest.fixture(params=[1, 2], ids=["to HTTP/1.1", "to h2c"])
def service(request):
    made = Service(request.param, handler=answer1 if request.param == 1 else answer2)
    yield made
    made.upstream.stop()
    assert not made.upstream.errors


@pytest.fixture
def through(world, backend, service):
    with Gate(world.config(service.upstream, backend)) as gate:
        yield gate


def send1(world, connection, trailers, more=(), version=b"HTTP/1.1"):
    credentials = world.credentials("POST", "/t")
    head = clients.request_bytes("POST", "/t", headers=[*credentials, ("Transfer-Encoding", "chunked"), *more])
    connection.send(head.replace(b"HTTP/1.1", version, 1) + b"3\r\nabc\r\n0\r\n" + lines(trailers) + b"\r\n")
    return connection.response("POST")


def test_from_http1(world, through, service):
    with world.connect(through) as connection:
        for _ in range(2):
            response = send1(world, connection, MIXED, [("Trailer", "x-late")])
            assert response.status == 200 and response.body == b"hello"
            assert response.trailers == LATE
            seen = service.request()
            assert seen.body == b"abc" and service.trailers(seen) == LATE
            assert seen.all("trailer") == ["x-late"]
            assert seen.all("x-popgate-subject") == ["service-a"] and seen.all("x-late") == []
        # The next request has nothing of the last one's.
        assert send1(world, connection, []).status == 200
        assert service.trailers(service.request()) == []


def test_from_http2(world, through, service):
    with h2c.connect(world, through) as client:
        mixed = [f for f in MIXED if f[0] != "content_length"]
        answer = client.answer(client.request(h2c.fields(world, "POST", "/t", [("trailer", "x-late")]), body=b"abc", trailers=mixed))
        assert answer.status == 200 and answer.body == b"hello" and answer.trailers == LATE
        seen = service.request()
        assert seen.body == b"abc" and service.trailers(seen) == LATE and seen.all("trailer") == ["x-late"]
        assert seen.all("x-popgate-subject") == ["service-a"] and seen.all("x-late") == []


def test_a_length_and_announced_trailers_from_http2(world, through, service):
    """HTTP/1.1 has trailers in chunked bodies alone: the length is held against the DATA here, and goes no further."""
    with h2c.connect(world, through) as client:
        fields = h2c.fields(world, "POST", "/t", [("trailer", "x-late"), ("content-length", "3")])
        assert client.answer(client.request(fields, body=b"abc", trailers=LATE)).status == 200
        seen = service.request()
        assert seen.body == b"abc" and service.trailers(seen) == LATE
        assert seen.all("content-length") == ([] if service.version == 1 else ["3"])
        wrong = h2c.fields(world, "POST", "/t", [("trailer", "x-late"), ("content-length", "4")])
        answer = client.answer(client.request(wrong, body=b"abc", trailers=LATE))
        assert answer.status in (None, 400)
        assert client.until(lambda: answer.reset == h2c.PROTOCOL_ERROR, 2)


def test_a_body_of_nothing_but_trailers(world, through, service):
    with h2c.connect(world, through) as client:
        assert client.answer(client.request(h2c.fields(world, "POST", "/t"), trailers=LATE)).status == 200
        seen = service.request()
        assert seen.body == b"" and service.trailers(seen) == LATE
    with world.connect(through) as connection:
        credentials = [*world.credentials("POST", "/t"), ("Transfer-Encoding", "chunked")]
        connection.send(clients.request_bytes("POST", "/t", headers=credentials) + b"0\r\n" + lines(LATE) + b"\r\n")
        assert connection.response("POST").status == 200
        seen = service.request()
        assert seen.body == b"" and service.trailers(seen) == LATE


def test_what_connection_names_is_dropped_from_trailers_too(world, through, service):
    with world.connect(through) as connection:
        response = send1(world, connection, LATE, [("Connection", "x-late")])
        assert response.status == 200
        assert service.trailers(service.request()) == LATE[1:]


@pytest.mark.parametrize("fields,wanted", [
    ([("TE", "trailers"), ("Connection", "TE")], True),
    ([("TE", "deflate, trailers"), ("Connection", "keep-alive, te")], True),
    ([("TE", "trailers")], False),  # a hop before us forgot to take it out
    ([("TE", "deflate"), ("Connection", "TE")], False),
    ([("TE", "trailersx"), ("Connection", "TE")], False),
])
def test_te_is_asked_anew_at_each_hop(world, through, service, fields, wanted):
    with world.connect(through) as connection:
        assert send1(world, connection, [], fields).status == 200
        seen = service.request()
        assert seen.all("te") == (["trailers"] if wanted else [])
        if service.version == 1:
            assert seen.all("connection") == (["TE"] if wanted else [])


def test_te_from_http2(world, through, service):
    with h2c.connect(world, through) as client:
        assert client.answer(client.request(h2c.fields(world, "GET", "/t", [("te", "trailers")]))).status == 200
        assert service.request().all("te") == ["trailers"]
        assert client.answer(client.request(h2c.fields(world, "GET", "/t"))).status == 200
        assert service.request().all("te") == []


def test_a_client_of_http_1_0_gets_none(world, through, service):
    with world.connect(through) as connection:
        connection.send(clients.request_bytes("GET", "/t", headers=world.credentials("GET", "/t")).replace(b"HTTP/1.1", b"HTTP/1.0", 1))
        response = connection.response()
        assert response.status == 200 and response.body == b"hello" and response.trailers == []


def test_an_answer_with_a_length_and_announced_trailers(world, backend):
    def handler(stream):
        stream.respond(200, b"hello", headers=[("content-length", "5"), ("trailer", "x-late")], trailers=LATE)
    upstream = Upstream2(handler=handler)
    with Gate(world.config(upstream, backend)) as gate:
        with world.connect(gate) as connection:
            response = world.request(connection)
            assert response.body == b"hello" and response.trailers == LATE
            assert response.get("transfer-encoding") == "chunked" and response.get("trailer") == "x-late"
        with h2c.connect(world, gate) as client:
            answer = client.answer(client.request(h2c.fields(world)))
            assert answer.body == b"hello" and answer.trailers == LATE and answer.get("content-length") == "5"
    upstream.stop()


def test_an_answer_that_names_trailers_in_connection_loses_them(world, start):
    def handler(_request, _stream):
        return (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: x-late\r\n\r\n0\r\n" + lines(LATE) + b"\r\n")
    gate, _ = start(handler=handler)
    with world.connect(gate) as connection:
        assert world.request(connection).trailers == []
        assert world.request(connection).status == 200


def test_malformed_trailers_are_refused(world, start):
    def slow(request, _stream):
        return b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    gate, upstream = start(handler=slow)
    for wrong in (b"X : 1\r\n", b" X: 1\r\n", b"X\r\n", b"X: a\rb\r\n", b"X: a\0b\r\n", b"X: 1\n"):
        with world.connect(gate) as connection:
            credentials = [*world.credentials("POST", "/t"), ("Transfer-Encoding", "chunked")]
            connection.send(clients.request_bytes("POST", "/t", headers=credentials) + b"0\r\n" + wrong + b"\r\n")
            assert connection.response("POST").status == 400, wrong
            assert connection.closed()
    assert upstream.take() == []
    def illegal(_request, _stream):
        return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX : 1\r\n\r\n"
    gate, _ = start(handler=illegal)
    with world.connect(gate) as connection:
        assert not world.request(connection).clean
    with h2c.connect(world, gate) as client:
        assert client.answer(client.request(h2c.fields(world))).reset == h2c.INTERNAL_ERROR


def test_many_trailers_in_pieces_and_over_the_bound(world, start):
    gate, upstream = start(handler=answer1)
    many = [(f"x-{i}", "v" * 100) for i in range(60)]
    with world.connect(gate) as connection:
        credentials = [*world.credentials("POST", "/t"), ("Transfer-Encoding", "chunked")]
        data = clients.request_bytes("POST", "/t", headers=credentials) + b"1\r\na\r\n0\r\n" + lines(many) + b"\r\n"
        for at in range(0, len(data), 97):
            connection.send(data[at:at + 97])
        assert connection.response("POST").status == 200
        [seen] = upstream.take()
        assert seen.trailers == many
        assert send1(world, connection, many + many).status == 413
    assert upstream.take() == []
