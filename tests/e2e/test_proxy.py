"""The proxy between the client and the service: bodies both ways, pipelining, faults of the service, limits, drain."""

import hashlib
import os
import signal
import socket
import ssl
import threading
import time

import pytest

from harness.client import Closed, request_bytes
from harness.gate import SANITIZED

# A sanitizer keeps freed memory back, so only a plain build says how much is used.
counts_memory = pytest.mark.skipif(SANITIZED, reason="a sanitizer's build uses memory of its own")


def rss_kib(pid):
    with open(f"/proc/{pid}/status") as status:
        for line in status:
            if line.startswith("VmRSS"):
                return int(line.split()[1])


def post(world, connection, path, body, **extra):
    connection.send(request_bytes("POST", path, headers=world.credentials("POST", path) +
                                  list(extra.get("headers", [])), body=body))
    return connection.response("POST")


def echo(request, _stream):
    return (b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(request.body)) + request.body


# ---- bodies ----

@pytest.mark.parametrize("size", [1, 100, 16384, 65536, 1000000])
def test_bodies_with_a_length_pass_both_ways(world, start, size):
    gate, upstream = start(handler=echo)
    body = os.urandom(size)
    with world.connect(gate) as connection:
        for _ in range(2):
            response = post(world, connection, "/b", body)
            assert response.status == 200 and response.body == body
    assert upstream.connections == 1


def test_chunked_bodies_are_framed_anew_and_trailers_dropped(world, start):
    def handler(request, stream):
        assert request.get("transfer-encoding") == "chunked"
        body = request.body
        return (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                b"3;x=y\r\nabc\r\n%x\r\n%s\r\n0\r\nX-Trailer: 1\r\n\r\n" % (len(body), body))
    gate, upstream = start(handler=handler)
    body = os.urandom(50000)
    with world.connect(gate) as connection:
        for piece in (1000, 50000, 7):
            head = request_bytes("POST", "/c", headers=world.credentials("POST", "/c") +
                                 [("Transfer-Encoding", "chunked")])
            chunks = b"".join(b"%X\r\n%s\r\n" % (len(body[i:i + piece]), body[i:i + piece])
                              for i in range(0, len(body), piece))
            connection.send(head + chunks + b"0\r\nX-Trailer: 1\r\n\r\n")
            response = connection.response("POST")
            assert response.status == 200 and response.body == b"abc" + body
            assert response.get("x-trailer") is None
    assert upstream.connections == 1


def test_every_split_of_a_chunked_request(world, start):
    gate, upstream = start(handler=echo_chunked)
    with world.connect(gate) as connection:
        for at in range(1, 36):
            head = request_bytes("POST", "/c", headers=world.credentials("POST", "/c") +
                                 [("Transfer-Encoding", "chunked")])
            rest = b"5\r\nhello\r\n6;a=b\r\n world\r\n0\r\n\r\n"
            connection.send(head + rest[:at])
            time.sleep(0.002)
            if rest[at:]:
                connection.send(rest[at:])
            response = connection.response("POST")
            assert response.status == 200 and response.body == b"hello world", at


def echo_chunked(request, _stream):
    return (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n"
            % (len(request.body), request.body))


def test_a_body_until_close_is_chunked_for_the_client(world, start):
    def handler(request, stream):
        stream.socket.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello ")
        time.sleep(0.05)
        stream.socket.sendall(b"world")
        return None
    gate, upstream = start(handler=handler)
    with world.connect(gate) as connection:
        for _ in range(2):
            response = world.request(connection)
            assert response.body == b"hello world" and response.clean
            assert response.get("transfer-encoding") == "chunked"
    assert upstream.connections == 2


