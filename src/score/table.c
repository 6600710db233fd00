/* Who is known, and what an event changes. */
#include "base/hash.h"
#include "base/time.h"
#include "score/score_priv.h"
#include "score/text.h"
#include <stdlib.h>

struct score_table *score_table_new(size_t most)
{
    struct score_table *table = calloc(1, sizeof *table);
    if (!table)
        return NULL;
    table->most = MAX(most, 1u);
    list_init(&table->by_use);
    return table;
}

static void remove_sender(struct score_table *table, struct score_sender *sender)
{
    map_remove(&table->by_id, &sender->by_id);
    list_remove(&sender->by_use);
    free(sender);
}

void score_table_free(struct score_table *table)
{
    if (!table)
        return;
    for (LIST_EACH(link, &table->by_use))
        remove_sender(table, CONTAINER(link, struct score_sender, by_use));
    map_done(&table->by_id);
    free(table);
}

size_t score_table_count(const struct score_table *table) { return table->by_id.n; }

static bool is_sender(const struct map_node *node, const void *id)
{
    return CONTAINER(node, const struct score_sender, by_id)->id == *(const uint64_t *)id;
}

struct score_sender *score_sender_find(const struct score_table *table, uint64_t id)
{
    struct map_node *node = map_find(&table->by_id, hash_u64(id), is_sender, &id);
    return node ? CONTAINER(node, struct score_sender, by_id) : NULL;
}

struct score_sender *score_sender_make(struct score_table *table, uint64_t id)
{
    if (table->by_id.n >= table->most)
        remove_sender(table, CONTAINER(table->by_use.next, struct score_sender, by_use));
    struct score_sender *sender = calloc(1, sizeof *sender);
    if (!sender)
        return NULL;
    sender->id = id;
    if (map_add(&table->by_id, &sender->by_id, hash_u64(id)) != STATUS_OK) {
        free(sender);
        return NULL;
    }
    list_add_last(&table->by_use, &sender->by_use);
    return sender;
}

static uint32_t seconds_of(const struct score_sender *sender, int64_t wall_ms)
{
    int64_t s = MIN(MAX(wall_ms / TIME_SECOND_MS, 0), (int64_t)UINT32_MAX);
    return MAX((uint32_t)s, sender->last_s);
}

static uint32_t plus(uint32_t a, uint32_t b) { return a > UINT32_MAX - b ? UINT32_MAX : a + b; }

static void add(struct score_sender *sender, enum score_window which, uint32_t n)
{
    sender->windows[which].now = plus(sender->windows[which].now, n);
}

/* The place of what was seen the longest ago. */
static size_t oldest(const uint16_t *days, size_t n)
{
    size_t at = 0;
    for (size_t i = 1; i < n; i++)
        if (days[i] < days[at])
            at = i;
    return at;
}

/* What is strange is learnt only while nothing else is wrong; until then each hour counts it once. */
static void add_network(struct score_sender *sender, uint32_t network, uint16_t day)
{
    /* The same after a restart: the bits are kept. */
    uint64_t bit = UINT64_C(1) << (hash_stable(span_of(&network, sizeof network)) & 63);
    bool seen = (sender->at_once[0] | sender->at_once[1]) & bit;
    if (!(sender->at_once[0] & bit))
        add(sender, AT_ONCE_HOUR, 1);
    sender->at_once[0] |= bit;
    for (size_t i = 0; i < NETWORKS; i++)
        if (sender->networks[i] == network) {
            sender->network_day[i] = day;
            return;
        }
    if (!seen)
        add(sender, NETWORKS_DAY, 1);
    if (sender->worst >= SCORE_PACE)
        return;
    size_t at = oldest(sender->network_day, NETWORKS);
    sender->networks[at] = network;
    sender->network_day[at] = day;
}

