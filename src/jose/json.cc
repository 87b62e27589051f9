/* The only C++ of the tree. simdjson's DOM refuses what is not RFC 8259, invalid UTF-8, lone
 * surrogates and numbers that no int64, uint64 or double holds; what it lets pass and we do not
 * (duplicate names, too deep, too many, integers beyond int64, a root that is a scalar) is refused
 * around it. No exception can arise: simdjson is built for error codes here, and nothing allocates
 * after json_parser_new. */
#define SIMDJSON_EXCEPTIONS 0
#include "jose/json.h"

#include <new>
#include <simdjson.h>

struct json_parser {
    simdjson::dom::parser simd;
    simdjson::dom::document tape;
    size_t bytes_max;
    uint32_t count;     /* values written for the current document */
    uint32_t fractions; /* of them JSON_NUMBER, whose text is still to be found */
    uint8_t *text;      /* bytes_max + SIMDJSON_PADDING */
    json_value *values; /* VALUES_MAX(bytes_max) */
};

namespace
{

/* Every value but the root costs two bytes at least: itself and a comma or its container's bracket.
 */
constexpr size_t values_max(size_t bytes)
{
    return bytes / 2 + 1;
}

/* The flattened tape's indices are 32 bits, and simdjson's own limit is 4 GiB. */
constexpr size_t DOCUMENT_BYTES_MAX = UINT32_C(1) << 30;

/* simdjson's tape (its doc/tape.md): words of 64 bits, the kind in the upper 8, a payload in the
 * others. A string's payload is an offset to its 32-bit size and its bytes; a number has its value
 * in the next word. */
char kind_of(uint64_t word)
{
    return static_cast<char>(word >> 56);
}

span string_of(const uint8_t *strings, uint64_t word)
{
    const uint8_t *at = strings + (word & simdjson::internal::JSON_VALUE_MASK);
    uint32_t size;
    memcpy(&size, at, sizeof size);
    return span_make(at + sizeof size, size);
}

/* An array or object that is not closed yet. */
struct level {
    uint32_t index; /* of its value */
    bool is_object;
    unsigned members;
    uint64_t seen; /* name_bit of its members so far */
};

/* One bit of 64 for a name. Names that share no bit differ, so most objects need no comparison at
 * all. Reads 8 bytes from wherever the name begins: simdjson's string memory is at least
 * SIMDJSON_PADDING larger than its contents. */
uint64_t name_bit(span name)
{
    static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the name's first byte is the lowest");
    uint64_t head;
    memcpy(&head, name.data, sizeof head);
    if (name.size < sizeof head) {
        head &= (UINT64_C(1) << (8 * name.size)) - 1;
    }
    return UINT64_C(1) << (((head + name.size) * UINT64_C(0x9e3779b97f4a7c15)) >> 58);
}

/* Whether a member of `object` before values[end] has this name. */
bool name_taken(const json_value *values, uint32_t object, uint32_t end, span name)
{
    for (uint32_t i = object + 1; i < end; i = values[i].next) {
        if (span_equal(values[i].name, name)) {
            return true;
        }
    }
    return false;
}

status check_name(const json_parser *parser, level *level, span name)
{
    if (++level->members > JSON_MEMBERS_MAX) {
        return STATUS_TOO_LARGE;
    }
    /* RFC 7515 section 4: "The Header Parameter names within the JOSE Header MUST be unique"; RFC
     * 7519 section 4 says the same of claims. Unescaped, so that "alg" and "\u0061lg" are one name.
     */
    uint64_t bit = name_bit(name);
    if ((level->seen & bit) != 0 && name_taken(parser->values, level->index, parser->count, name)) {
        return STATUS_MALFORMED;
    }
    level->seen |= bit;
    return STATUS_OK;
}

/* Fills *value with what is neither array nor object; *next is the tape's next word. */
status flatten_scalar(json_parser *parser, json_value *value, uint64_t word, const uint64_t **next)
{
    switch (kind_of(word)) {
    case '"':
        value->type = JSON_STRING;
        value->text = string_of(parser->tape.string_buf.get(), word);
        return STATUS_OK;
    case 'l':
        value->type = JSON_INTEGER;
        value->integer = static_cast<int64_t>(*(*next)++);
        return STATUS_OK;
    case 'd':
        value->type = JSON_NUMBER;
        parser->fractions++;
        (*next)++;
        return STATUS_OK;
    case 't':
    case 'f':
        value->type = JSON_BOOLEAN;
        value->integer = kind_of(word) == 't';
        return STATUS_OK;
    case 'n':
        value->type = JSON_NULL;
        return STATUS_OK;
    default: /* 'u', an integer above INT64_MAX */
        return STATUS_MALFORMED;
    }
}

/* Writes the tape, whose root is an array or an object, to parser->values. */
status flatten(json_parser *parser)
{
    const uint64_t *next = parser->tape.tape.get() + 1;
    const uint8_t *strings = parser->tape.string_buf.get();
    level levels[JSON_DEPTH_MAX];
    unsigned depth = 0;
    do {
        uint64_t word = *next++;
        if (kind_of(word) == '}' || kind_of(word) == ']') {
            parser->values[levels[--depth].index].next = parser->count;
            continue;
        }
        span name{nullptr, 0};
        if (depth > 0 && levels[depth - 1].is_object) {
            name = string_of(strings, word);
            status status = check_name(parser, &levels[depth - 1], name);
            if (status != STATUS_OK) {
                return status;
            }
            word = *next++;
        }
        json_value *value = &parser->values[parser->count];
        *value = json_value{JSON_NULL, parser->count + 1, name, span{nullptr, 0}, 0};
        if (kind_of(word) == '{' || kind_of(word) == '[') {
            if (depth == JSON_DEPTH_MAX) {
                return STATUS_TOO_LARGE;
            }
            bool is_object = kind_of(word) == '{';
            value->type = is_object ? JSON_OBJECT : JSON_ARRAY;
            levels[depth++] = level{parser->count, is_object, 0, 0};
        } else {
            status status = flatten_scalar(parser, value, word, &next);
            if (status != STATUS_OK) {
                return status;
            }
        }
        parser->count++;
    } while (depth > 0);
    return STATUS_OK;
}

bool in_number(uint8_t byte)
{
    return (byte >= '0' && byte <= '9') || byte == '-' || byte == '+' || byte == '.' ||
           byte == 'e' || byte == 'E';
}

/* Gives every JSON_NUMBER its text, which the tape has lost: the numbers of a valid document stand
 * in it in the same order as in `values`. Only for documents that hold a fraction or an exponent.
 */
void find_number_texts(json_parser *parser)
{
    const uint8_t *at = parser->text;
    for (uint32_t i = 0; i < parser->count; i++) {
        json_value *value = &parser->values[i];
        if (value->type != JSON_NUMBER && value->type != JSON_INTEGER) {
            continue;
        }
        for (; *at != '-' && (*at < '0' || *at > '9'); at++) {
            if (*at == '"') {
                for (at++; *at != '"'; at++) {
                    at += *at == '\\';
                }
            }
        }
        const uint8_t *start = at;
        while (in_number(*at)) {
            at++;
        }
        if (value->type == JSON_NUMBER) {
            value->text = span_make(start, static_cast<size_t>(at - start));
        }
    }
}

bool is_space(uint8_t byte)
{
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

} // namespace

struct json_parser *json_parser_new(size_t document_bytes_max)
{
    if (document_bytes_max > DOCUMENT_BYTES_MAX) {
        return nullptr;
    }
    json_parser *parser = new (std::nothrow) json_parser;
    if (parser == nullptr) {
        return nullptr;
    }
    /* All memory now, none later: for the tape too, which simdjson would grow with the documents.
     * One level more than we allow, so that ours is the check that counts. */
    size_t capacity = document_bytes_max + simdjson::SIMDJSON_PADDING;
    parser->bytes_max = document_bytes_max;
    parser->text = new (std::nothrow) uint8_t[capacity];
    parser->values = new (std::nothrow) json_value[values_max(document_bytes_max)];
    if (parser->text == nullptr || parser->values == nullptr ||
        parser->simd.allocate(capacity, JSON_DEPTH_MAX + 2) != simdjson::SUCCESS ||
        parser->tape.allocate(capacity) != simdjson::SUCCESS) {
        json_parser_free(parser);
        return nullptr;
    }
    return parser;
}

void json_parser_free(struct json_parser *parser)
{
    if (parser != nullptr) {
        delete[] parser->text;
        delete[] parser->values;
        delete parser;
    }
}

enum status json_parse(struct json_parser *parser, struct span text, struct json_document *document)
{
    *document = json_document{nullptr, 0};
    if (text.size > parser->bytes_max) {
        return STATUS_TOO_LARGE;
    }
    size_t start = 0;
    while (start < text.size && is_space(text.data[start])) {
        start++;
    }
    if (start == text.size || (text.data[start] != '{' && text.data[start] != '[')) {
        return STATUS_MALFORMED;
    }
    memcpy(parser->text, text.data, text.size);
    memset(parser->text + text.size, ' ', simdjson::SIMDJSON_PADDING);
    simdjson::dom::element root;
    simdjson::error_code error =
        parser->simd.parse_into_document(parser->tape, parser->text, text.size, false).get(root);
    if (error != simdjson::SUCCESS) {
        /* Capacity and memory are no reasons: json_parser_new has provided them. */
        return error == simdjson::DEPTH_ERROR ? STATUS_TOO_LARGE : STATUS_MALFORMED;
    }
    parser->count = 0;
    parser->fractions = 0;
    status status = flatten(parser);
    if (status != STATUS_OK) {
        return status;
    }
    if (parser->fractions > 0) {
        find_number_texts(parser);
    }
    document->values = parser->values;
    document->count = parser->count;
    return STATUS_OK;
}

const struct json_value *json_member(const struct json_document *document, uint32_t object,
                                     const char *name)
{
    const json_value *values = document->values;
    if (object >= document->count || values[object].type != JSON_OBJECT) {
        return nullptr;
    }
    span wanted = span_from_string(name);
    for (uint32_t i = object + 1; i < values[object].next; i = values[i].next) {
        if (span_equal(values[i].name, wanted)) {
            return &values[i];
        }
    }
    return nullptr;
}
