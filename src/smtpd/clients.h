/* smtpd/clients.h -- how many connections each client has, how often it comes, and how much memory its messages take.
 *
 * A client is an IPv4 address, or the /64 of an IPv6 one, since everybody has as many of those addresses as he likes; the
 * network around it is counted as well. Memory is this process's own; connections are those of all processes smtpd
 * (wire/tally.h).
 */
#pragma once
#include "base/map.h"
#include "base/span.h"
#include "conf/directive.h"
#include "wire/tally.h"

struct client {
    struct map_node node;
    unsigned char octets[8];
    uint8_t octet_count;
    unsigned connections;
    unsigned counted;      /* of them: in the tally */
    uint64_t name, network; /* there */
    uint64_t held;         /* octets of its messages in memory; may outlast its connections */
};

struct clients {
    struct map all;
    struct tally *tally;
};

#define CLIENTS_EMPTY(tally) ((struct clients){ MAP_EMPTY, (tally) })

/* What is the most; 0: any number. */
struct client_limits {
    unsigned connections, network_connections;
    struct conf_rate rate, network_rate;      /* new connections */
    unsigned ip4_bits, ip6_bits;              /* how long the prefix of a network is */
};

/* Why somebody is turned away. */
#define REFUSAL_LIST(X)                                                                                                       \
    X(NONE, ACCEPTED, 0, "")                                                                                                  \
    X(FULL, AWAY_FULL, 432, "Too many connections at present; try again in a minute")                                         \
    X(MEMORY, AWAY_MEMORY, 431, "No memory for more clients at present; try again in a minute")                               \
    X(ADDRESS, AWAY_ADDRESS, 470, "Too many connections from your address; send several messages on one, or try again later") \
    X(NETWORK, AWAY_NETWORK, 470, "Too many connections from your network; try again in a minute")                            \
    X(OFTEN, AWAY_OFTEN, 470, "Your address connects too often; send several messages on one connection, or try again later") \
    X(NETWORK_OFTEN, AWAY_OFTEN, 470, "Your network connects too often; try again in a minute")                               \
    X(HANDSHAKES, AWAY_HANDSHAKES, 470, "Too many TLS handshakes at a time; try again in a minute")
enum refusal {
#define X(name, figure, status, text) REFUSAL_##name,
    REFUSAL_LIST(X)
#undef X
    REFUSALS
};

/* One more connection from this address (4 or 16 octets, network order; 5: a user of this machine; others share one account). `limits` NULL: it is
 * not counted by anybody. On a refusal (ADDRESS, NETWORK, OFTEN, NETWORK_OFTEN, MEMORY) `ret` stays as it is. */
MUST_CHECK enum refusal clients_enter(struct clients *clients, struct span octets, const struct client_limits *limits,
                                      int64_t now_ms, struct client **ret);
void clients_leave(struct clients *clients, struct client *client); /* NULL is fine */
/* A message of this client takes more octets, or gives some back. NULL is fine. */
void clients_hold(struct clients *clients, struct client *client, uint64_t octets);
void clients_let_go(struct clients *clients, struct client *client, uint64_t octets);
void clients_done(struct clients *clients);
