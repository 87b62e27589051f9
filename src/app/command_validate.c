/* popgate validate: everything a run loads, and no listener. */
#include "app/commands.h"

#include "app/config_example.h"
#include "app/generation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct validate_options {
    const char *config_path;
    bool allow_demo, example;
};

static void print_usage(FILE *out)
{
    fprintf(
        out,
        "usage: popgate validate -c FILE [--allow-demo]\n"
        "       popgate validate --example\n\n"
        "Loads what popgate run would load: the configuration, keys, certificates and JWKS files. "
        "Opens\n"
        "no listener. Errors go to standard error as file:line:column: message.\n\n"
        "  -c FILE        the configuration\n"
        "  --allow-demo   accept the demo authority's CA on addresses other than loopback\n"
        "  --example      print a configuration with every key, its default and what it means\n\n"
        "Exit 0: a run would start. 1: it would not. 2: bad usage.\n");
}

/* -1: go on; else the exit code. */
static int parse(int argc, char **argv, struct validate_options *options)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            print_usage(stdout);
            return 0;
        }
        if (strcmp(argv[i], "--allow-demo") == 0) {
            options->allow_demo = true;
        } else if (strcmp(argv[i], "--example") == 0) {
            options->example = true;
        } else if (strcmp(argv[i], "-c") == 0 && i + 1 < argc) {
            options->config_path = argv[++i];
        } else {
            fprintf(stderr, "popgate validate: what is '%s'?\n", argv[i]);
            print_usage(stderr);
            return 2;
        }
    }
    if (options->config_path == NULL && !options->example) {
        fprintf(stderr, "popgate validate: -c FILE is missing\n");
        print_usage(stderr);
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
