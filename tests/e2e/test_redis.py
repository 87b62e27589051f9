"""One memory for all replicas: a real Redis, shared, killed, emptied, paused, replaced."""

import os
import random
import signal
import socket
import struct
import threading
import time

import pytest

from harness import client as clients
from harness.gate import SANITIZED, Gate, free_port
from harness.redis import SERVER, Redis, Switch

pytestmark = pytest.mark.skipif(SERVER is None, reason="needs redis-server")

ROUNDS = int(os.environ.get("POPGATE_REDIS_ROUNDS", "100" if SANITIZED else "500"))
SKEW = {"max_age": "60s", "clock_skew": "0s"}  # a floor is soon behind us


@pytest.fixture
def redis():
    server = Redis()
    yield server
    server.end()


@pytest.fixture
def gates(world, shared_upstream, backend):
    """gates(port, count, replay={...}, **changes): so many gates on one server."""
    made = []

    def begin(port, count=1, scheme="redis", host="127.0.0.1", credentials="", replay=None, **changes):
        changes.setdefault("timeouts", {"redis": "500ms"})
        config = world.config(shared_upstream, backend, replay={
            "redis": f"{scheme}://{credentials}{host}:{port}", "cold_start": "accept", **(replay or {})}, **changes)
        new = [Gate(config).start() for _ in range(count)]
        made.extend(new)
        return new[0] if count == 1 else new

    yield begin
    for gate in made:
        if gate.process.poll() is None:
            gate.stop()
        else:
            assert gate.process.returncode == 0, gate.output[-6000:]
    shared_upstream.take()


def refused(world, upstream, backend, url, **replay):
    gate = Gate(world.config(upstream, backend, replay={"redis": url, **replay})).start(ready=False)
    assert gate.process.wait(20) == 1, gate.output
    gate.reader.join(5)
    return gate.output


def ask(world, gate, headers=None, **proof):
    with world.connect(gate) as connection:
        return world.request(connection, headers=headers, **proof)


def wants_nonce(answer):
    return answer.status == 401 and 'error="use_dpop_nonce"' in answer.all("www-authenticate")[0]


def follow(world, gate, patience=10):
    """A conforming client: does what it is told, until it gets through. Returns what was accepted."""
    deadline = time.monotonic() + patience
    payload = {}
    answer = None
    with world.connect(gate) as connection:
        while time.monotonic() < deadline:
            headers = world.credentials(payload=payload)
            answer = world.request(connection, headers=headers)
            if answer.status == 200:
                return headers
            if wants_nonce(answer):
                payload = {"nonce": answer.get("dpop-nonce")}
            elif answer.status == 503:
                assert int(answer.get("retry-after")) >= 1
                time.sleep(0.05)
            else:
                raise AssertionError(answer)
    raise AssertionError(f"never got through: {answer}\n{gate.output[-3000:]}")


def pass_nowhere(world, gates, accepted, answers=(401,)):
    """What was accepted once is accepted by none of them."""
    for headers in accepted:
        for gate in gates:
            assert ask(world, gate, headers).status in answers


def a_gate_that_starts_now_takes_none(world, gates, port, accepted):
    """It finds a memory that is too young to know, and so takes nothing that was accepted before."""
    third = gates(port, dpop=SKEW, replay={"cold_start": "challenge"})
    pass_nowhere(world, [third], accepted)
    follow(world, third)
    return third


def wait_state(gate, state, timeout=15):
    deadline = time.monotonic() + timeout
    while gate.metric("popgate_replay_store_state", state=state) != 1:
        assert time.monotonic() < deadline, gate.output[-3000:]
        time.sleep(0.02)


def store_lines(gate, level=None):
    return [line["message"] for line in gate.log(event="redis") if level in (None, line["level"])]


# ---- one winner ----

