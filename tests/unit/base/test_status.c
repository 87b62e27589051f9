#include "base/status.h"

#include <criterion/criterion.h>
#include <string.h>

Test(status, unwritten_memory_is_a_failure)
{
    enum status status;
    memset(&status, 0, sizeof status);
    cr_assert_eq(status, STATUS_FAILED);
    cr_assert_neq(status, STATUS_OK);
}

Test(status, every_value_has_a_word_of_its_own)
{
    for (int a = STATUS_FAILED; a <= STATUS_SYSTEM; a++) {
        cr_assert_not_null(status_name((enum status)a));
        for (int b = STATUS_FAILED; b < a; b++) {
            cr_assert_str_neq(status_name((enum status)a), status_name((enum status)b));
        }
    }
    cr_assert_str_eq(status_name((enum status)999), "unknown");
}
