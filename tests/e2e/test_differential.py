"""HTTP/1.1, three readers: the same bytes to the gate, to nginx and to HAProxy, each in front of a recording service. Whatever
the gate lets through, both others let through too, and all three services got the same requests: method, target, fields and
body, no more and no fewer. That is what smuggling is made of, where it fails.

What the gate refuses and the others do not is no difference that matters. Where the gate lets something through that another
refuses, DIFFERENCES says what and why; a difference that is not in that table fails, and so does an entry that never occurred.
The gate runs with `dpop.mode: off`, since the others know no proofs: framing is enforced in every mode."""

import collections
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

from conftest import World  # noqa: F401  (the fixtures live there)
from harness.client import Connection
from harness.gate import SANITIZED, Gate, free_port
from harness.upstream import Upstream
from test_framing import ACCEPTED, ROWS

HOST = b"Host: orders.example.com\r\n"
END = b"GET /end HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"
NGINX = shutil.which("nginx") or "/usr/sbin/nginx"
HAPROXY = shutil.which("haproxy") or "/usr/sbin/haproxy"
SECONDS = 12  # for the random half, on one backend

pytestmark = [
    pytest.mark.skipif(not (os.access(NGINX, os.X_OK) and os.access(HAPROXY, os.X_OK)),
                       reason="needs nginx and haproxy (Debian: nginx-light, haproxy)"),
    pytest.mark.skipif(SANITIZED, reason="the parser itself runs under sanitizers in tests/unit/http and the fuzz targets"),
]

# The hop's own business, and what only the gate adds.
NOT_COMPARED = {b"host", b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"content-length", b"te",
                b"trailer", b"upgrade", b"expect", b"traceparent", b"tracestate", b"x-forwarded-client-cert", b"x-forwarded-for",
                b"http2-settings", b"proxy-authenticate", b"proxy-authorization"}

Seen = collections.namedtuple("Seen", "method target host fields body")


def normalised(target):
    """RFC 3986 sections 6.2.2 and 5.2.4, written a second time: the others forward what they got, the gate what this gives."""
    if target.startswith((b"http://", b"https://")):
        rest = target.split(b"://", 1)[1]
        cut = min((rest.find(c) for c in (b"/", b"?") if c in rest), default=len(rest))
        target = rest[cut:] if rest[cut:cut + 1] == b"/" else b"/" + rest[cut:]
    path, mark, query = target.partition(b"?")

    def escape(match):
        byte = bytes([int(match[1], 16)])
        return byte if re.fullmatch(rb"[A-Za-z0-9._~-]", byte) else b"%" + match[1].upper()
    path = re.sub(rb"%([0-9A-Fa-f]{2})", escape, path)
    out = []
    parts = path.split(b"/")[1:]
    for i, part in enumerate(parts):
        last = i == len(parts) - 1
        if part == b"..":
            if out:
                out.pop()
        elif part != b".":
            out.append(part)
            continue
        if last:
            out.append(b"")
    return b"/" + b"/".join(out) + mark + query


class Recorder:
    """A service that reads as forgivingly as it can what a proxy sent, and keeps it."""

    def __init__(self):
        self.seen, self.lock = [], threading.Lock()
        self.upstream = Upstream(raw=self.serve)
        self.port = int(self.upstream.url.rsplit(":", 1)[1])

    def serve(self, stream):
        while True:
            lines = stream.until(b"\r\n\r\n").split(b"\r\n")
            method, target, _ = lines[0].split(b" ")
            fields = [tuple(p.strip(b" \t") for p in text.split(b":", 1)) for text in lines[1:]]
            fields = [(name.lower(), value) for name, value in fields]
            named = dict(fields)
            if b"transfer-encoding" in named:
                codings = [c.strip(b" \t") for c in named[b"transfer-encoding"].lower().split(b",")]
                assert [c for c in codings if c] == [b"chunked"] and b"content-length" not in named
                body = b""
                while size := int(stream.until(b"\r\n").split(b";")[0], 16):
                    body += stream.exactly(size)
                    assert stream.exactly(2) == b"\r\n"
                while stream.until(b"\r\n") != b"":
                    pass  # trailers: the gate drops them, the others need not
            else:
                body = stream.exactly(int(named.get(b"content-length", b"0")))
            host = re.sub(rb":(443)?$", b"", named.get(b"host", b"").lower())
            kept = sorted((k, v) for k, v in fields if k not in NOT_COMPARED and not k.startswith(b"x-popgate"))
            with self.lock:
                self.seen.append(Seen(method, normalised(target), host, tuple(kept), body))
            stream.socket.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    def take(self):
        with self.lock:
            seen, self.seen = self.seen, []
        return seen


