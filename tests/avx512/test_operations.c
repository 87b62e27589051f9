/* The emulated operations against the CPU's own, where it has them. */
#include "avx512/results.h"
#include "base/cpu_features.h"

#include <criterion/criterion.h>

#define ROUNDS 20000

struct cpu_features __real_cpu_features_read(void);

static uint64_t next(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* Words at the ends of what fits 52 and 64 bits as often as any others. */
static uint64_t next_word(uint64_t *state)
{
    static const uint64_t ends[] = {
        0, 1, UINT64_MAX, UINT64_C(1) << 63, (UINT64_C(1) << 52) - 1, UINT64_C(1) << 52, 0x80};
    const uint64_t choice = next(state) % 16;
    return choice < sizeof ends / sizeof ends[0] ? ends[choice] : next(state);
}

Test(avx512, emulated_operations_are_the_cpus)
{
    if (!__real_cpu_features_read().avx512_ifma) {
        cr_skip_test("this CPU has no AVX-512 IFMA to compare with");
    }
    static struct avx512_results emulated, real;
    uint64_t state = 1;
    for (int round = 0; round < ROUNDS; round++) {
        _Alignas(64) uint64_t operands[3][8];
        for (int i = 0; i < 24; i++) {
            operands[i / 8][i % 8] = next_word(&state);
        }
        const unsigned mask = (unsigned)(next(&state) & 0xffff);
        avx512_apply_emulated((const uint64_t(*)[8])operands, mask, &emulated);
        avx512_apply_ifma((const uint64_t(*)[8])operands, mask, &real);
        cr_assert_eq(emulated.count, real.count);
        for (size_t i = 0; i < real.count; i++) {
            cr_assert_arr_eq(emulated.vectors[i], real.vectors[i], sizeof real.vectors[i],
                             "operation %zu of apply.h, round %d", i, round);
        }
    }
}
