#!/usr/bin/python3
"""What was set out to be reached, beside what was measured: `targets.py RESULTS.json...` (as compare.py --json writes them)."""

import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from rounds import Rounds, share, told  # noqa: E402

SUBJECT, OFF = "popgate enforce", "popgate off"
KEPT, ONE = "keep-alive, 64 connections", "keep-alive, 1 connection"
RATE = "open loop at 70 % of haproxy's rate"

# (what, upper (measure, proxy), lower, key, the bound, whether more is better)
TARGETS = (
    ("CPU of a verified request: HAProxy's", (KEPT, SUBJECT), (KEPT, "haproxy"), "cpu_us", 0.75, False),
    ("CPU of a verified request: nginx's", (KEPT, SUBJECT), (KEPT, "nginx"), "cpu_us", 0.65, False),
    ("CPU of a verified request: mod_oauth2's", (KEPT, SUBJECT), (KEPT, "apache mod_oauth2"), "cpu_us", 1 / 45, False),
    ("enforce: off's CPU", (KEPT, SUBJECT), (KEPT, OFF), "cpu_us", 1.30, False),
    ("enforce: off's median latency, 1 connection", (ONE, SUBJECT), (ONE, OFF), ("latency_us", "p50"), 1.20, False),
    ("p99.9 at 70 % of HAProxy's capacity: HAProxy's", (RATE, SUBJECT), (RATE, "haproxy"), ("latency_us", "p99.9"), 1.0,
     False),
    ("full handshakes a second: HAProxy's", ("full handshakes", "haproxy"), ("full handshakes", SUBJECT), "cpu_us", 1.0, True),
    ("resumed handshakes a second: HAProxy's", ("resumed handshakes", "haproxy"), ("resumed handshakes", SUBJECT), "cpu_us",
     1.0, True),
    ("2 workers: 1 worker's requests a second", ("workers", "2 workers"), ("workers", "1 worker"), "requests_per_second", 1.8,
     True),
    ("CPU of a request at 4,096 connections: at 64", ("over connections, 4096", SUBJECT), ("over connections, 64", SUBJECT),
     "cpu_us", 1.15, False),
    ("CPU of a request of 2,000 keys: of 10 (192 MiB)", ("over keys, 2000", SUBJECT), ("over keys, 10", SUBJECT), "cpu_us",
     1.10, False),
    ("64 KiB answers, bytes a second of CPU: HAProxy's", ("64 KiB answers", SUBJECT), ("64 KiB answers", "haproxy"),
     "bytes_per_cpu_second", 1.0, True),
)


def show(rounds, out=sys.stdout):
    printed = False
    for title, upper, lower, key, bound, more in TARGETS:
        ratio = rounds.ratio(upper, lower, key)
        if ratio is None:
            continue
        if not printed:
            print("targets, as ratios within a round (lowest and highest)", file=out)
            printed = True
        good = ratio[0] >= bound if more else ratio[0] <= bound
        limit = f"{'at least' if more else 'at most'} {share(bound)}"
        print(f"  {title:<52}{told(ratio):<22}{limit:<14}{'met' if good else 'missed'}", file=out)
    if not printed:
        print("no target's figures are among these results", file=out)


def main():
    results = {}
    for path in sys.argv[1:]:
        results |= json.loads(pathlib.Path(path).read_text())["results"]
    show(Rounds(results))


if __name__ == "__main__":
    main()
