#include "queue/accounts.h"
#include "queue/control_priv.h"
#include <stdlib.h>

#define SITES_SHOWN 20
#define SENDERS_SHOWN 20

/* Other people's octets: what is not UTF-8 is shown as question marks. */
static json_t *text_of(struct span text)
{
    json_t *json = json_stringn(text.p ? text.p : "", text.n);
    if (json)
        return json;
    AUTO(buf_done) struct buf copy = BUF_EMPTY(text.n + 1);
    for (size_t i = 0; i < text.n; i++)
        buf_add_char(&copy, (unsigned char)text.p[i] < 128 && text.p[i] ? text.p[i] : '?');
    return json_stringn(copy.p ? copy.p : "", copy.n);
}

static void set_text(json_t *object, const char *name, struct span text)
{
    if (text.n)
        json_object_set_new(object, name, text_of(text));
}

static void set_number(json_t *object, const char *name, uint64_t number)
{
    json_object_set_new(object, name, json_integer((json_int_t)number));
}

static void set_time(json_t *object, const char *name, int64_t wall_ms)
{
    char text[TIME_TEXT_SIZE];
    json_object_set_new(object, name, json_string(time_iso(wall_ms, text)));
}

/* -- a message -- */

static void tell_words(json_t *object, const struct queue_reason *reason)
{
    struct queue_words words = queue_reason_words(reason);
    if (words.code)
        set_number(object, "code", words.code);
    if (words.enhanced[0])
        json_object_set_new(object, "status", json_sprintf("%u.%u.%u", words.enhanced[0], words.enhanced[1],
                                                           words.enhanced[2]));
    set_text(object, "text", words.text);
    set_text(object, "host", words.host.n ? words.host : words.address);
}

static int64_t next_of(struct queue_role *role, const struct queue_share *share)
{
    if (share->place == QUEUE_READY && share->lane->site->paused)
        return share->lane->site->resume.due;
    return share->place == QUEUE_DUE ? share->retry_ms : role_now(role);
}

/* As a person sees it: whatever it waits for, it waits; ready is what only its turn is missing for. */
static enum queue_place state_of(const struct queue_share *share)
{
    bool waits = share->place == QUEUE_RESOLVING || (share->place == QUEUE_READY && share->lane->site->paused);
    return waits ? QUEUE_DUE : share->place;
}

static json_t *recipient(struct queue_role *role, const struct queue_share *share, const struct queue_rcpt *rcpt,
                         const struct spool_message *record)
{
    json_t *object = json_object();
    if (record && rcpt->index < record->envelope.recipient_count)
        set_text(object, "address", spool_envelope_recipient(&record->envelope, rcpt->index).address);
    json_object_set_new(object, "state", json_string(queue_place_name(state_of(share))));
    set_text(object, "domain", queue_domain_name(share->domain));
    set_text(object, "route", queue_domain_route(share->domain));
    set_number(object, "attempts", share->tries);
    if (share->place == QUEUE_DUE || share->place == QUEUE_READY)
        set_time(object, "next", next_of(role, share));
    if (share->domain->site)
        set_text(object, "site", queue_site_key(share->domain->site));
    tell_words(object, share->last ? share->last
                       : share->place == QUEUE_READY ? share->lane->site->last : NULL);
    if (share->place == QUEUE_HELD && (share->flags & QUEUE_SHARE_HELD)) {
        struct queue_words held = queue_reason_words(share->held);
        set_text(object, "held_by", held.host);
        set_text(object, "why", held.text);
    }
    if (share->place == QUEUE_DUE && (share->flags & QUEUE_SHARE_LATE))
        set_text(object, "why", SPAN("a limit of the sender has no room before"));
    const struct queue_stayer *stayer = share->message->account->stays
                                            ? queue_stayer_find(&role->queue, queue_account_name(share->message->account))
                                            : NULL;
    if (stayer)
        set_text(object, "why", queue_stayer_why(stayer));
    return object;
}

