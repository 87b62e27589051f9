"""Bodies: streamed both ways in bounded memory, re-framed, in every shape HTTP/1.1 has."""

import hashlib
import threading
import time

import pytest

from harness import client as clients
from harness.gate import SANITIZED

MIB = 1 << 20
BODY = 64 * MIB if SANITIZED else 1024 * MIB
BLOCK = bytes(range(256)) * 1024


def resident_mib(gate):
    for line in open(f"/proc/{gate.process.pid}/status"):
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    raise AssertionError


def test_a_large_upload_takes_bounded_memory(world, start):
    received = hashlib.sha256()

    def raw(stream):
        stream.until(b"\r\n\r\n")
        left = BODY
        left -= len(stream.data)
        received.update(stream.data)
        view = bytearray(MIB)
        time.sleep(0.5)  # the service is slow to start: the gate must not take the body in meanwhile
        while left > 0:
            size = stream.socket.recv_into(view)
            assert size > 0
            received.update(memoryview(view)[:size])
            left -= size
        stream.socket.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone")

    gate, _ = start(raw=raw)
    before = resident_mib(gate)
    sent = hashlib.sha256()
    with world.connect(gate, timeout=120) as connection:
        headers = world.credentials("POST", "/up") + [("Content-Length", str(BODY))]
        connection.send(clients.request_bytes("POST", "/up", headers=headers))
        for _ in range(BODY // len(BLOCK)):
            connection.send(BLOCK)
            sent.update(BLOCK)
        peak = resident_mib(gate)
        response = connection.response("POST")
    assert response.status == 200 and response.body == b"done"
    assert received.digest() == sent.digest()
    assert peak - before < (64 if SANITIZED else 16), f"{before} -> {peak} MiB"


def test_a_large_download_takes_bounded_memory(world, start):
    def raw(stream):
        stream.until(b"\r\n\r\n")
        stream.socket.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BODY)
        for _ in range(BODY // len(BLOCK)):
            stream.socket.sendall(BLOCK)

    gate, _ = start(raw=raw)
    before = resident_mib(gate)
    with world.connect(gate, timeout=120) as connection:
        connection.send(clients.request_bytes("GET", "/down", headers=world.credentials("GET", "/down")))
        time.sleep(0.5)  # a slow reader
        connection._until(b"\r\n\r\n")
        got, digest, view = len(connection.data), hashlib.sha256(connection.data), bytearray(MIB)
        while got < BODY:
            size = connection.socket.recv_into(view)
            assert size > 0
            digest.update(memoryview(view)[:size])
            got += size
        peak = resident_mib(gate)
    expected = hashlib.sha256()
    for _ in range(BODY // len(BLOCK)):
        expected.update(BLOCK)
    assert digest.digest() == expected.digest()
    assert peak - before < (64 if SANITIZED else 16), f"{before} -> {peak} MiB"


def test_chunked_both_ways(world, start):
    def handler(request, _stream):
        assert request.get("transfer-encoding") == "chunked" and request.get("content-length") is None
        return (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
                b"5;name=value\r\n" + request.body[:5] + b"\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n")

    gate, upstream = start(handler=handler)
    with world.connect(gate) as connection:
        for _ in range(2):
            headers = world.credentials("POST") + [("Transfer-Encoding", "chunked")]
            connection.send(clients.request_bytes("POST", headers=headers)
                            + b"4\r\nwiki\r\n5;x\r\npedia\r\n0\r\nX-Popgate-Subject: forged\r\n\r\n")
            response = connection.response("POST")
            assert response.status == 200 and response.body == b"wikipabc"
    assert [seen.body for seen in upstream.take()] == [b"wikipedia"] * 2


def test_a_body_byte_by_byte(world, gate, upstream):
    body = bytes(range(256))
    with world.connect(gate) as connection:
        text = clients.request_bytes("POST", "/b", headers=world.credentials("POST", "/b"), body=body)
        connection.send_pieces(bytes([b]) for b in text)
        assert connection.response("POST").status == 200
    assert upstream.take()[0].body == body


def test_expect_100_continue(world, gate, upstream):
    with world.connect(gate) as connection:
        headers = world.credentials("POST") + [("Content-Length", "4"), ("Expect", "100-continue")]
        connection.send(clients.request_bytes("POST", headers=headers))
        assert connection.response("POST", interim=True).status == 100
        connection.send(b"body")
        assert connection.response("POST").status == 200
    assert upstream.take()[0].body == b"body"
    with world.connect(gate) as connection:
        headers = [("Content-Length", "4"), ("Expect", "100-continue")]
        connection.send(clients.request_bytes("POST", headers=headers))
        assert connection.response("POST", interim=True).status == 401, "refused before the body is asked for"
    with world.connect(gate) as connection:
        connection.send(clients.request_bytes("POST", headers=world.credentials("POST") + [
            ("Content-Length", "4"), ("Expect", "the-unexpected")]))
        assert connection.response("POST").status == 417


@pytest.mark.parametrize("status,text", [(204, b"HTTP/1.1 204 No Content\r\n\r\n"),
                                         (304, b"HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n"),
                                         (200, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")])
def test_answers_without_a_body(world, start, status, text):
    gate, upstream = start(handler=lambda *_: text)
    with world.connect(gate) as connection:
        for _ in range(3):
            response = world.request(connection)
            assert response.status == status and response.body == b""
    assert upstream.connections == 1, "the connection is kept"


def test_head(world, start):
    gate, upstream = start(handler=lambda *_: b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    with world.connect(gate) as connection:
        for _ in range(3):
            response = world.request(connection, "HEAD")
            assert response.status == 200 and response.get("content-length") == "1000"
    assert upstream.connections == 1


def test_interim_answers_are_passed_on(world, start):
    gate, _ = start(handler=lambda *_: b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
                                       b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    with world.connect(gate) as connection:
        connection.send(clients.request_bytes(headers=world.credentials()))
        first = connection.response(interim=True)
        assert first.status == 103 and first.get("link") == "</a>"
        assert connection.response().body == b"ok"


def test_a_body_until_close_is_re_framed(world, start):
    def raw(stream):
        stream.until(b"\r\n\r\n")
        stream.socket.sendall(b"HTTP/1.1 200 OK\r\n\r\nuntil")
        time.sleep(0.05)
        stream.socket.sendall(b" close")

    gate, _ = start(raw=raw)
    with world.connect(gate) as connection:
        for _ in range(2):
            response = world.request(connection)
            assert response.body == b"until close" and response.clean


def test_http_1_0_client(world, start):
    gate, _ = start(handler=lambda *_: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                                       b"5\r\nhello\r\n0\r\n\r\n")
    with world.connect(gate) as connection:
        text = clients.request_bytes(headers=world.credentials()).replace(b"HTTP/1.1", b"HTTP/1.0", 1)
        connection.send(text)
        response = connection.response()
        assert response.body == b"hello" and response.clean and not response.all("transfer-encoding")


def test_an_answer_before_the_body_was_read(world, start):
    def raw(stream):
        stream.until(b"\r\n\r\n")
        stream.socket.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")

    gate, _ = start(raw=raw)
    with world.connect(gate) as connection:
        headers = world.credentials("POST") + [("Content-Length", str(8 * MIB))]
        connection.send(clients.request_bytes("POST", headers=headers))

        def push():
            try:
                for _ in range(8):
                    connection.send(b"x" * MIB)
            except OSError:
                pass

        thread = threading.Thread(target=push, daemon=True)
        thread.start()
        response = connection.response("POST")
        assert response.status == 403 and response.body == b"no"
        thread.join(10)


def test_the_upstream_pool_keeps_and_drops(world, start):
    calls = []

    def handler(request, stream):
        calls.append(request.target)
        if request.target == b"/close":
            stream.socket.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nc")
            return None
        if request.target == b"/extra":
            return b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\neXTRA"
        return b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nk"

    gate, upstream = start(handler=handler)
    with world.connect(gate) as connection:
        for path in ("/a", "/b", "/close", "/c", "/extra", "/d", "/e"):
            assert world.request(connection, "GET", path).status == 200, path
    seen = {request.target: request.connection for request in upstream.take()}
    assert seen[b"/a"] == seen[b"/b"] == seen[b"/close"]
    assert seen[b"/c"] != seen[b"/close"] and seen[b"/c"] == seen[b"/extra"]
    assert seen[b"/d"] != seen[b"/extra"], "a connection with bytes left over is never used again"
    assert seen[b"/d"] == seen[b"/e"]
