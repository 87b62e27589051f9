#include "tls/record.h"

#include "unit/tls/driver.h"

#include <criterion/criterion.h>
#include <openssl/err.h>

#include <stdlib.h>

/* ---- two ends without a handshake ---- */

static struct chunk_pool pool;
static struct buffer wire;

static struct record_start start_of(uint16_t suite)
{
    struct record_start start = {.suite_id = suite, .secret_size = suite == 0x1302 ? 48 : 32};
    memset(start.read_secret, 1, sizeof start.read_secret);
    memset(start.write_secret, 2, sizeof start.write_secret);
    return start;
}

static void make_ends(uint16_t suite, uint64_t sequence, struct records **one, struct records **two)
{
    struct record_start start = start_of(suite), mirrored = start;
    memcpy(mirrored.read_secret, start.write_secret, sizeof start.write_secret);
    memcpy(mirrored.write_secret, start.read_secret, sizeof start.read_secret);
    start.write_sequence = mirrored.read_sequence = sequence;
    *one = records_new(&start);
    *two = records_new(&mirrored);
    cr_assert(*one != NULL && *two != NULL);
}

static void set_up_wire(void)
{
    chunk_pool_init(&pool, 4096, 0);
    buffer_init(&wire, &pool);
}

static void tear_down_wire(void)
{
    buffer_clear(&wire);
    chunk_pool_cleanup(&pool);
}

static struct span collect(uint8_t *into)
{
    struct span spans[64];
    size_t count = buffer_peek(&wire, spans, 64), size = 0;
    for (size_t i = 0; i < count; i++) {
        memcpy(into + size, spans[i].data, spans[i].size);
        size += spans[i].size;
    }
    buffer_consume(&wire, size);
    return span_make(into, size);
}

TestSuite(record, .init = set_up_wire, .fini = tear_down_wire);

/* RFC 8448 section 3: "{client} send application_data record", "{server} send application_data
 * record". */
static const uint8_t client_secret[32] = {
    0x9e, 0x40, 0x64, 0x6c, 0xe7, 0x9a, 0x7f, 0x9d, 0xc0, 0x5a, 0xf8, 0x88, 0x9b, 0xce, 0x65, 0x52,
    0x87, 0x5a, 0xfa, 0x0b, 0x06, 0xdf, 0x00, 0x87, 0xf7, 0x92, 0xeb, 0xb7, 0xc1, 0x75, 0x04, 0xa5};
static const uint8_t server_secret[32] = {
    0xa1, 0x1a, 0xf9, 0xf0, 0x55, 0x31, 0xf8, 0x56, 0xad, 0x47, 0x11, 0x6b, 0x45, 0xa9, 0x50, 0x32,
    0x82, 0x04, 0xb4, 0xf4, 0x4b, 0xfb, 0x6b, 0x3a, 0x4b, 0x4f, 0x1f, 0x3f, 0xcb, 0x63, 0x16, 0x43};
static const uint8_t client_record[] = {
    0x17, 0x03, 0x03, 0x00, 0x43, 0xa2, 0x3f, 0x70, 0x54, 0xb6, 0x2c, 0x94, 0xd0, 0xaf, 0xfa,
    0xfe, 0x82, 0x28, 0xba, 0x55, 0xcb, 0xef, 0xac, 0xea, 0x42, 0xf9, 0x14, 0xaa, 0x66, 0xbc,
    0xab, 0x3f, 0x2b, 0x98, 0x19, 0xa8, 0xa5, 0xb4, 0x6b, 0x39, 0x5b, 0xd5, 0x4a, 0x9a, 0x20,
    0x44, 0x1e, 0x2b, 0x62, 0x97, 0x4e, 0x1f, 0x5a, 0x62, 0x92, 0xa2, 0x97, 0x70, 0x14, 0xbd,
    0x1e, 0x3d, 0xea, 0xe6, 0x3a, 0xee, 0xbb, 0x21, 0x69, 0x49, 0x15, 0xe4};

