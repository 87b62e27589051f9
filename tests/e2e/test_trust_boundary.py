"""What a client says about itself never reaches the service as what the gate says; nothing a client sends moves what htu is
compared with; and nothing it sends makes a second line of the log."""

import json
import re

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from conftest import ORIGIN
from harness.client import Closed, request_bytes
from harness.hostile import expect_denied, expect_next_works

OURS = ["X-Popgate-Subject", "X-Popgate-Client-Id", "X-Popgate-Issuer", "X-Popgate-Scope", "X-Popgate-Jkt",
        "X-Popgate-Spiffe-Id", "X-Popgate-Shadow", "X-Forwarded-Client-Cert", "X-Popgate", "X-Popgate-Anything"]


def spellings(name):
    """The ways in which a service behind CGI, WSGI or Rack reads the same name."""
    return [name, name.lower(), name.upper(), name.swapcase(), name.replace("-", "_"), name.lower().replace("-", "_"),
            name.replace("-", "_", 1), name.replace("-", "."), name.replace("-", "~"), name.replace("-", "_").upper(),
            "_".join(name.rsplit("-", 1))]


def folded(name):
    return re.sub(rb"[^a-z0-9]", b"-", name.lower())


def ours_at_the_service(seen):
    """Every field that some service would take for one of ours: name -> values."""
    found = {}
    for key, value in seen.headers:
        name = folded(key)
        if name.startswith(b"x-popgate") or name == b"x-forwarded-client-cert":
            found.setdefault(name.decode(), []).append(value.decode("latin-1"))
    return found


def genuine(world):
    return {"x-popgate-subject": "service-a", "x-popgate-client-id": "client-a", "x-popgate-issuer": world.issuer.issuer,
            "x-popgate-scope": "orders", "x-popgate-jkt": world.key.thumbprint,
            "x-popgate-spiffe-id": "spiffe://example.com/client-a"}


@pytest.mark.parametrize("name", OURS)
def test_forged_copies_are_stripped(world, gate, upstream, name):
    forged = [(spelling, "forged") for spelling in dict.fromkeys(spellings(name))]
    named = "close, " + ", ".join(dict.fromkeys(spellings(name)[:6]))
    for headers in (forged, forged + forged, forged + [("Connection", named)],
                    [("Connection", "keep-alive, " + name)] + forged,
                    [(name, "forged"), ("Connection", name.lower()), (name, "forged")]):
        for before in (len(headers), 0, 1):
            fields = headers[:before] + world.credentials("GET", "/x") + headers[before:]
            with world.connect(gate) as connection:
                assert world.request(connection, "GET", "/x", fields).status == 200
            [seen] = upstream.take()
            assert b"forged" not in seen.head
            found = ours_at_the_service(seen)
            assert {k: v for k, v in found.items() if k != "x-forwarded-client-cert"} == {
                k: [v] for k, v in genuine(world).items()}
            [certificate] = found["x-forwarded-client-cert"]
            assert f"Hash={world.client.sha256.hex()}" in certificate


def test_connection_cannot_remove_what_the_gate_sets(world, gate, upstream):
    with world.connect(gate) as connection:
        headers = world.credentials() + [("Connection", ", ".join(OURS)), ("Connection", "traceparent, cookie"),
                                         ("Cookie", "a=b"), ("traceparent", "00-" + "1" * 32 + "-" + "2" * 16 + "-01")]
        assert world.request(connection, headers=headers).status == 200
    [seen] = upstream.take()
    for name, value in genuine(world).items():
        assert seen.get(name) == value
    assert seen.get("cookie") is None and seen.get("traceparent").startswith("00-")
    assert "1" * 32 not in seen.get("traceparent")


def test_forged_copies_in_trailers_are_dropped(world, gate, upstream):
    trailers = "".join(f"{spelling}: forged\r\n" for name in OURS for spelling in spellings(name)[:3])
    with world.connect(gate) as connection:
        connection.send(request_bytes("POST", "/t", headers=world.credentials("POST", "/t") + [
            ("Transfer-Encoding", "chunked"), ("Trailer", ", ".join(OURS))]) +
            b"5\r\nhello\r\n0\r\n" + trailers.encode() + b"\r\n")
        assert connection.response("POST").status == 200
    [seen] = upstream.take()
    assert seen.body == b"hello" and b"forged" not in seen.head and seen.trailers == []