def test_a_proof_sent_to_two_gates_at_once_has_one_winner(world, gates, redis, shared_upstream):
    first, second = gates(redis.port, 2)
    token = world.token()
    won = [0, 0]
    with world.connect(first) as one, world.connect(second) as two:
        for number in range(ROUNDS):
            raw = clients.request_bytes("GET", "/", headers=world.credentials(token=token))
            order = (one, two) if number % 2 else (two, one)
            for connection in order:
                connection.send(raw)
            statuses = (one.response().status, two.response().status)
            assert sorted(statuses) == [200, 401], (number, statuses)
            won[statuses.index(401) ^ 1] += 1
            if number % 500 == 0:
                shared_upstream.take()
    assert min(won) > 0, won
    for gate in (first, second):
        assert gate.metric("popgate_denials_total", check="proof_replay") == ROUNDS - won[0 if gate is first else 1]
    assert first.metric("popgate_replay_store_inserts_total") == ROUNDS
    assert redis.keys() == ROUNDS + 1  # and the epoch


def test_a_local_replay_does_not_ask_the_server(world, gates, redis):
    gate = gates(redis.port)
    headers = world.credentials()
    assert ask(world, gate, headers).status == 200
    for _ in range(3):
        assert ask(world, gate, headers).status == 401
    assert gate.metric("popgate_replay_store_inserts_total") == 1


def test_a_key_lives_as_long_as_its_proof_may(world, gates, redis):
    gate = gates(redis.port, dpop={"max_age": "60s", "clock_skew": "5s"})
    assert ask(world, gate).status == 200
    key = next(key for key in redis.command("KEYS", "pg1:*") if key != "pg1:epoch")
    assert len(key) == 4 + 32
    left = int(redis.command("PTTL", key.encode("latin-1"))) / 1000
    assert 60 + 5 + 5 < left <= 60 + 5 + 5 + 5, left


def test_many_requests_of_one_turn_go_in_one_send(world, gates, redis):
    gate = gates(redis.port)
    connections = [world.connect(gate) for _ in range(24)]
    token = world.token()
    # Paused, the server lets what comes meanwhile pile up in front of it; the gate's turns are what they are.
    for _ in range(10):
        raws = [clients.request_bytes("GET", "/", headers=world.credentials(token=token)) for _ in connections]
        for connection, raw in zip(connections, raws):
            connection.send(raw)
        assert [connection.response().status for connection in connections] == [200] * len(connections)
    for connection in connections:
        connection.close()
    assert gate.metric("popgate_replay_store_inserts_total") == 240
    assert gate.metric("popgate_replay_store_batches_total") <= 240


def test_shadow_mode_asks_too(world, gates, redis, shared_upstream):
    first, second = gates(redis.port, 2, dpop={"mode": "shadow"})
    headers = world.credentials()
    shared_upstream.take()
    assert ask(world, first, headers).status == 200
    assert ask(world, second, headers).status == 200
    seen = shared_upstream.take()
    shadows = [request.get("x-popgate-shadow") for request in seen]
    assert shadows == [None, "deny; check=proof_replay"], shadows


def test_a_nonce_admits_once_too(world, gates, redis, tmp_path):
    key = tmp_path / "nonce.key"
    key.write_bytes(os.urandom(32))
    first, second = gates(redis.port, 2, dpop={"nonce": "required", "nonce_scope": "shared",
                                               "nonce_key_file": str(key)})
    nonce = ask(world, first).get("dpop-nonce")
    headers = world.credentials(payload={"nonce": nonce})
    assert ask(world, second, headers).status == 200
    assert ask(world, first, headers).status == 401


# ---- memory lost ----

def kill_and_restart(server):
    server.restart()


def empty(server):
    assert server.command("FLUSHALL") == "OK"


def kill_for_a_while(server):
    server.kill()
    time.sleep(0.3)
    server.start()


def forget_the_epoch(server):
    assert server.command("DEL", "pg1:epoch") == "1"


