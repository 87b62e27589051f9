/* The AVX-512 that src/crypto uses, in portable C: found before the compiler's own <immintrin.h>,
 * so that the *_ifma.c sources are compiled for, and run on, a CPU that has none of it. Only what
 * they use is here: what is new to them is a compile error until it is added. Semantics are those
 * of Intel's "Intrinsics Guide"; test_operations.c holds them against the CPU's where there is one.
 * All arithmetic is unsigned, so that a sanitizer has nothing to say of the emulation itself.
 *
 * With POPGATE_AVX512_COUNT every operation is counted (operations.h). */
#ifndef POPGATE_TESTS_AVX512_IMMINTRIN_H
#define POPGATE_TESTS_AVX512_IMMINTRIN_H

#include_next <immintrin.h> /* the scalar intrinsics and SSE2, which every x86-64 CPU has */

#include "avx512/operations.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef uint64_t avx512_qwords __attribute__((vector_size(64), aligned(64)));
typedef uint32_t avx512_dwords __attribute__((vector_size(64), aligned(64)));
typedef uint8_t avx512_bytes __attribute__((vector_size(64), aligned(64)));
typedef uint64_t avx512_half __attribute__((vector_size(32), aligned(32), may_alias));

#define __m512i   avx512_qwords
#define __m256i   avx512_half
#define __mmask8  uint8_t
#define __mmask16 uint16_t

/* Most are not inlined, and neither are the engine's products of field elements, made of a hundred
 * of them each: the compiler would be busy for many minutes. */
#define AVX512_CALL   static __attribute__((noinline, unused))
#define AVX512_INLINE static inline __attribute__((always_inline, unused))
#define FE8_PRODUCT   static __attribute__((noinline, unused))

/* ---- products ---- */

AVX512_INLINE __m512i avx512_madd52(__m512i sum, __m512i a, __m512i b, unsigned shift)
{
    const uint64_t low52 = (UINT64_C(1) << 52) - 1;
    for (int i = 0; i < 8; i++) {
        const unsigned __int128 product = (unsigned __int128)(a[i] & low52) * (b[i] & low52);
        sum[i] += (uint64_t)(product >> shift) & low52;
    }
    return sum;
}

AVX512_INLINE __m512i avx512_madd52lo(__m512i sum, __m512i a, __m512i b)
{
    AVX512_COUNT(products);
    return avx512_madd52(sum, a, b, 0);
}

AVX512_INLINE __m512i avx512_madd52hi(__m512i sum, __m512i a, __m512i b)
{
    AVX512_COUNT(products);
    return avx512_madd52(sum, a, b, 52);
}

AVX512_CALL __m512i avx512_mullo_qwords(__m512i a, __m512i b)
{
    AVX512_COUNT(products);
    return a * b;
}

/* ---- sums, shifts, bits ---- */

AVX512_INLINE __m512i avx512_add_qwords(__m512i a, __m512i b)
{
    AVX512_COUNT(arithmetic);
    return a + b;
}

AVX512_INLINE __m512i avx512_sub_qwords(__m512i a, __m512i b)
{
    AVX512_COUNT(arithmetic);
    return a - b;
}

AVX512_INLINE __m512i avx512_add_dwords(__m512i a, __m512i b)
{
    AVX512_COUNT(arithmetic);
    return (__m512i)((avx512_dwords)a + (avx512_dwords)b);
}

AVX512_INLINE __m512i avx512_srl_qwords(__m512i a, unsigned shift)
{
    AVX512_COUNT(arithmetic);
    return shift < 64 ? a >> shift : a ^ a;
}

AVX512_INLINE __m512i avx512_sll_qwords(__m512i a, unsigned shift)
{
    AVX512_COUNT(arithmetic);
    return shift < 64 ? a << shift : a ^ a;
}

AVX512_CALL __m512i avx512_srlv_qwords(__m512i a, __m512i shifts)
{
    AVX512_COUNT(arithmetic);
    for (int i = 0; i < 8; i++) {
        a[i] = shifts[i] < 64 ? a[i] >> shifts[i] : 0;
    }
    return a;
}

AVX512_CALL __m512i avx512_sllv_qwords(__m512i a, __m512i shifts)
{
    AVX512_COUNT(arithmetic);
    for (int i = 0; i < 8; i++) {
        a[i] = shifts[i] < 64 ? a[i] << shifts[i] : 0;
    }
    return a;
}

/* The sign above what was shifted: from 64 on nothing else. */
AVX512_INLINE __m512i avx512_sra_qwords(__m512i a, unsigned shift)
{
    AVX512_COUNT(arithmetic);
    const __m512i sign = 0 - (a >> 63);
    return shift == 0 ? a : shift < 64 ? a >> shift | sign << (64 - shift) : sign;
}

