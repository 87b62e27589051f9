/* What the CPU and the kernel let us use. Read once at start. */
#ifndef POPGATE_BASE_CPU_FEATURES_H
#define POPGATE_BASE_CPU_FEATURES_H

#include <stdbool.h>

struct cpu_features {
    bool avx2;     /* and the operating system saves YMM */
    bool bmi2_adx; /* MULX, ADCX, ADOX */
    bool sha_ni;
    bool avx512_ifma; /* F, DQ, BW, VL, IFMA, with bmi2_adx; the operating system saves ZMM */
};

/* Runs CPUID; all false on other architectures. */
struct cpu_features cpu_features_read(void);

#endif
