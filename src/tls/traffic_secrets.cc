#include "tls/traffic_secrets.h"

#include <cstring>

bool traffic_secrets_get(const SSL *ssl, uint8_t read[TRAFFIC_SECRET_BYTES_MAX],
                         uint8_t write[TRAFFIC_SECRET_BYTES_MAX], size_t *size)
{
    bssl::Span<const uint8_t> read_secret, write_secret;
    if (!bssl::SSL_get_traffic_secrets(ssl, &read_secret, &write_secret) || read_secret.empty() ||
        read_secret.size() != write_secret.size() ||
        read_secret.size() > TRAFFIC_SECRET_BYTES_MAX) {
        return false;
    }
    std::memcpy(read, read_secret.data(), read_secret.size());
    std::memcpy(write, write_secret.data(), write_secret.size());
    *size = read_secret.size();
    return true;
}
