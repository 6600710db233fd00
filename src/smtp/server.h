/* smtp/server.h -- the server's side of an SMTP session: octets in, events out, replies gathered in a buffer.
 *
 * Pure: no socket, no clock. The door feeds what arrived and asks smtp_server_next() for one event at a time. Events
 * marked (!) pause the session until the door answers them, now or later; nothing is read meanwhile. What needs no
 * door (NOOP, HELP, VRFY, wrong order, wrong syntax) is answered inside. Replies gather in `out`; the door sends them
 * when MORE is returned, so that a pipelined group is answered by one write.
 *
 *   while (smtp_server_next(server, &in, &event) != MORE or PAUSED)  act on it, smtp_server_accept() or _answer()
 *   then: send out, keep what is left of `in` in front of what arrives next
 *
 * RFC 5321, 1870, 2034, 2920, 3030, 3207, 3461, 4954, 6152, 6531, 9422.
 */
#pragma once
#include "base/buf.h"
#include "smtp/body.h"
#include "smtp/params.h"

enum smtp_server_event_kind {
    SMTP_EVENT_MORE,          /* everything is used up: send `out`, feed more */
    SMTP_EVENT_PAUSED,        /* an event waits for its answer */
    SMTP_EVENT_STARTTLS,      /* (!) accepted: send `out`, see that next() says MORE, shake hands, smtp_server_secured() */
    SMTP_EVENT_AUTH,          /* (!) mechanism, octets (decoded), has_octets: an initial response was given */
    SMTP_EVENT_AUTH_RESPONSE, /* (!) octets: the answer to smtp_server_challenge(), decoded */
    SMTP_EVENT_AUTH_CANCEL,   /* the client gave the exchange up; forget it */
    SMTP_EVENT_LOCAL,         /* (!) octets: XLOCAL's arguments (smtp/said.h); the door answers in its own words */
    SMTP_EVENT_MAIL,          /* (!) mail */
    SMTP_EVENT_RCPT,          /* (!) rcpt */
    SMTP_EVENT_DATA,          /* (!) the message begins; accepted: BODY... END follow; refused: the transaction is gone */
    SMTP_EVENT_BODY,          /* octets: a clean piece of the message, borrowed */
    SMTP_EVENT_END,           /* (!) the message is whole; its 250 makes it ours. The transaction ends either way */
    SMTP_EVENT_DROP,          /* the transaction that MAIL began is gone (RSET, EHLO, a spoiled body); forget it */
    SMTP_EVENT_CLOSE,         /* why: send `out`, close; an open transaction is gone as well */
};

enum smtp_close {
    SMTP_CLOSE_QUIT,
    SMTP_CLOSE_ERRORS,        /* too many of them */
    SMTP_CLOSE_LINE,          /* a command line too long, or with a bare CR or LF */
    SMTP_CLOSE_EARLY,         /* spoke before it was its turn */
    SMTP_CLOSE_TLS_LEFTOVER,  /* octets in clear behind STARTTLS */
    SMTP_CLOSE_FOREIGN,       /* another protocol */
    SMTP_CLOSE_SYNC,          /* the rest of its octets could not be told apart any more */
    SMTP_CLOSE_DOOR,          /* the door said 421 */
};
const char *smtp_close_text(enum smtp_close why); /* for the log; static */

#define SMTP_MECHANISM_MAX 20 /* characters; RFC 4422 section 3.1 */

struct smtp_server_event {
    enum smtp_server_event_kind kind;
    enum smtp_close why;        /* CLOSE */
    struct span mechanism;      /* AUTH, in upper case */
    bool has_octets;            /* AUTH */
    struct span octets;         /* AUTH, AUTH_RESPONSE, LOCAL, BODY */
    struct smtp_mail mail;      /* MAIL; spans borrowed from `in` until the next call of next() */
    struct smtp_rcpt rcpt;      /* RCPT; the same */
};

/* One for all sessions of a listener; must stay while they live, and may change between two commands. */
struct smtp_server_settings {
    struct span hostname;       /* our name */
    struct span mechanisms;     /* "PLAIN LOGIN"; those that end in -PLUS only with SMTP_OFFER_PLUS */
    uint64_t max_octets;        /* of a message, announced as SIZE; 0: no limit */
    uint32_t max_recipients;    /* of a transaction, announced as RCPTMAX */
    uint32_t max_errors;        /* then 421 */
    uint32_t max_idle_commands; /* NOOP, RSET and the like in a row without a message, before they count as errors */
    uint32_t max_line;          /* octets of a line in a message; 0: no limit */
    bool fix_newlines;          /* a bare CR or LF in a message becomes CRLF; false: the message is refused */
    bool free_order;            /* do not close on octets that arrive before our reply to EHLO, AUTH and DATA */
};

enum {
    SMTP_OFFER_TLS = 1,     /* STARTTLS is possible now */
    SMTP_OFFER_AUTH = 2,    /* AUTH is possible now (in the door's eyes: encrypted, or allowed in clear) */
    SMTP_NEED_TLS = 4,      /* no MAIL before TLS */
    SMTP_NEED_LOGIN = 8,    /* no MAIL before AUTH */
    SMTP_OFFER_LOCAL = 32,  /* XLOCAL: the socket of this machine */
    SMTP_OFFER_PLUS = 16,   /* logins can be bound to the connection (RFC 5802 section 6) */
};

