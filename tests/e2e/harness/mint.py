"""Keys, access tokens and DPoP proofs; every member can be replaced, removed or broken."""

import base64
import hashlib
import json
import secrets
import time

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

CURVES = {"ES256": (ec.SECP256R1, hashes.SHA256, 32, "P-256"),
          "ES384": (ec.SECP384R1, hashes.SHA384, 48, "P-384"),
          "ES512": (ec.SECP521R1, hashes.SHA512, 66, "P-521")}

REMOVE = object()


def b64(data):
    if isinstance(data, str):
        data = data.encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def sha256(data):
    return hashlib.sha256(data.encode() if isinstance(data, str) else data).digest()


def compact(value):
    return value if isinstance(value, (str, bytes)) else json.dumps(value, separators=(",", ":"))


def changed(members, changes):
    """`members` with `changes` laid over; REMOVE takes a member away."""
    merged = {**members, **changes}
    return {name: value for name, value in merged.items() if value is not REMOVE}


class Key:
    """A private key with its JOSE face."""

    def __init__(self, alg="ES256", kid=None, bits=2048):
        self.alg, self.kid = alg, kid
        if alg in CURVES:
            self.private = ec.generate_private_key(CURVES[alg][0]())
        elif alg in ("EdDSA", "Ed25519"):
            self.private = ed25519.Ed25519PrivateKey.generate()
        else:
            self.private = rsa.generate_private_key(65537, bits)
        self.jwk = self._jwk()

    def _jwk(self):
        public = self.private.public_key()
        if self.alg in CURVES:
            _, _, size, name = CURVES[self.alg]
            numbers = public.public_numbers()
            return {"kty": "EC", "crv": name, "x": b64(numbers.x.to_bytes(size, "big")),
                    "y": b64(numbers.y.to_bytes(size, "big"))}
        if self.alg in ("EdDSA", "Ed25519"):
            return {"kty": "OKP", "crv": "Ed25519", "x": b64(public.public_bytes_raw())
                    if hasattr(public, "public_bytes_raw") else b64(raw_public(public))}
        numbers = public.public_numbers()
        return {"kty": "RSA", "n": b64(numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8, "big")),
                "e": b64(numbers.e.to_bytes((numbers.e.bit_length() + 7) // 8, "big"))}

    @property
    def thumbprint(self):
        names = {"EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x"), "RSA": ("e", "kty", "n")}
        return b64(sha256(compact({n: self.jwk[n] for n in names[self.jwk["kty"]]})))

    def public_jwk(self, **extra):
        return {**self.jwk, **({"kid": self.kid} if self.kid else {}), "alg": self.alg, "use": "sig",
                **extra}

    def sign(self, data):
        if self.alg in CURVES:
            _, digest, size, _ = CURVES[self.alg]
            r, s = decode_dss_signature(self.private.sign(data, ec.ECDSA(digest())))
            return r.to_bytes(size, "big") + s.to_bytes(size, "big")
        if self.alg in ("EdDSA", "Ed25519"):
            return self.private.sign(data)
        if self.alg == "PS256":
            return self.private.sign(data, padding.PSS(padding.MGF1(hashes.SHA256()), 32),
                                     hashes.SHA256())
        return self.private.sign(data, padding.PKCS1v15(), hashes.SHA256())

    def jws(self, header, payload):
        signing_input = f"{b64(compact(header))}.{b64(compact(payload))}"
        return f"{signing_input}.{b64(self.sign(signing_input.encode()))}"

    def proof(self, method, url, token=None, *, header=None, payload=None, raw_header=None,
              raw_payload=None):
        """`header` and `payload` change members; the raw_ ones replace the JSON text whole."""
        claims = {"jti": secrets.token_urlsafe(16), "htm": method, "htu": url, "iat": int(time.time())}
        if token is not None:
            claims["ath"] = b64(sha256(token))
        head = changed({"typ": "dpop+jwt", "alg": self.alg, "jwk": self.jwk}, header or {})
        return self.jws(raw_header or head, raw_payload or changed(claims, payload or {}))


def raw_public(public):
    from cryptography.hazmat.primitives import serialization
    return public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


class Issuer:
    """An authorization server's signing side."""

    def __init__(self, issuer="https://as.example.com", audience="https://orders.example.com",
                 alg="ES256", kid="k1"):
        self.issuer, self.audience = issuer, audience
        self.key = Key(alg, kid)

    def jwks(self, *more):
        return json.dumps({"keys": [self.key.public_jwk(), *(k.public_jwk() for k in more)]})

    def token(self, *, jkt=None, x5t=None, header=None, payload=None, key=None, raw_payload=None):
        key = key or self.key
        iat = int(time.time())
        claims = {"iss": self.issuer, "aud": self.audience, "sub": "service-a", "client_id": "client-a",
                  "iat": iat, "exp": iat + 300, "jti": secrets.token_urlsafe(12), "scope": "orders"}
        cnf = {}
        if jkt is not None:
            cnf["jkt"] = jkt
        if x5t is not None:
            cnf["x5t#S256"] = b64(x5t)
        if cnf:
            claims["cnf"] = cnf
        head = changed({"typ": "at+jwt", "alg": key.alg, "kid": key.kid}, header or {})
        return key.jws(head, raw_payload or changed(claims, payload or {}))
