/* What other processes cost, and the machine's host, as the kernel counts it. */
#ifndef POPGATE_APP_BENCH_PROCESS_H
#define POPGATE_APP_BENCH_PROCESS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* User and system time of all their threads so far, in nanoseconds; one that is gone counts as 0.
 */
uint64_t bench_process_cpu_ns(const pid_t *processes, size_t count);
uint64_t bench_own_cpu_ns(void);

/* Proportional set size (pages shared by n processes count 1/n to each) of all of them, in bytes;
 * 0 when the kernel does not tell. */
uint64_t bench_process_memory(const pid_t *processes, size_t count);

/* What a hypervisor gave to others while CPUs of this machine had work, of all CPUs together, in
 * nanoseconds since the start: the steps are the kernel's ticks (10 ms). 0 when it does not tell.
 */
uint64_t bench_machine_steal_ns(void);

#endif
