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

struct page_answer {
    uint16_t status;
    struct span fields, body;
    const char *content_type;
};

static const struct span not_allowed = SPAN_LITERAL(
    "Allow: GET, HEAD\r\nCache-Control: no-store\r\n");

static bool is_read(const struct http_head *head)
{
    return span_equal_string(head->method, "GET") || span_equal_string(head->method, "HEAD");
}

static const struct page *find_page(struct span path)
{
    for (size_t i = 0; i < sizeof pages_list / sizeof pages_list[0]; i++) {
        if (span_equal_string(path, pages_list[i].path)) {
            return &pages_list[i];
        }
    }
    return NULL;
}

/* The pages of a private listener. False: there is no such page. */
static bool answer_private(const struct admin_pages *pages, const struct http_head *head,
                           struct page_answer *answer)
{
    struct http1_writer out;
    struct admin_private asked = {
        .path = head->uri.path,
        .query = head->uri.query,
        .changes = span_equal_string(head->method, "PUT") ||
                   span_equal_string(head->method, "POST"),
    };
    bool known = asked.changes || is_read(head);
    if (pages->private_page == NULL || !known) {
        return false;
    }
    http1_writer_init(&out, pages->page, ADMIN_PAGE_BYTES_MAX);
    answer->status = pages->private_page(pages->context, &asked, &out, &answer->content_type);
    answer->body = span_make(out.data, out.size);
    if (answer->status == 405) {
        answer->fields = not_allowed;
        answer->body = SPAN_LITERAL("GET and HEAD only\n");
    } else if (out.overflow) {
        answer->status = 500;
        answer->body = SPAN_LITERAL("the page does not fit its buffer\n");
    }
    return answer->status != 0;
}

static void find_answer(const struct admin_pages *pages, const struct http_head *head,
                        struct page_answer *answer)
{
    const struct page *page = find_page(head->uri.path);
    if (page == NULL && answer_private(pages, head, answer)) {
        return;
    }
    if (!is_read(head)) {
        answer->status = 405;
        answer->fields = not_allowed;
        answer->body = SPAN_LITERAL("GET and HEAD only\n");
    } else if (page == NULL) {
        answer->status = 404;
        answer->body = pages->private_page != NULL
                           ? SPAN_LITERAL("here are /livez, /readyz, /metrics, /identities, "
                                          "/config and /log-level\n")
                           : SPAN_LITERAL("here are /livez, /readyz and /metrics\n");
    } else {
        answer->status = page->write(pages, head, &answer->content_type, &answer->body);
    }
}

void admin_answer(const struct admin_pages *pages, const struct http_head *head,
                  struct http1_writer *writer, bool *keep_alive)
{
    struct page_answer answer = {.fields = SPAN_LITERAL("Cache-Control: no-store\r\n"),
                                 .content_type = plain};
    /* "curl -X PUT" says Content-Length: 0, which is no body. */
    bool has_body = head->body == HTTP_BODY_CHUNKED || head->content_length > 0;
    if (has_body) {
        /* Nobody reads it, so what follows on this connection cannot be told from it. */
        answer.status = 413;
        answer.body = SPAN_LITERAL("no request here has a body\n");
        *keep_alive = false;
    } else {
        find_answer(pages, head, &answer);
    }
    http1_write_answer(writer, answer.status, answer.fields, answer.content_type, answer.body,
                       *keep_alive, span_equal_string(head->method, "HEAD"));
}

void admin_refuse(const struct http_refusal *refusal, struct http1_writer *writer)
{
    http1_write_answer(writer, refusal->status, SPAN_LITERAL("Cache-Control: no-store\r\n"), plain,
                       span_from_string(refusal->reason), false, false);
}
