#include "base/time.h"
#include "limits/tree_priv.h"
#include <assert.h>

/* One rule that a request has to pass. */
struct item {
    const struct limits_node *node;
    const struct limits_rule *rule;
    struct limits_place *place;
    struct limits_counter *counter; /* NULL: nothing was counted yet */
    uint64_t room;
    int64_t late_ms;  /* so long it is put off; 0: it is not */
};

struct items {
    struct item of[LIMITS_CHAIN_MOST * LIMITS_RULES_MOST];
    size_t n;
    bool late;        /* some are put off */
};

static struct limits_allowance allowance_of(const struct limits_rule *rule)
{
    return (struct limits_allowance){ rule->amount, rule->burst };
}

static bool counts(const struct limits_rule *rule, const struct limits_request *request)
{
    return rule->what == request->what && rule->amount != LIMITS_UNLIMITED && !(rule->flags & LIMITS_RULE_EACH)
        && (!(request->flags & LIMITS_LOCAL) || rule->flags & LIMITS_RULE_LOCAL)
        && (!(request->flags & LIMITS_RELAYED) || rule->flags & LIMITS_RULE_RELAYED);
}

static unsigned rules_n(const struct limits_node *node) { return MIN(node->rule_count, LIMITS_RULES_MOST); }

/* How many rules before this one have the same thing and time. */
static unsigned order_of(const struct limits_node *node, unsigned at)
{
    unsigned order = 0;
    for (unsigned i = 0; i < at; i++)
        order += node->rules[i].what == node->rules[at].what && node->rules[i].per_ms == node->rules[at].per_ms;
    return order;
}

static struct limits_counter *counter_of(const struct limits_place *place, const struct limits_node *node, unsigned at)
{
    return limits_counter_find(place, node->rules[at].what, node->rules[at].per_ms, order_of(node, at), at);
}

/* Counters of rules that are no more go when the place is full of them. */
static void prune(struct limits_tree *tree, struct limits_place *place, const struct limits_node *node)
{
    for (unsigned i = place->n; i--;) {
        bool used = false;
        for (unsigned at = 0; at < rules_n(node); at++)
            used |= counter_of(place, node, at) == &place->counters[i];
        if (!used)
            limits_counter_drop(tree, place, i);
    }
}

static bool make_place(struct limits_tree *tree, const struct limits_node *node, int64_t now_ms)
{
    struct limits_place *place = limits_place_make(tree, node->kind, node->name, now_ms);
    if (!place)
        return false;
    place->is_pinned = true;
    if (place->n + rules_n(node) > LIMITS_COUNTERS_MOST)
        prune(tree, place, node);
    for (unsigned i = 0; i < rules_n(node); i++) {
        const struct limits_rule *rule = &node->rules[i];
        if (!limits_counter_make(tree, place, rule->what, rule->per_ms, order_of(node, i), now_ms))
            return false;
    }
    return true;
}

static bool has_counting(const struct limits_node *node, const struct limits_request *request)
{
    for (unsigned i = 0; i < rules_n(node); i++)
        if (counts(&node->rules[i], request))
            return true;
    return false;
}

/* Has all counters that the request needs of this node, each with room for a count. */
static bool is_made(const struct limits_place *place, const struct limits_node *node,
                    const struct limits_request *request)
{
    for (unsigned i = 0; i < rules_n(node); i++) {
        if (!counts(&node->rules[i], request))
            continue;
        const struct limits_counter *counter = counter_of(place, node, i);
        if (!counter || (!limits_counter_is_level(counter) && counter->window.room == 0))
            return false;
    }
    return true;
}

static void add_items(struct items *items, struct limits_place *place, const struct limits_node *node,
                      const struct limits_request *request)
{
    for (unsigned i = 0; i < rules_n(node); i++)
        if (counts(&node->rules[i], request))
            items->of[items->n++] = (struct item){ node, &node->rules[i], place,
                                                   place ? counter_of(place, node, i) : NULL, 0, 0 };
}

static void settle(struct limits_tree *tree, const struct item *item, int64_t now_ms)
{
    if (item->counter && limits_run_goes_on(item->counter))
        limits_run_settle(tree, item->place, item->counter, allowance_of(item->rule), now_ms);
}

