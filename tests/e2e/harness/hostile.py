"""What the tests of hostile input share: bytes sent whole, in bytes and in two pieces; every answer until the end; and the
check behind each trick: the service saw exactly the good requests, and the next connection works."""

import os
import random
import re

from . import client as clients

EVERY_SPLIT = bool(os.environ.get("POPGATE_EVERY_SPLIT"))  # minutes instead of seconds: make soak

# What the gate says for each named check (DESIGN.md, Answers): the error and its fixed description. Written out here, not
# read from the sources: this is what callers get to see.
ANSWERS = {
    "no_credentials": (401, None, None),
    "repeated_authorization": (400, "invalid_request", "more than one Authorization"),
    "authorization_syntax": (400, "invalid_request", "Authorization is malformed"),
    "unknown_scheme": (401, None, None),
    "proof_missing": (401, "invalid_dpop_proof", "the DPoP header is missing"),
    "proof_repeated": (401, "invalid_dpop_proof", "more than one DPoP header"),
    "proof_too_large": (401, "invalid_dpop_proof", "the proof is too large"),
    "proof_syntax": (401, "invalid_dpop_proof", "the proof is not a compact JWS"),
    "proof_json": (401, "invalid_dpop_proof", "the proof's JSON is not strict"),
    "proof_typ": (401, "invalid_dpop_proof", "typ is not dpop+jwt"),
    "proof_alg": (401, "invalid_dpop_proof", "alg is not accepted"),
    "proof_crit": (401, "invalid_dpop_proof", "crit and b64 are not supported"),
    "proof_jwk": (401, "invalid_dpop_proof", "jwk is not a usable public key"),
    "proof_jti": (401, "invalid_dpop_proof", "jti is missing, empty or too long"),
    "proof_htm": (401, "invalid_dpop_proof", "htm is not this request's method"),
    "proof_htu": (401, "invalid_dpop_proof", "htu is not this request's URI"),
    "proof_iat": (401, "invalid_dpop_proof", "iat is missing or outside the window"),
    "proof_ath": (401, "invalid_dpop_proof", "ath is not this token's hash"),
    "proof_nonce": (401, "use_dpop_nonce", "a nonce is required"),
    "proof_signature": (401, "invalid_dpop_proof", "the signature does not verify"),
    "proof_replay": (401, "invalid_dpop_proof", "the proof was used before"),
    "proof_unexpected": (401, "invalid_token", "a proof came with an unbound token"),
    "token_too_large": (401, "invalid_token", "the token is too large"),
    "token_syntax": (401, "invalid_token", "the token is not a compact JWS"),
    "token_json": (401, "invalid_token", "the token's JSON is not strict"),
    "token_typ": (401, "invalid_token", "typ is not an access token's"),
    "token_alg": (401, "invalid_token", "alg is not accepted"),
    "token_crit": (401, "invalid_token", "crit is not supported"),
    "token_issuer": (401, "invalid_token", "the issuer is not trusted"),
    "token_audience": (401, "invalid_token", "the audience is another"),
    "token_key": (401, "invalid_token", "no key of the issuer fits"),
    "token_signature": (401, "invalid_token", "the signature does not verify"),
    "token_expired": (401, "invalid_token", "the token has expired"),
    "token_not_yet": (401, "invalid_token", "the token is not valid yet"),
    "token_claims": (401, "invalid_token", "a required claim is missing or ill-typed"),
    "token_unbound": (401, "invalid_token", "the token is not bound to a key"),
    "token_bound_as_bearer": (401, "invalid_token", "a DPoP-bound token was sent as Bearer"),
    "binding_jkt": (401, "invalid_token", "the token is bound to another key"),
    "binding_certificate": (401, "invalid_token", "the token is bound to another certificate"),
    "certificate_expired": (401, "invalid_token", "the client certificate expired"),
}


def expect_denied(response, check):
    """The answer is the one of `check`, in the challenge and in the body."""
    status, error, description = ANSWERS[check]
    challenge = ", ".join(response.all("www-authenticate"))
    told = re.search(r'error="([^"]*)"(?:, *error_description="([^"]*)")?', challenge)
    got = (response.status, told[1] if told else None, told[2] if told else None)
    assert got == (status, error, description), f"{check}: {response}"
    if status == 401:
        assert 'algs="' in challenge, response
    return response


def pieces_of(data, way, seed=0):
    """`data` as it is to be sent: "whole", "bytes", or a number, the offset of one split."""
    if way == "whole":
        return [data]
    if way == "bytes":
        return [data[i:i + 1] for i in range(len(data))]
    return [data[:way], data[way:]]


def every_split(data):
    """Every offset, but of the inside of a token, a proof and other long words only some."""
    alike = {at for word in re.finditer(rb"[A-Za-z0-9_.-]{100,}", data) for at in range(word.start() + 3, word.end() - 2)}
    return [at for at in range(1, len(data)) if at not in alike or at % 97 == 0]


def ways(data, around, name, samples=5):
    """Whole, byte by byte, and split at the offsets about `around` and at some others, chosen by the test's name; with
    POPGATE_EVERY_SPLIT at every one."""
    if EVERY_SPLIT:
        return ["whole", "bytes", *every_split(data)]
    chosen = random.Random(name)
    near = [around + d for d in (-1, 0, 1, 2)]
    far = [chosen.randrange(1, len(data)) for _ in range(samples)]
    return ["whole", "bytes"] + sorted({at for at in near + far if 0 < at < len(data)})


def answers(connection):
    """Every answer until the peer ends the connection."""
    found = []
    while True:
        try:
            found.append(connection.response())
        except clients.Closed:
            assert connection.data == b"", connection.data
            return found


def send(connection, pieces):
    """Sends as much as the peer takes: it may have seen enough and closed."""
    try:
        for piece in pieces:
            connection.send(piece)
    except OSError:
        pass


def expect_next_works(world, gate, upstream, before=()):
    """The service saw `before` and nothing else, and a new client is served."""
    with world.connect(gate) as connection:
        response = world.request(connection, "GET", "/next")
        assert response.status == 200, response
    assert [seen.target for seen in upstream.take()] == [*before, b"/next"]
