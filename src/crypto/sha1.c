#include "crypto/sha1.h"

#include <openssl/sha.h>

void sha1(struct span message, uint8_t digest[SHA1_BYTES])
{
    SHA1(message.data, message.size, digest);
}
