#!/usr/bin/python3
"""Deliberate breakages, each of which the suite must catch. The sources are copied, each breakage is made in the copy by an
exact edit (a text that is not there exactly once is an error: the table has to follow the code), the one program that should
notice is built and the named tests are run. A breakage that they survive is a failure, and so is a test that fails without
any. Prints a line for each, then `N passed, N failed`; passed is caught.

    usage: run.py [--build DIR] [--only NAME]
"""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Mutant:
    """`edits`: (file, the text that is there, what it becomes). `program` and `tests`: a Criterion program and the patterns
    of its tests, or "e2e" and what pytest selects by."""

    def __init__(self, name, edits, program, *tests):
        self.name, self.edits, self.program, self.tests = name, edits, program, tests


MUTANTS = [
    # a check skipped
    Mutant("the token's binding to the proof's key is not compared",
           [("src/auth/worker.c", "memcmp(token->jkt, work->key->thumbprint, sizeof(token->jkt)) != 0",
             "memcmp(token->jkt, work->key->thumbprint, 0) != 0")], "unit_auth", "attacks/two_keys_one_jti_and_wrong_keys"),
    Mutant("the certificate a token is bound to is not compared",
           [("src/auth/worker.c", "memcmp(token->x5t, request->certificate_sha256, sizeof(token->x5t)) != 0", "false")],
           "unit_auth", "attacks/certificate_bound_tokens"),
    Mutant("a DPoP-bound token passes as Bearer",
           [("src/auth/worker.c", "        if (token->has_jkt) {\n            return auth_deny(check, AUTH_DENIAL_TOKEN_BOUND_AS_BEARER",
             "        if (false) {\n            return auth_deny(check, AUTH_DENIAL_TOKEN_BOUND_AS_BEARER")],
           "unit_auth", "attacks/certificate_bound_tokens", "attacks/schemes"),
    Mutant("ath has to be there but may be anything",
           [("src/auth/proof.c", "if (ath == NULL || !span_equal(ath->text, span_make(expected, sizeof(expected)))) {",
             "if (ath == NULL) {")], "unit_auth", "attacks/proof_members_missing_or_ill_typed"),
    Mutant("a certificate that expired meanwhile passes",
           [("src/auth/worker.c", "if (request->certificate_not_after_s < now->wall_s) {", "if (false) {")],
           "unit_auth", "attacks/a_failed_check_burns_no_jti"),
    Mutant("extended key usage is not asked for",
           [("src/tls/chain.c", "if (!X509_VERIFY_PARAM_set_purpose(param, trust->purpose)) {",
             "if (trust->purpose < 0) {")], "unit_tls", "tls/refuses_a_certificate_for_servers_only"),
    # a comparison loosened
    Mutant("htm is compared without case",
           [("src/auth/proof.c", "if (htm == NULL || !span_equal(htm->text, method)) {",
             "if (htm == NULL || !span_equal_ignore_case(htm->text, method)) {")],
           "unit_auth", "attacks/proof_members_missing_or_ill_typed"),
    Mutant("htu is compared without its path",
           [("src/auth/proof.c", "!span_equal(uri.path, request->path)) {", "uri.path.size == 0) {")],
           "unit_auth", "attacks/htu_confusions"),
    Mutant("a host that begins like the server name passes",
           [("src/proxy/origin.c", "span_equal_ignore_case(host_of(authority), server_name)",
             "span_equal_ignore_case(span_first(host_of(authority), 1), span_first(server_name, 1))")],
           "unit_proxy", "origin/*"),
    Mutant("a dot segment may hide behind an escape",
           [("src/base/uri.c", "        if (is_dots(out, start, at)) {\n            return true;\n        }\n", "")],
           "unit_base", "uri/normalises_or_refuses_absolute_uris"),
    # a limit or an edge off by one
    Mutant("iat may be a second further ahead",
           [("src/auth/proof.c", "iat->integer > newest) {", "iat->integer > newest + 1) {")], "unit_auth", "attacks/iat_edges"),
    Mutant("a token is good in the second of its exp",
           [("src/auth/token.c", "if (now_s >= expires_s) {", "if (now_s > expires_s) {")],
           "unit_auth", "attacks/tokens", "attacks/a_cache_hit_after_exp"),
    Mutant("one header more than the limit",
           [("src/http/http1_request.c", "if (parser->scan->lines - 1 > headers_max) {",
             "if (parser->scan->lines - 2 > headers_max) {")], "unit_http", "http1_request/*"),
    Mutant("17 digits of a chunk size", [("src/http/http1_body.c", "SIZE_DIGITS_MAX = 16", "SIZE_DIGITS_MAX = 17")],
           "unit_http", "http1_body/*"),
    # a time that ends too early, an order turned round, a default that lets through
    Mutant("a proof is forgotten before it can no longer be accepted",
           [("src/auth/proof.c", "(reach_s > own_s ? reach_s : own_s) + 1 - now->wall_s",
             "(reach_s > own_s ? reach_s : own_s) - worker->settings->clock_skew_s - now->wall_s")],
           "unit_auth", "attacks/replays", "attacks/replay_memory_outlasts_acceptance"),
    Mutant("the proof is remembered before its signature is verified",
           [("src/auth/worker.c", "        status = check_binding(worker, request, check, work);\n    }\n    return status;\n",
             "        status = check_binding(worker, request, check, work);\n    }\n"
             "    if (status == STATUS_OK && work->key != NULL) {\n"
             "        status = replay_insert(worker->shared->replay, work->replay_key,\n"
             "                               now->boot_ns / (uint64_t)SECOND_NS, work->replay_expires_boot_s);\n"
             "        if (status != STATUS_OK) {\n            return deny_unremembered(check, status);\n        }\n    }\n"
             "    return status;\n"),
            ("src/auth/worker.c", "/* Proof and token of a request whose framing is in order",
             "static enum status deny_unremembered(struct auth_check *check, enum status status);\n\n"
             "/* Proof and token of a request whose framing is in order"),
            ("src/auth/worker.c", "    if (work->key != NULL && work->insertion->status != STATUS_OK) {", "    if (false) {")],
           "unit_auth", "attacks/ecdsa_signatures", "attacks/two_keys_one_jti_and_wrong_keys"),
    Mutant("a job nobody verified counts as verified",
           [("src/crypto/batch.c", "jobs[i].status = STATUS_FAILED;", "jobs[i].status = STATUS_OK;")],
           "unit_crypto", "batch/what_is_no_job_fails"),
    # the signature engines
    Mutant("ES256: the top window's digit may be negative (64-bit words)",
           [("src/crypto/p256_recode.c", "bits[3] = odd[3] >> 1 | UINT64_C(1) << 63;", "bits[3] = odd[3] >> 1;")],
           "unit_crypto", "p256_recode/*"),
    Mutant("ES256: the top window's digit may be negative (vectors)",
           [("src/crypto/p256_load_ifma.c", "fe8_set1(UINT64_C(1) << 63)", "fe8_set1(0)")],
           "unit_crypto_avx512", "p256_engine/x_plus_p_is_refused*", "p256_engine/digests_above_n"),
    Mutant("ES256: r + n is never tried (64-bit words)",
           [("src/crypto/p256_verify64.h", "if (!equal && p256_second_x(second, r)) {",
             "if (!equal && p256_second_x(second, r) && false) {")], "unit_crypto", "p256_engine/sums_whose_x_is_above_n"),
    Mutant("ES256: r + n is never tried (vectors)",
           [("src/crypto/p256_decide_ifma.c", "good |= second & equal_lanes(x, zz, minus_x);", "")],
           "unit_crypto_avx512", "p256_engine/sums_whose_x_is_above_n"),
    Mutant("ES256: r + n is tried where it is no coordinate",
           [("src/crypto/p256_scalar.c", "return (uint64_t)(c >> 64) == 0 && p256_words_below(out, fe64_p.v);",
             "return (uint64_t)(c >> 64) == 0;")], "unit_crypto", "p256_engine/sums_whose_x_is_above_n"),
    Mutant("ES256: r and s may be zero or above n",
           [("src/crypto/p256_scalar.c", "return (out[0] | out[1] | out[2] | out[3]) != 0 && p256_words_below(out, p256_order);",
             "return (out[0] | out[1] | out[2] | out[3]) != 0;")], "unit_crypto", "p256_engine/r_and_s_at_the_ends"),
    Mutant("ES256: an engine's statuses start as passed",
           [("src/crypto/p256_scalar.c", "jobs[i].status = STATUS_FAILED;", "jobs[i].status = STATUS_OK;")],
           "unit_crypto", "p256_engine/r_and_s_at_the_ends"),
    Mutant("EdDSA: an engine's statuses start as passed",
           [("src/crypto/ed25519_engine.c", "jobs[i].status = STATUS_FAILED;", "jobs[i].status = STATUS_OK;")],
           "unit_crypto", "ed25519_engine/r_and_s_at_their_edges"),
    Mutant("ES256: the last Z is not looked at (64-bit words)",
           [("src/crypto/p256_verify64.h", "    if (fe64_is_zero(zz)) {\n        return STATUS_AGAIN;", "    if (false) {\n        return STATUS_AGAIN;")],
           "unit_crypto", "p256_engine/collisions_in_every_kind_of_addition"),
    Mutant("ES256: the last Z is not looked at (vectors)",
           [("src/crypto/p256_decide_ifma.c", "*exceptional |= fe8_is_zero(&digits);", "*exceptional |= fe8_is_zero(&digits) & 0;")],
           "unit_crypto_avx512", "p256_engine/collisions_in_every_kind_of_addition"),
    Mutant("ES256: a poisoned pair's owner is forgotten",
           [("src/crypto/p256_verify64.h", "exceptional[pairs[i].owner] = true;", "exceptional[pairs[i].owner] = false;")],
           "unit_crypto", "p256_engine/collisions_in_every_kind_of_addition"),
    Mutant("ES256: a poisoned pair poisons the whole level",
           [("src/crypto/p256_verify64.h", "            differences[i] = fe64_one;\n", "")],
           "unit_crypto", "p256_engine/collisions_in_every_kind_of_addition"),
    Mutant("ES256 in assembly: a product's carry from row to row is lost",
           [("src/crypto/p256_field64_bmi2.h", r'"adcq %[" #carry "], %[" #top "]\n\t"', r'"adcq $0, %[" #top "]\n\t"')],
           "unit_crypto", "p256_field64_bmi2/*"),
    Mutant("ES256 in assembly: a sum of 2^256 and more is not reduced",
           [("src/crypto/p256_field64_bmi2.h", r'"sbbq $0, %%rdx\n\t"', r'"" /* none */')],
           "unit_crypto", "p256_field64_bmi2/*"),
    Mutant("ES256 in assembly: a square is added to the wrong chain's carry",
           [("src/crypto/p256_field64_bmi2.h", r'            "adoxq %[shift], %[t7]\n\t"' + "\n", "")],
           "unit_crypto", "p256_field64_bmi2/*"),
    Mutant("ES256: a poisoned lane is forgotten",
           [("src/crypto/p256_verify_ifma.c", "exceptional[g] |= zero;", "exceptional[g] |= zero & 0;")],
           "unit_crypto_avx512", "p256_engine/collisions_in_every_kind_of_addition"),
    Mutant("ES256: a poisoned lane poisons its neighbours",
           [("src/crypto/p256_verify_ifma.c", "chains[g].product = fe8_blend(zero, &chains[g].product, &one);", "")],
           "unit_crypto_avx512", "p256_engine/collisions_in_every_kind_of_addition"),
    Mutant("ES256: a point off the curve gets a table",
           [("src/crypto/p256_engine.c", "return fe64_equal(&left, &right) ? STATUS_OK : STATUS_FAILED;",
             "return fe64_equal(&left, &right) ? STATUS_OK : STATUS_OK;")], "unit_crypto", "p256_engine/keys_that_are_none_are_refused"),
    Mutant("ES256: a new key may be off the curve",
           [("src/crypto/p256_unknown_ifma.c", "*invalid |= (__mmask8)~fe8_is_zero(&t);", "")],
           "unit_crypto_avx512", "p256_engine/keys_that_are_none_among_unknown_ones"),
    Mutant("ES256: a coordinate is reduced",
           [("src/crypto/p256_engine.c", "if (!p256_words_below(x, fe64_p.v) || !p256_words_below(y, fe64_p.v)) {", "if (false) {")],
           "unit_crypto", "p256_engine/x_plus_p_is_refused_where_x_is_good"),
    Mutant("EdDSA: S at or above L passes",
           [("src/crypto/ed25519_rule.c", "return below(s, group_order);", "return below(s, group_order) || below(s, field_prime);")],
           "unit_crypto", "ed25519_engine/r_and_s_at_their_edges"),
    Mutant("EdDSA: a key of small order passes",
           [("src/crypto/ed25519_rule.c", "if (memcmp(y, torsion_y[i], sizeof y) == 0) {", "if (false) {")],
           "unit_crypto", "ed25519_engine/keys_that_are_refused_have_no_table"),
    Mutant("EdDSA: a key is reduced modulo p",
           [("src/crypto/ed25519_rule.c", "if (!below(y, field_prime)) {", "if (!below(y, field_prime) && false) {")],
           "unit_crypto", "ed25519_engine/keys_that_are_refused_have_no_table"),
    Mutant("EdDSA: R is compared without its sign",
           [("src/crypto/ed25519_engine.c", "(yw[3] ^ r[3])) == 0", "(yw[3] ^ r[3]) << 1) == 0")],
           "unit_crypto", "ed25519_engine/r_and_s_at_their_edges"),
    Mutant("what an engine hands back counts as verified",
           [("src/crypto/batch.c", "job->job->status = job->status == STATUS_OK ? STATUS_OK : STATUS_FAILED;\n        /* Only",
             "job->job->status = job->status != STATUS_FAILED ? STATUS_OK : STATUS_FAILED;\n        /* Only"),
            ("src/crypto/batch.c", "if (!together || job->status == STATUS_AGAIN) {", "if (!together) {")],
           "unit_crypto", "batch/an_engines_doubt_about_new_keys_goes_to_the_reference"),
    Mutant("a retired context is given back at once",
           [("src/crypto/key_contexts.c", "    atomic_fetch_add(&store->retired_bytes, context->bytes);\n    rcu_defer(&context->deferred, free_retired);",
             "    (void)free_retired;\n    context_cleanup(context);\n    give_back(store, context, context->bytes);")],
           "unit_crypto", "key_contexts/memory_held_by_a_reader_counts_until_it_is_freed"),
    Mutant("a context is found by its hash alone",
           [("src/crypto/key_contexts.c", "span_equal(identity(&context->key), identity(wanted));",
             "identity(&context->key).size == identity(wanted).size;")],
           "unit_crypto", "key_contexts/a_key_is_found_after_it_was_built_and_only_by_itself"),
    Mutant("a limb's carry is shifted without its sign",
           [("src/crypto/p256_field_ifma.h", "_mm512_srai_epi64(r.v[i - 1], 52)", "_mm512_srli_epi64(r.v[i - 1], 52)")],
           "unit_crypto_avx512", "p256_field_ifma/equals_big_numbers_at_the_bounds"),
    # framing and the trust boundary
    Mutant("Content-Length beside Transfer-Encoding passes",
           [("src/http/http1_head.c", "if (length && coding) {", "if (false) {")],
           "unit_http", "http1_request/every_listed_trick_gets_its_answer_at_every_split"),
    Mutant("any byte will do where a CRLF belongs",
           [("src/http/http1_body.c", "    return byte == wanted ? STATUS_OK : STATUS_MALFORMED;",
             "    return byte == wanted || byte != 0 ? STATUS_OK : STATUS_MALFORMED;")], "unit_http", "http1_body/*"),
    Mutant("a forged copy of our header is passed on",
           [("src/http/fields.c", "set |= 1u << HTTP_FIELD_OURS | 1u << HTTP_FIELD_DISGUISED;",
             "set |= 1u << HTTP_FIELD_DISGUISED;")], "unit_http", "fields/requests_lose_what_is_not_for_the_service"),
    Mutant("'_' for '-' is not seen through",
           [("src/http/fields.c", "scan_is_plain(name.data[i]) ? name.data[i] : '-'", "name.data[i]")],
           "unit_http", "fields/any_sign_for_the_dash_is_seen_through"),
    Mutant("a rule is found by the path as it stands, whatever the service makes of it",
           [("src/auth/policy.c", "return count == 0 || policy_path_is_plain(path) ||", "return true || count == 0 ||")],
           "unit_auth", "policy/*"),
    # HTTP/2 into the messages of HTTP/1.1
    Mutant("a field name in upper case passes in HTTP/2",
           [("src/http/h2_head.c", "if (name.data[i] >= 'A' && name.data[i] <= 'Z') {", "if (name.data[i] > 'Z') {")],
           "unit_http", "h2_head/names_and_values_are_judged"),
    Mutant("Transfer-Encoding passes in HTTP/2",
           [("src/http/h2_head.c", "if (field == HTTP_FIELD_CONNECTION || field == HTTP_FIELD_TRANSFER_ENCODING ||",
             "if (field == HTTP_FIELD_CONNECTION ||")], "unit_http", "h2_head/names_and_values_are_judged"),
    Mutant("Host may differ from :authority",
           [("src/http/h2_head.c", "        !span_equal(host, head->uri.authority)) {", "        host.size == 0) {")],
           "unit_http", "h2_head/authority_and_host_must_agree"),
    Mutant("more content than Content-Length passes in HTTP/2",
           [("src/http/h2_receive.c", "(stream->has_length && size > stream->content_left)", "(stream->has_length && size > 1u << 30)")],
           "unit_http", "h2_receive/content_must_be_what_was_announced"),
    Mutant("misbehaviour in HTTP/2 costs nothing",
           [("src/http/h2_session.c", "    session->budget -= cost;\n", "    session->budget -= cost > 0 ? 0 : cost;\n")],
           "unit_http", "h2_session/floods_end_in_calm"),
    # tunnels and PROXY headers
    Mutant("any 101 opens a tunnel",
           [("src/proxy/websocket.c", "    return span_equal(only_value(response, SPAN_LITERAL(\"Sec-WebSocket-Accept\")),\n"
             "                      span_make(accept, WEBSOCKET_ACCEPT_BYTES));",
             "    return only_value(response, SPAN_LITERAL(\"Sec-WebSocket-Accept\")).size == WEBSOCKET_ACCEPT_BYTES &&\n"
             "           accept != NULL;")], "unit_proxy", "websocket/only_the_answer_to_this_key_is_one"),
    Mutant("a tunnel outlives the token",
           [("src/proxy/exchange.c", "    if (token_s > 0 && token_s < exchange->expires_s) {", "    if (token_s > 0 && token_s > exchange->expires_s) {")],
           "e2e", "test_a_tunnel_ends_with_its_token"),
    Mutant("anyone may send a PROXY header",
           [("src/proxy/downstream.c", "settings->proxy_protocol_trusted_count, &downstream->client)) {\n        return true;",
             "settings->proxy_protocol_trusted_count, &downstream->client)) {\n"
             "        bool unused = settings->proxy_protocol_trusted_count == 0;\n        if (unused) {\n            return true;\n        }")],
           "e2e", "test_from_anyone_else_it_is_no_tls"),
    Mutant("a PROXY header's checksum is not compared",
           [("src/proxy/proxy_protocol.c", "if (crc32c(header, at) != sum) {", "if (crc32c(header, at) == 0 && sum != 0) {")],
           "unit_proxy", "proxy_protocol/a_checksum_is_checked"),
    # memory: nonces, the floor, the replay file
    Mutant("a nonce is good for ever",
           [("src/auth/nonce.c", "if (age < -NONCE_AHEAD_S || age > NONCE_LIFE_S) {", "if (age < -NONCE_AHEAD_S) {")],
           "unit_auth", "nonce/is_good_for_its_life_and_tells_its_age"),
    Mutant("a nonce from before the memory was lost admits a proof",
           [("src/auth/nonce.c", "if (!own && (issuer->scope == NONCE_INSTANCE || purpose == NONCE_BELOW_FLOOR)) {",
             "if (!own && issuer->scope == NONCE_INSTANCE && purpose != NONCE_BELOW_FLOOR) {")],
           "unit_auth", "floor/below_it_only_a_nonce_minted_after_the_raise"),
    Mutant("a clock set back raises no floor",
           [("src/auth/floor.c", "if (highest != 0 && highest - offset > AUTH_CLOCK_STEP_NS) {", "if (highest < 0) {")],
           "unit_auth", "floor/a_clock_set_back_replays_nothing"),
    Mutant("a start without memory raises no floor",
           [("src/app/gate_start.c", "(survived == REPLAY_FRESH && !config->replay.cold_start_accept))) {", "false)) {")],
           "e2e", "test_a_restart_without_memory_challenges_older_proofs"),
    Mutant("a replay file of another boot is taken over",
           [("src/replay/file.c", "if (memcmp(identity.boot_id, fresh->boot_id, sizeof identity.boot_id) != 0 ||", "if (")],
           "unit_replay", "file/another_boot_is_made_anew"),
    Mutant("a replay file that others may write is used",
           [("src/replay/file.c", "} else if ((status.st_mode & 077) != 0) {", "} else if ((status.st_mode & 077) == 077) {")],
           "unit_replay", "file/what_others_could_touch_is_refused"),
    Mutant("a replay file cut short under us still says yes",
           [("src/replay/replay_cache.c", "    lost = is_lost(cache);\n    for (size_t i = 0; i < count; i++) {\n        if (lost) {",
             "    for (size_t i = 0; i < count; i++) {\n        if (lost) {")],
           "unit_replay", "file/cut_short_under_us_nothing_passes"),
    Mutant("a service's connection with bytes left over is used again",
           [("src/proxy/upstream.c", "upstream->poisoned = upstream->poisoned || bytes.size > 0;", "")],
           "e2e", "test_leftover_bytes_poison_the_connection or test_a_body_behind_204"),
]


