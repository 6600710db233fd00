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
    uint64_t connections, per_connection, messages, size, recipients, users, rate, seconds, timeout, run;
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
    int64_t start_us, last_us, stop_ms;
    bool stopping;
    uint32_t *latency_us;        /* from the end of data to its 250 */
    uint64_t latency_count, latency_room;
    struct load_error errors[LOAD_ERRORS_MAX];
    unsigned error_count;
};

/* Sessions start themselves again until all messages are begun; the last one stops the loop. */
MUST_CHECK bool load_session_start(struct load *load, uint64_t index);
/* Is there another message to begin, and when (0: now)? */
bool load_has_more(const struct load *load);
int64_t load_wait_ms(const struct load *load);

void load_taken(struct load *load, int64_t latency_us, uint64_t octets);
/* `lost_message`: one that had been begun fails with it. */
void load_failed(struct load *load, const char *step, struct span why, bool lost_message);
void load_report(struct load *load);

/* Copies the pattern with every %d as the number. */
void load_expand(const char *pattern, uint64_t number, struct buf *ret);
