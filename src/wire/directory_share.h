/* wire/directory_share.h -- directory and share: what this machine has counted of the limits, and what the others have.
 *
 * Share asks, as often as its settings say and only while it can talk to the others; directory answers each question with one
 * SHARE_COUNTS. So nothing piles up between them. What the spans hold is directory's affair (limits/share.h) and goes through
 * share as it is. A new channel begins with SHARE_ALL.
 */
#pragma once
#include "wire/channel.h"
#include "wire/codec.h"

#define WIRE_SHARE_MACHINE_MAX 64  /* octets of a machine's name */
#define WIRE_SHARE_KEY_MAX 1024
#define WIRE_SHARE_VALUE_MAX 32768
#define WIRE_SHARE_OCTETS 262144u  /* of entries, after which a message gets no more of them */
#define WIRE_SHARE_NODES_MAX 4096  /* entries of a message */

enum directory_share_kind {
    /* share -> directory */
    SHARE_ALL = 1,     /* empty: everything is to be told anew */
    SHARE_GIVE,        /* empty: what changed? */
    SHARE_OTHERS,      /* struct share_nodes of struct share_other */
    /* directory -> share */
    SHARE_COUNTS = 32, /* struct share_nodes of struct share_node: the answer to SHARE_GIVE, maybe of none */
};

struct share_nodes {
    bool more;           /* SHARE_COUNTS: there is more, ask again */
    uint32_t count;      /* 0 .. WIRE_SHARE_NODES_MAX */
    struct span entries; /* packed */
};
struct share_node {
    struct span key, value;
};
struct share_other {
    struct span machine; /* not "" */
    uint32_t age_ms;     /* since it told that */
    struct share_node node;
};

void share_nodes_put(struct buf *buf, const struct share_nodes *value);
void share_node_put(struct buf *buf, const struct share_node *value);
void share_other_put(struct buf *buf, const struct share_other *value);

/* All spans are borrowed from the body. False: the sender broke the format. */
MUST_CHECK bool share_nodes_get(struct span body, struct share_nodes *ret);
/* Takes the next entry off the front; the caller asks `count` times, then wire_end(). */
MUST_CHECK bool share_node_get(struct wire_reader *entries, struct share_node *ret);
MUST_CHECK bool share_other_get(struct wire_reader *entries, struct share_other *ret);
