#include "queue/control_priv.h"
#include "queue/recover.h"
#include "queue/schedule.h"
#include <stdlib.h>

#define MESSAGES_A_TURN 100
#define LOOKS_A_TURN 5000        /* messages that the filter can refuse without the disk */
#define LIST_LIMIT 1000

static const struct work {
    const char *name, *event;    /* the event is logged for each message that is changed */
    enum queue_entry_kind entry; /* 0: nothing is kept */
    unsigned places;             /* recipients in these may be changed; bits of enum queue_place */
} works[CONTROL_OP_COUNT] = {
#define WAITING (1u << QUEUE_DUE | 1u << QUEUE_RESOLVING | 1u << QUEUE_READY)
#define HELD (1u << QUEUE_HELD)
    [CONTROL_STATUS] = { "status", NULL, 0, 0 },
    [CONTROL_LIST] = { "list", NULL, 0, 0 },
    [CONTROL_SHOW] = { "show", NULL, 0, 0 },
    [CONTROL_HOLD] = { "hold", "held", QUEUE_ENTRY_HELD, WAITING },
    [CONTROL_RELEASE] = { "release", "released", QUEUE_ENTRY_RELEASED, HELD },
    [CONTROL_RETRY] = { "retry", "retried", 0, WAITING },
    [CONTROL_DELETE] = { "delete", "deleted", QUEUE_ENTRY_DELETED, WAITING | HELD },
    [CONTROL_REROUTE] = { "reroute", "rerouted", QUEUE_ENTRY_REROUTED, WAITING | HELD },
};

static void say_error(struct control_client *client, const char *why)
{
    client_say(client, json_pack("{s:s}", "error", why));
}

/* -- reading the request -- */

static bool is_route(const char *via)
{
    static const char *const begins[] = { "smtp://", "smtps://", "lmtp://", "lmtp:/", "mx", "discard", "reject",
                                          "catch" };
    if (*via == 0)
        return true;
    for (size_t i = 0; i < ARRAY_LEN(begins); i++)
        if (strncmp(via, begins[i], strlen(begins[i])) == 0)
            return strlen(via) <= QUEUE_ROUTE_MAX;
    return false;
}

static const char *op_parse(struct control_client *client)
{
    const char *name = json_string_value(json_object_get(client->request, "op"));
    for (unsigned op = 0; name && op < CONTROL_OP_COUNT; op++)
        if (strcmp(name, works[op].name) == 0) {
            client->op = op;
            return NULL;
        }
    return "\"op\" is status, list, show, hold, release, retry, delete or reroute";
}

static const char *options_parse(struct control_client *client)
{
    json_t *request = client->request, *limit = json_object_get(request, "limit");
    client->why = json_string_value(json_object_get(request, "why"));
    client->via = json_string_value(json_object_get(request, "via"));
    client->limit = client->op == CONTROL_LIST ? LIST_LIMIT : 0;
    if (client->why && strlen(client->why) > QUEUE_WHY_MAX)
        return "\"why\" is too long";
    if (client->op == CONTROL_REROUTE && (!client->via || !is_route(client->via)))
        return "\"via\" is a route such as smtp://host:25, or \"\" for what the settings say";
    if (limit && (!json_is_integer(limit) || json_integer_value(limit) < 0))
        return "\"limit\" is a number; 0: no limit";
    if (limit)
        client->limit = (uint64_t)json_integer_value(limit);
    return NULL;
}