static void add_country(struct score_sender *sender, const char country[2], uint16_t day)
{
    for (size_t i = 0; i < COUNTRIES; i++)
        if (memcmp(sender->countries[i], country, 2) == 0) {
            sender->country_day[i] = day;
            return;
        }
    memcpy(sender->strange, country, 2);
    sender->country_s = sender->last_s;
    if (sender->worst >= SCORE_PACE)
        return;
    size_t at = oldest(sender->country_day, COUNTRIES);
    memcpy(sender->countries[at], country, 2);
    sender->country_day[at] = day;
}

/* A text that went to few gives its place to a new one; one that goes on keeps it. */
static void add_text(struct score_sender *sender, const struct score_event *event)
{
    struct score_same *place = &sender->texts[0];
    for (size_t i = 0; i < TEXTS; i++) {
        struct score_same *same = &sender->texts[i];
        if (score_text_is_near(same->print, event->text)) {
            same->strangers = plus(same->strangers, event->strangers);
            same->last_s = sender->last_s;
            return;
        }
        if (same->strangers < place->strangers || (same->strangers == place->strangers && same->last_s < place->last_s))
            place = same;
    }
    *place = (struct score_same){ event->text, event->strangers, sender->last_s };
}

static void add_event(struct score_sender *sender, const struct score_event *event)
{
    uint16_t day = (uint16_t)(sender->last_s / DAY_S);
    add(sender, FAILURES_HOUR, event->failures);
    add(sender, FAILURES_DAY, event->failures);
    if (event->messages == 0)
        return;
    if (day != sender->day && sender->days < UINT16_MAX)
        sender->days++;
    sender->day = day;
    sender->in_hour = plus(sender->in_hour, event->recipients);
    add(sender, RECIPIENTS_HOUR, event->recipients);
    add(sender, RECIPIENTS_DAY, event->recipients);
    add(sender, STRANGERS_SHORT, event->strangers);
    add(sender, STRANGERS_DAY, event->strangers);
    add(sender, MESSAGES_HOUR, event->messages);
    if (event->network)
        add_network(sender, event->network, day);
    if (event->country[0])
        add_country(sender, event->country, day);
    if (event->text)
        add_text(sender, event);
}

enum status score_count(struct score_table *table, uint64_t id, const struct score_event *event, struct score_verdict *ret)
{
    struct score_sender *sender = score_sender_find(table, id);
    if (!sender)
        sender = score_sender_make(table, id);
    if (!sender)
        return STATUS_MEMORY;
    score_age(sender, seconds_of(sender, event->wall_ms));
    add_event(sender, event);
    list_remove(&sender->by_use);
    list_add_last(&table->by_use, &sender->by_use);
    score_judge(sender, ret);
    sender->worst = MAX(sender->worst, (uint8_t)ret->step);
    return STATUS_OK;
}

enum status score_look(struct score_table *table, uint64_t id, int64_t wall_ms, struct score_verdict *ret)
{
    struct score_sender *sender = score_sender_find(table, id);
    if (!sender)
        return STATUS_NOT_FOUND;
    score_age(sender, seconds_of(sender, wall_ms));
    score_judge(sender, ret);
    return STATUS_OK;
}

enum status score_accept(struct score_table *table, uint64_t id, int64_t wall_ms)
{
    struct score_sender *sender = score_sender_find(table, id);
    if (!sender)
        return STATUS_NOT_FOUND;
    score_age(sender, seconds_of(sender, wall_ms));
    score_learn_now(sender);
    return STATUS_OK;
}

void score_forget(struct score_table *table, uint64_t id)
{
    struct score_sender *sender = score_sender_find(table, id);
    if (sender)
        remove_sender(table, sender);
}

uint32_t score_network(struct span address)
{
    static const char mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, (char)0xff, (char)0xff };
    if (address.n == 16 && memcmp(address.p, mapped, sizeof mapped) == 0)
        address = span_from(address, sizeof mapped);
    if (address.n != 4 && address.n != 16)
        return 0;
    uint64_t hash = hash_stable(span_head(address, address.n == 4 ? 3 : 6));
    return (uint32_t)hash ? (uint32_t)hash : 1;
}
