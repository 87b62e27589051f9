"""A gibibyte each way in bounded memory, digests compared; and which connections to the service are kept."""

import hashlib
import time

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
    assert SANITIZED or peak - before < 16, f"{before} -> {peak} MiB"  # sanitizers keep freed memory


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
    assert SANITIZED or peak - before < 16, f"{before} -> {peak} MiB"  # sanitizers keep freed memory


def test_a_body_byte_by_byte(world, gate, upstream):
    body = bytes(range(256))
    with world.connect(gate) as connection:
        text = clients.request_bytes("POST", "/b", headers=world.credentials("POST", "/b"), body=body)
        connection.send_pieces(bytes([b]) for b in text)
        assert connection.response("POST").status == 200
    assert upstream.take()[0].body == body


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
