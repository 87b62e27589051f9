/* A client beside a server whose every answer the test writes. What a real Redis does is in
 * tests/e2e/test_redis.py. */
#include "store/command.h"
#include "store/store.h"
#include "unit/store/told.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define RUN_ID     "0123456789abcdef0123456789abcdef01234567"
#define OTHER_RUN  "f123456789abcdef0123456789abcdef01234567"
#define RANDOM     "00112233445566778899aabbccddeeff"
#define EPOCH      RUN_ID "/" RANDOM "/65"
#define LIFE       "315360000000"
#define TIMEOUT_MS 300

static struct io *io;
static struct store *store;
static struct store_client *client;
static int listener = -1, peer = -1;
static char heard[1 << 20]; /* what the client said since the last answer */
static size_t heard_size;

/* ---- the server ---- */

static void turn(void)
{
    cr_assert_eq(io_turn(io, 5), STATUS_OK);
}

static void hear(void)
{
    ssize_t got = peer < 0
                      ? -1
                      : recv(peer, heard + heard_size, sizeof heard - heard_size, MSG_DONTWAIT);
    heard_size += got > 0 ? (size_t)got : 0;
}

static bool has_heard(const char *text)
{
    return memmem(heard, heard_size, text, strlen(text)) != NULL;
}

/* Turns until the client has said `text`; what it said up to then is forgotten at the next call. */
static void wait_for(const char *text)
{
    for (int i = 0; i < 1000 && !has_heard(text); i++) {
        turn();
        hear();
    }
    cr_assert(has_heard(text), "%s never came, but %.*s", text, (int)heard_size, heard);
}

