/* As much of Criterion as tests/unit/crypto uses, for a machine that is emulated: Criterion starts
 * its tests by ptrace, which qemu-user has not. Each test runs in a process of its own here too
 * (tests/emulated/runner.c), so one that aborts is one that failed. */
#ifndef POPGATE_TESTS_EMULATED_CRITERION_H
#define POPGATE_TESTS_EMULATED_CRITERION_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct runner_test {
    const char *suite, *name;
    void (*body)(void);
    void (*init)(void);
    void (*fini)(void);
    unsigned timeout; /* seconds; Criterion's name, and not kept: an emulator has its own pace */
    struct runner_test *next;
};

void runner_add(struct runner_test *test);
/* Says where and what; with `stop` it ends the test. */
void runner_failed(bool stop, const char *file, int line, const char *what, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
_Noreturn void runner_skip(const char *why);

#define Test(suite_, name_, ...)                                                                   \
    static void suite_##_##name_##_body(void);                                                     \
    __attribute__((constructor)) static void suite_##_##name_##_add(void)                          \
    {                                                                                              \
        static struct runner_test test = {                                                         \
            .suite = #suite_, .name = #name_, .body = suite_##_##name_##_body, __VA_ARGS__};       \
        runner_add(&test);                                                                         \
    }                                                                                              \
    static void suite_##_##name_##_body(void)

#define RUNNER_CHECK(stop, good, what, ...)                                                        \
    ((good) ? (void)0 : runner_failed(stop, __FILE__, __LINE__, what, " " __VA_ARGS__))

#define cr_assert(a, ...)           RUNNER_CHECK(true, a, #a, __VA_ARGS__)
#define cr_assert_not(a, ...)       RUNNER_CHECK(true, !(a), "not " #a, __VA_ARGS__)
#define cr_assert_eq(a, b, ...)     RUNNER_CHECK(true, (a) == (b), #a " == " #b, __VA_ARGS__)
#define cr_assert_neq(a, b, ...)    RUNNER_CHECK(true, (a) != (b), #a " != " #b, __VA_ARGS__)
#define cr_assert_lt(a, b, ...)     RUNNER_CHECK(true, (a) < (b), #a " < " #b, __VA_ARGS__)
#define cr_assert_leq(a, b, ...)    RUNNER_CHECK(true, (a) <= (b), #a " <= " #b, __VA_ARGS__)
#define cr_assert_gt(a, b, ...)     RUNNER_CHECK(true, (a) > (b), #a " > " #b, __VA_ARGS__)
#define cr_assert_geq(a, b, ...)    RUNNER_CHECK(true, (a) >= (b), #a " >= " #b, __VA_ARGS__)
#define cr_assert_null(a, ...)      RUNNER_CHECK(true, (a) == NULL, #a " is NULL", __VA_ARGS__)
#define cr_assert_not_null(a, ...)  RUNNER_CHECK(true, (a) != NULL, #a " is not NULL", __VA_ARGS__)
#define cr_assert_str_eq(a, b, ...) RUNNER_CHECK(true, strcmp(a, b) == 0, #a " eq " #b, __VA_ARGS__)
#define cr_assert_str_neq(a, b, ...)                                                               \
    RUNNER_CHECK(true, strcmp(a, b) != 0, #a " ne " #b, __VA_ARGS__)
#define cr_assert_arr_eq(a, b, n, ...)                                                             \
    RUNNER_CHECK(true, memcmp(a, b, n) == 0, #a " eq " #b, __VA_ARGS__)
#define cr_expect(a, ...)       RUNNER_CHECK(false, a, #a, __VA_ARGS__)
#define cr_expect_not(a, ...)   RUNNER_CHECK(false, !(a), "not " #a, __VA_ARGS__)
#define cr_expect_eq(a, b, ...) RUNNER_CHECK(false, (a) == (b), #a " == " #b, __VA_ARGS__)
#define cr_expect_arr_eq(a, b, n, ...)                                                             \
    RUNNER_CHECK(false, memcmp(a, b, n) == 0, #a " eq " #b, __VA_ARGS__)
#define cr_skip(why)      runner_skip(why)
#define cr_skip_test(why) runner_skip(why)
#define cr_log_info(...)  ((void)0)

#endif
