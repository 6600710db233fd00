#include "spool/writer.h"
#include "spool_sample.h"
#include "test.h"

#define MESSAGES 64

/* A writer, the disk under it and all that it said. */
struct scene {
    struct simdisk *disk;
    struct loop *loop;
    struct spool_writer *writer;
    uint32_t next_number;
    unsigned needs, done, ok;
    bool give;               /* a segment for each on_need */
    struct { uint32_t number, used; enum status why; } sealed[16];
    unsigned sealed_count;
    struct sample samples[MESSAGES];
};

static void on_need(void *arg)
{
    struct scene *scene = arg;
    scene->needs++;
    if (scene->give)
        assert_int_equal(spool_writer_give(scene->writer, sample_segment(scene->disk, scene->next_number++, SAMPLE_OCTETS)),
                         STATUS_OK);
}

static void on_sealed(void *arg, uint32_t segment, uint32_t used, enum status why)
{
    struct scene *scene = arg;
    scene->sealed[scene->sealed_count].number = segment;
    scene->sealed[scene->sealed_count].used = used;
    scene->sealed[scene->sealed_count++].why = why;
}

static void on_done(struct spool_append *append, enum status status)
{
    struct scene *scene = append->arg;
    struct sample *sample = CONTAINER(append, struct sample, append);
    sample->done = true;
    sample->status = status;
    scene->done++;
    scene->ok += status == STATUS_OK;
}

static const struct spool_writer_events events = { on_need, on_sealed };

static struct scene *scene_new(bool no_thread, bool give)
{
    struct scene *scene = calloc(1, sizeof *scene);
    scene->disk = simdisk_new(1);
    scene->loop = loop_new();
    scene->next_number = 1;
    scene->give = give;
    struct spool_writer_settings settings = { .ops = &scene->disk->ops, .ahead = 1, .no_thread = no_thread };
    scene->writer = spool_writer_new(scene->loop, &settings, &events, scene);
    assert_non_null(scene->writer);
    loop_turn(scene->loop, 0);
    return scene;
}

static void scene_free(struct scene *scene)
{
    spool_writer_free(scene->writer);
    loop_free(scene->loop);
    simdisk_free(scene->disk);
    for (unsigned i = 0; i < MESSAGES; i++)
        sample_done(&scene->samples[i]);
    free(scene);
}

static void append(struct scene *scene, unsigned i, size_t body)
{
    sample_init(&scene->samples[i], 100 + i, body);
    scene->samples[i].append.arg = scene;
    scene->samples[i].append.on_done = on_done;
    assert_int_equal(spool_writer_append(scene->writer, &scene->samples[i].append), STATUS_OK);
}

static void asks_for_segments_at_the_start(void **state)
{
    struct scene *scene = scene_new(true, false);
    assert_int_equal(scene->needs, 2); /* one to write, one ahead */
    spool_writer_ask_again(scene->writer);
    loop_turn(scene->loop, 0);
    assert_int_equal(scene->needs, 4);
    scene_free(scene);
}

static void gathers_and_commits_together(void **state)
{
    struct scene *scene = scene_new(true, true);
    unsigned syncs = scene->disk->syncs;
    for (unsigned i = 0; i < 10; i++)
        append(scene, i, 1000);
    assert_int_equal(spool_writer_waiting(scene->writer), 10);
    loop_turn(scene->loop, 0);
    assert_int_equal(scene->ok, 10);
    assert_int_equal(scene->disk->syncs - syncs, 1);
    struct spool_scan scan;
    struct seen seen;
    assert_int_equal(sample_scan(scene->disk, 1, 0, SPOOL_SCAN_DEEP, &scan, &seen), STATUS_OK);
    assert_int_equal(seen.count, 10);
    for (unsigned i = 0; i < 10; i++)
        assert_memory_equal(&seen.places[i], &scene->samples[i].append.place, sizeof seen.places[i]);
    scene_free(scene);
}

