"""Certificates, keys, CAs, CRLs and JWKS that change on disk are taken up, however they were written, and no request is lost."""

import os
import shutil
import ssl
import threading
import time

import pytest

from harness import client as clients
from harness.authority import Authority
from harness.mint import Issuer


class Plain:
    """Files in a folder."""

    def __init__(self, folder, files):
        self.folder = folder
        folder.mkdir()
        for name, content in files.items():
            (folder / name).write_bytes(content)

    def path(self, name):
        return str(self.folder / name)


class InPlace(Plain):
    def write(self, files):
        for name, content in files.items():
            with open(self.folder / name, "wb") as file:
                file.write(content)


class RenamedOver(Plain):
    def write(self, files):
        for name, content in files.items():
            (self.folder / (name + ".new")).write_bytes(content)
            os.replace(self.folder / (name + ".new"), self.folder / name)


class Kubernetes(Plain):
    """What kubelet's AtomicWriter makes: name -> ..data/name, ..data -> a folder with a time in its name."""

    def __init__(self, folder, files):
        self.folder, self.number, self.files = folder, 0, {}
        folder.mkdir()
        self.write(files)
        for name in files:
            os.symlink(f"..data/{name}", folder / name)

    def write(self, files):
        self.files.update(files)
        self.number += 1
        old = os.readlink(self.folder / "..data") if self.number > 1 else None
        data = self.folder / f"..2026_01_01_{self.number}"
        data.mkdir()
        for name, content in self.files.items():
            (data / name).write_bytes(content)
        os.symlink(data.name, self.folder / "..data_tmp")
        os.replace(self.folder / "..data_tmp", self.folder / "..data")
        if old:
            shutil.rmtree(self.folder / old)


WAYS = pytest.mark.parametrize("way", [InPlace, RenamedOver, Kubernetes])


def pair(leaf):
    return {"tls.crt": leaf.path.read_bytes(), "tls.key": leaf.key_path.read_bytes()}


def server(world, name, **options):
    return world.authority.issue(name, dns=["orders.example.com"], server=True, client=False, **options)


def served(world, gate):
    """The certificate that a new handshake is answered with."""
    with world.connect(gate) as connection:
        return connection.socket.getpeercert(True)


def wait(what, timeout=10):
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if what():
            return
        time.sleep(0.05)
    raise AssertionError("nothing happened")


def generation(gate):
    return gate.metric("popgate_config_generation")


def reloads(gate, result):
    return gate.metric("popgate_config_reloads_total", result=result)


class Load:
    """Requests on connections old and new until told to stop; every one must be answered with 200."""

    def __init__(self, world, gate):
        self.world, self.gate, self.stop, self.failures, self.count = world, gate, False, [], 0
        self.threads = [threading.Thread(target=self.run, args=(i,)) for i in range(3)]

    def run(self, number):
        try:
            connection, used = None, 0
            while not self.stop:
                if connection is None or (number == 0 and used == 5):
                    if connection is not None:
                        connection.close()
                    connection, used = self.world.connect(self.gate), 0
                response = self.world.request(connection, "GET", f"/{number}/{self.count}")
                if response.status != 200:
                    self.failures.append(response)
                self.count += 1
                used += 1
            connection.close()
        except Exception as error:  # noqa: BLE001: reported by __exit__
            self.failures.append(repr(error))

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop = True
        for thread in self.threads:
            thread.join()
        assert not self.failures and self.count > 0, self.failures[:5]


@WAYS
def test_a_certificate_and_its_key_switch_as_a_pair_without_a_lost_request(world, start, tmp_path, way):
    leaves = [server(world, f"files-{i}") for i in range(4)]
    files = way(tmp_path / "tls", pair(leaves[0]))
    gate, _ = start(tls={"certificate": files.path("tls.crt"), "private_key": files.path("tls.key")})
    with Load(world, gate):
        for leaf in leaves[1:]:
            files.write(pair(leaf))
            der = ssl.PEM_cert_to_DER_cert(leaf.path.read_text())
            wait(lambda: served(world, gate) == der)
    assert reloads(gate, "failed") == 0
    assert generation(gate) == 4 and reloads(gate, "ok") == 3, "each pair once"


@pytest.mark.parametrize("first", ["tls.crt", "tls.key"])
def test_a_pair_that_does_not_match_is_refused_and_the_old_one_stays(world, start, tmp_path, first):
    old, new = server(world, "match-old"), server(world, "match-new")
    files = InPlace(tmp_path / "tls", pair(old))
    gate, _ = start(tls={"certificate": files.path("tls.crt"), "private_key": files.path("tls.key")})
    files.write({first: pair(new)[first]})
    wait(lambda: reloads(gate, "failed") == 1)
    gate.wait_output(str(files.path("tls.")))
    time.sleep(1)
    assert reloads(gate, "failed") == 1, "said once"
    assert generation(gate) == 1
    assert served(world, gate) == ssl.PEM_cert_to_DER_cert(old.path.read_text())
    with world.connect(gate) as connection:
        assert world.request(connection).status == 200
    files.write(pair(new))
    wait(lambda: served(world, gate) == ssl.PEM_cert_to_DER_cert(new.path.read_text()))
    assert generation(gate) == 2