/* All rules that count the request; `make`: with a counter for each. False: no memory for them. */
static bool gather(struct limits_tree *tree, const struct limits_request *request, bool make, struct items *ret)
{
    struct limits_place *places[LIMITS_CHAIN_MOST] = { NULL };
    bool good = true;
    ret->n = 0;
    ret->late = false;
    assert(request->chain_count <= LIMITS_CHAIN_MOST);
    for (size_t i = 0; i < request->chain_count && good; i++) {
        const struct limits_node *node = &request->chain[i];
        if (!has_counting(node, request))
            continue;
        places[i] = limits_place_find(tree, node->kind, node->name);
        if (make && (!places[i] || !is_made(places[i], node, request))) {
            good = make_place(tree, node, request->now_ms);
            places[i] = limits_place_find(tree, node->kind, node->name);
        }
        if (places[i])
            places[i]->is_pinned = true;
        if (good)
            add_items(ret, places[i], node, request);
    }
    for (size_t i = 0; i < ret->n; i++)
        settle(tree, &ret->of[i], request->now_ms);
    for (size_t i = 0; i < request->chain_count; i++)
        if (places[i])
            places[i]->is_pinned = false;
    return good;
}

static uint64_t level_room(const struct limits_rule *rule, uint64_t level)
{
    return rule->amount > level ? rule->amount - level : 0;
}

/* The other machines have used some of it, too. */
static uint64_t room_beside(const struct item *item, uint64_t room, int64_t at_ms)
{
    uint64_t used = limits_window_count_at(&item->counter->window, at_ms) + limits_away_count(item->counter, at_ms);
    return MIN(room, item->rule->amount > used ? item->rule->amount - used : 0);
}

static uint64_t room_of(const struct item *item, int64_t now_ms)
{
    const struct limits_rule *rule = item->rule;
    if (!item->counter)
        return rule->burst ? rule->burst : rule->amount;
    if (limits_counter_is_level(item->counter))
        return level_room(rule, item->counter->level);
    uint64_t room = limits_window_room(&item->counter->window, allowance_of(rule), now_ms);
    return item->counter->away ? room_beside(item, room, now_ms) : room;
}

static bool is_enforced(const struct limits_rule *rule)
{
    return rule->action != LIMITS_NOTIFY && !(rule->flags & LIMITS_RULE_DRY);
}

/* Accepts what has no room and lets it out later. What already happened (a failure, a login) cannot be put off. */
static bool puts_off(const struct limits_rule *rule, bool only_asks)
{
    bool sends = rule->what == LIMITS_MESSAGES || rule->what == LIMITS_RECIPIENTS || rule->what == LIMITS_BYTES ||
                 rule->what == LIMITS_NEW_RECIPIENTS || (rule->what == LIMITS_FAILURES && only_asks);
    return sends && is_enforced(rule) && (rule->action == LIMITS_PACE || rule->action == LIMITS_HOLD);
}

static bool is_whole(const struct limits_rule *rule, const struct limits_request *request)
{
    return request->flags & LIMITS_WHOLE || rule->flags & LIMITS_RULE_WHOLE;
}

/* What is put off is let out evenly on each machine: of those that send now, each has its part of the rate. */
static struct limits_allowance part_of(const struct item *item, int64_t now_ms)
{
    struct limits_allowance allowance = allowance_of(item->rule);
    if (item->counter && item->counter->away)
        allowance.amount = MAX(allowance.amount / (1 + limits_away_machines(item->counter, now_ms)), UINT64_C(1));
    return allowance;
}

/* Puts the item's share off, if its rule does that and nobody waits for too long. Nothing overtakes who waits already. */
static bool put_off(const struct limits_tree *tree, struct item *item, const struct limits_request *request, bool only_asks)
{
    struct limits_allowance allowance = part_of(item, request->now_ms);
    uint64_t most = allowance.burst ? MIN(allowance.amount, allowance.burst) : allowance.amount;
    if (!puts_off(item->rule, only_asks) || !item->counter || request->n > most)
        return false;
    item->late_ms = limits_run_slot(item->counter, allowance, request->n, request->now_ms) - request->now_ms;
    if (item->late_ms <= tree->wait_most_ms)
        return true;
    item->room = 0;
    return false;
}

