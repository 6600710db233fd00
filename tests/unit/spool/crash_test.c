/* A small mail server without the mail: messages are stored, finished and forgotten by the rules of store.h, and the
 * machine stops at any step, over and over, on the same disk. After each start every message that was acknowledged
 * and not finished must be found. */
#include "journal_sample.h"
#include "spool/writer.h"
#include "spool_sample.h"
#include "test.h"

#define IDS 4000
#define ROUNDS 12

/* FINISHED: its outcome was appended; GONE: and its segment is EMPTY on disk. NOWHERE: never stored. */
enum life { UNKNOWN, SENT, STORED, FINISHED, GONE, NOWHERE };

struct message {
    struct sample sample;
    enum life life;
    bool kept;            /* appended, and its memory still needed */
    bool outcome_synced;  /* told so */
    uint32_t segment;
};

struct house {
    struct scene *scene;
    struct spool_writer *writer;
    struct message *messages; /* by id */
    uint64_t next;
    unsigned wanted;
    bool sealed[256], released[256];
    uint64_t found;
};

static uint64_t random_of(struct house *house) { return sim_random(house->scene->disk); }

static void give(struct house *house)
{
    int fd;
    uint32_t number;
    while (house->wanted && spool_store_take(house->scene->store, SPOOL_MESSAGES, 1, &fd, &number) == STATUS_OK) {
        house->sealed[number] = house->released[number] = false;
        house->wanted--;
        (void)spool_writer_give(house->writer, fd);
    }
}

static void on_need(void *arg) { ((struct house *)arg)->wanted++; }
static void on_sealed(void *arg, uint32_t segment, uint32_t used, enum status why)
{
    ((struct house *)arg)->sealed[segment] = true;
}
static const struct spool_writer_events writer_events = { on_need, on_sealed };

static void on_done(struct spool_append *append, enum status status)
{
    struct message *message = CONTAINER(append, struct message, sample.append);
    message->kept = false;
    sample_done(&message->sample);
    message->sample.body = NULL;
    message->segment = append->place.segment;
    if (status == STATUS_OK)
        message->life = STORED; /* 250 */
}

static void send_one(struct house *house)
{
    if (house->next >= IDS)
        return;
    struct message *message = &house->messages[house->next];
    sample_init(&message->sample, house->next, (size_t)(random_of(house) % 6000));
    message->sample.append.on_done = on_done;
    if (spool_writer_append(house->writer, &message->sample.append) == STATUS_OK) {
        message->life = SENT;
        message->kept = true;
    } else {
        sample_done(&message->sample);
        message->sample.body = NULL;
    }
    house->next++;
}

static void finish_one(struct house *house)
{
    uint64_t id = house->next ? random_of(house) % house->next : 0;
    if (house->messages[id].life != STORED)
        return;
    add(house->scene, id);
    house->messages[id].life = FINISHED;
}

/* Gives a sealed segment back whose messages are all finished for good. */
static void release_some(struct house *house)
{
    bool synced = spool_journal_is_synced(house->scene->journal);
    for (uint64_t id = 0; id < house->next; id++)
        if (house->messages[id].life == FINISHED && synced)
            house->messages[id].outcome_synced = true;
    for (uint32_t number = 0; number < 256; number++) {
        bool free_now = house->sealed[number] && !house->released[number];
        for (uint64_t id = 0; id < house->next && free_now; id++)
            if (house->messages[id].segment == number && (house->messages[id].life == STORED || house->messages[id].kept ||
                (house->messages[id].life == FINISHED && !house->messages[id].outcome_synced)))
                free_now = false;
        if (free_now) {
            spool_store_release(house->scene->store, number);
            house->released[number] = true;
        }
    }
}

static void when_released(void *user, uint32_t number)
{
    struct house *house = user;
    for (uint64_t id = 0; id < house->next; id++)
        if (house->messages[id].life == FINISHED && house->messages[id].segment == number)
            house->messages[id].life = GONE;
}

static void on_checkpoint(void *arg, enum status status) {}

/* Outcomes of what is GONE are left out. */
static void checkpoint(struct house *house)
{
    struct spool_journal *journal = house->scene->journal;
    if (spool_checkpoint_begin(journal) != STATUS_OK)
        return;
    for (uint64_t id = 0; id < house->next; id++) {
        char content[32];
        snprintf(content, sizeof content, "content of %llu", (unsigned long long)id);
        if (house->messages[id].life == FINISHED)
            (void)spool_checkpoint_add(journal, SAMPLE_KIND, id, span_str(content));
    }
    spool_checkpoint_end(journal, on_checkpoint, house);
}

