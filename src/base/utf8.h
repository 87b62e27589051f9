/* UTF-8 (RFC 3629), one character at a time: for all who pass text on, or refuse it. */
#ifndef POPGATE_BASE_UTF8_H
#define POPGATE_BASE_UTF8_H

#include "base/span.h"

#include <stdint.h>

/* The size, 1 to 4, of the character that `bytes` (at least one) begin with, which *character
 * becomes. 0 if they begin with none: RFC 3629 section 3, "Implementations of the decoding
 * algorithm above MUST protect against decoding invalid sequences": overlong forms, surrogates and
 * what is beyond U+10FFFF, too. */
size_t utf8_read(struct span bytes, uint32_t *character);

#endif
