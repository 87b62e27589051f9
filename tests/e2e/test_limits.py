"""Every named limit and timeout, reached on purpose: the answer, the counter, and that the next connection works."""

import time

from harness import client as clients


def alive(world, gate):
    with world.connect(gate) as connection:
        return world.request(connection).status == 200


def test_head_bytes(world, start):
    gate, upstream = start(limits={"head_bytes": "8KiB"})
    with world.connect(gate) as connection:
        assert world.request(connection, headers=world.credentials() + [("X-Pad", "a" * 4000)]).status == 200
        connection.send(clients.request_bytes(headers=world.credentials() + [("X-Pad", "a" * 8000)]))
        assert connection.response().status == 431
        assert connection.closed()
    assert gate.metric("popgate_limits_hit_total", limit="head_bytes") == 1
    assert len(upstream.take()) == 1 and alive(world, gate)


def test_a_target_longer_than_a_head_is_414(world, start):
    gate, upstream = start(limits={"head_bytes": "8KiB"})
    with world.connect(gate) as connection:
        connection.send(clients.request_bytes("GET", "/" + "a" * 9000))
        assert connection.response().status == 414
    assert upstream.take() == [] and alive(world, gate)


def test_headers(world, start):
    gate, upstream = start(limits={"headers": 20})
    with world.connect(gate) as connection:
        few = [(f"X-{i}", "1") for i in range(17)]
        assert world.request(connection, headers=world.credentials() + few).status == 200
        connection.send(clients.request_bytes(headers=world.credentials() + few + [("X-One-More", "1")]))
        assert connection.response().status == 431
    assert gate.metric("popgate_limits_hit_total", limit="headers") == 1
    assert len(upstream.take()) == 1 and alive(world, gate)


def test_proof_token_and_jti_bytes(world, start):
    gate, upstream = start(limits={"proof_bytes": "2KiB", "token_bytes": "2KiB", "jti_bytes": 64})
    cases = [
        (dict(payload={"jti": "j" * 65}), "proof_jti"),
        (dict(payload={"pad": "p" * 2048}), "proof_too_large"),
        (dict(token=world.token(payload={"pad": "p" * 2048})), "token_too_large"),
    ]
    with world.connect(gate) as connection:
        assert world.request(connection, payload={"jti": "j" * 64}).status == 200
        for changes, check in cases:
            assert world.request(connection, **changes).status == 401
            assert gate.metric("popgate_denials_total", check=check) == 1, check
    assert len(upstream.take()) == 1 and alive(world, gate)


def test_a_head_that_trickles_is_408_all_the_same(world, start):
    gate, _ = start(timeouts={"head": "500ms"})
    with world.connect(gate) as connection:
        text = clients.request_bytes(headers=world.credentials())
        ended = None
        for byte in text[:60]:
            try:
                connection.send(bytes([byte]))
            except OSError as error:
                ended = error
                break
            time.sleep(0.02)
        assert ended or connection.response().status == 408


def test_a_full_replay_cache_is_503_and_never_a_silent_accept(world, start):
    gate, upstream = start(replay={"capacity": 16})
    accepted = refused = 0
    with world.connect(gate) as connection:
        for i in range(400):
            response = world.request(connection, "GET", f"/{i}")
            if response.status == 200:
                accepted += 1
            else:
                assert response.status in (503, 429) and int(response.get("retry-after")) > 0
                refused += 1
    assert accepted >= 12 and refused > 0, "one client has three quarters to itself, then its share"
    assert len(upstream.take()) == accepted
    assert gate.metric("popgate_denials_total", check="replay_full") + \
        gate.metric("popgate_denials_total", check="replay_share") == refused


def test_many_pipelined_requests_are_answered_in_order(world, start):
    gate, upstream = start(limits={"pipeline": 4})
    count = 40
    with world.connect(gate) as connection:
        connection.send(b"".join(clients.request_bytes("GET", f"/{i}", headers=world.credentials("GET", f"/{i}"))
                                 for i in range(count)))
        answers = [connection.response() for _ in range(count)]
    assert [a.body for a in answers] == [b"hello /%d" % i for i in range(count)]
    assert [seen.target for seen in upstream.take()] == [b"/%d" % i for i in range(count)]


def test_pipelined_refusals_keep_their_place(world, gate, upstream):
    good = [world.credentials("GET", f"/{i}") for i in range(3)]
    requests = [(f"/{i}", good[i]) for i in range(3)] + [("/x", []), ("/0", good[0]), ("/3", None)]
    requests[-1] = ("/3", world.credentials("GET", "/3"))
    with world.connect(gate) as connection:
        connection.send(b"".join(clients.request_bytes("GET", path, headers=headers)
                                 for path, headers in requests))
        statuses = [connection.response().status for _ in requests]
    assert statuses == [200, 200, 200, 401, 401, 200]
    assert [seen.target for seen in upstream.take()] == [b"/0", b"/1", b"/2", b"/3"]
