/* `goniec account credential`: app passwords, each revocable alone. */
#include "directory/credential.h"
#include "base/log.h"
#include "base/time.h"
#include "cli/account_priv.h"
#include "cli/common.h"
#include "cli/password.h"
#include "policy/address.h"

static bool join(const struct account_words *words, char between, struct buf *ret)
{
    for (size_t i = 0; i < words->n; i++) {
        if (i)
            buf_add_char(ret, between);
        buf_add_str(ret, words->items[i]);
    }
    return !ret->failed;
}

static bool join_senders(const struct account_words *words, struct buf *ret)
{
    struct policy_keys keys;
    for (size_t i = 0; i < words->n; i++) {
        if (policy_keys_make(span_str(words->items[i]), &keys) != STATUS_OK) {
            common_complain("--from %s: that is no mail address; write bob@example.org, or *@example.org", words->items[i]);
            return false;
        }
        buf_add_str(ret, i ? " " : "");
        buf_add(ret, keys.exact);
    }
    return !ret->failed;
}

static bool check_limits(const struct account_words *limits)
{
    const struct tree_setting *setting = tree_setting_find(SPAN("limit"));
    for (size_t i = 0; i < limits->n; i++) {
        AUTO(buf_done) struct buf why = BUF_EMPTY(512);
        if (!tree_value_check(setting, span_str(limits->items[i]), &why)) {
            common_complain("--limit %s: %s", limits->items[i], buf_cstr(&why));
            return false;
        }
    }
    return true;
}

/* What opens it: ready-made, or made now and shown once behind everything else. */
static bool obtain(struct account_call *call, struct buf *password, struct buf *stored)
{
    if (call->options.hash)
        return password_obtain(PASSWORD_HASH, call->options.hash, &call->wish, stored);
    if (credential_generate(password) == STATUS_OK && secret_make(buf_span(password), stored) == STATUS_OK)
        return true;
    common_complain("a password could not be made");
    return false;
}

static int add(struct account_call *call, const struct tree_node *node, struct credential *credential)
{
    AUTO(buf_wipe) struct buf password = BUF_EMPTY(128);
    AUTO(buf_done) struct buf stored = BUF_EMPTY(SECRET_STORED_MAX), why = BUF_EMPTY(512);
    if (!credential_check(credential, &why))
        return common_complain("%s", buf_cstr(&why));
    if (!obtain(call, &password, &stored))
        return 1;
    credential->stored = buf_span(&stored);
    credential->handle = password.n ? span_head(buf_span(&password), CREDENTIAL_HANDLE) : SPAN_NONE;
    enum status status = credential_add(call->accounts, credential, time_wall_ms());
    if (status == STATUS_EXISTS)
        return common_complain("%.*s has a credential %.*s already", SPAN_ARGS(node->name), SPAN_ARGS(credential->name));
    if (status == STATUS_FULL)
        return common_complain("%.*s has as many credentials as it may: %d, of which %d were brought ready-made or are its password",
                               SPAN_ARGS(node->name), CREDENTIALS_MAX, CREDENTIALS_BARE_MAX);
    if (status != STATUS_OK)
        return node_report(call, status, "");
    if (call->options.json && password.n)
        printf("{\"password\": \"%.*s\"}\n", SPAN_ARGS(buf_span(&password)));
    else if (password.n)
        printf("password: %.*s\n", SPAN_ARGS(buf_span(&password)));
    return node_report(call, STATUS_OK, "credential added");
}

static int run_add(struct account_call *call)
{
    struct tree_node node;
    const struct account_options *options = &call->options;
    AUTO(buf_done) struct buf networks = BUF_EMPTY(CREDENTIAL_TEXT_MAX), senders = BUF_EMPTY(CREDENTIAL_TEXT_MAX),
                              limits = BUF_EMPTY(CREDENTIAL_TEXT_MAX);
    struct credential credential = { .name = span_str(call->words[0]) };
    if (!node_find(call, &node) || !join_senders(&options->senders, &senders) || !check_limits(&options->limits))
        return 1;
    if (!join(&options->networks, ' ', &networks) || !join(&options->limits, '\n', &limits))
        return common_complain("networks, senders and limits of a credential have at most %d octets each", CREDENTIAL_TEXT_MAX);
    if (options->expires && !common_when(options->expires, 1, &credential.expires_ms))
        return common_complain("--expires %s: write 2027-01-31, 2027-01-31T12:00:00Z or a time such as 90d", options->expires);
    credential.sender = node.id;
    credential.networks = buf_span(&networks);
    credential.senders = buf_span(&senders);
    credential.limits = buf_span(&limits);
    return add(call, &node, &credential);
}