@pytest.mark.parametrize("event", [kill_and_restart, empty, kill_for_a_while, forget_the_epoch])
def test_a_lost_memory_lets_nothing_pass_twice_and_clients_get_through(world, gates, redis, event):
    both = gates(redis.port, 2, dpop=SKEW, workers=2)
    for _ in range(2):
        accepted = [follow(world, gate) for gate in both for _ in range(3)]
        event(redis)
        # At once, while it is found out, and after.
        deadline = time.monotonic() + 1.5
        while time.monotonic() < deadline:
            pass_nowhere(world, both, accepted, (401, 503))
        accepted += [follow(world, gate) for gate in both]
        for gate in both:
            wait_state(gate, "ready")
        pass_nowhere(world, both, accepted)
        a_gate_that_starts_now_takes_none(world, gates, redis.port, accepted).stop()
    for gate in both:
        assert gate.metric("popgate_replay_store_memory_losses_total") >= 2


def test_at_most_one_winner_whatever_happens_to_the_server(world, gates, redis, shared_upstream):
    """Proofs go to both gates at once while the server is killed, emptied and paused at random."""
    both = gates(redis.port, 2, dpop=SKEW, timeouts={"redis": "200ms"}, workers=2,
                 replay={"capacity": 1 << 20})  # one client, minutes of it in `make soak`
    stop, events = threading.Event(), []

    def trouble():
        rng = random.Random(5)
        while not stop.wait(rng.uniform(0.05, 0.6)):
            event = rng.choice([empty, kill_and_restart, forget_the_epoch, "pause"])
            try:
                if event == "pause":
                    redis.pause()
                    time.sleep(0.3)
                    redis.go_on()
                else:
                    event(redis)
                events.append(event)
            except (OSError, AssertionError):
                pass

    thread = threading.Thread(target=trouble)
    thread.start()
    token, nonces, winners, rounds = world.token(), [None, None], 0, 0
    all_used = []
    try:
        with world.connect(both[0]) as one, world.connect(both[1]) as two:
            deadline = time.monotonic() + (8 if ROUNDS <= 500 else 120)
            while time.monotonic() < deadline:
                rounds += 1
                nonce = nonces[rounds % 2]
                headers = world.credentials(token=token, payload={"nonce": nonce} if nonce else {})
                raw = clients.request_bytes("GET", "/", headers=headers)
                for connection in ((one, two) if rounds % 3 else (two, one)):
                    connection.send(raw)
                answers = [one.response(), two.response()]
                for index, answer in enumerate(answers):
                    if wants_nonce(answer):
                        nonces[index] = answer.get("dpop-nonce")
                passed = sum(answer.status == 200 for answer in answers)
                assert passed <= 1, (rounds, answers)
                assert all(answer.status in (200, 401, 503) for answer in answers), answers
                winners += passed
                if passed:
                    all_used.append(raw)
                # One of before, again.
                old = random.choice(all_used) if all_used else raw
                again = one if rounds % 2 else two
                again.send(old)
                assert again.response().status in (401, 503), (rounds, len(all_used), "accepted twice")
                if rounds % 200 == 0:
                    shared_upstream.take()
    finally:
        stop.set()
        thread.join()
        redis.go_on()
    assert winners > 20 and len(events) > 5, (winners, rounds, events)
    for gate in both:
        follow(world, gate)


def test_a_promoted_replica(world, gates, redis):
    other = Redis("--replicaof", "127.0.0.1", str(redis.port))
    switch = Switch(redis.port)
    try:
        deadline = time.monotonic() + 10
        while "master_link_status:up" not in other.command("INFO", "replication"):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        both = gates(switch.port, 2, dpop=SKEW)
        accepted = [follow(world, gate) for gate in both for _ in range(3)]
        # What the master had not handed on is lost with it.
        other.pause()
        accepted += [follow(world, gate) for gate in both]
        redis.kill()
        switch.to(other.port)
        other.go_on()
        pass_nowhere(world, both, accepted, (401, 503))
        assert "is a replica" in " ".join(store_lines(both[0], "warn")) or other.command(
            "ROLE")[0] == "slave"
        assert other.command("REPLICAOF", "NO", "ONE") == "OK"
        accepted += [follow(world, gate) for gate in both]
        pass_nowhere(world, both, accepted)
        a_gate_that_starts_now_takes_none(world, gates, switch.port, accepted)
    finally:
        switch.end()
        other.end()


