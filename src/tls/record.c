#include "tls/record.h"

#include <openssl/digest.h>
#include <openssl/err.h>
#include <openssl/hkdf.h>
#include <openssl/mem.h>

#include <assert.h>
#include <stdlib.h>

/* RFC 8446 appendix B.4. */
struct record_suite {
    uint16_t id;
    uint8_t key_bytes;
    uint8_t hash_bytes;
    const EVP_AEAD *(*aead)(void);
    const EVP_MD *(*hash)(void);
};

static const struct record_suite suites[] = {
    {0x1301, 16, 32, EVP_aead_aes_128_gcm, EVP_sha256},
    {0x1302, 32, 48, EVP_aead_aes_256_gcm, EVP_sha384},
    {0x1303, 32, 32, EVP_aead_chacha20_poly1305, EVP_sha256},
};

/* RFC 8446 section 5.1. */
enum content_type { CHANGE_CIPHER_SPEC = 20, ALERT = 21, HANDSHAKE = 22, APPLICATION_DATA = 23 };

#define KEY_UPDATE 24 /* RFC 8446 section 4.6.3 */

#define MINIMUM_WORTH_A_RECORD                                                                     \
    1024 /* less room than this at the end of a chunk is filled by a copy */

/* ---- keys ---- */

/* RFC 8446 section 7.1: HKDF-Expand-Label(Secret, Label, "", Length). */
static bool expand_label(const struct record_suite *suite, const uint8_t *secret, const char *label,
                         uint8_t *out, size_t size)
{
    uint8_t info[64];
    static const char prefix[] = "tls13 ";
    size_t label_size = strlen(label), used = 0;
    info[used++] = (uint8_t)(size >> 8);
    info[used++] = (uint8_t)size;
    info[used++] = (uint8_t)(sizeof prefix - 1 + label_size);
    memcpy(info + used, prefix, sizeof prefix - 1);
    used += sizeof prefix - 1;
    memcpy(info + used, label, label_size);
    used += label_size;
    info[used++] = 0;
    return HKDF_expand(out, size, suite->hash(), secret, suite->hash_bytes, info, used);
}

/* Makes key and IV from keys->secret (section 7.3). The context must be zero or cleaned up. */
static bool derive(const struct record_suite *suite, struct record_keys *keys, uint64_t sequence)
{
    uint8_t key[32];
    bool ok = expand_label(suite, keys->secret, "key", key, suite->key_bytes) &&
              expand_label(suite, keys->secret, "iv", keys->iv, sizeof keys->iv) &&
              EVP_AEAD_CTX_init(&keys->aead, suite->aead(), key, suite->key_bytes, RECORD_TAG_BYTES,
                                NULL);
    OPENSSL_cleanse(key, sizeof key);
    keys->sequence = sequence;
    return ok;
}

/* Section 7.2: application_traffic_secret_N+1 = HKDF-Expand-Label(application_traffic_secret_N,
 * "traffic upd", "", Hash.length). */
static bool next_generation(const struct record_suite *suite, struct record_keys *keys)
{
    uint8_t next[TRAFFIC_SECRET_BYTES_MAX];
    bool ok = expand_label(suite, keys->secret, "traffic upd", next, suite->hash_bytes);
    memcpy(keys->secret, next, suite->hash_bytes);
    OPENSSL_cleanse(next, sizeof next);
    EVP_AEAD_CTX_cleanup(&keys->aead);
    EVP_AEAD_CTX_zero(&keys->aead);
    return ok && derive(suite, keys, 0);
}

/* Section 5.3: the sequence number, big-endian, padded to the IV's size, XORed with the IV. */
static void make_nonce(const struct record_keys *keys, uint8_t nonce[12])
{
    memcpy(nonce, keys->iv, 12);
    for (int i = 0; i < 8; i++) {
        nonce[4 + i] ^= (uint8_t)(keys->sequence >> (56 - 8 * i));
    }
}

