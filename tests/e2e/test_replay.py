"""The memory of used proofs: full, shared out, and across kill -9 and restart."""

import os
import re
import struct
import subprocess
import threading
import time

import pytest

from harness import client as clients
from harness.gate import Gate, SANITIZED

KILLS = int(os.environ.get("POPGATE_KILLS", "4" if SANITIZED else "50"))


def ask(world, gate, headers=None, **proof):
    with world.connect(gate) as connection:
        return world.request(connection, headers=headers, **proof)


def follow(world, gate, **proof):
    """A conforming client: what use_dpop_nonce asks for, it does once."""
    with world.connect(gate) as connection:
        answer = world.request(connection, **proof)
        if answer.status == 401 and 'error="use_dpop_nonce"' in answer.all("www-authenticate")[0]:
            answer = world.request(connection, payload={"nonce": answer.get("dpop-nonce")}, **proof)
        return answer


class Restarts:
    """One configuration, one gate after the other."""

    def __init__(self, world, upstream, backend, path, **replay):
        self.config = world.config(upstream, backend,
                                   replay={"cold_start": "challenge", "path": str(path), **replay})
        self.gates = []

    def start(self, **options):
        gate = Gate(self.config, **options).start()
        self.gates.append(gate)
        return gate

    def refused(self, **options):
        gate = Gate(self.config, **options).start(ready=False)
        assert gate.process.wait(20) == 1, gate.output
        gate.reader.join(5)
        return gate.output

    def end(self):
        for gate in self.gates:
            gate.kill()


@pytest.fixture
def restarts(world, shared_upstream, backend, tmp_path):
    made = []

    def make(path=None, **replay):
        made.append(Restarts(world, shared_upstream, backend, path or tmp_path / "replay", **replay))
        return made[-1]

    yield make
    for one in made:
        one.end()
    shared_upstream.take()


# ---- room ----

def test_one_client_is_limited_when_the_cache_is_nearly_full_and_others_pass(world, start):
    gate, upstream = start(replay={"capacity": 64})
    greedy = world.token(payload={"client_id": "greedy"})
    other = world.token(payload={"client_id": "other"})
    with world.connect(gate) as connection:
        answers = [world.request(connection, token=greedy) for _ in range(64)]
        statuses = [answer.status for answer in answers]
        assert statuses[:48] == [200] * 48 and 429 in statuses, statuses
        limited = next(answer for answer in answers if answer.status == 429)
        assert int(limited.get("retry-after")) >= 1
        assert world.request(connection, token=other).status == 200
    assert gate.metric("popgate_denials_total", check="replay_share") == statuses.count(429)
    assert len(upstream.take()) == statuses.count(200) + 1


def test_full_is_503_with_retry_after_and_never_a_pass(world, start):
    """Many clients, each within its share, until there is no place left: nothing live is dropped for a new one."""
    gate, upstream = start(replay={"capacity": 8})
    used, full = [], None
    with world.connect(gate) as connection:
        for number in range(600):
            token = world.token(payload={"client_id": f"client-{number}"})
            headers = world.credentials(token=token)
            answer = world.request(connection, headers=headers)
            if answer.status == 200:
                used.append(headers)
            elif answer.status == 503:
                full = answer
                break
        assert full is not None, "never full"
        assert int(full.get("retry-after")) >= 1
        assert len(used) >= 8, "the capacity fits"
        for headers in used:
            assert world.request(connection, headers=headers).status in (401, 429)
    assert gate.metric("popgate_denials_total", check="replay_full") == 1
    assert len(upstream.take()) == len(used)


def test_start_says_what_the_capacity_is_worth(world, start):
    gate, _ = start(replay={"capacity": 1000})
    gate.wait_output("replay cache: 1000 proofs in ")
    gate.wait_output("for 73 s, sustain 13 a second")
    gate.wait_output("replay.capacity 1000 sustains 13 requests a second for 73 s; 1 worker can be asked for 500, "
                     "which takes 36500")