def test_a_gate_that_starts_trusts_a_memory_that_is_old_enough(world, gates, redis):
    first = gates(redis.port, dpop={"max_age": "2s", "clock_skew": "0s"})
    used = follow(world, first)
    time.sleep(7)
    used = follow(world, first)
    # Not accept: it is the server that says how far back its memory goes.
    second = gates(redis.port, dpop={"max_age": "2s", "clock_skew": "0s"}, replay={"cold_start": "challenge"})
    assert ask(world, second, used).status == 401
    assert ask(world, second).status == 200, "without a challenge"
    assert second.metric("popgate_denials_total", check="proof_floor") == 0


def test_a_longer_window_is_told_to_the_other_replicas(world, gates, redis):
    both = gates(redis.port, 2, dpop=SKEW)
    before = redis.command("GET", "pg1:epoch")
    first, second = both
    first.config["dpop"] = {"max_age": "300s", "clock_skew": "0s"}
    first.write_config()
    first.signal(signal.SIGHUP)
    first.wait_log(message="generation 2 is in force")
    follow(world, first)
    after = redis.command("GET", "pg1:epoch")
    assert before.endswith("/60") and after.endswith("/300")
    used = follow(world, second)  # finds it out, and remembers for as long
    assert second.metric("popgate_replay_store_memory_losses_total") == 1
    lives = [int(redis.command("PTTL", key.encode("latin-1"))) for key in redis.command("KEYS", "pg1:*")
             if key != "pg1:epoch"]
    assert len([one for one in lives if one < 290000]) == 1, lives  # what showed it, and was not accepted
    assert ask(world, first, used).status == 401


# ---- away ----

@pytest.mark.alone  # within 0.4 s
def test_paused_is_503_in_time_and_blocks_no_other(world, gates, redis):
    gate = gates(redis.port)
    used = follow(world, gate)
    wait_state(gate, "ready")
    redis.pause()
    with world.connect(gate) as waiting, world.connect(gate) as other:
        waiting.send(clients.request_bytes("GET", "/", headers=world.credentials()))
        started = time.monotonic()
        assert world.request(other, headers=[]).status == 401  # needs no memory
        assert time.monotonic() - started < 0.4
        answer = waiting.response()
        assert answer.status == 503 and int(answer.get("retry-after")) >= 1
    started = time.monotonic()
    for _ in range(20):
        assert ask(world, gate).status == 503
    assert time.monotonic() - started < 5, "nobody waits for what is known to be away"
    assert gate.metric("popgate_replay_inserts_total", result="unavailable") == 21
    assert gate.metric("popgate_replay_store_failures_total", state="timeout") >= 1
    redis.go_on()
    wait_state(gate, "ready")
    assert ask(world, gate).status == 200, "the memory is the same: no challenge"
    assert ask(world, gate, used).status == 401
    assert len(store_lines(gate, "warn")) == 1 and len(store_lines(gate, "info")) == 2, store_lines(gate)
    assert "no answer within 500 ms" in store_lines(gate, "warn")[0]


def test_clients_that_leave_while_they_wait(world, gates, redis):
    gate = gates(redis.port, timeouts={"redis": "2s"})
    follow(world, gate)
    redis.pause()
    for number in range(24):
        connection = world.connect(gate)
        connection.send(clients.request_bytes("GET", "/", headers=world.credentials()))
        time.sleep(0.01)
        if number % 2:
            connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
        connection.close()
    time.sleep(0.2)
    redis.go_on()
    follow(world, gate)
    assert gate.metric("popgate_requests_total", outcome="client_gone") >= 1