static const struct record_suite *find_suite(uint16_t id)
{
    for (size_t i = 0; i < sizeof suites / sizeof suites[0]; i++) {
        if (suites[i].id == id) {
            return &suites[i];
        }
    }
    return NULL;
}

struct records *records_new(const struct record_start *start)
{
    const struct record_suite *suite = find_suite(start->suite_id);
    if (suite == NULL || start->secret_size != suite->hash_bytes) {
        return NULL;
    }
    struct records *records = calloc(1, sizeof *records);
    if (records == NULL) {
        return NULL;
    }
    records->suite = suite;
    EVP_AEAD_CTX_zero(&records->read.aead);
    EVP_AEAD_CTX_zero(&records->write.aead);
    memcpy(records->read.secret, start->read_secret, start->secret_size);
    memcpy(records->write.secret, start->write_secret, start->secret_size);
    if (!derive(suite, &records->read, start->read_sequence) ||
        !derive(suite, &records->write, start->write_sequence)) {
        records_free(records);
        return NULL;
    }
    return records;
}

struct records *records_take_over(const SSL *ssl)
{
    struct record_start start = {0};
    struct records *records = NULL;
    const SSL_CIPHER *cipher = SSL_get_current_cipher(ssl);
    if (cipher != NULL && !SSL_has_pending(ssl) &&
        traffic_secrets_get(ssl, start.read_secret, start.write_secret, &start.secret_size)) {
        start.suite_id = SSL_CIPHER_get_protocol_id(cipher);
        start.read_sequence = SSL_get_read_sequence(ssl);
        start.write_sequence = SSL_get_write_sequence(ssl);
        records = records_new(&start);
    }
    OPENSSL_cleanse(&start, sizeof start);
    return records;
}

static void release_held(struct records *records)
{
    if (records->held != NULL) {
        OPENSSL_cleanse(records->held, RECORD_BYTES_MAX);
        free(records->held);
        records->held = NULL;
    }
    records->partial_size = records->plain_start = records->plain_size = 0;
}

void records_free(struct records *records)
{
    if (records == NULL) {
        return;
    }
    release_held(records);
    EVP_AEAD_CTX_cleanup(&records->read.aead);
    EVP_AEAD_CTX_cleanup(&records->write.aead);
    OPENSSL_cleanse(records, sizeof *records);
    free(records);
}

/* ---- reading ---- */

struct refusal {
    const char *failure;
    uint8_t alert;
};

static enum status refuse(struct refusal *refusal, uint8_t alert, const char *failure)
{
    *refusal = (struct refusal){failure, alert};
    return STATUS_FAILED;
}

/* Size of the record whose header starts at `header`. */
static enum status record_size(const uint8_t *header, size_t *size, struct refusal *refusal)
{
    /* Section 5.2: "opaque_type [..] is always set to the value 23 (application_data)"; a
     * change_cipher_spec "received [..] after the peer's Finished message [..] MUST be treated as
     * an unexpected record type" (section 5). */
    if (header[0] != APPLICATION_DATA) {
        return refuse(refusal, SSL_AD_UNEXPECTED_MESSAGE, "a record that is not encrypted");
    }
    /* "legacy_record_version [..] is always 0x0303" (section 5.2). */
    if (header[1] != 3 || header[2] != 3) {
        return refuse(refusal, SSL_AD_PROTOCOL_VERSION, "a record of another TLS version");
    }
    size_t body = (size_t)header[3] << 8 | header[4];
    /* "The length MUST NOT exceed 2^14 + 256 bytes. An endpoint that receives a record that exceeds
     * this length MUST terminate the connection with a "record_overflow" alert." */
    if (body > RECORD_BODY_BYTES_MAX) {
        return refuse(refusal, SSL_AD_RECORD_OVERFLOW, "a record that is too long");
    }
    *size = RECORD_HEADER_BYTES + body;
    return STATUS_OK;
}

static enum status hold(struct records *records)
{
    if (records->held == NULL) {
        records->held = malloc(RECORD_BYTES_MAX);
    }
    return records->held != NULL ? STATUS_OK : STATUS_NO_MEMORY;
}

