/* The page of metrics: what the workers and what they share count, under the names of the design.
 */
#ifndef POPGATE_APP_METRICS_PAGE_H
#define POPGATE_APP_METRICS_PAGE_H

#include "admin/metrics_text.h"

/* `context` is a struct gate_process that has its shared parts; workers that do not run yet count
 * as nothing. On the admin thread, while the gate lives. */
void metrics_page_collect(void *context, struct metrics_text *page);

#endif
