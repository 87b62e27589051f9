#!/usr/bin/python3
"""Branch coverage of the parsers, the decision, the replay cache and the signature engine, from the counts that the tests left
in a build folder, and its check: every branch that no test takes is named, with its reason, in
unit/<layer>/branches_not_taken.md. One that is not named fails, and so does a name for a line that is no longer there, so the
lists follow the code. A row is

    | `file.c` | `function` | `the line, or a part of it` | how many of its branches at most | reason |

Assertions are not counted: their failing side is a programmer's error. Nor are branches that only C++ exceptions take.

Where the CPU has no AVX-512 IFMA its code is left out, and that is said.

With --adversarial the signature engines' adversarial set is run by itself, the counts of all else thrown away, and reported
alone: that it, and not a random signature, is what takes an exceptional branch. What it leaves is named there or in
unit/crypto/branches_not_attacked.md.

    usage: coverage.py --build DIR [--adversarial] [--list]
        --list: every untaken branch with its line, to write the rows from
"""

import argparse
import collections
import json
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
LAYERS = ["http", "jose", "auth", "replay", "base", "crypto"]
FILES = re.compile(r"src/(?:(?:http|jose|auth|replay|crypto)/.*|base/uri\.c)$")
# The set: signatures and keys made to meet the exceptional cases, and no others. tests/README.md says which case is where.
ADVERSARIAL = ["p256_engine/keys_that_are_none*", "p256_engine/x_plus_p_is_refused_where_x_is_good",
               "p256_engine/special_scalars_and_keys", "p256_engine/collisions_*",
               "p256_engine/sums_whose_x_is_above_n", "p256_engine/r_and_s_at_the_ends", "p256_engine/digests_above_n",
               "ed25519_engine/*", "ed25519_rule/*", "ed25519_point/decoding", "adversary/*"]
ENGINES = re.compile(r"src/crypto/(?:p256|ed25519)_.*$")
ROW = re.compile(r"^\| `([^`]+)` \| `([^`]+)` \| `(.+?)` \| (\d+) \| (.+) \|$")


def has_avx512_ifma():
    return platform.machine() == "x86_64" and re.search(r"^flags.*\bavx512ifma\b", pathlib.Path("/proc/cpuinfo").read_text(), re.M)


def copy_counts(build, folder):
    """All but those of vector code, which nothing could run; what such code takes from a header has its branches there, too."""
    print("src/crypto/*_ifma.c: left out, this CPU has no AVX-512 IFMA")
    for path in [*build.rglob("*.gcno"), *build.rglob("*.gcda")]:
        if "_ifma.c." not in path.name:
            copy = folder / path.relative_to(build)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
    return folder


def counted(build, layers, files):
    """{file: [(line number, branches, taken)]} of what gcov counted."""
    with tempfile.TemporaryDirectory() as folder:
        counts = build if has_avx512_ifma() else copy_counts(build, pathlib.Path(folder))
        command = ["gcovr", "-r", str(ROOT), str(counts), "--json", "--exclude-throw-branches",
                   *(word for layer in layers for word in ("--filter", f"{ROOT}/src/{layer}/"))]
        report = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    found = {}
    for file in report["files"]:
        name = file["file"]
        if not files.match(name):
            continue
        lines, source = [], Source(name)
        for line in file["lines"]:
            branches = [b for b in line["branches"] if not b.get("throw")]
            if branches and not source.in_assertion(line["line_number"]):
                lines.append((line["line_number"], len(branches), sum(b["count"] > 0 for b in branches)))
        found[name] = lines
    return found


class Source:
    def __init__(self, name):
        self.lines = (ROOT / name).read_text().splitlines()

    def text(self, number):
        return self.lines[number - 1].strip()

    def function(self, number):
        """The first name before a parenthesis in what stands above the last '{' or ends in one, in the first column."""
        for at in range(number - 1, -1, -1):
            line = self.lines[at]
            if not line.startswith("{") and not re.match(r"\w.*\) \{$", line):
                continue
            begin = at
            while begin > 0 and self.lines[begin - 1] and not re.search(r"[;}/]$|^#|^ \*", self.lines[begin - 1]):
                begin -= 1
            names = re.findall(r"(\w+)\(", " ".join(self.lines[begin:at + 1]))
            return next((name for name in names if name != "__attribute__" and name != "format"), "?")
        return "?"

    def in_assertion(self, number):
        for at in range(number - 1, 0, -1):
            if self.lines[at].strip().startswith("assert("):
                return True
            if re.search(r"[;{}]$|\*/$", self.lines[at - 1]):
                break
        return False


