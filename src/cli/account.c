#include "cli/account.h"
#include "base/log.h"
#include "base/time.h"
#include "cli/account_priv.h"
#include "cli/common.h"
#include "cli/password.h"
#include "directory/accounts.h"
#include "policy/address.h"

/* What a change came to, for the person who asked for it. */
static int report(const struct account_call *call, enum status status, const char *login, const char *done)
{
    if (status == STATUS_OK) {
        if (!call->options.json)
            printf("%s: %s\n", login, done);
        return 0;
    }
    if (status == STATUS_NOT_FOUND)
        return common_complain("there is no account %s (`goniec account list` shows all)", login);
    if (status == STATUS_EXISTS)
        return common_complain("there is an account %s already", login);
    return common_complain("%s", accounts_why(call->accounts));
}

static int get_stored(const struct account_call *call, struct buf *ret)
{
    const struct account_options *options = &call->options;
    enum password_source source = options->hash ? PASSWORD_HASH
                                  : options->from_stdin ? PASSWORD_STDIN
                                  : options->generate ? PASSWORD_GENERATE : PASSWORD_PROMPT;
    return password_obtain(source, options->hash, &call->wish, ret) ? 0 : 1;
}

/* Adds the spelling under which an alias is kept. */
static bool alias_key(const char *alias, struct buf *ret)
{
    struct policy_keys keys;
    if (policy_keys_make(span_str(alias), &keys) != STATUS_OK) {
        common_complain("%s is no mail address; write bob@example.org, or *@example.org for every address of a domain", alias);
        return false;
    }
    return buf_add(ret, keys.exact) == STATUS_OK;
}

static int add_alias(const struct account_call *call, const char *alias)
{
    AUTO(buf_done) struct buf key = BUF_EMPTY(ADDRESS_MAX + 1);
    if (!alias_key(alias, &key))
        return 1;
    enum status status = accounts_alias_add(call->accounts, call->login, buf_span(&key));
    if (status == STATUS_EXISTS)
        return common_complain("%s owns %s already", call->login.p, buf_cstr(&key));
    return report(call, status, call->login.p, "alias added");
}

static int run_add(struct account_call *call)
{
    struct account account;
    if (accounts_find(call->accounts, call->login, &account) == STATUS_OK) /* before a password is asked for */
        return report(call, STATUS_EXISTS, call->login.p, "");
    for (size_t i = 0; i < call->options.alias_count; i++) {
        AUTO(buf_done) struct buf key = BUF_EMPTY(ADDRESS_MAX + 1);
        if (!alias_key(call->options.aliases[i], &key))
            return 1;
    }
    AUTO(buf_done) struct buf stored = BUF_EMPTY(SECRET_STORED_MAX);
    if (get_stored(call, &stored) != 0)
        return 1;
    enum status status = accounts_add(call->accounts, call->login, buf_span(&stored), span_str(call->options.name),
                                      time_wall_ms());
    int result = report(call, status, call->login.p, "account added");
    for (size_t i = 0; result == 0 && i < call->options.alias_count; i++)
        result = add_alias(call, call->options.aliases[i]);
    return result;
}

static int run_passwd(struct account_call *call)
{
    struct account account;
    enum status status = accounts_find(call->accounts, call->login, &account);
    if (status != STATUS_OK)
        return report(call, status, call->login.p, "");
    AUTO(buf_done) struct buf stored = BUF_EMPTY(SECRET_STORED_MAX);
    if (get_stored(call, &stored) != 0)
        return 1;
    return report(call, accounts_set_stored(call->accounts, call->login, buf_span(&stored), time_wall_ms()),
                  call->login.p, "password changed");
}

static int run_enable(struct account_call *call)
{
    return report(call, accounts_set_enabled(call->accounts, call->login, true, time_wall_ms()), call->login.p,
                  "enabled");
}

static int run_disable(struct account_call *call)
{
    return report(call, accounts_set_enabled(call->accounts, call->login, false, time_wall_ms()), call->login.p,
                  "disabled; no login and no new message from now on");
}

static int run_remove(struct account_call *call)
{
    return report(call, accounts_remove(call->accounts, call->login), call->login.p, "removed, with its aliases");
}

static int run_alias_add(struct account_call *call)
{
    int result = 0;
    for (int i = 0; i < call->word_count && result == 0; i++)
        result = add_alias(call, call->words[i]);
    return result;
}

static int run_alias_remove(struct account_call *call)
{
    for (int i = 0; i < call->word_count; i++) {
        AUTO(buf_done) struct buf key = BUF_EMPTY(ADDRESS_MAX + 1);
        if (!alias_key(call->words[i], &key))
            return 1;
        enum status status = accounts_alias_remove(call->accounts, call->login, buf_span(&key));
        if (status == STATUS_NOT_FOUND)
            return common_complain("%s has no alias %s (`goniec account show %s`)", call->login.p, buf_cstr(&key),
                            call->login.p);
        int result = report(call, status, call->login.p, "alias removed");
        if (result != 0)
            return result;
    }
    return 0;
}

/* Once for list and show: each account as a line, a paragraph or a JSON object. */
struct printing {
    struct account_call *call;
    bool in_full;
    bool is_first;
    struct buf text;
};

static void print_alias_json(void *arg, struct span address)
{
    struct buf *text = arg;
    if (text->p[text->n - 1] != '[')
        buf_add_str(text, ", ");
    json_add_string(text, address);
}

static void print_alias(void *arg, struct span address)
{
    buf_printf(arg, "alias:    %.*s\n", SPAN_ARGS(address));
}

