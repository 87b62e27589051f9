#include "tls/failure.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <stddef.h>
#include <stdint.h>

static const struct {
    int reason;
    const char *words;
} sentences[] = {
    {SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, "the peer sent no certificate"},
    {SSL_R_CERTIFICATE_VERIFY_FAILED, "the peer's certificate does not verify"},
    {SSL_R_BAD_SIGNATURE, "the peer does not hold its certificate's key"},
    {SSL_R_NO_APPLICATION_PROTOCOL, "the peer offers only protocols we do not speak (ALPN)"},
    {SSL_R_UNSUPPORTED_PROTOCOL, "the peer offers only older TLS versions"},
    {SSL_R_NO_SHARED_CIPHER, "no cipher suite in common"},
    {SSL_R_WRONG_VERSION_NUMBER, "this is not TLS"},
    {SSL_R_HTTP_REQUEST, "plain HTTP came to the TLS port"},
    {SSL_R_HTTPS_PROXY_REQUEST, "a proxy's CONNECT came to the TLS port"},
    {SSL_R_TOO_MANY_KEY_UPDATES, "too many KeyUpdates"},
    {SSL_R_TOO_MANY_EMPTY_FRAGMENTS, "too many empty records"},
    {SSL_R_TOO_MANY_WARNING_ALERTS, "too many warning alerts"},
    {SSL_R_NO_RENEGOTIATION, "the peer asked for renegotiation"},
    {SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC, "a record does not decrypt"},
    {SSL_R_TLSV1_ALERT_UNKNOWN_CA, "the peer does not know our CA"},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN, "the peer refuses our certificate"},
    {SSL_R_SSLV3_ALERT_BAD_CERTIFICATE, "the peer calls a certificate bad"},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED, "the peer calls a certificate expired"},
};

const char *tls_failure_words(void)
{
    const char *words = NULL;
    /* The first entry of the TLS layer says what happened; what lies below it says why in terms of
     * libcrypto. */
    for (uint32_t error = ERR_get_error(); error != 0; error = ERR_get_error()) {
        if (ERR_GET_LIB(error) != ERR_LIB_SSL) {
            continue;
        }
        for (size_t i = 0; i < sizeof sentences / sizeof sentences[0]; i++) {
            if (sentences[i].reason == ERR_GET_REASON(error)) {
                ERR_clear_error();
                return sentences[i].words;
            }
        }
        words = words != NULL ? words : ERR_reason_error_string(error);
    }
    return words != NULL ? words : "the peer broke the TLS protocol";
}
