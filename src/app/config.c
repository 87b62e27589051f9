#include "app/config.h"

#include "app/config_schema.h"
#include "app/config_workers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- memory and positions ---- */

#define MEMORY_BLOCK_BYTES 32768
#define MEMORY_BYTES_MAX   (64 << 20)

struct remembered {
    struct remembered *next;
    struct config_position position;
    char path[];
};

struct config_memory {
    struct arena arena;
    const char *name;
    struct remembered *positions; /* the last one first */
    bool defaults;                /* reading the table's own values: nothing to remember */
};

struct config_memory *config_memory_new(const char *name)
{
    struct config_memory *memory = calloc(1, sizeof *memory);
    if (memory == NULL) {
        return NULL;
    }
    arena_init(&memory->arena, MEMORY_BLOCK_BYTES, MEMORY_BYTES_MAX);
    char *copy = arena_take(&memory->arena, strlen(name) + 1);
    if (copy == NULL) {
        config_memory_free(memory);
        return NULL;
    }
    memcpy(copy, name, strlen(name) + 1);
    memory->name = copy;
    return memory;
}

void config_memory_free(struct config_memory *memory)
{
    if (memory != NULL) {
        arena_cleanup(&memory->arena);
        free(memory);
    }
}

struct arena *config_memory_arena(struct config_memory *memory)
{
    return &memory->arena;
}

void config_remember(struct config_reader *reader, struct config_position position)
{
    struct config_memory *memory = reader->config->memory;
    if (memory->defaults) {
        return;
    }
    size_t size = strlen(reader->path) + 1;
    struct remembered *entry = config_take(reader, sizeof *entry + size);
    if (entry != NULL) {
        *entry = (struct remembered){.next = memory->positions, .position = position};
        memcpy(entry->path, reader->path, size);
        memory->positions = entry;
    }
}

static const struct remembered *find(const struct config *config, const char *path, size_t size)
{
    for (const struct remembered *at = config->memory->positions; at != NULL; at = at->next) {
        if (strlen(at->path) == size && memcmp(at->path, path, size) == 0) {
            return at;
        }
    }
    return NULL;
}

bool config_is_named(const struct config *config, const char *key)
{
    return find(config, key, strlen(key)) != NULL;
}

struct config_position config_position(const struct config *config, const char *key)
{
    for (size_t size = strlen(key); size > 0; size--) {
        bool ends_here = key[size] == '\0' || key[size] == '.' || key[size] == '[';
        const struct remembered *hit = ends_here ? find(config, key, size) : NULL;
        if (hit != NULL) {
            return hit->position;
        }
    }
    return (struct config_position){1, 1};
}

const char *config_name(const struct config *config)
{
    return config->memory->name;
}

void config_complain(const struct config *config, const char *key, struct config_errors *errors,
                     const char *format, ...)
{
    if (errors->count == CONFIG_ERRORS_MAX) {
        return;
    }
    char text[sizeof(struct config_error)];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    struct config_position position = config_position(config, key);
    struct config_error *error = &errors->list[errors->count++];
    int size = snprintf(error->text, sizeof error->text, "%s:%u:%u: %s: %s", config_name(config),
                        position.line, position.column, key, text);
    if (size < 0) {
        error->text[0] = '\0';
    }
}

/* ---- defaults ---- */

#define DEFAULTS_BYTES_MAX 16384

/* The defaults go the way of everything else: as YAML, through the same readers. */
static size_t write_defaults(char *text, size_t size)
{
    size_t at = 0;
    for (size_t i = 0; i < config_keys_count && at < size; i++) {
        const struct config_key *key = &config_keys[i];
        const char *dot = strchr(key->path, '.');
        bool in_list = strchr(key->path, '[') != NULL;
        int wrote = 0;
        if (key->type == CONFIG_SECTION) {
            wrote = snprintf(text + at, size - at, "%s:\n", key->path);
        } else if (!in_list && (key->value[0] != '\0' || key->type == CONFIG_STRING)) {
            wrote = snprintf(text + at, size - at, "%s%s: %s\n", dot != NULL ? "  " : "",
                             dot != NULL ? dot + 1 : key->path,
                             key->value[0] != '\0' ? key->value : "\"\"");
        }
        at += wrote > 0 ? (size_t)wrote : 0;
    }
    return at;
}

static enum status read_text(struct config_reader *reader, struct span text)
{
    struct config_node *root = NULL;
    enum status status = config_tree_parse(reader->arena, text, reader->report, &root);
    return status == STATUS_OK ? config_read(reader, root) : status;
}