def test_gone_and_back(world, gates, redis):
    gate = gates(redis.port)
    follow(world, gate)
    redis.kill()
    for _ in range(5):
        assert ask(world, gate).status == 503
        time.sleep(0.1)
    redis.start()
    wait_state(gate, "ready")
    follow(world, gate)
    lines = store_lines(gate)
    assert len([line for line in lines if "cannot be used" in line]) == 1, lines
    assert len([line for line in lines if "is ready" in line]) == 2, lines
    assert len([line for line in lines if "has begun a new memory" in line]) == 1, lines


def test_not_there_at_the_start(world, gates, redis):
    redis.kill()
    gate = gates(redis.port)
    assert ask(world, gate).status == 503
    redis.start()
    wait_state(gate, "ready")
    assert ask(world, gate).status == 200


def test_full(world, gates, redis):
    gate = gates(redis.port)
    used = follow(world, gate)
    redis.command("CONFIG", "SET", "maxmemory", "1")
    assert ask(world, gate).status == 503
    wait_state(gate, "oom")
    assert ask(world, gate).status == 503
    redis.command("CONFIG", "SET", "maxmemory", "0")
    wait_state(gate, "ready")
    assert ask(world, gate).status == 200
    assert ask(world, gate, used).status == 401
    warned = store_lines(gate, "warn")
    assert len(warned) == 1 and "OOM" in warned[0], warned


def test_read_only(world, gates, redis):
    gate = gates(redis.port)
    used = follow(world, gate)
    redis.command("REPLICAOF", "127.0.0.1", str(free_port()))
    assert ask(world, gate).status == 503
    wait_state(gate, "replica")
    redis.command("REPLICAOF", "NO", "ONE")
    wait_state(gate, "ready")
    assert ask(world, gate).status == 200
    assert ask(world, gate, used).status == 401


def test_a_policy_that_forgets_is_refused_at_the_start(world, shared_upstream, backend, redis):
    redis.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    output = refused(world, shared_upstream, backend, f"redis://127.0.0.1:{redis.port}")
    assert "maxmemory-policy is allkeys-lru" in output and "CONFIG SET maxmemory-policy noeviction" in output, output


def test_a_policy_that_is_changed_later_is_noticed(world, gates, redis):
    gate = gates(redis.port)
    follow(world, gate)
    redis.command("CONFIG", "SET", "maxmemory-policy", "volatile-lru")
    wait_state(gate, "policy")
    assert ask(world, gate).status == 503
    redis.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
    wait_state(gate, "ready")
    follow(world, gate)
    assert "set it to noeviction" in store_lines(gate, "warn")[0]


# ---- who may ---

def test_passwords_and_users(world, gates, shared_upstream, backend):
    server = Redis("--requirepass", "s3cret/%")
    try:
        server.command("ACL", "SETUSER", "gate", "on", ">other@pass", "~pg1:*", "+set", "+get", "+pttl", "+info",
                       password="s3cret/%")
        url = f"127.0.0.1:{server.port}"
        for wrong in ("", ":wrong@", "gate:s3cret@", "nobody:x@"):
            output = refused(world, shared_upstream, backend, f"redis://{wrong}{url}")
            assert "cannot be used: it says " in output, output
            assert "wrong@" not in output and "s3cret@" not in output
        for right in (":s3cret%2F%25@", "gate:other@pass@"):
            gate = gates(server.port, credentials=right)
            used = follow(world, gate)
            assert ask(world, gate, used).status == 401
            assert "s3cret" not in gate.output and "other@pass" not in gate.output
    finally:
        server.end()


def test_tls(world, gates, shared_upstream, backend, tmp_path):
    mine = world.authority
    certificate = mine.issue("redis", dns=["localhost"], server=True, client=False)
    server = Redis("--tls-auth-clients", "yes",
                   tls=(certificate.path, certificate.key_path, mine.root.path))
    try:
        replay = {"redis_ca": str(mine.root.path), "redis_certificate": str(world.client.path),
                  "redis_private_key": str(world.client.key_path)}
        first, second = gates(server.port, 2, scheme="rediss", host="localhost", replay=replay)
        token = world.token()
        for _ in range(20):
            headers = world.credentials(token=token)
            assert ask(world, first, headers).status == 200
            assert ask(world, second, headers).status == 401
        maps = open(f"/proc/{first.process.pid}/maps").read()
        assert "libhiredis" in maps and "libcrypto.so.3" not in maps and "libhiredis_ssl" not in maps
    finally:
        server.end()