Test(record, agrees_with_rfc_8448)
{
    struct record_start start = {.suite_id = 0x1301, .secret_size = 32};
    memcpy(start.read_secret, client_secret, 32);
    memcpy(start.write_secret, server_secret, 32);
    struct records *server = records_new(&start);
    uint8_t plain[128];
    size_t got = 0;
    const char *failure = NULL;
    uint8_t alert = 0;
    struct span in = span_make(client_record, sizeof client_record);
    cr_assert(records_read(server, &in, (struct span_mut){plain, sizeof plain}, &got, &failure,
                           &alert) == STATUS_OK,
              "%s", failure);
    cr_assert(got == 50);
    for (size_t i = 0; i < 50; i++) {
        cr_expect(plain[i] == i);
    }
    /* And the other way: what the client would have written. */
    memcpy(start.write_secret, client_secret, 32);
    struct records *client = records_new(&start);
    size_t taken = 0;
    uint8_t sealed[256];
    cr_assert(records_write(client, &wire, span_make(plain, 50), &taken) == STATUS_OK);
    struct span record = collect(sealed);
    cr_expect(span_equal(record, span_make(client_record, sizeof client_record)));
    records_free(server);
    records_free(client);
}

Test(record, every_suite_in_every_piece)
{
    static const uint16_t suites[] = {0x1301, 0x1302, 0x1303};
    for (size_t s = 0; s < 3; s++) {
        for (size_t step = 1; step < 300; step += 13) {
            struct records *one, *two;
            make_ends(suites[s], 0, &one, &two);
            uint8_t sent[600], sealed[1024], received[700];
            size_t taken = 0, got = 0, total = 0;
            for (size_t i = 0; i < sizeof sent; i++) {
                sent[i] = (uint8_t)(i * 7 + step);
            }
            for (size_t i = 0; i < 3; i++) {
                cr_assert(records_write(one, &wire, span_make(sent + i * 200, 200), &taken) ==
                              STATUS_OK &&
                          taken == 200);
            }
            struct span rest = collect(sealed);
            const char *failure = NULL;
            uint8_t alert = 0;
            while (rest.size > 0) {
                size_t size = step < rest.size ? step : rest.size;
                uint8_t *piece = malloc(size);
                memcpy(piece, rest.data, size);
                struct span in = span_make(piece, size);
                rest = span_after(rest, size);
                enum status status;
                /* Rooms that the record fits in, and that it does not. */
                while ((status = records_read(
                            two, &in,
                            (struct span_mut){received + total,
                                              step % 2 ? sizeof received - total : 17},
                            &got, &failure, &alert)) == STATUS_OK) {
                    total += got;
                }
                cr_assert(status == STATUS_AGAIN && in.size == 0, "%s", failure);
                free(piece);
            }
            cr_expect(total == sizeof sent && memcmp(sent, received, total) == 0);
            cr_expect(two->held == NULL);
            records_free(one);
            records_free(two);
        }
    }
}

Test(record, does_not_start_from_nonsense)
{
    struct record_start start = start_of(0x1301);
    start.secret_size = 48;
    cr_expect(records_new(&start) == NULL);
    start = start_of(0xc02f);
    cr_expect(records_new(&start) == NULL);
    records_free(NULL);
}

Test(record, changes_its_key_before_it_has_sealed_too_much)
{
    struct records *one, *two;
    make_ends(0x1301, RECORD_SEALS_MAX - 2, &one, &two);
    uint8_t before[32], sealed[1024], plain[64];
    memcpy(before, one->write.secret, 32);
    for (int i = 0; i < 5; i++) {
        size_t taken = 0, got = 0;
        const char *failure = NULL;
        uint8_t alert = 0;
        cr_assert(records_write(one, &wire, SPAN_LITERAL("data"), &taken) == STATUS_OK);
        struct span in = collect(sealed);
        cr_assert(records_read(two, &in, (struct span_mut){plain, sizeof plain}, &got, &failure,
                               &alert) == STATUS_OK);
        cr_expect(got == 4 && memcmp(plain, "data", 4) == 0);
        cr_expect((memcmp(before, one->write.secret, 32) != 0) == (i >= 2));
    }
    cr_expect(one->write.sequence == 3 && two->read.sequence == 3);
    cr_expect(!two->key_update_owed);
    records_free(one);
    records_free(two);
}

Test(record, fills_chunks_without_tiny_records)
{
    struct records *one, *two;
    make_ends(0x1301, 0, &one, &two);
    uint8_t *plain = calloc(1, 16384);
    size_t taken = 0;
    cr_assert(records_write(one, &wire, span_make(plain, 4000), &taken) == STATUS_OK);
    cr_expect(taken == 4000 && wire.size == 4022);
    /* 74 bytes are left in the chunk: not worth a record of their own. */
    cr_assert(records_write(one, &wire, span_make(plain, 16384), &taken) == STATUS_OK);
    cr_expect(taken == 16384);
    buffer_clear(&wire);
    /* 2074 are: a record of exactly that size, made in place. */
    cr_assert(records_write(one, &wire, span_make(plain, 2000), &taken) == STATUS_OK);
    cr_assert(records_write(one, &wire, span_make(plain, 16384), &taken) == STATUS_OK);
    cr_expect(taken == 4096 - 2 * RECORD_OVERHEAD_BYTES - 2000);
    cr_expect(wire.size == 4096);
    free(plain);
    records_free(one);
    records_free(two);
}

