"""The service behind the gate: records every request it gets, byte for byte, and answers as the test says."""

import socket
import threading


class Recorded:
    def __init__(self, head, body, connection):
        self.head, self.body, self.connection, self.trailers = head, body, connection, []
        lines = head.split(b"\r\n")
        self.method, self.target, self.version = lines[0].split(b" ")
        self.headers = [tuple(part.strip() for part in line.split(b":", 1)) for line in lines[1:] if line]

    def all(self, name):
        """Every value of a header, its name compared without case."""
        return [value.decode("latin-1") for key, value in self.headers
                if key.lower() == name.lower().encode()]

    def get(self, name):
        values = self.all(name)
        assert len(values) <= 1, f"{name} came {len(values)} times"
        return values[0] if values else None


class Broken(Exception):
    pass


class Stream:
    """A blocking reader over one accepted connection."""

    def __init__(self, connection):
        self.socket, self.data = connection, b""

    def until(self, mark, limit=1 << 20):
        while mark not in self.data:
            if len(self.data) > limit:
                raise Broken("head too large")
            more = self.socket.recv(65536)
            if not more:
                raise Broken("closed")
            self.data += more
        head, _, self.data = self.data.partition(mark)
        return head

    def exactly(self, size):
        while len(self.data) < size:
            more = self.socket.recv(1 << 18)
            if not more:
                raise Broken("closed")
            self.data += more
        part, self.data = self.data[:size], self.data[size:]
        return part


def read_body(stream, request):
    fields, headers = {}, request.headers
    for key, value in headers:
        fields.setdefault(key.lower(), []).append(value)
    if b"transfer-encoding" in fields:
        assert fields[b"transfer-encoding"] == [b"chunked"] and b"content-length" not in fields
        body = b""
        while True:
            size = int(stream.until(b"\r\n"), 16)
            if size == 0:
                while line := stream.until(b"\r\n"):
                    assert b"\n" not in line and b"\r" not in line
                    request.trailers.append(tuple(part.strip().decode("latin-1") for part in line.split(b":", 1)))
                return body
            body += stream.exactly(size)
            assert stream.exactly(2) == b"\r\n"
    lengths = fields.get(b"content-length", [])
    assert len(lengths) <= 1, "two Content-Length reached the service"
    return stream.exactly(int(lengths[0])) if lengths else b""


def ok(request, _stream):
    body = b"hello " + request.target
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


class Upstream:
    """`handler(request, stream)` returns the bytes to answer with, or None when it has dealt with the socket itself and the
    connection is over. `raw` handlers get the stream before anything is read."""

    def __init__(self, handler=ok, raw=None, path=None):
        self.requests, self.errors, self.connections = [], [], 0
        self.handler, self.raw = handler, raw
        self.open_sockets = set()
        self.lock = threading.Lock()
        if path is not None:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.bind(str(path))
            self.url = f"http+unix://{path}"
        else:
            self.socket = socket.socket()
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.socket.bind(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.socket.listen(512)
        self.stopped = False
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while not self.stopped:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with self.lock:
                self.connections += 1
                self.open_sockets.add(connection)
            threading.Thread(target=self._serve, args=(connection, self.connections),
                             daemon=True).start()

    def _serve(self, connection, number):
        stream = Stream(connection)
        try:
            while True:
                if self.raw is not None:
                    self.raw(stream)
                    return
                head = stream.until(b"\r\n\r\n")
                request = Recorded(head, b"", number)
                expect_body = self.handler is not None
                if expect_body:
                    request.body = read_body(stream, request)
                with self.lock:
                    self.requests.append(request)
                answer = self.handler(request, stream)
                if answer is None:
                    return
                connection.sendall(answer)
        except Broken:
            pass
        except (OSError, ValueError, AssertionError) as error:
            if not self.stopped and not isinstance(error, ConnectionError):
                self.errors.append(repr(error))
        finally:
            with self.lock:
                self.open_sockets.discard(connection)
            connection.close()

    def take(self):
        """The requests recorded since the last call."""
        with self.lock:
            taken, self.requests = self.requests, []
        return taken

    def restart(self):
        """Drops every connection, with a reset where a client is still writing; new ones are taken at once."""
        with self.lock:
            for connection in list(self.open_sockets):
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def stop(self):
        self.stopped = True
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()
        with self.lock:
            for connection in list(self.open_sockets):
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