class Row:
    def __init__(self, layer, fields):
        self.file, self.function, self.text, most, self.reason = fields
        self.file = f"src/{layer}/{self.file}"
        self.most, self.seen = int(most), 0


def read_rows(layers, lists):
    rows = []
    for layer in layers:
        for name in lists:
            path = ROOT / "tests" / "unit" / layer / name
            for line in path.read_text().splitlines() if path.exists() else []:
                match = ROW.match(line)
                if match:
                    rows.append(Row(layer, match.groups()))
    return rows


def run_adversarial(build):
    """Runs the set with no counts but its own."""
    for path in build.rglob("*.gcda"):
        path.unlink()
    for pattern in ADVERSARIAL:
        run = subprocess.run([str(build / "tests" / "unit_crypto"), "--filter", pattern, "--timeout", "600"],
                             stdin=subprocess.DEVNULL, capture_output=True)
        if run.returncode != 0 or b"Tested: 0 " in run.stderr:
            sys.exit(f"{pattern} failed, or names no test:\n{run.stderr.decode(errors='replace')[-4000:]}")


def untaken(found):
    """(file, line number, how many, text, function) of what no test takes, assertions left out."""
    for name, lines in sorted(found.items()):
        source = Source(name)
        for number, branches, taken in lines:
            if taken < branches:
                yield name, number, branches - taken, source.text(number), source.function(number)


def check(found, rows):
    """What is wrong, a line each."""
    wrong = []
    for name, number, count, text, function in untaken(found):
        row = next((r for r in rows if r.file == name and r.function == function and r.text in text and
                    r.seen == 0), None)
        if row is None:
            wrong.append(f"{name}:{number}: {function}: {count} not taken, and not named: {text}")
        elif count > row.most:
            wrong.append(f"{name}:{number}: {function}: {count} not taken, {row.most} named: {text}")
        if row is not None:
            row.seen = count
    for row in rows:
        lines = Source(row.file).lines if (ROOT / row.file).exists() else []
        if not any(row.text in line for line in lines):
            wrong.append(f"{row.file}: named, and not there: {row.function}: {row.text}")
    return wrong


def show(found):
    totals = collections.OrderedDict()
    print(f"{'':34}{'branches':>10}{'taken':>8}")
    for name, lines in sorted(found.items()):
        branches, taken = sum(b for _, b, _ in lines), sum(t for _, _, t in lines)
        if branches == 0:
            continue
        layer = totals.setdefault(name.split("/")[1], [0, 0])
        layer[0] += branches
        layer[1] += taken
        print(f"{name:34}{branches:10}{taken:8}{taken / branches:8.1%}")
    for layer, (branches, taken) in totals.items():
        print(f"{'src/' + layer:34}{branches:10}{taken:8}{taken / branches:8.1%}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True, type=pathlib.Path)
    parser.add_argument("--adversarial", action="store_true")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    if options.adversarial:
        run_adversarial(options.build)
        # In the library's own objects: a test's copy of what is inline in a header is not what is attacked.
        found = counted(options.build / "CMakeFiles" / "popgate_core.dir", ["crypto"], ENGINES)
        rows = read_rows(["crypto"], ["branches_not_taken.md", "branches_not_attacked.md"])
    else:
        found = counted(options.build, LAYERS, FILES)
        rows = read_rows(LAYERS, ["branches_not_taken.md"])
    if options.list:
        for name, number, count, text, function in untaken(found):
            print(f"{name}:{number}\t{function}\t{count}\t{text}")
        return 0
    show(found)
    wrong = check(found, rows)
    for line in wrong:
        print(line)
    print(f"{sum(row.seen for row in rows)} branches not taken are named with their reasons, {len(wrong)} lines are wrong")
    return 0 if found and not wrong else 1


if __name__ == "__main__":
    sys.exit(main())
