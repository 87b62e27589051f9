#include "crypto/sign.h"

#include "base/rcu.h"

#include <criterion/criterion.h>

#include <stdlib.h>

static const enum signature_algorithm algorithms[] = {SIGNATURE_ES256, SIGNATURE_ES384,
                                                      SIGNATURE_ES512, SIGNATURE_EDDSA,
                                                      SIGNATURE_PS256, SIGNATURE_RS256};
#define ALGORITHMS (sizeof algorithms / sizeof algorithms[0])

/* What we sign, our own verifier accepts, and nothing else. */
Test(sign, verifies_with_the_public_half)
{
    rcu_register();
    struct verifier_options options = {.key_memory_bytes = 1 << 20, .implementation = "reference"};
    struct verifier *verifier = verifier_new(&options);
    struct verify_scratch *scratch = verify_scratch_new();
    for (size_t i = 0; i < ALGORITHMS; i++) {
        struct signing_key *key = signing_key_generate(algorithms[i]);
        cr_assert(key != NULL);
        struct public_key public_key;
        signing_key_public(key, &public_key);
        cr_expect(public_key_validate(&public_key) == STATUS_OK);
        for (int round = 0; round < 20; round++) {
            uint8_t signature[SIGNATURE_BYTES_MAX];
            size_t size = 0;
            char message[] = "a message 00";
            message[10] = (char)('0' + round / 10);
            message[11] = (char)('0' + round % 10);
            cr_assert(signing_key_sign(key, algorithms[i], span_from_string(message), signature,
                                       &size) == STATUS_OK);
            struct verify_job jobs[2];
            for (size_t j = 0; j < 2; j++) {
                jobs[j] = (struct verify_job){.algorithm = algorithms[i],
                                              .key = &public_key,
                                              .message = span_from_string(j == 0 ? message : "x"),
                                              .signature = span_make(signature, size)};
            }
            verify_batch(verifier, scratch, jobs, 2);
            cr_expect(jobs[0].status == STATUS_OK, "algorithm %d", algorithms[i]);
            cr_expect(jobs[1].status == STATUS_FAILED);
        }
        signing_key_free(key);
    }
    verify_scratch_free(scratch);
    verifier_free(verifier);
    rcu_unregister();
}

Test(sign, keys_survive_being_written)
{
    for (size_t i = 0; i < ALGORITHMS; i++) {
        struct signing_key *key = signing_key_generate(algorithms[i]), *again = NULL;
        char *text = signing_key_write(key);
        cr_assert(text != NULL);
        cr_expect(strncmp(text, "-----BEGIN PRIVATE KEY-----\n", 28) == 0);
        cr_assert(signing_key_read(span_from_string(text), &again) == STATUS_OK);
        struct public_key one, two;
        signing_key_public(key, &one);
        signing_key_public(again, &two);
        cr_expect(memcmp(&one, &two, sizeof one) == 0);
        enum signature_algorithm usual = algorithms[i] == SIGNATURE_RS256 ? SIGNATURE_PS256
                                                                          : algorithms[i];
        cr_expect(signing_key_algorithm(again) == usual);
        signing_text_free(text);
        signing_key_free(key);
        signing_key_free(again);
    }
}

Test(sign, refuses_an_algorithm_of_another_key)
{
    for (size_t i = 0; i < ALGORITHMS; i++) {
        struct signing_key *key = signing_key_generate(algorithms[i]);
        for (int other = SIGNATURE_NONE; other < SIGNATURE_ALGORITHMS; other++) {
            uint8_t signature[SIGNATURE_BYTES_MAX];
            size_t size = 0;
            bool fits = signature_key_type((enum signature_algorithm)other) ==
                        signature_key_type(algorithms[i]);
            cr_expect(signing_key_sign(key, (enum signature_algorithm)other, SPAN_LITERAL("x"),
                                       signature,
                                       &size) == (fits ? STATUS_OK : STATUS_UNSUPPORTED));
        }
        signing_key_free(key);
    }
    cr_expect(signing_key_generate(SIGNATURE_NONE) == NULL);
}

Test(sign, refuses_what_is_no_signing_key)
{
    struct signing_key *key = (struct signing_key *)algorithms;
    cr_expect(signing_key_read(SPAN_LITERAL(""), &key) == STATUS_MALFORMED && key == NULL);
    cr_expect(signing_key_read(SPAN_LITERAL("-----BEGIN PRIVATE KEY-----\nMIIB\n"
                                            "-----END PRIVATE KEY-----\n"),
                               &key) == STATUS_MALFORMED);
    /* X25519 agrees on keys, it does not sign. */
    cr_expect(signing_key_read(
                  SPAN_LITERAL("-----BEGIN PRIVATE KEY-----\n"
                               "MC4CAQAwBQYDK2VuBCIEIHBNMWFmoSpgE7ZNKmtaJk0F9jbzYlP2sPSVr3rLXlVX\n"
                               "-----END PRIVATE KEY-----\n"),
                  &key) != STATUS_OK);
    signing_key_free(NULL);
    signing_text_free(NULL);
}
