/* queue/names.h -- the accounts and domains of queued messages, each text kept once.
 *
 * A domain remembers which site serves it until the answer's time is over; those that nothing waits for are kept for
 * a while (the setting `domains-kept`), the longest unused go first.
 */
#pragma once
#include "queue/message.h"

struct queue_account {
    struct map_node node;
    struct list link;        /* in the ring of those whose turn comes, while a lane of theirs may go */
    struct list lanes;       /* lanes that may go now */
    int64_t deficit;         /* recipients that it may still lease in this round */
    struct list staying;     /* shares that stay while it is suspended */
    struct list news;        /* in the queue's ring of those of whom there is something to tell: one reference */
    uint32_t refs;           /* messages, lanes, and `news` */
    uint32_t messages;
    uint32_t waiting;        /* of its messages those that have a sender, */
    uint64_t octets;         /* and what they take */
    uint32_t told_waiting;   /* as the directory knows it */
    uint64_t told_octets;
    uint32_t failures;       /* recipients, since that was last told */
    bool stays;              /* it is suspended */
    uint32_t name_octets;
    char name[];
};

struct queue_site;

struct queue_domain {
    struct map_node node;
    struct list waiting;     /* shares, until the site is known */
    struct list idle;        /* in the ring of those that nothing waits for, or of those nobody could be asked about */
    struct queue_share *filling; /* while a message is being cut into shares */
    struct map_node ask;     /* by token, while the question is on its way */
    struct queue_site *site; /* NULL: not known */
    int64_t until_ms;        /* the answer holds so long */
    uint32_t generation;     /* of the routes that it was answered under */
    uint32_t refs;           /* shares */
    uint16_t asked_of;       /* number of the delivery process that was asked */
    bool asked;              /* the question is on its way, its token is the hash of `ask` */
    bool unasked;            /* it waits for somebody to ask */
    uint16_t name_octets, route_octets;
    char text[];             /* name, then the operator's route */
};

static inline struct span queue_account_name(const struct queue_account *account)
{
    return span_of(account->name, account->name_octets);
}
static inline struct span queue_domain_name(const struct queue_domain *domain)
{
    return span_of(domain->text, domain->name_octets);
}
static inline struct span queue_domain_route(const struct queue_domain *domain)
{
    return span_of(domain->text + domain->name_octets, domain->route_octets);
}

/* Each gives one reference; NULL: out of memory. */
struct queue_account *queue_account_ref(struct queue *queue, struct span name);
struct queue_account *queue_account_find(const struct queue *queue, struct span name); /* no reference; NULL: not here */
void queue_account_unref(struct queue *queue, struct queue_account *account);
/* `name` in lower case. `route`: an operator's reroute, "" for what the settings say. */
struct queue_domain *queue_domain_ref(struct queue *queue, struct span name, struct span route);
void queue_domain_unref(struct queue *queue, struct queue_domain *domain);
void queue_domain_free(struct queue *queue, struct queue_domain *domain);

/* How an attempt ended, in the words that a person may read; equal ones are kept once. */
struct queue_reason {
    struct map_node node;
    uint32_t refs;
    uint16_t code;           /* SMTP reply; 0: none */
    uint16_t enhanced[3];
    uint16_t host_octets, address_octets, text_octets;
    char text[];             /* host, address, text */
};
struct queue_words {
    uint16_t code;
    uint16_t enhanced[3];
    struct span host, address, text; /* borrowed */
};
#define QUEUE_HOST_MAX 300       /* octets kept of each */
#define QUEUE_TEXT_MAX 1024

const struct queue_reason *queue_reason_ref(struct queue *queue, const struct queue_words *words);
const struct queue_reason *queue_reason_again(const struct queue_reason *reason); /* one more reference; NULL is fine */
void queue_reason_unref(struct queue *queue, const struct queue_reason *reason);
/* For keeping long: takes the reference and gives one. Where other servers give every message words of its own, those
 * that nobody shares are kept up to QUEUE_REASONS_OCTETS; behind that the code alone is (the event log has the words). */
const struct queue_reason *queue_reason_keep(struct queue *queue, const struct queue_reason *reason);
#define QUEUE_REASONS_OCTETS ((size_t)16 << 20)
/* Spans are borrowed from `reason`; all empty for NULL. */
struct queue_words queue_reason_words(const struct queue_reason *reason);
