/* queue/accounts.h -- what the queue and the directory tell each other about accounts: how much waits of each, and whose mail stays.
 *
 * Mail of a suspended account stays where it is: nothing of it is granted, tried or given up, and nothing is written about
 * that. What a delivery process has already is sent; what waits in lanes steps out when its turn comes.
 */
#pragma once
#include "queue/queue.h"

/* Who is suspended, by his account's name. */
struct queue_stayer {
    struct map_node node;
    uint32_t round;          /* of the list that named him last */
    uint32_t name_octets, why_octets;
    char text[];             /* name, then why */
};
static inline struct span queue_stayer_name(const struct queue_stayer *stayer)
{
    return span_of(stayer->text, stayer->name_octets);
}
static inline struct span queue_stayer_why(const struct queue_stayer *stayer)
{
    return span_of(stayer->text + stayer->name_octets, stayer->why_octets);
}

/* A list: begin, its names, end, behind which the mail of those whom it did not name goes on. MEMORY: he is not on it. */
void queue_stay_begin(struct queue *queue);
MUST_CHECK enum status queue_stay_add(struct queue *queue, struct span account, struct span why);
void queue_stay_end(struct queue *queue, int64_t now_ms);
/* NULL: he is not suspended. */
const struct queue_stayer *queue_stayer_find(const struct queue *queue, struct span account);

/* More or less of it waits, or failed. */
void queue_account_changed(struct queue *queue, struct queue_account *account);
void queue_account_failed(struct queue *queue, const struct queue_message *message, uint32_t recipients);
/* The next of which there may be news, NULL: none. Behind queue_account_told() it may be gone. */
struct queue_account *queue_account_news(struct queue *queue);
bool queue_account_is_news(const struct queue_account *account);
void queue_account_told(struct queue *queue, struct queue_account *account);
/* Somebody new has to hear of all of them. */
void queue_accounts_tell_all(struct queue *queue);
void queue_accounts_done(struct queue *queue);

/* What a message takes in the spool. */
static inline uint64_t queue_message_octets(const struct queue_message *message)
{
    return message->length + (uint64_t)(message->flags / QUEUE_MESSAGE_BODY) * (1u << 20);
}
