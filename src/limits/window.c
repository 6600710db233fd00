#include "limits/window.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { TICKS = 4096, TICK_BITS = 20, COUNT_BITS = 44, FIRST_ROOM = 2 };
#define TICK_MASK ((UINT64_C(1) << TICK_BITS) - 1)

static uint64_t entry_of(int64_t tick, uint64_t count)
{
    return ((uint64_t)tick & TICK_MASK) << COUNT_BITS | MIN(count, LIMITS_COUNT_MOST);
}
static uint64_t entry_count(uint64_t entry) { return entry & LIMITS_COUNT_MOST; }

/* Of a tick, at least 1 ms. */
static int64_t tick_ms(const struct limits_window *window) { return (window->per_ms + TICKS - 1) / TICKS; }
/* Rounded up: an entry is never taken for older than it is. */
static int64_t tick_at(const struct limits_window *window, int64_t at_ms)
{
    int64_t unit = tick_ms(window);
    return (at_ms + unit - 1) / unit;
}

/* The time of an entry in ms: the last one with these low bits that is not after the next tick. */
static int64_t entry_ms(const struct limits_window *window, uint64_t entry)
{
    int64_t latest = tick_at(window, window->now_ms) + 1;
    uint64_t back = ((uint64_t)latest - (entry >> COUNT_BITS)) & TICK_MASK;
    return (latest - (int64_t)back) * tick_ms(window);
}

void limits_window_init(struct limits_window *window, uint32_t per_ms)
{
    *window = (struct limits_window){ .per_ms = MAX(per_ms, 1u), .now_ms = INT64_MIN };
}

void limits_window_done(struct limits_window *window)
{
    free(window->entries);
    limits_window_init(window, window->per_ms);
}

static uint64_t *entry_at(const struct limits_window *window, unsigned i) { return &window->entries[window->first + i]; }

/* What came back of a burst between two times. */
static void debt_ease(uint64_t *debt, uint32_t *rest, uint32_t per_ms, uint64_t amount, int64_t passed_ms)
{
    unsigned __int128 owed = (unsigned __int128)*debt * per_ms + *rest;
    unsigned __int128 back = (unsigned __int128)amount * (uint64_t)passed_ms;
    owed = back < owed ? owed - back : 0;
    *debt = (uint64_t)(owed / per_ms);
    *rest = (uint32_t)(owed % per_ms);
}

static void clear(struct limits_window *window)
{
    window->total = 0;
    window->first = window->n = 0;
}

/* Goes on to `now_ms`, or stays where it is; forgets what no longer counts. */
static int64_t go_on(struct limits_window *window, int64_t now_ms)
{
    if (now_ms <= window->now_ms)
        return window->now_ms;
    /* The low bits of ticks tell times apart as long as no entry is older than a few windows. */
    bool all = window->n && now_ms - window->now_ms > 2 * (int64_t)window->per_ms;
    window->now_ms = all ? window->now_ms : now_ms;
    while (!all && window->n && entry_ms(window, *entry_at(window, 0)) + window->per_ms <= now_ms) {
        window->total -= entry_count(*entry_at(window, 0));
        window->first++;
        window->n--;
    }
    window->now_ms = now_ms;
    if (all || window->n == 0)
        clear(window);
    return now_ms;
}

/* The debt as it will be at `at_ms`. Times before the first count are no time. */
static uint64_t debt_at(const struct limits_window *window, struct limits_allowance allowance, int64_t at_ms)
{
    uint64_t debt = window->debt;
    uint32_t rest = window->debt_rest;
    if ((debt || rest) && at_ms > window->now_ms)
        debt_ease(&debt, &rest, window->per_ms, allowance.amount, at_ms - window->now_ms);
    return debt + (rest != 0); /* a part of one is not back yet */
}

/* Before `now_ms` of the window changes, as the debt is that of this time. */
static void ease(struct limits_window *window, struct limits_allowance allowance, int64_t now_ms)
{
    if ((window->debt || window->debt_rest) && now_ms > window->now_ms)
        debt_ease(&window->debt, &window->debt_rest, window->per_ms, allowance.amount, now_ms - window->now_ms);
    go_on(window, now_ms);
}

uint64_t limits_window_count_at(const struct limits_window *window, int64_t at_ms)
{
    uint64_t total = window->total;
    for (unsigned i = 0; i < window->n; i++) {
        if (entry_ms(window, *entry_at(window, i)) + window->per_ms > at_ms)
            break;
        total -= entry_count(*entry_at(window, i));
    }
    return total;
}

uint64_t limits_window_count(struct limits_window *window, struct limits_allowance allowance, int64_t now_ms)
{
    ease(window, allowance, now_ms);
    return window->total;
}

uint64_t limits_window_room_at(const struct limits_window *window, struct limits_allowance allowance, int64_t at_ms)
{
    uint64_t count = limits_window_count_at(window, at_ms);
    uint64_t room = allowance.amount > count ? allowance.amount - count : 0;
    if (allowance.burst == 0)
        return room;
    uint64_t debt = debt_at(window, allowance, at_ms);
    return MIN(room, allowance.burst > debt ? allowance.burst - debt : 0);
}

uint64_t limits_window_room(struct limits_window *window, struct limits_allowance allowance, int64_t now_ms)
{
    ease(window, allowance, now_ms);
    return limits_window_room_at(window, allowance, window->now_ms);
}

