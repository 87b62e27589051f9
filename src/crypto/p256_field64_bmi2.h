/* The same functions as p256_field64_c.h in assembly, for x86-64 with BMI2 and ADX: what a compiler
 * makes of the C is up to twice as many instructions, and not the same number from one compiler to
 * the next. Included by p256_field64.h alone.
 *
 * MULX leaves the flags alone, so a carry chain may run through the products it adds up. Chains
 * that follow one another overlap in a CPU that executes out of order; ADCX and ADOX side by side
 * (Ozturk, Guilford and Gopal, "Large integer squaring on Intel architecture processors", 2013) are
 * where that was measured to be faster: in the square, not in the product.
 *
 * Of 16 registers two are taken (the stack's, and in some builds the frame's): twelve words and two
 * pointers are the other fourteen. Results leave in registers, so that the output may lie on an
 * operand. Operands are read through pointers, which "memory" says. */
#ifndef POPGATE_CRYPTO_P256_FIELD64_BMI2_H
#define POPGATE_CRYPTO_P256_FIELD64_BMI2_H

#define FE64_OUT(name) [name] "=&r"(name)

/* The first row of a product, a b[0]: five words. */
#define FE64_FIRST_ROW(w0, w1, w2, w3, w4)                                                         \
    "movq (%[b]), %%rdx\n\t"                                                                       \
    "mulxq (%[a]), %[" #w0 "], %[" #w1 "]\n\t"                                                     \
    "mulxq 8(%[a]), %[low], %[" #w2 "]\n\t"                                                        \
    "addq %[low], %[" #w1 "]\n\t"                                                                  \
    "mulxq 16(%[a]), %[low], %[" #w3 "]\n\t"                                                       \
    "adcq %[low], %[" #w2 "]\n\t"                                                                  \
    "mulxq 24(%[a]), %[low], %[" #w4 "]\n\t"                                                       \
    "adcq %[low], %[" #w3 "]\n\t"                                                                  \
    "adcq $0, %[" #w4 "]\n\t"

/* A later row: a b[i] added to what the rows before left, w0 .. w3 and the carry. The sum's fifth
 * word is `top`; see fe64_mul() for why there is no sixth. */
#define FE64_ROW(offset, w0, w1, w2, w3, carry, top)                                               \
    "movq " #offset "(%[b]), %%rdx\n\t"                                                            \
    "mulxq (%[a]), %[low], %[high0]\n\t"                                                           \
    "addq %[low], %[" #w0 "]\n\t"                                                                  \
    "mulxq 8(%[a]), %[low], %[high1]\n\t"                                                          \
    "adcq %[low], %[" #w1 "]\n\t"                                                                  \
    "mulxq 16(%[a]), %[low], %[high2]\n\t"                                                         \
    "adcq %[low], %[" #w2 "]\n\t"                                                                  \
    "mulxq 24(%[a]), %[low], %[" #top "]\n\t"                                                      \
    "adcq %[low], %[" #w3 "]\n\t"                                                                  \
    "adcq %[" #carry "], %[" #top "]\n\t"                                                          \
    "addq %[high0], %[" #w1 "]\n\t"                                                                \
    "adcq %[high1], %[" #w2 "]\n\t"                                                                \
    "adcq %[high2], %[" #w3 "]\n\t"                                                                \
    "adcq $0, %[" #top "]\n\t"

/* q + q p = q 2^64 (2^32 + 2^128 0xffffffff00000001), as in p256_field64_c.h: two words of shifts
 * into `low` and `high0`, then the product of q and p[3], q 2^64 - q 2^32 + q, into RDX and q: two
 * subtractions, done sooner than a multiplication. */
#define FE64_MULTIPLE(q)                                                                           \
    "shlxq %[shift], %[" #q "], %[low]\n\t"                                                        \
    "shrxq %[shift], %[" #q "], %[high0]\n\t"                                                      \
    "movq %[" #q "], %%rdx\n\t"                                                                    \
    "subq %[low], %%rdx\n\t"                                                                       \
    "sbbq %[high0], %[" #q "]\n\t"

