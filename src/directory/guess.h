/* directory/guess.h -- who guesses passwords, and for how long he has to wait before the next one is looked at.
 *
 * Pure: the time is a parameter, memory is fixed, nothing is logged but through a callback. Wrong passwords are counted
 * by login and network together, so that a guesser pays for one login and its owner, who is elsewhere, does not; and by
 * network alone, for those who try many logins. Whoever has to wait is told so before anything is hashed, and what he
 * tried meanwhile does not make it longer. An address from which that very login once succeeded is counted by itself and
 * may err more often. Who guesses from everywhere at once is slowed by nothing here (his guesses cost a hash each, of
 * which others have their share: login.c), but he is noticed.
 *
 *     guess_try_of()      names a try
 *     guess_wait()        how long it has to wait; 0: go on
 *     guess_begin()       its password is being checked; guess_end() follows
 *     guess_sweep()       now and then: which attacks are over
 */
#pragma once
#include "base/span.h"
#include "conf/network.h"

#define GUESS_NETWORK_TEXT CONF_ADDRESS_TEXT_SIZE
#define GUESS_LOGIN_TEXT 72         /* of longer logins the beginning is shown */
#define GUESS_QUIET_MS 600000       /* an attack from which nothing is heard for so long is over */

struct guess_limits {
    unsigned per_login;             /* wrong passwords of a login from one network before it is slowed; 0: never */
    unsigned per_network;           /* of all logins together, before the network is; 0: never */
    int64_t longest_ms;             /* wait */
    uint8_t ip4_bits, ip6_bits;     /* of a network */
};

/* An attack, when it begins and when it is over. */
struct guess_attack {
    const char *network;            /* "192.0.2.0/24"; empty: from many */
    const char *login;              /* empty: on many */
    uint32_t wrong, refused;        /* passwords that were checked; tries that were not */
    int64_t lasted_ms;              /* from the first wrong one on */
};

struct guess_events {
    void (*on_begin)(void *arg, const struct guess_attack *attack);
    void (*on_end)(void *arg, const struct guess_attack *attack);
};

struct guess_try {
    uint64_t pair, network, login;  /* names in the table */
    bool is_known;                  /* counted by itself: that login succeeded from that very address */
    bool by_network;
    char network_text[GUESS_NETWORK_TEXT], login_text[GUESS_LOGIN_TEXT];
};

enum guess_result { GUESS_RIGHT, GUESS_WRONG, GUESS_UNKNOWN };

struct guess;

/* NULL: out of memory. */
struct guess *guess_new(const struct guess_limits *limits, const struct guess_events *events, void *arg);
void guess_free(struct guess *guess);
void guess_set_limits(struct guess *guess, const struct guess_limits *limits);

/* `client`: an address as text (anything else is a network of its own). `by_network` false: of that network, many are
 * behind one address, and it is not counted as a whole. */
void guess_try_of(const struct guess *guess, struct span client, struct span login, bool is_known, bool by_network,
                  struct guess_try *ret);
/* The octets that name a client's address: an IPv4 address, or the /64 of an IPv6 one. Borrows from `client` or `room`. */
struct span guess_address(struct span client, char room[16]);

/* Milliseconds until such a try may be checked; 0: now. */
int64_t guess_wait(const struct guess *guess, const struct guess_try *try, int64_t now_ms);
/* It has to wait and was refused. */
void guess_refused(struct guess *guess, const struct guess_try *try, int64_t now_ms);
/* It is being checked. */
void guess_begin(struct guess *guess, const struct guess_try *try, int64_t now_ms);
void guess_end(struct guess *guess, const struct guess_try *try, enum guess_result result, int64_t now_ms);
/* Is this try part of an attack that was told of? Then it is no news by itself. */
bool guess_is_told(const struct guess *guess, const struct guess_try *try);

void guess_sweep(struct guess *guess, int64_t now_ms);
unsigned guess_attacks(const struct guess *guess); /* that go on */
