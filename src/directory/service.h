/* directory/service.h -- answers the questions of smtpd processes: logins, senders, recipients, signatures.
 *
 * Knows no process and no descriptor but the database: questions come in as kind and body, answers leave through a
 * function, so tests and fuzzers play it without sockets. Whatever a peer sends is checked; one that breaks the format
 * is reported by directory_peer_feed() and has to be cut off.
 */
#pragma once
#include "base/log.h"
#include "conf/directive.h"
#include "directory/guess.h"
#include "loop/loop.h"
#include "wire/smtpd_directory.h"
#include "wire/tally.h"

struct directory_service;
struct directory_peer;
struct key_set; /* directory/keys.h */

struct directory_limits {
    unsigned threads;    /* that check passwords */
    unsigned waiting;    /* logins in front of them; more are told to come back */
    int64_t remember_ms; /* a success is remembered */
    unsigned signers;    /* threads that make the slower signatures of TLS */
    struct guess_limits guess;
    size_t counters;     /* octets of the counters of the limits; 0: what is usual */
};

/* `path` (copied) is the database; it may come into being later. NULL: out of memory. */
struct directory_service *directory_service_new(struct loop *loop, struct log *log, const char *path,
                                                const struct directory_limits *limits);
void directory_service_free(struct directory_service *service); /* its peers have to be freed before */
/* A reload: another database, another life of remembered logins. Threads and waiting room stay as they began. */
void directory_service_change(struct directory_service *service, const char *path, int64_t remember_ms);

/* The same for guessers. `many` (copied): networks in which many persons have one address. */
void directory_service_guard(struct directory_service *service, const struct guess_limits *limits,
                             const struct conf_networks *many);
/* Where to count for the operator. Borrowed. */
void directory_service_count(struct directory_service *service, struct tally *tally);

/* Is SCRAM offered? AUTO: when every account that may log in has a verifier; looked at in slices, and each second for
 * changes. Without a call it is not. `iterations`: what a verifier of nobody claims. */
enum directory_scram { DIRECTORY_SCRAM_AUTO, DIRECTORY_SCRAM_NO, DIRECTORY_SCRAM_YES };
void directory_service_scram(struct directory_service *service, enum directory_scram scram, uint32_t iterations);

/* The limits (limits/rule.h) of everybody of whom nobody says others. Without a call there are none. */
void directory_service_limits(struct directory_service *service, const struct conf_texts *defaults, int64_t wait_most_ms, int notices);

/* The private keys of TLS, taken out of `set`: those before stay for a while. MEMORY: nothing changed. */
MUST_CHECK enum status directory_service_set_keys(struct directory_service *service, struct key_set *set);

/* Sends one answer. */
typedef void directory_answer(void *arg, uint16_t kind, struct span body);

/* A new smtpd; it is told the mechanisms at once. NULL: out of memory. */
struct directory_peer *directory_peer_new(struct directory_service *service, directory_answer *answer, void *arg);
void directory_peer_free(struct directory_peer *peer); /* its open exchanges end without an answer */
/* One question. SYNTAX: the peer broke the format. */
MUST_CHECK enum status directory_peer_feed(struct directory_peer *peer, uint16_t kind, struct span body);
