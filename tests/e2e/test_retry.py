"""A pooled connection to the service that dies under a request: between being taken from the pool and the first byte that
the kernel accepts. The service resets right behind an answer, while the client's next request is already in the gate."""

import collections
import random
import socket
import threading
import time

from harness.client import request_bytes

LINGER_ZERO = b"\1\0\0\0\0\0\0\0"  # close() sends a reset


class ResettingService:
    """A raw handler: answers each request, and resets the connection a moment behind its first answer."""

    def __init__(self):
        self.seen, self.lock = collections.Counter(), threading.Lock()

    def __call__(self, stream):
        head = stream.until(b"\r\n\r\n")
        method, target, _ = head.split(b"\r\n")[0].split(b" ")
        if method == b"POST":
            stream.exactly(4)
        with self.lock:
            self.seen[target] += 1
        stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_ZERO)
        stream.socket.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(target), target))
        ends = time.perf_counter() + random.random() * 0.0006
        while time.perf_counter() < ends:
            pass


def pairs(world, gate, method, bounds, enough):
    """Sends two requests at once until `enough`; yields both answers."""
    for turn in range(bounds):
        paths = [f"/{method}/{turn}/{i}" for i in range(2)]
        body = b"body" if method == "POST" else b""
        with world.connect(gate) as connection:
            connection.send(b"".join(request_bytes(method, path, headers=world.credentials(method, path), body=body)
                                     for path in paths))
            for path in paths:
                yield path, connection.response(method)
        if enough():
            return


def closed_errors(gate):
    return gate.metric("popgate_upstream_errors_total", kind="closed")


def test_an_idempotent_request_goes_to_another_connection(world, start):
    service = ResettingService()
    gate, _ = start(raw=service)
    for path, response in pairs(world, gate, "GET", 600, lambda: closed_errors(gate) >= 3):
        assert response.status == 200 and response.body == path.encode(), path
    assert closed_errors(gate) >= 3, "the moment was hit, and no client saw it"


def test_any_other_request_that_was_sent_is_502_and_never_sent_twice(world, start):
    service = ResettingService()
    gate, _ = start(raw=service)
    failed = 0
    for path, response in pairs(world, gate, "POST", 600, lambda: failed >= 3):
        if response.status == 502:
            failed += 1
            assert service.seen[path.encode()] == 0
        else:
            assert response.status == 200 and service.seen[path.encode()] == 1
    assert failed >= 3
    assert max(service.seen.values()) == 1
