/* lock/lock_priv.h -- what the two locks are made of. */
#pragma once
#include "lock/lock.h"
#include <seccomp.h>

/* Built with a sanitizer a process does more: it reads its own maps, and looks for leaks at the end. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define LOCK_SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define LOCK_SANITIZED true
#endif
#endif
#ifndef LOCK_SANITIZED
#define LOCK_SANITIZED false
#endif

/* --- table.c --- */

enum lock_rule {
    RULE_ALLOW,
    RULE_REFUSE, /* EACCES: libraries try it and can do without */
    RULE_ABSENT, /* ENOSYS: they then take the older call, whose arguments can be looked at */
    RULE_DENY,   /* EPERM: LOCK_SUPERVISOR's, which may all else */
};
#define RULE_CONDITIONS_MAX 3

struct lock_call {
    int number;          /* SCMP_SYS(name); the last row has __NR_SCMP_ERROR */
    unsigned roles;      /* bits 1 << enum lock_role */
    enum lock_rule rule;
    unsigned condition_count;
    struct scmp_arg_cmp conditions[RULE_CONDITIONS_MAX];
};
extern const struct lock_call lock_table[];

/* --- calls.c --- */
MUST_CHECK enum status lock_calls(const struct lock *lock, char why[LOCK_WHY_SIZE]);

/* --- folders.c --- */
MUST_CHECK enum status lock_folders(const struct lock *lock, char why[LOCK_WHY_SIZE]);
