/* Points of edwards25519 (RFC 8032 section 5.1) in portable arithmetic, and the tables of multiples
 * that a verification adds up. The curve is complete (a = -1 is a square, d is not), so the
 * addition formulas have no exceptional cases: not for equal points, not for the neutral one, not
 * for torsion. */
#ifndef POPGATE_CRYPTO_ED25519_POINT_H
#define POPGATE_CRYPTO_ED25519_POINT_H

#include "crypto/ed25519_field.h"
#include "crypto/windows.h"

#include <stddef.h>

/* x = X / Z, y = Y / Z, X Y = Z T. All tight. */
struct ed25519_point {
    struct fe x, y, z, t;
};

/* A point as a table holds it: y + x, y - x, 2 d x y, each canonical, as words, least significant
 * first. Entries are aligned to 32, so each spans two cache lines, and bit 0 of an entry's address
 * is free to carry a sign. */
struct ed25519_entry {
    _Alignas(32) uint64_t sum[4];
    uint64_t difference[4];
    uint64_t product[4];
};

/* The neutral point. */
extern const struct ed25519_entry ed25519_neutral_entry;

/* A term of a sum: an entry's address, plus one if the point is to be subtracted. */
#define ED25519_TERM(entry, negative) ((uintptr_t)(entry) | (uintptr_t)(negative))

/* The point that `encoded` (y below p) decodes to; false when there is none. The sign of x is taken
 * as given: callers have excluded x = 0 (ed25519_key_encoding_allowed). t and z are set. */
bool ed25519_decode_vartime(struct ed25519_point *point, const uint8_t encoded[32]);

/* The base point B. */
extern const struct ed25519_point ed25519_base;

/* r = p + (entry, subtracted if the term says so). "Twisted Edwards Curves Revisited", Hisil, Wong,
 * Carter, Dawson, ASIACRYPT 2008, section 3.1, with Z2 = 1: seven multiplications. */
struct ed25519_point ed25519_add_term(const struct ed25519_point *p, uintptr_t term);

/* The sum of `count` terms. */
struct ed25519_point ed25519_sum_terms(const uintptr_t *terms, size_t count);

/* Scalars are below L, which is above 2^252 by less than 2^125. */
#define ED25519_SCALAR_BITS 253

static inline struct windows ed25519_windows(unsigned count)
{
    return windows_of(ED25519_SCALAR_BITS, count);
}

/* A table of multiples of a point P, for windows of at most 13 bits: of a window of w bits at bit
 * b, d 2^b P for d = 1 .. 2^(w-1). */
static inline size_t ed25519_table_entries(unsigned count)
{
    return windows_entries(ed25519_windows(count));
}

#define ED25519_BUILD_POINTS 256
#define ED25519_BUILD_STEPS  32
union ed25519_build_scratch {
    struct {
        struct ed25519_point points[ED25519_BUILD_POINTS];
        struct fe products[ED25519_BUILD_POINTS];
    } portable;
    /* The vector builder's: x, y, z and products, limb by limb, eight windows side by side. */
    uint64_t lanes[ED25519_BUILD_STEPS][4][FE_LIMBS][8];
};
/* `point` has z = 1. Writes ed25519_table_entries(windows) entries. */
void ed25519_table_build_vartime(struct ed25519_entry *table, unsigned windows,
                                 const struct ed25519_point *point,
                                 union ed25519_build_scratch *scratch);

/* The same table, eight windows at a time; only where the CPU has AVX-512 IFMA. */
void ed25519_table_build_x8(struct ed25519_entry *table, unsigned windows,
                            const struct ed25519_point *point,
                            union ed25519_build_scratch *scratch);

/* p + p. */
struct ed25519_point ed25519_double(const struct ed25519_point *p);

/* Where terms go: term t into slots[(t / lanes) * 8 + t % lanes], lanes = 2^lanes_log2 of a row of
 * eight: all of a row for one sum (3), or a part of it for each of several. */
struct ed25519_slots {
    uintptr_t *slots; /* already moved to the first lane */
    unsigned lanes_log2;
    bool prefetch; /* ask for the entries' cache lines at once */
    size_t count;  /* terms so far */
};

/* Asks for both lines of an entry, into the second-level cache: a batch's entries are more than the
 * first holds. */
static inline void ed25519_prefetch(uintptr_t term)
{
    const uint8_t *entry = (const uint8_t *)term;
    __builtin_prefetch(entry, 0, 2);
    __builtin_prefetch(entry + 64, 0, 2);
}

/* Adds the terms of s P, s below L, from P's table: at most one a window, zero digits have none.
 * Asks for their cache lines. */
void ed25519_recode_vartime(struct ed25519_slots *out, const uint64_t s[4], unsigned windows,
                            const struct ed25519_entry *table);

#endif
