/* A journal over a store on a simulated disk, and what it replays. */
#pragma once
#include "simdisk.h"
#include "spool/journal.h"
#include <stdio.h>

#define SAMPLE_SEGMENT (16u * SPOOL_BLOCK)
#define SAMPLE_KIND 20
#define REPLAY_MOST 20000

struct scene {
    struct simdisk *disk;
    struct loop *loop;
    struct spool_store *store;
    struct spool_journal *journal;
    unsigned reports;
    enum status trouble;
    char last[512];
    void (*released)(void *user, uint32_t segment); /* may be NULL */
    void *user;
    /* replayed */
    uint64_t ids[REPLAY_MOST];
    bool from_checkpoint[REPLAY_MOST];
    size_t count;
};

static void on_report(void *arg, const char *name, const char *what)
{
    struct scene *scene = arg;
    scene->reports++;
    snprintf(scene->last, sizeof scene->last, "%s: %s", name, what);
}
static void on_ready(void *arg) {}
static void on_released(void *arg, uint32_t segment)
{
    struct scene *scene = arg;
    if (scene->released)
        scene->released(scene->user, segment);
}
static void on_low(void *arg, bool low) {}
static void on_trouble(void *arg, enum status status) { ((struct scene *)arg)->trouble = status; }
static const struct spool_store_events store_events = { on_report, on_ready, on_released, on_low };
static const struct spool_journal_events journal_events = { on_trouble, NULL };

static bool on_replay(void *arg, const struct spool_journal_record *record)
{
    struct scene *scene = arg;
    char expected[32];
    snprintf(expected, sizeof expected, "content of %llu", (unsigned long long)record->id);
    if (record->kind != SAMPLE_KIND || !span_eq(record->content, span_str(expected)) || scene->count == REPLAY_MOST)
        abort();
    scene->from_checkpoint[scene->count] = record->from_checkpoint;
    scene->ids[scene->count++] = record->id;
    return true;
}

static inline bool replayed(const struct scene *scene, uint64_t id)
{
    for (size_t i = 0; i < scene->count; i++)
        if (scene->ids[i] == id)
            return true;
    return false;
}

static inline void turns(struct scene *scene, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        loop_turn(scene->loop, 0);
}

/* A start: everything is opened and replayed. False: that failed. */
static inline bool scene_open(struct scene *scene)
{
    struct spool_store_settings settings = { .ops = &scene->disk->ops, .segment_octets = SAMPLE_SEGMENT,
                                             .reserve_octets = 1u << 20, .ahead = 3, .bodies_ahead = 1, .no_thread = true };
    scene->count = 0;
    if (spool_store_open(scene->loop, "spool", &settings, &store_events, scene, &scene->store) != STATUS_OK)
        return false;
    scene->journal = spool_journal_new(scene->loop, scene->store, true, &journal_events, scene);
    return scene->journal && spool_journal_replay(scene->journal, on_replay, scene) == STATUS_OK;
}

static inline struct scene *scene_new(uint64_t seed)
{
    struct scene *scene = calloc(1, sizeof *scene);
    if (!scene)
        abort();
    scene->disk = simdisk_new(seed);
    scene->loop = loop_new();
    scene->disk->ops.mkdirat(&scene->disk->ops, AT_FDCWD, "spool", 0700);
    sim_find(scene->disk, 0, "spool", false)->safe = 1; /* made by whoever set the machine up */
    if (!scene_open(scene))
        abort();
    spool_store_start(scene->store);
    turns(scene, 8);
    return scene;
}

/* The process goes away without a word: nothing is flushed. */
static inline void scene_drop(struct scene *scene)
{
    scene->disk->dead_at = 1;
    spool_journal_free(scene->journal);
    spool_store_free(scene->store);
    scene->journal = NULL;
    scene->store = NULL;
}

static inline void scene_free(struct scene *scene)
{
    spool_journal_free(scene->journal);
    spool_store_free(scene->store);
    loop_free(scene->loop);
    simdisk_free(scene->disk);
    free(scene);
}

static inline void add(struct scene *scene, uint64_t id)
{
    char content[32];
    snprintf(content, sizeof content, "content of %llu", (unsigned long long)id);
    if (spool_journal_append(scene->journal, SAMPLE_KIND, id, span_str(content)) != STATUS_OK)
        abort();
}
