"""OpenID's FAPI 2.0 conformance tests of DPoP at a resource server, by the names they have there (the modules
fapi2-security-profile-…-dpop… of the conformance suite), each sent as the suite does: what must be refused, what must pass."""

import time

import pytest

from conftest import ORIGIN
from harness.hostile import expect_denied
from harness.mint import Key, REMOVE, b64, sha256

PATH = "/fapi"
URL = ORIGIN + PATH
RSA = Key("RS256")


def proof_with(**more):
    def make(world, token):
        return [("Authorization", f"DPoP {token}"), ("DPoP", world.key.proof("GET", URL, token, **more))]
    return make


def two_headers(world, token):
    return [("Authorization", f"DPoP {token}"), ("DPoP", world.key.proof("GET", URL, token)),
            ("DPoP", world.key.proof("GET", URL, token))]


def two_parts(world, token):
    return [("Authorization", f"DPoP {token}"), ("DPoP", ".".join(world.key.proof("GET", URL, token).split(".")[:2]))]


def alg_none(world, token):
    head, payload, _ = world.key.proof("GET", URL, token, header={"alg": "none"}).split(".")
    return [("Authorization", f"DPoP {token}"), ("DPoP", f"{head}.{payload}.AA")]


def bad_signature(world, token):
    head, payload, signature = world.key.proof("GET", URL, token).split(".")
    flipped = ("A" if signature[5] != "A" else "B")
    return [("Authorization", f"DPoP {token}"), ("DPoP", f"{head}.{payload}.{signature[:5]}{flipped}{signature[6:]}")]


def private_key(world, token):
    d = world.key.private.private_numbers().private_value.to_bytes(32, "big")
    return proof_with(header={"jwk": {**world.key.jwk, "d": b64(d)}})(world, token)


def rs256(world, token):
    return [("Authorization", f"DPoP {token}"), ("DPoP", RSA.proof("GET", URL, token))]


def other_key(world, token):
    return [("Authorization", f"DPoP {token}"), ("DPoP", Key("ES256").proof("GET", URL, token))]


def no_proof(world, token):
    return [("Authorization", f"DPoP {token}")]


def bearer(world, token):
    return [("Authorization", f"Bearer {token}")]


NEGATIVE = [
    ("two DPoP headers", "proof_repeated", two_headers),
    ("two-part JWT", "proof_syntax", two_parts),
    ("missing typ", "proof_typ", proof_with(header={"typ": REMOVE})),
    ("missing alg", "proof_alg", proof_with(header={"alg": REMOVE})),
    ("missing jwk", "proof_jwk", proof_with(header={"jwk": REMOVE})),
    ("missing jti", "proof_jti", proof_with(payload={"jti": REMOVE})),
    ("missing htm", "proof_htm", proof_with(payload={"htm": REMOVE})),
    ("missing htu", "proof_htu", proof_with(payload={"htu": REMOVE})),
    ("missing iat", "proof_iat", proof_with(payload={"iat": REMOVE})),
    ("missing ath", "proof_ath", proof_with(payload={"ath": REMOVE})),
    ("RS256 with an RSA key", "proof_alg", rs256),
    ("alg none", "proof_alg", alg_none),
    ("bad signature", "proof_signature", bad_signature),
    ("private key in jwk", "proof_jwk", private_key),
    ("other htm", "proof_htm", proof_with(payload={"htm": "POST"})),
    ("other htu", "proof_htu", proof_with(payload={"htu": "https://other.example.com/fapi"})),
    ("iat an hour ahead", "proof_iat", lambda w, t: proof_with(payload={"iat": int(time.time()) + 3600})(w, t)),
    ("iat an hour ago", "proof_iat", lambda w, t: proof_with(payload={"iat": int(time.time()) - 3600})(w, t)),
    ("wrong ath", "proof_ath", proof_with(payload={"ath": b64(sha256("another token"))})),
    ("other key", "binding_jkt", other_key),
    ("no proof", "proof_missing", no_proof),
    ("Bearer with a bound token", "token_bound_as_bearer", bearer),
]

POSITIVE = [
    ("htu with a query", proof_with(payload={"htu": URL + "?a=b&c=d"})),
    ("htu with a fragment", proof_with(payload={"htu": URL + "#here"})),
    ("htu with both", proof_with(payload={"htu": URL + "?a=b#here"})),
    ("extra members", proof_with(header={"kid": "x", "more": 1}, payload={"iss": "x", "more": {"a": [1]}})),
    ("nbf and exp in a proof", lambda w, t: proof_with(payload={"nbf": int(time.time()) - 60, "exp": int(time.time()) + 60})(w, t)),
    ("iat 8 s ahead within skew 10 s", lambda w, t: proof_with(payload={"iat": int(time.time()) + 8})(w, t)),
    *[(f"scheme {scheme}", lambda w, t, s=scheme: [("Authorization", f"{s} {t}"), proof_with()(w, t)[1]])
      for scheme in ("DPoP", "dpop", "DPOP", "dPOp")],
]


@pytest.fixture(scope="module")
def fapi(world, backend, shared_upstream):
    from harness.gate import Gate
    with Gate(world.config(shared_upstream, backend, dpop={"clock_skew": "10s"})) as gate:
        yield gate


@pytest.mark.parametrize("name, check, make", NEGATIVE, ids=[row[0] for row in NEGATIVE])
def test_negative(world, fapi, shared_upstream, name, check, make):
    shared_upstream.take()
    token = world.token()
    with world.connect(fapi) as connection:
        expect_denied(world.request(connection, "GET", PATH, make(world, token)), check)
        assert shared_upstream.take() == []
        assert world.request(connection, "GET", PATH, proof_with()(world, token)).status == 200
    assert len(shared_upstream.take()) == 1


@pytest.mark.parametrize("name, make", POSITIVE, ids=[row[0] for row in POSITIVE])
def test_positive(world, fapi, shared_upstream, name, make):
    shared_upstream.take()
    with world.connect(fapi) as connection:
        assert world.request(connection, "GET", PATH, make(world, world.token())).status == 200
    assert len(shared_upstream.take()) == 1
