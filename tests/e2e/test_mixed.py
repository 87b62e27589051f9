"""Everything at once, for POPGATE_MIXED_SECONDS (make soak: 600): no wrong answer, no cross-talk, no leak, a clean drain."""

import os
import time

import pytest

from harness import mixed
from harness.gate import SANITIZED, Gate
from harness.upstream2 import Upstream2

SECONDS = float(os.environ.get("POPGATE_MIXED_SECONDS", "12"))


class Renamed:
    def __init__(self, folder, files):
        self.folder = folder
        folder.mkdir()
        self.write(files)

    def write(self, files):
        for name, content in files.items():
            (self.folder / (name + ".new")).write_bytes(content)
            os.replace(self.folder / (name + ".new"), self.folder / name)


def resident(gate):
    for line in open(f"/proc/{gate.process.pid}/smaps_rollup"):
        if line.startswith("Rss:"):
            return int(line.split()[1]) * 1024


def descriptors(gate):
    return len(os.listdir(f"/proc/{gate.process.pid}/fd"))


def gone(gate):
    deadline = time.monotonic() + 15
    while gate.metric("popgate_connections", side="downstream") > 0 and time.monotonic() < deadline:
        time.sleep(0.1)


@pytest.mark.alone  # it fills the machine
def test_mixed_load_under_reloads_rotations_restarts_and_vanishing_clients(world, start, backend, tmp_path):
    leaves = [world.authority.issue(f"mixed-{i}", dns=["orders.example.com"], server=True, client=False) for i in range(3)]
    pair = Renamed(tmp_path / "tls", {"tls.crt": leaves[0].path.read_bytes(), "tls.key": leaves[0].key_path.read_bytes()})
    gate, upstream = start(handler=mixed.service, workers=2, log={"access": False}, replay={"capacity": 131072},
                           dpop={"max_age": "10s"},
                           tls={"certificate": str(tmp_path / "tls/tls.crt"), "private_key": str(tmp_path / "tls/tls.key")})
    service = Upstream2(handler=mixed.h2c_end, on_head=mixed.h2c_head, on_data=mixed.h2c_data)
    service.takes_connect = True
    second = Gate(world.config(service, backend, workers=2, log={"access": False}, replay={"capacity": 131072},
                               dpop={"max_age": "10s"})).start()
    gates = (gate, second)
    idle_descriptors = [descriptors(one) for one in gates]
    load = mixed.Mixed(world, gate, upstream, pair, leaves, (second, service))
    seen = []
    load.run(SECONDS, lambda: seen.extend(resident(one) for one in gates))
    print(dict(load.counts))
    assert not load.failures, (load.counts, load.failures[:10])
    assert not load.forbidden, "what was refused never reached the service"
    for kind in ("answers", "refusals", "messages", "vanished", "pipeline", "http2", "calls", "websocket", "websocket_h2",
                 "websocket_h2c", "grpc_unary", "grpc_stream", "grpc_refused", "grpc_vanish"):
        assert load.counts[kind] > 2, load.counts
    assert load.counts["failed with the service"] < load.counts["answers"] / 4, load.counts
    for one, idle, half_time in zip(gates, idle_descriptors, seen):
        assert one.metric("popgate_config_reloads_total", result="ok") >= 3
        gone(one)
        pooled = one.metric("popgate_connections", side="upstream")
        assert descriptors(one) <= idle + pooled + 2
        now = resident(one)
        print(f"resident: {half_time // 1024} KiB at half time, {now // 1024} KiB at the end")
        if not SANITIZED:
            assert now - half_time < 8 * 1024 * 1024
        before = time.monotonic()
        one.stop()
        assert time.monotonic() - before < 10
    service.stop()
    assert not service.errors
