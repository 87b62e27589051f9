#include "app/config_value.h"

#include "app/config.h"

#include <criterion/criterion.h>

static void reads(const char *text, enum config_unit unit, enum config_number_fault want,
                  uint64_t number)
{
    uint64_t got = 0;
    struct span rest = {0};
    enum config_number_fault fault = config_read_number(span_from_string(text), unit, &got, &rest);
    cr_assert_eq(fault, want, "%s: %d", text, (int)fault);
    if (want == CONFIG_NUMBER_GOOD) {
        cr_assert_eq(got, number, "%s", text);
    }
}

Test(config_value, plain_numbers)
{
    reads("0", CONFIG_UNIT_NONE, CONFIG_NUMBER_GOOD, 0);
    reads("7", CONFIG_UNIT_NONE, CONFIG_NUMBER_GOOD, 7);
    reads("18446744073709551615", CONFIG_UNIT_NONE, CONFIG_NUMBER_GOOD, UINT64_MAX);
    reads("18446744073709551616", CONFIG_UNIT_NONE, CONFIG_NUMBER_TOO_LARGE, 0);
    reads("99999999999999999999999", CONFIG_UNIT_NONE, CONFIG_NUMBER_TOO_LARGE, 0);
    static const char *const none[] = {"",   "-1", "+1", "1.0", "1e3", "0x1", "1_0",
                                       "01", "00", " 1", "1 ",  "one", "1B",  "٣"};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        reads(none[i], CONFIG_UNIT_NONE, CONFIG_NUMBER_NOT_ONE, 0);
    }
}

Test(config_value, sizes)
{
    reads("0B", CONFIG_UNIT_BYTES, CONFIG_NUMBER_GOOD, 0);
    reads("512B", CONFIG_UNIT_BYTES, CONFIG_NUMBER_GOOD, 512);
    reads("3KiB", CONFIG_UNIT_BYTES, CONFIG_NUMBER_GOOD, 3072);
    reads("1MiB", CONFIG_UNIT_BYTES, CONFIG_NUMBER_GOOD, 1048576);
    reads("2GiB", CONFIG_UNIT_BYTES, CONFIG_NUMBER_GOOD, 2147483648u);
    reads("17179869183GiB", CONFIG_UNIT_BYTES, CONFIG_NUMBER_GOOD, 17179869183u * (1ull << 30));
    reads("17179869184GiB", CONFIG_UNIT_BYTES, CONFIG_NUMBER_TOO_LARGE, 0);
    reads("18446744073709551616B", CONFIG_UNIT_BYTES, CONFIG_NUMBER_TOO_LARGE, 0);
    reads("1", CONFIG_UNIT_BYTES, CONFIG_NUMBER_NO_UNIT, 0);
    static const char *const units[] = {"1K",   "1KB",   "1k",    "1kib", "1kiB", "1Kib", "1M",
                                        "1TiB", "1 KiB", "1KiB ", "1s",   "1b",   "1KiBB"};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        reads(units[i], CONFIG_UNIT_BYTES, CONFIG_NUMBER_UNKNOWN_UNIT, 0);
    }
    reads("1.5KiB", CONFIG_UNIT_BYTES, CONFIG_NUMBER_NOT_ONE, 0);
    reads("1,5KiB", CONFIG_UNIT_BYTES, CONFIG_NUMBER_NOT_ONE, 0);
    reads("KiB", CONFIG_UNIT_BYTES, CONFIG_NUMBER_NOT_ONE, 0);
    reads("010KiB", CONFIG_UNIT_BYTES, CONFIG_NUMBER_NOT_ONE, 0);
}

Test(config_value, times)
{
    reads("0s", CONFIG_UNIT_MILLISECONDS, CONFIG_NUMBER_GOOD, 0);
    reads("15ms", CONFIG_UNIT_MILLISECONDS, CONFIG_NUMBER_GOOD, 15);
    reads("15s", CONFIG_UNIT_MILLISECONDS, CONFIG_NUMBER_GOOD, 15000);
    reads("15m", CONFIG_UNIT_MILLISECONDS, CONFIG_NUMBER_GOOD, 900000);
    reads("15h", CONFIG_UNIT_MILLISECONDS, CONFIG_NUMBER_GOOD, 54000000);
    reads("5124095576030h", CONFIG_UNIT_MILLISECONDS, CONFIG_NUMBER_GOOD, 5124095576030u * 3600000);
    reads("5124095576031h", CONFIG_UNIT_MILLISECONDS, CONFIG_NUMBER_TOO_LARGE, 0);
    reads("15", CONFIG_UNIT_MILLISECONDS, CONFIG_NUMBER_NO_UNIT, 0);
    static const char *const units[] = {"1S", "1sec", "1min", "1d", "1us", "1M", "1m30s", "1:30"};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        reads(units[i], CONFIG_UNIT_MILLISECONDS, CONFIG_NUMBER_UNKNOWN_UNIT, 0);
    }
}

