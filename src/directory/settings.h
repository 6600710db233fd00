/* directory/settings.h -- `accounts`: where the accounts are kept and how passwords are checked. */
#pragma once
#include "conf/common.h"
#include "policy/settings.h"

/* What is stored of a new password. */
enum directory_store { DIRECTORY_STORE_BOTH, DIRECTORY_STORE_HASH, DIRECTORY_STORE_SCRAM };

/* Who is written to when a limit is nearly, or wholly, used. */
enum directory_notices { DIRECTORY_NOTICES_BOTH, DIRECTORY_NOTICES_SENDER, DIRECTORY_NOTICES_OPERATOR, DIRECTORY_NOTICES_NONE };

struct directory_settings {
    struct span postgresql;  /* unset: the accounts are this machine's own */
    struct span database;    /* path; unset: accounts/accounts.db in state-dir */
    int64_t password_threads; /* 0: one for each core that we may use */
    int64_t password_queue;
    int64_t remember_ms;
    int64_t guesses_per_login, guesses_per_network; /* 0: no limit */
    int64_t longest_pause_ms;
    int scram;               /* enum directory_scram */
    int64_t scram_iterations;
    int store;               /* enum directory_store */
    struct conf_texts limits; /* rules with `each`, of limits/rule.h */
    int64_t limit_wait_ms;
    int limit_notices;        /* enum directory_notices */
    int64_t limit_memory;     /* octets */
    struct conf_texts passwd_files; /* paths */
    struct span passwd_domain;
    int64_t network_ipv4, network_ipv6;             /* bits of a network's prefix */
};

/* The keys inside `accounts`. */
extern const struct conf_section directory_settings_section;

/* What the directory reads of the file. */
struct directory_root {
    struct conf_common common;
    struct directory_settings accounts;
    struct policy_settings relay; /* whose networks are ours, with many persons behind an address */
};
extern const struct conf_section directory_root_section; /* parse with CONF_PARTIAL */

/* Adds the path of the database; of the folder that it lies in. */
enum status directory_database_path(const struct directory_root *root, struct buf *ret);
enum status directory_database_folder(const struct directory_root *root, struct buf *ret);
