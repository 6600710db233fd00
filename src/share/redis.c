#include "share/redis.h"
#include "base/time.h"
#include <endian.h>
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/random.h>

#define KEEP_MS (INT64_C(33) * TIME_DAY_MS) /* longer than any limit */
#define NEWS_KEEP_MS 30000
#define NEWS_AT_ONCE 64
#define ID_MAX 64
#define TIME_OCTETS 8 /* in front of a value */

struct share_redis {
    redisContext *context;
    struct buf machine, key; /* key: of our hash */
    char id[ID_MAX];         /* of the last news seen */
    char instance[17];
    int64_t now_ms;          /* of Redis' clock, at the beginning of the exchange */
};

static bool failed(const struct share_redis *redis, const char *doing, struct buf *why)
{
    buf_printf(why, "%s: %s", doing, redis->context->err ? redis->context->errstr : "an answer of another kind");
    return false;
}

static void reply_free(redisReply **reply)
{
    if (*reply)
        freeReplyObject(*reply);
}

/* One answer; NULL: none, or an error, and `why` says it. */
static redisReply *answer(struct share_redis *redis, const char *doing, struct buf *why)
{
    void *reply = NULL;
    if (redisGetReply(redis->context, &reply) != REDIS_OK || !reply) {
        failed(redis, doing, why);
        return NULL;
    }
    redisReply *got = reply;
    if (got->type != REDIS_REPLY_ERROR)
        return got;
    buf_printf(why, "%s: Redis says %.*s", doing, (int)MIN(got->len, (size_t)200), got->str);
    freeReplyObject(got);
    return NULL;
}

static redisReply *ask(struct share_redis *redis, const char *doing, struct buf *why, int argc, const char *const *argv, const size_t *lengths)
{
    if (redisAppendCommandArgv(redis->context, argc, (const char **)(uintptr_t)argv, lengths) != REDIS_OK) {
        failed(redis, doing, why);
        return NULL;
    }
    return answer(redis, doing, why);
}

static redisReply *ask_words(struct share_redis *redis, const char *doing, struct buf *why, int argc, const char *const *argv)
{
    size_t lengths[16];
    for (int i = 0; i < argc; i++)
        lengths[i] = strlen(argv[i]);
    return ask(redis, doing, why, argc, argv, lengths);
}

static struct span text_of(const redisReply *reply)
{
    bool is_text = reply && (reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS);
    return is_text ? span_of(reply->str, reply->len) : SPAN_NONE;
}

static const redisReply *item(const redisReply *reply, size_t i)
{
    return reply && reply->type == REDIS_REPLY_ARRAY && i < reply->elements ? reply->element[i] : NULL;
}

static bool log_in(struct share_redis *redis, struct share_place *place, struct buf *why)
{
    const char *auth[] = { "AUTH", buf_cstr(&place->user), buf_cstr(&place->password) };
    const char *old[] = { "AUTH", buf_cstr(&place->password) };
    char number[12];
    snprintf(number, sizeof number, "%u", place->number);
    const char *select[] = { "SELECT", number };
    if (place->password.n) {
        AUTO(reply_free) redisReply *reply = ask_words(redis, "logging in", why, place->user.n ? 3 : 2, place->user.n ? auth : old);
        if (!reply)
            return false;
    }
    AUTO(reply_free) redisReply *reply = ask_words(redis, "choosing the database", why, 2, select);
    return reply != NULL;
}

struct share_redis *share_redis_new(struct share_place *place, const char *address, struct span machine, struct buf *why)
{
    struct timeval patience = { SHARE_PATIENCE_MS / 1000, SHARE_PATIENCE_MS % 1000 * 1000 };
    struct share_redis *redis = calloc(1, sizeof *redis);
    uint64_t instance = 0;
    if (!redis || getrandom(&instance, sizeof instance, 0) != sizeof instance) {
        free(redis);
        return NULL;
    }
    redis->machine = redis->key = BUF_EMPTY(256);
    buf_add(&redis->machine, machine);
    buf_printf(&redis->key, "goniec:limits:%.*s", SPAN_ARGS(machine));
    snprintf(redis->instance, sizeof redis->instance, "%016" PRIx64, instance);
    redis->context = place->path.n ? redisConnectUnixWithTimeout(buf_cstr(&place->path), patience)
                                   : redisConnectWithTimeout(address, (int)place->port, patience);
    bool good = redis->context && !redis->context->err && redisSetTimeout(redis->context, patience) == REDIS_OK;
    if (!good)
        buf_printf(why, "connecting: %s", redis->context ? redis->context->errstr : "out of memory");
    if (good && log_in(redis, place, why))
        return redis;
    share_redis_free(redis);
    return NULL;
}

void share_redis_free(struct share_redis *redis)
{
    if (!redis)
        return;
    if (redis->context)
        redisFree(redis->context);
    buf_done(&redis->machine);
    buf_done(&redis->key);
    free(redis);
}

