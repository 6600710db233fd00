#include "wire/tally.h"
#include "base/hash.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#define CELLS 16384u   /* in a row; a power of two */
#define ROWS 2u
#define PACE_KINDS 2u  /* TALLY_BY_ADDRESS, TALLY_BY_NETWORK */
#define US_PER_MS 1000

/* Figures of one process, in cache lines of their own. */
struct place {
    _Alignas(128) _Atomic uint64_t figures[TALLY_FIGURES];
};

/* In front; behind it lie the places, then the cells: for each kind, row and cell a count of each process, beside each
 * other. */
struct head {
    _Atomic uint64_t seed;
    /* Until when what came so far is spread out evenly; microseconds. */
    _Atomic int64_t pace[PACE_KINDS][ROWS][CELLS];
};

const char *tally_figure_name(enum tally_figure figure)
{
    static const char *const names[] = {
#define X(name, text) text,
        TALLY_FIGURE_LIST(X)
#undef X
    };
    return (unsigned)figure < TALLY_FIGURES ? names[figure] : "?";
}

void supervisor_tally_put(struct buf *buf, const struct supervisor_tally *value)
{
    wire_put_u32(buf, value->processes);
    wire_put_u32(buf, value->place);
}

bool supervisor_tally_get(struct span body, struct supervisor_tally *ret)
{
    struct wire_reader reader = wire_read(body);
    struct supervisor_tally got = { wire_get_u32(&reader), 0 };
    got.place = wire_get_u32(&reader);
    if (!wire_end(&reader) || got.processes < 1 || got.processes > TALLY_PROCESSES_MAX || got.place > got.processes)
        return false;
    *ret = got;
    return true;
}

/* -- the page -- */

static size_t places_at(void) { return (sizeof(struct head) + 127) / 128 * 128; }
static size_t cells_at(uint32_t processes) { return places_at() + (processes + 1) * sizeof(struct place); }
static size_t page_octets(uint32_t processes)
{
    return cells_at(processes) + sizeof(uint32_t) * TALLY_KINDS * ROWS * CELLS * processes;
}

static struct head *head_of(const struct tally *tally) { return tally->page; }

static struct place *place_of(const struct tally *tally, uint32_t process)
{
    return (struct place *)((char *)tally->page + places_at()) + process;
}

/* The first of the processes' counts. */
static _Atomic uint32_t *cell_of(const struct tally *tally, enum tally_kind kind, unsigned row, uint32_t cell)
{
    _Atomic uint32_t *cells = (_Atomic uint32_t *)((char *)tally->page + cells_at(tally->processes));
    return cells + (size_t)((kind * ROWS + row) * CELLS + cell) * tally->processes;
}

static uint32_t cell_in(uint64_t name, unsigned row) { return (uint32_t)(name >> (32 * row)) & (CELLS - 1); }

static void begin_page(struct head *head)
{
    uint64_t seed = 0;
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) != sizeof seed)
        seed = hash_u64((uint64_t)(uintptr_t)head);
    atomic_store_explicit(&head->seed, seed, memory_order_relaxed);
}

