"""Every way to write one request that two readers take for two: refused, whole, byte by byte and split, alone and behind a
good request, with credentials that would pass. A body that could be read as a request carries one that would pass, too."""

import pytest

from conftest import ORIGIN
from harness.client import request_bytes
from harness.gate import SANITIZED
from harness.hostile import answers, expect_next_works, pieces_of, send, ways

HOST = b"Host: orders.example.com"
SMUGGLED = "/smuggled"
CHUNKED = b"Transfer-Encoding: chunked"


class Row:
    """`line` is the request line, `fields` the lines behind it (credentials go last), `body` what follows. `{S}` in a body is
    a whole good request for /smuggled."""

    def __init__(self, name, status=400, *, line=b"POST /x HTTP/1.1", fields=(HOST,), body=b"", raw=None,
                 method=None, path="/x"):
        self.name, self.status, self.line, self.fields, self.body = name, status, line, list(fields), body
        self.raw, self.path = raw, path
        self.method = method or line.split(b" ")[0].decode("latin-1").strip() or "GET"

    def build(self, world, token):
        proof = world.key.proof(self.method, ORIGIN + self.path, token)
        credentials = [f"Authorization: DPoP {token}".encode(), f"DPoP: {proof}".encode()]
        body = self.body
        if b"{S}" in body:
            body = body.replace(b"{S}", request_bytes("GET", SMUGGLED, headers=world.credentials(
                "GET", SMUGGLED, token=token)))
        if self.raw is not None:
            return self.raw.replace(b"{C}", b"\r\n".join(credentials)).replace(b"{S}", body)
        return b"\r\n".join([self.line, *self.fields, *credentials]) + b"\r\n\r\n" + body

    @property
    def around(self):
        """Where the trick is, about: behind the request line and the fields before the last."""
        if self.raw is not None:
            return 10
        return len(b"\r\n".join([self.line, *self.fields]))


def field(name, value, status=400, body=b"0\r\n\r\n{S}"):
    text = value if isinstance(value, bytes) else value.encode("latin-1")
    return Row(name, status, fields=[HOST, text], body=body)


def length(value, name=None):
    return field(name or f"Content-Length {value!r}", f"Content-Length: {value}")


def coding(value, status=400, name=None):
    return field(name or f"Transfer-Encoding {value!r}", f"Transfer-Encoding: {value}", status)


def chunk(name, body):
    return Row(f"chunk: {name}", fields=[HOST, CHUNKED], body=body)


def line(text, name=None, status=400, **more):
    text = text if isinstance(text, bytes) else text.encode("latin-1")
    return Row(name or f"line {text!r}", status, line=text, **more)


def host(value, status=400, name=None):
    return Row(name or f"Host {value!r}", status, fields=[b"Host: " + value])


LENGTHS = [
    Row("CL with TE", fields=[HOST, b"Content-Length: 5", CHUNKED], body=b"0\r\n\r\n{S}"),
    Row("TE with CL", fields=[HOST, CHUNKED, b"Content-Length: 5"], body=b"0\r\n\r\n{S}"),
    Row("CL 0 with TE", fields=[HOST, b"Content-Length: 0", CHUNKED], body=b"0\r\n\r\n{S}"),
    Row("CL with an unknown TE", fields=[HOST, b"Content-Length: 5", b"Transfer-Encoding: x"], body=b"0\r\n\r\n{S}"),
    Row("two equal CL", fields=[HOST, b"Content-Length: 5", b"Content-Length: 5"], body=b"0\r\n\r\n{S}"),
    Row("two CL", fields=[HOST, b"Content-Length: 0", b"Content-Length: 5"], body=b"0\r\n\r\n{S}"),
    Row("two CL, the other way", fields=[HOST, b"Content-Length: 5", b"content-length: 0"], body=b"0\r\n\r\n{S}"),
    *[length(v) for v in ("", "+5", "-0", "-5", "0x5", "5_0", "1 0", "5,5", "5, 5", "05", "00", "5.0", "5e0", "5;",
                          "\"5\"", "5\t", "\t5", "5\x0b", "5a", "a5", "five", "9223372036854775808",
                          "18446744073709551616", "18446744073709551621", "99999999999999999999999999999", "\xd9\xa2")],
    length("5\r\n 0", "Content-Length folded"),
    field("Content_Length", "Content_Length: 5"),
    field("Content.Length", "Content.Length: 5"),
    field("Content-Length with a space before the colon", "Content-Length : 5"),
]

