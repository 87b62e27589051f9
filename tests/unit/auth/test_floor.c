/* The floor, nonces, and a wall clock that is set back: DESIGN.md, Time. */
#include "support/gate.h"

#include <criterion/criterion.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

/* A nonce as a client takes it from the challenge to `check`. */
static void nonce_of(struct gate *gate, const struct auth_check *check, char nonce[48])
{
    char fields[AUTH_CHALLENGE_BYTES_MAX + 1];
    fields[auth_challenge(gate->worker, check, &gate->now, fields, AUTH_CHALLENGE_BYTES_MAX)] =
        '\0';
    const char *found = strstr(fields, "DPoP-Nonce: ");
    cr_assert_not_null(found, "%s", fields);
    snprintf(nonce, 48, "\"%.43s\"", found + strlen("DPoP-Nonce: "));
    cr_assert_null(strstr(found + 1, "DPoP-Nonce"), "one nonce an answer");
}

static enum auth_denial try_nonce(struct gate *gate, const char *nonce, struct auth_check *check)
{
    char *proof = gate_proof(gate, &(struct proof_spec){.nonce = nonce});
    gate_send(gate, "DPoP", gate->token, proof, check);
    auth_release(gate->worker, check);
    free(proof);
    return check->denial;
}

Test(floor, required_nonces)
{
    struct gate gate;
    gate_open(&gate, SIGNATURE_ES256);
    gate.settings.nonce_required = true;
    gate_reconfigure(&gate);
    struct auth_check check;
    char nonce[48], stranger[48];
    cr_expect_eq(try_nonce(&gate, NULL, &check), AUTH_DENIAL_PROOF_NONCE);
    nonce_of(&gate, &check, nonce);
    cr_expect_eq(try_nonce(&gate, nonce, &check), AUTH_DENIAL_NONE);
    cr_expect_eq(try_nonce(&gate, nonce, &check), AUTH_DENIAL_NONE,
                 "good for its life, not for once");
    cr_expect_not(check.nonce_ageing);
    cr_expect_eq(try_nonce(&gate, "7", &check), AUTH_DENIAL_PROOF_NONCE);
    cr_expect_eq(try_nonce(&gate, "\"\"", &check), AUTH_DENIAL_PROOF_NONCE);
    cr_expect_eq(try_nonce(&gate, "\"x\"", &check), AUTH_DENIAL_PROOF_NONCE);
    struct nonce_issuer *other = nonce_issuer_new(NULL, NONCE_INSTANCE);
    char text[NONCE_TEXT_BYTES];
    nonce_mint(other, gate.now.wall_s, text, sizeof(text));
    snprintf(stranger, sizeof(stranger), "\"%.43s\"", text);
    nonce_issuer_free(other);
    cr_expect_eq(try_nonce(&gate, stranger, &check), AUTH_DENIAL_PROOF_NONCE);
    gate_advance(&gate, NONCE_AGEING_S);
    cr_expect_eq(try_nonce(&gate, nonce, &check), AUTH_DENIAL_NONE);
    cr_expect_not(check.nonce_ageing);
    gate_advance(&gate, 1);
    cr_expect_eq(try_nonce(&gate, nonce, &check), AUTH_DENIAL_NONE);
    cr_expect(check.nonce_ageing, "the answer brings a fresh one");
    gate_advance(&gate, NONCE_LIFE_S - NONCE_AGEING_S - 1);
    cr_expect_eq(try_nonce(&gate, nonce, &check), AUTH_DENIAL_NONE);
    gate_advance(&gate, 1);
    cr_expect_eq(try_nonce(&gate, nonce, &check), AUTH_DENIAL_PROOF_NONCE);
    nonce_of(&gate, &check, nonce);
    cr_expect_eq(try_nonce(&gate, nonce, &check), AUTH_DENIAL_NONE);
    gate_close(&gate);
}

