#include "app/config_tree.h"

#include "base/utf8.h"

#include <assert.h>
#include <yaml.h>

/* ---- before YAML: UTF-8 without control characters ---- */

static bool check_characters(struct span text, struct config_report *report)
{
    struct config_position at = {1, 1};
    while (text.size > 0) {
        uint8_t byte = text.data[0];
        uint32_t character;
        size_t size = utf8_read(text, &character);
        if (size == 0) {
            config_report_add(report, at, "byte 0x%02x is not UTF-8; save the file as UTF-8", byte);
            return false;
        }
        if ((byte < 0x20 && byte != '\n' && byte != '\r' && byte != '\t') || byte == 0x7f) {
            config_report_add(report, at, "control character 0x%02x; remove it", byte);
            return false;
        }
        bool ends_line = byte == '\n' || (byte == '\r' && (text.size == 1 || text.data[1] != '\n'));
        at.line += ends_line;
        at.column = ends_line ? 1 : at.column + 1;
        text = span_after(text, size);
    }
    return true;
}

/* ---- events to nodes ---- */

struct builder {
    struct arena *arena;
    struct config_report *report;
    struct config_node *parents[CONFIG_DEPTH_MAX]; /* sequences and mappings that are open */
    struct config_node **ends[CONFIG_DEPTH_MAX];   /* where the next child of each is linked */
    size_t depth;
    struct config_node *key; /* a mapping's key that waits for its value */
    struct config_node *root;
    size_t documents;
};

static struct config_position position_of(yaml_mark_t mark)
{
    return (struct config_position){(uint32_t)mark.line + 1, (uint32_t)mark.column + 1};
}

static struct config_node *add_node(struct builder *builder, enum config_kind kind,
                                    const yaml_event_t *event)
{
    struct config_node *node = arena_take(builder->arena, sizeof *node);
    if (node == NULL) {
        return NULL;
    }
    *node = (struct config_node){.kind = kind, .position = position_of(event->start_mark)};
    struct config_node *parent = builder->depth > 0 ? builder->parents[builder->depth - 1] : NULL;
    if (parent == NULL) {
        builder->root = builder->root == NULL ? node : builder->root;
        return node;
    }
    if (parent->kind == CONFIG_MAPPING && builder->key == NULL) {
        builder->key = node; /* not a child: its value will be, under its name */
        return node;
    }
    if (parent->kind == CONFIG_MAPPING) {
        node->name = builder->key->text;
        node->name_position = builder->key->position;
        node->broken = builder->key->broken;
        builder->key = NULL;
    }
    assert(builder->ends[builder->depth - 1] != NULL);
    *builder->ends[builder->depth - 1] = node;
    builder->ends[builder->depth - 1] = &node->next;
    parent->count++;
    return node;
}

static void refuse(struct builder *builder, struct config_node *node, const char *what)
{
    node->broken = true;
    config_report_add(builder->report, node->position, "%s", what);
}

/* Anchors and tags are refused where they stand, and the value is not looked at further. */
static void check_properties(struct builder *builder, struct config_node *node,
                             const yaml_char_t *anchor, const yaml_char_t *tag)
{
    if (anchor != NULL) {
        refuse(builder, node, "anchors (&) are not supported; write the value where it belongs");
    } else if (tag != NULL) {
        refuse(builder, node, "tags (!) are not supported; write the plain value");
    }
}

static enum status add_scalar(struct builder *builder, const yaml_event_t *event)
{
    struct config_node *node = add_node(builder, CONFIG_SCALAR, event);
    size_t size = event->data.scalar.length;
    char *text = arena_take(builder->arena, size + 1);
    if (node == NULL || text == NULL) {
        return STATUS_NO_MEMORY;
    }
    memcpy(text, event->data.scalar.value, size);
    text[size] = '\0';
    node->text = span_make(text, size);
    node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    check_properties(builder, node, event->data.scalar.anchor, event->data.scalar.tag);
    for (size_t i = 0; i < size && !node->broken; i++) {
        if ((uint8_t)text[i] < 0x20 || text[i] == 0x7f) {
            refuse(builder, node,
                   "the value has a line break or control character in it; write "
                   "it on one line");
        }
    }
    return STATUS_OK;
}

