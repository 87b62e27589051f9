#include "admin/pages.h"

struct page {
    const char *path;
    uint16_t (*write)(const struct admin_pages *pages, const struct http_head *head,
                      const char **content_type, struct span *body);
};

static const char plain[] = "text/plain; charset=utf-8";

/* The thread that answers is the proof: a loop that hangs does not get here. */
static uint16_t livez(const struct admin_pages *pages, const struct http_head *head,
                      const char **content_type, struct span *body)
{
    (void)pages;
    (void)head;
    (void)content_type;
    *body = SPAN_LITERAL("ok\n");
    return 200;
}

static uint16_t readyz(const struct admin_pages *pages, const struct http_head *head,
                       const char **content_type, struct span *body)
{
    (void)head;
    (void)content_type;
    switch (pages->state) {
    case ADMIN_READY:
        *body = SPAN_LITERAL("ok\n");
        return 200;
    case ADMIN_DRAINING:
        *body = SPAN_LITERAL("draining\n");
        return 503;
    case ADMIN_STARTING:
        break;
    }
    *body = SPAN_LITERAL("starting\n");
    return 503;
}

static uint16_t metrics(const struct admin_pages *pages, const struct http_head *head,
                        const char **content_type, struct span *body)
{
    struct metrics_accept accept = {0};
    for (uint32_t i = 0; i < head->headers_count; i++) {
        if (span_equal_ignore_case(head->headers[i].name, SPAN_LITERAL("accept"))) {
            metrics_accept_add(&accept, head->headers[i].value);
        }
    }
    enum metrics_format format = metrics_accept_choose(&accept);
    struct metrics_text text;
    metrics_text_init(&text, format, pages->page, ADMIN_PAGE_BYTES_MAX);
    pages->collect(pages->context, &text);
    metrics_text_finish(&text);
    if (text.overflow) {
        *body = SPAN_LITERAL("the page does not fit its buffer\n");
        return 500;
    }
    *content_type = metrics_content_type(format);
    *body = span_make(text.data, text.size);
    return 200;
}

static const struct page pages_list[] = {
    {"/livez", livez}, {"/readyz", readyz}, {"/metrics", metrics}};

static const struct page *find_page(struct span path)
{
    for (size_t i = 0; i < sizeof pages_list / sizeof pages_list[0]; i++) {
        if (span_equal_string(path, pages_list[i].path)) {
            return &pages_list[i];
        }
    }
    return NULL;
}

void admin_answer(const struct admin_pages *pages, const struct http_head *head,
                  struct http1_writer *writer, bool *keep_alive)
{
    bool is_head = span_equal_string(head->method, "HEAD");
    struct span fields = SPAN_LITERAL("Cache-Control: no-store\r\n"), body;
    const char *content_type = plain;
    const struct page *page = find_page(head->uri.path);
    uint16_t status = 0;
    if (head->body != HTTP_BODY_NONE) {
        /* Nobody reads it, so what follows on this connection cannot be told from it. */
        status = 413;
        body = SPAN_LITERAL("no request here has a body\n");
        *keep_alive = false;
    } else if (!is_head && !span_equal_string(head->method, "GET")) {
        status = 405;
        fields = SPAN_LITERAL("Allow: GET, HEAD\r\nCache-Control: no-store\r\n");
        body = SPAN_LITERAL("GET and HEAD only\n");
    } else if (page == NULL) {
        status = 404;
        body = SPAN_LITERAL("here are /livez, /readyz and /metrics\n");
    } else {
        status = page->write(pages, head, &content_type, &body);
    }
    http1_write_answer(writer, status, fields, content_type, body, *keep_alive, is_head);
}

void admin_refuse(const struct http_refusal *refusal, struct http1_writer *writer)
{
    http1_write_answer(writer, refusal->status, SPAN_LITERAL("Cache-Control: no-store\r\n"), plain,
                       span_from_string(refusal->reason), false, false);
}
