#include "admin/metrics_text.h"

#include <string.h>

void metrics_text_init(struct metrics_text *text, enum metrics_format format, char *data,
                       size_t capacity)
{
    *text = (struct metrics_text){.format = format, .data = data, .capacity = capacity};
}

static void put(struct metrics_text *text, const char *bytes, size_t size)
{
    if (text->overflow || size > text->capacity - text->size) {
        text->overflow = true;
        return;
    }
    memcpy(text->data + text->size, bytes, size);
    text->size += size;
}

static void put_string(struct metrics_text *text, const char *string)
{
    put(text, string, strlen(string));
}

static void put_number(struct metrics_text *text, uint64_t number)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    put(text, digits + at, sizeof digits - at);
}

/* number / per_unit, exactly: per_unit is a power of ten. */
static void put_scaled(struct metrics_text *text, uint64_t number, uint64_t per_unit)
{
    put_number(text, number / per_unit);
    uint64_t rest = number % per_unit;
    if (rest == 0) {
        return;
    }
    put(text, ".", 1);
    while (rest > 0) {
        per_unit /= 10;
        char digit = (char)('0' + rest / per_unit);
        put(text, &digit, 1);
        rest %= per_unit;
    }
}

/* Text 0.0.4 and OpenMetrics: '\' , line feed and, in label values, '"' are escaped. OpenMetrics
 * wants '"' escaped in help too; there 0.0.4 would show the backslash. */
static void put_escaped(struct metrics_text *text, const char *string, bool quotes)
{
    for (; *string != '\0'; string++) {
        if (*string == '\n') {
            put(text, "\\n", 2);
        } else if (*string == '\\') {
            put(text, "\\\\", 2);
        } else if (*string == '"' && quotes) {
            put(text, "\\\"", 2);
        } else {
            put(text, string, 1);
        }
    }
}

static const char *type_name(enum metrics_type type)
{
    return type == METRICS_COUNTER ? "counter" : type == METRICS_GAUGE ? "gauge" : "histogram";
}

/* "# TYPE name_total ": 0.0.4 names the sample, OpenMetrics the family. */
static void put_meta(struct metrics_text *text, const char *keyword)
{
    put_string(text, keyword);
    put_string(text, text->name);
    bool named_as_sample = text->format == METRICS_PROMETHEUS && text->type == METRICS_COUNTER;
    put_string(text, named_as_sample ? "_total " : " ");
}

static bool ends_with(const char *string, const char *end)
{
    size_t size = strlen(string), end_size = strlen(end);
    return size >= end_size && strcmp(string + size - end_size, end) == 0;
}

void metrics_family(struct metrics_text *text, enum metrics_type type, const char *name,
                    const char *help)
{
    text->name = name;
    text->type = type;
    put_meta(text, "# HELP ");
    put_escaped(text, help, text->format == METRICS_OPENMETRICS);
    put(text, "\n", 1);
    put_meta(text, "# TYPE ");
    put_string(text, type_name(type));
    put(text, "\n", 1);
    if (text->format == METRICS_OPENMETRICS && ends_with(name, "_seconds")) {
        put_meta(text, "# UNIT ");
        put_string(text, "seconds\n");
    }
}

/* name, suffix and labels; the braces stay open if `open`. */
static void put_series(struct metrics_text *text, const char *suffix,
                       const struct metrics_label *labels, size_t labels_count, bool open)
{
    put_string(text, text->name);
    put_string(text, suffix);
    for (size_t i = 0; i < labels_count; i++) {
        put_string(text, i == 0 ? "{" : ",");
        put_string(text, labels[i].name);
        put_string(text, "=\"");
        put_escaped(text, labels[i].value != NULL ? labels[i].value : "", true);
        put(text, "\"", 1);
    }
    if (open) {
        put_string(text, labels_count == 0 ? "{" : ",");
    } else {
        put_string(text, labels_count == 0 ? " " : "} ");
    }
}

void metrics_sample(struct metrics_text *text, const struct metrics_label *labels,
                    size_t labels_count, uint64_t value)
{
    put_series(text, text->type == METRICS_COUNTER ? "_total" : "", labels, labels_count, false);
    put_number(text, value);
    put(text, "\n", 1);
}