def nginx_configuration(folder, port, service):
    return f"""
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  large_client_header_buffers 4 32k; client_header_timeout 300ms; client_body_timeout 300ms; keepalive_timeout 2s;
  lingering_close off;
  server {{
    listen 127.0.0.1:{port}; server_name orders.example.com; merge_slashes off; underscores_in_headers on;
    ignore_invalid_headers off;
    location / {{
      proxy_pass http://127.0.0.1:{service}; proxy_http_version 1.1; proxy_request_buffering off; proxy_buffering off;
      proxy_set_header Host $http_host; proxy_set_header Connection "";
    }}
  }}
}}
"""


def haproxy_configuration(port, service):
    return f"""
global
  maxconn 64
defaults
  mode http
  timeout client 300ms
  timeout http-request 300ms
  timeout http-keep-alive 2s
  timeout connect 2s
  timeout server 2s
frontend f
  bind 127.0.0.1:{port}
  default_backend b
backend b
  http-reuse never
  server s 127.0.0.1:{service}
"""


def started(command, port, folder):
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=open(folder / "out", "ab"), stderr=subprocess.STDOUT)
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return process
        except OSError:
            assert process.poll() is None, (folder / "out").read_text()
            time.sleep(0.02)
    raise AssertionError(f"{command[0]} does not listen")


def plain_exchange(port, data):
    with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return drive(connection, data)


def drive(connection, data):
    """Sends and reads until the peer ends it; the peers' own timeouts end what never becomes a request."""
    answer = b""
    try:
        connection.sendall(data)
        while part := connection.recv(65536):
            answer += part
    except OSError:
        pass
    return [int(code) for code in re.findall(rb"(?:^|\n|ok)HTTP/1\.[01] (\d{3})", answer)]


