/* cli/load_priv.h -- the parts of `goniec load`: options, sessions, measurements. */
#pragma once
#include "loop/loop.h"
#include "net/address.h"
#include "net/stream.h"

#define LOAD_LATENCY_MAX 20000000 /* messages whose times are kept */
#define LOAD_ERRORS_MAX 32        /* different errors that are told apart */

enum load_tls { LOAD_CLEAR, LOAD_STARTTLS, LOAD_IMPLICIT };

struct load_options {
    struct net_address to;
    const char *to_text, *name, *from, *rcpt, *login, *password;
    uint64_t connections, per_connection, messages, size, recipients, users, rate, seconds, timeout, run, idle;
    enum load_tls tls;
    bool no_pipelining, lmtp, json, quiet;
};

struct load_error {
    char text[160];
    uint64_t count;
};

struct load {
    struct loop *loop;
    struct load_options options;
    struct tls_client *tls;
    struct buf body;             /* as long as the longest message; ends in CRLF */
    char date[64];
    uint64_t begun, reserved, taken, failed, connections, secured, octets;
    uint64_t running;            /* sessions that still have something to do */
    uint64_t idle_begun, idle_open, idle_held; /* of the idle ones: altogether, on their way, as far as they shall come */
    struct list sessions;
    struct loop_task idle_task;
    struct loop_timer idle_end;  /* where there are no messages: when to let the idle ones go */
    int64_t start_us, last_us, stop_ms;
    bool stopping;
    uint32_t *latency_us;        /* from the end of data to its 250 */
    uint64_t latency_count, latency_room;
    struct load_error errors[LOAD_ERRORS_MAX];
    unsigned error_count;
};

/* Sessions start themselves again until all messages are begun; the last one stops the loop. An idle one says hello (and
 * begins TLS, and logs in) and is held. */
MUST_CHECK bool load_session_start(struct load *load, uint64_t index, bool idle);
void load_session_free_all(struct load *load);
/* One of the idle ones is held now, or was given up. */
void load_idle_settled(struct load *load);
/* Is there another message to begin, and when (0: now)? */
bool load_has_more(const struct load *load);
int64_t load_wait_ms(const struct load *load);

/* `end_us`: when its end of data left. */
void load_taken(struct load *load, int64_t end_us, uint64_t octets);
/* `lost_message`: one that had been begun fails with it. */
void load_failed(struct load *load, const char *step, struct span why, bool lost_message);
void load_report(struct load *load);

/* Commands, with CRLF. `i`: which of the message's recipients. */
void load_write_ehlo(const struct load *load, struct buf *out);
void load_write_auth(const struct load *load, uint64_t connection, struct buf *out);
void load_write_mail(const struct load *load, uint64_t number, struct buf *out);
void load_write_rcpt(const struct load *load, uint64_t number, uint64_t i, struct buf *out);
/* Replaces `ret` by the message's header, with its empty line; returns how many octets of the body's end belong to it. */
size_t load_write_header(const struct load *load, uint64_t number, struct buf *ret);
