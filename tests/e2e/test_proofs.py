"""Every trick with a proof, over the wire: the answer names the check, the service sees nothing, the connection stays, and an
honest request passes afterwards. The same tricks against the decision alone: tests/unit/auth/test_attacks.c."""

import base64
import hashlib
import hmac
import json
import secrets
import time

import pytest

from conftest import ORIGIN
from harness.client import request_bytes
from harness.gate import SANITIZED
from harness.hostile import expect_denied
from harness.mint import Key, REMOVE, b64, compact, sha256

PATH = "/orders/7"
URL = ORIGIN + PATH
N = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551
P = 0xffffffff00000001000000000000000000000000ffffffffffffffffffffffff


class Case:
    """What a row may use: the key, a fresh token bound to it, and a good proof to break."""

    def __init__(self, world):
        self.world, self.key, self.token = world, world.key, world.token()

    def proof(self, *, method="GET", url=URL, key=None, token=None, **more):
        return (key or self.key).proof(method, url, token or self.token, **more)

    def header(self, **changes):
        return self.proof(header=changes)

    def payload(self, **changes):
        return self.proof(payload=changes)

    def signed(self, header, payload=None):
        """Signed by the key whatever the header says."""
        claims = {"jti": secrets.token_urlsafe(9), "htm": "GET", "htu": URL, "iat": int(time.time()),
                  "ath": b64(sha256(self.token))}
        return self.key.jws(header, claims if payload is None else payload)

    def jwk(self, jwk):
        return self.header(jwk=jwk)

    def bent(self, **changes):
        return self.jwk({**self.key.jwk, **changes})

    def coordinate(self, name):
        return base64.urlsafe_b64decode(self.key.jwk[name] + "=")

    def parts(self):
        return self.proof().split(".")

    def signature(self, change):
        head, payload, signature = self.parts()
        raw = base64.urlsafe_b64decode(signature + "==")
        r, s = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
        return f"{head}.{payload}.{b64(change(r, s))}"


def raw_rs(r, s):
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def der(r, s):
    def integer(value):
        text = value.to_bytes(33, "big").lstrip(b"\0") or b"\0"
        text = b"\0" + text if text[0] & 0x80 else text
        return b"\x02" + bytes([len(text)]) + text
    body = integer(r) + integer(s)
    return b"\x30" + bytes([len(body)]) + body


def hs256(c, secret):
    head = {"typ": "dpop+jwt", "alg": "HS256", "jwk": c.key.jwk}
    claims = {"jti": secrets.token_urlsafe(9), "htm": "GET", "htu": URL, "iat": int(time.time()), "ath": b64(sha256(c.token))}
    text = f"{b64(compact(head))}.{b64(compact(claims))}"
    return f"{text}.{b64(hmac.new(secret, text.encode(), hashlib.sha256).digest())}"


def pem(key):
    from cryptography.hazmat.primitives import serialization
    return key.private.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


RSA_KEY, P384_KEY, ED_KEY = Key("RS256"), Key("ES384"), Key("EdDSA")

