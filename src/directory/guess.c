#include "directory/guess.h"
#include "base/hash.h"
#include <stdio.h>
#include <stdlib.h>

#define WAYS 8
#define BUCKETS 1024               /* 8192 entries, 1.5 MiB */
#define KNOWN_MORE 10              /* so many times as often may a known address err */
#define FIRST_WAIT_MS 2000         /* doubles with each wrong one after that */
#define NETWORK_EACH_MS 6000       /* a network that is slowed has one try in this time */
#define NETWORK_LONGEST_MS 1800000
#define FORGET_MS 3600000          /* a login's wrong ones are forgotten when none came for so long */
#define NOTED_LOGIN 20             /* wrong ones for a login, from anywhere, that are worth a line */
#define NOTED_ALL 200              /* for all logins together */
#define NAME_LOGIN 1               /* what kinds of names there are beside pairs and networks */
#define NAME_ALL 2

struct entry {
    uint64_t name;                 /* 0: empty */
    int64_t began_ms, last_ms;     /* first wrong one, last news */
    int64_t until_ms;              /* pair: when the next may come; network: how far it is filled */
    uint32_t strikes;              /* pair: wrong ones that count */
    uint32_t wrong, refused;       /* since began_ms */
    uint32_t pending;              /* being checked */
    bool is_attack;
    char network[GUESS_NETWORK_TEXT], login[GUESS_LOGIN_TEXT];
};

struct guess {
    struct guess_limits limits;
    const struct guess_events *events;
    void *arg;
    unsigned attacks;
    struct entry entries[BUCKETS][WAYS];
};

struct guess *guess_new(const struct guess_limits *limits, const struct guess_events *events, void *arg)
{
    struct guess *guess = calloc(1, sizeof *guess);
    if (guess) {
        guess->limits = *limits;
        guess->events = events;
        guess->arg = arg;
    }
    return guess;
}

void guess_free(struct guess *guess) { free(guess); }
void guess_set_limits(struct guess *guess, const struct guess_limits *limits) { guess->limits = *limits; }
unsigned guess_attacks(const struct guess *guess) { return guess->attacks; }

/* -- names -- */

static void copy(char *to, size_t room, struct span from)
{
    from = span_head(from, room - 1);
    memcpy(to, from.p ? from.p : "", from.n);
    to[from.n] = 0;
}

struct span guess_address(struct span client, char room[16])
{
    struct conf_ip ip;
    if (!conf_ip_parse(client, &ip))
        return client;
    memcpy(room, ip.octets, sizeof ip.octets);
    return span_of(room, conf_ip_is_4(&ip) ? 16 : 8);
}

static struct span network_of(const struct guess *guess, struct span client, char room[GUESS_NETWORK_TEXT])
{
    struct conf_network network;
    if (!conf_ip_parse(client, &network.ip)) {
        copy(room, GUESS_NETWORK_TEXT, client);
        return client;
    }
    network.bits = conf_ip_is_4(&network.ip) ? (uint8_t)(96 + guess->limits.ip4_bits) : guess->limits.ip6_bits;
    for (unsigned bit = network.bits; bit < 128; bit++)
        network.ip.octets[bit / 8] &= (uint8_t)~(0x80u >> bit % 8);
    return span_str(conf_network_text(&network, room));
}

static uint64_t name_of(unsigned kind, uint64_t a, uint64_t b) { return hash_u64(hash_u64(a + kind) ^ b) | 1; }

void guess_try_of(const struct guess *guess, struct span client, struct span login, bool is_known, bool by_network,
                  struct guess_try *ret)
{
    char room[16];
    *ret = (struct guess_try){ .is_known = is_known, .by_network = by_network && !is_known };
    uint64_t who = hash_bytes(login), network = hash_bytes(network_of(guess, client, ret->network_text));
    copy(ret->login_text, sizeof ret->login_text, login);
    ret->network = name_of(0, network, 0);
    ret->pair = is_known ? name_of(3, hash_bytes(guess_address(client, room)), who) : name_of(4, network, who);
    ret->login = name_of(5, NAME_LOGIN, who);
}

static uint64_t name_of_all(void) { return name_of(5, NAME_ALL, 0); }

/* -- the table -- */

