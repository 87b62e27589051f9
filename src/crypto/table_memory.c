#include "crypto/table_memory.h"

#include <stdint.h>
#include <sys/mman.h>

#define HUGE_PAGE_BYTES ((size_t)2 << 20)

static size_t rounded(size_t bytes)
{
    return (bytes + HUGE_PAGE_BYTES - 1) / HUGE_PAGE_BYTES * HUGE_PAGE_BYTES;
}

void *table_memory_new(size_t bytes)
{
    if (bytes == 0 || bytes > SIZE_MAX / 2) {
        return NULL;
    }
    size_t size = rounded(bytes);
    /* One huge page more than needed, and what sticks out on either side given back: mmap aligns to
     * small pages only. */
    uint8_t *mapped = mmap(NULL, size + HUGE_PAGE_BYTES, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) {
        return NULL;
    }
    size_t before = rounded((uintptr_t)mapped) - (uintptr_t)mapped;
    if (before > 0) {
        munmap(mapped, before);
    }
    if (before < HUGE_PAGE_BYTES) {
        munmap(mapped + before + size, HUGE_PAGE_BYTES - before);
    }
    /* A wish: a kernel without huge pages says no, and small ones do. */
    (void)madvise(mapped + before, size, MADV_HUGEPAGE);
    return mapped + before;
}

void table_memory_free(void *memory, size_t bytes)
{
    if (memory != NULL) {
        munmap(memory, rounded(bytes));
    }
}
