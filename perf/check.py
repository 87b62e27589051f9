#!/usr/bin/python3
"""Instructions of a request, this tree against its merge base, both built and run here. Fails at +3 %.

Instructions are counted by callgrind, which knows no AVX-512 and no io_uring: the crypto is the portable one, the loop is epoll,
one connection asks, so that every run takes the same turns. A request's instructions are the difference of two runs that differ
in their number of requests, so start, key set-up and handshake are not in them.

Three figures: a request with mode off; with enforce; and enforce without src/crypto, since portable signatures are so
many instructions that they would hide what the rest does.

  check.py [--base REVISION] [--tree DIR] [--limit 3.0] [--keep FOLDER]
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

from gate import Bench  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[1]
FEW, MANY = 200, 1000
KEYS = 4


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
    return library or "other"


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
        bench.load(gate, requests, fresh=mode != "off", connections=1, keys=KEYS, warmup=40)
        gate.stop()
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
        print(f"    {stage:<24}{old:>10,.0f} -> {new:>10,.0f}" + (f"  {100 * (new / old - 1):+.1f} %" if old else ""))
    return failed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", help="the revision to compare with (the merge base with main, or HEAD~1)")
    parser.add_argument("--limit", type=float, default=3.0, help="percent")
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
        if not tree.exists():
            result = git("worktree", "add", "--detach", str(tree), base)
            if result.returncode != 0:
                raise SystemExit(result.stderr)
        print(f"base: {git('log', '-1', '--format=%h %s', base).stdout.strip()}")
        before = build(tree, folder / "base", ["popgate"])
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
        finally:
            bench.stop()
        return 1 if failed else 0
    finally:
        git("worktree", "remove", "--force", str(tree))
        if not arguments.keep:
            shutil.rmtree(folder, ignore_errors=True)


sys.exit(main())
