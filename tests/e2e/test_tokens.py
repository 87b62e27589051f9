"""Every trick with an access token, over the wire; each sent twice, so that what the first left in the token cache is seen."""

import hashlib
import hmac
import json
import secrets
import signal
import time

import pytest

from conftest import ORIGIN
from harness.hostile import expect_denied
from harness.mint import Issuer, Key, REMOVE, b64, compact, sha256

JKT_OTHER = "A" * 43


class Case:
    def __init__(self, world):
        self.world, self.issuer, self.key = world, world.issuer, world.key
        self.jkt = world.key.thumbprint

    def token(self, **more):
        return self.issuer.token(jkt=self.jkt, **more)

    def payload(self, **changes):
        return self.token(payload=changes)

    def header(self, **changes):
        return self.token(header=changes)

    def cnf(self, cnf):
        return self.issuer.token(payload={"cnf": cnf})

    def now(self, offset=0):
        return int(time.time()) + offset

    def hs256(self, secret):
        head, payload, _ = self.header(alg="HS256").split(".")
        return f"{head}.{payload}.{b64(hmac.new(secret, f'{head}.{payload}'.encode(), hashlib.sha256).digest())}"

    def unsigned(self, alg="none"):
        return ".".join(self.header(alg=alg).split(".")[:2]) + "."


def pem(key):
    from cryptography.hazmat.primitives import serialization
    return key.private.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def self_signed(c):
    """The client signs itself a token with the key it proves, and offers that key."""
    return c.issuer.token(jkt=c.jkt, key=c.key, header={"kid": "k1", "jwk": c.key.jwk})


def broken(token, change):
    parts = token.split(".")
    return ".".join(change(parts))


