#include "control/file_watch.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct fingerprint {
    uint64_t device, inode, size;
    int64_t modified_s, modified_ns, changed_s, changed_ns;
};

struct file_watch {
    size_t count;
    char **paths;
    struct fingerprint *known, *seen, *now; /* as remembered; at the last look; at this one */
};

/* All zero for a file that cannot be looked at: no inode is 0. */
static void look_at(const char *path, struct fingerprint *out)
{
    struct stat about;
    memset(out, 0, sizeof *out);
    if (stat(path, &about) == 0) {
        *out = (struct fingerprint){
            .device = about.st_dev,
            .inode = about.st_ino,
            .size = (uint64_t)about.st_size,
            .modified_s = about.st_mtim.tv_sec,
            .modified_ns = about.st_mtim.tv_nsec,
            .changed_s = about.st_ctim.tv_sec,
            .changed_ns = about.st_ctim.tv_nsec,
        };
    }
}

static void look_at_all(const struct file_watch *watch, struct fingerprint *out)
{
    for (size_t i = 0; i < watch->count; i++) {
        look_at(watch->paths[i], &out[i]);
    }
}

struct file_watch *file_watch_new(const char *const *paths, size_t count)
{
    struct file_watch *watch = calloc(1, sizeof *watch);
    if (watch == NULL) {
        return NULL;
    }
    watch->paths = calloc(count + 1, sizeof *watch->paths);
    watch->known = calloc(count + 1, sizeof *watch->known);
    watch->seen = calloc(count + 1, sizeof *watch->seen);
    watch->now = calloc(count + 1, sizeof *watch->now);
    bool whole = watch->paths != NULL && watch->known != NULL && watch->seen != NULL &&
                 watch->now != NULL;
    for (size_t i = 0; whole && i < count; i++) {
        watch->paths[i] = strdup(paths[i]);
        whole = watch->paths[i] != NULL;
        watch->count++;
    }
    if (!whole) {
        file_watch_free(watch);
        return NULL;
    }
    look_at_all(watch, watch->known);
    memcpy(watch->seen, watch->known, count * sizeof *watch->known);
    return watch;
}

void file_watch_free(struct file_watch *watch)
{
    if (watch == NULL) {
        return;
    }
    for (size_t i = 0; i < watch->count; i++) {
        free(watch->paths[i]);
    }
    free(watch->paths);
    free(watch->known);
    free(watch->seen);
    free(watch->now);
    free(watch);
}

enum file_watch_state file_watch_look(struct file_watch *watch)
{
    size_t size = watch->count * sizeof *watch->now;
    look_at_all(watch, watch->now);
    bool settled = memcmp(watch->now, watch->seen, size) == 0;
    bool as_known = memcmp(watch->now, watch->known, size) == 0;
    memcpy(watch->seen, watch->now, size);
    if (as_known) {
        return FILE_WATCH_SAME;
    }
    if (!settled) {
        return FILE_WATCH_CHANGING;
    }
    memcpy(watch->known, watch->now, size);
    return FILE_WATCH_CHANGED;
}
