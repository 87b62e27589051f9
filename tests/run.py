#!/usr/bin/python3
"""Runs the suites of one build folder and adds them up. Every suite prints what failed; the last line is the sum:
`N passed, N failed[, N skipped]`. The exit code is 0 only if something passed and nothing failed."""

import argparse
import os
import pathlib
import platform
import re
import resource
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree

ROOT = pathlib.Path(__file__).resolve().parent.parent
TESTS = ROOT / "tests"
RETRIED_MAX = 8  # more than that is no accident


def cpu_seconds():
    """Of all that was run and waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


class Totals:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.cpu = cpu_seconds()

    def add(self, name, passed, failed, skipped=0, seconds=0.0):
        self.passed += passed
        self.failed += failed
        self.skipped += skipped
        before, self.cpu = self.cpu, cpu_seconds()
        tail = f", {skipped} skipped" if skipped else ""
        print(f"{name:32} {passed:6} passed, {failed} failed{tail}  ({seconds:.1f} s, CPU {self.cpu - before:.1f} s)", flush=True)

    def line(self):
        tail = f", {self.skipped} skipped" if self.skipped else ""
        return f"{self.passed} passed, {self.failed} failed{tail}"


def run(command, timeout, **kwargs):
    """Runs one program in a session of its own; a program that outlives its time is ended with its children."""
    started = time.monotonic()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, start_new_session=True, **kwargs)
    try:
        output, _ = process.communicate(timeout=timeout)
        code = process.returncode
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        output, _ = process.communicate()
        output += f"\n(ended after {timeout} s)\n".encode()
        code = -9
    return code, output.decode(errors="replace"), time.monotonic() - started


def xml_counts(path):
    """(passed, failed, skipped) of a JUnit file, or None where there is none."""
    try:
        root = ElementTree.parse(path).getroot()
    except (OSError, ElementTree.ParseError):
        return None
    passed = failed = skipped = 0
    for case in root.iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            failed += 1
        elif case.find("skipped") is not None:
            skipped += 1
        else:
            passed += 1
    return passed, failed, skipped


def show(output):
    print("\n".join(output.splitlines()[-120:]), flush=True)


def run_unit(program, totals, options, name=None, arguments=(), **kwargs):
    code, output, seconds = run([str(program), "--jobs", "2", "--tap", "--timeout", "600", *arguments],
                                options.timeout, **kwargs)
    output = re.sub(r"^ok .*# SKIP test was skipped\n", "", output, flags=re.M)  # what a filter leaves out
    passed = len(re.findall(r"^ok ", output, re.M))
    failed = len(re.findall(r"^not ok ", output, re.M))
    skipped = len(re.findall(r"^ok .*# SKIP", output, re.M))
    if code != 0 and failed == 0:
        failed = 1
    if failed or passed == 0:
        show(output)
        failed = max(failed, 1)
    totals.add(name or program.name, passed - skipped, failed, skipped, seconds)


# The AVX-512 engine, emulated: what takes minutes there is left out, and the random cases are fewer.
AVX512_EMULATED = "unit_crypto_avx512"
AVX512_FILTER = "!(" + "|".join([
    "p256_engine/collisions_with_@(smaller|larger)_tables",
    "p256_engine/verdicts_are_boringssls_with_every_size",
    "p256_engine/special_scalars_and_keys",
    "verdicts/one_bad_among_good_and_one_good_among_bad_*"]) + ")"
AVX512_CASES = {"POPGATE_CRYPTO_CASES": "300", "POPGATE_SOAK_VERDICTS": "300"}


def has_avx512_ifma():
    return platform.machine() == "x86_64" and re.search(r"^flags.*\bavx512ifma\b", pathlib.Path("/proc/cpuinfo").read_text(), re.M)


# A sanitizer watches memory and undefined arithmetic; the verdicts themselves are compared in full without one.
SANITIZED_CASES = {"POPGATE_CRYPTO_CASES": "5000", "POPGATE_SOAK_VERDICTS": "10000"}


def suite_unit(build, totals, options):
    cases = SANITIZED_CASES if sanitized(build) else {}
    for program in programs(build, "unit_*"):
        if program.name == AVX512_EMULATED and sanitized(build) and has_avx512_ifma():
            print(f"{program.name}: skipped, under a sanitizer the CPU's own AVX-512 is enough (minutes)")
            totals.add(program.name, 0, 0, 1)
        elif program.name == AVX512_EMULATED:
            run_unit(program, totals, options, arguments=["--filter", AVX512_FILTER], env=dict(AVX512_CASES, **os.environ))
        else:
            run_unit(program, totals, options, env=dict(cases, **os.environ))


SKIPPED = 77  # the exit code of a program that cannot do its work here; its last line says why


def count_own(name, command, totals, options, skips=False, **kwargs):
    """A program that counts for itself: its last line is `N passed, N failed[, N skipped]`. With `skips` it has to skip some."""
    code, output, seconds = run(command, options.timeout, **kwargs)
    if code == SKIPPED:
        print(f"{name}: {output.splitlines()[-1] if output else 'skipped'}")
        totals.add(name, 0, 0, 1, seconds)
        return
    match = re.search(r"^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?", output, re.M)
    passed, failed, skipped = (int(number or 0) for number in match.groups()) if match else (0, 1, 0)
    if code != 0 and failed == 0 or skips and skipped == 0:
        failed = max(failed, 1)
    if failed:
        show(output)
    totals.add(name, passed, failed, skipped, seconds)


def programs(build, pattern):
    return [path for path in sorted((build / "tests").glob(pattern))
            if os.access(path, os.X_OK) and not path.is_dir()]


def suite_threads(build, totals, options):
    for program in programs(build, "threads_*"):
        count_own(program.name, [str(program)], totals, options)


def suite_fuzz_corpus(build, totals, options):
    passed = failed = 0
    started = time.monotonic()
    for program in programs(build, "fuzz_*"):
        corpus = TESTS / "fuzz" / "corpus" / program.name.removeprefix("fuzz_")
        code, output, _ = run([str(program), str(corpus)], options.timeout)
        if code == 0:
            passed += 1
        else:
            failed += 1
            print(f"{program.name} {corpus}:")
            show(output)
    if passed + failed:
        totals.add("fuzz corpora", passed, failed, 0, time.monotonic() - started)


def suite_sim(build, totals, options):
    for program in programs(build, "sim_*"):
        count_own(program.name, [str(program)], totals, options)


def failed_tests(path):
    """The node ids of what failed in a JUnit file of pytest."""
    found = []
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            module = case.get("classname").split(".")[-1]
            found.append(f"{TESTS / 'e2e' / module}.py::{case.get('name')}")
    return found


def run_pytest(report, arguments, options, environment):
    report.unlink(missing_ok=True)
    code, output, seconds = run(["/usr/bin/python3", "-m", "pytest", "-q", "-p", "no:cacheprovider",
                                 f"--junitxml={report}", *arguments], options.timeout, env=environment)
    return code, output, seconds, xml_counts(report)


def sanitized(build):
    return re.search(r"^POPGATE_SANITIZE:\w+=.", (build / "CMakeCache.txt").read_text(), re.M) is not None


def suite_e2e(build, totals, options):
    """pytest over the running sidecar; the tests themselves run on each io backend."""
    run_e2e(build, totals, options, "e2e", options.pytest or [str(TESTS / "e2e")], os.environ)


# Most tests wait for real time to pass. What measures time, or fills the machine itself, runs afterwards, one at a time.
SIDE_BY_SIDE = ["-n", str(2 * os.cpu_count()), "-m", "not alone"]
ALONE = ["-m", "alone"]
NONE_SELECTED = 5  # pytest's exit code


def run_e2e(build, totals, options, name, chosen, environment):
    environment = dict(environment, POPGATE=str((build / "popgate").resolve()),
                       PYTHONDONTWRITEBYTECODE="1",
                       POPGATE_SANITIZED="1" if sanitized(build) else "")
    found = [run_once_more(build, options, how + chosen, environment) for how in (SIDE_BY_SIDE, ALONE)]
    passed, failed, skipped, seconds = (sum(column) for column in zip(*found))
    totals.add(name, passed, failed if passed + failed + skipped else 1, skipped, seconds)


def run_once_more(build, options, arguments, environment):
    """On a shared machine a test may miss its moment: what failed is run once more, alone, and said; what fails twice has
    failed. (passed, failed, skipped, seconds)"""
    code, output, seconds, counts = run_pytest(build / "e2e.xml", arguments, options, environment)
    passed, failed, skipped = counts or (0, 1, 0)
    if code not in (0, NONE_SELECTED):
        failed = max(failed, 1)
        show(output)
    again = failed_tests(build / "e2e.xml") if counts and 0 < failed <= RETRIED_MAX else []
    if again:
        print("once more, alone: " + " ".join(again), flush=True)
        code, output, more, counts = run_pytest(build / "e2e-again.xml", again, options, environment)
        seconds += more
        if counts and counts[0] + counts[1] == len(again):
            passed, failed = passed + counts[0], counts[1]
        if code != 0:
            show(output)
    return passed, failed, skipped, seconds


# What asks for the default implementation: all but unit_crypto's comparisons of the implementations with each other.
DISPATCH_UNITS = {"unit_crypto": ["--filter", "@(batch|verifier|reference|key_contexts|sign|hmac|sha256)/*"],
                  "unit_jose": [], "unit_auth": [], "unit_tls": [], "unit_app": []}
# Whole, on one io backend: which one makes no difference to a signature.
DISPATCH_E2E = [str(TESTS / "e2e"), "-k", "io_uring"]


def suite_dispatch(build, totals, options):
    """The implementations of the signature engine that this CPU would not choose, each forced on the tests above it. A CPU that
    lacks one refuses it by name, and it is skipped; a CPU without AVX-512 is one on which `portable` is all there is."""
    popgate = build / "popgate"

    def taken(environment):
        done = subprocess.run([popgate, "--version"], capture_output=True, text=True, env=environment)
        return re.search(r"^crypto: (\w+)$", done.stdout, re.M)[1]

    own = taken({name: value for name, value in os.environ.items() if name != "POPGATE_CRYPTO"})
    for name in ("reference", "portable", "ifma"):
        if name == own:
            continue
        environment = dict(os.environ, POPGATE_CRYPTO=name)
        said = taken(environment)
        if said != name:
            print(f"dispatch, {name}: " + ("skipped, not for this CPU" if said == "none" else f"{said} was taken"))
            totals.add(f"dispatch, {name}", 0, int(said != "none"), int(said == "none"))
            continue
        for program in programs(build, "unit_*"):
            if program.name in DISPATCH_UNITS:
                run_unit(program, totals, options, f"{program.name}, {name}", DISPATCH_UNITS[program.name], env=environment)
        run_e2e(build, totals, options, f"e2e, {name}", DISPATCH_E2E, environment)


def suite_library(build, totals, options):
    """A C program outside the tree against what is installed. A sanitizer's run-time library would have to be its own, too."""
    if not sanitized(build):
        count_own("library", [str(TESTS / "library" / "run"), str(build.resolve())], totals, options)


