/* The assembly of the 64-bit words: compiled for BMI2 and ADX, as its name says. */
#if defined(__x86_64__)
#include "base/cpu_features.h"
#include "unit/crypto/p256_field64_checks.h"

#if !defined(POPGATE_CRYPTO_P256_FIELD64_BMI2_H)
#error "compiled without BMI2 and ADX this would test the C a second time"
#endif

Test(p256_field64_bmi2, equals_big_numbers, .init = field64_setup, .fini = field64_teardown)
{
    if (!cpu_features_read().bmi2_adx) {
        cr_skip_test("no BMI2 and ADX here");
    }
    check_equals_big_numbers();
}

Test(p256_field64_bmi2, products_at_their_bound, .init = field64_setup, .fini = field64_teardown)
{
    if (!cpu_features_read().bmi2_adx) {
        cr_skip_test("no BMI2 and ADX here");
    }
    check_products_at_their_bound();
}
#endif
