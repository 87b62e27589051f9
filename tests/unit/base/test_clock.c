#include "base/clock.h"

#include <criterion/criterion.h>
#include <time.h>

Test(clock, wall_and_boot_agree_with_the_system)
{
    struct timespec wall, boot;
    clock_gettime(CLOCK_REALTIME, &wall);
    clock_gettime(CLOCK_BOOTTIME, &boot);
    struct clock_now now = clock_read();
    cr_assert_geq(now.wall_s, (int64_t)wall.tv_sec);
    cr_assert_leq(now.wall_s, (int64_t)wall.tv_sec + 60);
    cr_assert_eq((uint64_t)now.wall_s, now.wall_ns / 1000000000u);
    cr_assert_geq(now.boot_ns, (uint64_t)boot.tv_sec * 1000000000u + (uint64_t)boot.tv_nsec);
}

Test(clock, boot_time_never_goes_back)
{
    uint64_t last = 0;
    for (int i = 0; i < 1000; i++) {
        struct clock_now now = clock_read();
        cr_assert_geq(now.boot_ns, last);
        last = now.boot_ns;
    }
}