CODINGS = [
    Row("repeated TE", fields=[HOST, CHUNKED, CHUNKED], body=b"0\r\n\r\n{S}"),
    Row("TE and another TE", fields=[HOST, CHUNKED, b"Transfer-Encoding: identity"], body=b"0\r\n\r\n{S}"),
    *[coding(v) for v in (",chunked", "chunked,", ", chunked", "chunked, chunked", "chunked, gzip", "chunked;x=1",
                          "chunked;", "\"chunked\"", "chunked\x0b", "\x0bchunked", "chunked\x0c", "chunked\x00",
                          "\x00chunked", "\tchunked", "chunked\t", "chunked chunked", "ch\x01unked", "", " ,", "chunked\x7f",
                          "chu\x08nked", "x, chunked;q=1")],
    *[coding(v, 501) for v in ("xchunked", "chunkedx", "identity", "gzip", "gzip, chunked", "identity, chunked",
                               "'chunked", "'chunked'", "deflate", "chunk-ed")],
    coding("\r\n chunked", name="Transfer-Encoding folded"),
    coding("chunked\r\n x", name="Transfer-Encoding folded behind"),
    field("Transfer-Encoding twice in two cases", "TRANSFER-encoding: Chunked\r\ntransfer-ENCODING: chunked"),
    field("Transfer_Encoding", "Transfer_Encoding: chunked"),
    field("Transfer.Encoding", "Transfer.Encoding: chunked"),
    field("Transfer-Encoding with a space before the colon", "Transfer-Encoding : chunked"),
    field("Transfer-Encoding with a tab before the colon", "Transfer-Encoding\t: chunked"),
    field("Transfer-Encoding behind a vertical tab", "\x0bTransfer-Encoding: chunked"),
    field("Transfer-Encoding behind a bare LF", "X: y\nTransfer-Encoding: chunked"),
    field("Transfer-Encoding behind a bare CR", "X: y\rTransfer-Encoding: chunked"),
    Row("Transfer-Encoding in HTTP/1.0", line=b"POST /x HTTP/1.0", fields=[HOST, CHUNKED], body=b"0\r\n\r\n{S}"),
]

