/* Reads a tree by the table. */
#include "app/config_schema.h"

#include <stdarg.h>
#include <stdio.h>

/* ---- memory ---- */

void *config_take(struct config_reader *reader, size_t size)
{
    void *memory = arena_take(reader->arena, size > 0 ? size : 1);
    if (memory == NULL) {
        reader->out_of_memory = true;
        return NULL;
    }
    memset(memory, 0, size);
    return memory;
}

const char *config_copy(struct config_reader *reader, struct span text)
{
    char *copy = config_take(reader, text.size + 1);
    if (copy != NULL && text.size > 0) {
        memcpy(copy, text.data, text.size);
    }
    return copy;
}

/* ---- the path of the node being read ---- */

static size_t append(struct config_reader *reader, const char *text, size_t size)
{
    size_t mark = strlen(reader->path);
    if (size > CONFIG_KEY_PATH_MAX - 1 - mark) {
        size = CONFIG_KEY_PATH_MAX - 1 -
               mark; /* names in the table are shorter: an unknown one is cut */
    }
    memcpy(reader->path + mark, text, size);
    reader->path[mark + size] = '\0';
    return mark;
}

size_t config_enter_item(struct config_reader *reader, const struct config_node *node, size_t index)
{
    char text[24];
    int size = snprintf(text, sizeof text, "[%zu]", index);
    size_t mark = append(reader, text, size > 0 ? (size_t)size : 0);
    config_remember(reader, node->position);
    return mark;
}

void config_leave_item(struct config_reader *reader, size_t mark)
{
    reader->path[mark] = '\0';
}

void config_wrong(struct config_reader *reader, const struct config_node *node, const char *format,
                  ...)
{
    char text[sizeof(struct config_error)];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    config_report_add(reader->report, node->position, "%s: %s", reader->path, text);
}

/* ---- kinds of nodes ---- */

static const char *kind_name(const struct config_node *node)
{
    return node->kind == CONFIG_SCALAR     ? "a single value"
           : node->kind == CONFIG_SEQUENCE ? "a list"
                                           : "a mapping";
}

static bool is_null(const struct config_node *node)
{
    return node->kind == CONFIG_SCALAR && !node->quoted &&
           (node->text.size == 0 || span_equal_string(node->text, "~") ||
            span_equal_string(node->text, "null") || span_equal_string(node->text, "Null") ||
            span_equal_string(node->text, "NULL"));
}

bool config_expect_scalar(struct config_reader *reader, const struct config_node *node,
                          const char *want)
{
    if (node->kind != CONFIG_SCALAR) {
        config_wrong(reader, node, "%s where one value belongs; write %s", kind_name(node), want);
        return false;
    }
    if (is_null(node)) {
        config_wrong(reader, node, "has no value; write %s, or remove the line", want);
        return false;
    }
    return true;
}

bool config_expect_list(struct config_reader *reader, const struct config_node *node,
                        bool one_is_enough, const char *want, const struct config_node **items,
                        size_t *count)
{
    if (is_null(node)) {
        config_wrong(reader, node, "has no value; write %s, or remove the line", want);
        return false;
    }
    if (node->kind == CONFIG_SEQUENCE) {
        *items = node->first;
        *count = node->count;
        return true;
    }
    if (one_is_enough && node->kind == CONFIG_SCALAR) {
        *items = node;
        *count = 1;
        return true;
    }
    config_wrong(reader, node, "%s where a list belongs; write %s", kind_name(node), want);
    return false;
}

/* ---- values ---- */

struct names {
    char text[160];
};

static struct names choice_names(const struct config_choice *choices)
{
    struct names names = {0};
    size_t at = 0;
    for (size_t i = 0; choices[i].name != NULL; i++) {
        const char *glue = i == 0 ? "" : choices[i + 1].name == NULL ? " or " : ", ";
        int size = snprintf(names.text + at, sizeof names.text - at, "%s%s", glue, choices[i].name);
        at += size > 0 ? (size_t)size : 0;
        if (at >= sizeof names.text) {
            break;
        }
    }
    return names;
}