@pytest.mark.parametrize("content", [b"", b"garbage", None])
def test_a_file_that_is_no_certificate_is_refused_and_the_old_one_stays(world, start, tmp_path, content):
    leaf = server(world, "whole")
    files = InPlace(tmp_path / "tls", pair(leaf))
    gate, _ = start(tls={"certificate": files.path("tls.crt"), "private_key": files.path("tls.key")})
    content = leaf.path.read_bytes()[:300] if content is None else content
    files.write({"tls.crt": content})
    wait(lambda: reloads(gate, "failed") == 1)
    os.unlink(files.path("tls.crt"))
    wait(lambda: reloads(gate, "failed") == 2)
    with world.connect(gate) as connection:
        assert world.request(connection).status == 200
    files.write(pair(leaf))
    wait(lambda: reloads(gate, "ok") == 1)


@WAYS
def test_a_ca_that_is_added_and_one_that_is_removed(world, start, tmp_path, way):
    second = Authority(tmp_path / "second", "files-second")
    leaf = second.issue("client-second", spiffe="spiffe://second.example/x")
    one, other = world.authority.root.path.read_bytes(), second.root.path.read_bytes()
    files = way(tmp_path / "ca", {"ca.crt": one})
    gate, _ = start(tls={"client_ca": files.path("ca.crt")})

    def passes():
        try:
            with clients.Connection(gate.port, world.tls(leaf)) as connection:
                return world.request(connection).status == 200
        except (ssl.SSLError, OSError, clients.Closed):
            return False
    assert not passes()
    with Load(world, gate):
        files.write({"ca.crt": one + other})
        wait(passes)
        files.write({"ca.crt": one})
        wait(lambda: not passes())


@WAYS
def test_a_revocation(world, start, tmp_path, way):
    leaf = world.authority.issue("files-revoked", spiffe="spiffe://example.com/files-revoked")
    empty = world.authority.crl(name="files-empty").read_bytes()
    full = world.authority.crl([leaf], name="files-full").read_bytes()
    files = way(tmp_path / "crl", {"crl.pem": empty})
    gate, _ = start(tls={"client_crl": files.path("crl.pem")})
    with clients.Connection(gate.port, world.tls(leaf)) as connection, Load(world, gate):
        assert world.request(connection).status == 200
        files.write({"crl.pem": full})
        assert connection.closed(10), "the open connection is cut"


@WAYS
def test_an_issuers_keys(world, start, tmp_path, way):
    rotated = Issuer(kid="files-rotated")
    files = way(tmp_path / "jwks", {"jwks.json": world.issuer.jwks().encode()})
    gate, _ = start(issuers=[{"issuer": world.issuer.issuer, "audience": world.issuer.audience,
                              "jwks_file": files.path("jwks.json")}])
    with world.connect(gate) as connection:
        assert world.request(connection).status == 200
        files.write({"jwks.json": rotated.jwks().encode()})
        wait(lambda: generation(gate) == 2)
        assert world.request(connection).status == 401
        assert world.request(connection, token=rotated.token(jkt=world.key.thumbprint)).status == 200
        files.write({"jwks.json": b"{"})
        wait(lambda: reloads(gate, "failed") == 1)
        assert world.request(connection, token=rotated.token(jkt=world.key.thumbprint)).status == 200


def test_the_configuration_itself_waits_for_a_signal(world, start, tmp_path):
    """A person may be in the middle of editing it when a certificate is rotated."""
    old, new = server(world, "edit-old"), server(world, "edit-new")
    files = RenamedOver(tmp_path / "tls", pair(old))
    gate, _ = start(tls={"certificate": files.path("tls.crt"), "private_key": files.path("tls.key")})
    gate.config_path.write_text("half a line: [")
    time.sleep(1)
    assert reloads(gate, "failed") == reloads(gate, "ok") == 0
    files.write(pair(new))
    wait(lambda: served(world, gate) == ssl.PEM_cert_to_DER_cert(new.path.read_text()))
    assert reloads(gate, "failed") == 0
    gate.write_config()
    gate.signal(1)
    wait(lambda: reloads(gate, "ok") == 2)
    time.sleep(1)
    assert reloads(gate, "ok") == 2 and generation(gate) == 3, "nothing is left to be taken up"


def test_files_that_a_reload_names_are_watched_from_then_on(world, start, tmp_path):
    one, two, three = (server(world, f"named-{i}") for i in range(3))
    first = InPlace(tmp_path / "first", pair(one))
    second = InPlace(tmp_path / "second", pair(two))
    gate, _ = start(tls={"certificate": first.path("tls.crt"), "private_key": first.path("tls.key")})
    gate.config["tls"].update(certificate=second.path("tls.crt"), private_key=second.path("tls.key"))
    gate.write_config()
    gate.signal(1)
    wait(lambda: generation(gate) == 2)
    first.write(pair(three))
    time.sleep(1)
    assert generation(gate) == 2
    second.write(pair(three))
    wait(lambda: served(world, gate) == ssl.PEM_cert_to_DER_cert(three.path.read_text()))
