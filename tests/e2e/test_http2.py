"""HTTP/2 downstream: requests and answers translated without loss, and frames as RFC 9113 says."""

import threading
import time

import pytest

from harness import client as clients
from harness import client2 as h2


@pytest.fixture
def client(world, gate):
    with h2.connect(world, gate) as connection:
        yield connection


def good(world, client, method="GET", path="/", **options):
    return client.answer(client.request(h2.fields(world, method, path), **options))


# ---- requests ----

def test_a_good_request_and_a_replay(world, gate, client, upstream):
    fields = h2.fields(world, "GET", "/orders?a=b")
    first = client.answer(client.request(fields))
    assert first.status == 200 and first.body == b"hello /orders?a=b" and first.reset is None
    second = client.answer(client.request(fields))
    assert second.status == 401 and "invalid_dpop_proof" in second.get("www-authenticate")
    seen = upstream.take()
    assert len(seen) == 1 and seen[0].target == b"/orders?a=b" and seen[0].get("host") == "orders.example.com"
    assert not seen[0].all("authorization") and not seen[0].all("dpop")
    assert seen[0].get("x-popgate-jkt") == world.key.thumbprint


def test_without_credentials(client):
    answer = client.answer(client.request(h2.pseudo()))
    assert answer.status == 401
    assert answer.get("www-authenticate") == 'DPoP algs="ES256 EdDSA Ed25519"'


def test_a_connection_that_rested_goes_on_where_it_was(world, gate, client):
    """After a second without a request an idle connection gives memory back (h2_session_rest): tables and windows are as before."""
    token = world.token()
    for i in range(3):
        fields = h2.fields(world, "POST", f"/{i}", token=token)  # the token comes from HPACK's table the second time
        assert client.answer(client.request(fields, body=b"r" * 30000)).body == b"hello /%d" % i
        time.sleep(1.3)
        if i == 1:
            assert client.alive()
            time.sleep(1.2)


def test_both_protocols_on_one_port(world, gate):
    for offered, chosen in ((("h2", "http/1.1"), "h2"), (("http/1.1", "h2"), "h2"), (("http/1.1",), "http/1.1"),
                            (None, None)):
        tls = clients.context(world.authority, world.client, alpn=offered)
        with clients.Connection(gate.port, tls) as connection:
            assert connection.socket.selected_alpn_protocol() == chosen


def test_many_streams_are_one_batch(world, start):
    gate, upstream = start()
    with h2.connect(world, gate) as client:
        assert good(world, client).status == 200
        before = gate.metric("popgate_verify_batch_size_count"), gate.metric("popgate_verify_batch_size_sum")
        heads = [client.head(h2.fields(world, "GET", f"/{i}")) for i in range(32)]
        client.send(b"".join(data for _, data in heads))
        for i, (number, _) in enumerate(heads):
            answer = client.answer(number)
            assert answer.status == 200 and answer.body == b"hello /%d" % i
        batches = gate.metric("popgate_verify_batch_size_count") - before[0]
        proofs = gate.metric("popgate_verify_batch_size_sum") - before[1]
    assert proofs >= 32 and batches <= 8, (proofs, batches)
    assert {seen.target for seen in upstream.take()} == {b"/"} | {b"/%d" % i for i in range(32)}


def test_bodies_both_ways(world, start):
    def echo(request, _stream):
        return b"HTTP/1.1 200 OK\r\nX-Kind: Echo\r\nContent-Length: %d\r\n\r\n%s" % (len(request.body), request.body)

    gate, upstream = start(handler=echo)
    with h2.connect(world, gate) as client:
        for size in (0, 1, 16384, 60000):
            body = bytes(i * 7 & 255 for i in range(size))
            answer = good(world, client, "POST", "/echo", body=body)
            assert answer.status == 200 and answer.body == body and answer.get("x-kind") == "Echo"
            assert answer.get("content-length") == str(size)
        with_length = h2.fields(world, "POST", "/echo", [("content-length", "5")])
        assert client.answer(client.request(with_length, body=b"12345")).body == b"12345"
    seen = upstream.take()
    assert [len(s.body) for s in seen] == [0, 1, 16384, 60000, 5]
    assert seen[1].get("transfer-encoding") == "chunked" and seen[4].get("content-length") == "5"