/* Fills in the rooms and who has the least; NULL: all of it passes. */
static const struct item *decide(const struct limits_tree *tree, struct items *items, const struct limits_request *request,
                                 bool only_asks, struct limits_verdict *ret)
{
    const struct item *tightest = NULL;
    for (size_t i = 0; i < items->n; i++) {
        struct item *item = &items->of[i];
        item->room = room_of(item, request->now_ms);
        bool has_room = item->room >= request->n;
        if (has_room && !(item->counter && limits_run_goes_on(item->counter)))
            continue;
        if (put_off(tree, item, request, only_asks)) {
            items->late = true;
            continue;
        }
        if (has_room)
            continue;
        if (item->rule->flags & LIMITS_RULE_DRY && !ret->dry_rule) {
            ret->dry_rule = item->rule;
            ret->dry_node = item->node;
        }
        if (!is_enforced(item->rule))
            continue;
        item->room = is_whole(item->rule, request) ? 0 : item->room;
        if (!tightest || item->room < tightest->room
            || (item->room == tightest->room && item->rule->action > tightest->rule->action))
            tightest = item;
    }
    return tightest;
}

/* When there is room for `n` beside what the other machines counted. */
static int64_t clear_beside(const struct item *item, uint64_t n, int64_t now_ms)
{
    struct limits_allowance allowance = allowance_of(item->rule);
    int64_t best = LIMITS_NEVER;
    for (int64_t at_ms = now_ms; at_ms < best; at_ms = limits_away_change(item->counter, at_ms)) {
        uint64_t away = limits_away_count(item->counter, at_ms);
        allowance.amount = item->rule->amount - MIN(away, item->rule->amount);
        best = MIN(best, MAX(at_ms, limits_window_clear(&item->counter->window, allowance, n, now_ms)));
    }
    return best;
}

static inline int64_t clear_of_item(const struct item *item, uint64_t n, int64_t now_ms)
{
    if (item->counter->away)
        return clear_beside(item, n, now_ms);
    return limits_window_clear(&item->counter->window, allowance_of(item->rule), n, now_ms);
}

/* When `n` may pass all rules: no window lets less through later than now. */
static int64_t clear_of(const struct items *items, const struct limits_request *request, uint64_t n)
{
    int64_t clear_ms = request->now_ms;
    bool unknown = false;
    for (size_t i = 0; i < items->n; i++) {
        const struct item *item = &items->of[i];
        if (!is_enforced(item->rule))
            continue;
        uint64_t need = is_whole(item->rule, request) ? request->n : n;
        bool never = need > item->rule->amount || (item->rule->burst && need > item->rule->burst);
        if (never)
            return LIMITS_NEVER;
        if (!item->counter)
            continue;
        if (limits_counter_is_level(item->counter))
            unknown |= level_room(item->rule, item->counter->level) < need;
        else
            clear_ms = MAX(clear_ms, clear_of_item(item, need, request->now_ms));
    }
    return unknown ? 0 : clear_ms;
}

/* Who is told a time looks at a clock: the next full second, or minute when it is a while. */
static int64_t rounded(int64_t wall_ms, int64_t wait_ms)
{
    int64_t unit = wait_ms < 2 * TIME_MINUTE_MS ? TIME_SECOND_MS : TIME_MINUTE_MS;
    return (wall_ms + wait_ms + unit - 1) / unit * unit;
}

static uint64_t room_at(const struct items *items, int64_t at_ms)
{
    uint64_t room = UINT64_MAX;
    for (size_t i = 0; i < items->n; i++) {
        const struct item *item = &items->of[i];
        if (!is_enforced(item->rule))
            continue;
        bool is_window = item->counter && !limits_counter_is_level(item->counter);
        uint64_t here = is_window ? limits_window_room_at(&item->counter->window, allowance_of(item->rule), at_ms) : room_of(item, at_ms);
        room = MIN(room, is_window && item->counter->away ? room_beside(item, here, at_ms) : here);
    }
    return room;
}