/* ---- a hostile client behind a real handshake ---- */

static struct world world;
static struct pair pair;
static struct records *evil; /* the client's keys */
static uint8_t forged[20000];

static void set_up(void)
{
    world_open(&world);
    pair_open(&pair, &world, 4096, 0, 100000);
    cr_assert(pair_handshake(&pair) == STATUS_OK);
    pair_deliver(&pair);
    struct record_start start = {0};
    cr_assert(traffic_secrets_get(pair.client, start.read_secret, start.write_secret,
                                  &start.secret_size));
    start.suite_id = SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(pair.client));
    evil = records_new(&start);
    cr_assert(evil != NULL);
}

static void tear_down(void)
{
    records_free(evil);
    pair_close(&pair);
    world_close(&world);
}

TestSuite(hostile, .init = set_up, .fini = tear_down);

/* Seals `plain`, which is everything within: data, type, padding. */
static struct span forge(struct span plain)
{
    uint8_t nonce[12];
    memcpy(nonce, evil->write.iv, 12);
    for (int i = 0; i < 8; i++) {
        nonce[4 + i] ^= (uint8_t)(evil->write.sequence >> (56 - 8 * i));
    }
    evil->write.sequence++;
    size_t size = 0, body = plain.size + 16;
    uint8_t header[] = {23, 3, 3, (uint8_t)(body >> 8), (uint8_t)body};
    memcpy(forged, header, 5);
    cr_assert(EVP_AEAD_CTX_seal(&evil->write.aead, forged + 5, &size, sizeof forged - 5, nonce, 12,
                                plain.data, plain.size, header, 5));
    return span_make(forged, size + 5);
}

static enum status receive(struct span record, uint8_t *into, size_t size, size_t *got)
{
    uint8_t *copy = malloc(record.size);
    memcpy(copy, record.data, record.size);
    tls_input(pair.server, span_make(copy, record.size));
    enum status status = tls_read(pair.server, (struct span_mut){into, size}, got);
    cr_expect(status == STATUS_OK || tls_input_left(pair.server) == 0);
    free(copy);
    return status;
}

static void expect_refused(struct span record, int alert, const char *words)
{
    uint8_t plain[20000];
    size_t got = 0;
    cr_expect(receive(record, plain, sizeof plain, &got) == STATUS_FAILED);
    const char *failure = tls_connection_failure(pair.server);
    cr_expect(strstr(failure, words) != NULL, "%s", failure);
    pair_deliver(&pair);
    char byte;
    (void)SSL_read(pair.client, &byte, 1);
    cr_expect(pair.client_alert == alert, "alert %d, expected %d", pair.client_alert, alert);
}

static void expect_ignored(struct span record)
{
    uint8_t plain[256];
    size_t got = 0;
    enum status status = receive(record, plain, sizeof plain, &got);
    cr_expect(status == STATUS_AGAIN, "%s: %s", status_name(status),
              tls_connection_failure(pair.server));
}

static void expect_data(struct span record, const char *data)
{
    uint8_t plain[256];
    size_t got = 0;
    enum status status = receive(record, plain, sizeof plain, &got);
    cr_expect(status == STATUS_OK, "%s: %s", status_name(status),
              tls_connection_failure(pair.server));
    cr_expect(span_equal_string(span_make(plain, got), data));
    pair_read(&pair, plain, 0, &status);
}

#define FORGE(text) forge(SPAN_LITERAL(text))
#define REFUSED(name, record, alert, words)                                                        \
    Test(hostile, name)                                                                            \
    {                                                                                              \
        expect_refused(record, alert, words);                                                      \
    }

Test(hostile, forging_works_at_all)
{
    expect_data(FORGE("ping\x17"), "ping");
    expect_data(FORGE("padded\x17\0\0\0\0\0\0\0\0"), "padded");
}

REFUSED(a_plaintext_handshake_record, SPAN_LITERAL("\x16\x03\x03\x00\x05\x18\x00\x00\x01\x00"),
        SSL_AD_UNEXPECTED_MESSAGE, "not encrypted")
REFUSED(a_plaintext_alert, SPAN_LITERAL("\x15\x03\x03\x00\x02\x01\x00"), SSL_AD_UNEXPECTED_MESSAGE,
        "not encrypted")
