#include "crypto/modinv.h"

#include <criterion/criterion.h>
#include <openssl/bn.h>
#include <openssl/rand.h>
#include <string.h>

static BIGNUM *bn_of(const uint64_t words[4])
{
    uint8_t big[32];
    for (size_t i = 0; i < 32; i++) {
        big[31 - i] = (uint8_t)(words[i / 8] >> (8 * (i % 8)));
    }
    return BN_bin2bn(big, 32, NULL);
}

static void words_of(uint64_t words[4], const BIGNUM *value)
{
    uint8_t big[32];
    cr_assert(BN_bn2bin_padded(big, 32, value));
    memset(words, 0, 32);
    for (size_t i = 0; i < 32; i++) {
        words[i / 8] |= (uint64_t)big[31 - i] << (8 * (i % 8));
    }
}

static struct modinv_modulus modulus_of(const char *hex)
{
    BIGNUM *m = NULL;
    struct modinv_modulus modulus;
    cr_assert(BN_hex2bn(&m, hex));
    words_of(modulus.words, m);
    BN_free(m);
    uint64_t inverse = modulus.words[0]; /* right modulo 8; every step doubles the bits */
    for (int i = 0; i < 5; i++) {
        inverse *= 2 - inverse * modulus.words[0];
    }
    modulus.inverse = inverse & ((UINT64_C(1) << 62) - 1);
    return modulus;
}

static const char *const moduli[] = {
    "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffed", /* 2^255 - 19 */
    "1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed", /* its order */
    "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff", /* P-256 */
    "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551", /* its order */
    "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff43", "3", "7fffffffffffffff",
    "fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff9", /* composite */
};

static void check(const struct modinv_modulus *modulus, const uint64_t in[4])
{
    BN_CTX *ctx = BN_CTX_new();
    BIGNUM *m = bn_of(modulus->words), *a = bn_of(in), *gcd = BN_new(), *inverse = BN_new();
    uint64_t out[4], expected[4] = {0};
    memcpy(out, in, sizeof out);
    modinv_vartime(out, out, modulus);
    cr_assert(BN_nnmod(a, a, m, ctx) && BN_gcd(gcd, a, m, ctx));
    if (BN_is_one(gcd)) {
        cr_assert_not_null(BN_mod_inverse(inverse, a, m, ctx));
        words_of(expected, inverse);
    }
    cr_assert_arr_eq(out, expected, sizeof out);
    BN_free(m);
    BN_free(a);
    BN_free(gcd);
    BN_free(inverse);
    BN_CTX_free(ctx);
}

Test(modinv, agrees_with_a_slow_bignum)
{
    for (size_t k = 0; k < sizeof moduli / sizeof moduli[0]; k++) {
        struct modinv_modulus modulus = modulus_of(moduli[k]);
        for (size_t i = 0; i < 3000; i++) {
            uint64_t in[4];
            RAND_bytes((uint8_t *)in, sizeof in);
            /* Also numbers with long runs of equal bits, and short ones. */
            for (size_t j = 0; j < 4; j++) {
                uint64_t kind = in[j] >> 60;
                if (i % 3 == 1 && kind < 5) {
                    in[j] = 0;
                } else if (i % 3 == 1 && kind < 10) {
                    in[j] = UINT64_MAX;
                } else if (i % 3 == 2 && j > i % 4) {
                    in[j] = 0;
                }
            }
            check(&modulus, in);
        }
    }
}

Test(modinv, edges)
{
    for (size_t k = 0; k < sizeof moduli / sizeof moduli[0]; k++) {
        struct modinv_modulus modulus = modulus_of(moduli[k]);
        for (unsigned bit = 0; bit < 256; bit++) {
            uint64_t in[4] = {0};
            in[bit / 64] = UINT64_C(1) << bit % 64;
            check(&modulus, in);
            /* M - 2^bit and M + 2^bit, where they are numbers of 256 bits or wrap to other ones. */
            for (int sign = 0; sign < 2; sign++) {
                uint64_t near[4];
                unsigned __int128 carry = 0;
                for (size_t i = 0; i < 4; i++) {
                    carry += modulus.words[i];
                    uint64_t add = in[i];
                    if (sign) {
                        carry -= add;
                    } else {
                        carry += add;
                    }
                    near[i] = (uint64_t)carry;
                    carry = (unsigned __int128)((__int128)carry >> 64);
                }
                check(&modulus, near);
            }
        }
        uint64_t zero[4] = {0}, all[4] = {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX};
        check(&modulus, zero);
        check(&modulus, all);
        check(&modulus, modulus.words);
    }
}
