/* policy/local.h -- `local`: who is who among the users of this machine, who hand in mail over a socket (sendmail).
 *
 * Pure. The uid is the kernel's word, and so is the control group; the user's name is the system's. Nothing that a program
 * says about itself is known here.
 */
#pragma once
#include "conf/directive.h"
#include "policy/sender.h"

#define POLICY_LOCAL_SOCKET "submit.sock"  /* in run-dir, unless `socket` names another place */

enum policy_local_unknown { POLICY_LOCAL_OWN, POLICY_LOCAL_ANY, POLICY_LOCAL_REFUSE };

struct policy_local_user {
    struct span user;    /* a name, or a uid in digits; empty: any */
    struct span cgroup;  /* how the control group begins; empty: any */
    struct span account; /* a login of the accounts */
};

struct policy_local {
    bool listen;
    struct span socket;         /* path; unset: POLICY_LOCAL_SOCKET in run-dir */
    struct span domain;         /* behind names without one; unset: our hostname */
    struct conf_list users;     /* of struct policy_local_user */
    struct conf_texts trusted;  /* as `user` above */
    struct conf_texts shared;   /* local parts that everybody may put in From: */
    struct span fallback;       /* `default`: an account; unset: none */
    int unknown;                /* enum policy_local_unknown */
    bool hide_user;
};

/* The keys inside `local`. */
extern const struct conf_section policy_local_section;

/* What is known of whoever connected. */
struct policy_local_facts {
    uint32_t uid;
    struct span name;           /* of the system's user; empty: the uid has none */
    struct span cgroup;         /* "/system.slice/php-fpm.service"; empty: not known */
};

enum policy_local_rights {
    POLICY_LOCAL_FREE,      /* any sender */
    POLICY_LOCAL_ACCOUNT,   /* its own local names, and what the account may */
    POLICY_LOCAL_NAMES,     /* its own local names */
    POLICY_LOCAL_NOBODY,    /* may not send at all */
};
struct policy_local_who {
    enum policy_local_rights rights;
    struct span account;    /* of the settings, whose rights hold with ACCOUNT; else SPAN_NONE */
    bool is_mapped;         /* the account is also what is counted; false: each uid is an account of its own */
};

/* Who is this? Rows are looked at in their order. */
void policy_local_find(const struct policy_local *local, const struct policy_local_facts *facts, struct policy_local_who *ret);

/* "www1", or "uid-1001" where there is no name that could be the local part of an address. */
void policy_local_name(const struct policy_local_facts *facts, struct buf *ret);
/* "uid-1001@mail.example.org": the account that is counted and logged for a uid that no row names. */
void policy_local_account(uint32_t uid, struct span hostname, struct buf *ret);

/* Is the address one of the user's own local names (www1@, uid-1001@, and details as in www1+shop@), at our hostname or at
 * `domain`? In the header also those that all users share. */
bool policy_local_owns(const struct policy_local *local, const struct policy_local_facts *facts, struct span hostname,
                       struct span address, bool in_header);

/* The sentence for a refused address: what it is, and what to do. */
void policy_local_refusal(const struct policy_local_facts *facts, struct span hostname, struct span address, struct buf *ret);