/* Adds bytes of *in to the record in `held` until it has `size` of them. */
static bool fill(struct records *records, struct span *in, size_t size)
{
    size_t missing = size - records->partial_size;
    size_t taken = missing < in->size ? missing : in->size;
    memcpy(records->held + records->partial_size, in->data, taken);
    records->partial_size = (uint16_t)(records->partial_size + taken);
    *in = span_after(*in, taken);
    return records->partial_size == size;
}

/* The next whole record: a part of *in where it lies whole there, else of `held`. STATUS_AGAIN: all
 * of *in was taken and it is not whole. */
static enum status next_record(struct records *records, struct span *in, struct span *record,
                               struct refusal *refusal)
{
    size_t size = 0;
    if (in->size == 0) {
        return STATUS_AGAIN;
    }
    if (records->partial_size == 0 && in->size >= RECORD_HEADER_BYTES) {
        if (record_size(in->data, &size, refusal) != STATUS_OK) {
            return STATUS_FAILED;
        }
        if (size <= in->size) {
            *record = span_first(*in, size);
            *in = span_after(*in, size);
            return STATUS_OK;
        }
    }
    if (hold(records) != STATUS_OK) {
        return refuse(refusal, SSL_AD_INTERNAL_ERROR, "no memory for a record");
    }
    if (records->partial_size < RECORD_HEADER_BYTES && !fill(records, in, RECORD_HEADER_BYTES)) {
        return STATUS_AGAIN;
    }
    if (record_size(records->held, &size, refusal) != STATUS_OK) {
        return STATUS_FAILED;
    }
    if (!fill(records, in, size)) {
        return STATUS_AGAIN;
    }
    *record = span_make(records->held, size);
    return STATUS_OK;
}

struct opened {
    uint8_t *data;
    size_t size;
    uint8_t type;
};

/* Where the plaintext goes: straight into the caller's memory if the record fits there, else into
 * `held` (for a record that already lies there: in place). */
static enum status choose_place(struct records *records, struct span body, struct span_mut into,
                                struct span_mut *place, struct refusal *refusal)
{
    size_t size = body.size - RECORD_TAG_BYTES;
    if (into.size >= size) {
        *place = into;
        return STATUS_OK;
    }
    if (records->partial_size > 0) {
        *place = (struct span_mut){records->held + RECORD_HEADER_BYTES, size};
        return STATUS_OK;
    }
    if (hold(records) != STATUS_OK) {
        return refuse(refusal, SSL_AD_INTERNAL_ERROR, "no memory for a record");
    }
    *place = (struct span_mut){records->held, RECORD_BYTES_MAX};
    return STATUS_OK;
}

static enum status open_record(struct records *records, struct span record, struct span_mut into,
                               struct opened *opened, struct refusal *refusal)
{
    struct span body = span_after(record, RECORD_HEADER_BYTES);
    struct span_mut place;
    /* Section 5.2: "If the decryption fails, the receiver MUST terminate the connection with a
     * "bad_record_mac" alert." */
    if (body.size <= RECORD_TAG_BYTES) {
        return refuse(refusal, SSL_AD_BAD_RECORD_MAC, "a record does not decrypt");
    }
    if (choose_place(records, body, into, &place, refusal) != STATUS_OK) {
        return STATUS_FAILED;
    }
    uint8_t nonce[12];
    make_nonce(&records->read, nonce);
    size_t size = 0;
    if (!EVP_AEAD_CTX_open(&records->read.aead, place.data, &size, place.size, nonce, sizeof nonce,
                           body.data, body.size, record.data, RECORD_HEADER_BYTES)) {
        ERR_clear_error();
        return refuse(refusal, SSL_AD_BAD_RECORD_MAC, "a record does not decrypt");
    }
    records->read.sequence++; /* 2^64 records are out of anybody's reach */
    if (size > RECORD_PLAIN_BYTES_MAX + 1) {
        return refuse(refusal, SSL_AD_RECORD_OVERFLOW, "a record that is too long");
    }
    /* Section 5.4: "the receiving implementation scans the field from the end toward the beginning
     * until it finds a non-zero octet", the content type; none: "MUST terminate the connection with
     * an "unexpected_message" alert." */
    while (size > 0 && place.data[size - 1] == 0) {
        size--;
    }
    if (size == 0) {
        return refuse(refusal, SSL_AD_UNEXPECTED_MESSAGE, "a record of nothing but padding");
    }
    *opened = (struct opened){place.data, size - 1, place.data[size - 1]};
    return STATUS_OK;
}

