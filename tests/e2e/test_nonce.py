"""Nonces: RFC 9449 sections 8 and 9; dpop.nonce, nonce_scope, nonce_key_file; and the floor's use of them."""

import os
import re
import signal

from harness.gate import Gate

NONCE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")


def challenged(response):
    """The nonce of a use_dpop_nonce answer, which must be a proper one."""
    assert response.status == 401, response
    challenge = response.all("www-authenticate")
    assert any('error="use_dpop_nonce"' in line for line in challenge), challenge
    nonces = response.all("dpop-nonce")
    assert len(nonces) == 1 and NONCE.fullmatch(nonces[0]), nonces
    assert response.all("cache-control") == ["no-store"]
    return nonces[0]


def ask(world, gate, **proof):
    with world.connect(gate) as connection:
        return world.request(connection, **proof)


def with_nonce(nonce, **payload):
    return {"payload": {"nonce": nonce, **payload}}


def test_required_a_proof_without_is_challenged_and_a_client_that_follows_passes(world, start):
    gate, upstream = start(dpop={"nonce": "required"})
    with world.connect(gate) as connection:
        nonce = challenged(world.request(connection))
        assert upstream.take() == []
        for _ in range(3):  # good for its life, not for once
            answer = world.request(connection, **with_nonce(nonce))
            assert answer.status == 200
            assert answer.all("dpop-nonce") == []
    assert len(upstream.take()) == 3


def test_forged_cut_foreign_and_mistyped_nonces_are_challenged_with_a_fresh_one(world, start):
    gate, upstream = start(dpop={"nonce": "required"})
    good = challenged(ask(world, gate))
    bad = [good[:-1], good + "A", "", "A" * len(good), good.swapcase(), 17, None, ["x"],
           ("B" if good[0] != "B" else "C") + good[1:], good[:20] + chr(ord(good[20]) ^ 1) + good[21:]]
    for nonce in bad:
        fresh = challenged(ask(world, gate, **with_nonce(nonce)))
        assert ask(world, gate, **with_nonce(fresh)).status == 200, nonce
    assert gate.metric("popgate_denials_total", check="proof_nonce") == len(bad) + 1


def test_a_nonce_does_not_make_a_used_proof_good(world, start):
    gate, _ = start(dpop={"nonce": "required"})
    nonce = challenged(ask(world, gate))
    headers = world.credentials(**with_nonce(nonce))
    assert ask(world, gate, headers=headers).status == 200
    again = ask(world, gate, headers=headers)
    assert again.status == 401 and "invalid_dpop_proof" in again.all("www-authenticate")[0]


def test_instance_a_nonce_of_another_replica_is_challenged(world, start):
    first, _ = start(dpop={"nonce": "required"})
    second, _ = start(dpop={"nonce": "required"})
    nonce = challenged(ask(world, first))
    fresh = challenged(ask(world, second, **with_nonce(nonce)))
    assert ask(world, second, **with_nonce(fresh)).status == 200


def test_shared_a_nonce_of_another_replica_is_good(world, start, tmp_path):
    key = tmp_path / "nonce.key"
    key.write_bytes(os.urandom(32))
    dpop = {"nonce": "required", "nonce_scope": "shared", "nonce_key_file": str(key)}
    first, _ = start(dpop=dpop)
    second, _ = start(dpop=dpop)
    nonce = challenged(ask(world, first))
    assert ask(world, second, **with_nonce(nonce)).status == 200
    key.write_bytes(os.urandom(32))
    third, _ = start(dpop=dpop)
    challenged(ask(world, third, **with_nonce(nonce)))

    # The file that changed is loaded by itself: old nonces live on for a while, new ones are the third's too.
    first.wait_output("generation 2 is in force")
    assert ask(world, first, **with_nonce(nonce)).status == 200
    fresh = challenged(ask(world, first))
    assert fresh != nonce
    assert ask(world, third, **with_nonce(fresh)).status == 200


def test_a_key_file_that_is_no_key_is_refused_with_its_place(world, backend, shared_upstream, tmp_path):
    key = tmp_path / "nonce.key"
    for content, words in ((b"x" * 31, "exactly 32"), (b"x" * 33, "larger than 32"), (None, "No such file")):
        key.unlink(missing_ok=True)
        if content is not None:
            key.write_bytes(content)
        dpop = {"nonce": "required", "nonce_scope": "shared", "nonce_key_file": str(key)}
        gate = Gate(world.config(shared_upstream, backend, dpop=dpop)).start(ready=False)
        assert gate.process.wait(20) == 1
        gate.reader.join(5)
        assert re.search(r"popgate\.yaml:\d+:\d+: dpop\.nonce_key_file: .*" + words, gate.output), gate.output


def test_a_cold_start_challenges_older_proofs_though_nonces_are_off(world, start):
    gate, upstream = start(replay={"cold_start": "challenge"})
    with world.connect(gate) as connection:
        nonce = challenged(world.request(connection))
        assert world.request(connection, **with_nonce(nonce)).status == 200
        assert gate.metric("popgate_denials_total", check="proof_floor") == 1
    assert len(upstream.take()) == 1


def test_a_reload_with_a_longer_window_challenges_what_it_may_have_forgotten(world, start):
    gate, _ = start(dpop={"max_age": "30s"})
    headers = world.credentials()
    assert ask(world, gate, headers=headers).status == 200
    gate.config["dpop"]["max_age"] = "300s"
    gate.write_config()
    gate.signal(signal.SIGHUP)
    gate.wait_log(message="generation 2 is in force")
    assert ask(world, gate, headers=headers).status == 401
    nonce = challenged(ask(world, gate))
    assert ask(world, gate, **with_nonce(nonce)).status == 200
    # Shorter again: nothing can have been forgotten.
    gate.config["dpop"]["max_age"] = "60s"
    gate.write_config()
    gate.signal(signal.SIGHUP)
    gate.wait_log(message="generation 3 is in force")
    assert ask(world, gate, **with_nonce(nonce)).status == 200
