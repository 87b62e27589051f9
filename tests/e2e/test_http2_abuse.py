"""What HTTP/2 proxies were broken with: each attack is priced, ends with ENHANCE_YOUR_CALM, costs the gate no memory to
speak of, and leaves other connections alone."""

import contextlib
import select
import ssl
import struct
import threading
import time

import pytest

from harness import client2 as h2

# A connection under attack may cost so much, and what jemalloc keeps of it.
BOUND = 8 << 20


def resident(gate):
    with open(f"/proc/{gate.process.pid}/statm", encoding="ascii") as text:
        return int(text.read().split()[1]) * 4096


def watch(gate, stop, peak):
    while not stop.is_set() and gate.process.poll() is None:
        peak.append(resident(gate))
        time.sleep(0.01)


@contextlib.contextmanager
def bounded(world, gate, bound=BOUND):
    """Resident memory while the block runs, and that another client is served meanwhile and afterwards."""
    with h2.connect(world, gate) as other:
        assert other.answer(other.request(h2.fields(world))).status == 200
        before, peak, stop = resident(gate), [], threading.Event()
        watcher = threading.Thread(target=watch, args=(gate, stop, peak), daemon=True)
        watcher.start()
        yield
        assert other.answer(other.request(h2.fields(world))).status == 200
        stop.set()
        watcher.join()
        from harness.gate import SANITIZED
        if not SANITIZED:
            assert max(peak) - before < bound, (before, max(peak))


def flood(client, attack, seconds=20):
    """Sends until the gate has had enough; the GOAWAY's code. Whenever there is something to read it is read, on this same
    thread (OpenSSL allows no second one), so that neither side waits for the other."""
    deadline = time.monotonic() + seconds
    socket = client.connection.socket

    def over():
        return client.ended or client.goaway or time.monotonic() > deadline

    def read():
        while not over() and (socket.pending() or select.select([socket], [], [], 0)[0]):
            client.step(2)

    client.until(lambda: client.acks)
    original, client.send = client.send, lambda data: None  # a write that is under way allows no other
    try:
        while not over():
            view = memoryview(attack())
            while view and not over():
                socket.setblocking(False)
                try:
                    view = view[socket.send(view):]
                except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
                    select.select([socket], [socket], [], 1)
                read()
    except (OSError, ValueError):
        pass  # reset, or a read that found no whole frame in time
    client.send = original
    client.until(lambda: client.ended, 5)
    return client.goaway[1] if client.goaway else None


def numbers(client):
    client.next_stream += 2
    return client.next_stream - 2


# ---- rapid reset, and being made to reset ----

def rapid_reset(world, client):
    head = h2.block(h2.pseudo())

    def attack():
        out = b""
        for _ in range(20):
            number = numbers(client)
            out += h2.frame(h2.HEADERS, h2.END_HEADERS | h2.END_STREAM, number, head) + h2.rst(number)
        return out
    return attack


def open_then(client, bad, end=False):
    head = h2.block(h2.pseudo("POST"))

    def attack():
        out = b""
        for _ in range(20):
            number = numbers(client)
            out += h2.frame(h2.HEADERS, h2.END_HEADERS | (h2.END_STREAM if end else 0), number, head) + bad(number)
        return out
    return attack


def window_zero(number):
    return h2.window_update(number, 0)


def window_overflow(number):
    return h2.window_update(number, 0x7fffffff) * 2


def data_after_end(number):
    return h2.frame(h2.DATA, 0, number, b"x")


def head_after_end(number):
    return h2.frame(h2.HEADERS, h2.END_HEADERS | h2.END_STREAM, number, h2.block(h2.pseudo()))


def self_dependency(number):
    return h2.frame(h2.PRIORITY, 0, number, struct.pack(">IB", number, 1))


def priority_length(number):
    return h2.frame(h2.PRIORITY, 0, number, b"\0\0\0")


def contradicting_length(number):
    return h2.frame(h2.DATA, h2.END_STREAM, number, b"x")


