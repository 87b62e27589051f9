/* Reading the rules of auth/policy.h. Pure functions. */
#ifndef POPGATE_AUTH_POLICY_MATCH_H
#define POPGATE_AUTH_POLICY_MATCH_H

#include "auth/policy.h"

/* Finds the first rule whose path and method match; *rule is NULL when none does: then any verified
 * caller passes. `path` is normalised (base/uri.h) and what is forwarded. False when the rule
 * depends on who reads it: another one is the first for a service that decodes what RFC 3986 keeps
 * escaped, takes "//" for "/" and cuts at ";" ("/admin%2Fx", "//admin/x", "/admin;v=1/x" under a
 * rule for "/admin/"). *rule is then the one for the path as it stands, and the request must not
 * pass. */
bool policy_match(const struct auth_policy_rule *rules, size_t count, struct span method,
                  struct span path, const struct auth_policy_rule **rule);

/* Whether all of them read this path as it stands. Only such a path may be a rule's. */
bool policy_path_is_plain(struct span path);

/* Whether the peer's SPIFFE ID is one the rule names (or it names none). */
bool policy_admits_peer(const struct auth_policy_rule *rule, struct span spiffe_id);

/* Whether the token's scope has every scope of the rule. */
bool policy_scope_suffices(const struct auth_policy_rule *rule, struct span scope);

#endif