AVX512_INLINE __m512i avx512_srl_dwords(__m512i a, unsigned shift)
{
    AVX512_COUNT(arithmetic);
    return shift < 32 ? (__m512i)((avx512_dwords)a >> shift) : a ^ a;
}

AVX512_CALL __m512i avx512_ror_qwords(__m512i a, unsigned shift)
{
    AVX512_COUNT(arithmetic);
    return shift % 64 == 0 ? a : a >> shift % 64 | a << (64 - shift % 64);
}

AVX512_CALL __m512i avx512_ror_dwords(__m512i a, unsigned shift)
{
    AVX512_COUNT(arithmetic);
    const avx512_dwords words = (avx512_dwords)a;
    return shift % 32 == 0 ? a : (__m512i)(words >> shift % 32 | words << (32 - shift % 32));
}

AVX512_INLINE __m512i avx512_and(__m512i a, __m512i b)
{
    AVX512_COUNT(arithmetic);
    return a & b;
}

AVX512_INLINE __m512i avx512_or(__m512i a, __m512i b)
{
    AVX512_COUNT(arithmetic);
    return a | b;
}

AVX512_INLINE __m512i avx512_xor(__m512i a, __m512i b)
{
    AVX512_COUNT(arithmetic);
    return a ^ b;
}

/* Bit abc of the table is the result where a, b and c have those bits. */
AVX512_CALL __m512i avx512_ternary(__m512i a, __m512i b, __m512i c, unsigned table)
{
    AVX512_COUNT(arithmetic);
    __m512i r = a ^ a;
    for (unsigned i = 0; i < 8; i++) {
        if ((table >> i & 1) != 0) {
            r |= ((i & 4) != 0 ? a : ~a) & ((i & 2) != 0 ? b : ~b) & ((i & 1) != 0 ? c : ~c);
        }
    }
    return r;
}

/* ---- masks ---- */

/* b where the mask's bit is set. */
AVX512_CALL __m512i avx512_choose_qwords(__mmask8 mask, __m512i a, __m512i b)
{
    for (int i = 0; i < 8; i++) {
        a[i] = (mask >> i & 1) != 0 ? b[i] : a[i];
    }
    return a;
}

AVX512_CALL __m512i avx512_blend_qwords(__mmask8 mask, __m512i a, __m512i b)
{
    AVX512_COUNT(arithmetic);
    return avx512_choose_qwords(mask, a, b);
}

AVX512_CALL __m512i avx512_mask_add_qwords(__m512i from, __mmask8 mask, __m512i a, __m512i b)
{
    AVX512_COUNT(arithmetic);
    return avx512_choose_qwords(mask, from, a + b);
}

AVX512_CALL __m512i avx512_mask_sub_qwords(__m512i from, __mmask8 mask, __m512i a, __m512i b)
{
    AVX512_COUNT(arithmetic);
    return avx512_choose_qwords(mask, from, a - b);
}

AVX512_CALL __m512i avx512_mask_xor_qwords(__m512i from, __mmask8 mask, __m512i a, __m512i b)
{
    AVX512_COUNT(arithmetic);
    return avx512_choose_qwords(mask, from, a ^ b);
}

AVX512_CALL __m512i avx512_mask_add_dwords(__m512i from, __mmask16 mask, __m512i a, __m512i b)
{
    AVX512_COUNT(arithmetic);
    avx512_dwords r = (avx512_dwords)from;
    const avx512_dwords sum = (avx512_dwords)a + (avx512_dwords)b;
    for (int i = 0; i < 16; i++) {
        r[i] = (mask >> i & 1) != 0 ? sum[i] : r[i];
    }
    return (__m512i)r;
}

/* A bit a lane: where a and b have a bit in common. */
AVX512_CALL __mmask8 avx512_test_qwords(__m512i a, __m512i b)
{
    AVX512_COUNT(arithmetic);
    unsigned mask = 0;
    for (int i = 0; i < 8; i++) {
        mask |= (unsigned)((a[i] & b[i]) != 0) << i;
    }
    return (__mmask8)mask;
}

AVX512_INLINE __mmask8 avx512_testn_qwords(__m512i a, __m512i b)
{
    return (__mmask8)~avx512_test_qwords(a, b);
}

AVX512_CALL __mmask8 avx512_signs_qwords(__m512i a)
{
    AVX512_COUNT(arithmetic);
    unsigned mask = 0;
    for (int i = 0; i < 8; i++) {
        mask |= (unsigned)(a[i] >> 63) << i;
    }
    return (__mmask8)mask;
}

/* ---- lanes that change places ---- */