def test_a_large_upload_moves_the_windows(world, start):
    def count(request, _stream):
        return b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n%08d" % len(request.body)

    gate, _ = start(handler=count)
    total = 3_000_000
    with h2.connect(world, gate) as client:
        number, data = client.head(h2.fields(world, "POST", "/"), end=False)
        client.send(data)
        assert client.until(lambda: client.windows.get(0, 0) > 0)
        sent = 0
        while sent < total:
            room = min(65535 + client.windows.get(number, 0), 65535 + client.windows.get(0, 0)) - sent
            if room <= 0:
                client.step()
                continue
            size = min(room, 16384, total - sent)
            sent += size
            client.send(h2.frame(h2.DATA, h2.END_STREAM if sent == total else 0, number, b"u" * size))
        assert client.answer(number).body == b"%08d" % total


def test_answers_in_every_framing(world, start):
    answers = {
        b"/length": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\n\r\nhello",
        b"/chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
        b"/204": b"HTTP/1.1 204 No Content\r\n\r\n",
        b"/304": b"HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nContent-Length: 5\r\n\r\n",
        b"/early": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"/empty": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    }

    def handler(request, stream):
        if request.target == b"/close":
            stream.socket.sendall(b"HTTP/1.1 200 OK\r\n\r\nhello")
            return None
        return answers[request.target]

    gate, _ = start(handler=handler)
    with h2.connect(world, gate) as client:
        for path in ("/length", "/chunked", "/close"):
            answer = good(world, client, "GET", path)
            assert (answer.status, answer.body, answer.reset) == (200, b"hello", None), path
            for name in ("connection", "keep-alive", "transfer-encoding"):
                assert not answer.all(name)
        assert good(world, client, "GET", "/204").status == 204
        answer = good(world, client, "GET", "/304")
        assert (answer.status, answer.body, answer.get("content-length")) == (304, b"", "5")
        assert good(world, client, "GET", "/empty").ended
        early = good(world, client, "GET", "/early")
        assert [dict(head)[":status"] for head in early.heads] == ["103", "200"] and early.body == b"hello"
        head = good(world, client, "HEAD", "/length")
        assert (head.status, head.body, head.get("content-length")) == (200, b"", "5")


def test_expect_continue(world, gate, client):
    number, data = client.head(h2.fields(world, "POST", "/", [("expect", "100-continue"), ("content-length", "3")]),
                               end=False)
    client.send(data)
    answer = client.answers[number]
    assert client.until(lambda: answer.heads) and answer.status == 100
    client.send(h2.frame(h2.DATA, h2.END_STREAM, number, b"abc"))
    assert client.answer(number).status == 200


def test_an_upload_without_a_length_ends_with_its_token_before_the_answer_begins(world, client, upstream):
    expires = int(time.time()) + 3
    fields = h2.fields(world, "POST", "/up", token=world.token(payload={"exp": expires}))
    number, data = client.head(fields, end=False)
    client.send(data)
    answer = client.answers[number]
    while not answer.heads and time.time() < expires + 2:
        client.send(h2.frame(h2.DATA, 0, number, b"x"))
        client.until(lambda: answer.heads, 0.2)
    assert client.answer(number).status == 401 and 'error="invalid_token"' in answer.get("www-authenticate")
    assert time.time() > expires - 0.1
    assert client.answer(client.request(h2.fields(world, "GET", "/next"))).status == 200, "the connection goes on"
    assert [seen.target for seen in upstream.take()] == [b"/next"]


