#include "cli/search.h"
#include "base/cores.h"
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>

#define THREADS_MAX 8
#define ALONE ((size_t)2 << 20)        /* not worth a thread */
#define WINDOW_LEAST ((size_t)SEARCH_HITS)
#define WINDOW_FIRST ((size_t)64 << 10)
#define WINDOW_MOST ((size_t)512 << 20)
#define PAGE ((size_t)64 << 10)        /* of any machine */
#define LANES 16
#define BLOCK (4 * (size_t)LANES)
#define SAMPLES 32
#define SAMPLE_OCTETS 512
#define WORD_LOOKED_AT 64 /* octets of the word */

typedef unsigned char lanes __attribute__((vector_size(LANES)));

/* -- pieces of work, taken by threads in turn -- */

struct work {
    void (*run)(void *arg, size_t piece);
    void *arg;
    size_t pieces;
    atomic_size_t next;
};

static void *work_run(void *arg)
{
    struct work *work = arg;
    for (size_t piece; (piece = atomic_fetch_add(&work->next, 1)) < work->pieces;)
        work->run(work->arg, piece);
    return NULL;
}

static void share_out(size_t pieces, void (*run)(void *arg, size_t piece), void *arg)
{
    struct work work = { .run = run, .arg = arg, .pieces = pieces };
    pthread_t helpers[THREADS_MAX];
    size_t want = pieces > 1 ? MIN(cores_allowed(), THREADS_MAX) - 1 : 0, n = 0;
    while (n < want && pthread_create(&helpers[n], NULL, work_run, &work) == 0)
        n++;
    work_run(&work);
    while (n)
        pthread_join(helpers[--n], NULL);
}

/* -- one piece -- */

struct hits {
    size_t *at;
    size_t n; /* more than SEARCH_HITS: not all of them are there */
};

static void hits_add(struct hits *hits, size_t at)
{
    if (hits->n < SEARCH_HITS)
        hits->at[hits->n] = at;
    hits->n++;
}

static lanes load(const char *p)
{
    lanes ret;
    memcpy(&ret, p, sizeof ret);
    return ret;
}

static bool is_here(const struct search *search, size_t at)
{
    return memcmp(search->text.p + at, search->what.p, search->what.n) == 0;
}

/* The places of this block where both octets fit are compared to the end. */
static void check(const struct search *search, size_t at, const lanes found[4], struct hits *hits)
{
    unsigned char places[BLOCK];
    memcpy(places, found, sizeof places);
    for (size_t i = 0; i < BLOCK; i++)
        if (places[i] && is_here(search, at + i))
            hits_add(hits, at + i);
}

/* All places from `at` to before `end`, behind which there is room for the word. */
static void find_in_piece(const struct search *search, size_t at, size_t end, struct hits *hits)
{
    const char *rare = search->text.p + search->rare, *other = search->text.p + search->other;
    lanes want_rare = (lanes){ 0 } + (unsigned char)search->what.p[search->rare];
    lanes want_other = (lanes){ 0 } + (unsigned char)search->what.p[search->other];
    for (; at + BLOCK <= end && hits->n <= SEARCH_HITS; at += BLOCK) {
        lanes found[4];
        for (size_t i = 0; i < 4; i++)
            found[i] = (lanes)((load(rare + at + i * LANES) == want_rare) & (load(other + at + i * LANES) == want_other));
        lanes any = found[0] | found[1] | found[2] | found[3];
        uint64_t halves[2];
        memcpy(halves, &any, sizeof halves);
        if (halves[0] | halves[1])
            check(search, at, found, hits);
    }
    for (; at < end && hits->n <= SEARCH_HITS; at++)
        if (is_here(search, at))
            hits_add(hits, at);
}

/* -- one window -- */

struct round {
    struct search *search;
    size_t from, to, step;
    size_t n[SEARCH_PIECES];
};

static void round_piece(void *arg, size_t piece)
{
    struct round *round = arg;
    struct hits hits = { .at = round->search->hits + piece * SEARCH_HITS };
    size_t from = round->from + piece * round->step;
    find_in_piece(round->search, from, MIN(from + round->step, round->to), &hits);
    round->n[piece] = hits.n;
}