/* ---- what is no application data ---- */

static enum status take_alert(struct records *records, const struct opened *opened,
                              struct refusal *refusal)
{
    if (opened->size != 2) {
        return refuse(refusal, SSL_AD_DECODE_ERROR, "an alert of the wrong size");
    }
    uint8_t description = opened->data[1];
    if (description == SSL_AD_CLOSE_NOTIFY) {
        return STATUS_CLOSED;
    }
    /* Section 6: "All the alerts listed in Section 6.2 MUST be sent with AlertLevel=fatal and MUST
     * be treated as error alerts [..] regardless of the AlertLevel in the message." user_canceled
     * is the one other closure alert. */
    if (description != SSL_AD_USER_CANCELLED) {
        return refuse(refusal, 0, "the peer sent an alert");
    }
    if (++records->warnings > RECORD_WARNINGS_MAX) {
        return refuse(refusal, SSL_AD_UNEXPECTED_MESSAGE, "too many warning alerts");
    }
    return STATUS_AGAIN;
}

static enum status take_key_update(struct records *records, bool last_of_record,
                                   struct refusal *refusal)
{
    const uint8_t *message = records->handshake;
    if (message[1] != 0 || message[2] != 0 || message[3] != 1) {
        return refuse(refusal, SSL_AD_DECODE_ERROR, "a KeyUpdate of the wrong size");
    }
    /* Section 4.6.3: "If an implementation receives any other value, it MUST terminate the
     * connection with an "illegal_parameter" alert." */
    if (message[4] > 1) {
        return refuse(refusal, SSL_AD_ILLEGAL_PARAMETER, "a KeyUpdate that asks for neither");
    }
    /* Section 5.1: "Handshake messages MUST NOT span key changes. Implementations MUST verify that
     * all messages immediately preceding a key change align with a record boundary". */
    if (!last_of_record) {
        return refuse(refusal, SSL_AD_UNEXPECTED_MESSAGE,
                      "a KeyUpdate that does not end its record");
    }
    if (++records->key_updates > RECORD_KEY_UPDATES_MAX) {
        return refuse(refusal, SSL_AD_UNEXPECTED_MESSAGE, "too many KeyUpdates");
    }
    if (!next_generation(records->suite, &records->read)) {
        return refuse(refusal, SSL_AD_INTERNAL_ERROR, "no memory for new keys");
    }
    records->key_update_owed = records->key_update_owed || message[4] == 1;
    return STATUS_AGAIN;
}

/* A client sends no handshake message but KeyUpdate once it is established. It may come in pieces.
 */
static enum status take_handshake(struct records *records, const struct opened *opened,
                                  struct refusal *refusal)
{
    /* Section 5.1: "Implementations MUST NOT send zero-length fragments of Handshake types". */
    if (opened->size == 0) {
        return refuse(refusal, SSL_AD_UNEXPECTED_MESSAGE, "an empty handshake record");
    }
    for (size_t i = 0; i < opened->size; i++) {
        records->handshake[records->handshake_size++] = opened->data[i];
        if (records->handshake[0] != KEY_UPDATE) {
            return refuse(refusal, SSL_AD_UNEXPECTED_MESSAGE, "a handshake message out of place");
        }
        if (records->handshake_size == sizeof records->handshake) {
            records->handshake_size = 0;
            return take_key_update(records, i + 1 == opened->size, refusal);
        }
    }
    /* A byte at a time, for ever, is what this counts. */
    if (++records->empty_records > RECORD_EMPTY_MAX) {
        return refuse(refusal, SSL_AD_UNEXPECTED_MESSAGE, "too many pieces of a handshake message");
    }
    return STATUS_AGAIN;
}

