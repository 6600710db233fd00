/* cli/simulate.h -- whom would these limits have stopped? The event log's accepted messages are played through them. */
#pragma once
#include "cli/history.h"
#include "directory/holders.h"
#include "limits/tree.h"

#define SIMULATE_RULES_MOST 256 /* limits that stopped somebody, of which is told */

/* One limit of one node that would have stopped something. */
struct simulate_row {
    struct buf name;
    struct limits_rule rule;
    enum limits_kind kind;
    uint64_t messages, recipients; /* stopped: whole messages, and single recipients of others */
    int64_t first_ms, last_ms;
};

struct simulate {
    struct holders *holders;
    struct accounts *accounts;
    int64_t since_ms;
    struct limits_tree *tree;
    struct map known;           /* struct simulate_known */
    struct simulate_row rows[SIMULATE_RULES_MOST];
    size_t row_count;
    uint64_t messages, recipients, cut; /* looked at; `cut`: stopped by limits for which there was no row */
    int64_t first_ms, last_ms;
};

/* `holders` and `accounts` say what holds. False: out of memory. */
MUST_CHECK bool simulate_init(struct simulate *simulate, struct holders *holders, struct accounts *accounts, int64_t since_ms);
void simulate_done(struct simulate *simulate);
void simulate_line(struct simulate *simulate, struct span line); /* of the event log, in order of time */
/* Milliseconds of "2026-11-23T12:00:01.000Z"; -1: it is none. */
int64_t simulate_time(struct span text);
