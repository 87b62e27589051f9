/* What a store told its owner, in order: "lost(3) local(1) ". */
#ifndef POPGATE_TESTS_UNIT_STORE_TOLD_H
#define POPGATE_TESTS_UNIT_STORE_TOLD_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static char told[512];

static void memory_lost(void *context, uint64_t age_s)
{
    (void)context;
    size_t size = strlen(told);
    (void)snprintf(told + size, sizeof told - size, "lost(%llu) ", (unsigned long long)age_s);
}

static void local(void *context, bool begins)
{
    (void)context;
    size_t size = strlen(told);
    (void)snprintf(told + size, sizeof told - size, "local(%d) ", begins);
}

#endif