EMULATED_CPUS = ["Nehalem", "Haswell-noTSX"]  # x86-64 without MULX and ADX; without AVX-512 and ADX


def suite_emulated(build, totals, options):
    """The signature engine's tests on other CPUs, by qemu-user: x86-64 ones that lack instructions, so that the choice made at
    start is made by CPUID and not by name, and aarch64. Fewer random cases, for it is slow."""
    if sanitized(build):
        return  # a sanitizer and an emulator do not go together
    environment = dict({"POPGATE_CRYPTO_CASES": "1000", "POPGATE_SOAK_VERDICTS": "1500"}, **os.environ)
    count_own("aarch64", [str(TESTS / "emulated" / "aarch64"), str(build / "aarch64")], totals, options, env=environment)
    if platform.machine() != "x86_64":
        return
    qemu = shutil.which("qemu-x86_64")
    if qemu is not None:
        subprocess.run(["cmake", "--build", str(build), "--target", "emulated_crypto"], check=True, stdout=subprocess.DEVNULL)
    for cpu in EMULATED_CPUS:
        if qemu is None:
            print(f"{cpu}: skipped, no qemu-x86_64 (Debian: qemu-user)")
            totals.add(cpu, 0, 0, 1)
            continue
        # Tests of vector code have to be skipped: what ran them all did not see the CPU it was given.
        program = build / "tests" / "emulated_crypto"
        count_own(cpu, [qemu, "-cpu", cpu, str(program)], totals, options, skips=True, env=environment)


