"""Samples of a running proxy, by perf: whose function each of them was in. perf counts cycles where the machine has counters and
goes by the clock where it has none."""

import itertools
import re
import subprocess

import stages
from gate import cost

ROUNDS = 3
FREQUENCY = 3000


def is_possible(folder):
    """Whether the kernel lets us; containers often may not."""
    try:
        return subprocess.run(["perf", "record", "-q", "-g", "-o", str(folder / "perf-try.data"), "--", "true"],
                              capture_output=True).returncode == 0
    except OSError:
        return False


def record(bench, proxy, folder, requests):
    """([(stack from the leaf up)], what the generator told of the median one of the rounds that were not sampled)."""
    bench.load(proxy, 2000)
    # Being sampled costs a third more: what it costs is measured without, the samples are for the shares.
    plain = [bench.load(proxy, requests, warmup=1000) for _ in range(ROUNDS)]
    data = folder / f"perf-{proxy.name}.data"
    recorder = subprocess.Popen(["perf", "record", "-q", "-F", str(FREQUENCY), "-g", "-o", str(data), "-p",
                                 ",".join(map(str, proxy.pids()))], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        told = bench.load(proxy, requests, warmup=1000)
    finally:
        recorder.send_signal(2)
        recorder.wait(60)
    script = subprocess.run(["perf", "script", "-i", str(data), "-F", "time,ip,sym,dso"], capture_output=True, text=True)
    data.unlink()
    return read_stacks(script.stdout, told["seconds"]), sorted(plain, key=cost)[ROUNDS // 2]


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


def by_stage(stacks, symbols, cpu_us):
    """{stage: microseconds of `cpu_us`}. `symbols`: our objects' functions, or None of a peer."""
    counts = dict.fromkeys(stages.ORDER, 0)
    for stack in stacks:
        counts[stages.stage_of(stack, symbols)] += 1
    total = sum(counts.values()) or 1
    return {stage: cpu_us * count / total for stage, count in counts.items() if count}


def fold(stacks, symbols):
    """{(stage, outermost, ..., leaf): samples}. What calls itself is one frame: recursion, and what perf takes for callers in a
    program without frame pointers."""
    folded = {}
    for stack in stacks:
        frames = (symbol for symbol, _ in itertools.groupby(symbol for symbol, _ in reversed(stack)))
        key = (stages.stage_of(stack, symbols), *frames)
        folded[key] = folded.get(key, 0) + 1
    return folded


def heaviest(stacks, symbols, count=20):
    """[(function, its stage, share of the samples that were in itself)], most first."""
    counts = {}
    for stack in stacks:
        key = (stack[0][0], stages.stage_of(stack, symbols))
        counts[key] = counts.get(key, 0) + 1
    most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:count]
    return [(function, stage, number / len(stacks)) for (function, stage), number in most]
