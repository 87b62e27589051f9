/* Every operation of immintrin.h on the same operands: compiled once as emulated and once for the
 * CPU's own, by files that define APPLY_NAME. */
#include "avx512/results.h"

#include <immintrin.h>

/* One operation's result, at its place of the list. */
static void put(struct avx512_results *out, __m512i value)
{
    _mm512_storeu_si512(out->vectors[out->count++], value);
}

static void put_mask(struct avx512_results *out, unsigned mask)
{
    memset(out->vectors[out->count], 0, sizeof out->vectors[0]);
    out->vectors[out->count++][0] = mask;
}

static void apply_arithmetic(struct avx512_results *out, __m512i a, __m512i b, __m512i c)
{
    put(out, _mm512_madd52lo_epu64(a, b, c));
    put(out, _mm512_madd52hi_epu64(a, b, c));
    put(out, _mm512_mullo_epi64(a, b));
    put(out, _mm512_add_epi64(a, b));
    put(out, _mm512_sub_epi64(a, b));
    put(out, _mm512_add_epi32(a, b));
    put(out, _mm512_and_si512(a, b));
    put(out, _mm512_or_si512(a, b));
    put(out, _mm512_xor_si512(a, b));
    put(out, _mm512_ternarylogic_epi64(a, b, c, 0x96));
    put(out, _mm512_ternarylogic_epi64(a, b, c, 0xa8));
    put(out, _mm512_ternarylogic_epi64(a, b, c, 0xe0));
    put(out, _mm512_ternarylogic_epi32(a, b, c, 0xca));
    put(out, _mm512_ternarylogic_epi32(a, b, c, 0xe8));
}

static void apply_shifts(struct avx512_results *out, __m512i a, __m512i b)
{
    /* By up to 127, and by whatever is there. */
    const __m512i shifts = _mm512_and_si512(b, _mm512_set1_epi64(127));
    put(out, _mm512_srlv_epi64(a, shifts));
    put(out, _mm512_sllv_epi64(a, shifts));
    put(out, _mm512_srlv_epi64(a, b));
    put(out, _mm512_sllv_epi64(a, b));
    put(out, _mm512_srli_epi64(a, 0));
    put(out, _mm512_srli_epi64(a, 12));
    put(out, _mm512_srli_epi64(a, 63));
    put(out, _mm512_srli_epi64(a, 64));
    put(out, _mm512_slli_epi64(a, 0));
    put(out, _mm512_slli_epi64(a, 52));
    put(out, _mm512_slli_epi64(a, 64));
    put(out, _mm512_srai_epi64(a, 0));
    put(out, _mm512_srai_epi64(a, 52));
    put(out, _mm512_srai_epi64(a, 64));
    put(out, _mm512_srli_epi32(a, 10));
    put(out, _mm512_srli_epi32(a, 32));
    put(out, _mm512_ror_epi64(a, 1));
    put(out, _mm512_ror_epi64(a, 41));
    put(out, _mm512_ror_epi32(a, 6));
    put(out, _mm512_ror_epi32(a, 25));
}

static void apply_masks(struct avx512_results *out, __m512i a, __m512i b, __m512i c, unsigned mask)
{
    put(out, _mm512_mask_blend_epi64((__mmask8)mask, a, b));
    put(out, _mm512_mask_add_epi64(c, (__mmask8)mask, a, b));
    put(out, _mm512_mask_sub_epi64(c, (__mmask8)mask, a, b));
    put(out, _mm512_mask_xor_epi64(c, (__mmask8)mask, a, b));
    put(out, _mm512_mask_add_epi32(c, (__mmask16)mask, a, b));
    put_mask(out, _mm512_test_epi64_mask(a, b));
    put_mask(out, _mm512_testn_epi64_mask(a, b));
    put_mask(out, _mm512_movepi64_mask(a));
}

static void apply_places(struct avx512_results *out, __m512i a, __m512i b, const uint64_t *memory)
{
    put(out, _mm512_permutexvar_epi64(a, b));
    put(out, _mm512_unpacklo_epi64(a, b));
    put(out, _mm512_unpackhi_epi64(a, b));
    put(out, _mm512_unpacklo_epi32(a, b));
    put(out, _mm512_unpackhi_epi32(a, b));
    put(out, _mm512_shuffle_i64x2(a, b, 0x88));
    put(out, _mm512_shuffle_i64x2(a, b, 0xdd));
    put(out, _mm512_shuffle_i32x4(a, b, 0x1b));
    put(out, _mm512_shuffle_epi8(a, b));
    put(out, _mm512_setzero_si512());
    put(out, _mm512_set1_epi64((long long)memory[0]));
    put(out, _mm512_set1_epi32((int)(uint32_t)memory[0]));
    put(out, _mm512_broadcast_i32x4(_mm_set_epi64x((long long)memory[0], (long long)memory[1])));
    put(out, _mm512_set_epi64((long long)memory[0], 1, 2, 3, 4, 5, 6, (long long)memory[7]));
    put(out, _mm512_inserti64x4(a, _mm256_load_si256((const void *)memory), 0));
    put(out, _mm512_inserti64x4(a, _mm256_load_si256((const void *)memory), 1));
    _Alignas(64) uint64_t halves[8] = {0};
    _mm256_storeu_si256((__m256i *)(void *)(halves + 1), _mm512_castsi512_si256(a));
    halves[0] = (uint64_t)_mm_cvtsi128_si64(_mm512_castsi512_si128(b));
    put(out, _mm512_loadu_si512(halves));
    _mm512_store_si512((void *)halves, b);
    put(out, _mm512_loadu_si512(halves));
}

void APPLY_NAME(const uint64_t operands[3][8], unsigned mask, struct avx512_results *out)
{
    const __m512i a = _mm512_loadu_si512(operands[0]), b = _mm512_loadu_si512(operands[1]);
    const __m512i c = _mm512_loadu_si512(operands[2]);
    out->count = 0;
    apply_arithmetic(out, a, b, c);
    apply_shifts(out, a, b);
    apply_masks(out, a, b, c, mask);
    apply_places(out, a, b, operands[2]);
}
