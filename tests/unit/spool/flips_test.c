/* A single bit that turned over on the disk, in any octet of the journal and of the checkpoint: what is replayed is what
 * was written, and what is missing is told. Only the last commit of the journal may be missing without a word: so it looks
 * when the power went while it was written. (Messages and big bodies: reader_test.) */
#include "journal_sample.h"
#include "test.h"

#define CHECKPOINTED 3u
#define LAST 6u

struct waiter {
    struct spool_sync sync;
    bool done;
};
static void on_synced(struct spool_sync *sync) { CONTAINER(sync, struct waiter, sync)->done = true; }
static void on_checkpoint(void *arg, enum status status) { *(enum status *)arg = status; }

/* 1..3 were journalled and are in the checkpoint, 4..6 come after it, each a commit of its own that is synced before
 * the next one. */
static struct scene *written(void)
{
    struct scene *scene = scene_new(1);
    enum status status = STATUS_COUNT;
    assert_int_equal(spool_checkpoint_begin(scene->journal), STATUS_OK);
    for (uint64_t id = 1; id <= CHECKPOINTED; id++) {
        char content[32];
        snprintf(content, sizeof content, "content of %llu", (unsigned long long)id);
        assert_int_equal(spool_checkpoint_add(scene->journal, SAMPLE_KIND, id, span_str(content)), STATUS_OK);
    }
    spool_checkpoint_end(scene->journal, on_checkpoint, &status);
    turns(scene, 10);
    assert_int_equal(status, STATUS_OK);
    for (uint64_t id = CHECKPOINTED + 1; id <= LAST; id++) {
        struct waiter waiter = { .sync.on_done = on_synced };
        add(scene, id);
        spool_journal_sync(scene->journal, &waiter.sync);
        turns(scene, 4);
        assert_true(waiter.done); /* before the next: else a power cut could have taken this one and left that */
    }
    scene_drop(scene);
    simdisk_kill(scene->disk);
    return scene;
}

/* How far there is anything but zeros in it. */
static size_t used_of(const struct simfile *file)
{
    size_t n = file->now_n;
    while (n > 0 && !file->now[n - 1])
        n--;
    return n;
}

struct tally {
    unsigned harmless, told, cut; /* all there; something missing, and told; only the last commit missing */
};

static void judge(const struct scene *scene, bool opened, const char *name, size_t at, struct tally *ret)
{
    unsigned missing = 0;
    for (uint64_t id = 1; id <= LAST; id++)
        missing += !replayed(scene, id);
    if (opened && !missing)
        ret->harmless++;
    else if (!opened || scene->reports > 0)
        ret->told++;
    else if (missing == 1 && !replayed(scene, LAST))
        ret->cut++;
    else
        fail_msg("octet %zu of %s: %u missing without a word", at, name, missing);
    for (size_t i = 0; i < scene->count; i++)
        if (scene->ids[i] < 1 || scene->ids[i] > LAST)
            fail_msg("octet %zu of %s: %llu was never written", at, name, (unsigned long long)scene->ids[i]);
}

static const char *name_of(const struct simdisk *disk, int file)
{
    for (size_t i = 0; i < SIM_FILES; i++)
        if (disk->names[i].used && disk->names[i].now == file)
            return disk->names[i].name;
    return NULL;
}

/* What lies on the disk, to begin with again and again: a start may tidy up. */
struct picture {
    struct simname names[SIM_FILES];
    struct simfile files[SIM_FILES]; /* `now` is the picture's own */
};

static struct picture *picture_take(const struct simdisk *disk)
{
    struct picture *picture = test_calloc(1, sizeof *picture);
    memcpy(picture->names, disk->names, sizeof picture->names);
    memcpy(picture->files, disk->files, sizeof picture->files);
    for (size_t i = 0; i < SIM_FILES; i++) {
        struct simfile *file = &picture->files[i];
        file->now = test_calloc(1, file->now_n + 1);
        if (file->now_n)
            memcpy(file->now, disk->files[i].now, file->now_n);
    }
    return picture;
}

static void picture_free(struct picture *picture)
{
    for (size_t i = 0; i < SIM_FILES; i++)
        test_free(picture->files[i].now);
    test_free(picture);
}

static void picture_restore(const struct picture *picture, struct simdisk *disk)
{
    memcpy(disk->names, picture->names, sizeof picture->names);
    for (size_t i = 0; i < SIM_FILES; i++) {
        const struct simfile *from = &picture->files[i];
        struct simfile *to = &disk->files[i];
        if (!from->used && to->used) { /* a start made it */
            free(to->now);
            free(to->safe);
            *to = (struct simfile){ 0 };
        }
        to->now_n = from->now_n;
        assert_true(to->room >= from->now_n);
        if (from->now_n)
            memcpy(to->now, from->now, from->now_n);
    }
}

static void play(struct scene *scene, const struct picture *picture, int file, size_t at, unsigned bit, struct tally *ret)
{
    const char *name = name_of(scene->disk, file);
    scene->disk->files[file].now[at] ^= (uint8_t)(1u << bit);
    scene->reports = 0;
    bool opened = scene_open(scene);
    judge(scene, opened, name, at, ret);
    scene_drop(scene);
    simdisk_kill(scene->disk);
    picture_restore(picture, scene->disk);
}

/* Amid zeros a few bits say what all would. */
static bool is_worth_it(const struct simfile *file, size_t at, unsigned bit)
{
    for (size_t i = at < 32 ? 0 : at - 32; i < MIN(at + 32, file->now_n); i++)
        if (file->now[i])
            return true;
    return (at * 8 + bit) % 509 == 0;
}

static void no_bit_turns_without_a_word(void **state)
{
    struct scene *scene = written();
    struct picture *picture = picture_take(scene->disk);
    struct tally all = { 0 };
    unsigned files = 0;
    for (int file = 0; file < SIM_FILES; file++) {
        size_t n = picture->files[file].used && name_of(scene->disk, file) ? used_of(&picture->files[file]) : 0;
        files += n > 0;
        for (size_t at = 0; at < n; at++)
            for (unsigned bit = 0; bit < 8; bit++)
                if (is_worth_it(&picture->files[file], at, bit))
                    play(scene, picture, file, at, bit, &all);
    }
    print_message("%u files: %u bits harmless, %u told, %u as if the last commit had been cut off\n", files, all.harmless, all.told,
                  all.cut);
    assert_true(files >= 3); /* the checkpoint, a segment of the journal, the stamp */
    assert_true(all.told > 1000);
    assert_true(all.cut > 0 && all.cut < 1000);
    picture_free(picture);
    scene_free(scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(no_bit_turns_without_a_word) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
