#!/usr/bin/python3
"""Instructions of a request, this tree against its merge base, both built and run here. Fails at +3 %.

Instructions are counted by callgrind, which knows no AVX-512 and no io_uring: the crypto is the portable one, the loop is epoll,
one connection asks, so that every run takes the same turns. A request's instructions are the difference of two runs that differ
in their number of requests, so start, key set-up and handshake are not in them.

Three figures: a request with mode off; with enforce; and enforce without src/crypto, since portable signatures are so
many instructions that they would hide what the rest does.

What callgrind cannot run, the engine that this machine chooses (AVX-512 where it has it) and io_uring, is run natively, the
two builds in alternating rounds; their ratio is printed and not judged, for a shared machine's times move more than 3 %.

  check.py [--base REVISION] [--limit 3.0] [--rounds N] [--keep FOLDER]
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from gate import ENFORCE, OFF, Bench, cost  # noqa: E402
from proxies import end_when_told  # noqa: E402
from rounds import Rounds, told  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[1]
FEW, MANY = 200, 1000
KEYS = 4
NATIVE_REQUESTS = 20000


def git(*arguments):
    return subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True)


def find_base(asked):
    """The merge base with the branch that is merged into; on that branch itself, the commit before."""
    if asked:
        return git("rev-parse", asked).stdout.strip()
    head = git("rev-parse", "HEAD").stdout.strip()
    for branch in ("origin/main", "origin/HEAD", "main"):
        base = git("merge-base", "HEAD", branch).stdout.strip()
        if base and base != head:
            return base
    return git("rev-parse", "--verify", "--quiet", "HEAD~1").stdout.strip()


def build(tree, folder, targets):
    flags = os.environ.get("CMAKE_FLAGS", "").split()
    commands = (["cmake", "-G", "Ninja", "-S", str(tree), "-B", str(folder), "-DCMAKE_BUILD_TYPE=RelWithDebInfo",
                 "-DPOPGATE_TESTS=OFF", "-DPOPGATE_BENCH=ON", "-DPOPGATE_LTO=OFF", *flags],
                ["ninja", "-C", str(folder), *targets])
    for command in commands:
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode != 0:
            raise SystemExit(f"{' '.join(command)}\n{(result.stdout + result.stderr)[-4000:]}")
    return folder / "popgate"


# ---- callgrind's file: costs by source file ----

def read_costs(path):
    """{"crypto": n, ...} self cost by folder of src/, and by library for what has no source; and the total."""
    costs, names, objects = {}, {}, {}
    file = obj = ""
    skip = False
    for line in open(path, errors="replace"):
        if line.startswith("calls="):
            skip = True  # the next line is the callee's cost, which is counted where it happens
            continue
        match = re.match(r"(c?)(fl|fi|fe|ob)=\((\d+)\)(?: (.*))?", line)
        if match:
            of_callee, kind, number, name = match.groups()
            table = objects if kind == "ob" else names
            if name is not None:
                table[number] = name.strip()
            # What was inlined (fi, fe) counts for the function it was inlined into.
            if not of_callee and kind == "ob":
                obj = table.get(number, "")
            elif not of_callee and kind == "fl":
                file = table.get(number, "")
            continue
        if not line[:1].isdigit() and line[:1] not in "+-*":
            continue
        fields = line.split()
        if len(fields) < 2 or not fields[1].isdigit():
            continue
        if skip:
            skip = False
            continue
        stage = stage_of(file, obj)
        costs[stage] = costs.get(stage, 0) + int(fields[1])
    return costs


def stage_of(file, obj):
    match = re.search(r"/src/([a-z]+)/", file)
    if match and "popgate" in obj:
        return match[1]
    library = pathlib.Path(obj).name.partition(".so")[0]
    return {"popgate": "BoringSSL, linked in", "???": "", "": ""}.get(library, library) or "other"


def instructions(bench, binary, mode, folder):
    """Of one request, by stage."""
    runs = []
    for requests in (FEW, MANY):
        out = folder / f"callgrind-{binary.parent.name}-{mode}-{requests}"
        prefix = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", "--log-file=/dev/null"]
        # Valgrind is slow: proofs signed at the start must still be young at the end.
        changes = {"io_backend": "epoll", "dpop": {"mode": mode, "max_age": "600s"}}
        gate = bench.start(mode, binary=binary, prefix=prefix, changes=changes,
                           environment={"POPGATE_CRYPTO": "portable"}, ready_s=120)
        bench.load(gate, requests, connections=1, keys=KEYS, warmup=40)
        bench.stop_one(gate)
        runs.append(read_costs(out))
    few, many = runs
    return {stage: (many[stage] - few.get(stage, 0)) / (MANY - FEW) for stage in many
            if many[stage] - few.get(stage, 0) > MANY - FEW}


def without_signatures(costs):
    return {stage: cost for stage, cost in costs.items() if stage != "crypto"}


def show(title, base, head, limit):
    before, after = sum(base.values()), sum(head.values())
    change = 100 * (after / before - 1)
    failed = change > limit
    print(f"{title}: {before:,.0f} -> {after:,.0f} instructions a request, {change:+.2f} %{'  TOO MUCH' if failed else ''}")
    for stage in sorted(head | base, key=lambda s: -head.get(s, 0)):
        old, new = base.get(stage, 0), head.get(stage, 0)
        print(f"    {stage:<24}{old:>10,.0f} -> {new:>10,.0f}" + (f"  {100 * (new / old - 1):+.1f} %" if old else "  new"))
    if failed:
        print(f"    more than {limit:g} %; most of it: {grown(base, head)}")
    return failed


def grown(base, head, share=0.1):
    """The stages that make up most of what was added, the largest first."""
    more = {stage: head.get(stage, 0) - base.get(stage, 0) for stage in head | base}
    added = sum(count for count in more.values() if count > 0)
    return ", ".join(f"{stage} {count:+,.0f}" for stage, count in sorted(more.items(), key=lambda item: -item[1])
                     if count > share * added)


# ---- natively ----

def engine_of(binary):
    version = subprocess.run([binary, "--version"], capture_output=True, text=True).stdout
    return ", ".join(line for line in version.splitlines() if line.startswith(("io:", "crypto:")))


def native_requests(bench, binaries, count):
    """CPU of a request; 64 connections, so that there are batches."""
    rounds = Rounds()
    gates = {(mode, name): bench.start(mode, binary=binary) for mode in ("off", "enforce") for name, binary in binaries.items()}
    for gate in gates.values():
        bench.load(gate, 2000)
    rounds.run(f"natively, {engine_of(binaries['head'])}",
               [(mode, name, lambda gate=gate: {"us": cost(bench.load(gate, NATIVE_REQUESTS, warmup=1000))})
                for (mode, name), gate in gates.items()], count)
    for gate in gates.values():
        bench.stop_one(gate)
    for mode, title in (("off", OFF), ("enforce", ENFORCE)):
        median = rounds.median(mode, "head", "us")
        if median is not None:
            print(f"    {title:<24}{median:>8.2f} us, {told(rounds.ratio((mode, 'head'), (mode, 'base'), 'us'))} of the base's")


def native_signatures(programs, count):
    """The engine by itself, through its contract: {(algorithm, engine): {batch: us}}."""
    rounds = Rounds()
    rounds.run("signatures, natively", [("us", name, lambda program=program: read_signatures(program))
                                        for name, program in programs.items()], count)
    for row in next((row for row in rounds.rows("us", "head") if row), {}):
        ratio = rounds.ratio(("us", "head"), ("us", "base"), (row,)) if all(
            found is None or row in found for found in rounds.rows("us", "base")) else None
        print(f"    {row:<32}{rounds.median('us', 'head', (row,)):>8.2f} us, {told(ratio)} of the base's")


def read_signatures(program):
    """{"ES256 portable, 8 together": microseconds}, BoringSSL's own left out."""
    told_lines = subprocess.run([program, "--part=warm", "--seconds=0.2", "--keys=200"], capture_output=True, text=True,
                                check=True).stdout
    rows = re.findall(r"^ +(\S+) +(\S+) +(\d+) +([\d.]+) us", told_lines, re.MULTILINE)
    return {f"{algorithm} {engine}, {batch} together": float(us) for algorithm, engine, batch, us in rows if engine != "BoringSSL"}


