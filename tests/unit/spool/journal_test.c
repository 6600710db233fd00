#include "journal_sample.h"
#include "spool/journal_priv.h"
#include "test.h"

static void survives_the_process(void **state)
{
    struct scene *scene = scene_new(1);
    for (uint64_t id = 1; id <= 50; id++) {
        add(scene, id);
        turns(scene, 1);
    }
    scene_drop(scene);
    simdisk_kill(scene->disk);
    assert_true(scene_open(scene));
    assert_int_equal(scene->count, 50);
    for (uint64_t id = 1; id <= 50; id++)
        assert_int_equal(scene->ids[id - 1], id);
    assert_int_equal(scene->reports, 0);
    scene_free(scene);
}

struct waiter {
    struct spool_sync sync;
    bool done;
};
static void on_synced(struct spool_sync *sync) { CONTAINER(sync, struct waiter, sync)->done = true; }

static void synced_survives_the_power(void **state)
{
    for (uint64_t seed = 1; seed < 200; seed++) {
        struct scene *scene = scene_new(seed);
        struct waiter waiter = { .sync.on_done = on_synced };
        for (uint64_t id = 1; id <= 20; id++)
            add(scene, id);
        spool_journal_sync(scene->journal, &waiter.sync);
        assert_false(waiter.done);
        turns(scene, 3);
        assert_true(waiter.done);
        assert_true(spool_journal_is_synced(scene->journal));
        for (uint64_t id = 21; id <= 40; id++) {
            add(scene, id);
            turns(scene, id % 3 == 0);
        }
        assert_false(spool_journal_is_synced(scene->journal));
        scene_drop(scene);
        simdisk_crash(scene->disk);
        assert_true(scene_open(scene));
        for (uint64_t id = 1; id <= 20; id++)
            assert_true(replayed(scene, id));
        assert_int_equal(scene->reports, 0);
        scene_free(scene);
    }
}

static void nothing_to_sync_is_told_at_once(void **state)
{
    struct scene *scene = scene_new(1);
    struct waiter waiter = { .sync.on_done = on_synced };
    spool_journal_sync(scene->journal, &waiter.sync);
    assert_false(waiter.done); /* not inside the call */
    turns(scene, 1);
    assert_true(waiter.done);
    scene_free(scene);
}

static void goes_through_many_segments(void **state)
{
    struct scene *scene = scene_new(1);
    for (uint64_t id = 1; id <= 3000; id++) {
        add(scene, id);
        if (id % 10 == 0)
            turns(scene, 2);
    }
    turns(scene, 20);
    scene_drop(scene);
    simdisk_kill(scene->disk);
    assert_true(scene_open(scene));
    assert_int_equal(scene->count, 3000);
    for (uint64_t id = 1; id <= 3000; id++)
        assert_int_equal(scene->ids[id - 1], id);
    scene_free(scene);
}

/* Any single write or sync fails: everything is there all the same, perhaps twice. */
static void errors_lose_nothing(void **state)
{
    for (unsigned step = 1; step <= 12; step++) {
        struct scene *scene = scene_new(1);
        struct waiter waiter = { .sync.on_done = on_synced };
        for (uint64_t id = 1; id <= 30; id++) {
            if (id == 10) {
                scene->disk->fail_at = scene->disk->steps + step;
                scene->disk->fail_errno = step % 2 ? EIO : ENOSPC;
            }
            add(scene, id);
            turns(scene, 1);
            if (id == 12 || id == 17)
                spool_journal_sync(scene->journal, &waiter.sync);
            turns(scene, 4);
        }
        assert_true(waiter.done);
        scene_drop(scene);
        simdisk_kill(scene->disk);
        assert_true(scene_open(scene));
        for (uint64_t id = 1; id <= 30; id++)
            assert_true(replayed(scene, id));
        scene_free(scene);
    }
}

static void on_checkpoint(void *arg, enum status status) { *(enum status *)arg = status; }