def suite_interop(build, totals, options):
    """Real clients and authorization servers from npm; Node 20 or newer."""
    folder = TESTS / "interop"
    if not (folder / "package.json").exists():
        return
    node, npm = shutil.which("node"), shutil.which("npm")
    version = 0
    if node:
        version = int(re.match(r"v(\d+)", subprocess.run([node, "--version"], capture_output=True,
                                                         text=True).stdout)[1])
    if not node or not npm or version < 20:
        print("interop: skipped, it needs Node 20 or newer with npm"
              + (f" (this is Node {version})" if version else ""))
        totals.add("interop", 0, 0, 1)
        return
    installed, wanted = folder / "node_modules" / ".package-lock.json", folder / "package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < wanted.stat().st_mtime:
        code, output, _ = run([npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"], 600,
                              cwd=folder)
        if code != 0:
            show(output)
            totals.add("interop", 0, 1)
            return
    environment = dict(os.environ, POPGATE=str((build / "popgate").resolve()))
    files = [str(path) for path in sorted(folder.glob("test_*.mjs"))]
    code, output, seconds = run([node, "--test", "--test-concurrency=1", "--test-reporter=tap", *files],
                                options.timeout, cwd=folder, env=environment)
    counts = {word: int(number) for word, number in re.findall(r"^# (pass|fail|skipped) (\d+)$",
                                                                output, re.M)}
    passed, failed, skipped = (counts.get(word, 0) for word in ("pass", "fail", "skipped"))
    if code != 0 and failed == 0 or passed == 0:
        failed = max(failed, 1)
    if failed:
        show(output)
    totals.add("interop", passed, failed, skipped, seconds)


def suite_models(build, totals, options):
    """Exhaustive checks with spin of the protocols that the lock-free code follows."""
    script = TESTS / "models" / "run"
    if script.exists():
        count_own("models", [str(script)], totals, options)


SUITES = {
    "unit": suite_unit,
    "threads": suite_threads,
    "fuzz-corpus": suite_fuzz_corpus,
    "sim": suite_sim,
    "models": suite_models,
    "e2e": suite_e2e,
    "interop": suite_interop,
    "dispatch": suite_dispatch,
    "library": suite_library,
    "emulated": suite_emulated,
}
ASKED_FOR = {"emulated"}  # nine minutes where the emulators are there: `make soak`


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", required=True, type=pathlib.Path)
    parser.add_argument("--suite", action="append", choices=sorted(SUITES), help="default: all but " + ", ".join(sorted(ASKED_FOR)))
    parser.add_argument("--timeout", type=int, default=2400, help="seconds for one program")
    parser.add_argument("--totals", type=pathlib.Path, help="append the sums to this file")
    parser.add_argument("pytest", nargs="*", help="handed to pytest")
    options = parser.parse_args()
    os.environ.setdefault("ASAN_OPTIONS", "detect_leaks=1:abort_on_error=0")
    os.environ.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
    os.environ.setdefault("TSAN_OPTIONS", f"halt_on_error=1:second_deadlock_stack=1:suppressions={TESTS}/tsan.supp")
    totals = Totals()
    for name in options.suite or [name for name in SUITES if name not in ASKED_FOR]:
        SUITES[name](options.build, totals, options)
    print(totals.line(), flush=True)
    if options.totals:
        with options.totals.open("a") as file:
            file.write(f"{totals.passed} {totals.failed} {totals.skipped}\n")
    return 0 if totals.failed == 0 and totals.passed > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
