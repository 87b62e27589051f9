#!/usr/bin/python3
"""popgate beside other proxies: the same upstream, requests, certificates and cores, in alternating rounds.

Every figure is a median of rounds and every ratio is made within a round, so that a machine that slows down slows both.
What is counted is CPU time of the proxy's processes as the kernel counts it, from before the first measured request to after
the last answer. The proxy has a core of its own; the generator and the upstream share another. No proxy writes an access log,
unless --access-log makes all of them write one.

  compare.py --build BUILD [--form short|full] [--json FILE] [--only NAME ...] [--what NAME ...]
             [--access-log]
             [--extra NAME=POPGATE_BINARY ...]     other builds of popgate, in the same rounds
             [--variant NAME=JSON ...]             popgate with other settings, e.g. 'epoll={"io_backend": "epoll"}'
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import measure  # noqa: E402
from proxies import Haproxy, ModOauth2, Nginx, Popgate, Redis, Setup  # noqa: E402

FORMS = {
    "short": {"rounds": 3, "requests": 20000, "slow_requests": 1000, "handshakes": 600, "bodies": 3000,
              "idle": 2000, "seconds": 3, "allocations": 20000},
    "full": {"rounds": 7, "requests": 60000, "slow_requests": 3000, "handshakes": 3000, "bodies": 12000,
             "idle": 10000, "seconds": 10, "allocations": 50000},
}
SUBJECT = "popgate enforce"
SHARED = "popgate replay.redis"
STORE = "64 connections, a Redis shared by replicas"


def raise_descriptors(wanted):
    """To what the kernel lets us; the connections compared are cut to what that allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limit in (wanted, hard):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, max(limit, hard)))
            return limit
        except (ValueError, OSError):
            continue
    return soft


def describe_machine(popgate):
    model = "unknown"
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    version = subprocess.run([popgate, "--version"], capture_output=True, text=True).stdout.strip()
    return {"cpu": model, "cpus": os.cpu_count(), "kernel": platform.release(), "popgate": version,
            "load_before": os.getloadavg()[0],
            "peers": {"haproxy": first_line(["haproxy", "-v"]), "nginx": first_line(["nginx", "-v"]),
                      "apache": first_line(["apache2", "-v"])}}


def first_line(command):
    try:
        result = subprocess.run(command, capture_output=True, text=True)
        return (result.stdout or result.stderr).splitlines()[0]
    except (OSError, IndexError):
        return "not installed"


class Comparison:
    def __init__(self, setup, proxies, form):
        self.setup, self.proxies, self.form = setup, proxies, form
        self.results = {}  # measure -> proxy -> [per round]

    def rounds(self, name, proxies, run, count=None):
        """One of each proxy in turn, beginning with another one each round."""
        if not proxies:
            return
        print(f"  {name} ", end="", flush=True)
        rows = self.results.setdefault(name, {proxy.name: [] for proxy in proxies})
        for index in range(count or self.form["rounds"]):
            turn = index % len(proxies)
            for proxy in proxies[turn:] + proxies[:turn]:
                try:
                    rows[proxy.name].append(run(proxy))
                except measure.Failed as error:
                    print(f"\n  {error}", file=sys.stderr)
                    rows[proxy.name].append(None)
                print(".", end="", flush=True)
        print()

    def values(self, name, proxy, key):
        return [row[key] if row else None for row in self.results.get(name, {}).get(proxy, [])]

    def median(self, name, proxy, key):
        values = [v for v in self.values(name, proxy, key) if v is not None]
        return statistics.median(values) if values else None

    def ratio(self, name, upper, lower, key):
        """Median, lowest and highest of the rounds' own ratios."""
        ratios = [a / b for a, b in zip(self.values(name, upper, key), self.values(name, lower, key))
                  if a is not None and b]
        return (statistics.median(ratios), min(ratios), max(ratios)) if ratios else None


def requests_of(form, proxy):
    return form["slow_requests"] if isinstance(proxy, ModOauth2) else form["requests"]


