"""popgate bench http against a real gate: it counts what the gate counts."""

import json
import os
import pty
import signal
import subprocess
import threading
import time

import pytest

from harness.gate import POPGATE, Gate


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench") / "authority"
    subprocess.run([POPGATE, "demo-authority", str(folder)], check=True, stdout=subprocess.DEVNULL)
    return folder


@pytest.fixture(scope="module")
def bench_gate(demo, backend, shared_upstream):
    config = {"upstream": shared_upstream.url, "workers": 1, "io_backend": backend,
              "tls": {"certificate": str(demo / "server.crt"), "private_key": str(demo / "server.key"),
                      "client_ca": str(demo / "ca.crt")},
              "replay": {"capacity": 65536, "cold_start": "accept"}, "log": {"access": False}}
    gate = Gate(config)
    origin = f"https://localhost:{gate.port}"
    gate.config |= {"public_origins": [origin],
                    "issuers": [{"issuer": "https://issuer.demo.popgate", "audience": origin,
                                 "jwks_file": str(demo / "jwks.json")}]}
    gate.write_config()
    with gate:
        yield gate


@pytest.fixture
def bench(demo, bench_gate, backend):
    def run(*arguments, code=0):
        result = subprocess.run([POPGATE, "bench", "http", "--dir", str(demo), "--url",
                                 f"https://localhost:{bench_gate.port}/", "--json", "--io-backend", backend,
                                 "--keys", "5", *map(str, arguments)],
                                capture_output=True, text=True, timeout=120)
        assert result.returncode == code, result.stderr
        return json.loads(result.stdout) if code == 0 else result.stderr
    return run


def counted(gate):
    return {"allowed": gate.metric("popgate_requests_total", outcome="allowed"),
            "full": gate.metric("popgate_handshakes_total", result="ok", resumed="no"),
            "resumed": gate.metric("popgate_handshakes_total", result="ok", resumed="yes")}


def difference(gate, before):
    return {name: value - before[name] for name, value in counted(gate).items()}


@pytest.mark.parametrize("more", [[], ["--method", "POST", "--body-bytes", 100], ["--method", "POST", "--body-bytes", 200000],
                                  ["--handshakes", "full"]], ids=["get", "body", "long-body", "handshakes"])
def test_http2(bench, bench_gate, more):
    before = counted(bench_gate)
    result = bench("--http2", "--connections", 3, "--requests", 60, "--duration", "60s", *more)
    assert result["protocol"] == "h2"
    assert result["statuses"] == {"200": 60} and result["failures"] == 0, result
    seen = difference(bench_gate, before)
    assert seen["allowed"] == 60
    assert seen["full"] >= (60 if "full" in more else 3)


@pytest.mark.parametrize("connections, streams, more", [
    (1, 8, []), (2, 16, ["--alg", "EdDSA"]), (1, 200, []), (2, 8, ["--method", "POST", "--body-bytes", 30000]),
    (2, 8, ["--rate", 400])], ids=["one", "two", "over-the-servers-bound", "bodies", "open-loop"])
def test_streams_at_once(bench, bench_gate, shared_upstream, connections, streams, more):
    shared_upstream.take()
    before = counted(bench_gate)
    result = bench("--http2", "--connections", connections, "--max-concurrent-streams", streams, "--requests", 400,
                   "--duration", "60s", *more)
    assert result["max_concurrent_streams"] == streams
    assert result["statuses"] == {"200": 400} and result["failures"] == 0, result
    assert result["latency_us"]["count"] == 400 and result["handshakes"] == 0
    seen = difference(bench_gate, before)
    assert seen["allowed"] == 400 and seen["full"] == connections
    assert len(shared_upstream.take()) == 400


def test_streams_share_a_batch(bench, bench_gate):
    """Proofs of one connection are verified together only if its requests were there together."""
    def batches():
        return bench_gate.metric("popgate_verify_batch_size_count")
    for streams, together in ((1, False), (32, True)):
        before = batches()
        bench("--http2", "--connections", 1, "--max-concurrent-streams", streams, "--requests", 320, "--duration", "60s")
        assert (batches() - before < 320) == together


def test_http2_replays_are_refused_and_the_connections_go_on(bench, bench_gate):
    result = bench("--http2", "--connections", 2, "--requests", 20, "--proofs", 10, "--repeat", "--duration", "60s")
    assert result["statuses"] == {"200": 10, "401": 10} and result["failures"] == 0, result
    assert result["handshakes"] <= 2


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA"])
def test_closed_loop(bench, bench_gate, algorithm):
    before = counted(bench_gate)
    result = bench("--connections", 4, "--requests", 200, "--warmup", 10, "--duration", "60s", "--alg", algorithm,
                   "--pid", bench_gate.process.pid)
    assert result["statuses"] == {"200": result["requests"]} and result["failures"] == 0
    assert 200 <= result["requests"] <= 204
    assert result["latency_us"]["count"] == result["requests"]
    assert 0 < result["latency_us"]["p50"] <= result["latency_us"]["p99"] <= result["latency_us"]["max"]
    assert result["watched_cpu_us"] > 0 and result["watched_memory_bytes"] > 1 << 20
    after = difference(bench_gate, before)
    assert after["full"] == 4 and after["allowed"] == result["requests"] + 10


