#include "auth/policy_match.h"

#include "base/bytes.h"

/* ---- one path, read two ways ---- */

static uint8_t hex_value(uint8_t digit)
{
    return (uint8_t)(digit <= '9' ? digit - '0' : digit - 'A' + 10);
}

/* The byte that stands at path.data[*at], which moves behind it. Escapes are in upper case, and
 * those of unreserved bytes are gone; of what is left, those of bytes that a path may also hold as
 * they are have two spellings ("%3A" and ":"), the others have this one and stay. */
static uint8_t decode(struct span path, size_t *at)
{
    const uint8_t *text = path.data + *at;
    if (text[0] == '%' && path.size - *at >= 3) {
        uint8_t byte = (uint8_t)(hex_value(text[1]) << 4 | hex_value(text[2]));
        if (byte == '\\' || byte_is(byte, BYTE_PATH)) {
            *at += 3;
            return byte == '\\' ? '/' : byte;
        }
    }
    *at += 1;
    return text[0];
}

/* Takes the next byte of the plain reading of `path`, which *at is in: escapes are decoded, slashes
 * that follow each other are one, and from ";" to the next one there is nothing. False at the end.
 */
static bool read_plain(struct span path, size_t *at, bool *in_slash, uint8_t *byte)
{
    bool in_parameter = false;
    while (*at < path.size) {
        *byte = decode(path, at);
        if (*byte == '/') {
            in_parameter = false;
            if (!*in_slash) {
                *in_slash = true;
                return true;
            }
        } else {
            in_parameter = in_parameter || *byte == ';';
            if (!in_parameter) {
                *in_slash = false;
                return true;
            }
        }
    }
    return false;
}

bool policy_path_is_plain(struct span path)
{
    size_t at = 0;
    bool in_slash = false;
    uint8_t byte;
    for (size_t i = 0; i < path.size; i++) {
        if (!read_plain(path, &at, &in_slash, &byte) || at != i + 1) {
            return false;
        }
    }
    return true;
}

static bool is_prefix(struct span rule)
{
    return rule.data[rule.size - 1] == '/';
}

static bool path_matches(struct span rule, struct span path)
{
    if (rule.size == 0) {
        return true;
    }
    return is_prefix(rule) ? span_starts_with(path, rule) : span_equal(path, rule);
}

static bool plain_path_matches(struct span rule, struct span path)
{
    size_t at = 0;
    bool in_slash = false;
    uint8_t byte;
    for (size_t i = 0; i < rule.size; i++) {
        if (!read_plain(path, &at, &in_slash, &byte) || byte != rule.data[i]) {
            return false;
        }
    }
    return rule.size == 0 || is_prefix(rule) || !read_plain(path, &at, &in_slash, &byte);
}

/* ---- rules ---- */

static bool contains(const struct span *list, size_t count, struct span wanted)
{
    for (size_t i = 0; i < count; i++) {
        if (span_equal(list[i], wanted)) {
            return true;
        }
    }
    return false;
}

/* What a service may take the method for: some do not mind its case, and a WebSocket's CONNECT is a
 * GET to one that speaks HTTP/1.1, as it is from a client that does. */
static bool names_method(const struct auth_policy_rule *rule, struct span method)
{
    bool connects = span_equal_string(method, "CONNECT");
    for (size_t i = 0; i < rule->methods_count; i++) {
        struct span one = rule->methods[i];
        if (span_equal_ignore_case(one, method) || (connects && span_equal_string(one, "GET"))) {
            return true;
        }
    }
    return rule->methods_count == 0;
}

static const struct auth_policy_rule *
first_match(const struct auth_policy_rule *rules, size_t count, struct span method,
            struct span path, bool (*matches)(struct span rule, struct span path))
{
    for (size_t i = 0; i < count; i++) {
        if (matches(rules[i].path, path) && names_method(&rules[i], method)) {
            return &rules[i];
        }
    }
    return NULL;
}

/* Two readings stand for all there are between them (of a service that merges slashes and keeps
 * parameters, say). Where both find a prefix, all find it, for what is plain stays as it is; where
 * both find an exact path, the path is plain; and a rule that another reading finds before it, the
 * plain one finds too. */
bool policy_match(const struct auth_policy_rule *rules, size_t count, struct span method,
                  struct span path, const struct auth_policy_rule **rule)
{
    *rule = first_match(rules, count, method, path, path_matches);
    return count == 0 || policy_path_is_plain(path) ||
           first_match(rules, count, method, path, plain_path_matches) == *rule;
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