static json_t *recipients(struct queue_role *role, const struct queue_message *message, const struct filter *filter,
                          const struct spool_message *record, size_t most, bool *ret_more)
{
    json_t *array = json_array();
    for (struct queue_share *share = message->shares; share; share = share->next) {
        if (!filter_share(filter, share))
            continue;
        const struct queue_rcpt *rcpts = queue_share_rcpts(share);
        for (uint32_t i = 0; i < share->count; i++) {
            if (!filter_recipient(filter, record ? &record->envelope : NULL, rcpts[i].index))
                continue;
            if (json_array_size(array) >= most) {
                *ret_more = true;
                return array;
            }
            json_array_append_new(array, recipient(role, share, &rcpts[i], record));
        }
    }
    return array;
}

json_t *control_message(struct queue_role *role, const struct queue_message *message, const struct filter *filter,
                        const struct spool_message *record, size_t recipients_most)
{
    char id[ID_TEXT_SIZE];
    bool more = false;
    json_t *object = json_object();
    int64_t accepted = id_time_wall_ms(message->id);
    json_object_set_new(object, "id", json_string(id_text(message->id, id)));
    set_time(object, "accepted", accepted);
    json_object_set_new(object, "age_s", json_integer(MAX(role_now(role) - accepted, 0) / TIME_SECOND_MS));
    json_object_set_new(object, "account", text_of(queue_account_name(message->account)));
    if (record) {
        json_object_set_new(object, "sender", text_of(record->envelope.sender));
        set_number(object, "octets", record->octets);
    } else {
        json_object_set_new(object, "error", json_string("its record cannot be read"));
    }
    set_number(object, "recipient_count", message->living);
    json_object_set_new(object, "recipients", recipients(role, message, filter, record, recipients_most, &more));
    if (more)
        json_object_set_new(object, "more", json_true());
    return object;
}

/* -- the whole -- */

static json_t *tell_queue(const struct queue *queue)
{
    json_t *object = json_object(), *states = json_object();
    set_number(object, "messages", queue->messages.n);
    set_number(object, "recipients", queue->recipients);
    for (unsigned place = 0; place < QUEUE_PLACE_COUNT; place++)
        set_number(states, queue_place_name(place), queue->by_place[place]);
    json_object_set_new(object, "states", states);
    set_number(object, "accounts", queue->accounts.n);
    set_number(object, "domains", queue->domains.n);
    set_number(object, "sites", queue->sites.n);
    uint64_t oldest = UINT64_MAX, octets = 0;
    for (const struct map_node *node = map_first(&queue->segments); node; node = map_next(&queue->segments, node)) {
        const struct queue_log_segment *segment = CONTAINER(node, const struct queue_log_segment, node);
        octets += segment->living_octets;
        if (!list_is_empty(&segment->messages))
            oldest = MIN(oldest, CONTAINER(segment->messages.next, struct queue_message, in_segment)->id);
    }
    set_number(object, "octets", octets);
    if (oldest != UINT64_MAX)
        set_time(object, "oldest", id_time_wall_ms(oldest));
    return object;
}

static json_t *tell_counts(const struct queue_counts *counts)
{
    json_t *object = json_object();
    const struct { const char *name; uint64_t n; } all[] = {
        { "accepted", counts->accepted }, { "delivered", counts->delivered }, { "deferred", counts->deferred },
        { "failed", counts->failed }, { "expired", counts->expired }, { "deleted", counts->deleted },
        { "reports", counts->reported }, { "leases", counts->leases }, { "lost_leases", counts->lost_leases },
    };
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        set_number(object, all[i].name, all[i].n);
    return object;
}

static json_t *tell_site(const struct queue_site *site)
{
    json_t *object = json_object();
    set_text(object, "site", queue_site_key(site));
    set_number(object, "waiting", site->waiting);
    set_number(object, "delivering", site->out);
    set_number(object, "connections", site->limit);
    if (site->trouble) {
        set_number(object, "failures", site->trouble);
        tell_words(object, site->last);
    }
    if (site->paused)
        set_time(object, "paused_until", site->resume.due);
    return object;
}

