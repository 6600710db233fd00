/* A batch: 32 octets of header, then records. All numbers are little-endian.
 *
 *     header   u32 magic "GLIM", u32 CRC32C of all that follows it, u64 number, i64 wall clock in ms, u32 octets of
 *              records, u16 version, u16 zero
 *     record   u8 kind of node, u8 flags (1: whole, in the place of all before), u8 counters, u8 zero, u16 octets of the
 *              name, the name, the counters
 *     counter  u8 what, u8 order, u8 flags (1: warned, 2: debt, 4: run), u8 entries, u32 window in ms
 *              warned: two u32, seconds since it was said at 80 and at 100 %; the highest number: not said
 *              debt: u64, u32 (limits/window.h)
 *              run (flag 4): i64 ms from the writing to its begin, u64 amount, u64 booked, u64 done (limits/tree_priv.h)
 *              entry: u32 age in ms, i64 count; below zero: so many of the youngest are taken back
 */
#include "limits/store.h"
#include "base/hash.h"
#include "limits/tree_priv.h"
#include <endian.h>

enum {
    MAGIC = 0x4d494c47, /* "GLIM" */
    VERSION = 1,
    HEADER = 32,
    WHOLE = 1,
    HAS_WARNED = 1,
    HAS_DEBT = 2,
    HAS_RUN = 4,
};
#define NOT_SAID UINT32_MAX
#define RUN_MOST_MS (2 * LIMITS_PER_MOST_MS) /* from now; nobody is kept for so long */

static void put(struct buf *ret, uint64_t value, unsigned octets)
{
    value = htole64(value);
    buf_add(ret, span_of(&value, octets));
}

/* What is read past the end is zero, and `bad`. */
struct reader {
    struct span left;
    bool bad;
};

static uint64_t get(struct reader *reader, unsigned octets)
{
    uint64_t value = 0;
    if (reader->left.n < octets) {
        *reader = (struct reader){ SPAN_NONE, true };
        return 0;
    }
    memcpy(&value, reader->left.p, octets);
    reader->left = span_from(reader->left, octets);
    return le64toh(value);
}

static struct span get_span(struct reader *reader, size_t n)
{
    struct span got = span_head(reader->left, n);
    reader->bad |= got.n < n;
    reader->left = span_from(reader->left, n);
    return got;
}

static void put_warned(const struct limits_counter *counter, int64_t now_ms, struct buf *ret)
{
    for (unsigned i = 0; i < 2; i++) {
        int64_t age = counter->warned_ms[i] ? MAX(now_ms - counter->warned_ms[i], 0) / 1000 : NOT_SAID;
        put(ret, (uint64_t)MIN(age, (int64_t)NOT_SAID), 4);
    }
}

static void put_entries(const struct limits_window *window, int64_t now_ms, struct buf *ret)
{
    for (unsigned i = 0; i < window->n; i++) {
        int64_t at_ms;
        uint64_t count;
        limits_window_entry(window, i, &at_ms, &count);
        put(ret, (uint64_t)MIN(MAX(now_ms - at_ms, 0), (int64_t)UINT32_MAX), 4);
        put(ret, count, 8);
    }
}

static void put_counter(const struct limits_counter *counter, bool whole, int64_t now_ms, struct buf *ret)
{
    const struct limits_window *window = &counter->window;
    bool warned = counter->warned_ms[0] || counter->warned_ms[1], debt = window->debt || window->debt_rest;
    put(ret, counter->what, 1);
    put(ret, counter->order, 1);
    put(ret, (warned ? HAS_WARNED : 0) | (debt ? HAS_DEBT : 0) | (limits_run_goes_on(counter) ? HAS_RUN : 0), 1);
    put(ret, whole ? window->n : counter->unsaved != 0, 1);
    put(ret, counter->per_ms, 4);
    if (warned)
        put_warned(counter, now_ms, ret);
    if (debt) {
        put(ret, window->debt, 8);
        put(ret, window->debt_rest, 4);
    }
    if (limits_run_goes_on(counter)) {
        put(ret, (uint64_t)(counter->run.begin_ms - now_ms), 8);
        put(ret, counter->run.amount, 8);
        put(ret, counter->run.n, 8);
        put(ret, counter->run.done, 8);
    }
    if (whole) {
        put_entries(window, now_ms, ret);
    } else if (counter->unsaved) {
        put(ret, 0, 4);
        put(ret, (uint64_t)counter->unsaved, 8);
    }
}

static bool is_stored(const struct limits_counter *counter) { return !limits_counter_is_level(counter); }

static void put_place(const struct limits_place *place, int64_t now_ms, struct buf *ret)
{
    unsigned n = 0;
    for (unsigned i = 0; i < place->n; i++)
        n += is_stored(&place->counters[i]);
    put(ret, place->kind, 1);
    put(ret, place->is_whole_due ? WHOLE : 0, 1);
    put(ret, n, 1);
    put(ret, 0, 1);
    put(ret, place->name_n, 2);
    buf_add(ret, limits_place_name(place));
    for (unsigned i = 0; i < place->n; i++)
        if (is_stored(&place->counters[i]))
            put_counter(&place->counters[i], place->is_whole_due, now_ms, ret);
}