ATTACKS = {
    "rapid reset": lambda world, client: rapid_reset(world, client),
    "made you reset: window update of zero": lambda world, client: open_then(client, window_zero),
    "made you reset: window overflow": lambda world, client: open_then(client, window_overflow),
    "made you reset: data behind the end": lambda world, client: open_then(client, data_after_end, True),
    "made you reset: a head behind the end": lambda world, client: open_then(client, head_after_end, True),
    "made you reset: a stream that depends on itself": lambda world, client: open_then(client, self_dependency),
    "made you reset: priority of a wrong length": lambda world, client: open_then(client, priority_length),
    "malformed requests": lambda world, client: (lambda: b"".join(
        h2.frame(h2.HEADERS, h2.END_HEADERS | h2.END_STREAM, numbers(client), h2.block(h2.pseudo()[:2]))
        for _ in range(20))),
    "settings": lambda world, client: (lambda: h2.settings([(h2.INITIAL_WINDOW_SIZE, 1000)]) * 50),
    "empty settings": lambda world, client: (lambda: h2.settings() * 50),
    "ping": lambda world, client: (lambda: h2.frame(h2.PING, 0, 0, b"flooding") * 100),
    "ping acknowledgements": lambda world, client: (lambda: h2.frame(h2.PING, h2.ACK, 0, b"flooding") * 100),
    "priority": lambda world, client: (lambda: h2.frame(h2.PRIORITY, 0, 2 * 1001 + 1, b"\0\0\0\0\x10") * 100),
    "window updates": lambda world, client: (lambda: h2.window_update(0, 1) * 100),
    "unknown frames": lambda world, client: (lambda: h2.frame(0xbe, 0, 0, b"") * 100),
    "resets of closed streams": lambda world, client: (lambda: h2.rst(1) * 100),
}
# nghttp2 closes these at once: a connection error is dearer than the budget.
OTHER_CODES = {
    "malformed requests": (h2.ENHANCE_YOUR_CALM, h2.PROTOCOL_ERROR),  # over the concurrent streams, too
    "made you reset: window overflow": (h2.ENHANCE_YOUR_CALM, h2.PROTOCOL_ERROR),  # the same
    "made you reset: data behind the end": (h2.ENHANCE_YOUR_CALM, h2.STREAM_CLOSED, h2.PROTOCOL_ERROR),
    "made you reset: a head behind the end": (h2.ENHANCE_YOUR_CALM, h2.STREAM_CLOSED, h2.PROTOCOL_ERROR),
    "made you reset: window update of zero": (h2.ENHANCE_YOUR_CALM, h2.PROTOCOL_ERROR),
    "made you reset: a stream that depends on itself": (h2.ENHANCE_YOUR_CALM, h2.PROTOCOL_ERROR),
    "made you reset: priority of a wrong length": (h2.ENHANCE_YOUR_CALM, h2.FRAME_SIZE_ERROR),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_flood(world, gate, upstream, name):
    with bounded(world, gate), h2.connect(world, gate) as client:
        if name == "resets of closed streams":
            client.answer(client.request(h2.pseudo()))
        code = flood(client, ATTACKS[name](world, client))
        assert code in OTHER_CODES.get(name, (h2.ENHANCE_YOUR_CALM,)), code


def test_the_budget_is_counted(world, start):
    gate, _ = start()
    with h2.connect(world, gate) as client:
        assert flood(client, ATTACKS["rapid reset"](world, client)) in (h2.ENHANCE_YOUR_CALM, None)
    assert gate.metric("popgate_limits_hit_total", limit="misbehaviour") == 1
    assert gate.wait_log(event="http2", reason="too much misbehaviour")


def test_rapid_reset_of_good_requests(world, start):
    """Each costs the attacker a signature, and the service nothing that stays."""
    gate, upstream = start()
    with h2.connect(world, gate) as client:
        heads = []
        for i in range(300):
            number, data = client.head(h2.fields(world, "GET", f"/{i}"))
            heads.append(data + h2.rst(number))
        parts = iter(heads)
        assert flood(client, lambda: next(parts, b"")) == h2.ENHANCE_YOUR_CALM


def test_cancelling_now_and_then_is_no_misbehaviour(world, gate):
    with h2.connect(world, gate) as client:
        for i in range(150):
            number, data = client.head(h2.fields(world, "GET", f"/{i}"))
            client.send(data + (h2.rst(number) if i % 10 == 0 else b""))
            if i % 10:
                assert client.answer(number).status == 200
        assert client.alive() and client.goaway is None


# ---- heads ----

def test_continuation_flood_without_bytes(world, gate):
    with bounded(world, gate), h2.connect(world, gate) as client:
        client.until(lambda: client.acks)
        number = client.open()
        client.send(h2.frame(h2.HEADERS, h2.END_STREAM, number, h2.block(h2.pseudo())))
        code = flood(client, lambda: h2.frame(h2.CONTINUATION, 0, number) * 50)
        assert code == h2.ENHANCE_YOUR_CALM


def test_continuation_flood_with_bytes(world, gate):
    with bounded(world, gate), h2.connect(world, gate) as client:
        client.until(lambda: client.acks)
        number = client.open()
        client.send(h2.frame(h2.HEADERS, h2.END_STREAM, number, h2.block(h2.pseudo())))
        part = h2.block([("x-pad", "p" * 4000)] * 4)
        assert flood(client, lambda: h2.frame(h2.CONTINUATION, 0, number, part)) == h2.ENHANCE_YOUR_CALM


def test_a_head_in_a_few_pieces_is_served(world, gate):
    with h2.connect(world, gate) as client:
        client.until(lambda: client.acks)
        data = h2.block(h2.fields(world))
        number, size = client.open(), len(data) // 5 + 1
        parts = [data[i:i + size] for i in range(0, len(data), size)]
        client.send(b"".join(
            h2.frame(h2.CONTINUATION if i else h2.HEADERS,
                     (0 if i else h2.END_STREAM) | (h2.END_HEADERS if i == len(parts) - 1 else 0), number, part)
            for i, part in enumerate(parts)))
        assert client.answer(number).status == 200


def indexed(client, value, times, name="x-bomb"):
    """One entry into the dynamic table, then references to it, a byte each."""
    entry = b"\x40" + h2.string(name) + h2.string(value)
    return h2.block(h2.pseudo()) + entry + b"\xbe" * times


@pytest.mark.parametrize("name,value,times", [
    ("x-bomb", "b" * 3900, 16000), ("x-bomb", "", 16000), ("cookie", "c" * 3900, 16000), ("cookie", "", 16000)])
def test_hpack_bomb(world, gate, name, value, times):
    with bounded(world, gate), h2.connect(world, gate) as client:
        client.until(lambda: client.acks)
        data, number = indexed(client, value, times, name), client.open()
        first, rest = data[:16384], data[16384:]
        client.send(h2.frame(h2.HEADERS, h2.END_STREAM | (0 if rest else h2.END_HEADERS), number, first)
                    + (h2.frame(h2.CONTINUATION, h2.END_HEADERS, number, rest) if rest else b""))
        assert client.dies() == h2.ENHANCE_YOUR_CALM


def test_a_bomb_below_the_excess_is_431(world, gate):
    with h2.connect(world, gate) as client:
        client.until(lambda: client.acks)
        number = client.open()
        client.send(h2.frame(h2.HEADERS, h2.END_STREAM | h2.END_HEADERS, number, indexed(client, "b" * 1000, 60)))
        assert client.answer(number).status == 431
        assert client.answer(client.request(h2.fields(world))).status == 200


@pytest.mark.parametrize("name,data", [
    ("an integer that overflows", b"\x00\x7f" + b"\xff" * 10 + b"\x7f"),
    ("an index that overflows", b"\xff" + b"\xff" * 10 + b"\x7f"),
    ("an index out of range", b"\xfe"), ("a name's index out of range", b"\x7e\x01a"),
    ("padding of Huffman that is zeros", b"\x00\x81\x18\x01a"), ("index zero", b"\x80"),
    ("a table size over the limit", b"\x3f\xe1\xff\x03"), ("a size update behind a field", b"\x82\x3f\xe1\x1f"),
    ("a string that is longer than the block", b"\x00\x05abc"), ("padding of Huffman that is too long", b"\x00\x82\xff\xff\x01a"),
    ("EOS in Huffman", b"\x00\x84\xff\xff\xff\xff\x01a")])
def test_hpack_errors_end_the_connection(world, gate, name, data):
    with h2.connect(world, gate) as client:
        client.until(lambda: client.acks)
        client.send(h2.frame(h2.HEADERS, h2.END_STREAM | h2.END_HEADERS, client.open(), data))
        assert client.dies() in (h2.COMPRESSION_ERROR, h2.PROTOCOL_ERROR)


# ---- bodies ----

def test_empty_data(world, gate):
    with bounded(world, gate), h2.connect(world, gate) as client:
        client.until(lambda: client.acks)
        number, data = client.head(h2.fields(world, "POST", "/"), end=False)
        client.send(data)
        assert flood(client, lambda: h2.frame(h2.DATA, 0, number) * 50) == h2.ENHANCE_YOUR_CALM


def test_data_of_padding_alone(world, gate):
    with bounded(world, gate), h2.connect(world, gate) as client:
        client.until(lambda: client.acks)
        number, data = client.head(h2.fields(world, "POST", "/"), end=False)
        client.send(data)
        padded = h2.frame(h2.DATA, h2.PADDED, number, b"\x08" + b"\0" * 8)
        assert flood(client, lambda: padded * 50) in (h2.ENHANCE_YOUR_CALM, h2.FLOW_CONTROL_ERROR)


def test_more_than_the_window(world, start):
    stop = threading.Event()

    def never(stream):
        stop.wait(20)

    gate, _ = start(raw=never)
    with bounded_only(gate), h2.connect(world, gate) as client:
        client.until(lambda: client.acks)
        number, data = client.head(h2.fields(world, "POST", "/"), end=False)
        client.send(data)
        chunk = h2.frame(h2.DATA, 0, number, b"x" * 16384)
        answer = client.answers[number]
        for _ in range(100):  # 32 MiB: more than the kernel takes for a service that does not read
            client.send(chunk * 20)
            with contextlib.suppress(TimeoutError):
                client.step(0.01)
            if answer.reset is not None or client.goaway or client.ended:
                break
        client.until(lambda: answer.reset is not None or client.goaway, 5)
        assert answer.reset == h2.FLOW_CONTROL_ERROR or client.goaway[1] == h2.FLOW_CONTROL_ERROR
    stop.set()


@contextlib.contextmanager
def bounded_only(gate, bound=BOUND):
    before, peak, stop = resident(gate), [], threading.Event()
    watcher = threading.Thread(target=watch, args=(gate, stop, peak), daemon=True)
    watcher.start()
    yield
    stop.set()
    watcher.join()
    from harness.gate import SANITIZED
    if not SANITIZED:
        assert max(peak) - before < bound, (before, max(peak))


def test_half_open_streams(world, start):
    """All streams of a connection opened, none ended: they hold their own memory and no more, and time out."""
    gate, upstream = start(timeouts={"body_progress": "1s"})
    with bounded_only(gate, 16 << 20), h2.connect(world, gate) as client:
        client.until(lambda: client.acks)
        heads = [client.head(h2.fields(world, "POST", f"/{i}"), end=False) for i in range(128)]
        client.send(b"".join(data for _, data in heads))
        for number, _ in heads:
            assert client.answer(number, 15).status == 408
        assert client.goaway is None or client.goaway[1] == h2.ENHANCE_YOUR_CALM


def test_windows_that_stay_shut_on_every_stream(world, start):
    """128 answers of a megabyte that nobody takes: the service is paused, the memory is bounded."""
    body = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"s" * 1000000
    gate, _ = start(handler=lambda *_: body, timeouts={"body_progress": "2s"})
    with bounded_only(gate, 32 << 20), \
            h2.connect(world, gate, initial=[(h2.INITIAL_WINDOW_SIZE, 0)], auto_window=False) as client:
        client.until(lambda: client.acks)
        heads = [client.head(h2.fields(world, "GET", f"/{i}")) for i in range(100)]
        client.send(b"".join(data for _, data in heads))
        client.until(lambda: client.goaway or all(client.answers[n].reset is not None for n, _ in heads), 20)
        assert client.goaway or all(client.answers[n].reset == h2.CANCEL for n, _ in heads)
    deadline = time.monotonic() + 5
    while gate.metric("popgate_connections", side="upstream") > 0 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert gate.metric("popgate_connections", side="upstream") == 0


def test_a_client_that_reads_nothing(world, start):
    """PINGs and requests from a client that never reads: reading it stops, then it is closed."""
    gate, _ = start(timeouts={"body_progress": "1s"})
    with bounded_only(gate), h2.connect(world, gate) as client:
        client.connection.socket.settimeout(3)
        client.connection.socket.setsockopt(1, 8, 4096)
        deadline = time.monotonic() + 15
        try:
            while time.monotonic() < deadline:
                number, data = client.head(h2.pseudo("GET", "/" + "r" * 100))
                client.connection.send(data + h2.frame(h2.PING, 0, 0, b"12345678"))
        except (OSError, ValueError):
            pass
        assert time.monotonic() < deadline


def test_settings_to_zero_and_back_mid_stream(world, start):
    body = b"z" * 300000
    gate, _ = start(handler=lambda *_: b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    with h2.connect(world, gate) as client:
        client.until(lambda: client.acks)
        number = client.request(h2.fields(world))
        answer = client.answers[number]
        client.until(lambda: len(answer.body) > 50000)
        client.send(h2.settings([(h2.INITIAL_WINDOW_SIZE, 0)]) + h2.settings([(h2.INITIAL_WINDOW_SIZE, 100000)]))
        assert client.answer(number).body == body
