#include "delivery/hosts.h"
#include "base/hash.h"
#include <stdlib.h>

struct host {
    struct map_node node;
    struct net_address address;
    int64_t failed_until_ms, clear_until_ms;
};

static uint64_t hash_of(const struct net_address *address)
{
    return hash_bytes(span_of(&address->as, address->n));
}

static bool is_host(const struct map_node *node, const void *key)
{
    const struct host *host = CONTAINER(node, struct host, node);
    const struct net_address *address = key;
    return host->address.n == address->n && memcmp(&host->address.as, &address->as, address->n) == 0;
}

static struct host *find(const struct hosts *hosts, const struct net_address *address)
{
    struct map_node *node = map_find(&hosts->map, hash_of(address), is_host, address);
    return node ? CONTAINER(node, struct host, node) : NULL;
}

static void forget(struct hosts *hosts, struct host *host)
{
    map_remove(&hosts->map, &host->node);
    free(host);
}

static void forget_all(struct hosts *hosts)
{
    for (MAP_EACH(node, &hosts->map))
        forget(hosts, CONTAINER(node, struct host, node));
}

/* NULL: it is not remembered, which only costs time. */
static struct host *make(struct hosts *hosts, const struct net_address *address)
{
    struct host *host = find(hosts, address);
    if (host)
        return host;
    if (hosts->map.n >= HOSTS_MAX)
        forget_all(hosts);
    host = calloc(1, sizeof *host);
    if (!host)
        return NULL;
    host->address = *address;
    if (map_add(&hosts->map, &host->node, hash_of(address)) == STATUS_OK)
        return host;
    free(host);
    return NULL;
}

void hosts_done(struct hosts *hosts)
{
    forget_all(hosts);
    map_done(&hosts->map);
}

void hosts_failed(struct hosts *hosts, const struct net_address *address, int64_t until_ms)
{
    struct host *host = make(hosts, address);
    if (host)
        host->failed_until_ms = until_ms;
}

void hosts_tls_failed(struct hosts *hosts, const struct net_address *address, int64_t until_ms)
{
    struct host *host = make(hosts, address);
    if (host)
        host->clear_until_ms = until_ms;
}

void hosts_good(struct hosts *hosts, const struct net_address *address)
{
    struct host *host = hosts->map.n ? find(hosts, address) : NULL;
    if (host && host->clear_until_ms == 0)
        forget(hosts, host);
    else if (host)
        host->failed_until_ms = 0;
}

bool hosts_is_failed(const struct hosts *hosts, const struct net_address *address, int64_t now_ms)
{
    const struct host *host = hosts->map.n ? find(hosts, address) : NULL;
    return host && now_ms < host->failed_until_ms;
}

bool hosts_is_tls_failed(const struct hosts *hosts, const struct net_address *address, int64_t now_ms)
{
    const struct host *host = hosts->map.n ? find(hosts, address) : NULL;
    return host && now_ms < host->clear_until_ms;
}
