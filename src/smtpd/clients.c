#include "smtpd/clients.h"
#include "base/hash.h"
#include <stdlib.h>

static bool is_client(const struct map_node *node, const void *key)
{
    const struct client *client = CONTAINER(node, struct client, node);
    const struct span *octets = key;
    return span_eq(span_of(client->octets, client->octet_count), *octets);
}

struct client *clients_enter(struct clients *clients, struct span octets, unsigned most)
{
    struct span key = span_head(octets, octets.n == 16 ? 8 : octets.n == 4 ? 4 : 0);
    uint64_t hash = hash_bytes(key);
    struct map_node *node = map_find(&clients->all, hash, is_client, &key);
    struct client *client = node ? CONTAINER(node, struct client, node) : NULL;
    if (client) {
        if (most > 0 && client->connections >= most)
            return NULL;
        client->connections++;
        return client;
    }
    client = calloc(1, sizeof *client);
    if (!client)
        return NULL;
    client->octet_count = (uint8_t)key.n;
    if (key.n)
        memcpy(client->octets, key.p, key.n);
    client->connections = 1;
    if (map_add(&clients->all, &client->node, hash) == STATUS_OK)
        return client;
    free(client);
    return NULL;
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
