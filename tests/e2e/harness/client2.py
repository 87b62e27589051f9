"""An HTTP/2 client over TLS that writes frames as bytes: whatever a test can think of, legal or not. HPACK is
python3-hpack's for what should be well formed, and literal bytes for what should not."""

import socket
import struct
import time

from hpack import Decoder, Encoder

from .client import Closed, Connection, context

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR = 0, 1, 2, 3
STREAM_CLOSED, FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL, COMPRESSION_ERROR = 5, 6, 7, 8, 9
ENHANCE_YOUR_CALM = 11
END_STREAM, ACK, END_HEADERS, PADDED, WITH_PRIORITY = 1, 1, 4, 8, 32
HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, \
    MAX_HEADER_LIST_SIZE = range(1, 7)
ENABLE_CONNECT_PROTOCOL = 8


def frame(kind, flags=0, stream=0, payload=b"", length=None):
    size = len(payload) if length is None else length
    return struct.pack(">I", size)[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def settings(values=(), ack=False):
    return frame(SETTINGS, ACK if ack else 0, 0, b"".join(struct.pack(">HI", k, v) for k, v in values))


def window_update(stream, increment):
    return frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", increment))


def rst(stream, code=CANCEL):
    return frame(RST_STREAM, 0, stream, struct.pack(">I", code))


def string(text, size=None):
    """An HPACK string without Huffman."""
    text = text if isinstance(text, bytes) else text.encode("latin-1")
    return integer(len(text) if size is None else size, 7) + text


def integer(value, bits, first=0):
    limit = (1 << bits) - 1
    if value < limit:
        return bytes([first | value])
    out, value = [first | limit], value - limit
    while value >= 128:
        out.append(value % 128 + 128)
        value //= 128
    return bytes(out + [value])


def literal(name, value):
    """A field as a literal without indexing, its name as it is given."""
    return b"\x00" + string(name) + string(value)


def block(fields):
    return b"".join(literal(name, value) for name, value in fields)


def pseudo(method="GET", path="/", authority="orders.example.com", scheme="https"):
    return [(":method", method), (":scheme", scheme), (":authority", authority), (":path", path)]


class Answer:
    def __init__(self):
        self.heads, self.body, self.ended, self.reset = [], b"", False, None
        self.trailers = None

    @property
    def headers(self):
        return self.heads[-1] if self.heads else []

    @property
    def status(self):
        value = self.get(":status")
        return int(value) if value else None

    def all(self, name):
        return [v for k, v in self.headers if k == name]

    def get(self, name):
        values = self.all(name)
        assert len(values) <= 1, f"{name} came {len(values)} times"
        return values[0] if values else None

    def __repr__(self):
        return f"<{self.headers} {self.body[:100]!r} ended={self.ended} reset={self.reset}>"


class Client:
    """Reads everything, keeps the windows open unless told otherwise."""

    def __init__(self, port, tls, *, preface=True, initial=(), auto_window=True, **options):
        self.connection = Connection(port, tls, **options)
        assert self.connection.socket.selected_alpn_protocol() == "h2"
        self.encoder, self.decoder = Encoder(), Decoder()
        self.decoder.max_header_list_size = 1 << 20
        self.next_stream, self.answers, self.frames = 1, {}, []
        self.goaway, self.auto_window, self.settings, self.acks, self.pongs = None, auto_window, {}, 0, []
        self.windows = {}
        self.ended = False
        if preface:
            self.send(PREFACE + settings(initial))

    def send(self, data):
        try:
            self.connection.send(data)
        except (OSError, ValueError):
            self.ended = True

    def open(self):
        number, self.next_stream = self.next_stream, self.next_stream + 2
        self.answers[number] = Answer()
        return number

    def head(self, fields, end=True, flags=0, stream=None):
        """HEADERS for a new stream, encoded by python3-hpack."""
        number = stream or self.open()
        data = self.encoder.encode([(k, v) for k, v in fields])
        return number, frame(HEADERS, END_HEADERS | (END_STREAM if end else 0) | flags, number, data)

    def request(self, fields, body=None, trailers=None):
        number, data = self.head(fields, end=body is None and trailers is None)
        if body is not None:
            parts = [body[i:i + 16384] for i in range(0, len(body), 16384)] or [b""]
            for i, part in enumerate(parts):
                last = i == len(parts) - 1 and trailers is None
                data += frame(DATA, END_STREAM if last else 0, number, part)
        if trailers is not None:
            data += frame(HEADERS, END_HEADERS | END_STREAM, number, self.encoder.encode(trailers))
        self.send(data)
        return number

    def raw(self, fields, end=True):
        """HEADERS whose block is literal: the names are as given."""
        number = self.open()
        self.send(frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), number, block(fields)))
        return number

    # ---- reading ----

    def _frame(self):
        head = self.connection._exactly(9)
        size = int.from_bytes(head[:3], "big")
        kind, flags, stream = head[3], head[4], int.from_bytes(head[5:9], "big") & 0x7fffffff
        return kind, flags, stream, self.connection._exactly(size)

    def step(self, timeout=10):
        """Takes in one frame; False when the connection has ended."""
        self.connection.socket.settimeout(timeout)
        try:
            kind, flags, stream, payload = self._frame()
        except (Closed, ConnectionError, ValueError):
            self.ended = True
            return False
        self.frames.append((kind, flags, stream, payload))
        answer = self.answers.setdefault(stream, Answer()) if stream else None
        if kind == HEADERS:
            assert flags & END_HEADERS, "the gate's heads fit one frame here"
            fields = [(k, v) for k, v in self.decoder.decode(payload)]
            if answer.heads and answer.status >= 200:
                answer.trailers = fields
            else:
                answer.heads.append(fields)
        elif kind == DATA:
            answer.body += payload
            if self.auto_window and payload:
                self.send(window_update(0, len(payload)))
                if not flags & END_STREAM:
                    self.send(window_update(stream, len(payload)))
        elif kind == RST_STREAM:
            answer.reset = struct.unpack(">I", payload)[0]
        elif kind == GOAWAY:
            self.goaway = struct.unpack(">II", payload[:8])
        elif kind == SETTINGS:
            if flags & ACK:
                self.acks += 1
            else:
                for i in range(0, len(payload), 6):
                    key, value = struct.unpack(">HI", payload[i:i + 6])
                    self.settings[key] = value
                self.send(settings(ack=True))
        elif kind == PING and flags & ACK:
            self.pongs.append(payload)
        elif kind == WINDOW_UPDATE:
            self.windows[stream] = self.windows.get(stream, 0) + struct.unpack(">I", payload)[0]
        if kind in (HEADERS, DATA) and flags & END_STREAM:
            answer.ended = True
        return True

    def until(self, condition, timeout=10):
        deadline = time.monotonic() + timeout
        while not condition():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            try:
                if not self.step(left):
                    return bool(condition())
            except (TimeoutError, socket.timeout):
                return bool(condition())
        return True

    def answer(self, stream, timeout=10):
        """The whole answer of a stream."""
        answer = self.answers[stream]
        self.until(lambda: answer.ended or answer.reset is not None, timeout)
        assert answer.ended or answer.reset is not None, (answer, self.goaway, self.frames[-5:])
        return answer

    def dies(self, timeout=10):
        """Reads to the end of the connection; the code of the GOAWAY, or None."""
        assert self.until(lambda: self.ended, timeout), "the connection goes on"
        return self.goaway[1] if self.goaway else None

    def alive(self):
        """A PING that comes back."""
        mark = struct.pack(">d", time.monotonic())
        self.send(frame(PING, 0, 0, mark))
        return self.until(lambda: mark in self.pongs, 10) and mark in self.pongs

    def close(self):
        self.connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def tls(world, certificate="default"):
    certificate = world.client if certificate == "default" else certificate
    return context(world.authority, certificate, alpn=("h2",))


