#include "directory/settings.h"
#include "directory/holders.h"
#include "directory/passwd.h"

#define AT(member) CONF_AT(struct directory_settings, member)

static const char *const scram_words[] = { "auto", "no", "yes", NULL };    /* enum directory_scram */
static const char *const store_words[] = { "both", "hash", "scram", NULL }; /* enum directory_store */

static const char *const notice_words[] = { "both", "sender", "operator", "none", NULL }; /* enum directory_notices */

static const struct conf_directive rows[] = {
    { "database", CONF_PATH, AT(database), NULL, NULL, NULL,
      "The SQLite database of accounts and aliases. Made by `goniec account add`; changes hold at once. "
      "Its folder should hold nothing else: the process that checks passwords may use all of it, and no other. Default: "
      "accounts/accounts.db in `state-dir`." },
    { "postgresql", CONF_TEXT, AT(postgresql), NULL, NULL, NULL,
      "Accounts that several machines share: a connection string of PostgreSQL (host=192.0.2.10 dbname=goniec user=goniec password=...), or the path "
      "of a file that holds one. Each machine keeps a copy in `database`, by which it goes on while PostgreSQL is away; `goniec account` and its like "
      "then refuse to change anything (docs/several-machines.md). Only a restart changes it.", .flags = CONF_SECRET },
    { "password-threads", CONF_INTEGER, AT(password_threads), "auto", "0", "256",
      "Threads that check passwords; auto: one for each core that goniec may use.", .zero = "auto" },
    { "password-queue", CONF_INTEGER, AT(password_queue), "256", "1", "100000",
      "Logins that may wait for such a thread. More are answered 454 \"try again later\"." },
    { "remember", CONF_TIME_MS, AT(remember_ms), "10min", "0s", "1d",
      "How long a successful login is remembered (as a keyed hash in memory, never the password), so that the "
      "next one with the same password costs almost nothing. A changed password is forgotten at once." },
    { "scram", CONF_ENUM, AT(scram), "auto", NULL, NULL,
      "Offer SCRAM-SHA-256, and over TLS SCRAM-SHA-256-PLUS: the password does not cross the wire, and with -PLUS nobody "
      "between client and server can use the login. auto: once every account that may log in has what it needs, for a "
      "mail program that finds SCRAM takes it and seldom tries PLAIN when it fails. yes: always; an account that has only a hash "
      "then fails with SCRAM, and the log says so.", .words = scram_words },
    { "store", CONF_ENUM, AT(store), "both", NULL, NULL,
      "What `goniec account` stores of a new password. hash: yescrypt, which is best where the database gets into wrong hands. "
      "scram: what SCRAM needs, by which PLAIN and LOGIN work, too. both: PLAIN is checked by the hash.", .words = store_words },
    { "scram-iterations", CONF_INTEGER, AT(scram_iterations), "32768", "4096", "10000000",
      "Rounds of hashing in what is stored for SCRAM from now on. Each login costs the client's machine as many (some 20 ms), "
      "and whoever got hold of the database for each guess." },
    { "guesses-per-login", CONF_INTEGER, AT(guesses_per_login), "5", "0", "100000",
      "Different wrong passwords for one login from one network, before further ones from there have to wait (454): two "
      "seconds, then twice as long after each, up to longest-pause. The right one from elsewhere is taken at once. An address "
      "from which that login once succeeded (within 30 days, and since the start) is counted by itself, and may err ten "
      "times as often.", .zero = "unlimited" },
    { "guesses-per-network", CONF_INTEGER, AT(guesses_per_network), "30", "0", "100000",
      "Different wrong passwords from one network for all logins together, before only ten tries a minute from there are "
      "looked at; those of known addresses always are. Networks in relay.networks are not counted as a whole.",
      .zero = "unlimited" },
    { "longest-pause", CONF_TIME_MS, AT(longest_pause_ms), "15min", "1s", "1d",
      "How long a guesser has to wait at most for the next try at a login." },
    { "network-ipv4", CONF_INTEGER, AT(network_ipv4), "24", "8", "32",
      "Bits of an IPv4 address that name its network, for the guesses." },
    { "network-ipv6", CONF_INTEGER, AT(network_ipv6), "48", "16", "64", "Bits of an IPv6 address that do." },
    { "passwd-files", CONF_TEXTS, AT(passwd_files), "[]", NULL, NULL,
      "Files of users that somebody else keeps: Dovecot's passwd-file, Apache's htpasswd. Each user is an account like all others, whose "
      "password (credential \"passwd-file\") comes, changes and goes with his line, within three seconds. The user that goniec runs as "
      "has to be able to read them. A new path holds from the next start.", .check = passwd_check_path },
    { "passwd-domain", CONF_TEXT, AT(passwd_domain), NULL, NULL, NULL,
      "The domain of those users of passwd-files who have none. Unset: they log in without." },
    { "limits", CONF_TEXTS, AT(limits), "[\"messages 1000/1d each sender\", \"new-recipients 200/1d each sender\"]", NULL, NULL,
      "How much may be sent where nobody says otherwise; `goniec account set LOGIN limit=...` (or domain, customer, directory) does. Each "
      "says for which kind of node it is the default (each sender). []: no limits but those that are said. A machine that does not "
      "log in (relay.networks) is counted only by limits that say `relayed`.", .check = holders_check_default },
    { "limit-wait", CONF_TIME_MS, AT(limit_wait_ms), "2d", "1min", "30d",
      "How long `hold` and `pace` may keep somebody's mail until a limit has room; who would have to wait longer is refused with 450." },
    { "limit-notices", CONF_ENUM, AT(limit_notices), "both", NULL, NULL,
      "Who gets a letter when 80 % and when all of a limit is used, once in its time: the sender (where the login is an address), the "
      "operator (postmaster), both, none. In the language of the setting `language` of the node.", .words = notice_words },
    { "limit-memory", CONF_SIZE, AT(limit_memory), "256MiB", "1MiB", "64GiB",
      "What the counters of the limits may take: 100,000 senders that send all day need 181 MiB with a daily limit. Who comes when it is "
      "full is told to come later. Holds from the next start." },
    { 0 }
};

const struct conf_section directory_settings_section = { rows, sizeof(struct directory_settings), NULL };

static const struct conf_directive root_rows[] = {
    { NULL, CONF_INLINE, CONF_AT(struct directory_root, common), .section = &conf_common_section },
    { "accounts", CONF_SECTION, CONF_AT(struct directory_root, accounts),
      .help = "Who may log in, and as whom they may send.", .section = &directory_settings_section },
    { "relay", CONF_SECTION, CONF_AT(struct directory_root, relay), .section = &policy_settings_section },
    { 0 }
};

const struct conf_section directory_root_section = { root_rows, sizeof(struct directory_root), NULL };

enum status directory_database_path(const struct directory_root *root, struct buf *ret)
{
    if (root->accounts.database.n)
        return buf_add(ret, root->accounts.database);
    buf_add(ret, root->common.state_dir);
    return buf_add_str(ret, "/accounts/accounts.db");
}

enum status directory_database_folder(const struct directory_root *root, struct buf *ret)
{
    size_t start = ret->n;
    enum status status = directory_database_path(root, ret);
    while (ret->n > start + 1 && ret->p[ret->n - 1] != '/')
        ret->n--;
    if (ret->n > start + 1) /* the slash, where it is not the root's */
        ret->n--;
    return status;
}
