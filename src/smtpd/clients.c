#include "smtpd/clients.h"
#include "base/hash.h"
#include <stdlib.h>

static bool is_client(const struct map_node *node, const void *key)
{
    const struct client *client = CONTAINER(node, struct client, node);
    const struct span *octets = key;
    return span_eq(span_of(client->octets, client->octet_count), *octets);
}

static struct client *make(struct clients *clients, struct span key, uint64_t hash)
{
    struct client *client = calloc(1, sizeof *client);
    if (!client)
        return NULL;
    client->octet_count = (uint8_t)key.n;
    if (key.n)
        memcpy(client->octets, key.p, key.n);
    client->name = tally_name(clients->tally, key);
    if (map_add(&clients->all, &client->node, hash) == STATUS_OK)
        return client;
    free(client);
    return NULL;
}

static uint64_t network_of(const struct clients *clients, struct span key, const struct client_limits *limits)
{
    unsigned char octets[8] = { 0 };
    unsigned bits = MIN(key.n == 4 ? limits->ip4_bits : limits->ip6_bits, (unsigned)key.n * 8);
    for (unsigned i = 0; i < key.n; i++) {
        unsigned kept = bits >= 8 * (i + 1) ? 8 : bits > 8 * i ? bits - 8 * i : 0;
        octets[i] = (unsigned char)((unsigned char)key.p[i] & (0xff00u >> kept));
    }
    return tally_name(clients->tally, span_of((const char *)octets, key.n));
}

static bool is_over(const struct tally *tally, enum tally_kind kind, uint64_t name, unsigned most)
{
    return most > 0 && tally_sum(tally, kind, name) >= most;
}

static bool is_often(struct tally *tally, enum tally_kind kind, uint64_t name, const struct conf_rate *rate, int64_t now_ms)
{
    return rate->per_ms > 0 && tally_pass(tally, kind, name, rate->count, rate->per_ms, now_ms) > 0;
}

static enum refusal refusal_of(struct tally *tally, const struct client *client, const struct client_limits *limits,
                               int64_t now_ms)
{
    if (is_over(tally, TALLY_BY_ADDRESS, client->name, limits->connections))
        return REFUSAL_ADDRESS;
    if (is_over(tally, TALLY_BY_NETWORK, client->network, limits->network_connections))
        return REFUSAL_NETWORK;
    if (is_often(tally, TALLY_BY_ADDRESS, client->name, &limits->rate, now_ms))
        return REFUSAL_OFTEN;
    if (is_often(tally, TALLY_BY_NETWORK, client->network, &limits->network_rate, now_ms))
        return REFUSAL_NETWORK_OFTEN;
    return REFUSAL_NONE;
}

static void forget_unneeded(struct clients *clients, struct client *client);

enum refusal clients_enter(struct clients *clients, struct span octets, const struct client_limits *limits, int64_t now_ms,
                           struct client **ret)
{
    struct span key = span_head(octets, octets.n == 16 ? 8 : octets.n == 4 || octets.n == 5 ? octets.n : 0);
    uint64_t hash = hash_bytes(key);
    struct map_node *node = map_find(&clients->all, hash, is_client, &key);
    struct client *client = node ? CONTAINER(node, struct client, node) : make(clients, key, hash);
    if (!client)
        return REFUSAL_MEMORY;
    if (limits && client->counted == 0)
        client->network = network_of(clients, key, limits);
    enum refusal refusal = limits ? refusal_of(clients->tally, client, limits, now_ms) : REFUSAL_NONE;
    if (refusal == REFUSAL_NONE) {
        client->connections++;
        if (limits) {
            client->counted++;
            tally_add(clients->tally, TALLY_BY_ADDRESS, client->name);
            tally_add(clients->tally, TALLY_BY_NETWORK, client->network);
        }
        *ret = client;
    }
    forget_unneeded(clients, client);
    return refusal;
}

static void forget_unneeded(struct clients *clients, struct client *client)
{
    if (client->connections > 0 || client->held > 0)
        return;
    map_remove(&clients->all, &client->node);
    free(client);
}

void clients_leave(struct clients *clients, struct client *client)
{
    if (!client)
        return;
    client->connections--;
    if (client->counted > 0) { /* which of them is the same: at the end all have gone */
        client->counted--;
        tally_remove(clients->tally, TALLY_BY_ADDRESS, client->name);
        tally_remove(clients->tally, TALLY_BY_NETWORK, client->network);
    }
    forget_unneeded(clients, client);
}

void clients_hold(struct clients *clients, struct client *client, uint64_t octets)
{
    if (client)
        client->held += octets;
}

void clients_let_go(struct clients *clients, struct client *client, uint64_t octets)
{
    if (!client || octets == 0)
        return;
    client->held -= octets;
    forget_unneeded(clients, client);
}

void clients_done(struct clients *clients)
{
    for (MAP_EACH(node, &clients->all)) {
        map_remove(&clients->all, node);
        free(CONTAINER(node, struct client, node));
    }
    map_done(&clients->all);
}
