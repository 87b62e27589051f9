/* What the programs with an emulated AVX-512 need beside immintrin.h. */
#include "avx512/operations.h"
#include "base/cpu_features.h"

struct avx512_operations avx512_operations;

struct cpu_features __real_cpu_features_read(void);
struct cpu_features __wrap_cpu_features_read(void);

/* In the place of cpu_features_read (the linker's --wrap): this CPU has AVX-512. */
struct cpu_features __wrap_cpu_features_read(void)
{
    struct cpu_features features = __real_cpu_features_read();
    features.avx512_ifma = true;
    return features;
}
