#include "cli/account.h"
#include "base/log.h"
#include "base/time.h"
#include "cli/account_priv.h"
#include "cli/common.h"
#include "cli/password.h"
#include "directory/accounts.h"
#include "policy/address.h"

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
    enum status status = accounts_alias_add(call->accounts, call->name, buf_span(&key), time_wall_ms());
    if (status == STATUS_EXISTS)
        return common_complain("%s owns %s already", call->name.p, buf_cstr(&key));
    return node_report(call, status, "alias added");
}

/* Below what --domain or --customer say, or else below the domain of its address. */
static bool find_place(struct account_call *call, int64_t *ret_parent)
{
    struct tree_node parent;
    int64_t customer;
    if (call->options.domain)
        return node_find_other(call, TREE_DOMAIN, call->options.domain, ret_parent);
    if (!node_customer(call, &customer))
        return false;
    enum status status = accounts_place(call->accounts, call->name, customer, time_wall_ms(), ret_parent);
    if (status == STATUS_OK && customer)
        status = tree_get(call->accounts, *ret_parent, &parent);
    if (status != STATUS_OK) {
        node_report(call, status, "");
        return false;
    }
    bool is_there = !customer || parent.id == customer || parent.parent == customer;
    if (!is_there)
        common_complain("the domain of %s belongs to another customer; `goniec domain set %.*s customer=%s` moves it", call->name.p,
                        SPAN_ARGS(parent.name), call->options.customer);
    return is_there;
}

static int add_there(struct account_call *call, struct span stored)
{
    int64_t parent;
    if (!node_check_text("name", span_str(call->options.name)) || !find_place(call, &parent))
        return 1;
    enum status status = accounts_add_below(call->accounts, parent, call->name, stored, span_str(call->options.name), time_wall_ms());
    int result = status == STATUS_OK ? 0 : node_report(call, status, "");
    for (size_t i = 0; result == 0 && i < call->options.aliases.n; i++)
        result = add_alias(call, call->options.aliases.items[i]);
    return result;
}

static int run_add(struct account_call *call)
{
    struct account account;
    if (accounts_find(call->accounts, call->name, 0, &account) == STATUS_OK) /* before a password is asked for */
        return node_report(call, STATUS_EXISTS, "");
    for (size_t i = 0; i < call->options.aliases.n; i++) {
        AUTO(buf_done) struct buf key = BUF_EMPTY(ADDRESS_MAX + 1);
        if (!alias_key(call->options.aliases.items[i], &key))
            return 1;
    }
    AUTO(buf_done) struct buf stored = BUF_EMPTY(SECRET_STORED_MAX);
    if (get_stored(call, &stored) != 0)
        return 1;
    int result = tree_begin(call->accounts) == STATUS_OK ? add_there(call, buf_span(&stored)) : node_report(call, STATUS_IO, "");
    if (result) {
        tree_rollback(call->accounts);
        return result;
    }
    return node_report(call, tree_commit(call->accounts), "account added");
}

static int run_passwd(struct account_call *call)
{
    struct account account;
    enum status status = accounts_find(call->accounts, call->name, 0, &account);
    if (status != STATUS_OK)
        return node_report(call, status, "");
    AUTO(buf_done) struct buf stored = BUF_EMPTY(SECRET_STORED_MAX);
    if (get_stored(call, &stored) != 0)
        return 1;
    return node_report(call, accounts_set_stored(call->accounts, call->name, buf_span(&stored), time_wall_ms()),
                       "password changed");
}

static int run_remove(struct account_call *call)
{
    return node_report(call, accounts_remove(call->accounts, call->name, time_wall_ms()), "removed, with its aliases");
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
        enum status status = accounts_alias_remove(call->accounts, call->name, buf_span(&key), time_wall_ms());
        if (status == STATUS_NOT_FOUND)
            return common_complain("%s has no alias %s (`goniec account show %s`)", call->name.p, buf_cstr(&key),
                            call->name.p);
        int result = node_report(call, status, "alias removed");
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
    buf_add_str(text, ", \"domain\": ");
    json_add_string(text, row->domain);
    buf_add_str(text, ", \"customer\": ");
    json_add_string(text, row->customer);
    buf_printf(text, ", \"suspended\": %s, \"reason\": ", row->suspended ? "true" : "false");
    json_add_string(text, row->reason);
    buf_printf(text, ", \"password\": \"%s\", \"scram\": %s, \"created\": \"", form ? form : row->stored.n ? "unknown" : "none",
               secret_for_scram(row->stored).n ? "true" : "false");
    node_add_time(text, row->created_ms);
    buf_add_str(text, "\", \"changed\": \"");
    node_add_time(text, row->changed_ms);
    buf_add_str(text, "\", \"aliases\": [");
    if (accounts_aliases(printing->call->accounts, row->row, SIZE_MAX, print_alias_json, text, &total) != STATUS_OK)
        text->failed = true;
    buf_add_str(text, "]");
    if (printing->in_full) {
        buf_add_str(text, ", \"credentials\": [");
        credential_add_all(printing->call, row->row, text);
        buf_add_str(text, "]");
        node_add_settings(printing->call->accounts, row->row, true, text);
    }
    buf_add_str(text, "}");
}