static void checkpoint_replaces_what_was_before(void **state)
{
    struct scene *scene = scene_new(1);
    for (uint64_t id = 1; id <= 1000; id++) {
        add(scene, id);
        if (id % 10 == 0)
            turns(scene, 2);
    }
    enum status status = STATUS_COUNT;
    assert_int_equal(spool_checkpoint_begin(scene->journal), STATUS_OK);
    assert_int_equal(spool_checkpoint_begin(scene->journal), STATUS_AGAIN);
    add(scene, 5001); /* between: comes after the checkpoint */
    assert_int_equal(spool_checkpoint_add(scene->journal, SAMPLE_KIND, 7, SPAN("content of 7")), STATUS_OK);
    turns(scene, 2);
    add(scene, 5002);
    assert_int_equal(spool_checkpoint_add(scene->journal, SAMPLE_KIND, 8, SPAN("content of 8")), STATUS_OK);
    spool_checkpoint_end(scene->journal, on_checkpoint, &status);
    turns(scene, 10);
    assert_int_equal(status, STATUS_OK);
    add(scene, 5003);
    turns(scene, 10);
    uint64_t octets = spool_journal_octets(scene->journal), whole = spool_checkpoint_octets(scene->journal);
    assert_true(octets > 3 * SPOOL_HEADER_OCTETS && octets < 1000);
    assert_true(whole > SPOOL_BLOCK + 3 * SPOOL_HEADER_OCTETS);
    scene_drop(scene);
    simdisk_kill(scene->disk);
    assert_true(scene_open(scene));
    assert_int_equal(scene->reports, 0);
    assert_int_equal(spool_journal_octets(scene->journal), octets); /* a start after the other does not forget what it reads */
    assert_true(spool_checkpoint_octets(scene->journal) >= whole);
    const uint64_t expected[] = { 7, 8, 5001, 5002, 5003 };
    assert_int_equal(scene->count, ARRAY_LEN(expected));
    assert_memory_equal(scene->ids, expected, sizeof expected);
    assert_true(scene->from_checkpoint[1]);
    assert_false(scene->from_checkpoint[2]);
    scene_free(scene);
}

/* The machine stops at every step of a checkpoint: either the old state is replayed or the new one. */
static void crash_inside_a_checkpoint(void **state)
{
    for (unsigned step = 1; step <= 24; step++)
        for (uint64_t seed = 1; seed <= 20; seed++) {
            struct scene *scene = scene_new(seed * 1000 + step);
            struct waiter waiter = { .sync.on_done = on_synced };
            for (uint64_t id = 1; id <= 20; id++)
                add(scene, id);
            spool_journal_sync(scene->journal, &waiter.sync);
            turns(scene, 3);
            scene->disk->dead_at = scene->disk->steps + step;
            enum status status = STATUS_COUNT;
            if (spool_checkpoint_begin(scene->journal) == STATUS_OK) {
                for (uint64_t id = 11; id <= 20; id++) {
                    char content[32];
                    snprintf(content, sizeof content, "content of %llu", (unsigned long long)id);
                    spool_checkpoint_add(scene->journal, SAMPLE_KIND, id, span_str(content));
                }
                spool_checkpoint_end(scene->journal, on_checkpoint, &status);
            }
            add(scene, 30);
            turns(scene, 10);
            scene_drop(scene);
            simdisk_crash(scene->disk);
            scene->reports = 0;
            assert_true(scene_open(scene));
            for (uint64_t id = 11; id <= 20; id++)
                assert_true(replayed(scene, id));
            if (!replayed(scene, 1))
                assert_true(scene->from_checkpoint[0]);
            assert_int_equal(scene->reports, 0);
            scene_free(scene);
        }
}

static void a_damaged_checkpoint_is_reported(void **state)
{
    struct scene *scene = scene_new(1);
    enum status status = STATUS_COUNT;
    add(scene, 1);
    turns(scene, 2);
    assert_int_equal(spool_checkpoint_begin(scene->journal), STATUS_OK);
    for (uint64_t id = 1; id <= 3; id++) {
        char content[32];
        snprintf(content, sizeof content, "content of %llu", (unsigned long long)id);
        assert_int_equal(spool_checkpoint_add(scene->journal, SAMPLE_KIND, id, span_str(content)), STATUS_OK);
    }
    spool_checkpoint_end(scene->journal, on_checkpoint, &status);
    turns(scene, 10);
    assert_int_equal(status, STATUS_OK);
    scene_drop(scene);
    simdisk_kill(scene->disk);
    const struct spool_ops *ops = &scene->disk->ops;
    int dir = ops->openat(ops, AT_FDCWD, "spool", 0, 0), fd = ops->openat(ops, dir, "checkpoint", O_RDWR, 0);
    scene->disk->files[scene->disk->fds[fd]].now[SPOOL_BLOCK + 96] ^= 1; /* in the second record */
    assert_true(scene_open(scene));
    assert_int_equal(scene->reports, 1);
    assert_int_equal(scene->count, 2);
    scene_free(scene);
}

static int blind; /* the file whose first block cannot be read */

