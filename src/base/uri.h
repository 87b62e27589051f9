/* The one place where a URI is read and normalised (RFC 3986 6.2.2, 6.2.3): `auth` compares what
 * this gives with htu, and `http` forwards what this gives, so that what is checked is what is
 * forwarded. */
#ifndef POPGATE_BASE_URI_H
#define POPGATE_BASE_URI_H

#include "base/span.h"
#include "base/status.h"

/* Scheme and host in lower case, the default port dropped, unreserved escapes decoded, other
 * escapes in upper-case hex, dot segments removed, an empty path is "/". Path case kept. All spans
 * point into the caller's output. */
struct uri {
    struct span scheme;    /* "https" */
    struct span authority; /* host[:port] after normalisation; an IPv6 host keeps its brackets */
    struct span path;      /* begins with "/" */
    bool has_query;
    struct span query; /* without "?", exactly as it came, escapes checked; may be empty */
};

#define URI_HOST_BYTES_MAX 255 /* RFC 1035's bound on a name; a longer one is nobody's */

/* Normalises an absolute URI such as a proof's htu. Query is kept apart, a fragment is checked and
 * dropped. `out` must have room for text.size + 2 bytes, else STATUS_TOO_LARGE. STATUS_UNSUPPORTED
 * for a scheme other than http or https. STATUS_MALFORMED for
 *   - userinfo, an empty host or label (so a trailing dot), a host over URI_HOST_BYTES_MAX, and
 * what no host name holds: other bytes than the unreserved ones, an IPv6 zone, a future version's
 * literal;
 *   - a port that is no number, is 0, has leading zeros or is over 65535 (none behind the colon is
 * the default one);
 *   - a bad escape, "%00" in the path, what becomes a dot segment for those who decode "%2F" or
 * "%5C" or cut at ";" before they look, and in the path every byte that RFC 3986 does not allow
 * there. In the query every visible character but "#" is let through, as browsers send "[" and "|":
 * it is not interpreted. More ".." than there are segments stop at "/" (RFC 3986 section 5.2.4).
 * "//" is not "/". */
MUST_CHECK enum status uri_normalise(struct span text, struct span_mut out, struct uri *uri);

/* Normalises an authority (Host, :authority, a public origin) of the given scheme (in lower case):
 * lower case, default port dropped. `out` must have room for text.size bytes. STATUS_MALFORMED as
 * above, and for any escape: in a proof "%61" may spell an "a", but who routes by Host must not
 * have to know. */
MUST_CHECK enum status uri_normalise_authority(struct span text, struct span scheme,
                                               struct span_mut out, struct span *authority);

/* Normalises an origin-form request target, "/path[?query]". A '#', a raw space or control, a byte
 * above 0x7f and what uri_normalise refuses in paths and queries are STATUS_MALFORMED. `out` must
 * have room for target.size + 1 bytes. Sets path, has_query and query only. uri->path.data .. query
 * end is contiguous in `out` ("path?query"): it is the request target to forward. */
MUST_CHECK enum status uri_normalise_target(struct span target, struct span_mut out,
                                            struct uri *uri);

#endif
