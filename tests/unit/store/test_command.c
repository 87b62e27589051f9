#include "store/command.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct chunk_pool pool;
static struct buffer out;
static char text[8192];

#define RUN_ID "0123456789abcdef0123456789abcdef01234567"

static void set_up(void)
{
    chunk_pool_init(&pool, 4096, 2);
    buffer_init(&out, &pool);
}

static void tear_down(void)
{
    buffer_clear(&out);
    chunk_pool_cleanup(&pool);
}

/* What was appended, taken out. */
static struct span taken(void)
{
    struct span spans[4];
    size_t count = buffer_peek(&out, spans, 4), size = 0;
    for (size_t i = 0; i < count; i++) {
        memcpy(text + size, spans[i].data, spans[i].size);
        size += spans[i].size;
    }
    buffer_consume(&out, size);
    return span_make(text, size);
}

TestSuite(store_command, .init = set_up, .fini = tear_down);

Test(store_command, bytes_of_each)
{
    cr_assert_eq(command_auth(&out, "", "s"), STATUS_OK);
    cr_assert(span_equal_string(taken(), "*2\r\n$4\r\nAUTH\r\n$1\r\ns\r\n"));
    cr_assert_eq(command_auth(&out, "user", "s\r\n"), STATUS_OK);
    cr_assert(span_equal_string(taken(), "*3\r\n$4\r\nAUTH\r\n$4\r\nuser\r\n$3\r\ns\r\n\r\n"));
    cr_assert_eq(command_info(&out, "server"), STATUS_OK);
    cr_assert(span_equal_string(taken(), "*2\r\n$4\r\nINFO\r\n$6\r\nserver\r\n"));
    cr_assert_eq(command_get_epoch(&out), STATUS_OK);
    cr_assert(span_equal_string(taken(), "*2\r\n$3\r\nGET\r\n$9\r\npg1:epoch\r\n"));
    cr_assert_eq(command_epoch_ttl(&out), STATUS_OK);
    cr_assert(span_equal_string(taken(), "*2\r\n$4\r\nPTTL\r\n$9\r\npg1:epoch\r\n"));
}

Test(store_command, insert)
{
    static const struct {
        uint64_t ttl_ms;
        const char *end;
    } cases[] = {{0, "$1\r\n0\r\n"},
                 {7, "$1\r\n7\r\n"},
                 {71000, "$5\r\n71000\r\n"},
                 {999999999, "$9\r\n999999999\r\n"},
                 {1000000000, "$10\r\n1000000000\r\n"},
                 {UINT64_MAX, "$20\r\n18446744073709551615\r\n"}};
    uint8_t key[COMMAND_KEY_BYTES];
    for (size_t i = 0; i < sizeof key; i++) {
        key[i] = (uint8_t)(i * 9); /* CR and LF too */
    }
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cr_assert_eq(command_insert(&out, key, cases[i].ttl_ms), STATUS_OK);
        struct span got = taken();
        struct span head = SPAN_LITERAL("*6\r\n$3\r\nSET\r\n$36\r\npg1:");
        struct span middle = SPAN_LITERAL("\r\n$1\r\n1\r\n$2\r\nNX\r\n$2\r\nPX\r\n");
        cr_assert(span_starts_with(got, head));
        got = span_after(got, head.size);
        cr_assert(span_starts_with(got, span_make(key, sizeof key)));
        got = span_after(got, sizeof key);
        cr_assert(span_starts_with(got, middle));
        got = span_after(got, middle.size);
        cr_assert(span_equal_string(got, cases[i].end), "%.*s", SPAN_ARG(got));
    }
}

