/* wire/tally.h -- a page of memory that the processes smtpd share, so that a client who comes to all of them is counted
 * once: connections and handshakes by address and by network, new connections in a time, and what an operator wants to
 * see of it.
 *
 * The supervisor makes it and hands it out (SUPERVISOR_TALLY); it cannot grow or shrink any more, and holds numbers and
 * nothing else: no pointer, no length, no text. Whoever takes over a smtpd can spoil the numbers, and with them turn
 * clients away or let too many in; he can break nothing else in his neighbours.
 *
 * Each process writes only its own column of the counts and reads all of them, so no lock is needed, a count costs no
 * system call, and the supervisor wipes out the column of a process that died. An address is known by a keyed hash,
 * whose two halves name a cell in each of two rows; the smaller of the two sums counts. Others in the same cell can only
 * make it too large, and only where they are in both. Two processes that count at the same moment may let in one client
 * too many each.
 *
 * Other ways were: giving all connections of an address to one process (one busy website would then have one core), and
 * asking a process that counts (a message for each connection).
 */
#pragma once
#include "base/span.h"
#include "base/status.h"
#include "wire/codec.h"

#define TALLY_PROCESSES_MAX 128

/* What is counted by client. */
enum tally_kind { TALLY_BY_ADDRESS, TALLY_BY_NETWORK, TALLY_SHAKING, TALLY_KINDS };

/* What each process tells an operator. The first ones are as they are now, the others since the start. */
#define TALLY_FIGURE_LIST(X)                                          \
    X(SESSIONS, "sessions")                                           \
    X(HANDSHAKES, "handshakes")                                       \
    X(OCTETS, "octets")                                               \
    X(ATTACKS, "attacks")                                             \
    X(ACCEPTED, "accepted")                                           \
    X(AWAY_FULL, "turned_away_full")                                  \
    X(AWAY_MEMORY, "turned_away_memory")                              \
    X(AWAY_ADDRESS, "turned_away_address")                            \
    X(AWAY_NETWORK, "turned_away_network")                            \
    X(AWAY_OFTEN, "turned_away_often")                                \
    X(AWAY_HANDSHAKES, "turned_away_handshakes")                      \
    X(LATE, "timed_out")                                              \
    X(LOGINS, "logins")                                               \
    X(LOGINS_FAILED, "logins_failed")                                 \
    X(LOGINS_SLOWED, "logins_slowed")
enum tally_figure {
#define X(name, text) TALLY_##name,
    TALLY_FIGURE_LIST(X)
#undef X
    TALLY_FIGURES
};
#define TALLY_NOW TALLY_ACCEPTED /* those before it are gone with the process */
const char *tally_figure_name(enum tally_figure figure); /* "sessions", ...; never NULL */

struct tally {
    void *page;           /* NULL: none yet */
    uint32_t processes;   /* that count clients; directory has a place for its figures behind them */
    uint32_t self;        /* whose column is written; `processes`: directory's place */
};

/* The body of SUPERVISOR_TALLY. */
struct supervisor_tally {
    uint32_t processes, place;
};
void supervisor_tally_put(struct buf *buf, const struct supervisor_tally *value);
MUST_CHECK bool supervisor_tally_get(struct span body, struct supervisor_tally *ret);

/* Makes a page for so many processes (1 to TALLY_PROCESSES_MAX); the descriptor is the caller's. IO: errno tells. */
MUST_CHECK enum status tally_create(uint32_t processes, int *ret);
/* Maps it; the descriptor may be closed behind this. `self` up to `processes`. IO: errno tells. */
MUST_CHECK enum status tally_map(int fd, uint32_t processes, uint32_t self, struct tally *ret);
/* One of its own, for a process that was given none. */
MUST_CHECK enum status tally_alone(struct tally *ret);
void tally_unmap(struct tally *tally);
/* That process is dead: nothing of it is counted any more. */
void tally_forget(struct tally *tally, uint32_t process);

/* Names a client in all processes alike. */
uint64_t tally_name(const struct tally *tally, struct span octets);
uint32_t tally_sum(const struct tally *tally, enum tally_kind kind, uint64_t name);
void tally_add(struct tally *tally, enum tally_kind kind, uint64_t name);    /* one more in this process */
void tally_remove(struct tally *tally, enum tally_kind kind, uint64_t name); /* one that was added */

/* One more event of that name, of which `count` (1 at least) may come in `per_ms`, in any order: all at once after a
 * pause, evenly in the long run. 0: it may; else it is not counted, and the result is for how many milliseconds none is
 * allowed. `now_ms` is the monotonic time, which all processes share. */
int64_t tally_pass(struct tally *tally, enum tally_kind kind, uint64_t name, int64_t count, int64_t per_ms, int64_t now_ms);

void tally_set(struct tally *tally, enum tally_figure figure, uint64_t n);
void tally_more(struct tally *tally, enum tally_figure figure, int64_t more);
uint64_t tally_figure(const struct tally *tally, enum tally_figure figure); /* over all processes */
