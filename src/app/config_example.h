/* The example file: every key with its default and its explanation, from the table. */
#ifndef POPGATE_APP_CONFIG_EXAMPLE_H
#define POPGATE_APP_CONFIG_EXAMPLE_H

#include <stdio.h>

/* Writes a file that loads with exactly the defaults, one issuer apart. */
void config_write_example(FILE *out);

#endif