static ssize_t pread_blind(const struct spool_ops *ops, int fd, void *p, size_t n, off_t at)
{
    if (sim_of(ops)->fds[fd] == blind && at == 0) {
        errno = EIO;
        return -1;
    }
    return sim_pread(ops, fd, p, n, at);
}

/* Nothing is done without it: what it knows would be gone for good. */
static void a_checkpoint_that_cannot_be_read_is_not_damaged(void **state)
{
    struct scene *scene = scene_new(1);
    enum status status = STATUS_COUNT;
    assert_int_equal(spool_checkpoint_begin(scene->journal), STATUS_OK);
    spool_checkpoint_end(scene->journal, on_checkpoint, &status);
    add(scene, 1);
    turns(scene, 10);
    assert_int_equal(status, STATUS_OK);
    scene_drop(scene);
    simdisk_kill(scene->disk);
    const struct spool_ops *ops = &scene->disk->ops;
    int dir = ops->openat(ops, AT_FDCWD, "spool", 0, 0), fd = ops->openat(ops, dir, "checkpoint", O_RDWR, 0);
    blind = scene->disk->fds[fd];
    scene->disk->ops.pread = pread_blind;
    assert_false(scene_open(scene));
    assert_int_equal(scene->reports, 0);
    scene_free(scene);
}

/* A segment of the journal: commit 1 with records 1, 2, 3 and padding, commit 2 with record 4. */
static void compose_two_commits(struct scene *scene, uint8_t flags, struct spool_scan *scan)
{
    AUTO(buf_done) struct buf out = BUF_EMPTY(1u << 20);
    int fd;
    uint32_t number;
    assert_int_equal(spool_store_take(scene->store, SPOOL_JOURNAL, 0, &fd, &number), STATUS_OK);
    scan->segment = *spool_store_segment(scene->store, number);
    scan->fd = fd;
    uint32_t seed = spool_segment_seed(&scan->segment), at = SPOOL_SEGMENT_FIRST;
    for (uint64_t id = 1; id <= 4; id++) {
        struct spool_header header = { .kind = SAMPLE_KIND, .id = id, .epoch = scan->segment.epoch, .commit = id == 4 ? 2 : 1,
                                       .flags = id == 4 ? flags : 0 };
        struct spool_header pad = { .kind = SPOOL_KIND_PAD, .flags = SPOOL_FLAG_LAST, .epoch = scan->segment.epoch, .commit = 1,
                                    .stride = SPOOL_BLOCK - (uint32_t)out.n };
        if (id == 4)
            assert_int_equal(journal_compose(&out, seed, at + (uint32_t)out.n, pad, SPAN_NONE), STATUS_OK);
        while (id == 4 && out.n < SPOOL_BLOCK)
            assert_int_equal(buf_add(&out, span_of("", 1)), STATUS_OK);
        assert_int_equal(journal_compose(&out, seed, at + (uint32_t)out.n, header, SPAN("x")), STATUS_OK);
    }
    memset(out.p + 72, 0, 64); /* record 2 did not reach the disk */
    assert_int_equal(spool_pwrite_all(scan->ops, fd, out.p, out.n, at), STATUS_OK);
}

static bool on_scanned(void *arg, const struct spool_found *found) { return ++*(unsigned *)arg; }

/* The power may go while a commit is being synced and the next one is written already. */
static void a_tear_in_front_of_what_was_written_early(void **state)
{
    struct scene *scene = scene_new(1);
    unsigned records = 0;
    struct spool_scan scan = { .ops = &scene->disk->ops, .on_record = on_scanned, .arg = &records };
    compose_two_commits(scene, SPOOL_FLAG_EARLY, &scan);
    assert_int_equal(spool_scan_run(&scan), STATUS_OK);
    assert_true(scan.torn && scan.damaged == 0 && records == 3);
    compose_two_commits(scene, 0, &scan);
    assert_int_equal(spool_scan_run(&scan), STATUS_OK);
    assert_true(scan.damaged == 1 && records == 6); /* commit 1 was synced: that is no tear */
    scene_free(scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_checkpoint_that_cannot_be_read_is_not_damaged),
        cmocka_unit_test(a_tear_in_front_of_what_was_written_early),
        cmocka_unit_test(survives_the_process),
        cmocka_unit_test(synced_survives_the_power),
        cmocka_unit_test(nothing_to_sync_is_told_at_once),
        cmocka_unit_test(goes_through_many_segments),
        cmocka_unit_test(errors_lose_nothing),
        cmocka_unit_test(checkpoint_replaces_what_was_before),
        cmocka_unit_test(crash_inside_a_checkpoint),
        cmocka_unit_test(a_damaged_checkpoint_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
