/* The process queue inside a fuzzer (process_inside.h): store, journal and log work in the loop's thread on a folder in
 * memory, with small segments in it, and with syncs that are not waited for. */
#pragma once
#include "process_inside.h"
#include "queue/queue.h"
#include "spool/journal.h"
#include "spool_inside.h"

#define INSIDE_SEGMENT (12u * SPOOL_BLOCK)

static struct queue_inside {
    uint64_t random;
    struct queue *queue;
} queue_inside;

static int even_random(const struct spool_ops *ops, void *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ((uint8_t *)p)[i] = (uint8_t)((queue_inside.random = queue_inside.random * 6364136223846793005u + 1442695040888963407u) >> 56);
    return 0;
}

enum status __real_spool_store_open(struct loop *loop, const char *path, const struct spool_store_settings *settings,
                                    const struct spool_store_events *events, void *arg, struct spool_store **ret);
enum status __wrap_spool_store_open(struct loop *loop, const char *path, const struct spool_store_settings *settings,
                                    const struct spool_store_events *events, void *arg, struct spool_store **ret);
enum status __wrap_spool_store_open(struct loop *loop, const char *path, const struct spool_store_settings *settings,
                                    const struct spool_store_events *events, void *arg, struct spool_store **ret)
{
    struct spool_store_settings mine = *settings;
    mine.ops = inside_ops();
    mine.no_thread = true;
    mine.segment_octets = INSIDE_SEGMENT;
    mine.reserve_octets = 1;
    mine.ahead = mine.bodies_ahead = 1;
    mine.lock_wait_ms = 0;
    return __real_spool_store_open(loop, path, &mine, events, arg, ret);
}

struct spool_journal *__real_spool_journal_new(struct loop *loop, struct spool_store *store, bool no_thread,
                                               const struct spool_journal_events *events, void *arg);
struct spool_journal *__wrap_spool_journal_new(struct loop *loop, struct spool_store *store, bool no_thread,
                                               const struct spool_journal_events *events, void *arg);
struct spool_journal *__wrap_spool_journal_new(struct loop *loop, struct spool_store *store, bool no_thread,
                                               const struct spool_journal_events *events, void *arg)
{
    return __real_spool_journal_new(loop, store, true, events, arg);
}

void __real_queue_init(struct queue *queue, const struct queue_settings *settings, const struct queue_acts *acts, void *arg,
                       struct log *log, uint64_t seed, int64_t now_ms);
void __wrap_queue_init(struct queue *queue, const struct queue_settings *settings, const struct queue_acts *acts, void *arg,
                       struct log *log, uint64_t seed, int64_t now_ms);
void __wrap_queue_init(struct queue *queue, const struct queue_settings *settings, const struct queue_acts *acts, void *arg,
                       struct log *log, uint64_t seed, int64_t now_ms)
{
    queue_inside.queue = queue;
    __real_queue_init(queue, settings, acts, arg, log, 1, now_ms);
}

static void queue_inside_begin(void)
{
    inside_begin();
    queue_inside.random = 7;
    queue_inside.queue = NULL;
    inside_ops()->forget = NULL;
    inside_ops()->random = even_random;
}
