/* BoringSSL empties the thread's error queue at the start of SSL_read, SSL_write and their kin: it
 * frees the text of each of its sixteen places, whether there are errors or not, which is a
 * fourteenth of all instructions of a request that is only passed on. The program is linked so that
 * their ERR_clear_error is this one (ld's --wrap); nothing else changes, for a queue without errors
 * is an empty one: texts are kept with errors alone.
 * Where BoringSSL is a shared library it goes on calling its own. */
#include <openssl/err.h>

/* The linker's names. */
void __real_ERR_clear_error(void);
void __wrap_ERR_clear_error(void);

void __wrap_ERR_clear_error(void)
{
    if (ERR_peek_error() != 0) {
        __real_ERR_clear_error();
    }
}
