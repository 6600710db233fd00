/* intake/intake.h -- what is done to every new message, wherever it came from: its trace and the repair of its
 * header, its facts, its envelope, its record in the log.
 *
 * Smtpd, queue (for reports) and web use it alike. Nothing is copied but once into `bytes`: the stored message is our
 * own lines (`added`) followed by the pieces of what came, with the dropped fields left out.
 * RFC 5321 section 4.4 (trace), RFC 6409 section 8 (what a submission server repairs), RFC 5321 section 6.3 (loops).
 *
 *   intake_init()  once; then for each message:
 *     intake_sender(), intake_recipient()...       the envelope, copied
 *     intake_take()...                             its octets, clean (smtp/body.h)
 *     intake_header()                              once all is there, or as soon as it becomes a big one
 *     intake_from()                                the addresses to ask the directory about
 *     intake_compose(), intake_store()             on_stored: safe; intake_announce() writes the ENQUEUE
 *   intake_clear() begins the next one; intake_done() frees.
 *
 * A big message (over `inline_max`): intake_take() says FULL once, with the octets taken. Call intake_header(), write
 * the pieces (intake_pieces()) and then everything that still arrives into a body file, each chunk also shown to
 * intake_scan(); at the end intake_compose() and intake_store() with the file's reference.
 */
#pragma once
#include "mail/address.h"
#include "mail/status_code.h"
#include "spool/envelope.h"
#include "spool/writer.h"
#include "wire/smtpd_directory.h"
#include "wire/smtpd_queue.h"

#define INTAKE_PIECES_MAX 64     /* more dropped fields than that make no honest message */
#define INTAKE_FROM_MAX WIRE_ASK_MAX
#define INTAKE_TEXT_MAX 200      /* octets of the sentence of a refusal */

/* What the door knows about the session. Borrowed; nothing of it is needed after intake_compose(). */
struct intake_facts {
    struct span hostname;        /* our name */
    struct span helo;            /* hostile */
    struct span client_address;  /* "192.0.2.1"; empty: not over a network */
    struct span client_name;     /* checked by DNS; or empty */
    struct span protocol;        /* received_with(), "HTTP", "local" */
    struct span local_user;      /* of this machine, and its uid; or empty */
    unsigned local_uid;
    struct span tls_version, tls_cipher; /* empty: in clear */
    unsigned tls_bits;
    struct span account;         /* login; or empty */
    bool submission;             /* repair the header; false: relay, which only adds the trace */
    bool hide_client;
    bool is_report;              /* a DSN of ours: no trace of a client, nothing is repaired, loops not counted */
    bool utf8;                   /* SMTPUTF8 */
    bool body_8bit;              /* BODY=8BITMIME was said */
    enum spool_ret ret;
    struct span envid;           /* in xtext */
    uint32_t max_hops;           /* Received fields; 0: 100 */
    uint64_t id;
    int64_t now_wall_ms;
};

/* Why a message is not taken: what the door replies. */
struct intake_refusal {
    unsigned reply;              /* 552 */
    struct status_code code;     /* 5.3.4 */
    char text[INTAKE_TEXT_MAX];
};

/* A text inside `texts`, which moves as it grows. */
struct intake_text {
    size_t at, n;
};

struct intake;
typedef void intake_on_stored(struct intake *intake, enum status status);

struct intake {
    /* set by intake_header(), for reading */
    struct buf added;            /* our lines, on top */
    uint32_t flags;              /* SPOOL_8BIT, SPOOL_LEADING_DOTS, SPOOL_LONG_LINES, ... so far */
    uint32_t hops;               /* Received fields that it came with */
    uint64_t octets;             /* of the whole message as it will be sent, so far */
    struct intake_refusal refusal;
    uint64_t id;
    uint32_t recipient_count;
    void *arg;                   /* the caller's, for on_stored */

