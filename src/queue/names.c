#include "queue/names.h"
#include "base/hash.h"
#include "queue/accounts.h"
#include "queue/queue.h"
#include <assert.h>
#include <stdlib.h>

/* -- accounts -- */

static bool account_is(const struct map_node *node, const void *key)
{
    const struct queue_account *account = CONTAINER(node, const struct queue_account, node);
    return span_eq(queue_account_name(account), *(const struct span *)key);
}

static struct queue_account *account_new(struct queue *queue, struct span name)
{
    struct queue_account *account = calloc(1, sizeof *account + name.n);
    if (!account)
        return NULL;
    list_init(&account->link);
    list_init(&account->lanes);
    list_init(&account->staying);
    list_init(&account->news);
    account->stays = queue_stayer_find(queue, name) != NULL;
    account->name_octets = (uint32_t)name.n;
    if (name.n)
        memcpy(account->name, name.p, name.n);
    if (map_add(&queue->accounts, &account->node, hash_bytes(name)) == STATUS_OK)
        return account;
    free(account);
    return NULL;
}

struct queue_account *queue_account_find(const struct queue *queue, struct span name)
{
    struct map_node *node = map_find(&queue->accounts, hash_bytes(name), account_is, &name);
    return node ? CONTAINER(node, struct queue_account, node) : NULL;
}

struct queue_account *queue_account_ref(struct queue *queue, struct span name)
{
    struct queue_account *account = queue_account_find(queue, name);
    if (!account)
        account = account_new(queue, name);
    if (account)
        account->refs++;
    return account;
}

void queue_account_unref(struct queue *queue, struct queue_account *account)
{
    if (--account->refs)
        return;
    assert(list_is_empty(&account->lanes) && list_is_empty(&account->staying) && account->messages == 0);
    list_remove(&account->link);
    map_remove(&queue->accounts, &account->node);
    free(account);
}

/* -- domains -- */

struct domain_key {
    struct span name, route;
};

static bool domain_is(const struct map_node *node, const void *key)
{
    const struct queue_domain *domain = CONTAINER(node, const struct queue_domain, node);
    const struct domain_key *wanted = key;
    return span_eq(queue_domain_name(domain), wanted->name) && span_eq(queue_domain_route(domain), wanted->route);
}

static struct queue_domain *domain_new(struct queue *queue, const struct domain_key *key, uint64_t hash)
{
    struct queue_domain *domain = calloc(1, sizeof *domain + key->name.n + key->route.n);
    if (!domain)
        return NULL;
    list_init(&domain->waiting);
    list_init(&domain->idle);
    domain->name_octets = (uint16_t)key->name.n;
    domain->route_octets = (uint16_t)key->route.n;
    if (key->name.n)
        memcpy(domain->text, key->name.p, key->name.n);
    if (key->route.n)
        memcpy(domain->text + key->name.n, key->route.p, key->route.n);
    if (map_add(&queue->domains, &domain->node, hash) == STATUS_OK)
        return domain;
    free(domain);
    return NULL;
}

struct queue_domain *queue_domain_ref(struct queue *queue, struct span name, struct span route)
{
    struct domain_key key = { name, route };
    uint64_t hash = hash_bytes(name) ^ (route.n ? hash_u64(hash_bytes(route)) : 0);
    struct map_node *node = map_find(&queue->domains, hash, domain_is, &key);
    struct queue_domain *domain = node ? CONTAINER(node, struct queue_domain, node) : domain_new(queue, &key, hash);
    if (domain && domain->refs++ == 0 && list_is_linked(&domain->idle)) {
        list_remove(&domain->idle);
        queue->idle_domain_count--;
    }
    return domain;
}

void queue_domain_free(struct queue *queue, struct queue_domain *domain)
{
    if (domain->asked)
        map_remove(&queue->asks, &domain->ask);
    if (domain->site)
        queue_site_unref(queue, domain->site);
    list_remove(&domain->idle);
    map_remove(&queue->domains, &domain->node);
    free(domain);
}

void queue_domain_unref(struct queue *queue, struct queue_domain *domain)
{
    if (--domain->refs)
        return;
    list_remove(&domain->idle); /* nobody waits for an answer about it any more */
    domain->unasked = false;
    list_add_last(&queue->idle_domains, &domain->idle);
    if (++queue->idle_domain_count <= (size_t)queue->settings->domains_kept)
        return;
    struct list *oldest = list_take_first(&queue->idle_domains);
    queue->idle_domain_count--;
    queue_domain_free(queue, CONTAINER(oldest, struct queue_domain, idle));
}

/* -- reasons -- */

