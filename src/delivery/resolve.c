#include "delivery/resolve.h"
#include "delivery/hops.h"
#include "delivery/route.h"
#include <stdlib.h>

#define TTL_LEAST_S 30
#define TTL_MOST_S 86400
#define TTL_ROUTE_S 300 /* the settings may change */

struct question {
    struct list link;
    struct delivery *delivery;
    struct delivery_config *config;
    struct hops_query *query;
    uint64_t token;
    struct hops hops;
    size_t domain_n;
    char domain[];
};

static void reply(struct delivery *delivery, const struct lease_resolved *answer)
{
    if (!delivery->queue)
        return;
    lease_resolved_put(channel_begin(delivery->queue, LEASE_RESOLVED), answer);
    (void)channel_end(delivery->queue); /* a dead channel tells in on_closed */
}

void question_drop(struct question *question)
{
    list_remove(&question->link);
    hops_cancel(question->query);
    hops_free(&question->hops);
    delivery_config_unref(question->config);
    free(question);
}

void resolve_drop_all(struct delivery *delivery)
{
    for (LIST_EACH(link, &delivery->questions))
        question_drop(CONTAINER(link, struct question, link));
}

static void answer_site(struct question *question, uint32_t ttl_s)
{
    AUTO(buf_done) struct buf key = BUF_EMPTY(HOPS_MAX * DNS_NAME_MAX + 64);
    struct lease_resolved answer = { .token = question->token, .result = RESOLVE_SITE,
                                     .ttl_s = MAX(MIN(ttl_s, (uint32_t)TTL_MOST_S), (uint32_t)TTL_LEAST_S) };
    answer.site = hops_key(&question->hops, &key);
    reply(question->delivery, &answer);
    question_drop(question);
}

static void answer_trouble(struct question *question, const struct hops_trouble *trouble)
{
    struct lease_resolved answer = {
        .token = question->token,
        .result = trouble->result == HOPS_FAILED ? RESOLVE_FAILED : RESOLVE_DEFERRED,
        .ttl_s = TTL_LEAST_S, .code = (uint16_t)trouble->code,
        .enhanced = { trouble->enhanced.class, trouble->enhanced.subject, trouble->enhanced.detail },
        .text = span_str(trouble->text),
    };
    reply(question->delivery, &answer);
    question_drop(question);
}

static const struct hops_trouble out_of_memory = { HOPS_DEFERRED, 0, { 4, 3, 0 }, "out of memory for a question to the DNS" };

/* A domain without MX has to have an address itself. */
static void on_addresses(void *arg, const struct hop_addresses *found)
{
    struct question *question = arg;
    question->query = NULL;
    if (found->trouble.result == HOPS_OK) {
        answer_site(question, MIN(question->hops.ttl_s, found->ttl_s));
        return;
    }
    struct hops_trouble trouble = found->trouble;
    if (trouble.result == HOPS_FAILED)
        trouble.enhanced = STATUS_CODE(5, 1, 2);
    answer_trouble(question, &trouble);
}

static void on_hops(void *arg, struct hops *hops)
{
    struct question *question = arg;
    question->query = NULL;
    question->hops = *hops;
    if (hops->trouble.result != HOPS_OK) {
        answer_trouble(question, &hops->trouble);
        return;
    }
    if (!hops->is_implicit) {
        answer_site(question, hops->ttl_s);
        return;
    }
    int ip = question->config->root->delivery.ip;
    struct span domain = span_of(question->domain, question->domain_n);
    question->query = hops_ask_addresses(question->config->dns, domain, 25, ip != DELIVERY_IP_4, ip != DELIVERY_IP_6,
                                         on_addresses, question);
    if (!question->query)
        answer_trouble(question, &out_of_memory);
}

/* Routes and literals are their own site. False: the DNS has to be asked. */
static bool answer_at_once(struct delivery *delivery, const struct lease_resolve *resolve)
{
    struct route route;
    struct net_address address;
    char key[ROUTE_KEY_MAX];
    struct lease_resolved answer = { .token = resolve->token, .result = RESOLVE_SITE, .ttl_s = TTL_ROUTE_S };
    if (route_find(delivery->config->root, resolve->domain, resolve->route, &route) != STATUS_OK) {
        answer.result = RESOLVE_DEFERRED;
        answer.enhanced[0] = 4, answer.enhanced[1] = 3, answer.enhanced[2] = 5;
        answer.text = SPAN("the route that was given for it cannot be read");
    } else if (route.kind != ROUTE_MX) {
        answer.site = route_key(&route, key);
    } else if (hops_literal(resolve->domain, 25, &address)) {
        answer.site = resolve->domain;
    } else {
        return false;
    }
    reply(delivery, &answer);
    return true;
}

void resolve_ask(struct delivery *delivery, const struct lease_resolve *resolve)
{
    if (answer_at_once(delivery, resolve))
        return;
    struct question *question = calloc(1, sizeof *question + resolve->domain.n);
    if (!question) {
        struct lease_resolved answer = { .token = resolve->token, .result = RESOLVE_DEFERRED, .ttl_s = TTL_LEAST_S,
                                         .enhanced = { 4, 3, 0 }, .text = span_str(out_of_memory.text) };
        reply(delivery, &answer);
        return;
    }
    question->delivery = delivery;
    question->config = delivery_config_ref(delivery->config);
    question->token = resolve->token;
    question->domain_n = resolve->domain.n;
    memcpy(question->domain, resolve->domain.p, resolve->domain.n);
    list_init(&question->link);
    list_add_last(&delivery->questions, &question->link);
    question->query = hops_ask(question->config->dns, resolve->domain, question->config->hostname, ++delivery->random,
                               on_hops, question);
    if (!question->query)
        answer_trouble(question, &out_of_memory);
}
