/* queue/message.h -- what queue keeps in memory of a message, and nothing more.
 *
 * A message is cut into shares: its recipients at one domain, at most one transaction's worth of them. A share is
 * the unit of everything that follows: it waits, takes its turn, is leased, held, tried again as one. When its
 * recipients fare differently it is split. Addresses stay on disk; a recipient here is its index in the record.
 * A waiting message with one recipient costs about 215 octets, its places in the tables included; domain and site, each
 * kept once, come on top.
 */
#pragma once
#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "base/span.h"

struct queue;
struct queue_account;
struct queue_domain;
struct queue_lane;
struct queue_lease;
struct queue_reason;
struct queue_report;
struct queue_log_segment;

/* Where a share is; the recipient's life in queue/queue.h says what that means on disk. */
enum queue_place {
    QUEUE_DUE,       /* waits for its time */
    QUEUE_RESOLVING, /* its time has come; which site serves its domain is being asked */
    QUEUE_READY,     /* in a lane: waits for its account's turn at its site */
    QUEUE_LEASED,    /* a delivery process has it */
    QUEUE_HELD,      /* an operator stopped it */
    QUEUE_REPORTING, /* over, as soon as its report is stored */
    QUEUE_SUSPENDED, /* its account is suspended: it stays until that is taken back */
    QUEUE_PLACE_COUNT
};
const char *queue_place_name(enum queue_place place); /* "waiting", "resolving", ...; never NULL */

struct queue_rcpt {
    uint32_t index;  /* in the record's envelope */
    uint8_t notify;  /* NOTIFY_x of wire/smtpd_queue.h */
    uint8_t spare[3];
};

enum {
    QUEUE_SHARE_NOTICED = 1,        /* the sender was told about the delay */
    QUEUE_SHARE_HELD = 2,           /* `held` may say by whom and why */
    QUEUE_SHARE_DELIVERED = 4,      /* a report of success is owed, nothing else: delivered, */
    QUEUE_SHARE_RELAYED = 8,        /* or relayed */
    QUEUE_SHARE_LATE = 32,          /* a limit keeps, or kept, it until `retry_ms`; nothing was tried yet */
    QUEUE_SHARE_LAST = 16,          /* its time ran out while nobody was here: it has one more attempt; not on disk */
};

struct queue_share {
    struct heap_node wake;          /* when something is next to be done about it, whatever it is */
    struct list link;               /* of its domain (RESOLVING), its lane (READY), its account (SUSPENDED) */
    struct queue_message *message;
    struct queue_share *next, *prev; /* of the message */
    struct queue_domain *domain;
    const struct queue_reason *last; /* how the last attempt ended; NULL before it */
    union {
        struct queue_lane *lane;     /* READY */
        struct queue_lease *lease;   /* LEASED */
        struct queue_report *report; /* REPORTING */
        const struct queue_reason *held; /* HELD by somebody: his name (its host) and why (its text) */
    };
    union {
        struct queue_rcpt one;      /* count == 1 */
        struct queue_rcpt *many;
    };
    int64_t retry_ms;               /* when it may be tried again */
    uint32_t count;                 /* recipients */
    uint16_t tries;                 /* attempts that ended */
    uint8_t place;                  /* enum queue_place */
    uint8_t flags;                  /* QUEUE_SHARE_x */
};

/* 64 MiB of somebody's log; queue owns it, whoever writes it. */
struct queue_log_segment {
    struct map_node node;           /* by number */
    struct list messages;           /* those with a living recipient, in the order of their records */
    struct list *reading;           /* where a checkpoint goes on in `messages`; NULL: it has not begun */
    uint64_t epoch;
    uint32_t number;
    uint32_t size;
    uint32_t known;                 /* offset of the last record that was announced or scanned */
    uint32_t covered;               /* the same, as the last checkpoint has it: a start scans what lies behind it */
    uint32_t living;                /* messages */
    uint64_t living_octets;
    uint64_t oldest, newest;        /* ids: no message in it is before or behind these; 0: there was none yet */
    int writer;                     /* who appends to it; -1: nobody */
    bool sealed;                    /* nobody will append to it again */
    bool old;                       /* from before our start */
    bool unread;                    /* the disk would not give all of it: it stays as it is until the next start */
    bool moving;                    /* its survivors are being copied */
    bool empty_told;                /* the owner of the disk knows that it may be reused */
    uint64_t sent_to;               /* delivery processes that have its descriptor, one bit each */
    void *owner;                    /* what the disk side keeps about it */
};

