#include "directory/settings.h"

#define AT(member) CONF_AT(struct directory_settings, member)

static const struct conf_directive rows[] = {
    { "database", CONF_PATH, AT(database), NULL, NULL, NULL,
      "The SQLite database of accounts and aliases. Made by `goniec account add`; changes hold at once. "
      "Default: accounts.db in `state-dir`." },
    { "password-threads", CONF_INTEGER, AT(password_threads), "auto", "0", "256",
      "Threads that check passwords; auto: one for each core that goniec may use.", .zero = "auto" },
    { "password-queue", CONF_INTEGER, AT(password_queue), "256", "1", "100000",
      "Logins that may wait for such a thread. More are answered 454 \"try again later\"." },
    { "remember", CONF_TIME_MS, AT(remember_ms), "10min", "0s", "1d",
      "How long a successful login is remembered (as a keyed hash in memory, never the password), so that the "
      "next one with the same password costs almost nothing. A changed password is forgotten at once." },
    { 0 }
};

const struct conf_section directory_settings_section = { rows, sizeof(struct directory_settings), NULL };

static const struct conf_directive root_rows[] = {
    { NULL, CONF_INLINE, CONF_AT(struct directory_root, common), .section = &conf_common_section },
    { "accounts", CONF_SECTION, CONF_AT(struct directory_root, accounts),
      .help = "Who may log in, and as whom they may send.", .section = &directory_settings_section },
    { 0 }
};

const struct conf_section directory_root_section = { root_rows, sizeof(struct directory_root), NULL };

enum status directory_database_path(const struct directory_root *root, struct buf *ret)
{
    if (root->accounts.database.n)
        return buf_add(ret, root->accounts.database);
    buf_add(ret, root->common.state_dir);
    return buf_add_str(ret, "/accounts.db");
}