def run_all(comparison, what, counted, shared):
    setup, form, proxies = comparison.setup, comparison.form, comparison.proxies
    fast = [proxy for proxy in proxies if not isinstance(proxy, ModOauth2)]
    popgates = [proxy for proxy in proxies if isinstance(proxy, Popgate)]
    if "cpu" in what:
        comparison.rounds("keep-alive, 64 connections", proxies,
                          lambda p: measure.keep_alive(setup, p, requests_of(form, p)))
    if shared:
        comparison.rounds(STORE, [proxy for proxy in popgates if proxy.name == SUBJECT] + [shared],
                          lambda p: measure.keep_alive(setup, p, form["requests"]))
    if "one" in what:
        comparison.rounds("keep-alive, 1 connection", popgates,
                          lambda p: measure.keep_alive(setup, p, form["requests"] // 10, connections=1))
    if "latency" in what and "keep-alive, 64 connections" in comparison.results:
        capacity = comparison.median("keep-alive, 64 connections", "haproxy", "requests_per_second")
        if capacity:
            rate = 0.7 * capacity
            comparison.rate = rate
            comparison.rounds("open loop at 70 % of haproxy's rate", fast,
                              lambda p: measure.at_rate(setup, p, rate, form["seconds"]))
    if "handshakes" in what:
        for kind in ("full", "resumed"):
            comparison.rounds(f"{kind} handshakes", fast,
                              lambda p, kind=kind: measure.handshakes(setup, p, kind, form["handshakes"]))
    if "bodies" in what:
        comparison.rounds("64 KiB answers", fast, lambda p: measure.bodies(setup, p, form["bodies"]))
    if "memory" in what:
        comparison.rounds("idle connections", fast,
                          lambda p: measure.idle_memory(setup, p, setup.idle_connections), count=1)
    if "allocations" in what and counted:
        comparison.rounds("allocations", [counted],
                          lambda p: measure.allocations(setup, p, counted.counter, form["allocations"]), count=1)


def amount(value, scale=1.0, digits=1):
    return "-" if value is None else f"{value * scale:,.{digits}f}"


def told_ratio(ratio):
    return "-" if ratio is None else f"{ratio[0]:.2f} ({ratio[1]:.2f}-{ratio[2]:.2f})"


ROWS = (
    # measure, key, what is shown, scale, is more better
    ("keep-alive, 64 connections", "cpu_us", "CPU of a request, us", 1, False),
    ("full handshakes", "cpu_us", "CPU of a connection, full handshake and one request, us", 1, False),
    ("resumed handshakes", "cpu_us", "CPU of a connection, resumed and one request, us", 1, False),
    ("64 KiB answers", "bytes_per_cpu_second", "64 KiB answers, MB a second of CPU", 1e-6, True),
    ("idle connections", "bytes_per_connection", "memory of an idle connection, KiB", 1 / 1024, False),
    ("idle connections", "bytes", "memory of the processes with them, MiB", 1 / 1048576, False),
)


def report(comparison, out):
    names = [proxy.name for proxy in comparison.proxies]
    print(f"\nMedians of {comparison.form['rounds']} alternating rounds; in brackets the rounds' lowest and highest "
          "ratio.\n", file=out)
    for name, key, title, scale, more in ROWS:
        if name not in comparison.results:
            continue
        print(f"{title}  ({name})", file=out)
        for proxy in names:
            median = comparison.median(name, proxy, key)
            if median is None:
                continue
            line = f"  {proxy:<24}{amount(median, scale, 2):>12}"
            if proxy != SUBJECT:
                ratio = comparison.ratio(name, SUBJECT, proxy, key)
                line += f"   {SUBJECT} is {told_ratio(ratio)} of it" + (" (more is better)" if more else "")
            elif name.startswith("keep-alive"):
                line += f"   {amount(1e6 / median, digits=0)} requests a second of one core's time"
            elif "handshakes" in name:
                line += f"   {amount(1e6 / median, digits=0)} connections a second of one core's time"
            print(line, file=out)
    report_store(comparison, out)
    report_latency(comparison, names, out)
    report_allocations(comparison, out)


def report_store(comparison, out):
    """Throughput, for what a request waits for is on another core."""
    ratio = comparison.ratio(STORE, SHARED, SUBJECT, "requests_per_second") if STORE in comparison.results else None
    if ratio is None:
        return
    print(f"requests a second  ({STORE})", file=out)
    for proxy in (SUBJECT, SHARED):
        print(f"  {proxy:<24}{amount(comparison.median(STORE, proxy, 'requests_per_second'), digits=0):>12}"
              f"   CPU of a request, us {amount(comparison.median(STORE, proxy, 'cpu_us'), digits=2)}", file=out)
    print(f"  {SHARED} has {told_ratio(ratio)} of the throughput of local memory alone", file=out)


def report_latency(comparison, names, out):
    for name in ("keep-alive, 1 connection", "open loop at 70 % of haproxy's rate"):
        if name not in comparison.results:
            continue
        rate = f", {comparison.rate:,.0f}/s" if name.startswith("open") else ""
        print(f"latency in us  ({name}{rate})", file=out)
        for proxy in names:
            rows = [row["latency_us"] for row in comparison.results[name].get(proxy, []) if row]
            if rows:
                shown = "  ".join(f"{q} {statistics.median(row[q] for row in rows):,.0f}"
                                  for q in ("p50", "p99", "p99.9", "p99.99"))
                print(f"  {proxy:<24}{shown}", file=out)


def report_allocations(comparison, out):
    for rows in comparison.results.get("allocations", {}).values():
        for row in filter(None, rows):
            print(f"allocations of a request after warm-up, 64 connections: {row['per_request']:.3f}, "
                  f"of which {row['from_the_heap']:.4f} took memory from the heap, the rest from the thread's own cache",
                  file=out)
            for caller, count in row["by_caller"].items():
                print(f"  {count:8.3f}  {caller}", file=out)


def make_proxies(setup, build, arguments):
    proxies = [Popgate(setup, SUBJECT, "enforce"), Popgate(setup, "popgate off", "off")]
    for extra in arguments.extra:
        name, _, binary = extra.partition("=")
        proxies.append(Popgate(setup, name, "enforce", binary=pathlib.Path(binary).resolve()))
    for variant in arguments.variant:
        name, _, changes = variant.partition("=")
        changes = json.loads(changes)
        mode = changes.get("dpop", {}).get("mode", "enforce")
        proxies.append(Popgate(setup, name, mode, changes=changes))
    peers = (("haproxy", Haproxy, "haproxy"), ("nginx", Nginx, "nginx"), ("apache mod_oauth2", ModOauth2, "apache2"))
    for name, kind, program in peers:
        if shutil.which(program) or pathlib.Path("/usr/sbin", program).exists():
            proxies.append(kind(setup, name))
        else:
            print(f"  {name}: {program} is not installed", file=sys.stderr)
    if arguments.only:
        proxies = [proxy for proxy in proxies if proxy.name in arguments.only]
    counted = None
    library = build / "bench" / "libmalloc_count.so"
    if library.exists() and (not arguments.only or SUBJECT in arguments.only) and "allocations" in arguments.what:
        counter = setup.folder / "allocations"
        counted = Popgate(setup, "popgate counted", "enforce",
                          environment={"LD_PRELOAD": str(library), "POPGATE_MALLOC_COUNT": str(counter)})
        counted.counter = counter
    shared = None
    if "redis" in arguments.what and (not arguments.only or SUBJECT in arguments.only):
        if Redis.is_installed():
            redis = Redis(setup)
            shared = Popgate(setup, SHARED, "enforce",
                             changes={"replay": {"redis": f"redis://127.0.0.1:{redis.port}"}})
            shared.redis = redis
        else:
            print("  redis-server is not installed", file=sys.stderr)
    return proxies, counted, shared


def compare(folder, arguments, form):
    build = pathlib.Path(arguments.build).resolve()
    popgate = pathlib.Path(arguments.popgate or build / "popgate").resolve()
    descriptors = raise_descriptors(4 * form["idle"] + 4096)
    cpus = sorted(os.sched_getaffinity(0))
    setup = Setup(folder, popgate, build / "bench" / "bench_upstream", cpus[-1], cpus[0], form["idle"] + 200)
    setup.access_log = arguments.access_log
    setup.idle_connections = min(form["idle"], (descriptors - 1000) // 2)
    setup.connections_max = setup.idle_connections + 200
    started = []
    try:
        proxies, counted, shared = make_proxies(setup, build, arguments)
        started += [shared.redis] if shared else []
        for proxy in proxies + [one for one in (counted, shared) if one]:
            started.append(proxy.start())
            measure.check(setup, proxy)
        comparison = Comparison(setup, proxies, form)
        comparison.machine = describe_machine(popgate)
        run_all(comparison, arguments.what, counted, shared)
        return comparison
    finally:
        for proxy in started:
            proxy.stop()
        setup.upstream.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True)
    parser.add_argument("--popgate", help="instead of BUILD/popgate")
    parser.add_argument("--form", choices=FORMS, default="short")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--json", help="write everything there")
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--what", action="append", default=[],
                        help="cpu, redis, one, latency, handshakes, bodies, memory, allocations (all)")
    parser.add_argument("--access-log", action="store_true")
    parser.add_argument("--extra", action="append", default=[], metavar="NAME=BINARY")
    parser.add_argument("--variant", action="append", default=[], metavar="NAME=JSON")
    arguments = parser.parse_args()
    arguments.what = arguments.what or ["cpu", "redis", "one", "latency", "handshakes", "bodies", "memory", "allocations"]
    form = dict(FORMS[arguments.form])
    form["rounds"] = arguments.rounds or form["rounds"]
    folder = tempfile.mkdtemp(prefix="popgate-compare-")
    os.chmod(folder, 0o755)  # Apache's and nginx's workers are other users
    try:
        comparison = compare(folder, arguments, form)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    report(comparison, sys.stdout)
    machine = comparison.machine
    print(f"\n{machine['cpu']}, {machine['cpus']} CPUs, Linux {machine['kernel']}, load {machine['load_before']:.1f} at the "
          f"start\n{machine['popgate']}\n" + "\n".join(machine["peers"].values()))
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(
            {"date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"), "machine": machine,
             "access_log": arguments.access_log, "form": form, "results": comparison.results}, indent=1) + "\n")
    missing = [name for name, rows in comparison.results.items() for row in rows.values() if None in row]
    return 1 if missing else 0


sys.exit(main())
