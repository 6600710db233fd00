#include "net/settings.h"

static bool is_word(struct span text)
{
    return span_eq(text, SPAN("system")) || span_eq(text, SPAN("recursive"));
}

static bool check_resolver(const void *value, struct buf *why)
{
    const struct span *text = value;
    struct net_address address;
    if (is_word(*text) || (net_address_parse(*text, 53, &address) == STATUS_OK && net_address_octets(&address).n))
        return true;
    buf_add_str(why, "a resolver is an IP address with or without a port (127.0.0.1:53), or the word system, or recursive");
    return false;
}

static bool check_dns(const void *values, struct buf *why)
{
    const struct net_dns_settings *settings = values;
    for (size_t i = 0; settings->resolvers.n > 1 && i < settings->resolvers.n; i++) {
        if (!is_word(settings->resolvers.items[i]))
            continue;
        buf_add_str(why, "system and recursive stand alone, not beside other resolvers");
        return false;
    }
    if (settings->resolvers.n <= NET_RESOLVERS_MAX)
        return true;
    buf_printf(why, "at most %d resolvers", NET_RESOLVERS_MAX);
    return false;
}

#define AT(member) CONF_AT(struct net_dns_settings, member)
static const struct conf_directive rows[] = {
    { "resolvers", CONF_TEXTS, AT(resolvers), "[system]", NULL, NULL,
      "Who answers our questions: addresses of resolvers, with a port where it is not 53; or system: those of "
      "/etc/resolv.conf; or recursive: we ask the name servers of the world ourselves.", .check = check_resolver },
    { "dnssec", CONF_BOOL, AT(validate), "no", NULL, NULL,
      "Validate signed answers from the root's key. Needs resolvers that pass signatures on, or recursive." },
    { "hosts", CONF_BOOL, AT(hosts), "no", NULL, NULL, "Also answer from /etc/hosts." },
    { "cache", CONF_SIZE, AT(cache_octets), "96MiB", "1MiB", "16GiB", "Memory for answers, in each delivery process." },
    { "timeout", CONF_TIME_MS, AT(timeout_ms), "30s", "1s", "10min",
      "How long to wait for an answer, all attempts together; then the message waits and is tried later." },
    { 0 }
};
const struct conf_section net_dns_section = { rows, sizeof(struct net_dns_settings), check_dns };

void net_dns_from_settings(const struct net_dns_settings *settings, struct net_address *resolvers, struct dns_settings *ret)
{
    *ret = (struct dns_settings){ .resolvers = resolvers, .validate = settings->validate, .hosts = settings->hosts,
                                  .cache = (size_t)settings->cache_octets, .timeout_ms = settings->timeout_ms };
    for (size_t i = 0; i < settings->resolvers.n && ret->count < NET_RESOLVERS_MAX; i++) {
        struct span text = settings->resolvers.items[i];
        if (span_eq(text, SPAN("system")))
            ret->system = true;
        else if (net_address_parse(text, 53, &resolvers[ret->count]) == STATUS_OK)
            ret->count++;
    }
}