MEMBERS = [
    *[(f"{name} missing", check, lambda c, n=name: c.payload(**{n: REMOVE})) for name, check in (
        ("jti", "proof_jti"), ("htm", "proof_htm"), ("htu", "proof_htu"), ("iat", "proof_iat"), ("ath", "proof_ath"))],
    *[(f"{name} missing", check, lambda c, n=name: c.header(**{n: REMOVE})) for name, check in (
        ("typ", "proof_typ"), ("alg", "proof_alg"), ("jwk", "proof_jwk"))],
    *[(f"{name} {value!r}", check, lambda c, n=name, v=value: c.payload(**{n: v})) for name, check, values in (
        ("jti", "proof_jti", [7, None, True, [], {}, "", ["a"], "a" * 257]),
        ("htm", "proof_htm", [7, None, ["GET"], "", {}]),
        ("htu", "proof_htu", [7, None, [URL], "", {}]),
        ("iat", "proof_iat", [None, True, [], "", 1.5, -1, 0, 2**63 - 1, -2**63, 10**12]),
        ("ath", "proof_ath", [7, None, [], "", True, "A" * 43])) for value in values],
    *[(f"{name} {value!r}", check, lambda c, n=name, v=value: c.header(**{n: v})) for name, check, values in (
        ("typ", "proof_typ", [None, 1, ["dpop+jwt"], "", "JWT", "at+jwt", "DPoP+JWT", "dpop+jwt ", "application/dpop+jwt",
                              "dpop", "dpop+jwt\x00"]),
        ("alg", "proof_alg", [None, 1, ["ES256"], "", "none", "None", "NONE", "nOnE", "HS256", "HS384", "HS512", "es256",
                              "ES256 ", "ES256K", "RS1", "dir", "ES256\x00"]),
        ("jwk", "proof_jwk", [None, 1, "", [], {}, {"kty": "EC"}, "https://evil.example/jwk"])) for value in values],
    ("iat a string", "proof_iat", lambda c: c.payload(iat=str(int(time.time())))),
    ("iat with a fraction", "proof_iat", lambda c: c.payload(iat=time.time() + 0.25)),
    ("iat with a zero fraction", "proof_iat", lambda c: c.payload(iat=float(int(time.time())))),
    ("iat in milliseconds", "proof_iat", lambda c: c.payload(iat=int(time.time() * 1000))),
    ("a member twice", "proof_json", lambda c: c.proof(raw_payload='{"htm":"POST",' + json.dumps(
        {"jti": "x" * 9, "htm": "GET", "htu": URL, "iat": int(time.time()), "ath": b64(sha256(c.token))})[1:])),
    ("a header member twice", "proof_json", lambda c: c.proof(raw_header='{"alg":"none",' + json.dumps(
        {"typ": "dpop+jwt", "alg": "ES256", "jwk": c.key.jwk})[1:])),
    ("the payload an array", "proof_json", lambda c: c.proof(raw_payload="[]")),
    ("the payload a string", "proof_json", lambda c: c.proof(raw_payload='"x"')),
    ("the payload no JSON", "proof_json", lambda c: c.proof(raw_payload="{'a':1}")),
    ("the payload with a comma too many", "proof_json", lambda c: c.proof(raw_payload='{"a":1,}')),
    ("the payload behind a byte order mark", "proof_json", lambda c: c.proof(raw_payload=b"\xef\xbb\xbf{}")),
    ("the payload not UTF-8", "proof_json", lambda c: c.proof(raw_payload=b'{"a":"\xff"}')),
    ("the header an array", "proof_json", lambda c: c.proof(raw_header="[]")),
    ("a thousand levels", "proof_json", lambda c: c.proof(raw_payload="[" * 1000 + "]" * 1000)),
]

ALGORITHMS = [
    ("HS256 keyed with the public key's PEM", "proof_alg", lambda c: hs256(c, pem(c.key))),
    ("HS256 keyed with the JWK", "proof_alg", lambda c: hs256(c, compact(c.key.jwk).encode())),
    ("HS256 keyed with x", "proof_alg", lambda c: hs256(c, c.coordinate("x"))),
    ("RS256 with an RSA key", "proof_alg", lambda c: c.proof(key=RSA_KEY)),
    ("PS256 with an RSA key", "proof_alg", lambda c: c.proof(key=RSA_KEY, header={"alg": "PS256"})),
    ("ES384", "proof_alg", lambda c: c.proof(key=P384_KEY)),
    ("EdDSA with an EC key", "proof_alg", lambda c: c.header(alg="EdDSA")),
    ("Ed25519 with an EC key", "proof_alg", lambda c: c.header(alg="Ed25519")),
    ("ES256 with an RSA key", "proof_alg", lambda c: c.signed({"typ": "dpop+jwt", "alg": "ES256", "jwk": RSA_KEY.jwk})),
    ("ES256 with an OKP key", "proof_alg", lambda c: c.signed({"typ": "dpop+jwt", "alg": "ES256", "jwk": ED_KEY.jwk})),
    ("ES256 with a P-384 key", "proof_alg", lambda c: c.signed({"typ": "dpop+jwt", "alg": "ES256", "jwk": P384_KEY.jwk})),
    ("ES256 with a key for ES384", "proof_jwk", lambda c: c.bent(alg="ES384")),
]

