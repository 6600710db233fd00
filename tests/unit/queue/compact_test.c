/* The process queue in a child whose disk is slow just when it copies a survivor of a nearly empty segment. */
#include "stored.h"
#include "spool/segment.h"
#include <poll.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

/* What both processes see. */
static struct stage {
    atomic_bool shut;        /* no sync of the queue's own log ends */
    atomic_uint waiting;     /* that have begun meanwhile */
    atomic_uint ended;
    atomic_llong ahead_s;    /* of the clock that only goes forward */
} *stage;

/* In the place of libc's. */
int fdatasync(int fd)
{
    struct spool_segment segment;
    bool own = stage->shut && spool_segment_read(&spool_ops_system, fd, &segment) == STATUS_OK &&
               segment.use == SPOOL_MESSAGES && segment.writer == 0;
    stage->waiting += own;
    while (own && stage->shut)
        poll(NULL, 0, 1);
    int done = (int)syscall(SYS_fdatasync, fd);
    stage->ended += own;
    return done;
}

int clock_gettime(clockid_t clock, struct timespec *ret)
{
    int done = (int)syscall(SYS_clock_gettime, clock, ret);
    if (clock == CLOCK_MONOTONIC && stage)
        ret->tv_sec += stage->ahead_s;
    return done;
}

static void comes(const atomic_uint *count)
{
    for (int64_t until = time_mono_ms() + 60000; !*count && time_mono_ms() < until;)
        poll(NULL, 0, 1);
    assert_true(*count);
}

enum { MANY = 60, LONE = 3 };

/* One segment with many messages, the others with one each; then the queue dies. */
static void fill(const char *folder)
{
    static struct house house;
    uint64_t ids[MANY];
    house_begin(&house, folder);
    writer_begin(&house);
    for (unsigned i = 0; i < MANY; i++)
        ids[i] = id_next(&house.ids, time_wall_ms());
    stored(&house, ids, MANY, SPAN("a@many.example"));
    for (unsigned i = 0; i < LONE; i++) {
        channel_send(house.writer, WRITER_NEED_SEGMENT, SPAN_NONE);
        wait_for(&house, &house.segments, 2 + i);
        ids[0] = id_next(&house.ids, time_wall_ms());
        stored(&house, ids, 1, SPAN("a@lone.example"));
    }
    killed(&house);
    house_done(&house);
}

static void done(const char *folder, const char *request)
{
    const char *text = asked(folder, request);
    if (!strstr(text, "\"done\""))
        fail_msg("%s: %s", request, text);
}

/* Enough of it that a checkpoint is due. */
static void much_happens(const char *folder)
{
    enum { TIMES = 24, WHY = 480 };
    char why[WHY + 1], hold[WHY + 100], release[WHY + 100];
    memset(why, 'x', WHY);
    why[WHY] = 0;
    snprintf(hold, sizeof hold, "{\"op\":\"hold\",\"filter\":{\"domain\":\"many.example\"},\"limit\":0,\"why\":\"%s\"}", why);
    snprintf(release, sizeof release, "{\"op\":\"release\",\"filter\":{\"domain\":\"many.example\"},\"limit\":0,\"why\":\"%s\"}", why);
    for (unsigned i = 0; i < TIMES; i++)
        done(folder, i % 2 ? release : hold);
}

/* The copy lies behind what such a checkpoint says of the queue's own log, and the message, which is over, is in neither it nor
 * the journal behind it. */
static void test_a_copy_while_a_checkpoint_is_due(void **state)
{
    static struct house house, next;
    char folder[] = "/tmp/goniec-compact-XXXXXX";
    stage = mmap(NULL, sizeof *stage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(stage != MAP_FAILED);
    assert_non_null(mkdtemp(folder));
    fill(folder);
    house_begin(&house, folder);
    assert_int_equal(messages(folder), MANY + LONE);
    writer_begin(&house);
    stage->shut = true;
    stage->ahead_s = 60; /* it looks for nearly empty segments again, when something happens */
    done(folder, "{\"op\":\"status\"}");
    comes(&stage->waiting);
    done(folder, "{\"op\":\"delete\",\"filter\":{\"domain\":\"lone.example\"},\"limit\":0}");
    much_happens(folder);
    bool early = checkpoint_comes(folder);
    stage->shut = false;
    comes(&stage->ended);
    for (int64_t until = time_mono_ms() + 60000; !is_there(folder, "checkpoint") && time_mono_ms() < until;)
        done(folder, "{\"op\":\"status\"}");
    assert_true(checkpoint_comes(folder));
    killed(&house);
    house_done(&house);
    house_begin(&next, folder);
    assert_int_equal(messages(folder), MANY);
    assert_false(early);
    house_end(&next);
    folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_a_copy_while_a_checkpoint_is_due) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