TRICKS = [
    ("expired", "token_expired", lambda c: c.payload(exp=c.now(-1))),
    ("expires this second", "token_expired", lambda c: c.payload(exp=c.now())),
    ("expired long ago", "token_expired", lambda c: c.payload(exp=1)),
    ("exp in a fraction of this second", "token_expired", lambda c: c.payload(exp=int(time.time()) + 0.9)),
    ("not yet valid", "token_not_yet", lambda c: c.payload(nbf=c.now(60))),
    ("issued in the future", "token_not_yet", lambda c: c.payload(iat=c.now(60))),
    ("no exp", "token_claims", lambda c: c.payload(exp=REMOVE)),
    *[(f"exp {value!r}", "token_claims", lambda c, v=value: c.payload(exp=v)) for value in (
        None, "4000000000", True, [], -1, 2**63 - 1, 4000000000000)],
    ("exp over 64 bits", "token_json", lambda c: c.payload(exp=2**64)),
    ("nbf a string", "token_claims", lambda c: c.payload(nbf="0")),
    ("iat a string", "token_claims", lambda c: c.payload(iat="0")),
    ("other issuer", "token_issuer", lambda c: c.payload(iss="https://evil.example")),
    ("issuer with a slash", "token_issuer", lambda c: c.payload(iss=c.issuer.issuer + "/")),
    ("issuer in another case", "token_issuer", lambda c: c.payload(iss=c.issuer.issuer.upper())),
    ("no issuer", "token_issuer", lambda c: c.payload(iss=REMOVE)),
    ("issuer an array", "token_claims", lambda c: c.payload(iss=[c.issuer.issuer])),
    ("other audience", "token_audience", lambda c: c.payload(aud="https://other.example")),
    ("audience with a slash", "token_audience", lambda c: c.payload(aud=c.issuer.audience + "/")),
    ("audience in another case", "token_audience", lambda c: c.payload(aud=c.issuer.audience.upper())),
    ("audiences of others", "token_audience", lambda c: c.payload(aud=["a", "b"])),
    ("an empty list of audiences", "token_audience", lambda c: c.payload(aud=[])),
    ("no audience", "token_claims", lambda c: c.payload(aud=REMOVE)),
    ("audience a number", "token_claims", lambda c: c.payload(aud=1)),
    ("audience an object", "token_claims", lambda c: c.payload(aud={c.issuer.audience: 1})),
    ("audience nested", "token_claims", lambda c: c.payload(aud=[[c.issuer.audience]])),
    ("unknown kid", "token_key", lambda c: c.header(kid="k2")),
    ("kid a number", "token_key", lambda c: c.header(kid=1)),
    ("kid empty", "token_key", lambda c: c.header(kid="")),
    ("kid a path", "token_key", lambda c: c.header(kid="../../../../dev/null")),
    ("kid with SQL", "token_key", lambda c: c.header(kid="k1' UNION SELECT 'x")),
    ("kid with a NUL behind the right one", "token_key", lambda c: c.header(kid="k1\0")),
    ("alg none", "token_alg", lambda c: c.header(alg="none")),
    ("alg none without a signature", "token_syntax", lambda c: c.unsigned()),
    ("alg None without a signature", "token_syntax", lambda c: c.unsigned("None")),
    ("alg none with an empty-looking signature", "token_alg", lambda c: c.unsigned() + "AA"),
    ("alg missing", "token_alg", lambda c: c.header(alg=REMOVE)),
    ("alg an array", "token_alg", lambda c: c.header(alg=["ES256"])),
    ("HS256 keyed with the issuer's PEM", "token_alg", lambda c: c.hs256(pem(c.issuer.key))),
    ("HS256 keyed with the issuer's JWK", "token_alg", lambda c: c.hs256(compact(c.issuer.key.jwk).encode())),
    ("alg of another type of key", "token_key", lambda c: c.header(alg="RS256")),
    ("alg of another curve", "token_key", lambda c: c.header(alg="ES384")),
    ("embedded jwk", "token_key", self_signed),
    ("embedded jwk without a kid", "token_key", lambda c: c.issuer.token(
        jkt=c.jkt, key=c.key, header={"kid": REMOVE, "jwk": c.key.jwk})),
    ("signed by the client under the issuer's kid", "token_signature", lambda c: c.issuer.token(
        jkt=c.jkt, key=c.key, header={"kid": "k1"})),
    ("jku to the attacker", "token_signature", lambda c: c.issuer.token(
        jkt=c.jkt, key=c.key, header={"kid": "k1", "jku": "https://evil.example/jwks", "x5u": "https://evil.example/x"})),
    ("a bit of the signature", "token_signature", lambda c: broken(c.token(), lambda p: [
        p[0], p[1], p[2][:10] + ("A" if p[2][10] != "A" else "B") + p[2][11:]])),
    ("the payload changed", "token_signature", lambda c: broken(c.token(), lambda p: [
        p[0], c.payload(sub="root").split(".")[1], p[2]])),
    ("crit", "token_crit", lambda c: c.header(crit=["b64"])),
    ("b64", "token_crit", lambda c: c.header(b64=False)),
    ("a proof as a token", "token_typ", lambda c: c.header(typ="dpop+jwt")),
    ("an ID token", "token_typ", lambda c: c.header(typ="JWT")),
    ("no typ", "token_typ", lambda c: c.header(typ=REMOVE)),
    ("typ an array", "token_typ", lambda c: c.header(typ=["at+jwt"])),
    ("typ with a prefix of its own", "token_typ", lambda c: c.header(typ="text/at+jwt")),
    *[(f"cnf {value!r}", "token_claims", lambda c, v=value: c.cnf(v)) for value in (
        "x", [], None, 1, True, {"jkt": 1}, {"jkt": None}, {"jkt": ""}, {"jkt": "AAAA"}, {"jkt": JKT_OTHER + "="},
        {"jkt": JKT_OTHER[:-1] + "B"}, {"jkt": "+" + JKT_OTHER[1:]}, {"jkt": [JKT_OTHER]}, {"x5t#S256": "x"},
        {"x5t#S256": 1})],
    ("cnf twice", "token_json", lambda c: c.issuer.token(raw_payload=json.dumps({
        "iss": c.issuer.issuer, "aud": c.issuer.audience, "exp": c.now(60), "cnf": {"jkt": JKT_OTHER}})[:-1]
        + f',"cnf":{{"jkt":"{c.jkt}"}}}}')),
    ("jkt twice", "token_json", lambda c: c.issuer.token(raw_payload=json.dumps({
        "iss": c.issuer.issuer, "aud": c.issuer.audience, "exp": c.now(60)})[:-1]
        + f',"cnf":{{"jkt":"{JKT_OTHER}","jkt":"{c.jkt}"}}}}')),
    ("bound to another key", "binding_jkt", lambda c: c.cnf({"jkt": JKT_OTHER})),
    ("bound to another key, and a member that looks right", "binding_jkt", lambda c: c.cnf({"jkt": JKT_OTHER, "JKT": c.jkt})),
    ("bound to another certificate too", "binding_certificate", lambda c: c.cnf({"jkt": c.jkt, "x5t#S256": JKT_OTHER})),
    ("unbound, with a proof", "proof_unexpected", lambda c: c.issuer.token()),
    ("cnf empty", "proof_unexpected", lambda c: c.cnf({})),
    ("cnf of another method", "proof_unexpected", lambda c: c.cnf({"kid": "x", "jwk": c.key.jwk})),
    ("the binding outside cnf", "proof_unexpected", lambda c: c.payload(cnf=REMOVE, jkt=c.jkt)),
    ("bound by certificate alone, with a proof", "proof_unexpected", lambda c: c.issuer.token(x5t=c.world.client.sha256)),
    *[(f"{claim} {value!r}", "token_claims", lambda c, k=claim, v=value: c.payload(**{k: v}))
      for claim in ("sub", "client_id", "scope") for value in (
          1, [], None, "a\r\nX-Popgate-Scope: admin", "a\nb", "a\0", "a\x7f", "\u00e4lice", "alice ", " alice", "a\tb")],
    ("sub empty", "token_claims", lambda c: c.payload(sub="")),
    ("two parts", "token_syntax", lambda c: ".".join(c.token().split(".")[:2])),
    ("four parts", "token_syntax", lambda c: c.token() + ".AAAA"),
    ("padding", "token_syntax", lambda c: c.token() + "="),
    ("not a JWT", "token_syntax", lambda c: secrets.token_urlsafe(30)),
    ("an encrypted JWT", "token_syntax", lambda c: ".".join(["AAAA"] * 5)),
    ("the payload no object", "token_json", lambda c: c.token(raw_payload="[]")),
    ("the payload no JSON", "token_json", lambda c: c.token(raw_payload="{")),
    ("over the limit", "token_too_large", lambda c: c.payload(padding="x" * 16000)),
]

