#include "queue/accounts.h"
#include "base/hash.h"
#include "queue/retry.h"
#include "queue/schedule.h"
#include <stdlib.h>

/* -- whose mail stays -- */

static bool stayer_is(const struct map_node *node, const void *key)
{
    return span_eq(queue_stayer_name(CONTAINER(node, const struct queue_stayer, node)), *(const struct span *)key);
}

static struct queue_stayer *stayer_find(const struct queue *queue, struct span name)
{
    struct map_node *node = queue->stayers.n ? map_find(&queue->stayers, hash_bytes(name), stayer_is, &name) : NULL;
    return node ? CONTAINER(node, struct queue_stayer, node) : NULL;
}

const struct queue_stayer *queue_stayer_find(const struct queue *queue, struct span account)
{
    return stayer_find(queue, account);
}

void queue_stay_begin(struct queue *queue) { queue->stay_round++; }

static void stayer_free(struct queue *queue, struct queue_stayer *stayer)
{
    map_remove(&queue->stayers, &stayer->node);
    free(stayer);
}

static struct queue_stayer *stayer_new(struct queue *queue, struct span name, struct span why)
{
    struct queue_stayer *stayer = calloc(1, sizeof *stayer + name.n + why.n);
    if (!stayer)
        return NULL;
    stayer->name_octets = (uint32_t)name.n;
    stayer->why_octets = (uint32_t)why.n;
    memcpy(stayer->text, name.p, name.n);
    if (why.n)
        memcpy(stayer->text + name.n, why.p, why.n);
    if (map_add(&queue->stayers, &stayer->node, hash_bytes(name)) == STATUS_OK)
        return stayer;
    free(stayer);
    return NULL;
}

enum status queue_stay_add(struct queue *queue, struct span account, struct span why)
{
    struct queue_stayer *before = stayer_find(queue, account), *stayer = before;
    if (!before || !span_eq(queue_stayer_why(before), why))
        stayer = stayer_new(queue, account, why);
    if (!stayer)
        return STATUS_MEMORY;
    stayer->round = queue->stay_round;
    struct queue_account *known = queue_account_find(queue, account);
    if (known)
        known->stays = true;
    if (before && before != stayer)
        stayer_free(queue, before);
    return STATUS_OK;
}

/* Nobody was here when its time ran out, so to speak: it is tried once more. */
static void goes_on(struct queue *queue, struct queue_share *share)
{
    if (queue->now_ms >= queue_expires_ms(queue->settings, share->message->id)) {
        share->flags |= QUEUE_SHARE_LAST;
        share->retry_ms = 0;
    }
    queue_share_rest(queue, share);
    queue_share_resume(queue, share);
}

static void account_goes_on(struct queue *queue, struct queue_account *account)
{
    account->stays = false;
    for (struct list *link; (link = list_first(&account->staying));)
        goes_on(queue, CONTAINER(link, struct queue_share, link));
}

void queue_stay_end(struct queue *queue, int64_t now_ms)
{
    queue->now_ms = MAX(queue->now_ms, now_ms);
    for (MAP_EACH(node, &queue->stayers)) {
        struct queue_stayer *stayer = CONTAINER(node, struct queue_stayer, node);
        if (stayer->round == queue->stay_round)
            continue;
        struct queue_account *known = queue_account_find(queue, queue_stayer_name(stayer));
        if (known)
            account_goes_on(queue, known);
        stayer_free(queue, stayer);
    }
    queue_pump(queue);
}

/* -- how much waits -- */

/* Relayed mail has no account. */
void queue_account_changed(struct queue *queue, struct queue_account *account)
{
    if (list_is_linked(&account->news) || account->name_octets == 0)
        return;
    account->refs++;
    list_add_last(&queue->news, &account->news);
}

void queue_account_failed(struct queue *queue, const struct queue_message *message, uint32_t recipients)
{
    struct queue_account *account = message->account;
    if (message->flags & QUEUE_MESSAGE_NULL_SENDER)
        return;
    account->failures += MIN(recipients, UINT32_MAX - account->failures);
    queue_account_changed(queue, account);
}

struct queue_account *queue_account_news(struct queue *queue)
{
    struct list *first = list_first(&queue->news);
    return first ? CONTAINER(first, struct queue_account, news) : NULL;
}

bool queue_account_is_news(const struct queue_account *account)
{
    return account->failures || account->waiting != account->told_waiting || account->octets != account->told_octets;
}

void queue_account_told(struct queue *queue, struct queue_account *account)
{
    account->failures = 0;
    account->told_waiting = account->waiting;
    account->told_octets = account->octets;
    list_remove(&account->news);
    queue_account_unref(queue, account);
}

void queue_accounts_tell_all(struct queue *queue)
{
    for (MAP_EACH(node, &queue->accounts)) {
        struct queue_account *account = CONTAINER(node, struct queue_account, node);
        account->told_waiting = 0;
        account->told_octets = 0;
        queue_account_changed(queue, account);
    }
}

void queue_accounts_done(struct queue *queue)
{
    for (struct queue_account *account; (account = queue_account_news(queue));)
        queue_account_told(queue, account);
    for (MAP_EACH(node, &queue->stayers))
        free(CONTAINER(node, struct queue_stayer, node));
    map_done(&queue->stayers);
}