static int64_t number_of(struct span text)
{
    int64_t value = 0;
    for (size_t i = 0; i < text.n && text.p[i] >= '0' && text.p[i] <= '9' && value < INT64_MAX / 100; i++)
        value = value * 10 + (text.p[i] - '0');
    return value;
}

/* One clock for all machines. */
static bool take_time(struct share_redis *redis, struct buf *why)
{
    const char *words[] = { "TIME" };
    AUTO(reply_free) redisReply *reply = ask_words(redis, "asking the time", why, 1, words);
    if (!reply)
        return false;
    redis->now_ms = number_of(text_of(item(reply, 0))) * 1000 + number_of(text_of(item(reply, 1))) / 1000;
    return redis->now_ms > 0 || failed(redis, "asking the time", why);
}

/* -- what the others have told before -- */

static void take_field(struct share_redis *redis, struct span key, struct span value, struct buf *entries, uint32_t *count, int64_t *told_ms)
{
    uint64_t at = 0;
    if (value.n < TIME_OCTETS || key.n == 0 || key.n > WIRE_SHARE_KEY_MAX || value.n > TIME_OCTETS + WIRE_SHARE_VALUE_MAX)
        return;
    memcpy(&at, value.p, sizeof at);
    *told_ms = (int64_t)MIN(le64toh(at), (uint64_t)redis->now_ms);
    buf_clear(entries);
    share_node_put(entries, &(struct share_node){ key, span_from(value, TIME_OCTETS) });
    *count = entries->failed ? 0 : 1;
}

static bool scan_machine(struct share_redis *redis, struct span machine, share_on_news *on_news, void *arg, struct buf *why)
{
    AUTO(buf_done) struct buf key = BUF_EMPTY(256), entries = BUF_EMPTY(WIRE_SHARE_VALUE_MAX + 2048);
    char cursor[32] = "0";
    buf_printf(&key, "goniec:limits:%.*s", SPAN_ARGS(machine));
    do {
        const char *words[] = { "HSCAN", buf_cstr(&key), cursor, "COUNT", "500" };
        AUTO(reply_free) redisReply *reply = ask_words(redis, "reading what others counted", why, 5, words);
        const redisReply *fields = item(reply, 1);
        if (!reply)
            return false;
        snprintf(cursor, sizeof cursor, "%" PRId64, number_of(text_of(item(reply, 0))));
        for (size_t i = 0; item(fields, i + 1); i += 2) {
            uint32_t count = 0;
            int64_t told_ms = 0;
            take_field(redis, text_of(item(fields, i)), text_of(item(fields, i + 1)), &entries, &count, &told_ms);
            if (count)
                on_news(arg, machine, redis->now_ms - told_ms, count, buf_span(&entries));
        }
    } while (strcmp(cursor, "0") != 0);
    return true;
}

static bool scan_all(struct share_redis *redis, share_on_news *on_news, void *arg, struct buf *why)
{
    char since[32];
    snprintf(since, sizeof since, "%" PRId64, redis->now_ms - KEEP_MS);
    const char *old[] = { "ZREMRANGEBYSCORE", "goniec:machines", "-inf", since };
    const char *words[] = { "ZRANGEBYSCORE", "goniec:machines", since, "+inf" };
    AUTO(reply_free) redisReply *gone = ask_words(redis, "forgetting old machines", why, 4, old);
    AUTO(reply_free) redisReply *reply = gone ? ask_words(redis, "asking for machines", why, 4, words) : NULL;
    if (!reply)
        return false;
    for (size_t i = 0; item(reply, i); i++) {
        struct span machine = text_of(item(reply, i));
        if (share_machine_is_good(machine) && !span_eq(machine, buf_span(&redis->machine)) && !scan_machine(redis, machine, on_news, arg, why))
            return false;
    }
    return true;
}

static void keep_id(struct share_redis *redis, struct span id)
{
    if (id.n && id.n < ID_MAX)
        snprintf(redis->id, sizeof redis->id, "%.*s", SPAN_ARGS(id));
}

bool share_redis_begin(struct share_redis *redis, share_on_news *on_news, void *arg, struct buf *why)
{
    const char *last[] = { "XREVRANGE", "goniec:news", "+", "-", "COUNT", "1" };
    const char *forget[] = { "DEL", buf_cstr(&redis->key) };
    snprintf(redis->id, sizeof redis->id, "0-0");
    if (!take_time(redis, why))
        return false;
    AUTO(reply_free) redisReply *reply = ask_words(redis, "asking for news", why, 6, last);
    if (!reply)
        return false;
    keep_id(redis, text_of(item(item(reply, 0), 0)));
    AUTO(reply_free) redisReply *gone = ask_words(redis, "forgetting what we told", why, 2, forget);
    return gone && scan_all(redis, on_news, arg, why);
}

/* -- telling -- */

