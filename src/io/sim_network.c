#include "io/sim_network.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define NS_PER_MS 1000000u

/* splitmix64. */
static uint64_t next_random(struct sim *sim)
{
    uint64_t z = sim->random += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint64_t sim_random(struct sim *sim, uint64_t limit)
{
    return limit == 0 ? 0 : next_random(sim) % limit;
}

bool sim_chance(struct sim *sim, uint32_t in_a_million)
{
    /* Nothing is drawn for what cannot happen: turning one fault off leaves the others as they
     * were. */
    return in_a_million > 0 && sim_random(sim, IO_SIM_ALWAYS) < in_a_million;
}

static uint64_t arrival(struct sim *sim, uint64_t not_before_ns)
{
    uint64_t due = sim->now_ns;
    if (sim->faults.latency_ms_max > 0) {
        due += sim_random(sim, (uint64_t)sim->faults.latency_ms_max + 1) * NS_PER_MS;
    }
    return due > not_before_ns ? due : not_before_ns;
}

/* ---- ends ---- */

static uint64_t inode_of(int descriptor)
{
    struct stat about;
    return fstat(descriptor, &about) == 0 ? (uint64_t)about.st_ino : 0;
}

static void forget(struct sim *sim, struct sim_end *end);

struct sim_end *sim_end_new(struct sim *sim)
{
    int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (descriptor < 0) {
        return NULL;
    }
    if ((uint32_t)descriptor >= sim->ends_max) {
        uint32_t grown = ((uint32_t)descriptor + 1) * 2;
        struct sim_end **ends = realloc(sim->ends, grown * sizeof(struct sim_end *));
        if (ends == NULL) {
            close(descriptor);
            return NULL;
        }
        memset(ends + sim->ends_max, 0, (grown - sim->ends_max) * sizeof(struct sim_end *));
        sim->ends = ends;
        sim->ends_max = grown;
    }
    if (sim->ends[descriptor] != NULL) {
        /* The number is free again: its owner closed it. */
        forget(sim, sim->ends[descriptor]);
    }
    struct sim_end *end = calloc(1, sizeof *end);
    if (end == NULL) {
        close(descriptor);
        return NULL;
    }
    end->descriptor = descriptor;
    end->inode = inode_of(descriptor);
    sim->ends[descriptor] = end;
    sim->live++;
    return end;
}

struct sim_end *sim_end_of(struct sim *sim, int descriptor)
{
    bool known = descriptor >= 0 && (uint32_t)descriptor < sim->ends_max;
    return known ? sim->ends[descriptor] : NULL;
}

void sim_end_join(struct sim_end *a, struct sim_end *b)
{
    a->peer = b;
    b->peer = a;
    a->connected = b->connected = true;
    a->was_connected = b->was_connected = true;
}

static void drop_inbound(struct sim_end *end)
{
    while (end->first != NULL) {
        struct sim_segment *segment = end->first;
        end->first = segment->next;
        free(segment);
    }
    end->last = NULL;
    end->inbound = 0;
}

static void break_end(struct sim_end *end)
{
    end->reset = true;
    drop_inbound(end);
}

void sim_end_reset(struct sim *sim, struct sim_end *end)
{
    (void)sim;
    if (end->peer != NULL) {
        break_end(end->peer);
    }
    break_end(end);
}

/* All but the descriptor, which is closed already. */
static void forget(struct sim *sim, struct sim_end *end)
{
    while (end->waiting_first != NULL) {
        struct sim_end *waiting = end->waiting_first;
        end->waiting_first = waiting->next_waiting;
        sim_end_reset(sim, waiting);
        sim_end_close(sim, waiting);
    }
    struct sim_end *peer = end->peer;
    if (peer != NULL) {
        if (end->inbound > 0) {
            break_end(peer); /* what was not read is answered by a reset (RFC 9293 3.10.4) */
        } else if (!end->sent_fin && !end->reset) {
            (void)sim_deliver_fin(sim, peer);
        }
        peer->peer = NULL;
    }
    drop_inbound(end);
    sim->ends[end->descriptor] = NULL;
    sim->live--;
    free(end);
}

void sim_end_close(struct sim *sim, struct sim_end *end)
{
    if (inode_of(end->descriptor) == end->inode) {
        close(end->descriptor);
    }
    forget(sim, end);
}

void sim_sweep(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->ends_max; i++) {
        if (sim->ends[i] != NULL && inode_of((int)i) != sim->ends[i]->inode) {
            forget(sim, sim->ends[i]);
        }
    }
}

