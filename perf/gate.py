"""A gate to be measured: its keys, its upstream, itself under a profiler if wanted, and the load on it."""

import json
import pathlib
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "bench" / "compare"))

import proxies  # noqa: E402  (bench/compare)


class Bench:
    """What a measurement shares: folder, authority, upstream. `cpus`: (proxy, client)."""

    def __init__(self, folder, popgate, upstream_binary, cpus):
        self.setup = proxies.Setup(folder, popgate, upstream_binary, cpus[0], cpus[1], 2000)
        self.gates = 0

    def stop(self):
        self.setup.upstream.stop()

    def start(self, mode, binary=None, prefix=(), changes=None, environment=None, ready_s=15):
        self.gates += 1
        gate = proxies.Popgate(self.setup, f"gate-{self.gates}", mode, binary=binary, changes=changes)
        command = [*prefix, *gate.command()]
        gate.running = proxies.Process(gate.name, self.setup.proxy_cpu, command, gate.folder / "log", environment)
        deadline = time.monotonic() + ready_s
        while time.monotonic() < deadline:
            if gate.running.process.poll() is not None:
                raise SystemExit((gate.folder / "log").read_text(errors="replace")[-2000:])
            if listens(gate.port):
                return gate
            time.sleep(0.05)
        raise SystemExit(f"{gate.name} does not listen")

    def load(self, gate, requests, *, fresh=True, connections=64, keys=200, warmup=0, algorithm="ES256", url="/", more=()):
        proofs = ["--proofs", requests + warmup + 3 * connections] if fresh else ["--proofs", 1000, "--repeat"]
        command = [self.setup.popgate, "bench", "http", "--json", "--dir", self.setup.authority, "--url",
                   gate.url + url, "--audience", gate.url, "--connections", connections, "--keys", keys, "--keys-file",
                   self.setup.folder / f"{algorithm}-{keys}.pem", "--alg", algorithm, "--duration", "0", "--requests",
                   requests, "--warmup", warmup, "--cpu", self.setup.client_cpu, *proofs, *more]
        for pid in gate.pids():
            command += ["--pid", pid]
        told = json.loads(subprocess.run([str(word) for word in command], check=True, capture_output=True,
                                         text=True).stdout)
        if set(told["statuses"]) != {"200"} or told["failures"]:
            raise SystemExit(f"{gate.name}: {told['statuses']}, {told['failures']} failures: {told['failure']}")
        return told


def listens(port):
    import socket
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
