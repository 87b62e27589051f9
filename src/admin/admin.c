#include "admin/admin.h"

#include "admin/pages.h"
#include "base/container_of.h"
#include "io/io.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define HEAD_MS 5000 /* from a request's first byte to its last */
#define IDLE_MS                                                                                    \
    120000 /* between requests: Prometheus keeps its connection from one scrape to the next */
#define SEND_MS  10000 /* for the answer */
#define CLOSE_MS 1000  /* for the client to close after we have */

#define ANSWER_HEAD_BYTES_MAX 512
#define RECEIVE_BUFFERS       64
#define RECEIVE_BUFFER_BYTES  4096

enum client_state { CLIENT_READING, CLIENT_SENDING, CLIENT_LEAVING };

struct client {
    struct io_socket socket;
    struct io_timer timer;
    struct admin *admin;
    struct client *next, *previous; /* the one active last comes first */
    enum client_state state;
    bool closing; /* io_close was called */
    bool keep_alive, ended;
    bool private; /* came by a private listener */
    struct http1_scan scan;
    size_t size; /* bytes in `in` */
    uint8_t in[ADMIN_HEAD_BYTES_MAX];
    char *answer; /* while sending; owned */
};

struct listener {
    struct io_listener io;
    bool private;
    struct admin *admin;
};

struct admin {
    struct admin_options options;
    _Atomic int state;
    _Atomic bool stopping;
    _Atomic uint64_t requests, refused, timeouts, evicted;
    pthread_t thread;
    sem_t started;
    char error[160]; /* why the thread could not start; "" if it did */

    /* the thread's own */
    struct io *io;
    struct listener listeners[ADMIN_LISTENERS_MAX];
    size_t listeners_open;
    struct client *first, *last;
    size_t clients;
    struct http_head head;
    uint8_t target[ADMIN_HEAD_BYTES_MAX + 8];
    char page[ADMIN_PAGE_BYTES_MAX];
};

