"""The gate's wall clock is moved under it: a preloaded clock_gettime (tools/wall_clock.c)."""

import pathlib
import struct
import time

import pytest

from harness.gate import POPGATE, SANITIZED
from test_nonce import challenged, with_nonce

LIBRARY = pathlib.Path(POPGATE).resolve().parent / "tests" / "libwall_clock.so"

pytestmark = pytest.mark.skipif(SANITIZED, reason="a sanitizer's run-time library wants to be first")


class Clock:
    def __init__(self, path):
        self.path = path
        self.set(0)

    def set(self, seconds):
        self.seconds = seconds
        if not self.path.exists():
            self.path.write_bytes(bytes(8))
        with open(self.path, "r+b") as file:  # in place: the gate has it mapped
            file.write(struct.pack("<q", seconds))

    def now(self):
        return int(time.time()) + self.seconds

    @property
    def options(self):
        return {"environment": {"LD_PRELOAD": str(LIBRARY), "POPGATE_TEST_CLOCK": str(self.path)}}


@pytest.fixture
def clock(tmp_path):
    return Clock(tmp_path / "clock")


def ask(world, gate, clock, headers=None, **payload):
    with world.connect(gate) as connection:
        return world.request(connection, headers=headers or credentials(world, clock, **payload))


def credentials(world, clock, **payload):
    token = world.token(payload={"iat": clock.now(), "exp": clock.now() + 600})
    return world.credentials(token=token, payload={"iat": clock.now(), **payload})


def test_a_nonce_is_refreshed_on_success_before_it_ages_out(world, start, clock):
    gate, _ = start(dpop={"nonce": "required"}, gate_options=clock.options)
    nonce = challenged(ask(world, gate, clock))
    clock.set(190)
    answer = ask(world, gate, clock, nonce=nonce)
    assert answer.status == 200 and answer.all("dpop-nonce") == []
    clock.set(210)
    answer = ask(world, gate, clock, nonce=nonce)
    assert answer.status == 200
    fresh = answer.get("dpop-nonce")  # one, or this fails
    assert fresh and fresh != nonce and answer.all("cache-control") == ["no-store"]
    answer = ask(world, gate, clock, nonce=fresh)
    assert answer.status == 200 and answer.all("dpop-nonce") == []
    # Who did not take it up is told again, until the old one has ended.
    clock.set(290)
    assert ask(world, gate, clock, nonce=nonce).get("dpop-nonce")
    clock.set(310)
    challenged(ask(world, gate, clock, nonce=nonce))
    assert ask(world, gate, clock, nonce=fresh).status == 200
    assert gate.metric("popgate_denials_total", check="proof_nonce") == 2


def test_a_clock_set_back_challenges_what_may_have_been_used(world, start, clock):
    gate, upstream = start(gate_options=clock.options)
    used = credentials(world, clock)
    assert ask(world, gate, clock, used).status == 200
    clock.set(3600)
    later = credentials(world, clock)
    assert ask(world, gate, clock, later).status == 200
    clock.set(0)
    for headers in (used, later):
        assert ask(world, gate, clock, headers).status == 401
    nonce = challenged(ask(world, gate, clock))
    assert ask(world, gate, clock, nonce=nonce).status == 200
    # A nonce of before the step is of before the memory was doubted.
    clock.set(-60)
    challenged(ask(world, gate, clock, nonce=nonce))
    assert len(upstream.take()) == 3


def test_a_clock_set_forward_forgets_nothing_that_could_come_again(world, start, clock):
    gate, _ = start(gate_options=clock.options)
    used = credentials(world, clock)
    assert ask(world, gate, clock, used).status == 200
    clock.set(40)
    assert "used before" in ask(world, gate, clock, used).all("www-authenticate")[0]
    clock.set(120)
    assert ask(world, gate, clock, used).status == 401
    assert ask(world, gate, clock).status == 200
