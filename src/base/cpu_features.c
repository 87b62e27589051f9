#include "base/cpu_features.h"

struct cpu_features cpu_features_read(void)
{
    struct cpu_features features = {0};
#if defined(__x86_64__)
    __builtin_cpu_init();
    features.avx2 = __builtin_cpu_supports("avx2");
    features.avx512_ifma = __builtin_cpu_supports("avx512f") &&
                           __builtin_cpu_supports("avx512dq") &&
                           __builtin_cpu_supports("avx512bw") &&
                           __builtin_cpu_supports("avx512vl") &&
                           __builtin_cpu_supports("avx512ifma");
    /* gcc 12's __builtin_cpu_supports knows neither ADX nor SHA. CPUID leaf 7: EBX bit 8 BMI2, 19
     * ADX, 29 SHA. None of them needs state that the operating system must save. */
    unsigned eax = 7, ebx = 0, ecx = 0, edx = 0;
    unsigned highest = 0;
    __asm__ volatile("cpuid" : "=a"(highest), "=b"(ebx), "=c"(ecx), "=d"(edx) : "a"(0), "c"(0));
    if (highest >= 7) {
        __asm__ volatile("cpuid" : "=a"(eax), "=b"(ebx), "=c"(ecx), "=d"(edx) : "a"(7), "c"(0));
        features.bmi2_adx = (ebx >> 8 & 1) && (ebx >> 19 & 1);
        features.sha_ni = ebx >> 29 & 1;
    }
    /* Its files are compiled for BMI2 and ADX too, and its tables begin in p256_verify_bmi2.c. */
    features.avx512_ifma = features.avx512_ifma && features.bmi2_adx;
#endif
    return features;
}
