/* cli/account_priv.h -- `goniec account|customer|domain|directory|audit`: what the words on the command line become. */
#pragma once
#include "base/buf.h"
#include "directory/accounts.h"
#include "directory/tree.h"
#include <stdio.h>

#define ACCOUNT_WORDS_MAX 64 /* of an option that may be given several times */

struct account_words {
    const char *items[ACCOUNT_WORDS_MAX];
    size_t n;
};

struct account_options {
    const char *config, *database, *name, *hash, *reason, *customer, *domain, *expires, *since, *last;
    struct account_words aliases, networks, senders, limits;
    bool json, from_stdin, generate, dry_run, prune, hashes;
};

struct account_group;

struct account_call {
    const struct account_group *group;
    struct account_options options;
    struct accounts *accounts;
    struct secret_wish wish; /* what is stored of a new password */
    struct span name;    /* the node's, as it is kept, ended by NUL; empty where the verb takes none */
    char **words;        /* behind the name */
    int word_count;
};

enum {
    ACCOUNT_CHANGES = 1,
    ACCOUNT_PASSWORD = 2,
    ACCOUNT_TAKES = 4,   /* a right away: the command ends when that holds everywhere */
    ACCOUNT_NAMELESS = 8 /* its first word is no node */
};

struct account_verb {
    const char *name, *args;
    int least, most;     /* words */
    unsigned flags;
    int (*run)(struct account_call *call);
    const char *help;
};

/* A command and what it may do. */
struct account_group {
    const char *command;
    enum tree_kind kind;  /* of the nodes that it is about */
    const struct account_verb *verbs; /* ended by { 0 } */
    const char *tail;     /* of its help: options of its own */
    const char *only;     /* the verb that is meant when none is given; NULL: one has to be */
};

extern const struct account_verb account_verbs[], credential_verbs[], customer_verbs[], domain_verbs[], directory_verbs[],
    audit_verbs[], sender_verbs[], limits_verbs[];

/* node.c: what customers, domains, senders and the server have in common. Each returns the exit status. */

/* The node that the call names; complains when it is not there. */
MUST_CHECK bool node_find(struct account_call *call, struct tree_node *ret);
/* What a change came to, for the person who asked for it. */
int node_report(const struct account_call *call, enum status status, const char *done);
int node_run_set(struct account_call *call);
int account_print(struct account_call *call); /* one, in full */
/* cli/apply.c: the tree out of a file, and into one. */
int apply_run(struct account_call *call);
int dump_run(struct account_call *call);
int node_run_suspend(struct account_call *call);
int node_run_resume(struct account_call *call);
/* Another node that a word names. False: complained. */
MUST_CHECK bool node_find_other(struct account_call *call, enum tree_kind kind, const char *word, int64_t *ret);
/* Is it fit for `name=` and `--reason`? False: complained. */
MUST_CHECK bool node_check_text(const char *what, struct span text);
/* The id of the customer behind --customer; 0: none was given. False: complained. */
MUST_CHECK bool node_customer(struct account_call *call, int64_t *ret);
/* Adds `, "settings": {...}, "effective": {...}` or lines of text. */
void node_add_settings(struct accounts *accounts, int64_t id, bool json, struct buf *text);
void node_add_time(struct buf *text, int64_t wall_ms);

/* The settings of the directory: the defaults of limits, the database's path (or --database) and the event log's. False: they
 * have mistakes, which others tell, or there is no memory. */
struct holders;
MUST_CHECK bool standing_settings(const struct account_call *call, struct holders *holders, struct buf *path, struct buf *log);
/* cli/standing.c: adds what was counted of the sender, and the room it has: `, "counted": [...]` or lines of text. */
void standing_add(struct account_call *call, bool json, struct buf *text);

/* cli/credential.c: adds the sender's credentials to what `show` prints. */
void credential_add_all(struct account_call *call, int64_t sender, struct buf *text);
