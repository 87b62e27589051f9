/* The memory of one nghttp2 session: counted, so that its bound can be kept and shown; and given
 * back while a connection is idle.
 *
 * What nghttp2 takes when a session is made, some 25 KiB, it keeps to the end, and while nothing is
 * in progress nearly all of it is zeros or left over: tables of pointers, the map of streams, and
 * the buffer in which frames are serialised. It lies in one region of whole pages. A session that
 * rests has kept the words that are not zero, a few hundred bytes, in a block of their size, and
 * given the pages back; one that is woken finds every byte where it was. */
#include "http/h2_internal.h"

#include <stdlib.h>
#include <sys/mman.h>

enum {
    PAGE_BYTES = 4096,
    REGION_BYTES = 7 * PAGE_BYTES,
    WORD_BYTES = sizeof(uint64_t),
    ALIGN_BYTES = 16,
    /* Nothing else in the region is as large as the buffer for frames (RFC 9113 section 4.2: 2^14
     * bytes, and a head). Between frames its bytes mean nothing. */
    FRAME_BYTES_MIN = 16384,
};

union block_size {
    size_t bytes;
    max_align_t align;
};

static bool in_region(const struct h2_session *session, const void *memory)
{
    uintptr_t at = (uintptr_t)memory, start = (uintptr_t)session->region;
    return session->region != NULL && at >= start && at < start + REGION_BYTES;
}

/* Only while the session is made: what comes later comes and goes. */
static union block_size *take_from_region(struct h2_session *session, size_t size)
{
    size_t whole = (sizeof(union block_size) + size + ALIGN_BYTES - 1) / ALIGN_BYTES * ALIGN_BYTES;
    if (!session->region_open || whole > REGION_BYTES - session->region_used) {
        return NULL;
    }
    union block_size *block = (union block_size *)(void *)(session->region + session->region_used);
    if (size >= FRAME_BYTES_MIN) {
        session->frame_start = session->region_used + (uint32_t)sizeof *block;
        session->frame_end = session->region_used + (uint32_t)whole;
    }
    session->region_used += (uint32_t)whole;
    return block;
}

static void *take(size_t size, void *user)
{
    struct h2_session *session = user;
    if (size > H2_SESSION_BYTES_MAX || session->memory > H2_SESSION_BYTES_MAX - size) {
        return NULL;
    }
    union block_size *block = take_from_region(session, size);
    if (block == NULL) {
        block = malloc(sizeof *block + size);
    }
    if (block == NULL) {
        return NULL;
    }
    block->bytes = size;
    session->memory += size;
    return block + 1;
}

static void give(void *memory, void *user)
{
    struct h2_session *session = user;
    if (memory != NULL) {
        union block_size *block = (union block_size *)memory - 1;
        session->memory -= block->bytes;
        if (!in_region(session, block)) {
            free(block);
        }
    }
}

static void *take_zeroed(size_t count, size_t size, void *user)
{
    if (size != 0 && count > SIZE_MAX / size) {
        return NULL;
    }
    void *memory = take(count * size, user);
    if (memory != NULL) {
        memset(memory, 0, count * size);
    }
    return memory;
}

static void *resize(void *memory, size_t size, void *user)
{
    void *moved = take(size, user);
    if (moved != NULL && memory != NULL) {
        size_t before = ((union block_size *)memory - 1)->bytes;
        memcpy(moved, memory, before < size ? before : size);
        give(memory, user);
    }
    return moved;
}

nghttp2_mem h2_memory_begin(struct h2_session *session)
{
    session->region = aligned_alloc(PAGE_BYTES, REGION_BYTES);
    session->region_open = session->region != NULL;
    if (session->region != NULL) {
        memset(session->region, 0, REGION_BYTES);
    }
    return (nghttp2_mem){session, take, give, take_zeroed, resize};
}

void h2_memory_made(struct h2_session *session)
{
    session->region_open = false;
}

void h2_memory_cleanup(struct h2_session *session)
{
    free(session->packed);
    free(session->region);
}

/* ---- rest ---- */

/* The next run of words that are not zero, at or behind *at; the frames' buffer is passed over. */
static size_t next_run(const struct h2_session *session, size_t *at)
{
    const uint64_t *words = (const uint64_t *)(const void *)session->region;
    size_t end = session->region_used / WORD_BYTES, frame = session->frame_start / WORD_BYTES;
    size_t behind = session->frame_end / WORD_BYTES, size = 0;
    while (*at < end && (words[*at] == 0 || (*at >= frame && *at < behind))) {
        *at = *at == frame && behind > frame ? behind : *at + 1;
    }
    while (*at + size < end && words[*at + size] != 0 && (*at + size != frame || behind == frame)) {
        size++;
    }
    return size;
}

/* Runs as (place << 32 | size), then the words; one of size 0 at the end. NULL: no memory. */
static uint64_t *pack(const struct h2_session *session)
{
    size_t total = 1, size, at = 0, out = 0;
    for (; (size = next_run(session, &at)) > 0; at += size) {
        total += 1 + size;
    }
    uint64_t *packed = malloc(total * WORD_BYTES);
    if (packed == NULL) {
        return NULL;
    }
    for (at = 0; (size = next_run(session, &at)) > 0; at += size) {
        packed[out++] = (uint64_t)at << 32 | size;
        memcpy(&packed[out], session->region + at * WORD_BYTES, size * WORD_BYTES);
        out += size;
    }
    packed[out] = 0;
    return packed;
}

void h2_session_rest(struct h2_session *session)
{
    if (session->packed != NULL || session->region == NULL || session->restless ||
        session->in_head || nghttp2_session_want_write(session->session) != 0) {
        return;
    }
    free(session->scratch);
    session->scratch = NULL;
    uint64_t *packed = pack(session);
    if (packed == NULL) {
        return;
    }
    /* "After a successful MADV_DONTNEED operation [...] subsequent accesses of pages in the range
     * will succeed, but will result in [...] zero-fill-on-demand pages for anonymous private
     * mappings" (madvise(2)). It fails, and changes nothing, where pages are larger or locked. */
    if (madvise(session->region, REGION_BYTES, MADV_DONTNEED) != 0) {
        session->restless = true;
        free(packed);
        return;
    }
    session->packed = packed;
}

nghttp2_session *h2_wake(struct h2_session *session)
{
    size_t at = 0;
    for (size_t size; (size = (uint32_t)session->packed[at]) > 0; at += 1 + size) {
        size_t place = (size_t)(session->packed[at] >> 32);
        memcpy(session->region + place * WORD_BYTES, &session->packed[at + 1], size * WORD_BYTES);
    }
    free(session->packed);
    session->packed = NULL;
    return session->session;
}

size_t h2_session_resting_bytes(const struct h2_session *session)
{
    size_t at = 0;
    if (session->packed == NULL) {
        return 0;
    }
    while ((uint32_t)session->packed[at] > 0) {
        at += 1 + (uint32_t)session->packed[at];
    }
    return (at + 1) * WORD_BYTES;
}
