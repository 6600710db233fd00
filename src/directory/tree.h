/* directory/tree.h -- server > customer > domain > sender: what may be said about a sender may be said on any node.
 *
 * Lies in the accounts database (directory/accounts.h opens it; docs/formats/accounts.md describes the tables). The server is
 * one node and always there; below it are customers, each with domains; a sender (a person's login, an application, a
 * website) lies below a domain, or below a customer where it has none. A node's settings are rows of text under a name
 * (tree_settings): children inherit what they do not say themselves, and what a parent says, a child cannot widen.
 * Suspending a node stops all senders below it.
 *
 * Every change is one transaction, or a part of the one that tree_begin() opened, and leaves a line in the audit log.
 */
#pragma once
#include "directory/accounts.h"

enum tree_kind { TREE_SERVER, TREE_CUSTOMER, TREE_DOMAIN, TREE_SENDER };

#define TREE_DEPTH_MAX 4        /* nodes from a sender up to the server */
#define TREE_NAME_MAX ACCOUNTS_LOGIN_MAX
#define TREE_TEXT_MAX 255       /* octets of a title or a reason */
#define TREE_VALUE_MAX 255      /* octets of a setting's value */
#define TREE_VALUES_MAX 16      /* values of one setting on one node */
#define TREE_DEFAULT "default"  /* the customer of whom nobody said whose he is */
#define TREE_SERVER_NAME "server"

struct tree_node {
    int64_t id, parent;         /* parent 0: the server */
    enum tree_kind kind;
    bool suspended;
    int64_t suspended_ms, created_ms, changed_ms; /* wall clock */
    struct span name, title, reason; /* lie in `room`: pass by pointer */
    char room[TREE_NAME_MAX + 2 * TREE_TEXT_MAX];
};

const char *tree_kind_text(enum tree_kind kind); /* "customer"; static */
MUST_CHECK bool tree_kind_find(struct span text, enum tree_kind *ret);
/* The spelling under which a node of this kind is kept: a login's, a domain in small letters. SYNTAX, TOO_LONG. */
MUST_CHECK enum status tree_name_key(enum tree_kind kind, struct span name, struct buf *ret);

/* -- asking. NOT_FOUND; IO, DAMAGED: nothing can be said now -- */

/* `name` is a key; the server has but one. */
MUST_CHECK enum status tree_find(struct accounts *accounts, enum tree_kind kind, struct span name, struct tree_node *ret);
MUST_CHECK enum status tree_get(struct accounts *accounts, int64_t id, struct tree_node *ret);
/* Calls `each` for all nodes of this kind (below `parent`, unless 0), by name. `each` may ask, but for lists of nodes, and must
 * not change. */
typedef void tree_each(void *arg, const struct tree_node *node);
MUST_CHECK enum status tree_list(struct accounts *accounts, enum tree_kind kind, int64_t parent, tree_each *each, void *arg);
/* From the node itself up to the server. */
MUST_CHECK enum status tree_chain(struct accounts *accounts, int64_t id, struct tree_node ret[TREE_DEPTH_MAX], size_t *ret_n);

/* -- settings -- */

enum tree_rule {
    TREE_NEAREST,  /* of a sender holds what the nearest node says: language */
    TREE_NARROWEST,/* the narrowest of all that is said holds: from, priority */
    TREE_ALL       /* all that is said holds, each on the node that says it: limit */
};

struct tree_setting {
    const char *name;
    enum tree_rule rule;
    bool is_list;               /* may have several values */
    const char *preset;         /* what holds when nobody says anything */
    const char *const *words;   /* allowed, the narrowest first; NULL: `check` */
    bool (*check)(struct span value, struct buf *why); /* false: `why` says what is allowed */
    const char *help;
};

extern const struct tree_setting tree_settings[]; /* ended by { 0 } */
const struct tree_setting *tree_setting_find(struct span name); /* NULL: there is none */
/* May the value stand there? False: `why` says what may. */
MUST_CHECK bool tree_value_check(const struct tree_setting *setting, struct span value, struct buf *why);

/* Calls `each` for all values that this very node says, by setting and place in its list. */
typedef void tree_each_value(void *arg, struct span setting, struct span value);
MUST_CHECK enum status tree_values(struct accounts *accounts, int64_t id, tree_each_value *each, void *arg);
/* What holds for the node of a setting that is no list: its own, its parents', the preset. */
MUST_CHECK enum status tree_effective(struct accounts *accounts, int64_t id, const struct tree_setting *setting,
                                      struct buf *ret);

/* -- changing; for the audit log, accounts_set_who() says who does it -- */

/* One transaction around many changes; a change that fails leaves it open: tree_rollback() then. */
MUST_CHECK enum status tree_begin(struct accounts *accounts);
MUST_CHECK enum status tree_commit(struct accounts *accounts);
void tree_rollback(struct accounts *accounts);

/* `name` is a key. EXISTS. `ret` is its id. DENIED: such a node cannot lie below that one. */
MUST_CHECK enum status tree_add(struct accounts *accounts, enum tree_kind kind, int64_t parent, struct span name,
                                struct span title, int64_t now_ms, int64_t *ret);
/* With everything below it. DENIED: the server, the customer "default". */
MUST_CHECK enum status tree_remove(struct accounts *accounts, const struct tree_node *node, int64_t now_ms);
MUST_CHECK enum status tree_move(struct accounts *accounts, const struct tree_node *node, int64_t parent, int64_t now_ms);
MUST_CHECK enum status tree_set_title(struct accounts *accounts, const struct tree_node *node, struct span title,
                                      int64_t now_ms);
MUST_CHECK enum status tree_suspend(struct accounts *accounts, const struct tree_node *node, struct span reason,
                                    int64_t now_ms);
MUST_CHECK enum status tree_resume(struct accounts *accounts, const struct tree_node *node, int64_t now_ms);
/* Instead of what the node said about this setting; none: it says nothing any more. Values were checked. */
MUST_CHECK enum status tree_set(struct accounts *accounts, const struct tree_node *node, const struct tree_setting *setting,
                                const struct span *values, size_t count, int64_t now_ms);

/* A line of the audit log about the node, without any change: an order to a running directory. */
MUST_CHECK enum status tree_note(struct accounts *accounts, const struct tree_node *node, const char *action, int64_t now_ms);
#define TREE_FORGET "forget-limits" /* what the limits have counted of the node */

/* -- the audit log: latest first -- */

struct tree_audit {
    int64_t at_ms;
    struct span who, action, kind, name, detail; /* "root", "suspend", "customer", "acme", "unpaid bill" */
};
typedef void tree_each_audit(void *arg, const struct tree_audit *audit);
/* `name` empty: of everything; else of nodes with this name. At most `most` lines not older than `since_ms`. */
MUST_CHECK enum status tree_audit(struct accounts *accounts, struct span name, int64_t since_ms, size_t most,
                                  tree_each_audit *each, void *arg);