@pytest.mark.parametrize("mode", ["enforce", "shadow", "off"])
def test_forged_copies_in_every_mode_and_on_open_paths(world, start, mode):
    policy = {} if mode == "off" else {"policy": [{"path": "/open/", "open": True}, {}]}
    gate, upstream = start(dpop={"mode": mode}, **policy)
    forged = [(spelling, "forged") for name in OURS for spelling in spellings(name)[:5]]
    identity = ["x-popgate-subject", "x-popgate-client-id", "x-popgate-issuer", "x-popgate-scope", "x-popgate-jkt"]
    for path, credentials in (("/open/x", False), ("/closed", True), ("/closed", False)):
        with world.connect(gate) as connection:
            headers = (world.credentials("GET", path) if credentials else []) + forged
            response = world.request(connection, "GET", path, headers)
        if mode == "enforce" and path == "/closed" and not credentials:
            assert response.status == 401 and upstream.take() == []
            continue
        assert response.status == 200
        [seen] = upstream.take()
        assert b"forged" not in seen.head
        found = ours_at_the_service(seen)
        assert found["x-popgate-spiffe-id"] == ["spiffe://example.com/client-a"]
        assert all(len(values) == 1 for values in found.values()), found
        if mode == "off" or not credentials:
            assert not any(name in found for name in identity), found
        else:
            assert found["x-popgate-subject"] == ["service-a"]


def test_open_paths_are_not_widened(world, start):
    gate, upstream = start(policy=[{"path": "/public/", "open": True}, {}])
    with world.connect(gate) as connection:
        for target in ("/public/../admin", "/public/%2e%2e/admin", "/PUBLIC/x", "/publicx", "/public", "//public/x",
                       "/x/../publi%63x/", "/public/x/../../admin", "/./admin?/public/"):
            assert world.request(connection, "GET", target, []).status == 401, target
        for target, forwarded in (("/public/x", b"/public/x"), ("/a/../public/x", b"/public/x"),
                                  ("/publi%63/x", b"/public/x"), ("/public/a//b", b"/public/a//b")):
            assert world.request(connection, "GET", target, []).status == 200, target
            assert upstream.take()[0].target == forwarded
    for target in ("/public/..%2fadmin", "/public/..%5cadmin", "/public/..;/admin", "/public/%2e%2e%2fadmin"):
        with world.connect(gate) as connection:
            assert world.request(connection, "GET", target, []).status == 400, target
    expect_next_works(world, gate, upstream)


def test_rules_are_not_evaded_by_another_spelling(world, start):
    """What a service may read as another path than the rules did, for those that merge slashes, cut parameters, decode."""
    gate, upstream = start(policy=[{"path": "/admin/", "deny": True}, {"path": "/none", "open": True},
                                   {"path": "/open/", "open": True}, {"path": "/write/", "scope": ["never.given"]}, {}])
    evasions = ["//admin/x", "/admin;v=1/x", "/admin%2Fx", "/admin%5cx", "/admin%3bv/x", "/;a/admin/x", "/x/..//admin/x",
                "/%2fadmin/x", "//write/x", "/write;/x", "/write%2Fx", "/none;x", "//none", "/open;/x", "//open/x"]
    with world.connect(gate) as connection:
        for target in evasions:
            assert world.request(connection, "GET", target, []).status == 401, target
            response = world.request(connection, "GET", target, world.credentials("GET", target))
            assert response.status == 403 and response.get("www-authenticate") is None, (target, response.status)
        for target in ("/admin/x", "/open/../admin/x", "/open//../../admin/x", "/open/%2e%2e/admin/x", "/admin//x",
                       "/admin/;v/x", "/admin/%2Fx"):
            assert world.request(connection, "GET", target, []).status == 403, target
            assert world.request(connection, "GET", target, world.credentials("GET", target)).status == 403, target
        assert upstream.take() == []
        # A rule that holds however the path is read, and no rule at all, are no reason to refuse it.
        for target, forwarded in (("/open//a;b/%2F", b"/open//a;b/%2F"), ("/open//../admin/x", b"/open/admin/x"),
                                  ("/open/;/../x", b"/open/x")):
            assert world.request(connection, "GET", target, []).status == 200, target
            assert upstream.take()[0].target == forwarded
        for target in ("/files//a;v=1/b%2Fc", "/admin", "/ADMIN/x"):
            assert world.request(connection, "GET", target, world.credentials("GET", target)).status == 200, target
            assert upstream.take()[0].target == target.encode()
    expect_next_works(world, gate, upstream)


