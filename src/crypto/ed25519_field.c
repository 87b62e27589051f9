#include "crypto/ed25519_field.h"

#include "crypto/modinv.h"

static const struct modinv_modulus prime = {
    .words = {0xffffffffffffffed, 0xffffffffffffffff, 0xffffffffffffffff, 0x7fffffffffffffff},
    .inverse = 0x39435e50d79435e5,
};

struct fe fe_invert_vartime(const struct fe *a)
{
    uint64_t words[4];
    fe_words(words, a);
    modinv_vartime(words, words, &prime);
    return fe_from_words(words);
}

/* With e(k) = a^(2^k - 1): e(i + j) = e(i)^(2^j) e(j). */
static struct fe chain(const struct fe *ei, int j, const struct fe *ej)
{
    struct fe t = fe_square_times(ei, j);
    return fe_mul(&t, ej);
}

struct fe fe_power_p58(const struct fe *a)
{
    struct fe e2 = chain(a, 1, a);
    struct fe e4 = chain(&e2, 2, &e2);
    struct fe e5 = chain(&e4, 1, a);
    struct fe e10 = chain(&e5, 5, &e5);
    struct fe e20 = chain(&e10, 10, &e10);
    struct fe e40 = chain(&e20, 20, &e20);
    struct fe e50 = chain(&e40, 10, &e10);
    struct fe e100 = chain(&e50, 50, &e50);
    struct fe e200 = chain(&e100, 100, &e100);
    struct fe e250 = chain(&e200, 50, &e50);
    return chain(&e250, 2, a); /* 4 (2^250 - 1) + 1 = 2^252 - 3 */
}