/* STATUS_OK: it is application data, at least one byte. STATUS_AGAIN: go on. */
static enum status take_opened(struct records *records, const struct opened *opened,
                               struct refusal *refusal)
{
    if (opened->type == HANDSHAKE) {
        return take_handshake(records, opened, refusal);
    }
    /* Section 5.1: handshake messages "MUST NOT be interleaved with other record types". */
    if (records->handshake_size > 0) {
        return refuse(refusal, SSL_AD_UNEXPECTED_MESSAGE, "a record within a handshake message");
    }
    if (opened->type == ALERT) {
        return take_alert(records, opened, refusal);
    }
    if (opened->type != APPLICATION_DATA) {
        return refuse(refusal, SSL_AD_UNEXPECTED_MESSAGE, "a record of an unknown type");
    }
    if (opened->size == 0) {
        if (++records->empty_records > RECORD_EMPTY_MAX) {
            return refuse(refusal, SSL_AD_UNEXPECTED_MESSAGE, "too many empty records");
        }
        return STATUS_AGAIN;
    }
    records->key_updates = records->empty_records = records->warnings = 0;
    return STATUS_OK;
}

/* ---- reading, from outside ---- */

static size_t take_plain(struct records *records, struct span_mut into)
{
    size_t size = records->plain_size < into.size ? records->plain_size : into.size;
    memcpy(into.data, records->held + records->plain_start, size);
    records->plain_start = (uint16_t)(records->plain_start + size);
    records->plain_size = (uint16_t)(records->plain_size - size);
    return size;
}

static enum status read_one(struct records *records, struct span *in, struct span_mut into,
                            size_t *got, struct refusal *refusal)
{
    struct span record;
    struct opened opened;
    enum status status = next_record(records, in, &record, refusal);
    if (status != STATUS_OK) {
        return status;
    }
    if (open_record(records, record, into, &opened, refusal) != STATUS_OK) {
        return STATUS_FAILED;
    }
    records->partial_size = 0;
    status = take_opened(records, &opened, refusal);
    if (status != STATUS_OK) {
        return status;
    }
    if (opened.data == into.data) {
        *got = opened.size;
        return STATUS_OK;
    }
    records->plain_start = (uint16_t)(opened.data - records->held);
    records->plain_size = (uint16_t)opened.size;
    *got = take_plain(records, into);
    return STATUS_OK;
}

enum status records_read(struct records *records, struct span *in, struct span_mut into,
                         size_t *got, const char **failure, uint8_t *alert)
{
    struct refusal refusal = {NULL, 0};
    enum status status = STATUS_AGAIN;
    *got = 0;
    if (into.size == 0) {
        return STATUS_AGAIN;
    }
    if (records->plain_size > 0) {
        *got = take_plain(records, into);
        return STATUS_OK;
    }
    do {
        status = read_one(records, in, into, got, &refusal);
    } while (status == STATUS_AGAIN && in->size > 0);
    if (status != STATUS_OK && records->partial_size == 0) {
        release_held(records);
    }
    *failure = refusal.failure;
    *alert = refusal.alert;
    return status;
}

/* ---- writing ---- */

/* Seals one record at `out`, which has room for plain.size + RECORD_OVERHEAD_BYTES; the caller
 * advances the sequence once it is sure to be sent. */