def test_cookie_crumbs_are_one_field(world, client, upstream):
    extra = [("cookie", "a=1"), ("x-a", "1"), ("cookie", "b=2"), ("cookie", "c=3"), ("x-b", "2")]
    assert client.answer(client.request(h2.fields(world, "GET", "/", extra))).status == 200
    seen = upstream.take()[0]
    assert seen.all("cookie") == ["a=1; b=2; c=3"] and seen.get("x-a") == "1" and seen.get("x-b") == "2"


def test_cookie_crumbs_of_a_full_head_with_host_alone(world, client):
    """What is joined stays within the head's memory: the sanitizer's to see."""
    host = ".".join(["a" * 60] * 4)
    crumbs = [("cookie", "c" * 20), ("cookie", "d" * 20)]
    for room in range(0, 300, 20):
        size = 8192 - len("GET") - len("https") - len("host: \r\n") - len(host) - 2 * 30 - room
        fields = [(":method", "GET"), (":scheme", "https"), (":path", "/" + "p" * (size - 1)), ("host", host)]
        assert client.answer(client.request(fields + crumbs)).status == 421
    assert client.alive()


def test_our_headers_are_stripped(world, client, upstream):
    extra = [("x-popgate-subject", "admin"), ("x_popgate_subject", "admin"), ("x-forwarded-client-cert", "x")]
    assert client.answer(client.request(h2.fields(world, "GET", "/", extra))).status == 200
    seen = upstream.take()[0]
    assert "admin" not in str(seen.headers) and not seen.all("x_popgate_subject")
    assert "client-a" in seen.get("x-forwarded-client-cert")


def test_request_trailers_are_not_merged(world, client, upstream):
    trailers = [("x-popgate-subject", "admin"), ("x-late", "1")]
    assert good(world, client, "POST", "/", body=b"abc", trailers=trailers).status == 200
    seen = upstream.take()[0]
    assert seen.body == b"abc" and not seen.all("x-late") and not any("admin" in v for v in seen.all("x-popgate-subject"))


def test_host_without_authority(world, client, upstream):
    fields = [f for f in h2.fields(world) if f[0] != ":authority"] + [("host", "orders.example.com")]
    assert client.answer(client.request(fields)).status == 200
    assert upstream.take()[0].all("host") == ["orders.example.com"]


def test_a_default_port_is_the_same_authority(world, client, upstream):
    fields = [(k, "ORDERS.example.com:443") if k == ":authority" else (k, v) for k, v in h2.fields(world)]
    assert client.answer(client.request(fields + [("host", "orders.EXAMPLE.com")])).status == 200


def test_another_origin_is_misdirected_and_the_connection_goes_on(world, client):
    fields = [(k, "other.example.com") if k == ":authority" else (k, v) for k, v in h2.fields(world)]
    assert client.answer(client.request(fields)).status == 421
    assert good(world, client).status == 200


# ---- what is malformed: a stream error, and nothing is forwarded ----

def pseudo_without(name):
    return [f for f in h2.pseudo() if f[0] != name]