static enum status read_defaults(struct config_reader *reader)
{
    char text[DEFAULTS_BYTES_MAX];
    size_t size = write_defaults(text, sizeof text);
    if (size >= sizeof text) {
        return STATUS_FAILED;
    }
    reader->config->memory->defaults = true;
    enum status status = read_text(reader, span_make(text, size));
    reader->config->memory->defaults = false;
    /* An error here is the table's own. */
    return status == STATUS_OK && reader->report->errors->count > 0 ? STATUS_FAILED : status;
}

/* ---- loading ---- */

static enum status parse_into(struct config *config, struct span text, struct config_report *report)
{
    struct config_reader reader = {
        .config = config, .arena = config_memory_arena(config->memory), .report = report};
    enum status status = read_defaults(&reader);
    if (status != STATUS_OK) {
        return status;
    }
    status = read_text(&reader, text);
    if (status == STATUS_OK && reader.out_of_memory) {
        return STATUS_NO_MEMORY;
    }
    if (status == STATUS_OK) {
        config_check_rules(config, report);
        config->workers_auto = config->workers == 0;
        config->workers = config->workers_auto ? config_workers_auto() : config->workers;
    }
    config_report_finish(report);
    return status == STATUS_OK && report->errors->count > 0 ? STATUS_MALFORMED : status;
}

enum status config_parse(struct span text, const char *name, struct config **config,
                         struct config_errors *errors)
{
    struct config_report report;
    config_report_init(&report, name, errors);
    *config = NULL;
    struct config *made = calloc(1, sizeof *made);
    enum status status = STATUS_NO_MEMORY;
    if (made != NULL) {
        made->memory = config_memory_new(name);
        if (made->memory != NULL) {
            status = parse_into(made, text, &report);
        }
    }
    if (status == STATUS_OK) {
        *config = made;
        return STATUS_OK;
    }
    if (errors->count == 0) {
        config_report_add(&report, (struct config_position){1, 1}, "cannot be read: %s",
                          status_name(status));
    }
    config_free(made);
    return status;
}

/* STATUS_OK with *text owned, or the reason in errno. */
static enum status read_file(const char *path, char **text, size_t *size)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        return STATUS_SYSTEM;
    }
    /* One byte over the limit is enough to see that it is over. */
    size_t room = CONFIG_FILE_BYTES_MAX + 16, got = 0;
    char *bytes = malloc(room);
    ssize_t n = 0;
    while (bytes != NULL && got < room && (n = read(descriptor, bytes + got, room - got)) != 0) {
        if (n < 0 && errno != EINTR) {
            break;
        }
        got += n > 0 ? (size_t)n : 0;
    }
    int error = bytes == NULL ? ENOMEM : errno;
    close(descriptor);
    if (bytes == NULL || n < 0) {
        free(bytes);
        errno = error;
        return STATUS_SYSTEM;
    }
    *text = bytes;
    *size = got;
    return STATUS_OK;
}

/* Takes `text`. */
static enum status parse_and_keep(char *text, size_t size, const char *name, struct config **config,
                                  struct config_errors *errors)
{
    enum status status = config_parse(span_make(text, size), name, config, errors);
    if (status != STATUS_OK) {
        free(text);
        return status;
    }
    (*config)->source = text;
    (*config)->source_size = size;
    return STATUS_OK;
}

enum status config_load(const char *path, struct config **config, struct config_errors *errors)
{
    char *text = NULL;
    size_t size = 0;
    if (read_file(path, &text, &size) != STATUS_OK) {
        int error = errno;
        struct config_report report;
        config_report_init(&report, path, errors);
        errno = error;
        config_report_add(&report, (struct config_position){1, 1}, "cannot be read: %m");
        *config = NULL;
        return STATUS_SYSTEM;
    }
    return parse_and_keep(text, size, path, config, errors);
}

enum status config_load_again(const struct config *before, struct config **config,
                              struct config_errors *errors)
{
    char *text = malloc(before->source_size + 1);
    *config = NULL;
    errors->count = 0;
    if (text == NULL) {
        config_complain(before, "listen", errors, "out of memory");
        return STATUS_NO_MEMORY;
    }
    memcpy(text, before->source, before->source_size);
    return parse_and_keep(text, before->source_size, config_name(before), config, errors);
}

void config_free(struct config *config)
{
    if (config != NULL) {
        config_memory_free(config->memory);
        free(config->source);
        free(config);
    }
}