void metrics_sample_signed(struct metrics_text *text, const struct metrics_label *labels,
                           size_t labels_count, int64_t value)
{
    put_series(text, "", labels, labels_count, false);
    if (value < 0) {
        put(text, "-", 1);
    }
    put_number(text, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
    put(text, "\n", 1);
}

/* OpenMetrics writes a bound as a float always: "1.0"; Prometheus' own clients write "1" in the
 * older format, and a series must not change its name with the format asked for within one of them.
 */
static void put_bound(struct metrics_text *text, uint64_t bound, uint64_t per_unit)
{
    put_string(text, "le=\"");
    put_scaled(text, bound, per_unit);
    bool whole = bound % per_unit == 0;
    put_string(text, whole && text->format == METRICS_OPENMETRICS ? ".0\"} " : "\"} ");
}

void metrics_histogram(struct metrics_text *text, const struct metrics_label *labels,
                       size_t labels_count, const uint64_t *bounds, size_t bounds_count,
                       const uint64_t *buckets, uint64_t sum, uint64_t per_unit)
{
    uint64_t count = 0;
    for (size_t i = 0; i < bounds_count; i++) {
        count += buckets[i];
        put_series(text, "_bucket", labels, labels_count, true);
        put_bound(text, bounds[i], per_unit);
        put_number(text, count);
        put(text, "\n", 1);
    }
    count += buckets[bounds_count];
    put_series(text, "_bucket", labels, labels_count, true);
    put_string(text, "le=\"+Inf\"} ");
    put_number(text, count);
    put(text, "\n", 1);
    put_series(text, "_sum", labels, labels_count, false);
    put_scaled(text, sum, per_unit);
    put(text, "\n", 1);
    put_series(text, "_count", labels, labels_count, false);
    put_number(text, count);
    put(text, "\n", 1);
}

void metrics_text_finish(struct metrics_text *text)
{
    if (text->format == METRICS_OPENMETRICS) {
        put_string(text, "# EOF\n");
    }
}

/* ---- Accept ---- */

static struct span trim(struct span text)
{
    while (text.size > 0 && (text.data[0] == ' ' || text.data[0] == '\t')) {
        text = span_after(text, 1);
    }
    while (text.size > 0 && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t')) {
        text.size--;
    }
    return text;
}

/* qvalue = ( "0" [ "." 0*3DIGIT ] ) / ( "1" [ "." 0*3("0") ] ), in thousandths; what is none counts
 * as 0. */
static unsigned read_weight(struct span text)
{
    if (text.size == 0 || text.size > 5 || (text.data[0] != '0' && text.data[0] != '1') ||
        (text.size > 1 && text.data[1] != '.')) {
        return 0;
    }
    unsigned weight = 1000u * (unsigned)(text.data[0] - '0'), place = 100;
    for (size_t i = 2; i < text.size; i++, place /= 10) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return 0;
        }
        weight += place * (unsigned)(text.data[i] - '0');
    }
    return weight <= 1000 ? weight : 0;
}

static void add_range(struct metrics_accept *accept, struct span range)
{
    size_t end = span_find(range, ';');
    struct span type = trim(span_first(range, end));
    unsigned weight = 1000;
    while (end < range.size) {
        range = span_after(range, end + 1);
        end = span_find(range, ';');
        struct span parameter = trim(span_first(range, end));
        if (parameter.size > 2 && (parameter.data[0] | 0x20) == 'q' && parameter.data[1] == '=') {
            weight = read_weight(span_after(parameter, 2));
        }
    }
    if (span_equal_ignore_case(type, SPAN_LITERAL("application/openmetrics-text"))) {
        accept->openmetrics = weight > accept->openmetrics ? weight : accept->openmetrics;
    } else if (span_equal_ignore_case(type, SPAN_LITERAL("text/plain")) ||
               span_equal_ignore_case(type, SPAN_LITERAL("text/*")) ||
               span_equal_string(type, "*/*")) {
        accept->text = weight > accept->text ? weight : accept->text;
    }
}

void metrics_accept_add(struct metrics_accept *accept, struct span value)
{
    for (;;) {
        size_t end = span_find(value, ',');
        add_range(accept, span_first(value, end));
        if (end == value.size) {
            return;
        }
        value = span_after(value, end + 1);
    }
}

enum metrics_format metrics_accept_choose(const struct metrics_accept *accept)
{
    return accept->openmetrics > 0 && accept->openmetrics >= accept->text ? METRICS_OPENMETRICS
                                                                          : METRICS_PROMETHEUS;
}

const char *metrics_content_type(enum metrics_format format)
{
    return format == METRICS_OPENMETRICS
               ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
               : "text/plain; version=0.0.4; charset=utf-8";
}
