#include "spool/store_priv.h"
#include "spool/reader.h"
#include "spool_sample.h"
#include "test.h"

/* A store and all that it said. */
struct scene {
    struct simdisk *disk;
    struct loop *loop;
    struct spool_store *store;
    unsigned reports, readies, lows;
    uint32_t released;
    bool low;
    char last[512];
};

static void on_report(void *arg, const char *name, const char *what)
{
    struct scene *scene = arg;
    scene->reports++;
    snprintf(scene->last, sizeof scene->last, "%s: %s", name, what);
}
static void on_ready(void *arg) { ((struct scene *)arg)->readies++; }
static void on_released(void *arg, uint32_t segment) { ((struct scene *)arg)->released = segment; }
static void on_low(void *arg, bool low)
{
    ((struct scene *)arg)->low = low;
    ((struct scene *)arg)->lows++;
}
static const struct spool_store_events events = { on_report, on_ready, on_released, on_low };

static enum status open_store(struct scene *scene)
{
    struct spool_store_settings settings = { .ops = &scene->disk->ops, .segment_octets = SAMPLE_OCTETS,
                                             .reserve_octets = 1u << 20, .ahead = 2, .keep_most = 3, .no_thread = true };
    return spool_store_open(scene->loop, "spool", &settings, &events, scene, &scene->store);
}

static struct scene *scene_new(void)
{
    struct scene *scene = calloc(1, sizeof *scene);
    scene->disk = simdisk_new(1);
    scene->loop = loop_new();
    assert_int_equal(scene->disk->ops.mkdirat(&scene->disk->ops, AT_FDCWD, "spool", 0700), 0);
    sim_find(scene->disk, 0, "spool", false)->safe = 1; /* made by whoever set the machine up */
    assert_int_equal(open_store(scene), STATUS_OK);
    return scene;
}

static void turns(struct scene *scene)
{
    for (unsigned i = 0; i < 8; i++)
        loop_turn(scene->loop, 0);
}

static void reopen(struct scene *scene)
{
    spool_store_free(scene->store);
    scene->store = NULL;
    assert_int_equal(open_store(scene), STATUS_OK);
}

static void scene_free(struct scene *scene)
{
    spool_store_free(scene->store);
    loop_free(scene->loop);
    simdisk_free(scene->disk);
    free(scene);
}

static int file_in(struct scene *scene, const char *dir, const char *name, int flags)
{
    const struct spool_ops *ops = &scene->disk->ops;
    int top = ops->openat(ops, AT_FDCWD, "spool", 0, 0), sub = ops->openat(ops, top, dir, 0, 0);
    return ops->openat(ops, sub, name, flags, 0600);
}

static void makes_ahead_and_hands_out(void **state)
{
    struct scene *scene = scene_new();
    int fd;
    uint32_t number;
    assert_int_equal(spool_store_take(scene->store, SPOOL_MESSAGES, 1, &fd, &number), STATUS_AGAIN);
    spool_store_start(scene->store);
    turns(scene);
    assert_true(scene->readies >= 2);
    assert_int_equal(spool_store_take(scene->store, SPOOL_MESSAGES, 5, &fd, &number), STATUS_OK);
    struct spool_segment segment;
    assert_int_equal(spool_segment_read(&scene->disk->ops, fd, &segment), STATUS_OK);
    assert_int_equal(segment.number, number);
    assert_int_equal(segment.use, SPOOL_MESSAGES);
    assert_int_equal(segment.writer, 5);
    assert_int_equal(segment.octets, SAMPLE_OCTETS);
    assert_int_equal(spool_store_segment(scene->store, number)->epoch, segment.epoch);
    assert_int_equal(scene->reports, 0);
    scene_free(scene);
}

