/* score/score.h -- does this sender behave as he always did? A stolen password and a hacked website show in what the server
 * sees without reading anything: how much, to whom, from where, when, and whether it comes back.
 *
 * The score is a sum of named parts. Each part compares a figure with what is usual for this sender, adds between 0 and
 * its most points, and says so in words (score_words()). What is usual is learnt from the sender's own past: the hours of
 * his week, and for every window its highest count (a half in 16 days) and its mean by day. Days that reached
 * SCORE_PACE teach nothing. Who is new is compared with a prior, and what would need a past counts half at first and
 * whole after SCORE_LEARN_DAYS days on which he sent.
 *
 * A sender costs at most SCORE_SENDER_OCTETS, whatever he does. When there are as many as there may be, the one who
 * was silent the longest is forgotten.
 * Pure: no clock, no input. One thread.
 */
#pragma once
#include "base/buf.h"

#define SCORE_SENDERS_MOST 100000u
#define SCORE_SENDER_OCTETS 512u /* without malloc's own and the map's bucket: 24 more */
#define SCORE_LEARN_DAYS 10u

/* name, most points */
#define SCORE_PART_LIST(X)                                                            \
    X(VOLUME, "volume", 20)           /* recipients in an hour, beside this hour of the week */ \
    X(STRANGERS, "strangers", 25)     /* addresses never written to before */         \
    X(FAILURES, "failures", 25)       /* recipients that failed for good */           \
    X(PER_MESSAGE, "per-message", 10) /* recipients of a message */                   \
    X(NETWORKS, "networks", 10)       /* networks never seen before */                \
    X(COUNTRY, "country", 10)         /* a country never seen before */               \
    X(HOUR, "hour", 8)                /* an hour at which he never writes */          \
    X(AT_ONCE, "at-once", 30)         /* different networks within an hour */         \
    X(TEXT, "text", 20)               /* the same text to many strangers */
enum score_part {
#define X(name, text, most) SCORE_##name,
    SCORE_PART_LIST(X)
#undef X
    SCORE_PART_COUNT
};

/* What the score asks for, from so many points on. */
enum score_step { SCORE_CALM, SCORE_WATCH, SCORE_PACE, SCORE_HOLD, SCORE_SUSPEND, SCORE_STEP_COUNT };
enum { SCORE_WATCH_FROM = 30, SCORE_PACE_FROM = 45, SCORE_HOLD_FROM = 60, SCORE_SUSPEND_FROM = 80 };

/* A message, or news of one: a failure that is told later is an event without messages. */
struct score_event {
    int64_t wall_ms;
    uint32_t messages;   /* 0 or more */
    uint32_t recipients;
    uint32_t strangers;  /* of those, never written to before */
    uint32_t failures;   /* failed for good, of this or of earlier messages */
    uint32_t network;    /* score_network(); 0: this machine, or unknown */
    char country[2];     /* upper case letters; NULs: unknown */
    uint64_t text;       /* score_text_take(); 0: unknown */
};

struct score_reason {
    uint8_t points;
    double figure, usual;
    uint32_t per_s;      /* the figure's window; 0: none */
    char country[2];     /* of SCORE_COUNTRY */
};

struct score_verdict {
    unsigned score;      /* the sum of all points */
    enum score_step step;
    struct score_reason reasons[SCORE_PART_COUNT];
};

struct score_table;

struct score_table *score_table_new(size_t most); /* senders, at least 1; NULL: no memory */
void score_table_free(struct score_table *table);
size_t score_table_count(const struct score_table *table);

/* `sender` is a hash of his name that stays the same over restarts. MEMORY: he is not counted, `ret` is unchanged. Time
 * that goes back stands still. */
MUST_CHECK enum status score_count(struct score_table *table, uint64_t sender, const struct score_event *event,
                                   struct score_verdict *ret);
/* How he stands now; NOT_FOUND: never seen, or forgotten. */
MUST_CHECK enum status score_look(struct score_table *table, uint64_t sender, int64_t wall_ms, struct score_verdict *ret);
/* Somebody looked and it is all right: what he does now is what is usual from now on. NOT_FOUND as above. */
MUST_CHECK enum status score_accept(struct score_table *table, uint64_t sender, int64_t wall_ms);
void score_forget(struct score_table *table, uint64_t sender);

/* The network of an address of 4 or 16 octets: its /24 or its /48, never 0; 0 for any other length. A mapped IPv4
 * address (RFC 4291 section 2.5.5.2) is one of 4 octets. */
uint32_t score_network(struct span address);

/* -- words (words.c) -- */
enum score_language { SCORE_ENGLISH, SCORE_POLISH };
const char *score_part_name(enum score_part part);
const char *score_step_name(enum score_step step);
/* "wrote to 312 addresses never written to before in 20 min, usually 4 a day (+25)"; the heaviest first, with "; "
 * between; nothing where nothing has points. */
void score_words(const struct score_verdict *verdict, enum score_language language, struct buf *ret);

/* -- as octets (store.c) -- */
/* Adds senders to `ret` until its ceiling or the last of them, from number `*from` on, which becomes the next one's.
 * Each has a checksum of its own, so one that is damaged takes no other down. True: more are left. MEMORY looks like a
 * ceiling: nothing was added and `*from` did not move. The order is that of last use; write all slices before the next
 * score_count(). In the order of octets of this machine. */
bool score_encode(const struct score_table *table, size_t *from, struct buf *ret);
/* Takes all that are whole; DAMAGED: some were not. MEMORY: the rest is missing. */
MUST_CHECK enum status score_decode(struct score_table *table, struct span octets);
