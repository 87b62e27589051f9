#include "tls/connection.h"

#include "tls/context_internal.h"
#include "tls/failure.h"
#include "tls/tickets.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <arpa/inet.h>
#include <assert.h>
#include <stdlib.h>

/* RFC 8446 section 5.1: "The record layer fragments information blocks into TLSPlaintext records
 * carrying data in chunks of 2^14 bytes or less." */
#define RECORD_PLAIN_BYTES_MAX 16384

enum connection_state { HANDSHAKING = 0, OPEN, BROKEN };

struct tls_connection {
    struct tls_context *context;
    SSL *ssl;
    struct buffer *out;
    size_t out_bytes_max;
    struct span in; /* borrowed ciphertext not yet taken */
    struct verified_chain *chain;
    SSL_SESSION *session; /* a client's newest */
    const char *failure;
    char *server_name; /* SNI in lower case; NULL when there was none. Of a client: what it asks for
                        */
    uint64_t generation;
    int64_t now_s;
    uint8_t state; /* enum connection_state */
    bool http2, resumed, closed_by_us;
    size_t owed;  /* plaintext bytes of a record that waits for room within BoringSSL */
    bool no_room; /* the chunk pool has nothing left and nothing of ours could be sent to change
                     that */
};

static struct tls_connection *of(const SSL *ssl)
{
    return SSL_get_app_data(ssl);
}

/* ---- our own BIO: reads from the borrowed span, writes into the caller's chunks ---- */

