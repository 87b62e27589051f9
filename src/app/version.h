/* What this program is made of. */
#ifndef POPGATE_APP_VERSION_H
#define POPGATE_APP_VERSION_H

#include <stdio.h>

/* popgate's version, BoringSSL's, the io backend that `auto` takes here, the crypto implementation
 * chosen. */
void version_print(FILE *out);

#endif
