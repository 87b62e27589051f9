/* A folder in which `popgate demo-authority` has worked, or is about to. */
#ifndef POPGATE_TESTS_DEMO_FOLDER_H
#define POPGATE_TESTS_DEMO_FOLDER_H

#include "app/commands.h"
#include "app/demo_keys.h"
#include "unit/app/command_runner.h"
#include "unit/tls/certificates.h"

static char *folder;
static char demo[600];
static struct command_result result;

static inline void set_up(void)
{
    folder = test_folder_make();
    snprintf(demo, sizeof demo, "%s/demo", folder);
}

static inline void tear_down(void)
{
    test_folder_remove(strdup(demo));
    test_folder_remove(folder);
}

static inline const char *in_demo(const char *name)
{
    static char paths[4][700];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", demo, name);
    return path;
}

static inline void make_demo(void)
{
    RUN(command_demo_authority, &result, "demo-authority", demo, "--dns", "orders.example.com");
    cr_assert(result.exit_code == 0, "%s", result.error);
}

static inline char *read_all(const char *name)
{
    char *text = NULL, error[512];
    cr_assert(demo_read_file(in_demo(name), &text, error, sizeof error) == STATUS_OK, "%s", error);
    return text;
}

#endif