static void released_segments_begin_a_new_life(void **state)
{
    struct scene *scene = scene_new();
    int fd;
    uint32_t number;
    spool_store_start(scene->store);
    turns(scene);
    assert_int_equal(spool_store_take(scene->store, SPOOL_MESSAGES, 1, &fd, &number), STATUS_OK);
    struct spool_segment before = *spool_store_segment(scene->store, number);
    struct spool_log log;
    spool_log_init(&log, &scene->disk->ops);
    assert_int_equal(spool_log_open(&log, fd), STATUS_OK);
    assert_int_equal(sample_commit(&log, 10, 3, 100, NULL), STATUS_OK);
    spool_log_done(&log);

    reopen(scene);
    struct seen seen = { 0 };
    assert_int_equal(spool_store_segment(scene->store, number)->use, SPOOL_MESSAGES);
    assert_int_equal(spool_store_scan(scene->store, number, 0, seen_record, &seen), STATUS_OK);
    assert_int_equal(seen.count, 3);
    spool_store_release(scene->store, number);
    turns(scene);
    assert_int_equal(scene->released, number);
    const struct spool_segment *after = spool_store_segment(scene->store, number);
    assert_int_equal(after->use, SPOOL_EMPTY);
    assert_int_equal(after->salt, 0);

    simdisk_crash(scene->disk); /* it was synced before on_released */
    reopen(scene);
    assert_int_equal(spool_store_segment(scene->store, number)->use, SPOOL_EMPTY);
    uint32_t again = number + 1;
    while (again != number)
        assert_int_equal(spool_store_take(scene->store, SPOOL_MESSAGES, 1, &fd, &again), STATUS_OK);
    after = spool_store_segment(scene->store, number);
    assert_int_equal(after->epoch, before.epoch + 1);
    assert_true(after->salt != before.salt);
    assert_int_equal(spool_store_scan(scene->store, number, 0, seen_record, &seen), STATUS_OK);
    assert_int_equal(seen.count, 3); /* none came */
    scene_free(scene);
}

static int fails_with; /* the next segment that is opened */
static int (*openat_before)(const struct spool_ops *, int, const char *, int, mode_t);

static int openat_fails(const struct spool_ops *ops, int dir, const char *name, int flags, mode_t mode)
{
    if (!fails_with || !strstr(name, ".seg"))
        return openat_before(ops, dir, name, flags, mode);
    errno = fails_with;
    fails_with = 0;
    return -1;
}

/* What is in a segment must not be forgotten because the system could not open it just then. */
static void no_start_without_a_segment(void **state)
{
    struct scene *scene = scene_new();
    spool_store_start(scene->store);
    turns(scene);
    spool_store_free(scene->store);
    scene->store = NULL;
    openat_before = scene->disk->ops.openat;
    scene->disk->ops.openat = openat_fails;
    static const int errors[] = { EMFILE, EIO };
    for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
        scene->reports = 0;
        fails_with = errors[i];
        assert_int_equal(open_store(scene), STATUS_IO);
        assert_int_equal(scene->reports, 1);
        assert_non_null(strstr(scene->last, "cannot be read"));
    }
    fails_with = ELOOP; /* somebody put a link there */
    assert_int_equal(open_store(scene), STATUS_OK);
    assert_non_null(strstr(scene->last, "left alone"));
    scene_free(scene);
}

static void low_disk_and_back(void **state)
{
    struct scene *scene = scene_new();
    int fd;
    uint32_t number;
    scene->disk->room = 1000;
    spool_store_start(scene->store);
    turns(scene);
    assert_true(scene->low);
    assert_int_equal(spool_store_take(scene->store, SPOOL_MESSAGES, 1, &fd, &number), STATUS_FULL);
    scene->disk->room = 1u << 30;
    spool_store_start(scene->store); /* as the next look at the disk */
    turns(scene);
    assert_false(scene->low);
    assert_int_equal(scene->lows, 2);
    assert_int_equal(spool_store_take(scene->store, SPOOL_MESSAGES, 1, &fd, &number), STATUS_OK);
    scene_free(scene);
}

static void the_last_segment_is_the_journals(void **state)
{
    struct scene *scene = scene_new();
    int fd;
    uint32_t number;
    spool_store_start(scene->store);
    turns(scene);
    scene->disk->room = (1u << 20) + 1000; /* over the reserve, but not enough for another segment */
    spool_store_start(scene->store);       /* as the next look at the disk */
    assert_false(scene->low);
    assert_int_equal(spool_store_take(scene->store, SPOOL_MESSAGES, 1, &fd, &number), STATUS_OK);
    assert_int_not_equal(spool_store_take(scene->store, SPOOL_MESSAGES, 1, &fd, &number), STATUS_OK);
    spool_store_start(scene->store);
    assert_true(scene->low);
    assert_int_equal(spool_store_take(scene->store, SPOOL_MESSAGES, 1, &fd, &number), STATUS_FULL);
    assert_int_equal(spool_store_take(scene->store, SPOOL_JOURNAL, 0, &fd, &number), STATUS_OK);
    scene_free(scene);
}

