"""Which io backend is taken, when the kernel forbids io_uring and when it does not; and that nothing leaks."""

import ctypes
import ctypes.util
import os
import subprocess
import threading

import pytest

from harness import client as clients
from harness.gate import Gate, POPGATE, SANITIZED
from harness.upstream import Upstream

SCMP_ACT_ALLOW = 0x7FFF0000


def forbid_io_uring():
    """Runs in the child before exec: io_uring_setup answers EPERM, as container default profiles have it."""
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.seccomp_init(SCMP_ACT_ALLOW))
    for name in (b"io_uring_setup", b"io_uring_enter", b"io_uring_register"):
        number = library.seccomp_syscall_resolve_name(name)
        assert library.seccomp_rule_add(context, 0x00050000 | 1, number, 0) == 0
    assert library.seccomp_load(context) == 0


@pytest.fixture
def plain_upstream():
    upstream = Upstream()
    yield upstream
    upstream.stop()


def test_auto_falls_back_to_epoll_where_io_uring_is_forbidden(world, plain_upstream):
    with Gate(world.config(plain_upstream, "auto"), preexec=forbid_io_uring) as gate:
        assert gate.metric("popgate_build_info", io_backend="epoll") == 1
        gate.wait_output("epoll")
        with world.connect(gate) as connection:
            assert world.request(connection).status == 200


def test_auto_takes_io_uring_where_it_is_allowed(world, plain_upstream):
    with Gate(world.config(plain_upstream, "auto")) as gate:
        assert gate.metric("popgate_build_info", io_backend="io_uring") == 1


def test_io_uring_by_name_fails_hard_where_it_is_forbidden(world, plain_upstream):
    gate = Gate(world.config(plain_upstream, "io_uring"), preexec=forbid_io_uring)
    gate.start(ready=False)
    assert gate.process.wait(20) == 1
    gate.reader.join(5)
    assert "io_uring" in gate.output


def heap_and_descriptors(gate):
    resident = next(int(line.split()[1]) for line in open(f"/proc/{gate.process.pid}/status")
                    if line.startswith("VmRSS"))
    return resident, len(os.listdir(f"/proc/{gate.process.pid}/fd"))


def test_nothing_leaks_over_100000_requests(world, start):
    """Replayed proofs cost the client no signature, and the gate everything but the forwarding; every hundredth is fresh."""
    gate, upstream = start()
    total = 20_000 if SANITIZED else 100_000
    replayed = clients.request_bytes(headers=world.credentials())
    batch = replayed * 50

    def many(count):
        with world.connect(gate, timeout=120) as connection:
            for _ in range(count // 50):
                connection.send(batch)
                for _ in range(50):
                    assert connection.response().status in (200, 401)
                assert world.request(connection).status == 200

    def both(count):
        threads = [threading.Thread(target=many, args=(count // 2,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    both(total // 10)
    before = heap_and_descriptors(gate)
    both(total)
    after = heap_and_descriptors(gate)
    assert gate.metric("popgate_requests_total") >= total
    assert after[1] <= before[1] + 4
    assert after[0] - before[0] < 2048 or SANITIZED, f"{before} -> {after} KiB"


def test_usage():
    for arguments, code in ((["--help"], 0), (["run", "--help"], 0), (["run"], 2), (["run", "-c"], 2),
                            (["run", "-c", "/nonexistent.yaml"], 1), (["nonsense"], 2), ([], 2)):
        result = subprocess.run([POPGATE, *arguments], capture_output=True, text=True, timeout=20)
        assert result.returncode == code, (arguments, result.stdout, result.stderr)
        assert result.stdout or result.stderr