def native(bench, folder, binaries, count):
    native_requests(bench, binaries, count)
    try:
        build(folder / "base-tree", folder / "base", ["bench_crypto"])
    except SystemExit as error:
        print(f"    signatures: the base has no bench_crypto that builds: {error}")
        return
    build(ROOT, folder / "head", ["bench_crypto"])
    native_signatures({name: folder / name / "bench" / "bench_crypto" for name in binaries}, count)


def compare(folder, base, arguments):
    print(f"base: {git('log', '-1', '--format=%h %s', base).stdout.strip()}")
    before = build(folder / "base-tree", folder / "base", ["popgate"])
    after = build(ROOT, folder / "head", ["popgate", "bench_upstream"])
    cpus = sorted(os.sched_getaffinity(0))
    run_folder = pathlib.Path(tempfile.mkdtemp(prefix="run-", dir=folder))
    bench = Bench(run_folder, after, folder / "head" / "bench" / "bench_upstream", (cpus[-1], cpus[0]))
    failed = False
    try:
        for mode in ("off", "enforce"):
            old, new = (instructions(bench, binary, mode, run_folder) for binary in (before, after))
            failed |= show(f"mode {mode}", old, new, arguments.limit)
            if mode == "enforce":
                failed |= show("mode enforce without signatures", without_signatures(old), without_signatures(new),
                               arguments.limit)
        if arguments.rounds:
            native(bench, folder, {"base": before, "head": after}, arguments.rounds)
    finally:
        bench.stop()
    print("perf-check: " + ("FAILED" if failed else f"no figure grew by more than {arguments.limit:g} %"))
    return 1 if failed else 0


def main():
    end_when_told()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", help="the revision to compare with (the merge base with main, or HEAD~1)")
    parser.add_argument("--limit", type=float, default=3.0, help="percent")
    parser.add_argument("--rounds", type=int, default=5, help="of the native comparison; 0: none")
    parser.add_argument("--keep", help="build there and keep it")
    arguments = parser.parse_args()
    base = find_base(arguments.base)
    if not base:
        print("perf-check: no earlier commit is here to compare with")
        return 0
    folder = pathlib.Path(arguments.keep or tempfile.mkdtemp(prefix="popgate-perf-")).resolve()
    folder.mkdir(exist_ok=True)
    tree = folder / "base-tree"
    try:
        # What was kept may be of another base; what is the same in both is not built again.
        result = (git("-C", str(tree), "checkout", "--quiet", "--force", "--detach", base) if tree.exists()
                  else git("worktree", "add", "--detach", str(tree), base))
        if result.returncode != 0:
            raise SystemExit(result.stderr)
        return compare(folder, base, arguments)
    finally:
        if not arguments.keep:
            git("worktree", "remove", "--force", str(tree))
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
