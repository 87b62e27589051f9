/* Signatures of the RFCs' examples. C and C++, and nothing of ours: embed.c is outside the tree. */
#ifndef POPGATE_TESTS_RFC_EXAMPLES_H
#define POPGATE_TESTS_RFC_EXAMPLES_H

#include <stdint.h>

/* RFC 7515 appendix A.3: ES256. */
static const uint8_t es256_x[32] = {127, 205, 206, 39,  112, 246, 196, 93,  65, 131, 203,
                                    238, 111, 219, 75,  123, 88,  7,   51,  53, 123, 233,
                                    239, 19,  186, 207, 110, 60,  123, 209, 84, 69};
static const uint8_t es256_y[32] = {199, 241, 68,  205, 27,  189, 155, 126, 135, 44,  223,
                                    237, 185, 238, 185, 244, 179, 105, 93,  110, 169, 11,
                                    36,  173, 138, 70,  35,  40,  133, 136, 229, 173};
static const char es256_jwk[] =
    "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
    "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}";
static const char es256_message[] =
    "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNv"
    "bS9pc19yb290Ijp0cnVlfQ";
static const uint8_t es256_signature[64] = {
    14,  209, 33,  83,  121, 99,  108, 72,  60,  47,  127, 21,  88,  7,   212, 2,
    163, 178, 40,  3,   58,  249, 124, 126, 23,  129, 154, 195, 22,  158, 166, 101,
    197, 10,  7,   211, 140, 60,  112, 229, 216, 241, 45,  175, 8,   74,  84,  128,
    166, 101, 144, 197, 242, 147, 80,  154, 143, 63,  127, 138, 131, 163, 84,  213};

/* RFC 8037 appendix A: the key of A.2, the JWS of A.4. */
static const char ed25519_jwk[] = "{\"kty\":\"OKP\",\"crv\":\"Ed25519\","
                                  "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}";
static const char ed25519_message[] = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
static const uint8_t ed25519_signature[64] = {
    0x86, 0x0c, 0x98, 0xd2, 0x29, 0x7f, 0x30, 0x60, 0xa3, 0x3f, 0x42, 0x73, 0x96, 0x72, 0xd6, 0x1b,
    0x53, 0xcf, 0x3a, 0xde, 0xfe, 0xd3, 0xd3, 0xc6, 0x72, 0xf3, 0x20, 0xdc, 0x02, 0x1b, 0x41, 0x1e,
    0x9d, 0x59, 0xb8, 0x62, 0x8d, 0xc3, 0x51, 0xe2, 0x48, 0xb8, 0x8b, 0x29, 0x46, 0x8e, 0x0e, 0x41,
    0x85, 0x5b, 0x0f, 0xb7, 0xd8, 0x3b, 0xb1, 0x5b, 0xe9, 0x02, 0xbf, 0xcc, 0xb8, 0xcd, 0x0a, 0x02};

#endif