FORWARDED = [
    [("X-Forwarded-Host", "{host}")], [("X-Forwarded-Proto", "http")], [("X-Forwarded-Port", "8443")],
    [("X-Forwarded-Host", "{host}"), ("X-Forwarded-Proto", "{scheme}"), ("X-Forwarded-Port", "{port}"),
     ("X-Forwarded-Prefix", "/api"), ("X-Forwarded-Server", "{host}")],
    [("Forwarded", "host={host};proto={scheme};for=127.0.0.1")], [("Forwarded", "for=\"[::1]\";host=\"{host}:{port}\"")],
    [("X-Original-URL", "/api/x"), ("X-Rewrite-URL", "/api/x"), ("X-Original-Host", "{host}"), ("X-Host", "{host}")],
    [("X-HTTP-Method-Override", "POST"), ("X-Method-Override", "POST"), ("X-HTTP-Method", "POST")],
    [("X-Forwarded-Client-Cert", "Hash=00;URI=spiffe://evil")],
]


@pytest.mark.parametrize("number", range(len(FORWARDED)))
def test_forwarded_headers_never_move_htu_or_htm(world, gate, upstream, number):
    values = {"host": "evil.example.com", "scheme": "http", "port": "8443"}
    extra = [(k, v.format(**values)) for k, v in FORWARDED[number]]
    with world.connect(gate) as connection:
        for method, url in (("GET", "https://evil.example.com/x"), ("GET", "http://orders.example.com/x"),
                            ("GET", "http://evil.example.com:8443/x"), ("GET", "http://evil.example.com/api/x"),
                            ("GET", ORIGIN + ":8443/x"), ("GET", ORIGIN + "/api/x")):
            token = world.token()
            headers = [("Authorization", f"DPoP {token}"), ("DPoP", world.key.proof(method, url, token))] + extra
            expect_denied(world.request(connection, "GET", "/x", headers), "proof_htu")
        token = world.token()
        headers = [("Authorization", f"DPoP {token}"), ("DPoP", world.key.proof("POST", ORIGIN + "/x", token))] + extra
        expect_denied(world.request(connection, "GET", "/x", headers), "proof_htm")
        assert upstream.take() == []
        assert world.request(connection, "GET", "/x", world.credentials("GET", "/x") + extra).status == 200
    [seen] = upstream.take()
    assert seen.target == b"/x" and seen.method == b"GET" and seen.get("host") == "orders.example.com"


def test_host_and_server_name_agree(world, start):
    own = world.authority.issue("two-names", dns=["a.example.com", "b.example.com"], server=True, client=False)
    gate, upstream = start(tls={"certificate": str(own.path), "private_key": str(own.key_path)},
                           public_origins=["https://a.example.com", "https://b.example.com"])

    def request(server_name, host):
        token = world.token()
        headers = [("Authorization", f"DPoP {token}"), ("DPoP", world.key.proof("GET", f"https://{host}/", token))]
        with world.connect(gate, server_name=server_name) as connection:
            connection.send(request_bytes("GET", "/", host=host, headers=headers))
            return connection.response().status
    assert request("a.example.com", "a.example.com") == 200
    assert request("b.example.com", "b.example.com") == 200
    assert request("a.example.com", "b.example.com") == 421
    assert request("b.example.com", "a.example.com") == 421
    assert [seen.get("host") for seen in upstream.take()][:2] == ["a.example.com", "b.example.com"]


# ---- the log ----

FORGED = '{"event":"forged","level":"info"}'
NASTY = ["\n" + FORGED, "\r\n" + FORGED, '"}\n' + FORGED, '","event":"forged","x":"', "\\", '\\"', "\u2028" + FORGED,
         "\x1b[2J", "\x00", "\x85", "\u202e", "a" * 5000, "%n%s%x", "\ud7ff", "\U0001f600"]


def expect_honest_log(gate):
    """Every line is one JSON object, and none says what only a forged one says."""
    lines = [line for line in list(gate.lines) if line]
    assert lines
    for line in lines:
        entry = json.loads(line)
        assert isinstance(entry, dict), line
        assert entry.get("event") != "forged", line
        assert not re.search(r"[\x00-\x1f\x7f]", line), repr(line)
        assert len(line) < 16384, len(line)


