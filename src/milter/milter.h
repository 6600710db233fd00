/* milter/milter.h -- the mail server's half of the milter protocol, as a machine without socket and clock.
 *
 * A milter is a filter that a mail server asks about each step of a session, and that may change the message at its
 * end. The protocol has no RFC; it is what Sendmail's libmilter speaks: version 6, with 2 to 5 understood. Octets and
 * the time go in; packets to send, verdicts, changes and a deadline come out. The door does what milter_want() says:
 *
 *     ANSWER   send `out`, read, feed
 *     COMMAND  `verdict` answers the last command; give the next one (or abort, or quit)
 *     CLOSE    send what is left in `out` if it can be had at once, close; `trouble` and `words` tell why
 *
 * A command that the milter does not want to see, or need not answer, leaves COMMAND wanted and CONTINUE as its verdict,
 * so a caller gives all of them and needs not know what was negotiated. When it accepts a message or a session, the
 * commands up to that's end go nowhere. Whatever was not answered in time, out of turn or not in the protocol is trouble
 * with words: what a message's fate is then, is the caller's to say.
 */
#pragma once
#include "base/buf.h"
#include "mail/status_code.h"

#define MILTER_VERSION_LEAST 2
#define MILTER_VERSION 6
#define MILTER_CHUNK_MAX 65535u        /* octets of body in one command; also of any other command's arguments */
#define MILTER_PACKET_MAX (128u << 10) /* octets of one answer */
#define MILTER_OUT_MAX (4u << 20)      /* octets that may wait in `out` */
#define MILTER_TEXT_MAX 480            /* octets kept of a reply's words: with its codes they fit into one line of SMTP */
#define MILTER_CHANGES_MAX 4096        /* changes of one message, pieces of a new body apart */

/* What a milter may do to a message: the caller offers, the milter chooses. */
enum {
    MILTER_MAY_ADD_HEADERS = 0x01, MILTER_MAY_CHANGE_BODY = 0x02, MILTER_MAY_ADD_RECIPIENTS = 0x04,
    MILTER_MAY_DELETE_RECIPIENTS = 0x08, MILTER_MAY_CHANGE_HEADERS = 0x10, MILTER_MAY_QUARANTINE = 0x20,
    MILTER_MAY_CHANGE_SENDER = 0x40, MILTER_MAY_ADD_WITH_PARAMS = 0x80, MILTER_MAY_NAME_MACROS = 0x100,
    MILTER_MAY_ALL = 0x1FF,
};

/* X(name, as the protocol writes it, steps it goes along with unless the milter asks otherwise) */
#define MILTER_MACRO_LIST(X)                                     \
    X(HOSTNAME,    "j",             MILTER_AT_CONNECT)           \
    X(DAEMON_NAME, "{daemon_name}", MILTER_AT_CONNECT)           \
    X(VERSION,     "v",             MILTER_AT_CONNECT)           \
    X(CLIENT_ADDR, "{client_addr}", MILTER_AT_CONNECT)           \
    X(TLS_VERSION, "{tls_version}", MILTER_AT_HELO)              \
    X(CIPHER,      "{cipher}",      MILTER_AT_HELO)              \
    X(AUTH_AUTHEN, "{auth_authen}", MILTER_AT_MAIL)              \
    X(AUTH_TYPE,   "{auth_type}",   MILTER_AT_MAIL)              \
    X(MAIL_ADDR,   "{mail_addr}",   MILTER_AT_MAIL)              \
    X(RCPT_ADDR,   "{rcpt_addr}",   MILTER_AT_RCPT)              \
    X(ID,          "i",             MILTER_AT_MAIL | MILTER_AT_DATA | MILTER_AT_EOH | MILTER_AT_END)

enum milter_macro {
#define X(name, text, steps) MILTER_MACRO_##name,
    MILTER_MACRO_LIST(X)
#undef X
    MILTER_MACRO_COUNT
};
#define MILTER_STEPS 7 /* at which macros are sent; numbered as the protocol does */
enum {
    MILTER_AT_CONNECT = 1 << 0, MILTER_AT_HELO = 1 << 1, MILTER_AT_MAIL = 1 << 2, MILTER_AT_RCPT = 1 << 3,
    MILTER_AT_DATA = 1 << 4, MILTER_AT_END = 1 << 5, MILTER_AT_EOH = 1 << 6,
};