enum status tally_create(uint32_t processes, int *ret)
{
    assert(processes >= 1 && processes <= TALLY_PROCESSES_MAX);
    int fd = memfd_create("goniec-tally", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return STATUS_IO;
    /* Nobody who has it can take it away from under the others. */
    struct tally tally;
    if (ftruncate(fd, (off_t)page_octets(processes)) != 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0 ||
        tally_map(fd, processes, processes, &tally) != STATUS_OK) {
        int error = errno;
        close(fd);
        errno = error;
        return STATUS_IO;
    }
    begin_page(head_of(&tally));
    tally_unmap(&tally);
    *ret = fd;
    return STATUS_OK;
}

enum status tally_map(int fd, uint32_t processes, uint32_t self, struct tally *ret)
{
    void *page = mmap(NULL, page_octets(processes), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED)
        return STATUS_IO;
    *ret = (struct tally){ page, processes, self };
    return STATUS_OK;
}

enum status tally_alone(struct tally *ret)
{
    void *page = mmap(NULL, page_octets(1), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return STATUS_IO;
    begin_page(page);
    *ret = (struct tally){ page, 1, 0 };
    return STATUS_OK;
}

void tally_unmap(struct tally *tally)
{
    if (tally->page)
        munmap(tally->page, page_octets(tally->processes));
    tally->page = NULL;
}

void tally_forget(struct tally *tally, uint32_t process)
{
    struct place *place = place_of(tally, process);
    for (unsigned i = 0; i < TALLY_NOW; i++)
        atomic_store_explicit(&place->figures[i], 0, memory_order_relaxed);
    for (unsigned kind = 0; kind < TALLY_KINDS && process < tally->processes; kind++)
        for (unsigned row = 0; row < ROWS; row++)
            for (uint32_t cell = 0; cell < CELLS; cell++)
                atomic_store_explicit(cell_of(tally, kind, row, cell) + process, 0, memory_order_relaxed);
}

/* -- counts -- */

uint64_t tally_name(const struct tally *tally, struct span octets)
{
    return hash_seeded(octets, atomic_load_explicit(&head_of(tally)->seed, memory_order_relaxed));
}

uint32_t tally_sum(const struct tally *tally, enum tally_kind kind, uint64_t name)
{
    uint32_t least = UINT32_MAX;
    for (unsigned row = 0; row < ROWS; row++) {
        const _Atomic uint32_t *cell = cell_of(tally, kind, row, cell_in(name, row));
        uint64_t sum = 0;
        for (uint32_t i = 0; i < tally->processes; i++)
            sum += atomic_load_explicit(&cell[i], memory_order_relaxed);
        least = (uint32_t)MIN((uint64_t)least, sum);
    }
    return least;
}

/* Only we write this one. One that somebody spoiled neither overflows nor goes below zero. */
static void change(struct tally *tally, enum tally_kind kind, uint64_t name, bool more)
{
    for (unsigned row = 0; row < ROWS; row++) {
        _Atomic uint32_t *cell = cell_of(tally, kind, row, cell_in(name, row)) + tally->self;
        uint32_t n = atomic_load_explicit(cell, memory_order_relaxed);
        if (n != (more ? UINT32_MAX : 0))
            atomic_store_explicit(cell, more ? n + 1 : n - 1, memory_order_relaxed);
    }
}

void tally_add(struct tally *tally, enum tally_kind kind, uint64_t name) { change(tally, kind, name, true); }
void tally_remove(struct tally *tally, enum tally_kind kind, uint64_t name) { change(tally, kind, name, false); }

/* Each event fills the cell by its share of the time, and time empties it: what lies in it never reaches further than
 * `per_ms` ahead. Of the two cells the emptier one counts, as above; a time that is far off was spoiled. */
int64_t tally_pass(struct tally *tally, enum tally_kind kind, uint64_t name, int64_t count, int64_t per_ms, int64_t now_ms)
{
    int64_t now = now_ms * US_PER_MS, whole = per_ms * US_PER_MS, share = MAX(whole / count, 1), least = INT64_MAX;
    _Atomic int64_t *cells[ROWS];
    int64_t filled[ROWS];
    assert(kind < PACE_KINDS);
    for (unsigned row = 0; row < ROWS; row++) {
        cells[row] = &head_of(tally)->pace[kind][row][cell_in(name, row)];
        int64_t until = atomic_load_explicit(cells[row], memory_order_relaxed);
        filled[row] = until <= now || until - now > 2 * whole ? 0 : until - now;
        least = MIN(least, filled[row]);
    }
    if (least + share > whole)
        return MAX((least + share - whole + US_PER_MS - 1) / US_PER_MS, 1);
    for (unsigned row = 0; row < ROWS; row++) /* two at the same moment may count as one */
        atomic_store_explicit(cells[row], now + MIN(filled[row] + share, whole), memory_order_relaxed);
    return 0;
}

/* -- figures -- */

void tally_set(struct tally *tally, enum tally_figure figure, uint64_t n)
{
    if (tally->page)
        atomic_store_explicit(&place_of(tally, tally->self)->figures[figure], n, memory_order_relaxed);
}

void tally_more(struct tally *tally, enum tally_figure figure, int64_t more)
{
    if (tally->page)
        atomic_fetch_add_explicit(&place_of(tally, tally->self)->figures[figure], (uint64_t)more, memory_order_relaxed);
}

uint64_t tally_figure(const struct tally *tally, enum tally_figure figure)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i <= tally->processes; i++)
        sum += atomic_load_explicit(&place_of(tally, i)->figures[figure], memory_order_relaxed);
    return sum;
}