def copy_tree(to):
    """What git tracks, so that no build and no crash of a fuzzer comes along. Times are kept: a second run builds little."""
    listed = subprocess.run(["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                            capture_output=True, check=True).stdout
    kept = set()
    for name in filter(None, listed.decode().split("\0")):
        source, target = ROOT / name, to / name
        if not source.is_file():
            continue
        kept.add(target)
        if target.exists() and target.read_bytes() == source.read_bytes():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    for old in [path for path in to.rglob("*") if path.is_file() and path not in kept]:
        old.unlink()


def build(folder, program, log):
    target = ["popgate"] if program == "e2e" else [program]
    with log.open("ab") as out:
        return subprocess.run(["ninja", "-C", folder, "-j", str(os.cpu_count()), *target], stdout=out,
                              stderr=subprocess.STDOUT).returncode == 0


def caught(tree, folder, mutant, log):
    """True if one of the tests fails; every test has to exist."""
    if mutant.program == "e2e":
        commands = [[sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", str(tree / "tests" / "e2e"),
                     "-k", f"({mutant.tests[0]}) and epoll"]]
    else:
        commands = [[str(folder / "tests" / mutant.program), "--filter", test, "--jobs", "2", "--timeout", "170"]
                    for test in mutant.tests]
    environment = dict(os.environ, POPGATE=str(folder / "popgate"), PYTHONDONTWRITEBYTECODE="1")
    for command in commands:
        run = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=180, env=environment, cwd=tree)
        with log.open("ab") as out:
            out.write(run.stdout[-4000:] + run.stderr[-4000:])
        if b"Tested: 0 " in run.stderr or run.returncode == 5:
            raise LookupError(f"no test is called {command[-1]}")
        if run.returncode != 0:
            return True
    return False


def break_one(tree, folder, mutant, log):
    """What became of it, and whether that is as it should be."""
    originals = {}
    try:
        for name, old, new in mutant.edits:
            path = tree / name
            text = path.read_text()
            originals.setdefault(path, text)
            if text.count(old) != 1:
                return f"the text is there {text.count(old)} times in {name}: {old[:60]!r}", False
            path.write_text(text.replace(old, new))
        if not build(folder, mutant.program, log):
            return f"does not compile, see {log}", False
        return ("caught", True) if caught(tree, folder, mutant, log) else ("SURVIVED", False)
    except (LookupError, subprocess.TimeoutExpired) as error:
        return str(error), False
    finally:
        for path, text in originals.items():
            path.write_text(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build-mutants")
    parser.add_argument("--only", help="those whose name contains this")
    options = parser.parse_args()
    scratch = options.build.resolve()
    tree, folder, log = scratch / "tree", scratch / "build", scratch / "log"
    scratch.mkdir(parents=True, exist_ok=True)
    log.write_bytes(b"")
    copy_tree(tree)
    with log.open("ab") as out:
        subprocess.run(["cmake", "-G", "Ninja", "-S", tree, "-B", folder, "-DPOPGATE_BENCH=OFF", "-DCMAKE_BUILD_TYPE=Debug",
                        "-DCMAKE_C_FLAGS_DEBUG=-O1 -g0 -Wno-error", "-DCMAKE_CXX_FLAGS_DEBUG=-O1 -g0",
                        *os.environ.get("CMAKE_FLAGS", "").split()], check=True, stdout=out, stderr=subprocess.STDOUT)
    chosen = [m for m in MUTANTS if not options.only or options.only in m.name]
    passed = failed = 0
    for program in sorted({m.program for m in chosen}):
        if not build(folder, program, log):
            print(f"{program} does not build, see {log}")
            print(f"{passed} passed, {len(chosen)} failed")
            return 1
        for mutant in {m.tests: m for m in chosen if m.program == program}.values():
            if caught(tree, folder, mutant, log):
                print(f"{mutant.tests}: fails without any breakage, see {log}")
                failed += 1
    for mutant in chosen if not failed else []:
        begun = time.monotonic()
        said, good = break_one(tree, folder, mutant, log)
        passed, failed = passed + good, failed + (not good)
        print(f"{said:10} {mutant.name}  ({mutant.program}: {', '.join(mutant.tests)}; {time.monotonic() - begun:.1f} s)", flush=True)
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
