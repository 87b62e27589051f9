#!/usr/bin/python3
"""Where a request's time goes: profiles a running gate, measures how its cost grows, and writes one HTML page.

  profile.py --build BUILD [--out FOLDER] [--quick] [--part NAME ...]

A part alone (profile, peers, connections, bodies, keys, batches, workers) joins what FOLDER/results.json has of the others.
Samples come from perf where the kernel lets us (its counters, else its clock). Instructions a stage from callgrind: check.py.
"""

import argparse
import datetime
import html
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "perf"))
sys.path.insert(0, str(ROOT / "bench" / "compare"))

import flamegraph  # noqa: E402
import measure  # noqa: E402
import plots  # noqa: E402
import stages  # noqa: E402
from gate import Bench  # noqa: E402
from proxies import Haproxy, Nginx  # noqa: E402


# ---- samples ----

def record(bench, mode, build, folder, requests):
    """[(stack from the leaf up)] of a gate under load, and its microseconds a request."""
    gate = bench.start(mode)
    bench.load(gate, 2000, fresh=mode != "off")
    # Being sampled costs a third more: what it costs is measured without, the samples are for the shares.
    plain = [bench.load(gate, requests, fresh=mode != "off", warmup=1000) for _ in range(ROUNDS)]
    data = folder / f"perf-{mode}.data"
    recorder = subprocess.Popen(["perf", "record", "-q", "-F", "3000", "-g", "-o", str(data), "-p",
                                 str(gate.running.process.pid)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        told = bench.load(gate, requests, fresh=mode != "off", warmup=1000)
    finally:
        recorder.send_signal(2)
        recorder.wait(60)
    batches = read_batches(gate)
    gate.stop()
    script = subprocess.run(["perf", "script", "-i", str(data), "-F", "time,ip,sym,dso"], capture_output=True, text=True).stdout
    median = sorted(plain, key=cost)[ROUNDS // 2]
    return read_stacks(script, told["seconds"]), cost(median), median, batches


def read_stacks(script, seconds):
    """Of the last `seconds`: the warm-up before them, with its new tokens, is no part of what was measured."""
    found, stack, time_s = [], [], 0.0
    for line in script.splitlines() + [""]:
        match = re.match(r"\s+[0-9a-f]+ (.+?)(?:\+0x[0-9a-f]+)? \((.+)\)$", line)
        began = re.match(r"\s*(\d+\.\d+):", line)
        if match:
            stack.append((match[1], match[2]))
        elif began:
            time_s = float(began[1])
        elif not line.strip() and stack:
            found.append((time_s, stack))
            stack = []
    last_s = max((time_s for time_s, _ in found), default=0)
    return [stack for time_s, stack in found if time_s >= last_s - seconds]


def read_batches(gate):
    try:
        text = urllib.request.urlopen(f"http://127.0.0.1:{gate.admin_port}/metrics", timeout=5).read().decode()
    except OSError:
        return {}
    counts, before = {}, 0
    for bound, count in re.findall(r'popgate_verify_batch_size_bucket\{le="([^"]+)"\} (\d+)', text):
        counts[bound] = int(count) - before
        before = int(count)
    total = sum(counts.values()) or 1
    return {bound: count / total for bound, count in counts.items()}


def by_stage(stacks, symbols, cpu_us):
    counts = dict.fromkeys(stages.ORDER, 0)
    for stack in stacks:
        counts[stages.stage_of(stack, symbols)] += 1
    total = sum(counts.values()) or 1
    return {stage: cpu_us * count / total for stage, count in counts.items() if count}


def fold(stacks, symbols):
    folded = {}
    for stack in stacks:
        key = (stages.stage_of(stack, symbols), *(symbol for symbol, _ in reversed(stack)))
        folded[key] = folded.get(key, 0) + 1
    return folded


# ---- sweeps ----

ROUNDS = 3


def sweep(name, values, run):
    """[(value, median of rounds that go up and down in turn)]."""
    print(f"  {name}", end="", flush=True)
    found = {value: [] for value in values}
    for index in range(ROUNDS):
        for value in values if index % 2 == 0 else values[::-1]:
            try:
                found[value].append(run(value))
            except (SystemExit, subprocess.CalledProcessError) as error:
                print(f"\n  {name} {value}: {error}", file=sys.stderr)
            print(".", end="", flush=True)
    print()
    return [(value, statistics.median(costs)) for value, costs in found.items() if costs]


def cost(told):
    return told["watched_cpu_us"] / told["requests"]


def sweep_modes(bench, name, values, load):
    """One gate for each mode; `load(gate, value, fresh)` puts it under load."""
    result = {}
    for mode in ("enforce", "off"):
        gate = bench.start(mode)
        bench.load(gate, 1000, fresh=mode == "enforce")
        result[f"{name}, {mode}"] = sweep(f"{name}, {mode}", values,
                                          lambda n, gate=gate, mode=mode: cost(load(gate, n, mode == "enforce")))
        gate.stop()
    return {"sweeps": result}


def over_connections(bench, requests, quick):
    return sweep_modes(bench, "connections", [1, 16, 64, 512] + ([] if quick else [4096]),
                       lambda gate, n, fresh: bench.load(gate, requests, fresh=fresh, connections=n, warmup=1000 + 2 * n))


def over_bodies(bench, requests, quick):
    return sweep_modes(bench, "body bytes", [3, 1024, 16384, 65536],
                       lambda gate, n, fresh: bench.load(gate, requests // 4, fresh=fresh, connections=16, warmup=1000,
                                                         url=f"/bytes/{n}"))


def over_keys(bench, requests, quick):
    gate = bench.start("enforce", changes={"crypto": {"key_memory": "192MiB"}})
    points = sweep("keys", [10, 200] + ([] if quick else [2000]),
                   lambda n: cost(bench.load(gate, requests, keys=n, warmup=5 * n + 500)))
    gate.stop()
    return {"sweeps": {"keys": points}}


def over_workers(bench, requests, quick):
    points = []
    for workers in (1, 2):
        gate = bench.start("enforce", changes={"workers": workers})
        points += sweep("workers", [workers], lambda n, gate=gate: cost(bench.load(gate, requests, warmup=1000)))
        gate.stop()
    return {"sweeps": {"workers": points}}


def batch_sizes(bench, requests, quick):
    batches = {}
    for connections in (1, 8, 64, 256):
        gate = bench.start("enforce")
        bench.load(gate, requests // 2, connections=connections)
        batches[str(connections)] = read_batches(gate)
        gate.stop()
    return {"batches": batches}


def peers(bench, requests, quick):
    values = {}
    for name, kind in (("haproxy", Haproxy), ("nginx", Nginx)):
        if not (shutil.which(name) or pathlib.Path("/usr/sbin", name).exists()):
            continue
        proxy = kind(bench.setup, name).start()
        try:
            values[name] = statistics.median(measure.keep_alive(bench.setup, proxy, requests)["cpu_us"]
                                             for _ in range(ROUNDS))
        finally:
            proxy.stop()
    return {"peers": values}


# ---- the page ----

def page(facts, out):
    colours = stages.COLOURS
    parts = [f"<h1>popgate: where a request's time goes</h1><p>{html.escape(facts['date'])}. {html.escape(facts['cpu'])}, "
             f"Linux {html.escape(facts['kernel'])}, load {facts['load']:.1f}. {html.escape(facts['version'])}. One worker on a "
             "core of its own, 64 keep-alive mutual TLS connections, 200 client keys, unless a plot says otherwise. Figures "
             "of a shared machine: compare them within this page.</p>"]
    for mode in ("enforce", "off"):
        parts.append(plots.bars(f"CPU of a request by stage, mode {mode}: {facts['cpu_us'][mode]:.1f} us", facts["stages"][mode],
                                "us", colours))
    cost_of_all = {"popgate enforce": facts["cpu_us"]["enforce"], "popgate off": facts["cpu_us"]["off"], **facts["peers"]}
    parts.append(plots.bars("CPU of a request: the gate and peers that verify nothing", cost_of_all, "us"))
    quantiles = {"p50": 50, "p90": 90, "p99": 99, "p99.9": 99.9, "p99.99": 99.99}
    latency = {mode: [(index, told[name]) for index, name in enumerate(quantiles)]
               for mode, told in facts["latency"].items()}
    parts.append(plots.lines("Latency, closed loop, 64 connections", latency, "quantile", "us", log_y=True,
                             x_labels=dict(enumerate(quantiles))))
    sweep_of = facts["sweeps"]
    for subject, log in (("connections", True), ("body bytes", True)):
        series = {mode: sweep_of[f"{subject}, {mode}"] for mode in ("enforce", "off")}
        parts.append(plots.lines(f"CPU of a request over {subject}", series, subject, "us", log_x=log))
    parts.append(plots.lines("CPU of a request over client keys (key_memory 192MiB)", {"enforce": sweep_of["keys"]}, "keys",
                             "us", log_x=True))
    parts.append(plots.lines("CPU of a request over workers (all on one core here)", {"enforce": sweep_of["workers"]},
                             "workers", "us"))
    bounds = list(next(iter(facts["batches"].values()), {}))
    series = {f"{n} connections": [(bounds.index(b), share) for b, share in batch.items()]
              for n, batch in facts["batches"].items()}
    parts.append(plots.lines("Signatures verified together: share of batches", series, "batch size up to", "share",
                             x_labels=dict(enumerate(bounds))))
    for mode in ("enforce", "off"):
        parts.append(facts["flames"][mode])
    (out / "report.html").write_text(
        "<!doctype html><meta charset=utf-8><title>popgate: performance</title><style>body{font:15px sans-serif;"
        "max-width:1400px;margin:2em auto;padding:0 1em}svg{display:block;margin:1.2em 0;max-width:100%;border:1px solid #ddd}"
        "</style>" + "\n".join(parts) + "\n")


def profiles(bench, build, out, folder, requests):
    facts = {"cpu_us": {}, "stages": {}, "latency": {}}
    symbols = stages.read_symbols(build)
    for mode in ("enforce", "off"):
        print(f"  profile, {mode}")
        stacks, cpu_us, told, _ = record(bench, mode, build, folder, requests)
        facts["cpu_us"][mode], facts["latency"][mode] = cpu_us, told["latency_us"]
        facts["stages"][mode] = by_stage(stacks, symbols, cpu_us)
        (out / f"flame-{mode}.svg").write_text(flamegraph.draw(fold(stacks, symbols), f"mode {mode}: {len(stacks)} samples",
                                                               stages.COLOURS.get))
    return facts


PARTS = {"peers": peers, "connections": over_connections, "bodies": over_bodies, "keys": over_keys, "batches": batch_sizes,
         "workers": over_workers}


def describe(build):
    cpu = next((line.partition(":")[2].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    version = subprocess.run([build / "popgate", "--version"], capture_output=True, text=True).stdout
    return {"date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"), "cpu": cpu,
            "kernel": os.uname().release, "load": os.getloadavg()[0], "version": " ".join(version.split())}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True)
    parser.add_argument("--out")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--part", action="append", choices=["profile", *PARTS])
    arguments = parser.parse_args()
    build = pathlib.Path(arguments.build).resolve()
    out = pathlib.Path(arguments.out or ROOT / "build-perf" / "report").resolve()
    out.mkdir(parents=True, exist_ok=True)
    requests = 8000 if arguments.quick else 30000
    cpus = sorted(os.sched_getaffinity(0))
    folder = pathlib.Path(tempfile.mkdtemp(prefix="popgate-perf-"))
    os.chmod(folder, 0o755)
    bench = Bench(folder, build / "popgate", build / "bench" / "bench_upstream", (cpus[-1], cpus[0]))
    results = out / "results.json"
    facts = json.loads(results.read_text()) if arguments.part and results.exists() else {"sweeps": {}}
    facts.update(describe(build))
    wanted = arguments.part or ["profile", *PARTS]
    try:
        if "profile" in wanted:
            facts.update(profiles(bench, build, out, folder, requests))
        for name in (name for name in PARTS if name in wanted):
            found = PARTS[name](bench, requests, arguments.quick)
            facts["sweeps"].update(found.pop("sweeps", {}))
            facts.update(found)
    finally:
        bench.stop()
        shutil.rmtree(folder, ignore_errors=True)
    results.write_text(json.dumps(facts, indent=1) + "\n")
    missing = {"cpu_us", "peers", "batches"} - set(facts)
    if missing or len(facts["sweeps"]) < 6:
        print(f"{results}: the page is written when every part is there")
        return
    facts["flames"] = {mode: (out / f"flame-{mode}.svg").read_text() for mode in ("enforce", "off")}
    page(facts, out)
    print(f"{out}/report.html\n{results}: to keep it, copy it to perf/results/")


main()