AVX512_CALL __m512i avx512_permute_qwords(__m512i index, __m512i a)
{
    AVX512_COUNT(arithmetic);
    __m512i r;
    for (int i = 0; i < 8; i++) {
        r[i] = a[index[i] % 8];
    }
    return r;
}

/* Of every 128-bit block of a and b the lower (`high` 0) or upper halves. */
AVX512_CALL __m512i avx512_unpack_qwords(__m512i a, __m512i b, int high)
{
    AVX512_COUNT(arithmetic);
    __m512i r;
    for (int i = 0; i < 8; i += 2) {
        r[i] = a[i + high];
        r[i + 1] = b[i + high];
    }
    return r;
}

AVX512_CALL __m512i avx512_unpack_dwords(__m512i a, __m512i b, int high)
{
    AVX512_COUNT(arithmetic);
    const avx512_dwords x = (avx512_dwords)a, y = (avx512_dwords)b;
    avx512_dwords r;
    for (int i = 0; i < 16; i += 4) {
        for (int j = 0; j < 2; j++) {
            r[i + 2 * j] = x[i + 2 * high + j];
            r[i + 2 * j + 1] = y[i + 2 * high + j];
        }
    }
    return (__m512i)r;
}

/* Two 128-bit blocks of a, then two of b, each chosen by two bits. */
AVX512_CALL __m512i avx512_shuffle_blocks(__m512i a, __m512i b, unsigned choice)
{
    AVX512_COUNT(arithmetic);
    __m512i r;
    for (unsigned i = 0; i < 4; i++) {
        const unsigned block = choice >> 2 * i & 3;
        for (unsigned j = 0; j < 2; j++) {
            r[2 * i + j] = i < 2 ? a[2 * block + j] : b[2 * block + j];
        }
    }
    return r;
}

/* Bytes within a 128-bit block; zero where the index has its top bit. */
AVX512_CALL __m512i avx512_shuffle_bytes(__m512i a, __m512i index)
{
    AVX512_COUNT(arithmetic);
    const avx512_bytes from = (avx512_bytes)a, at = (avx512_bytes)index;
    avx512_bytes r;
    for (unsigned i = 0; i < 64; i++) {
        r[i] = (at[i] & 0x80) != 0 ? 0 : from[(i & ~15u) + (at[i] & 15u)];
    }
    return (__m512i)r;
}

/* ---- in and out ---- */

AVX512_INLINE __m512i avx512_zero(void)
{
    return (__m512i){0};
}

AVX512_INLINE __m512i avx512_broadcast_qword(long long value)
{
    return avx512_zero() + (uint64_t)value;
}

AVX512_INLINE __m512i avx512_broadcast_dword(int value)
{
    return (__m512i)((avx512_dwords)avx512_zero() + (uint32_t)value);
}

AVX512_CALL __m512i avx512_broadcast_block(__m128i block)
{
    __m512i r;
    for (int i = 0; i < 4; i++) {
        memcpy((uint8_t *)&r + 16 * i, &block, 16);
    }
    return r;
}

AVX512_CALL __m512i avx512_set_qwords(long long q7, long long q6, long long q5, long long q4,
                                      long long q3, long long q2, long long q1, long long q0)
{
    return (__m512i){(uint64_t)q0, (uint64_t)q1, (uint64_t)q2, (uint64_t)q3,
                     (uint64_t)q4, (uint64_t)q5, (uint64_t)q6, (uint64_t)q7};
}

AVX512_INLINE __m512i avx512_load(const void *from)
{
    AVX512_COUNT(loads);
    __m512i r;
    memcpy(&r, from, sizeof r);
    return r;
}

/* A real one traps where `to` is not aligned: so does this, under a sanitizer at least. */
AVX512_INLINE void avx512_store_aligned(void *to, __m512i a)
{
    AVX512_COUNT(stores);
    *(__m512i *)to = a;
}

AVX512_INLINE void avx512_store(void *to, __m512i a)
{
    AVX512_COUNT(stores);
    memcpy(to, &a, sizeof a);
}

AVX512_CALL __m256i avx512_load_half(const void *from)
{
    AVX512_COUNT(loads);
    return *(const __m256i *)from;
}

AVX512_INLINE void avx512_store_half(void *to, __m256i a)
{
    AVX512_COUNT(stores);
    memcpy(to, &a, sizeof a);
}

/* What stands above is undefined; here it is ones, so that a use of it is seen. */
AVX512_CALL __m512i avx512_from_half(__m256i a)
{
    return (__m512i){a[0], a[1], a[2], a[3], UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX};
}

AVX512_CALL __m512i avx512_insert_half(__m512i a, __m256i half, int at)
{
    AVX512_COUNT(arithmetic);
    memcpy((uint8_t *)&a + 32 * at, &half, sizeof half);
    return a;
}

