/* smtpd/clients.h -- how many connections each client has, and how much memory its messages take: by IPv4 address, and by
 * the /64 of an IPv6 one, since everybody has as many of those addresses as he likes. */
#pragma once
#include "base/map.h"
#include "base/span.h"

struct client {
    struct map_node node;
    unsigned char octets[8];
    uint8_t octet_count;
    unsigned connections;
    uint64_t held;       /* octets of its messages in memory; may outlast its connections */
};

struct clients {
    struct map all;
};

#define CLIENTS_EMPTY ((struct clients){ MAP_EMPTY })

/* One more from this address (4 or 16 octets, network order; others share one account). NULL: it has `most` already
 * (0: no limit), or there is no memory. */
struct client *clients_enter(struct clients *clients, struct span octets, unsigned most);
void clients_leave(struct clients *clients, struct client *client); /* NULL is fine */
/* A message of this client takes more octets, or gives some back. NULL is fine. */
void clients_hold(struct clients *clients, struct client *client, uint64_t octets);
void clients_let_go(struct clients *clients, struct client *client, uint64_t octets);
void clients_done(struct clients *clients);
