#include "directory/credential.h"
#include "conf/network.h"
#include "directory/accounts_priv.h"
#include "policy/address.h"
#include <sodium.h>

#define GROUPS 4       /* of letters behind the handle: a hundred bits */
#define GROUP_LETTERS 5

static struct credential take_credential(sqlite3_stmt *statement)
{
    return (struct credential){
        .id = sqlite3_column_int64(statement, 0),
        .sender = sqlite3_column_int64(statement, 1),
        .name = accounts_column(statement, 2),
        .handle = accounts_column(statement, 3),
        .stored = accounts_column(statement, 4),
        .expires_ms = sqlite3_column_int64(statement, 5),
        .networks = accounts_column(statement, 6),
        .senders = accounts_column(statement, 7),
        .limits = accounts_column(statement, 8),
        .created_ms = sqlite3_column_int64(statement, 9),
        .changed_ms = sqlite3_column_int64(statement, 10),
    };
}

enum status credential_list(struct accounts *accounts, int64_t sender, credential_each *each, void *arg)
{
    sqlite3_stmt *statement = accounts_ask(accounts, ST_CREDENTIALS);
    if (statement)
        sqlite3_bind_int64(statement, 1, sender);
    enum status status;
    while ((status = accounts_step(accounts, statement)) == STATUS_OK) {
        struct credential credential = take_credential(statement);
        each(arg, &credential);
    }
    sqlite3_reset(statement);
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

static enum status check_room(struct accounts *accounts, const struct credential *credential)
{
    sqlite3_stmt *statement = accounts_ask(accounts, ST_CREDENTIAL_COUNT);
    if (statement) {
        sqlite3_bind_int64(statement, 1, credential->sender);
        accounts_bind(statement, 2, credential->handle);
    }
    enum status status = accounts_step(accounts, statement);
    if (status != STATUS_OK)
        return status;
    int64_t all = sqlite3_column_int64(statement, 0), bare = sqlite3_column_int64(statement, 1),
            twins = sqlite3_column_int64(statement, 2);
    sqlite3_reset(statement);
    if (credential->handle.n && twins)
        return STATUS_EXISTS;
    return all >= CREDENTIALS_MAX || (!credential->handle.n && bare >= CREDENTIALS_BARE_MAX) ? STATUS_FULL : STATUS_OK;
}

/* Binds what both statements have at the same places; `now_ms` goes to the ninth. */
static sqlite3_stmt *bind_all(struct accounts *accounts, enum statement which, const struct credential *credential, int64_t now_ms)
{
    sqlite3_stmt *statement = accounts_statement(accounts, which);
    if (!statement)
        return NULL;
    sqlite3_bind_int64(statement, 1, credential->sender);
    accounts_bind(statement, 2, credential->name);
    accounts_bind(statement, 3, credential->handle);
    accounts_bind(statement, 4, credential->stored);
    sqlite3_bind_int64(statement, 5, credential->expires_ms);
    accounts_bind(statement, 6, credential->networks);
    accounts_bind(statement, 7, credential->senders);
    accounts_bind(statement, 8, credential->limits);
    sqlite3_bind_int64(statement, 9, now_ms);
    return statement;
}

/* Tells the audit log, under the sender's name. */
static enum status note(struct accounts *accounts, int64_t sender, const char *action, struct span name, int64_t now_ms)
{
    struct tree_node node;
    enum status status = tree_get(accounts, sender, &node);
    return status == STATUS_OK ? accounts_note(accounts, action, node.kind, node.name, name, now_ms) : status;
}

enum status credential_add(struct accounts *accounts, const struct credential *credential, int64_t now_ms)
{
    bool own;
    enum status status = accounts_change_begin(accounts, &own);
    if (status != STATUS_OK)
        return status;
    status = check_room(accounts, credential);
    if (status == STATUS_OK)
        status = accounts_change(accounts, bind_all(accounts, ST_CREDENTIAL_ADD, credential, now_ms));
    if (status == STATUS_OK)
        status = note(accounts, credential->sender, "credential-add", credential->name, now_ms);
    return accounts_change_end(accounts, own, status);
}

enum status credential_set(struct accounts *accounts, const struct credential *credential, int64_t now_ms)
{
    bool own;
    enum status status = accounts_change_begin(accounts, &own);
    if (status != STATUS_OK)
        return status;
    status = accounts_change(accounts, bind_all(accounts, ST_CREDENTIAL_SET, credential, now_ms));
    if (status == STATUS_OK)
        status = note(accounts, credential->sender, "credential-set", credential->name, now_ms);
    return accounts_change_end(accounts, own, status);
}

enum status credential_revoke(struct accounts *accounts, int64_t sender, struct span name, int64_t now_ms)
{
    bool own;
    enum status status = accounts_change_begin(accounts, &own);
    if (status != STATUS_OK)
        return status;
    sqlite3_stmt *statement = accounts_statement(accounts, ST_CREDENTIAL_REMOVE);
    if (statement) {
        sqlite3_bind_int64(statement, 1, sender);
        accounts_bind(statement, 2, name);
    }
    status = accounts_change(accounts, statement);
    if (status == STATUS_OK)
        status = note(accounts, sender, "credential-revoke", name, now_ms);
    return accounts_change_end(accounts, own, status);
}

struct span credential_handle_of(struct span password)
{
    bool may = password.n > CREDENTIAL_HANDLE && password.p[CREDENTIAL_HANDLE] == '-';
    return may ? span_head(password, CREDENTIAL_HANDLE) : SPAN("-");
}

enum status credential_generate(struct buf *ret)
{
    static const char letters[] = "abcdefghjkmnpqrstuvwxyz123456789"; /* no i, l, o, 0 */
    unsigned char chance[CREDENTIAL_HANDLE + GROUPS * GROUP_LETTERS];
    if (buf_reserve(ret, sizeof chance + GROUPS) != STATUS_OK)
        return STATUS_MEMORY;
    randombytes_buf(chance, sizeof chance);
    for (size_t i = 0; i < sizeof chance; i++) {
        if (i >= CREDENTIAL_HANDLE && (i - CREDENTIAL_HANDLE) % GROUP_LETTERS == 0)
            buf_add_char(ret, '-');
        buf_add_char(ret, letters[chance[i] % 32]);
    }
    explicit_bzero(chance, sizeof chance);
    return ret->failed ? STATUS_MEMORY : STATUS_OK;
}

/* Cuts the next word off a text with single spaces. */
static bool next_word(struct span *text, struct span *ret)
{
    *text = span_trim(*text);
    size_t end = span_find(*text, ' ');
    *ret = span_head(*text, end);
    *text = span_from(*text, end);
    return ret->n > 0;
}

bool credential_allows_network(struct span networks, struct span client)
{
    struct conf_ip ip;
    struct conf_network network;
    if (!networks.n)
        return true;
    bool is_ip = conf_ip_parse(client, &ip);
    for (struct span word; is_ip && next_word(&networks, &word);)
        if (conf_network_parse(word, &network) && conf_network_has(&network, &ip))
            return true;
    return false;
}

bool credential_allows_sender(struct span senders, struct span address)
{
    struct policy_keys keys;
    if (!senders.n)
        return true;
    bool is_address = policy_keys_make(address, &keys) == STATUS_OK;
    for (struct span word; is_address && next_word(&senders, &word);)
        if (span_eq(word, keys.exact) || span_eq(word, keys.base) || span_eq(word, keys.wildcard))
            return true;
    return false;
}

static bool check_name(struct span name)
{
    bool good = name.n > 0 && name.n <= CREDENTIAL_NAME_MAX && span_is_utf8(name);
    for (size_t i = 0; good && i < name.n; i++)
        good = (unsigned char)name.p[i] > ' ' && name.p[i] != 0x7f;
    return good;
}

static bool check_networks(struct span networks, struct buf *why)
{
    struct conf_network network;
    for (struct span word; next_word(&networks, &word);)
        if (!conf_network_parse(word, &network)) {
            buf_printf(why, "%.*s is no network; write 192.0.2.0/24, 2001:db8::/32 or a single address", SPAN_ARGS(word));
            return false;
        }
    return true;
}

static bool check_senders(struct span senders, struct buf *why)
{
    struct policy_keys keys;
    for (struct span word; next_word(&senders, &word);)
        if (policy_keys_make(word, &keys) != STATUS_OK || !span_eq(keys.exact, word)) {
            buf_printf(why, "%.*s is no mail address in small letters; write bob@example.org, or *@example.org", SPAN_ARGS(word));
            return false;
        }
    return true;
}

bool credential_check(const struct credential *credential, struct buf *why)
{
    if (!check_name(credential->name)) {
        buf_printf(why, "a credential's name has 1 to %d octets, without spaces and control characters", CREDENTIAL_NAME_MAX);
        return false;
    }
    if (credential->handle.n && (credential->handle.n != CREDENTIAL_HANDLE || span_find(credential->handle, '-') < CREDENTIAL_HANDLE)) {
        buf_printf(why, "a handle has %d octets, none of them a hyphen", CREDENTIAL_HANDLE);
        return false;
    }
    if (MAX(credential->networks.n, MAX(credential->senders.n, credential->limits.n)) > CREDENTIAL_TEXT_MAX) {
        buf_printf(why, "networks, senders and limits have at most %d octets each", CREDENTIAL_TEXT_MAX);
        return false;
    }
    return check_networks(credential->networks, why) && check_senders(credential->senders, why);
}
