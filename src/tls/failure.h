/* Static words for what BoringSSL's error queue says. Internal to src/tls. */
#ifndef POPGATE_TLS_FAILURE_H
#define POPGATE_TLS_FAILURE_H

/* Empties the thread's queue. Never NULL. */
const char *tls_failure_words(void);

#endif
