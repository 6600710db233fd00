#include "directory/holders.h"
#include "base/hash.h"
#include "directory/accounts_priv.h"
#include "directory/credential.h"
#include "wire/smtpd_directory.h"
#include <stdlib.h>

/* While a holder is put together: what each node above it says. */
struct draft {
    struct { struct limits_rule rules[LIMITS_RULES_MOST]; size_t n; } said[LIMITS_KIND_COUNT];
    struct tree_node nodes[TREE_DEPTH_MAX];
    struct span names[LIMITS_KIND_COUNT];
    enum limits_kind kinds[LIMITS_KIND_COUNT];
    size_t n;
    uint64_t credential;
    struct buf credential_name;
    struct limits_rule rules[LIMITS_KIND_COUNT][LIMITS_RULES_MOST]; /* that hold */
    size_t counts[LIMITS_KIND_COUNT];
};

void holders_init(struct holders *holders) { *holders = (struct holders){ .map = MAP_EMPTY }; }

void holders_forget(struct holders *holders)
{
    for (MAP_EACH(node, &holders->map)) {
        map_remove(&holders->map, node);
        free(CONTAINER(node, struct holder, node));
    }
    map_done(&holders->map);
    holders->map = MAP_EMPTY;
}

bool holders_check_default(const void *value, struct buf *why)
{
    const struct span *text = value;
    struct limits_rule rule;
    if (limits_rule_parse(*text, &rule, why) != STATUS_OK)
        return false;
    if (!(rule.flags & LIMITS_RULE_EACH))
        buf_add_str(why, "a default needs \"each sender\" (or credential, domain, customer); a total of the server is said by "
                         "`goniec directory set limit=...`");
    return rule.flags & LIMITS_RULE_EACH;
}

void holders_set_defaults(struct holders *holders, const struct conf_texts *texts)
{
    AUTO(buf_done) struct buf why = BUF_EMPTY(512);
    holders->default_count = 0;
    for (size_t i = 0; i < texts->n && holders->default_count < HOLDERS_DEFAULTS_MOST; i++)
        if (limits_rule_parse(texts->items[i], &holders->defaults[holders->default_count], &why) == STATUS_OK)
            holders->default_count++;
    holders_forget(holders);
}

/* -- reading -- */

static void say(struct draft *draft, size_t at, struct span text)
{
    AUTO(buf_done) struct buf why = BUF_EMPTY(512);
    struct limits_rule *rule = &draft->said[at].rules[draft->said[at].n];
    if (text.n && draft->said[at].n < LIMITS_RULES_MOST && limits_rule_parse(text, rule, &why) == STATUS_OK)
        draft->said[at].n++;
}

static void on_value(void *arg, struct span setting, struct span value)
{
    struct draft *draft = arg;
    if (span_eq(setting, SPAN("limit")))
        say(draft, draft->n, value);
}

static void on_credential(void *arg, const struct credential *credential)
{
    struct draft *draft = arg;
    struct span left = credential->limits, line;
    if ((uint64_t)credential->id != draft->credential || !left.n)
        return;
    while (span_cut(&left, '\n', &line))
        say(draft, draft->n, span_trim(line));
    buf_add(&draft->credential_name, credential->name);
}

static void add_node(struct draft *draft, enum limits_kind kind, struct span name)
{
    draft->kinds[draft->n] = kind;
    draft->names[draft->n++] = name;
}

/* A credential is a node only where it has limits. */
static enum status read_credential(struct draft *draft, struct accounts *accounts, int64_t sender, struct span account)
{
    enum status status = draft->credential ? credential_list(accounts, sender, on_credential, draft) : STATUS_OK;
    if (status != STATUS_OK || !draft->said[0].n)
        return status;
    buf_add_str(&draft->credential_name, " of ");
    if (buf_add(&draft->credential_name, account) != STATUS_OK)
        return STATUS_MEMORY;
    add_node(draft, LIMITS_CREDENTIAL, buf_span(&draft->credential_name));
    return STATUS_OK;
}

static enum limits_kind kind_of(enum tree_kind kind)
{
    static const enum limits_kind kinds[] = { [TREE_SERVER] = LIMITS_SERVER, [TREE_CUSTOMER] = LIMITS_CUSTOMER,
                                              [TREE_DOMAIN] = LIMITS_DOMAIN, [TREE_SENDER] = LIMITS_SENDER };
    return kinds[kind];
}

static enum status read_up(struct draft *draft, struct accounts *accounts, int64_t id)
{
    size_t n = 0;
    enum status status = tree_chain(accounts, id, draft->nodes, &n);
    for (size_t i = 0; i < n && status == STATUS_OK; i++) {
        status = tree_values(accounts, draft->nodes[i].id, on_value, draft);
        add_node(draft, kind_of(draft->nodes[i].kind), draft->nodes[i].name);
    }
    return status;
}