PASSES = [
    ("audience in a list", lambda c: c.payload(aud=["a", c.issuer.audience])),
    ("typ in full", lambda c: c.header(typ="application/at+jwt")), ("typ in capitals", lambda c: c.header(typ="AT+JWT")),
    ("no kid where there is one key", lambda c: c.header(kid=REMOVE)),
    ("no sub, client_id, scope and iat", lambda c: c.payload(sub=REMOVE, client_id=REMOVE, scope=REMOVE, iat=REMOVE)),
    ("nbf within the skew", lambda c: c.payload(nbf=c.now(3))), ("exp with a fraction", lambda c: c.payload(exp=c.now(60) + 0.5)),
    ("a jku that is not looked at", lambda c: c.header(jku="https://evil.example")),
    ("bound to both", lambda c: c.token(x5t=c.world.client.sha256)),
    ("extra claims", lambda c: c.payload(act={"sub": "x"}, roles=["a"], n=1.5)),
]


def send_token(world, connection, token, path="/", scheme="DPoP", proof=True):
    headers = [("Authorization", f"{scheme} {token}")]
    if proof:
        headers.append(("DPoP", world.key.proof("GET", ORIGIN + path, token)))
    return world.request(connection, "GET", path, headers)


@pytest.mark.parametrize("name, check, make", TRICKS, ids=[row[0] for row in TRICKS])
def test_refused(world, gate, upstream, name, check, make):
    token = make(Case(world))
    with world.connect(gate) as connection:
        for _ in range(2):
            expect_denied(send_token(world, connection, token), check)
        assert upstream.take() == []
        assert send_token(world, connection, world.token()).status == 200
    with world.connect(gate) as connection:
        assert world.request(connection, "GET", "/next").status == 200
    assert [seen.target for seen in upstream.take()] == [b"/", b"/next"]


