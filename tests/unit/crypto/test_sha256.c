#include "crypto/sha256.h"

#include <criterion/criterion.h>
#include <openssl/sha.h>
#include <stdlib.h>

Test(sha256, fips_180_4_examples)
{
    static const uint8_t abc[32] = {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea,
                                    0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23,
                                    0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c,
                                    0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad};
    static const uint8_t empty[32] = {0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14,
                                      0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
                                      0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c,
                                      0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55};
    uint8_t digest[SHA256_BYTES];
    sha256(SPAN_LITERAL("abc"), digest);
    cr_assert_arr_eq(digest, abc, sizeof abc);
    sha256(span_make(NULL, 0), digest);
    cr_assert_arr_eq(digest, empty, sizeof empty);
}

Test(sha256, every_length_and_alignment_agrees_with_boringssl)
{
    uint8_t data[1100];
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = (uint8_t)(i * 167 + i / 256 * 31 + 5);
    }
    for (size_t size = 0; size <= 1024; size++) {
        /* Memory of exactly that size, so that a sanitizer sees a byte too many being read. */
        uint8_t *exact = malloc(size + 1);
        memcpy(exact + 1, data + size % 7, size);
        uint8_t ours[SHA256_BYTES], theirs[SHA256_BYTES];
        sha256(span_make(exact + 1, size), ours);
        SHA256(exact + 1, size, theirs);
        cr_assert_arr_eq(ours, theirs, sizeof ours, "%zu bytes", size);
        free(exact);
    }
}

/* Messages of `sizes`, each in memory of exactly its size, hashed together. */
static void check_many(const size_t *sizes, size_t count)
{
    struct span messages[80] = {{0}};
    uint8_t digests[80][SHA256_BYTES], *to[80] = {0}, expected[SHA256_BYTES];
    for (size_t i = 0; i < count; i++) {
        uint8_t *own = malloc(sizes[i] + 1);
        for (size_t j = 0; j < sizes[i]; j++) {
            own[j] = (uint8_t)(j * 13 + i * 7 + sizes[i]);
        }
        messages[i] = span_make(sizes[i] > 0 ? own : NULL, sizes[i]);
        if (sizes[i] == 0) {
            free(own);
        }
        to[i] = digests[count - 1 - i]; /* in any order */
    }
    sha256_many(messages, to, count);
    for (size_t i = 0; i < count; i++) {
        SHA256(messages[i].data, messages[i].size, expected);
        cr_assert_arr_eq(to[i], expected, sizeof expected, "%zu of %zu, %zu bytes", i, count,
                         sizes[i]);
        free((void *)messages[i].data);
    }
}

Test(sha256, many_of_one_length)
{
    size_t sizes[80] = {0};
    for (size_t size = 0; size <= 260; size++) {
        const size_t count = size % 70 + 1;
        for (size_t i = 0; i < count; i++) {
            sizes[i] = size;
        }
        check_many(sizes, count);
    }
}

/* Lanes and pairs of very different lengths: what is hashed together, and in pairs because one is
 * much longer. */
Test(sha256, many_of_all_lengths)
{
    size_t sizes[80] = {0};
    check_many(sizes, 0);
    for (size_t turn = 0; turn < 300; turn++) {
        const size_t count = turn % 79 + 1;
        for (size_t i = 0; i < count; i++) {
            sizes[i] = (turn * 31 + i * i * 17) % (turn % 3 == 0 ? 200 : 1100);
        }
        if (turn % 5 == 0) {
            sizes[turn % count] = 8192;
        }
        check_many(sizes, count);
    }
}