    /* for the room alone */
    struct buf bytes;            /* the message as it came, or its beginning */
    struct buf texts;            /* sender, account, recipients, ORCPTs, From: addresses, one behind the other */
    struct intake_text sender, account;
    struct intake_recipient *recipients;
    uint32_t *slots;             /* hash table over the addresses: index + 1, 0 is empty */
    uint32_t recipient_room;
    struct span pieces[INTAKE_PIECES_MAX]; /* into `bytes` */
    size_t piece_count;
    struct intake_text from[INTAKE_FROM_MAX];
    uint32_t from_count;
    uint32_t wait_s;             /* of all recipients, at least */
    size_t inline_max;
    bool is_big;                 /* over inline_max: FULL was said */
    bool at_line_start;
    size_t line;                 /* octets of the line in hand */
    struct buf envelope;
    struct buf packed;           /* the recipients for the ENQUEUE */
    int64_t accepted_wall_ms;
    enum spool_ret ret;
    struct spool_append append;
    intake_on_stored *on_stored;
};

/* `inline_max`: octets up to which a body lies in the log itself. */
void intake_init(struct intake *intake, size_t inline_max);
void intake_done(struct intake *intake);  /* not while it is being stored */
void intake_clear(struct intake *intake); /* keeps its memory, within reason */

/* The envelope. MEMORY or FULL. `address` in canonical form; empty: the null sender. */
MUST_CHECK enum status intake_sender(struct intake *intake, struct span address);
/* `notify`: NOTIFY_x as in wire/smtpd_queue.h; `orcpt` still in xtext, or empty.
 * A recipient that is there already stays as it is, and is OK. */
MUST_CHECK enum status intake_recipient(struct intake *intake, struct span address, struct span orcpt, unsigned notify);
/* The last recipient, or the whole message, is to be kept that long before the first attempt. */
void intake_recipient_waits(struct intake *intake, uint32_t seconds);
void intake_waits(struct intake *intake, uint32_t seconds);
struct span intake_sender_of(const struct intake *intake);
struct span intake_recipient_of(const struct intake *intake, uint32_t i);

/* Keeps the next octets. FULL, once: they were kept, and the message has become a big one. MEMORY. */
MUST_CHECK enum status intake_take(struct intake *intake, struct span octets);

/* Reads the header that begins `bytes`, decides what is dropped and writes `added`. OK; otherwise `refusal` is
 * filled: DENIED (a loop, a header that must not pass), TOO_LONG (the header), FULL (no memory: 452). */
MUST_CHECK enum status intake_header(struct intake *intake, const struct intake_facts *facts);
/* The addresses of From:, canonical. Empty for relay mail, where nobody asks. */
uint32_t intake_from_count(const struct intake *intake);
struct span intake_from(const struct intake *intake, uint32_t i);
/* What of `bytes` is sent, in order. Valid until intake_clear(). */
const struct span *intake_pieces(const struct intake *intake, size_t *ret_count);
/* Gives the octets of a big message back once they are in its file; there are no pieces any more. */
void intake_drop_pieces(struct intake *intake);
/* Octets of memory that the intake owns at present. */
size_t intake_room(const struct intake *intake);
/* Looks at octets of a big message that do not pass through intake_take(). */
void intake_scan(struct intake *intake, struct span octets);

/* Makes the envelope. FULL: `refusal` is filled. */
MUST_CHECK enum status intake_compose(struct intake *intake, const struct intake_facts *facts);
/* Hands the record to the log. OK: `on_stored` is called later, from the loop, and with OK the message is safe: the one
 * place where 250 is decided. Until then the intake stays as it is. `file`: NULL when the body is inline. */
MUST_CHECK enum status intake_store(struct intake *intake, struct spool_writer *writer, const struct spool_body_ref *file,
                                    intake_on_stored *on_stored);
/* After on_stored with OK: appends the body of a WRITER_ENQUEUE message (channel_begin()). */
void intake_announce(const struct intake *intake, struct buf *ret);
/* Of queue's own messages: where it lies. */
static inline struct spool_place intake_place(const struct intake *intake) { return intake->append.place; }