AVX512_INLINE __m256i avx512_lower_half(__m512i a)
{
    return (__m256i){a[0], a[1], a[2], a[3]};
}

AVX512_INLINE __m128i avx512_lowest_block(__m512i a)
{
    AVX512_COUNT(extractions);
    __m128i r;
    memcpy(&r, &a, sizeof r);
    return r;
}

/* ---- Intel's names ---- */

/* Macros already, in some compilers. */
#undef _mm512_srli_epi64
#undef _mm512_slli_epi64
#undef _mm512_srai_epi64
#undef _mm512_srli_epi32
#undef _mm512_ror_epi64
#undef _mm512_ror_epi32
#undef _mm512_ternarylogic_epi64
#undef _mm512_ternarylogic_epi32
#undef _mm512_unpacklo_epi64
#undef _mm512_unpackhi_epi64
#undef _mm512_unpacklo_epi32
#undef _mm512_unpackhi_epi32
#undef _mm512_shuffle_i64x2
#undef _mm512_shuffle_i32x4
#undef _mm512_inserti64x4

#define _mm512_madd52lo_epu64                 avx512_madd52lo
#define _mm512_madd52hi_epu64                 avx512_madd52hi
#define _mm512_mullo_epi64                    avx512_mullo_qwords
#define _mm512_add_epi64                      avx512_add_qwords
#define _mm512_sub_epi64                      avx512_sub_qwords
#define _mm512_add_epi32                      avx512_add_dwords
#define _mm512_srli_epi64(a, n)               avx512_srl_qwords(a, n)
#define _mm512_slli_epi64(a, n)               avx512_sll_qwords(a, n)
#define _mm512_srlv_epi64                     avx512_srlv_qwords
#define _mm512_sllv_epi64                     avx512_sllv_qwords
#define _mm512_srai_epi64(a, n)               avx512_sra_qwords(a, n)
#define _mm512_srli_epi32(a, n)               avx512_srl_dwords(a, n)
#define _mm512_ror_epi64(a, n)                avx512_ror_qwords(a, n)
#define _mm512_ror_epi32(a, n)                avx512_ror_dwords(a, n)
#define _mm512_and_si512                      avx512_and
#define _mm512_or_si512                       avx512_or
#define _mm512_xor_si512                      avx512_xor
#define _mm512_ternarylogic_epi64(a, b, c, n) avx512_ternary(a, b, c, n)
#define _mm512_ternarylogic_epi32(a, b, c, n) avx512_ternary(a, b, c, n)
#define _mm512_mask_blend_epi64               avx512_blend_qwords
#define _mm512_mask_add_epi64                 avx512_mask_add_qwords
#define _mm512_mask_sub_epi64                 avx512_mask_sub_qwords
#define _mm512_mask_xor_epi64                 avx512_mask_xor_qwords
#define _mm512_mask_add_epi32                 avx512_mask_add_dwords
#define _mm512_test_epi64_mask                avx512_test_qwords
#define _mm512_testn_epi64_mask               avx512_testn_qwords
#define _mm512_movepi64_mask                  avx512_signs_qwords
#define _mm512_permutexvar_epi64              avx512_permute_qwords
#define _mm512_unpacklo_epi64(a, b)           avx512_unpack_qwords(a, b, 0)
#define _mm512_unpackhi_epi64(a, b)           avx512_unpack_qwords(a, b, 1)
#define _mm512_unpacklo_epi32(a, b)           avx512_unpack_dwords(a, b, 0)
#define _mm512_unpackhi_epi32(a, b)           avx512_unpack_dwords(a, b, 1)
#define _mm512_shuffle_i64x2(a, b, n)         avx512_shuffle_blocks(a, b, n)
#define _mm512_shuffle_i32x4(a, b, n)         avx512_shuffle_blocks(a, b, n)
#define _mm512_shuffle_epi8                   avx512_shuffle_bytes
#define _mm512_setzero_si512                  avx512_zero
#define _mm512_set1_epi64                     avx512_broadcast_qword
#define _mm512_set1_epi32                     avx512_broadcast_dword
#define _mm512_broadcast_i32x4                avx512_broadcast_block
#define _mm512_set_epi64                      avx512_set_qwords
#define _mm512_loadu_si512                    avx512_load
#define _mm512_store_si512                    avx512_store_aligned
#define _mm512_storeu_si512                   avx512_store
#define _mm256_load_si256                     avx512_load_half
#define _mm256_storeu_si256                   avx512_store_half
#define _mm512_castsi256_si512                avx512_from_half
#define _mm512_inserti64x4(a, b, n)           avx512_insert_half(a, b, n)
#define _mm512_castsi512_si256                avx512_lower_half
#define _mm512_castsi512_si128                avx512_lowest_block

#endif