CHUNKS = [
    *[chunk(f"size {size!r}", size.encode("latin-1") + b"\r\nhello\r\n0\r\n\r\n{S}") for size in (
        "+5", "-5", "0x5", " 5", "5 ", "5\t", "\t5", "5_", "00000000000000005", "FFFFFFFFFFFFFFFF", "8000000000000000",
        "10000000000000005", "5g", "g", "", "h", "\"5\"", "5,", "5\x00", "\x005", "5\x0b")],
    chunk("size ends in LF", b"5\nhello\r\n0\r\n\r\n{S}"),
    chunk("size ends in CR alone", b"5\rhello\r\n0\r\n\r\n{S}"),
    chunk("size ends in CR CR LF", b"5\r\r\nhello\r\n0\r\n\r\n{S}"),
    chunk("size ends in LF CR", b"5\n\rhello\r\n0\r\n\r\n{S}"),
    chunk("junk for the CRLF behind the data", b"5\r\nhelloXX0\r\n\r\n{S}"),
    chunk("one byte too many", b"5\r\nhello!\r\n0\r\n\r\n{S}"),
    chunk("one byte too few", b"5\r\nhell\r\n0\r\n\r\n{S}"),
    chunk("LF behind the data", b"5\r\nhello\n0\r\n\r\n{S}"),
    chunk("CR behind the data", b"5\r\nhello\r0\r\n\r\n{S}"),
    chunk("nothing behind the data", b"5\r\nhello0\r\n\r\n{S}"),
    chunk("last chunk ends in LF", b"0\n\r\n{S}"),
    chunk("the end is LF", b"0\r\n\n{S}"),
    chunk("the end is CR and something", b"0\r\n\rX{S}"),
    chunk("trailer with a bare LF", b"0\r\nX: a\nb: c\r\n\r\n{S}"),
    chunk("trailer with a bare CR", b"0\r\nX: a\rb\r\n\r\n{S}"),
    chunk("trailer folded", b"0\r\nX: a\r\n b\r\n\r\n{S}"),
    chunk("trailer that begins with a space", b"0\r\n X: a\r\n\r\n{S}"),
    chunk("trailer with a space before the colon", b"0\r\nX : a\r\n\r\n{S}"),
    chunk("trailer without a colon", b"0\r\nX\r\n\r\n{S}"),
    chunk("trailer with a NUL", b"0\r\nX: \x00\r\n\r\n{S}"),
    chunk("extension with nothing", b"5;\r\nhello\r\n0\r\n\r\n{S}"),
    chunk("extension with a space", b"5; a=b\r\nhello\r\n0\r\n\r\n{S}"),
    chunk("extension behind a space", b"5 ;a=b\r\nhello\r\n0\r\n\r\n{S}"),
    chunk("extension with a bare LF", b"5;a\nhello\r\n0\r\n\r\n{S}"),
    chunk("extension with a bare CR", b"5;a\rb\r\nhello\r\n0\r\n\r\n{S}"),
    chunk("extension with an open quote", b"5;a=\"b\r\nhello\r\n0\r\n\r\n{S}"),
    chunk("extension with LF in quotes", b"5;a=\"\n\"\r\nhello\r\n0\r\n\r\n{S}"),
    chunk("extension with an empty value", b"5;a=\r\nhello\r\n0\r\n\r\n{S}"),
    chunk("second chunk broken", b"5\r\nhello\r\n+1\r\nx\r\n0\r\n\r\n{S}"),
]

FIELDS = [
    field("bare CR in a value", "X: a\rb"),
    field("CR CR LF", "X: a\r"),
    field("bare LF ends a line", "X: a\nY: b"),
    field("bare LF ends the head", "X: a\n\nGET /smuggled HTTP/1.1"),
    field("folded with a space", "X: a\r\n b"),
    field("folded with a tab", "X: a\r\n\tb"),
    field("folded with nothing else", "X: a\r\n "),
    Row("the first field line folded", fields=[b" " + HOST, HOST]),
    Row("the first field line with a tab", fields=[b"\tX: a", HOST]),
    field("NUL in a value", "X: a\x00b"),
    field("NUL in a name", "X\x00: a"),
    field("DEL in a value", "X: a\x7fb"),
    field("a control character in a value", "X: a\x01b"),
    field("space before the colon", "X : a"),
    field("tab before the colon", "X\t: a"),
    field("space in a name", "X Y: a"),
    field("empty name", ": a"),
    field("no colon", "X"),
    field("a parenthesis in a name", "X(: a"),
    field("a slash in a name", "X/Y: a"),
    field("a quote in a name", "\"X\": a"),
    field("non-ASCII in a name", "X\xe9: a"),
    field("an at sign in a name", "X@: a"),
    field("a bracket in a name", "X[0]: a"),
    Row("Authorization folded", raw=b"GET /x HTTP/1.1\r\n" + HOST + b"\r\nAuthorization: DPoP\r\n x\r\n{C}\r\n\r\n"),
    field("Connection names Host", "Connection: host"),
    field("Connection names Content-Length", "Connection: close, content-length"),
    field("Connection names Transfer-Encoding", "Connection: Transfer-Encoding"),
    field("Connection names Authorization", "Connection: authorization"),
    field("Connection names DPoP", "Connection: dpop"),
    field("Connection names Transfer_Encoding", "Connection: transfer_encoding"),
    field("Connection is no list of tokens", "Connection: a b"),
    field("Connection names a hundred fields", "Connection: " + ", ".join(f"x{i}" for i in range(100))),
    field("another expectation", "Expect: 200-ok", 417),
    Row("Expect twice", 417, fields=[HOST, b"Expect: 100-continue", b"Expect: 100-continue", b"Content-Length: 5"]),
    field("too many fields", "\r\n".join(f"X{i}: a" for i in range(200)), 431),
    field("a field over the limit", "X: " + "a" * 40000, 431),
]

