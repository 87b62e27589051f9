/* What may stand in a header of ours. */
#ifndef POPGATE_PROXY_HEADER_VALUE_H
#define POPGATE_PROXY_HEADER_VALUE_H

#include "base/span.h"

/* Printable ASCII: what DESIGN.md allows in a value taken from a claim or a certificate. */
bool header_value_is_safe(struct span value);

#endif