Test(floor, below_it_only_a_nonce_minted_after_the_raise)
{
    struct gate gate;
    gate_open(&gate, SIGNATURE_ES256);
    char before[48], after[48], text[NONCE_TEXT_BYTES];
    nonce_mint(gate.shared.nonces, gate.now.wall_s, text, sizeof(text));
    snprintf(before, sizeof(before), "\"%.43s\"", text);
    auth_raise_floor(&gate.shared, GATE_NOW_S + 5);
    struct auth_check check;
    cr_expect_eq(try_nonce(&gate, NULL, &check), AUTH_DENIAL_PROOF_FLOOR);
    cr_expect_eq(check.http_status, 401);
    cr_expect_eq(try_nonce(&gate, before, &check), AUTH_DENIAL_PROOF_FLOOR);
    nonce_of(&gate, &check, after);
    cr_expect_eq(try_nonce(&gate, after, &check), AUTH_DENIAL_NONE);
    cr_expect_not(check.nonce_ageing, "nonces are not asked for otherwise");
    /* Below the floor, but not older than the window. */
    char *proof = gate_proof(&gate, &(struct proof_spec){.nonce = after, .iat = "1799999934"});
    cr_expect_eq(gate_try(&gate, "DPoP", gate.token, proof), AUTH_DENIAL_PROOF_IAT);
    free(proof);
    proof = gate_proof(&gate, &(struct proof_spec){.nonce = after, .iat = "1799999935"});
    cr_expect_eq(gate_try(&gate, "DPoP", gate.token, proof), AUTH_DENIAL_NONE);
    cr_expect_eq(gate_try(&gate, "DPoP", gate.token, proof), AUTH_DENIAL_PROOF_REPLAY);
    free(proof);
    /* At the floor nothing is asked. */
    gate_advance(&gate, 4);
    cr_expect_eq(try_nonce(&gate, NULL, &check), AUTH_DENIAL_PROOF_FLOOR);
    gate_advance(&gate, 1);
    cr_expect_eq(try_nonce(&gate, NULL, &check), AUTH_DENIAL_NONE);
    gate_close(&gate);
}

Test(floor, is_never_lowered_and_a_second_loss_counts_too)
{
    struct gate gate;
    gate_open(&gate, SIGNATURE_ES256);
    struct auth_check check;
    char nonce[48];
    auth_raise_floor(&gate.shared, GATE_NOW_S + 100);
    cr_expect_eq(try_nonce(&gate, NULL, &check), AUTH_DENIAL_PROOF_FLOOR);
    nonce_of(&gate, &check, nonce);
    cr_expect_eq(try_nonce(&gate, nonce, &check), AUTH_DENIAL_NONE);
    auth_raise_floor(&gate.shared, GATE_NOW_S);
    cr_expect_eq(atomic_load(&gate.shared.floor_s), GATE_NOW_S + 100);
    cr_expect_eq(try_nonce(&gate, nonce, &check), AUTH_DENIAL_PROOF_FLOOR,
                 "what was minted before the second loss is of the memory lost");
    gate_close(&gate);
}

Test(floor, without_nonces_nothing_below_it_passes)
{
    struct gate gate;
    gate_open(&gate, SIGNATURE_ES256);
    struct nonce_issuer *nonces = gate.shared.nonces;
    gate.shared.nonces = NULL;
    auth_raise_floor(&gate.shared, GATE_NOW_S + 1);
    struct auth_check check;
    cr_expect_eq(try_nonce(&gate, "\"x\"", &check), AUTH_DENIAL_INTERNAL);
    cr_expect_eq(check.http_status, 503);
    gate.shared.nonces = nonces;
    gate_close(&gate);
}