def test_open_loop_keeps_its_rate(bench):
    result = bench("--connections", 8, "--rate", 100, "--requests", 150, "--duration", "60s")
    assert result["statuses"] == {"200": 150}
    # Due every 10 ms, the last after 1.49 s: never sooner, and on a slow machine still all of them.
    assert result["seconds"] >= 1.48


def test_what_waits_for_a_server_that_stalls_counts_from_when_it_was_due(bench, bench_gate):
    """Corrected for coordinated omission: a second's stall is seen by all who would have asked in it, not by the two who had."""
    before = counted(bench_gate)

    def stall():
        deadline = time.monotonic() + 60
        while difference(bench_gate, before)["allowed"] < 30 and time.monotonic() < deadline:
            time.sleep(0.02)
        bench_gate.process.send_signal(signal.SIGSTOP)
        time.sleep(1)
        bench_gate.process.send_signal(signal.SIGCONT)

    stalling = threading.Thread(target=stall)
    stalling.start()
    try:
        result = bench("--connections", 2, "--proofs", 200, "--rate", 50, "--requests", 150, "--duration", "60s")
    finally:
        stalling.join()
    # A third of them were due within it.
    assert result["statuses"] == {"200": 150}
    assert result["latency_us"]["max"] > 800_000 and result["latency_us"]["p90"] > 400_000, result["latency_us"]


def test_the_distribution_is_the_quantiles_own(bench):
    result = bench("--connections", 2, "--requests", 64, "--duration", "60s")
    points = result["latency_distribution"]
    count = result["latency_us"]["count"]
    assert [1 - q for q, _ in points] == pytest.approx([0.5 ** (i + 1) for i in range(count.bit_length() - 1)])
    assert points[0][1] == result["latency_us"]["p50"]
    assert [us for _, us in points] == sorted(us for _, us in points) and points[-1][1] <= result["latency_us"]["max"]


def test_a_terminal_sees_how_far_it_is(demo, bench_gate):
    ours, theirs = pty.openpty()
    command = [POPGATE, "bench", "http", "--dir", str(demo), "--url", f"https://localhost:{bench_gate.port}/", "--keys", "1",
               "--connections", "1", "--rate", "50", "--requests", "60", "--proofs", "100"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, text=True)
    os.close(theirs)
    shown = b""
    try:
        while part := os.read(ours, 4096):
            shown += part
    except OSError:
        pass  # the other end was closed
    os.close(ours)
    assert "requests    60 in" in process.communicate(timeout=60)[0] and process.returncode == 0
    assert shown.count(b"\rmeasure") >= 2 and b" requests " in shown and b"p99" in shown, shown
    assert shown.endswith(b"\r\x1b[K"), "the line is taken away at the end"


def test_full_and_resumed_handshakes(bench, bench_gate):
    before = counted(bench_gate)
    full = bench("--connections", 2, "--requests", 20, "--duration", "60s", "--handshakes", "full")
    assert full["statuses"]["200"] == full["requests"] >= 20 and full["resumptions"] == 0
    middle = difference(bench_gate, before)
    assert middle["full"] >= 20 and middle["resumed"] == 0
    before = counted(bench_gate)
    resumed = bench("--connections", 2, "--requests", 20, "--duration", "60s", "--handshakes", "resumed")
    assert resumed["resumptions"] == resumed["handshakes"] >= 17
    after = difference(bench_gate, before)
    assert after["full"] == 2 and after["resumed"] >= 18


def test_bodies_arrive(bench, shared_upstream):
    shared_upstream.take()
    result = bench("--connections", 2, "--requests", 6, "--duration", "60s", "--method", "POST",
                   "--body-bytes", 100000)
    assert result["statuses"]["200"] == result["requests"] and result["failures"] == 0
    requests = shared_upstream.take()
    assert len(requests) == result["requests"]
    assert all(len(request.body) == 100000 for request in requests)


def test_it_ends_when_the_proofs_are_used(bench):
    result = bench("--connections", 2, "--proofs", 30, "--duration", "60s")
    assert result["requests"] == 30 and result["out_of_proofs"]


def test_repeated_proofs_are_replays(bench):
    result = bench("--connections", 1, "--proofs", 10, "--repeat", "--requests", 30, "--duration", "60s")
    assert result["statuses"] == {"200": 10, "401": 20}


def test_nobody_there_is_a_failed_run(demo):
    result = subprocess.run([POPGATE, "bench", "http", "--dir", str(demo), "--url", "https://localhost:1/",
                             "--connections", "2", "--proofs", "10", "--keys", "1"],
                            capture_output=True, text=True, timeout=60)
    assert result.returncode == 1 and "refused" in result.stderr