/* 40 messages of 16 KiB do not fit into one segment of 256 KiB. */
static void goes_on_in_the_next_segment(void **state)
{
    struct scene *scene = scene_new(true, true);
    for (unsigned i = 0; i < 40; i++)
        append(scene, i, 16000);
    for (unsigned turn = 0; turn < 20 && scene->done < 40; turn++)
        loop_turn(scene->loop, 0);
    assert_int_equal(scene->ok, 40);
    assert_true(scene->sealed_count >= 2);
    assert_int_equal(scene->sealed[0].number, 1);
    assert_int_equal(scene->sealed[0].why, STATUS_OK);
    assert_true(scene->sealed[0].used > SAMPLE_OCTETS / 2);
    scene_free(scene);
}

static void too_long_for_any_segment(void **state)
{
    struct scene *scene = scene_new(true, true);
    append(scene, 0, SAMPLE_OCTETS);
    append(scene, 1, 100);
    loop_turn(scene->loop, 0);
    assert_int_equal(scene->samples[0].status, STATUS_TOO_LONG);
    assert_int_equal(scene->samples[1].status, STATUS_OK);
    assert_int_equal(scene->sealed_count, 0);
    scene_free(scene);
}

/* A failed write or sync: nothing of that commit is acknowledged, the segment is given up, the next commit works. */
static void an_error_costs_one_commit(void **state)
{
    for (unsigned step = 1; step <= 2; step++)
        for (int full = 0; full <= 1; full++) {
            struct scene *scene = scene_new(true, true);
            append(scene, 0, 100);
            loop_turn(scene->loop, 0);
            scene->disk->fail_at = scene->disk->steps + step;
            scene->disk->fail_errno = full ? ENOSPC : EIO;
            append(scene, 1, 5000);
            append(scene, 2, 100);
            loop_turn(scene->loop, 0);
            assert_int_equal(scene->samples[1].status, full ? STATUS_FULL : STATUS_IO);
            assert_int_equal(scene->samples[2].status, full ? STATUS_FULL : STATUS_IO);
            assert_int_equal(scene->sealed_count, 1);
            assert_int_equal(scene->sealed[0].number, 1);
            assert_int_equal(scene->sealed[0].why, full ? STATUS_FULL : STATUS_IO);
            append(scene, 3, 100);
            loop_turn(scene->loop, 0);
            assert_int_equal(scene->samples[3].status, STATUS_OK);
            assert_int_equal(scene->samples[3].append.place.segment, 2);
            scene_free(scene);
        }
}

static void refuses_while_the_disk_is_low(void **state)
{
    struct scene *scene = scene_new(true, false);
    append(scene, 0, 100);
    loop_turn(scene->loop, 0);
    assert_int_equal(scene->done, 0); /* no segment yet: it waits */
    spool_writer_set_low(scene->writer, true);
    loop_turn(scene->loop, 0);
    assert_int_equal(scene->samples[0].status, STATUS_FULL);
    assert_true(spool_writer_is_full(scene->writer));
    sample_init(&scene->samples[1], 1, 10);
    assert_int_equal(spool_writer_append(scene->writer, &scene->samples[1].append), STATUS_FULL);
    sample_done(&scene->samples[1]);
    scene->give = true;
    spool_writer_set_low(scene->writer, false);
    append(scene, 1, 10);
    loop_turn(scene->loop, 0);
    loop_turn(scene->loop, 0);
    assert_int_equal(scene->samples[1].status, STATUS_OK);
    scene_free(scene);
}

static void with_its_thread(void **state)
{
    struct scene *scene = scene_new(false, true);
    for (unsigned i = 0; i < MESSAGES; i++) {
        append(scene, i, 200 * i);
        if (i % 5 == 0)
            loop_turn(scene->loop, 0);
    }
    while (scene->done < MESSAGES)
        loop_turn(scene->loop, -1);
    assert_int_equal(scene->ok, MESSAGES);
    spool_writer_seal(scene->writer);
    unsigned sealed = scene->sealed_count;
    while (scene->sealed_count == sealed)
        loop_turn(scene->loop, -1);
    scene_free(scene);
}

static void body_done(struct spool_body *body, void *arg, enum status status) { *(enum status *)arg = status; }

