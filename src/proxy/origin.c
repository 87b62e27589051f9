#include "proxy/origin.h"

bool origin_is_public(const struct auth_settings *settings, struct span authority)
{
    struct span scheme = SPAN_LITERAL("https://");
    if (authority.size == 0) {
        return false;
    }
    for (size_t i = 0; i < settings->public_origins_count; i++) {
        struct span origin = settings->public_origins[i];
        if (span_starts_with(origin, scheme) &&
            span_equal(span_after(origin, scheme.size), authority)) {
            return true;
        }
    }
    return false;
}

/* Without the port. An IPv6 host keeps its brackets, which no server name has. */
static struct span host_of(struct span authority)
{
    if (authority.size > 0 && authority.data[0] == '[') {
        size_t end = span_find(authority, ']');
        return span_first(authority, end < authority.size ? end + 1 : end);
    }
    return span_first(authority, span_find(authority, ':'));
}

bool origin_matches_server_name(struct span authority, struct span server_name)
{
    return server_name.size == 0 || span_equal_ignore_case(host_of(authority), server_name);
}