KEYS = [
    ("private EC key", "proof_jwk", lambda c: c.bent(d=b64(b"\1" * 32))),
    ("private EC key with d null", "proof_jwk", lambda c: c.bent(d=None)),
    ("private OKP key", "proof_jwk", lambda c: c.proof(key=ED_KEY, header={"jwk": {**ED_KEY.jwk, "d": b64(b"\1" * 32)}})),
    ("symmetric", "proof_jwk", lambda c: c.jwk({"kty": "oct", "k": b64(b"k" * 32)})),
    ("symmetric beside a public key", "proof_jwk", lambda c: c.bent(k=b64(b"k" * 32))),
    ("x short", "proof_jwk", lambda c: c.bent(x=b64(c.coordinate("x")[1:]))),
    ("x long", "proof_jwk", lambda c: c.bent(x=b64(b"\0" + c.coordinate("x")))),
    ("y short", "proof_jwk", lambda c: c.bent(y=b64(c.coordinate("y")[:-1]))),
    ("y long", "proof_jwk", lambda c: c.bent(y=b64(c.coordinate("y") + b"\0"))),
    ("x empty", "proof_jwk", lambda c: c.bent(x="")),
    ("y missing", "proof_jwk", lambda c: c.jwk({k: v for k, v in c.key.jwk.items() if k != "y"})),
    ("x a number", "proof_jwk", lambda c: c.bent(x=1)),
    ("x padded", "proof_jwk", lambda c: c.bent(x=c.key.jwk["x"] + "=")),
    ("x with white space", "proof_jwk", lambda c: c.bent(x=" " + c.key.jwk["x"])),
    ("x with trailing bits", "proof_jwk", lambda c: c.bent(x=c.key.jwk["x"][:-1] + chr(ord(c.key.jwk["x"][-1]) + 1))),
    ("an unknown curve", "proof_jwk", lambda c: c.bent(crv="secp256k1")),
    ("another curve's name", "proof_jwk", lambda c: c.bent(crv="P-384")),
    ("another curve in lower case", "proof_jwk", lambda c: c.bent(crv="p-256")),
    ("an unknown type", "proof_jwk", lambda c: c.bent(kty="AKP")),
    ("a key for encryption", "proof_jwk", lambda c: c.bent(use="enc")),
    ("a key for encrypting", "proof_jwk", lambda c: c.bent(key_ops=["encrypt"])),
]


def bound(jwk):
    """A token that is bound to this very key: only the key itself is wrong."""
    return b64(sha256(compact({n: jwk[n] for n in ("crv", "kty", "x", "y")})))


BAD_POINTS = [
    ("a point off the curve", lambda c: {"x": c.key.jwk["y"], "y": c.key.jwk["x"]}),
    ("the point at zero", lambda c: {"x": b64(bytes(32)), "y": b64(bytes(32))}),
    ("x = p", lambda c: {"x": b64(P.to_bytes(32, "big")), "y": c.key.jwk["y"]}),
    ("x + p, y", lambda c: {"x": b64(((5 + P) % 2**256).to_bytes(32, "big")), "y": c.key.jwk["y"]}),
    ("y = p", lambda c: {"x": c.key.jwk["x"], "y": b64(P.to_bytes(32, "big"))}),
    ("x = 2^256 - 1", lambda c: {"x": b64(b"\xff" * 32), "y": c.key.jwk["y"]}),
    ("y = 2^256 - 1", lambda c: {"x": c.key.jwk["x"], "y": b64(b"\xff" * 32)}),
]


def middle(c, change, part=0):
    parts = c.parts()
    parts[part] = change(parts[part])
    return ".".join(parts)