static uint64_t count_of(const struct limits_counter *counter, int64_t now_ms)
{
    if (!counter || limits_counter_is_level(counter))
        return counter ? counter->level : 0;
    return counter->window.total + (counter->away ? limits_away_count(counter, now_ms) : 0);
}

static void tell(const struct items *items, const struct item *tightest, const struct limits_request *request,
                 int64_t wait_most_ms, struct limits_verdict *ret)
{
    ret->outcome = LIMITS_VERDICT_LIMITED;
    ret->rule = tightest->rule;
    ret->node = tightest->node;
    ret->count = count_of(tightest->counter, request->now_ms);
    int64_t clear_ms = tightest->late_ms ? request->now_ms + tightest->late_ms - wait_most_ms : clear_of(items, request, 1);
    ret->clear_wall_ms = clear_ms;
    if (clear_ms == 0 || clear_ms == LIMITS_NEVER)
        return;
    ret->clear_wall_ms = rounded(request->wall_ms, clear_ms - request->now_ms);
    ret->room_then = tightest->late_ms ? 1 : room_at(items, request->now_ms + (ret->clear_wall_ms - request->wall_ms));
}

/* Who has it wait the longest. */
static void tell_late(const struct items *items, struct limits_verdict *ret)
{
    for (size_t i = 0; i < items->n; i++) {
        const struct item *item = &items->of[i];
        if (item->late_ms <= ret->wait_ms)
            continue;
        ret->wait_ms = item->late_ms;
        ret->late_rule = item->rule;
        ret->late_node = item->node;
    }
}

/* 80 % or more, or all of it, and not said within the window. */
static void warn(struct limits_tree *tree, const struct item *item, bool was_refused, const struct limits_request *request)
{
    uint64_t count = count_of(item->counter, request->now_ms), amount = item->rule->amount;
    unsigned full = count >= amount || (was_refused && request->n > amount - count);
    if (!full && count < amount - amount / 5)
        return;
    int64_t *said = &item->counter->warned_ms[full];
    int64_t per_ms = item->rule->per_ms ? item->rule->per_ms : TIME_HOUR_MS;
    if (*said && request->now_ms - *said < per_ms)
        return;
    *said = request->now_ms;
    if (full)
        item->counter->warned_ms[0] = request->now_ms;
    if (!limits_counter_is_level(item->counter))
        limits_place_changed(tree, item->place);
    struct limits_warning warning = { item->node, item->rule, count, full ? 100 : 80 };
    if (tree->setup.on_warning)
        tree->setup.on_warning(tree->setup.arg, &warning);
}

static void count(struct limits_tree *tree, const struct item *item, uint64_t granted, const struct limits_request *request)
{
    /* What is only tried counts as if it were not: no more than has room. */
    uint64_t n = item->rule->flags & LIMITS_RULE_DRY && item->rule->action != LIMITS_NOTIFY ? MIN(granted, item->room)
                                                                                            : granted;
    if (n == 0)
        return;
    if (item->late_ms)
        limits_run_book(item->counter, part_of(item, request->now_ms), n, request->now_ms);
    else
        limits_counter_add(tree, item->counter, allowance_of(item->rule), n, request->now_ms);
    if (!limits_counter_is_level(item->counter))
        limits_place_changed(tree, item->place);
}

static struct limits_verdict passed(const struct limits_request *request)
{
    return (struct limits_verdict){ .outcome = LIMITS_VERDICT_PASS, .granted = request->n, .asked = request->n };
}

void limits_tree_set_wait(struct limits_tree *tree, int64_t most_ms) { tree->wait_most_ms = MAX(most_ms, TIME_SECOND_MS); }

