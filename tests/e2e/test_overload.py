"""At the bound on connections the next is closed at once, those that are there go on, and the probes answer."""

import socket
import threading
import time

import pytest

from harness import client2 as h2
from harness.client import Closed, request_bytes


@pytest.mark.alone  # how soon a probe answers, and they fill the machine
def test_a_crowd_at_the_door(world, start):
    gate, _ = start(limits={"connections": 20}, timeouts={"handshake": "2s"})
    held = [world.connect(gate) for _ in range(15)]
    stop, refused, slow = threading.Event(), [0], []

    def crowd():
        while not stop.is_set():
            try:
                with socket.create_connection(("127.0.0.1", gate.port), timeout=5) as plain:
                    plain.settimeout(1)
                    if plain.recv(1) == b"":
                        refused[0] += 1
            except (TimeoutError, ConnectionError):
                pass

    def probes():
        while not stop.is_set():
            for page in ("/livez", "/readyz", "/metrics"):
                began = time.monotonic()
                assert gate.admin(page)[0] == 200
                slow.append(time.monotonic() - began)
    threads = [threading.Thread(target=crowd) for _ in range(30)] + [threading.Thread(target=probes)]
    for thread in threads:
        thread.start()
    ends = time.monotonic() + 3
    answered = 0
    while time.monotonic() < ends:
        for connection in held:
            assert world.request(connection).status == 200
            answered += 1
    assert gate.metric("popgate_connections", side="downstream") <= 20
    stop.set()
    for thread in threads:
        thread.join()
    assert answered >= 15 and refused[0] > 50
    assert len(slow) > 9 and max(slow) < 3 and sorted(slow)[len(slow) // 2] < 0.5
    assert gate.metric("popgate_limits_hit_total", limit="connections") >= refused[0]
    for connection in held:
        connection.close()
    deadline = time.monotonic() + 5
    while gate.metric("popgate_connections", side="downstream") > 0 and time.monotonic() < deadline:
        time.sleep(0.05)
    with world.connect(gate) as connection:
        assert world.request(connection).status == 200, "and it is over when it is over"


@pytest.mark.alone  # how soon a probe answers
def test_the_worker_is_busy_and_the_probes_answer(world, start):
    """One worker, streams of big answers to many who read: the admin thread has a loop of its own."""
    big = b"HTTP/1.1 200 OK\r\nContent-Length: 8000000\r\n\r\n" + b"x" * 8000000
    gate, _ = start(handler=lambda *_: big)
    stop = threading.Event()

    def reader():
        with world.connect(gate) as connection:
            while not stop.is_set():
                assert len(world.request(connection).body) == 8000000
    threads = [threading.Thread(target=reader) for _ in range(4)]
    for thread in threads:
        thread.start()
    times = []
    ends = time.monotonic() + 2
    while time.monotonic() < ends:
        began = time.monotonic()
        assert gate.admin("/livez")[0] == 200 and gate.admin("/metrics")[0] == 200
        times.append(time.monotonic() - began)
    stop.set()
    for thread in threads:
        thread.join()
    assert sorted(times)[len(times) // 2] < 1


def test_a_stream_of_http2_ends_with_its_token_and_the_others_go_on(world, start):
    def events(request, stream):
        if request.target == b"/short-lived":
            return b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        stream.socket.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            for _ in range(50):
                stream.socket.sendall(b"5\r\nevent\r\n")
                time.sleep(0.1)
            stream.socket.sendall(b"0\r\n\r\n")
        except OSError:
            pass
        return None
    gate, _ = start(handler=events)
    expires = int(time.time()) + 2
    with h2.connect(world, gate) as client:
        short = client.request(h2.fields(world, "GET", "/a", token=world.token(payload={"exp": expires})))
        longer = client.request(h2.fields(world, "GET", "/b"))
        ended = client.answer(short)
        assert ended.status == 200 and ended.reset is not None, "a reset, never a clean end"
        assert expires - 0.1 <= time.time() < expires + 2
        assert client.answer(client.request(h2.fields(world, "GET", "/short-lived"))).body == b"ok"
        whole = client.answer(longer)
        assert whole.reset is None and whole.body == b"event" * 50
    assert gate.metric("popgate_limits_hit_total", limit="expiry") == 1


def test_a_client_without_tls_is_gone_after_the_handshakes_time(world, start):
    gate, _ = start(timeouts={"handshake": "400ms"})
    silent = [socket.create_connection(("127.0.0.1", gate.port), timeout=5) for _ in range(50)]
    with world.connect(gate) as connection:
        assert world.request(connection).status == 200
        for plain in silent:
            try:
                assert plain.recv(1) == b""
            except ConnectionError:
                pass
            plain.close()
        assert world.request(connection).status == 200
    assert gate.metric("popgate_handshakes_total", result="timeout") == 50


def test_memory_at_its_bound(world, start):
    """A mebibyte of buffers, and many clients who read nothing of large answers: what does not fit is cut or refused, nobody
    else's answer is wrong, the probes answer, and it is over when they are gone."""
    big = b"x" * 400_000

    def handler(request, _stream):
        body = b"small" if request.target == b"/small" else big
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    gate, _ = start(handler=handler, limits={"buffers": "1MiB"}, timeouts={"body_progress": "60s"})
    greedy = []
    for _ in range(8):
        client = h2.connect(world, gate, initial=[(h2.INITIAL_WINDOW_SIZE, 1)], auto_window=False)
        client.send(b"".join(client.head(h2.fields(world, "GET", f"/{i}"))[1] for i in range(20)))
        greedy.append(client)
    deadline = time.monotonic() + 10
    while gate.metric("popgate_limits_hit_total", limit="buffers") == 0 and time.monotonic() < deadline:
        assert gate.admin("/livez")[0] == 200
        time.sleep(0.05)
    assert gate.metric("popgate_limits_hit_total", limit="buffers") > 0
    outcomes = []
    for _ in range(20):
        with world.connect(gate) as connection:
            try:
                connection.send(request_bytes("GET", "/small", headers=world.credentials("GET", "/small")))
                response = connection.response()
                outcomes.append(response.status)
                assert response.status == 503 or response.body == b"small"
            except (Closed, OSError):
                outcomes.append(None)
        assert gate.admin("/livez")[0] == 200 and gate.admin("/metrics")[0] == 200
    assert set(outcomes) <= {200, 503, None}, outcomes
    for client in greedy:
        client.close()
    deadline = time.monotonic() + 10
    while gate.metric("popgate_connections", side="downstream") > 0 and time.monotonic() < deadline:
        time.sleep(0.05)
    with world.connect(gate) as connection:
        for _ in range(5):
            assert world.request(connection, "GET", "/small").body == b"small", "and it is over when it is over"
            assert world.request(connection, "GET", "/big").body == big
