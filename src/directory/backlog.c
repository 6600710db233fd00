#include "directory/backlog.h"
#include "base/hash.h"
#include "base/time.h"
#include "directory/accounts_priv.h"
#include "directory/service_priv.h"
#include "directory/suspended.h"
#include "directory/verifiers.h"
#include <stdlib.h>

#define LOOK_MS TIME_SECOND_MS
#define LEVELS_MAX 2000000 /* accounts of which something waits; a queue that tells of more is not ours */

struct level {
    struct map_node node;
    uint32_t octets;     /* of the name */
    char name[];
};

struct directory_backlog {
    struct directory_service *service;
    directory_answer *answer;
    void *arg;
    struct map levels;   /* struct level: those of which something waits */
    struct loop_timer look;
    struct accounts *looked; /* of which generation is */
    int64_t generation;
    bool told;           /* a list, */
    uint64_t told_hash;  /* this one */
};

/* -- levels -- */

void directory_service_on_level(struct directory_service *service, directory_on_level *on_level, void *arg)
{
    service->on_level = on_level;
    service->on_level_arg = arg;
}

static void pass_on(struct directory_service *service, const struct backlog_level *level)
{
    if (service->on_level)
        service->on_level(service->on_level_arg, level->account, level->messages, level->octets, level->failures);
}

static bool level_is(const struct map_node *node, const void *key)
{
    const struct level *level = CONTAINER(node, const struct level, node);
    return span_eq(span_of(level->name, level->octets), *(const struct span *)key);
}

static void level_free(struct directory_backlog *backlog, struct level *level)
{
    map_remove(&backlog->levels, &level->node);
    free(level);
}

static enum status level_keep(struct directory_backlog *backlog, struct span account, uint64_t hash)
{
    struct level *level = backlog->levels.n < LEVELS_MAX ? calloc(1, sizeof *level + account.n) : NULL;
    if (!level)
        return STATUS_MEMORY;
    level->octets = (uint32_t)account.n;
    memcpy(level->name, account.p, account.n);
    enum status status = map_add(&backlog->levels, &level->node, hash);
    if (status != STATUS_OK)
        free(level);
    return status;
}

static enum status take_level(struct directory_backlog *backlog, const struct backlog_level *level)
{
    uint64_t hash = hash_bytes(level->account);
    struct map_node *node = map_find(&backlog->levels, hash, level_is, &level->account);
    enum status status = STATUS_OK;
    if (!node && level->messages)
        status = level_keep(backlog, level->account, hash);
    else if (node && !level->messages)
        level_free(backlog, CONTAINER(node, struct level, node));
    pass_on(backlog->service, level);
    return status;
}

enum status directory_backlog_feed(struct directory_backlog *backlog, uint16_t kind, struct span body)
{
    struct backlog_levels levels;
    struct backlog_level level;
    if (kind != BACKLOG_LEVELS || !backlog_levels_get(body, &levels))
        return STATUS_SYNTAX;
    struct wire_reader reader = wire_read(levels.entries);
    for (uint32_t i = 0; i < levels.count; i++) {
        if (!backlog_level_get(&reader, &level))
            return STATUS_SYNTAX;
        enum status status = take_level(backlog, &level);
        if (status != STATUS_OK)
            return status;
    }
    return wire_end(&reader) ? STATUS_OK : STATUS_SYNTAX;
}

/* -- whose mail stays -- */

static void tell(struct directory_backlog *backlog, uint8_t which, uint32_t count, struct span entries)
{
    AUTO(buf_done) struct buf body = BUF_EMPTY(CHANNEL_BODY_MAX);
    backlog_stay_put(&body, &(struct backlog_stay){ which, count, entries });
    if (!body.failed)
        backlog->answer(backlog->arg, BACKLOG_STAY, buf_span(&body));
}

/* In pieces; `list` is packed. */
static void tell_list(struct directory_backlog *backlog, struct span list)
{
    uint8_t first = BACKLOG_STAY_FIRST;
    struct wire_reader reader = wire_read(list);
    do {
        struct span begun = reader.left;
        struct backlog_stayer one;
        uint32_t count = 0;
        while (reader.left.n && count < WIRE_BACKLOG_MAX && backlog_stayer_get(&reader, &one))
            count++;
        tell(backlog, (uint8_t)(first | (reader.left.n ? 0 : BACKLOG_STAY_LAST)), count, span_head(begun, begun.n - reader.left.n));
        first = 0;
    } while (reader.left.n);
}

static void look(struct directory_backlog *backlog)
{
    enum status status;
    int64_t generation = 0;
    struct accounts *accounts = service_accounts(backlog->service, &status);
    if (!accounts && status != STATUS_NOT_FOUND)
        return; /* what was said holds */
    if (accounts && verifiers_generation(accounts, &generation) != STATUS_OK)
        return;
    if (backlog->told && accounts == backlog->looked && generation == backlog->generation)
        return;
    AUTO(buf_done) struct buf list = BUF_EMPTY((size_t)1 << 30);
    if (accounts && suspended_list(accounts, &list) != STATUS_OK)
        return;
    uint64_t hash = hash_bytes(buf_span(&list));
    if (!backlog->told || hash != backlog->told_hash)
        tell_list(backlog, buf_span(&list));
    backlog->told = true;
    backlog->told_hash = hash;
    backlog->looked = accounts;
    backlog->generation = generation;
}

static void on_look(struct loop_timer *timer)
{
    look(CONTAINER(timer, struct directory_backlog, look));
    loop_timer_set(timer, LOOK_MS);
}

bool directory_backlog_notice(struct directory_service *service, struct span to, struct span subject, struct span text)
{
    AUTO(buf_done) struct buf body = BUF_EMPTY(WIRE_NOTICE_TEXT_MAX + WIRE_NOTICE_SUBJECT_MAX + WIRE_BACKLOG_NAME_MAX + 64);
    struct directory_backlog *backlog = service->backlog;
    if (!backlog || subject.n > WIRE_NOTICE_SUBJECT_MAX || text.n > WIRE_NOTICE_TEXT_MAX || to.n > WIRE_BACKLOG_NAME_MAX)
        return false;
    backlog_notice_put(&body, &(struct backlog_notice){ to, subject, text });
    if (!body.failed)
        backlog->answer(backlog->arg, BACKLOG_NOTICE, buf_span(&body));
    return !body.failed;
}

/* -- coming and going -- */

struct directory_backlog *directory_backlog_new(struct directory_service *service, directory_answer *answer, void *arg)
{
    struct directory_backlog *backlog = calloc(1, sizeof *backlog);
    if (!backlog)
        return NULL;
    *backlog = (struct directory_backlog){ .service = service, .answer = answer, .arg = arg, .levels = MAP_EMPTY };
    service->backlog = backlog;
    loop_timer_init(service->loop, &backlog->look, on_look);
    on_look(&backlog->look);
    return backlog;
}

void directory_backlog_free(struct directory_backlog *backlog)
{
    if (!backlog)
        return;
    for (MAP_EACH(node, &backlog->levels)) {
        struct level *level = CONTAINER(node, struct level, node);
        pass_on(backlog->service, &(struct backlog_level){ .account = span_of(level->name, level->octets) });
        level_free(backlog, level);
    }
    map_done(&backlog->levels);
    if (backlog->service->backlog == backlog)
        backlog->service->backlog = NULL;
    loop_timer_stop(&backlog->look);
    free(backlog);
}