static void a_full_disk_leaves_nothing_half_made(void **state)
{
    for (unsigned step = 1; step < 8; step++) {
        struct scene *scene = scene_new();
        scene->disk->fail_at = scene->disk->steps + step;
        scene->disk->fail_errno = ENOSPC;
        spool_store_start(scene->store);
        turns(scene);
        reopen(scene);
        spool_store_start(scene->store);
        turns(scene);
        int fd;
        uint32_t number;
        assert_int_equal(spool_store_take(scene->store, SPOOL_MESSAGES, 1, &fd, &number), STATUS_OK);
        scene_free(scene);
    }
}

static void foreign_files_are_reported_and_left(void **state)
{
    struct scene *scene = scene_new();
    file_in(scene, "segments", "notes.txt", O_CREAT | O_RDWR);
    file_in(scene, "segments", "0000002a.seg", O_CREAT | O_RDWR);
    reopen(scene);
    assert_int_equal(scene->reports, 2);
    assert_true(file_in(scene, "segments", "notes.txt", O_RDWR) >= 0);
    assert_true(file_in(scene, "segments", "0000002a.seg", O_RDWR) >= 0);
    assert_null(spool_store_segment(scene->store, 0x2a));
    scene_free(scene);
}

static uint8_t *octets_of(struct scene *scene, const char *name)
{
    int fd = file_in(scene, "segments", name, O_RDWR);
    assert_true(fd >= 0);
    return scene->disk->files[scene->disk->fds[fd]].now;
}

static void set_version(uint8_t *octets, uint8_t version)
{
    octets[8] = version;
    uint32_t check = crc32c(0, octets, 60);
    memcpy(octets + 60, &check, 4);
}

/* As a later goniec might write it: well signed and stamped. */
static void a_newer_version_is_refused(void **state)
{
    struct scene *scene = scene_new();
    spool_store_start(scene->store);
    turns(scene);
    uint8_t *octets = octets_of(scene, "00000000.seg");
    set_version(octets, SPOOL_SEGMENT_VERSION + 1);
    spool_stamp_make(&scene->store->stamp, octets, 64, octets + 64);
    spool_store_free(scene->store);
    scene->store = NULL;
    assert_int_equal(open_store(scene), STATUS_DENIED);
    assert_non_null(strstr(scene->last, "newer version"));
    scene_free(scene);
}

/* Who was given a segment to write writes over what it says of itself, in both places. */
static void what_others_say_of_a_segment_is_not_believed(void **state)
{
    for (unsigned way = 0; way < 6; way++) {
        struct scene *scene = scene_new();
        int fd;
        uint32_t number;
        spool_store_start(scene->store);
        turns(scene);
        assert_int_equal(spool_store_take(scene->store, SPOOL_MESSAGES, 1, &fd, &number), STATUS_OK);
        struct spool_segment told = *spool_store_segment(scene->store, number);
        told.use = way == 0 ? SPOOL_JOURNAL : way == 1 ? SPOOL_EMPTY : told.use;
        told.sequence = way == 0 || way == 2 ? UINT64_MAX : told.sequence;
        told.writer = way == 3 ? 7 : told.writer;
        told.lent = way == 4 ? 0 : told.lent;
        assert_int_equal(spool_segment_write(&scene->disk->ops, fd, NULL, &told), STATUS_OK);
        char name[SPOOL_SEGMENT_NAME_SIZE];
        if (way == 5) { /* nor can he keep the server from starting */
            uint8_t *octets = octets_of(scene, spool_segment_name(number, name));
            set_version(octets, SPOOL_SEGMENT_VERSION + 1);
            set_version(octets + SAMPLE_OCTETS - SPOOL_BLOCK, SPOOL_SEGMENT_VERSION + 1);
        }
        uint64_t sequence = scene->store->sequence;
        reopen(scene);
        assert_null(spool_store_segment(scene->store, number));
        assert_int_equal(scene->reports, 1);
        assert_true(way == 5 || strstr(scene->last, "not written by this queue"));
        assert_true(scene->store->sequence <= sequence);
        assert_true(file_in(scene, "segments", spool_segment_name(number, name), O_RDWR) >= 0);
        scene_free(scene);
    }
}