static enum status open_collection(struct builder *builder, enum config_kind kind,
                                   const yaml_event_t *event)
{
    struct config_position position = position_of(event->start_mark);
    if (builder->depth == CONFIG_DEPTH_MAX) {
        config_report_add(builder->report, position, "nested more than %d deep; nothing here is",
                          CONFIG_DEPTH_MAX);
        return STATUS_MALFORMED;
    }
    bool is_key = builder->depth > 0 && builder->key == NULL &&
                  builder->parents[builder->depth - 1]->kind == CONFIG_MAPPING;
    if (is_key) {
        config_report_add(builder->report, position,
                          "a list or mapping cannot be a key; write a plain word");
        return STATUS_MALFORMED;
    }
    struct config_node *node = add_node(builder, kind, event);
    if (node == NULL) {
        return STATUS_NO_MEMORY;
    }
    if (kind == CONFIG_MAPPING) {
        check_properties(builder, node, event->data.mapping_start.anchor,
                         event->data.mapping_start.tag);
    } else {
        check_properties(builder, node, event->data.sequence_start.anchor,
                         event->data.sequence_start.tag);
    }
    builder->ends[builder->depth] = &node->first;
    builder->parents[builder->depth++] = node;
    return STATUS_OK;
}

static enum status begin_document(struct builder *builder, const yaml_event_t *event)
{
    struct config_position position = position_of(event->start_mark);
    if (++builder->documents > 1) {
        config_report_add(builder->report, position,
                          "a second document begins here; write one document a file");
        return STATUS_MALFORMED;
    }
    if (event->data.document_start.version_directive != NULL ||
        event->data.document_start.tag_directives.start !=
            event->data.document_start.tag_directives.end) {
        config_report_add(builder->report, position,
                          "directives (%%) are not supported; remove the line");
    }
    return STATUS_OK;
}

static enum status take_event(struct builder *builder, const yaml_event_t *event)
{
    struct config_node *node = NULL;
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        return begin_document(builder, event);
    case YAML_SCALAR_EVENT:
        return add_scalar(builder, event);
    case YAML_ALIAS_EVENT:
        node = add_node(builder, CONFIG_SCALAR, event);
        if (node == NULL) {
            return STATUS_NO_MEMORY;
        }
        node->text = SPAN_LITERAL("");
        refuse(builder, node, "aliases (*) are not supported; write the value again");
        return STATUS_OK;
    case YAML_SEQUENCE_START_EVENT:
        return open_collection(builder, CONFIG_SEQUENCE, event);
    case YAML_MAPPING_START_EVENT:
        return open_collection(builder, CONFIG_MAPPING, event);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        builder->depth--;
        return STATUS_OK;
    default:
        return STATUS_OK;
    }
}

static void report_syntax(const yaml_parser_t *parser, struct config_report *report)
{
    const char *problem = parser->problem != NULL ? parser->problem : "unreadable";
    struct config_position position = position_of(parser->problem_mark);
    if (parser->context != NULL) {
        config_report_add(report, position, "not valid YAML: %s, %s (from line %u)", problem,
                          parser->context, position_of(parser->context_mark).line);
    } else {
        config_report_add(report, position, "not valid YAML: %s", problem);
    }
}

static enum status read_events(yaml_parser_t *parser, struct builder *builder)
{
    for (;;) {
        yaml_event_t event;
        if (yaml_parser_parse(parser, &event) == 0) {
            if (parser->error == YAML_MEMORY_ERROR) {
                return STATUS_NO_MEMORY;
            }
            report_syntax(parser, builder->report);
            return STATUS_MALFORMED;
        }
        bool ended = event.type == YAML_STREAM_END_EVENT;
        enum status status = take_event(builder, &event);
        yaml_event_delete(&event);
        if (status != STATUS_OK || ended) {
            return status;
        }
    }
}

enum status config_tree_parse(struct arena *arena, struct span text, struct config_report *report,
                              struct config_node **root)
{
    struct span mark = SPAN_LITERAL("\xef\xbb\xbf"); /* a byte order mark, as some editors write */
    if (span_starts_with(text, mark)) {
        text = span_after(text, mark.size);
    }
    if (text.size > CONFIG_FILE_BYTES_MAX) {
        config_report_add(report, (struct config_position){1, 1}, "larger than %d KiB",
                          CONFIG_FILE_BYTES_MAX / 1024);
        return STATUS_MALFORMED;
    }
    if (!check_characters(text, report)) {
        return STATUS_MALFORMED;
    }
    yaml_parser_t parser;
    if (yaml_parser_initialize(&parser) == 0) {
        return STATUS_NO_MEMORY;
    }
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, text.data != NULL ? text.data : (const uint8_t *)"",
                                 text.size);
    struct builder builder = {.arena = arena, .report = report};
    enum status status = read_events(&parser, &builder);
    yaml_parser_delete(&parser);
    if (status != STATUS_OK) {
        return status;
    }
    if (builder.root == NULL) {
        builder.root = arena_take(arena, sizeof *builder.root);
        if (builder.root == NULL) {
            return STATUS_NO_MEMORY;
        }
        *builder.root = (struct config_node){.kind = CONFIG_MAPPING, .position = {1, 1}};
    }
    *root = builder.root;
    return STATUS_OK;
}