/* The busiest, in order: one look at each site, there may be many thousands. */
static size_t sites_choose(const struct queue *queue, const struct queue_site *ret[SITES_SHOWN])
{
    size_t n = 0;
    for (const struct map_node *node = map_first(&queue->sites); node; node = map_next(&queue->sites, node)) {
        const struct queue_site *site = CONTAINER(node, const struct queue_site, node);
        if (!site->waiting && !site->out && !site->trouble)
            continue;
        if (n == SITES_SHOWN && site->waiting <= ret[n - 1]->waiting)
            continue;
        size_t at = n < SITES_SHOWN ? n++ : n - 1;
        for (; at > 0 && ret[at - 1]->waiting < site->waiting; at--)
            ret[at] = ret[at - 1];
        ret[at] = site;
    }
    return n;
}

static json_t *tell_sites(const struct queue *queue)
{
    json_t *array = json_array();
    const struct queue_site *sites[SITES_SHOWN];
    size_t n = sites_choose(queue, sites);
    for (size_t i = 0; i < n; i++)
        json_array_append_new(array, tell_site(sites[i]));
    return array;
}

static json_t *tell_account(struct queue_role *role, const struct queue_account *account)
{
    json_t *object = json_object();
    const struct queue_stayer *stayer = account->stays ? queue_stayer_find(&role->queue, queue_account_name(account)) : NULL;
    json_object_set_new(object, "account", text_of(queue_account_name(account)));
    set_number(object, "messages", account->messages);
    set_number(object, "octets", account->octets);
    if (stayer)
        set_text(object, "why", queue_stayer_why(stayer));
    return object;
}

/* Those of whom most waits. */
static json_t *tell_senders(struct queue_role *role)
{
    const struct queue_account *most[SENDERS_SHOWN];
    size_t n = 0;
    for (const struct map_node *node = map_first(&role->queue.accounts); node; node = map_next(&role->queue.accounts, node)) {
        const struct queue_account *account = CONTAINER(node, const struct queue_account, node);
        if (!account->messages || (n == SENDERS_SHOWN && account->messages <= most[n - 1]->messages))
            continue;
        size_t at = n < SENDERS_SHOWN ? n++ : n - 1;
        for (; at > 0 && most[at - 1]->messages < account->messages; at--)
            most[at] = most[at - 1];
        most[at] = account;
    }
    json_t *array = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(array, tell_account(role, most[i]));
    return array;
}

/* Of one; of whom nothing waits there is nothing to tell. */
static void tell_one(struct queue_role *role, const char *name, json_t *object)
{
    const struct queue_account *account = queue_account_find(&role->queue, span_str(name));
    if (account)
        json_object_set_new(object, "account", tell_account(role, account));
}

static json_t *tell_deliveries(const struct queue *queue)
{
    json_t *array = json_array();
    for (unsigned i = 0; i < queue->delivery_count; i++) {
        if (!queue->deliveries[i].here)
            continue;
        json_t *object = json_object();
        set_number(object, "number", i);
        set_number(object, "delivering", queue->deliveries[i].out);
        set_number(object, "credit", queue->deliveries[i].credit);
        json_array_append_new(array, object);
    }
    return array;
}

static json_t *tell_spool(struct queue_role *role)
{
    json_t *object = json_object();
    set_number(object, "segments", role->queue.segments.n);
    set_number(object, "room", spool_store_room(role->store));
    json_object_set_new(object, "low", json_boolean(spool_store_is_low(role->store)));
    set_number(object, "journal_octets", spool_journal_octets(role->journal));
    return object;
}

json_t *control_status(struct queue_role *role, const char *account)
{
    json_t *object = json_object();
    json_object_set_new(object, "done", json_true());
    json_object_set_new(object, "queue", tell_queue(&role->queue));
    json_object_set_new(object, "since_start", tell_counts(&role->queue.counts));
    json_object_set_new(object, "sites", tell_sites(&role->queue));
    json_object_set_new(object, "senders", tell_senders(role));
    if (account)
        tell_one(role, account, object);
    json_object_set_new(object, "deliveries", tell_deliveries(&role->queue));
    json_object_set_new(object, "spool", tell_spool(role));
    return object;
}
