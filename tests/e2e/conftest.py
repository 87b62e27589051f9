"""Fixtures. Everything that starts a gate takes `backend`, so every test runs on both. And how the tests are shared out among
processes (pytest-xdist): what measures time or memory, or fills the machine, is marked `alone`, and tests/run.py runs it when
nothing else runs."""

import pathlib
import re
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from harness import client as clients  # noqa: E402
from harness.authority import Authority  # noqa: E402
from harness.gate import Gate, merged  # noqa: E402
from harness.mint import Issuer, Key  # noqa: E402
from harness.upstream import Upstream  # noqa: E402

ORIGIN = "https://orders.example.com"


class World:
    """The certificates, keys and configuration most tests need."""

    def __init__(self, folder):
        self.folder = folder
        self.authority = Authority(folder / "pki")
        self.server = self.authority.issue("server", dns=["orders.example.com"], server=True,
                                           client=False)
        self.client = self.authority.issue("client-a", spiffe="spiffe://example.com/client-a")
        self.issuer = Issuer()
        self.key = Key("ES256")
        self.jwks = folder / "jwks.json"
        self.jwks.write_text(self.issuer.jwks())

    def config(self, upstream, backend, **changes):
        base = {
            "upstream": upstream.url,
            "workers": 1,
            "io_backend": backend,
            "tls": {"certificate": str(self.server.path), "private_key": str(self.server.key_path),
                    "client_ca": str(self.authority.root.path)},
            "public_origins": [ORIGIN],
            "issuers": [{"issuer": self.issuer.issuer, "audience": self.issuer.audience,
                         "jwks_file": str(self.jwks)}],
            "replay": {"capacity": 65536, "cold_start": "accept"},
        }
        return merged(base, changes)

    def tls(self, certificate="default", **options):
        certificate = self.client if certificate == "default" else certificate
        return clients.context(self.authority, certificate, **options)

    def connect(self, gate, certificate="default", **options):
        return clients.Connection(gate.port, self.tls(certificate), **options)

    def token(self, key=None, **options):
        options.setdefault("jkt", (key or self.key).thumbprint)
        return self.issuer.token(**options)

    def credentials(self, method="GET", path="/", key=None, token=None, **proof):
        """The two header fields of a good request."""
        key = key or self.key
        token = token or self.token(key)
        return [("Authorization", f"DPoP {token}"),
                ("DPoP", key.proof(method, ORIGIN + path, token, **proof))]

    def request(self, connection, method="GET", path="/", headers=None, body=b"", **proof):
        """Sends one request (a good one, unless told otherwise) and reads its answer."""
        headers = self.credentials(method, path.partition("?")[0], **proof) if headers is None else headers
        connection.send(clients.request_bytes(method, path, headers=headers, body=body))
        return connection.response(method)


def pytest_configure(config):
    config.addinivalue_line("markers", "alone: needs a machine that does nothing else meanwhile")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """A file's tests on one backend stay together: they share a gate."""
    from xdist.scheduler import LoadScopeScheduling

    class ByGate(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            backend = re.search(r"\[(io_uring|epoll)", nodeid)
            return nodeid.partition("::")[0], backend and backend[1]

    return ByGate(config, log)


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    return World(tmp_path_factory.mktemp("world"))


@pytest.fixture(params=["io_uring", "epoll"], scope="session")
def backend(request):
    return request.param


@pytest.fixture(scope="module")
def shared_upstream():
    upstream = Upstream()
    yield upstream
    upstream.stop()


@pytest.fixture(scope="module")
def shared_gate(world, backend, shared_upstream):
    """One gate for the tests of a file that need nothing special."""
    with Gate(world.config(shared_upstream, backend)) as gate:
        yield gate
    assert not shared_upstream.errors


@pytest.fixture
def gate(shared_gate, shared_upstream):
    shared_upstream.take()
    yield shared_gate
    assert shared_gate.process.poll() is None, shared_gate.output[-8000:]


@pytest.fixture
def upstream(shared_upstream):
    return shared_upstream


@pytest.fixture
def start(world, backend):
    """start(upstream_options..., **config changes) -> (gate, upstream): a gate of the test's own."""
    started = []

    def begin(handler=None, raw=None, gate_options=None, unix=None, **changes):
        upstream = Upstream(**{k: v for k, v in (("handler", handler), ("raw", raw), ("path", unix)) if v})
        gate = Gate(world.config(upstream, backend, **changes), **(gate_options or {})).start()
        started.append((gate, upstream))
        return gate, upstream

    yield begin
    failures = []
    for gate, upstream in started:
        try:
            gate.stop()
        except AssertionError as error:
            failures.append(str(error))
        upstream.stop()
        failures += upstream.errors
    assert not failures, "\n".join(failures)