enum {
    QUEUE_MESSAGE_NULL_SENDER = 1,  /* a report: nobody is told when it fails */
    QUEUE_MESSAGE_POSTMASTER = 2,   /* it goes to the postmaster: a report about it would go round in circles */
    QUEUE_MESSAGE_BODY = 16,        /* the bits from here on: MiB of its body file, rounded up */
};

struct queue_message {
    struct map_node node;           /* by id */
    struct list in_segment;
    uint64_t id;                    /* tells the time of acceptance, too */
    uint64_t body;                  /* number of its body file, 0: none */
    struct queue_account *account;
    struct queue_log_segment *segment;
    struct queue_share *shares;
    uint32_t offset, length;        /* of its record */
    uint32_t living;                /* recipients */
    uint16_t recipients;            /* that it came with; 65535: or more */
    uint16_t flags;                 /* QUEUE_MESSAGE_x */
};

static inline struct queue_rcpt *queue_share_rcpts(struct queue_share *share)
{
    return share->count == 1 ? &share->one : share->many;
}

/* What is known of a new message; `recipients` are as in struct writer_enqueue. */
struct queue_arrival {
    uint64_t id, body;
    uint64_t octets;                /* of header and body; only needed where there is a body file */
    uint32_t segment, offset, length;
    uint32_t flags;                 /* ENQUEUE_x */
    struct span account, sender;
    uint32_t recipient_count;
    struct span recipients;
};

/* Makes the message with its shares, all at rest (QUEUE_HELD without being told to anybody). EXISTS: that id is here
 * already. DAMAGED: the recipients are not what they say. NOT_FOUND: no such segment. MEMORY. */
MUST_CHECK enum status queue_message_add(struct queue *queue, const struct queue_arrival *arrival,
                                         struct queue_message **ret);
struct queue_message *queue_message_find(const struct queue *queue, uint64_t id);
/* Forgets it with whatever is left of it. */
void queue_message_forget(struct queue *queue, struct queue_message *message);

/* Takes the recipients whose entry in `class` (one octet for each) is `which` into a new share of the same message, at
 * rest; the entries of those that stay close up. `share` itself comes back when all are taken, NULL when none is, or
 * when there is no memory for it. The share must be at rest. */
struct queue_share *queue_share_split(struct queue *queue, struct queue_share *share, uint8_t *class, uint8_t which);
/* The recipients of that class need nothing more and are forgotten. True: the share is gone with its last, and the
 * message perhaps with it. */
bool queue_share_drop(struct queue *queue, struct queue_share *share, uint8_t *class, uint8_t which);
/* These recipients need nothing more. Frees the share, and the message with its last. The share must be at rest. */
void queue_share_end(struct queue *queue, struct queue_share *share);

struct queue_log_segment *queue_segment_find(const struct queue *queue, uint32_t number);
/* For a message that is put together piece by piece (queue/recover.c): begin, shares with their recipients, enter.
 * Until then the undo frees it with all its shares. NULL, false: out of memory. */
struct queue_message *queue_message_begin(struct queue *queue, uint64_t id, struct span account);
struct queue_share *queue_share_begin(struct queue *queue, struct queue_message *message, struct span domain,
                                      struct span route);
MUST_CHECK bool queue_rcpt_add(struct queue_share *share, struct queue_rcpt rcpt);
MUST_CHECK enum status queue_message_enter(struct queue *queue, struct queue_message *message,
                                           struct queue_log_segment *segment);
void queue_message_undo(struct queue *queue, struct queue_message *message);

/* NULL: out of memory. */
struct queue_log_segment *queue_segment_add(struct queue *queue, uint32_t number, uint64_t epoch, uint32_t size, int writer);
void queue_segment_forget(struct queue *queue, struct queue_log_segment *segment);
/* The message's record is now elsewhere (its survivors were moved). */
void queue_message_move(struct queue *queue, struct queue_message *message, struct queue_log_segment *to, uint32_t offset,
                        uint32_t length);
