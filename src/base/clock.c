#include "base/clock.h"

#include <time.h>

static uint64_t to_ns(struct timespec time)
{
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

struct clock_now clock_read(void)
{
    struct timespec wall = {0}, boot = {0};
    clock_gettime(CLOCK_REALTIME, &wall);
    clock_gettime(CLOCK_BOOTTIME, &boot);
    return (struct clock_now){
        .wall_s = (int64_t)wall.tv_sec,
        .wall_ns = to_ns(wall),
        .boot_ns = to_ns(boot),
    };
}