@pytest.mark.parametrize("name, make", PASSES, ids=[row[0] for row in PASSES])
def test_accepted(world, gate, upstream, name, make):
    token = make(Case(world))
    with world.connect(gate) as connection:
        for _ in range(2):
            assert send_token(world, connection, token).status == 200
    assert len(upstream.take()) == 2


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
@pytest.mark.parametrize("accept", [["dpop"], ["dpop", "mtls"]], ids=["dpop", "dpop and mtls"])
def test_a_bound_token_sent_as_bearer(world, start, scheme, accept):
    gate, upstream = start(accept=accept)
    both = world.token(x5t=world.client.sha256)
    with world.connect(gate) as connection:
        for token in (world.token(), both):
            for _ in range(2):
                expect_denied(send_token(world, connection, token, scheme=scheme, proof=False), "token_bound_as_bearer")
            response = send_token(world, connection, token, scheme=scheme, proof=True)
            assert response.status == 401 and 'error="invalid_token"' in ", ".join(response.all("www-authenticate"))
            assert send_token(world, connection, token).status == 200, "now it is in the cache"
            expect_denied(send_token(world, connection, token, scheme=scheme, proof=False), "token_bound_as_bearer")
        unbound = world.issuer.token()
        expect_denied(send_token(world, connection, unbound, scheme=scheme, proof=False), "token_unbound")
        assert send_token(world, connection, unbound, scheme=scheme, proof=True).status == 401
        by_certificate = world.issuer.token(x5t=world.client.sha256)
        expected = 200 if "mtls" in accept else 401
        assert send_token(world, connection, by_certificate, scheme=scheme, proof=False).status == expected
    other = world.authority.issue("bearer-other", spiffe="spiffe://example.com/other")
    with world.connect(gate, other) as connection:
        assert send_token(world, connection, by_certificate, scheme=scheme, proof=False).status == 401
    assert len(upstream.take()) == (2 if expected == 401 else 3)


@pytest.mark.parametrize("scheme", ["DPoP", "dpop", "DPOP", "dPoP"])
def test_the_scheme_in_any_case(world, gate, upstream, scheme):
    with world.connect(gate) as connection:
        assert send_token(world, connection, world.token(), scheme=scheme).status == 200
    assert len(upstream.take()) == 1


def test_a_cache_hit_after_exp(world, gate, upstream):
    token = world.token(payload={"exp": int(time.time()) + 3})
    end = int(time.time()) + 3
    with world.connect(gate) as connection:
        assert send_token(world, connection, token).status == 200
        hits = gate.metric("popgate_token_cache_events_total", event="hit")
        assert send_token(world, connection, token).status == 200
        assert gate.metric("popgate_token_cache_events_total", event="hit") > hits
        while time.time() < end:
            time.sleep(0.02)
        expect_denied(send_token(world, connection, token), "token_expired")
    assert len(upstream.take()) == 2


