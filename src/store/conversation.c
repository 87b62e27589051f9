/* What is said to the server: who it is and what it remembers when the connection begins, batches
 * with a seal behind them, and what every answer means. */
#include "store/client.h"

#include <stdio.h>
#include <string.h>

/* A connection is looked at so often, also one that nobody uses. */
#define LOOK_MS 5000
/* An epoch that vanishes each time it has been claimed is no memory. */
#define CLAIMS_MAX 8

static uint64_t reach_of(const struct store_client *client)
{
    return atomic_load_explicit(&client->store->reach_s, memory_order_relaxed);
}

static void no_room(struct store_client *client)
{
    client_fail(client, STORE_PROTOCOL, "no room for a command");
}

static void ask_info(struct store_client *client)
{
    static const struct {
        const char *section;
        enum client_step step;
    } parts[] = {{"server", CLIENT_INFO_SERVER},
                 {"memory", CLIENT_INFO_MEMORY},
                 {"replication", CLIENT_INFO_REPLICATION}};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (command_info(&client->plain, parts[i].section) != STATUS_OK) {
            no_room(client);
            return;
        }
        client_push(client, parts[i].step);
    }
}

void conversation_begin(struct store_client *client)
{
    const struct store_url *url = &client->store->url;
    client->claims = 0;
    client->run_id[0] = '\0';
    if (url->password[0] != '\0') {
        if (command_auth(&client->plain, url->user, url->password) != STATUS_OK) {
            no_room(client);
            return;
        }
        client_push(client, CLIENT_AUTH);
    }
    ask_info(client);
}

void conversation_look(struct store_client *client)
{
    if (client->phase == CLIENT_READY) {
        ask_info(client);
        io_timer_set(client->io, &client->look, LOOK_MS);
    }
}

/* ---- the epoch ---- */

/* Asks for the epoch there is, and brings one where there is none; with `replace` also where there
 * is one. */
static void claim(struct store_client *client, bool replace)
{
    struct command_epoch candidate;
    if (++client->claims > CLAIMS_MAX) {
        client_fail(client, STORE_PROTOCOL, "what it was told to remember is gone each time");
        return;
    }
    if (command_epoch_make(span_from_string(client->run_id), reach_of(client), &candidate) !=
            STATUS_OK ||
        command_set_epoch(&client->plain, &candidate, !replace) != STATUS_OK) {
        no_room(client);
        return;
    }
    client_push(client, CLIENT_CLAIM);
    if (command_get_epoch(&client->plain) != STATUS_OK) {
        no_room(client);
        return;
    }
    client_push(client, CLIENT_EPOCH);
    if (command_epoch_ttl(&client->plain) != STATUS_OK) {
        no_room(client);
        return;
    }
    client_push(client, CLIENT_AGE);
}

/* The memory is not the one that checks were made by. Those that wait are told when the new one is
 * known: by then the floor has been raised, and the nonce they get admits them. */
static void reseal(struct store_client *client)
{
    if (!client->resealing) {
        client->resealing = true;
        client->claims = 0;
        claim(client, false);
    }
}

void conversation_seal(struct store_client *client)
{
    if (!client->unsealed) {
        return;
    }
    if (client->epoch.reach_s < reach_of(client)) {
        /* A reload accepts proofs for longer than the others remember theirs: they must know first,
         * and what we have just asked was asked too early. */
        reseal(client);
    }
    if (command_get_epoch(&client->plain) != STATUS_OK) {
        no_room(client);
        return;
    }
    client->unsealed = false;
    client_push(client, CLIENT_SEAL);
    atomic_fetch_add_explicit(&client->store->batches, 1, memory_order_relaxed);
}

static void become_ready(struct store_client *client)
{
    client->phase = CLIENT_READY;
    client->attempts = 0;
    store_ready(client->store, &client->standing, client->age_s);
    io_timer_set(client->io, &client->look, LOOK_MS);
}

static void epoch_known(struct store_client *client, uint64_t age_s)
{
    client->epoch = client->found;
    client->age_s = age_s;
    store_adopt(client->store, &client->epoch, age_s);
    if (client->resealing) {
        client->resealing = false;
        client_settle(client, client->next, STATUS_DENIED);
    }
    if (client->phase != CLIENT_GREETING) {
        return;
    }
    if (!client->standing.greeted && store_greeted(client->store, &client->standing)) {
        claim(client, true);
        return;
    }
    become_ready(client);
}

/* Made by this very process of the server, and for as long as we need it. Another one was restored,
 * replicated or copied here: what it stood for may not have come whole. */
static bool is_good(const struct store_client *client, const struct command_epoch *epoch)
{
    return command_epoch_is_of(epoch, span_from_string(client->run_id)) &&
           epoch->reach_s >= reach_of(client);
}

static void take_epoch(struct store_client *client, const struct resp_answer *answer)
{
    client->found_good = false;
    client->found.size = 0;
    if (answer->kind == RESP_STRING) {
        if (command_epoch_read(resp_text(answer), &client->found) != STATUS_OK) {
            client_fail(client, STORE_PROTOCOL, "%s holds something that is not ours",
                        COMMAND_EPOCH_KEY);
            return;
        }
        client->found_good = is_good(client, &client->found);
    } else if (answer->kind != RESP_NIL) {
        client_fail(client, STORE_PROTOCOL, "GET is answered by something else");
    }
}