static enum status read_all(struct draft *draft, struct accounts *accounts, struct span account)
{
    struct tree_node found = { .id = 0 };
    enum status status = STATUS_NOT_FOUND;
    if (accounts && account.n)
        status = tree_find(accounts, TREE_SENDER, account, &found);
    if (status == STATUS_OK)
        status = read_credential(draft, accounts, found.id, account);
    if (status == STATUS_OK)
        return read_up(draft, accounts, found.id);
    if (status != STATUS_NOT_FOUND)
        return status;
    if (account.n)
        add_node(draft, LIMITS_SENDER, account);
    status = accounts ? tree_find(accounts, TREE_SERVER, SPAN_NONE, &found) : STATUS_NOT_FOUND;
    return status == STATUS_OK ? read_up(draft, accounts, found.id) : status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

/* -- putting together -- */

static void find_rules(struct draft *draft, const struct holders *holders)
{
    struct limits_set sets[LIMITS_KIND_COUNT + 1];
    for (size_t i = 0; i < draft->n; i++)
        sets[i] = (struct limits_set){ draft->said[i].rules, draft->said[i].n };
    sets[draft->n] = (struct limits_set){ holders->defaults, holders->default_count };
    for (size_t i = 0; i < draft->n; i++) {
        size_t n = limits_rules_of(draft->kinds[i], sets + i, draft->n - i + 1, draft->rules[i], LIMITS_RULES_MOST);
        draft->counts[i] = MIN(n, (size_t)LIMITS_RULES_MOST);
    }
}

/* One piece of memory: the holder, its rules, its names. */
static struct holder *make(const struct draft *draft, struct span account)
{
    size_t octets = sizeof(struct holder) + account.n, rule_count = 0;
    for (size_t i = 0; i < draft->n; i++) {
        rule_count += draft->counts[i];
        octets += draft->counts[i] * sizeof(struct limits_rule) + draft->names[i].n;
    }
    struct holder *holder = calloc(1, octets);
    if (!holder)
        return NULL;
    struct limits_rule *rule = (struct limits_rule *)(holder + 1);
    char *name = (char *)(rule + rule_count);
    holder->credential = draft->credential;
    holder->account = span_of(name, account.n);
    memcpy(name, account.n ? account.p : "", account.n);
    name += account.n;
    for (size_t i = 0; i < draft->n; i++) {
        if (!draft->counts[i])
            continue; /* nothing is counted there */
        struct limits_node *node = &holder->chain[holder->chain_count++];
        *node = (struct limits_node){ span_of(name, draft->names[i].n), rule, (uint8_t)draft->kinds[i], (uint8_t)draft->counts[i] };
        memcpy(name, draft->names[i].p, draft->names[i].n);
        name += draft->names[i].n;
        memcpy(rule, draft->rules[i], draft->counts[i] * sizeof *rule);
        for (size_t j = 0; j < draft->counts[i]; j++)
            holder->whats |= (uint16_t)(1u << rule[j].what);
        rule += draft->counts[i];
    }
    return holder;
}

struct wanted {
    struct span account;
    uint64_t credential;
};

static bool holder_is(const struct map_node *node, const void *key)
{
    const struct holder *holder = CONTAINER(node, const struct holder, node);
    const struct wanted *wanted = key;
    return holder->credential == wanted->credential && span_eq(holder->account, wanted->account);
}

const struct holder *holders_find(struct holders *holders, struct accounts *accounts, struct span account, uint64_t credential,
                                  enum status *ret_why)
{
    struct wanted wanted = { account, credential };
    uint64_t hash = hash_bytes(account) ^ hash_u64(credential);
    struct map_node *found = map_find(&holders->map, hash, holder_is, &wanted);
    *ret_why = STATUS_OK;
    if (found)
        return CONTAINER(found, struct holder, node);
    if (holders->map.n >= HOLDERS_MOST)
        holders_forget(holders);
    AUTO(buf_done) struct buf name = BUF_EMPTY(LIMITS_NAME_MOST);
    struct draft draft = { .credential = credential, .credential_name = name };
    struct holder *holder = NULL;
    *ret_why = read_all(&draft, accounts, account);
    if (*ret_why == STATUS_OK) {
        find_rules(&draft, holders);
        holder = make(&draft, account);
        *ret_why = holder ? map_add(&holders->map, &holder->node, hash) : STATUS_MEMORY;
    }
    buf_done(&draft.credential_name);
    if (*ret_why == STATUS_OK)
        return holder;
    free(holder);
    return NULL;
}

/* -- what has to be asked -- */

static void add_mask(const struct limits_rule *rule, uint8_t *accounts, uint8_t *relayed)
{
    static const uint8_t bits[LIMITS_WHAT_COUNT] = {
        [LIMITS_MESSAGES] = COUNT_MESSAGE, [LIMITS_FAILURES] = COUNT_MESSAGE, [LIMITS_QUEUED] = COUNT_MESSAGE,
        [LIMITS_QUEUED_BYTES] = COUNT_MESSAGE, [LIMITS_RECIPIENTS] = COUNT_RECIPIENT, [LIMITS_NEW_RECIPIENTS] = COUNT_RECIPIENT,
        [LIMITS_BYTES] = COUNT_OCTETS,
    };
    uint8_t mask = bits[rule->what] | (rule->flags & LIMITS_RULE_LOCAL ? COUNT_LOCAL : 0);
    if (rule->amount == LIMITS_UNLIMITED || !bits[rule->what])
        return;
    *accounts |= mask;
    if (rule->flags & LIMITS_RULE_RELAYED)
        *relayed |= mask;
}

enum status holders_masks(const struct holders *holders, struct accounts *accounts, uint8_t *ret_accounts, uint8_t *ret_relayed)
{
    AUTO(buf_done) struct buf why = BUF_EMPTY(512);
    struct limits_rule rule;
    *ret_accounts = *ret_relayed = 0;
    for (size_t i = 0; i < holders->default_count; i++)
        add_mask(&holders->defaults[i], ret_accounts, ret_relayed);
    if (!accounts)
        return STATUS_OK;
    sqlite3_stmt *statement = accounts_ask(accounts, ST_LIMITS);
    enum status status;
    while ((status = accounts_step(accounts, statement)) == STATUS_OK) {
        struct span left = accounts_column(statement, 0), line;
        while (span_cut(&left, '\n', &line))
            if (limits_rule_parse(span_trim(line), &rule, &why) == STATUS_OK)
                add_mask(&rule, ret_accounts, ret_relayed);
    }
    sqlite3_reset(statement);
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}