REFUSED(a_late_change_cipher_spec, SPAN_LITERAL("\x14\x03\x03\x00\x01\x01"),
        SSL_AD_UNEXPECTED_MESSAGE, "not encrypted")
REFUSED(another_version, SPAN_LITERAL("\x17\x03\x01\x00\x20xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
        SSL_AD_PROTOCOL_VERSION, "another TLS version")
REFUSED(a_length_beyond_the_bound, SPAN_LITERAL("\x17\x03\x03\x41\x01"), SSL_AD_RECORD_OVERFLOW,
        "too long")
REFUSED(a_record_of_nothing, SPAN_LITERAL("\x17\x03\x03\x00\x00"), SSL_AD_BAD_RECORD_MAC,
        "does not decrypt")
REFUSED(a_record_shorter_than_a_tag, SPAN_LITERAL("\x17\x03\x03\x00\x04xxxx"),
        SSL_AD_BAD_RECORD_MAC, "does not decrypt")
REFUSED(a_record_of_a_tag_alone, FORGE(""), SSL_AD_BAD_RECORD_MAC, "does not decrypt")
REFUSED(nothing_but_padding, FORGE("\0\0\0\0\0\0"), SSL_AD_UNEXPECTED_MESSAGE, "padding")
REFUSED(an_unknown_type, FORGE("x\x63"), SSL_AD_UNEXPECTED_MESSAGE, "unknown type")
REFUSED(a_sealed_change_cipher_spec, FORGE("\x01\x14"), SSL_AD_UNEXPECTED_MESSAGE, "unknown type")
REFUSED(an_alert_of_one_byte, FORGE("\x01\x15"), SSL_AD_DECODE_ERROR, "wrong size")
REFUSED(an_alert_of_three_bytes, FORGE("\x01\x00\x00\x15"), SSL_AD_DECODE_ERROR, "wrong size")
REFUSED(a_fatal_alert, FORGE("\x02\x28\x15"), -1, "peer sent an alert")
REFUSED(a_fatal_alert_called_a_warning, FORGE("\x01\x28\x15"), -1, "peer sent an alert")
REFUSED(an_empty_handshake_record, FORGE("\x16"), SSL_AD_UNEXPECTED_MESSAGE, "empty handshake")
REFUSED(a_client_hello_anew, FORGE("\x01\x00\x00\x01\x00\x16"), SSL_AD_UNEXPECTED_MESSAGE,
        "out of place")
REFUSED(a_new_session_ticket, FORGE("\x04\x00\x00\x01\x00\x16"), SSL_AD_UNEXPECTED_MESSAGE,
        "out of place")
REFUSED(a_key_update_of_another_size, FORGE("\x18\x00\x00\x02\x00\x00\x16"), SSL_AD_DECODE_ERROR,
        "wrong size")
REFUSED(a_key_update_that_asks_for_neither, FORGE("\x18\x00\x00\x01\x02\x16"),
        SSL_AD_ILLEGAL_PARAMETER, "neither")
REFUSED(two_key_updates_in_one_record, FORGE("\x18\x00\x00\x01\x00\x18\x00\x00\x01\x00\x16"),
        SSL_AD_UNEXPECTED_MESSAGE, "does not end its record")
REFUSED(a_key_update_with_a_byte_behind, FORGE("\x18\x00\x00\x01\x00\x18\x16"),
        SSL_AD_UNEXPECTED_MESSAGE, "does not end its record")

Test(hostile, a_plaintext_beyond_the_bound)
{
    static uint8_t plain[16386];
    memset(plain, 'x', sizeof plain);
    plain[16385] = 23;
    expect_refused(forge(span_make(plain, 16386)), SSL_AD_RECORD_OVERFLOW, "too long");
}

Test(hostile, a_plaintext_at_the_bound_is_fine)
{
    static uint8_t plain[16385], into[20000];
    memset(plain, 'x', sizeof plain);
    plain[16384] = 23;
    size_t got = 0;
    cr_expect(receive(forge(span_make(plain, 16385)), into, sizeof into, &got) == STATUS_OK);
    cr_expect(got == 16384);
}

Test(hostile, data_within_a_handshake_message)
{
    expect_ignored(FORGE("\x18\x00\x16"));
    expect_refused(FORGE("x\x17"), SSL_AD_UNEXPECTED_MESSAGE, "within a handshake message");
}

Test(hostile, a_key_update_in_pieces_is_followed)
{
    expect_ignored(FORGE("\x18\x16"));
    expect_ignored(FORGE("\x00\x00\x16"));
    expect_ignored(FORGE("\x01\x16"));
    expect_ignored(FORGE("\x00\x16\0\0"));
    /* The old key is no good any more. */
    expect_refused(FORGE("x\x17"), SSL_AD_BAD_RECORD_MAC, "does not decrypt");
}

Test(hostile, key_updates_without_data_run_out)
{
    for (int i = 0; i < RECORD_KEY_UPDATES_MAX; i++) {
        cr_assert(SSL_key_update(pair.client, SSL_KEY_UPDATE_NOT_REQUESTED) == 1);
        (void)SSL_write(pair.client, NULL, 0);
    }
    enum status status;
    char text[8];
    cr_expect(pair_read(&pair, text, sizeof text, &status) == 0 && status == STATUS_AGAIN);
    cr_assert(SSL_key_update(pair.client, SSL_KEY_UPDATE_NOT_REQUESTED) == 1);
    (void)SSL_write(pair.client, NULL, 0);
    pair_read(&pair, text, sizeof text, &status);
    cr_expect(status == STATUS_FAILED);
}

Test(hostile, empty_records_without_data_run_out)
{
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < RECORD_EMPTY_MAX; i++) {
            expect_ignored(FORGE("\x17\0\0"));
        }
        if (round == 0) {
            expect_data(FORGE("x\x17"), "x");
        }
    }
    expect_refused(FORGE("\x17"), SSL_AD_UNEXPECTED_MESSAGE, "too many empty records");
}