LINES = [
    line("GET * HTTP/1.1"), line("OPTIONS * HTTP/1.1"),
    line("GET /x#fragment HTTP/1.1"), line("GET /x%23#f HTTP/1.1"),
    line("GET /x y HTTP/1.1"), line("GET  /x HTTP/1.1"), line("GET /x  HTTP/1.1"), line("GET /x HTTP/1.1 "),
    line("GET\t/x HTTP/1.1"), line("GET /x\tHTTP/1.1"), line("GET /x\x0bHTTP/1.1"),
    line("GET orders.example.com HTTP/1.1"), line("GET orders.example.com:443 HTTP/1.1"),
    line("CONNECT orders.example.com:443 HTTP/1.1"), line("CONNECT /x HTTP/1.1"),
    line("GET https://evil.example.com/x HTTP/1.1", "absolute-form of another host"),
    line("GET https://orders.example.com.evil/x HTTP/1.1", "absolute-form of a longer host"),
    line("GET https://orders.example.com:8443/x HTTP/1.1", "absolute-form of another port"),
    line("GET https://a@orders.example.com/x HTTP/1.1", "absolute-form with userinfo"),
    line("GET http://orders.example.com/x HTTP/1.1", "absolute-form of http"),
    line("GET ftp://orders.example.com/x HTTP/1.1", "absolute-form of ftp"),
    line("GET https:/x HTTP/1.1"), line("GET https:///x HTTP/1.1"), line("GET https://orders.example.com#/x HTTP/1.1"),
    line("OPTIONS https://orders.example.com HTTP/1.1"),
    line("GET x HTTP/1.1"), line("GET ../x HTTP/1.1"), line("GET ?x HTTP/1.1"),
    line("GET /x%00 HTTP/1.1"), line("GET /x%0 HTTP/1.1"), line("GET /%zz HTTP/1.1"), line("GET /x?% HTTP/1.1"),
    line("GET /\\x HTTP/1.1"), line("GET /\xe9 HTTP/1.1"), line("GET /\x00 HTTP/1.1"), line("GET /\x7f HTTP/1.1"),
    line("GET /<x> HTTP/1.1"), line("GET /\"x\" HTTP/1.1"), line("GET /{x} HTTP/1.1"), line("GET /x|y HTTP/1.1"),
    line("GET /public/..%2fx HTTP/1.1"), line("GET /public/%2e%2e%2Fx HTTP/1.1"), line("GET /public/..%5cx HTTP/1.1"),
    line("GET /public/..;/x HTTP/1.1"), line("GET /public/..;a=b/x HTTP/1.1"), line("GET /public%2f..%2fx HTTP/1.1"),
    line("GET /public/.;/x HTTP/1.1"), line("GET /public/x%2f.. HTTP/1.1"), line("GET /public/..%3b/x HTTP/1.1"),
    line("GET /x", "HTTP/0.9"), line("GET /x ", "HTTP/0.9 with a space"), line("GET /x HTTP/0.9", status=505),
    line("GET /x HTTP/1.10"), line("GET /x HTTP/01.1"), line("GET /x HTTP/1.01"), line("GET /x HTTP/1"),
    line("GET /x HTTP/1."), line("GET /x HTTP/.1"), line("GET /x HTTP/1.1x"), line("GET /x http/1.1"),
    line("GET /x HTTP/ 1.1"), line("GET /x HTTPS/1.1"), line("GET /x HTTP/1,1"), line("GET /x"),
    line("GET /x HTTP/2.0", status=505), line("GET /x HTTP/1.2", status=505), line("GET /x HTTP/3.0", status=505),
    line(" GET /x HTTP/1.1", "leading space on the first line"), line("\tGET /x HTTP/1.1", "leading tab"),
    line("\x00GET /x HTTP/1.1", "leading NUL"), line("G(T /x HTTP/1.1"), line("G\xe9T /x HTTP/1.1"), line("GET:/x HTTP/1.1"),
    line(" /x HTTP/1.1", "no method"), line("GET /x\rHTTP/1.1"), line("GET /x HTTP/1.1\r", "request line ends in CR CR LF"),
    Row("two empty lines first", raw=b"\r\n\r\nGET /x HTTP/1.1\r\n" + HOST + b"\r\n{C}\r\n\r\n"),
    Row("an LF first", raw=b"\nGET /x HTTP/1.1\r\n" + HOST + b"\r\n{C}\r\n\r\n"),
    Row("request line ends in LF", raw=b"GET /x HTTP/1.1\n" + HOST + b"\r\n{C}\r\n\r\n"),
    Row("every line ends in LF", raw=b"GET /x HTTP/1.1\n" + HOST + b"\n{C}\n\n"),
    Row("the preface of HTTP/2", 505, raw=b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    Row("a target over the limit", 414, line=b"GET /" + b"a" * 40000 + b" HTTP/1.1"),
]

HOSTS = [
    Row("no Host", fields=[b"X: y"]),
    Row("no Host in HTTP/1.0", line=b"POST /x HTTP/1.0", fields=[b"X: y"]),
    Row("two Hosts", fields=[HOST, b"Host: evil.example.com"]),
    Row("two equal Hosts", fields=[HOST, HOST]),
    Row("two Hosts, one in lower case", fields=[b"host: orders.example.com", b"Host: orders.example.com"]),
    *[host(v) for v in (b"orders.example.com, evil.example.com", b"orders.example.com,evil.example.com",
                        b"a@orders.example.com", b"a:b@orders.example.com", b"orders.example.com@evil", b"", b" ",
                        b"orders.example.com:0443", b"orders.example.com:99999", b"orders.example.com:443x",
                        b"orders.example.com:-1", b"orders.example.com/x", b"orders.example.com?x", b"orders.example.com#x",
                        b"orders.example.com.", b"orders..example.com", b"[::1", b"[::1]x", b"[v1.a]", b"[::1%25lo]",
                        b"orders.example.com%2e", b"https://orders.example.com", b"orders example.com", b"*",
                        b"orders.example.com;x", b"orders.example.com\\x", b"orders.example.com:443:443",
                        b"\xe9.example.com", b"\"orders.example.com\"")],
    *[host(v, 421) for v in (b"evil.example.com", b"orders.example.com:8443", b"[::1]", b"127.0.0.1",
                             b"orders.example.com.evil.com", b"xorders.example.com")],
]

ROWS = LENGTHS + CODINGS + CHUNKS + FIELDS + LINES + HOSTS


@pytest.fixture(scope="module")
def token(world):
    return world.token(payload={"exp": 4000000000})


def attempt(world, gate, row, data, way):
    with world.connect(gate) as connection:
        send(connection, pieces_of(data, way))
        got = answers(connection)
    assert [a.status for a in got] == [row.status], f"{way}: {got}"
    assert got[0].get("connection") == "close"
    assert got[0].get("www-authenticate") is None


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_refused(world, gate, upstream, token, row):
    data = row.build(world, token)
    large = len(data) > 20000
    for way in ways(data, row.around, row.name, samples=1 if SANITIZED else 4):
        if way == "bytes" and (large or SANITIZED):
            continue  # tests/unit/http feeds every one byte by byte, under sanitizers too
        attempt(world, gate, row, row.build(world, token), way)
    good = request_bytes("GET", "/good", headers=world.credentials("GET", "/good", token=token))
    with world.connect(gate) as connection:
        send(connection, [good + row.build(world, token)])
        got = answers(connection)
    assert [a.status for a in got] == [200, row.status], got
    expect_next_works(world, gate, upstream, before=[b"/good"])


# ---- and what is legal passes, however it comes, as one request that says the same ----

def accepted(name, text, target, body=b"", **fields):
    return name, text, target, body, fields


ACCEPTED = [
    accepted("plain", b"POST /x HTTP/1.1\r\n" + HOST + b"\r\n{C}\r\n\r\n", b"/x"),
    accepted("an empty line first", b"\r\nPOST /x HTTP/1.1\r\n" + HOST + b"\r\n{C}\r\n\r\n", b"/x"),
    accepted("a length", b"POST /x HTTP/1.1\r\n" + HOST + b"\r\nContent-Length: 5\r\n{C}\r\n\r\nhello", b"/x", b"hello"),
    accepted("a length with spaces about it",
             b"POST /x HTTP/1.1\r\n" + HOST + b"\r\nContent-Length:  5  \r\n{C}\r\n\r\nhello", b"/x", b"hello"),
    accepted("chunks", b"POST /x HTTP/1.1\r\n" + HOST + b"\r\n{C}\r\nTransfer-Encoding: Chunked\r\n\r\n"
             b"3\r\nhel\r\n02;a=\"b\\\";\";c\r\nlo\r\n000\r\nX-Popgate-Subject: forged\r\n\r\n", b"/x", b"hello"),
    accepted("chunk data that looks like framing",
             b"POST /x HTTP/1.1\r\n" + HOST + b"\r\n{C}\r\nTransfer-Encoding: chunked\r\n\r\n"
             b"9\r\n0\r\n\r\nGET \r\n0\r\n\r\n", b"/x", b"0\r\n\r\nGET "),
    accepted("absolute-form", b"POST https://ORDERS.example.com:443/x HTTP/1.1\r\nHost: orders.example.com\r\n{C}\r\n\r\n",
             b"/x"),
    accepted("the default port", b"POST /x HTTP/1.1\r\nhost: Orders.Example.com:443\r\n{C}\r\n\r\n", b"/x"),
    accepted("HTTP/1.0", b"POST /x HTTP/1.0\r\n" + HOST + b"\r\nConnection: keep-alive\r\n{C}\r\n\r\n", b"/x"),
    accepted("dot segments and escapes", b"POST /a/../%78?q=%2f..%2f HTTP/1.1\r\n" + HOST + b"\r\n{C}\r\n\r\n",
             b"/x?q=%2f..%2f"),
    accepted("obs-text in a value", b"POST /x HTTP/1.1\r\n" + HOST + b"\r\nX-Name: J\xfcrgen\r\n{C}\r\n\r\n", b"/x",
             x_name="J\xfcrgen"),
    accepted("an empty value and a tab", b"POST /x HTTP/1.1\r\n" + HOST + b"\r\nX-Name:\t a\tb\t\r\nX-E:\r\n{C}\r\n\r\n",
             b"/x", x_name="a\tb", x_e=""),
    accepted("TE is asked anew, Trailer of no chunked body stays here", b"POST /x HTTP/1.1\r\n" + HOST + b"\r\nTE: trailers\r\nTrailer: X\r\n"
             b"Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nConnection: X-Mine, te\r\nX-Mine: 1\r\n{C}\r\n\r\n",
             b"/x", te="trailers", trailer=None, keep_alive=None, proxy_connection=None, x_mine=None, connection="TE"),
    accepted("a TE that Connection does not name stays here", b"POST /x HTTP/1.1\r\n" + HOST + b"\r\nTE: trailers\r\n"
             b"Connection: X-Mine\r\nX-Mine: 1\r\n{C}\r\n\r\n", b"/x", te=None, x_mine=None, connection=None),
]


@pytest.mark.parametrize("row", ACCEPTED, ids=lambda row: row[0])
def test_accepted(world, gate, upstream, token, row):
    name, text, target, body, fields = row

    def build():
        credentials = "\r\n".join(f"{k}: {v}" for k, v in world.credentials("POST", "/x", token=token)).encode()
        return text.replace(b"{C}", credentials)
    for way in ways(build(), len(text) // 2, name):
        with world.connect(gate) as connection:
            send(connection, pieces_of(build(), way))
            assert connection.response().status == 200, way
            # what follows is the next request, on the same connection
            assert world.request(connection, "GET", "/after", world.credentials("GET", "/after")).status == 200
        seen, after = upstream.take()
        assert seen.target == target and seen.body == body and seen.version == b"HTTP/1.1"
        assert seen.get("host") == "orders.example.com" and after.target == b"/after"
        assert seen.get("x-popgate-subject") == "service-a"
        for key, value in fields.items():
            assert seen.get(key.replace("_", "-")) == value, key