static int id_order(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* The messages there are now; what comes later is not looked at, what goes is skipped. */
static const char *ids_collect(struct control_client *client)
{
    struct queue *queue = &client->role->queue;
    size_t room = client->filter.ids ? client->filter.id_count : queue->messages.n;
    const char *after = json_string_value(json_object_get(client->request, "after"));
    uint64_t begin = 0;
    if (after && !id_parse(span_str(after), &begin))
        return "\"after\" is the id of a message";
    client->ids = malloc((room + 1) * sizeof *client->ids);
    if (!client->ids)
        return "out of memory";
    if (client->filter.ids) {
        memcpy(client->ids, client->filter.ids, room * sizeof *client->ids);
        client->n = room;
    } else {
        for (MAP_EACH(node, &queue->messages)) {
            uint64_t id = CONTAINER(node, struct queue_message, node)->id;
            if (id > begin)
                client->ids[client->n++] = id;
        }
        qsort(client->ids, client->n, sizeof *client->ids, id_order);
    }
    return NULL;
}

void control_begin(struct control_client *client, struct span line)
{
    const char *why = NULL;
    client->request = json_loadb(line.p, line.n, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(client->request))
        why = "a request is one JSON object on a line";
    if (!why)
        why = op_parse(client);
    if (!why)
        why = options_parse(client);
    if (!why && client->op != CONTROL_STATUS) {
        why = filter_parse(&client->filter, json_object_get(client->request, "filter"));
        if (!why)
            why = ids_collect(client);
    }
    if (!why)
        return;
    say_error(client, why);
    control_end(client);
}

void control_end(struct control_client *client)
{
    json_decref(client->request);
    filter_done(&client->filter);
    free(client->ids);
    client->request = NULL;
    client->ids = NULL;
    client->why = client->via = NULL;
    client->at = client->n = 0;
    client->shown = client->messages = client->recipients = client->busy = 0;
}

/* -- changing -- */

struct chosen {
    uint32_t *indexes;
    uint32_t n;
    uint64_t busy;
};

static bool share_choose(const struct control_client *client, struct queue_share *share,
                         const struct spool_envelope *envelope, struct chosen *chosen)
{
    bool may = works[client->op].places >> share->place & 1;
    bool busy = share->place == QUEUE_LEASED || share->place == QUEUE_REPORTING;
    bool any = false;
    if (!filter_share(&client->filter, share) || (!may && !busy))
        return false;
    const struct queue_rcpt *rcpts = queue_share_rcpts(share);
    for (uint32_t i = 0; i < share->count; i++) {
        if (!filter_recipient(&client->filter, envelope, rcpts[i].index))
            continue;
        if (busy)
            chosen->busy++;
        else
            chosen->indexes[chosen->n++] = rcpts[i].index;
        any = !busy;
    }
    return any;
}

/* Its time is now, also where its site has a pause. */
static void share_hurry(struct queue *queue, struct queue_share *share)
{
    if (share->place == QUEUE_READY && share->lane->site->paused) {
        queue_site_resume(queue, share->lane->site);
    } else if (share->place == QUEUE_DUE) {
        struct queue_site *site = share->domain->site;
        if (site && site->paused)
            queue_site_resume(queue, site);
        queue_share_go(queue, share);
    }
}

static void log_change(const struct control_client *client, const struct queue_message *message, uint32_t recipients)
{
    log_info(role_log(client->role), works[client->op].event, LOG_ID(message->id), LOG_INT("recipients", recipients),
             LOG_STR("by", client->who), LOG_STR("why", client->why ? client->why : ""),
             LOG_STR("via", client->via ? client->via : ""));
}

static void entry_make(struct control_client *client, struct queue_message *message, const struct chosen *chosen)
{
    struct queue *queue = &client->role->queue;
    struct queue_entry entry = { .kind = works[client->op].entry, .who = span_str(client->who),
                                 .why = span_str(client->why), .route = span_str(client->via),
                                 .count = chosen->n, .indexes = chosen->indexes };
    queue_journal(queue, message->id, &entry);
    if (client->op == CONTROL_DELETE)
        queue->counts.deleted += chosen->n;
    if (client->op == CONTROL_HOLD)
        queue->counts.held += chosen->n;
    queue_entry_apply(queue, message, &entry);
}

static void message_change(struct control_client *client, struct queue_message *message,
                           const struct spool_envelope *envelope)
{
    struct queue *queue = &client->role->queue;
    struct chosen chosen = { .indexes = malloc((message->living + 1) * sizeof *chosen.indexes) };
    if (!chosen.indexes)
        return;
    queue->now_ms = MAX(queue->now_ms, role_now(client->role));
    for (struct queue_share *next, *share = message->shares; share; share = next) {
        next = share->next;
        if (share_choose(client, share, envelope, &chosen) && client->op == CONTROL_RETRY)
            share_hurry(queue, share);
    }
    if (chosen.n) {
        client->messages++;
        client->recipients += chosen.n;
        log_change(client, message, chosen.n);
        if (works[client->op].entry)
            entry_make(client, message, &chosen);
    }
    client->busy += chosen.busy;
    free(chosen.indexes);
}

/* -- one message after the other -- */

static bool any_recipient(const struct control_client *client, const struct queue_message *message,
                          const struct spool_envelope *envelope)
{
    for (struct queue_share *share = message->shares; share; share = share->next) {
        const struct queue_rcpt *rcpts = queue_share_rcpts(share);
        if (!filter_share(&client->filter, share))
            continue;
        for (uint32_t i = 0; i < share->count; i++)
            if (filter_recipient(&client->filter, envelope, rcpts[i].index))
                return true;
    }
    return false;
}

/* True: the record had to be read. */
static bool message_do(struct control_client *client, struct queue_message *message)
{
    bool telling = client->op == CONTROL_LIST || client->op == CONTROL_SHOW;
    if (!filter_message(&client->filter, message, role_now(client->role)))
        return false;
    bool read = telling || filter_needs_record(&client->filter);
    AUTO(buf_done) struct buf octets = BUF_EMPTY((size_t)64 << 20);
    struct spool_message record;
    bool good = read && disk_read(client->role, message, &octets, &record, NULL) == STATUS_OK;
    const struct spool_envelope *envelope = good ? &record.envelope : NULL;
    if (!filter_sender(&client->filter, envelope) || !any_recipient(client, message, envelope))
        return read;
    if (!telling) {
        message_change(client, message, envelope);
        return read;
    }
    client->shown++;
    json_t *told = control_message(client->role, message, &client->filter, good ? &record : NULL,
                                   client->op == CONTROL_SHOW ? 10000 : CONTROL_LIST_RECIPIENTS);
    client_say(client, json_pack("{s:o}", "message", told));
    return read;
}

static void say_end(struct control_client *client)
{
    if (client->op == CONTROL_LIST || client->op == CONTROL_SHOW)
        client_say(client, json_pack("{s:b,s:I,s:b}", "done", 1, "shown", (json_int_t)client->shown, "more",
                                     client->at < client->n));
    else
        client_say(client, json_pack("{s:b,s:I,s:I,s:I}", "done", 1, "messages", (json_int_t)client->messages,
                                     "recipients", (json_int_t)client->recipients, "busy", (json_int_t)client->busy));
}

bool control_step(struct control_client *client)
{
    if (client->op == CONTROL_STATUS) {
        client_say(client, control_status(client->role));
        return false;
    }
    unsigned read = 0;
    for (unsigned looks = 0; looks < LOOKS_A_TURN && read < MESSAGES_A_TURN; looks++) {
        if (client->at >= client->n || (client->limit && client->shown + client->messages >= client->limit)) {
            say_end(client);
            queue_pump(&client->role->queue);
            return false;
        }
        struct queue_message *message = queue_message_find(&client->role->queue, client->ids[client->at++]);
        if (message)
            read += message_do(client, message);
    }
    return true;
}
