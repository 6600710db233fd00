/* conf/tree_priv.h -- YAML text as a small tree; the only file that speaks to libfyaml is tree.c. */
#pragma once
#include "conf/arena_priv.h"
#include "conf/parse.h"

enum conf_node_kind { CONF_NODE_SCALAR, CONF_NODE_LIST, CONF_NODE_MAP };

struct conf_node {
    enum conf_node_kind kind;
    bool plain;             /* scalar without quotes: `null`, `~` and nothing at all mean "left out" */
    unsigned line, column;  /* from 1 */
    struct span text;       /* scalar; a NUL stands behind it */
    struct conf_node *key;  /* in a map: the scalar before the colon */
    struct conf_node *first, *next;
    size_t n;               /* children */
};

/* The document's only node, allocated in `arena`; NULL when `faults` grew. An empty document is an empty map. */
struct conf_node *conf_tree_build(struct conf_arena *arena, struct span text, struct conf_faults *faults);
