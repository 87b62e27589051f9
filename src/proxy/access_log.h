/* One line a request: who, what, the outcome and its reason in words. Never a token, never a proof,
 * never a query (queries carry secrets too often). */
#ifndef POPGATE_PROXY_ACCESS_LOG_H
#define POPGATE_PROXY_ACCESS_LOG_H

#include "proxy/exchange.h"

void access_log_write(const struct exchange *exchange);

#endif
