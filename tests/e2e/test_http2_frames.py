"""Frames as RFC 9113 sections 3 to 8 want them, one case a sentence: what h2spec asks, with bytes of our own. Malformed
messages (section 8) are in test_http2.py, floods in test_http2_abuse.py, HPACK errors there too."""

import struct

import pytest

from harness import client2 as h2

GET = h2.block(h2.pseudo())
POST = h2.block(h2.pseudo("POST"))
WHOLE = h2.END_HEADERS | h2.END_STREAM
CALM = h2.ENHANCE_YOUR_CALM


def get(stream=1, flags=WHOLE):
    return h2.frame(h2.HEADERS, flags, stream, GET)


def post(stream=1):
    return h2.frame(h2.HEADERS, h2.END_HEADERS, stream, POST)


def reserved(data):
    """The same frame with the reserved bit of its stream's number set."""
    return data[:5] + bytes([data[5] | 0x80]) + data[6:]


def setting(key, value):
    return h2.settings([(key, value)])


# name: (bytes, codes): the connection ends with one of the codes.
CONNECTION_ERRORS = {
    "4.2 DATA over SETTINGS_MAX_FRAME_SIZE": (post() + h2.frame(h2.DATA, 1, 1, b"x" * 16385), [h2.FRAME_SIZE_ERROR]),
    "4.2 HEADERS over SETTINGS_MAX_FRAME_SIZE": (h2.frame(h2.HEADERS, WHOLE, 1, b"\0" * 16385), [h2.FRAME_SIZE_ERROR]),
    "4.3 a field block that is none": (h2.frame(h2.HEADERS, WHOLE, 1, b"\x80"), [h2.COMPRESSION_ERROR]),
    "4.3 PRIORITY within a field block": (h2.frame(h2.HEADERS, 1, 1, GET) + h2.frame(h2.PRIORITY, 0, 1, b"\0\0\0\0\1"), [h2.PROTOCOL_ERROR]),
    "4.3 HEADERS of another stream within a field block": (h2.frame(h2.HEADERS, 1, 1, GET) + get(3), [h2.PROTOCOL_ERROR]),
    "5.1 idle: DATA": (h2.frame(h2.DATA, 1, 1, b"x"), [h2.PROTOCOL_ERROR, h2.STREAM_CLOSED]),
    "5.1 idle: RST_STREAM": (h2.rst(1), [h2.PROTOCOL_ERROR]),
    "5.1 idle: WINDOW_UPDATE": (h2.window_update(1, 10), [h2.PROTOCOL_ERROR]),
    "5.1 idle: CONTINUATION": (h2.frame(h2.CONTINUATION, 4, 1, GET), [h2.PROTOCOL_ERROR]),
    "5.1 half-closed: CONTINUATION": (get() + h2.frame(h2.CONTINUATION, 4, 1, GET), [h2.PROTOCOL_ERROR, h2.STREAM_CLOSED]),
    "5.1 closed by RST_STREAM: CONTINUATION": (post() + h2.rst(1) + h2.frame(h2.CONTINUATION, 4, 1, GET), [h2.PROTOCOL_ERROR, h2.STREAM_CLOSED]),
    "5.1.1 a stream with an even number": (get(2), [h2.PROTOCOL_ERROR]),
    "5.1.1 a number below the last": (post(5) + get(3), [h2.PROTOCOL_ERROR, h2.STREAM_CLOSED]),
    "5.5 an unknown frame within a field block": (h2.frame(h2.HEADERS, 1, 1, GET) + h2.frame(0xbe, 0, 1, b"x"), [h2.PROTOCOL_ERROR]),
    "6.1 DATA on stream 0": (h2.frame(h2.DATA, 1, 0, b"x"), [h2.PROTOCOL_ERROR]),
    "6.1 DATA with more padding than frame": (post() + h2.frame(h2.DATA, 9, 1, b"\x09abc"), [h2.PROTOCOL_ERROR]),
    "6.2 HEADERS on stream 0": (get(0), [h2.PROTOCOL_ERROR]),
    "6.2 HEADERS with more padding than frame": (h2.frame(h2.HEADERS, WHOLE | 8, 1, b"\xff" + GET), [h2.PROTOCOL_ERROR]),
    "6.2 HEADERS too short for its priority": (h2.frame(h2.HEADERS, WHOLE | 32, 1, b"\0\0"), [h2.FRAME_SIZE_ERROR, h2.PROTOCOL_ERROR]),
    "6.3 PRIORITY on stream 0": (h2.frame(h2.PRIORITY, 0, 0, b"\0\0\0\0\1"), [h2.PROTOCOL_ERROR]),
    "6.3 PRIORITY of a wrong length": (post() + h2.frame(h2.PRIORITY, 0, 1, b"\0\0\0\0"), [h2.FRAME_SIZE_ERROR]),
    "6.4 RST_STREAM on stream 0": (h2.rst(0), [h2.PROTOCOL_ERROR]),
    "6.4 RST_STREAM of a wrong length": (post() + h2.frame(h2.RST_STREAM, 0, 1, b"\0\0\0"), [h2.FRAME_SIZE_ERROR]),
    "6.5 SETTINGS acknowledged with a payload": (h2.frame(h2.SETTINGS, 1, 0, b"\0\0\0\0\0\0"), [h2.FRAME_SIZE_ERROR]),
    "6.5 SETTINGS on a stream": (h2.frame(h2.SETTINGS, 0, 1, b""), [h2.PROTOCOL_ERROR]),
    "6.5 SETTINGS of a wrong length": (h2.frame(h2.SETTINGS, 0, 0, b"\0\0\0"), [h2.FRAME_SIZE_ERROR]),
    "6.5.2 ENABLE_PUSH of 2": (setting(h2.ENABLE_PUSH, 2), [h2.PROTOCOL_ERROR]),
    "6.5.2 INITIAL_WINDOW_SIZE over the largest": (setting(h2.INITIAL_WINDOW_SIZE, 1 << 31), [h2.FLOW_CONTROL_ERROR]),
    "6.5.2 MAX_FRAME_SIZE below the least": (setting(h2.MAX_FRAME_SIZE, 16383), [h2.PROTOCOL_ERROR]),
    "6.5.2 MAX_FRAME_SIZE over the largest": (setting(h2.MAX_FRAME_SIZE, 1 << 24), [h2.PROTOCOL_ERROR]),
    "6.6 PUSH_PROMISE from a client": (post() + h2.frame(h2.PUSH_PROMISE, 4, 1, b"\0\0\0\2" + GET), [h2.PROTOCOL_ERROR]),
    "6.7 PING on a stream": (h2.frame(h2.PING, 0, 1, b"12345678"), [h2.PROTOCOL_ERROR]),
    "6.7 PING of a wrong length": (h2.frame(h2.PING, 0, 0, b"123456"), [h2.FRAME_SIZE_ERROR]),
    "6.8 GOAWAY on a stream": (h2.frame(h2.GOAWAY, 0, 1, b"\0" * 8), [h2.PROTOCOL_ERROR]),
    "6.8 GOAWAY of a wrong length": (h2.frame(h2.GOAWAY, 0, 0, b"\0" * 7), [h2.FRAME_SIZE_ERROR]),
    "6.9 WINDOW_UPDATE of zero on the connection": (h2.window_update(0, 0), [h2.PROTOCOL_ERROR]),
    "6.9 WINDOW_UPDATE of a wrong length": (h2.frame(h2.WINDOW_UPDATE, 0, 0, b"\0\0\1"), [h2.FRAME_SIZE_ERROR]),
    "6.9.1 the connection's window overflows": (h2.window_update(0, 0x7fffffff), [h2.FLOW_CONTROL_ERROR]),
    "6.10 CONTINUATION on stream 0": (h2.frame(h2.HEADERS, 1, 1, GET) + h2.frame(h2.CONTINUATION, 4, 0, b""), [h2.PROTOCOL_ERROR]),
    "6.10 CONTINUATION behind END_HEADERS": (post() + h2.frame(h2.CONTINUATION, 4, 1, b""), [h2.PROTOCOL_ERROR]),
    "6.10 CONTINUATION behind CONTINUATION with END_HEADERS": (h2.frame(h2.HEADERS, 0, 1, POST[:5]) + h2.frame(h2.CONTINUATION, 4, 1, POST[5:])
                                                              + h2.frame(h2.CONTINUATION, 4, 1, b""), [h2.PROTOCOL_ERROR]),
    "6.10 CONTINUATION behind DATA": (post() + h2.frame(h2.DATA, 0, 1, b"x") + h2.frame(h2.CONTINUATION, 4, 1, b""), [h2.PROTOCOL_ERROR]),
    "6.10 DATA within a field block": (h2.frame(h2.HEADERS, 0, 1, POST) + h2.frame(h2.DATA, 1, 1, b"x"), [h2.PROTOCOL_ERROR]),
}

