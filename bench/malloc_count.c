/* Counts a process's allocations from outside of it: preloaded in front of its allocator, it adds
 * each call to a page that whoever set POPGATE_MALLOC_COUNT to a file's path can map and read.
 * Calls are counted by the address they came from, so that the reader can say whose they are; and
 * how often jemalloc had to go from a thread's own cache to its heap for more, which is what an
 * allocation costs anybody else. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define SITES       4096 /* a power of two */
#define FILLS_EVERY 1024 /* calls; a power of two */

struct site {
    _Atomic uint64_t address; /* 0: free */
    _Atomic uint64_t calls;
};

struct counts {
    _Atomic uint64_t calls, bytes, lost; /* lost: by sites that found no room */
    _Atomic uint64_t fills;              /* of thread caches, as of the last FILLS_EVERY calls */
    struct site sites[SITES];
};

static struct counts *counts;
static void *(*next_malloc)(size_t);
static void *(*next_calloc)(size_t, size_t);
static void *(*next_realloc)(void *, size_t);
static int (*next_posix_memalign)(void **, size_t, size_t);
static void *(*next_aligned_alloc)(size_t, size_t);

static void find(void *function, const char *name)
{
    *(void **)function = dlsym(RTLD_NEXT, name);
}

/* Not left to the constructor: other libraries' constructors run before ours and allocate. One
 * thread is all there is then. */
static void find_all(void)
{
    static int finding;
    if (finding || next_aligned_alloc != NULL) {
        return;
    }
    finding = 1;
    find(&next_malloc, "malloc");
    find(&next_calloc, "calloc");
    find(&next_realloc, "realloc");
    find(&next_posix_memalign, "posix_memalign");
    find(&next_aligned_alloc, "aligned_alloc");
    finding = 0;
}

__attribute__((constructor)) static void start(void)
{
    find_all();
    const char *path = getenv("POPGATE_MALLOC_COUNT");
    int file = path != NULL ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (file < 0 || ftruncate(file, sizeof *counts) != 0) {
        return;
    }
    void *page = mmap(NULL, sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (page != MAP_FAILED) {
        counts = page;
    }
}

typedef int mallctl_function(const char *, void *, size_t *, void *, size_t);

static uint64_t statistic(mallctl_function *mallctl, const char *name)
{
    uint64_t value = 0;
    size_t size = sizeof value;
    return mallctl(name, &value, &size, NULL, 0) == 0 ? value : 0;
}

static void count_fills(void)
{
    mallctl_function *mallctl;
    uint64_t epoch = 1;
    find(&mallctl, "mallctl");
    if (mallctl == NULL || mallctl("epoch", NULL, NULL, &epoch, sizeof epoch) != 0) {
        return;
    }
    /* 4096 stands for all arenas (MALLCTL_ARENAS_ALL). */
    atomic_store_explicit(&counts->fills,
                          statistic(mallctl, "stats.arenas.4096.small.nfills") +
                              statistic(mallctl, "stats.arenas.4096.large.nfills"),
                          memory_order_relaxed);
}

static void count(size_t bytes, void *caller)
{
    if (counts == NULL) {
        return;
    }
    uint64_t address = (uint64_t)(uintptr_t)caller;
    /* Not at the first call, which may be the allocator's own beginning. */
    if (atomic_fetch_add_explicit(&counts->calls, 1, memory_order_relaxed) % FILLS_EVERY ==
        FILLS_EVERY - 1) {
        count_fills();
    }
    atomic_fetch_add_explicit(&counts->bytes, bytes, memory_order_relaxed);
    for (size_t i = 0; i < SITES; i++) {
        struct site *site = &counts->sites[(address * 0x9e3779b97f4a7c15u >> 32 ^ i) % SITES];
        uint64_t held = atomic_load_explicit(&site->address, memory_order_relaxed);
        if (held == 0 && atomic_compare_exchange_strong(&site->address, &held, address)) {
            held = address;
        }
        if (held == address) {
            atomic_fetch_add_explicit(&site->calls, 1, memory_order_relaxed);
            return;
        }
    }
    atomic_fetch_add_explicit(&counts->lost, 1, memory_order_relaxed);
}

/* dlsym itself may ask for memory before there is anything to forward to: it gets some that is
 * never given back. */
static char early[65536];
static size_t early_used;

static void *take_early(size_t size)
{
    size_t at = (early_used + 15) & ~(size_t)15;
    if (size > sizeof early - at) {
        abort();
    }
    early_used = at + size;
    return early + at;
}

static int is_early(const void *pointer)
{
    return (const char *)pointer >= early && (const char *)pointer < early + sizeof early;
}

void *malloc(size_t size)
{
    find_all();
    if (next_malloc == NULL) {
        return take_early(size);
    }
    count(size, __builtin_return_address(0));
    return next_malloc(size);
}

void *calloc(size_t number, size_t size)
{
    find_all();
    if (next_calloc == NULL) {
        return take_early(number * size);
    }
    count(number * size, __builtin_return_address(0));
    return next_calloc(number, size);
}

void *realloc(void *pointer, size_t size)
{
    find_all();
    if (next_realloc == NULL || is_early(pointer)) {
        abort();
    }
    count(size, __builtin_return_address(0));
    return next_realloc(pointer, size);
}

int posix_memalign(void **pointer, size_t alignment, size_t size)
{
    find_all();
    count(size, __builtin_return_address(0));
    return next_posix_memalign(pointer, alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    find_all();
    count(size, __builtin_return_address(0));
    return next_aligned_alloc(alignment, size);
}

void free(void *pointer)
{
    static void (*next_free)(void *);
    if (is_early(pointer)) {
        return;
    }
    if (next_free == NULL) {
        find(&next_free, "free");
    }
    next_free(pointer);
}