static struct entry *find(const struct guess *guess, uint64_t name)
{
    const struct entry *bucket = guess->entries[(name >> 1) % BUCKETS];
    for (unsigned i = 0; i < WAYS; i++)
        if (bucket[i].name == name)
            return (struct entry *)(uintptr_t)&bucket[i];
    return NULL;
}

static bool is_attack(const struct guess *guess, uint64_t name)
{
    const struct entry *entry = find(guess, name);
    return entry && entry->is_attack;
}

static struct guess_attack attack_of(const struct entry *entry)
{
    return (struct guess_attack){ entry->network, entry->login, entry->wrong, entry->refused, entry->last_ms - entry->began_ms };
}

static void end_attack(struct guess *guess, struct entry *entry)
{
    struct guess_attack attack = attack_of(entry);
    if (!entry->is_attack)
        return;
    entry->is_attack = false;
    guess->attacks--;
    guess->events->on_end(guess->arg, &attack);
}

static void begin_attack(struct guess *guess, struct entry *entry)
{
    struct guess_attack attack = attack_of(entry);
    if (entry->is_attack)
        return;
    entry->is_attack = true;
    guess->attacks++;
    guess->events->on_begin(guess->arg, &attack);
}

static bool goes_before(const struct entry *a, const struct entry *b)
{
    bool a_matters = a->is_attack || a->pending, b_matters = b->is_attack || b->pending;
    return a_matters != b_matters ? b_matters : a->last_ms < b->last_ms;
}

/* Whoever was heard of longest ago makes room. */
static struct entry *find_or_make(struct guess *guess, uint64_t name, const char *network, const char *login, int64_t now_ms)
{
    struct entry *entry = find(guess, name), *bucket = guess->entries[(name >> 1) % BUCKETS];
    if (entry)
        return entry;
    entry = &bucket[0];
    for (unsigned i = 0; i < WAYS && entry->name; i++)
        if (!bucket[i].name || goes_before(&bucket[i], entry))
            entry = &bucket[i];
    end_attack(guess, entry);
    *entry = (struct entry){ .name = name, .began_ms = now_ms, .last_ms = now_ms };
    copy(entry->network, sizeof entry->network, span_str(network));
    copy(entry->login, sizeof entry->login, span_str(login));
    return entry;
}

static struct entry *pair_of(struct guess *guess, const struct guess_try *try, int64_t now_ms)
{
    return find_or_make(guess, try->pair, try->network_text, try->login_text, now_ms);
}

/* -- waiting -- */

static unsigned most_of_pair(const struct guess *guess, const struct guess_try *try)
{
    return guess->limits.per_login * (try->is_known ? KNOWN_MORE : 1);
}

static int64_t wait_of_pair(const struct guess *guess, const struct guess_try *try, int64_t now_ms)
{
    const struct entry *entry = find(guess, try->pair);
    unsigned most = most_of_pair(guess, try);
    if (!entry || most == 0 || now_ms - entry->last_ms > FORGET_MS)
        return 0;
    if (entry->until_ms > now_ms)
        return entry->until_ms - now_ms;
    /* Many at the same moment are no way around it. */
    return entry->pending > 0 && entry->strikes + entry->pending >= most ? 1000 : 0;
}

static int64_t filled(const struct entry *entry, int64_t now_ms) { return MAX(entry->until_ms - now_ms, 0); }

static int64_t wait_of_network(const struct guess *guess, const struct guess_try *try, int64_t now_ms)
{
    const struct entry *entry = try->by_network ? find(guess, try->network) : NULL;
    int64_t room = (int64_t)guess->limits.per_network * NETWORK_EACH_MS;
    if (!entry || room == 0)
        return 0;
    int64_t full = filled(entry, now_ms);
    /* The right passwords of many, all at once, are nothing bad, unless there were wrong ones before. */
    if (full >= room / 2)
        full += (int64_t)entry->pending * NETWORK_EACH_MS;
    return MAX(full + NETWORK_EACH_MS - room, 0);
}

int64_t guess_wait(const struct guess *guess, const struct guess_try *try, int64_t now_ms)
{
    return MAX(wait_of_pair(guess, try, now_ms), wait_of_network(guess, try, now_ms));
}

