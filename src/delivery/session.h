/* delivery/session.h -- one connection to one server: moves octets between a stream and the SMTP client's machine.
 *
 * Its user (a job) is told when the connection is ready for a message, what became of each recipient, when the
 * message is through, and when the session is over. All calls come from the loop; none of them inside session_new().
 */
#pragma once
#include "delivery/config.h"
#include "net/connect.h"
#include "net/stream.h"
#include "smtp/client.h"
#include "smtp/dots.h"
#include "spool/reader.h"

struct session;

/* Where a session goes, and how. Copied. */
struct session_target {
    struct net_address address;
    const char *name;          /* host's name, for TLS and people; "" for a bare address */
    enum smtp_client_tls tls;
    bool implicit_tls, verified_tls, lmtp, auth_in_clear;
    const char *user, *password;
};

/* The message's octets. Borrowed until on_done or on_over. */
struct session_body {
    const struct spool_message *message;
    int segment_fd, body_fd;
};

struct session_events {
    void (*on_ready)(void *arg, struct session *session); /* once, after the session came up */
    void (*on_result)(void *arg, size_t recipient, const struct smtp_client_result *result);
    void (*on_done)(void *arg, struct session *session);  /* every recipient has its result; another message may follow */
    /* It is closed or could not be opened. session_free() it. A message in hand has all its results. */
    void (*on_over)(void *arg, struct session *session);
};

struct session {
    struct list link;          /* of its site's, while idle, */
    struct list in_idle;       /* and of all sites' */
    struct loop *loop;
    struct delivery_config *config;
    struct session_target target;
    char name[DNS_NAME_MAX], user[256], password[256], tls_text[160];
    bool is_verified;          /* the certificate was good for the name */
    const struct session_events *events;
    void *arg;

    struct connecting *connecting;
    struct stream *stream;
    struct smtp_client client;
    struct smtp_client_settings settings;
    char connect_error[160];   /* why it never came up; "" when the machine knows better */
    bool is_up;                /* on_ready was called */
    bool is_over;
    bool is_idle;
    bool has_local_trouble;    /* the message could not be read */
    bool is_starved;           /* we had no descriptor, port or memory for it: no word about the server */

    struct loop_timer timer;
    int64_t armed_ms, idle_until_ms;
    struct loop_task reaper;
    bool in_turn, again, is_sending, is_freed;

    struct session_body body;
    uint64_t at;               /* octets of the message given to the stream */
    struct smtp_dots dots;
    bool is_dotted;          /* dots in front of lines are doubled while the message goes out */
};

/* NULL: out of memory. */
struct session *session_new(struct loop *loop, struct delivery_config *config, const struct session_target *target,
                            const struct session_events *events, void *arg);
/* Closes at once, or after QUIT when it is idle. Allowed everywhere. NULL is fine. */
void session_free(struct session *session);

void session_send(struct session *session, struct smtp_client_message *message, const struct session_body *body);
/* For another user. */
void session_set_user(struct session *session, const struct session_events *events, void *arg);
/* Nobody needs it now: on_over comes when the server or the clock ends it. */
void session_idle(struct session *session, int64_t idle_ms);
/* Why it ended, when it did: code 0 and our own words when the server gave none. */
const struct smtp_client_failure *session_failure(const struct session *session);
/* May another message follow on it? */
bool session_is_reusable(const struct session *session);