class Readers:
    def __init__(self, world, backend, folder):
        self.world, self.services = world, [Recorder(), Recorder(), Recorder()]
        gate_service, nginx_service, haproxy_service = self.services
        self.gate = Gate(world.config(gate_service.upstream, backend, dpop={"mode": "off"}, limits={"head_bytes": "32KiB"},
                                      timeouts={"head": "300ms", "body_progress": "300ms", "idle": "2s"})).start()
        self.nginx_port, self.haproxy_port = free_port(), free_port()
        (folder / "nginx.conf").write_text(nginx_configuration(folder, self.nginx_port, nginx_service.port))
        (folder / "haproxy.cfg").write_text(haproxy_configuration(self.haproxy_port, haproxy_service.port))
        self.processes = [started([NGINX, "-e", str(folder / "error.log"), "-p", str(folder), "-c", str(folder / "nginx.conf")],
                                  self.nginx_port, folder),
                          started([HAPROXY, "-db", "-f", str(folder / "haproxy.cfg")], self.haproxy_port, folder)]
        self.tls = world.tls()

    def read(self, data):
        """What each of the three services saw, and what each reader answered."""
        answers = [None] * 3

        def gate():
            with Connection(self.gate.port, self.tls, timeout=2) as connection:
                answers[0] = drive(connection.socket, data)

        def other(number, port):
            answers[number] = plain_exchange(port, data)
        threads = [threading.Thread(target=gate), threading.Thread(target=other, args=(1, self.nginx_port)),
                   threading.Thread(target=other, args=(2, self.haproxy_port))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return [service.take() for service in self.services], answers

    def stop(self):
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            process.wait(10)
        self.gate.stop()
        for service in self.services:
            service.upstream.stop()
        for service in self.services:
            assert not service.upstream.errors, service.upstream.errors[:3]


@pytest.fixture(scope="module")
def readers(world, backend, tmp_path_factory):
    made = Readers(world, backend, tmp_path_factory.mktemp("readers"))
    yield made
    made.stop()


# ---- the differences there are ----

Difference = collections.namedtuple("Difference", "who what shows example why")

# `shows(ours, data)`: whether it explains that `who` did not let `ours` (our request at which they part) through.
DIFFERENCES = [
    Difference("nginx", "a method that is not in capitals, '_' and '-'",
               lambda ours, data: not re.fullmatch(rb"[A-Z_-]+", ours.method),
               b"get /a HTTP/1.1\r\n" + HOST + b"\r\n",
               "nginx knows such methods only; RFC 9110 section 9.1 says any token, and the method is what htm is compared with"),
    Difference("nginx", "TRACE", lambda ours, data: ours.method == b"TRACE", b"TRACE /a HTTP/1.1\r\n" + HOST + b"\r\n",
               "nginx answers 405 itself; credentials are gone before the service sees one, so TRACE tells nothing"),
    Difference("nginx", "'..' above the root", lambda ours, data: re.search(rb"\.\.|%2e", data, re.I),
               b"GET /../a HTTP/1.1\r\n" + HOST + b"\r\n",
               "nginx answers 400; RFC 3986 section 5.2.4 drops it, and what is forwarded has none"),
    Difference("nginx", "a tab beside the value of Host", lambda ours, data: re.search(rb"host:[^\r\n]*\t", data, re.I),
               b"GET /a HTTP/1.1\r\nHost:\torders.example.com\r\n\r\n",
               "nginx takes spaces only for white space; RFC 9110 section 5.6.3 says tabs too, and Host is written anew"),
    Difference("haproxy", "a body in a GET, HEAD or DELETE of HTTP/1.0",
               lambda ours, data: ours.method in (b"GET", b"HEAD", b"DELETE") and ours.body and b"HTTP/1.0" in data,
               b"GET /a HTTP/1.0\r\n" + HOST + b"Content-Length: 5\r\n\r\nhello",
               "HAProxy answers 413, for old servers that overlook such a body; ours goes on as HTTP/1.1 with its length"),
    Difference("haproxy", "a framing field in a trailer",
               lambda ours, data: re.search(rb"\r\n0+\r\n(?:[^\r\n]+\r\n)*(?:transfer-encoding|content-length|host):", data, re.I),
               b"POST /a HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nTransfer-Encoding: x\r\n\r\n",
               "HAProxy answers 400; the gate drops such a field of a trailer, so nobody behind it can be misled"),
]
# And one that is taken out before comparing: fields that Connection names. RFC 9110 section 7.6.1 has an intermediary drop
# them; the gate does, nginx and HAProxy pass them on.
CONNECTION = re.compile(rb"^connection:([^\r\n]*)", re.I | re.M)


def without_named_by_connection(seen, data):
    named = {name.strip(b" \t").lower() for value in CONNECTION.findall(data) for name in value.split(b",")}
    return [one._replace(fields=tuple(f for f in one.fields if f[0] not in named)) for one in seen]


def parting(ours, theirs):
    """Our first request that is not theirs; None if they have all of ours, and nothing more after our last answer."""
    for mine, other in zip(ours, theirs):
        if mine != other:
            return mine
    if len(theirs) < len(ours):
        return ours[len(theirs)]
    # More than we: they went on behind what we refused, which is their business, unless we had not refused anything.
    return ours[-1] if len(theirs) > len(ours) and ours[-1].target == b"/end" else None


def explained(who, one, data):
    return next((d.what for d in DIFFERENCES if d.who == who and d.shows(one, data)), None)


def compare(readers, data, tally):
    """One input; a difference has to show three times, for the machine may be busy."""
    for attempt in range(3):
        seen, answers = readers.read(data)
        ours, nginx, haproxy = (without_named_by_connection(one, data) for one in seen)
        parted = {who: parting(ours, theirs) for who, theirs in (("nginx", nginx), ("haproxy", haproxy)) if ours}
        reasons = {who: explained(who, one, data) for who, one in parted.items() if one is not None}
        if None not in reasons.values():
            tally["let through" if ours else "refused"] += 1
            tally.update(reasons.values())
            return
        time.sleep(0.1 * (attempt + 1))
    pytest.fail(f"{reasons}: read differently:\n{data!r}\ngate    {answers[0]} {ours}\nnginx   {answers[1]} {nginx}\n"
                f"haproxy {answers[2]} {haproxy}")


@pytest.mark.parametrize("difference", DIFFERENCES, ids=lambda d: f"{d.who}: {d.what}")
def test_the_differences_there_are(readers, difference):
    """Each entry is true of the versions at hand, and only of the one it names."""
    (ours, nginx, haproxy), answers = readers.read(difference.example + (END if b"HTTP/1.0" not in difference.example else b""))
    assert ours and answers[0][0] == 200
    theirs = {"nginx": nginx, "haproxy": haproxy}
    if theirs[difference.who] and theirs[difference.who][0] == ours[0]:
        pytest.skip(f"this {difference.who} no longer differs")
    assert not theirs[difference.who], theirs
    other = theirs["haproxy" if difference.who == "nginx" else "nginx"]
    assert other[0].method == ours[0].method and other[0].body == ours[0].body


# ---- the inputs ----

def bare(row):
    """A row of test_framing without its credentials."""
    if row.raw is not None:
        return row.raw.replace(b"\r\n{C}", b"").replace(b"\n{C}", b"")
    return b"\r\n".join([row.line, *row.fields]) + b"\r\n\r\n" + row.body.replace(
        b"{S}", b"GET /smuggled HTTP/1.1\r\n" + HOST + b"\r\n")


def test_every_trick_of_the_framing_table(readers):
    tally = collections.Counter()
    for row in ROWS:
        compare(readers, bare(row) + END, tally)
    assert tally["refused"] > 250, tally


def test_what_is_legal_is_read_alike(readers):
    tally = collections.Counter()
    for name, text, *_ in ACCEPTED:
        data = text.replace(b"\r\n{C}", b"")
        if b"https://" not in data:  # over plain HTTP the others take the absolute-form of https for another's business
            compare(readers, data + (END if b"HTTP/1.0" not in data else b""), tally)
    assert tally["let through"] >= len(ACCEPTED) - 1 and tally["refused"] == 0, tally


SEEDS = [
    b"GET /a HTTP/1.1\r\n" + HOST + b"X-A: b\r\n\r\n",
    b"POST /b?c=d HTTP/1.1\r\n" + HOST + b"Content-Length: 11\r\n\r\nhello world",
    b"POST /c HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;a=b\r\n world\r\n0\r\n\r\n",
    b"PUT /d/../e/%7euser HTTP/1.1\r\nhost: orders.example.com\r\nX-B:\r\nX-A: 1\r\nContent-Length: 0\r\n\r\n",
    b"GET /f HTTP/1.0\r\n" + HOST + b"Connection: keep-alive\r\n\r\n",
    b"DELETE /g;x=y HTTP/1.1\r\n" + HOST + b"Connection: x-a\r\nX-A: z\r\n\r\n",
    b"POST /h HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n"
    b"1e\r\nGET /smuggled HTTP/1.1\r\nA: b\r\n\r\n0\r\nX-T: a\r\n\r\n",
    b"POST /i HTTP/1.1\r\n" + HOST + b"Content-Length: 41\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: evil\r\nA: b\r\n",
]
TOKENS = [b"\r", b"\n", b"\r\n", b" ", b"\t", b"\0", b"\x0b", b"\x7f", b"\x80", b":", b",", b";", b"=", b"\"", b"\\", b"/", b"//",
          b"..", b"/../", b"%2e", b"%2f", b"%00", b"%", b"?", b"#", b"*", b"0", b"5", b"+", b"-", b"_", b"0x", b"1", b"f", b"G",
          b"chunked", b"Content-Length: 5\r\n", b"Content-Length: 0\r\n", b"Transfer-Encoding: chunked\r\n",
          b"Transfer-Encoding: identity\r\n", b"Transfer-Encoding : chunked\r\n", b" chunked", b"Host: a\r\n", b"HTTP/1.0", b"HTTP/1.1",
          b"\r\n\r\n", b"0\r\n\r\n", b"X: y\r\n", b"X_Y: z\r\n", b"Connection: close\r\n", b"Expect: 100-continue\r\n", b"\r\n 5",
          b"\xff", b"GET /smuggled HTTP/1.1\r\nHost: orders.example.com\r\n\r\n"]


def mutated(chosen):
    data = bytearray(chosen.choice(SEEDS))
    if chosen.random() < 0.2:
        data += chosen.choice(SEEDS)
    for _ in range(chosen.choice((0, 1, 1, 1, 2, 3))):
        at = chosen.randrange(len(data) + 1)
        kind = chosen.randrange(5)
        if kind < 2:
            data[at:at] = chosen.choice(TOKENS)
        elif kind == 2:
            data[at:at + chosen.choice((1, 1, 2, 4))] = chosen.choice(TOKENS)
        elif kind == 3:
            del data[at:at + chosen.choice((1, 1, 2, 8))]
        else:
            lines = bytes(data).split(b"\r\n")
            i = chosen.randrange(len(lines))
            lines[i:i] = [chosen.choice(lines)]
            data = bytearray(b"\r\n".join(lines))
    return bytes(data)


def test_mutations(readers, backend):
    """The same seed for a backend every time; as many as the time allows, and never fewer than show something."""
    chosen, tally = random.Random(f"differential {backend}"), collections.Counter()
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        compare(readers, mutated(chosen) + END, tally)
    assert tally["let through"] > 20 and tally["refused"] > 20, tally
    print(dict(tally))
