#include "auth/signature_size.h"

bool signature_size_fits(enum signature_algorithm algorithm, const struct public_key *key,
                         size_t size)
{
    switch (algorithm) {
    case SIGNATURE_ES256:
    case SIGNATURE_EDDSA:
        return size == 64;
    case SIGNATURE_ES384:
        return size == 96;
    case SIGNATURE_ES512:
        return size == 132;
    case SIGNATURE_PS256:
    case SIGNATURE_RS256:
        return size == key->modulus_size && size <= RSA_MODULUS_BYTES_MAX;
    case SIGNATURE_NONE:
    case SIGNATURE_ALGORITHMS:
        break;
    }
    return false;
}