/* HSET, with all nodes as fields. */
static bool append_nodes(struct share_redis *redis, uint32_t count, struct span entries)
{
    size_t words = 2 + 2 * (size_t)count, used = 0;
    const char **argv = calloc(words, sizeof *argv);
    size_t *lengths = calloc(words, sizeof *lengths);
    AUTO(buf_done) struct buf values = BUF_EMPTY(entries.n + TIME_OCTETS * (size_t)count + 1);
    struct wire_reader reader = wire_read(entries);
    struct share_node node;
    uint64_t at = htole64((uint64_t)redis->now_ms);
    bool good = argv && lengths && buf_reserve(&values, values.most) == STATUS_OK;
    if (good) {
        argv[0] = "HSET", lengths[0] = 4;
        argv[1] = buf_cstr(&redis->key), lengths[1] = redis->key.n;
        used = 2;
    }
    for (uint32_t i = 0; good && i < count; i++) {
        size_t begin = values.n;
        good = share_node_get(&reader, &node) && buf_add(&values, span_of(&at, sizeof at)) == STATUS_OK && buf_add(&values, node.value) == STATUS_OK;
        argv[used] = node.key.p, lengths[used++] = node.key.n;
        argv[used] = values.p + begin, lengths[used++] = values.n - begin;
    }
    good = good && redisAppendCommandArgv(redis->context, (int)used, argv, lengths) == REDIS_OK;
    free(argv);
    free(lengths);
    return good;
}

static bool append_news(struct share_redis *redis, uint32_t count, struct span entries)
{
    char since[32], number[16], now[32], keep[32];
    snprintf(since, sizeof since, "%" PRId64, redis->now_ms - NEWS_KEEP_MS);
    snprintf(now, sizeof now, "%" PRId64, redis->now_ms);
    snprintf(number, sizeof number, "%u", count);
    snprintf(keep, sizeof keep, "%" PRId64, KEEP_MS);
    const char *news[] = { "XADD", "goniec:news", "MINID", "~", since, "*", "machine", buf_cstr(&redis->machine), "instance", redis->instance,
                           "time", now, "count", number, "nodes", entries.p };
    size_t lengths[ARRAY_LEN(news)];
    for (size_t i = 0; i < ARRAY_LEN(news) - 1; i++)
        lengths[i] = strlen(news[i]);
    lengths[ARRAY_LEN(news) - 1] = entries.n;
    return redisAppendCommandArgv(redis->context, ARRAY_LEN(news), news, lengths) == REDIS_OK &&
           redisAppendCommand(redis->context, "ZADD goniec:machines %s %s", now, buf_cstr(&redis->machine)) == REDIS_OK &&
           redisAppendCommand(redis->context, "PEXPIRE %s %s", buf_cstr(&redis->key), keep) == REDIS_OK;
}

bool share_redis_tell(struct share_redis *redis, uint32_t count, struct span entries, struct buf *why)
{
    if (count == 0)
        return true;
    if (!take_time(redis, why))
        return false;
    if (!append_nodes(redis, count, entries) || !append_news(redis, count, entries))
        return failed(redis, "telling what was counted", why);
    for (int i = 0; i < 4; i++) {
        AUTO(reply_free) redisReply *reply = answer(redis, "telling what was counted", why);
        if (!reply)
            return false;
    }
    return true;
}

/* -- news -- */

static struct span field_of(const redisReply *fields, const char *name)
{
    for (size_t i = 0; item(fields, i + 1); i += 2)
        if (span_eq(text_of(item(fields, i)), span_str(name)))
            return text_of(item(fields, i + 1));
    return SPAN_NONE;
}

static void take_news(struct share_redis *redis, const redisReply *entry, share_on_news *on_news, void *arg, bool *twin)
{
    const redisReply *fields = item(entry, 1);
    struct span machine = field_of(fields, "machine");
    int64_t told_ms = number_of(field_of(fields, "time")), count = number_of(field_of(fields, "count"));
    keep_id(redis, text_of(item(entry, 0)));
    if (span_eq(machine, buf_span(&redis->machine)))
        *twin |= !span_eq(field_of(fields, "instance"), span_str(redis->instance));
    else if (share_machine_is_good(machine) && count <= WIRE_SHARE_NODES_MAX)
        on_news(arg, machine, MAX(redis->now_ms - told_ms, 0), (uint32_t)count, field_of(fields, "nodes"));
}

bool share_redis_news(struct share_redis *redis, share_on_news *on_news, void *arg, bool *ret_twin, struct buf *why)
{
    char at_once[12];
    size_t n;
    snprintf(at_once, sizeof at_once, "%d", NEWS_AT_ONCE);
    *ret_twin = false;
    if (!take_time(redis, why))
        return false;
    do {
        const char *words[] = { "XREAD", "COUNT", at_once, "STREAMS", "goniec:news", redis->id };
        AUTO(reply_free) redisReply *reply = ask_words(redis, "asking for news", why, 6, words);
        const redisReply *entries = item(item(reply, 0), 1);
        if (!reply)
            return false;
        for (n = 0; item(entries, n); n++)
            take_news(redis, item(entries, n), on_news, arg, ret_twin);
    } while (n == NEWS_AT_ONCE);
    return true;
}
