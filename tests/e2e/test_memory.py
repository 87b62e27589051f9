"""What a connection costs, phase by phase, from the kernel's own count of the process's resident memory."""

import os
import resource
import shutil
import socket
import ssl
import subprocess
import time

import pytest

from harness import client2 as h2
from harness.client import Connection, context, request_bytes
from harness.gate import SANITIZED, free_port

KIB = 1024
pytestmark = pytest.mark.skipif(SANITIZED, reason="sanitizers have memory of their own")
WARM = 100
REST_S = 2.5  # h2: what an idle connection needs no more is given back after PROXY_REST_MS


def idle_connections():
    """As many as asked for, or as the gate has descriptors for: it keeps two a connection."""
    wanted = int(os.environ.get("POPGATE_IDLE_CONNECTIONS", "2000"))
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, (hard - 100) // 2 - WARM - 20)


IDLE = idle_connections()


def resident(server):
    for line in open(f"/proc/{server.process.pid}/smaps_rollup"):
        if line.startswith("Rss:"):
            return int(line.split()[1]) * KIB
    raise AssertionError("no Rss")


@pytest.fixture(autouse=True)
def descriptors():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = IDLE + 2000
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"needs {wanted} descriptors, {hard} are allowed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def gate_for(start, connections):
    return start(limits={"connections": connections + WARM + 10}, log={"access": False}, dpop={"max_age": "10m"},
                 replay={"capacity": 4 * (connections + WARM) // 2 + 1024},
                 timeouts={"idle": "10m", "head": "5m", "handshake": "5m", "body_progress": "5m"})


def per_connection(server, count, opened, settle_s=0.3):
    """Bytes for each of `count` more, once the first WARM have paid for what is shared."""
    connections = [opened(i) for i in range(WARM)]
    time.sleep(settle_s)
    before = resident(server)
    connections += [opened(i) for i in range(WARM, WARM + count)]
    time.sleep(settle_s)
    after = resident(server)
    if hasattr(server, "metric"):
        assert server.metric("popgate_connections", side="downstream") == len(connections)
    for connection in connections:
        connection.close()
    return (after - before) / count


def opener(world, port, protocol, more):
    """Opens a connection, makes one request, and leaves it be; `more` gives the request's credentials."""
    tls = context(world.authority, world.client, alpn=(protocol,))

    def opened(_):
        if protocol == "h2":
            client = h2.Client(port, tls)
            answer = client.answer(client.request(h2.pseudo() + [(k.lower(), v) for k, v in more()]))
            assert answer.status == 200, answer
            return client
        connection = Connection(port, tls)
        assert world.request(connection, headers=more()).status == 200
        return connection
    return opened


class HAProxy:
    """Mutual TLS, one thread, nothing verified but the certificate."""

    def __init__(self, world, upstream, folder, connections):
        self.port = free_port()
        pair = folder / "haproxy.pem"
        pair.write_bytes(world.server.path.read_bytes() + world.server.key_path.read_bytes())
        configuration = folder / "haproxy.cfg"
        service = upstream.url.removeprefix("http://")
        configuration.write_text(f"""
global
  maxconn {connections}
  nbthread 1
defaults
  mode http
  maxconn {connections}
  timeout client 10m
  timeout http-keep-alive 10m
  timeout connect 5s
  timeout server 10m
frontend f
  bind 127.0.0.1:{self.port} ssl crt {pair} ca-file {world.authority.root.path} verify required alpn h2,http/1.1
  default_backend b
backend b
  server s {service}
""")
        self.process = subprocess.Popen([shutil.which("haproxy") or "/usr/sbin/haproxy", "-db", "-f", str(configuration)],
                                        stdin=subprocess.DEVNULL, stdout=open(folder / "haproxy.log", "wb"), stderr=subprocess.STDOUT)
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except OSError:
                assert self.process.poll() is None, (folder / "haproxy.log").read_text()
                time.sleep(0.02)
        raise AssertionError("haproxy does not listen")

    def stop(self):
        self.process.terminate()
        self.process.wait(20)


@pytest.mark.parametrize("protocol", ["http/1.1", "h2"])
def test_an_idle_connection_after_a_request_costs_at_most_14_kib(world, start, tmp_path, record_property, protocol):
    """Beside HAProxy in the same run, one after the other: this machine's descriptors are enough for one of them."""
    gate, upstream = gate_for(start, IDLE)
    token = world.token(payload={"exp": int(time.time()) + 3600})
    each = per_connection(gate, IDLE, opener(world, gate.port, protocol, lambda: world.credentials(token=token)), REST_S)
    record_property("bytes_per_idle_connection", each)
    beside = "no HAProxy here"
    if shutil.which("haproxy") or os.path.exists("/usr/sbin/haproxy"):
        peer = HAProxy(world, upstream, tmp_path, IDLE + WARM + 50)
        try:
            its = per_connection(peer, IDLE, opener(world, peer.port, protocol, list), REST_S)
        finally:
            peer.stop()
        record_property("bytes_per_idle_connection_of_haproxy", its)
        beside = f"HAProxy's {its / KIB:.1f} KiB"
    print(f"{protocol}: {each / KIB:.1f} KiB an idle connection, {IDLE} of them; {beside}")
    assert 2 * KIB < each <= 14 * KIB


def connect(gate):
    plain = socket.create_connection(("127.0.0.1", gate.port), timeout=20)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return plain


def half_handshake(world, gate):
    """A ClientHello, and nothing after the server's flight."""
    plain = connect(gate)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    half = world.tls().wrap_bio(incoming, outgoing, server_hostname="orders.example.com")
    with pytest.raises(ssl.SSLWantReadError):
        half.do_handshake()
    plain.sendall(outgoing.read())
    assert plain.recv(1)
    return plain


def half_head(world, gate, tls):
    connection = world_connection(gate, tls)
    connection.send(b"GET /half HTTP/1.1\r\nHost: orders.example.com\r\nX-Half: ")
    return connection


def half_body(world, gate, tls, token):
    connection = world_connection(gate, tls)
    headers = world.credentials("POST", "/half", token=token) + [("Content-Length", "1000")]
    connection.send(request_bytes("POST", "/half", headers=headers) + b"half of it")
    return connection


def world_connection(gate, tls):
    return Connection(gate.port, tls)


@pytest.mark.parametrize("phase,bound", [("tcp", 12 * KIB), ("handshake", 24 * KIB), ("head", 32 * KIB),
                                         ("body", 48 * KIB)])
def test_what_each_phase_may_hold(world, start, phase, bound):
    """Bounds of src/proxy/limits.h; a body in progress has a connection to the service beside it."""
    gate, _ = gate_for(start, 300)
    tls, token = world.tls(), world.token(payload={"exp": int(time.time()) + 3600})
    opened = {"tcp": lambda _: connect(gate), "handshake": lambda _: half_handshake(world, gate),
              "head": lambda _: half_head(world, gate, tls),
              "body": lambda _: half_body(world, gate, tls, token)}[phase]
    each = per_connection(gate, 300, opened)
    print(f"{phase}: {each / KIB:.1f} KiB a connection")
    assert each <= bound


def test_memory_comes_back_to_use(world, start):
    """A second crowd fits into what the first one left."""
    gate, _ = gate_for(start, 1000)
    tls, token = world.tls(), world.token(payload={"exp": int(time.time()) + 3600})
    peaks = []
    for _ in range(3):
        connections = []
        for _ in range(500):
            connections.append(world_connection(gate, tls))
            assert world.request(connections[-1], token=token).status == 200
        time.sleep(0.3)
        peaks.append(resident(gate))
        for connection in connections:
            connection.close()
        deadline = time.monotonic() + 5
        while gate.metric("popgate_connections", side="downstream") > 0 and time.monotonic() < deadline:
            time.sleep(0.05)
    assert peaks[2] - peaks[1] < 512 * KIB, peaks
