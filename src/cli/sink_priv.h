/* cli/sink_priv.h -- the parts of `goniec sink`: rules, counts, sessions. */
#pragma once
#include "loop/loop.h"
#include "net/listen.h"
#include "net/stream.h"
#include "smtp/server.h"

#define SINK_RULES_MAX 32
#define SINK_LISTENERS_MAX 16
#define SINK_HEAD_MAX 8192 /* octets of a message in which its load id is looked for */

/* -- rules: what to do with whom at which step -- */

enum sink_step { SINK_CONNECT, SINK_AUTH, SINK_MAIL, SINK_RCPT, SINK_DATA, SINK_BODY, SINK_END, SINK_STEPS };
enum sink_act { SINK_TAKE, SINK_REFUSE, SINK_DELAY, SINK_DROP };

struct sink_rule {
    enum sink_step step;
    enum sink_act act;
    unsigned code;         /* REFUSE */
    int64_t delay_ms;      /* DELAY */
    const char *pattern;   /* glob over the address; NULL: all */
    double chance;         /* 0..1 */
};

struct sink_rules {
    struct sink_rule rules[SINK_RULES_MAX];
    unsigned count;
};

/* "STEP", then by colons in any order: a code or milliseconds (REFUSE: code, DELAY: ms), N% and a pattern.
 * False: `why` says what is wrong (static). */
MUST_CHECK bool sink_rule_parse(struct sink_rules *rules, enum sink_act act, const char *text, const char **why);
/* The first rule of this kind that fits, after throwing its dice; NULL: none. `address` has a NUL behind it. */
const struct sink_rule *sink_rule_for(const struct sink_rules *rules, enum sink_act act, enum sink_step step, const char *address);

/* -- counts -- */

#define SINK_RUNS_MAX 16

/* How often each message of one run of `goniec load` has arrived, counted in recipients. */
struct sink_run {
    uint64_t id;
    uint16_t *seen;
    uint64_t room;
};

struct sink_counts {
    uint64_t connections, open, tls, messages, recipients, octets, refused, dropped, broken;
    uint64_t unique, surplus, unnamed; /* of X-Load-Id: first arrivals, arrivals too many, messages without */
    int64_t first_us, last_us;         /* end of the first and of the last message; monotonic */
    struct sink_run runs[SINK_RUNS_MAX];
    unsigned run_count;
    uint32_t *latency_us;              /* from sending (in X-Load-Id) to arrival */
    uint64_t latency_count, latency_room;
};

/* What `goniec load` wrote into a message: "X-Load-Id: RUN-NUMBER-MICROSECONDS". */
struct sink_id {
    bool found;
    uint64_t run, number, sent_us;
};

/* Looks for it in the beginning of a message, of which the first `seen` octets were looked through before. */
void sink_id_find(struct span head, size_t seen, struct sink_id *ret);
/* Notes one whole message; `each`: recipients that a message of the load has; `only`: the run
 * that counts, 0: any. */
void sink_counts_message(struct sink_counts *counts, const struct sink_id *id, uint64_t octets, unsigned recipients, unsigned each,
                         uint64_t only);
void sink_counts_print(struct sink_counts *counts, uint64_t expected); /* one JSON object, one line */
void sink_counts_done(struct sink_counts *counts);

/* -- the whole -- */

struct sink_options {
    struct net_address listen[SINK_LISTENERS_MAX];
    unsigned listen_count;
    const char *name, *store, *certificate, *key, *login;
    bool lmtp, show, starttls, implicit, quiet;
    uint64_t expect;       /* messages; 0: no end */
    uint64_t run;          /* only messages of this run of the load are looked at; 0: of any */
    unsigned each;         /* recipients per message of the load */
    uint64_t max_octets;
    int64_t stats_ms;
    struct sink_rules rules;
};

struct sink {
    struct loop *loop;
    struct sink_options options;
    struct sink_counts counts;
    struct smtp_server_settings settings;
    struct tls_server *tls;
    struct listener *listeners[SINK_LISTENERS_MAX];
    struct list sessions;
    struct loop_timer stats;
    unsigned stored;
};

/* Begins a session on an accepted socket. */
void sink_session_new(struct sink *sink, int fd);
void sink_session_free_all(struct sink *sink);
/* A message is there; stops the loop when it was the last one expected. */
void sink_arrived(struct sink *sink);
/* Writes the message as STORE/NUMBER.eml, or to the standard output, with its envelope and the time of its MAIL (wall clock)
 * on top. False: a complaint was printed. */
bool sink_keep(struct sink *sink, int64_t began_ms, struct span sender, struct span recipients, struct span message);
