/* Reading the rules of auth/policy.h. Pure functions. */
#ifndef POPGATE_AUTH_POLICY_MATCH_H
#define POPGATE_AUTH_POLICY_MATCH_H

#include "auth/policy.h"

/* The first rule whose path and method match, or NULL: then any verified caller passes. */
const struct auth_policy_rule *policy_match(const struct auth_policy_rule *rules, size_t count,
                                            struct span method, struct span path);

/* Whether the peer's SPIFFE ID is one the rule names (or it names none). */
bool policy_admits_peer(const struct auth_policy_rule *rule, struct span spiffe_id);

/* Whether the token's scope has every scope of the rule. */
bool policy_scope_suffices(const struct auth_policy_rule *rule, struct span scope);

#endif
