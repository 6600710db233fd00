#include "policy/settings.h"
#include "policy/address.h"

#define AT(member) CONF_AT(struct policy_domain, member)

static const struct conf_directive domain_rows[] = {
    { "name", CONF_HOST, AT(name), NULL, NULL, NULL,
      "The domain behind the @.", .flags = CONF_REQUIRED },
    { "recipients", CONF_TEXTS, AT(recipients), "[]", NULL, NULL,
      "Who exists there beside the accounts and aliases of the directory: local parts (anna) or addresses "
      "(anna@example.org); anna includes anna+anything. \"*\" takes every recipient, which makes us send bounces "
      "to forged senders: only for a next hop that accepts everything too. postmaster always exists." },
    { 0 }
};

/* local part, address of this very domain, or "*" */
static bool recipient_is_good(const struct policy_domain *domain, struct span recipient)
{
    if (span_eq(recipient, SPAN("*")))
        return true;
    struct address parsed;
    if (span_find(recipient, '@') == recipient.n)
        return address_parse(recipient, ADDRESS_LOCAL | ADDRESS_UTF8, &parsed) == STATUS_OK;
    struct policy_keys keys;
    return policy_keys_make(recipient, &keys) == STATUS_OK && span_eq_case(keys.domain, domain->name);
}

static bool domain_check(const void *values, struct buf *why)
{
    const struct policy_domain *domain = values;
    for (size_t i = 0; i < domain->recipients.n; i++) {
        struct span recipient = domain->recipients.items[i];
        if (recipient_is_good(domain, recipient))
            continue;
        buf_printf(why, "recipient \"%.*s\" is neither a local part, nor an address at %.*s, nor \"*\"",
                   SPAN_ARGS(recipient), SPAN_ARGS(domain->name));
        return false;
    }
    return true;
}

static const struct conf_section domain_section = { domain_rows, sizeof(struct policy_domain), domain_check };

#undef AT
#define AT(member) CONF_AT(struct policy_settings, member)

static const struct conf_directive rows[] = {
    { "networks", CONF_NETWORKS, AT(networks), "[127.0.0.0/8, \"::1/128\"]", NULL, NULL,
      "Clients that may send to anybody through a `relay` listener without a login." },
    { "domains", CONF_LIST, AT(domains), NULL, NULL, NULL,
      "Domains whose mail a `relay` listener takes from anybody, for recipients that exist. It is then routed "
      "like all other mail.", .section = &domain_section },
    { 0 }
};

const struct conf_section policy_settings_section = { rows, sizeof(struct policy_settings), NULL };