static void mark_written(struct limits_tree *tree, struct limits_place *place)
{
    for (unsigned i = 0; i < place->n; i++)
        if (is_stored(&place->counters[i]))
            place->counters[i].unsaved = 0;
    tree->whole_due -= place->is_whole_due;
    place->is_changed = place->is_whole_due = false;
    list_remove(&place->to_write);
}

enum status limits_store_changes(struct limits_store *store, struct limits_tree *tree, int64_t now_ms, int64_t wall_ms,
                                 struct buf *ret)
{
    size_t begin = ret->n, n = 0;
    if (!limits_store_is_dirty(tree))
        return STATUS_OK;
    put(ret, MAGIC, 4);
    put(ret, 0, 4);
    put(ret, store->last + 1, 8);
    put(ret, (uint64_t)wall_ms, 8);
    put(ret, 0, 4);
    put(ret, VERSION, 4);
    for (LIST_EACH(link, &tree->to_write)) {
        if (ret->failed || ret->n - begin >= LIMITS_STORE_BATCH_MOST)
            break;
        put_place(CONTAINER(link, struct limits_place, to_write), now_ms, ret);
        n++;
    }
    if (ret->failed) {
        ret->n = begin;
        return STATUS_FULL;
    }
    uint32_t octets = htole32((uint32_t)(ret->n - begin - HEADER));
    memcpy(ret->p + begin + 24, &octets, sizeof octets);
    uint32_t check = htole32(crc32c(0, ret->p + begin + 8, ret->n - begin - 8));
    memcpy(ret->p + begin + 4, &check, sizeof check);
    while (n--)
        mark_written(tree, CONTAINER(list_first(&tree->to_write), struct limits_place, to_write));
    store->last++;
    return STATUS_OK;
}

void limits_store_rewrite(struct limits_tree *tree)
{
    for (LIST_EACH(link, &tree->all)) {
        struct limits_place *place = CONTAINER(link, struct limits_place, all);
        tree->whole_due += !place->is_whole_due;
        place->is_whole_due = true;
        if (!list_is_linked(&place->to_write))
            list_add_last(&tree->to_write, &place->to_write);
    }
}

bool limits_store_is_rewritten(const struct limits_tree *tree) { return tree->whole_due == 0; }
bool limits_store_is_dirty(const struct limits_tree *tree) { return !list_is_empty(&tree->to_write); }

struct batch {
    uint64_t number;
    int64_t wall_ms;
    struct span records;
};

/* The batch at the front of `file`; false: there is none, or it is not whole. */
static bool cut_batch(struct span *file, struct batch *ret)
{
    struct reader reader = { *file, false };
    uint64_t magic = get(&reader, 4), check = get(&reader, 4);
    struct span checked = reader.left;
    struct batch batch = { .number = get(&reader, 8), .wall_ms = (int64_t)get(&reader, 8) };
    uint64_t octets = get(&reader, 4), version = get(&reader, 4);
    batch.records = get_span(&reader, octets);
    if (reader.bad || magic != MAGIC || version != VERSION || batch.number == 0 || batch.number >> 62
        || crc32c(0, checked.p, HEADER - 8 + octets) != check)
        return false;
    *file = reader.left;
    *ret = batch;
    return true;
}

uint64_t limits_store_first(struct span file)
{
    struct batch batch;
    return cut_batch(&file, &batch) ? batch.number : 0;
}

/* Where replayed counts go. */
struct replay {
    struct limits_tree *tree;
    struct reader reader;
    int64_t batch_ms;          /* the time of the batch, on the clock of the limits */
    int64_t now_ms;
};

static void add_entry(struct replay *replay, struct limits_counter *counter, bool whole, uint64_t age_ms, int64_t count)
{
    struct limits_window *window = &counter->window;
    int64_t at_ms = replay->batch_ms - (int64_t)age_ms;
    if (count < 0) {
        limits_window_drop(window, (uint64_t)-count);
        return;
    }
    if (at_ms <= replay->now_ms - counter->per_ms)
        return; /* counts no more */
    size_t before = limits_window_octets(window);
    bool may_grow = limits_tree_may_grow(replay->tree);
    uint64_t n = MIN((uint64_t)count, LIMITS_COUNT_MOST);
    if (whole)
        limits_window_append(window, at_ms, n, may_grow);
    else
        limits_window_add(window, (struct limits_allowance){ 0, 0 }, n, at_ms, may_grow);
    replay->tree->octets += limits_window_octets(window) - before;
}

