/* smtp/client.h -- the client's half of SMTP and LMTP, as a machine without socket and clock.
 *
 * Octets and the time go in; commands to send, wishes, a deadline and results come out. The door that owns the
 * stream does what smtp_client_want() says:
 *
 *     REPLY    send what lies in `out` (and then the body, when `send` asks for it), read, feed
 *     TLS      send `out`, begin TLS as client on the stream, then call smtp_client_tls()
 *     MESSAGE  the session is ready: smtp_client_send() the next message, keep it, or smtp_client_quit()
 *     CLOSE    send what is left in `out` if it can be had at once, close; `failure` tells why
 *
 * The body never passes through here. `send` says in which form the door sends it: DOTTED (smtp/dots.h, then its
 * end) or RAW (exactly message->octets). Reading goes on meanwhile: a server may refuse before the end.
 *
 * While a message is under way, each recipient gets exactly one on_result(), whatever the server does, also when it
 * vanishes, and not before it is certain. A session that ends before a message was begun leaves only `failure`.
 *
 * What each step does with each kind of reply stands in one table, in client.c. RFC 5321, RFC 2920 (PIPELINING),
 * RFC 3030 (CHUNKING), RFC 3207 (STARTTLS), RFC 4954 (AUTH), RFC 3461 (DSN), RFC 1870 (SIZE), RFC 6152 (8BITMIME),
 * RFC 6531 (SMTPUTF8), RFC 9422 (LIMITS), RFC 2033 (LMTP).
 */
#pragma once
#include "base/buf.h"
#include "smtp/params.h"
#include "smtp/reply.h"

#define SMTP_CLIENT_OUT_MAX (4u << 20)  /* octets of commands that may wait */
#define SMTP_CLIENT_EARLY_MAX 65536u    /* a body up to this is sent behind BDAT before its recipients are answered */

enum smtp_client_tls { SMTP_TLS_NEVER, SMTP_TLS_MAY, SMTP_TLS_MUST };

/* How long each answer is waited for (RFC 5321 section 4.5.3.2). */
struct smtp_client_times {
    int64_t greeting_ms, ehlo_ms, starttls_ms, auth_ms, rset_ms, mail_ms, rcpt_ms, data_ms, block_ms, dot_ms, quit_ms;
    int64_t message_ms; /* from MAIL until all of a message is sent, however it goes on; 0: any time */
};

/* Borrowed by the machine for as long as it lives. */
struct smtp_client_settings {
    struct span hostname;            /* our name, for EHLO */
    struct smtp_client_times times;
    struct span username, password;  /* log in; empty: do not */
    enum smtp_client_tls tls;
    bool lmtp;
    bool auth_in_clear;              /* send the password even where there is no TLS */
    bool no_chunking, no_pipelining; /* do as if the server had not offered them */
    bool strict_8bit;                /* do not pass 8-bit text to a server without 8BITMIME: fail with 5.6.3 */
};

enum {
    SMTP_EXT_PIPELINING = 1, SMTP_EXT_SIZE = 2, SMTP_EXT_8BITMIME = 4, SMTP_EXT_SMTPUTF8 = 8, SMTP_EXT_STARTTLS = 16,
    SMTP_EXT_DSN = 32, SMTP_EXT_CHUNKING = 64, SMTP_EXT_ENHANCED = 128, SMTP_EXT_AUTH_PLAIN = 256,
    SMTP_EXT_AUTH_LOGIN = 512, SMTP_EXT_AUTH = 1024, SMTP_EXT_LIMITS = 2048,
};

enum smtp_result { SMTP_PENDING, SMTP_DELIVERED, SMTP_DEFERRED, SMTP_FAILED };

struct smtp_client_recipient {
    struct span address;      /* without < > */
    unsigned notify;          /* SMTP_NOTIFY_x; 0: not said */
    struct span orcpt;        /* "rfc822;..." in xtext, or empty */
    enum smtp_result result;  /* the machine's */
    bool is_asked;            /* the machine's: it is named in a RCPT */
    bool is_accepted;         /* the machine's: which got its 2xx */
};

struct smtp_client_message {
    struct span sender;       /* without < >; empty: the null sender */
    uint64_t octets;          /* of header and body as they are stored, without doubled dots */
    bool is_8bit;
    bool needs_utf8;          /* an address or the header is UTF-8 */
    enum smtp_ret ret;
    struct span envid;        /* in xtext, or empty */
    struct span auth;         /* in xtext, for AUTH=; or empty */
    struct smtp_client_recipient *recipients;
    size_t recipient_count;
};

/* What became of one recipient. */
struct smtp_client_result {
    enum smtp_result result;
    int code;                     /* the server's, 0: it gave none */
    struct status_code enhanced;  /* always set */
    struct span text;             /* its words, or ours when it gave none; borrowed for the call */
    bool is_elsewhere;            /* deferred, and nothing speaks against trying another host at once */
    bool is_full;                 /* deferred as one too many: the rest may go in another transaction (452, 552) */
};

enum smtp_client_trouble {
    SMTP_TROUBLE_NONE,
    SMTP_TROUBLE_REFUSED,     /* greeted with 4xx or 5xx, EHLO and HELO refused, 421 */
    SMTP_TROUBLE_LOST,        /* the connection was closed or broke */
    SMTP_TROUBLE_TIMEOUT,
    SMTP_TROUBLE_GARBAGE,     /* not a reply, or none that fits */
    SMTP_TROUBLE_TLS,         /* the handshake failed, or octets came before it */
    SMTP_TROUBLE_TLS_MISSING, /* TLS is a must, and was not offered or refused */
    SMTP_TROUBLE_AUTH,        /* login refused, or no way to log in */
    SMTP_TROUBLE_LOCAL,       /* out of memory */
};

