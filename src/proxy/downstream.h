/* One client connection: the descriptor, TLS, and how it ends. What the bytes mean is h1's affair.
 *
 *   [PREFACE ->] HANDSHAKE -> OPEN -> FLUSHING -> LINGERING -> CLOSING -> freed by io's `closed`
 * FLUSHING sends what is waiting; LINGERING has half-closed and drops what the client still sends,
 * so that the kernel does not answer it with a reset that would overtake our last answer. Both may
 * be skipped. */
#ifndef POPGATE_PROXY_DOWNSTREAM_H
#define POPGATE_PROXY_DOWNSTREAM_H

#include "base/buffer.h"
#include "io/io.h"
#include "proxy/client_address.h"
#include "proxy/h1.h"
#include "proxy/h2.h"
#include "tls/connection.h"

struct proxy;

struct downstream_preface;

enum downstream_state {
    DOWNSTREAM_PREFACE, /* the PROXY header of a trusted load balancer */
    DOWNSTREAM_HANDSHAKE,
    DOWNSTREAM_OPEN,
    DOWNSTREAM_FLUSHING,
    DOWNSTREAM_LINGERING,
    DOWNSTREAM_CLOSING,
};

enum downstream_end {
    DOWNSTREAM_END_CLEAN, /* close_notify, half-close, linger */
    DOWNSTREAM_END_ALERT, /* the same without close_notify: TLS has put its alert into `out` */
    DOWNSTREAM_END_CUT, /* what is waiting is sent, then the descriptor closes: no close_notify, so
                           that a client that reads until the end knows it was cut (RFC 8446
                           section 6.1) */
    DOWNSTREAM_END_NOW, /* the descriptor closes */
};

enum downstream_timer {
    DOWNSTREAM_TIMER_NONE,
    DOWNSTREAM_TIMER_HANDSHAKE,
    DOWNSTREAM_TIMER_IDLE,
    DOWNSTREAM_TIMER_HEAD,
    DOWNSTREAM_TIMER_BODY,   /* the client's body stands still */
    DOWNSTREAM_TIMER_TUNNEL, /* nothing passes either way */
    DOWNSTREAM_TIMER_LINGER,
};

struct downstream {
    struct io_socket socket; /* first */
    struct proxy *proxy;
    struct downstream *next, *previous; /* of all open ones */
    struct downstream *dirty_next;
    struct downstream *next_turn; /* of those whose pipeline goes on in the next turn */
    struct tls_connection *tls;
    struct buffer out; /* ciphertext */
    size_t sending;    /* bytes of it that the kernel is being given */
    struct io_timer timer, write_timer;
    uint64_t tls_generation;            /* the context's that judged the peer last */
    struct downstream_preface *preface; /* while it is not whole */
    struct client_address client;
    uint32_t lingered_bytes;
    uint8_t state, end, timer_kind;
    bool dirty;
    bool receiving;
    bool peer_closed; /* close_notify or the end of the stream */
    struct h1 h1;
    struct h2 *h2;                /* NULL: HTTP/1.1 */
    struct http_limits h2_limits; /* as its session was told */
};

/* Takes the descriptor. */
void downstream_accept(struct proxy *proxy, int descriptor);

/* Queues plaintext: gathered into records of up to 16 KiB, encrypted and sent at the end of the
 * turn. */
void downstream_write(struct downstream *downstream, struct span plain);
/* Bytes the client has not taken. */
size_t downstream_waiting(const struct downstream *downstream);

void downstream_receive(struct downstream *downstream, bool wanted);

/* Same kind again: only IDLE, BODY and TUNNEL start anew; the others run from where they began. */
void downstream_set_timer(struct downstream *downstream, enum downstream_timer kind,
                          uint32_t delay_ms);

/* Begins the end; what h1 had in progress is given up. Idempotent, but a harder end overrides a
 * softer one. */
void downstream_close(struct downstream *downstream, enum downstream_end end);

/* At the end of the turn: encrypts what was gathered, hands `out` to io. */
void downstream_flush_all(struct proxy *proxy);

/* Every connection: verified again under the proxy's new TLS context, closed if it fails. */
void downstream_reverify_all(struct proxy *proxy);
void downstream_drain_all(struct proxy *proxy);
void downstream_cut_all(struct proxy *proxy);

#endif