bool config_read_choice(struct config_reader *reader, const struct config_node *node,
                        const struct config_choice *choices, int *value)
{
    if (!config_expect_scalar(reader, node, choice_names(choices).text)) {
        return false;
    }
    size_t best = 0, best_distance = SIZE_MAX;
    for (size_t i = 0; choices[i].name != NULL; i++) {
        struct span name = span_from_string(choices[i].name);
        if (span_equal(node->text, name)) {
            if (choices[i].later) {
                config_wrong(reader, node, "%s is not supported by this version yet",
                             choices[i].name);
                return false;
            }
            *value = choices[i].value;
            return true;
        }
        size_t distance = config_name_distance(node->text, name);
        if (config_name_is_close(name, distance) && distance < best_distance) {
            best = i;
            best_distance = distance;
        }
    }
    if (best_distance != SIZE_MAX) {
        config_wrong(reader, node, "unknown value %s; did you mean %s? write %s",
                     config_quote(node->text).text, choices[best].name, choice_names(choices).text);
    } else {
        config_wrong(reader, node, "unknown value %s; write %s", config_quote(node->text).text,
                     choice_names(choices).text);
    }
    return false;
}

static const struct config_choice booleans[] = {{"true", true}, {"false", false}, {0}};

/* One of two: anything else would be a guess (YAML 1.1 reads `no` as false, 1.2 as a word). */
static bool read_boolean(struct config_reader *reader, const struct config_node *node, int *value)
{
    if (config_expect_scalar(reader, node, "true or false") && node->quoted) {
        config_wrong(reader, node, "%s is text; write true or false without quotes",
                     config_quote(node->text).text);
        return false;
    }
    return node->kind == CONFIG_SCALAR && !is_null(node) &&
           config_read_choice(reader, node, booleans, value);
}

static enum config_unit unit_of(enum config_type type)
{
    return type == CONFIG_SIZE      ? CONFIG_UNIT_BYTES
           : type == CONFIG_INTEGER ? CONFIG_UNIT_NONE
                                    : CONFIG_UNIT_MILLISECONDS;
}

static void wrong_number(struct config_reader *reader, const struct config_key *key,
                         const struct config_node *node, enum config_number_fault fault,
                         struct span unit_text)
{
    struct config_quote quoted = config_quote(node->text);
    enum config_unit unit = unit_of(key->type);
    switch (fault) {
    case CONFIG_NUMBER_NO_UNIT:
        config_wrong(reader, node, "%s has no unit; write %s, such as %s", quoted.text,
                     config_unit_names(unit), key->want);
        break;
    case CONFIG_NUMBER_UNKNOWN_UNIT:
        config_wrong(reader, node, "%s has the unknown unit %s; write %s, such as %s", quoted.text,
                     config_quote(unit_text).text, config_unit_names(unit), key->want);
        break;
    default:
        if (unit == CONFIG_UNIT_NONE) {
            config_wrong(reader, node, "%s is not a whole number; write digits alone, such as %s",
                         quoted.text, key->want);
        } else {
            config_wrong(reader, node,
                         "%s is not a whole number with a unit (%s); write it such as %s",
                         quoted.text, config_unit_names(unit), key->want);
        }
    }
}

static bool read_number(struct config_reader *reader, const struct config_key *key,
                        const struct config_node *node, uint64_t *number)
{
    if (!config_expect_scalar(reader, node, key->want)) {
        return false;
    }
    enum config_unit unit = unit_of(key->type);
    if (unit == CONFIG_UNIT_NONE && node->quoted) {
        config_wrong(reader, node, "%s is text; write the number without quotes",
                     config_quote(node->text).text);
        return false;
    }
    struct span unit_text = {0};
    enum config_number_fault fault = config_read_number(node->text, unit, number, &unit_text);
    if (fault == CONFIG_NUMBER_NO_UNIT && span_equal_string(node->text, "0")) {
        *number = 0; /* none of any unit */
        fault = CONFIG_NUMBER_GOOD;
    }
    if (fault != CONFIG_NUMBER_GOOD && fault != CONFIG_NUMBER_TOO_LARGE) {
        wrong_number(reader, key, node, fault, unit_text);
        return false;
    }
    if (fault == CONFIG_NUMBER_TOO_LARGE || *number < key->minimum || *number > key->maximum) {
        config_wrong(reader, node, "%s is out of range; write %s to %s",
                     config_quote(node->text).text, config_write_number(key->minimum, unit).text,
                     config_write_number(key->maximum, unit).text);
        return false;
    }
    if (key->type == CONFIG_TIME_S && *number % 1000 != 0) {
        config_wrong(reader, node, "%s is not a number of whole seconds; write it such as %s",
                     config_quote(node->text).text, key->want);
        return false;
    }
    return true;
}

static void store_integer(const struct config_key *key, uint64_t number, void *into)
{
    uint8_t *at = (uint8_t *)into + key->offset;
    if (key->width == 1) {
        *(bool *)at = number != 0;
    } else if (key->width == 4) {
        uint32_t narrow = (uint32_t)number;
        memcpy(at, &narrow, 4);
    } else {
        memcpy(at, &number, 8);
    }
}

