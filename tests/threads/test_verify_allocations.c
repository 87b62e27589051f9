/* The hot path allocates nothing: a warm verifier takes thousands of batches while this program's
 * own malloc counts. A program of its own, since it replaces the allocator; under a sanitizer,
 * which replaces it too, only the verdicts are looked at. */
#include "base/rcu.h"
#include "crypto/verifier.h"

#include <openssl/curve25519.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define COUNTING 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define COUNTING 0
#endif
#endif
#ifndef COUNTING
#define COUNTING 1
#endif

static _Thread_local unsigned long
    allocations; /* by this thread: the library's own may do as it likes */

#if COUNTING
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

void *malloc(size_t size)
{
    allocations++;
    return __libc_malloc(size);
}
void *calloc(size_t count, size_t size)
{
    allocations++;
    return __libc_calloc(count, size);
}
void *realloc(void *memory, size_t size)
{
    allocations++;
    return __libc_realloc(memory, size);
}
void *aligned_alloc(size_t alignment, size_t size)
{
    allocations++;
    return __libc_memalign(alignment, size);
}
#endif

#define KEYS 20

static unsigned failed, passed;
static void check(bool good, const char *what, const char *implementation)
{
    passed += good;
    failed += !good;
    if (!good) {
        printf("%s: %s\n", implementation, what);
    }
}

static void run(const char *implementation)
{
    struct verifier *verifier = verifier_new(&(struct verifier_options){
        .key_memory_bytes = (size_t)32 << 20, .implementation = implementation});
    if (verifier == NULL) {
        printf("no %s here\n", implementation);
        return;
    }
    struct verify_scratch *scratch = verify_scratch_new();
    static struct public_key keys[KEYS];
    static uint8_t signatures[KEYS][64];
    static const struct span message = SPAN_LITERAL("the hot path allocates nothing");
    bool built = true;
    for (size_t k = 0; k < KEYS; k++) {
        uint8_t private[64];
        memset(&keys[k], 0, sizeof keys[k]);
        keys[k].type = KEY_ED25519;
        ED25519_keypair(keys[k].x, private);
        built = built && ED25519_sign(signatures[k], message.data, message.size, private) &&
                verify_prepare_key(verifier, scratch, &keys[k]) == STATUS_OK;
    }
    check(built, "contexts are built", implementation);
    struct verify_job jobs[64];
    bool right = true;
    unsigned long before = allocations;
    for (size_t turn = 0; turn < 500; turn++) {
        size_t count = turn % 64 + 1;
        for (size_t i = 0; i < count; i++) {
            size_t k = (turn + i) % KEYS, signed_by = i % 5 == 4 ? (k + 1) % KEYS : k;
            jobs[i] = (struct verify_job){.algorithm = SIGNATURE_EDDSA,
                                          .key = &keys[k],
                                          .message = message,
                                          .signature = span_make(signatures[signed_by], 64)};
        }
        verify_batch(verifier, scratch, jobs, count);
        for (size_t i = 0; i < count; i++) {
            right = right && jobs[i].status == (i % 5 == 4 ? STATUS_FAILED : STATUS_OK);
        }
        rcu_quiescent();
    }
    unsigned long after = allocations;
    check(right, "verdicts", implementation);
    check(after == before, "allocated on the hot path", implementation);
    struct verifier_counters counters;
    verifier_read_counters(verifier, &counters);
    check(counters.context_misses == 0, "every lookup was a hit", implementation);
    verify_scratch_free(scratch);
    verifier_free(verifier);
}

int main(void)
{
    rcu_register();
    unsigned long before = allocations;
    void *volatile probe = malloc(10);
    check(!COUNTING || allocations == before + 1, "the counter counts", "malloc");
    free(probe);
    run("portable");
    run("ifma");
    rcu_unregister();
    printf("%u passed, %u failed\n", passed, failed);
    return failed != 0;
}