FORMS = [
    ("empty", "proof_syntax", lambda c: ""),
    ("one part", "proof_syntax", lambda c: c.parts()[0]),
    ("two parts", "proof_syntax", lambda c: ".".join(c.parts()[:2])),
    ("two parts and a dot", "proof_syntax", lambda c: ".".join(c.parts()[:2]) + "."),
    ("four parts", "proof_syntax", lambda c: c.proof() + ".AAAA"),
    ("five parts", "proof_syntax", lambda c: c.proof() + ".AAAA.AAAA"),
    ("a dot behind", "proof_syntax", lambda c: c.proof() + "."),
    ("a dot before", "proof_syntax", lambda c: "." + c.proof()),
    ("no header", "proof_syntax", lambda c: middle(c, lambda _: "")),
    ("no payload", "proof_syntax", lambda c: middle(c, lambda _: "", 1)),
    ("JSON serialization", "proof_syntax", lambda c: json.dumps(dict(zip(("protected", "payload", "signature"), c.parts())))),
    ("general JSON serialization", "proof_syntax", lambda c: json.dumps(
        {"payload": c.parts()[1], "signatures": [{"protected": c.parts()[0], "signature": c.parts()[2]}]})),
    ("two in one field", "proof_syntax", lambda c: c.proof() + ", " + c.proof()),
    ("two in one field without a space", "proof_syntax", lambda c: c.proof() + "," + c.proof()),
    ("in quotes", "proof_syntax", lambda c: f'"{c.proof()}"'),
    ("dots", "proof_syntax", lambda c: "." * 8000),
    ("8 KiB and a byte", "proof_too_large", lambda c: "a" * 8193),
    ("a long jti", "proof_too_large", lambda c: c.payload(jti="a" * 8000)),
    *[(f"padding in part {part}", "proof_syntax", lambda c, p=part: middle(c, lambda t: t + "=", p)) for part in range(3)],
    *[(f"double padding in part {part}", "proof_syntax", lambda c, p=part: middle(c, lambda t: t + "==", p))
      for part in range(3)],
    *[(f"{what} in part {part}", "proof_syntax", lambda c, p=part, w=sign: middle(c, lambda t: t[:4] + w + t[5:], p))
      for what, sign in (("a plus", "+"), ("a slash", "/"), ("a space", " "), ("a tab", "\t"), ("a percent", "%"),
                         ("a non-ASCII byte", "\xe9"), ("an at sign", "@")) for part in range(3)],
    ("trailing bits of the signature", "proof_syntax", lambda c: middle(c, lambda t: t[:-1] + chr(ord(t[-1]) + 1), 2)),
    ("one character too many", "proof_syntax", lambda c: c.proof() + "AAA"),
    ("crit", "proof_crit", lambda c: c.header(crit=["exp"], exp=1)),
    ("crit empty", "proof_crit", lambda c: c.header(crit=[])),
    ("b64 false", "proof_crit", lambda c: c.header(b64=False, crit=["b64"])),
    ("b64 true", "proof_crit", lambda c: c.header(b64=True)),
]

SIGNATURES = [
    *[(name, "proof_signature", lambda c, f=change: c.signature(f)) for name, change in (
        ("r = 0", lambda r, s: raw_rs(0, s)), ("s = 0", lambda r, s: raw_rs(r, 0)), ("both 0", lambda r, s: raw_rs(0, 0)),
        ("r = n", lambda r, s: raw_rs(N, s)), ("s = n", lambda r, s: raw_rs(r, N)), ("r = n + 1", lambda r, s: raw_rs(N + 1, s)),
        ("s = n + 1", lambda r, s: raw_rs(r, N + 1)), ("both n", lambda r, s: raw_rs(N, N)), ("r = 1, s = 1", lambda r, s: raw_rs(1, 1)),
        ("all ones", lambda r, s: b"\xff" * 64), ("r and s changed over", lambda r, s: raw_rs(s, r)),
        ("a bit of r", lambda r, s: raw_rs(r ^ 1, s)), ("a bit of s", lambda r, s: raw_rs(r, s ^ 1)),
        ("DER", der), ("a byte short", lambda r, s: raw_rs(r, s)[:-1]), ("a byte long", lambda r, s: raw_rs(r, s) + b"\0"),
        ("a byte long in front", lambda r, s: b"\0" + raw_rs(r, s)), ("twice", lambda r, s: raw_rs(r, s) * 2),
        ("r + n over 32 bytes", lambda r, s: (r + N).to_bytes(33, "big") + s.to_bytes(31, "big") if s < 2**248
         else (r + N).to_bytes(33, "big") + s.to_bytes(32, "big")[1:]))],
    ("one byte", "proof_signature", lambda c: ".".join(c.parts()[:2]) + ".AA"),
    ("another proof's", "proof_signature", lambda c: ".".join(c.parts()[:2]) + "." + c.parts()[2]),
    ("the payload changed", "proof_signature", lambda c: middle(c, lambda t: b64(compact(
        {**json.loads(base64.urlsafe_b64decode(t + "==")), "jti": "other"})), 1)),
    ("the thief's signature under the owner's key", "proof_signature",
     lambda c: c.proof(key=Key("ES256"), header={"jwk": c.key.jwk})),
]