static bool check_text(struct config_reader *reader, const struct config_key *key,
                       const struct config_node *node)
{
    if (!config_expect_scalar(reader, node, key->want)) {
        return false;
    }
    if (node->text.size < key->minimum) {
        config_wrong(reader, node, "is empty; write %s", key->want);
        return false;
    }
    if (node->text.size > key->maximum) {
        config_wrong(reader, node, "is %zu bytes long; at most %llu are allowed", node->text.size,
                     (unsigned long long)key->maximum);
        return false;
    }
    const char *fault = key->check != NULL ? key->check(node->text) : NULL;
    if (fault != NULL) {
        config_wrong(reader, node, "%s %s", config_quote(node->text).text, fault);
        return false;
    }
    return true;
}

static void read_spans(struct config_reader *reader, const struct config_key *key,
                       const struct config_node *node, void *into)
{
    const struct config_node *item = NULL;
    size_t count = 0;
    if (!config_expect_list(reader, node, true, key->want, &item, &count)) {
        return;
    }
    if (count == 0 && key->value[0] == '\0') {
        config_wrong(reader, node, "is empty; write %s", key->want);
        return;
    }
    struct span *spans = config_take(reader, count * sizeof *spans);
    size_t good = 0;
    for (size_t i = 0; i < count && spans != NULL && !config_report_is_full(reader->report); i++) {
        size_t mark = config_enter_item(reader, item, i);
        if (!item->broken && check_text(reader, key, item)) {
            spans[good++] = item->text;
        }
        config_leave_item(reader, mark);
        item = item->next;
    }
    const struct span *kept = spans;
    memcpy((uint8_t *)into + key->offset, &kept, sizeof(void *));
    memcpy((uint8_t *)into + key->count_offset, &good, sizeof good);
}

static void read_typed(struct config_reader *reader, const struct config_key *key,
                       const struct config_node *node, void *into)
{
    int choice = 0;
    uint64_t number = 0;
    const char *string = NULL;
    switch (key->type) {
    case CONFIG_SECTION:
        break;
    case CONFIG_BOOLEAN:
        if (read_boolean(reader, node, &choice)) {
            store_integer(key, (uint64_t)choice, into);
        }
        break;
    case CONFIG_CHOICE:
        if (config_read_choice(reader, node, key->choices, &choice)) {
            store_integer(key, (uint64_t)choice, into);
        }
        break;
    case CONFIG_INTEGER:
    case CONFIG_SIZE:
    case CONFIG_TIME_MS:
    case CONFIG_TIME_S:
        if (read_number(reader, key, node, &number)) {
            store_integer(key, key->type == CONFIG_TIME_S ? number / 1000 : number, into);
        }
        break;
    case CONFIG_STRING:
        if (check_text(reader, key, node)) {
            string = (const char *)node->text.data;
            memcpy((uint8_t *)into + key->offset, &string, sizeof string);
        }
        break;
    case CONFIG_SPAN:
        if (check_text(reader, key, node)) {
            memcpy((uint8_t *)into + key->offset, &node->text, sizeof node->text);
        }
        break;
    case CONFIG_SPANS:
        read_spans(reader, key, node, into);
        break;
    case CONFIG_RECORDS:
    case CONFIG_CUSTOM:
        key->read(reader, key, node, into);
        break;
    }
}

/* ---- mappings ---- */

/* The key of the table called `prefix` + `name`, or NULL. */
static const struct config_key *find_key(const char *prefix, struct span name)
{
    size_t size = strlen(prefix);
    if (span_find(name, '.') < name.size || span_find(name, '[') < name.size) {
        return NULL; /* one word: "tls.certificate" is how the table spells it, not a key */
    }
    for (size_t i = 0; i < config_keys_count; i++) {
        struct span path = span_from_string(config_keys[i].path);
        if (span_starts_with(path, span_make(prefix, size)) &&
            span_equal(span_after(path, size), name)) {
            return &config_keys[i];
        }
    }
    return NULL;
}

/* The last word of a path, and what stands before it. */
static struct span last_word(const char *path, size_t *prefix_size)
{
    const char *dot = strrchr(path, '.');
    *prefix_size = dot != NULL ? (size_t)(dot + 1 - path) : 0;
    return span_from_string(path + *prefix_size);
}