void limits_tree_take(struct limits_tree *tree, const struct limits_request *request, struct limits_verdict *ret)
{
    struct items items;
    *ret = passed(request);
    if (request->flags & LIMITS_EXEMPT || request->n == 0)
        return;
    if (!gather(tree, request, true, &items)) {
        *ret = (struct limits_verdict){ .outcome = LIMITS_VERDICT_FULL, .asked = request->n };
        return;
    }
    const struct item *tightest = decide(tree, &items, request, false, ret);
    if (tightest)
        ret->granted = tightest->room;
    for (size_t i = 0; i < items.n; i++)
        count(tree, &items.of[i], ret->granted, request);
    if (items.late && ret->granted)
        tell_late(&items, ret);
    if (tightest)
        tell(&items, tightest, request, tree->wait_most_ms, ret);
    for (size_t i = 0; i < items.n; i++)
        if (!(items.of[i].rule->flags & LIMITS_RULE_DRY))
            warn(tree, &items.of[i], &items.of[i] == tightest, request);
}

void limits_tree_ask(struct limits_tree *tree, const struct limits_request *request, struct limits_verdict *ret)
{
    struct items items;
    *ret = passed(request);
    if (request->flags & LIMITS_EXEMPT || request->n == 0)
        return;
    bool good = gather(tree, request, false, &items);
    assert(good);
    const struct item *tightest = decide(tree, &items, request, true, ret);
    if (tightest)
        ret->granted = tightest->room;
    if (items.late && ret->granted)
        tell_late(&items, ret);
    if (tightest)
        tell(&items, tightest, request, tree->wait_most_ms, ret);
}

void limits_tree_undo(struct limits_tree *tree, const struct limits_request *request, int64_t taken_ms)
{
    struct items items;
    if (request->flags & LIMITS_EXEMPT || !gather(tree, request, false, &items))
        return;
    for (size_t i = 0; i < items.n; i++) {
        struct item *item = &items.of[i];
        if (!item->counter)
            continue;
        if (limits_counter_is_level(item->counter)) {
            item->counter->level -= MIN(item->counter->level, request->n);
            continue;
        }
        uint64_t rest = request->n;
        if (limits_run_goes_on(item->counter))
            rest -= limits_run_undo(item->counter, rest);
        uint64_t before = limits_window_count(&item->counter->window, allowance_of(item->rule), request->now_ms);
        limits_window_undo(&item->counter->window, allowance_of(item->rule), rest, taken_ms, request->now_ms);
        item->counter->unsaved -= (int64_t)(before - item->counter->window.total);
        limits_place_changed(tree, item->place);
    }
}

bool limits_tree_set_level(struct limits_tree *tree, const struct limits_node *node, enum limits_what what,
                           uint64_t level, int64_t now_ms)
{
    struct limits_request request = { node, 1, what, LIMITS_WHOLE, level, now_ms, 0 };
    struct items items;
    if (!gather(tree, &request, true, &items))
        return false;
    for (size_t i = 0; i < items.n; i++)
        if (limits_counter_is_level(items.of[i].counter))
            items.of[i].counter->level = MIN(level, LIMITS_COUNT_MOST);
    return true;
}

void limits_tree_read(struct limits_tree *tree, const struct limits_node *node, const struct limits_rule *rule,
                      int64_t now_ms, struct limits_reading *ret)
{
    struct limits_place *place = limits_place_find(tree, node->kind, node->name);
    struct item item = { node, rule, place, NULL, 0, 0 };
    if (place && rule >= node->rules && rule < node->rules + rules_n(node))
        item.counter = counter_of(place, node, (unsigned)(rule - node->rules));
    settle(tree, &item, now_ms);
    bool has_run = item.counter && !limits_counter_is_level(item.counter);
    ret->late = has_run ? item.counter->run.n - item.counter->run.done : 0;
    ret->room = room_of(&item, now_ms); /* goes on to now_ms first */
    ret->count = count_of(item.counter, now_ms);
    ret->clear_ms = ret->room ? now_ms : 0;
    if (ret->room == 0 && item.counter && !limits_counter_is_level(item.counter))
        ret->clear_ms = clear_of_item(&item, 1, now_ms);
}

bool limits_tree_forget(struct limits_tree *tree, enum limits_kind kind, struct span name)
{
    struct limits_place *place = limits_place_find(tree, kind, name);
    if (!place || place->n == 0)
        return false;
    limits_place_forget(tree, place);
    tree->whole_due += !place->is_whole_due;
    place->is_whole_due = true;
    limits_place_changed(tree, place);
    return true;
}
