#include "crypto/sha512_x8.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define BLOCK_BYTES 128

static const uint64_t round_constants[80] = {
    0x428a2f98d728ae22, 0x7137449123ef65cd, 0xb5c0fbcfec4d3b2f, 0xe9b5dba58189dbbc,
    0x3956c25bf348b538, 0x59f111f1b605d019, 0x923f82a4af194f9b, 0xab1c5ed5da6d8118,
    0xd807aa98a3030242, 0x12835b0145706fbe, 0x243185be4ee4b28c, 0x550c7dc3d5ffb4e2,
    0x72be5d74f27b896f, 0x80deb1fe3b1696b1, 0x9bdc06a725c71235, 0xc19bf174cf692694,
    0xe49b69c19ef14ad2, 0xefbe4786384f25e3, 0x0fc19dc68b8cd5b5, 0x240ca1cc77ac9c65,
    0x2de92c6f592b0275, 0x4a7484aa6ea6e483, 0x5cb0a9dcbd41fbd4, 0x76f988da831153b5,
    0x983e5152ee66dfab, 0xa831c66d2db43210, 0xb00327c898fb213f, 0xbf597fc7beef0ee4,
    0xc6e00bf33da88fc2, 0xd5a79147930aa725, 0x06ca6351e003826f, 0x142929670a0e6e70,
    0x27b70a8546d22ffc, 0x2e1b21385c26c926, 0x4d2c6dfc5ac42aed, 0x53380d139d95b3df,
    0x650a73548baf63de, 0x766a0abb3c77b2a8, 0x81c2c92e47edaee6, 0x92722c851482353b,
    0xa2bfe8a14cf10364, 0xa81a664bbc423001, 0xc24b8b70d0f89791, 0xc76c51a30654be30,
    0xd192e819d6ef5218, 0xd69906245565a910, 0xf40e35855771202a, 0x106aa07032bbd1b8,
    0x19a4c116b8d2d0c8, 0x1e376c085141ab53, 0x2748774cdf8eeb99, 0x34b0bcb5e19b48a8,
    0x391c0cb3c5c95a63, 0x4ed8aa4ae3418acb, 0x5b9cca4f7763e373, 0x682e6ff3d6b2b8a3,
    0x748f82ee5defb2fc, 0x78a5636f43172f60, 0x84c87814a1f0ab72, 0x8cc702081a6439ec,
    0x90befffa23631e28, 0xa4506cebde82bde9, 0xbef9a3f7b2c67915, 0xc67178f2e372532b,
    0xca273eceea26619c, 0xd186b8c721c0c207, 0xeada7dd6cde0eb1e, 0xf57d4f7fee6ed178,
    0x06f067aa72176fba, 0x0a637dc5a2c898a6, 0x113f9804bef90dae, 0x1b710b35131c471b,
    0x28db77f523047d84, 0x32caab7b40c72493, 0x3c9ebe0a15c9bebc, 0x431d67c49c100d4c,
    0x4cc5d4becb3e42b6, 0x597f299cfc657e2a, 0x5fcb6fab3ad6faec, 0x6c44198c4a475817,
};

/* A lane's blocks: the first 128 bytes and what comes last (with the padding, one or two blocks)
 * are put together here, the blocks between are read where they are. */
struct lane {
    size_t blocks;
    size_t tail_from; /* the block with which `tail` begins */
    const uint8_t *middle;
    uint8_t head[BLOCK_BYTES];
    uint8_t tail[2 * BLOCK_BYTES];
};

static void lane_init(struct lane *lane, const struct sha512_input *input)
{
    const struct span rest = input->rest;
    size_t total = 64 + rest.size;
    /* FIPS 180-4 section 5.1.2: a one bit, zero bits, and the length in bits as 128 bits. */
    lane->blocks = (total + 17 + BLOCK_BYTES - 1) / BLOCK_BYTES;
    lane->tail_from = total / BLOCK_BYTES;
    size_t tail_blocks = lane->blocks - lane->tail_from;
    size_t tail_used = total % BLOCK_BYTES;
    memset(lane->tail, 0, tail_blocks * BLOCK_BYTES);
    uint8_t *first = lane->tail_from == 0 ? lane->tail : lane->head;
    memcpy(first, input->first, 32);
    memcpy(first + 32, input->second, 32);
    if (lane->tail_from == 0) {
        if (rest.size > 0) {
            memcpy(first + 64, rest.data, rest.size);
        }
    } else {
        memcpy(first + 64, rest.data, BLOCK_BYTES - 64);
        memcpy(lane->tail, rest.data + rest.size - tail_used, tail_used);
        lane->middle = rest.data + (BLOCK_BYTES - 64);
    }
    lane->tail[tail_used] = 0x80;
    uint64_t high = (uint64_t)total >> 61, low = (uint64_t)total << 3;
    uint8_t *end = lane->tail + tail_blocks * BLOCK_BYTES;
    for (size_t i = 0; i < 8; i++) {
        end[-1 - (ptrdiff_t)i] = (uint8_t)(low >> (8 * i));
        end[-9 - (ptrdiff_t)i] = (uint8_t)(high >> (8 * i));
    }
}

/* Block `index` of the lane, or of one that has ended its last, which then is computed and not
 * used. */
static const uint8_t *lane_block(const struct lane *lane, size_t index)
{
    if (index >= lane->blocks) {
        index = lane->blocks - 1;
    }
    if (index >= lane->tail_from) {
        return lane->tail + (index - lane->tail_from) * BLOCK_BYTES;
    }
    return index == 0 ? lane->head : lane->middle + (index - 1) * BLOCK_BYTES;
}

