"""What makes the report and judges a change: perf/ and bench/compare, with figures of a made-up run."""

import html.parser
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from harness.gate import POPGATE

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "perf"), str(ROOT / "bench" / "compare")]

import check  # noqa: E402
import flamegraph  # noqa: E402
import page  # noqa: E402
import samples  # noqa: E402
import stages  # noqa: E402
import sweeps  # noqa: E402
from rounds import Rounds  # noqa: E402

ALL = ("popgate enforce", "popgate off", "HAProxy", "nginx")


def made_up_facts():
    quantiles = {"p50": 100.0, "p90": 200.0, "p99": 900.0, "p99.9": 1500.0, "p99.99": 2000.0}
    distribution = [(1 - 0.5 ** (i + 1), 100.0 + i, 90.0, 120.0) for i in range(14)]

    def series(values):
        return {name: [(x, 20.25 + place, 19.0, 30.5) for x in values] for place, name in enumerate(ALL)}
    return {
        "date": "2026-01-01", "cpu": "A <CPU> & more", "cpus": 2, "kernel": "6.1", "load": 0.5, "version": "popgate 0.1",
        "profile": {name: {"cpu_us": 20.0 + place, "stages": {"kernel": 12.0, "TLS": 8.0 + place}, "latency_us": quantiles,
                           "heaviest": [("tcp_ack<x>", "kernel", 0.25)]} for place, name in enumerate(ALL)},
        "mod_oauth2_us": 800.0, "instructions": {name: {"crypto": 160000.0, "http": 6000.0} for name in ALL[:2]},
        "latency": {"rate": 9000.0, "of": {name: distribution for name in ALL}},
        "sweeps": {"connections": series((1, 64, 4096)), "body bytes": series(sweeps.BODIES), "keys": series((10, 200, 2000)),
                   "workers": series(sweeps.WORKERS)},
        "batches": {"1": {"1": 1.0, "2": 0.0, "+Inf": 0.0}, "64": {"1": 0.25, "2": 0.75, "+Inf": 0.0}}}


