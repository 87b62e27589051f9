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

Test(file, is_read_whole_through_a_link_too)
{
    char *path = test_write_text(folder, "a", "one\ntwo"), link[300];
    (void)snprintf(link, sizeof link, "%s/link", folder);
    cr_assert_eq(symlink(path, link), 0);
    const char *const both[] = {path, link};
    for (size_t i = 0; i < 2; i++) {
        char *text = NULL, error[256];
        size_t size = 0;
        cr_assert_eq(file_read(both[i], 100, &text, &size, error, sizeof error), STATUS_OK);
        cr_expect_eq(size, 7);
        cr_expect_eq(memcmp(text, "one\ntwo", 7), 0);
        free(text);
    }
    free(path);
}

Test(file, the_limit_is_the_last_size_that_is_read)
{
    char *path = test_write_text(folder, "a", "12345"), *text = NULL, error[256];
    size_t size = 0;
    cr_assert_eq(file_read(path, 5, &text, &size, error, sizeof error), STATUS_OK);
    cr_expect_eq(size, 5);
    free(text);
    expect_refused(path, 4, STATUS_TOO_LARGE, "is larger than 4 bytes");
    free(path);
}

Test(file, an_empty_one_is_no_error)
{
    char *path = test_write_text(folder, "a", ""), *text = NULL, error[256];
    size_t size = 1;
    cr_assert_eq(file_read(path, 5, &text, &size, error, sizeof error), STATUS_OK);
    cr_expect_eq(size, 0);
    free(text);
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