/* One copy of the description is as good as two. */
static void one_copy_that_is_ours_is_enough(void **state)
{
    struct scene *scene = scene_new();
    int fd;
    uint32_t number;
    spool_store_start(scene->store);
    turns(scene);
    assert_int_equal(spool_store_take(scene->store, SPOOL_MESSAGES, 1, &fd, &number), STATUS_OK);
    char name[SPOOL_SEGMENT_NAME_SIZE];
    octets_of(scene, spool_segment_name(number, name))[70] ^= 1;
    reopen(scene);
    assert_int_equal(spool_store_segment(scene->store, number)->use, SPOOL_MESSAGES);
    assert_int_equal(scene->reports, 0);
    scene_free(scene);
}

static void remove_key(struct scene *scene)
{
    const struct spool_ops *ops = &scene->disk->ops;
    int top = ops->openat(ops, AT_FDCWD, "spool", 0, 0);
    ops->unlinkat(ops, top, SPOOL_STAMP_NAME);
    ops->fsync(ops, top);
}

/* A spool of before: without stamps, without a key. It is believed, and stamped, whenever the power goes meanwhile. */
static void an_old_spool_is_believed_once(void **state)
{
    for (uint64_t step = 0;; step++) {
        struct scene *scene = scene_new();
        int fd;
        uint32_t number;
        char name[SPOOL_SEGMENT_NAME_SIZE];
        spool_store_start(scene->store);
        turns(scene);
        assert_int_equal(spool_store_take(scene->store, SPOOL_MESSAGES, 3, &fd, &number), STATUS_OK);
        uint8_t *octets = octets_of(scene, spool_segment_name(number, name));
        for (unsigned copy = 0; copy < 2; copy++, octets += SAMPLE_OCTETS - SPOOL_BLOCK) {
            memset(octets + 56, 0, 4);
            memset(octets + 64, 0, SPOOL_STAMP_OCTETS);
            set_version(octets, 1);
        }
        assert_int_equal(scene->disk->ops.fdatasync(&scene->disk->ops, fd), 0);
        spool_store_free(scene->store);
        scene->store = NULL;
        remove_key(scene);
        scene->disk->fail_at = scene->disk->steps + 1 + step;
        scene->disk->fail_errno = EIO;
        bool all = open_store(scene) == STATUS_OK && scene->disk->steps < scene->disk->fail_at;
        scene->disk->fail_at = 0;
        spool_store_free(scene->store);
        scene->store = NULL;
        simdisk_crash(scene->disk);
        for (unsigned again = 0; again < 2; again++) {
            assert_int_equal(open_store(scene), STATUS_OK);
            const struct spool_segment *known = spool_store_segment(scene->store, number);
            assert_non_null(known);
            assert_int_equal(known->use, SPOOL_MESSAGES);
            assert_int_equal(known->lent, 3);
            if (!again)
                spool_store_free(scene->store);
        }
        scene_free(scene);
        if (all)
            return;
    }
}

static void a_key_that_is_none_is_a_persons_matter(void **state)
{
    struct scene *scene = scene_new();
    const struct spool_ops *ops = &scene->disk->ops;
    int top = ops->openat(ops, AT_FDCWD, "spool", 0, 0), fd = ops->openat(ops, top, SPOOL_STAMP_NAME, O_RDWR, 0);
    assert_true(fd >= 0);
    scene->disk->files[scene->disk->fds[fd]].now[20] ^= 1;
    spool_store_free(scene->store);
    scene->store = NULL;
    assert_int_equal(open_store(scene), STATUS_DAMAGED);
    assert_non_null(strstr(scene->last, "move it away"));
    remove_key(scene);
    assert_int_equal(open_store(scene), STATUS_OK);
    scene_free(scene);
}

/* Empties all that is in use and fills ahead. */
static void give_back(struct scene *scene, uint32_t number)
{
    spool_store_release(scene->store, number);
    turns(scene);
    assert_int_equal(scene->released, number);
}