/* Borrowed by the machine for as long as it lives. */
struct milter_settings {
    uint32_t actions;        /* MILTER_MAY_x that are offered */
    int64_t answer_ms;       /* how long each answer is waited for */
    int64_t end_ms;          /* the one to the end of the message; "still at it" begins it anew */
    int64_t patience_ms;     /* for one answer, however often it says so */
    uint64_t body_max;       /* octets of a body that the milter puts in the place of the message's */
};

enum milter_word {
    MILTER_CONTINUE, /* nothing against it */
    MILTER_ACCEPT,   /* nor will there be: it is not asked again about this message, or session before MAIL */
    MILTER_DISCARD,  /* say yes and throw the message away */
    MILTER_REJECT,   /* `code` is 5xx: this recipient after RCPT, else the message, or session before MAIL */
    MILTER_TEMPFAIL, /* the same with 4xx */
    MILTER_SHUTDOWN, /* `code` is 421: and close the session */
};

struct milter_verdict {
    enum milter_word word;
    unsigned code;               /* of the reply to the client; 0: the word is none of the last three */
    struct status_code enhanced; /* of the same class */
    char text[MILTER_TEXT_MAX];  /* printable ASCII; empty: the milter said nothing */
    size_t text_n;
};

enum milter_change_kind {
    MILTER_ADD_HEADER,       /* name, value: behind the last field */
    MILTER_INSERT_HEADER,    /* name, value: before the field that `index` fields stand before */
    MILTER_CHANGE_HEADER,    /* name, value: the `index`th field of that name, from 1; an empty value deletes it */
    MILTER_CHANGE_SENDER,    /* value: address or empty; params */
    MILTER_ADD_RECIPIENT,    /* value, params */
    MILTER_DELETE_RECIPIENT, /* value */
    MILTER_REPLACE_BODY,     /* value: the next piece of the new body */
    MILTER_QUARANTINE,       /* value: the reason, printable ASCII */
};

/* A change that holds if the verdict on the whole message is CONTINUE or ACCEPT. Spans are borrowed for the call. */
struct milter_change {
    enum milter_change_kind kind;
    uint32_t index;
    struct span name;
    struct span value;   /* addresses: in the grammar of RFC 5321, without < >; headers: see milter/edit.h */
    struct span params;  /* of MAIL or RCPT, as the milter wrote them: parse them before use */
    bool has_blank;      /* of a header's value: what stands behind the colon begins with it, no blank is put there */
};

enum milter_trouble {
    MILTER_TROUBLE_NONE,
    MILTER_TROUBLE_LOST,     /* the connection was closed or broke */
    MILTER_TROUBLE_TIMEOUT,
    MILTER_TROUBLE_GARBAGE,  /* nothing of the protocol, or not at this point, or not what was agreed */
    MILTER_TROUBLE_REFUSED,  /* it asks to be left alone */
    MILTER_TROUBLE_TOO_LONG, /* ours: the message has what the protocol cannot say; the sender must not pass thereby */
    MILTER_TROUBLE_LOCAL,    /* out of memory */
};

enum milter_command {
    MILTER_NEGOTIATE, MILTER_CONNECT, MILTER_HELO, MILTER_MAIL, MILTER_RCPT, MILTER_DATA, MILTER_HEADER, MILTER_EOH,
    MILTER_BODY, MILTER_END, MILTER_UNKNOWN, MILTER_COMMAND_COUNT
};

enum milter_stage {
    MILTER_AGREEING, MILTER_AGREED, MILTER_CONNECTED, MILTER_GREETED, MILTER_IN_MAIL, MILTER_IN_RCPT, MILTER_IN_DATA,
    MILTER_IN_HEADER, MILTER_IN_BODY, MILTER_AT_LAST, MILTER_CLOSED,
};

