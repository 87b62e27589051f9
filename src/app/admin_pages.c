#include "app/admin_pages.h"

#include "app/gate_process.h"
#include "jose/json_write.h"
#include "proxy/identities.h"
#include "proxy/proxy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IDENTITY_ROOM 8192 /* one entry, every byte of it escaped, and the end of the page */

static uint16_t say(struct http1_writer *out, uint16_t status, const char *text)
{
    http1_write_string(out, text);
    return status;
}

/* ---- /identities ---- */

static void write_identity(struct json_writer *json, uint32_t worker,
                           const struct identity_entry *entry)
{
    static const char *const names[] = {"spiffe_id", "issuer", "subject", "client_id"};
    json_write_object(json);
    for (size_t i = 0; i < 4; i++) {
        if (entry->sizes[i] > 0) {
            json_write_string_member(json, names[i], span_make(entry->values[i], entry->sizes[i]));
        }
    }
    json_write_name_string(json, "worker");
    json_write_integer(json, worker);
    json_write_name_string(json, "first_seen");
    json_write_integer(json, entry->first_s);
    json_write_name_string(json, "last_seen");
    json_write_integer(json, entry->last_s);
    json_write_name_string(json, "requests");
    json_write_object(json);
    for (size_t i = 0; i < PROXY_OUTCOMES; i++) {
        if (entry->requests[i] > 0) {
            json_write_name_string(json, proxy_outcome_label((enum proxy_outcome)i));
            json_write_integer(json, (int64_t)entry->requests[i]);
        }
    }
    json_write_object_end(json);
    json_write_object_end(json);
}

/* False: there is no room for all. A value that was cut in the middle of a character, or that is no
 * UTF-8, is one the gate never lets into a header; its entry is left out. */
static bool write_worker(struct json_writer *json, const struct worker *worker)
{
    struct identities *identities = proxy_identities(worker->proxy);
    struct identity_entry entries[IDENTITIES_PER_SET];
    for (size_t set = 0; identities != NULL && set < IDENTITIES_SETS; set++) {
        size_t count = identities_copy(identities, set, entries);
        for (size_t i = 0; i < count; i++) {
            if (json->size - json->used < IDENTITY_ROOM) {
                return false;
            }
            struct json_writer before = *json;
            write_identity(json, worker->index, &entries[i]);
            if (json->status != STATUS_OK) {
                *json = before;
            }
        }
    }
    return true;
}

static uint16_t identities_page(struct gate_process *gate, struct http1_writer *out)
{
    struct json_writer json;
    bool whole = true;
    json_write_begin(&json, out->data, out->capacity);
    json_write_object(&json);
    json_write_name_string(&json, "identities");
    json_write_array(&json);
    for (uint32_t i = 0; i < gate->workers_count; i++) {
        const struct worker *worker = &gate->workers[i];
        if (atomic_load_explicit(&worker->state, memory_order_acquire) == WORKER_RUNNING) {
            whole = write_worker(&json, worker) && whole;
        }
    }
    json_write_array_end(&json);
    json_write_name_string(&json, "truncated");
    json_write_boolean(&json, !whole);
    json_write_object_end(&json);
    struct span text;
    if (json_write_end(&json, &text) != STATUS_OK) {
        return say(out, 500, "the page does not fit its buffer\n");
    }
    out->size = text.size;
    http1_write_string(out, "\n");
    return 200;
}

/* ---- /config ---- */

/* A password in a URL, "//user:password@", anywhere in a line: also in a comment. */
static void write_redacted_line(struct http1_writer *out, struct span line)
{
    static const char mark[] = "://";
    for (size_t at = 0; at + 3 <= line.size; at++) {
        if (memcmp(line.data + at, mark, 3) == 0) {
            struct span rest = span_after(line, at + 3);
            size_t secret = 0;
            for (size_t i = 0; i < rest.size; i++) {
                secret = rest.data[i] == '@' ? i : secret;
            }
            http1_write(out, span_first(line, at + 3));
            if (secret > 0) {
                http1_write_string(out, "***");
            }
            http1_write(out, span_after(rest, secret));
            return;
        }
    }
    http1_write(out, line);
}

