/* Notices that files have changed on disk, by looking at them: written in place, renamed over, or
 * swapped by a symbolic link somewhere on their path (Kubernetes' ..data) all give another device,
 * inode, size or time. Looking is what works on every file system and for every way of writing, and
 * costs a stat a file. One thread. */
#ifndef POPGATE_CONTROL_FILE_WATCH_H
#define POPGATE_CONTROL_FILE_WATCH_H

#include <stddef.h>

struct file_watch;

enum file_watch_state {
    FILE_WATCH_SAME,
    FILE_WATCH_CHANGING, /* not as they were, and not yet the same twice: they may be half written
                          */
    FILE_WATCH_CHANGED,  /* the same twice, and not as they were: said once */
};

/* Remembers how the files are now; what is read later is at least as new. Paths are copied; a file
 * that is not there is a state like any other. Returns owned, NULL when memory fails. */
struct file_watch *file_watch_new(const char *const *paths, size_t count);
void file_watch_free(struct file_watch *watch);

/* Looks at all of them. After FILE_WATCH_CHANGED they are remembered as they are now, before
 * anybody reads them, so that a change during the reading is seen by the next look. */
enum file_watch_state file_watch_look(struct file_watch *watch);

#endif