# The stream ends with one of the codes, or the connection does.
STREAM_ERRORS = {
    "5.1 half-closed: DATA": (get() + h2.frame(h2.DATA, 1, 1, b"x"), [h2.STREAM_CLOSED]),
    "5.1 half-closed: HEADERS": (get() + get(), [h2.STREAM_CLOSED]),
    "5.1 closed by RST_STREAM: HEADERS": (post() + h2.rst(1) + get(), [h2.STREAM_CLOSED]),
    "6.9 WINDOW_UPDATE of zero on a stream": (post() + h2.window_update(1, 0), [h2.PROTOCOL_ERROR]),
    "6.9.1 a stream's window overflows": (post() + h2.window_update(1, 0x7fffffff), [h2.FLOW_CONTROL_ERROR]),
    "8.1 HEADERS behind the body without an end": (post() + h2.frame(h2.DATA, 0, 1, b"x") + h2.frame(h2.HEADERS, 4, 1, h2.block([("x", "1")])),
                                                   [h2.PROTOCOL_ERROR]),
}

# Nothing comes of it, and requests are served.
HARMLESS = {
    "4.1 a frame of an unknown type": h2.frame(0x16, 0, 0, b"unknown"),
    "4.1 flags that are not defined": h2.frame(h2.PING, 0x16, 0, b"12345678"),
    "4.1 the reserved bit": reserved(h2.frame(h2.PING, 0, 0, b"12345678")),
    "5.1 idle: PRIORITY": h2.frame(h2.PRIORITY, 0, 99, b"\0\0\0\0\1"),
    "5.1 closed: RST_STREAM": post(1) + h2.rst(1) + h2.rst(1),
    "5.1 closed: WINDOW_UPDATE": post(1) + h2.rst(1) + h2.window_update(1, 10),
    "5.1 closed: PRIORITY": post(1) + h2.rst(1) + h2.frame(h2.PRIORITY, 0, 1, b"\0\0\0\0\1"),
    "5.1 closed by RST_STREAM: DATA": post(1) + h2.rst(1) + h2.frame(h2.DATA, 1, 1, b"x"),
    "5.1 half-closed: WINDOW_UPDATE": get(1) + h2.window_update(1, 10),
    "5.1 half-closed: PRIORITY": get(1) + h2.frame(h2.PRIORITY, 0, 1, b"\0\0\0\0\1"),
    "5.1 half-closed: RST_STREAM": get(1) + h2.rst(1),
    "5.3 PRIORITY of weight 1": h2.frame(h2.PRIORITY, 0, 1, b"\0\0\0\0\0"),
    "5.3 PRIORITY of weight 256": h2.frame(h2.PRIORITY, 0, 1, b"\0\0\0\0\xff"),
    "5.3 PRIORITY with a dependency": h2.frame(h2.PRIORITY, 0, 1, b"\0\0\0\3\xff"),
    "5.3 PRIORITY that is exclusive": h2.frame(h2.PRIORITY, 0, 1, b"\x80\0\0\3\xff"),
    "5.3 PRIORITY of an idle stream, then HEADERS of a lower one": h2.frame(h2.PRIORITY, 0, 99, b"\0\0\0\0\1") + get(1),
    "5.3.1 priority in HEADERS": h2.frame(h2.HEADERS, WHOLE | 32, 1, b"\0\0\0\0\x10" + GET),
    "5.5 an unknown frame on a stream": post(1) + h2.frame(0xbe, 0, 1, b"x") + h2.rst(1),
    "6.1 DATA with padding": post(1) + h2.frame(h2.DATA, 9, 1, b"\x03abc\0\0\0"),
    "6.2 HEADERS with padding": h2.frame(h2.HEADERS, WHOLE | 8, 1, b"\x03" + GET + b"\0\0\0"),
    "6.5.2 a setting that is not known": setting(0xff, 1),
    "6.5.2 MAX_FRAME_SIZE at its least": setting(h2.MAX_FRAME_SIZE, 16384),
    "6.5.2 MAX_FRAME_SIZE at its largest": setting(h2.MAX_FRAME_SIZE, (1 << 24) - 1),
    "6.5.2 HEADER_TABLE_SIZE of zero": setting(h2.HEADER_TABLE_SIZE, 0),
    "6.5.2 the same setting twice": h2.settings([(h2.INITIAL_WINDOW_SIZE, 1), (h2.INITIAL_WINDOW_SIZE, 65535)]),
    "6.7 PING that acknowledges nothing": h2.frame(h2.PING, h2.ACK, 0, b"invalid!"),
    "7 RST_STREAM with an unknown code": post(1) + h2.rst(1, 0xff),
    "6.10 a head in three frames": h2.frame(h2.HEADERS, 1, 1, GET[:5]) + h2.frame(h2.CONTINUATION, 0, 1, GET[5:9]) + h2.frame(h2.CONTINUATION, 4, 1, GET[9:]),
    "6.9.1 windows at their largest": h2.window_update(0, 0x7fffffff - 65535),
}