static bool seal(const struct records *records, uint8_t type, struct span plain, uint8_t *out)
{
    size_t body = plain.size + 1 + RECORD_TAG_BYTES, tail = 0;
    uint8_t nonce[12];
    out[0] = APPLICATION_DATA;
    out[1] = 3;
    out[2] = 3;
    out[3] = (uint8_t)(body >> 8);
    out[4] = (uint8_t)body;
    make_nonce(&records->write, nonce);
    return EVP_AEAD_CTX_seal_scatter(&records->write.aead, out + RECORD_HEADER_BYTES,
                                     out + RECORD_HEADER_BYTES + plain.size, &tail,
                                     1 + RECORD_TAG_BYTES, nonce, sizeof nonce, plain.data,
                                     plain.size, &type, 1, out, RECORD_HEADER_BYTES) &&
           tail == 1 + RECORD_TAG_BYTES;
}

/* Through memory of our own, for a record that crosses chunks. Where the pool has no room for it,
 * it is forgotten and its nonce used again for the next attempt: it has not been seen by anybody.
 */
static enum status append_sealed(struct records *records, struct buffer *out, uint8_t type,
                                 struct span plain)
{
    uint8_t record[RECORD_PLAIN_BYTES_MAX + RECORD_OVERHEAD_BYTES];
    assert(plain.size <= RECORD_PLAIN_BYTES_MAX);
    if (!seal(records, type, plain, record)) {
        return STATUS_FAILED;
    }
    enum status status = buffer_append(out, span_make(record, plain.size + RECORD_OVERHEAD_BYTES));
    if (status == STATUS_OK) {
        records->write.sequence++;
    }
    return status;
}

/* The answer to a KeyUpdate that asked for one, and our own change when a key has sealed enough. */
static enum status update_write_key(struct records *records, struct buffer *out)
{
    static const uint8_t message[] = {KEY_UPDATE, 0, 0, 1, 0 /* update_not_requested */};
    enum status status = append_sealed(records, out, HANDSHAKE, span_make(message, sizeof message));
    if (status != STATUS_OK) {
        return status;
    }
    records->key_update_owed = false;
    return next_generation(records->suite, &records->write) ? STATUS_OK : STATUS_FAILED;
}

enum status records_write(struct records *records, struct buffer *out, struct span plain,
                          size_t *taken)
{
    *taken = 0;
    if (records->key_update_owed || records->write.sequence >= RECORD_SEALS_MAX) {
        enum status status = update_write_key(records, out);
        if (status != STATUS_OK) {
            return status;
        }
    }
    if (plain.size > RECORD_PLAIN_BYTES_MAX) {
        plain = span_first(plain, RECORD_PLAIN_BYTES_MAX);
    }
    struct span_mut room = buffer_reserve(out);
    if (room.size == 0) {
        return STATUS_FULL;
    }
    if (room.size < plain.size + RECORD_OVERHEAD_BYTES &&
        room.size >= MINIMUM_WORTH_A_RECORD + RECORD_OVERHEAD_BYTES) {
        plain = span_first(plain, room.size - RECORD_OVERHEAD_BYTES);
    }
    if (room.size < plain.size + RECORD_OVERHEAD_BYTES) {
        enum status status = append_sealed(records, out, APPLICATION_DATA, plain);
        room = status == STATUS_FULL ? buffer_reserve(out) : room;
        if (status != STATUS_FULL || room.size <= RECORD_OVERHEAD_BYTES) {
            *taken = status == STATUS_OK ? plain.size : 0;
            return status;
        }
        /* No further chunk, but some room in this one (asked for anew: a failed append gives chunks
         * back). */
        plain = span_first(plain, room.size - RECORD_OVERHEAD_BYTES);
    }
    if (!seal(records, APPLICATION_DATA, plain, room.data)) {
        return STATUS_FAILED;
    }
    records->write.sequence++;
    buffer_commit(out, plain.size + RECORD_OVERHEAD_BYTES);
    *taken = plain.size;
    return STATUS_OK;
}

void records_alert(struct records *records, struct buffer *out, uint8_t level, uint8_t description)
{
    uint8_t alert[] = {level, description};
    (void)append_sealed(records, out, ALERT, span_make(alert, sizeof alert));
    ERR_clear_error();
}
