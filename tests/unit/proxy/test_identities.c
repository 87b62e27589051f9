#include "proxy/identities.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static struct identity_names named(const char *spiffe, const char *subject)
{
    return (struct identity_names){.spiffe_id = span_from_string(spiffe),
                                   .subject = span_from_string(subject)};
}

static size_t all(struct identities *identities, struct identity_entry *out)
{
    size_t count = 0;
    for (size_t set = 0; set < IDENTITIES_SETS; set++) {
        count += identities_copy(identities, set, out + count);
    }
    return count;
}

Test(identities, counts_by_who_and_outcome)
{
    static struct identity_entry out[IDENTITIES_MAX];
    struct identities *identities = identities_new();
    cr_assert_eq(all(identities, out), 0);
    struct identity_names a = named("spiffe://a", "sub"), b = named("spiffe://a", "");
    identities_note(identities, &a, PROXY_OUTCOME_ALLOWED, 100);
    identities_note(identities, &a, PROXY_OUTCOME_ALLOWED, 101);
    identities_note(identities, &b, PROXY_OUTCOME_DENIED, 102);
    identities_note(identities, &a, PROXY_OUTCOME_UPSTREAM_ERROR, 103);
    cr_assert_eq(all(identities, out), 2);
    const struct identity_entry *first = out[0].sizes[2] > 0 ? &out[0] : &out[1];
    const struct identity_entry *second = out[0].sizes[2] > 0 ? &out[1] : &out[0];
    cr_assert_eq(first->requests[PROXY_OUTCOME_ALLOWED], 2);
    cr_assert_eq(first->requests[PROXY_OUTCOME_UPSTREAM_ERROR], 1);
    cr_assert_eq(first->requests[PROXY_OUTCOME_DENIED], 0);
    cr_assert(first->first_s == 100 && first->last_s == 103);
    cr_assert_eq(memcmp(first->values[0], "spiffe://a", first->sizes[0]), 0);
    cr_assert_eq(memcmp(first->values[2], "sub", 3), 0);
    cr_assert(first->sizes[1] == 0 && first->sizes[3] == 0);
    cr_assert_eq(second->requests[PROXY_OUTCOME_DENIED], 1);
    identities_free(identities);
}

Test(identities, which_value_it_is_counts)
{
    static struct identity_entry out[IDENTITIES_MAX];
    struct identities *identities = identities_new();
    struct span ab = SPAN_LITERAL("ab"), a = SPAN_LITERAL("a"), b = SPAN_LITERAL("b");
    const struct identity_names names[] = {
        {.spiffe_id = ab},
        {.issuer = ab},
        {.subject = ab},
        {.client_id = ab},
        {.issuer = a, .subject = b},
        {.spiffe_id = a, .issuer = b},
        {.subject = {NULL, 0}},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        identities_note(identities, &names[i], PROXY_OUTCOME_ALLOWED, 1);
    }
    cr_assert_eq(all(identities, out), sizeof names / sizeof names[0]);
    identities_free(identities);
}

Test(identities, long_values_are_shown_cut_and_stay_apart)
{
    static struct identity_entry out[IDENTITIES_MAX];
    struct identities *identities = identities_new();
    char one[400], other[400];
    memset(one, 'x', sizeof one);
    memset(other, 'x', sizeof other);
    one[399] = other[399] = '\0';
    other[398] = 'y';
    struct identity_names a = named(one, one), b = named(other, one);
    identities_note(identities, &a, PROXY_OUTCOME_ALLOWED, 1);
    identities_note(identities, &b, PROXY_OUTCOME_ALLOWED, 1);
    cr_assert_eq(all(identities, out), 2);
    cr_assert(out[0].sizes[0] == IDENTITIES_VALUE_BYTES && out[0].sizes[2] == 128);
    identities_free(identities);
}

Test(identities, the_table_is_bounded_and_who_was_seen_last_stays)
{
    static struct identity_entry out[IDENTITIES_MAX];
    struct identities *identities = identities_new();
    struct identity_names often = named("spiffe://often", "");
    for (int i = 0; i < 20000; i++) {
        char name[32];
        snprintf(name, sizeof name, "spiffe://%d", i);
        struct identity_names names = named(name, "");
        identities_note(identities, &names, PROXY_OUTCOME_ALLOWED, 1000 + i);
        identities_note(identities, &often, PROXY_OUTCOME_ALLOWED, 1000 + i);
    }
    size_t count = all(identities, out);
    cr_assert(count <= IDENTITIES_MAX && count > IDENTITIES_MAX * 9 / 10, "%zu", count);
    uint64_t seen = 0;
    for (size_t i = 0; i < count; i++) {
        if (memcmp(out[i].values[0], "spiffe://often", 14) == 0) {
            seen = out[i].requests[PROXY_OUTCOME_ALLOWED];
        }
    }
    cr_assert_eq(seen, 20000);
    identities_free(identities);
    identities_free(NULL);
}

static void *copies(void *context)
{
    static struct identity_entry out[IDENTITIES_MAX];
    for (int i = 0; i < 200; i++) {
        size_t count = all(context, out);
        for (size_t j = 0; j < count; j++) {
            cr_assert_eq(memcmp(out[j].values[0], "spiffe://", 9), 0);
            cr_assert(out[j].last_s >= out[j].first_s);
        }
    }
    return NULL;
}

Test(identities, read_while_written)
{
    struct identities *identities = identities_new();
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, copies, identities), 0);
    for (int i = 0; i < 50000; i++) {
        char name[32];
        snprintf(name, sizeof name, "spiffe://%d", i % 3000);
        struct identity_names names = named(name, "");
        identities_note(identities, &names, PROXY_OUTCOME_ALLOWED, i);
    }
    cr_assert_eq(pthread_join(thread, NULL), 0);
    identities_free(identities);
}
