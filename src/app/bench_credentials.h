/* Tokens and proofs for the load generator, signed ahead of time so that signing is no part of what
 * is measured. The issuer is the demo authority; the client keys are made here. */
#ifndef POPGATE_APP_BENCH_CREDENTIALS_H
#define POPGATE_APP_BENCH_CREDENTIALS_H

#include "base/span.h"
#include "base/status.h"
#include "crypto/verify.h"

#define BENCH_KEYS_MAX 65536

struct bench_credentials;

struct bench_credentials_options {
    const char *folder;                 /* of demo-authority: its issuer.key signs the tokens */
    enum signature_algorithm algorithm; /* of the proofs */
    size_t keys, proofs;                /* proof i is key i % keys' */
    const char *method, *url;           /* htm, htu */
    const char *audience;
    const char *keys_file; /* keeps the client keys from one run to the next, as clients do: read if
                              it is there, else made; NULL: new keys */
    bool repeat;           /* begin again when all are used: for targets that remember none */
};

/* Signs on every CPU this process may use. STATUS_OK sets *made (owned); else `error` gets a
 * sentence. */
MUST_CHECK enum status bench_credentials_new(const struct bench_credentials_options *options,
                                             struct bench_credentials **made, char *error,
                                             size_t error_size);
void bench_credentials_free(struct bench_credentials *credentials);

/* The next proof and the token it goes with; false: all are used. One thread. */
bool bench_credentials_next(struct bench_credentials *credentials, struct span *token,
                            struct span *proof);

/* Seconds since 1970 of the first signature: what the server's max_age is counted from. */
int64_t bench_credentials_signed_from(const struct bench_credentials *credentials);

#endif
