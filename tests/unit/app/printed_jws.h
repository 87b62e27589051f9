/* A JWS that a command printed, taken apart by our own readers and judged by the reference. */
#ifndef POPGATE_TESTS_PRINTED_JWS_H
#define POPGATE_TESTS_PRINTED_JWS_H

#include "base/rcu.h"
#include "jose/base64url.h"
#include "jose/jwk.h"
#include "jose/jws.h"
#include "jose/jws_sign.h"
#include "unit/app/demo_folder.h"

#include <time.h>

static uint8_t scratch[65536];
static struct jws jws;
static struct json_parser *parser; /* from take_apart to put_away */
static struct json_document header, claims;
static uint8_t header_copy[8192];

static inline bool verifies(const struct public_key *key, enum signature_algorithm algorithm)
{
    rcu_register();
    struct verifier_options options = {.key_memory_bytes = 1 << 20, .implementation = "reference"};
    struct verifier *verifier = verifier_new(&options);
    struct verify_scratch *memory = verify_scratch_new();
    struct verify_job job = {.algorithm = algorithm,
                             .key = key,
                             .message = jws.signing_input,
                             .signature = jws.signature};
    verify_batch(verifier, memory, &job, 1);
    verify_scratch_free(memory);
    verifier_free(verifier);
    rcu_unregister();
    return job.status == STATUS_OK;
}

static inline struct json_document parse(struct span text)
{
    struct json_document document;
    cr_assert(json_parse(parser, text, &document) == STATUS_OK, "%.*s", SPAN_ARG(text));
    return document;
}

/* Takes the printed line apart; `prefix` is what --header puts before it. */
static inline void take_apart(const char *prefix)
{
    cr_assert(result.exit_code == 0, "%s", result.error);
    struct span line = span_from_string(result.out);
    cr_assert(line.size > 0 && line.data[line.size - 1] == '\n');
    cr_assert(span_find(line, '\n') == line.size - 1); /* one line */
    line = span_first(line, line.size - 1);
    cr_assert(span_starts_with(line, span_from_string(prefix)), "%s", result.out);
    line = span_after(line, strlen(prefix));
    cr_assert(jws_split(line, (struct span_mut){scratch, sizeof scratch}, &jws) == STATUS_OK);
    if (parser == NULL) {
        parser = json_parser_new(65536);
    }
    memcpy(header_copy, jws.header.data, jws.header.size);
}

static inline const char *text_of(struct json_document *document, const char *name)
{
    static char text[4][1024];
    static int next;
    const struct json_value *value = json_member(document, 0, name);
    if (value == NULL || value->type != JSON_STRING) {
        return "(none)";
    }
    char *out = text[next++ % 4];
    snprintf(out, sizeof text[0], "%.*s", SPAN_ARG(value->text));
    return out;
}

static int64_t number_of(struct json_document *document, const char *name)
{
    const struct json_value *value = json_member(document, 0, name);
    return value != NULL && value->type == JSON_INTEGER ? value->integer : INT64_MIN;
}

static inline struct public_key public_of(const char *file)
{
    struct signing_key *key = NULL;
    struct public_key public_key;
    char error[512];
    cr_assert(demo_read_key(in_demo(file), &key, error, sizeof error) == STATUS_OK, "%s", error);
    signing_key_public(key, &public_key);
    signing_key_free(key);
    return public_key;
}

/* The suites' end. */
static inline void put_away(void)
{
    json_parser_free(parser);
    parser = NULL;
    tear_down();
}

#endif
