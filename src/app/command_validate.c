/* popgate validate: everything a run loads, and no listener. */
#include "app/command_options.h"
#include "app/commands.h"
#include "app/config_example.h"
#include "app/generation.h"

#include <stdio.h>
#include <stdlib.h>

struct validate_options {
    const char *config_path;
    bool allow_demo, example;
};

/* -1: go on; else the exit code. */
static int parse(int argc, char **argv, struct validate_options *options)
{
    const struct command_option table[] = {
        {"c", "FILE", "the configuration", &options->config_path, 1, NULL, NULL},
        {"allow-demo", NULL, COMMAND_ALLOW_DEMO_HELP, NULL, 0, NULL, &options->allow_demo},
        {"example", NULL, "print a configuration with every key, its default and what it means",
         NULL, 0, NULL, &options->example},
        {0},
    };
    const struct command_line line = {
        .command = "validate",
        .synopsis = "-c FILE [--allow-demo] | --example",
        .purpose = "Loads what popgate run would load: the configuration, keys, certificates and "
                   "JWKS files. Opens\nno listener. Errors go to standard error as "
                   "file:line:column: message.\n",
        .options = table,
        .examples = "Exit 0: a run would start. 1: it would not. 2: bad usage.\n",
    };
    enum command_parse parsed = command_parse(&line, argc, argv);
    if (parsed != COMMAND_PARSE_GO) {
        return parsed == COMMAND_PARSE_HELP ? 0 : 2;
    }
    if (options->config_path == NULL && !options->example) {
        command_error(&line, "-c FILE is missing");
        return 2;
    }
    return -1;
}

static bool load(const struct validate_options *options, struct config_errors *errors)
{
    struct tls_ticket_keys *ticket_keys = tls_ticket_keys_new();
    if (ticket_keys == NULL) {
        fprintf(stderr, "popgate: out of memory\n");
        return false;
    }
    struct generation *generation = NULL;
    enum status status = generation_load(options->config_path, 1, ticket_keys, &generation, errors);
    if (status == STATUS_OK) {
        status = generation_check_start(generation, options->allow_demo, errors);
    }
    generation_free(generation);
    tls_ticket_keys_free(ticket_keys);
    return status == STATUS_OK;
}

int command_validate(int argc, char **argv)
{
    struct validate_options options = {0};
    int code = parse(argc, argv, &options);
    if (code >= 0) {
        return code;
    }
    if (options.example) {
        config_write_example(stdout);
        return fflush(stdout) == 0 ? 0 : 1;
    }
    struct config_errors *errors = calloc(1, sizeof *errors);
    if (errors == NULL) {
        fprintf(stderr, "popgate: out of memory\n");
        return 1;
    }
    bool good = load(&options, errors);
    for (size_t i = 0; i < errors->count; i++) {
        fprintf(stderr, "%s\n", errors->list[i].text);
    }
    free(errors);
    if (good) {
        printf("%s: good\n", options.config_path);
    }
    return good ? 0 : 1;
}
