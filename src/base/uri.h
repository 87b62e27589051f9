/* The one place where a URI is read and normalised (RFC 3986 6.2.2, 6.2.3): `auth` compares what this gives
 * with htu, and `http` forwards what this gives, so that what is checked is what is forwarded. */
#ifndef POPGATE_BASE_URI_H
#define POPGATE_BASE_URI_H

#include "base/span.h"
#include "base/status.h"

/* Scheme and host in lower case, the default port dropped, unreserved escapes decoded, other escapes in upper-case
 * hex, dot segments removed, an empty path is "/". Path case kept. All spans point into the caller's output. */
struct uri {
    struct span scheme;    /* "https" */
    struct span authority; /* host[:port] after normalisation; an IPv6 host keeps its brackets */
    struct span path;      /* begins with "/" */
    bool has_query;
    struct span query; /* without "?", exactly as it came, escapes checked; may be empty */
};

/* Normalises an absolute URI such as a proof's htu. Query is kept apart, a fragment is dropped.
 * `out` must have room for text.size + 2 bytes. STATUS_MALFORMED for userinfo, an empty host, a port over 65535, bad
 * escapes, bytes outside RFC 3986, and a trailing dot on the host; STATUS_UNSUPPORTED for a scheme other than
 * http or https. */
MUST_CHECK enum status uri_normalise(struct span text, struct span_mut out, struct uri *uri);

/* Normalises an authority (Host, :authority, a public origin) of the given scheme: lower case, default port dropped.
 * `out` must have room for text.size bytes. STATUS_MALFORMED as above. */
MUST_CHECK enum status uri_normalise_authority(struct span text, struct span scheme,
                                               struct span_mut out, struct span *authority);

/* Normalises an origin-form request target, "/path[?query]". A '#', a raw space or control, and a byte above 0x7f
 * are STATUS_MALFORMED. `out` must have room for target.size + 1 bytes. Sets path and query only.
 * uri->path.data .. query end is contiguous in `out` ("path?query"): it is the request target to forward. */
MUST_CHECK enum status uri_normalise_target(struct span target, struct span_mut out,
                                            struct uri *uri);

#endif
