#include "app/command_options.h"
#include "app/commands.h"
#include "app/gate_process.h"

#include <stdio.h>
#include <stdlib.h>

/* -1: go on; else the exit code. */
static int parse(int argc, char **argv, struct gate_options *options)
{
    const struct command_option table[] = {
        {"c", "FILE", "the configuration", &options->config_path, 1, NULL, NULL},
        {"allow-demo", NULL, COMMAND_ALLOW_DEMO_HELP, NULL, 0, NULL, &options->allow_demo},
        {0},
    };
    const struct command_line line = {
        .command = "run",
        .synopsis = "-c FILE [--allow-demo]",
        .purpose = "The gate, until SIGTERM, which drains it. SIGHUP reloads the configuration and "
                   "the files it names;\nthose files are also reloaded when they change on disk.\n",
        .options = table,
    };
    enum command_parse parsed = command_parse(&line, argc, argv);
    if (parsed != COMMAND_PARSE_GO) {
        return parsed == COMMAND_PARSE_HELP ? 0 : 2;
    }
    if (options->config_path == NULL) {
        command_error(&line, "-c FILE is missing");
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
