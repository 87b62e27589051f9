/* Memory that fails while a configuration is read: this program's own allocator fails when told to.
 * The sanitizers bring theirs: nothing is tested under them. */
#include "app/config.h"

#include "support/own_malloc.h"

#include <criterion/criterion.h>
#include <stdio.h>

#if OWN_MALLOC
static unsigned long allocations,
    failing; /* `failing`: the number of the one that fails; 0: none */

static bool may_go_on(void)
{
    return __atomic_add_fetch(&allocations, 1, __ATOMIC_RELAXED) != failing;
}

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *memory, size_t size);

void *malloc(size_t size)
{
    return may_go_on() ? __libc_malloc(size) : NULL;
}

void *calloc(size_t count, size_t size)
{
    return may_go_on() ? __libc_calloc(count, size) : NULL;
}

void *realloc(void *memory, size_t size)
{
    return may_go_on() ? __libc_realloc(memory, size) : NULL;
}

static char text[8192];
static struct config_errors errors;

/* Large enough for several blocks of the arena, with every kind of value in it. */
static void set_up(void)
{
    size_t at = (size_t)snprintf(
        text, sizeof text,
        "issuers: [{issuer: a, audience: [b, c], jwks_file: d}]\n"
        "public_origins: ['https://a.example', 'https://b.example']\n"
        "dpop: {max_age: 30s}\naccept: [dpop, mtls]\nlisten: ['[::1]:1', 127.0.0.1:2]\npolicy:\n");
    for (int i = 0; i < 60; i++) {
        at += (size_t)snprintf(
            text + at, sizeof text - at,
            "  - {path: /p%d/, methods: [GET, PUT], scope: [s%d], spiffe: [spiffe://td/%d]}\n", i,
            i, i);
    }
    cr_assert_lt(at, sizeof text);
}

TestSuite(config_allocations, .init = set_up);

Test(config_allocations, a_configuration_is_whole_or_not_made)
{
    struct config *config = NULL;
    unsigned long before = allocations;
    cr_assert_eq(config_parse(span_from_string(text), "f", &config, &errors), STATUS_OK, "%s",
                 errors.list[0].text);
    unsigned long needed = allocations - before;
    config_free(config);
    cr_assert_gt(needed, 100, "libyaml's and ours");
    for (unsigned long number = 1; number <= needed; number++) {
        failing = allocations + number;
        enum status status = config_parse(span_from_string(text), "f", &config, &errors);
        failing = 0;
        cr_assert_eq(status, STATUS_NO_MEMORY, "allocation %lu: %s", number, status_name(status));
        cr_assert_null(config);
        cr_assert_eq(errors.count, 1, "allocation %lu", number);
        cr_assert_str_eq(errors.list[0].text, "f:1:1: cannot be read: no memory");
    }
}

Test(config_allocations, nor_from_a_file)
{
    struct config *config = NULL;
    failing = allocations + 1;
    enum status status = config_load(POPGATE_TEST_DATA "/design.yaml", &config, &errors);
    failing = 0;
    cr_assert_eq(status, STATUS_SYSTEM);
    cr_assert_null(config);
    cr_assert_not_null(strstr(errors.list[0].text, "design.yaml:1:1: cannot be read: "));
}
#endif
