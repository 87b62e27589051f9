/* json_parse against a second reader (reference_json.h): the same verdict on every text, and the
 * same document: what we parsed, written again by json_write, is byte for byte what the other
 * wrote, and parses to the same values. */
#include "jose/json.h"
#include "jose/json_write.h"
#include "reference_json.h"

#define DOCUMENT_BYTES_MAX 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds) {
        abort();
    }
}

/* Writes value `index` and all it holds; returns the index behind it. */
static uint32_t write_value(struct json_writer *writer, const struct json_document *document,
                            uint32_t index, bool named)
{
    const struct json_value *value = &document->values[index];
    check(index < document->count && value->next > index && value->next <= document->count);
    if (named) {
        json_write_name(writer, value->name);
    } else {
        check(value->name.size == 0);
    }
    bool container = value->type == JSON_OBJECT || value->type == JSON_ARRAY;
    check(container || value->next == index + 1);
    switch (value->type) {
    case JSON_NULL:
        json_write_null(writer);
        break;
    case JSON_BOOLEAN:
        check(value->integer == 0 || value->integer == 1);
        json_write_boolean(writer, value->integer == 1);
        break;
    case JSON_INTEGER:
        json_write_integer(writer, value->integer);
        break;
    case JSON_NUMBER:
        json_write_json(writer, value->text);
        break;
    case JSON_STRING:
        json_write_string(writer, value->text);
        break;
    case JSON_ARRAY:
    case JSON_OBJECT:
        value->type == JSON_OBJECT ? json_write_object(writer) : json_write_array(writer);
        for (uint32_t i = index + 1; i < value->next;) {
            i = write_value(writer, document, i, value->type == JSON_OBJECT);
        }
        value->type == JSON_OBJECT ? json_write_object_end(writer) : json_write_array_end(writer);
        break;
    }
    return value->next;
}

static struct span write_document(const struct json_document *document, char *out, size_t size)
{
    struct json_writer writer;
    struct span text;
    json_write_begin(&writer, out, size);
    check(write_value(&writer, document, 0, false) == document->count);
    check(json_write_end(&writer, &text) == STATUS_OK);
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct json_parser *parser;
    if (parser == NULL) {
        parser = json_parser_new(DOCUMENT_BYTES_MAX);
        check(parser != NULL);
    }
    struct json_document document;
    enum status status = json_parse(parser, span_make(data, size), &document);
    check((status == STATUS_OK) == (document.count > 0));
    if (size > DOCUMENT_BYTES_MAX) {
        check(status == STATUS_TOO_LARGE);
        return 0;
    }
    size_t room = 6 * size + 24, expected_size;
    char *expected = malloc(room), *ours = malloc(room);
    bool valid = reference_json_check(data, size, expected, &expected_size);
    check(valid == (status == STATUS_OK));
    if (valid) {
        struct span first = write_document(&document, ours, room);
        check(span_equal(first, span_make(expected, expected_size)));
        if (first.size <= DOCUMENT_BYTES_MAX) {
            check(json_parse(parser, first, &document) == STATUS_OK);
            check(span_equal(write_document(&document, expected, room), first));
        }
    }
    free(expected);
    free(ours);
    return 0;
}