CONFUSIONS = [
    ("htm in lower case", "proof_htm", lambda c: c.payload(htm="get")),
    ("htm of another method", "proof_htm", lambda c: c.payload(htm="POST")),
    ("htm with a space", "proof_htm", lambda c: c.payload(htm="GET ")),
    ("htm of a prefix", "proof_htm", lambda c: c.payload(htm="GE")),
    ("htm HEAD for GET", "proof_htm", lambda c: c.payload(htm="HEAD")),
    ("ath of another token", "proof_ath", lambda c: c.payload(ath=b64(sha256(c.world.token())))),
    ("ath in hex", "proof_ath", lambda c: c.payload(ath=sha256(c.token).hex())),
    ("ath padded", "proof_ath", lambda c: c.payload(ath=b64(sha256(c.token)) + "=")),
    ("ath in the other alphabet", "proof_ath", lambda c: c.payload(ath=base64.b64encode(sha256(c.token)).decode())),
    ("ath half", "proof_ath", lambda c: c.payload(ath=b64(sha256(c.token)[:16]))),
    ("ath of the token's SHA-1", "proof_ath", lambda c: c.payload(ath=b64(hashlib.sha1(c.token.encode()).digest()))),
    ("ath the token", "proof_ath", lambda c: c.payload(ath=c.token[:200])),
    ("another key than the token is bound to", "binding_jkt", lambda c: c.proof(key=Key("ES256"))),
    ("another key of another type", "binding_jkt", lambda c: c.proof(key=Key("EdDSA"))),
    *[(f"htu {htu!r}", "proof_htu", lambda c, u=htu: c.payload(htu=u)) for htu in (
        "https://orders.example.com/Orders/7", "https://orders.example.com/orders/7/", "https://orders.example.com/orders//7",
        "https://orders.example.com//orders/7", "https://orders.example.com/orders%2f7", "https://orders.example.com/orders%2F7",
        "https://orders.example.com:8443/orders/7", "https://orders.example.com:80/orders/7", "http://orders.example.com/orders/7",
        "http://orders.example.com:443/orders/7", "https://a@orders.example.com/orders/7",
        "https://orders.example.com@evil.example/orders/7", "https://orders.example.com./orders/7",
        "https://orders.example.com.evil.example/orders/7", "https://evil.example/orders/7", "https://[::1]/orders/7",
        "https://127.0.0.1/orders/7", "https://[::ffff:127.0.0.1]/orders/7", "https://orders.example.com/orders/77",
        "https://orders.example.com/orders", "https://orders.example.com", "https://orders.example.com/orders/7%00",
        "https://orders.example.com/orders/7 ", " https://orders.example.com/orders/7", "https://orders.example.com/orders/7\n",
        "https:/orders.example.com/orders/7", "https:orders.example.com/orders/7", "//orders.example.com/orders/7", "/orders/7",
        "orders.example.com/orders/7", "https:\\\\orders.example.com\\orders\\7", "https://orders.example.com/orders\\7",
        "https://orders.example.com/orders/%37%", "https://orders.example.com/orders/%2537", "https://\xf6rders.example.com/orders/7",
        "https://orders.example.com/orders;/7", "https://orders.example.com/orders/7;a=b", "wss://orders.example.com/orders/7",
        "https://orders.example.com:443x/orders/7", "https://orders.example.com:0443/orders/7", "*", "https://*/orders/7",
        "https://orders.example.com/*", "https://orders.example.com/orders/..%2forders/7", "javascript:alert(1)",
        "https://orders.example.com/orders/7\x00", "https://orders.example.com/x?/../orders/7")],
]