static void take_age(struct store_client *client, const struct resp_answer *answer)
{
    if (answer->kind != RESP_INTEGER) {
        client_fail(client, STORE_PROTOCOL, "PTTL is answered by something else");
        return;
    }
    int64_t left_ms = answer->integer;
    if (!client->found_good || left_ms < 0 || left_ms > COMMAND_EPOCH_LIFE_MS) {
        claim(client, client->found.size > 0);
        return;
    }
    epoch_known(client, (uint64_t)(COMMAND_EPOCH_LIFE_MS - left_ms) / 1000);
}

/* ---- what each answer means ---- */

static enum store_state error_state(struct span text, enum client_step step)
{
    static const struct {
        const char *begins;
        enum store_state state;
    } errors[] = {{"OOM ", STORE_OOM},           {"READONLY ", STORE_REPLICA},
                  {"NOAUTH ", STORE_AUTH},       {"WRONGPASS ", STORE_AUTH},
                  {"NOPERM ", STORE_AUTH},       {"LOADING ", STORE_LOADING},
                  {"MASTERDOWN ", STORE_REPLICA}};
    if (step == CLIENT_AUTH) {
        return STORE_AUTH;
    }
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        if (span_starts_with(text, span_from_string(errors[i].begins))) {
            return errors[i].state;
        }
    }
    return STORE_REFUSED;
}

static void take_server(struct store_client *client, struct span info)
{
    struct span run_id = command_info_field(info, "run_id");
    if (run_id.size != COMMAND_RUN_ID_SIZE) {
        client_fail(client, STORE_PROTOCOL, "INFO server names no run_id");
        return;
    }
    if (client->phase == CLIENT_READY && !span_equal(run_id, span_from_string(client->run_id))) {
        client_fail(client, STORE_PROTOCOL,
                    "another server answers on one connection: there is a proxy in between");
        return;
    }
    memcpy(client->run_id, run_id.data, run_id.size);
    client->run_id[run_id.size] = '\0';
}

static void take_memory(struct store_client *client, struct span info)
{
    struct span policy = command_info_field(info, "maxmemory_policy");
    if (!span_equal_string(policy, "noeviction")) {
        client_fail(client, STORE_POLICY,
                    "its maxmemory-policy is %.*s: it may forget proofs that could be used again; "
                    "set it to noeviction (CONFIG SET maxmemory-policy noeviction, and in "
                    "redis.conf)",
                    policy.size > 0 && policy.size < 40 ? (int)policy.size : 7,
                    policy.size > 0 && policy.size < 40 ? (const char *)policy.data : "unknown");
    }
}

static void take_replication(struct store_client *client, struct span info)
{
    struct span role = command_info_field(info, "role");
    if (!span_equal_string(role, "master")) {
        client_fail(client, STORE_REPLICA, "it is a replica, which must not be written to");
    } else if (client->phase == CLIENT_GREETING) {
        claim(client, false);
    }
}

static void take_info(struct store_client *client, enum client_step step,
                      const struct resp_answer *answer)
{
    if (answer->kind != RESP_STRING) {
        client_fail(client, STORE_PROTOCOL, "INFO is answered by something else");
    } else if (step == CLIENT_INFO_SERVER) {
        take_server(client, resp_text(answer));
    } else if (step == CLIENT_INFO_MEMORY) {
        take_memory(client, resp_text(answer));
    } else {
        take_replication(client, resp_text(answer));
    }
}

static void take_claim(struct store_client *client, const struct resp_answer *answer)
{
    bool set = answer->kind == RESP_STATUS && span_equal_string(resp_text(answer), "OK");
    if (!set && answer->kind != RESP_NIL) {
        client_fail(client, STORE_PROTOCOL, "SET is answered by something else");
    }
}

static void take_insert(struct store_client *client, struct client_slot *slot,
                        const struct resp_answer *answer)
{
    if (answer->kind == RESP_STATUS && span_equal_string(resp_text(answer), "OK")) {
        slot->result = STATUS_OK;
    } else if (answer->kind == RESP_NIL) {
        slot->result = STATUS_EXISTS;
    } else {
        client_fail(client, STORE_PROTOCOL, "SET is answered by something else");
    }
}

static void take_seal(struct store_client *client, const struct resp_answer *answer)
{
    if (client->resealing) {
        return;
    }
    if (answer->kind == RESP_STRING &&
        span_equal(resp_text(answer), span_make(client->epoch.text, client->epoch.size))) {
        client_settle(client, client->next, STATUS_OK);
    } else {
        reseal(client);
    }
}

void conversation_answer(struct store_client *client, struct client_slot *slot,
                         const struct resp_answer *answer)
{
    enum client_step step = (enum client_step)slot->step;
    if (answer->kind == RESP_ERROR) {
        struct span text = resp_text(answer);
        client_fail(client, error_state(text, step), "it says %.*s",
                    text.size < 160 ? (int)text.size : 160, answer->text);
        return;
    }
    switch (step) {
    case CLIENT_INSERT:
        take_insert(client, slot, answer);
        break;
    case CLIENT_SEAL:
        take_seal(client, answer);
        break;
    case CLIENT_AUTH:
        break; /* whatever it is, it is no error */
    case CLIENT_INFO_SERVER:
    case CLIENT_INFO_MEMORY:
    case CLIENT_INFO_REPLICATION:
        take_info(client, step, answer);
        break;
    case CLIENT_CLAIM:
        take_claim(client, answer);
        break;
    case CLIENT_EPOCH:
        take_epoch(client, answer);
        break;
    case CLIENT_AGE:
        take_age(client, answer);
        break;
    case CLIENT_NOTHING:
        client_fail(client, STORE_PROTOCOL, "an answer that nobody asked for");
        break;
    }
}