/* The nearest name: in the same mapping, else an equal one elsewhere in the file. */
static const struct config_key *guess_key(const char *prefix, struct span name)
{
    const struct config_key *best = NULL, *elsewhere = NULL;
    size_t best_distance = SIZE_MAX;
    for (size_t i = 0; i < config_keys_count; i++) {
        size_t size = 0;
        struct span word = last_word(config_keys[i].path, &size);
        size_t distance = config_name_distance(name, word);
        if (size == strlen(prefix) && memcmp(config_keys[i].path, prefix, size) == 0) {
            if (config_name_is_close(word, distance) && distance < best_distance) {
                best = &config_keys[i];
                best_distance = distance;
            }
        } else if (distance == 0 && elsewhere == NULL) {
            elsewhere = &config_keys[i];
        }
    }
    return best != NULL ? best : elsewhere;
}

static void unknown_key(struct config_reader *reader, const struct config_node *node,
                        const char *prefix)
{
    struct config_quote quoted = config_quote(node->name);
    const struct config_key *guess = guess_key(prefix, node->name);
    const char *where = reader->path[0] != '\0' ? reader->path : "the file";
    if (guess == NULL) {
        config_report_add(reader->report, node->name_position,
                          "unknown key %s in %s; remove it, or see popgate validate --example",
                          quoted.text, where);
        return;
    }
    size_t size = 0;
    struct span word = last_word(guess->path, &size);
    if (size == strlen(prefix) && memcmp(guess->path, prefix, size) == 0) {
        config_report_add(reader->report, node->name_position,
                          "unknown key %s in %s; did you mean %.*s?", quoted.text, where,
                          SPAN_ARG(word));
    } else {
        config_report_add(reader->report, node->name_position,
                          "unknown key %s in %s; did you mean %s?", quoted.text, where,
                          guess->path);
    }
}

static const struct config_node *earlier_namesake(const struct config_node *mapping,
                                                  const struct config_node *node)
{
    for (const struct config_node *other = mapping->first; other != node; other = other->next) {
        if (span_equal(other->name, node->name)) {
            return other;
        }
    }
    return NULL;
}

static void read_mapping(struct config_reader *reader, const struct config_node *mapping,
                         const char *prefix, void *into);

static void read_member(struct config_reader *reader, const struct config_key *key,
                        const struct config_node *node, void *into)
{
    config_remember(reader, node->position);
    if (node->broken) {
        return;
    }
    if (key->type == CONFIG_SECTION) {
        if (node->kind != CONFIG_MAPPING) {
            config_wrong(reader, node, "%s where a mapping belongs; write its keys below it",
                         is_null(node) ? "nothing" : kind_name(node));
            return;
        }
        char prefix[CONFIG_KEY_PATH_MAX];
        (void)snprintf(prefix, sizeof prefix, "%s.", key->path);
        read_mapping(reader, node, prefix, into);
        return;
    }
    bool set = node->kind == CONFIG_SCALAR && !is_null(node) &&
               !span_equal_string(node->text, key->value);
    if (key->later && set) {
        config_wrong(reader, node, "not supported by this version yet; remove the line");
        return;
    }
    read_typed(reader, key, node, into);
}

static void read_mapping(struct config_reader *reader, const struct config_node *mapping,
                         const char *prefix, void *into)
{
    for (const struct config_node *node = mapping->first;
         node != NULL && !config_report_is_full(reader->report); node = node->next) {
        const struct config_node *first = earlier_namesake(mapping, node);
        if (first != NULL) {
            config_report_add(reader->report, node->name_position,
                              "duplicate key %s; it is on line %u already, remove one of them",
                              config_quote(node->name).text, first->name_position.line);
            continue;
        }
        const struct config_key *key = find_key(prefix, node->name);
        if (key == NULL) {
            unknown_key(reader, node, prefix);
            continue;
        }
        size_t mark = append(reader, reader->path[0] != '\0' ? "." : "", reader->path[0] != '\0');
        (void)append(reader, (const char *)node->name.data, node->name.size);
        read_member(reader, key, node, into);
        config_leave_item(reader, mark);
    }
}

void config_read_record(struct config_reader *reader, const struct config_node *node,
                        const char *prefix, void *record)
{
    read_mapping(reader, node, prefix, record);
}

enum status config_read(struct config_reader *reader, const struct config_node *root)
{
    if (root->kind != CONFIG_MAPPING && !root->broken) {
        config_report_add(reader->report, root->position,
                          "%s where the file's keys belong; write such as listen: 0.0.0.0:8443",
                          kind_name(root));
    }
    if (root->kind != CONFIG_MAPPING || root->broken) {
        return STATUS_MALFORMED;
    }
    read_mapping(reader, root, "", reader->config);
    return STATUS_OK;
}
