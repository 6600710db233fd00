#include "limits/tree_priv.h"

static int64_t offset_of(const struct limits_counter *counter, uint64_t amount, uint64_t k)
{
    return (int64_t)((unsigned __int128)k * counter->per_ms / amount);
}

static int64_t time_of(const struct limits_counter *counter, uint64_t k)
{
    return counter->run.begin_ms + offset_of(counter, counter->run.amount, k);
}

int64_t limits_run_end(const struct limits_counter *counter) { return time_of(counter, counter->run.n - 1); }

bool limits_run_is_idle(const struct limits_counter *counter, int64_t now_ms)
{
    return !limits_run_goes_on(counter) || limits_run_end(counter) + counter->per_ms <= now_ms;
}

/* How many of the run are to be out at that time. */
static uint64_t due_at(const struct limits_counter *counter, int64_t at_ms)
{
    const struct limits_run *run = &counter->run;
    if (at_ms < run->begin_ms)
        return 0;
    unsigned __int128 due = (unsigned __int128)(uint64_t)(at_ms - run->begin_ms) * run->amount / counter->per_ms + 1;
    return due < run->n ? (uint64_t)due : run->n;
}

void limits_run_settle(struct limits_tree *tree, struct limits_place *place, struct limits_counter *counter,
                       struct limits_allowance allowance, int64_t now_ms)
{
    struct limits_run *run = &counter->run;
    if (!limits_run_goes_on(counter))
        return;
    uint64_t due = due_at(counter, now_ms), step = MAX(run->amount / LIMITS_WINDOW_SLOTS, UINT64_C(1));
    if (due <= run->done)
        return;
    /* What came out longer than a window ago counts no more. */
    run->done = MAX(run->done, MIN(due, due_at(counter, now_ms - counter->per_ms)));
    while (run->done < due) {
        uint64_t n = MIN(step, due - run->done);
        limits_counter_add(tree, counter, allowance, n, time_of(counter, run->done + n - 1));
        run->done += n;
    }
    if (run->done == run->n)
        *run = (struct limits_run){ 0 };
    limits_place_changed(tree, place);
}

/* A run is as even as if its last had to find room, too: number k waits until the window has room for k + 1, whatever
 * the window was filled with. */
static int64_t begin_of(struct limits_counter *counter, struct limits_allowance allowance, uint64_t n, int64_t now_ms)
{
    struct limits_window *window = &counter->window;
    int64_t begin_ms = limits_window_clear(window, allowance, n, now_ms);
    uint64_t before = limits_window_room(window, allowance, now_ms);
    for (unsigned i = 0; i < window->n && before < allowance.amount; i++) {
        int64_t at_ms;
        uint64_t count;
        limits_window_entry(window, i, &at_ms, &count);
        begin_ms = MAX(begin_ms, at_ms + counter->per_ms - offset_of(counter, allowance.amount, before));
        before += count;
    }
    return begin_ms;
}

int64_t limits_run_slot(struct limits_counter *counter, struct limits_allowance allowance, uint64_t n, int64_t now_ms)
{
    if (limits_run_goes_on(counter))
        return MAX(now_ms, time_of(counter, counter->run.n + n - 1));
    return begin_of(counter, allowance, n, now_ms) + offset_of(counter, allowance.amount, n - 1);
}

void limits_run_book(struct limits_counter *counter, struct limits_allowance allowance, uint64_t n, int64_t now_ms)
{
    if (!limits_run_goes_on(counter))
        counter->run = (struct limits_run){ begin_of(counter, allowance, n, now_ms), allowance.amount, 0, 0 };
    counter->run.n = MIN(counter->run.n + n, LIMITS_COUNT_MOST);
}

uint64_t limits_run_undo(struct limits_counter *counter, uint64_t n)
{
    uint64_t some = MIN(n, counter->run.n - counter->run.done);
    counter->run.n -= some;
    if (!limits_run_goes_on(counter))
        counter->run = (struct limits_run){ 0 };
    return some;
}
