/* SHA-256 by SHA256RNDS2, SHA256MSG1 and SHA256MSG2 (Intel SDM volume 2; FIPS 180-4 for the
 * constants). */
#include "crypto/sha256_blocks.h"

#if POPGATE_SHA256_X86

#include <immintrin.h>

/* As the instructions keep the eight words: a b e f and c d g h, high word first. */
struct state {
    __m128i abef, cdgh;
};

/* FIPS 180-4 section 5.3.3. */
static const struct state initial = {{0x510e527f9b05688cLL, 0x6a09e667bb67ae85LL},
                                     {0x1f83d9ab5be0cd19LL, 0x3c6ef372a54ff53aLL}};

/* The compression function of `streams` messages (1 or 2, known to the compiler), `count` blocks of
 * each (FIPS 180-4 section 6.2.2). */
static inline __attribute__((always_inline)) void
compress(struct state *states, const uint8_t *const *blocks, size_t count, int streams)
{
    const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
    struct state s[2] = {states[0], states[streams - 1]};
    const uint8_t *from[2] = {blocks[0], blocks[streams - 1]};
    for (; count > 0; count--) {
        const struct state before[2] = {s[0], s[1]};
        __m128i w[2][4];
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) {
#pragma GCC unroll 2
            for (int m = 0; m < streams; m++) {
                w[m][i] = _mm_shuffle_epi8(
                    _mm_loadu_si128((const __m128i *)(const void *)(from[m] + 16 * i)), swap);
            }
        }
        /* Four rounds a step; from step 4 on w[i mod 4] is replaced by the next four schedule
         * words. */
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) {
            const __m128i k = _mm_load_si128(
                (const __m128i *)(const void *)&sha256_round_constants[4 * i]);
#pragma GCC unroll 2
            for (int m = 0; m < streams; m++) {
                __m128i *own = w[m];
                if (i >= 4) {
                    const __m128i sum = _mm_add_epi32(
                        _mm_sha256msg1_epu32(own[i & 3], own[(i + 1) & 3]),
                        _mm_alignr_epi8(own[(i + 3) & 3], own[(i + 2) & 3], 4));
                    own[i & 3] = _mm_sha256msg2_epu32(sum, own[(i + 3) & 3]);
                }
                const __m128i wk = _mm_add_epi32(own[i & 3], k);
                s[m].cdgh = _mm_sha256rnds2_epu32(s[m].cdgh, s[m].abef, wk);
                s[m].abef = _mm_sha256rnds2_epu32(s[m].abef, s[m].cdgh,
                                                  _mm_shuffle_epi32(wk, 0x0e));
            }
        }
#pragma GCC unroll 2
        for (int m = 0; m < streams; m++) {
            s[m].abef = _mm_add_epi32(s[m].abef, before[m].abef);
            s[m].cdgh = _mm_add_epi32(s[m].cdgh, before[m].cdgh);
            from[m] += SHA256_BLOCK_BYTES;
        }
    }
    for (int m = 0; m < streams; m++) {
        states[m] = s[m];
    }
}

static void put_digest(uint8_t digest[SHA256_BYTES], const struct state *state)
{
    const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
    const __m128i feba = _mm_shuffle_epi32(state->abef, 0x1b);
    const __m128i dchg = _mm_shuffle_epi32(state->cdgh, 0xb1);
    const __m128i abcd = _mm_blend_epi16(feba, dchg, 0xf0);
    const __m128i efgh = _mm_alignr_epi8(dchg, feba, 8);
    _mm_storeu_si128((__m128i *)(void *)digest, _mm_shuffle_epi8(abcd, swap));
    _mm_storeu_si128((__m128i *)(void *)(digest + 16), _mm_shuffle_epi8(efgh, swap));
}

/* Blocks `from` to `to` of one message; none of them, or all, are in its tail. */
static void one_part(struct state *state, const struct sha256_padded *message, size_t from,
                     size_t to)
{
    const uint8_t *blocks = sha256_padded_block(message, from);
    compress(state, &blocks, to - from, 1);
}

void sha256_shani(const struct sha256_padded *message, uint8_t digest[SHA256_BYTES])
{
    struct state state = initial;
    if (message->whole > 0) {
        one_part(&state, message, 0, message->whole);
    }
    one_part(&state, message, message->whole, message->blocks);
    put_digest(digest, &state);
}

void sha256_two_shani(const struct sha256_padded *const messages[2], uint8_t *const digests[2])
{
    struct state states[2] = {initial, initial};
    const struct sha256_padded *a = messages[0], *b = messages[1];
    /* The blocks before the tails, as many as both have; what one has more; the tails, likewise. */
    size_t both = a->whole < b->whole ? a->whole : b->whole;
    const uint8_t *blocks[2] = {a->data, b->data};
    if (both > 0) {
        compress(states, blocks, both, 2);
    }
    for (int m = 0; m < 2; m++) {
        if (both < messages[m]->whole) {
            one_part(&states[m], messages[m], both, messages[m]->whole);
        }
        blocks[m] = messages[m]->tail;
    }
    const size_t in_a = a->blocks - a->whole, in_b = b->blocks - b->whole;
    both = in_a < in_b ? in_a : in_b;
    compress(states, blocks, both, 2);
    for (int m = 0; m < 2; m++) {
        if (messages[m]->whole + both < messages[m]->blocks) {
            one_part(&states[m], messages[m], messages[m]->whole + both, messages[m]->blocks);
        }
        put_digest(digests[m], &states[m]);
    }
}

#endif
