/* The command line: finds the subcommand and steps aside. */
#include "app/commands.h"
#include "app/version.h"

#include <stdio.h>
#include <string.h>

struct command {
    const char *name;
    int (*main)(int argc, char **argv);
    const char *does;
};

static const struct command commands[] = {
    {"run", command_run, "the sidecar: -c popgate.yaml"},
    {"validate", command_validate,
     "checks a configuration and everything it names: -c popgate.yaml"},
    {"demo-authority", command_demo_authority, "makes a throw-away CA, certificates and keys: DIR"},
    {"token", command_token, "mints an access token from the demo authority's keys"},
    {"proof", command_proof, "mints a DPoP proof"},
    {"bench", command_bench, "loads a server and measures: http"},
};

static void print_usage(FILE *out)
{
    fprintf(out, "usage: popgate COMMAND [OPTIONS]\n\n");
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        fprintf(out, "  %-16s%s\n", commands[i].name, commands[i].does);
    }
    fprintf(
        out,
        "\n  popgate COMMAND --help says more; popgate --version names what it is built from.\n");
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        print_usage(stderr);
        return 2;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_usage(stdout);
        return 0;
    }
    if (strcmp(argv[1], "--version") == 0) {
        version_print(stdout);
        return 0;
    }
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(argv[1], commands[i].name) == 0) {
            return commands[i].main(argc - 1, argv + 1);
        }
    }
    fprintf(stderr, "popgate: no command '%s'\n", argv[1]);
    print_usage(stderr);
    return 2;
}