static void say(const char *text)
{
    heard_size = 0;
    cr_assert_eq(send(peer, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static void string(const char *text)
{
    char answer[4096];
    (void)snprintf(answer, sizeof answer, "$%zu\r\n%s\r\n", strlen(text), text);
    say(answer);
}

static void take_connection(void)
{
    struct pollfd ready = {.fd = listener, .events = POLLIN};
    for (int i = 0; i < 1000 && poll(&ready, 1, 0) == 0; i++) {
        turn();
    }
    if (peer >= 0) {
        close(peer);
    }
    peer = accept(listener, NULL, NULL);
    cr_assert_geq(peer, 0, "nobody connects: %m");
    heard_size = 0;
}

static void answer_info(const char *run_id, const char *policy, const char *role)
{
    char text[256];
    wait_for("replication\r\n");
    (void)snprintf(text, sizeof text, "# Server\r\nrun_id:%s\r\n", run_id);
    string(text);
    (void)snprintf(text, sizeof text, "# Memory\r\nmaxmemory_policy:%s\r\n", policy);
    string(text);
    (void)snprintf(text, sizeof text, "# Replication\r\nrole:%s\r\n", role);
    string(text);
}

static void answer_claim(const char *claimed, const char *epoch, const char *left_ms)
{
    wait_for("PTTL");
    say(claimed);
    if (epoch != NULL) {
        string(epoch);
    } else {
        say("$-1\r\n");
    }
    char text[64];
    (void)snprintf(text, sizeof text, ":%s\r\n", left_ms);
    say(text);
}

/* ---- the client ---- */

static void reach_grew(void *context, uint64_t reach_s)
{
    (void)context;
    size_t size = strlen(told);
    (void)snprintf(told + size, sizeof told - size, "reach(%llu) ", (unsigned long long)reach_s);
}

static struct store_options options_with(const char *text)
{
    static struct store_url url;
    const char *reason = NULL;
    cr_assert_eq(store_url_parse(span_from_string(text), &url, &reason), STATUS_OK);
    return (struct store_options){.url = &url,
                                  .timeout_ms = TIMEOUT_MS,
                                  .clients = 1,
                                  .reach_s = 65,
                                  .slack_s = 6,
                                  .memory_lost = memory_lost,
                                  .local = local,
                                  .reach_grew = reach_grew};
}

static void begin(struct store_options options)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(listener, (struct sockaddr *)&address, size), 0);
    cr_assert_eq(listen(listener, 8), 0);
    cr_assert_eq(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    const struct io_options io_options = {.backend = IO_EPOLL};
    cr_assert_eq(io_new(&io_options, &io), STATUS_OK);
    store = store_new(&options);
    cr_assert_not_null(store);
    store_set_address(store, (struct sockaddr *)&address, size);
    client = store_client_new(store, io, NULL);
    cr_assert_not_null(client);
    cr_assert_eq(store_client_state(client), STORE_CONNECTING);
    take_connection();
}

static void wait_for_state(enum store_state state)
{
    for (int i = 0; i < 1000 && store_client_state(client) != state; i++) {
        turn();
    }
    cr_assert_eq(store_client_state(client), state, "%s: %s",
                 store_state_label(store_client_state(client)), store_client_failure(client));
}

/* A good server with an epoch that is 100 s old. */
static void greet(void)
{
    answer_info(RUN_ID, "noeviction", "master");
    answer_claim("$-1\r\n", EPOCH, "315359900000");
    wait_for_state(STORE_READY);
}

static void begin_ready(void)
{
    begin(options_with("redis://h"));
    greet();
}

static void tear_down(void)
{
    if (client == NULL) {
        return;
    }
    store_client_close(client);
    for (int i = 0; i < 1000 && !store_client_is_closed(client); i++) {
        turn();
    }
    cr_assert(store_client_is_closed(client));
    store_client_free(client);
    store_free(store);
    io_free(io);
    close(listener);
    close(peer);
}

struct ask {
    struct store_request request;
    enum status status;
    unsigned done;
    struct ask *cancels; /* when it is told */
};

static void done(struct store_request *request, enum status status)
{
    struct ask *ask = (struct ask *)request;
    ask->status = status;
    ask->done++;
    if (ask->cancels != NULL) {
        store_cancel(client, &ask->cancels->request);
    }
}

static uint64_t now_boot_s(void)
{
    return clock_read().boot_ns / 1000000000u;
}

static enum status ask(struct ask *ask, uint8_t key)
{
    *ask = (struct ask){.request = {.done = done, .expires_boot_s = now_boot_s() + 70},
                        .cancels = ask->cancels};
    memset(ask->request.key, key, sizeof ask->request.key);
    return store_insert(client, &ask->request);
}

static void turn_until_done(const struct ask *ask)
{
    for (int i = 0; i < 1000 && ask->done == 0; i++) {
        turn();
    }
    cr_assert_eq(ask->done, 1);
}

TestSuite(store_client, .fini = tear_down, .timeout = 60);

/* ---- the beginning ---- */

Test(store_client, greets_with_user_and_password)
{
    begin(options_with("redis://gate:s%20cret@h"));
    wait_for(
        "*3\r\n$4\r\nAUTH\r\n$4\r\ngate\r\n$6\r\ns cret\r\n*2\r\n$4\r\nINFO\r\n$6\r\nserver\r\n");
    wait_for("replication\r\n");
    say("+OK\r\n");
    /* The trick of wait_for: all was said before, so it is not waited for again. */
    string("run_id:" RUN_ID "\r\n");
    string("maxmemory_policy:noeviction\r\n");
    string("role:master\r\n");
    wait_for("*6\r\n$3\r\nSET\r\n$9\r\npg1:epoch\r\n");
    cr_assert(has_heard(RUN_ID "/") && has_heard("/65\r\n$2\r\nPX\r\n$12\r\n" LIFE "\r\n$2\r\nNX"));
    answer_claim("+OK\r\n", EPOCH, LIFE);
    wait_for_state(STORE_READY);
    cr_assert_str_eq(told, "lost(0) ");
}

Test(store_client, the_first_memory_is_trusted_as_far_as_it_goes_back)
{
    begin_ready();
    cr_assert_str_eq(told, "lost(100) ");
    struct store_counters counters;
    store_read_counters(store, &counters);
    cr_assert_eq(counters.state, STORE_READY);
    cr_assert_eq(counters.memory_losses, 0);
}

Test(store_client, or_wholly_if_the_operator_says_so)
{
    struct store_options options = options_with("redis://h");
    options.first_epoch_is_good = true;
    begin(options);
    greet();
    cr_assert_str_empty(told);
}

Test(store_client, an_epoch_of_another_server_is_replaced)
{
    begin(options_with("redis://h"));
    answer_info(RUN_ID, "noeviction", "master");
    answer_claim("$-1\r\n", OTHER_RUN "/" RANDOM "/65", "315359900000");
    wait_for("*5\r\n$3\r\nSET\r\n$9\r\npg1:epoch\r\n");
    answer_claim("+OK\r\n", EPOCH, LIFE);
    wait_for_state(STORE_READY);
    cr_assert_str_eq(told, "lost(0) ");
}

Test(store_client, an_epoch_for_shorter_memories_is_replaced)
{
    begin(options_with("redis://h"));
    answer_info(RUN_ID, "noeviction", "master");
    answer_claim("$-1\r\n", RUN_ID "/" RANDOM "/64", "315359900000");
    wait_for("*5\r\n$3\r\nSET\r\n$9\r\npg1:epoch\r\n");
    answer_claim("+OK\r\n", EPOCH, LIFE);
    wait_for_state(STORE_READY);
}

Test(store_client, an_epoch_for_longer_memories_is_told)
{
    begin(options_with("redis://h"));
    answer_info(RUN_ID, "noeviction", "master");
    answer_claim("$-1\r\n", RUN_ID "/" RANDOM "/90", LIFE);
    wait_for_state(STORE_READY);
    cr_assert_str_eq(told, "lost(0) reach(90) ");
}

Test(store_client, an_epoch_that_ends_or_vanishes_is_claimed_again)
{
    static const char *const left[] = {"-1", "-2", "315360000001"};
    begin(options_with("redis://h"));
    answer_info(RUN_ID, "noeviction", "master");
    for (size_t i = 0; i < sizeof left / sizeof left[0]; i++) {
        answer_claim("$-1\r\n", EPOCH, left[i]);
    }
    answer_claim("+OK\r\n", NULL, "-2");
    answer_claim("+OK\r\n", EPOCH, LIFE);
    wait_for_state(STORE_READY);
}

Test(store_client, a_server_that_forgets_at_once_is_given_up)
{
    begin(options_with("redis://h"));
    answer_info(RUN_ID, "noeviction", "master");
    for (int i = 0; i < 8; i++) {
        answer_claim("+OK\r\n", NULL, "-2");
    }
    wait_for_state(STORE_PROTOCOL);
}

/* ---- inserts ---- */

Test(store_client, one_send_a_turn_and_a_seal_behind_it)
{
    begin_ready();
    struct ask asks[3] = {0};
    for (uint8_t i = 0; i < 3; i++) {
        cr_assert_eq(ask(&asks[i], i + 1), STATUS_OK);
    }
    store_flush(client);
    store_flush(client); /* nothing more to say */
    wait_for("*2\r\n$3\r\nGET\r\n$9\r\npg1:epoch\r\n");
    char one[256];
    uint64_t ttl_s = 70 + 6;
    for (size_t i = 0; i < 3; i++) {
        /* Milliseconds of a clock that runs: the first digits are enough. */
        (void)snprintf(one, sizeof one, "pg1:%.32s\r\n$1\r\n1\r\n$2\r\nNX\r\n$2\r\nPX\r\n$5\r\n7",
                       (const char *)asks[i].request.key);
        cr_assert(has_heard(one), "%llu", (unsigned long long)ttl_s);
        cr_assert_eq(asks[i].done, 0);
    }
    say("+OK\r\n$-1\r\n+OK\r\n");
    for (int i = 0; i < 20; i++) {
        turn();
    }
    cr_assert_eq(asks[0].done, 0, "before the seal nobody knows");
    string(EPOCH);
    turn_until_done(&asks[2]);
    cr_assert_eq(asks[0].status, STATUS_OK);
    cr_assert_eq(asks[1].status, STATUS_EXISTS);
    cr_assert_eq(asks[2].status, STATUS_OK);
    struct store_counters counters;
    store_read_counters(store, &counters);
    cr_assert_eq(counters.inserts, 3);
    cr_assert_eq(counters.batches, 1);
}

Test(store_client, a_seal_that_is_gone_voids_the_batch_and_the_floor_rises_first)
{
    begin_ready();
    struct ask one = {0}, behind = {0};
    cr_assert_eq(ask(&one, 1), STATUS_OK);
    store_flush(client);
    wait_for("GET");
    cr_assert_eq(ask(&behind, 2), STATUS_OK); /* on its way when the answer comes */
    store_flush(client);
    wait_for("GET");
    say("+OK\r\n");
    say("$-1\r\n");
    wait_for("*6\r\n$3\r\nSET\r\n$9\r\npg1:epoch\r\n");
    wait_for("PTTL");
    cr_assert_eq(one.done, 0, "not before the new epoch is known");
    say("+OK\r\n");
    string(RUN_ID "/ff112233445566778899aabbccddeeff/65"); /* already the new one: void too */
    say("+OK\r\n");
    string(RUN_ID "/ff112233445566778899aabbccddeeff/65");
    say(":" LIFE "\r\n");
    turn_until_done(&one);
    turn_until_done(&behind);
    cr_assert_eq(one.status, STATUS_DENIED);
    cr_assert_eq(behind.status, STATUS_DENIED);
    cr_assert_str_eq(told, "lost(100) lost(0) ");
    /* And on it goes. */
    cr_assert_eq(ask(&one, 3), STATUS_OK);
    store_flush(client);
    wait_for("GET");
    say("+OK\r\n");
    string(RUN_ID "/ff112233445566778899aabbccddeeff/65");
    turn_until_done(&one);
    cr_assert_eq(one.status, STATUS_OK);
    struct store_counters counters;
    store_read_counters(store, &counters);
    cr_assert_eq(counters.memory_losses, 1);
}

Test(store_client, a_longer_window_is_told_before_anything_is_inserted_for_it)
{
    begin_ready();
    store_set_window(store, 300, 6);
    struct ask one = {0};
    cr_assert_eq(ask(&one, 1), STATUS_OK);
    store_flush(client);
    wait_for("PTTL");
    say("+OK\r\n$-1\r\n");
    string(EPOCH);
    say(":315359900000\r\n");
    string(EPOCH); /* the seal */
    wait_for("*5\r\n$3\r\nSET\r\n$9\r\npg1:epoch\r\n");
    wait_for("/300\r\n");
    answer_claim("+OK\r\n", RUN_ID "/" RANDOM "/300", LIFE);
    turn_until_done(&one);
    cr_assert_eq(one.status, STATUS_DENIED);
}

Test(store_client, time_that_passed_meanwhile)
{
    begin_ready();
    struct ask one = {0};
    one.request.done = done;
    one.request.expires_boot_s = now_boot_s();
    cr_assert_eq(store_insert(client, &one.request), STATUS_OK);
    store_flush(client);
    wait_for("GET");
    say("+OK\r\n");
    string(EPOCH);
    turn_until_done(&one);
    cr_assert_eq(one.status, STATUS_EXPIRED);
}

Test(store_client, who_cancels_is_not_told)
{
    begin_ready();
    struct ask gone = {0}, stays = {0}, last = {0};
    cr_assert_eq(ask(&gone, 1), STATUS_OK);
    stays.cancels = &last;
    cr_assert_eq(ask(&stays, 2), STATUS_OK);
    cr_assert_eq(ask(&last, 3), STATUS_OK);
    store_flush(client);
    wait_for("GET");
    store_cancel(client, &gone.request);
    store_cancel(client, &gone.request);
    memset(&gone, 0xa5, sizeof gone); /* its owner is gone with it */
    say("+OK\r\n+OK\r\n+OK\r\n");
    string(EPOCH);
    turn_until_done(&stays);
    cr_assert_eq(stays.status, STATUS_OK);
    cr_assert_eq(last.done, 0);
}

Test(store_client, no_more_in_flight_than_there_is_room_for)
{
    begin_ready();
    struct ask *asks = calloc(STORE_IN_FLIGHT_MAX + 1, sizeof *asks);
    for (size_t i = 0; i < STORE_IN_FLIGHT_MAX; i++) {
        cr_assert_eq(ask(&asks[i], (uint8_t)i), STATUS_OK);
    }
    cr_assert_eq(ask(&asks[STORE_IN_FLIGHT_MAX], 0), STATUS_FULL);
    /* Those that leave make no room: their answers are still to come. */
    store_cancel(client, &asks[0].request);
    cr_assert_eq(ask(&asks[STORE_IN_FLIGHT_MAX], 0), STATUS_FULL);
    store_flush(client);
    wait_for("GET");
    for (size_t i = 0; i < STORE_IN_FLIGHT_MAX; i++) {
        say("+OK\r\n");
        if (i % 64 == 0) {
            turn();
        }
    }
    string(EPOCH);
    turn_until_done(&asks[STORE_IN_FLIGHT_MAX - 1]);
    cr_assert_eq(ask(&asks[0], 0), STATUS_OK);
    store_cancel(client, &asks[0].request);
    free(asks);
}

/* ---- what goes wrong ---- */

Test(store_client, errors_by_what_they_are)
{
    static const struct {
        const char *answer;
        enum store_state state;
    } cases[] = {
        {"-OOM command not allowed when used memory > 'maxmemory'.\r\n", STORE_OOM},
        {"-READONLY You can't write against a read only replica.\r\n", STORE_REPLICA},
        {"-MASTERDOWN Link with MASTER is down\r\n", STORE_REPLICA},
        {"-NOAUTH Authentication required.\r\n", STORE_AUTH},
        {"-NOPERM this user has no permissions\r\n", STORE_AUTH},
        {"-LOADING Redis is loading the dataset in memory\r\n", STORE_LOADING},
        {"-MISCONF Redis is configured to save RDB snapshots\r\n", STORE_REFUSED},
        {"-ERR what?\r\n", STORE_REFUSED},
        {"-OOMPH\r\n", STORE_REFUSED},
        {":1\r\n", STORE_PROTOCOL},
        {"$2\r\nOK\r\n", STORE_PROTOCOL},
        {"+QUEUED\r\n", STORE_PROTOCOL},
        {"*1\r\n+OK\r\n", STORE_PROTOCOL},
        {"HTTP/1.1 400 Bad Request\r\n", STORE_PROTOCOL},
    };
    begin_ready();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ask one = {0};
        cr_assert_eq(ask(&one, 1), STATUS_OK);
        store_flush(client);
        wait_for("GET");
        say(cases[i].answer);
        turn_until_done(&one);
        cr_assert_eq(one.status, STATUS_SYSTEM, "%s", cases[i].answer);
        cr_assert_eq(store_client_state(client), cases[i].state, "%s", cases[i].answer);
        cr_assert_eq(ask(&one, 1), STATUS_SYSTEM, "not before it is back");
        take_connection();
        greet();
    }
    cr_assert_str_eq(told, "lost(100) ", "the same memory each time");
}

Test(store_client, an_answer_nobody_asked_for)
{
    begin_ready();
    say("+OK\r\n");
    wait_for_state(STORE_PROTOCOL);
}

Test(store_client, servers_that_will_not_do)
{
    static const struct {
        const char *run_id, *policy, *role, *words;
        enum store_state state;
    } cases[] = {
        {RUN_ID, "allkeys-lru", "master", "set it to noeviction", STORE_POLICY},
        {RUN_ID, "volatile-ttl", "master", "volatile-ttl", STORE_POLICY},
        {RUN_ID, "", "master", "unknown", STORE_POLICY},
        {RUN_ID, "noeviction", "slave", "replica", STORE_REPLICA},
        {RUN_ID, "noeviction", "", "replica", STORE_REPLICA},
        {"", "noeviction", "master", "run_id", STORE_PROTOCOL},
        {"0123", "noeviction", "master", "run_id", STORE_PROTOCOL},
    };
    begin(options_with("redis://h"));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        answer_info(cases[i].run_id, cases[i].policy, cases[i].role);
        for (int j = 0; j < 1000 && strstr(store_client_failure(client), cases[i].words) == NULL;
             j++) {
            turn();
        }
        cr_assert_not_null(strstr(store_client_failure(client), cases[i].words), "%s",
                           store_client_failure(client));
        wait_for_state(cases[i].state);
        take_connection();
    }
    answer_info(RUN_ID, "noeviction", "master");
    answer_claim("$-1\r\n", "somebody else's", LIFE);
    wait_for_state(STORE_PROTOCOL);
    take_connection();
    answer_info(RUN_ID, "noeviction", "master");
    answer_claim(":1\r\n", EPOCH, LIFE);
    wait_for_state(STORE_PROTOCOL);
    take_connection();
    answer_info(RUN_ID, "noeviction", "master");
    wait_for("PTTL");
    say("$-1\r\n:1\r\n");
    wait_for_state(STORE_PROTOCOL);
    take_connection();
    answer_info(RUN_ID, "noeviction", "master");
    wait_for("PTTL");
    say("$-1\r\n");
    string(EPOCH);
    say("+x\r\n");
    wait_for_state(STORE_PROTOCOL);
    take_connection();
    wait_for("replication");
    say(":1\r\n");
    wait_for_state(STORE_PROTOCOL);
    take_connection();
    greet();
}