enum smtp_server_state {
    SMTP_STATE_NEW,         /* not greeted yet */
    SMTP_STATE_CONNECTED,   /* no HELO or EHLO yet */
    SMTP_STATE_GREETED,
    SMTP_STATE_MAIL,        /* a sender, no recipient yet */
    SMTP_STATE_RCPT,        /* at least one recipient */
    SMTP_STATE_DATA,        /* inside DATA's octets */
    SMTP_STATE_CHUNKS,      /* between two BDAT */
    SMTP_STATE_CHUNK,       /* inside BDAT's octets */
    SMTP_STATE_AUTH,        /* the client owes an answer to a challenge */
    SMTP_STATE_TLS,         /* STARTTLS was accepted, no handshake yet */
    SMTP_STATE_CLOSED,
    SMTP_STATE_COUNT
};

struct smtp_server {
    const struct smtp_server_settings *settings;
    struct buf out;              /* replies: the door sends and buf_clear()s it */
    struct buf helo;             /* what the client calls itself */
    unsigned offers;             /* SMTP_OFFER_x and SMTP_NEED_x; the door's to set at any time */
    enum smtp_server_state state;
    enum smtp_server_event_kind waiting; /* the event that waits for its answer; MORE: none */
    bool extended;               /* EHLO, not HELO */
    bool secured;                /* TLS */
    bool logged_in;
    bool utf8;                   /* MAIL had SMTPUTF8 */
    uint32_t recipients;         /* accepted in this transaction */
    uint32_t errors;
    uint32_t idle_commands;
    struct smtp_body body;       /* of the message in hand; octets, has_8bit and so on are the door's to read */

    /* for the room alone */
    bool dropping, closing, chunked, spoiled, chunk_last, chunk_unwanted;
    enum smtp_close why;
    enum smtp_server_state back; /* where an unwanted chunk returns to */
    uint64_t chunk_left;         /* octets */
    uint64_t swallowed;          /* octets read for nothing since the message was spoiled */
    struct buf verdict;          /* the reply that a spoiled message gets at its end */
    struct buf sasl;             /* AUTH's octets, decoded; wiped with the answer */
    char mechanism[SMTP_MECHANISM_MAX];
};

void smtp_server_init(struct smtp_server *server, const struct smtp_server_settings *settings, unsigned offers);
void smtp_server_done(struct smtp_server *server);

/* Writes the greeting. `early_octets`: what had arrived by then; with any the session closes. */
void smtp_server_greet(struct smtp_server *server, size_t early_octets);
/* Instead of the greeting: "421 4.3.2 text" or "554 5.7.1 text", and CLOSE. */
void smtp_server_turn_away(struct smtp_server *server, unsigned code, struct status_code status, struct span text);

/* The next event; `in` moves past what was used. Returns ret->kind. */
enum smtp_server_event_kind smtp_server_next(struct smtp_server *server, struct span *in, struct smtp_server_event *ret);

/* For a door that does not look at messages: drops from the front of `in` what certainly is inside the message in hand,
 * so that BODY brings only what is left of it (smtp/body.h says what is not known then). Returns the octets dropped; 0
 * outside of messages, and where settings ask for a look at every octet. */
size_t smtp_server_skim(struct smtp_server *server, struct span *in);

/* Answers the event that waits, with the usual words. */
void smtp_server_accept(struct smtp_server *server);
/* The same with the door's words: 2xx accepts, 4xx and 5xx refuses, 421 closes as well. The enhanced code is
 * written in front of `text`; one long text becomes several lines; nothing in it can become a line of its own. */
void smtp_server_answer(struct smtp_server *server, unsigned code, struct status_code status, struct span text);
/* Answers AUTH and AUTH_RESPONSE by a challenge (334). */
void smtp_server_challenge(struct smtp_server *server, struct span challenge);

/* Between DATA and END: the message cannot be taken any more. Its rest is read for nothing, then this is the reply;
 * neither END nor DROP come. 421 closes at once. */
void smtp_server_spoil(struct smtp_server *server, unsigned code, struct status_code status, struct span text);
/* At any time: 421, then CLOSE. For timeouts, going down, and what cannot be answered otherwise. */
void smtp_server_shut(struct smtp_server *server, struct status_code status, struct span text);

/* The handshake is done: the session begins anew (RFC 3207 section 4.2). */
void smtp_server_secured(struct smtp_server *server);
/* For implicit TLS and for the door's own knowledge: sets `secured` without forgetting anything. */
static inline void smtp_server_set_secured(struct smtp_server *server) { server->secured = true; }

static inline struct span smtp_server_helo(const struct smtp_server *server) { return buf_span(&server->helo); }
/* Inside a transaction (from MAIL to its end)? */
bool smtp_server_in_transaction(const struct smtp_server *server);
/* At rest between transactions with nothing owed: may be closed by 421 without harm. */
bool smtp_server_is_idle(const struct smtp_server *server);
/* What the client was expected to do, for a log line: "waiting for a command". */
const char *smtp_server_phrase(const struct smtp_server *server);