/* Its descriptor may have been kept. */
static void what_was_lent_is_nobody_elses(void **state)
{
    struct scene *scene = scene_new();
    int fd;
    uint32_t lent, other;
    spool_store_start(scene->store);
    turns(scene);
    assert_int_equal(spool_store_take(scene->store, SPOOL_MESSAGES, 1, &fd, &lent), STATUS_OK);
    turns(scene);
    give_back(scene, lent);
    for (unsigned start = 0; start < 2; start++) {
        for (unsigned i = 0; i < 6; i++) {
            enum spool_use use = i % 3 ? SPOOL_MESSAGES : SPOOL_JOURNAL;
            uint32_t writer = i % 3 == 2 ? 2 : 0;
            assert_int_equal(spool_store_take(scene->store, use, writer, &fd, &other), STATUS_OK);
            assert_int_not_equal(other, lent);
            turns(scene);
            give_back(scene, other);
        }
        if (start)
            break;
        reopen(scene); /* the next queue knows it, too */
        spool_store_start(scene->store);
        turns(scene);
    }
    assert_int_equal(spool_store_take(scene->store, SPOOL_MESSAGES, 1, &fd, &other), STATUS_OK);
    assert_int_equal(other, lent);
    scene_free(scene);
}

/* Where there is no room for new ones, EMPTY ones that only one process may have go. */
static void what_was_lent_gives_way(void **state)
{
    struct scene *scene = scene_new();
    int fd;
    uint32_t lent[2], number;
    spool_store_start(scene->store);
    turns(scene);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(spool_store_take(scene->store, SPOOL_MESSAGES, 1, &fd, &lent[i]), STATUS_OK);
        turns(scene);
    }
    for (unsigned i = 0; i < 2; i++)
        give_back(scene, lent[i]);
    scene->disk->room = 1000;
    spool_store_start(scene->store); /* as the next look at the disk */
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(spool_store_take(scene->store, SPOOL_JOURNAL, 0, &fd, &number), STATUS_OK);
    turns(scene);
    spool_store_start(scene->store);
    turns(scene);
    assert_true(!spool_store_segment(scene->store, lent[0]) && !spool_store_segment(scene->store, lent[1]));
    scene_free(scene);
}

static void damage_goes_to_quarantine(void **state)
{
    struct scene *scene = scene_new();
    int fd;
    uint32_t number;
    spool_store_start(scene->store);
    turns(scene);
    assert_int_equal(spool_store_take(scene->store, SPOOL_MESSAGES, 1, &fd, &number), STATUS_OK);
    struct spool_log log;
    struct spool_place places[3];
    spool_log_init(&log, &scene->disk->ops);
    assert_int_equal(spool_log_open(&log, fd), STATUS_OK);
    assert_int_equal(sample_commit(&log, 10, 3, 100, places), STATUS_OK);
    assert_int_equal(sample_commit(&log, 20, 1, 100, NULL), STATUS_OK);
    scene->disk->files[scene->disk->fds[fd]].now[places[1].offset + 70] ^= 4;
    struct seen seen = { 0 };
    assert_int_equal(spool_store_scan(scene->store, number, 0, seen_record, &seen), STATUS_OK);
    assert_int_equal(seen.count, 3);
    assert_int_equal(scene->reports, 1);
    assert_non_null(strstr(scene->last, "copied to quarantine/"));
    assert_int_equal(spool_store_scan(scene->store, number, 0, seen_record, &seen), STATUS_OK);
    assert_non_null(strstr(scene->last, "was copied before"));
    spool_log_done(&log);
    scene_free(scene);
}

static bool keep_none(void *arg, uint64_t number) { return false; }
static bool keep_one(void *arg, uint64_t number) { return number == *(uint64_t *)arg; }