/* ---- listeners ---- */

struct sim_end *sim_listener_at(struct sim *sim, const struct sockaddr *address, socklen_t size)
{
    for (uint32_t i = 0; i < sim->ends_max; i++) {
        struct sim_end *end = sim->ends[i];
        if (end != NULL && end->listening && end->address_size == size &&
            memcmp(&end->address, address, size) == 0) {
            return end;
        }
    }
    return NULL;
}

void sim_listener_enqueue(struct sim *sim, struct sim_end *listener, struct sim_end *end)
{
    listener->last_due_ns = arrival(sim, listener->last_due_ns);
    end->due_ns = listener->last_due_ns;
    end->next_waiting = NULL;
    if (listener->waiting_first == NULL) {
        listener->waiting_first = end;
    } else {
        listener->waiting_last->next_waiting = end;
    }
    listener->waiting_last = end;
}

/* ---- bytes ---- */

static struct sim_segment *append(struct sim *sim, struct sim_end *to, size_t size)
{
    struct sim_segment *segment = malloc(sizeof *segment + size);
    if (segment == NULL) {
        return NULL;
    }
    to->last_due_ns = arrival(sim, to->last_due_ns);
    *segment = (struct sim_segment){.due_ns = to->last_due_ns, .end = size};
    if (to->first == NULL) {
        to->first = segment;
    } else {
        to->last->next = segment;
    }
    to->last = segment;
    to->inbound += size;
    return segment;
}

bool sim_deliver(struct sim *sim, struct sim_end *to, const struct iovec *spans, size_t count,
                 size_t size)
{
    struct sim_segment *segment = append(sim, to, size);
    if (segment == NULL) {
        return false;
    }
    size_t at = 0;
    for (size_t i = 0; i < count && at < size; i++) {
        size_t part = spans[i].iov_len < size - at ? spans[i].iov_len : size - at;
        memcpy(segment->bytes + at, spans[i].iov_base, part);
        at += part;
    }
    assert(at == size);
    return true;
}

bool sim_deliver_fin(struct sim *sim, struct sim_end *to)
{
    struct sim_segment *segment = append(sim, to, 0);
    if (segment == NULL) {
        return false;
    }
    segment->fin = true;
    return true;
}

size_t sim_arrived(const struct sim *sim, const struct sim_end *end)
{
    size_t size = 0;
    for (const struct sim_segment *s = end->first; s != NULL && !s->fin && s->due_ns <= sim->now_ns;
         s = s->next) {
        size += s->end - s->start;
    }
    return size;
}

bool sim_fin_arrived(const struct sim *sim, const struct sim_end *end)
{
    return end->first != NULL && end->first->fin && end->first->due_ns <= sim->now_ns;
}

void sim_take(struct sim_end *end, uint8_t *out, size_t size)
{
    assert(size <= end->inbound);
    end->inbound -= size;
    while (size > 0 && end->first != NULL) {
        struct sim_segment *segment = end->first;
        size_t part = segment->end - segment->start;
        part = part < size ? part : size;
        memcpy(out, segment->bytes + segment->start, part);
        segment->start += part;
        out += part;
        size -= part;
        if (segment->start == segment->end) {
            end->first = segment->next;
            if (end->first == NULL) {
                end->last = NULL;
            }
            free(segment);
        }
    }
}
