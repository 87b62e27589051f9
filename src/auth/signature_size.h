/* What a JOSE signature must measure: a DER or cut one costs no verification. */
#ifndef POPGATE_AUTH_SIGNATURE_SIZE_H
#define POPGATE_AUTH_SIGNATURE_SIZE_H

#include "crypto/verify.h"

#include <stdbool.h>

/* RFC 7518 sections 3.3 to 3.5, RFC 8037 section 3.1. At most RSA_MODULUS_BYTES_MAX when true. */
bool signature_size_fits(enum signature_algorithm algorithm, const struct public_key *key,
                         size_t size);

#endif
