#include "crypto/sha512_x8.h"

#include "base/cpu_features.h"

#include <criterion/criterion.h>
#include <openssl/sha.h>
#include <stdlib.h>

#if defined(__x86_64__)
Test(sha512_x8, every_length_in_every_lane_agrees_with_boringssl)
{
    if (!cpu_features_read().avx512_ifma) {
        cr_skip_test("no AVX-512 here");
    }
    uint8_t parts[8][64];
    for (size_t i = 0; i < sizeof parts; i++) {
        ((uint8_t *)parts)[i] = (uint8_t)(i * 73 + 1);
    }
    for (size_t size = 0; size < 700; size++) {
        size_t count = size % 8 + 1;
        struct sha512_input inputs[8];
        uint8_t *rests[8], digests[8][SHA512_BYTES];
        for (size_t i = 0; i < count; i++) {
            /* Lanes of very different lengths side by side, memory of exactly their size. */
            size_t own = (size * (i * i + 1)) % 701;
            rests[i] = malloc(own + 1);
            for (size_t j = 0; j < own; j++) {
                rests[i][j] = (uint8_t)(j * 11 + i + size);
            }
            inputs[i] = (struct sha512_input){parts[i], parts[i] + 32,
                                              span_make(own > 0 ? rests[i] : NULL, own)};
        }
        sha512_x8(inputs, count, digests);
        for (size_t i = 0; i < count; i++) {
            SHA512_CTX ctx;
            uint8_t expected[64];
            SHA512_Init(&ctx);
            SHA512_Update(&ctx, parts[i], 64);
            SHA512_Update(&ctx, rests[i], inputs[i].rest.size);
            SHA512_Final(expected, &ctx);
            cr_assert_arr_eq(digests[i], expected, 64, "lane %zu of %zu, %zu bytes", i, count,
                             inputs[i].rest.size);
            free(rests[i]);
        }
    }
}
#endif
