"""The tables that compare.py prints."""

import statistics

import targets
from rounds import told
from targets import KEPT, OFF, ONE, RATE, SUBJECT

STORE = "64 connections, a Redis shared by replicas"
SHARED = "popgate replay.redis"
SIZES = ("over connections", "over keys")

ROWS = (
    # measure, key, what is shown, scale, is more better
    (KEPT, "cpu_us", "CPU of a request, us", 1, False),
    ("full handshakes", "cpu_us", "CPU of a connection, full handshake and one request, us", 1, False),
    ("resumed handshakes", "cpu_us", "CPU of a connection, resumed and one request, us", 1, False),
    ("64 KiB answers", "bytes_per_cpu_second", "64 KiB answers, MB a second of CPU", 1e-6, True),
    ("idle connections", "bytes_per_connection", "memory of an idle connection, KiB", 1 / 1024, False),
    ("idle connections", "bytes", "memory of the processes with them, MiB", 1 / 1048576, False),
)


def amount(value, scale=1.0, digits=1):
    return "-" if value is None else f"{value * scale:,.{digits}f}"


def subject_for(name):
    """The gate that reaches the service in the same way: "nginx, unix" is compared with "popgate enforce, unix"."""
    role, comma, upstream = name.partition(", ")
    return SUBJECT + comma + upstream


def show(rounds, count, rate, out):
    print(f"\nMedians of {count} alternating rounds; in brackets the rounds' lowest and highest ratio.\n", file=out)
    for name, key, title, scale, more in ROWS:
        if not rounds.has(name):
            continue
        print(f"{title}  ({name})", file=out)
        for proxy in rounds.proxies(name):
            median = rounds.median(name, proxy, key)
            if median is None:
                continue
            line = f"  {proxy:<24}{amount(median, scale, 2):>12}"
            subject = subject_for(proxy)
            ratio = rounds.ratio((name, subject), (name, proxy), key)
            if proxy != subject and ratio is not None:
                line += f"   {subject} is {told(ratio)} of it" + (" (more is better)" if more else "")
            elif name == KEPT:
                line += f"   {amount(1e6 / median, digits=0)} requests a second of one core's time"
                over_tcp = rounds.ratio((name, proxy), (name, "haproxy"), key) if proxy != SUBJECT else None
                line += f"; {told(over_tcp)} of haproxy over TCP" if over_tcp is not None else ""
            elif "handshakes" in name:
                line += f"   {amount(1e6 / median, digits=0)} connections a second of one core's time"
            print(line, file=out)
    show_store(rounds, out)
    show_latency(rounds, rate, out)
    for name in SIZES:
        show_size(rounds, name, out)
    show_workers(rounds, out)
    show_allocations(rounds, out)
    print(file=out)
    targets.show(rounds, out)


def show_store(rounds, out):
    """Throughput, for what a request waits for is on another core."""
    ratio = rounds.ratio((STORE, SHARED), (STORE, SUBJECT), "requests_per_second")
    if ratio is None:
        return
    print(f"requests a second  ({STORE})", file=out)
    for proxy in (SUBJECT, SHARED):
        print(f"  {proxy:<24}{amount(rounds.median(STORE, proxy, 'requests_per_second'), digits=0):>12}"
              f"   CPU of a request, us {amount(rounds.median(STORE, proxy, 'cpu_us'), digits=2)}", file=out)
    print(f"  {SHARED} has {told(ratio)} of the throughput of local memory alone", file=out)


def show_latency(rounds, rate, out):
    for name in (ONE, RATE):
        if not rounds.has(name):
            continue
        print(f"latency in us  ({name}{f', {rate:,.0f}/s' if name == RATE and rate else ''})", file=out)
        for proxy in rounds.proxies(name):
            rows = [row["latency_us"] for row in rounds.rows(name, proxy) if row]
            if rows:
                print(f"  {proxy:<24}" + "  ".join(f"{q} {statistics.median(row[q] for row in rows):,.0f}"
                                                   for q in ("p50", "p99", "p99.9", "p99.99")), file=out)
    ratio = rounds.ratio((ONE, SUBJECT), (ONE, OFF), ("latency_us", "p50"))
    if ratio is not None:
        print(f"  {SUBJECT}'s p50 at 1 connection is {told(ratio)} of {OFF}'s", file=out)
    show_tail(rounds, out)


def show_tail(rounds, out):
    disturbed = rounds.disturbed(RATE)
    for proxy in rounds.proxies(RATE):
        if proxy == SUBJECT:
            continue
        upper, lower, key = (RATE, SUBJECT), (RATE, proxy), ("latency_us", "p99.9")
        every = [index for index, _ in rounds.ratios(upper, lower, key)]
        quiet = [index for index in every if index not in disturbed]
        if every:
            print(f"  {SUBJECT}'s p99.9 is {told(rounds.ratio(upper, lower, key))} of {proxy}'s in {len(every)} rounds; "
                  f"{told(rounds.ratio(upper, lower, key, quiet))} in the {len(quiet)} that the host took nothing from", file=out)


def show_size(rounds, prefix, out):
    """Growth of a request's cost from the smallest to the largest, within a round."""
    names = [name for name in rounds.results if name.startswith(prefix + ", ")]
    if not names:
        return
    sizes = [name.rpartition(" ")[2] for name in names]
    print(f"CPU of a request, us  ({prefix}: {', '.join(sizes)})", file=out)
    for proxy in rounds.proxies(names[0]):
        costs = [amount(rounds.median(name, proxy, "cpu_us"), digits=2) for name in names]
        line = f"  {proxy:<24}" + "".join(f"{cost:>9}" for cost in costs)
        grown = rounds.ratio((names[-1], proxy), (names[0], proxy), "cpu_us")
        beside = rounds.ratio((names[-1], SUBJECT), (names[-1], proxy), "cpu_us")
        line += f"   {sizes[-1]} is {told(grown)} of {sizes[0]}"
        if proxy != SUBJECT and beside is not None:
            line += f"; {SUBJECT} is {told(beside)} of it at {sizes[-1]}"
        print(line, file=out)


def show_workers(rounds, out):
    ratio = rounds.ratio(("workers", "2 workers"), ("workers", "1 worker"), "requests_per_second")
    if ratio is None:
        return
    print("requests a second  (workers, a core each, several generators)", file=out)
    for proxy in rounds.proxies("workers"):
        print(f"  {proxy:<24}{amount(rounds.median('workers', proxy, 'requests_per_second'), digits=0):>12}", file=out)
    print(f"  2 workers are {told(ratio)} of 1", file=out)


def show_allocations(rounds, out):
    for rows in rounds.results.get("allocations", {}).values():
        for row in filter(None, rows):
            print(f"allocations of a request after warm-up, 64 connections: {row['per_request']:.3f}, "
                  f"of which {row['from_the_heap']:.4f} took memory from the heap, the rest from the thread's own cache",
                  file=out)
            for caller, count in row["by_caller"].items():
                print(f"  {count:8.3f}  {caller}", file=out)
