/* Memory that fails, and memory that is not asked for: this program's own malloc counts, and fails
 * when told to. It serves simdjson as well, by libstdc++'s operator new. The sanitizers bring their
 * own malloc: nothing is tested under them. */
#include "jose/json.h"
#include "jose/jwks.h"
#include "support/own_malloc.h"
#include "unit/jose/vectors.h"

#include <criterion/criterion.h>
#include <stdio.h>

#if OWN_MALLOC
static unsigned long allocations;
static unsigned long failing; /* the allocation that fails, counted as above; 0: none */

extern void *__libc_malloc(size_t size);
void *malloc(size_t size)
{
    unsigned long number = __atomic_add_fetch(&allocations, 1, __ATOMIC_RELAXED);
    return number == failing ? NULL : __libc_malloc(size);
}

/* The first parser of a process has simdjson choose its implementation, for good. */
static void choose_implementation(void)
{
    json_parser_free(json_parser_new(0));
}
TestSuite(allocations, .init = choose_implementation);

Test(allocations, parsing_allocates_nothing)
{
    static char large[4096];
    int size = snprintf(large, sizeof large, "{\"a\":[");
    while (size < 4000) {
        size += snprintf(large + size, sizeof large - (size_t)size, "{\"b\\n%d\":[1.5]},", size);
    }
    snprintf(large + size, sizeof large - (size_t)size, "null]}");
    const char *const texts[] = {"{}",
                                 large,
                                 "[1,2.5e3,\"\\u00e9\"]",
                                 "{\"a\":1,\"a\":2}",
                                 "[1,",
                                 "1",
                                 "12345678901234567890",
                                 "\"\xff\"",
                                 "[[[[[[[[[[[[",
                                 "[\"\\ud800\"]",
                                 "{\"a\":123456789012345678901234567890}"};
    unsigned long before = allocations;
    struct json_parser *parser = json_parser_new(sizeof large);
    cr_assert_gt(allocations, before + 5, "the count counts, simdjson's and ours");
    before = allocations;
    unsigned accepted = 0;
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
            struct json_document document;
            accepted += json_parse(parser, span_from_string(texts[i]), &document) == STATUS_OK;
        }
    }
    cr_assert_eq(allocations, before, "%lu allocations", allocations - before);
    cr_assert_eq(accepted, 9);
    json_parser_free(parser);
}

Test(allocations, a_parser_is_whole_or_not_made)
{
    unsigned failures = 0;
    struct json_parser *parser = NULL;
    while (parser == NULL) {
        failing = allocations + 1 + failures++;
        parser = json_parser_new(100);
        failing = 0;
        cr_assert_lt(failures, 100);
    }
    cr_assert_gt(failures, 5, "simdjson's and ours failed, one after the other");
    struct json_document document;
    cr_assert_eq(json_parse(parser, SPAN_LITERAL("{}"), &document), STATUS_OK);
    json_parser_free(parser);
}

Test(allocations, a_set_is_whole_or_not_made)
{
    static const char text[] = "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" P256_X
                               "\",\"y\":\"" P256_Y "\",\"kid\":\"a\"}]}";
    struct jwks *jwks;
    const char *error;
    unsigned long before = allocations;
    cr_assert_eq(jwks_parse(span_from_string(text), &jwks, &error), STATUS_OK);
    unsigned long needed = allocations - before;
    jwks_free(jwks);
    unsigned without_memory = 0;
    for (unsigned long number = 1; number <= needed; number++) {
        failing = allocations + number;
        enum status status = jwks_parse(span_from_string(text), &jwks, &error);
        failing = 0;
        /* Some of the allocations are BoringSSL's: it does without a few, and without others no
         * point is valid. */
        cr_assert_eq(status == STATUS_OK, jwks != NULL);
        cr_assert_eq(status == STATUS_OK, error == NULL);
        without_memory += status == STATUS_NO_MEMORY && strcmp(error, "out of memory") == 0;
        jwks_free(jwks);
    }
    cr_assert_gt(without_memory, 8, "the parser's, the entries' and the set's");
    cr_assert_eq(jwks_parse(span_from_string(text), &jwks, &error), STATUS_OK);
    cr_assert_eq(jwks_count(jwks), 1);
    jwks_free(jwks);
}
#endif