static int bio_read(BIO *bio, char *out, int size)
{
    struct tls_connection *connection = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (connection->in.size == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    size_t got = connection->in.size < (size_t)size ? connection->in.size : (size_t)size;
    memcpy(out, connection->in.data, got);
    connection->in = span_after(connection->in, got);
    return (int)got;
}

/* Takes whatever there is room for in the pool: out_bytes_max is for application data, and asked
 * before a record is made, so that a record, once made, is only ever cut by an exhausted pool. */
static int bio_write(BIO *bio, const char *data, int size)
{
    struct tls_connection *connection = BIO_get_data(bio);
    struct span left = span_make(data, (size_t)size);
    BIO_clear_retry_flags(bio);
    while (left.size > 0) {
        struct span_mut room = buffer_reserve(connection->out);
        if (room.size == 0) {
            break;
        }
        size_t taken = left.size < room.size ? left.size : room.size;
        memcpy(room.data, left.data, taken);
        buffer_commit(connection->out, taken);
        left = span_after(left, taken);
    }
    size_t taken = (size_t)size - left.size;
    if (taken == 0) {
        connection->no_room = connection->out->size == 0;
        BIO_set_retry_write(bio);
        return -1;
    }
    return (int)taken;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

static int bio_create(BIO *bio)
{
    BIO_set_init(bio, 1);
    return 1;
}

BIO_METHOD *connection_bio_method_new(void)
{
    BIO_METHOD *method = BIO_meth_new(0, "popgate");
    if (method == NULL || !BIO_meth_set_create(method, bio_create) ||
        !BIO_meth_set_read(method, bio_read) || !BIO_meth_set_write(method, bio_write) ||
        !BIO_meth_set_ctrl(method, bio_control)) {
        BIO_meth_free(method);
        return NULL;
    }
    return method;
}

/* ---- who is there ---- */

static enum status verify(struct tls_connection *connection,
                          const STACK_OF(CRYPTO_BUFFER) * certificates, const char **failure,
                          uint8_t *alert)
{
    struct verified_chain *chain = NULL;
    const char *host = connection->context->is_client ? connection->server_name : NULL;
    enum status status = trust_verify(connection->context->trust, certificates, host,
                                      connection->now_s, &chain, failure, alert);
    verified_chain_release(connection->chain);
    connection->chain = chain;
    return status;
}

/* BoringSSL asks this on full handshakes only. */
enum ssl_verify_result_t connection_verify(SSL *ssl, uint8_t *alert)
{
    struct tls_connection *connection = of(ssl);
    enum status status = verify(connection, SSL_get0_peer_certificates(ssl), &connection->failure,
                                alert);
    return status == STATUS_OK ? ssl_verify_ok : ssl_verify_invalid;
}

/* ---- tickets ---- */

static size_t ticket_overhead(SSL *ssl)
{
    (void)ssl;
    return TICKET_OVERHEAD_BYTES;
}

static int seal_ticket(SSL *ssl, uint8_t *out, size_t *out_size, size_t out_size_max,
                       const uint8_t *in, size_t in_size)
{
    return ticket_seal(of(ssl)->context->ticket_keys, span_make(in, in_size),
                       (struct span_mut){out, out_size_max}, out_size) == STATUS_OK;
}

/* A ticket whose certificate would not be let in today is no ticket: the handshake goes on in full,
 * and the client may show the certificate it has now. */
static enum ssl_ticket_aead_result_t open_ticket(SSL *ssl, uint8_t *out, size_t *out_size,
                                                 size_t out_size_max, const uint8_t *in,
                                                 size_t in_size)
{
    struct tls_connection *connection = of(ssl);
    if (out == in || ticket_open(connection->context->ticket_keys, span_make(in, in_size),
                                 (struct span_mut){out, out_size_max}, out_size) != STATUS_OK) {
        return ssl_ticket_aead_ignore_ticket;
    }
    SSL_SESSION *session = SSL_SESSION_from_bytes(out, *out_size, connection->context->ssl_ctx);
    const char *failure = NULL;
    uint8_t alert = 0;
    enum status status = STATUS_FAILED;
    if (session != NULL) {
        status = verify(connection, SSL_SESSION_get0_peer_certificates(session), &failure, &alert);
    }
    SSL_SESSION_free(session);
    ERR_clear_error();
    return status == STATUS_OK ? ssl_ticket_aead_success : ssl_ticket_aead_ignore_ticket;
}

const SSL_TICKET_AEAD_METHOD connection_ticket_method = {
    .max_overhead = ticket_overhead,
    .seal = seal_ticket,
    .open = open_ticket,
};

/* ---- a connection ---- */

static enum status attach(struct tls_connection *connection)
{
    BIO *bio = BIO_new(connection->context->bio_method);
    connection->ssl = SSL_new(connection->context->ssl_ctx);
    if (bio == NULL || connection->ssl == NULL) {
        BIO_free(bio);
        return STATUS_NO_MEMORY;
    }
    BIO_set_data(bio, connection);
    SSL_set_bio(connection->ssl, bio, bio);
    SSL_set_app_data(connection->ssl, connection);
    /* What was set up for the handshake is not needed after it: kilobytes for every idle
     * connection. */
    SSL_set_shed_handshake_config(connection->ssl, 1);
    return STATUS_OK;
}

static struct tls_connection *make(struct tls_context *context, struct buffer *out,
                                   size_t out_bytes_max)
{
    struct tls_connection *connection = calloc(1, sizeof *connection);
    if (connection == NULL) {
        return NULL;
    }
    connection->context = context;
    tls_context_acquire(context);
    connection->out = out;
    connection->out_bytes_max = out_bytes_max;
    connection->generation = context->generation;
    if (attach(connection) != STATUS_OK) {
        tls_connection_free(connection);
        return NULL;
    }
    return connection;
}

struct tls_connection *tls_connection_new(struct tls_context *context, struct buffer *out,
                                          size_t out_bytes_max)
{
    assert(!context->is_client);
    struct tls_connection *connection = make(context, out, out_bytes_max);
    if (connection != NULL) {
        SSL_set_accept_state(connection->ssl);
    }
    return connection;
}

static enum status ask_for(struct tls_connection *connection, const char *server_name)
{
    struct in6_addr address;
    connection->server_name = strdup(server_name);
    if (connection->server_name == NULL) {
        return STATUS_NO_MEMORY;
    }
    /* RFC 6066 section 3: "Literal IPv4 and IPv6 addresses are not permitted in "HostName"." */
    if (inet_pton(AF_INET, server_name, &address) == 1 ||
        inet_pton(AF_INET6, server_name, &address) == 1) {
        return STATUS_OK;
    }
    return SSL_set_tlsext_host_name(connection->ssl, server_name) ? STATUS_OK : STATUS_MALFORMED;
}

struct tls_connection *tls_connection_new_client(struct tls_context *context, struct buffer *out,
                                                 size_t out_bytes_max, const char *server_name,
                                                 struct tls_session *session)
{
    assert(context->is_client);
    struct tls_connection *connection = make(context, out, out_bytes_max);
    if (connection == NULL) {
        return NULL;
    }
    SSL_set_connect_state(connection->ssl);
    if (ask_for(connection, server_name) != STATUS_OK ||
        (session != NULL && !SSL_set_session(connection->ssl, (SSL_SESSION *)session))) {
        tls_connection_free(connection);
        return NULL;
    }
    return connection;
}

int connection_keep_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls_connection *connection = of(ssl);
    SSL_SESSION_free(connection->session);
    connection->session = session;
    return 1; /* it is ours now */
}

struct tls_session *tls_connection_session(struct tls_connection *connection)
{
    SSL_SESSION *session = connection->session;
    connection->session = NULL;
    return (struct tls_session *)session;
}

void tls_session_free(struct tls_session *session)
{
    SSL_SESSION_free((SSL_SESSION *)session);
}

void tls_connection_free(struct tls_connection *connection)
{
    if (connection == NULL) {
        return;
    }
    SSL_free(connection->ssl);
    SSL_SESSION_free(connection->session);
    verified_chain_release(connection->chain);
    tls_context_release(connection->context);
    free(connection->server_name);
    free(connection);
}

void tls_input(struct tls_connection *connection, struct span ciphertext)
{
    assert(connection->in.size == 0);
    connection->in = ciphertext;
}

size_t tls_input_left(const struct tls_connection *connection)
{
    return connection->in.size;
}

/* ---- outcomes ---- */

/* The thread's error queue is empty when a call of ours returns: whoever finds an error there takes
 * it out. BoringSSL empties it once more at the start of SSL_do_handshake, SSL_read, SSL_write and
 * SSL_shutdown, which costs a hundred instructions and more each time; once is enough. */

static enum status fail(struct tls_connection *connection, const char *failure)
{
    if (connection->failure == NULL) {
        connection->failure = failure;
    }
    connection->state = BROKEN;
    connection->in = (struct span){NULL, 0};
    ERR_clear_error();
    return STATUS_FAILED;
}

/* What a call into BoringSSL that returned `result` (not a success) means. */
static enum status outcome(struct tls_connection *connection, int result)
{
    switch (SSL_get_error(connection->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        return STATUS_AGAIN;
    case SSL_ERROR_WANT_WRITE:
        /* Room comes when what waits in `out` has been sent. With nothing waiting there it never
         * would. */
        return connection->no_room ? fail(connection, "no memory for output") : STATUS_AGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return STATUS_CLOSED;
    default:
        return fail(connection, tls_failure_words());
    }
}

/* ---- the handshake ---- */

static enum status keep_server_name(struct tls_connection *connection)
{
    const char *name = SSL_get_servername(connection->ssl, TLSEXT_NAMETYPE_host_name);
    if (name == NULL || connection->context->is_client) {
        return STATUS_OK;
    }
    connection->server_name = strdup(name);
    if (connection->server_name == NULL) {
        return STATUS_NO_MEMORY;
    }
    for (char *cursor = connection->server_name; *cursor != '\0'; cursor++) {
        if (*cursor >= 'A' && *cursor <= 'Z') {
            *cursor = (char)(*cursor | 0x20);
        }
    }
    return STATUS_OK;
}

/* A resumed session carries the certificate of the handshake it came from. BoringSSL does not look
 * at it again on a server; we do, after the handshake (the clock may have moved since the ticket
 * was opened) and before any byte of application data. */
static enum status verify_resumed(struct tls_connection *connection)
{
    const char *failure = NULL;
    uint8_t alert = SSL_AD_INTERNAL_ERROR;
    enum status status = verify(connection, SSL_get0_peer_certificates(connection->ssl), &failure,
                                &alert);
    if (status != STATUS_OK) {
        SSL_send_fatal_alert(connection->ssl, alert);
        return fail(connection, failure);
    }
    return STATUS_OK;
}

static enum status finish_handshake(struct tls_connection *connection)
{
    connection->resumed = SSL_session_reused(connection->ssl);
    if (connection->resumed && !connection->context->is_client &&
        verify_resumed(connection) != STATUS_OK) {
        return STATUS_FAILED;
    }
    if (connection->chain == NULL && !(connection->resumed && connection->context->is_client)) {
        return fail(connection, "the peer was not verified");
    }
    const uint8_t *protocol = NULL;
    unsigned protocol_size = 0;
    SSL_get0_alpn_selected(connection->ssl, &protocol, &protocol_size);
    connection->http2 = span_equal_string(span_make(protocol, protocol_size), "h2");
    if (keep_server_name(connection) != STATUS_OK) {
        return fail(connection, "no memory for the server name");
    }
    connection->failure = NULL;
    connection->state = OPEN;
    return STATUS_OK;
}

enum status tls_handshake(struct tls_connection *connection, const struct clock_now *now)
{
    if (connection->state != HANDSHAKING) {
        return connection->state == OPEN ? STATUS_OK : STATUS_FAILED;
    }
    connection->now_s = now->wall_s;
    int result = SSL_do_handshake(connection->ssl);
    if (result != 1) {
        enum status status = outcome(connection, result);
        return status == STATUS_CLOSED ? fail(connection, "the peer closed within the handshake")
                                       : status;
    }
    return finish_handshake(connection);
}

/* ---- application data ---- */

/* All that came has been read: SSL_read would look for more in vain. After a close_notify it has
 * something to say all the same. */
static bool nothing_to_read(const struct tls_connection *connection)
{
    return connection->in.size == 0 && !SSL_has_pending(connection->ssl) &&
           !(SSL_get_shutdown(connection->ssl) & SSL_RECEIVED_SHUTDOWN);
}

enum status tls_read(struct tls_connection *connection, struct span_mut into, size_t *got)
{
    *got = 0;
    if (connection->state != OPEN) {
        return STATUS_FAILED;
    }
    if (nothing_to_read(connection)) {
        return STATUS_AGAIN;
    }
    int size = into.size < INT32_MAX ? (int)into.size : INT32_MAX;
    int result = SSL_read(connection->ssl, into.data, size);
    if (result > 0) {
        *got = (size_t)result;
        return STATUS_OK;
    }
    return outcome(connection, result);
}

enum status tls_write(struct tls_connection *connection, struct span plain, size_t *taken)
{
    *taken = 0;
    if (connection->state != OPEN || connection->closed_by_us) {
        return STATUS_FAILED;
    }
    if (plain.size == 0) {
        return STATUS_OK;
    }
    while (plain.size > 0) {
        if (connection->out->size >= connection->out_bytes_max) {
            break;
        }
        size_t size = connection->out_bytes_max - connection->out->size;
        size = size < plain.size ? size : plain.size;
        size = size < RECORD_PLAIN_BYTES_MAX ? size : RECORD_PLAIN_BYTES_MAX;
        /* A record that was cut by an exhausted pool must be offered whole again (BoringSSL: "the
         * retry must be consistent"), whatever room there is now. */
        size = size < connection->owed ? connection->owed : size;
        if (size > plain.size) {
            return fail(connection, "a write was retried with fewer bytes");
        }
        int result = SSL_write(connection->ssl, plain.data, (int)size);
        if (result <= 0) {
            enum status status = outcome(connection, result);
            connection->owed = status == STATUS_AGAIN ? size : 0;
            if (status != STATUS_AGAIN) {
                return STATUS_FAILED;
            }
            break;
        }
        connection->owed = 0;
        *taken += (size_t)result;
        plain = span_after(plain, (size_t)result);
    }
    return *taken > 0 ? STATUS_OK : STATUS_AGAIN;
}

void tls_shutdown(struct tls_connection *connection)
{
    if (connection->state == OPEN && !connection->closed_by_us) {
        connection->closed_by_us = true;
        (void)SSL_shutdown(connection->ssl);
        ERR_clear_error();
    }
}

/* ---- what is known ---- */

const struct tls_peer *tls_connection_peer(const struct tls_connection *connection)
{
    return connection->chain != NULL ? &connection->chain->peer : NULL;
}

bool tls_connection_is_http2(const struct tls_connection *connection)
{
    return connection->http2;
}

bool tls_connection_resumed(const struct tls_connection *connection)
{
    return connection->resumed;
}

struct span tls_connection_server_name(const struct tls_connection *connection)
{
    return span_from_string(connection->server_name);
}

const char *tls_connection_failure(const struct tls_connection *connection)
{
    return connection->failure != NULL ? connection->failure : "";
}

uint64_t tls_connection_generation(const struct tls_connection *connection)
{
    return connection->generation;
}

enum status tls_connection_reverify(struct tls_connection *connection, struct tls_context *context,
                                    const struct clock_now *now)
{
    if (connection->state != OPEN || connection->chain == NULL) {
        return STATUS_FAILED;
    }
    const char *failure = NULL;
    /* The peer's spans stay where they are: the certificate is the same, only what we think of it
     * may change. */
    if (trust_reverify(context->trust, connection->chain, now->wall_s, &failure) != STATUS_OK) {
        return fail(connection, failure);
    }
    connection->generation = context->generation;
    return STATUS_OK;
}
