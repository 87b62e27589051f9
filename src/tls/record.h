/* The TLS 1.3 record layer (RFC 8446 section 5) of an established connection, in place of
 * BoringSSL's. BoringSSL does the handshake and every primitive; this opens records where they were
 * received and seals them where they are sent from, so that a request costs no allocation and no
 * copy, and an idle connection two keys instead of kilobytes. Internal to src/tls. */
#ifndef POPGATE_TLS_RECORD_H
#define POPGATE_TLS_RECORD_H

#include "base/buffer.h"
#include "tls/traffic_secrets.h"

#include <openssl/aead.h>
#include <openssl/ssl.h>

#define RECORD_HEADER_BYTES    5
#define RECORD_TAG_BYTES       16
#define RECORD_PLAIN_BYTES_MAX 16384 /* RFC 8446 section 5.1: "2^14 bytes or less" */
#define RECORD_BODY_BYTES_MAX  (RECORD_PLAIN_BYTES_MAX + 256) /* section 5.2 */
#define RECORD_BYTES_MAX       (RECORD_HEADER_BYTES + RECORD_BODY_BYTES_MAX)
/* What sealing adds: header, content type, tag. */
#define RECORD_OVERHEAD_BYTES (RECORD_HEADER_BYTES + 1 + RECORD_TAG_BYTES)

/* Bounds on what a peer may send without a byte of application data; BoringSSL's numbers. */
#define RECORD_KEY_UPDATES_MAX 32
#define RECORD_EMPTY_MAX       32
#define RECORD_WARNINGS_MAX    4
/* Records sealed under one key before we change it: RFC 8446 section 5.5 allows 2^24.5 for AES-GCM.
 */
#define RECORD_SEALS_MAX (1u << 23)

struct record_suite;

struct record_keys {
    EVP_AEAD_CTX aead;
    uint64_t sequence;
    uint8_t iv[12];
    uint8_t secret[TRAFFIC_SECRET_BYTES_MAX];
};

struct records {
    const struct record_suite *suite;
    struct record_keys read, write;
    uint8_t *held; /* RECORD_BYTES_MAX: a record that is not whole yet, or plaintext not taken yet;
                      NULL when neither */
    uint16_t partial_size;            /* bytes of the record in `held` */
    uint16_t plain_start, plain_size; /* plaintext in `held` */
    uint8_t handshake[5];             /* the message under way; only a KeyUpdate ever is */
    uint8_t handshake_size;
    uint8_t key_updates, empty_records, warnings; /* since the last byte of application data */
    bool key_update_owed; /* RFC 8446 section 4.6.3: to be answered before the next application data
                           */
};

struct record_start {
    uint16_t suite_id; /* RFC 8446 appendix B.4 */
    size_t secret_size;
    uint8_t read_secret[TRAFFIC_SECRET_BYTES_MAX], write_secret[TRAFFIC_SECRET_BYTES_MAX];
    uint64_t read_sequence, write_sequence;
};

/* Returns owned; NULL for a suite that is not TLS 1.3's, a secret not of its hash's size, or when
 * memory fails. */
struct records *records_new(const struct record_start *start);

/* Goes on where `ssl`, whose handshake is complete and whose output is flushed, stands. NULL, too,
 * unless it is TLS 1.3 and nothing it has received waits in it. Returns owned. */
struct records *records_take_over(const SSL *ssl);
void records_free(struct records *records);

/* Opens the next record(s) from *in, advancing it, until there is application data, *got bytes in
 * `into`, or *in is used up. STATUS_OK, STATUS_AGAIN, STATUS_CLOSED (close_notify). STATUS_FAILED
 * sets *failure (static words) and *alert, which is 0 when the peer itself sent one. `into` may be
 * scribbled over whatever is returned. */
MUST_CHECK enum status records_read(struct records *records, struct span *in, struct span_mut into,
                                    size_t *got, const char **failure, uint8_t *alert);

/* Seals at most `plain` as one record of application data into `out`: STATUS_OK with *taken,
 * STATUS_FULL when the pool has no room, STATUS_FAILED. */
MUST_CHECK enum status records_write(struct records *records, struct buffer *out, struct span plain,
                                     size_t *taken);

/* Seals an alert; failure is no news to anybody. */
void records_alert(struct records *records, struct buffer *out, uint8_t level, uint8_t description);

#endif
