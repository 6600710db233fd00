/* directory/counters.h -- the counters of the limits on disk (limits/store.h): a pair of files beside the accounts' database
 * ("accounts.db-counts-a" and "-b"), to which a batch of changes is appended each second in which something was counted.
 */
#pragma once
#include "base/log.h"
#include "limits/store.h"

#define COUNTERS_FILE_LEAST (1 << 22) /* octets; a file twice as long as it was when it was new is written anew in the other one */

struct counters {
    struct log *log;
    struct limits_tree *tree;
    struct limits_store store;
    char *paths[2];
    int fd;                 /* of the file that is appended to; -1: none yet */
    unsigned current;
    int64_t octets, most;   /* of it; where it is written anew */
    bool is_rewriting;      /* the other one still holds what this one does not */
    bool is_broken;         /* told */
};

/* Only reads, for who looks beside a running directory. IO: some of it could not be read. */
enum status counters_read(struct limits_tree *tree, const char *database, int64_t now_ms, int64_t wall_ms);

/* Reads what is there into the tree. `now_ms` is of limits/clock.h. MEMORY; what cannot be read is told and left out. */
MUST_CHECK enum status counters_open(struct counters *counters, struct log *log, struct limits_tree *tree, const char *database,
                                     int64_t now_ms, int64_t wall_ms);
void counters_write(struct counters *counters, int64_t now_ms, int64_t wall_ms); /* what changed */
void counters_close(struct counters *counters, int64_t now_ms, int64_t wall_ms);
