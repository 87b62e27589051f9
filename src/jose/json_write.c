#include "jose/json_write.h"

#include "base/utf8.h"

#include <stdio.h>

void json_write_begin(struct json_writer *writer, char *out, size_t size)
{
    *writer = (struct json_writer){.out = out, .size = size, .status = STATUS_OK};
}

enum status json_write_end(struct json_writer *writer, struct span *text)
{
    bool written = writer->status == STATUS_OK;
    *text = span_make(writer->out, written ? writer->used : 0);
    return writer->status;
}

static void put(struct json_writer *writer, const void *bytes, size_t size)
{
    if (writer->status != STATUS_OK) {
        return;
    }
    if (size > writer->size - writer->used) {
        writer->status = STATUS_TOO_LARGE;
        return;
    }
    if (size > 0) {
        memcpy(writer->out + writer->used, bytes, size);
    }
    writer->used += size;
}

static void put_comma(struct json_writer *writer)
{
    if (writer->comma) {
        put(writer, ",", 1);
    }
    writer->comma = true;
}

static void open_container(struct json_writer *writer, const char *bracket)
{
    put_comma(writer);
    put(writer, bracket, 1);
    writer->comma = false;
}

static void close_container(struct json_writer *writer, const char *bracket)
{
    put(writer, bracket, 1);
    writer->comma = true;
}

void json_write_object(struct json_writer *writer)
{
    open_container(writer, "{");
}

void json_write_object_end(struct json_writer *writer)
{
    close_container(writer, "}");
}

void json_write_array(struct json_writer *writer)
{
    open_container(writer, "[");
}

void json_write_array_end(struct json_writer *writer)
{
    close_container(writer, "]");
}

/* RFC 8259 section 7: "All Unicode characters may be placed within the quotation marks, except for
 * the characters that MUST be escaped: quotation mark, reverse solidus, and the control characters
 * (U+0000 through U+001F)." */
static void put_escape(struct json_writer *writer, uint8_t byte)
{
    static const char hex[] = "0123456789abcdef";
    char escape[6] = {'\\', 'u', '0', '0', hex[byte >> 4], hex[byte & 15]};
    if (byte == '"' || byte == '\\') {
        escape[1] = (char)byte;
        put(writer, escape, 2);
    } else {
        put(writer, escape, sizeof escape);
    }
}

static void put_string(struct json_writer *writer, struct span value)
{
    put(writer, "\"", 1);
    size_t start = 0, at = 0;
    while (at < value.size) {
        uint8_t byte = value.data[at];
        if (byte < 0x20 || byte == '"' || byte == '\\') {
            put(writer, value.data + start, at - start);
            put_escape(writer, byte);
            start = ++at;
            continue;
        }
        uint32_t character;
        size_t size = utf8_read(span_after(value, at), &character);
        if (size == 0) {
            if (writer->status == STATUS_OK) {
                writer->status = STATUS_MALFORMED;
            }
            return;
        }
        at += size;
    }
    if (at > start) {
        put(writer, value.data + start, at - start);
    }
    put(writer, "\"", 1);
}

void json_write_name(struct json_writer *writer, struct span name)
{
    put_comma(writer);
    put_string(writer, name);
    put(writer, ":", 1);
    writer->comma = false;
}

void json_write_string(struct json_writer *writer, struct span value)
{
    put_comma(writer);
    put_string(writer, value);
}

void json_write_integer(struct json_writer *writer, int64_t value)
{
    char text[24];
    int size = snprintf(text, sizeof text, "%lld", (long long)value);
    put_comma(writer);
    put(writer, text, (size_t)size);
}

void json_write_boolean(struct json_writer *writer, bool value)
{
    put_comma(writer);
    put(writer, value ? "true" : "false", value ? 4 : 5);
}

void json_write_null(struct json_writer *writer)
{
    put_comma(writer);
    put(writer, "null", 4);
}

void json_write_json(struct json_writer *writer, struct span json)
{
    put_comma(writer);
    put(writer, json.data, json.size);
}
