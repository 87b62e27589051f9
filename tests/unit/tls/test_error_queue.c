#include <criterion/criterion.h>
#include <openssl/err.h>

/* Every clearing in this program is the one that looks first whether there is anything to clear
 * (src/tls/error_queue.c): that there is must never be missed. BoringSSL keeps sixteen. */
Test(error_queue, is_empty_after_a_clearing_however_many_errors_there_were)
{
    for (int count = 0; count <= 40; count++) {
        for (int i = 0; i < count; i++) {
            ERR_put_error(ERR_LIB_SSL, 0, 1 + i, "file", 1);
            ERR_add_error_data(1, "text");
        }
        cr_assert_eq(ERR_peek_error() != 0, count > 0);
        ERR_clear_error();
        cr_assert_eq(ERR_peek_error(), 0, "of %d", count);
        cr_assert_eq(ERR_get_error(), 0, "of %d", count);
    }
}