/* When the burst has room for `n`, of which it is known that they fit into it. */
static int64_t burst_clear(const struct limits_window *window, struct limits_allowance allowance, uint64_t n)
{
    unsigned __int128 owed = (unsigned __int128)window->debt * window->per_ms + window->debt_rest;
    unsigned __int128 may = (unsigned __int128)(allowance.burst - n) * window->per_ms;
    if (owed <= may)
        return window->now_ms;
    return window->now_ms + (int64_t)((owed - may + allowance.amount - 1) / allowance.amount);
}

int64_t limits_window_clear(struct limits_window *window, struct limits_allowance allowance, uint64_t n, int64_t now_ms)
{
    if (n > allowance.amount || (allowance.burst && n > allowance.burst))
        return LIMITS_NEVER;
    ease(window, allowance, now_ms);
    if (n == 0)
        return window->now_ms;
    int64_t at_ms = allowance.burst ? burst_clear(window, allowance, n) : window->now_ms;
    uint64_t total = window->total;
    for (unsigned i = 0; i < window->n && total > allowance.amount - n; i++) {
        total -= entry_count(*entry_at(window, i));
        at_ms = MAX(at_ms, entry_ms(window, *entry_at(window, i)) + window->per_ms);
    }
    return at_ms;
}

static bool grow(struct limits_window *window, unsigned room)
{
    uint64_t *entries = reallocarray(window->entries, room, sizeof *entries);
    if (!entries)
        return false;
    window->entries = entries;
    window->room = (uint8_t)room;
    return true;
}

bool limits_window_reserve(struct limits_window *window) { return window->room || grow(window, FIRST_ROOM); }

/* A free entry behind the youngest; false: there is none to be had. */
static bool make_room(struct limits_window *window, bool may_grow)
{
    if (window->first + window->n < window->room)
        return true;
    if (window->first) {
        memmove(window->entries, entry_at(window, 0), window->n * sizeof *window->entries);
        window->first = 0;
        return true;
    }
    if (!may_grow || window->room == LIMITS_WINDOW_ENTRIES)
        return false;
    return grow(window, window->room ? MIN(window->room * 2u, LIMITS_WINDOW_ENTRIES) : FIRST_ROOM);
}

bool limits_window_add(struct limits_window *window, struct limits_allowance allowance, uint64_t n, int64_t now_ms,
                       bool may_grow)
{
    ease(window, allowance, now_ms);
    now_ms = window->now_ms;
    n = MIN(n, LIMITS_COUNT_MOST);
    if (n == 0)
        return true;
    if (allowance.burst)
        window->debt = MIN(window->debt + n, LIMITS_COUNT_MOST);
    int64_t tick = tick_at(window, now_ms), slot_ms = window->per_ms / LIMITS_WINDOW_SLOTS;
    bool joins = window->n && (now_ms - window->opened_ms < slot_ms || now_ms == window->opened_ms);
    bool made = joins || make_room(window, may_grow);
    assert((made || window->n) && "not reserved");
    if (!joins && made) {
        window->n++;
        window->opened_ms = now_ms;
        *entry_at(window, window->n - 1u) = entry_of(tick, 0);
    }
    uint64_t *last = entry_at(window, window->n - 1u), before = entry_count(*last);
    *last = entry_of(tick, before + n);
    window->total += entry_count(*last) - before;
    return made;
}

static void take_out(struct limits_window *window, unsigned i, uint64_t *n)
{
    uint64_t *entry = entry_at(window, i), some = MIN(entry_count(*entry), *n);
    *entry -= some;
    *n -= some;
    window->total -= some;
}

void limits_window_undo(struct limits_window *window, struct limits_allowance allowance, uint64_t n, int64_t at_ms,
                        int64_t now_ms)
{
    ease(window, allowance, now_ms);
    if (at_ms > window->now_ms)
        at_ms = window->now_ms;
    if (tick_at(window, at_ms) * tick_ms(window) + window->per_ms <= window->now_ms)
        return; /* none of them counts any more */
    /* Of a burst, what cannot have come back since. */
    unsigned __int128 back = (unsigned __int128)allowance.amount * (uint64_t)(window->now_ms - at_ms) / window->per_ms;
    window->debt -= back < n ? MIN(window->debt, n - (uint64_t)back) : 0;
    unsigned at = 0;
    while (at < window->n && entry_ms(window, *entry_at(window, at)) < at_ms)
        at++;
    for (unsigned i = at; i < window->n && n; i++)
        take_out(window, i, &n);
    if (window->total == 0)
        clear(window);
}

bool limits_window_is_idle(const struct limits_window *window, int64_t now_ms)
{
    return window->n == 0
        || entry_ms(window, *entry_at(window, window->n - 1u)) + window->per_ms <= MAX(now_ms, window->now_ms);
}

void limits_window_entry(const struct limits_window *window, unsigned i, int64_t *ret_ms, uint64_t *ret_count)
{
    *ret_ms = MIN(entry_ms(window, *entry_at(window, i)), window->now_ms);
    *ret_count = entry_count(*entry_at(window, i));
}

void limits_window_append(struct limits_window *window, int64_t at_ms, uint64_t count, bool may_grow)
{
    /* Nothing may join: the entry may have been as wide as they get. */
    window->opened_ms = INT64_MIN / 2;
    limits_window_add(window, (struct limits_allowance){ 0, 0 }, count, at_ms, may_grow);
    window->opened_ms = INT64_MIN / 2;
}

void limits_window_drop(struct limits_window *window, uint64_t n)
{
    for (unsigned i = window->n; i-- && n;)
        take_out(window, i, &n);
    if (window->total == 0)
        clear(window);
}