def test_an_old_client_gets_a_body_until_close(world, start):
    gate, upstream = start(handler=lambda request, stream:
                           b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
    with world.connect(gate) as connection:
        connection.send(request_bytes("GET", "/", headers=world.credentials()).replace(
            b"HTTP/1.1", b"HTTP/1.0"))
        response = connection.response()
        assert response.body == b"hello" and response.clean
        assert response.get("transfer-encoding") is None


def test_head_204_and_304(world, start):
    def handler(request, stream):
        if request.method == b"HEAD":
            return b"HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n"
        if request.target == b"/204":
            return b"HTTP/1.1 204 No Content\r\n\r\n"
        return b"HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\nETag: \"x\"\r\n\r\n"
    gate, upstream = start(handler=handler)
    with world.connect(gate) as connection:
        assert world.request(connection, "HEAD", "/h").get("content-length") == "12345"
        assert world.request(connection, "GET", "/204").status == 204
        assert world.request(connection, "GET", "/304").get("etag") == '"x"'
        assert world.request(connection, "HEAD", "/h").status == 200
    assert upstream.connections == 1


def test_interim_answers_pass_and_100_does_not(world, start):
    gate, upstream = start(handler=lambda request, stream:
                           b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
                           b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    with world.connect(gate) as connection:
        connection.send(request_bytes("GET", "/", headers=world.credentials()))
        hints = connection.response(interim=True)
        assert hints.status == 103 and hints.get("link") == "</x>"
        assert connection.response().body == b"ok"


def test_expect_is_answered_after_the_check(world, start):
    gate, upstream = start(handler=echo)
    with world.connect(gate) as connection:
        connection.send(request_bytes("POST", "/e", headers=world.credentials("POST", "/e") +
                                      [("Expect", "100-continue"), ("Content-Length", "5")]))
        assert connection.response(interim=True).status == 100
        connection.send(b"hello")
        assert connection.response().body == b"hello"
    assert upstream.take()[0].get("expect") is None
    with world.connect(gate) as connection:
        connection.send(request_bytes("POST", "/e", headers=[("Expect", "100-continue"),
                                                             ("Content-Length", "5")]))
        response = connection.response(interim=True)
        assert response.status == 401 and response.get("connection") == "close"
        assert connection.closed()


def big_download(total):
    def handler(request, stream):
        stream.socket.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total)
        block = bytes(1 << 18)
        sent = 0
        while sent < total:
            stream.socket.sendall(block[:min(len(block), total - sent)])
            sent += min(len(block), total - sent)
        return None
    return handler


@counts_memory
def test_a_large_download_to_a_slow_reader_uses_bounded_memory(world, start):
    total = 256 << 20
    gate, upstream = start(handler=big_download(total))
    with world.connect(gate) as connection:
        before = rss_kib(gate.process.pid)
        connection.send(request_bytes("GET", "/big", headers=world.credentials("GET", "/big")))
        time.sleep(0.7)
        most = rss_kib(gate.process.pid)
        got = 0
        while got < total:
            part = connection.socket.recv(1 << 20)
            if not part:
                break
            got += len(part)
            if got % (32 << 20) < len(part):
                most = max(most, rss_kib(gate.process.pid))
        assert got > total
        assert most - before < 10 * 1024, (before, most)


@counts_memory
def test_a_large_upload_to_a_slow_service_uses_bounded_memory(world, start):
    total = 128 << 20
    seen = {}

    def raw(stream):
        head = stream.until(b"\r\n\r\n")
        left = total - len(stream.data)
        digest = hashlib.sha256(stream.data)
        time.sleep(0.7)
        seen["paused"] = rss_kib(gate.process.pid)
        while left > 0:
            part = stream.socket.recv(1 << 20)
            assert part
            digest.update(part)
            left -= len(part)
        seen["digest"] = digest.hexdigest()
        stream.socket.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    gate, upstream = start(raw=raw)
    with world.connect(gate) as connection:
        before = rss_kib(gate.process.pid)
        connection.send(request_bytes("POST", "/up", headers=world.credentials("POST", "/up") +
                                      [("Content-Length", str(total))]))
        block = os.urandom(1 << 20)
        digest = hashlib.sha256()
        for _ in range(total >> 20):
            connection.send(block)
            digest.update(block)
        assert connection.response("POST").body == b"ok"
        assert seen["digest"] == digest.hexdigest()
        assert seen["paused"] - before < 10 * 1024


def test_an_early_answer_ends_the_upload(world, start):
    def raw(stream):
        stream.until(b"\r\n\r\n")
        stream.socket.sendall(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig")
        time.sleep(1)
    gate, upstream = start(raw=raw)
    with world.connect(gate) as connection:
        connection.send(request_bytes("POST", "/up", headers=world.credentials("POST", "/up") +
                                      [("Content-Length", "100000000")]))
        connection.send(bytes(100000))
        response = connection.response("POST")
        assert response.status == 413 and response.body == b"big"
        assert response.get("connection") == "close"


def test_a_refused_upload_gets_its_answer(world, gate, upstream):
    for size, closes in ((1000, False), (60000, False), (10000000, True)):
        with world.connect(gate) as connection:
            connection.send(request_bytes("POST", "/up", headers=[("Content-Length", str(size))]))
            try:
                for _ in range(0, size, 1000):
                    connection.send(bytes(1000))
            except (ssl.SSLError, OSError):
                assert closes
            response = connection.response("POST")
            assert response.status == 401
            assert (response.get("connection") == "close") == closes
            if not closes:
                assert world.request(connection).status == 200


def test_body_limit(world, start):
    gate, upstream = start(handler=echo, limits={"body_bytes": "1KiB"})
    with world.connect(gate) as connection:
        assert post(world, connection, "/", bytes(1024)).status == 200
        response = post(world, connection, "/", bytes(1025))
        assert response.status == 413
    with world.connect(gate) as connection:
        connection.send(request_bytes("POST", "/", headers=world.credentials("POST", "/") +
                                      [("Transfer-Encoding", "chunked")]) +
                        b"400\r\n" + bytes(1024) + b"\r\n1\r\nx\r\n0\r\n\r\n")
        assert connection.response("POST").status == 413
        assert connection.closed()


# ---- pipelining ----

def test_pipelined_requests_are_answered_in_order(world, gate, upstream):
    with world.connect(gate) as connection:
        requests = b""
        for i in range(40):
            requests += request_bytes("GET", f"/p{i}", headers=world.credentials("GET", f"/p{i}")
                                      if i % 3 else [])
        connection.send(requests)
        for i in range(40):
            response = connection.response()
            if i % 3:
                assert response.body == b"hello /p%d" % i
            else:
                assert response.status == 401
    assert [r.target for r in upstream.take()] == [b"/p%d" % i for i in range(40) if i % 3]


def test_pipelined_posts_byte_by_byte(world, start):
    gate, upstream = start(handler=echo)
    with world.connect(gate) as connection:
        requests = b""
        for i in range(3):
            requests += request_bytes("POST", "/q", headers=world.credentials("POST", "/q"),
                                      body=b"body%d" % i)
        for i in range(0, len(requests), 1):
            connection.send(requests[i:i + 1])
        for i in range(3):
            assert connection.response("POST").body == b"body%d" % i


def test_a_bad_request_behind_a_good_one(world, gate, upstream):
    with world.connect(gate) as connection:
        connection.send(request_bytes("GET", "/good", headers=world.credentials("GET", "/good")) +
                        b"GET /bad HTTP/1.1\r\nHost: a b\r\n\r\n" +
                        request_bytes("GET", "/never", headers=world.credentials("GET", "/never")))
        assert connection.response().body == b"hello /good"
        assert connection.response().status == 400
        assert connection.closed()
    assert [r.target for r in upstream.take()] == [b"/good"]


# ---- the service's faults ----

def test_the_service_refuses(world, start):
    gate, upstream = start()
    upstream.stop()
    time.sleep(0.1)
    with world.connect(gate) as connection:
        for _ in range(3):
            assert world.request(connection).status == 502


@pytest.mark.parametrize("answer", [
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: a\x00b\r\n\r\n",
    b"HTTP/2 200\r\n\r\n", b"SSH-2.0-x\r\n", b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: " + b"a" * 40000 + b"\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\n\r\n" * 40, b"", b"HTTP/1.1 200 OK\r\n",
])
def test_illegal_answers(world, start, answer):
    good = []

    def handler(request, stream):
        if request.target == b"/good":
            return b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        stream.socket.sendall(answer)
        stream.socket.shutdown(socket.SHUT_WR)
        return None
    gate, upstream = start(handler=handler)
    with world.connect(gate) as connection:
        assert world.request(connection, "GET", "/good").status == 200
        assert world.request(connection, "GET", "/bad").status == 502
        assert world.request(connection, "GET", "/good").body == b"ok"


def test_slow_head(world, start):
    gate, upstream = start(handler=lambda request, stream: time.sleep(3),
                           timeouts={"upstream_head": "300ms"})
    with world.connect(gate) as connection:
        begun = time.monotonic()
        assert world.request(connection).status == 504
        assert 0.25 < time.monotonic() - begun < 1.5


@pytest.mark.parametrize("answer", [
    b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n",
])
def test_a_cut_answer_is_seen_as_a_cut(world, start, answer):
    def handler(request, stream):
        stream.socket.sendall(answer)
        return None
    gate, upstream = start(handler=handler)
    with world.connect(gate) as connection:
        response = world.request(connection)
        assert response.status == 200 and not response.clean
    with world.connect(gate) as connection:
        connection.send(request_bytes("GET", "/", headers=world.credentials()).replace(
            b"HTTP/1.1", b"HTTP/1.0"))
        response = connection.response()
        assert not response.clean


def test_a_reset_in_an_until_close_body_is_a_cut(world, start):
    def handler(request, stream):
        stream.socket.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\npart")
        time.sleep(0.1)
        stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        return None
    gate, upstream = start(handler=handler)
    with world.connect(gate) as connection:
        assert not world.request(connection).clean


def test_leftover_bytes_poison_the_connection(world, start):
    gate, upstream = start(handler=lambda request, stream:
                           b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n")
    with world.connect(gate) as connection:
        for _ in range(3):
            assert world.request(connection).body == b"ok"
    assert upstream.connections == 3


def test_unasked_bytes_on_an_idle_connection_drop_it(world, start):
    def handler(request, stream):
        def later():
            time.sleep(0.1)
            try:
                stream.socket.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
            except OSError:
                pass
        threading.Thread(target=later).start()
        return b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    gate, upstream = start(handler=handler)
    with world.connect(gate) as connection:
        for _ in range(2):
            assert world.request(connection).body == b"ok"
            time.sleep(0.3)
    assert upstream.connections == 2


def test_a_service_that_closes_idle_connections_is_connected_anew(world, start):
    def handler(request, stream):
        stream.socket.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        return None
    gate, upstream = start(handler=handler)
    with world.connect(gate) as connection:
        for _ in range(5):
            assert world.request(connection).body == b"ok"
            time.sleep(0.05)


def test_unix_socket(world, start, tmp_path):
    gate, upstream = start(unix=tmp_path / "app.sock")
    with world.connect(gate) as connection:
        for _ in range(3):
            assert world.request(connection).status == 200
    assert upstream.connections == 1


# ---- the client's faults ----

def test_clients_that_vanish(world, start):
    gate, upstream = start(handler=echo, timeouts={"head": "2s"})
    whole = request_bytes("POST", "/v", headers=world.credentials("POST", "/v") +
                          [("Content-Length", "100")], body=b"")
    for cut in (0, 1, 10, len(whole) - 1, len(whole), len(whole) + 50):
        for hard in (False, True):
            connection = world.connect(gate)
            connection.send((whole + bytes(100))[:cut]) if cut else None
            if hard:
                connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                             b"\1\0\0\0\0\0\0\0")
            connection.close()
    with world.connect(gate) as connection:
        assert world.request(connection).status == 200


def test_slow_head_of_the_client(world, start):
    gate, upstream = start(timeouts={"head": "300ms"})
    with world.connect(gate) as connection:
        connection.send(b"GET / HTTP/1.1\r\nHost: ")
        assert connection.response().status == 408
        assert connection.closed()


def test_slow_body_of_the_client(world, start):
    gate, upstream = start(handler=echo, timeouts={"body_progress": "300ms"})
    with world.connect(gate) as connection:
        connection.send(request_bytes("POST", "/", headers=world.credentials("POST", "/") +
                                      [("Content-Length", "10")]) + b"abc")
        assert connection.response().status == 408
        assert connection.closed()


def test_idle_connections_are_closed(world, start):
    gate, upstream = start(timeouts={"idle": "300ms"})
    with world.connect(gate) as connection:
        assert world.request(connection).status == 200
        begun = time.monotonic()
        assert connection.closed()
        assert 0.2 < time.monotonic() - begun < 2


def test_handshake_timeout(world, start):
    gate, upstream = start(timeouts={"handshake": "300ms"})
    with socket.create_connection(("127.0.0.1", gate.port)) as plain:
        plain.settimeout(5)
        assert plain.recv(100) == b""


def test_head_limit(world, gate, upstream):
    for size, status in ((20000, 200), (40000, 431)):
        with world.connect(gate) as connection:
            connection.send(request_bytes("GET", "/", headers=world.credentials() +
                                          [("X-Big", "a" * size)]))
            assert connection.response().status == status


def test_connection_limit(world, start):
    gate, upstream = start(limits={"connections": 3})
    held = [world.connect(gate) for _ in range(3)]
    with pytest.raises((OSError, ssl.SSLError)):
        world.connect(gate)
    held.pop().close()
    time.sleep(0.2)
    with world.connect(gate) as connection:
        assert world.request(connection).status == 200
    for one in held:
        one.close()


def test_few_descriptors_and_many_connections(world, start):
    gate, upstream = start(gate_options={"descriptors": 64})
    answers = []

    def one():
        try:
            with world.connect(gate, timeout=30) as connection:
                answers.append(world.request(connection).status)
        except (OSError, Closed) as error:
            answers.append(repr(error))
    threads = [threading.Thread(target=one) for _ in range(200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers.count(200) == 200, set(answers)


# ---- life ----

def test_drain_loses_no_request(world, start):
    def handler(request, stream):
        time.sleep(0.02)
        return b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    gate, upstream = start(handler=handler)
    counts = {"ok": 0, "lost": 0}
    draining = threading.Event()

    def load():
        with world.connect(gate) as connection:
            while True:
                try:
                    connection.send(request_bytes("GET", "/", headers=world.credentials()))
                except OSError:
                    return
                try:
                    response = connection.response()
                except Closed as closed:
                    counts["lost"] += 1
                    return
                assert response.status == 200
                counts["ok"] += 1
                if response.get("connection") == "close":
                    assert draining.is_set()
                    return
    threads = [threading.Thread(target=load) for _ in range(16)]
    for thread in threads:
        thread.start()
    begun = time.monotonic()
    # All of them at work: a machine with much else to do takes a while to get there.
    while counts["ok"] < 10 * len(threads) and time.monotonic() - begun < 20:
        time.sleep(0.02)
    draining.set()
    gate.signal(signal.SIGTERM)
    begun = time.monotonic()
    for thread in threads:
        thread.join()
    gate.process.wait(10)
    assert gate.process.returncode == 0 and time.monotonic() - begun < 5
    assert counts["lost"] == 0 and counts["ok"] > 10 * len(threads)


def test_drain_finishes_what_is_in_flight(world, start):
    def handler(request, stream):
        time.sleep(0.6)
        return b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    gate, upstream = start(handler=handler)
    with world.connect(gate) as connection:
        connection.send(request_bytes("GET", "/", headers=world.credentials()))
        time.sleep(0.2)
        gate.signal(signal.SIGTERM)
        response = connection.response()
        assert response.body == b"ok" and response.get("connection") == "close"
    gate.process.wait(10)
    assert gate.process.returncode == 0


def test_drain_timeout(world, start):
    gate, upstream = start(handler=lambda request, stream: time.sleep(5), timeouts={"drain": "500ms"})
    with world.connect(gate) as connection:
        connection.send(request_bytes("GET", "/", headers=world.credentials()))
        time.sleep(0.2)
        gate.signal(signal.SIGTERM)
        gate.process.wait(3)
        assert gate.process.returncode == 0


def test_reload(world, start):
    gate, upstream = start()
    with world.connect(gate) as connection:
        assert world.request(connection).status == 200
        good = gate.config_path.read_text()
        gate.config_path.write_text("{")
        gate.signal(signal.SIGHUP)
        gate.wait_log(event="reload", level="error")
        assert world.request(connection).status == 200
        gate.config_path.write_text(good.replace('"accept"', '"accept"').replace(
            '"workers": 1', '"workers": 1, "dpop": {"mode": "off"}'))
        gate.signal(signal.SIGHUP)
        gate.wait_log(event="reload", level="info")
        assert world.request(connection, headers=[]).status == 200
        gate.config_path.write_text(good)
        gate.signal(signal.SIGHUP)
        time.sleep(0.5)
        assert world.request(connection, headers=[]).status == 401
        assert world.request(connection).status == 200


def test_many_connections_and_workers(world, start):
    gate, upstream = start(workers=2)
    failures = []

    def load(number):
        try:
            with world.connect(gate) as connection:
                for i in range(20):
                    path = f"/c{number}/{i}"
                    response = world.request(connection, "GET", path)
                    if response.body != b"hello " + path.encode():
                        failures.append((path, response))
        except Exception as error:
            failures.append(repr(error))
    threads = [threading.Thread(target=load, args=(n,)) for n in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures[:3]


def test_a_deep_pipeline_takes_several_turns(world, start):
    gate, upstream = start(limits={"pipeline": 2})
    with world.connect(gate) as connection:
        connection.send(b"".join(request_bytes("GET", f"/n{i}") for i in range(60)))
        for i in range(60):
            assert connection.response().status == 401
        assert gate.metric("popgate_limits_hit_total", limit="pipeline") > 5
    with world.connect(gate) as connection:
        connection.send(b"".join(request_bytes("GET", f"/n{i}") for i in range(60)))
