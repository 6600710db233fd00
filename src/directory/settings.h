/* directory/settings.h -- `accounts`: where the accounts are kept and how passwords are checked. */
#pragma once
#include "conf/common.h"

struct directory_settings {
    struct span database;    /* path; unset: accounts.db in state-dir */
    int64_t password_threads; /* 0: one for each core that we may use */
    int64_t password_queue;
    int64_t remember_ms;
};

/* The keys inside `accounts`. */
extern const struct conf_section directory_settings_section;

/* What the directory reads of the file. */
struct directory_root {
    struct conf_common common;
    struct directory_settings accounts;
};
extern const struct conf_section directory_root_section; /* parse with CONF_PARTIAL */

/* Adds the path of the database. */
enum status directory_database_path(const struct directory_root *root, struct buf *ret);