struct queue_words queue_reason_words(const struct queue_reason *reason)
{
    if (!reason)
        return (struct queue_words){ 0 };
    const char *at = reason->text;
    struct queue_words words = { .code = reason->code };
    memcpy(words.enhanced, reason->enhanced, sizeof words.enhanced);
    words.host = span_of(at, reason->host_octets);
    words.address = span_of(at + reason->host_octets, reason->address_octets);
    words.text = span_of(at + reason->host_octets + reason->address_octets, reason->text_octets);
    return words;
}

static bool reason_is(const struct map_node *node, const void *key)
{
    const struct queue_words *wanted = key;
    struct queue_words words = queue_reason_words(CONTAINER(node, const struct queue_reason, node));
    return words.code == wanted->code && memcmp(words.enhanced, wanted->enhanced, sizeof words.enhanced) == 0 &&
           span_eq(words.text, wanted->text) && span_eq(words.host, wanted->host) &&
           span_eq(words.address, wanted->address);
}

#define MALLOC_HEAD 8 /* and what rounding takes, about */

static size_t reason_octets(const struct queue_reason *reason)
{
    return sizeof *reason + reason->host_octets + reason->address_octets + reason->text_octets + MALLOC_HEAD;
}

static struct queue_reason *reason_new(const struct queue_words *words)
{
    struct queue_reason *reason = calloc(1, sizeof *reason + words->host.n + words->address.n + words->text.n);
    if (!reason)
        return NULL;
    reason->code = words->code;
    memcpy(reason->enhanced, words->enhanced, sizeof reason->enhanced);
    reason->host_octets = (uint16_t)words->host.n;
    reason->address_octets = (uint16_t)words->address.n;
    reason->text_octets = (uint16_t)words->text.n;
    char *at = reason->text;
    const struct span parts[] = { words->host, words->address, words->text };
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (parts[i].n)
            memcpy(at, parts[i].p, parts[i].n);
        at += parts[i].n;
    }
    return reason;
}

/* Every part counts: thousands of hosts say the same at one address. */
static uint64_t reason_hash(const struct queue_words *words)
{
    uint64_t hash = hash_u64(hash_bytes(words->text) + words->code);
    hash = hash_u64(hash + hash_bytes(words->address));
    return hash_u64(hash + hash_bytes(words->host));
}

const struct queue_reason *queue_reason_ref(struct queue *queue, const struct queue_words *from)
{
    struct queue_words words = *from;
    words.host = span_head(words.host, QUEUE_HOST_MAX);
    words.address = span_head(words.address, QUEUE_HOST_MAX);
    words.text = span_head(words.text, QUEUE_TEXT_MAX);
    uint64_t hash = reason_hash(&words);
    struct map_node *node = map_find(&queue->reasons, hash, reason_is, &words);
    if (node) {
        struct queue_reason *found = CONTAINER(node, struct queue_reason, node);
        found->refs++;
        return found;
    }
    struct queue_reason *reason = reason_new(&words);
    if (!reason)
        return NULL;
    reason->refs = 1;
    if (map_add(&queue->reasons, &reason->node, hash) == STATUS_OK) {
        queue->reason_octets += reason_octets(reason);
        return reason;
    }
    free(reason);
    return NULL;
}

/* Reasons are shared and never change; only the count of who uses one does, which nobody outside this file sees. */
static struct queue_reason *counted(const struct queue_reason *reason)
{
    return CONTAINER(&reason->node, struct queue_reason, node);
}

const struct queue_reason *queue_reason_again(const struct queue_reason *reason)
{
    if (reason)
        counted(reason)->refs++;
    return reason;
}

void queue_reason_unref(struct queue *queue, const struct queue_reason *reason)
{
    if (!reason || --counted(reason)->refs)
        return;
    queue->reason_octets -= reason_octets(reason);
    map_remove(&queue->reasons, &counted(reason)->node);
    free(counted(reason));
}

#define SHARED 2 /* references beyond that of the outcome it came with and the caller's */

const struct queue_reason *queue_reason_keep(struct queue *queue, const struct queue_reason *reason)
{
    if (!reason || reason->refs > SHARED || queue->reason_octets <= QUEUE_REASONS_OCTETS)
        return reason;
    struct queue_words words = { .code = reason->code, .text = SPAN("(the server's words are in the event log)") };
    memcpy(words.enhanced, reason->enhanced, sizeof words.enhanced);
    const struct queue_reason *plain = queue_reason_ref(queue, &words);
    if (!plain)
        return reason;
    queue_reason_unref(queue, reason);
    return plain;
}