Test(store_client, a_wrong_password)
{
    begin(options_with("redis://:wrong@h"));
    wait_for("replication");
    say("-ERR invalid password\r\n");
    wait_for_state(STORE_AUTH);
}

Test(store_client, silence_is_a_timeout_and_it_is_tried_again)
{
    begin_ready();
    struct ask one = {0};
    cr_assert_eq(ask(&one, 1), STATUS_OK);
    store_flush(client);
    uint64_t started = clock_read().boot_ns;
    turn_until_done(&one);
    uint64_t waited_ms = (clock_read().boot_ns - started) / 1000000;
    cr_assert_eq(one.status, STATUS_SYSTEM);
    cr_assert_eq(store_client_state(client), STORE_TIMEOUT);
    cr_assert_geq(waited_ms, TIMEOUT_MS - 2);
    cr_assert(store_wants_address(store));
    cr_assert_not(store_wants_address(store), "once");
    take_connection();
    /* Nor is a greeting waited for any longer. */
    wait_for_state(STORE_TIMEOUT);
    take_connection();
    greet();
}

Test(store_client, a_server_that_closes_or_is_not_there)
{
    begin_ready();
    struct ask one = {0};
    cr_assert_eq(ask(&one, 1), STATUS_OK);
    store_flush(client);
    wait_for("GET");
    say("+OK\r\n"); /* but no seal: it may have been forgotten since */
    close(peer);
    peer = -1;
    turn_until_done(&one);
    cr_assert_eq(one.status, STATUS_SYSTEM);
    cr_assert_eq(store_client_state(client), STORE_UNREACHABLE);
    close(listener);
    listener = -1;
    struct store_counters before, after;
    store_read_counters(store, &before);
    for (int i = 0; i < 1000; i++) {
        turn();
        store_read_counters(store, &after);
        if (after.failures[STORE_UNREACHABLE] >= before.failures[STORE_UNREACHABLE] + 3) {
            break;
        }
    }
    cr_assert_geq(after.failures[STORE_UNREACHABLE], before.failures[STORE_UNREACHABLE] + 3);
}