Test(config_value, what_is_written_is_the_largest_unit_that_divides)
{
    static const struct {
        uint64_t number;
        enum config_unit unit;
        const char *text;
    } cases[] = {
        {0, CONFIG_UNIT_NONE, "0"},
        {17, CONFIG_UNIT_NONE, "17"},
        {0, CONFIG_UNIT_BYTES, "0B"},
        {1, CONFIG_UNIT_BYTES, "1B"},
        {1025, CONFIG_UNIT_BYTES, "1025B"},
        {2048, CONFIG_UNIT_BYTES, "2KiB"},
        {3 << 20, CONFIG_UNIT_BYTES, "3MiB"},
        {1ull << 40, CONFIG_UNIT_BYTES, "1024GiB"},
        {0, CONFIG_UNIT_MILLISECONDS, "0s"},
        {1, CONFIG_UNIT_MILLISECONDS, "1ms"},
        {1500, CONFIG_UNIT_MILLISECONDS, "1500ms"},
        {60000, CONFIG_UNIT_MILLISECONDS, "1m"},
        {90000, CONFIG_UNIT_MILLISECONDS, "90s"},
        {7200000, CONFIG_UNIT_MILLISECONDS, "2h"},
        {UINT64_MAX, CONFIG_UNIT_BYTES, "18446744073709551615B"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cr_assert_str_eq(config_write_number(cases[i].number, cases[i].unit).text, cases[i].text);
    }
}

Test(config_value, written_and_read_again)
{
    for (uint64_t number = 1; number != 0; number *= 3) {
        for (int unit = CONFIG_UNIT_NONE; unit <= CONFIG_UNIT_MILLISECONDS; unit++) {
            struct config_number_text text = config_write_number(number, (enum config_unit)unit);
            reads(text.text, (enum config_unit)unit, CONFIG_NUMBER_GOOD, number);
        }
        if (number > UINT64_MAX / 3) {
            break;
        }
    }
}

static struct config_address address(const char *text)
{
    struct config_address out = {0};
    const char *reason = NULL;
    enum status status = text[0] == '/'
                             ? config_read_unix(span_from_string(text), &out, &reason)
                             : config_read_address(span_from_string(text), &out, true, &reason);
    cr_assert_eq(status, STATUS_OK, "%s: %s", text, reason);
    return out;
}

Test(config_value, addresses_that_overlap)
{
    static const struct {
        const char *a, *b;
        bool overlap;
    } cases[] = {
        {"1.2.3.4:5", "1.2.3.4:5", true},  {"1.2.3.4:5", "1.2.3.4:6", false},
        {"1.2.3.4:5", "1.2.3.5:5", false}, {"0.0.0.0:5", "1.2.3.5:5", true},
        {"1.2.3.5:5", "0.0.0.0:5", true},  {"0.0.0.0:0", "0.0.0.0:0", false},
        {"[::]:5", "[::1]:5", true},       {"[::]:5", "0.0.0.0:5", false},
        {"[::1]:5", "[::1]:5", true},      {"[::1]:5", "[::2]:5", false},
        {"/run/a", "/run/a", false},       {"/run/a", "1.2.3.4:5", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct config_address a = address(cases[i].a), b = address(cases[i].b);
        cr_assert_eq(config_address_overlaps(&a, &b), cases[i].overlap, "%s %s", cases[i].a,
                     cases[i].b);
    }
}

Test(config_value, loopback)
{
    static const char *const yes[] = {"127.0.0.1:1", "127.255.255.255:1", "[::1]:1", "/run/a"};
    static const char *const no[] = {"126.0.0.1:1", "128.0.0.1:1",          "0.0.0.0:1",
                                     "[::]:1",      "[::ffff:127.0.0.1]:1", "[fe80::1]:1"};
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++) {
        struct config_address a = address(yes[i]);
        cr_assert(config_address_is_loopback(&a), "%s", yes[i]);
    }
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++) {
        struct config_address a = address(no[i]);
        cr_assert_not(config_address_is_loopback(&a), "%s", no[i]);
    }
    struct config_address none = {0};
    cr_assert_not(config_address_is_loopback(&none));
}

Test(config_value, unix_paths_have_a_length)
{
    char path[120];
    memset(path, 'a', sizeof path);
    path[0] = '/';
    struct config_address out;
    const char *reason = NULL;
    cr_assert_eq(config_read_unix(span_make(path, 107), &out, &reason), STATUS_OK);
    cr_assert_eq(config_read_unix(span_make(path, 108), &out, &reason), STATUS_TOO_LARGE);
    cr_assert_eq(config_read_unix(span_make(path, 1), &out, &reason), STATUS_MALFORMED);
    cr_assert_eq(config_read_unix(span_make(path, 0), &out, &reason), STATUS_MALFORMED);
}
