/* The mark that tells a throw-away CA from a real one: a private extension, so that `popgate run`
 * can refuse it on anything but loopback. */
#ifndef POPGATE_TLS_DEMO_H
#define POPGATE_TLS_DEMO_H

#include "base/status.h"

#include <openssl/x509.h>

#include <stdbool.h>

/* Adds the mark (not critical: everybody else ignores it). */
MUST_CHECK enum status demo_mark(X509 *ca);
bool demo_is_marked(const X509 *ca);

#endif