TRICKS = MEMBERS + ALGORITHMS + KEYS + FORMS + SIGNATURES + CONFUSIONS

PASSES = [
    ("a query", lambda c: c.payload(htu=URL + "?a=b")), ("a fragment", lambda c: c.payload(htu=URL + "#x")),
    ("upper case", lambda c: c.payload(htu="HTTPS://ORDERS.EXAMPLE.COM/orders/7")),
    ("the default port", lambda c: c.payload(htu="https://orders.example.com:443/orders/7")),
    ("an empty port", lambda c: c.payload(htu="https://orders.example.com:/orders/7")),
    ("an unreserved escape", lambda c: c.payload(htu="https://orders.example.com/%6frders/%37")),
    ("dot segments", lambda c: c.payload(htu="https://orders.example.com/a/../orders/./7")),
    ("extra members", lambda c: c.proof(header={"kid": "x", "jku": "https://evil.example"}, payload={"x": {"y": [1, None]}})),
    ("nbf and exp", lambda c: c.payload(nbf=4000000000, exp=1)), ("an unasked nonce", lambda c: c.payload(nonce="x")),
    ("jwk with alg, use and kid", lambda c: c.bent(alg="ES256", use="sig", kid="x")),
    ("jti of 256 bytes", lambda c: c.payload(jti=secrets.token_hex(128))),
    ("s negated, first", lambda c: c.signature(lambda r, s: raw_rs(r, N - s))),
]


def send_proof(world, connection, token, proof, scheme="DPoP", path=PATH):
    return world.request(connection, "GET", path, [("Authorization", f"{scheme} {token}"), ("DPoP", proof)])


@pytest.mark.parametrize("name, check, make", TRICKS, ids=[row[0] for row in TRICKS])
def test_refused(world, gate, upstream, name, check, make):
    case = Case(world)
    with world.connect(gate) as connection:
        proof = make(case)
        for _ in range(2):  # the second time the token, and perhaps the key, are known
            expect_denied(send_proof(world, connection, case.token, proof), check)
        assert upstream.take() == []
        assert send_proof(world, connection, case.token, case.proof()).status == 200
    with world.connect(gate) as connection:
        assert world.request(connection, "GET", "/next").status == 200
    assert [seen.target for seen in upstream.take()] == [PATH.encode(), b"/next"]


@pytest.mark.parametrize("name, bend", BAD_POINTS, ids=[row[0] for row in BAD_POINTS])
def test_a_token_bound_to_no_point(world, gate, upstream, name, bend):
    """The issuer was had: the token is bound to exactly this jwk, so only the verification can refuse it."""
    case = Case(world)
    jwk = {**case.key.jwk, **bend(case)}
    case.token = world.issuer.token(jkt=bound(jwk))
    with world.connect(gate) as connection:
        for _ in range(2):
            expect_denied(send_proof(world, connection, case.token, case.jwk(jwk)), "proof_signature")
        assert world.request(connection).status == 200
    assert [seen.target for seen in upstream.take()] == [b"/"]


@pytest.mark.parametrize("name, make", PASSES, ids=[row[0] for row in PASSES])
def test_accepted(world, gate, upstream, name, make):
    case = Case(world)
    proof = make(case)
    with world.connect(gate) as connection:
        assert send_proof(world, connection, case.token, proof).status == 200
        expect_denied(send_proof(world, connection, case.token, proof), "proof_replay")
    assert len(upstream.take()) == 1


# ---- headers about the proof ----

