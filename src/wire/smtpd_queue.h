/* wire/smtpd_queue.h -- between a process that takes messages in (smtpd, later web) and queue.
 *
 * queue owns the spool directory; the writer gets its segments and body files open. A message is announced
 * (ENQUEUE) only after its record is synced; queue does not answer: the record on disk is what counts.
 * ENQUEUEs come in the order of the records in the log, so that a writer's death leaves one gap at the end,
 * which queue closes by scanning the segment from there.
 */
#pragma once
#include "wire/channel.h"
#include "wire/codec.h"

#define WIRE_ADDRESS_MAX 1024   /* octets of one address */
#define WIRE_RECIPIENTS_MAX 100000

enum smtpd_queue_kind {
    /* queue -> writer */
    QUEUE_WELCOME = 1,     /* struct queue_welcome: first of all */
    QUEUE_SEGMENT,         /* struct queue_segment, one descriptor open for writing */
    QUEUE_BODY,            /* struct queue_body, one descriptor open for writing, unless refused */
    QUEUE_STATE,           /* struct queue_state: may messages be taken now? */
    /* writer -> queue */
    WRITER_NEED_SEGMENT = 32, /* empty */
    WRITER_SEALED,         /* struct writer_sealed: nothing more will be written there */
    WRITER_NEED_BODY,      /* struct writer_need_body */
    WRITER_DROP_BODY,      /* struct writer_drop_body: the client went away; unlink it */
    WRITER_ENQUEUE,        /* struct writer_enqueue */
};

struct queue_welcome {
    uint8_t writer;        /* number of this writer in ids and segments */
    uint64_t id_floor;     /* ids must be greater */
};
struct queue_segment {
    uint32_t number;
    uint64_t epoch;
    uint32_t octets;       /* size of the file */
};
struct queue_body {
    uint64_t token;        /* of the WRITER_NEED_BODY */
    uint64_t number;       /* names the file in the record; 0: refused, no room */
};
struct queue_state {
    uint8_t accepting;     /* 0: answer 452 4.3.1 */
    struct span reason;    /* for the log */
};
struct writer_sealed {
    uint32_t number;
    uint32_t used;         /* octets in use */
};
struct writer_need_body {
    uint64_t token;
};
struct writer_drop_body {
    uint64_t number;
};

enum { ENQUEUE_8BIT = 1, ENQUEUE_UTF8 = 2, ENQUEUE_RET_FULL = 4, ENQUEUE_RET_HEADERS = 8, ENQUEUE_SUBMISSION = 16 };
enum { NOTIFY_NEVER = 1, NOTIFY_SUCCESS = 2, NOTIFY_FAILURE = 4, NOTIFY_DELAY = 8 }; /* 0: the client said nothing */

struct writer_enqueue {
    uint64_t id;
    uint32_t segment;
    uint32_t offset;       /* of the record in the segment */
    uint32_t length;       /* of the record, without padding */
    uint32_t flags;        /* ENQUEUE_x */
    uint64_t octets;       /* size of the message (header and body) as it will be sent */
    uint64_t body;         /* number of its body file, 0: none */
    int64_t accepted_wall_ms;
    struct span account;   /* "" without login */
    struct span sender;    /* "" for the null sender */
    uint32_t recipient_count;
    struct span recipients; /* packed; writer_recipient_put/get */
};
struct writer_recipient {
    uint8_t notify;        /* NOTIFY_x */
    struct span address;
    uint32_t wait_s;       /* after the acceptance, before the first attempt; 0: none */
};

void queue_welcome_put(struct buf *buf, const struct queue_welcome *value);
void queue_segment_put(struct buf *buf, const struct queue_segment *value);
void queue_body_put(struct buf *buf, const struct queue_body *value);
void queue_state_put(struct buf *buf, const struct queue_state *value);
void writer_sealed_put(struct buf *buf, const struct writer_sealed *value);
void writer_need_body_put(struct buf *buf, const struct writer_need_body *value);
void writer_drop_body_put(struct buf *buf, const struct writer_drop_body *value);
/* The recipients have been packed with writer_recipient_put() into a buffer of the caller's. */
void writer_enqueue_put(struct buf *buf, const struct writer_enqueue *value);
void writer_recipient_put(struct buf *buf, const struct writer_recipient *value);

/* All spans are borrowed from `body`. False: the sender broke the format. */
MUST_CHECK bool queue_welcome_get(struct span body, struct queue_welcome *ret);
MUST_CHECK bool queue_segment_get(struct span body, struct queue_segment *ret);
MUST_CHECK bool queue_body_get(struct span body, struct queue_body *ret);
MUST_CHECK bool queue_state_get(struct span body, struct queue_state *ret);
MUST_CHECK bool writer_sealed_get(struct span body, struct writer_sealed *ret);
MUST_CHECK bool writer_need_body_get(struct span body, struct writer_need_body *ret);
MUST_CHECK bool writer_drop_body_get(struct span body, struct writer_drop_body *ret);
MUST_CHECK bool writer_enqueue_get(struct span body, struct writer_enqueue *ret);
/* Takes the next recipient off the front of `recipients`; the caller asks recipient_count times. */
MUST_CHECK bool writer_recipient_get(struct wire_reader *recipients, struct writer_recipient *ret);
