"""Mixed load: every kind of traffic at once, each answer checked against what was asked for, while the configuration reloads,
certificates rotate, the service restarts and clients vanish. One gate stands before a service that speaks HTTP/1.1, a second
one before one that speaks h2c: gRPC, and WebSocket by extended CONNECT."""

import base64
import collections
import hashlib
import os
import queue
import random
import signal
import socket
import ssl
import threading
import time

from . import client as clients
from . import client2 as h2
from .client import request_bytes

RESTART_SHADOW_S = 1.5  # what fails so soon after a restart of the service failed with it


def accept_for(key):
    return base64.b64encode(hashlib.sha1(key.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()).decode()


def service(request, stream):
    """Answers with the request's canary and a digest of its body; echoes behind an upgrade."""
    canary = (request.get("x-canary") or "").encode()
    if request.get("upgrade"):
        stream.socket.sendall(f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                              f"Sec-WebSocket-Accept: {accept_for(request.get('sec-websocket-key'))}\r\n\r\n".encode())
        data = stream.data
        while True:
            if data:
                stream.socket.sendall(data)
            data = stream.socket.recv(65536)
            if not data:
                return None
    size = int(request.get("x-size") or 0)
    body = canary + b" " + hashlib.sha256(request.body).hexdigest().encode() + b" " + b"x" * size
    if size % 2:
        half = len(body) // 2
        return (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n"
                % (half, body[:half], len(body) - half, body[half:]))
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


# ---- the service that speaks h2c: gRPC echoes message by message, CONNECT echoes bytes ----

def waiting(stream):
    return stream.__dict__.setdefault("waiting", queue.Queue())


def h2c_head(stream):
    """Runs on a thread of the stream's own, to its end."""
    if stream.get(":method") == "CONNECT":
        stream.respond(200, headers=[("sec-websocket-protocol", "chat")], end=False)
        trailers = None
    else:
        stream.respond(200, headers=[("content-type", "application/grpc"), ("x-canary", stream.get("x-canary") or "")], end=False)
        trailers = [("grpc-status", "0"), ("x-canary-late", stream.get("x-canary") or "")]
    while True:
        try:
            data = waiting(stream).get(timeout=20)
        except queue.Empty:
            return  # the client has vanished
        if data is None:
            break
        stream.send(data)
    if trailers is None:
        stream.send(b"", end=True)
    else:
        stream.connection.call(lambda c: c.send_headers(stream.number, trailers, end_stream=True))


def h2c_data(stream, data):
    waiting(stream).put(data)


def h2c_end(stream):
    waiting(stream).put(None)


def message(payload):
    return b"\0" + len(payload).to_bytes(4, "big") + payload


class Mixed:
    def __init__(self, world, gate, upstream, pair=None, server_leaves=(), second=None):
        """`pair`: something with write(files) for tls.crt and tls.key; `server_leaves`: what it rotates through."""
        self.world, self.gate, self.upstream = world, gate, upstream
        self.pair, self.server_leaves = pair, server_leaves
        self.second, self.h2c = second or (None, None)  # the gate before h2c, and its service
        self.tls, self.tls_h2 = world.tls(), h2.tls(world)
        self.token = world.token(payload={"exp": int(time.time()) + 7200})
        self.stop = threading.Event()
        self.lock = threading.Lock()
        self.counts, self.failures = collections.Counter(), []
        self.restarts = [0.0]
        self.forbidden = []  # what reached the service although it was refused
        self.number = 0

    # ---- one of each kind; they raise what goes wrong ----

    def canary(self):
        with self.lock:
            self.number += 1
            return f"canary-{self.number}"

    def one(self, method, path):
        canary, size = self.canary(), random.choice((0, 0, 1, 100, 4001, 70000))
        body = os.urandom(random.choice((1, 500, 40000))) if method == "POST" else b""
        headers = self.world.credentials(method, path, token=self.token) + [("X-Canary", canary), ("X-Size", str(size))]
        want = f"{canary} {hashlib.sha256(body).hexdigest()} ".encode() + b"x" * size
        return request_bytes(method, path, headers=headers, body=body), want

    def check(self, response, want):
        assert response.status == 200 and response.clean and response.body == want, (response, want[:80])

    def keep_alive(self):
        with clients.Connection(self.gate.port, self.tls) as connection:
            for _ in range(random.randrange(1, 30)):
                method = random.choice(("GET", "GET", "POST"))
                data, want = self.one(method, f"/k/{random.randrange(1000)}")
                connection.send(data)
                self.check(connection.response(method), want)
                self.counts["answers"] += 1

    def pipeline(self):
        with clients.Connection(self.gate.port, self.tls) as connection:
            asked = [self.one("GET", f"/p/{i}") for i in range(5)]
            connection.send(b"".join(data for data, _ in asked))
            for _, want in asked:
                self.check(connection.response(), want)
                self.counts["answers"] += 1

    def http2(self):
        with h2.Client(self.gate.port, self.tls_h2) as client:
            for _ in range(random.randrange(1, 4)):
                asked = []
                for i in range(random.randrange(1, 8)):
                    canary, size = self.canary(), random.choice((0, 1, 100, 4001, 70000))
                    body = os.urandom(random.choice((0, 500, 40000)))
                    method = "POST" if body else "GET"
                    fields = h2.fields(self.world, method, f"/h2/{i}", token=self.token,
                                       extra=[("x-canary", canary), ("x-size", str(size))])
                    want = f"{canary} {hashlib.sha256(body).hexdigest()} ".encode() + b"x" * size
                    asked.append((client.request(fields, body=body or None), want))
                random.shuffle(asked)
                for number, want in asked:
                    answer = client.answer(number)
                    assert answer.status == 200 and answer.reset is None and answer.body == want, (answer, want[:80])
                    self.counts["answers"] += 1

    def refused(self):
        with clients.Connection(self.gate.port, self.tls) as connection:
            data, want = self.one("GET", "/once")
            connection.send(data)
            self.check(connection.response(), want)
            for again in (data, request_bytes("GET", "/none", headers=[("X-Canary", "forbidden")]),
                          request_bytes("GET", "/other", headers=self.world.credentials("GET", "/else", token=self.token)
                                        + [("X-Canary", "forbidden")])):
                connection.send(again)
                response = connection.response()
                assert response.status == 401, response
                self.counts["refusals"] += 1

    def websocket(self):
        key = base64.b64encode(os.urandom(16)).decode()
        with clients.Connection(self.gate.port, self.tls) as connection:
            connection.send(request_bytes("GET", "/ws", headers=self.world.credentials("GET", "/ws", token=self.token) + [
                ("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"),
                ("Sec-WebSocket-Key", key)]))
            response = connection.response()
            assert response.status == 101 and response.get("sec-websocket-accept") == accept_for(key), response
            for _ in range(random.randrange(1, 20)):
                data = (self.canary() + ";").encode() * random.choice((1, 10, 500))
                connection.send(data)
                assert connection._exactly(len(data)) == data
                self.counts["messages"] += 1

    # ---- HTTP/2 to both services ----

    def tunnels(self, gate):
        with h2.Client(gate.port, self.tls_h2) as client:
            paths = [f"/ws/{i}" for i in range(random.randrange(1, 4))]
            opened = [h2.Tunnel(client, h2.connect_fields(self.world, path, token=self.token)) for path in paths]
            for tunnel in opened:
                assert tunnel.status == 200 and tunnel.answer.reset is None, tunnel.answer
            for _ in range(random.randrange(1, 10)):
                sent = [(tunnel, (self.canary() + ";").encode() * random.choice((1, 10, 500))) for tunnel in opened]
                for tunnel, data in sent:
                    tunnel.send(data)
                random.shuffle(sent)
                for tunnel, data in sent:
                    assert tunnel.exactly(len(data)) == data
                    self.counts["messages"] += 1

    def websocket_h2(self):
        self.tunnels(self.gate)

    def websocket_h2c(self):
        self.tunnels(self.second)

    def grpc_call(self, client, path, canary):
        fields = h2.fields(self.world, "POST", path, token=self.token, extra=[
            ("content-type", "application/grpc"), ("te", "trailers"), ("x-canary", canary)])
        return client.head(fields, end=False)

    def grpc_ends(self, answer, canary):
        assert answer.ended and answer.reset is None, answer
        assert dict(answer.trailers) == {"grpc-status": "0", "x-canary-late": canary}, (answer.trailers, canary)
        assert answer.get("x-canary") == canary, (answer, canary)
        self.counts["calls"] += 1

    def grpc_unary(self):
        with h2.Client(self.second.port, self.tls_h2) as client:
            asked = []
            for i in range(random.randrange(1, 6)):
                canary, payload = self.canary(), os.urandom(random.choice((0, 10, 5000)))
                number, data = self.grpc_call(client, f"/mixed.Echo/Unary{i}", canary)
                client.send(data + h2.frame(h2.DATA, h2.END_STREAM, number, message(payload)))
                asked.append((number, canary, payload))
            random.shuffle(asked)
            for number, canary, payload in asked:
                answer = client.answer(number)
                assert answer.body == message(payload), (answer, payload[:20])
                self.grpc_ends(answer, canary)

    def grpc_stream(self):
        """Both ways at once: each message comes back before the next one is sent."""
        with h2.Client(self.second.port, self.tls_h2) as client:
            canary = self.canary()
            number, data = self.grpc_call(client, "/mixed.Echo/Stream", canary)
            client.send(data)
            answer, seen = client.answers[number], b""
            for _ in range(random.randrange(1, 10)):
                part = message(self.canary().encode() * random.choice((1, 100)))
                client.send(h2.frame(h2.DATA, 0, number, part))
                seen += part
                assert client.until(lambda: len(answer.body) >= len(seen) or answer.reset is not None), answer
                assert answer.body == seen, answer
                self.counts["messages"] += 1
            client.send(h2.frame(h2.DATA, h2.END_STREAM, number))
            client.answer(number)
            self.grpc_ends(answer, canary)

    def grpc_refused(self):
        with h2.Client(self.second.port, self.tls_h2) as client:
            answer = client.answer(client.request(h2.pseudo("POST", "/mixed.Echo/Refused") + [
                ("content-type", "application/grpc"), ("te", "trailers"), ("x-canary", "forbidden")], body=message(b"")))
            assert answer.status == 200 and answer.get("grpc-status") == "16" and not answer.body, answer
            self.counts["refusals"] += 1

    def grpc_vanish(self):
        client = h2.Client(self.second.port, self.tls_h2)
        number, data = self.grpc_call(client, "/mixed.Echo/Vanish", self.canary())
        client.send(data + h2.frame(h2.DATA, 0, number, message(b"half")[:random.randrange(9)]))
        if random.random() < 0.5:
            client.send(h2.rst(number))
        client.close()
        self.counts["vanished"] += 1

    def vanish(self):
        connection = clients.Connection(self.gate.port, self.tls)
        data, _ = self.one("POST", "/vanish")
        connection.send(data[:random.randrange(1, len(data))])
        if random.random() < 0.5:
            connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.close()
        self.counts["vanished"] += 1

    # ---- all of them ----

    def near_restart(self):
        with self.lock:
            return time.monotonic() - self.restarts[-1] < RESTART_SHADOW_S

    def worker(self, kinds):
        while not self.stop.is_set():
            kind = random.choice(kinds)
            began_near = self.near_restart()
            try:
                kind()
                self.counts[kind.__name__] += 1
            except (AssertionError, clients.Closed, OSError, ssl.SSLError) as error:
                if began_near or self.near_restart():
                    self.counts["failed with the service"] += 1
                else:
                    with self.lock:
                        self.failures.append(f"{kind.__name__}: {error!r}")

    def take(self):
        for service in (self.upstream, self.h2c):
            taken = service.take() if service else []
            self.forbidden += [seen for seen in taken if seen.get("x-canary") == "forbidden"]

    def disturb(self):
        second = 0
        while not self.stop.wait(1):
            second += 1
            self.take()
            self.gate.signal(signal.SIGHUP)
            if self.second:
                self.second.signal(signal.SIGHUP)
            if self.pair is not None and second % 3 == 1:
                leaf = self.server_leaves[second % len(self.server_leaves)]
                self.pair.write({"tls.crt": leaf.path.read_bytes(), "tls.key": leaf.key_path.read_bytes()})
            if second % 5 == 0:
                with self.lock:
                    self.restarts.append(time.monotonic())
                self.upstream.restart()
                if self.h2c:
                    self.h2c.cut()

    def run(self, seconds, middle=None):
        kinds = [self.keep_alive, self.keep_alive, self.pipeline, self.http2, self.http2, self.refused, self.websocket,
                 self.websocket_h2, self.vanish]
        if self.second:
            kinds += [self.websocket_h2c, self.grpc_unary, self.grpc_unary, self.grpc_stream, self.grpc_refused, self.grpc_vanish]
        threads = [threading.Thread(target=self.worker, args=(kinds,)) for _ in range(6)]
        threads.append(threading.Thread(target=self.disturb))
        for thread in threads:
            thread.start()
        time.sleep(seconds / 2)
        if middle is not None:
            middle()
        time.sleep(seconds / 2)
        self.stop.set()
        for thread in threads:
            thread.join()
        self.take()
