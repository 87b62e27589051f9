/* Runs every test in a process of its own and counts: tests/emulated/criterion/criterion.h. */
#include <criterion/criterion.h>
#include <fnmatch.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define EXIT_SKIPPED 77

static struct runner_test *tests;
static bool failed; /* of the process of one test */

void runner_add(struct runner_test *test)
{
    test->next = tests;
    tests = test;
}

void runner_failed(bool stop, const char *file, int line, const char *what, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s:%d: %s:", file, line, what);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    failed = true;
    if (stop) {
        exit(1);
    }
}

_Noreturn void runner_skip(const char *why)
{
    fprintf(stderr, "skipped: %s\n", why);
    exit(EXIT_SKIPPED);
}

static int run(const struct runner_test *test)
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        if (test->init != NULL) {
            test->init();
        }
        test->body();
        if (test->fini != NULL) {
            test->fini();
        }
        exit(failed);
    }
    int status;
    if (child < 0 || waitpid(child, &status, 0) != child) {
        return 1;
    }
    if (!WIFEXITED(status)) {
        fprintf(stderr, "ended by signal %d\n", WTERMSIG(status));
        return 1;
    }
    return WEXITSTATUS(status);
}

static bool chosen(const struct runner_test *test, char **patterns)
{
    char name[256];
    snprintf(name, sizeof name, "%s/%s", test->suite, test->name);
    for (char **pattern = patterns; *pattern != NULL; pattern++) {
        if (fnmatch(*pattern, name, 0) == 0) {
            return true;
        }
    }
    return *patterns == NULL;
}

/* Arguments: patterns of suite/test; none means all. */
int main(int argc, char **argv)
{
    unsigned counts[3] = {0};
    (void)argc;
    for (const struct runner_test *test = tests; test != NULL; test = test->next) {
        if (!chosen(test, argv + 1)) {
            continue;
        }
        struct timespec began, ended;
        clock_gettime(CLOCK_MONOTONIC, &began);
        int code = run(test);
        clock_gettime(CLOCK_MONOTONIC, &ended);
        int kind = code == 0 ? 0 : code == EXIT_SKIPPED ? 2 : 1;
        static const char *const words[] = {"ok", "not ok", "ok (skipped)"};
        counts[kind]++;
        printf("%s - %s/%s (%ld s)\n", words[kind], test->suite, test->name,
               (long)(ended.tv_sec - began.tv_sec));
    }
    printf("%u passed, %u failed, %u skipped\n", counts[0], counts[1], counts[2]);
    return counts[1] == 0 && counts[0] > 0 ? 0 : 1;
}