/* One turn of the reduction, q the lowest word. The carry is in the flag. */
#define FE64_TURN(q, w1, w2, w3, w4)                                                               \
    FE64_MULTIPLE(q)                                                                               \
    "addq %[low], %[" #w1 "]\n\t"                                                                  \
    "adcq %[high0], %[" #w2 "]\n\t"                                                                \
    "adcq %%rdx, %[" #w3 "]\n\t"                                                                   \
    "adcq %[" #q "], %[" #w4 "]\n\t"

#define FE64_CARRY_TO(word) "movl $0, %k[" #word "]\n\tadcq $0, %[" #word "]\n\t"

/* The same of four words, of a number below 2^256: q comes back as the highest. */
#define FE64_TURN_OF_FOUR(q, w1, w2, w3)                                                           \
    FE64_MULTIPLE(q)                                                                               \
    "addq %[low], %[" #w1 "]\n\t"                                                                  \
    "adcq %[high0], %[" #w2 "]\n\t"                                                                \
    "adcq %%rdx, %[" #w3 "]\n\t"                                                                   \
    "adcq $0, %[" #q "]\n\t"

/* r + carry 2^256 < 2 p, the carry in the flag: below p. Others are scratch. */
#define FE64_REDUCE_ONCE(r0, r1, r2, r3, s0, s1, s2, s3, p1, p3)                                   \
    "sbbq %%rdx, %%rdx\n\t"                                                                        \
    "movl $0xffffffff, %k[" #p1 "]\n\t"                                                            \
    "movabsq $0xffffffff00000001, %[" #p3 "]\n\t"                                                  \
    "movq %[" #r0 "], %[" #s0 "]\n\t"                                                              \
    "movq %[" #r1 "], %[" #s1 "]\n\t"                                                              \
    "movq %[" #r2 "], %[" #s2 "]\n\t"                                                              \
    "movq %[" #r3 "], %[" #s3 "]\n\t"                                                              \
    "subq $-1, %[" #r0 "]\n\t"                                                                     \
    "sbbq %[" #p1 "], %[" #r1 "]\n\t"                                                              \
    "sbbq $0, %[" #r2 "]\n\t"                                                                      \
    "sbbq %[" #p3 "], %[" #r3 "]\n\t"                                                              \
    "sbbq $0, %%rdx\n\t"                                                                           \
    "cmovcq %[" #s0 "], %[" #r0 "]\n\t"                                                            \
    "cmovcq %[" #s1 "], %[" #r1 "]\n\t"                                                            \
    "cmovcq %[" #s2 "], %[" #r2 "]\n\t"                                                            \
    "cmovcq %[" #s3 "], %[" #r3 "]\n\t"

/* A row, a turn, and so on. What is left after a turn, S, is below 2 p: (S + a b[i] + q p) / 2^64 <
 * (2 p + (2^64 - 1) p + (2^64 - 1) p) / 2^64 = 2 p, for a below p. So it is four words and a carry,
 * and S + a b[i] < 2 p + (2^64 - 1) p < 2^320 is five words. */
FE64_MULTIPLY void fe64_mul(struct fe64 *r, const struct fe64 *a, const struct fe64 *b)
{
    uint64_t w0, w1, w2, w3, w4, w5, low, high0, high1, high2, shift, rdx;
    __asm__("movl $32, %k[shift]\n\t"                       /* for FE64_MULTIPLE */
            FE64_FIRST_ROW(w0, w1, w2, w3, w4)              /* b[0] */
            FE64_TURN(w0, w1, w2, w3, w4) FE64_CARRY_TO(w0) /* w1 is lowest now */
            FE64_ROW(8, w1, w2, w3, w4, w0, w5)             /* b[1] */
            FE64_TURN(w1, w2, w3, w4, w5) FE64_CARRY_TO(w1) /* w2 */
            FE64_ROW(16, w2, w3, w4, w5, w1, w0)            /* b[2] */
            FE64_TURN(w2, w3, w4, w5, w0) FE64_CARRY_TO(w2) /* w3 */
            FE64_ROW(24, w3, w4, w5, w0, w2, w1)            /* b[3] */
            FE64_TURN(w3, w4, w5, w0, w1)                   /* w4 */
            FE64_REDUCE_ONCE(w4, w5, w0, w1, high0, high1, high2, w2, w3, low)
            : FE64_OUT(w0), FE64_OUT(w1), FE64_OUT(w2), FE64_OUT(w3), FE64_OUT(w4), FE64_OUT(w5),
              FE64_OUT(low), FE64_OUT(high0), FE64_OUT(high1), FE64_OUT(high2), FE64_OUT(shift),
              "=&d"(rdx)
            : [a] "r"(a), [b] "r"(b)
            : "cc", "memory");
    *r = (struct fe64){{w4, w5, w0, w1}};
}