void guess_refused(struct guess *guess, const struct guess_try *try, int64_t now_ms)
{
    bool of_network = wait_of_network(guess, try, now_ms) > 0;
    struct entry *network = find(guess, try->network);
    struct entry *entry = of_network && network ? network : pair_of(guess, try, now_ms);
    entry->refused++;
    entry->last_ms = now_ms;
    if (!of_network && network && network->is_attack) { /* one line for the whole of it */
        network->refused++;
        return;
    }
    begin_attack(guess, entry);
}

/* -- checks -- */

void guess_begin(struct guess *guess, const struct guess_try *try, int64_t now_ms)
{
    struct entry *pair = pair_of(guess, try, now_ms);
    if (now_ms - pair->last_ms > FORGET_MS && !pair->is_attack) {
        pair->strikes = pair->wrong = pair->refused = 0;
        pair->began_ms = now_ms;
    }
    pair->pending++;
    pair->last_ms = now_ms;
    if (try->by_network)
        find_or_make(guess, try->network, try->network_text, "", now_ms)->pending++;
}

static void settle(struct entry *entry)
{
    if (entry && entry->pending > 0) /* it may be another one of that name meanwhile */
        entry->pending--;
}

/* Begins anew after a pause. */
static void note_wrong(struct entry *entry, int64_t now_ms)
{
    if (now_ms - entry->last_ms > GUESS_QUIET_MS && !entry->is_attack) {
        entry->wrong = entry->refused = 0;
        entry->began_ms = now_ms;
    }
    entry->wrong++;
    entry->last_ms = now_ms;
}

static void strike(const struct guess *guess, const struct guess_try *try, struct entry *pair, int64_t now_ms)
{
    unsigned most = most_of_pair(guess, try);
    note_wrong(pair, now_ms);
    pair->strikes += pair->strikes < UINT32_MAX;
    if (most == 0 || pair->strikes < most)
        return;
    unsigned over = MIN(pair->strikes - most, 20u);
    pair->until_ms = now_ms + MIN((int64_t)FIRST_WAIT_MS << over, guess->limits.longest_ms);
}

/* Not slowed, only noticed. */
static void note_spread(struct guess *guess, uint64_t name, const char *login, unsigned noted, int64_t now_ms)
{
    struct entry *entry = find_or_make(guess, name, "", login, now_ms);
    note_wrong(entry, now_ms);
    if (entry->wrong >= noted)
        begin_attack(guess, entry);
}

void guess_end(struct guess *guess, const struct guess_try *try, enum guess_result result, int64_t now_ms)
{
    struct entry *pair = pair_of(guess, try, now_ms), *network = try->by_network ? find(guess, try->network) : NULL;
    settle(pair);
    settle(network);
    if (result == GUESS_RIGHT) { /* who guesses many logins may have one of his own: his network stays slow */
        pair->strikes = 0;
        pair->until_ms = 0;
    }
    if (result != GUESS_WRONG)
        return;
    bool told = is_attack(guess, try->pair) || (try->by_network && is_attack(guess, try->network));
    strike(guess, try, pair, now_ms);
    if (try->by_network) {
        network = find_or_make(guess, try->network, try->network_text, "", now_ms);
        note_wrong(network, now_ms);
        network->until_ms = now_ms + MIN(filled(network, now_ms) + NETWORK_EACH_MS, NETWORK_LONGEST_MS);
    }
    if (told) /* one network's attack is not everybody's */
        return;
    note_spread(guess, try->login, try->login_text, NOTED_LOGIN, now_ms);
    note_spread(guess, name_of_all(), "", NOTED_ALL, now_ms);
}

bool guess_is_told(const struct guess *guess, const struct guess_try *try)
{
    return is_attack(guess, try->pair) || (try->by_network && is_attack(guess, try->network)) || is_attack(guess, try->login) ||
           is_attack(guess, name_of_all());
}

void guess_sweep(struct guess *guess, int64_t now_ms)
{
    for (unsigned i = 0; i < BUCKETS && guess->attacks > 0; i++)
        for (unsigned j = 0; j < WAYS; j++) {
            struct entry *entry = &guess->entries[i][j];
            if (entry->is_attack && now_ms - entry->last_ms > GUESS_QUIET_MS)
                end_attack(guess, entry);
        }
}
