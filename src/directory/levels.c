#include "directory/levels.h"
#include "base/hash.h"
#include <stdlib.h>

#define ABOUT_LEVELS (1u << LIMITS_QUEUED | 1u << LIMITS_QUEUED_BYTES)

struct waiting {
    struct map_node node;
    struct list link;       /* in levels->all */
    struct level_sum now;
    uint32_t epoch;         /* of the sums that it is in */
    uint32_t account_n;
    char account[];
};

struct sum {
    struct map_node node;
    struct level_sum now;
    uint8_t kind;
    uint32_t name_n;
    char name[];
};

struct sum_key {
    enum limits_kind kind;
    struct span name;
};

void levels_init(struct levels *levels)
{
    *levels = (struct levels){ .accounts = MAP_EMPTY, .sums = MAP_EMPTY, .epoch = 1 };
    list_init(&levels->all);
}

static void free_sums(struct levels *levels)
{
    for (MAP_EACH(node, &levels->sums)) {
        map_remove(&levels->sums, node);
        free(CONTAINER(node, struct sum, node));
    }
    map_done(&levels->sums);
    levels->sums = MAP_EMPTY;
}

static void forget(struct levels *levels, struct waiting *waiting)
{
    map_remove(&levels->accounts, &waiting->node);
    list_remove(&waiting->link);
    free(waiting);
}

void levels_done(struct levels *levels)
{
    free_sums(levels);
    for (MAP_EACH(node, &levels->accounts))
        forget(levels, CONTAINER(node, struct waiting, node));
    map_done(&levels->accounts);
}

void levels_forget_sums(struct levels *levels)
{
    free_sums(levels);
    levels->epoch++;
}

/* -- sums -- */

static bool sum_is(const struct map_node *node, const void *key)
{
    const struct sum *sum = CONTAINER(node, const struct sum, node);
    const struct sum_key *wanted = key;
    return sum->kind == wanted->kind && span_eq(span_of(sum->name, sum->name_n), wanted->name);
}

static uint64_t hash_of(const struct sum_key *key) { return hash_bytes(key->name) ^ hash_u64(key->kind + 1); }

static struct sum *sum_of(struct levels *levels, enum limits_kind kind, struct span name)
{
    struct sum_key key = { kind, name };
    struct map_node *found = map_find(&levels->sums, hash_of(&key), sum_is, &key);
    if (found)
        return CONTAINER(found, struct sum, node);
    struct sum *sum = calloc(1, sizeof *sum + name.n);
    if (!sum || map_add(&levels->sums, &sum->node, hash_of(&key)) != STATUS_OK) {
        free(sum);
        return NULL;
    }
    sum->kind = (uint8_t)kind;
    sum->name_n = (uint32_t)name.n;
    memcpy(sum->name, name.n ? name.p : "", name.n);
    return sum;
}

struct level_sum levels_of(const struct levels *levels, enum limits_kind kind, struct span name)
{
    struct sum_key key = { kind, name };
    struct map_node *found = map_find(&levels->sums, hash_of(&key), sum_is, &key);
    return found ? CONTAINER(found, struct sum, node)->now : (struct level_sum){ 0 };
}

static bool speaks_of_levels(const struct limits_node *node)
{
    for (size_t i = 0; i < node->rule_count; i++)
        if (1u << node->rules[i].what & ABOUT_LEVELS)
            return true;
    return false;
}

/* From what stood in the sums to what waits now. */
static enum status contribute(struct levels *levels, const struct holder *holder, struct level_sum before, struct level_sum now)
{
    for (size_t i = 0; holder && holder->whats & ABOUT_LEVELS && i < holder->chain_count; i++) {
        const struct limits_node *node = &holder->chain[i];
        if (!speaks_of_levels(node))
            continue;
        struct sum *sum = sum_of(levels, node->kind, node->name);
        if (!sum)
            return STATUS_MEMORY;
        sum->now.messages += now.messages - before.messages; /* wraps back */
        sum->now.octets += now.octets - before.octets;
    }
    return STATUS_OK;
}

/* -- accounts -- */

static bool waiting_is(const struct map_node *node, const void *key)
{
    const struct waiting *waiting = CONTAINER(node, const struct waiting, node);
    return span_eq(span_of(waiting->account, waiting->account_n), *(const struct span *)key);
}

static struct waiting *waiting_of(struct levels *levels, struct span account, bool may_make)
{
    uint64_t hash = hash_bytes(account);
    struct map_node *found = map_find(&levels->accounts, hash, waiting_is, &account);
    if (found || !may_make)
        return found ? CONTAINER(found, struct waiting, node) : NULL;
    struct waiting *waiting = calloc(1, sizeof *waiting + account.n);
    if (!waiting || map_add(&levels->accounts, &waiting->node, hash) != STATUS_OK) {
        free(waiting);
        return NULL;
    }
    waiting->account_n = (uint32_t)account.n;
    memcpy(waiting->account, account.n ? account.p : "", account.n);
    list_init(&waiting->link);
    list_add_first(&levels->all, &waiting->link);
    return waiting;
}

static enum status take_in(struct levels *levels, struct holders *holders, struct accounts *accounts, struct waiting *waiting,
                           struct level_sum now)
{
    enum status status;
    struct span account = span_of(waiting->account, waiting->account_n);
    const struct holder *holder = holders_find(holders, accounts, account, 0, &status);
    struct level_sum before = waiting->epoch == levels->epoch ? waiting->now : (struct level_sum){ 0 };
    if (holder)
        status = contribute(levels, holder, before, now);
    waiting->now = now;
    waiting->epoch = levels->epoch;
    list_remove(&waiting->link);
    list_add_last(&levels->all, &waiting->link);
    return status;
}

enum status levels_set(struct levels *levels, struct holders *holders, struct accounts *accounts, struct span account,
                       uint64_t messages, uint64_t octets)
{
    struct waiting *waiting = waiting_of(levels, account, messages > 0);
    if (!waiting)
        return messages ? STATUS_MEMORY : STATUS_OK;
    enum status status = take_in(levels, holders, accounts, waiting, (struct level_sum){ messages, messages ? octets : 0 });
    if (!messages)
        forget(levels, waiting);
    return status;
}

bool levels_go_on(struct levels *levels, struct holders *holders, struct accounts *accounts, size_t most)
{
    for (size_t i = 0; i < most; i++) {
        struct list *link = list_first(&levels->all);
        struct waiting *waiting = link ? CONTAINER(link, struct waiting, link) : NULL;
        if (!waiting || waiting->epoch == levels->epoch)
            return false;
        take_in(levels, holders, accounts, waiting, waiting->now);
    }
    return true;
}