/* Doubles two words in the chain of CF and adds the two of a square in that of OF. */
#define FE64_DOUBLE_AND_ADD(even, odd)                                                             \
    "adcxq %[" #even "], %[" #even "]\n\t"                                                         \
    "adoxq %[low], %[" #even "]\n\t"                                                               \
    "adcxq %[" #odd "], %[" #odd "]\n\t"                                                           \
    "adoxq %[high0], %[" #odd "]\n\t"

/* t = the six mixed products, doubled, and the four squares; reduced as in p256_field64_c.h. Where
 * a word is new the carries end in it, with both flags clear. `shift` is zero until it is needed.
 */
FE64_MULTIPLY void fe64_square(struct fe64 *r, const struct fe64 *a)
{
    uint64_t t0, t1, t2, t3, t4, t5, t6, t7, low, high0, shift, rdx;
    __asm__("movq (%[a]), %%rdx\n\t"
            "xorl %k[shift], %k[shift]\n\t"
            "mulxq 8(%[a]), %[t1], %[t2]\n\t"
            "mulxq 16(%[a]), %[low], %[t3]\n\t"
            "adcxq %[low], %[t2]\n\t"
            "mulxq 24(%[a]), %[low], %[t4]\n\t"
            "adcxq %[low], %[t3]\n\t"
            "adcxq %[shift], %[t4]\n\t"
            "movq 8(%[a]), %%rdx\n\t"
            "mulxq 16(%[a]), %[low], %[high0]\n\t"
            "adcxq %[low], %[t3]\n\t"
            "adoxq %[high0], %[t4]\n\t"
            "mulxq 24(%[a]), %[low], %[t5]\n\t"
            "adcxq %[low], %[t4]\n\t"
            "adoxq %[shift], %[t5]\n\t"
            "movq 16(%[a]), %%rdx\n\t"
            "mulxq 24(%[a]), %[low], %[t6]\n\t"
            "adcxq %[low], %[t5]\n\t"
            "adcxq %[shift], %[t6]\n\t"
            "movq (%[a]), %%rdx\n\t"
            "mulxq %%rdx, %[t0], %[high0]\n\t"
            "adcxq %[t1], %[t1]\n\t"
            "adoxq %[high0], %[t1]\n\t"
            "movq 8(%[a]), %%rdx\n\t"
            "mulxq %%rdx, %[low], %[high0]\n\t" FE64_DOUBLE_AND_ADD(t2, t3) /* a[1]^2 */
            "movq 16(%[a]), %%rdx\n\t"
            "mulxq %%rdx, %[low], %[high0]\n\t" FE64_DOUBLE_AND_ADD(t4, t5) /* a[2]^2 */
            "movq 24(%[a]), %%rdx\n\t"
            "mulxq %%rdx, %[low], %[t7]\n\t"
            "adcxq %[t6], %[t6]\n\t"
            "adoxq %[low], %[t6]\n\t"
            "adcxq %[shift], %[t7]\n\t"
            "adoxq %[shift], %[t7]\n\t"
            "movl $32, %k[shift]\n\t" FE64_TURN_OF_FOUR(t0, t1, t2, t3) /* t1 is lowest now */
            FE64_TURN_OF_FOUR(t1, t2, t3, t0)                           /* t2 */
            FE64_TURN_OF_FOUR(t2, t3, t0, t1)                           /* t3 */
            FE64_TURN_OF_FOUR(t3, t0, t1, t2)                           /* t0 */
            "addq %[t0], %[t4]\n\t"
            "adcq %[t1], %[t5]\n\t"
            "adcq %[t2], %[t6]\n\t"
            "adcq %[t3], %[t7]\n\t" FE64_REDUCE_ONCE(t4, t5, t6, t7, t0, t1, t2, t3, low, high0)
            : FE64_OUT(t0), FE64_OUT(t1), FE64_OUT(t2), FE64_OUT(t3), FE64_OUT(t4), FE64_OUT(t5),
              FE64_OUT(t6), FE64_OUT(t7), FE64_OUT(low), FE64_OUT(high0), FE64_OUT(shift),
              "=&d"(rdx)
            : [a] "r"(a)
            : "cc", "memory");
    *r = (struct fe64){{t4, t5, t6, t7}};
}

