/* The one table of keys: what each is called, what may stand there, its default, where it is kept,
 * and the words that explain it. Reading, defaults, messages and the example file all come from it.
 */
#ifndef POPGATE_APP_CONFIG_SCHEMA_H
#define POPGATE_APP_CONFIG_SCHEMA_H

#include "app/config_tree.h"
#include "app/config_value.h"

struct config_reader;
struct config_key;

enum config_type {
    CONFIG_SECTION, /* a mapping of further keys; nothing is kept */
    CONFIG_BOOLEAN, /* bool */
    CONFIG_INTEGER, /* uint32_t or uint64_t, by `width` */
    CONFIG_SIZE,    /* bytes, uint32_t or uint64_t */
    CONFIG_TIME_MS, /* uint32_t milliseconds */
    CONFIG_TIME_S,  /* int64_t, whole seconds; minimum and maximum are in milliseconds */
    CONFIG_CHOICE,  /* one of `choices`, kept as bool or int */
    CONFIG_STRING,  /* const char *; minimum and maximum are bytes */
    CONFIG_SPAN,    /* struct span; likewise */
    CONFIG_SPANS,   /* one or a list: const struct span *, and the count at count_offset */
    CONFIG_RECORDS, /* a list of mappings, by `read` */
    CONFIG_CUSTOM,  /* by `read` */
};

struct config_choice {
    const char *name; /* NULL ends the list */
    int value;
    bool later; /* not supported by this version yet */
};

struct config_key {
    const char *path; /* "tls.certificate", "issuers[].audience" */
    enum config_type type;
    uint16_t offset, count_offset; /* within struct config, or within the record for "x[].y" */
    uint8_t width;                 /* bytes of the member at offset */
    bool later; /* any value but the default is refused: not supported by this version yet */
    uint64_t minimum, maximum;
    const struct config_choice *choices;
    /* Puts the value at `into`: the struct that offset counts from. Reports what is wrong. */
    void (*read)(struct config_reader *reader, const struct config_key *key,
                 const struct config_node *node, void *into);
    /* CONFIG_SPANS: a sentence if one item is no good, else NULL. */
    const char *(*check)(struct span item);
    const char *value;   /* the default as it would stand in the file; "" for none: a list may then
                            not be empty */
    const char *want;    /* what to write, for messages and the example: such as 60s */
    const char *example; /* a key of a record: what stands in the example file; NULL: left out */
    const char *help;    /* lines, without "#" */
};

#define CONFIG_KEY_PATH_MAX 96

struct config_reader {
    struct config *config;
    struct arena *arena;
    struct config_report *report;
    char path[CONFIG_KEY_PATH_MAX]; /* of the node being read, indices included:
                                       "issuers[0].audience" */
    bool out_of_memory;
};

extern const struct config_key config_keys[];
extern const size_t config_keys_count;

/* Puts everything in `root` into the configuration, over what is there. STATUS_MALFORMED (reported)
 * if it is no mapping at all; what is wrong within is only reported. */
MUST_CHECK enum status config_read(struct config_reader *reader, const struct config_node *root);

/* ---- for the custom readers (config_custom.c, config_places.c) ---- */

void *config_take(struct config_reader *reader, size_t size);
__attribute__((format(printf, 3, 4))) void
config_wrong(struct config_reader *reader, const struct config_node *node, const char *format, ...);
/* A scalar that is not null, or an error. `want` is what to write. */
bool config_expect_scalar(struct config_reader *reader, const struct config_node *node,
                          const char *want);
/* A sequence, or an error; with `one_is_enough` a scalar is a list of one: *items is the first
 * item, *count how many. */
bool config_expect_list(struct config_reader *reader, const struct config_node *node,
                        bool one_is_enough, const char *want, const struct config_node **items,
                        size_t *count);
/* One of `choices`, or an error that names them. */
bool config_read_choice(struct config_reader *reader, const struct config_node *node,
                        const struct config_choice *choices, int *value);
/* Reads a mapping whose keys are `prefix` + name in the table ("issuers[]."), into `record`. */
void config_read_record(struct config_reader *reader, const struct config_node *node,
                        const char *prefix, void *record);
/* Item `index` of the list at the present path: appends "[index]" and remembers its position;
 * returns what to give to config_leave_item. */
size_t config_enter_item(struct config_reader *reader, const struct config_node *node,
                         size_t index);
void config_leave_item(struct config_reader *reader, size_t mark);
/* Copies with a NUL behind it. */
const char *config_copy(struct config_reader *reader, struct span text);

/* Remembers where `path` stands. */
struct config_memory *config_memory_new(const char *name);
void config_memory_free(struct config_memory *memory);
struct arena *config_memory_arena(struct config_memory *memory);
void config_remember(struct config_reader *reader, struct config_position position);

/* True if the file itself names `key`. */
bool config_is_named(const struct config *config, const char *key);

/* Combinations that cannot work: app/config_rules.c. */
void config_check_rules(const struct config *config, struct config_report *report);

#endif
