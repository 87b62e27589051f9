#include "app/config_example.h"

#include "app/config_schema.h"

static const char beginning[] =
    "# popgate.yaml: every key, with its default. What is left out has the default.\n"
    "#\n"
    "# Sizes are B, KiB, MiB, GiB; times ms, s, m, h; a bare number where a unit belongs is an\n"
    "# error. So are unknown keys, duplicates, anchors, aliases and tags. Check a file with\n"
    "#   popgate validate -c popgate.yaml\n"
    "#\n"
    "# Made by popgate validate --example; do not edit.\n";

struct example {
    FILE *out;
    const char *margin; /* before every line: "# " where all of it is commented out */
};

/* What may stand there, as far as the table knows it: "1s to 1h". */
static void write_range(const struct example *example, const struct config_key *key,
                        const char *indent)
{
    enum config_unit unit = key->type == CONFIG_INTEGER ? CONFIG_UNIT_NONE
                            : key->type == CONFIG_SIZE  ? CONFIG_UNIT_BYTES
                                                        : CONFIG_UNIT_MILLISECONDS;
    if (key->type == CONFIG_INTEGER || key->type == CONFIG_SIZE || key->type == CONFIG_TIME_MS ||
        key->type == CONFIG_TIME_S) {
        fprintf(example->out, "%s%s# %s to %s.\n", example->margin, indent,
                config_write_number(key->minimum, unit).text,
                config_write_number(key->maximum, unit).text);
    }
}

static void write_help(const struct example *example, const struct config_key *key,
                       const char *indent)
{
    struct span left = span_from_string(key->help);
    while (left.size > 0) {
        size_t end = span_find(left, '\n');
        fprintf(example->out, "%s%s# %.*s\n", example->margin, indent,
                SPAN_ARG(span_first(left, end)));
        left = span_after(left, end < left.size ? end + 1 : end);
    }
    write_range(example, key, indent);
    if (key->later) {
        fprintf(example->out, "%s%s# Not supported by this version yet.\n", example->margin,
                indent);
    }
}

/* The keys of the first item of a list, its dash at the first of them. */
static void write_record(const struct example *example, const struct config_key *list)
{
    size_t size = strlen(list->path);
    bool first = true;
    for (size_t i = 0; i < config_keys_count; i++) {
        const struct config_key *key = &config_keys[i];
        if (strncmp(key->path, list->path, size) != 0 || strncmp(key->path + size, "[].", 3) != 0) {
            continue;
        }
        if (key->example == NULL) {
            write_help(example, key, "    ");
            fprintf(example->out, "%s    # %s: %s\n", example->margin, key->path + size + 3,
                    key->want);
            continue;
        }
        write_help(example, key, first ? "  " : "    ");
        fprintf(example->out, "%s%s%s: %s\n", example->margin, first ? "  - " : "    ",
                key->path + size + 3, key->example);
        first = false;
    }
}

static void write_key(const struct example *example, const struct config_key *key)
{
    const char *dot = strchr(key->path, '.');
    const char *indent = dot != NULL ? "  " : "";
    const char *name = dot != NULL ? dot + 1 : key->path;
    if (dot == NULL) {
        fputs("\n", example->out);
    }
    write_help(example, key, indent);
    if (key->type == CONFIG_SECTION) {
        fprintf(example->out, "%s:\n", name);
    } else if (key->type == CONFIG_RECORDS && key->value[0] == '\0') {
        fprintf(example->out, "%s:\n", name);
        write_record(example, key);
    } else if (key->type == CONFIG_RECORDS) {
        fprintf(example->out, "%s: %s\n# %s:\n", name, key->value, name);
        write_record(&(struct example){example->out, "# "}, key);
    } else {
        fprintf(example->out, "%s%s: %s\n", indent, name,
                key->value[0] != '\0' ? key->value : "\"\"");
    }
}

void config_write_example(FILE *out)
{
    struct example example = {.out = out, .margin = ""};
    fputs(beginning, out);
    for (size_t i = 0; i < config_keys_count; i++) {
        if (strchr(config_keys[i].path, '[') == NULL) {
            write_key(&example, &config_keys[i]);
        }
    }
}