FE64_INLINE void fe64_add(struct fe64 *r, const struct fe64 *a, const struct fe64 *b)
{
    uint64_t r0 = a->v[0], r1 = a->v[1], r2 = a->v[2], r3 = a->v[3], s0, s1, s2, s3, p1, p3, rdx;
    __asm__("addq (%[b]), %[r0]\n\t"
            "adcq 8(%[b]), %[r1]\n\t"
            "adcq 16(%[b]), %[r2]\n\t"
            "adcq 24(%[b]), %[r3]\n\t" FE64_REDUCE_ONCE(r0, r1, r2, r3, s0, s1, s2, s3, p1, p3)
            : [r0] "+&r"(r0), [r1] "+&r"(r1), [r2] "+&r"(r2), [r3] "+&r"(r3), FE64_OUT(s0),
              FE64_OUT(s1), FE64_OUT(s2), FE64_OUT(s3), FE64_OUT(p1), FE64_OUT(p3), "=&d"(rdx)
            : [b] "r"(b)
            : "cc", "memory");
    *r = (struct fe64){{r0, r1, r2, r3}};
}

/* a - b, and if that borrows p is added: 2^32 - 1 and its negative are p[1] and p[3]. */
FE64_INLINE void fe64_sub(struct fe64 *r, const struct fe64 *a, const struct fe64 *b)
{
    uint64_t r0 = a->v[0], r1 = a->v[1], r2 = a->v[2], r3 = a->v[3], p0, p1, p3;
    __asm__("subq %[b0], %[r0]\n\t"
            "sbbq %[b1], %[r1]\n\t"
            "sbbq %[b2], %[r2]\n\t"
            "sbbq %[b3], %[r3]\n\t"
            "sbbq %[p0], %[p0]\n\t"
            "movl %k[p0], %k[p1]\n\t"
            "movq %[p1], %[p3]\n\t"
            "negq %[p3]\n\t"
            "addq %[p0], %[r0]\n\t"
            "adcq %[p1], %[r1]\n\t"
            "adcq $0, %[r2]\n\t"
            "adcq %[p3], %[r3]\n\t"
            : [r0] "+&r"(r0), [r1] "+&r"(r1), [r2] "+&r"(r2), [r3] "+&r"(r3), FE64_OUT(p0),
              FE64_OUT(p1), FE64_OUT(p3)
            : [b0] "m"(b->v[0]), [b1] "m"(b->v[1]), [b2] "m"(b->v[2]), [b3] "m"(b->v[3])
            : "cc");
    *r = (struct fe64){{r0, r1, r2, r3}};
}

#undef FE64_OUT
#undef FE64_FIRST_ROW
#undef FE64_ROW
#undef FE64_MULTIPLE
#undef FE64_TURN
#undef FE64_CARRY_TO
#undef FE64_TURN_OF_FOUR
#undef FE64_DOUBLE_AND_ADD
#undef FE64_REDUCE_ONCE

#endif
