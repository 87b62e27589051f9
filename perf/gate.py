"""Who is measured: a gate with the keys and the upstream it needs, under a profiler if wanted, the peers beside it, and the
load on them."""

import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "bench" / "compare"))

import measure  # noqa: E402  (bench/compare)
import proxies  # noqa: E402

ENFORCE, OFF = "popgate enforce", "popgate off"
PEERS = {"HAProxy": (proxies.Haproxy, "haproxy"), "nginx": (proxies.Nginx, "nginx")}
CONNECTIONS_MAX = 4096


class Bench:
    """What a measurement shares: folder, authority, upstream. `cpus`: (proxy, client)."""

    def __init__(self, folder, popgate, upstream_binary, cpus):
        measure.raise_descriptors(2 * CONNECTIONS_MAX + 1500)
        self.setup = proxies.Setup(folder, popgate, upstream_binary, cpus[0], cpus[1], CONNECTIONS_MAX + 200)
        self.running, self.count = [], 0

    def stop(self):
        for proxy in self.running:
            proxy.stop()
        self.setup.upstream.stop()

    def stop_one(self, proxy):
        self.running.remove(proxy)
        proxy.stop()

    def start(self, mode, binary=None, prefix=(), changes=None, environment=None, ready_s=15, cpu=None):
        self.count += 1
        gate = proxies.Popgate(self.setup, f"gate-{self.count}", mode, binary=binary, changes=changes)
        gate.cpu = cpu or gate.cpu
        command = [*prefix, *gate.command()]
        gate.running = proxies.Process(gate.name, gate.cpu, command, gate.folder / "log", environment)
        self.running.append(gate)
        deadline = time.monotonic() + ready_s
        while time.monotonic() < deadline:
            if gate.running.process.poll() is not None:
                raise SystemExit((gate.folder / "log").read_text(errors="replace")[-2000:])
            if listens(gate.port):
                return gate
            time.sleep(0.05)
        raise SystemExit(f"{gate.name} does not listen")

    def start_peer(self, name, workers=1, cpu=None):
        kind, _ = PEERS[name]
        self.count += 1
        peer = kind(self.setup, f"{name}-{self.count}")
        peer.workers, peer.cpu = workers, cpu or peer.cpu
        self.running.append(peer.start())
        return peer

    def start_all(self, changes=None, workers=1, cpu=None):
        """{name: proxy}: the gate in both modes and what peers are installed, each as all of them are asked for the same."""
        changes = {**(changes or {}), "workers": workers}
        started = {name: self.start(mode, changes=changes, cpu=cpu) for name, mode in ((ENFORCE, "enforce"), (OFF, "off"))}
        return started | {name: self.start_peer(name, workers, cpu) for name, (_, program) in PEERS.items()
                          if proxies.find_program(program)}

    def load(self, proxy, requests, *, connections=64, keys=200, warmup=0, path="/"):
        """What the generator tells; a fresh proof in each request where it is verified."""
        return measure.bench(self.setup, proxy, "--url", proxy.url + path, "--connections", connections, "--keys", keys,
                             "--requests", requests, "--warmup", warmup, proofs=requests + warmup + 3 * connections)


def cost(told):
    """Microseconds of CPU of the proxy's processes, a request."""
    return told["watched_cpu_us"] / told["requests"]


def listens(port):
    import socket
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
