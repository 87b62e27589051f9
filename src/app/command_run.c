#include "app/commands.h"

#include <stdio.h>

int command_run(int argc, char **argv)
{
    (void)argc;
    fprintf(stderr, "popgate: %s: not there yet\n", argv[0]);
    return 1;
}
