/* Between h1.c (what comes in) and h1_answer.c (what goes out). */
#ifndef POPGATE_PROXY_H1_INTERNAL_H
#define POPGATE_PROXY_H1_INTERNAL_H

#include "proxy/downstream.h"
#include "proxy/exchange.h"

extern const struct exchange_client h1_client_ops;

/* Goes on with whatever can go on, then sets the timer and the reading that the state calls for.
 * Does nothing within itself: who is called from the pump may ask for it all the same. */
void h1_pump(struct downstream *downstream);
/* Nothing more is read; the connection ends. */
void h1_stop(struct downstream *downstream, enum downstream_end end);
/* The answer is whole. */
void h1_request_over(struct downstream *downstream);

#endif
