/* Readers of the keys whose values are more than a word. */
#ifndef POPGATE_APP_CONFIG_CUSTOM_H
#define POPGATE_APP_CONFIG_CUSTOM_H

#include "app/config_schema.h"

#define CONFIG_READER(name)                                                                        \
    void config_read_##name(struct config_reader *reader, const struct config_key *key,            \
                            const struct config_node *node, void *into)

CONFIG_READER(listen);
CONFIG_READER(upstream);
CONFIG_READER(workers);
CONFIG_READER(public_origins);
CONFIG_READER(accept);
CONFIG_READER(issuers);
CONFIG_READER(algorithms);
CONFIG_READER(trusted);
CONFIG_READER(admin_listen);
CONFIG_READER(redis);
CONFIG_READER(policy);
CONFIG_READER(policy_path);

const char *config_check_word(struct span item);
const char *config_check_method(struct span item);
const char *config_check_scope(struct span item);
const char *config_check_spiffe(struct span item);

#endif