static void add_time(struct buf *text, int64_t wall_ms)
{
    char iso[TIME_TEXT_SIZE];
    buf_add_str(text, wall_ms ? time_iso(wall_ms, iso) : "unknown");
}

/* A hash, and for SCRAM a verifier. */
static bool has_both(const struct accounts_row *row)
{
    return secret_for_scram(row->stored).n && !span_eq(secret_for_scram(row->stored), secret_for_password(row->stored));
}

static void print_json(struct printing *printing, const struct accounts_row *row)
{
    struct buf *text = &printing->text;
    const char *form = secret_form(row->stored);
    size_t total;
    buf_add_str(text, printing->is_first || printing->in_full ? "" : ",\n ");
    buf_add_str(text, "{\"login\": ");
    json_add_string(text, row->login);
    buf_add_str(text, ", \"name\": ");
    json_add_string(text, row->name);
    buf_printf(text, ", \"enabled\": %s, \"password\": \"%s\", \"scram\": %s, \"created\": \"", row->enabled ? "true" : "false",
               form ? form : "unknown", secret_for_scram(row->stored).n ? "true" : "false");
    add_time(text, row->created_ms);
    buf_add_str(text, "\", \"changed\": \"");
    add_time(text, row->changed_ms);
    buf_add_str(text, "\", \"aliases\": [");
    if (accounts_aliases(printing->call->accounts, row->row, SIZE_MAX, print_alias_json, text, &total) != STATUS_OK)
        text->failed = true;
    buf_add_str(text, "]}");
}

static void print_full(struct printing *printing, const struct accounts_row *row)
{
    struct buf *text = &printing->text;
    const char *form = secret_form(row->stored);
    size_t total;
    buf_printf(text, "login:    %.*s\n", SPAN_ARGS(row->login));
    if (row->name.n)
        buf_printf(text, "name:     %.*s\n", SPAN_ARGS(row->name));
    buf_printf(text, "state:    %s\n", row->enabled ? "enabled" : "disabled");
    buf_printf(text, "password: %s%s\n", form ? form : "of a form that goniec does not know; nobody can log in with it",
               has_both(row) ? ", scram-sha-256" : "");
    buf_add_str(text, "created:  ");
    add_time(text, row->created_ms);
    buf_add_str(text, "\nchanged:  ");
    add_time(text, row->changed_ms);
    buf_add_str(text, "\n");
    if (accounts_aliases(printing->call->accounts, row->row, SIZE_MAX, print_alias, text, &total) != STATUS_OK)
        text->failed = true;
}

static void print_row(void *arg, const struct accounts_row *row)
{
    struct printing *printing = arg;
    if (printing->call->options.json)
        print_json(printing, row);
    else if (printing->in_full)
        print_full(printing, row);
    else
        buf_printf(&printing->text, "%-40.*s %-8s %3zu alias%s  %.*s\n", SPAN_ARGS(row->login),
                   row->enabled ? "enabled" : "disabled", row->aliases, row->aliases == 1 ? "  " : "es",
                   SPAN_ARGS(row->name));
    printing->is_first = false;
    /* Written out as it grows: a host may have a hundred thousand accounts. */
    fwrite(printing->text.p, 1, printing->text.n, stdout);
    if (printing->text.failed)
        common_complain("an account could not be shown in full");
    buf_clear(&printing->text);
}

static int print_all(struct account_call *call, bool in_full)
{
    struct printing printing = { call, in_full, true, BUF_EMPTY(64u << 20) };
    bool is_array = call->options.json && !in_full;
    if (is_array)
        fputs("[", stdout);
    enum status status = accounts_list(call->accounts, in_full ? call->login : SPAN_NONE, print_row, &printing);
    if (is_array)
        fputs("]", stdout);
    if (call->options.json && status == STATUS_OK)
        fputs("\n", stdout);
    bool is_empty = printing.is_first;
    buf_done(&printing.text);
    if (status != STATUS_OK)
        return report(call, status, in_full ? call->login.p : "", "");
    if (is_empty && !call->options.json)
        fputs("no accounts yet; `goniec account add anna@example.org` makes the first\n", stderr);
    return 0;
}

static int run_list(struct account_call *call)
{
    return print_all(call, false);
}

static int run_show(struct account_call *call)
{
    return print_all(call, true);
}

const struct account_verb account_verbs[] = {
    { "add", "LOGIN [--name TEXT] [--alias ADDRESS]...", 1, 1, ACCOUNT_CHANGES | ACCOUNT_PASSWORD, run_add,
      "makes an account; a login that is a mail address owns it" },
    { "passwd", "LOGIN", 1, 1, ACCOUNT_CHANGES | ACCOUNT_PASSWORD, run_passwd, "sets a new password" },
    { "list", "", 0, 0, 0, run_list, "all accounts" },
    { "show", "LOGIN", 1, 1, 0, run_show, "one account with its aliases" },
    { "disable", "LOGIN", 1, 1, ACCOUNT_CHANGES | ACCOUNT_TAKES, run_disable, "no login and no new message from now on" },
    { "enable", "LOGIN", 1, 1, ACCOUNT_CHANGES, run_enable, "takes `disable` back" },
    { "remove", "LOGIN", 1, 1, ACCOUNT_CHANGES | ACCOUNT_TAKES, run_remove, "the account and its aliases go" },
    { "alias-add", "LOGIN ADDRESS...", 2, 1000, ACCOUNT_CHANGES, run_alias_add,
      "lets it send as these addresses; *@example.org: as every address of the domain" },
    { "alias-remove", "LOGIN ADDRESS...", 2, 1000, ACCOUNT_CHANGES | ACCOUNT_TAKES, run_alias_remove,
      "takes addresses back" },
    { 0 }
};
