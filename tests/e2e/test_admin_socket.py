"""admin.socket: what everybody may see, and what only the process's own user may."""

import http.client
import json
import os
import socket
import stat
import time

import pytest

from harness.gate import Gate
from harness.mint import Key
from harness.upstream import Upstream


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=10)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(str(self.path))


def ask(path, target, method="GET", body=None):
    connection = UnixConnection(path)
    connection.request(method, target, body)
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response.status, text


@pytest.fixture
def private(start, tmp_path):
    path = tmp_path / "admin.sock"
    gate, upstream = start(admin={"socket": str(path)})
    return gate, upstream, path


def test_the_socket_is_the_users_alone_and_goes_with_the_process(world, private):
    gate, _, path = private
    about = os.stat(path)
    assert stat.S_ISSOCK(about.st_mode) and stat.S_IMODE(about.st_mode) == 0o600
    for page in ("/livez", "/readyz", "/metrics"):
        assert ask(path, page)[0] == 200
    gate.stop()
    assert not path.exists()


def test_what_is_not_for_everyone_is_not_on_the_port(private):
    gate, _, path = private
    for page in ("/identities", "/config", "/log-level"):
        assert gate.admin(page)[0] == 404
        assert ask(path, page)[0] == 200
    status, text = ask(path, "/nothing")
    assert status == 404 and "/identities" in text
    assert "/identities" not in gate.admin("/nothing")[1]


def test_identities(world, private):
    gate, _, path = private
    other = world.authority.issue("identity-b", spiffe="spiffe://example.com/identity-b")
    assert json.loads(ask(path, "/identities")[1]) == {"identities": [], "truncated": False}
    with world.connect(gate) as one, world.connect(gate, other) as two:
        for i in range(3):
            assert world.request(one, "GET", f"/{i}").status == 200
        assert world.request(one, headers=[]).status == 401
        key = Key("EdDSA")
        token = world.token(key, payload={"sub": 'quoted " \\ subject'})
        assert world.request(two, key=key, token=token).status == 200
        replayed = world.credentials("GET", "/r")
        for want in (200, 401):
            assert world.request(two, "GET", "/r", replayed).status == want
    found = json.loads(ask(path, "/identities")[1])["identities"]
    by_name = {(entry.get("spiffe_id"), entry.get("subject")): entry for entry in found}
    a, b = "spiffe://example.com/client-a", "spiffe://example.com/identity-b"
    assert by_name[a, "service-a"]["requests"] == {"allowed": 3}
    assert by_name[a, "service-a"]["issuer"] == world.issuer.issuer
    assert by_name[a, "service-a"]["client_id"]
    assert by_name[a, None]["requests"] == {"denied": 1}
    assert by_name[b, 'quoted " \\ subject']["requests"] == {"allowed": 1}
    assert by_name[b, None]["requests"] == {"denied": 1}
    assert len(found) == 5
    assert ask(path, "/identities", "POST")[0] == 405


def test_the_configuration_in_force_without_secrets(world, start, tmp_path):
    path = tmp_path / "admin.sock"
    gate, _ = start(admin={"socket": str(path)})
    text = gate.config_path.read_text() + "# redis://user:hunter2@redis:6379 and rediss://:hunter2@other\n"
    gate.config_path.write_text(text)
    gate.signal(1)
    gate.wait_log(event="reload")
    gate.config_path.write_text("not in force")
    status, shown = ask(path, "/config")
    assert status == 200
    assert shown.startswith("# generation 2, from ") and world.issuer.issuer in shown
    assert "not in force" not in shown and "hunter2" not in shown and "***@" in shown
    assert "PRIVATE KEY" not in shown


def test_the_log_level(world, private):
    gate, _, path = private
    assert ask(path, "/log-level") == (200, "info\n")
    assert ask(path, "/log-level?level=error", "PUT") == (200, "error\n")
    with world.connect(gate) as connection:
        assert world.request(connection, "GET", "/unseen").status == 200
        assert ask(path, "/log-level?level=info", "POST", b"") == (200, "info\n")
        assert world.request(connection, "GET", "/seen").status == 200
    assert gate.wait_log(path="/seen") and not gate.log(path="/unseen")
    for wrong in ("/log-level", "/log-level?level=loud", "/log-level?level=", "/log-level?other=info"):
        assert ask(path, wrong, "PUT")[0] == 400, wrong
    assert ask(path, "/log-level?level=debug", "DELETE")[0] == 405
    assert ask(path, "/log-level?level=debug", "PUT", b"a body")[0] == 413
    assert ask(path, "/log-level") == (200, "info\n")
    ask(path, "/log-level?level=debug", "PUT")
    gate.signal(1)
    gate.wait_log(event="reload")
    assert ask(path, "/log-level") == (200, "debug\n"), "a reload that does not change it leaves it"


def test_a_socket_left_behind_is_replaced_and_one_in_use_is_not(world, backend, tmp_path):
    path = tmp_path / "admin.sock"
    upstream = Upstream()
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path))
    left.listen()
    second = Gate(world.config(upstream, backend, admin={"socket": str(path)}))
    with pytest.raises(AssertionError, match="cannot listen on"):
        second.start()
    left.close()
    gate = Gate(world.config(upstream, backend, admin={"socket": str(path)})).start()
    assert ask(path, "/livez")[0] == 200
    gate.kill()
    gate.process.wait()
    again = Gate(world.config(upstream, backend, admin={"socket": str(path)})).start()
    assert ask(path, "/livez")[0] == 200
    again.stop()
    file = tmp_path / "file"
    file.write_text("mine")
    third = Gate(world.config(upstream, backend, admin={"socket": str(file)}))
    with pytest.raises(AssertionError, match="cannot listen on"):
        third.start()
    assert file.read_text() == "mine"
    upstream.stop()


def test_the_socket_alone(world, start, tmp_path):
    path = tmp_path / "admin.sock"
    upstream = Upstream()
    gate = Gate(world.config(upstream, "auto", admin={"socket": str(path), "listen": ""})).start(ready=False)
    for _ in range(200):
        try:
            if ask(path, "/readyz")[0] == 200:
                break
        except OSError:
            pass
        time.sleep(0.02)
    assert ask(path, "/config")[0] == 200
    gate.stop()
    upstream.stop()