Test(store_command, epochs_differ_and_are_read_back)
{
    struct command_epoch one, two, read;
    struct span run_id = SPAN_LITERAL(RUN_ID);
    cr_assert_eq(command_epoch_make(run_id, 65, &one), STATUS_OK);
    cr_assert_eq(command_epoch_make(run_id, 65, &two), STATUS_OK);
    cr_assert_not(command_epoch_equal(&one, &two));
    cr_assert_eq(command_epoch_read(span_make(one.text, one.size), &read), STATUS_OK);
    cr_assert(command_epoch_equal(&one, &read));
    cr_assert_eq(read.reach_s, 65);
    cr_assert(command_epoch_is_of(&read, run_id));
    cr_assert_not(command_epoch_is_of(&read, SPAN_LITERAL("1" RUN_ID)));
    cr_assert_not(command_epoch_is_of(&read, span_first(run_id, 39)));
    char other[] = RUN_ID;
    other[39] = 'f';
    cr_assert_not(command_epoch_is_of(&read, span_from_string(other)));

    cr_assert_eq(command_set_epoch(&out, &one, true), STATUS_OK);
    char want[512];
    (void)snprintf(want, sizeof want,
                   "*6\r\n$3\r\nSET\r\n$9\r\npg1:epoch\r\n$%zu\r\n%.*s\r\n$2\r\nPX\r\n$12\r\n"
                   "315360000000\r\n$2\r\nNX\r\n",
                   one.size, (int)one.size, one.text);
    cr_assert(span_equal_string(taken(), want), "%s", text);
    cr_assert_eq(command_set_epoch(&out, &one, false), STATUS_OK);
    struct span got = taken();
    cr_assert(span_starts_with(got, SPAN_LITERAL("*5\r\n")));
    cr_assert(span_equal_string(span_after(got, got.size - 14), "315360000000\r\n"));
}

Test(store_command, what_is_no_epoch)
{
#define RANDOM "00112233445566778899aabbccddeeff"
    static const char *const bad[] = {
        "",
        "1",
        RUN_ID "/" RANDOM,
        RUN_ID "/" RANDOM "/",
        RUN_ID "/" RANDOM "/x",
        RUN_ID "/" RANDOM "/-1",
        RUN_ID "/" RANDOM "/1 ",
        RUN_ID "/" RANDOM "/2000000000",
        RUN_ID "/" RANDOM "/00000000001",
        RUN_ID ":" RANDOM "/1",
        RUN_ID "/" RANDOM ":1",
    };
    struct command_epoch epoch;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_assert_eq(command_epoch_read(span_from_string(bad[i]), &epoch), STATUS_MALFORMED, "%s",
                     bad[i]);
    }
    cr_assert_eq(command_epoch_read(SPAN_LITERAL(RUN_ID "/" RANDOM "/0"), &epoch), STATUS_OK);
    cr_assert_eq(command_epoch_make(SPAN_LITERAL("short"), 1, &epoch), STATUS_MALFORMED);
    cr_assert_eq(command_epoch_make(SPAN_LITERAL(RUN_ID), UINT64_MAX, &epoch), STATUS_MALFORMED);
}

Test(store_command, fields_of_info)
{
    struct span info = SPAN_LITERAL("# Server\r\nredis_version:7.0.15\r\nrun_id:abc\r\n"
                                    "xrun_id:no\r\nempty:\r\nlast:1");
    cr_assert(span_equal_string(command_info_field(info, "run_id"), "abc"));
    cr_assert(span_equal_string(command_info_field(info, "last"), "1"));
    cr_assert_eq(command_info_field(info, "empty").size, 0);
    cr_assert_eq(command_info_field(info, "run_i").size, 0);
    cr_assert_eq(command_info_field(info, "gone").size, 0);
    cr_assert_eq(command_info_field((struct span){NULL, 0}, "gone").size, 0);
    cr_assert_eq(command_info_field(SPAN_LITERAL("run_id"), "run_id").size, 0);
}

Test(store_command, no_room_appends_nothing)
{
    char much[1600];
    memset(much, 'x', sizeof much - 1);
    much[sizeof much - 1] = '\0';
    cr_assert_eq(command_auth(&out, much, much), STATUS_FULL);
    cr_assert_eq(out.size, 0);
    uint8_t key[COMMAND_KEY_BYTES] = {0};
    size_t count = 0;
    while (command_insert(&out, key, 1) == STATUS_OK) {
        count++;
    }
    cr_assert_gt(count, 70);
    cr_assert_eq(out.size % count, 0);
}
