"""How a request's cost grows: over connections, sizes of bodies, keys and workers, the gate and the peers in the same
alternating rounds. A figure is (value, median, lowest, highest) in microseconds of CPU."""

import os
import re
import statistics
import urllib.request

from gate import cost
from rounds import Rounds  # bench/compare

ROUNDS = 3
BODIES = {3: "3 B", 1024: "1 KiB", 16384: "16 KiB", 65536: "64 KiB"}
WORKERS = (1, 2)


def sweep(title, cases, run, count=ROUNDS):
    """`cases`: [(value, name, proxy)], each once a round. {name: [a figure for each value]}."""
    rounds = Rounds()
    rounds.run(title, [(value, name, lambda value=value, proxy=proxy: {"us": cost(run(proxy, value))})
                       for value, name, proxy in cases], count)
    series = {}
    for value, name, _ in cases:
        costs = [us for us in rounds.values(value, name, "us") if us is not None]
        if costs:
            series.setdefault(name, []).append((value, statistics.median(costs), min(costs), max(costs)))
    return series


def over(bench, title, values, run, changes=None):
    """All proxies over all values, and their end."""
    proxies = bench.start_all(changes)
    for proxy in proxies.values():
        bench.load(proxy, 2000)
    series = sweep(title, [(value, name, proxy) for value in values for name, proxy in proxies.items()], run)
    for proxy in proxies.values():
        bench.stop_one(proxy)
    return {"sweeps": {title: series}}


def over_connections(bench, requests, quick):
    return over(bench, "connections", [1, 16, 64, 512] + ([] if quick else [4096]),
                lambda proxy, n: bench.load(proxy, requests, connections=n, warmup=1000 + 2 * n))


def over_bodies(bench, requests, quick):
    return over(bench, "body bytes", list(BODIES),
                lambda proxy, n: bench.load(proxy, requests // 4, connections=16, warmup=1000, path=f"/bytes/{n}"))


def over_keys(bench, requests, quick):
    """To who verifies nothing they are bytes of a header, as ever."""
    return over(bench, "keys", [10, 200] + ([] if quick else [2000]),
                lambda proxy, n: bench.load(proxy, requests, keys=n, warmup=5 * n + 500),
                changes={"crypto": {"key_memory": "192MiB"}})


def worker_cpus(workers):
    """A CPU for each worker where as many are left for who asks and who answers; else they share the proxy's one."""
    cpus = sorted(os.sched_getaffinity(0))
    return ",".join(map(str, cpus[-workers:])) if len(cpus) >= 2 * max(WORKERS) else None


def over_workers(bench, requests, quick):
    cases = [(workers, name, proxy) for workers in WORKERS
             for name, proxy in bench.start_all(workers=workers, cpu=worker_cpus(workers)).items()]
    series = sweep("workers", cases, lambda proxy, _: bench.load(proxy, requests, warmup=1000))
    for _, _, proxy in cases:
        bench.stop_one(proxy)
    return {"sweeps": {"workers": series}, "workers_share_a_cpu": worker_cpus(1) is None}


def read_batches(gate):
    """{upper bound of a bucket: share of the batches in it}."""
    text = urllib.request.urlopen(f"http://127.0.0.1:{gate.admin_port}/metrics", timeout=5).read().decode()
    counts, before = {}, 0
    for bound, count in re.findall(r'popgate_verify_batch_size_bucket\{le="([^"]+)"\} (\d+)', text):
        counts[bound] = int(count) - before
        before = int(count)
    total = sum(counts.values()) or 1
    return {bound: count / total for bound, count in counts.items()}


def batch_sizes(bench, requests, quick):
    batches = {}
    for connections in (1, 8, 64, 256):
        gate = bench.start("enforce")
        bench.load(gate, requests // 2, connections=connections)
        batches[str(connections)] = read_batches(gate)
        bench.stop_one(gate)
    return {"batches": batches}
