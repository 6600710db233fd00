#include "policy/local.h"

static const char *const unknowns[] = { [POLICY_LOCAL_OWN] = "own", [POLICY_LOCAL_ANY] = "any", [POLICY_LOCAL_REFUSE] = "refuse",
                                        NULL };

static bool account_is_given(const void *value, struct buf *why)
{
    if (((const struct span *)value)->n > 0)
        return true;
    buf_add_str(why, "the login of an account (goniec account list)");
    return false;
}

#define AT(member) CONF_AT(struct policy_local_user, member)
static const struct conf_directive user_rows[] = {
    { "user", CONF_TEXT, AT(user), NULL, "1", "64", "A user of this system, by name or by number (uid). Unset: any." },
    { "cgroup", CONF_TEXT, AT(cgroup), NULL, "1", "512",
      "How the control group of the process begins: /system.slice/php-shop.service. Known only where the supervisor may look "
      "into /proc (docs/operate.md). Unset: any." },
    { "account", CONF_TEXT, AT(account), NULL, "1", "511",
      "Who that is: the login of an account. It is what is counted, limited and shown, and its rights say which senders may be "
      "used.", .check = account_is_given, .flags = CONF_REQUIRED },
    { 0 }
};
#undef AT

static bool user_check(const void *values, struct buf *why)
{
    const struct policy_local_user *user = values;
    if (user->user.n > 0 || user->cgroup.n > 0)
        return true;
    buf_add_str(why, "a row needs user, cgroup, or both");
    return false;
}

static const struct conf_section user_section = { user_rows, sizeof(struct policy_local_user), user_check };

#define AT(member) CONF_AT(struct policy_local, member)
static const struct conf_directive rows[] = {
    { "listen", CONF_BOOL, AT(listen), "yes", NULL, NULL,
      "Take mail over a socket of this machine, from `sendmail` and what calls it. Any user may connect; who it is says the "
      "kernel." },
    { "socket", CONF_PATH, AT(socket), NULL, NULL, NULL,
      "Path of that socket, 107 octets at most. Unset: " POLICY_LOCAL_SOCKET " in run-dir, where `sendmail` looks for it." },
    { "domain", CONF_HOST, AT(domain), NULL, NULL, NULL,
      "What stands behind names without a domain, such as root, to whom cron writes. Users may send as NAME@ it. Unset: our "
      "hostname." },
    { "users", CONF_LIST, AT(users), NULL, NULL, NULL,
      "Which account a user is: one for each website. The first row that fits holds.", .section = &user_section },
    { "trusted", CONF_TEXTS, AT(trusted), "[root]", NULL, NULL,
      "Users (names or uids) that may send as anybody. Others may send as NAME@hostname, and as their account may." },
    { "shared", CONF_TEXTS, AT(shared), "[root]", NULL, NULL,
      "Names of this machine that everybody may put in From:, because cron does so with root. Never the sender of the "
      "envelope." },
    { "default", CONF_TEXT, AT(fallback), NULL, "1", "511",
      "The account whose rights hold for users that no row names. Each of them is counted and shown by itself all the same, as "
      "uid-NUMBER@hostname." },
    { "unknown", CONF_ENUM, AT(unknown), "own", NULL, NULL,
      "What users may do whom no row names when there is no `default`. own: send as NAME@hostname. any: send as anybody. refuse: "
      "nothing.", .words = unknowns },
    { "hide-user", CONF_BOOL, AT(hide_user), "no", NULL, NULL,
      "Leave user and uid out of the Received field, which everybody can read. The event log has them either way." },
    { 0 }
};

static bool is_user(struct span listed, const struct policy_local_facts *facts)
{
    uint64_t uid;
    if (span_u64(listed, UINT32_MAX, &uid))
        return uid == facts->uid;
    return facts->name.n > 0 && span_eq(listed, facts->name);
}

/* "/shop" begins "/shop" and "/shop/a", but not "/shopping". */
static bool is_in_cgroup(struct span prefix, struct span cgroup)
{
    return span_starts(cgroup, prefix) &&
           (cgroup.n == prefix.n || prefix.p[prefix.n - 1] == '/' || cgroup.p[prefix.n] == '/');
}

static bool row_fits(const struct policy_local_user *row, const struct policy_local_facts *facts)
{
    return (row->user.n == 0 || is_user(row->user, facts)) && (row->cgroup.n == 0 || is_in_cgroup(row->cgroup, facts->cgroup));
}