/* Rows become columns: eight rows of eight words. */
static inline __attribute__((always_inline)) void transpose(__m512i r[8])
{
    __m512i t[8], u[8];
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        t[2 * i] = _mm512_unpacklo_epi64(r[2 * i], r[2 * i + 1]);
        t[2 * i + 1] = _mm512_unpackhi_epi64(r[2 * i], r[2 * i + 1]);
    }
#pragma GCC unroll 2
    for (int i = 0; i < 2; i++) {
        u[4 * i] = _mm512_shuffle_i64x2(t[4 * i], t[4 * i + 2], 0x88);
        u[4 * i + 1] = _mm512_shuffle_i64x2(t[4 * i + 1], t[4 * i + 3], 0x88);
        u[4 * i + 2] = _mm512_shuffle_i64x2(t[4 * i], t[4 * i + 2], 0xdd);
        u[4 * i + 3] = _mm512_shuffle_i64x2(t[4 * i + 1], t[4 * i + 3], 0xdd);
    }
    /* u[0], u[1]: words 0, 1 and 4, 5 of rows 0 .. 3; u[2], u[3]: words 2, 3 and 6, 7. */
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        r[i] = _mm512_shuffle_i64x2(u[i], u[i + 4], 0x88);
        r[i + 4] = _mm512_shuffle_i64x2(u[i], u[i + 4], 0xdd);
    }
}

static inline __attribute__((always_inline)) __m512i xor3(__m512i a, __m512i b, __m512i c)
{
    return _mm512_ternarylogic_epi64(a, b, c, 0x96);
}

static void compress(__m512i state[8], const uint8_t *const blocks[8], __mmask8 active)
{
    const __m512i swap = _mm512_broadcast_i32x4(
        _mm_set_epi8(8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));
    __m512i w[16];
#pragma GCC unroll 2
    for (int half = 0; half < 2; half++) {
#pragma GCC unroll 8
        for (int i = 0; i < 8; i++) {
            w[8 * half + i] = _mm512_shuffle_epi8(_mm512_loadu_si512(blocks[i] + 64 * half), swap);
        }
        transpose(w + 8 * half);
    }
    __m512i a = state[0], b = state[1], c = state[2], d = state[3];
    __m512i e = state[4], f = state[5], g = state[6], h = state[7];
    for (int round = 0; round < 80; round += 16) {
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) {
            if (round > 0) {
                __m512i w1 = w[(i + 1) & 15], w14 = w[(i + 14) & 15];
                __m512i s0 = xor3(_mm512_ror_epi64(w1, 1), _mm512_ror_epi64(w1, 8),
                                  _mm512_srli_epi64(w1, 7));
                __m512i s1 = xor3(_mm512_ror_epi64(w14, 19), _mm512_ror_epi64(w14, 61),
                                  _mm512_srli_epi64(w14, 6));
                w[i] = _mm512_add_epi64(_mm512_add_epi64(w[i], s0),
                                        _mm512_add_epi64(w[(i + 9) & 15], s1));
            }
            __m512i k = _mm512_set1_epi64((long long)round_constants[round + i]);
            __m512i sum1 = xor3(_mm512_ror_epi64(e, 14), _mm512_ror_epi64(e, 18),
                                _mm512_ror_epi64(e, 41));
            __m512i choose = _mm512_ternarylogic_epi64(e, f, g, 0xca);
            __m512i t1 = _mm512_add_epi64(_mm512_add_epi64(h, sum1),
                                          _mm512_add_epi64(choose, _mm512_add_epi64(k, w[i])));
            __m512i sum0 = xor3(_mm512_ror_epi64(a, 28), _mm512_ror_epi64(a, 34),
                                _mm512_ror_epi64(a, 39));
            __m512i majority = _mm512_ternarylogic_epi64(a, b, c, 0xe8);
            h = g;
            g = f;
            f = e;
            e = _mm512_add_epi64(d, t1);
            d = c;
            c = b;
            b = a;
            a = _mm512_add_epi64(t1, _mm512_add_epi64(sum0, majority));
        }
    }
    const __m512i out[8] = {a, b, c, d, e, f, g, h};
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++) {
        state[i] = _mm512_mask_add_epi64(state[i], active, state[i], out[i]);
    }
}

void sha512_x8(const struct sha512_input *inputs, size_t count, uint8_t (*digests)[SHA512_BYTES])
{
    struct lane lanes[SHA512_LANES];
    size_t blocks = 0;
    for (size_t i = 0; i < count; i++) {
        lane_init(&lanes[i], &inputs[i]);
        blocks = lanes[i].blocks > blocks ? lanes[i].blocks : blocks;
    }
    static const uint64_t initial[8] = {0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b,
                                        0xa54ff53a5f1d36f1, 0x510e527fade682d1, 0x9b05688c2b3e6c1f,
                                        0x1f83d9abfb41bd6b, 0x5be0cd19137e2179};
    __m512i state[8];
    for (int i = 0; i < 8; i++) {
        state[i] = _mm512_set1_epi64((long long)initial[i]);
    }
    for (size_t block = 0; block < blocks; block++) {
        const uint8_t *pointers[SHA512_LANES];
        __mmask8 active = 0;
        for (size_t i = 0; i < SHA512_LANES; i++) {
            /* Lanes that are not there read the first one's bytes. */
            const struct lane *lane = &lanes[i < count ? i : 0];
            pointers[i] = lane_block(lane, block);
            active |= (__mmask8)((i < count && block < lane->blocks) << i);
        }
        compress(state, pointers, active);
    }
    const __m512i swap = _mm512_broadcast_i32x4(
        _mm_set_epi8(8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));
    transpose(state);
    for (size_t i = 0; i < count; i++) {
        _mm512_storeu_si512(digests[i], _mm512_shuffle_epi8(state[i], swap));
    }
}

#endif
