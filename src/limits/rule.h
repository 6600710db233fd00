/* limits/rule.h -- one limit as an operator writes it: what is counted, how much in which time, and what happens then.
 *
 *     recipients 300/1h burst 50 reject
 *     messages 1000/1d each sender
 *     bytes 2GiB/1d hold dry-run
 *     queued 5000
 *     new-recipients unlimited
 *
 * Words after the amount may stand in any order. A rule is counted at the node that has it, for all that is sent below
 * it together; with `each sender` (or another kind) it is no total but the default of every such node below.
 * Pure: no clock, no allocation but in the buffers given.
 */
#pragma once
#include "base/buf.h"

/* What is counted. Levels go up and down and have no time: what is there now. */
#define LIMITS_WHAT_LIST(X)                                                                          \
    X(MESSAGES,       "messages",       false) /* accepted */                                        \
    X(RECIPIENTS,     "recipients",     false) /* accepted, each address of a message once */        \
    X(BYTES,          "bytes",          false) /* octets of accepted messages, once each */          \
    X(NEW_RECIPIENTS, "new-recipients", false) /* to which this sender never wrote before */         \
    X(FAILURES,       "failures",       false) /* recipients that failed for good */                 \
    X(CONNECTIONS,    "connections",    true)  /* open now; with a time: opened */                   \
    X(LOGINS,         "logins",         false) /* that succeeded */                                  \
    X(QUEUED,         "queued",         true)  /* messages that wait now */                          \
    X(QUEUED_BYTES,   "queued-bytes",   true)  /* octets that wait now */
enum limits_what {
#define X(name, text, level) LIMITS_##name,
    LIMITS_WHAT_LIST(X)
#undef X
    LIMITS_WHAT_COUNT
};

/* What happens to that for which there is no room; the milder first. */
enum limits_action {
    LIMITS_NOTIFY,  /* nothing but the warnings: it passes and is counted */
    LIMITS_PACE,    /* accepted, goes out when there is room */
    LIMITS_HOLD,    /* accepted and kept, until there is room or the operator says so */
    LIMITS_DEFER,   /* refused for now, 4xx; the one that is meant where none is written */
    LIMITS_REJECT,  /* refused, 5xx */
    LIMITS_SUSPEND, /* refused, and the sender until somebody lifts it */
    LIMITS_ACTION_COUNT
};

/* Nodes of the tree, the narrowest first. */
enum limits_kind {
    LIMITS_CREDENTIAL, /* one of several passwords or tokens of a sender */
    LIMITS_SENDER,     /* a login, an application, a website */
    LIMITS_DOMAIN,
    LIMITS_CUSTOMER,
    LIMITS_SERVER,
    LIMITS_KIND_COUNT
};

enum {
    LIMITS_RULE_DRY = 1,     /* only tells what it would have stopped */
    LIMITS_RULE_WHOLE = 2,   /* a message passes with all its recipients or not at all */
    LIMITS_RULE_LOCAL = 4,   /* mail to our own mailboxes counts, too */
    LIMITS_RULE_RELAYED = 8, /* mail of machines that did not log in counts, too */
    LIMITS_RULE_EACH = 16    /* a default for every node of the kind `each` below, not a total */
};

#define LIMITS_UNLIMITED UINT64_MAX
#define LIMITS_AMOUNT_MOST (UINT64_C(1) << 43)            /* 8 TiB; more is `unlimited` */
#define LIMITS_PER_LEAST_MS INT64_C(1000)
#define LIMITS_PER_MOST_MS (INT64_C(31) * 24 * 3600 * 1000)

struct limits_rule {
    uint64_t amount;   /* or LIMITS_UNLIMITED: stands in the place of a default and counts nothing */
    uint64_t burst;    /* so many at once, then as they come back evenly (amount / per_ms); 0: no such bound */
    uint32_t per_ms;   /* the window; 0: a level (or unlimited) */
    uint8_t what;      /* enum limits_what */
    uint8_t action;    /* enum limits_action */
    uint8_t each;      /* enum limits_kind, with LIMITS_RULE_EACH */
    uint8_t flags;
};

/* SYNTAX: `why` (a ceiling of 256 octets is enough) names the word that is wrong and how it is written. */
MUST_CHECK enum status limits_rule_parse(struct span text, struct limits_rule *ret, struct buf *why);
/* As the parser reads it; what is usual is left out. */
void limits_rule_write(const struct limits_rule *rule, struct buf *ret);
const char *limits_what_name(enum limits_what what);
const char *limits_action_name(enum limits_action action);
const char *limits_kind_name(enum limits_kind kind);
bool limits_what_is_level(enum limits_what what); /* may be written without a time */

/* The rules of one node as somebody wrote them; borrowed. */
struct limits_set {
    const struct limits_rule *rules;
    size_t n;
};

/* What holds at a node of `kind`: for each thing that is counted, all rules of the nearest set that says anything about
 * it. `sets[0]` are the node's own (those without `each`), the following ones its parents' up to the server's, of which
 * only rules `each KIND` speak of it; last come the presets. A parent's totals are counted at the parent, so a child
 * may be given more than its share, never more than its parents have. Rules that say `unlimited` are left out.
 * Returns how many there are; at most `most` are written. */
size_t limits_rules_of(enum limits_kind kind, const struct limits_set *sets, size_t n, struct limits_rule *ret,
                       size_t most);

/* Protect without configuration: `messages 1000/1d each sender`, `new-recipients 200/1d each sender`. */
struct limits_set limits_presets(void);
