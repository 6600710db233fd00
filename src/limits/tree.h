/* limits/tree.h -- the counters of all who send: may these pass, and counts them if so, at every node above them.
 *
 * A request goes over a chain of nodes, credential < sender < domain < customer < server, with the rules that hold at each
 * (limits_rules_of()). Either all nodes have room and all count, or none does. What was refused is never counted, so
 * trying again makes nothing worse. Nodes exist from their first count until nothing of it counts any more.
 *
 * Memory has a ceiling. A new node then takes the place of one in which nothing counts any more; when there is none it
 * is refused (LIMITS_VERDICT_FULL): without a counter nobody sends. Windows that exist count on with fewer entries.
 *
 * Pure: no clock, no input. One thread.
 */
#pragma once
#include "limits/rule.h"
#include "limits/window.h"

#define LIMITS_CHAIN_MOST 8         /* nodes of a request */
#define LIMITS_RULES_MOST 16        /* of a node; more are not counted, so do not accept more from an operator */
#define LIMITS_NAME_MOST 640        /* octets of a node's name; a longer one gets no counter, so LIMITS_VERDICT_FULL */
#define LIMITS_MEMORY_DEFAULT (INT64_C(256) << 20)
#define LIMITS_WAIT_DEFAULT_MS (INT64_C(2) * 24 * 3600 * 1000)

struct limits_tree;

struct limits_node {
    struct span name;   /* "shop@example.org", "example.org", a customer's; shown to people */
    const struct limits_rule *rules; /* what holds there, without `each` and `unlimited`; borrowed */
    uint8_t kind;       /* enum limits_kind; with the name the node's identity */
    uint8_t rule_count;
};

enum {
    LIMITS_LOCAL = 1,   /* to a mailbox of ours: counted by rules that say `local` */
    LIMITS_RELAYED = 2, /* from a machine that did not log in: by rules that say `relayed` */
    LIMITS_EXEMPT = 4,  /* bounces, null sender, the server's own notices: passes, counted by none */
    LIMITS_WHOLE = 8    /* all `n` or none */
};

struct limits_request {
    const struct limits_node *chain; /* the narrowest first */
    size_t chain_count;
    enum limits_what what;
    unsigned flags;
    uint64_t n;
    int64_t now_ms;  /* of limits/clock.h */
    int64_t wall_ms; /* the wall clock at the same moment, for the times that people are told */
};

enum limits_outcome {
    LIMITS_VERDICT_PASS,    /* all that was asked; now, or after `wait_ms` */
    LIMITS_VERDICT_LIMITED, /* `granted` pass; the rest meets `rule->action` */
    LIMITS_VERDICT_FULL     /* none: no memory for a new counter; try again later */
};

struct limits_verdict {
    enum limits_outcome outcome;
    uint64_t granted;                /* so many of the front */
    /* Of LIMITED, and borrowed from the request: the rule with the least room, of those the most severe. */
    const struct limits_rule *rule;
    const struct limits_node *node;
    uint64_t asked;
    uint64_t count;                  /* counted there now, with what was granted */
    int64_t clear_wall_ms;           /* when there is room again, rounded up to the second or minute at which a person
                                        would look; LIMITS_NEVER: too much for the rule at any time; 0: a level, nobody knows */
    uint64_t room_then;              /* and how many may pass then */
    /* Of what passes: 0, or how long it is to be kept first, and the rule (`pace` or `hold`) that says so the longest. */
    int64_t wait_ms;
    const struct limits_rule *late_rule;
    const struct limits_node *late_node;
    /* A rule that is only tried would have stopped some: both NULL or both not. */
    const struct limits_rule *dry_rule;
    const struct limits_node *dry_node;
};

/* A limit is nearly, or wholly, used; said once in its window for each (levels: once an hour), not by `dry-run`. The spans
 * are valid during the call, which must not ask the tree anything. */
struct limits_warning {
    const struct limits_node *node;
    const struct limits_rule *rule;
    uint64_t count;
    unsigned percent; /* 80 or 100 */
};
typedef void limits_on_warning(void *arg, const struct limits_warning *warning);

struct limits_tree_setup {
    size_t most_octets;          /* of all counters; 0: LIMITS_MEMORY_DEFAULT */
    limits_on_warning *on_warning; /* may be NULL */
    void *arg;
};

struct limits_tree *limits_tree_new(const struct limits_tree_setup *setup); /* NULL: no memory */
void limits_tree_free(struct limits_tree *tree);

/* How long `pace` and `hold` may have somebody wait; who would wait longer is refused. At least a second. */
void limits_tree_set_wait(struct limits_tree *tree, int64_t most_ms);

/* Asks and counts what may pass. What `pace` and `hold` let pass later is counted when its time has come. */
void limits_tree_take(struct limits_tree *tree, const struct limits_request *request, struct limits_verdict *ret);
/* The same answer, and nothing is counted and nobody warned; `count` and `clear_wall_ms` are those before anything of it. */
void limits_tree_ask(struct limits_tree *tree, const struct limits_request *request, struct limits_verdict *ret);
/* Gives back `request->n` that were taken at `taken_ms`: the message was refused after all, the connection ended. */
void limits_tree_undo(struct limits_tree *tree, const struct limits_request *request, int64_t taken_ms);

/* What is there now at this one node, of something that is a level: after a start, and for a rule that is new. False: no
 * memory for the counter. */
MUST_CHECK bool limits_tree_set_level(struct limits_tree *tree, const struct limits_node *node, enum limits_what what,
                                      uint64_t level, int64_t now_ms);

/* How one rule of a node stands. */
struct limits_reading {
    uint64_t count, room;
    uint64_t late;    /* accepted, and waits for room by `pace` or `hold` */
    int64_t clear_ms; /* when there is room for one more: now_ms when there is already, LIMITS_NEVER, 0: a level */
};
void limits_tree_read(struct limits_tree *tree, const struct limits_node *node, const struct limits_rule *rule,
                      int64_t now_ms, struct limits_reading *ret);
/* Forgets what a node has counted ("release once"). False: nothing was. */
bool limits_tree_forget(struct limits_tree *tree, enum limits_kind kind, struct span name);

/* Looks at up to `most` nodes and removes those in which nothing counts any more; for an idle moment. */
void limits_tree_sweep(struct limits_tree *tree, int64_t now_ms, size_t most);

struct limits_tree_totals {
    size_t nodes, octets, most_octets;
    uint64_t refused_full; /* nodes that found no memory */
    uint64_t coarse;       /* counts that joined an older entry for want of it */
};
struct limits_tree_totals limits_tree_totals(const struct limits_tree *tree);
