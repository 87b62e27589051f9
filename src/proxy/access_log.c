#include "proxy/access_log.h"

#include "proxy/core.h"

static void write_identity(struct log_line *line, const struct auth_check *check)
{
    const struct auth_identity *identity = &check->identity;
    log_span(line, "subject", identity->subject);
    log_span(line, "client_id", identity->client_id);
    log_span(line, "issuer", identity->issuer);
    if (identity->jkt_size > 0) {
        log_span(line, "jkt", span_make(identity->jkt, identity->jkt_size));
    }
}

/* The check that said no and what it found; for requests that auth never saw, the proxy's own
 * words. */
static void write_reason(struct log_line *line, const struct exchange *exchange)
{
    const struct auth_check *check = &exchange->check;
    if (exchange->submitted && !exchange->deciding && check->denial != AUTH_DENIAL_NONE) {
        log_string(line, "check", auth_denial_label(check->denial));
        const char *description = auth_denial_description(check->denial);
        log_string(line, "reason",
                   description[0] != '\0' ? description : auth_denial_label(check->denial));
        if (check->detail[0] != '\0') {
            log_string(line, "detail", check->detail);
        }
    } else if (exchange->reason != NULL) {
        log_string(line, "reason", exchange->reason);
    }
}

void access_log_write(const struct exchange *exchange)
{
    const struct proxy *proxy = exchange->proxy;
    if (!proxy->settings->log_access || !log_enabled(proxy->log, LOG_INFO)) {
        return;
    }
    uint64_t now_ns = io_now(proxy->io)->boot_ns;
    struct log_line line;
    log_begin(&line, proxy->log, LOG_INFO, "request");
    log_string(&line, "outcome", proxy_outcome_label(exchange->outcome));
    log_number(&line, "status", exchange->status);
    write_reason(&line, exchange);
    if (exchange->has_head) {
        log_span(&line, "method", exchange->request.method);
        log_span(&line, "host", exchange->request.uri.authority);
        log_span(&line, "path", exchange->request.uri.path);
    }
    if (exchange->client_address != NULL) {
        char text[CLIENT_ADDRESS_TEXT_BYTES];
        log_span(&line, "client_address", client_address_port_text(exchange->client_address, text));
    }
    if (exchange->peer != NULL) {
        log_span(&line, "spiffe_id", exchange->peer->spiffe_id);
    }
    if (exchange->submitted && exchange->check.outcome == AUTH_ALLOWED) {
        write_identity(&line, &exchange->check);
    }
    log_number(&line, "bytes_in", (int64_t)exchange->bytes_in);
    log_number(&line, "bytes_out", (int64_t)exchange->bytes_out);
    log_number(&line, "duration_us", (int64_t)((now_ns - exchange->started_ns) / 1000));
    if (exchange->forwarded_ns != 0) {
        log_number(&line, "upstream_us", (int64_t)((now_ns - exchange->forwarded_ns) / 1000));
    }
    log_end(&line);
}