static void count(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* ---- the list of clients ---- */

static void unlink_client(struct client *client)
{
    struct admin *admin = client->admin;
    *(client->previous != NULL ? &client->previous->next : &admin->first) = client->next;
    *(client->next != NULL ? &client->next->previous : &admin->last) = client->previous;
    client->next = client->previous = NULL;
}

static void link_client(struct client *client)
{
    struct admin *admin = client->admin;
    client->next = admin->first;
    *(admin->first != NULL ? &admin->first->previous : &admin->last) = client;
    admin->first = client;
}

static void close_client(struct client *client)
{
    if (client->closing) {
        return;
    }
    client->closing = true;
    io_timer_cancel(client->admin->io, &client->timer);
    io_close(&client->socket);
}

static void closed(struct io_socket *socket)
{
    struct client *client = (struct client *)(void *)socket;
    unlink_client(client);
    client->admin->clients--;
    free(client->answer);
    free(client);
}

/* ---- one request after the other ---- */

static void wait_for(struct client *client, uint32_t milliseconds)
{
    io_timer_set(client->admin->io, &client->timer, milliseconds);
}

/* Sends client->answer. Nothing more is read until it is out. */
static void send_answer(struct client *client, const struct http1_writer *writer)
{
    if (writer->overflow) {
        close_client(client);
        return;
    }
    unlink_client(client);
    link_client(client);
    client->state = CLIENT_SENDING;
    io_receive_pause(&client->socket);
    wait_for(client, client->admin->options.send_ms);
    /* A slow reader holds what it is sent, not the room for the largest page. */
    char *smaller = realloc(client->answer, writer->size);
    client->answer = smaller != NULL ? smaller : client->answer;
    struct span bytes = span_make(client->answer, writer->size);
    io_send(&client->socket, &bytes, 1);
}

static bool begin_answer(struct client *client, struct http1_writer *writer, size_t body_bytes_max)
{
    size_t capacity = ANSWER_HEAD_BYTES_MAX + body_bytes_max;
    client->answer = malloc(capacity);
    if (client->answer == NULL) {
        close_client(client);
        return false;
    }
    http1_writer_init(writer, client->answer, capacity);
    return true;
}

static void refuse(struct client *client, const struct http_refusal *refusal)
{
    struct http1_writer writer;
    count(&client->admin->refused);
    client->keep_alive = false;
    if (begin_answer(client, &writer, strlen(refusal->reason))) {
        admin_refuse(refusal, &writer);
        send_answer(client, &writer);
    }
}

static void answer(struct client *client, size_t head_size)
{
    struct admin *admin = client->admin;
    struct admin_pages pages = {
        .state = (enum admin_state)atomic_load_explicit(&admin->state, memory_order_acquire),
        .collect = admin->options.collect,
        .context = admin->options.context,
        .page = admin->page,
        .private_page = client->private ? admin->options.private_page : NULL,
    };
    struct http1_writer writer;
    count(&admin->requests);
    client->keep_alive = admin->head.keep_alive && !client->ended;
    if (!begin_answer(client, &writer, ADMIN_PAGE_BYTES_MAX)) {
        return;
    }
    admin_answer(&pages, &admin->head, &writer, &client->keep_alive);
    client->size -= head_size;
    memmove(client->in, client->in + head_size, client->size);
    client->scan = (struct http1_scan){0};
    send_answer(client, &writer);
}

/* Answers the request at the front of what has come, if it is whole. */
static void read_request(struct client *client)
{
    struct admin *admin = client->admin;
    static const struct http_limits limits = {.head_bytes_max = ADMIN_HEAD_BYTES_MAX,
                                              .headers_max = ADMIN_HEADERS_MAX};
    struct span_mut target = {admin->target, sizeof admin->target};
    struct http_refusal refusal = {0};
    size_t head_size = 0;
    enum status status = client->size == 0
                             ? STATUS_AGAIN
                             : http1_parse_request(&client->scan,
                                                   span_make(client->in, client->size), &limits,
                                                   target, &admin->head, &head_size, &refusal);
    if (status == STATUS_OK) {
        answer(client, head_size);
    } else if (status != STATUS_AGAIN) {
        refuse(client, &refusal);
    } else if (client->ended) {
        close_client(client);
    } else if (client->size == sizeof client->in) {
        refuse(client, &(struct http_refusal){431, "the head is too large\n"});
    } else {
        io_receive(&client->socket);
    }
}

static void received(struct io_socket *socket, enum status status, struct io_buffer buffer)
{
    struct client *client = (struct client *)(void *)socket;
    if (status != STATUS_OK) {
        client->ended = true;
        if (status != STATUS_CLOSED || client->state != CLIENT_SENDING) {
            close_client(client);
        }
        return;
    }
    if (client->state == CLIENT_LEAVING) {
        io_buffer_return(socket, buffer);
        return;
    }
    if (client->size == 0 && client->state == CLIENT_READING) {
        wait_for(client, client->admin->options.head_ms);
    }
    size_t room = sizeof client->in - client->size;
    size_t size = buffer.size < room ? buffer.size : room;
    memcpy(client->in + client->size, buffer.data, size);
    client->size += size;
    /* More requests in advance than we keep: those that fit are answered, then it closes. */
    client->ended |= size < buffer.size;
    io_buffer_return(socket, buffer);
    if (client->state == CLIENT_READING) {
        read_request(client);
    }
}

static void sent(struct io_socket *socket, enum status status)
{
    struct client *client = (struct client *)(void *)socket;
    struct admin *admin = client->admin;
    free(client->answer);
    client->answer = NULL;
    if (status != STATUS_OK) {
        close_client(client);
        return;
    }
    if (!client->keep_alive) {
        /* Closing with bytes unread would reset the connection, and the answer with it (RFC 9112
         * section 9.6). */
        client->state = CLIENT_LEAVING;
        io_shutdown(socket);
        wait_for(client, CLOSE_MS);
        io_receive(socket);
        return;
    }
    client->state = CLIENT_READING;
    wait_for(client, client->size > 0 ? admin->options.head_ms : admin->options.idle_ms);
    read_request(client);
}

static void timer_fired(struct io_timer *timer)
{
    struct client *client = CONTAINER_OF(timer, struct client, timer);
    if (client->state != CLIENT_LEAVING) {
        count(&client->admin->timeouts);
    }
    if (client->state == CLIENT_READING && client->size > 0) {
        refuse(client, &(struct http_refusal){408, "the request did not come in time\n"});
        return;
    }
    close_client(client);
}

static const struct io_socket_events client_events = {
    .received = received, .sent = sent, .closed = closed};

/* ---- accepting ---- */

static void accepted(struct io_listener *io_listener, struct io_accepted connection)
{
    const struct listener *listener = (const struct listener *)(void *)io_listener;
    struct admin *admin = listener->admin;
    struct client *client = admin->clients < 2 * ADMIN_CLIENTS_MAX ? calloc(1, sizeof *client)
                                                                   : NULL;
    if (client == NULL) {
        close(connection.descriptor);
        return;
    }
    client->admin = admin;
    client->private = listener->private;
    client->timer.fired = timer_fired;
    if (io_socket_open(admin->io, &client->socket, &client_events, connection.descriptor) !=
        STATUS_OK) {
        close(connection.descriptor);
        free(client);
        return;
    }
    /* Whoever holds connections open must not keep the kubelet out: the one idle longest goes. */
    if (admin->clients >= ADMIN_CLIENTS_MAX) {
        struct client *oldest = admin->last;
        while (oldest != NULL && oldest->closing) {
            oldest = oldest->previous;
        }
        if (oldest != NULL) {
            count(&admin->evicted);
            close_client(oldest);
        }
    }
    link_client(client);
    admin->clients++;
    wait_for(client, admin->options.head_ms);
    io_receive(&client->socket);
}

static void listener_closed(struct io_listener *io_listener)
{
    ((struct listener *)(void *)io_listener)->admin->listeners_open--;
}

/* ---- the thread ---- */

static bool open_listeners(struct admin *admin)
{
    for (size_t i = 0; i < admin->options.listeners_count; i++) {
        struct listener *listener = &admin->listeners[i];
        *listener = (struct listener){.io = {.accepted = accepted, .closed = listener_closed},
                                      .private = i >= admin->options.private_from,
                                      .admin = admin};
        if (io_listen(admin->io, &listener->io, admin->options.listeners[i]) != STATUS_OK) {
            (void)snprintf(admin->error, sizeof admin->error, "cannot listen: %m");
            return false;
        }
        admin->options.listeners[i] = -1;
        admin->listeners_open++;
    }
    return true;
}

static void woken(void *context)
{
    (void)context; /* the loop looks at `stopping` after every turn */
}

static bool turn(struct admin *admin)
{
    if (io_turn(admin->io, 1000) != STATUS_OK) {
        log_message(admin->options.log, LOG_ERROR, "admin", "the admin loop failed: %m");
        return false;
    }
    return true;
}

static void close_all(struct admin *admin)
{
    for (size_t i = 0; i < admin->listeners_open; i++) {
        io_listener_close(&admin->listeners[i].io);
    }
    for (struct client *client = admin->first; client != NULL; client = client->next) {
        close_client(client);
    }
    while ((admin->listeners_open > 0 || admin->clients > 0) && turn(admin)) {
    }
}

static void *run(void *context)
{
    struct admin *admin = context;
    /* epoll: this loop needs nothing of io_uring's, and no locked memory. */
    struct io_options options = {
        .backend = IO_EPOLL, .buffers = RECEIVE_BUFFERS, .buffer_bytes = RECEIVE_BUFFER_BYTES};
    if (io_new(&options, &admin->io) != STATUS_OK) {
        (void)snprintf(admin->error, sizeof admin->error, "cannot make its loop: %m");
        sem_post(&admin->started);
        return NULL;
    }
    io_set_wake(admin->io, woken, admin);
    bool listening = open_listeners(admin);
    if (listening) {
        sem_post(&admin->started);
        while (!atomic_load_explicit(&admin->stopping, memory_order_acquire) && turn(admin)) {
        }
    }
    close_all(admin);
    if (!listening) {
        sem_post(&admin->started);
    }
    return NULL;
}

static void close_descriptors(struct admin_options *options)
{
    for (size_t i = 0; i < options->listeners_count; i++) {
        if (options->listeners[i] >= 0) {
            close(options->listeners[i]);
        }
    }
}

static void free_memory(struct admin *admin)
{
    if (admin->io != NULL) {
        io_free(admin->io);
    }
    close_descriptors(&admin->options);
    sem_destroy(&admin->started);
    free(admin);
}

static int start_thread(struct admin *admin)
{
    sigset_t all, before;
    sigfillset(&all);
    int error = pthread_sigmask(SIG_SETMASK, &all, &before);
    if (error == 0) {
        error = pthread_create(&admin->thread, NULL, run, admin);
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    if (error == 0) {
        (void)pthread_setname_np(admin->thread, "popgate-admin");
    }
    return error;
}

static uint32_t or_default(uint32_t value, uint32_t usual)
{
    return value > 0 ? value : usual;
}

enum status admin_new(const struct admin_options *options, struct admin **out, char *error,
                      size_t error_size)
{
    struct admin *admin = calloc(1, sizeof *admin);
    if (admin == NULL) {
        struct admin_options copy = *options;
        close_descriptors(&copy);
        (void)snprintf(error, error_size, "no memory for the admin listener");
        return STATUS_NO_MEMORY;
    }
    admin->options = *options;
    admin->options.head_ms = or_default(options->head_ms, HEAD_MS);
    admin->options.idle_ms = or_default(options->idle_ms, IDLE_MS);
    admin->options.send_ms = or_default(options->send_ms, SEND_MS);
    atomic_init(&admin->state, ADMIN_STARTING);
    sem_init(&admin->started, 0, 0);
    errno = start_thread(admin);
    if (errno != 0) {
        (void)snprintf(error, error_size, "cannot start the admin thread: %m");
        free_memory(admin);
        return STATUS_SYSTEM;
    }
    while (sem_wait(&admin->started) != 0) {
    }
    if (admin->error[0] != '\0') {
        (void)snprintf(error, error_size, "the admin listener %s", admin->error);
        (void)pthread_join(admin->thread, NULL);
        free_memory(admin);
        return STATUS_SYSTEM;
    }
    *out = admin;
    return STATUS_OK;
}

void admin_free(struct admin *admin)
{
    if (admin == NULL) {
        return;
    }
    atomic_store_explicit(&admin->stopping, true, memory_order_release);
    io_wake(admin->io);
    (void)pthread_join(admin->thread, NULL);
    free_memory(admin);
}

void admin_set_state(struct admin *admin, enum admin_state state)
{
    atomic_store_explicit(&admin->state, (int)state, memory_order_release);
}

static uint64_t read_counter(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit((_Atomic uint64_t *)counter, memory_order_relaxed);
}

void admin_read_counters(const struct admin *admin, struct admin_counters *out)
{
    *out = (struct admin_counters){
        .requests = read_counter(&admin->requests),
        .refused = read_counter(&admin->refused),
        .timeouts = read_counter(&admin->timeouts),
        .evicted = read_counter(&admin->evicted),
    };
}