struct smtp_client_failure {
    enum smtp_client_trouble trouble;
    bool is_permanent;        /* a 5xx to EHLO and HELO: no mail can be given to this host */
    int code;
    struct status_code enhanced;
    char text[SMTP_REPLY_TEXT_MAX + 128]; /* the server's words, or ours */
    size_t text_n;
};

/* X(name, timeout, phrase): what we wait for, and what we were doing, for people. */
#define SMTP_CLIENT_STATE_LIST(X)                                                              \
    X(GREETING, greeting_ms, "waiting for the greeting")                                       \
    X(EHLO,     ehlo_ms,     "sending EHLO")                                                   \
    X(HELO,     ehlo_ms,     "sending HELO")                                                   \
    X(STARTTLS, starttls_ms, "sending STARTTLS")                                               \
    X(TLS,      starttls_ms, "negotiating TLS")                                                \
    X(AUTH,     auth_ms,     "logging in")                                                     \
    X(READY,    block_ms,    "waiting for the next message")                                   \
    X(RSET,     rset_ms,     "sending RSET")                                                   \
    X(MAIL,     mail_ms,     "sending MAIL FROM")                                              \
    X(RCPT,     rcpt_ms,     "sending RCPT TO")                                                \
    X(DATA,     data_ms,     "sending DATA")                                                   \
    X(DOT,      dot_ms,      "sending end of data; the message may arrive twice")              \
    X(DISCARD,  dot_ms,      "ending a transaction without recipients")                        \
    X(QUIT,     quit_ms,     "sending QUIT")                                                   \
    X(CLOSED,   quit_ms,     "closing the connection")

enum smtp_client_state {
#define X(name, timeout, phrase) SMTP_CLIENT_##name,
    SMTP_CLIENT_STATE_LIST(X)
#undef X
    SMTP_CLIENT_STATE_COUNT
};

enum smtp_client_want { SMTP_WANT_REPLY, SMTP_WANT_TLS, SMTP_WANT_MESSAGE, SMTP_WANT_CLOSE };
enum smtp_client_send { SMTP_SEND_NOTHING, SMTP_SEND_DOTTED, SMTP_SEND_RAW };

struct smtp_client {
    const struct smtp_client_settings *settings;
    void (*on_result)(void *arg, size_t recipient, const struct smtp_client_result *result);
    void *arg;

    struct buf out;               /* the door sends and drops it, before anything of the body */
    enum smtp_client_send send;   /* set when `out` ends with what the body follows; smtp_client_body_sent() ends it */
    enum smtp_client_state state;
    int64_t deadline_ms;
    struct smtp_client_failure failure;
    struct smtp_reply reply;

    unsigned extensions;          /* SMTP_EXT_x */
    uint64_t size_limit;          /* of SIZE; 0: none named */
    uint32_t mail_max, rcpt_max;  /* of LIMITS; 0: not said */
    unsigned messages;            /* begun in this session */
    bool has_tls;

    /* the rest is the machine's own */
    int64_t now_ms;
    int64_t message_due_ms;       /* when the message has taken too long; INT64_MAX: never */
    bool is_early;                /* the body follows its recipients without waiting for their replies */
    bool is_grouped;              /* MAIL, RCPT and what begins the body left together */
    bool is_dirty;                /* the server may hold half a transaction: RSET first */
    bool is_mail_refused;
    struct smtp_client_message *message;
    size_t next;                  /* recipient whose reply comes next */
    size_t accepted;              /* RCPTs that got a 2xx */
    size_t open;                  /* of these, without a result yet */
    unsigned auth_step;
};

/* `on_result` is called inside feed, tick, lost and send. `has_tls`: the stream came up with TLS (port 465). */
void smtp_client_init(struct smtp_client *client, const struct smtp_client_settings *settings, bool has_tls,
                      void (*on_result)(void *, size_t, const struct smtp_client_result *), void *arg, int64_t now_ms);
void smtp_client_done(struct smtp_client *client);

enum smtp_client_want smtp_client_want(const struct smtp_client *client);
static inline int64_t smtp_client_deadline(const struct smtp_client *client) { return client->deadline_ms; }
const char *smtp_client_phrase(enum smtp_client_state state); /* static, never NULL */
const char *smtp_client_state_name(enum smtp_client_state state);

/* What the stream gave. Everything is taken. */
void smtp_client_feed(struct smtp_client *client, struct span octets, int64_t now_ms);
/* The stream ended or broke; `why` (CLOSED, IO, TIMEOUT...) goes into the words. Nothing happens once CLOSE is wanted. */
void smtp_client_lost(struct smtp_client *client, enum status why, int64_t now_ms);
/* Looks at the clock; call it at the deadline (earlier does no harm). */
void smtp_client_tick(struct smtp_client *client, int64_t now_ms);
/* The handshake ended; `why` is for people when it failed, else NULL. */
void smtp_client_tls(struct smtp_client *client, bool ok, const char *why, int64_t now_ms);

/* Only when MESSAGE is wanted. `message` and its recipients are borrowed until MESSAGE or CLOSE is wanted again. */
void smtp_client_send(struct smtp_client *client, struct smtp_client_message *message, int64_t now_ms);
/* Some of the body left: the time for the next block begins. */
void smtp_client_body_progress(struct smtp_client *client, int64_t now_ms);
/* All of the body, with its end, was given to the stream. */
void smtp_client_body_sent(struct smtp_client *client, int64_t now_ms);
/* Only when MESSAGE is wanted: says goodbye; CLOSE comes with the answer. */
void smtp_client_quit(struct smtp_client *client, int64_t now_ms);