Test(hostile, warnings_run_out)
{
    for (int i = 0; i < RECORD_WARNINGS_MAX; i++) {
        expect_ignored(FORGE("\x01\x5a\x15"));
    }
    expect_refused(FORGE("\x01\x5a\x15"), SSL_AD_UNEXPECTED_MESSAGE, "too many warning");
}

Test(hostile, what_follows_close_notify_is_ignored)
{
    uint8_t plain[64], both[256];
    size_t got = 0;
    struct span close = FORGE("\x01\x00\x15");
    memcpy(both, close.data, close.size);
    size_t size = close.size;
    struct span data = FORGE("late\x17");
    memcpy(both + size, data.data, data.size);
    cr_expect(receive(span_make(both, size + data.size), plain, sizeof plain, &got) ==
              STATUS_CLOSED);
    cr_expect(receive(FORGE("later\x17"), plain, sizeof plain, &got) == STATUS_CLOSED && got == 0);
}

Test(hostile, every_turned_bit_is_seen)
{
    struct span record = FORGE("ping\x17");
    uint8_t good[64];
    memcpy(good, record.data, record.size);
    size_t size = record.size;
    for (size_t bit = 0; bit < size * 8; bit++) {
        struct pair other;
        pair_open(&other, &world, 4096, 0, 100000);
        cr_assert(pair_handshake(&other) == STATUS_OK);
        cr_assert(SSL_write(other.client, "ping", 4) == 4);
        uint8_t bytes[64], plain[64];
        int got_size = BIO_read(other.from_client, bytes, sizeof bytes);
        cr_assert((size_t)got_size == size);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        tls_input(other.server, span_make(bytes, size));
        size_t got = 0;
        enum status status = tls_read(other.server, (struct span_mut){plain, sizeof plain}, &got);
        /* A longer length waits for bytes that never come; nothing else passes. */
        cr_expect(status == STATUS_FAILED ||
                  (status == STATUS_AGAIN && bit / 8 >= 3 && bit / 8 < 5));
        cr_expect(got == 0);
        pair_close(&other);
    }
}

Test(hostile, an_answer_to_a_key_update_comes_before_the_next_data)
{
    char text[16];
    enum status status;
    size_t taken = 0;
    for (int i = 0; i < 3; i++) {
        cr_assert(SSL_key_update(pair.client, SSL_KEY_UPDATE_REQUESTED) == 1);
        cr_assert(SSL_write(pair.client, "ping", 4) == 4);
        cr_expect(pair_read(&pair, text, sizeof text, &status) == 4);
        size_t before = pair.out.size;
        cr_expect(before == 0);
        cr_assert(tls_write(pair.server, SPAN_LITERAL("pong"), &taken) == STATUS_OK && taken == 4);
        cr_expect(pair.out.size == 27 + 26); /* a KeyUpdate and the data */
        pair_deliver(&pair);
        cr_expect(pair_client_read(&pair, text, sizeof text) == 4);
    }
}
