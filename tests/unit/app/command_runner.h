/* Runs a command as the shell would, and keeps what it printed. */
#ifndef POPGATE_TESTS_COMMAND_RUNNER_H
#define POPGATE_TESTS_COMMAND_RUNNER_H

#include <criterion/criterion.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COMMAND_WORDS_MAX 40

struct command_result {
    int exit_code;
    char out[32768];
    char error[8192];
};

static inline void read_back(FILE *file, char *into, size_t size)
{
    rewind(file);
    size_t got = fread(into, 1, size - 1, file);
    into[got] = '\0';
    fclose(file);
}

/* `words` ends with NULL; words[0] is the command's name. */
static inline void run_command(int (*command)(int, char **), const char *const *words,
                               struct command_result *result)
{
    char *argv[COMMAND_WORDS_MAX] = {0};
    int argc = 0;
    for (; words[argc] != NULL && argc < COMMAND_WORDS_MAX - 1; argc++) {
        argv[argc] = strdup(words[argc]);
    }
    fflush(stdout);
    fflush(stderr);
    FILE *out = tmpfile(), *error = tmpfile();
    int saved_out = dup(STDOUT_FILENO), saved_error = dup(STDERR_FILENO);
    cr_assert(out != NULL && error != NULL && saved_out >= 0 && saved_error >= 0);
    dup2(fileno(out), STDOUT_FILENO);
    dup2(fileno(error), STDERR_FILENO);
    result->exit_code = command(argc, argv);
    fflush(stdout);
    fflush(stderr);
    dup2(saved_out, STDOUT_FILENO);
    dup2(saved_error, STDERR_FILENO);
    close(saved_out);
    close(saved_error);
    read_back(out, result->out, sizeof result->out);
    read_back(error, result->error, sizeof result->error);
    for (int i = 0; i < argc; i++) {
        free(argv[i]);
    }
}

#define RUN(command, result, ...)                                                                  \
    run_command(command, (const char *const[]){__VA_ARGS__, NULL}, result)

#endif
