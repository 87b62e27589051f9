#include "replay/guard.h"

#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>

struct range {
    atomic_bool taken;
    /* Published by `begin`, which is 0 while the others are not valid. */
    _Atomic uintptr_t begin;
    _Atomic size_t bytes;
    _Atomic(atomic_bool *) lost;
};

static struct range ranges[GUARD_RANGES_MAX];

/* Only lock-free atomics and system calls in here. */
static void on_bus_error(int number, siginfo_t *info, void *context)
{
    (void)context;
    uintptr_t address = (uintptr_t)info->si_addr;
    for (int i = 0; i < GUARD_RANGES_MAX; i++) {
        /* Acquire: with `begin` come the other two. */
        uintptr_t begin = atomic_load_explicit(&ranges[i].begin, memory_order_acquire);
        size_t bytes = atomic_load_explicit(&ranges[i].bytes, memory_order_relaxed);
        if (begin == 0 || address < begin || address - begin >= bytes) {
            continue;
        }
        atomic_store(atomic_load_explicit(&ranges[i].lost, memory_order_relaxed), true);
        if (mmap((void *)begin, bytes, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED) {
            return;
        }
    }
    /* Not ours: the access is made again and ends the process. */
    struct sigaction usual = {.sa_handler = SIG_DFL};
    (void)sigaction(number, &usual, NULL);
}

enum status guard_add(void *memory, size_t bytes, atomic_bool *lost)
{
    struct sigaction action = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigemptyset(&action.sa_mask);
    if (sigaction(SIGBUS, &action, NULL) != 0) {
        return STATUS_SYSTEM;
    }
    for (int i = 0; i < GUARD_RANGES_MAX; i++) {
        bool taken = false;
        if (atomic_compare_exchange_strong(&ranges[i].taken, &taken, true)) {
            atomic_store_explicit(&ranges[i].bytes, bytes, memory_order_relaxed);
            atomic_store_explicit(&ranges[i].lost, lost, memory_order_relaxed);
            atomic_store_explicit(&ranges[i].begin, (uintptr_t)memory, memory_order_release);
            return STATUS_OK;
        }
    }
    return STATUS_FULL;
}

void guard_remove(void *memory)
{
    for (int i = 0; i < GUARD_RANGES_MAX; i++) {
        if (atomic_load(&ranges[i].taken) && atomic_load(&ranges[i].begin) == (uintptr_t)memory) {
            atomic_store(&ranges[i].begin, 0);
            atomic_store(&ranges[i].taken, false);
        }
    }
}