# ---- restart without a file ----

def test_a_restart_without_memory_challenges_older_proofs(world, shared_upstream, backend):
    config = world.config(shared_upstream, backend, replay={"cold_start": "challenge"})
    headers = world.credentials()
    first = Gate(config).start()
    try:
        with world.connect(first) as connection:
            nonce = world.request(connection, headers=headers).get("dpop-nonce")
            headers = world.credentials(payload={"nonce": nonce})
            assert world.request(connection, headers=headers).status == 200
    finally:
        first.kill()
    with Gate(config) as second:
        answer = ask(world, second, headers)
        assert answer.status == 401 and 'error="use_dpop_nonce"' in answer.all("www-authenticate")[0]
        assert follow(world, second).status == 200
        # Also a proof dated as far ahead as the clocks may differ: the first may have taken it.
        ahead = ask(world, second, payload={"iat": int(time.time()) + 5})
        assert 'error="use_dpop_nonce"' in ahead.all("www-authenticate")[0]
    shared_upstream.take()


# ---- replay.path ----

def test_used_proofs_stay_used_over_a_restart(world, restarts):
    run = restarts()
    gate = run.start()
    gate.wait_output("was new and has been made anew")
    with world.connect(gate) as connection:
        nonce = world.request(connection).get("dpop-nonce")
        used = [world.credentials(payload={"nonce": nonce}) for _ in range(20)]
        for headers in used:
            assert world.request(connection, headers=headers).status == 200
    gate.stop()
    gate = run.start()
    gate.wait_output("earlier proofs are remembered")
    for headers in used:
        assert ask(world, gate, headers).status == 401
    # The floor of the first start stands: what is older than it was never remembered.
    assert 'use_dpop_nonce' in ask(world, gate).all("www-authenticate")[0]
    assert follow(world, gate).status == 200
    gate.stop()


def test_two_processes_share_one_file(world, restarts):
    run = restarts(cold_start="accept")
    first, second = run.start(), run.start()
    second.wait_output("together with a process that still uses it")
    for here, there in ((first, second), (second, first)):
        headers = world.credentials()
        assert ask(world, here, headers).status == 200
        assert ask(world, there, headers).status == 401
    first.stop()
    second.stop()


def load(world, gate, accepted, stop):
    """One client on one connection: what is answered 200 goes into `accepted`."""
    try:
        with world.connect(gate) as connection:
            token = world.token()
            while not stop.is_set():
                headers = world.credentials(token=token)
                if world.request(connection, headers=headers).status == 200:
                    accepted.append(headers)
    except (OSError, clients.Closed, AssertionError):
        pass  # the gate was killed under us


def test_kill_9_under_load_loses_no_proof(world, restarts):
    run = restarts(cold_start="accept")
    rounds, total, deadline = 0, 0, time.monotonic() + 100
    accepted = []
    gate = run.start()
    for _ in range(KILLS):
        stop, accepted = threading.Event(), []
        threads = [threading.Thread(target=load, args=(world, gate, accepted, stop)) for _ in range(2)]
        for thread in threads:
            thread.start()
        waited = time.monotonic() + 5
        while len(accepted) < 8 and time.monotonic() < waited:
            time.sleep(0.005)
        gate.kill()
        stop.set()
        for thread in threads:
            thread.join(20)
        gate = run.start()
        with world.connect(gate) as connection:
            for headers in accepted:
                answer = world.request(connection, headers=headers)
                assert answer.status == 401, "accepted twice"
                assert "replay" in answer.all("www-authenticate")[0] or "used" in answer.all(
                    "www-authenticate")[0]
        rounds, total = rounds + 1, total + len(accepted)
        if time.monotonic() > deadline:
            break
    gate.stop()
    assert rounds >= min(KILLS, 10) and total >= 5 * rounds, (rounds, total)