def begun(world, gate):
    client = h2.connect(world, gate)
    client.until(lambda: client.acks and client.settings)
    assert client.alive()
    return client


@pytest.mark.parametrize("name", CONNECTION_ERRORS)
def test_connection_error(world, gate, name):
    data, codes = CONNECTION_ERRORS[name]
    with begun(world, gate) as client:
        client.send(data)
        assert client.dies() in codes


@pytest.mark.parametrize("name", STREAM_ERRORS)
def test_stream_error(world, gate, name):
    data, codes = STREAM_ERRORS[name]
    with begun(world, gate) as client:
        client.open()
        answer = client.answers[1]
        client.send(data)
        client.until(lambda: answer.reset is not None and answer.reset in codes or client.goaway or client.ended, 5)
        assert (client.goaway[1] if client.goaway else answer.reset) in codes, (answer, client.goaway)


@pytest.mark.parametrize("name,frame", [
    ("DATA", h2.frame(h2.DATA, 1, 1, b"x")), ("HEADERS", get()), ("CONTINUATION", h2.frame(h2.CONTINUATION, 4, 1, GET))])
def test_5_1_closed_is_closed(world, gate, name, frame):
    """Both have ended, and the stream is no more. DATA may have crossed a RST_STREAM: it is passed over, and reaches nobody."""
    with begun(world, gate) as client:
        number = client.request(h2.fields(world))
        assert number == 1 and client.answer(number).status == 200
        assert client.alive()
        client.send(frame)
        if name == "DATA":
            assert client.alive() and len(client.answers[1].heads) == 1
        else:
            assert client.dies() in (h2.STREAM_CLOSED, h2.PROTOCOL_ERROR)


