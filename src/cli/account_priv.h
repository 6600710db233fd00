/* cli/account_priv.h -- `goniec account`: what the words on the command line become. */
#pragma once
#include "base/buf.h"
#include "directory/accounts.h"

#define ACCOUNT_ALIASES_MAX 64 /* --alias on one command line */

struct account_options {
    const char *config, *database, *name, *hash;
    const char *aliases[ACCOUNT_ALIASES_MAX];
    size_t alias_count;
    bool json, from_stdin, generate;
};

struct account_call {
    struct account_options options;
    struct accounts *accounts;
    struct secret_wish wish; /* what is stored of a new password */
    struct span login;   /* as it is kept, ended by NUL; empty for `list` */
    char **words;        /* behind the login */
    int word_count;
};

enum {
    ACCOUNT_CHANGES = 1,
    ACCOUNT_PASSWORD = 2,
    ACCOUNT_TAKES = 4, /* a right away: the command ends when that holds everywhere */
};

struct account_verb {
    const char *name, *args;
    int least, most;     /* words */
    unsigned flags;
    int (*run)(struct account_call *call);
    const char *help;
};

extern const struct account_verb account_verbs[]; /* ended by { 0 } */