def test_proof_headers(world, gate, upstream):
    case = Case(world)
    authorization = ("Authorization", f"DPoP {case.token}")
    proof = ("DPoP", case.proof())
    rows = [
        ("proof_missing", [authorization]),
        ("proof_repeated", [authorization, proof, proof]),
        ("proof_repeated", [authorization, proof, ("dpop", case.proof())]),
        ("proof_repeated", [authorization, ("DPoP", ""), proof]),
        ("proof_syntax", [authorization, ("DPoP", "")]),
        ("repeated_authorization", [authorization, authorization, proof]),
        ("repeated_authorization", [authorization, ("Authorization", f"Bearer {case.token}"), proof]),
        ("repeated_authorization", [("Authorization", f"Bearer {case.token}"), authorization, proof]),
        ("no_credentials", [proof]),
        ("unknown_scheme", [("Authorization", f"Basic {case.token}"), proof]),
    ]
    for check, headers in rows:
        with world.connect(gate) as connection:
            expect_denied(world.request(connection, "GET", PATH, headers), check)
    with world.connect(gate) as connection:
        headers = [("AUTHORIZATION", f"DPoP {case.token}"), ("dpoP", proof[1])]
        assert world.request(connection, "GET", PATH, headers).status == 200
    assert len(upstream.take()) == 1


SYNTAX = [
    ("DPoP", "authorization_syntax"), ("DPoP ", "authorization_syntax"), ("DPoP  ", "authorization_syntax"),
    ("DPoP\t{t}", "authorization_syntax"), ("DPoP={t}", "authorization_syntax"), ("DPoP {t} x", "authorization_syntax"),
    ("DPoP {t},", "authorization_syntax"), ("DPoP,{t}", "authorization_syntax"),
    ("DPoP {t}, Bearer {t}", "authorization_syntax"), ("DPoP\xa0{t}", "authorization_syntax"),
    ("\"DPoP\" {t}", "authorization_syntax"), ("", "authorization_syntax"),
    ("{t}", "unknown_scheme"), ("XDPoP {t}", "unknown_scheme"), ("DPo {t}", "unknown_scheme"), ("JWT {t}", "unknown_scheme"),
]


@pytest.mark.parametrize("text, check", SYNTAX, ids=[row[0] for row in SYNTAX])
def test_authorization_syntax(world, gate, upstream, text, check):
    case = Case(world)
    with world.connect(gate) as connection:
        headers = [("Authorization", text.format(t=case.token)), ("DPoP", case.proof())]
        expect_denied(world.request(connection, "GET", PATH, headers), check)
        assert world.request(connection).status == 200
    assert [seen.target for seen in upstream.take()] == [b"/"]


# ---- time ----

def at_the_start_of_a_second():
    """The wall second, with most of it left."""
    while time.time() % 1 > 0.3:
        time.sleep(0.02)
    return int(time.time())


@pytest.mark.parametrize("offset, accepted", [(-65, True), (-66, False), (-64, True), (5, True), (6, False), (4, True),
                                              (3600, False), (-3600, False)])
def test_iat_at_its_edges(world, gate, upstream, offset, accepted):
    """max_age 60 s, clock_skew 5 s: both edges pass, a second beyond neither does."""
    case = Case(world)
    with world.connect(gate) as connection:
        for _ in range(10):
            now = at_the_start_of_a_second()
            response = send_proof(world, connection, case.token, case.payload(iat=now + offset))
            if int(time.time()) == now:
                break  # else the second ended meanwhile: nothing was shown
            upstream.take()
        else:
            pytest.fail("no second was long enough")
        if accepted:
            assert response.status == 200
        else:
            expect_denied(response, "proof_iat")
    assert len(upstream.take()) == (1 if accepted else 0)


# ---- replay ----