static int64_t warned_at(struct replay *replay)
{
    uint64_t age_s = get(&replay->reader, 4);
    return age_s == NOT_SAID ? 0 : replay->batch_ms - (int64_t)age_s * 1000;
}

/* None, if it cannot be true. */
static struct limits_run read_run(struct replay *replay)
{
    int64_t begins_ms = (int64_t)get(&replay->reader, 8);
    struct limits_run run = { .amount = get(&replay->reader, 8) };
    run.n = get(&replay->reader, 8);
    run.done = get(&replay->reader, 8);
    bool good = begins_ms >= -RUN_MOST_MS && begins_ms <= RUN_MOST_MS && run.amount > 0 && run.amount <= LIMITS_AMOUNT_MOST &&
                run.n <= LIMITS_COUNT_MOST && run.done < run.n;
    run.begin_ms = good ? replay->batch_ms + begins_ms : 0;
    return good ? run : (struct limits_run){ 0 };
}

/* Reads the counter, into the tree where it has room for it. */
static void read_counter(struct replay *replay, struct limits_place *place, bool whole)
{
    struct reader *reader = &replay->reader;
    unsigned what = (unsigned)get(reader, 1), order = (unsigned)get(reader, 1), flags = (unsigned)get(reader, 1);
    unsigned entries = (unsigned)get(reader, 1);
    uint32_t per_ms = (uint32_t)get(reader, 4);
    bool good = !reader->bad && place && what < LIMITS_WHAT_COUNT && per_ms >= LIMITS_PER_LEAST_MS
             && per_ms <= LIMITS_PER_MOST_MS;
    struct limits_counter *counter =
        good ? limits_counter_make(replay->tree, place, what, per_ms, order, replay->now_ms) : NULL;
    int64_t warned_ms[2] = { 0, 0 };
    for (unsigned i = 0; i < 2 && flags & HAS_WARNED; i++)
        warned_ms[i] = warned_at(replay);
    uint64_t debt = flags & HAS_DEBT ? get(reader, 8) : 0, rest = flags & HAS_DEBT ? get(reader, 4) : 0;
    struct limits_run run = flags & HAS_RUN ? read_run(replay) : (struct limits_run){ 0 };
    for (unsigned i = 0; i < entries && !reader->bad; i++) {
        uint64_t age_ms = get(reader, 4);
        int64_t count = (int64_t)get(reader, 8);
        if (counter && !reader->bad && count > INT64_MIN)
            add_entry(replay, counter, whole, age_ms, count);
    }
    if (!counter || reader->bad)
        return;
    memcpy(counter->warned_ms, warned_ms, sizeof warned_ms);
    counter->run = run;
    if (run.amount && limits_run_end(counter) > replay->now_ms + RUN_MOST_MS)
        counter->run = (struct limits_run){ 0 };
    limits_window_count(&counter->window, (struct limits_allowance){ 0, 0 }, replay->batch_ms);
    bool owes = counter->window.n != 0; /* a burst is at most the amount, so back before the window is empty */
    counter->window.debt = owes ? MIN(debt, LIMITS_COUNT_MOST) : 0;
    counter->window.debt_rest = owes ? (uint32_t)(rest % per_ms) : 0;
}

static void read_place(struct replay *replay)
{
    struct reader *reader = &replay->reader;
    unsigned kind = (unsigned)get(reader, 1), flags = (unsigned)get(reader, 1), n = (unsigned)get(reader, 1);
    get(reader, 1);
    struct span name = get_span(reader, get(reader, 2));
    struct limits_place *place = !reader->bad && kind < LIMITS_KIND_COUNT
                                     ? limits_place_make(replay->tree, kind, name, replay->now_ms)
                                     : NULL;
    if (place) {
        place->is_pinned = true;
        if (flags & WHOLE)
            limits_place_forget(replay->tree, place);
    }
    for (unsigned i = 0; i < n && !reader->bad; i++)
        read_counter(replay, place, flags & WHOLE);
    if (place)
        place->is_pinned = false;
}

size_t limits_store_replay(struct limits_store *store, struct limits_tree *tree, struct span file, int64_t now_ms,
                           int64_t wall_ms)
{
    struct span left = file;
    struct batch batch;
    for (uint64_t before = 0;; before = batch.number) {
        struct span from = left;
        if (!cut_batch(&left, &batch) || (before && batch.number != before + 1)) {
            left = from;
            break;
        }
        int64_t passed_ms;
        if (__builtin_sub_overflow(wall_ms, batch.wall_ms, &passed_ms) || passed_ms > 2 * LIMITS_PER_MOST_MS)
            passed_ms = batch.wall_ms < wall_ms ? 2 * LIMITS_PER_MOST_MS : 0;
        struct replay replay = { tree, { batch.records, false }, now_ms - MAX(passed_ms, 0), now_ms };
        while (replay.reader.left.n)
            read_place(&replay);
        store->last = MAX(store->last, batch.number);
    }
    return file.n - left.n;
}
