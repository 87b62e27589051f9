/* The Authorization field (RFC 9110 section 11.6.2): credentials = auth-scheme 1*SP token68, of two
 * schemes. */
#ifndef POPGATE_AUTH_AUTHORIZATION_H
#define POPGATE_AUTH_AUTHORIZATION_H

#include "auth/gate.h"

/* STATUS_OK sets both outputs; `token` points into `value` and is not empty. STATUS_UNSUPPORTED:
 * another scheme, whatever follows it. STATUS_MALFORMED: no scheme at all, or DPoP or Bearer not
 * followed by spaces and one token68 ending the value (two credentials in one field are this). */
MUST_CHECK enum status authorization_parse(struct span value, enum auth_scheme *scheme,
                                           struct span *token);

#endif
