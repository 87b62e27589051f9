#include "control/file_watch.h"

#include <criterion/criterion.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/popgate-watch-XXXXXX";

static void enter(void)
{
    cr_assert_not_null(mkdtemp(folder));
    cr_assert_eq(chdir(folder), 0);
}

static int remove_one(const char *path, const struct stat *about, int kind, struct FTW *walk)
{
    (void)about;
    (void)kind;
    (void)walk;
    return remove(path);
}

static void leave(void)
{
    cr_assert_eq(chdir("/"), 0);
    cr_assert_eq(nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

TestSuite(file_watch, .init = enter, .fini = leave);

static void put(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    fputs(text, file);
    fclose(file);
    usleep(8000); /* beyond the grain of the file system's clock */
}

static struct file_watch *watch_two(void)
{
    const char *paths[] = {"a", "b"};
    put("a", "1");
    put("b", "1");
    struct file_watch *watch = file_watch_new(paths, 2);
    cr_assert_not_null(watch);
    cr_assert_eq(file_watch_look(watch), FILE_WATCH_SAME);
    cr_assert_eq(file_watch_look(watch), FILE_WATCH_SAME);
    return watch;
}

static void changes_once(struct file_watch *watch)
{
    cr_expect_eq(file_watch_look(watch), FILE_WATCH_CHANGING);
    cr_expect_eq(file_watch_look(watch), FILE_WATCH_CHANGED);
    cr_expect_eq(file_watch_look(watch), FILE_WATCH_SAME);
    cr_expect_eq(file_watch_look(watch), FILE_WATCH_SAME);
}

Test(file_watch, a_file_written_in_place_also_with_the_same_size)
{
    struct file_watch *watch = watch_two();
    put("b", "2");
    changes_once(watch);
    put("a", "longer");
    changes_once(watch);
    file_watch_free(watch);
}

Test(file_watch, a_file_renamed_over)
{
    struct file_watch *watch = watch_two();
    put("new", "1");
    cr_assert_eq(rename("new", "a"), 0);
    changes_once(watch);
    file_watch_free(watch);
}

Test(file_watch, a_link_to_the_folder_is_swapped)
{
    cr_assert_eq(mkdir("v1", 0700), 0);
    cr_assert_eq(mkdir("v2", 0700), 0);
    put("v1/key", "1");
    put("v2/key", "1");
    cr_assert_eq(symlink("v1", "..data"), 0);
    cr_assert_eq(symlink("..data/key", "key"), 0);
    const char *path = "key";
    struct file_watch *watch = file_watch_new(&path, 1);
    cr_assert_eq(file_watch_look(watch), FILE_WATCH_SAME);
    cr_assert_eq(symlink("v2", "..data_tmp"), 0);
    cr_assert_eq(rename("..data_tmp", "..data"), 0);
    changes_once(watch);
    file_watch_free(watch);
}

Test(file_watch, one_that_is_still_being_written_is_not_changed_yet)
{
    struct file_watch *watch = watch_two();
    for (int i = 0; i < 5; i++) {
        put(i % 2 == 0 ? "a" : "b", "some more");
        cr_expect_eq(file_watch_look(watch), FILE_WATCH_CHANGING);
    }
    cr_expect_eq(file_watch_look(watch), FILE_WATCH_CHANGED);
    cr_expect_eq(file_watch_look(watch), FILE_WATCH_SAME);
    file_watch_free(watch);
}

Test(file_watch, one_that_goes_and_comes)
{
    struct file_watch *watch = watch_two();
    cr_assert_eq(unlink("a"), 0);
    changes_once(watch);
    put("a", "1");
    changes_once(watch);
    file_watch_free(watch);
}

Test(file_watch, one_that_was_never_there)
{
    const char *path = "none";
    struct file_watch *watch = file_watch_new(&path, 1);
    cr_assert_eq(file_watch_look(watch), FILE_WATCH_SAME);
    put("none", "");
    changes_once(watch);
    file_watch_free(watch);
}

Test(file_watch, none_at_all)
{
    struct file_watch *watch = file_watch_new(NULL, 0);
    cr_assert_not_null(watch);
    cr_assert_eq(file_watch_look(watch), FILE_WATCH_SAME);
    file_watch_free(watch);
    file_watch_free(NULL);
}
