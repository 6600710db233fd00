/* wire/queue_directory.h -- queue tells how much waits of each account; directory tells whose mail stays where it is.
 *
 * Both lists are packed, at most WIRE_BACKLOG_MAX entries to a message. A new channel begins with everything: of queue
 * all accounts of which something waits, of directory all that are suspended; what the channel before it said is over.
 * Without a directory mail goes on as before.
 */
#pragma once
#include "wire/channel.h"
#include "wire/codec.h"

#define WIRE_BACKLOG_MAX 1000
#define WIRE_BACKLOG_NAME_MAX 4096 /* octets of an account's name, as the spool keeps it */
#define WIRE_STAY_WHY_MAX 400      /* octets of a sentence */
#define WIRE_STAY_MAX 2000000      /* suspended accounts: more than that are no list of ours */

enum queue_directory_kind {
    /* queue -> directory */
    BACKLOG_LEVELS = 1,    /* struct backlog_levels: what changed, gathered over BACKLOG_GATHER_MS */
    /* directory -> queue */
    BACKLOG_STAY = 32,     /* struct backlog_stay: the whole list, in one or more messages */
    BACKLOG_NOTICE,        /* struct backlog_notice: a letter to be sent */
};
#define BACKLOG_GATHER_MS 100

struct backlog_levels {
    uint32_t count;        /* 1 .. WIRE_BACKLOG_MAX */
    struct span entries;   /* packed; backlog_level_put/get */
};
struct backlog_level {
    struct span account;   /* not "" */
    uint64_t messages;     /* that wait now, in whatever state; 0 0: none any more */
    uint64_t octets;       /* that their records and bodies take in the spool, bodies rounded up to MiB */
    uint32_t failures;     /* recipients that failed for good since the entry before */
};

enum { BACKLOG_STAY_FIRST = 1, BACKLOG_STAY_LAST = 2 };
struct backlog_stay {
    uint8_t which;         /* BACKLOG_STAY_x: the first of a list begins anew, behind the last who was not named goes on */
    uint32_t count;        /* 0 .. WIRE_BACKLOG_MAX */
    struct span entries;   /* packed; backlog_stayer_put/get */
};
struct backlog_stayer {
    struct span account;   /* not "" */
    struct span why;       /* a sentence for persons */
};

#define WIRE_NOTICE_SUBJECT_MAX 1024
#define WIRE_NOTICE_TEXT_MAX 16384
struct backlog_notice {
    struct span to;        /* an address; empty: the postmaster */
    struct span subject;   /* UTF-8, one line */
    struct span text;      /* UTF-8, lines end with LF */
};

void backlog_notice_put(struct buf *buf, const struct backlog_notice *value);
void backlog_levels_put(struct buf *buf, const struct backlog_levels *value);
void backlog_level_put(struct buf *buf, const struct backlog_level *value);
void backlog_stay_put(struct buf *buf, const struct backlog_stay *value);
void backlog_stayer_put(struct buf *buf, const struct backlog_stayer *value);

/* All spans are borrowed from `body`. False: the sender broke the format. */
MUST_CHECK bool backlog_notice_get(struct span body, struct backlog_notice *ret);
MUST_CHECK bool backlog_levels_get(struct span body, struct backlog_levels *ret);
MUST_CHECK bool backlog_stay_get(struct span body, struct backlog_stay *ret);
/* Takes the next entry off the front; the caller asks `count` times, then wire_end(). */
MUST_CHECK bool backlog_level_get(struct wire_reader *entries, struct backlog_level *ret);
MUST_CHECK bool backlog_stayer_get(struct wire_reader *entries, struct backlog_stayer *ret);
