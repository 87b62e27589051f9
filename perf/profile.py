#!/usr/bin/python3
"""Where a request's time goes: profiles a running gate and its peers, measures how their cost grows, and writes one HTML page.

  profile.py --build BUILD [--out FOLDER] [--quick] [--part NAME ...]

A part alone (profile, instructions, latency, connections, bodies, keys, workers, batches) joins what FOLDER/results.json has of
the others; `--part page` draws the page anew. Samples come from perf where the kernel lets us (its counters, else its clock),
instructions from callgrind everywhere.
"""

import argparse
import datetime
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "perf"))
sys.path.insert(0, str(ROOT / "bench" / "compare"))

import check  # noqa: E402
import flamegraph  # noqa: E402
import measure  # noqa: E402
import page  # noqa: E402
import samples  # noqa: E402
import stages  # noqa: E402
import sweeps  # noqa: E402
from gate import ENFORCE, OFF, Bench, cost  # noqa: E402
from proxies import ModOauth2, end_when_told, find_program  # noqa: E402
from rounds import Rounds  # noqa: E402

LATENCY_ROUNDS = 5


def flame_path(out, name):
    return out / f"flame-{name.replace(' ', '-')}.svg"


class Profiler:
    def __init__(self, bench, build, out, folder, requests, quick):
        self.bench, self.build, self.out, self.folder = bench, build, out, folder
        self.requests, self.quick = requests, quick

    def profile(self):
        """CPU by stage and flame graphs, and what a request costs those who are only asked and not sampled."""
        sampled = samples.is_possible(self.folder)
        if not sampled:
            print("  profile: perf may not record here; there will be instructions, and no samples", file=sys.stderr)
        ours = stages.read_symbols(self.build)
        profiles = {}
        for name, proxy in self.bench.start_all().items():
            print(f"  profile, {name}", flush=True)
            symbols = ours if name in (ENFORCE, OFF) else None
            if sampled:
                stacks, told = samples.record(self.bench, proxy, self.folder, self.requests)
                title = f"{name}: {len(stacks)} samples"
                flame_path(self.out, name).write_text(flamegraph.draw(samples.fold(stacks, symbols), title, stages.COLOURS.get))
                profiles[name] = {"cpu_us": cost(told), "stages": samples.by_stage(stacks, symbols, cost(told)),
                                  "heaviest": samples.heaviest(stacks, symbols), "latency_us": told["latency_us"]}
            else:
                told = [self.bench.load(proxy, self.requests, warmup=1000) for _ in range(samples.ROUNDS)]
                profiles[name] = {"cpu_us": statistics.median(map(cost, told)), "latency_us": told[0]["latency_us"]}
            self.bench.stop_one(proxy)
        return {"profile": profiles, "mod_oauth2_us": self.mod_oauth2()}

    def mod_oauth2(self):
        if not find_program("apache2"):
            return None
        proxy = ModOauth2(self.bench.setup, "mod_oauth2").start()
        try:
            return statistics.median(cost(self.bench.load(proxy, self.requests // 20)) for _ in range(samples.ROUNDS))
        finally:
            proxy.stop()

    def instructions(self):
        """The gate's own, callgrind; it knows neither AVX-512 nor io_uring."""
        print("  instructions", flush=True)
        return {"instructions": {f"popgate {mode}": check.instructions(self.bench, self.build / "popgate", mode, self.folder)
                                 for mode in ("enforce", "off")}}

    def latency(self):
        """At one rate for all, which HAProxy answers with 70 % of its one core."""
        setup, rounds, proxies = self.bench.setup, Rounds(), self.bench.start_all()
        asked = proxies.get("HAProxy", proxies[ENFORCE])
        for proxy in proxies.values():
            self.bench.load(proxy, 2000)
        closed = sorted(self.bench.load(asked, self.requests, warmup=1000)["requests_per_second"] for _ in range(3))
        rate = 0.7 * closed[1]
        rounds.run(f"latency, {rate:,.0f} requests a second",
                   [("rate", name, lambda proxy=proxy: measure.at_rate(setup, proxy, rate, 1 if self.quick else 2))
                    for name, proxy in proxies.items()], LATENCY_ROUNDS)
        for proxy in proxies.values():
            self.bench.stop_one(proxy)
        return {"latency": {"rate": rate, "of": {name: medians(rounds.rows("rate", name)) for name in proxies}}}

    def sweep(self, run):
        return run(self.bench, self.requests, self.quick)


def medians(rows):
    """[(quantile, microseconds)], each the median of the rounds, and its lowest and highest."""
    columns = zip(*(row["latency_distribution"] for row in rows if row))
    found = []
    for column in columns:
        values = [us for _, us in column]
        found.append((column[0][0], statistics.median(values), min(values), max(values)))
    return found


SWEEPS = {"connections": sweeps.over_connections, "bodies": sweeps.over_bodies, "keys": sweeps.over_keys,
          "workers": sweeps.over_workers, "batches": sweeps.batch_sizes}
PARTS = ("profile", "instructions", "latency", *SWEEPS)


def describe(build):
    cpu = next((line.partition(":")[2].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    version = subprocess.run([build / "popgate", "--version"], capture_output=True, text=True).stdout
    return {"date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"), "cpu": cpu,
            "cpus": os.cpu_count(), "kernel": os.uname().release, "load": os.getloadavg()[0],
            "version": ", ".join(version.splitlines())}


def run(arguments, out, facts):
    build = pathlib.Path(arguments.build).resolve()
    facts.update(describe(build))
    cpus = sorted(os.sched_getaffinity(0))
    folder = pathlib.Path(tempfile.mkdtemp(prefix="popgate-perf-"))
    os.chmod(folder, 0o755)  # nginx's and Apache's workers are other users
    bench = None
    try:
        bench = Bench(folder, build / "popgate", build / "bench" / "bench_upstream", (cpus[-1], cpus[0]))
        profiler = Profiler(bench, build, out, folder, 8000 if arguments.quick else 30000, arguments.quick)
        for name in (name for name in PARTS if name in (arguments.part or PARTS)):
            found = profiler.sweep(SWEEPS[name]) if name in SWEEPS else getattr(profiler, name)()
            facts.setdefault("sweeps", {}).update(found.pop("sweeps", {}))
            facts.update(found)
    finally:
        if bench:
            bench.stop()
        shutil.rmtree(folder, ignore_errors=True)


def main():
    end_when_told()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True)
    parser.add_argument("--out")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--part", action="append", choices=[*PARTS, "page"])
    arguments = parser.parse_args()
    out = pathlib.Path(arguments.out or ROOT / "build-perf" / "report").resolve()
    out.mkdir(parents=True, exist_ok=True)
    results = out / "results.json"
    facts = json.loads(results.read_text()) if arguments.part and results.exists() else {}
    if arguments.part != ["page"]:
        run(arguments, out, facts)
        results.write_text(json.dumps(facts, indent=1) + "\n")
    flames = {name: flame_path(out, name).read_text() for name in facts.get("profile", {}) if flame_path(out, name).exists()}
    missing = page.write(facts, flames, out / "report.html")
    print(f"{out}/report.html" + (f", without {', '.join(missing)}" if missing else ""))
    print(f"{results}: to keep it, copy it to perf/results/")


if __name__ == "__main__":
    main()
