"""Everything at once, for POPGATE_MIXED_SECONDS (make soak: 600): no wrong answer, no cross-talk, no leak, a clean drain."""

import os
import time

from harness import mixed
from harness.gate import SANITIZED

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


def test_mixed_load_under_reloads_rotations_restarts_and_vanishing_clients(world, start, tmp_path):
    leaves = [world.authority.issue(f"mixed-{i}", dns=["orders.example.com"], server=True, client=False) for i in range(3)]
    pair = Renamed(tmp_path / "tls", {"tls.crt": leaves[0].path.read_bytes(), "tls.key": leaves[0].key_path.read_bytes()})
    gate, upstream = start(handler=mixed.service, workers=2, log={"access": False}, replay={"capacity": 131072},
                           dpop={"max_age": "10s"},
                           tls={"certificate": str(tmp_path / "tls/tls.crt"), "private_key": str(tmp_path / "tls/tls.key")})
    idle_descriptors = descriptors(gate)
    load = mixed.Mixed(world, gate, upstream, pair, leaves)
    seen = []
    load.run(SECONDS, lambda: seen.append(resident(gate)))
    print(dict(load.counts))
    assert not load.failures, (load.counts, load.failures[:10])
    assert not load.forbidden, "what was refused never reached the service"
    for kind in ("answers", "refusals", "messages", "vanished", "pipeline", "http2"):
        assert load.counts[kind] > 3, load.counts
    assert load.counts["failed with the service"] < load.counts["answers"] / 4, load.counts
    assert gate.metric("popgate_config_reloads_total", result="ok") >= 3
    deadline = time.monotonic() + 15
    while gate.metric("popgate_connections", side="downstream") > 0 and time.monotonic() < deadline:
        time.sleep(0.1)
    pooled = gate.metric("popgate_connections", side="upstream")
    assert descriptors(gate) <= idle_descriptors + pooled + 2
    if not SANITIZED:
        assert resident(gate) - seen[0] < 8 * 1024 * 1024
    before = time.monotonic()
    gate.stop()
    assert time.monotonic() - before < 10
