#include "policy/recipient.h"
#include "policy/address.h"

static const struct policy_domain *domain_find(const struct policy_settings *settings, struct span name)
{
    const struct policy_domain *domains = settings->domains.items;
    for (size_t i = 0; i < settings->domains.n; i++)
        if (span_eq_case(domains[i].name, name))
            return &domains[i];
    return NULL;
}

bool policy_domain_is_listed(const struct policy_settings *settings, struct span domain)
{
    return domain_find(settings, domain) != NULL;
}

/* Does the listed text, a local part or an address, name one of the keys? */
static bool is_named(struct span listed, const struct policy_keys *keys)
{
    if (span_find(listed, '@') < listed.n) {
        struct policy_keys named;
        return policy_keys_make(listed, &named) == STATUS_OK &&
               (span_eq(named.exact, keys->exact) || span_eq(named.exact, keys->base));
    }
    size_t behind = keys->domain.n + 1; /* "@domain" */
    return span_eq_case(listed, span_head(keys->exact, keys->exact.n - behind)) ||
           span_eq_case(listed, span_head(keys->base, keys->base.n - behind));
}

enum policy_recipient policy_recipient_check(const struct policy_settings *settings, struct span address)
{
    if (span_eq_case(address, SPAN("postmaster")))
        return POLICY_RECIPIENT_KNOWN; /* RFC 5321 section 4.1.1.3 */
    struct policy_keys keys;
    if (policy_keys_make(address, &keys) != STATUS_OK)
        return POLICY_RECIPIENT_INVALID;

    const struct policy_domain *domain = domain_find(settings, keys.domain);
    if (!domain)
        return POLICY_RECIPIENT_ELSEWHERE;
    if (is_named(SPAN("postmaster"), &keys))
        return POLICY_RECIPIENT_KNOWN;
    for (size_t i = 0; i < domain->recipients.n; i++)
        if (span_eq(domain->recipients.items[i], SPAN("*")) || is_named(domain->recipients.items[i], &keys))
            return POLICY_RECIPIENT_KNOWN;
    return POLICY_RECIPIENT_ASK;
}
