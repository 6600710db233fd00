/* A writer of the spool inside a fuzzer (process_inside.h): it commits in the loop's thread and does not wait for the disk.
 *
 * Linked with --wrap=spool_writer_new. */
#pragma once
#include "spool/writer.h"

static int no_sync(const struct spool_ops *ops, int fd) { return 0; }

/* What stands between the spool and the system there; a process may change more of it. Static. */
static struct spool_ops *inside_ops(void)
{
    static struct spool_ops ops;
    if (!ops.fdatasync) {
        ops = spool_ops_system;
        ops.fdatasync = ops.fsync = no_sync;
        ops.write_out = NULL;
    }
    return &ops;
}

struct spool_writer *__real_spool_writer_new(struct loop *loop, const struct spool_writer_settings *settings,
                                             const struct spool_writer_events *events, void *arg);
struct spool_writer *__wrap_spool_writer_new(struct loop *loop, const struct spool_writer_settings *settings,
                                             const struct spool_writer_events *events, void *arg);
struct spool_writer *__wrap_spool_writer_new(struct loop *loop, const struct spool_writer_settings *settings,
                                             const struct spool_writer_events *events, void *arg)
{
    struct spool_writer_settings mine = *settings;
    mine.ops = inside_ops();
    mine.no_thread = true;
    return __real_spool_writer_new(loop, &mine, events, arg);
}
