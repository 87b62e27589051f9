#include "app/command_options.h"

#include <stdarg.h>

#define COMMAND_SECONDS_MAX ((int64_t)100 * 365 * 86400)

/* "--name", and "-n" for a name of one letter. */
static const char *dashes(const char *name)
{
    return name[1] == '\0' ? "-" : "--";
}

static void print_help(const struct command_line *line)
{
    printf("usage: popgate %s %s\n\n%s\n", line->command, line->synopsis, line->purpose);
    printf("options:\n");
    for (const struct command_option *option = line->options; option->name != NULL; option++) {
        char left[64];
        snprintf(left, sizeof left, "%s%s%s%s", dashes(option->name), option->name,
                 option->value_name != NULL ? " " : "",
                 option->value_name != NULL ? option->value_name : "");
        printf("  %-24s %s\n", left, option->help);
    }
    printf("  %-24s %s\n", "--help", "this text");
    if (line->examples != NULL) {
        printf("\n%s", line->examples);
    }
}

void command_error(const struct command_line *line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "popgate %s: ", line->command);
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    va_end(arguments);
}

static enum command_parse bad(const struct command_line *line)
{
    fprintf(stderr, "usage: popgate %s %s\n       popgate %s --help says more\n", line->command,
            line->synopsis, line->command);
    return COMMAND_PARSE_BAD;
}

static const struct command_option *find(const struct command_line *line, struct span name)
{
    for (const struct command_option *option = line->options; option->name != NULL; option++) {
        if (span_equal_string(name, option->name)) {
            return option;
        }
    }
    return NULL;
}

struct cursor {
    int index, argc;
    char **argv;
    size_t *seen; /* per option */
};

static enum command_parse take_value(const struct command_line *line,
                                     const struct command_option *option, const char *value,
                                     struct cursor *cursor)
{
    size_t *seen = &cursor->seen[option - line->options];
    if (*seen >= option->values_max) {
        command_error(line, "%s%s comes %zu times, %zu at most", dashes(option->name), option->name,
                      *seen + 1, option->values_max);
        return bad(line);
    }
    option->values[(*seen)++] = value;
    if (option->count != NULL) {
        *option->count = *seen;
    }
    return COMMAND_PARSE_GO;
}

static enum command_parse take_option(const struct command_line *line, struct cursor *cursor)
{
    const char *word = cursor->argv[cursor->index];
    bool letter = word[1] != '-';
    const char *text = word + (letter ? 1 : 2);
    struct span all = span_from_string(text);
    size_t equals = letter ? all.size : span_find(all, '=');
    struct span name = span_first(all, equals);
    const struct command_option *option = (name.size == 1) == letter ? find(line, name) : NULL;
    if (option == NULL) {
        command_error(line, "no option %s%.*s", letter ? "-" : "--", SPAN_ARG(name));
        return bad(line);
    }
    bool has_value = equals < all.size;
    if (option->value_name == NULL) {
        if (has_value) {
            command_error(line, "--%s takes no value", option->name);
            return bad(line);
        }
        *option->flag = true;
        return COMMAND_PARSE_GO;
    }
    if (has_value) {
        return take_value(line, option, text + equals + 1, cursor);
    }
    if (cursor->index + 1 >= cursor->argc) {
        command_error(line, "%s%s needs a value: %s", dashes(option->name), option->name,
                      option->value_name);
        return bad(line);
    }
    return take_value(line, option, cursor->argv[++cursor->index], cursor);
}

#define OPTIONS_MAX 32

enum command_parse command_parse(const struct command_line *line, int argc, char **argv)
{
    size_t seen[OPTIONS_MAX] = {0}, positional = 0;
    struct cursor cursor = {1, argc, argv, seen};
    bool only_positional = false;
    for (; cursor.index < argc; cursor.index++) {
        const char *word = argv[cursor.index];
        if (!only_positional && strcmp(word, "--") == 0) {
            only_positional = true;
        } else if (!only_positional && (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)) {
            print_help(line);
            return COMMAND_PARSE_HELP;
        } else if (!only_positional && word[0] == '-') {
            if (take_option(line, &cursor) != COMMAND_PARSE_GO) {
                return COMMAND_PARSE_BAD;
            }
        } else if (positional < line->positional_max) {
            line->positional[positional++] = word;
        } else {
            command_error(line, "'%s' is one argument too many", word);
            return bad(line);
        }
    }
    return COMMAND_PARSE_GO;
}

enum status command_seconds(const char *text, int64_t *seconds)
{
    bool negative = text[0] == '-';
    const char *cursor = text + (negative || text[0] == '+');
    int64_t number = 0, unit = 0;
    const char *digits = cursor;
    for (; *cursor >= '0' && *cursor <= '9'; cursor++) {
        number = number * 10 + (*cursor - '0');
        if (number > COMMAND_SECONDS_MAX) {
            return STATUS_TOO_LARGE;
        }
    }
    if (cursor == digits) {
        return STATUS_MALFORMED;
    }
    switch (*cursor) {
    case 's':
        unit = 1;
        break;
    case 'm':
        unit = 60;
        break;
    case 'h':
        unit = 3600;
        break;
    case 'd':
        unit = 86400;
        break;
    default:
        /* Nothing is nothing in every unit. */
        if (*cursor != '\0' || number != 0) {
            return STATUS_MALFORMED;
        }
        *seconds = 0;
        return STATUS_OK;
    }
    if (cursor[1] != '\0') {
        return STATUS_MALFORMED;
    }
    if (number > COMMAND_SECONDS_MAX / unit) {
        return STATUS_TOO_LARGE;
    }
    *seconds = negative ? -number * unit : number * unit;
    return STATUS_OK;
}
