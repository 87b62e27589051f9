/* Many threads log at once while the level changes and the ring is too small: every line arrives
 * whole and in its thread's order, and what did not fit is counted exactly. */
#include "base/log.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PRODUCERS 6
#define LINES     4000

struct producer {
    struct log *log;
    long number;
};

static void *produce(void *context)
{
    const struct producer *producer = context;
    char pad[200];
    memset(pad, 'p', sizeof pad);
    for (long i = 0; i < LINES; i++) {
        struct log_line line;
        log_begin(&line, producer->log, LOG_ERROR, "t");
        log_number(&line, "who", producer->number);
        log_number(&line, "i", i);
        log_span(&line, "pad", span_make(pad, (size_t)(i % 200)));
        log_end(&line);
        if (i % 512 == 0) {
            log_set_level(producer->log, i % 1024 == 0 ? LOG_DEBUG : LOG_ERROR);
            usleep(200);
        }
    }
    return NULL;
}

struct reader {
    FILE *in;
    long lines, dropped, bad;
    long last[PRODUCERS];
};

static void *read_all(void *context)
{
    struct reader *reader = context;
    char text[4096];
    while (fgets(text, sizeof text, reader->in) != NULL) {
        const char *dropped = strstr(text, "event=log_dropped lines=");
        if (dropped != NULL) {
            reader->dropped += strtol(dropped + 24, NULL, 10);
            continue;
        }
        const char *who_at = strstr(text, " who="), *i_at = strstr(text, " i=");
        const char *pad = strstr(text, " pad=");
        if (who_at == NULL || i_at == NULL || pad == NULL || strlen(text) < 30) {
            reader->bad++;
            continue;
        }
        long who = strtol(who_at + 5, NULL, 10), i = strtol(i_at + 3, NULL, 10);
        size_t expected = i % 200 == 0 ? 2 : (size_t)(i % 200); /* "" for nothing */
        if (who < 0 || who >= PRODUCERS || i <= reader->last[who] ||
            strlen(pad + 5) != expected + 1) {
            reader->bad++;
            continue;
        }
        reader->last[who] = i;
        reader->lines++;
    }
    return NULL;
}

static bool run(size_t ring_bytes, bool drops_expected)
{
    int ends[2];
    if (pipe(ends) != 0) {
        return false;
    }
    struct reader reader = {.in = fdopen(ends[0], "r")};
    for (int i = 0; i < PRODUCERS; i++) {
        reader.last[i] = -1;
    }
    pthread_t reading, producing[PRODUCERS];
    pthread_create(&reading, NULL, read_all, &reader);
    struct log *log = log_new(ends[1], LOG_TEXT, LOG_DEBUG, ring_bytes);
    struct producer producers[PRODUCERS];
    for (long i = 0; i < PRODUCERS; i++) {
        producers[i] = (struct producer){log, i};
        pthread_create(&producing[i], NULL, produce, &producers[i]);
    }
    for (int i = 0; i < PRODUCERS; i++) {
        pthread_join(producing[i], NULL);
    }
    long dropped = (long)log_dropped(log);
    log_free(log);
    close(ends[1]);
    pthread_join(reading, NULL);
    fclose(reader.in);
    bool good = reader.bad == 0 && reader.dropped == dropped &&
                reader.lines + dropped == (long)PRODUCERS * LINES &&
                (drops_expected ? dropped > 0 : dropped == 0);
    printf("%s: %ld lines, %ld dropped, %ld said, %ld bad\n", good ? "ok" : "FAILED", reader.lines,
           dropped, reader.dropped, reader.bad);
    return good;
}

int main(void)
{
    int passed = 0, failed = 0;
    *(run(0, true) ? &passed : &failed) += 1;
    *(run(64 << 20, false) ? &passed : &failed) += 1;
    printf("%d passed, %d failed\n", passed, failed);
    return failed == 0 ? 0 : 1;
}