@pytest.mark.parametrize("number", range(len(NASTY)))
def test_nothing_a_client_sends_makes_a_line_of_the_log(world, start, shared_gate, gate, upstream, number):
    nasty = NASTY[number]
    with world.connect(gate) as connection:
        token = world.token(payload={"jti": nasty, "sub": nasty})
        world.request(connection, "GET", "/log", world.credentials("GET", "/log", token=token))
        for change in ({"kid": nasty}, {"alg": nasty}, {"typ": nasty}):
            token = world.token(header=change)
            world.request(connection, "GET", "/log", world.credentials("GET", "/log", token=token))
        for change in ({"iss": nasty}, {"aud": nasty}, {"scope": nasty}, {"client_id": nasty}):
            token = world.token(payload=change)
            world.request(connection, "GET", "/log", world.credentials("GET", "/log", token=token))
        for change in ({"jti": nasty + "x"}, {"htu": nasty}, {"htm": nasty}, {"ath": nasty}, {"nonce": nasty}):
            world.request(connection, "GET", "/log", world.credentials("GET", "/log", payload=change))
        for change in ({"alg": nasty}, {"typ": nasty}, {"kid": nasty}):
            world.request(connection, "GET", "/log", world.credentials("GET", "/log", header=change))
        quoted = "".join(f"%{byte:02X}" for byte in nasty.encode("utf-8", "surrogatepass") if byte)[:3000]
        world.request(connection, "GET", f"/log/{quoted}?{quoted}", [])
    for part in (nasty.encode("utf-8", "surrogatepass"),):
        text = part.replace(b"\r", b"").replace(b"\n", b"").replace(b"\x00", b"")
        with world.connect(gate) as connection:
            connection.send(b"GET /log HTTP/1.1\r\nHost: orders.example.com\r\nX-A: " + text + b"\r\nUser-Agent: " + text +
                            b"\r\nReferer: " + text + b"\r\ntraceparent: " + text + b"\r\n\r\n")
            try:
                connection.response()
            except Closed:
                pass
        with world.connect(gate) as connection:
            connection.send(b"GET /" + part + b" HTTP/1.1\r\nHost: " + part + b"\r\n\r\n")
            try:
                assert connection.response().status in (400, 421)
            except Closed:
                pass
    upstream.take()
    expect_next_works(world, gate, upstream)
    gate.wait_log(path="/next")
    expect_honest_log(gate)


@pytest.mark.parametrize("subject", ["a\nb", "a\"b", "a\\b", "a,CN=b", "a;URI=spiffe://evil", "x\",By=spiffe://evil;Hash=00",
                                     "\x1b[2J", "a" * 60, "\u00e4", "a=b+c=d", " a ", "#a", FORGED[:60]])
def test_a_certificate_subject_stays_one_value(world, gate, upstream, subject):
    made = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, subject), x509.NameAttribute(NameOID.COMMON_NAME, "c")])
    leaf = world.authority.issue("nasty", spiffe="spiffe://example.com/nasty", subject=made)
    try:
        with world.connect(gate, leaf) as connection:
            status = world.request(connection, "GET", "/cert").status
            assert status == 200
    except (OSError, Closed):
        assert upstream.take() == []  # refused, never cut
    else:
        [seen] = upstream.take()
        found = ours_at_the_service(seen)
        assert found["x-popgate-spiffe-id"] == ["spiffe://example.com/nasty"]
        [value] = found["x-forwarded-client-cert"]
        # Envoy's grammar: elements by ",", pairs by ";", a quoted value with \" for a quote
        pair = r'(?:By|Hash|Subject|URI|DNS)=(?:"(?:[^"\\]|\\.)*"|[^",;=]*)'
        assert re.fullmatch(rf"{pair}(?:;{pair})*", value), value
        pairs = re.findall(r'(By|Hash|Subject|URI|DNS)=("(?:[^"\\]|\\.)*"|[^",;=]*)', value)
        names = [name for name, _ in pairs]
        assert len(names) == len(set(names)) and dict(pairs)["Hash"] == leaf.sha256.hex()
        assert dict(pairs)["URI"] == "spiffe://example.com/nasty"
        gate.wait_log(path="/cert")
    expect_honest_log(gate)