/* An hour back: proofs of that hour, forgotten on the boot clock, would be good once more. */
Test(floor, a_clock_set_back_replays_nothing)
{
    struct gate gate;
    gate_open(&gate, SIGNATURE_ES256);
    struct auth_check check;
    char nonce[48];
    char *old = gate_proof(&gate, &(struct proof_spec){0});
    cr_expect_eq(gate_try(&gate, "DPoP", gate.token, old), AUTH_DENIAL_NONE);
    gate_advance(&gate, 300); /* its entry expires */
    struct clock_now later = gate.now;
    cr_expect_eq(try_nonce(&gate, NULL, &check), AUTH_DENIAL_NONE);
    gate.now.wall_s -= 300;
    gate.now.wall_ns -= UINT64_C(300) * 1000000000;
    cr_expect_eq(gate_try(&gate, "DPoP", gate.token, old), AUTH_DENIAL_PROOF_FLOOR);
    cr_expect_geq(atomic_load(&gate.shared.floor_s), later.wall_s + gate.settings.clock_skew_s);
    cr_expect_eq(try_nonce(&gate, NULL, &check), AUTH_DENIAL_PROOF_FLOOR);
    nonce_of(&gate, &check, nonce);
    cr_expect_eq(try_nonce(&gate, nonce, &check), AUTH_DENIAL_NONE,
                 "conforming clients get through");
    /* Set right again: no second raise, and what is younger than the floor needs no nonce. */
    int64_t floor_s = atomic_load(&gate.shared.floor_s);
    gate.now = later;
    gate_advance(&gate, (int64_t)replay_ahead_s(gate.shared.replay) + 1);
    cr_expect_eq(try_nonce(&gate, NULL, &check), AUTH_DENIAL_NONE);
    cr_expect_eq(atomic_load(&gate.shared.floor_s), floor_s);
    free(old);
    gate_close(&gate);
}

/* Another process of the same memory, as it stands after its start. */
static void open_second(struct gate *second, const struct gate *first)
{
    *second = *first;
    second->shared.floor_s = 0;
    second->shared.clock_offset_ns = 0;
    second->shared.floor_raises = 0;
    second->shared.nonces = nonce_issuer_new(NULL, NONCE_INSTANCE);
    auth_take_over(&second->shared);
    second->worker = auth_worker_new(&second->shared, &second->settings);
    cr_assert_not_null(second->worker);
}

static void close_second(struct gate *second)
{
    auth_worker_free(second->worker);
    nonce_issuer_free(second->shared.nonces);
}

static void step_wall(struct gate *gate, int64_t seconds)
{
    gate->now.wall_s += seconds;
    gate->now.wall_ns += (uint64_t)(seconds * 1000000000);
}

/* Two processes share a file: what one has accepted must not pass at the other, whoever of them saw
 * the clock go forward or back. */
Test(floor, a_clock_set_back_replays_nothing_at_another_process_either)
{
    enum { NEVER_ASKED, ASKED_BEFORE_THE_STEPS, AFTER_THE_FIRST_SAW_IT, CASES };
    for (int kind = 0; kind < CASES; kind++) {
        struct gate first, second;
        struct auth_check check;
        char nonce[48];
        gate_open(&first, SIGNATURE_ES256);
        open_second(&second, &first);
        if (kind != NEVER_ASKED) {
            cr_expect_eq(try_nonce(&second, NULL, &check), AUTH_DENIAL_NONE);
            step_wall(&first, 300);
        }
        char *old = gate_proof(&first, &(struct proof_spec){.jti = "\"old\""});
        cr_expect_eq(gate_try(&first, "DPoP", first.token, old), AUTH_DENIAL_NONE);
        struct clock_now then = first.now;
        gate_advance(&first, 100); /* its entry expires */
        step_wall(&first, kind != NEVER_ASKED ? -300 : -100);
        if (kind == AFTER_THE_FIRST_SAW_IT) {
            cr_expect_eq(try_nonce(&first, NULL, &check), AUTH_DENIAL_PROOF_FLOOR);
        }
        while (first.now.wall_s < then.wall_s) {
            gate_advance(&first, 1);
        }
        second.now = first.now;
        cr_expect_eq(gate_try(&second, "DPoP", first.token, old), AUTH_DENIAL_PROOF_FLOOR, "%d",
                     kind);
        cr_expect_eq(try_nonce(&second, NULL, &check), AUTH_DENIAL_PROOF_FLOOR);
        nonce_of(&second, &check, nonce);
        cr_expect_eq(try_nonce(&second, nonce, &check), AUTH_DENIAL_NONE, "%d", kind);
        free(old);
        close_second(&second);
        gate_close(&first);
    }
}