def connect(world, gate, **options):
    return Client(gate.port, tls(world), **options)


def fields(world, method="GET", path="/", extra=(), **options):
    """A good request's fields."""
    credentials = world.credentials(method, path.partition("?")[0], **options)
    return pseudo(method, path) + [(k.lower(), v) for k, v in credentials] + list(extra)


# ---- WebSocket (RFC 8441) ----

def connect_fields(world, path="/ws", extra=(), protocol="websocket", drop=(), **options):
    credentials = [(k.lower(), v) for k, v in world.credentials("CONNECT", path, **options)]
    fields = [(":method", "CONNECT"), (":protocol", protocol), (":scheme", "https"),
              (":authority", "orders.example.com"), (":path", path)]
    return ([f for f in fields if f[0] not in drop] + credentials
            + [("sec-websocket-version", "13"), ("origin", "https://orders.example.com")] + list(extra))


class Tunnel:
    """One stream of extended CONNECT: bytes in, bytes out, within the windows."""

    def __init__(self, client, fields, early=b""):
        self.client, self.seen, self.sent = client, 0, 0
        self.number, data = client.head(fields, end=False)
        if early:
            data += frame(DATA, 0, self.number, early)
        self.sent += len(early)
        client.send(data)
        self.answer = client.answers[self.number]
        client.until(lambda: self.answer.heads or self.answer.reset is not None)

    @property
    def status(self):
        return self.answer.status

    def room(self):
        client = self.client
        total = sum(getattr(client, "tunnel_bytes", {}).values())
        return min(65535 + client.windows.get(self.number, 0) - self.sent, 65535 + client.windows.get(0, 0) - total)

    def send(self, data, end=False):
        counted = self.client.__dict__.setdefault("tunnel_bytes", {})
        while data or end:
            size = min(len(data), 16384, self.room())
            if data and size <= 0:
                assert self.client.step(), "the window opens"
                continue
            last = end and size == len(data)
            self.client.send(frame(DATA, END_STREAM if last else 0, self.number, data[:size]))
            self.sent += size
            counted[self.number] = self.sent
            data = data[size:]
            if last or not data and not end:
                return

    def exactly(self, size):
        self.client.until(lambda: len(self.answer.body) - self.seen >= size or self.answer.reset is not None
                          or self.answer.ended)
        part = self.answer.body[self.seen:self.seen + size]
        assert len(part) == size, (len(part), size, self.answer.reset, self.answer.ended)
        self.seen += size
        return part

    def over(self, timeout=10):
        return self.client.until(lambda: self.answer.ended or self.answer.reset is not None, timeout)