class Reader(html.parser.HTMLParser):
    VOID = ("meta", "circle", "rect", "line", "path", "polyline")

    def __init__(self, text):
        super().__init__()
        self.opened, self.pictures, self.tags, self.links, self.captions = [], [], set(), [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.add(tag)
        self.links += [value for name, value in attributes.items() if name in ("src", "href", "xlink:href", "srcset")]
        if tag == "svg":
            self.pictures.append({"text": "", "lines": 0, **attributes})
        elif tag == "polyline":
            self.pictures[-1]["lines"] += 1
        if tag not in self.VOID:
            self.opened.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in self.VOID:
            self.opened.pop()

    def handle_endtag(self, tag):
        if tag in self.VOID:
            return
        assert self.opened.pop() == tag, f"</{tag}> closes another"

    def handle_data(self, data):
        if "svg" in self.opened:
            self.pictures[-1]["text"] += data + "\n"
        elif self.opened and self.opened[-1] == "figcaption":
            self.captions.append(data)


@pytest.fixture
def report(tmp_path):
    def write(facts):
        path = tmp_path / "report.html"
        flames = {name: flamegraph.draw({("kernel", "main", "send"): 3, ("TLS", "main<x>"): 1}, name, stages.COLOURS.get)
                  for name in facts.get("profile", {})}
        return page.write(facts, flames, path), path.read_text()
    return write


def test_the_report_needs_nothing_else(report):
    missing, text = report(made_up_facts())
    reader = Reader(text)
    assert missing == [] and reader.opened == []
    assert all(link.startswith("#") for link in reader.links) and len(reader.links) >= 6, reader.links
    assert not reader.tags & {"script", "link", "img", "iframe", "object"} and "@import" not in text and "url(" not in text
    assert "A &lt;CPU&gt; &amp; more" in text and "tcp_ack&lt;x&gt;" in text


def test_every_plot_is_there_with_the_peers_in_it(report):
    reader = Reader(report(made_up_facts())[1])
    pictures = dict(zip(reader.captions, reader.pictures))
    assert len(pictures) == len(reader.pictures) == len(reader.captions)
    for subject in ("connections", "sizes of answers", "client keys", "workers"):
        picture = pictures[f"CPU of a request over {subject}"]
        assert picture["lines"] == len(ALL) and all(name in picture["text"] for name in ALL), subject
    for caption in ("Latency at 9,000 requests a second", "Latency, closed loop"):
        assert pictures[caption]["lines"] == len(ALL)
    assert pictures["Signatures verified together"]["lines"] == 2
    for caption in ("CPU of a request", "CPU of a request by stage"):
        assert all(name in pictures[caption]["text"] for name in ALL)
    assert {f"Flame graph, {name}" for name in ALL} <= set(pictures)
    for caption, picture in pictures.items():
        assert picture["role"] == "img" and picture["aria-labelledby"], caption


def test_the_figures_are_in_tables_too(report):
    text = report(made_up_facts())[1]
    for cell in ("20.25 (19.00-30.50)", "23.25 (19.00-30.50)", "800.00", "160,000", "75.0"):
        assert f">{cell}</td>" in text, cell
    assert "800 µs: 40 times" in text


@pytest.mark.parametrize("part", ["profile", "instructions", "latency", "batches"])
def test_what_nobody_measured_is_said(report, part):
    facts = made_up_facts()
    del facts[part]
    missing, text = report(facts)
    assert missing == [part] and f"Not measured here: {part}." in text


def test_without_samples_there_are_costs(report):
    facts = made_up_facts()
    for told in facts["profile"].values():
        del told["stages"], told["heaviest"]
    missing, text = report(facts)
    assert missing == [] and "by stage" not in text and "CPU of a request over connections" in text


# ---- samples ----

PERF_SCRIPT = """\
 1.000000:
\t    55d0 early (/opt/popgate)

 9.000000:
\tffff01 tcp_ack+0x10 ([kernel.kallsyms])
\t    55d1 send_all+0x1 (/opt/popgate)

 9.500000:
\t    7f01 __memcpy_avx+0x4 (/usr/lib/libc.so.6)
\t    55d2 http1_parse.part.0+0x4 (/opt/popgate)

 9.600000:
\tffff02 io_submit_sqes+0x4 ([kernel.kallsyms])

 9.700000:
\t    7f02 [unknown] (/usr/lib/libssl.so.3)
"""


def test_samples_of_the_measured_seconds_and_whose_they_are():
    stacks = samples.read_stacks(PERF_SCRIPT, 1.0)
    assert [stack[0][0] for stack in stacks] == ["tcp_ack", "__memcpy_avx", "io_submit_sqes", "[unknown]"]
    by_stage = samples.by_stage(stacks, {"http1_parse": "HTTP"}, 40.0)
    assert by_stage == {"kernel": 10.0, "system calls": 10.0, "TLS": 10.0, "HTTP": 10.0}
    # A peer's functions are its own, even those that are called as one of ours.
    peer = [[(symbol, where.replace("popgate", "haproxy")) for symbol, where in stack] for stack in stacks]
    assert samples.by_stage(peer, None, 40.0) == {"kernel": 10.0, "system calls": 10.0, "TLS": 10.0, "the peer's own": 10.0}
    assert samples.heaviest(stacks * 2, None, 1)[0][2] == 0.25


def test_what_calls_itself_is_one_frame():
    stack = [("leaf", "/opt/haproxy"), *[("[unknown]", "/opt/haproxy")] * 100, ("main", "/opt/haproxy")]
    assert samples.fold([stack], None) == {("the peer's own", "main", "[unknown]", "leaf"): 1}


# ---- perf-check ----

CALLGRIND = """\
events: Ir
ob=(1) /opt/build/popgate
fl=(1) /there/src/jose/json.c
fn=(1) json_parse
10 500
cfn=(2) memcpy
cob=(2) /usr/lib/libc.so.6
calls=3 20
+1 9000
fi=(3) /there/src/base/span.h
* 40
fl=(4) /there/crypto/sha.c
fn=(3) sha
1 60
ob=(2)
fl=(5) ???
fn=(2)
1 70
"""


def test_instructions_are_counted_where_they_are_spent(tmp_path):
    path = tmp_path / "callgrind"
    path.write_text(CALLGRIND)
    assert check.read_costs(path) == {"jose": 540, "BoringSSL, linked in": 60, "libc": 70}


def test_too_much_is_refused_and_the_stage_named(capsys):
    base = {"http": 6000, "jose": 2500, "libsimdjson": 1500, "tls": 400}
    assert check.show("same", base, dict(base, http=6200), 3.0) is False
    assert "TOO MUCH" not in capsys.readouterr().out
    assert check.show("slower", base, dict(base, jose=3100, libsimdjson=1800, tls=410), 3.0) is True
    told = capsys.readouterr().out
    assert "+8.75 %  TOO MUCH" in told and told.splitlines()[-1] == "    more than 3 %; most of it: jose +600, libsimdjson +300"


# ---- rounds ----

def test_a_ratio_is_made_within_a_round():
    rounds = Rounds({"m": {"a": [{"us": 10}, None, {"us": 30}], "b": [{"us": 20}, {"us": 1}, {"us": 40}]}})
    assert rounds.ratio(("m", "a"), ("m", "b"), "us") == (0.625, 0.5, 0.75)
    assert rounds.missing()


def processes_of(folder):
    """{id: command line} of those that name it."""
    found = {}
    for entry in pathlib.Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
        except OSError:
            continue
        if str(folder).encode() in words:
            found[int(entry.name)] = words
    return found


def test_who_is_told_to_end_takes_all_it_started_along(tmp_path_factory):
    tmp_path = tmp_path_factory.mktemp("end")  # a socket's path is short
    upstream = pathlib.Path(POPGATE).parent / "bench" / "bench_upstream"
    if not upstream.exists():
        pytest.skip("the build has no bench")
    process = subprocess.Popen([sys.executable, str(ROOT / "bench/compare/compare.py"), "--build", str(upstream.parents[1]),
                                "--what", "cpu", "--only", "popgate off", "--upstream", "tcp", "--rounds", "1000"],
                               env=dict(os.environ, TMPDIR=str(tmp_path)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while not any(b"\0run\0" in words for words in processes_of(tmp_path).values()):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 128 + signal.SIGTERM
    finally:
        process.kill()
        left = processes_of(tmp_path)
        for pid in left:
            os.kill(pid, signal.SIGKILL)
    assert not left and list(tmp_path.iterdir()) == []