@pytest.mark.parametrize("name", HARMLESS)
def test_harmless(world, gate, name):
    with begun(world, gate) as client:
        client.next_stream = 101
        client.send(HARMLESS[name])
        answer = client.answer(client.request(h2.fields(world)))
        assert answer.status == 200 and client.alive() and client.goaway is None


@pytest.mark.parametrize("preface", [b"INVALID CONNECTION PREFACE\r\n\r\n", h2.PREFACE[:10] + b"x" * 14,
                                     h2.PREFACE + h2.frame(h2.PING, 0, 0, b"12345678")])
def test_3_4_a_bad_preface_ends_the_connection(world, gate, preface):
    with h2.connect(world, gate, preface=False) as client:
        client.send(preface)
        assert client.dies() in (h2.PROTOCOL_ERROR, None)


def test_3_4_the_gate_begins_with_settings(world, gate):
    with h2.connect(world, gate, preface=False) as client:
        assert client.step() and client.frames[0][0] == h2.SETTINGS and client.frames[0][1] == 0


def test_4_2_data_of_exactly_the_largest_frame(world, gate):
    with begun(world, gate) as client:
        assert client.answer(client.request(h2.fields(world, "POST", "/"), body=b"x" * 16384)).status == 200


def test_6_5_3_settings_are_acknowledged(world, gate):
    with begun(world, gate) as client:
        before = client.acks
        client.send(h2.settings([(h2.INITIAL_WINDOW_SIZE, 100)]))
        assert client.until(lambda: client.acks == before + 1)


def test_6_7_ping_is_answered_with_the_same_bytes(world, gate):
    with begun(world, gate) as client:
        client.send(h2.frame(h2.PING, 0, 0, b"opaque!!"))
        assert client.until(lambda: b"opaque!!" in client.pongs)