def test_a_cached_token_after_its_key_is_withdrawn(world, start, tmp_path):
    """A verified token is not remembered beyond the keys that verified it."""
    old, new = Issuer(kid="old"), Issuer(kid="new")
    jwks = tmp_path / "jwks.json"
    jwks.write_text(old.jwks(new.key))
    gate, upstream = start(issuers=[{"issuer": old.issuer, "audience": old.audience, "jwks_file": str(jwks)}])
    jkt = world.key.thumbprint
    first, second = old.token(jkt=jkt), new.token(jkt=jkt)
    with world.connect(gate) as connection:
        for _ in range(2):
            assert send_token(world, connection, first).status == 200
            assert send_token(world, connection, second).status == 200
        jwks.write_text(new.jwks())
        generation = gate.metric("popgate_config_generation")
        gate.signal(signal.SIGHUP)
        deadline = time.monotonic() + 10
        while gate.metric("popgate_config_generation") == generation and time.monotonic() < deadline:
            time.sleep(0.02)
        expect_denied(send_token(world, connection, first), "token_key")
        assert send_token(world, connection, second).status == 200
        # the same kid, another key: a token of the old one is worth nothing
        third = Issuer(kid="new")
        jwks.write_text(third.jwks())
        generation = gate.metric("popgate_config_generation")
        gate.signal(signal.SIGHUP)
        while gate.metric("popgate_config_generation") == generation and time.monotonic() < deadline:
            time.sleep(0.02)
        expect_denied(send_token(world, connection, second), "token_signature")
        assert send_token(world, connection, third.token(jkt=jkt)).status == 200
    assert len(upstream.take()) == 6


def test_two_issuers_do_not_vouch_for_each_other(world, start, tmp_path):
    a, b = Issuer("https://a.example.com", "https://orders.example.com", kid="k"), \
        Issuer("https://b.example.com", "https://b-only.example.com", kid="k")
    entries = []
    for name, issuer in (("a", a), ("b", b)):
        path = tmp_path / f"{name}.json"
        path.write_text(issuer.jwks())
        entries.append({"issuer": issuer.issuer, "audience": issuer.audience, "jwks_file": str(path)})
    gate, upstream = start(issuers=entries)
    jkt = world.key.thumbprint
    with world.connect(gate) as connection:
        assert send_token(world, connection, a.token(jkt=jkt)).status == 200
        assert send_token(world, connection, b.token(jkt=jkt)).status == 200
        expect_denied(send_token(world, connection, a.token(jkt=jkt, payload={"iss": b.issuer, "aud": b.audience})),
                      "token_signature")
        expect_denied(send_token(world, connection, b.token(jkt=jkt, payload={"iss": a.issuer, "aud": a.audience})),
                      "token_signature")
        expect_denied(send_token(world, connection, a.token(jkt=jkt, payload={"aud": b.audience})), "token_audience")
        expect_denied(send_token(world, connection, b.token(jkt=jkt, payload={"aud": a.audience})), "token_audience")
    assert len(upstream.take()) == 2


def test_a_stolen_token_and_its_ath(world, gate, upstream):
    """The thief has the token and a key of his own; he cannot make one proof serve two tokens either."""
    token, other = world.token(), world.token()
    thief = Key("ES256")
    with world.connect(gate) as connection:
        for proof, check in ((thief.proof("GET", ORIGIN + "/", token), "binding_jkt"),
                             (thief.proof("GET", ORIGIN + "/", token, header={"jwk": world.key.jwk}), "proof_signature"),
                             (world.key.proof("GET", ORIGIN + "/", other), "proof_ath"),
                             (world.key.proof("GET", ORIGIN + "/", None), "proof_ath"),
                             (world.key.proof("GET", ORIGIN + "/", None, payload={"ath": b64(sha256("x"))}), "proof_ath")):
            headers = [("Authorization", f"DPoP {token}"), ("DPoP", proof)]
            expect_denied(world.request(connection, headers=headers), check)
        assert world.request(connection).status == 200
    assert len(upstream.take()) == 1
