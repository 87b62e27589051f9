#include "app/commands.h"
#include "app/gate_process.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_usage(FILE *out)
{
    fprintf(out,
            "usage: popgate run -c FILE [--allow-demo]\n\n"
            "  -c FILE        the configuration\n"
            "  --allow-demo   accept the demo authority's CA on addresses other than loopback\n\n"
            "SIGTERM drains and exits, SIGHUP reloads the configuration and the files it names;\n"
            "those files are also reloaded when they change on disk.\n");
}

/* -1: go on; else the exit code. */
static int parse(int argc, char **argv, struct gate_options *options)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            print_usage(stdout);
            return 0;
        }
        if (strcmp(argv[i], "--allow-demo") == 0) {
            options->allow_demo = true;
        } else if (strcmp(argv[i], "-c") == 0 && i + 1 < argc) {
            options->config_path = argv[++i];
        } else {
            fprintf(stderr, "popgate run: what is '%s'?\n", argv[i]);
            print_usage(stderr);
            return 2;
        }
    }
    if (options->config_path == NULL) {
        fprintf(stderr, "popgate run: -c FILE is missing\n");
        print_usage(stderr);
        return 2;
    }
    return -1;
}

int command_run(int argc, char **argv)
{
    struct gate_options options = {0};
    int code = parse(argc, argv, &options);
    if (code >= 0) {
        return code;
    }
    struct gate_process *gate = calloc(1, sizeof *gate);
    if (gate == NULL) {
        fprintf(stderr, "popgate: out of memory\n");
        return 1;
    }
    gate_process_block_signals();
    code = 1;
    if (gate_process_start(gate, &options) == STATUS_OK) {
        code = gate_process_serve(gate);
    }
    gate_process_free(gate);
    free(gate);
    return code;
}