def test_replays_in_every_dress(world, gate, upstream):
    case = Case(world)
    jti = secrets.token_urlsafe(12)
    proof = case.payload(jti=jti)
    head, payload, signature = proof.split(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    negated = f"{head}.{payload}.{b64(raw_rs(int.from_bytes(raw[:32], 'big'), N - int.from_bytes(raw[32:], 'big')))}"
    again = [proof, negated, case.payload(jti=jti), case.payload(jti=jti, iat=int(time.time()) - 3),
             case.proof(header={"kid": "other"}, payload={"jti": jti}),
             case.payload(jti=jti, htu="https://ORDERS.example.com:443/orders/7?x#y"),
             case.payload(jti=jti, htu="https://orders.example.com/x/../%6frders/7"), case.payload(jti=jti, extra=1)]
    other_token = world.token()
    with world.connect(gate) as connection:
        assert send_proof(world, connection, case.token, proof).status == 200
        for one in again:
            expect_denied(send_proof(world, connection, case.token, one), "proof_replay")
        expect_denied(send_proof(world, connection, other_token, case.proof(token=other_token, payload={"jti": jti})),
                      "proof_replay")
        # another method, another path: other requests, so other proofs
        assert send_proof(world, connection, case.token, case.payload(jti=jti, htu=ORIGIN + "/other"), path="/other").status == 200
    assert len(upstream.take()) == 2


def test_one_winner_of_a_race(world, start):
    """The same proof on many connections of two workers, in the same moment."""
    import threading
    gate, upstream = start(workers=2)
    rounds = 3 if SANITIZED else 8
    for _ in range(rounds):
        data = request_bytes("GET", "/race", headers=world.credentials("GET", "/race"))
        connections = [world.connect(gate) for _ in range(12)]
        barrier, got = threading.Barrier(len(connections)), []

        def one(connection):
            connection.send(data[:-1])
            barrier.wait()
            connection.send(data[-1:])
            got.append(connection.response().status)
        threads = [threading.Thread(target=one, args=(c,)) for c in connections]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for connection in connections:
            connection.close()
        assert sorted(got) == [200] + [401] * (len(connections) - 1)
    assert len(upstream.take()) == rounds


def test_replays_in_one_pipeline(world, gate, upstream):
    """They reach the decision in one turn, and are verified in one batch."""
    data = request_bytes("GET", "/once", headers=world.credentials("GET", "/once"))
    with world.connect(gate) as connection:
        connection.send(data * 9)
        got = [connection.response().status for _ in range(9)]
    assert got == [200] + [401] * 8
    assert len(upstream.take()) == 1


def test_a_failed_check_burns_no_jti(world, gate, upstream):
    case = Case(world)
    jti = secrets.token_urlsafe(12)
    broken = [case.payload(jti=jti, ath="x"), case.payload(jti=jti, htm="POST"), case.payload(jti=jti, htu=ORIGIN + "/no"),
              case.payload(jti=jti, iat=1), case.proof(header={"typ": "JWT"}, payload={"jti": jti}),
              case.proof(key=Key("ES256"), payload={"jti": jti}),
              case.proof(key=Key("ES256"), header={"jwk": case.key.jwk}, payload={"jti": jti})]
    expired = world.token(payload={"exp": int(time.time()) - 10})
    with world.connect(gate) as connection:
        for one in broken:
            assert send_proof(world, connection, case.token, one).status == 401
        expect_denied(send_proof(world, connection, expired, case.proof(token=expired, payload={"jti": jti})), "token_expired")
        connection.send(request_bytes("GET", PATH, host="other.example.com", headers=[
            ("Authorization", f"DPoP {case.token}"), ("DPoP", case.payload(jti=jti))]))
        assert connection.response().status == 421
    with world.connect(gate) as connection:
        assert send_proof(world, connection, case.token, case.payload(jti=jti)).status == 200
    assert len(upstream.take()) == 1


# ---- size ----

def rss_kib(pid):
    for line in open(f"/proc/{pid}/status"):
        if line.startswith("VmRSS"):
            return int(line.split()[1])


@pytest.mark.skipif(SANITIZED, reason="a sanitizer's build uses memory of its own")
def test_64_kib_of_dots_in_constant_memory(world, gate, upstream, start):
    case = Case(world)
    with world.connect(gate) as connection:
        response = send_proof(world, connection, case.token, "." * 65536)
        assert response.status == 431
    wide, behind = start(limits={"head_bytes": "128KiB", "proof_bytes": "64KiB"})
    before = 0
    for i in range(160):  # the first hundred touch every page of the receive buffers
        with world.connect(wide) as connection:
            expect_denied(send_proof(world, connection, case.token, "." * 65536), "proof_syntax")
            expect_denied(send_proof(world, connection, case.token, "A." * 32768), "proof_syntax")
        if i == 100:
            before = rss_kib(wide.process.pid)
    assert rss_kib(wide.process.pid) - before < 512
    assert upstream.take() == [] and behind.take() == []