struct listing {
    bool json, is_first;
    struct buf *text;
};

static void list_json(const struct listing *listing, const struct credential *credential, const char *form)
{
    struct buf *text = listing->text;
    const struct { const char *name; struct span value; } members[] = {
        { "name", credential->name }, { "handle", credential->handle }, { "networks", credential->networks },
        { "from", credential->senders }, { "limits", credential->limits },
    };
    buf_add_str(text, listing->is_first ? "{" : ", {");
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        buf_printf(text, "%s\"%s\": ", i ? ", " : "", members[i].name);
        json_add_string(text, members[i].value);
    }
    buf_printf(text, ", \"password\": \"%s\", \"expires\": ", form);
    buf_add_str(text, credential->expires_ms ? "\"" : "null");
    if (credential->expires_ms)
        node_add_time(text, credential->expires_ms);
    buf_add_str(text, credential->expires_ms ? "\"" : "");
    buf_add_str(text, ", \"created\": \"");
    node_add_time(text, credential->created_ms);
    buf_add_str(text, "\"}");
}

static void list_line(const struct listing *listing, const struct credential *credential, const char *form)
{
    struct buf *text = listing->text;
    buf_printf(text, "credential %-20.*s %s", SPAN_ARGS(credential->name), form);
    if (credential->handle.n)
        buf_printf(text, ", begins with %.*s-", SPAN_ARGS(credential->handle));
    if (credential->expires_ms) {
        buf_add_str(text, credential->expires_ms <= time_wall_ms() ? ", expired at " : ", expires at ");
        node_add_time(text, credential->expires_ms);
    }
    if (credential->networks.n)
        buf_printf(text, ", only from %.*s", SPAN_ARGS(credential->networks));
    if (credential->senders.n)
        buf_printf(text, ", only as %.*s", SPAN_ARGS(credential->senders));
    buf_add_str(text, "\n");
}

static void list_one(void *arg, const struct credential *credential)
{
    struct listing *listing = arg;
    const char *form = secret_form(credential->stored);
    if (!form)
        form = credential->stored.n ? "unknown" : "none";
    if (listing->json)
        list_json(listing, credential, form);
    else
        list_line(listing, credential, form);
    listing->is_first = false;
}

void credential_add_all(struct account_call *call, int64_t sender, struct buf *text)
{
    struct listing listing = { call->options.json, true, text };
    if (credential_list(call->accounts, sender, list_one, &listing) != STATUS_OK)
        text->failed = true;
}

static int run_list(struct account_call *call)
{
    struct tree_node node;
    AUTO(buf_done) struct buf text = BUF_EMPTY(1u << 20);
    if (!node_find(call, &node))
        return 1;
    buf_add_str(&text, call->options.json ? "[" : "");
    credential_add_all(call, node.id, &text);
    buf_add_str(&text, call->options.json ? "]\n" : "");
    fwrite(text.p, 1, text.n, stdout);
    return text.failed ? common_complain("%s", accounts_why(call->accounts)) : 0;
}

static int run_revoke(struct account_call *call)
{
    struct tree_node node;
    if (!node_find(call, &node))
        return 1;
    enum status status = credential_revoke(call->accounts, node.id, span_str(call->words[0]), time_wall_ms());
    if (status == STATUS_NOT_FOUND)
        return common_complain("%s has no credential %s (`goniec account credential list %s`)", call->name.p, call->words[0],
                               call->name.p);
    return node_report(call, status, "credential revoked; its open sessions send no more");
}

const struct account_verb credential_verbs[] = {
    { "add", "LOGIN NAME [--expires WHEN] [--network NET]... [--from ADDRESS]... [--limit RULE]...", 2, 2,
      ACCOUNT_CHANGES | ACCOUNT_PASSWORD, run_add, "makes an app password, which is printed once" },
    { "list", "LOGIN", 1, 1, 0, run_list, "the credentials of an account" },
    { "revoke", "LOGIN NAME", 2, 2, ACCOUNT_CHANGES | ACCOUNT_TAKES, run_revoke, "this one opens nothing any more" },
    { 0 }
};
