/* One status for the whole tree. Zero is failure, so that memory nobody wrote never reads as
 * success. */
#ifndef POPGATE_BASE_STATUS_H
#define POPGATE_BASE_STATUS_H

enum status {
    STATUS_FAILED = 0,  /* what a batch's results start as; a verification that did not hold */
    STATUS_OK,          /* it holds, it is done */
    STATUS_AGAIN,       /* not yet: more input, or room for output, is needed */
    STATUS_CLOSED,      /* the peer ended in good order */
    STATUS_EXISTS,      /* insert-if-absent: it was there */
    STATUS_FULL,        /* a named bound is reached */
    STATUS_NOT_FOUND,   /* no such thing */
    STATUS_MALFORMED,   /* the bytes are not in the language they claim to be in */
    STATUS_UNSUPPORTED, /* well formed, but not something we do */
    STATUS_TOO_LARGE,   /* over a named limit */
    STATUS_EXPIRED,     /* outside its time */
    STATUS_DENIED,      /* the rules, or the kernel, say no */
    STATUS_NO_MEMORY,   /* allocation failed */
    STATUS_SYSTEM,      /* a system call failed; the caller that can log errno does so at once */
};

/* Every function that returns a status is declared with it. */
#define MUST_CHECK __attribute__((warn_unused_result))

/* A short lower-case word for logs, e.g. "malformed". Never NULL. */
const char *status_name(enum status status);

#endif
