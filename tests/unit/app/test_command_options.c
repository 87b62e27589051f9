#include "app/command_options.h"

#include <criterion/criterion.h>

struct got {
    const char *one, *many[2], *letter, *alone;
    size_t many_count;
    bool flag;
};

static enum command_parse parse(struct got *got, int argc, const char *const *argv)
{
    *got = (struct got){0};
    const struct command_option options[] = {
        {"one", "X", "help", &got->one, 1, NULL, NULL},
        {"many", "X", "help", got->many, 2, &got->many_count, NULL},
        {"flag", NULL, "help", NULL, 0, NULL, &got->flag},
        {"c", "FILE", "help", &got->letter, 1, NULL, NULL},
        {0},
    };
    const struct command_line line = {.command = "test",
                                      .synopsis = "[OPTIONS]",
                                      .purpose = "For the test.\n",
                                      .options = options,
                                      .positional = &got->alone,
                                      .positional_max = 1};
    char *copy[8] = {0};
    for (int i = 0; i < argc; i++) {
        copy[i] = (char *)(uintptr_t)argv[i];
    }
    return command_parse(&line, argc, copy);
}

#define PARSE(got, ...)                                                                            \
    parse(got, (int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)),                      \
          (const char *const[]){__VA_ARGS__})

Test(options, takes_values_flags_and_what_stands_alone)
{
    struct got got;
    cr_expect(PARSE(&got, "test") == COMMAND_PARSE_GO && got.one == NULL && !got.flag);
    cr_expect(PARSE(&got, "test", "--one", "a", "--flag", "dir") == COMMAND_PARSE_GO);
    cr_expect_str_eq(got.one, "a");
    cr_expect_str_eq(got.alone, "dir");
    cr_expect(got.flag);
    cr_expect(PARSE(&got, "test", "--one=a=b", "--many", "x", "--many=y") == COMMAND_PARSE_GO);
    cr_expect_str_eq(got.one, "a=b");
    cr_expect(got.many_count == 2);
    cr_expect_str_eq(got.many[0], "x");
    cr_expect_str_eq(got.many[1], "y");
    cr_expect(PARSE(&got, "test", "--one=") == COMMAND_PARSE_GO);
    cr_expect_str_eq(got.one, "");
    cr_expect(PARSE(&got, "test", "--one", "-65s") == COMMAND_PARSE_GO);
    cr_expect_str_eq(got.one, "-65s");
    cr_expect(PARSE(&got, "test", "--", "--one") == COMMAND_PARSE_GO);
    cr_expect_str_eq(got.alone, "--one");
}

Test(options, a_name_of_one_letter_has_one_dash)
{
    struct got got;
    cr_expect(PARSE(&got, "test", "-c", "file", "--one", "a") == COMMAND_PARSE_GO);
    cr_expect_str_eq(got.letter, "file");
    cr_expect_str_eq(got.one, "a");
    cr_expect(PARSE(&got, "test", "-c", "-c") == COMMAND_PARSE_GO);
    cr_expect_str_eq(got.letter, "-c");
    cr_expect(PARSE(&got, "test", "--c", "file") == COMMAND_PARSE_BAD);
    cr_expect(PARSE(&got, "test", "-c=file") == COMMAND_PARSE_BAD);
    cr_expect(PARSE(&got, "test", "-cfile") == COMMAND_PARSE_BAD);
    cr_expect(PARSE(&got, "test", "-c") == COMMAND_PARSE_BAD);
    cr_expect(PARSE(&got, "test", "-") == COMMAND_PARSE_BAD);
    cr_expect(PARSE(&got, "test", "-c", "a", "-c", "b") == COMMAND_PARSE_BAD);
    cr_expect(PARSE(&got, "test", "--", "-c") == COMMAND_PARSE_GO);
    cr_expect_str_eq(got.alone, "-c");
}

Test(options, help_is_no_error)
{
    struct got got;
    cr_expect(PARSE(&got, "test", "--help") == COMMAND_PARSE_HELP);
    cr_expect(PARSE(&got, "test", "-h", "--nonsense") == COMMAND_PARSE_HELP);
}

Test(options, refuses_what_it_does_not_know)
{
    struct got got;
    cr_expect(PARSE(&got, "test", "--two", "a") == COMMAND_PARSE_BAD);
    cr_expect(PARSE(&got, "test", "--on", "a") == COMMAND_PARSE_BAD);
    cr_expect(PARSE(&got, "test", "-one") == COMMAND_PARSE_BAD);
    cr_expect(PARSE(&got, "test", "--one") == COMMAND_PARSE_BAD);
    cr_expect(PARSE(&got, "test", "--flag=yes") == COMMAND_PARSE_BAD);
    cr_expect(PARSE(&got, "test", "--one", "a", "--one", "b") == COMMAND_PARSE_BAD);
    cr_expect(PARSE(&got, "test", "--many", "a", "--many", "b", "--many", "c") ==
              COMMAND_PARSE_BAD);
    cr_expect(PARSE(&got, "test", "a", "b") == COMMAND_PARSE_BAD);
}

Test(options, reads_times_with_their_units)
{
    static const struct {
        const char *text;
        int64_t seconds;
    } good[] = {{"0", 0},       {"0s", 0},     {"90s", 90}, {"5m", 300}, {"1h", 3600},
                {"2d", 172800}, {"-65s", -65}, {"+8s", 8},  {"-1m", -60}};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        int64_t seconds = -1;
        cr_expect(command_seconds(good[i].text, &seconds) == STATUS_OK, "%s", good[i].text);
        cr_expect(seconds == good[i].seconds, "%s", good[i].text);
    }
    static const char *const bad[] = {"",        "5",   "m",    "-",
                                      "5x",      "5ms", "5 m",  "1.5h",
                                      "--5s",    "s5",  "0x5s", "99999999999999999999s",
                                      "3650000d"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int64_t seconds = 0;
        cr_expect(command_seconds(bad[i], &seconds) != STATUS_OK, "%s", bad[i]);
    }
}
