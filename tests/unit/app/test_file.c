#include "app/file.h"

#include "unit/tls/certificates.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *folder;

static void set_up(void)
{
    folder = test_folder_make();
}

static void tear_down(void)
{
    test_folder_remove(folder);
}

TestSuite(file, .init = set_up, .fini = tear_down);

static void expect_refused(const char *path, size_t size_max, enum status status, const char *words)
{
    char *text = NULL, error[256] = "";
    size_t size = 7;
    cr_expect_eq(file_read(path, size_max, &text, &size, error, sizeof error), status, "%s", path);
    cr_expect_null(text);
    cr_expect_eq(size, 7);
    cr_expect(strstr(error, path) != NULL && strstr(error, words) != NULL, "%s", error);
}

static void expect_read(const char *path, size_t size_max, const char *expected)
{
    char *text = NULL, error[256];
    size_t size = SIZE_MAX;
    cr_assert_eq(file_read(path, size_max, &text, &size, error, sizeof error), STATUS_OK);
    cr_assert_eq(size, strlen(expected));
    cr_expect_eq(memcmp(text, expected, size), 0);
    free(text);
}

Test(file, is_read_whole_through_a_link_too)
{
    char *path = test_write_text(folder, "a", "one\ntwo"), link[300];
    (void)snprintf(link, sizeof link, "%s/link", folder);
    cr_assert_eq(symlink(path, link), 0);
    expect_read(path, 100, "one\ntwo");
    expect_read(link, 100, "one\ntwo");
    free(path);
}

Test(file, the_limit_is_the_last_size_that_is_read)
{
    char *path = test_write_text(folder, "a", "12345");
    expect_read(path, 5, "12345");
    expect_refused(path, 4, STATUS_TOO_LARGE, "is larger than 4 bytes");
    free(path);
}

Test(file, an_empty_one_is_no_error)
{
    char *path = test_write_text(folder, "a", "");
    expect_read(path, 5, "");
    free(path);
}

/* A pipe without a writer would hold the start up for ever. */
Test(file, what_is_no_regular_file_is_refused_without_waiting)
{
    char pipe_path[300];
    (void)snprintf(pipe_path, sizeof pipe_path, "%s/pipe", folder);
    cr_assert_eq(mkfifo(pipe_path, 0600), 0);
    expect_refused(pipe_path, 100, STATUS_UNSUPPORTED, "not a regular file");
    expect_refused(folder, 100, STATUS_UNSUPPORTED, "not a regular file");
    expect_refused("/dev/zero", 100, STATUS_UNSUPPORTED, "not a regular file");
    expect_refused("/nonexistent/file", 100, STATUS_SYSTEM, "No such file");
}