/* Of itself, or of what is above it. */
static void print_state(struct printing *printing, const struct accounts_row *row)
{
    struct account account;
    enum status status = accounts_find(printing->call->accounts, row->login, 0, &account);
    if (status == STATUS_OK && account.suspended)
        buf_printf(&printing->text, "state:    suspended%s%.*s: %.*s\n", span_eq(account.who, row->login) ? "" : " by ",
                   span_eq(account.who, row->login) ? 0 : (int)account.who.n, account.who.p, SPAN_ARGS(account.reason));
    else
        buf_add_str(&printing->text, status == STATUS_OK ? "state:    active\n" : "state:    unknown\n");
}

static void print_full(struct printing *printing, const struct accounts_row *row)
{
    struct buf *text = &printing->text;
    const char *form = secret_form(row->stored);
    size_t total;
    buf_printf(text, "login:    %.*s\n", SPAN_ARGS(row->login));
    if (row->name.n)
        buf_printf(text, "name:     %.*s\n", SPAN_ARGS(row->name));
    buf_printf(text, "customer: %.*s\n", SPAN_ARGS(row->customer));
    if (row->domain.n)
        buf_printf(text, "domain:   %.*s\n", SPAN_ARGS(row->domain));
    print_state(printing, row);
    buf_printf(text, "password: %s%s\n", form ? form : row->stored.n ? "of a form that goniec does not know; nobody can log in with it"
                                              : "none", has_both(row) ? ", scram-sha-256" : "");
    buf_add_str(text, "created:  ");
    node_add_time(text, row->created_ms);
    buf_add_str(text, "\nchanged:  ");
    node_add_time(text, row->changed_ms);
    buf_add_str(text, "\n");
    if (accounts_aliases(printing->call->accounts, row->row, SIZE_MAX, print_alias, text, &total) != STATUS_OK)
        text->failed = true;
    credential_add_all(printing->call, row->row, text);
    node_add_settings(printing->call->accounts, row->row, false, text);
}

static void print_row(void *arg, const struct accounts_row *row)
{
    struct printing *printing = arg;
    if (printing->call->options.json)
        print_json(printing, row);
    else if (printing->in_full)
        print_full(printing, row);
    else
        buf_printf(&printing->text, "%-40.*s %-9s %3zu alias%s  %.*s\n", SPAN_ARGS(row->login),
                   row->suspended ? "suspended" : "active", row->aliases, row->aliases == 1 ? "  " : "es",
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
    enum status status = accounts_list(call->accounts, in_full ? call->name : SPAN_NONE, print_row, &printing);
    if (is_array)
        fputs("]", stdout);
    if (call->options.json && status == STATUS_OK)
        fputs("\n", stdout);
    bool is_empty = printing.is_first;
    buf_done(&printing.text);
    if (status != STATUS_OK)
        return node_report(call, status, "");
    if (is_empty && !call->options.json)
        fputs("no accounts yet; `goniec account add anna@example.org` makes the first\n", stderr);
    return 0;
}

static int run_list(struct account_call *call)
{
    return print_all(call, false);
}

int account_print(struct account_call *call)
{
    return print_all(call, true);
}

const struct account_verb account_verbs[] = {
    { "add", "LOGIN [--name TEXT] [--alias ADDRESS]... [--customer NAME | --domain NAME]", 1, 1, ACCOUNT_CHANGES | ACCOUNT_PASSWORD, run_add,
      "makes an account; a login that is a mail address owns it" },
    { "passwd", "LOGIN", 1, 1, ACCOUNT_CHANGES | ACCOUNT_PASSWORD | ACCOUNT_TAKES, run_passwd,
      "sets a new password; what was opened with the old one sends nothing more" },
    { "list", "", 0, 0, 0, run_list, "all accounts" },
    { "show", "LOGIN", 1, 1, 0, account_print, "one account with its aliases" },
    { "set", "LOGIN SETTING=VALUE...", 2, 1000, ACCOUNT_CHANGES | ACCOUNT_TAKES, node_run_set, "says something on it" },
    { "suspend", "LOGIN [--reason TEXT]", 1, 1, ACCOUNT_CHANGES | ACCOUNT_TAKES, node_run_suspend,
      "no login and no new message from now on; who has the right password is told the reason" },
    { "resume", "LOGIN", 1, 1, ACCOUNT_CHANGES, node_run_resume, "takes `suspend` back" },
    { "remove", "LOGIN", 1, 1, ACCOUNT_CHANGES | ACCOUNT_TAKES, run_remove, "the account and its aliases go" },
    { "alias-add", "LOGIN ADDRESS...", 2, 1000, ACCOUNT_CHANGES, run_alias_add,
      "lets it send as these addresses; *@example.org: as every address of the domain" },
    { "alias-remove", "LOGIN ADDRESS...", 2, 1000, ACCOUNT_CHANGES | ACCOUNT_TAKES, run_alias_remove,
      "takes addresses back" },
    { 0 }
};