def test_6_9_2_the_initial_window_moves_open_streams(world, gate):
    with h2.connect(world, gate, initial=[(h2.INITIAL_WINDOW_SIZE, 0)]) as client:
        client.until(lambda: client.acks)
        number = client.request(h2.fields(world))
        answer = client.answers[number]
        assert client.until(lambda: answer.heads) and answer.body == b""
        client.send(h2.settings([(h2.INITIAL_WINDOW_SIZE, 1)]))
        assert client.until(lambda: answer.body == b"h")
        client.auto_window = False
        client.send(h2.settings([(h2.INITIAL_WINDOW_SIZE, 0)]) + h2.window_update(number, 2)
                    + h2.settings([(h2.INITIAL_WINDOW_SIZE, 65535)]))
        assert client.answer(number).body == b"hello /"


def test_7_goaway_with_an_unknown_code(world, gate):
    with begun(world, gate) as client:
        number, data = client.head(h2.fields(world))
        client.send(data + h2.frame(h2.GOAWAY, 0, 0, struct.pack(">II", 0, 0xff)))
        assert client.answer(number).status == 200
        assert client.dies() in (h2.NO_ERROR, None), "what was in progress is done, and nothing more will come"


def test_6_8_requests_go_on_after_the_clients_goaway(world, gate):
    with begun(world, gate) as client:
        number, data = client.head(h2.fields(world))
        client.send(data + h2.frame(h2.GOAWAY, 0, 0, struct.pack(">II", 0, 0)))
        assert client.answer(number).status == 200


# RFC 7541 section 6: each representation of a field, name and value plain and in Huffman's code ("a" is five bits, 00011).
PLAIN, HUFFMAN = b"\x01a", b"\x81\x1f"
REPRESENTATIONS = {
    "6.1 indexed": b"\x90",  # accept-encoding: gzip, deflate
    "6.2.1 incremental indexing, indexed name": b"\x50" + PLAIN,
    "6.2.1 incremental indexing, indexed name, Huffman": b"\x50" + HUFFMAN,
    "6.2.1 incremental indexing, new name": b"\x40" + PLAIN + PLAIN,
    "6.2.1 incremental indexing, new name, Huffman": b"\x40" + HUFFMAN + HUFFMAN,
    "6.2.2 without indexing, indexed name": b"\x0f\x01" + PLAIN,
    "6.2.2 without indexing, indexed name, Huffman": b"\x0f\x01" + HUFFMAN,
    "6.2.2 without indexing, new name": b"\x00" + PLAIN + PLAIN,
    "6.2.2 without indexing, new name, Huffman": b"\x00" + HUFFMAN + HUFFMAN,
    "6.2.3 never indexed, indexed name": b"\x1f\x01" + PLAIN,
    "6.2.3 never indexed, indexed name, Huffman": b"\x1f\x01" + HUFFMAN,
    "6.2.3 never indexed, new name": b"\x10" + PLAIN + PLAIN,
    "6.2.3 never indexed, new name, Huffman": b"\x10" + HUFFMAN + HUFFMAN,
}


@pytest.mark.parametrize("name", REPRESENTATIONS)
def test_a_field_in_every_representation(world, gate, upstream, name):
    field = REPRESENTATIONS[name]
    with begun(world, gate) as client:
        for _ in range(2):
            number = client.open()
            client.send(h2.frame(h2.HEADERS, WHOLE, number, h2.block(h2.fields(world)) + field))
            assert client.answer(number).status == 200
        if b"\x40" == field[:1]:
            number = client.open()  # and from the table, where it stands first
            client.send(h2.frame(h2.HEADERS, WHOLE, number, h2.block(h2.fields(world)) + b"\xbe"))
            assert client.answer(number).status == 200
    for seen in upstream.take():
        if name == "6.1 indexed":
            assert seen.get("accept-encoding") == "gzip, deflate"
        else:
            assert seen.get("a" if "new name" in name else "accept-encoding") == "a"


@pytest.mark.parametrize("updates", [b"\x3f\xe1\x1f", b"\x20", b"\x20\x3f\xe1\x1f"])
def test_6_3_size_updates_at_the_beginning(world, gate, updates):
    with begun(world, gate) as client:
        for _ in range(2):
            number = client.open()
            client.send(h2.frame(h2.HEADERS, WHOLE, number, updates + h2.block(h2.fields(world))))
            assert client.answer(number).status == 200