static uint16_t config_page(struct gate_process *gate, struct http1_writer *out)
{
    uint16_t status = 200;
    pthread_mutex_lock(&gate->shown_lock);
    struct span text = span_from_string(gate->shown_config != NULL ? gate->shown_config : "");
    while (text.size > 0) {
        size_t end = span_find(text, '\n');
        write_redacted_line(out, span_first(text, end));
        http1_write_string(out, "\n");
        text = span_after(text, end < text.size ? end + 1 : end);
    }
    /* A scalar may be folded over lines or escaped: what is still to be seen is not shown. */
    const char *secret = gate->shown_secret;
    if (secret != NULL && memmem(out->data, out->size, secret, strlen(secret)) != NULL) {
        out->size = 0;
        status = say(out, 500, "the password in it cannot be told from the rest\n");
    }
    pthread_mutex_unlock(&gate->shown_lock);
    return status;
}

/* The password of a redis URL, "…://[user]:password@…"; owned, or NULL. */
static char *password_of(const char *url)
{
    const char *end = strrchr(url, '@'), *start = strstr(url, "://");
    const char *colon = start != NULL ? strchr(start + 3, ':') : NULL;
    if (end == NULL || colon == NULL || colon + 1 >= end) {
        return NULL;
    }
    return strndup(colon + 1, (size_t)(end - colon - 1));
}

void admin_pages_show(struct gate_process *gate)
{
    const struct config *config = gate->generation->config;
    char *text = NULL;
    if (config->source == NULL ||
        asprintf(&text, "# generation %llu, from %s\n%.*s",
                 (unsigned long long)gate->generation->number, config_name(config),
                 (int)config->source_size, config->source) < 0) {
        text = NULL;
    }
    pthread_mutex_lock(&gate->shown_lock);
    free(gate->shown_config);
    free(gate->shown_secret);
    gate->shown_config = text;
    gate->shown_secret = password_of(config->replay.redis);
    pthread_mutex_unlock(&gate->shown_lock);
}

/* ---- /log-level ---- */

static const char *const level_names[] = {
    [LOG_DEBUG] = "debug", [LOG_INFO] = "info", [LOG_WARN] = "warn", [LOG_ERROR] = "error"};

static const char *level_now(const struct log *log)
{
    for (size_t i = LOG_DEBUG; i < LOG_ERROR; i++) {
        if (log_enabled(log, (enum log_level)i)) {
            return level_names[i];
        }
    }
    return level_names[LOG_ERROR];
}

static uint16_t log_level_page(struct gate_process *gate, const struct admin_private *asked,
                               struct http1_writer *out)
{
    if (asked->changes) {
        struct span wanted = asked->query, name = SPAN_LITERAL("level=");
        if (!span_starts_with(wanted, name)) {
            return say(out, 400, "write ?level=debug, info, warn or error\n");
        }
        wanted = span_after(wanted, name.size);
        size_t found = sizeof level_names / sizeof level_names[0];
        for (size_t i = 0; i < sizeof level_names / sizeof level_names[0]; i++) {
            found = span_equal_string(wanted, level_names[i]) ? i : found;
        }
        if (found == sizeof level_names / sizeof level_names[0]) {
            return say(out, 400, "write ?level=debug, info, warn or error\n");
        }
        log_set_level(gate->log, (enum log_level)found);
        log_message(gate->log, LOG_ERROR, "log_level", "set to %s by admin.socket",
                    level_names[found]);
    }
    http1_write_string(out, level_now(gate->log));
    http1_write_string(out, "\n");
    return 200;
}

uint16_t admin_pages_answer(void *context, const struct admin_private *asked,
                            struct http1_writer *out, const char **content_type)
{
    struct gate_process *gate = context;
    bool identities = span_equal_string(asked->path, "/identities");
    if (span_equal_string(asked->path, "/log-level")) {
        return log_level_page(gate, asked, out);
    }
    if (!identities && !span_equal_string(asked->path, "/config")) {
        return 0;
    }
    if (asked->changes) {
        return 405;
    }
    *content_type = identities ? "application/json" : "text/plain; charset=utf-8";
    return identities ? identities_page(gate, out) : config_page(gate, out);
}
