#include "base/cpu_features.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

/* The kernel's own list is the second opinion. */
static bool kernel_lists(const char *flag)
{
    FILE *file = fopen("/proc/cpuinfo", "r");
    cr_assert_not_null(file);
    char line[8192], padded[64];
    snprintf(padded, sizeof padded, " %s ", flag);
    bool found = false;
    while (!found && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, "flags", 5) == 0) {
            line[strcspn(line, "\n")] = ' ';
            found = strstr(line, padded) != NULL;
            break;
        }
    }
    fclose(file);
    return found;
}

Test(cpu_features, agree_with_the_kernel)
{
    struct cpu_features features = cpu_features_read();
#if defined(__x86_64__)
    cr_assert_eq(features.avx2, kernel_lists("avx2"));
    cr_assert_eq(features.bmi2_adx, kernel_lists("bmi2") && kernel_lists("adx"));
    cr_assert_eq(features.sha_ni, kernel_lists("sha_ni"));
    cr_assert_eq(features.avx512_ifma, kernel_lists("avx512ifma") && kernel_lists("avx512vl") &&
                                           kernel_lists("avx512bw") && kernel_lists("avx512dq") &&
                                           kernel_lists("bmi2") && kernel_lists("adx"));
#else
    cr_assert_not(features.avx2 || features.bmi2_adx || features.sha_ni || features.avx512_ifma);
    (void)kernel_lists;
#endif
}