static void bodies_come_and_go(void **state)
{
    struct scene *scene = scene_new();
    uint64_t first, second;
    int fd;
    spool_store_start(scene->store);
    turns(scene);
    assert_int_equal(spool_store_body_take(scene->store, &first, &fd), STATUS_OK);
    assert_int_equal(spool_store_body_take(scene->store, &second, &fd), STATUS_OK);
    assert_true(second > first);
    assert_int_equal(spool_pwrite_all(&scene->disk->ops, fd, "text", 4, 0), STATUS_OK);
    assert_int_equal(spool_fdatasync(&scene->disk->ops, fd), STATUS_OK);
    reopen(scene);
    spool_store_bodies(scene->store, keep_one, &second);
    assert_int_equal(spool_store_body_read_fd(scene->store, first, &fd), STATUS_NOT_FOUND);
    assert_int_equal(spool_store_body_read_fd(scene->store, second, &fd), STATUS_OK);
    spool_store_body_remove(scene->store, second);
    turns(scene);
    assert_int_equal(spool_store_body_read_fd(scene->store, second, &fd), STATUS_NOT_FOUND);
    spool_store_bodies(scene->store, keep_none, NULL);
    scene_free(scene);
}

/* The real directory: whose it is and who may look into it. */
static void a_real_directory_must_be_ours(void **state)
{
    char path[] = "/tmp/spool-test-XXXXXX", inside[64];
    assert_non_null(mkdtemp(path));
    snprintf(inside, sizeof inside, "%s/spool", path);
    struct scene *scene = calloc(1, sizeof *scene);
    scene->disk = simdisk_new(1);
    scene->loop = loop_new();
    struct spool_store_settings settings = { .segment_octets = SAMPLE_OCTETS, .reserve_octets = 1 };
    assert_int_equal(spool_store_open(scene->loop, inside, &settings, &events, scene, &scene->store), STATUS_OK);
    spool_store_start(scene->store);
    while (scene->readies < 2)
        loop_turn(scene->loop, -1);
    struct spool_store *second = NULL;
    assert_int_equal(spool_store_open(scene->loop, inside, &settings, &events, scene, &second), STATUS_EXISTS);
    spool_store_free(scene->store);
    scene->store = NULL;
    assert_int_equal(chmod(inside, 0755), 0);
    assert_int_equal(spool_store_open(scene->loop, inside, &settings, &events, scene, &scene->store), STATUS_DENIED);
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", path);
    assert_int_equal(system(command), 0);
    scene_free(scene);
}

/* However many are given back at once. */
static void few_empty_segments_are_kept(void **state)
{
    struct scene *scene = scene_new();
    uint32_t numbers[8];
    int fd;
    spool_store_start(scene->store);
    for (unsigned i = 0; i < ARRAY_LEN(numbers); i++) {
        turns(scene);
        assert_int_equal(spool_store_take(scene->store, SPOOL_JOURNAL, 0, &fd, &numbers[i]), STATUS_OK);
        scene->disk->ops.close(&scene->disk->ops, fd);
    }
    for (unsigned i = 0; i < ARRAY_LEN(numbers); i++)
        spool_store_release(scene->store, numbers[i]);
    turns(scene);
    turns(scene);
    unsigned left = 0;
    for (unsigned i = 0; i < ARRAY_LEN(numbers); i++)
        left += spool_store_segment(scene->store, numbers[i]) != NULL;
    assert_in_range(left, 1, 3);
    scene_free(scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(makes_ahead_and_hands_out),
        cmocka_unit_test(released_segments_begin_a_new_life),
        cmocka_unit_test(few_empty_segments_are_kept),
        cmocka_unit_test(no_start_without_a_segment), cmocka_unit_test(low_disk_and_back),
        cmocka_unit_test(the_last_segment_is_the_journals),
        cmocka_unit_test(a_full_disk_leaves_nothing_half_made),
        cmocka_unit_test(foreign_files_are_reported_and_left),
        cmocka_unit_test(a_newer_version_is_refused),
        cmocka_unit_test(what_others_say_of_a_segment_is_not_believed),
        cmocka_unit_test(one_copy_that_is_ours_is_enough),
        cmocka_unit_test(an_old_spool_is_believed_once),
        cmocka_unit_test(a_key_that_is_none_is_a_persons_matter),
        cmocka_unit_test(what_was_lent_is_nobody_elses),
        cmocka_unit_test(what_was_lent_gives_way),
        cmocka_unit_test(damage_goes_to_quarantine),
        cmocka_unit_test(bodies_come_and_go),
        cmocka_unit_test(a_real_directory_must_be_ours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
