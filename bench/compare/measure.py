"""One measurement each: what a proxy's processes cost while `popgate bench http` asks them."""

import contextlib
import json
import mmap
import os
import pathlib
import resource
import struct
import subprocess
import time
import urllib.request

# Every key a few times: its table, its token's signature and its token's place in the cache are there.
WARMUP = 1000


class Failed(Exception):
    pass


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


def bench(setup, proxy, *arguments, fresh=None, proofs=20000, expect="200"):
    """Runs the generator; every answer must be `expect`."""
    command = [setup.popgate, "bench", "http", "--json", "--dir", setup.authority, "--cpu", setup.client_cpu,
               "--url", proxy.url + "/", "--audience", proxy.url, "--duration", "0"]
    for pid in proxy.pids():
        command += ["--pid", pid]
    fresh = proxy.verifies if fresh is None else fresh
    command += ["--proofs", proofs] if fresh else ["--proofs", min(proofs, 2000), "--repeat"]
    # The last one wins: --url may be given again by who asks for another path.
    arguments = [str(argument) for argument in arguments]
    keys = arguments[arguments.index("--keys") + 1] if "--keys" in arguments else "200"
    # Clients keep their keys: what a key costs the first time is measured by bench_crypto.
    command += ["--keys-file", setup.folder / f"keys-{keys}.pem"]
    merged = merge(command, arguments)
    result = subprocess.run([str(word) for word in merged], capture_output=True, text=True, timeout=600)
    if result.returncode != 0:
        raise Failed(f"{proxy.name}: {result.stderr.strip()}")
    told = json.loads(result.stdout)
    wrong = {status: count for status, count in told["statuses"].items() if status != expect}
    if wrong:
        raise Failed(f"{proxy.name}: {wrong} among {told['requests']} answers, not {expect}")
    if told["failures"] > told["requests"] // 100:
        raise Failed(f"{proxy.name}: {told['failures']} failures, the first: {told['failure']}")
    return told


def merge(base, changes):
    for name in ("--url", "--duration"):
        if name in changes:
            index = base.index(name)
            del base[index:index + 2]
    return base + changes


def check(setup, proxy):
    """That it does what it is compared for, before anything is measured."""
    bench(setup, proxy, "--requests", 20, "--connections", 2, "--keys", 2, proofs=40)
    if proxy.verifies:
        bench(setup, proxy, "--requests", 4, "--connections", 1, "--no-credentials", expect="401")
    if proxy.remembers:
        told = subprocess.run(
            [str(w) for w in (setup.popgate, "bench", "http", "--json", "--dir", setup.authority, "--url",
                              proxy.url + "/", "--audience", proxy.url, "--proofs", 5, "--repeat", "--requests", 10,
                              "--connections", 1, "--keys", 1)], capture_output=True, text=True, check=True).stdout
        if json.loads(told)["statuses"] != {"200": 5, "401": 5}:
            raise Failed(f"{proxy.name} let a replay through: {told}")
    anonymous = subprocess.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "10", "--cacert",
                                str(setup.authority / "ca.crt"), proxy.url + "/"], capture_output=True, text=True)
    if anonymous.stdout == "200":
        raise Failed(f"{proxy.name} serves who shows no certificate")


def keep_alive(setup, proxy, requests, connections=64, keys=200, warmup=WARMUP):
    told = bench(setup, proxy, "--connections", connections, "--keys", keys, "--requests", requests, "--warmup", warmup,
                 proofs=requests + warmup + 3 * connections)
    return {"cpu_us": told["watched_cpu_us"] / told["requests"], "requests_per_second": told["requests_per_second"],
            "steal_us": told["machine_steal_us"], "generator_cpu_us": told["generator_cpu_us"] / told["requests"],
            "latency_us": told["latency_us"]}


@contextlib.contextmanager
def upstream_first(setup):
    """The upstream goes before the generator on the core that they share, if we may say so: it needs microseconds, and what
    waits for the other's turn would be counted as the proxy's."""
    process, before = setup.upstream.process.pid, os.SCHED_OTHER
    try:
        os.sched_setscheduler(process, os.SCHED_FIFO, os.sched_param(1))
    except OSError:
        pass
    try:
        yield
    finally:
        os.sched_setscheduler(process, before, os.sched_param(0))


def at_rate(setup, proxy, rate, seconds, connections=64):
    requests = int(rate * seconds)
    with upstream_first(setup):
        told = bench(setup, proxy, "--connections", connections, "--requests", requests, "--rate", int(rate), "--warmup",
                     WARMUP, proofs=requests + WARMUP + 3 * connections)
    return {"latency_us": told["latency_us"], "latency_distribution": told["latency_distribution"],
            "requests_per_second": told["requests_per_second"], "steal_us": told["machine_steal_us"],
            "cpu_us": told["watched_cpu_us"] / told["requests"]}


def handshakes(setup, proxy, kind, count, connections=16):
    told = bench(setup, proxy, "--connections", connections, "--keys", 20, "--requests", count, "--warmup", 100,
                 "--handshakes", kind, proofs=count + 100 + 6 * connections)
    if kind == "resumed" and told["resumptions"] < told["handshakes"] * 0.98:
        raise Failed(f"{proxy.name}: only {told['resumptions']} of {told['handshakes']} handshakes were resumed")
    if kind == "full" and told["resumptions"] > 0:
        raise Failed(f"{proxy.name}: a full handshake was resumed")
    return {"cpu_us": told["watched_cpu_us"] / told["requests"]}