enum milter_want { MILTER_WANT_ANSWER, MILTER_WANT_COMMAND, MILTER_WANT_CLOSE };

struct milter {
    const struct milter_settings *settings;
    void (*on_change)(void *arg, const struct milter_change *change);
    void *arg;
    struct span macros[MILTER_MACRO_COUNT]; /* the caller's, borrowed while commands are given; empty: not sent */

    struct buf out;                /* the door sends and drops it */
    struct milter_verdict verdict; /* on the last command */
    int64_t deadline_ms;           /* INT64_MAX: nothing is waited for */
    enum milter_trouble trouble;
    char words[160];               /* for people, when there is trouble */
    uint32_t version, actions;     /* agreed on */

    /* the rest is the machine's own */
    enum milter_stage stage;
    enum milter_command command;   /* the last one sent */
    bool is_waiting;               /* for its answer */
    bool passes_message, passes_session, skips_body;
    uint32_t steps;                /* what it does not want to see or answer */
    uint16_t macros_at[MILTER_STEPS]; /* bits of enum milter_macro */
    uint32_t changes;
    uint64_t body_octets;
    int64_t due_ms, now_ms;
    struct buf in;                 /* the packet that is being read */
};

/* Begins with the negotiation. `on_change` is called inside milter_feed(). */
void milter_init(struct milter *milter, const struct milter_settings *settings,
                 void (*on_change)(void *, const struct milter_change *), void *arg, int64_t now_ms);
void milter_done(struct milter *milter);

enum milter_want milter_want(const struct milter *milter);
/* What the stream gave. Everything is taken; how it is cut makes no difference. */
void milter_feed(struct milter *milter, struct span octets, int64_t now_ms);
/* The stream ended or broke. */
void milter_lost(struct milter *milter, enum status why, int64_t now_ms);
/* Looks at the clock; call it at the deadline (earlier does no harm). */
void milter_tick(struct milter *milter, int64_t now_ms);

/* The commands, each only when COMMAND is wanted, in the order of SMTP: connect, helo (again after STARTTLS), then for each
 * message mail, rcpt..., data, header..., end of header, body..., end; abort instead of the rest. NUL octets in arguments
 * become blanks. Arguments over MILTER_CHUNK_MAX are TROUBLE_TOO_LONG. With many commands that need no answer the door
 * sends in between, so that `out` does not reach its ceiling. */
enum milter_family { MILTER_UNKNOWN_FAMILY = 'U', MILTER_LOCAL = 'L', MILTER_IPV4 = '4', MILTER_IPV6 = '6' };
struct milter_client {
    struct span name;          /* of the client; its address in brackets when it has none */
    enum milter_family family;
    uint16_t port;
    struct span address;       /* as text; of LOCAL: the path */
};
void milter_connect(struct milter *milter, const struct milter_client *client, int64_t now_ms);
void milter_helo(struct milter *milter, struct span name, int64_t now_ms);
/* Addresses without < >; `params` as in the command, with blanks between them. */
void milter_mail(struct milter *milter, struct span sender, struct span params, int64_t now_ms);
void milter_rcpt(struct milter *milter, struct span recipient, struct span params, int64_t now_ms);
void milter_data(struct milter *milter, int64_t now_ms);
/* `value` is all behind the colon, still folded, without the last CRLF (struct header_field has it so). */
void milter_header(struct milter *milter, struct span name, struct span value, int64_t now_ms);
void milter_eoh(struct milter *milter, int64_t now_ms);
void milter_body(struct milter *milter, struct span octets, int64_t now_ms); /* 1..MILTER_CHUNK_MAX */
void milter_end(struct milter *milter, int64_t now_ms);
/* A command of SMTP that we do not know. */
void milter_unknown(struct milter *milter, struct span line, int64_t now_ms);
/* The message is no more (refused, or the client gave up). Outside of one nothing happens. */
void milter_abort(struct milter *milter);
/* Says goodbye; CLOSE is wanted. */
void milter_quit(struct milter *milter);
