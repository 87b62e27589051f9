/* Between exchange.c and exchange_decision.c. */
#ifndef POPGATE_PROXY_EXCHANGE_INTERNAL_H
#define POPGATE_PROXY_EXCHANGE_INTERNAL_H

#include "proxy/exchange.h"

/* A whole answer of the gate's own; the exchange is over. */
void exchange_answer_with(struct exchange *exchange, enum proxy_outcome outcome,
                          const struct answer *answer);

/* What the check's denial is answered with. */
void exchange_deny(struct exchange *exchange, bool close);

#endif
