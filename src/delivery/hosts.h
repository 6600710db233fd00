/* delivery/hosts.h -- remembers for a short time which addresses gave trouble. */
#pragma once
#include "base/map.h"
#include "net/address.h"

#define HOSTS_MAX 20000          /* remembered at most; then the oldest knowledge is thrown away whole */
#define HOSTS_CLEAR_MS 600000    /* how long an address whose TLS failed is spoken to in clear at once */

struct hosts {
    struct map map;
};

void hosts_done(struct hosts *hosts);
void hosts_failed(struct hosts *hosts, const struct net_address *address, int64_t until_ms);
void hosts_tls_failed(struct hosts *hosts, const struct net_address *address, int64_t until_ms);
void hosts_good(struct hosts *hosts, const struct net_address *address); /* it greeted us well */
bool hosts_is_failed(const struct hosts *hosts, const struct net_address *address, int64_t now_ms);
bool hosts_is_tls_failed(const struct hosts *hosts, const struct net_address *address, int64_t now_ms);
