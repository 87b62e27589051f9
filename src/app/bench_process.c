#include "app/bench_process.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static uint64_t read_clock(clockid_t clock)
{
    struct timespec time;
    if (clock_gettime(clock, &time) != 0) {
        return 0;
    }
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

uint64_t bench_process_cpu_ns(const pid_t *processes, size_t count)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        clockid_t clock;
        if (clock_getcpuclockid(processes[i], &clock) == 0) {
            sum += read_clock(clock);
        }
    }
    return sum;
}

uint64_t bench_own_cpu_ns(void)
{
    return read_clock(CLOCK_PROCESS_CPUTIME_ID);
}

static uint64_t proportional_bytes(pid_t process)
{
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)process);
    FILE *file = fopen(path, "re");
    uint64_t kibibytes = 0;
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, "Pss:", 4) == 0) {
            kibibytes = strtoull(line + 4, NULL, 10);
            break;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return kibibytes * 1024;
}

uint64_t bench_process_memory(const pid_t *processes, size_t count)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        sum += proportional_bytes(processes[i]);
    }
    return sum;
}

/* proc(5): "cpu user nice system idle iowait irq softirq steal ...", in clock ticks. */
uint64_t bench_machine_steal_ns(void)
{
    enum { STEAL = 7 };
    char line[256];
    FILE *file = fopen("/proc/stat", "re");
    uint64_t ticks = 0;
    if (file == NULL) {
        return 0;
    }
    if (fgets(line, sizeof line, file) != NULL && strncmp(line, "cpu ", 4) == 0) {
        char *cursor = line + 4;
        for (int i = 0; i <= STEAL; i++) {
            ticks = strtoull(cursor, &cursor, 10);
        }
    }
    fclose(file);
    long ticks_per_second = sysconf(_SC_CLK_TCK);
    return ticks_per_second > 0 ? ticks * (1000000000u / (uint64_t)ticks_per_second) : 0;
}
