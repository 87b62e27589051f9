#include "app/commands.h"
#include "unit/app/command_runner.h"

static struct command_result result;

Test(command_bench, without_a_benchmark_it_is_bad_usage)
{
    RUN(command_bench, &result, "bench");
    cr_assert_eq(result.exit_code, 2);
    cr_assert_not_null(strstr(result.error, "usage: popgate bench"));
    RUN(command_bench, &result, "bench", "nothing");
    cr_assert_eq(result.exit_code, 2);
    cr_assert_not_null(strstr(result.error, "'nothing'"));
}

Test(command_bench, help_is_asked_for)
{
    RUN(command_bench, &result, "bench", "--help");
    cr_assert_eq(result.exit_code, 0);
    cr_assert_not_null(strstr(result.out, "http"));
    RUN(command_bench, &result, "bench", "http", "--help");
    cr_assert_eq(result.exit_code, 0);
    cr_assert_not_null(strstr(result.out, "--handshakes"));
}

Test(command_bench, needs_a_folder_and_a_url)
{
    RUN(command_bench, &result, "bench", "http", "--dir", "x");
    cr_assert_eq(result.exit_code, 2);
    RUN(command_bench, &result, "bench", "http", "--url", "https://localhost/");
    cr_assert_eq(result.exit_code, 2);
}

Test(command_bench, every_number_has_its_bounds)
{
    static const char *const wrong[][2] = {
        {"--connections", "0"},
        {"--connections", "60001"},
        {"--connections", "6x"},
        {"--connections", ""},
        {"--connections", "-1"},
        {"--max-concurrent-streams", "0"},
        {"--max-concurrent-streams", "257"},
        {"--keys", "0"},
        {"--proofs", "0"},
        {"--rate", "fast"},
        {"--rate", "99999999999999999999"},
        {"--duration", "10"},
        {"--duration", "-1s"},
        {"--hold", "5"},
        {"--handshakes", "some"},
        {"--pid", "0"},
        {"--cpu", "1024"},
        {"--body-bytes", "1KiB"},
        {"--warmup", "+1"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        RUN(command_bench, &result, "bench", "http", "--dir", "x", "--url", "https://localhost/",
            wrong[i][0], wrong[i][1]);
        cr_assert_eq(result.exit_code, 2, "%s %s", wrong[i][0], wrong[i][1]);
        cr_assert_not_null(strstr(result.error, wrong[i][0]), "%s", result.error);
    }
}

Test(command_bench, streams_are_http2s_and_live_longer_than_a_request)
{
    RUN(command_bench, &result, "bench", "http", "--dir", "x", "--url", "https://localhost/",
        "--max-concurrent-streams", "2");
    cr_assert_eq(result.exit_code, 2);
    cr_assert_not_null(strstr(result.error, "--http2"), "%s", result.error);
    RUN(command_bench, &result, "bench", "http", "--dir", "x", "--url", "https://localhost/",
        "--http2", "--handshakes", "full", "--max-concurrent-streams", "2");
    cr_assert_eq(result.exit_code, 2);
    cr_assert_not_null(strstr(result.error, "--handshakes"), "%s", result.error);
}

Test(command_bench, a_url_must_be_https)
{
    RUN(command_bench, &result, "bench", "http", "--dir", "x", "--url", "http://localhost/");
    cr_assert_eq(result.exit_code, 1);
    cr_assert_not_null(strstr(result.error, "not an https URL"));
}

Test(command_bench, a_folder_that_is_none_is_named)
{
    RUN(command_bench, &result, "bench", "http", "--dir", "/nonexistent", "--url",
        "https://localhost/");
    cr_assert_eq(result.exit_code, 1);
    cr_assert_not_null(strstr(result.error, "/nonexistent/"));
}
