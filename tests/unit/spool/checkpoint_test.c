/* Checkpoints as they are written in earnest: by a worker, into a real file, larger than any segment. */
#include "spool/journal.h"
#include "test.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define RECORDS 1100u /* of 1 MiB */
#define KIND 20

struct scene {
    struct loop *loop;
    struct spool_store *store;
    struct spool_journal *journal;
    char folder[64];
    unsigned reports, rooms;
    enum status ended;
    uint64_t replayed, octets;
};

static void on_report(void *arg, const char *name, const char *what) { ((struct scene *)arg)->reports++; }
static void on_ready(void *arg) {}
static void on_released(void *arg, uint32_t segment) {}
static void on_low(void *arg, bool low) {}
static void on_trouble(void *arg, enum status status) {}
static void on_room(void *arg) { ((struct scene *)arg)->rooms++; }

/* Leaves out what is zero: the file has holes and takes no room. */
static ssize_t write_sparsely(const struct spool_ops *ops, int fd, const struct iovec *pieces, int count, off_t at)
{
    static const char zeros[SPOOL_BLOCK];
    size_t n = pieces[0].iov_len;
    const char *p = pieces[0].iov_base;
    for (size_t from = 0, part; from < n; from += part) {
        part = MIN(n - from, sizeof zeros);
        bool end = from + part == n;
        if ((end || memcmp(p + from, zeros, part) != 0) && pwrite(fd, p + from, part, at + (off_t)from) != (ssize_t)part)
            return -1;
    }
    return (ssize_t)n;
}

static struct spool_ops sparse;

static void scene_open(struct scene *scene)
{
    static const struct spool_store_events store_events = { on_report, on_ready, on_released, on_low };
    static const struct spool_journal_events journal_events = { on_trouble, on_room };
    struct spool_store_settings settings = { .ops = &sparse, .segment_octets = SPOOL_SEGMENT_LEAST, .reserve_octets = 1 };
    sparse = spool_ops_system;
    sparse.pwritev = write_sparsely;
    scene->loop = loop_new();
    assert_int_equal(spool_store_open(scene->loop, scene->folder, &settings, &store_events, scene, &scene->store), STATUS_OK);
    scene->journal = spool_journal_new(scene->loop, scene->store, false, &journal_events, scene);
    assert_non_null(scene->journal);
}

static void scene_close(struct scene *scene)
{
    spool_journal_free(scene->journal);
    spool_store_free(scene->store);
    loop_free(scene->loop);
}

static bool on_record(void *arg, const struct spool_journal_record *record)
{
    struct scene *scene = arg;
    uint64_t number;
    memcpy(&number, record->content.p, sizeof number);
    if (record->id != scene->replayed + 1 || number != record->id || !record->from_checkpoint)
        return false;
    scene->replayed++;
    scene->octets += record->content.n;
    return true;
}

static void on_ended(void *arg, enum status status) { ((struct scene *)arg)->ended = status; }

/* Adds what there is room for, and waits in between until there is room again. */
static void write_checkpoint(struct scene *scene)
{
    char *content = calloc(1, SPOOL_JOURNAL_MAX);
    unsigned waits = 0;
    assert_int_equal(spool_checkpoint_begin(scene->journal), STATUS_OK);
    for (uint64_t id = 1; id <= RECORDS; id++) {
        unsigned rooms = scene->rooms;
        if (spool_checkpoint_is_full(scene->journal)) {
            for (waits++; scene->rooms == rooms;)
                loop_turn(scene->loop, 10000);
            assert_false(spool_checkpoint_is_full(scene->journal));
        }
        memcpy(content, &id, sizeof id);
        assert_int_equal(spool_checkpoint_add(scene->journal, KIND, id, span_of(content, SPOOL_JOURNAL_MAX)), STATUS_OK);
    }
    scene->ended = STATUS_COUNT;
    spool_checkpoint_end(scene->journal, on_ended, scene);
    while (scene->ended == STATUS_COUNT)
        loop_turn(scene->loop, 10000);
    assert_int_equal(scene->ended, STATUS_OK);
    assert_true(waits > RECORDS / 4); /* two buffers of one record each, and none is given back without a turn of the loop */
    assert_true(spool_checkpoint_octets(scene->journal) > SPOOL_SEGMENT_MOST);
    free(content);
}

static void larger_than_a_segment_and_no_faster_than_the_disk(void **state)
{
    struct scene scene = { .folder = "/tmp/goniec-checkpoint-XXXXXX" };
    char command[128];
    assert_non_null(mkdtemp(scene.folder));
    scene_open(&scene);
    assert_int_equal(spool_journal_replay(scene.journal, on_record, &scene), STATUS_OK);
    spool_store_start(scene.store);
    write_checkpoint(&scene);
    scene_close(&scene);

    scene_open(&scene);
    assert_int_equal(spool_journal_replay(scene.journal, on_record, &scene), STATUS_OK);
    assert_int_equal(scene.replayed, RECORDS);
    assert_int_equal(scene.octets, (uint64_t)RECORDS * SPOOL_JOURNAL_MAX);
    assert_int_equal(scene.reports, 0);
    scene_close(&scene);
    snprintf(command, sizeof command, "rm -r %s", scene.folder);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(larger_than_a_segment_and_no_faster_than_the_disk) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