def test_tls_with_a_certificate_of_somebody_else(world, shared_upstream, backend, tmp_path):
    from harness.authority import Authority
    stranger = Authority(tmp_path / "stranger")
    certificate = stranger.issue("redis", dns=["localhost"], server=True, client=False)
    server = Redis(tls=(certificate.path, certificate.key_path, stranger.root.path))
    try:
        output = refused(world, shared_upstream, backend, f"rediss://localhost:{server.port}",
                         redis_ca=str(world.authority.root.path))
        assert "cannot be used: TLS: " in output, output
        # Ours, but for another name.
        output = refused(world, shared_upstream, backend, f"rediss://127.0.0.1:{server.port}",
                         redis_ca=str(stranger.root.path))
        assert "cannot be used: TLS: " in output, output
        with Gate(world.config(shared_upstream, backend, replay={
                "redis": f"rediss://localhost:{server.port}", "redis_ca": str(stranger.root.path),
                "cold_start": "accept"})) as gate:
            assert ask(world, gate).status == 200
    finally:
        server.end()


# ---- redis_failure: local ----

def test_local_needs_a_nonce_of_the_very_replica(world, gates, redis):
    both = first, second = gates(redis.port, 2, dpop=SKEW, replay={"redis_failure": "local"}, workers=2)
    before = [follow(world, gate) for gate in both]
    redis.kill()
    accepted = [follow(world, gate) for gate in both]
    for gate in both:
        assert gate.metric("popgate_replay_store_local") == 1
    # Admitted by one replica's nonce, a proof is nothing to the other; and each remembers its own.
    for headers in before + accepted:
        for gate in both:
            assert ask(world, gate, headers).status == 401
    assert first.metric("popgate_replay_inserts_total", result="local") >= 1
    # Also when the floor has long been passed: without a nonce of its own no replica takes any.
    time.sleep(5.5)
    headers = world.credentials()
    for gate in both:
        assert wants_nonce(ask(world, gate, headers))
    accepted += [follow(world, gate) for gate in both]
    redis.start()
    for gate in both:
        wait_state(gate, "ready")
        assert gate.metric("popgate_replay_store_local") == 0
    for headers in before + accepted:
        for gate in both:
            assert ask(world, gate, headers).status == 401
    accepted += [follow(world, gate) for gate in both]
    pass_nowhere(world, both, accepted)
    for gate in both:
        warned = [line for line in store_lines(gate, "warn") if "cannot be used" in line]
        assert len(warned) == 1 and "need a nonce of this replica" in warned[0], warned


def test_local_and_the_same_memory_afterwards(world, gates, redis):
    """A pause: the server has forgotten nothing, but it does not know what was accepted without it."""
    first, second = gates(redis.port, 2, dpop=SKEW, replay={"redis_failure": "local"}, timeouts={"redis": "200ms"})
    for gate in (first, second):
        follow(world, gate)
    redis.pause()
    accepted = [follow(world, first)]
    redis.go_on()
    for gate in (first, second):
        wait_state(gate, "ready")
    follow(world, first)
    for headers in accepted:
        assert ask(world, second, headers).status == 401
        assert ask(world, first, headers).status == 401


def test_log_lines_name_no_password(world, gates):
    server = Redis("--requirepass", "hunter2")
    try:
        gate = gates(server.port, credentials=":hunter2@")
        server.kill()
        assert ask(world, gate).status == 503
        gate.wait_output(f"127.0.0.1:{server.port} cannot be used")
        assert "hunter2" not in gate.output
    finally:
        server.end()