/* A step forward that the other process saw first is followed, without a raise; and it is the
 * height from which a step back is told. */
Test(floor, a_step_forward_seen_at_another_process_is_followed)
{
    struct gate first, second;
    struct auth_check check;
    gate_open(&first, SIGNATURE_ES256);
    open_second(&second, &first);
    cr_expect_eq(try_nonce(&second, NULL, &check), AUTH_DENIAL_NONE);
    step_wall(&first, 300);
    char *proof = gate_proof(&first, &(struct proof_spec){.jti = "\"of the first\""});
    cr_expect_eq(gate_try(&first, "DPoP", first.token, proof), AUTH_DENIAL_NONE);
    second.now = first.now;
    cr_expect_eq(try_nonce(&second, NULL, &check), AUTH_DENIAL_NONE);
    cr_expect_eq(atomic_load(&second.shared.floor_s), 0);
    cr_expect_eq(atomic_load(&second.shared.clock_offset_ns),
                 (int64_t)(second.now.wall_ns - second.now.boot_ns));
    step_wall(&second, -300);
    cr_expect_eq(try_nonce(&second, NULL, &check), AUTH_DENIAL_PROOF_FLOOR);
    free(proof);
    close_second(&second);
    gate_close(&first);
}

/* A proof from as far ahead as it was allowed then. */
Test(floor, a_clock_set_back_after_clock_skew_was_lowered_replays_nothing)
{
    struct gate gate;
    gate_open(&gate, SIGNATURE_ES256);
    gate.settings.clock_skew_s = 60;
    gate_reconfigure(&gate);
    cr_expect(replay_widen(gate.shared.replay, 3 * 60 + 3, 2 * 60));
    char iat[24];
    snprintf(iat, sizeof(iat), "%lld", (long long)gate.now.wall_s + 60);
    char *old = gate_proof(&gate, &(struct proof_spec){.iat = iat});
    cr_expect_eq(gate_try(&gate, "DPoP", gate.token, old), AUTH_DENIAL_NONE);
    gate.settings.clock_skew_s = 5;
    gate_reconfigure(&gate);
    step_wall(&gate, -300);
    struct auth_check check;
    cr_expect_eq(try_nonce(&gate, NULL, &check), AUTH_DENIAL_PROOF_FLOOR);
    gate_advance(&gate, 358); /* its entry has expired, and its iat is acceptable again */
    cr_expect_eq(gate_try(&gate, "DPoP", gate.token, old), AUTH_DENIAL_PROOF_FLOOR);
    free(old);
    gate_close(&gate);
}

Test(floor, steps_forward_and_the_jitter_of_two_reads_raise_nothing)
{
    struct gate gate;
    gate_open(&gate, SIGNATURE_ES256);
    struct auth_check check;
    cr_expect_eq(try_nonce(&gate, NULL, &check), AUTH_DENIAL_NONE);
    for (uint64_t jitter = 0; jitter <= AUTH_CLOCK_STEP_NS; jitter += AUTH_CLOCK_STEP_NS / 4) {
        struct clock_now usual = gate.now;
        gate.now.boot_ns += jitter;
        cr_expect_eq(try_nonce(&gate, NULL, &check), AUTH_DENIAL_NONE);
        gate.now = usual;
    }
    cr_expect_eq(atomic_load(&gate.shared.floor_s), 0);
    struct clock_now usual = gate.now;
    gate.now.boot_ns += AUTH_CLOCK_STEP_NS + 1;
    cr_expect_eq(try_nonce(&gate, NULL, &check), AUTH_DENIAL_PROOF_FLOOR);
    gate.now = usual;
    gate_advance(&gate, 20);
    /* forward by ten minutes, then honest proofs of that time */
    gate.now.wall_s += 300;
    gate.now.wall_ns += UINT64_C(300) * 1000000000;
    int64_t floor_s = atomic_load(&gate.shared.floor_s);
    cr_expect_eq(try_nonce(&gate, NULL, &check), AUTH_DENIAL_NONE);
    cr_expect_eq(atomic_load(&gate.shared.floor_s), floor_s);
    gate_close(&gate);
}
