#include "base/mutant.h"
#include "queue/control_priv.h"
#include "queue/recover.h"
#include "queue/schedule.h"
#include <stdio.h>
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
#define STAYS (1u << QUEUE_SUSPENDED)
    [CONTROL_STATUS] = { "status", NULL, 0, 0 },
    [CONTROL_LIST] = { "list", NULL, 0, 0 },
    [CONTROL_SHOW] = { "show", NULL, 0, 0 },
    [CONTROL_HOLD] = { "hold", "held", QUEUE_ENTRY_HELD, WAITING | STAYS },
    [CONTROL_RELEASE] = { "release", "released", QUEUE_ENTRY_RELEASED, HELD },
    [CONTROL_RETRY] = { "retry", "retried", 0, WAITING },
    [CONTROL_DELETE] = { "delete", "deleted", QUEUE_ENTRY_DELETED, WAITING | HELD | STAYS },
    [CONTROL_REROUTE] = { "reroute", "rerouted", QUEUE_ENTRY_REROUTED, WAITING | HELD | STAYS },
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

/* The messages there are now; what comes later is not looked at, what goes is skipped. */
static const char *choice_parse(struct control_client *client)
{
    const char *text = json_string_value(json_object_get(client->request, "after"));
    uint64_t after = 0;
    if (text && !id_parse(span_str(text), &after))
        return "\"after\" is the id of a message";
    choice_begin(&client->choice, &client->role->queue, &client->filter, after, client->limit, role_now(client->role));
    return NULL;
}

void control_begin(struct control_client *client, struct span line)
{
    const char *why = NULL;
    json_error_t wrong = { 0 };
    client->request = json_loadb(line.p, line.n, JSON_REJECT_DUPLICATES, &wrong);
    if (!client->request && (json_error_code(&wrong) == json_error_out_of_memory || !wrong.text[0]))
        why = "out of memory"; /* the reader says nothing where it has none */
    else if (!json_is_object(client->request))
        why = "a request is one JSON object on a line";
    if (!why)
        why = op_parse(client);
    if (!why)
        why = options_parse(client);
    if (!why && client->op != CONTROL_STATUS) {
        why = filter_parse(&client->filter, json_object_get(client->request, "filter"));
        if (!why)
            why = choice_parse(client);
    }
    if (!why)
        return;
    say_error(client, why);
    control_end(client);
}

void control_end(struct control_client *client)
{
    if (client->kept == CONTROL_KEPT_SOON)
        spool_journal_sync_cancel(client->role->journal, &client->sync);
    client->kept = CONTROL_KEPT_UNASKED;
    json_decref(client->request);
    filter_done(&client->filter);
    choice_done(&client->choice);
    client->request = NULL;
    client->why = client->via = NULL;
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
    if (!MUTANT(DELETE_NOT_WRITTEN) || client->op != CONTROL_DELETE)
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

/* -- the journal has it -- */

static void on_synced(struct spool_sync *sync)
{
    struct control_client *client = CONTAINER(sync, struct control_client, sync);
    client->kept = CONTROL_KEPT;
    loop_later(&client->step);
}

void control_not_kept(struct control_client *client)
{
    if (client->kept != CONTROL_KEPT_SOON)
        return;
    spool_journal_sync_cancel(client->role->journal, &client->sync);
    client->kept = CONTROL_KEPT_NOT;
    loop_later(&client->step);
}

/* All that the request changed is waited for at once, so that it costs one sync. */
static void keep(struct control_client *client)
{
    client->kept = CONTROL_KEPT_SOON;
    client->sync = (struct spool_sync){ .on_done = on_synced };
    spool_journal_sync(client->role->journal, &client->sync);
    if (spool_journal_trouble(client->role->journal) != STATUS_OK)
        control_not_kept(client);
}

static void say_not_kept(struct control_client *client)
{
    char text[300];
    snprintf(text, sizeof text, "%s: done for %llu recipients, but the journal cannot be written (%s): a restart may undo it "
             "until the log says journal-works-again", works[client->op].name, (unsigned long long)client->recipients,
             status_text(spool_journal_trouble(client->role->journal)));
    say_error(client, text);
}

void control_stopping(struct control_client *client)
{
    char text[200];
    if (!client->recipients) {
        say_error(client, "the queue is stopping: ask again when it is back");
        return;
    }
    snprintf(text, sizeof text, "%s: done for %llu recipients, but the queue is stopping and may not have kept it: look when it "
             "is back", works[client->op].name, (unsigned long long)client->recipients);
    say_error(client, text);
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

/* True: it was work: a record was read, or the message told or changed. */
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
        return true;
    if (!telling) {
        message_change(client, message, envelope);
        return true;
    }
    client->shown++;
    json_t *told = control_message(client->role, message, &client->filter, good ? &record : NULL,
                                   client->op == CONTROL_SHOW ? 10000 : CONTROL_LIST_RECIPIENTS);
    client_say(client, json_pack("{s:o}", "message", told));
    return true;
}

static void say_end(struct control_client *client, bool more)
{
    if (client->kept == CONTROL_KEPT_NOT)
        say_not_kept(client);
    else if (client->op == CONTROL_LIST || client->op == CONTROL_SHOW)
        client_say(client, json_pack("{s:b,s:I,s:b}", "done", 1, "shown", (json_int_t)client->shown, "more",
                                     more));
    else
        client_say(client, json_pack("{s:b,s:I,s:I,s:I}", "done", 1, "messages", (json_int_t)client->messages,
                                     "recipients", (json_int_t)client->recipients, "busy", (json_int_t)client->busy));
}

/* Nothing more is to be looked at. False: all is said. */
static bool finish(struct control_client *client, enum status status)
{
    queue_pump(&client->role->queue);
    if (status == STATUS_MEMORY) {
        say_error(client, "out of memory");
        return false;
    }
    if (works[client->op].entry && client->messages) {
        keep(client);
        return true;
    }
    say_end(client, status == STATUS_OK);
    return false;
}

bool control_step(struct control_client *client)
{
    if (client->kept != CONTROL_KEPT_UNASKED) {
        say_end(client, false);
        return false;
    }
    if (client->op == CONTROL_STATUS) {
        client_say(client, control_status(client->role, json_string_value(json_object_get(client->request, "account"))));
        return false;
    }
    for (unsigned looks = 0, work = 0; looks < LOOKS_A_TURN && work < MESSAGES_A_TURN; looks++) {
        uint64_t id;
        enum status status = choice_next(&client->choice, &id);
        bool enough = client->limit && client->shown + client->messages >= client->limit;
        if (status == STATUS_AGAIN)
            break;
        if (status != STATUS_OK || enough)
            return finish(client, status);
        struct queue_message *message = queue_message_find(&client->role->queue, id);
        if (message)
            work += message_do(client, message);
    }
    if (works[client->op].places)
        queue_pump(&client->role->queue);
    return true;
}
