/* What admin.socket shows beside the pages that everybody may see: /identities, /config and
 * /log-level. */
#ifndef POPGATE_APP_ADMIN_PAGES_H
#define POPGATE_APP_ADMIN_PAGES_H

#include "admin/admin.h"

struct gate_process;

/* For admin_options.private_page; `context` is the gate process. On the admin thread. */
uint16_t admin_pages_answer(void *context, const struct admin_private *asked,
                            struct http1_writer *out, const char **content_type);

/* On the main thread: the configuration in force is another one. */
void admin_pages_show(struct gate_process *gate);

#endif
