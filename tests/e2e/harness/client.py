"""A TLS client that sends exactly the bytes it is given and reads HTTP/1.1 answers strictly."""

import socket
import ssl


# Python sets OpenSSL's option of this name, which makes a cut look like a clean end.
IGNORE_UNEXPECTED_EOF = 1 << 7


class Response:
    def __init__(self, status, reason, headers, body, clean=True):
        self.status, self.reason, self.headers, self.body = status, reason, headers, body
        self.trailers = []
        self.clean = clean  # False: the body was cut short

    def all(self, name):
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def get(self, name):
        values = self.all(name)
        assert len(values) <= 1, f"{name} came {len(values)} times"
        return values[0] if values else None

    def __repr__(self):
        return f"<{self.status} {self.headers} {self.body[:200]!r}>"


class Closed(Exception):
    """The peer ended before a whole answer came."""


def context(authority, certificate=None, *, maximum=None, minimum=None, alpn=("http/1.1",)):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.load_verify_locations(str(authority.root.path))
    made.options &= ~IGNORE_UNEXPECTED_EOF
    if certificate is not None:
        made.load_cert_chain(str(certificate.path), str(certificate.key_path))
    if minimum:
        made.minimum_version = minimum
    if maximum:
        made.maximum_version = maximum
    if alpn:
        made.set_alpn_protocols(list(alpn))
    return made


class Connection:
    def __init__(self, port, tls, server_name="orders.example.com", timeout=20, session=None):
        self.plain = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = tls.wrap_socket(self.plain, server_hostname=server_name, session=session,
                                      suppress_ragged_eofs=False)
        self.data = b""

    def send(self, data):
        self.socket.sendall(data)

    def send_pieces(self, pieces):
        for piece in pieces:
            self.socket.sendall(piece)

    def _more(self):
        try:
            part = self.socket.recv(1 << 16)
        except ssl.SSLError as error:
            if isinstance(error, ssl.SSLEOFError) or error.reason == "UNEXPECTED_EOF_WHILE_READING":
                raise Closed("cut without close_notify") from None
            raise
        except ConnectionError as error:
            raise Closed(str(error)) from None
        if not part:
            raise Closed("closed")
        self.data += part

    def _until(self, mark):
        while mark not in self.data:
            self._more()
        head, _, self.data = self.data.partition(mark)
        return head

    def _exactly(self, size):
        while len(self.data) < size:
            self._more()
        part, self.data = self.data[:size], self.data[size:]
        return part

    def response(self, method="GET", interim=False):
        """Reads one answer. 1xx answers are passed over unless `interim`."""
        while True:
            lines = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
            version, status, reason = (lines[0].split(" ", 2) + [""])[:3]
            assert version in ("HTTP/1.1", "HTTP/1.0"), lines[0]
            headers = [tuple(p.strip() for p in line.split(":", 1)) for line in lines[1:]]
            response = Response(int(status), reason, headers, b"")
            if response.status >= 200 or interim or response.status == 101:
                break
        if method == "HEAD" or response.status in (101, 204, 304) or response.status < 200:
            return response
        try:
            response.body = b""
            encodings = response.all("transfer-encoding")
            if encodings:
                assert encodings == ["chunked"] and not response.all("content-length")
                while True:
                    size = int(self._until(b"\r\n"), 16)
                    if size == 0:
                        while line := self._until(b"\r\n").decode("latin-1"):
                            response.trailers.append(tuple(p.strip() for p in line.split(":", 1)))
                        return response
                    response.body += self._exactly(size)
                    assert self._exactly(2) == b"\r\n"
            elif response.get("content-length") is not None:
                response.body = self._exactly(int(response.get("content-length")))
            else:
                while True:
                    self._more()
        except Closed as closed:
            response.body += self.data
            self.data = b""
            # Without a length only close_notify tells the end from a cut.
            until_close = not response.all("transfer-encoding") and response.get("content-length") is None
            response.clean = until_close and str(closed) == "closed"
        return response

    def closed(self, timeout=10):
        """True if the peer ends the connection without sending anything more."""
        self.socket.settimeout(timeout)
        try:
            while True:
                if self.data:
                    return False
                self._more()
        except Closed:
            return not self.data
        except (TimeoutError, socket.timeout):
            return False
        except ssl.SSLError:
            return True

    def close(self):
        try:
            self.socket.close()
        except OSError:
            pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def request_bytes(method="GET", target="/", host="orders.example.com", headers=(), body=b""):
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name}: {value}" for name, value in headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body
