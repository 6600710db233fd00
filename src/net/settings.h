/* net/settings.h -- the section `dns` of the settings file. (TLS of the listeners is in conf/common.h, of outgoing
 * connections in delivery's settings.) */
#pragma once
#include "conf/directive.h"
#include "net/dns.h"

#define NET_RESOLVERS_MAX 16

struct net_dns_settings {
    struct conf_texts resolvers; /* addresses, or one of the words `system` and `recursive` */
    bool validate;
    bool hosts;
    int64_t cache_octets;
    int64_t timeout_ms;
};

extern const struct conf_section net_dns_section; /* of struct net_dns_settings */

/* For dns_new(): `resolvers` has room for NET_RESOLVERS_MAX, and `ret` points into it. */
void net_dns_from_settings(const struct net_dns_settings *settings, struct net_address *resolvers, struct dns_settings *ret);