def damage(path, offset, data):
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(data)


@pytest.mark.parametrize("change, words", [
    (lambda path: os.truncate(path, 10), "damaged (too short)"),
    (lambda path: os.truncate(path, 1 << 16), "damaged (its size)"),
    (lambda path: damage(path, 8, struct.pack("<I", 77)), "of another version"),
    (lambda path: damage(path, 64, b"\xff" * 40), "damaged (its header)"),
    (lambda path: damage(path, 0, b"not ours, but somebody's notes"), "not a replay file"),
    (lambda path: damage(path, 8192, os.urandom(4096)), "damaged (its entries)"),
    (lambda path: path.unlink(), "was new"),
])
def test_a_file_that_cannot_be_used_is_made_anew_and_older_proofs_are_challenged(world, restarts, tmp_path,
                                                                                 change, words):
    path = tmp_path / "replay"
    run = restarts(path)
    gate = run.start()
    with world.connect(gate) as connection:
        nonce = world.request(connection).get("dpop-nonce")
        used = world.credentials(payload={"nonce": nonce})
        assert world.request(connection, headers=used).status == 200
    gate.stop()
    change(path)
    gate = run.start()
    gate.wait_output(words)
    gate.wait_output("no earlier memory: older proofs are challenged")
    assert 'error="use_dpop_nonce"' in ask(world, gate, used).all("www-authenticate")[0]
    assert follow(world, gate).status == 200
    gate.stop()


def test_a_file_that_others_could_touch_is_refused(restarts, tmp_path):
    path = tmp_path / "replay"
    run = restarts(path)
    path.write_bytes(b"")
    path.chmod(0o644)
    assert "has mode 0644" in run.refused()
    path.unlink()
    (tmp_path / "elsewhere").write_bytes(b"")
    path.symlink_to(tmp_path / "elsewhere")
    assert "symbolic link" in run.refused()
    path.unlink()
    path.mkdir()
    assert "replay.path" in run.refused()
    path.rmdir()
    if os.geteuid() == 0:
        path.write_bytes(b"")
        path.chmod(0o600)
        os.chown(path, 12345, 12345)
        assert "belongs to uid 12345" in run.refused()


def test_cut_short_under_the_gate_is_503_and_not_a_crash(world, restarts, tmp_path):
    path = tmp_path / "replay"
    run = restarts(path, cold_start="accept")
    gate = run.start()
    headers = world.credentials()
    assert ask(world, gate, headers).status == 200
    os.truncate(path, 0)
    for _ in range(3):
        answer = ask(world, gate)
        assert answer.status == 503 and answer.get("retry-after"), answer
    assert ask(world, gate, headers).status == 503
    assert gate.metric("popgate_denials_total", check="replay_unavailable") == 4
    gate.stop()
    gate = run.start()  # accept: the operator asked for it
    assert follow(world, gate).status == 200
    gate.stop()


def test_a_full_disk_is_said_at_start(restarts, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", disk],
                                           capture_output=True).returncode != 0:
        pytest.skip("needs to mount a tmpfs")
    try:
        output = restarts(disk / "replay", capacity=1 << 20).refused()
        assert re.search(r"replay\.path: .*/replay: no room for \d+ bytes: No space left on device", output), output
        restarts(disk / "replay", capacity=1000).start().stop()
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def test_another_window_is_told_and_covered(world, restarts, tmp_path):
    run = restarts(tmp_path / "replay", cold_start="accept")
    gate = run.start()
    headers = world.credentials()
    assert ask(world, gate, headers).status == 200
    gate.stop()
    run.config["dpop"] = {"max_age": "200s"}
    gate = run.start()
    gate.wait_output("earlier proofs were remembered for a shorter time")
    assert 'error="use_dpop_nonce"' in ask(world, gate, headers).all("www-authenticate")[0]
    assert follow(world, gate).status == 200
    gate.stop()