/* False: more places than can be remembered. */
static bool look_through(struct search *search, size_t from, size_t to)
{
    struct round round = { .search = search, .from = from, .to = to, .step = to - from };
    if (to - from > ALONE)
        round.step = (to - from + SEARCH_PIECES - 1) / SEARCH_PIECES;
    size_t pieces = (to - from + round.step - 1) / round.step;
    share_out(pieces, round_piece, &round);
    search->n = search->taken = 0;
    size_t most = 0;
    for (size_t i = 0; i < pieces; i++) {
        most = MAX(most, round.n[i]);
        if (round.n[i] > SEARCH_HITS)
            return false;
        memmove(search->hits + search->n, search->hits + i * SEARCH_HITS, round.n[i] * sizeof *search->hits);
        search->n += round.n[i];
    }
    if (most <= SEARCH_HITS / 4) /* else the pieces of a longer one would not do */
        search->window = MIN(search->window * 4, WINDOW_MOST);
    return true;
}

static bool look_on(struct search *search, bool forward)
{
    while (search->low < search->high) {
        size_t n = MIN(search->window, search->high - search->low);
        size_t from = forward ? search->low : search->high - n;
        if (!look_through(search, from, from + n)) {
            search->window = MAX(n / 4, WINDOW_LEAST);
            continue;
        }
        *(forward ? &search->low : &search->high) = forward ? from + n : from;
        if (search->n)
            return true;
    }
    search->n = search->taken = 0;
    return false;
}

/* -- the search -- */

static size_t least(const uint32_t *counts, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (counts[i] < counts[best])
            best = i;
    return best;
}

/* Calls `count` for all places of a few samples of the text. */
static void sample(const struct search *search, void (*count)(const struct search *search, size_t at, uint32_t *counts),
                   uint32_t *counts)
{
    size_t n = search->high - search->low;
    for (size_t i = 0; i < SAMPLES; i++) {
        size_t at = search->low + n / SAMPLES * i, end = MIN(at + SAMPLE_OCTETS, search->high);
        for (; at < end; at++)
            count(search, at, counts);
    }
}

static void count_octets(const struct search *search, size_t at, uint32_t *counts)
{
    counts[(unsigned char)search->text.p[at]]++;
}

/* What else fits where the rare octet does. */
static void count_fitting(const struct search *search, size_t at, uint32_t *counts)
{
    if (search->text.p[at + search->rare] == search->what.p[search->rare])
        for (size_t i = 0; i < MIN(search->what.n, WORD_LOOKED_AT); i++)
            counts[i] += search->text.p[at + i] == search->what.p[i];
}

/* Two places of the word, such that both fit nearly nowhere. */
static void choose_places(struct search *search)
{
    uint32_t octets[256] = { 0 }, fitting[WORD_LOOKED_AT] = { 0 };
    size_t n = MIN(search->what.n, WORD_LOOKED_AT);
    sample(search, count_octets, octets);
    for (size_t i = 0; i < n; i++)
        fitting[i] = octets[(unsigned char)search->what.p[i]];
    search->rare = least(fitting, n);
    memset(fitting, 0, sizeof fitting);
    sample(search, count_fitting, fitting);
    search->other = least(fitting, n);
}

void search_init(struct search *search, struct span text, size_t from, size_t to, struct span what)
{
    size_t room = what.n && text.n >= what.n ? text.n - what.n + 1 : 0;
    search->text = text;
    search->what = what;
    search->high = MIN(to, room);
    search->low = MIN(from, search->high);
    search->window = WINDOW_FIRST;
    search->rare = search->other = 0;
    search->n = search->taken = 0;
    if (search->low < search->high)
        choose_places(search);
}

bool search_next(struct search *search, size_t *ret)
{
    if (search->taken == search->n && !look_on(search, true))
        return false;
    *ret = search->hits[search->taken++];
    return true;
}

bool search_previous(struct search *search, size_t *ret)
{
    if (search->taken == search->n && !look_on(search, false))
        return false;
    *ret = search->hits[search->n - ++search->taken];
    return true;
}

/* -- the pages -- */

static void release_piece(void *arg, size_t piece)
{
    const struct span *text = arg;
    size_t step = (text->n / SEARCH_PIECES / PAGE + 1) * PAGE, from = piece * step;
    if (from < text->n)
        madvise((void *)(uintptr_t)(text->p + from), MIN(step, text->n - from), MADV_DONTNEED);
}

void search_release(struct span text)
{
    if (text.n > ALONE)
        share_out(SEARCH_PIECES, release_piece, &text);
}
