#include "auth/policy_match.h"

static bool path_matches(struct span rule, struct span path)
{
    if (rule.size == 0) {
        return true;
    }
    return rule.data[rule.size - 1] == '/' ? span_starts_with(path, rule) : span_equal(path, rule);
}

static bool contains(const struct span *list, size_t count, struct span wanted)
{
    for (size_t i = 0; i < count; i++) {
        if (span_equal(list[i], wanted)) {
            return true;
        }
    }
    return false;
}

const struct auth_policy_rule *policy_match(const struct auth_policy_rule *rules, size_t count,
                                            struct span method, struct span path)
{
    for (size_t i = 0; i < count; i++) {
        const struct auth_policy_rule *rule = &rules[i];
        if (path_matches(rule->path, path) &&
            (rule->methods_count == 0 || contains(rule->methods, rule->methods_count, method))) {
            return rule;
        }
    }
    return NULL;
}

bool policy_admits_peer(const struct auth_policy_rule *rule, struct span spiffe_id)
{
    return rule->spiffe_ids_count == 0 ||
           contains(rule->spiffe_ids, rule->spiffe_ids_count, spiffe_id);
}

/* RFC 6749 section 3.3: "a list of space-delimited, case-sensitive strings". */
static bool scope_contains(struct span scope, struct span wanted)
{
    while (scope.size > 0) {
        size_t end = span_find(scope, ' ');
        if (span_equal(span_first(scope, end), wanted)) {
            return true;
        }
        scope = span_after(scope, end < scope.size ? end + 1 : end);
    }
    return false;
}

bool policy_scope_suffices(const struct auth_policy_rule *rule, struct span scope)
{
    for (size_t i = 0; i < rule->scopes_count; i++) {
        if (!scope_contains(scope, rule->scopes[i])) {
            return false;
        }
    }
    return true;
}