MALFORMED = {
    "upper-case name": h2.pseudo() + [("X-Upper", "1")],
    "one upper-case letter": h2.pseudo() + [("x-uppeR", "1")],
    "CR in a name": h2.pseudo() + [("x\r", "1")],
    "LF in a name": h2.pseudo() + [("x\ny", "1")],
    "NUL in a name": h2.pseudo() + [("x\0", "1")],
    "space in a name": h2.pseudo() + [("x y", "1")],
    "colon in a name": h2.pseudo() + [("x:", "1")],
    "a name that smuggles a line": h2.pseudo() + [("x: 1\r\nhost", "evil")],
    "empty name": h2.pseudo() + [("", "1")],
    "high byte in a name": h2.pseudo() + [("x\xff", "1")],
    "CR in a value": h2.pseudo() + [("x", "a\rb")],
    "LF in a value": h2.pseudo() + [("x", "a\nb")],
    "CRLF in a value": h2.pseudo() + [("x", "a\r\nTransfer-Encoding: chunked")],
    "a request in a value": h2.pseudo() + [("x", "a\r\n\r\nGET /admin HTTP/1.1\r\nHost: x\r\n\r\n")],
    "NUL in a value": h2.pseudo() + [("x", "a\0b")],
    "another control character": h2.pseudo() + [("x", "a\x01b")],
    "space before a value": h2.pseudo() + [("x", " a")],
    "space behind a value": h2.pseudo() + [("x", "a ")],
    "tab before a value": h2.pseudo() + [("x", "\ta")],
    "connection": h2.pseudo() + [("connection", "close")],
    "connection naming authorization": h2.pseudo() + [("connection", "authorization")],
    "keep-alive": h2.pseudo() + [("keep-alive", "1")],
    "proxy-connection": h2.pseudo() + [("proxy-connection", "keep-alive")],
    "transfer-encoding": h2.pseudo("POST") + [("transfer-encoding", "chunked")],
    "upgrade": h2.pseudo() + [("upgrade", "websocket")],
    "te: gzip": h2.pseudo() + [("te", "gzip")],
    "te: trailers, gzip": h2.pseudo() + [("te", "trailers, gzip")],
    "no method": pseudo_without(":method"),
    "no scheme": pseudo_without(":scheme"),
    "no path": pseudo_without(":path"),
    "no authority and no host": pseudo_without(":authority"),
    "empty authority": h2.pseudo(authority=""),
    "userinfo": h2.pseudo(authority="user@orders.example.com"),
    "repeated method": h2.pseudo() + [(":method", "GET")],
    "repeated path": h2.pseudo() + [(":path", "/")],
    "repeated scheme": h2.pseudo() + [(":scheme", "https")],
    "repeated authority": h2.pseudo() + [(":authority", "orders.example.com")],
    "late pseudo": h2.pseudo()[:3] + [("x", "1"), (":path", "/")],
    "unknown pseudo": h2.pseudo() + [(":unknown", "1")],
    "response pseudo": h2.pseudo() + [(":status", "200")],
    "protocol without CONNECT": h2.pseudo() + [(":protocol", "websocket")],
    "upper-case pseudo": [(":METHOD", "GET")] + h2.pseudo()[1:],
    "empty path": h2.pseudo(path=""),
    "path without a slash": h2.pseudo(path="orders"),
    "asterisk": h2.pseudo("OPTIONS", path="*"),
    "absolute path": h2.pseudo(path="https://orders.example.com/"),
    "path with a space": h2.pseudo(path="/a b"),
    "path with CRLF": h2.pseudo(path="/ HTTP/1.1\r\nHost: evil\r\n\r\n"),
    "path with a fragment": h2.pseudo(path="/a#b"),
    "method with a space": h2.pseudo(method="GET /admin HTTP/1.1"),
    "method with CRLF": h2.pseudo(method="GET / HTTP/1.1\r\nx: y\r\n"),
    "empty method": h2.pseudo(method=""),
    "scheme http": h2.pseudo(scheme="http"),
    "scheme in capitals": h2.pseudo(scheme="HTTPS"),
    "empty scheme": h2.pseudo(scheme=""),
    "CONNECT": [(":method", "CONNECT"), (":authority", "orders.example.com")],
    "host that is another": h2.pseudo() + [("host", "evil.example.com")],
    "two hosts": h2.pseudo() + [("host", "orders.example.com"), ("host", "orders.example.com")],
    "content-length twice": h2.pseudo("POST") + [("content-length", "0"), ("content-length", "0")],
    "content-length list": h2.pseudo("POST") + [("content-length", "0, 0")],
    "content-length negative": h2.pseudo("POST") + [("content-length", "-1")],
    "content-length plus": h2.pseudo("POST") + [("content-length", "+0")],
    "content-length hex": h2.pseudo("POST") + [("content-length", "0x0")],
    "content-length huge": h2.pseudo("POST") + [("content-length", "18446744073709551616")],
    "content-length without content": h2.pseudo("POST") + [("content-length", "5")],
    "a disguised header": h2.pseudo() + [("content_length", "0")],
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed(world, gate, upstream, name):
    with h2.connect(world, gate) as client:
        credentials = [(k.lower(), v) for k, v in world.credentials()]
        number = client.raw(MALFORMED[name] + credentials)
        answer = client.answer(number)
        client.until(lambda: answer.reset is not None, 2)
        assert answer.reset == h2.PROTOCOL_ERROR and answer.status in (None, 400), (answer, client.goaway)
        assert good(world, client, "GET", "/after").status == 200
    assert [seen.target for seen in upstream.take()] == [b"/after"]


def test_te_trailers_is_allowed(world, client):
    assert client.answer(client.request(h2.fields(world, extra=[("te", "trailers")]))).status == 200


@pytest.mark.parametrize("name,length,parts", [
    ("more than announced", 3, [b"abcd"]), ("more in a second frame", 3, [b"abc", b"d"]),
    ("less than announced", 3, [b"ab"]), ("none", 3, [b""]), ("some for zero", 0, [b"a"])])
def test_content_length_that_data_contradicts(world, start, name, length, parts):
    gate, upstream = start(handler=lambda *_: b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    with h2.connect(world, gate) as client:
        number, data = client.head(h2.fields(world, "POST", "/", [("content-length", str(length))]), end=False)
        for i, part in enumerate(parts):
            data += h2.frame(h2.DATA, h2.END_STREAM if i == len(parts) - 1 else 0, number, part)
        client.send(data)
        answer = client.answer(number)
        client.until(lambda: answer.reset is not None, 2)
        assert answer.reset == h2.PROTOCOL_ERROR and answer.status in (None, 400)
        connections = upstream.connections
        assert good(world, client, "POST", "/after", body=b"whole").status == 200
        # what was half sent is never reused
        assert upstream.connections > connections or connections == 0
    assert all(seen.body != b"abcd" for seen in upstream.take())


@pytest.mark.parametrize("name,trailers,last", [
    ("pseudo-header in trailers", [(":path", "/")], True), ("upper case in trailers", [("X-Late", "1")], True),
    ("connection in trailers", [("connection", "close")], True), ("trailers without the end", [("x-late", "1")], False)])
def test_malformed_trailers(world, gate, upstream, name, trailers, last):
    with h2.connect(world, gate) as client:
        number, data = client.head(h2.fields(world, "POST", "/"), end=False)
        client.send(data + h2.frame(h2.DATA, 0, number, b"abc")
                    + h2.frame(h2.HEADERS, h2.END_HEADERS | (h2.END_STREAM if last else 0), number,
                               h2.block(trailers)))
        answer = client.answer(number)
        client.until(lambda: answer.reset is not None, 2)
        assert answer.reset == h2.PROTOCOL_ERROR and answer.status in (None, 400)
        assert good(world, client).status == 200


# ---- limits ----

def test_head_limits(world, start):
    gate, upstream = start(limits={"head_bytes": "8KiB", "headers": 20})
    with h2.connect(world, gate) as client:
        client.until(lambda: client.settings)
        assert client.settings[h2.MAX_HEADER_LIST_SIZE] == 8192
        assert client.settings[h2.MAX_CONCURRENT_STREAMS] == 128
        assert client.answer(client.request(h2.fields(world, extra=[("x-pad", "a" * 4000)]))).status == 200
        assert client.answer(client.request(h2.fields(world, extra=[("x-pad", "a" * 8000)]))).status == 431
        many = [(f"x-{i}", "1") for i in range(21)]
        assert client.answer(client.request(h2.fields(world, extra=many))).status == 431
        assert client.answer(client.request(h2.pseudo(path="/" + "a" * 9000))).status == 414
        assert good(world, client).status == 200
    assert gate.metric("popgate_limits_hit_total", limit="headers") == 1
    assert gate.metric("popgate_limits_hit_total", limit="head_bytes") == 2
    assert len(upstream.take()) == 2


def test_a_head_larger_than_the_slab(world, client, upstream):
    extra = [(f"x-{i}", chr(97 + i) * 1500) for i in range(12)]
    assert client.answer(client.request(h2.fields(world, extra=extra))).status == 200
    seen = upstream.take()[0]
    for name, value in extra:
        assert seen.get(name) == value
    assert seen.get("host") == "orders.example.com"


def test_body_limit(world, start):
    gate, _ = start(limits={"body_bytes": "1KiB"})
    with h2.connect(world, gate) as client:
        assert good(world, client, "POST", "/", body=b"a" * 1024).status == 200
        assert good(world, client, "POST", "/", body=b"a" * 1025).status == 413
        announced = h2.fields(world, "POST", "/", [("content-length", "1025")])
        number, data = client.head(announced, end=False)
        client.send(data)
        answer = client.answer(number)
        assert answer.status == 413
        client.until(lambda: answer.reset is not None, 2)
        assert answer.reset == h2.NO_ERROR  # the rest need not be sent
        assert good(world, client).status == 200


@pytest.mark.parametrize("acknowledged", [False, True])
def test_streams_over_the_limit(world, start, acknowledged):
    """RFC 9113 section 5.1.2: a stream error of type PROTOCOL_ERROR or REFUSED_STREAM; who has acknowledged the limit
    and breaks it all the same loses the connection."""
    release = threading.Event()

    def slow(request, _stream):
        release.wait(10)
        return b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

    gate, _ = start(handler=slow, limits={"streams": 4})
    with h2.connect(world, gate) as client:
        if acknowledged:
            client.until(lambda: client.acks)
            assert client.alive()
        heads = [client.head(h2.fields(world, "GET", f"/{i}")) for i in range(6)]
        client.send(b"".join(data for _, data in heads))
        if acknowledged:
            assert client.dies() == h2.PROTOCOL_ERROR
        else:
            for number, _ in heads[4:]:
                assert client.answer(number).reset == h2.REFUSED_STREAM
            release.set()
            for number, _ in heads[:4]:
                assert client.answer(number).status == 200
            assert good(world, client).status == 200
        release.set()


# ---- timeouts ----

def test_idle_head_and_body_timeouts(world, start):
    gate, _ = start(timeouts={"idle": "700ms", "head": "400ms", "body_progress": "400ms"})
    with h2.connect(world, gate) as client:
        assert good(world, client).status == 200
        begun = time.monotonic()
        for _ in range(3):
            time.sleep(0.2)
            client.send(h2.frame(h2.PING, 0, 0, b"12345678"))  # does not prolong it
        assert client.dies() == h2.NO_ERROR and time.monotonic() - begun < 1.5
    with h2.connect(world, gate) as client:
        client.until(lambda: client.acks)
        number = client.open()
        client.send(h2.frame(h2.HEADERS, h2.END_STREAM, number, h2.block(h2.pseudo())))
        client.dies()
        assert gate.metric("popgate_limits_hit_total", limit="head") == 1
    with h2.connect(world, gate) as client:
        number, data = client.head(h2.fields(world, "POST", "/"), end=False)
        client.send(data + h2.frame(h2.DATA, 0, number, b"a"))
        assert client.answer(number).status == 408
        assert gate.metric("popgate_limits_hit_total", limit="body_progress") == 1
        assert good(world, client).status == 200


def test_a_window_that_stays_shut(world, start):
    big = b"HTTP/1.1 200 OK\r\nContent-Length: 400000\r\n\r\n" + b"w" * 400000
    gate, _ = start(handler=lambda *_: big, timeouts={"body_progress": "500ms"})
    with h2.connect(world, gate, initial=[(h2.INITIAL_WINDOW_SIZE, 1000)], auto_window=False) as client:
        number = client.request(h2.fields(world))
        answer = client.answer(number)
        assert answer.reset == h2.CANCEL and len(answer.body) == 1000
        assert client.alive()
        # shut in the middle, then opened again: nothing is lost
        client.auto_window = True
        client.send(h2.settings([(h2.INITIAL_WINDOW_SIZE, 0)]))
        number = client.request(h2.fields(world))
        client.until(lambda: client.answers[number].heads)
        client.send(h2.settings([(h2.INITIAL_WINDOW_SIZE, 65535)]))
        client.send(h2.window_update(0, 400000))
        answer = client.answer(number)
        assert answer.ended and answer.body == b"w" * 400000


# ---- ends ----

def test_drain(world, start):
    release = threading.Event()

    def slow(request, _stream):
        release.wait(10)
        return b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone"

    gate, _ = start(handler=slow)
    with h2.connect(world, gate) as client, h2.connect(world, gate) as idle:
        number = client.request(h2.fields(world))
        assert client.alive() and idle.alive()
        gate.signal(15)
        assert client.until(lambda: client.goaway) and client.goaway == (0x7fffffff, h2.NO_ERROR)
        assert idle.dies() == h2.NO_ERROR
        client.until(lambda: client.goaway[0] != 0x7fffffff)
        assert client.goaway == (number, h2.NO_ERROR)
        release.set()
        assert client.answer(number).body == b"done"
        assert client.dies() == h2.NO_ERROR
    gate.process.wait(10)
    assert gate.process.returncode == 0


def test_the_service_cuts_its_answer(world, start):
    def cut(request, stream):
        stream.socket.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        return None

    gate, _ = start(handler=cut)
    with h2.connect(world, gate) as client:
        answer = good(world, client)
        assert answer.status in (200, None) and not answer.ended and answer.reset == h2.INTERNAL_ERROR
        assert client.alive()


def test_a_client_that_resets_frees_the_upstream(world, start):
    seen = threading.Event()

    def wait(request, stream):
        seen.set()
        try:
            stream.socket.recv(1)
        except OSError:
            pass
        return None

    gate, upstream = start(handler=wait)
    with h2.connect(world, gate) as client:
        number = client.request(h2.fields(world))
        assert seen.wait(5)
        client.send(h2.rst(number))
        deadline = time.monotonic() + 5
        while upstream.open_sockets and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not upstream.open_sockets
        assert client.alive()
    assert gate.wait_log(outcome="client_gone")


# ---- gRPC refusals ----

@pytest.mark.parametrize("kind", ["application/grpc", "application/grpc+proto"])
def test_grpc_refusals_are_trailers_only(world, start, kind):
    gate, upstream = start(policy=[{"path": "/pkg.Service/Denied", "scope": ["never"]}, {"path": "/**"}])
    upstream.stop()
    grpc = [("content-type", kind), ("te", "trailers")]
    with h2.connect(world, gate) as client:
        def call(fields):
            answer = client.answer(client.request(fields, body=b"\0\0\0\0\0"))
            assert answer.status == 200 and answer.ended and not answer.body and len(answer.heads) == 1
            assert answer.get("content-type") == "application/grpc"
            return answer

        none = call(h2.pseudo("POST", "/pkg.Service/Method") + grpc)
        assert none.get("grpc-status") == "16" and "DPoP" in none.get("www-authenticate")
        denied = call(h2.fields(world, "POST", "/pkg.Service/Denied", grpc))
        assert denied.get("grpc-status") == "7" and "insufficient_scope" in denied.get("www-authenticate")
        down = call(h2.fields(world, "POST", "/pkg.Service/Method", grpc))
        assert down.get("grpc-status") == "14" and down.get("grpc-message")
        plain = client.answer(client.request(h2.pseudo("POST", "/") + [("content-type", "application/grpc-web")]))
        assert plain.status == 401
