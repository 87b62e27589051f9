#include "app/bench_process.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROCESS_MAX 4194304 /* of the kernel's, proc(5) */

Test(bench_process, work_is_counted)
{
    uint64_t own = bench_own_cpu_ns();
    pid_t processes[] = {getpid()};
    uint64_t watched = bench_process_cpu_ns(processes, 1);
    volatile uint64_t sum = 0;
    while (bench_own_cpu_ns() - own < 20000000) {
        sum += own;
    }
    uint64_t more = bench_process_cpu_ns(processes, 1) - watched;
    cr_assert_geq(more, 19000000, "%llu", (unsigned long long)more);
}

Test(bench_process, processes_are_added_up_and_one_that_is_gone_is_nothing)
{
    pid_t twice[] = {getpid(), getpid()}, gone[] = {PROCESS_MAX + 1};
    uint64_t once = bench_process_memory(twice, 1), both = bench_process_memory(twice, 2);
    cr_assert_gt(once, 100000);
    cr_assert(both > once + once / 2 && both < 3 * once, "%llu, %llu", (unsigned long long)once,
              (unsigned long long)both);
    cr_assert_eq(bench_process_memory(gone, 1), 0);
    cr_assert_eq(bench_process_cpu_ns(gone, 1), 0);
    cr_assert_eq(bench_process_memory(NULL, 0), 0);
}

Test(bench_process, memory_that_is_touched_is_resident)
{
    enum { SIZE = 32 << 20 };
    pid_t processes[] = {getpid()};
    uint64_t before = bench_process_memory(processes, 1);
    char *block = malloc(SIZE);
    cr_assert_not_null(block);
    memset(block, 1, SIZE);
    cr_assert_geq(bench_process_memory(processes, 1), before + SIZE - (1 << 20));
    free(block);
}

/* The eighth number of the first line, found by the spaces before it. */
Test(bench_process, steal_is_the_kernels_own_count)
{
    char line[256] = "";
    uint64_t before = bench_machine_steal_ns();
    FILE *file = fopen("/proc/stat", "re");
    cr_assert(file != NULL && fgets(line, sizeof line, file) != NULL);
    fclose(file);
    const char *field = line + strlen("cpu ");
    for (int i = 0; i < 8; i++) {
        field = strchr(field, ' ') + 1;
    }
    uint64_t told = strtoull(field, NULL, 10) * (1000000000u / (uint64_t)sysconf(_SC_CLK_TCK));
    cr_assert(before <= told && told <= bench_machine_steal_ns());
}
