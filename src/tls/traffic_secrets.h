/* The one thing of BoringSSL that only its C++ interface gives: a TLS 1.3 connection's secrets,
 * from which record.h goes on once the handshake is done. Internal to src/tls. */
#ifndef POPGATE_TLS_TRAFFIC_SECRETS_H
#define POPGATE_TLS_TRAFFIC_SECRETS_H

#include <openssl/ssl.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TRAFFIC_SECRET_BYTES_MAX 48 /* SHA-384 */

/* Both are *size bytes. False unless this is TLS 1.3 and the handshake is complete. */
bool traffic_secrets_get(const SSL *ssl, uint8_t read[TRAFFIC_SECRET_BYTES_MAX],
                         uint8_t write[TRAFFIC_SECRET_BYTES_MAX], size_t *size);

#ifdef __cplusplus
}
#endif

#endif
