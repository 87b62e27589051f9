"""Alternating rounds: what was measured, and ratios that are made within a round."""

import statistics
import sys

import measure


class Rounds:
    def __init__(self, results=None):
        self.results = results if results is not None else {}  # measure -> proxy -> [a value, or None, for each round]

    def run(self, title, cases, count):
        """`cases`: [(measure, proxy's name, what returns its figures)], each once a round, beginning with another one
        each time."""
        if not cases:
            return
        print(f"  {title} ", end="", flush=True)
        for name, proxy, _ in cases:
            self.results.setdefault(name, {})[proxy] = []
        for index in range(count):
            turn = index % len(cases)
            for name, proxy, run in cases[turn:] + cases[:turn]:
                try:
                    value = run()
                except measure.Failed as error:
                    print(f"\n  {error}", file=sys.stderr)
                    value = None
                self.results[name][proxy].append(value)
                print(".", end="", flush=True)
        print(flush=True)

    def has(self, name):
        return name in self.results

    def proxies(self, name):
        return list(self.results.get(name, {}))

    def rows(self, name, proxy):
        return self.results.get(name, {}).get(proxy, [])

    def values(self, name, proxy, key):
        """`key`: a member, or (member, member of it)."""
        keys = (key,) if isinstance(key, str) else key
        found = []
        for row in self.rows(name, proxy):
            for part in keys:
                row = row[part] if row is not None else None
            found.append(row)
        return found

    def median(self, name, proxy, key):
        values = [v for v in self.values(name, proxy, key) if v is not None]
        return statistics.median(values) if values else None

    def ratios(self, upper, lower, key):
        """`upper`, `lower`: (measure, proxy). One for each round that has both; the rounds' indices with them."""
        pairs = zip(self.values(*upper, key), self.values(*lower, key))
        return [(index, a / b) for index, (a, b) in enumerate(pairs) if a is not None and b]

    def ratio(self, upper, lower, key, only=None):
        """(median, lowest, highest), of the rounds in `only` if it is given; None without any."""
        ratios = [value for index, value in self.ratios(upper, lower, key) if only is None or index in only]
        return (statistics.median(ratios), min(ratios), max(ratios)) if ratios else None

    def disturbed(self, name):
        """Rounds in which the machine's host took a tick (10 ms) or more of a CPU from any of the proxies' turns. The rule is
        older than the figures; a tail of one in a thousand is milliseconds of a run."""
        found = set()
        for proxy in self.proxies(name):
            for index, row in enumerate(self.rows(name, proxy)):
                if row is None or row.get("steal_us", 0) > 0:
                    found.add(index)
        return found

    def missing(self):
        return any(row is None for rows in self.results.values() for values in rows.values() for row in values)


def share(value):
    return f"{value:.2f}" if value >= 0.1 else f"1/{1 / value:.0f}"


def told(ratio):
    return "-" if ratio is None else f"{share(ratio[0])} ({share(ratio[1])}-{share(ratio[2])})"