static bool is_listed(const struct conf_texts *list, const struct policy_local_facts *facts)
{
    for (size_t i = 0; i < list->n; i++)
        if (is_user(list->items[i], facts))
            return true;
    return false;
}

static const struct policy_local_user *row_of(const struct policy_local *local, const struct policy_local_facts *facts)
{
    const struct policy_local_user *users = local->users.items;
    for (size_t i = 0; i < local->users.n; i++)
        if (row_fits(&users[i], facts))
            return &users[i];
    return NULL;
}

void policy_local_find(const struct policy_local *local, const struct policy_local_facts *facts, struct policy_local_who *ret)
{
    const struct policy_local_user *row = row_of(local, facts);
    *ret = (struct policy_local_who){ .rights = POLICY_LOCAL_ACCOUNT, .is_mapped = row != NULL,
                                      .account = row ? row->account : local->fallback };
    if (is_listed(&local->trusted, facts))
        ret->rights = POLICY_LOCAL_FREE;
    else if (ret->account.n == 0)
        ret->rights = local->unknown == POLICY_LOCAL_ANY   ? POLICY_LOCAL_FREE
                      : local->unknown == POLICY_LOCAL_OWN ? POLICY_LOCAL_NAMES
                                                           : POLICY_LOCAL_NOBODY;
}

static void add_uid(uint32_t uid, struct buf *ret) { buf_printf(ret, "uid-%u", (unsigned)uid); }

void policy_local_name(const struct policy_local_facts *facts, struct buf *ret)
{
    struct address parsed;
    if (facts->name.n > 0 && facts->name.n <= 64 && address_parse(facts->name, ADDRESS_LOCAL, &parsed) == STATUS_OK &&
        !parsed.is_quoted && parsed.domain.n == 0)
        buf_add(ret, facts->name);
    else
        add_uid(facts->uid, ret);
}

void policy_local_account(uint32_t uid, struct span hostname, struct buf *ret)
{
    add_uid(uid, ret);
    buf_add_char(ret, '@');
    buf_add(ret, hostname);
}

/* Is `keys` the name at the domain, or a detail of it? */
static bool is_name_at(const struct policy_keys *keys, struct span name, struct span domain)
{
    char room[ADDRESS_MAX];
    struct policy_keys own;
    if (domain.n == 0 || name.n + 1 + domain.n > sizeof room)
        return false;
    memcpy(room, name.p, name.n);
    room[name.n] = '@';
    memcpy(room + name.n + 1, domain.p, domain.n);
    return policy_keys_make(span_of(room, name.n + 1 + domain.n), &own) == STATUS_OK &&
           (span_eq(own.exact, keys->exact) || span_eq(own.exact, keys->base));
}

bool policy_local_owns(const struct policy_local *local, const struct policy_local_facts *facts, struct span hostname,
                       struct span address, bool in_header)
{
    struct policy_keys keys;
    AUTO(buf_done) struct buf name = BUF_EMPTY(128), uid = BUF_EMPTY(32);
    policy_local_name(facts, &name);
    add_uid(facts->uid, &uid);
    if (name.failed || uid.failed || policy_keys_make(address, &keys) != STATUS_OK)
        return false;
    const struct span domains[] = { hostname, local->domain };
    for (size_t i = 0; i < ARRAY_LEN(domains); i++) {
        if (is_name_at(&keys, buf_span(&name), domains[i]) || is_name_at(&keys, buf_span(&uid), domains[i]))
            return true;
        for (size_t j = 0; in_header && j < local->shared.n; j++)
            if (is_name_at(&keys, local->shared.items[j], domains[i]))
                return true;
    }
    return false;
}

void policy_local_refusal(const struct policy_local_facts *facts, struct span hostname, struct span address, struct buf *ret)
{
    AUTO(buf_done) struct buf name = BUF_EMPTY(128);
    policy_local_name(facts, &name);
    buf_printf(ret, "the user %.*s (uid %u) may not send as ", SPAN_ARGS(buf_span(&name)), (unsigned)facts->uid);
    policy_add_shown(ret, address, 72);
    buf_printf(ret, ", only as %.*s@", SPAN_ARGS(buf_span(&name)));
    policy_add_shown(ret, hostname, 72);
    buf_add_str(ret, "; the administrator can give it an account (setting local.users)");
}

const struct conf_section policy_local_section = { rows, sizeof(struct policy_local), NULL };
