/* YAML text as a tree of values with positions. Only what a configuration needs of YAML is
 * accepted: one document, no anchors, aliases, tags or directives, keys that are plain words. */
#ifndef POPGATE_APP_CONFIG_TREE_H
#define POPGATE_APP_CONFIG_TREE_H

#include "app/config_report.h"
#include "base/memory.h"

#define CONFIG_FILE_BYTES_MAX (256 * 1024)
#define CONFIG_DEPTH_MAX      8

enum config_kind { CONFIG_SCALAR, CONFIG_SEQUENCE, CONFIG_MAPPING };

struct config_node {
    enum config_kind kind;
    bool quoted; /* a scalar in quotes, or a block scalar */
    bool broken; /* an error was reported in its place already */
    struct config_position position;
    struct span text; /* of a scalar: no control characters; a NUL stands behind the last byte */
    struct config_node *first, *next;
    size_t count; /* of children */
    /* as the value of a mapping's key */
    struct span name;
    struct config_position name_position;
};

/* Nodes and texts are made in `arena`. STATUS_OK with at least an empty mapping in *root, or
 * STATUS_MALFORMED (reported: not UTF-8, not YAML, too deep), STATUS_NO_MEMORY. What can be
 * reported without losing the thread (anchors and the like) does not end the reading: `broken`
 * marks it, and the report is not empty. */
MUST_CHECK enum status config_tree_parse(struct arena *arena, struct span text,
                                         struct config_report *report, struct config_node **root);

#endif