static void a_body_of_its_own(void **state)
{
    for (int thread = 0; thread <= 1; thread++) {
        struct scene *scene = scene_new(!thread, true);
        const struct spool_ops *ops = &scene->disk->ops;
        int fd = ops->openat(ops, AT_FDCWD, "body", O_CREAT | O_RDWR, 0600);
        struct spool_body *body = spool_body_new(scene->writer, fd, 77);
        enum status status = STATUS_COUNT;
        assert_int_equal(spool_body_add(body, SPAN("Hello, "), body_done, &status), STATUS_OK);
        while (status == STATUS_COUNT)
            loop_turn(scene->loop, -1);
        status = STATUS_COUNT;
        assert_int_equal(spool_body_add(body, SPAN("world"), body_done, &status), STATUS_OK);
        while (status == STATUS_COUNT)
            loop_turn(scene->loop, -1);
        status = STATUS_COUNT;
        assert_int_equal(spool_body_sync(body, body_done, &status), STATUS_OK);
        while (status == STATUS_COUNT)
            loop_turn(scene->loop, -1);
        assert_int_equal(status, STATUS_OK);
        struct spool_body_ref ref = spool_body_ref(body);
        assert_int_equal(ref.number, 77);
        assert_int_equal(ref.octets, 12);
        assert_int_equal(ref.check, crc32c(0, "Hello, world", 12));
        spool_body_free(body);
        scene_free(scene);
    }
}

static void a_body_that_cannot_be_written(void **state)
{
    struct scene *scene = scene_new(true, true);
    const struct spool_ops *ops = &scene->disk->ops;
    struct spool_body *body = spool_body_new(scene->writer, ops->openat(ops, AT_FDCWD, "body", O_CREAT | O_RDWR, 0600), 77);
    scene->disk->fail_at = scene->disk->steps + 1;
    scene->disk->fail_errno = ENOSPC;
    enum status status = STATUS_COUNT;
    assert_int_equal(spool_body_add(body, SPAN("Hello, "), body_done, &status), STATUS_OK);
    loop_turn(scene->loop, 0);
    assert_int_equal(status, STATUS_FULL);
    assert_int_equal(spool_body_sync(body, body_done, &status), STATUS_OK);
    loop_turn(scene->loop, 0);
    assert_int_equal(status, STATUS_FULL); /* and stays so */
    spool_body_free(body);
    scene_free(scene);
}

/* What was begun to be written out, and what was waited for. */
static struct { off_t begun, waited; } out;

static void note_write_out(const struct spool_ops *ops, int fd, off_t at, off_t n, bool wait)
{
    off_t *end = wait ? &out.waited : &out.begun;
    assert_int_equal(at, *end); /* one behind the other, nothing twice */
    *end = at + n;
}

static void a_body_goes_to_the_disk_while_it_comes(void **state)
{
    struct scene *scene = scene_new(true, true);
    scene->disk->ops.write_out = note_write_out;
    const struct spool_ops *ops = &scene->disk->ops;
    struct spool_body *body = spool_body_new(scene->writer, ops->openat(ops, AT_FDCWD, "body", O_CREAT | O_RDWR, 0600), 77);
    static char chunk[300 << 10];
    off_t written = 0;
    for (int i = 0; i < 20; i++) {
        enum status status = STATUS_COUNT;
        assert_int_equal(spool_body_add(body, span_of(chunk, sizeof chunk), body_done, &status), STATUS_OK);
        loop_turn(scene->loop, 0);
        assert_int_equal(status, STATUS_OK);
        written += (off_t)sizeof chunk;
        assert_true(out.begun == out.waited && out.begun <= written && written - out.begun < 2 << 20);
    }
    spool_body_free(body);
    scene_free(scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(asks_for_segments_at_the_start),
        cmocka_unit_test(gathers_and_commits_together),
        cmocka_unit_test(goes_on_in_the_next_segment),
        cmocka_unit_test(too_long_for_any_segment),
        cmocka_unit_test(an_error_costs_one_commit),
        cmocka_unit_test(refuses_while_the_disk_is_low),
        cmocka_unit_test(with_its_thread),
        cmocka_unit_test(a_body_of_its_own),
        cmocka_unit_test(a_body_that_cannot_be_written),
        cmocka_unit_test(a_body_goes_to_the_disk_while_it_comes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