def idle_memory(setup, proxy, connections):
    before = bench(setup, proxy, "--connections", 1, "--requests", 1, proofs=8)["watched_memory_bytes"]
    # One request of each, not all at once: no proxy then holds a connection to the service for each of them.
    told = bench(setup, proxy, "--connections", connections, "--requests", connections, "--rate", 2000, "--hold", "3s",
                 proofs=connections + 10)
    if told["connections_open"] < connections:
        raise Failed(f"{proxy.name}: {told['connections_open']} of {connections} connections stayed open")
    return {"bytes": told["watched_memory_bytes"], "bytes_before": before,
            "bytes_per_connection": (told["watched_memory_bytes"] - before) / connections}


def bodies(setup, proxy, count, size=65536, connections=16):
    """Answers of `size` bytes: bytes a second of CPU."""
    told = bench(setup, proxy, "--url", f"{proxy.url}/bytes/{size}", "--connections", connections, "--requests", count,
                 "--warmup", WARMUP, proofs=count + WARMUP + 4 * connections)
    return {"bytes_per_cpu_second": told["answer_bytes"] / (told["watched_cpu_us"] / 1e6)}


SITES = 4096


def read_counts(path):
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as page:
        calls, _, _, fills = struct.unpack_from("<4Q", page, 0)
        sites = {}
        for index in range(SITES):
            address, count = struct.unpack_from("<2Q", page, 32 + 16 * index)
            if count:
                sites[address] = count
    return calls, fills, sites


def name_sites(pid, sites):
    """Function names of return addresses within the program itself, by binutils if they are there."""
    names = {}
    for line in pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines():
        fields = line.split()
        if len(fields) < 6 or "x" not in fields[1]:
            continue
        low, high = (int(part, 16) for part in fields[0].split("-"))
        inside = [address for address in sites if low <= address < high]
        if not inside:
            continue
        offsets = [hex(address - 1 - low + int(fields[2], 16)) for address in inside]
        try:
            told = subprocess.run(["addr2line", "-f", "-e", fields[5], *offsets], capture_output=True, text=True,
                                  check=True).stdout.splitlines()[::2]
        except (OSError, subprocess.CalledProcessError):
            told = ["??"] * len(inside)
        where = pathlib.Path(fields[5]).name
        # A library without its symbols has only its exported ones, and the nearest of them misleads.
        names |= {address: name if name != "??" and where == "popgate" else where
                  for address, name in zip(inside, told)}
    return names


def allocations(setup, proxy, counter, requests):
    """Calls of malloc and its kin for each request once the first ones are through, and who makes them."""
    bench(setup, proxy, "--connections", 64, "--requests", 6400, proofs=7000)
    pid = proxy.pids()[0]
    with_load = []
    # Connecting allocates; two runs that differ only in their requests take it out.
    for count in (1000, 1000 + requests):
        before = read_counts(counter)
        bench(setup, proxy, "--connections", 64, "--requests", count, proofs=count + 200)
        after = read_counts(counter)
        sites = {a: n - before[2].get(a, 0) for a, n in after[2].items() if n > before[2].get(a, 0)}
        with_load.append((after[0] - before[0], after[1] - before[1], sites))
    (few, few_fills, few_sites), (many, many_fills, many_sites) = with_load
    names = name_sites(pid, many_sites)
    by_name = {}
    for address, count in many_sites.items():
        extra = count - few_sites.get(address, 0)
        name = names.get(address, hex(address))
        by_name[name] = by_name.get(name, 0) + extra
    return {"per_request": (many - few) / requests,
            "from_the_heap": max(0, many_fills - few_fills) / requests,
            "by_caller": {n: c / requests for n, c in sorted(by_name.items(), key=lambda kv: -kv[1]) if c > requests / 100}}


# ---- workers ----

def metric(proxy, name, label=""):
    page = urllib.request.urlopen(f"http://127.0.0.1:{proxy.admin_port}/metrics", timeout=5).read().decode()
    return sum(float(line.rpartition(" ")[2]) for line in page.splitlines()
               if line.startswith(name) and label in line)


def many_generators(setup, proxy, cpus, seconds=2.0, connections=64, keys=200, proofs=300000):
    """Requests a second while several generators ask, each on a CPU of its own: from the gate's own count, in the midst."""
    command = [setup.popgate, "bench", "http", "--json", "--dir", setup.authority, "--url", proxy.url + "/", "--audience",
               proxy.url, "--connections", connections, "--keys", keys, "--keys-file", setup.folder / f"keys-{keys}.pem",
               "--proofs", proofs, "--duration", f"{int(seconds) + 3}s"]
    began = metric(proxy, "popgate_requests_total", "allowed")
    running = [subprocess.Popen([str(word) for word in (*command, "--cpu", cpu)], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True) for cpu in cpus]
    try:
        deadline = time.monotonic() + 120
        while (metric(proxy, "popgate_connections", 'side="client"') < connections * len(cpus)
               or metric(proxy, "popgate_requests_total", "allowed") < began + WARMUP * len(cpus)):
            if time.monotonic() > deadline or any(process.poll() is not None for process in running):
                raise Failed(f"{proxy.name}: the generators were never there together")
            time.sleep(0.05)
        before, before_s = metric(proxy, "popgate_requests_total", "allowed"), time.monotonic()
        time.sleep(seconds)
        after, after_s = metric(proxy, "popgate_requests_total", "allowed"), time.monotonic()
        if any(process.poll() is not None for process in running):
            raise Failed(f"{proxy.name}: a generator ended before the measurement")
    finally:
        for process in running:
            process.terminate()
            process.communicate()
    return {"requests_per_second": (after - before) / (after_s - before_s)}