static void step(struct house *house)
{
    switch (random_of(house) % 8) {
    case 0: case 1: case 2: send_one(house); break;
    case 3: case 4: finish_one(house); break;
    case 5:
        if (random_of(house) % 8 == 0)
            checkpoint(house);
        else
            release_some(house);
        break;
    default: give(house); loop_turn(house->scene->loop, 0); break;
    }
}

static bool on_found(void *arg, const struct spool_found *found)
{
    struct house *house = arg;
    struct message *message = &house->messages[found->header.id];
    char expected[64];
    snprintf(expected, sizeof expected, "envelope of %llu", (unsigned long long)found->header.id);
    if (!span_eq(found->envelope, span_str(expected)) || found->header.id >= house->next)
        abort();
    message->segment = found->place.segment;
    message->kept = true; /* seen */
    house->found++;
    return true;
}

static bool scan_one(void *arg, const struct spool_segment *segment)
{
    struct house *house = arg;
    if (segment->use == SPOOL_MESSAGES) {
        house->sealed[segment->number] = true;
        assert_int_equal(spool_store_scan(house->scene->store, segment->number, 0, on_found, house), STATUS_OK);
    }
    return true;
}

static void stop(struct house *house, bool power)
{
    struct scene *scene = house->scene;
    scene->disk->dead_at = 1;
    spool_writer_free(house->writer);
    scene_drop(scene);
    if (power)
        simdisk_crash(scene->disk);
    else
        simdisk_kill(scene->disk);
    for (uint64_t id = 0; id < house->next; id++) {
        if (house->messages[id].kept)
            sample_done(&house->messages[id].sample);
        house->messages[id].kept = false;
        house->messages[id].sample.body = NULL;
    }
}

static void start(struct house *house)
{
    struct scene *scene = house->scene;
    scene->reports = 0;
    assert_true(scene_open(scene));
    memset(house->sealed, 0, sizeof house->sealed);
    memset(house->released, 0, sizeof house->released);
    spool_store_each(scene->store, scan_one, house);
    for (uint64_t id = 0; id < house->next; id++) {
        struct message *message = &house->messages[id];
        bool finished = replayed(scene, id);
        if (message->life == STORED && !message->kept && !finished)
            fail_msg("message %llu was acknowledged and is lost", (unsigned long long)id);
        if (message->life == FINISHED && message->outcome_synced && !finished && message->kept)
            fail_msg("the synced outcome of message %llu is lost", (unsigned long long)id);
        if (message->life == GONE && message->kept && !finished)
            fail_msg("message %llu has come back", (unsigned long long)id);
        if (message->life != GONE)
            message->life = finished ? FINISHED : message->kept ? STORED : NOWHERE;
        message->outcome_synced = finished;
        message->kept = false;
    }
    assert_int_equal(scene->reports, 0);
    spool_store_start(scene->store);
    struct spool_writer_settings settings = { .ops = &scene->disk->ops, .ahead = 1, .no_thread = true };
    house->wanted = 0;
    house->writer = spool_writer_new(scene->loop, &settings, &writer_events, house);
}

static void play(uint64_t seed)
{
    struct house house = { .scene = scene_new(seed), .messages = calloc(IDS, sizeof *house.messages) };
    struct spool_writer_settings settings = { .ops = &house.scene->disk->ops, .ahead = 1, .no_thread = true };
    house.scene->released = when_released;
    house.scene->user = &house;
    house.writer = spool_writer_new(house.scene->loop, &settings, &writer_events, &house);
    for (unsigned round = 0; round < ROUNDS; round++) {
        bool power = random_of(&house) % 3 != 0;
        unsigned long steps = 20 + random_of(&house) % 300;
        if (random_of(&house) % 4 == 0) { /* one error on the way */
            house.scene->disk->fail_at = house.scene->disk->steps + 1 + random_of(&house) % 40;
            house.scene->disk->fail_errno = random_of(&house) & 1 ? EIO : ENOSPC;
        }
        if (power)
            house.scene->disk->dead_at = house.scene->disk->steps + 1 + random_of(&house) % 150;
        for (unsigned long i = 0; i < steps; i++)
            step(&house);
        stop(&house, power);
        start(&house);
    }
    assert_true(house.found > 0);
    stop(&house, false);
    assert_true(scene_open(house.scene));
    free(house.messages);
    scene_free(house.scene);
}

static void nothing_acknowledged_is_lost(void **state)
{
    const char *given = getenv("SPOOL_SEED");
    if (given)
        play(strtoull(given, NULL, 10));
    for (uint64_t seed = 1; !given && seed <= 150; seed++)
        play(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(nothing_acknowledged_is_lost) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
