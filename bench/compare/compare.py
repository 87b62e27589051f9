#!/usr/bin/python3
"""popgate beside other proxies: the same upstream, requests, certificates and cores, in alternating rounds.

Every figure is a median of rounds and every ratio is made within a round, so that a machine that slows down slows both.
What is counted is CPU time of the proxy's processes as the kernel counts it, from before the first measured request to after
the last answer. The proxy has a core of its own; the generator and the upstream share another. No proxy writes an access log,
unless --access-log makes all of them write one.

  compare.py --build BUILD [--form short|full] [--json FILE] [--only NAME ...] [--what NAME ...]
             [--access-log] [--rounds N] [--requests N]
             [--upstream KIND ...]                 how the service is reached, each by all who can (tcp, unix, h2c)
             [--extra NAME=POPGATE_BINARY ...]     other builds of popgate, in the same rounds
             [--variant NAME=JSON ...]             popgate with other settings, e.g. 'epoll={"io_backend": "epoll"}'
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import measure  # noqa: E402
import report  # noqa: E402
from proxies import UPSTREAMS, Haproxy, ModOauth2, Nginx, Popgate, Redis, Setup, end_when_told, find_program  # noqa: E402
from report import SHARED, STORE  # noqa: E402
from rounds import Rounds  # noqa: E402
from targets import KEPT, OFF, ONE, RATE, SUBJECT  # noqa: E402

FORMS = {
    "short": {"rounds": 3, "requests": 20000, "slow_requests": 1000, "handshakes": 600, "bodies": 3000, "idle": 2000,
              "latency_rounds": 7, "seconds": 1, "sizes_requests": 10000, "connections": (64, 4096), "allocations": 20000},
    "full": {"rounds": 9, "requests": 60000, "slow_requests": 3000, "handshakes": 2000, "bodies": 12000, "idle": 10000,
             "latency_rounds": 15, "seconds": 3, "sizes_requests": 40000, "connections": (64, 512, 4096),
             "allocations": 50000},
}
KEYS = (10, 200, 2000)
# Descriptors that a proxy needs beside one for each idle connection.
DESCRIPTORS_BESIDE = 1500
WORKERS_CPUS = 4  # two workers, and as much again for who asks them and who answers them
WHAT = ("cpu", "redis", "one", "latency", "handshakes", "bodies", "connections", "keys", "workers", "memory", "allocations")


def describe_machine(popgate):
    model = "unknown"
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    version = subprocess.run([popgate, "--version"], capture_output=True, text=True).stdout.strip()
    return {"cpu": model, "cpus": os.cpu_count(), "kernel": platform.release(), "popgate": version,
            "load_before": os.getloadavg()[0],
            "peers": {name: first_line(name) for name in ("haproxy", "nginx", "apache2")}}


def first_line(program):
    path = find_program(program)
    if not path:
        return f"{program} is not installed"
    result = subprocess.run([path, "-v"], capture_output=True, text=True)
    return (result.stdout or result.stderr).partition("\n")[0]


class Comparison:
    def __init__(self, setup, form):
        self.setup, self.form = setup, form
        self.rounds = Rounds()
        self.started, self.proxies = [], []
        self.rate = None

    def start(self, proxy):
        self.started.append(proxy)
        proxy.start()
        measure.check(self.setup, proxy)
        return proxy

    def stop(self):
        for proxy in self.started:
            if hasattr(proxy, "running"):
                proxy.stop()

    def fast(self):
        """Over TCP, and not slower by orders of magnitude."""
        return [proxy for proxy in self.proxies if not isinstance(proxy, ModOauth2) and proxy.upstream == "tcp"]

    def named(self, *names):
        return [proxy for proxy in self.proxies if proxy.name in names]

    def run(self, name, proxies, run, count=None):
        self.rounds.run(name, [(name, proxy.name, lambda proxy=proxy: run(proxy)) for proxy in proxies],
                        count or self.form["rounds"])

    def run_sizes(self, name, sizes, proxies, run, count=None):
        """All sizes of all proxies in one alternation."""
        self.rounds.run(name, [(f"{name}, {size}", proxy.name, lambda proxy=proxy, size=size: run(proxy, size))
                               for size in sizes for proxy in proxies], count or self.form["rounds"])


# ---- what is measured ----

def cpu(comparison):
    setup, form = comparison.setup, comparison.form
    comparison.run(KEPT, comparison.proxies, lambda p: measure.keep_alive(
        setup, p, form["slow_requests"] if isinstance(p, ModOauth2) else form["requests"]))


def redis(comparison):
    setup, requests = comparison.setup, comparison.form["requests"]
    local = comparison.named(SUBJECT)
    if not local:
        return
    if not Redis.is_installed():
        print("  redis-server is not installed", file=sys.stderr)
        return
    server = Redis(setup)
    comparison.started.append(server)
    shared = comparison.start(Popgate(setup, SHARED, "enforce",
                                      changes={"replay": {"redis": f"redis://127.0.0.1:{server.port}"}}))
    comparison.run(STORE, [*local, shared], lambda p: measure.keep_alive(setup, p, requests))


def one(comparison):
    popgates = [proxy for proxy in comparison.fast() if isinstance(proxy, Popgate)]
    comparison.run(ONE, popgates, lambda p: measure.keep_alive(comparison.setup, p, comparison.form["requests"] // 10,
                                                               connections=1))


def latency(comparison):
    """At 70 % of what HAProxy can: its closed loop, measured in this run."""
    setup, form, rounds = comparison.setup, comparison.form, comparison.rounds
    name = KEPT
    if rounds.median(KEPT, "haproxy", "requests_per_second") is None:
        name = "haproxy's capacity"
        comparison.run(name, comparison.named("haproxy"), lambda p: measure.keep_alive(setup, p, form["requests"]), 3)
    capacity = rounds.median(name, "haproxy", "requests_per_second")
    if capacity:
        comparison.rate = 0.7 * capacity
        comparison.run(RATE, comparison.named(SUBJECT, "haproxy", "nginx"),
                       lambda p: measure.at_rate(setup, p, comparison.rate, form["seconds"]), form["latency_rounds"])


def handshakes(comparison):
    for kind in ("full", "resumed"):
        comparison.run(f"{kind} handshakes", comparison.fast(), lambda p, kind=kind: measure.handshakes(
            comparison.setup, p, kind, comparison.form["handshakes"]))


def bodies(comparison):
    comparison.run("64 KiB answers", comparison.fast(),
                   lambda p: measure.bodies(comparison.setup, p, comparison.form["bodies"]))


def connections(comparison):
    setup, form = comparison.setup, comparison.form
    proxies = comparison.fast() if len(form["connections"]) > 2 else comparison.named(SUBJECT, OFF)
    comparison.run_sizes("over connections", form["connections"], proxies, lambda p, n: measure.keep_alive(
        setup, p, form["sizes_requests"], connections=n, warmup=measure.WARMUP + 2 * n), (form["rounds"] + 1) // 2)


def keys(comparison):
    setup, form = comparison.setup, comparison.form
    if not comparison.named(SUBJECT):
        return
    roomy = comparison.start(Popgate(setup, "popgate with room", "enforce", changes={"crypto": {"key_memory": "192MiB"}}))
    roomy.name = SUBJECT
    # Every key's table is there before anything counts: clients keep their keys.
    measure.keep_alive(setup, roomy, 10 * KEYS[-1], keys=KEYS[-1])
    comparison.run_sizes("over keys", KEYS, [roomy], lambda p, n: measure.keep_alive(
        setup, p, form["sizes_requests"], keys=n, warmup=5 * n + 500))


def workers(comparison):
    setup = comparison.setup
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < WORKERS_CPUS:
        print(f"  workers: {len(cpus)} CPUs; what 2 workers bring is measured from {WORKERS_CPUS} on")
        return
    proxies = []
    for count, name in ((1, "1 worker"), (2, "2 workers")):
        proxy = Popgate(setup, name, "enforce", changes={"workers": count})
        proxy.cpu = ",".join(map(str, cpus[-count:]))
        proxies.append(comparison.start(proxy))
        measure.keep_alive(setup, proxy, 2000)
    clients = cpus[:len(cpus) - 2]
    os.sched_setaffinity(setup.upstream.process.pid, set(clients))
    try:
        comparison.run("workers", proxies, lambda p: measure.many_generators(setup, p, clients[:4]))
    finally:
        os.sched_setaffinity(setup.upstream.process.pid, {setup.client_cpu})


def memory(comparison):
    comparison.run("idle connections", comparison.fast(),
                   lambda p: measure.idle_memory(comparison.setup, p, comparison.setup.idle_connections), 1)


def allocations(comparison):
    setup = comparison.setup
    library = comparison.build / "bench" / "libmalloc_count.so"
    if not library.exists() or not comparison.named(SUBJECT):
        return
    counter = setup.folder / "allocations"
    counted = comparison.start(Popgate(setup, "popgate counted", "enforce",
                                       environment={"LD_PRELOAD": str(library), "POPGATE_MALLOC_COUNT": str(counter)}))
    comparison.run("allocations", [counted],
                   lambda p: measure.allocations(setup, p, counter, comparison.form["allocations"]), 1)


# ---- all of it ----

def named_for(name, upstream):
    return name if upstream == "tcp" else f"{name}, {upstream}"


def make_proxies(setup, arguments):
    proxies = []
    peers = (("haproxy", Haproxy, "haproxy", UPSTREAMS), ("nginx", Nginx, "nginx", ("tcp", "unix")),
             ("apache mod_oauth2", ModOauth2, "apache2", ("tcp",)))
    for upstream in arguments.upstream:
        for name, mode in ((SUBJECT, "enforce"), (OFF, "off")):
            proxies.append((named_for(name, upstream), lambda name, mode=mode, upstream=upstream: Popgate(
                setup, name, mode, upstream=upstream)))
        for name, kind, program, reaches in peers:
            if upstream not in reaches:
                continue
            if find_program(program):
                proxies.append((named_for(name, upstream), lambda name, kind=kind, upstream=upstream: kind(
                    setup, name, upstream)))
            else:
                print(f"  {name}: {program} is not installed", file=sys.stderr)
    for extra in arguments.extra:
        name, _, binary = extra.partition("=")
        proxies.append((name, lambda name, binary=binary: Popgate(setup, name, "enforce",
                                                                  binary=pathlib.Path(binary).resolve())))
    for variant in arguments.variant:
        name, _, changes = variant.partition("=")
        changes = json.loads(changes)
        proxies.append((name, lambda name, changes=changes: Popgate(
            setup, name, changes.get("dpop", {}).get("mode", "enforce"), changes=changes)))
    return [make(name) for name, make in proxies if not arguments.only or name in arguments.only]


MEASURES = {"cpu": cpu, "redis": redis, "one": one, "latency": latency, "handshakes": handshakes, "bodies": bodies,
            "connections": connections, "keys": keys, "workers": workers, "memory": memory, "allocations": allocations}


def compare(folder, arguments, form):
    build = pathlib.Path(arguments.build).resolve()
    popgate = pathlib.Path(arguments.popgate or build / "popgate").resolve()
    descriptors = measure.raise_descriptors(2 * form["idle"] + DESCRIPTORS_BESIDE)
    cpus = sorted(os.sched_getaffinity(0))
    idle = min(form["idle"], descriptors - DESCRIPTORS_BESIDE)
    setup = Setup(folder, popgate, build / "bench" / "bench_upstream", cpus[-1], cpus[0],
                  max(idle, form["connections"][-1]) + 200)
    setup.access_log, setup.idle_connections = arguments.access_log, idle
    comparison = Comparison(setup, form)
    comparison.build = build
    try:
        comparison.proxies = make_proxies(setup, arguments)
        for proxy in comparison.proxies:
            comparison.start(proxy)
        comparison.machine = describe_machine(popgate)
        for name in (name for name in WHAT if name in arguments.what):
            MEASURES[name](comparison)
        return comparison
    finally:
        comparison.stop()
        setup.upstream.stop()


def read_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True)
    parser.add_argument("--popgate", help="instead of BUILD/popgate")
    parser.add_argument("--form", choices=FORMS, default="short")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--requests", type=int, help="of a round, 64 connections")
    parser.add_argument("--json", help="write everything there")
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--what", action="append", default=[], choices=WHAT, help="(all)")
    parser.add_argument("--upstream", action="append", default=[], choices=UPSTREAMS)
    parser.add_argument("--access-log", action="store_true")
    parser.add_argument("--extra", action="append", default=[], metavar="NAME=BINARY")
    parser.add_argument("--variant", action="append", default=[], metavar="NAME=JSON")
    arguments = parser.parse_args()
    arguments.what = arguments.what or list(WHAT)
    arguments.upstream = arguments.upstream or (["tcp", "unix", "h2c"] if "cpu" in arguments.what else ["tcp"])
    return arguments


def main():
    end_when_told()
    arguments = read_arguments()
    form = dict(FORMS[arguments.form])
    if arguments.rounds:
        form["rounds"] = form["latency_rounds"] = arguments.rounds
    form["requests"] = arguments.requests or form["requests"]
    folder = tempfile.mkdtemp(prefix="popgate-compare-")
    os.chmod(folder, 0o755)  # Apache's and nginx's workers are other users
    try:
        comparison = compare(folder, arguments, form)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    report.show(comparison.rounds, form["rounds"], comparison.rate, sys.stdout)
    machine = comparison.machine
    print(f"\n{machine['cpu']}, {machine['cpus']} CPUs, Linux {machine['kernel']}, load {machine['load_before']:.1f} at the "
          f"start\n{machine['popgate']}\n" + "\n".join(machine["peers"].values()))
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(
            {"date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"), "machine": machine,
             "access_log": arguments.access_log, "form": form, "rate": comparison.rate,
             "results": comparison.rounds.results}, indent=1) + "\n")
    return 1 if comparison.rounds.missing() else 0


sys.exit(main())
