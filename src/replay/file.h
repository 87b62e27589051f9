/* The replay file: opened, checked, made anew where it has to be, and mapped. */
#ifndef POPGATE_REPLAY_FILE_H
#define POPGATE_REPLAY_FILE_H

#include "base/status.h"
#include "replay/header.h"

#include <stdbool.h>
#include <stddef.h>

/* Another process sets the file up: wait for it so long, then refuse to start. */
#define REPLAY_FILE_WAIT_MS 5000

struct replay_file {
    int descriptor;
    void *memory; /* REPLAY_HEADER_BYTES, then the slots */
    size_t bytes;
    bool found; /* its entries are those of earlier processes, or of those that still run */
    bool alone; /* no other process has it */
};

/* `fresh` is what the header becomes if the file is made anew; its boot_id, time_namespace and
 * checksum are filled in here. A file of another capacity is made anew too, unless another process
 * has it: then that capacity stands.
 * `window_s` and `now_boot_s`: entries that would live longer are damage.
 * STATUS_OK: `text` holds what was found, a phrase. Otherwise a sentence that says what is wrong
 * and with which file; then nothing is open. The file is created 0600, and refused unless it is a
 * regular file of ours alone: owner, mode, one name. */
MUST_CHECK enum status replay_file_open(const char *path, const struct replay_identity *fresh,
                                        uint64_t now_boot_s, struct replay_file *file, char *text,
                                        size_t text_size);
/* Until this is called nobody else can begin to use the file, so that what follows from `alone` is
 * done while it is true. STATUS_OK, or STATUS_SYSTEM with errno: then it is to be closed. */
MUST_CHECK enum status replay_file_let_in(struct replay_file *file);
void replay_file_close(struct replay_file *file);

/* Whether the file is still as long as its mapping. One system call. */
bool replay_file_is_whole(const struct replay_file *file);

#endif
