/* What several clients of one process find out together. */
#include "store/internal.h"
#include "unit/store/told.h"

#include <criterion/criterion.h>
#include <stdio.h>

#define RUN_ID "0123456789abcdef0123456789abcdef01234567"

static struct store *make(uint32_t clients, bool failure_local)
{
    static struct store_url url;
    const char *reason = NULL;
    cr_assert_eq(store_url_parse(SPAN_LITERAL("redis://h"), &url, &reason), STATUS_OK);
    struct store_options options = {.url = &url,
                                    .clients = clients,
                                    .failure_local = failure_local,
                                    .reach_s = 65,
                                    .memory_lost = memory_lost,
                                    .local = local};
    struct store *store = store_new(&options);
    cr_assert_not_null(store);
    return store;
}

static struct command_epoch epoch(void)
{
    struct command_epoch made;
    cr_assert_eq(command_epoch_make(SPAN_LITERAL(RUN_ID), 65, &made), STATUS_OK);
    return made;
}

Test(store, one_memory_is_adopted_once_however_many_see_it)
{
    struct store *store = make(2, false);
    struct command_epoch one = epoch(), two = epoch();
    store_adopt(store, &one, 50);
    store_adopt(store, &one, 51);
    cr_assert_str_eq(told, "lost(50) ");
    store_adopt(store, &two, 3);
    store_adopt(store, &two, 3);
    cr_assert_str_eq(told, "lost(50) lost(0) ", "who has seen another one has used it until now");
    store_adopt(store, &one, 60);
    cr_assert_str_eq(told, "lost(50) lost(0) lost(0) ", "and back is another one too");
    store_free(store);
}

Test(store, ready_is_when_all_are)
{
    struct store *store = make(2, false);
    struct store_standing first = {0}, second = {0};
    struct store_counters counters;
    store_read_counters(store, &counters);
    cr_assert_eq(counters.state, STORE_CONNECTING);
    cr_assert_not(store_greeted(store, &first));
    store_ready(store, &first, 1);
    store_read_counters(store, &counters);
    cr_assert_eq(counters.state, STORE_CONNECTING);
    cr_assert_not(store_greeted(store, &second));
    store_ready(store, &second, 1);
    store_read_counters(store, &counters);
    cr_assert_eq(counters.state, STORE_READY);
    store_failed(store, &first, STORE_OOM, "full");
    store_read_counters(store, &counters);
    cr_assert_eq(counters.state, STORE_OOM);
    cr_assert_eq(counters.failures[STORE_OOM], 1);
    cr_assert_not(counters.local);
    cr_assert_str_empty(told);
    store_free(store);
}

Test(store, local_ends_with_the_last_client_that_comes_back)
{
    struct store *store = make(2, true);
    struct store_standing first = {0}, second = {0};
    store_failed(store, &first, STORE_UNREACHABLE, "away");
    store_failed(store, &second, STORE_UNREACHABLE, "away");
    store_failed(store, &first, STORE_TIMEOUT, "away");
    cr_assert_str_eq(told, "local(1) ", "once");
    cr_assert_not(store_greeted(store, &first));
    store_ready(store, &first, 1);
    store_failed(store, &first, STORE_UNREACHABLE, "again");
    cr_assert_not(store_greeted(store, &second));
    store_ready(store, &second, 1);
    cr_assert_str_eq(told, "local(1) ");
    cr_assert(store_greeted(store, &first), "the last one makes the new epoch");
    cr_assert_str_eq(told, "local(1) local(0) ");
    store_failed(store, &first, STORE_UNREACHABLE, "before it could");
    cr_assert_str_eq(told, "local(1) local(0) local(1) ");
    cr_assert(store_greeted(store, &first));
    store_free(store);
}

Test(store, windows_only_grow)
{
    struct store *store = make(1, false);
    store_set_window(store, 60, 3);
    cr_assert_eq(atomic_load(&store->reach_s), 65);
    cr_assert_eq(atomic_load(&store->slack_s), 3);
    store_set_window(store, 70, 3);
    cr_assert_eq(atomic_load(&store->reach_s), 70);
    store_free(store);
}

Test(store, every_state_has_a_label)
{
    for (size_t i = 0; i < STORE_STATES; i++) {
        cr_assert(store_state_label((enum store_state)i)[0] != '\0');
    }
    store_free(NULL);
    store_client_free(NULL);
}