Test(store_client, no_address_yet)
{
    struct store_options options = options_with("redis://h");
    const struct io_options io_options = {.backend = IO_EPOLL};
    cr_assert_eq(io_new(&io_options, &io), STATUS_OK);
    store = store_new(&options);
    client = store_client_new(store, io, NULL);
    cr_assert_eq(store_client_state(client), STORE_UNREACHABLE);
    cr_assert(store_wants_address(store));
}

Test(store_client, the_same_connection_another_server)
{
    begin_ready();
    /* The look that comes by itself every five seconds. */
    answer_info(OTHER_RUN, "noeviction", "master");
    wait_for_state(STORE_PROTOCOL);
    take_connection();
    greet();
    answer_info(RUN_ID, "allkeys-random", "master");
    wait_for_state(STORE_POLICY);
}

/* ---- failure_local ---- */

Test(store_client, local_inserts_begin_and_end_with_a_new_epoch)
{
    struct store_options options = options_with("redis://h");
    options.failure_local = true;
    begin(options);
    greet();
    cr_assert_str_eq(told, "lost(100) ");
    struct ask one = {0};
    cr_assert_eq(ask(&one, 1), STATUS_OK);
    close(peer);
    peer = -1;
    turn_until_done(&one);
    cr_assert_str_eq(told, "lost(100) local(1) ");
    struct store_counters counters;
    store_read_counters(store, &counters);
    cr_assert(counters.local);
    take_connection();
    answer_info(RUN_ID, "noeviction", "master");
    answer_claim("$-1\r\n", EPOCH, "315359900000");
    /* The memory is the old one, and knows nothing of what was accepted here. */
    wait_for("*5\r\n$3\r\nSET\r\n$9\r\npg1:epoch\r\n");
    cr_assert_str_eq(told, "lost(100) local(1) local(0) ");
    cr_assert_neq(store_client_state(client), STORE_READY, "not before the others can know");
    answer_claim("+OK\r\n", RUN_ID "/ff112233445566778899aabbccddeeff/65", LIFE);
    wait_for_state(STORE_READY);
    cr_assert_str_eq(told, "lost(100) local(1) local(0) lost(0) ");
}

Test(store_client, local_inserts_go_on_if_it_fails_on_the_way_back)
{
    struct store_options options = options_with("redis://h");
    options.failure_local = true;
    begin(options);
    close(peer);
    peer = -1;
    take_connection();
    answer_info(RUN_ID, "noeviction", "master");
    answer_claim("$-1\r\n", EPOCH, "315359900000");
    wait_for("*5\r\n$3\r\nSET\r\n$9\r\npg1:epoch\r\n");
    say("-OOM no\r\n");
    wait_for_state(STORE_OOM);
    cr_assert_str_eq(told, "local(1) lost(100) local(0) local(1) ");
}

/* ---- the end ---- */

Test(store_client, closing_tells_who_waits)
{
    begin_ready();
    struct ask one = {0};
    cr_assert_eq(ask(&one, 1), STATUS_OK);
    store_flush(client);
    store_client_close(client);
    cr_assert_eq(one.done, 1);
    cr_assert_eq(one.status, STATUS_SYSTEM);
    cr_assert_eq(ask(&one, 1), STATUS_SYSTEM);
    store_flush(client);
    store_client_close(client);
}

Test(store_client, closing_before_it_is_connected)
{
    begin(options_with("redis://h"));
    store_client_close(client);
}
