#include "base/buf.h"
#include "net/dns_priv.h"
#include <stdio.h>
#include <stdlib.h>

/* The keys of the root zone, by their digests (https://data.iana.org/root-anchors/): of 2017 and of 2024. */
static const char *const root_keys[] = {
    ". IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D",
    ". IN DS 38696 8 2 683D2D0ACB8C9B712A1948B27F741219298D0A450D612C483AF444A4C0FB2B16",
};

struct dns {
    struct loop *loop;
    struct dns_event_base base;
    struct ub_ctx *context;
    struct list waiting;   /* until there is room among the quick ones */
    struct list queries;   /* libunbound has them, or their answer is to be told */
    struct list slow;      /* libunbound has had them for a while; the oldest first */
    unsigned open, quick_count, slow_count;
    int64_t timeout_ms;
    struct loop_task next; /* asks those that wait */
};

struct dns_query {
    struct list link;      /* of one of the three */
    struct dns *dns;
    struct loop_timer timer;
    int64_t until_ms;      /* when nobody waits for it any more */
    struct loop_task task; /* tells the answer, outside of libunbound */
    bool asked;            /* libunbound will still call back */
    bool quick, slow;      /* counted as one of these */
    bool forgotten;        /* nobody waits any more */
    enum status status;    /* of the asking; OK: `packet` and `rcode` tell */
    int rcode;
    enum dns_security security;
    struct buf packet;
    enum dns_type type;
    dns_answered *answered;
    void *arg;
    size_t n;
    char name[];
};

/* It takes nobody's place any more. */
static void uncount(struct dns_query *query)
{
    struct dns *dns = query->dns;
    if (query->slow) {
        dns->slow_count--;
        list_remove(&query->link);
        list_add_last(&dns->queries, &query->link);
    } else if (query->quick) {
        dns->quick_count--;
        if (!list_is_empty(&dns->waiting))
            loop_later(&dns->next);
    }
    query->quick = query->slow = false;
}

static void query_free(struct dns_query *query)
{
    uncount(query);
    query->dns->open--;
    list_remove(&query->link);
    loop_timer_stop(&query->timer);
    loop_task_cancel(&query->task);
    buf_done(&query->packet);
    free(query);
}

/* libunbound refers to the query by its pointer until it calls back: until then it only may be forgotten. */
static void query_drop(struct dns_query *query)
{
    query->forgotten = true;
    uncount(query);
    loop_timer_stop(&query->timer);
    loop_task_cancel(&query->task);
    if (!query->asked)
        query_free(query);
}

/* -- the answer -- */

static void tell(struct dns_query *query, const struct dns_answer *answer)
{
    dns_answered *answered = query->answered;
    void *arg = query->arg;
    query->forgotten = true;
    answered(arg, answer);
    query_drop(query);
}

static void tell_status(struct dns_query *query, enum status status, int rcode)
{
    struct dns_answer answer = { .status = status, .rcode = rcode, .canonical = query->name };
    tell(query, &answer);
}

/* Makes room for a quick one. Names whose servers are silent must not be in the way of all others: they wait beside
 * them, and when even there are too many, the oldest is not waited for any longer. */
static void become_slow(struct dns_query *query)
{
    struct dns *dns = query->dns;
    uncount(query);
    query->slow = true;
    dns->slow_count++;
    list_remove(&query->link);
    list_add_last(&dns->slow, &query->link);
    loop_timer_set(&query->timer, query->until_ms - loop_now_ms(dns->loop));
    if (dns->slow_count > DNS_SLOW_MAX)
        tell_status(CONTAINER(list_first(&dns->slow), struct dns_query, link), STATUS_TIMEOUT, 2);
}

static void on_due(struct loop_timer *timer)
{
    struct dns_query *query = CONTAINER(timer, struct dns_query, timer);
    if (loop_now_ms(query->dns->loop) < query->until_ms)
        become_slow(query);
    else
        tell_status(query, STATUS_TIMEOUT, 2);
}

static void on_task(struct loop_task *task)
{
    struct dns_query *query = CONTAINER(task, struct dns_query, task);
    struct dns_record *records;
    char canonical[DNS_NAME_MAX];
    struct dns_answer answer;
    if (query->status != STATUS_OK || query->security == DNS_BOGUS || query->packet.n == 0) {
        tell_status(query, query->status != STATUS_OK ? query->status : query->security == DNS_BOGUS ? STATUS_DAMAGED : STATUS_IO,
                    query->rcode);
        return;
    }
    records = malloc(sizeof(*records) * DNS_RECORDS_MAX);
    if (!records || dns_packet_read(buf_span(&query->packet), span_of(query->name, query->n), (uint16_t)query->type, records,
                                    canonical, &answer) != STATUS_OK) {
        tell_status(query, records ? STATUS_DAMAGED : STATUS_MEMORY, query->rcode);
    } else {
        answer.security = query->security;
        tell(query, &answer);
    }
    free(records);
}

static void on_answer(void *arg, int rcode, void *packet, int n, int security, char *why_bogus, int was_ratelimited)
{
    struct dns_query *query = arg;
    query->asked = false;
    if (query->forgotten) {
        query_free(query);
        return;
    }
    uncount(query);
    loop_timer_stop(&query->timer);
    query->rcode = rcode;
    query->security = security == 1 ? DNS_BOGUS : security == 2 ? DNS_SECURE : DNS_INSECURE;
    if (rcode == 0 && packet && n > 0 && buf_add(&query->packet, span_of(packet, (size_t)n)) != STATUS_OK)
        query->status = STATUS_MEMORY;
    else if (rcode == 3)
        query->status = STATUS_NOT_FOUND;
    loop_later(&query->task);
}

/* -- the question -- */

static void ask(struct dns_query *query)
{
    struct dns *dns = query->dns;
    list_add_last(&dns->queries, &query->link);
    if (!dns_name_is_good(span_of(query->name, query->n))) {
        query->status = STATUS_SYNTAX;
        loop_later(&query->task);
        return;
    }
    query->asked = query->quick = true;
    dns->quick_count++;
    query->until_ms = loop_now_ms(dns->loop) + dns->timeout_ms;
    loop_timer_set(&query->timer, MIN(dns->timeout_ms, DNS_SLOW_MS));
    if (ub_resolve_event(dns->context, query->name, query->type, 1, query, on_answer, NULL) != 0) {
        query->asked = false;
        uncount(query);
        query->status = STATUS_IO;
        loop_timer_stop(&query->timer);
        loop_later(&query->task);
    }
}

static void on_next(struct loop_task *task)
{
    struct dns *dns = CONTAINER(task, struct dns, next);
    while (dns->quick_count < DNS_QUICK_MAX && !list_is_empty(&dns->waiting))
        ask(CONTAINER(list_take_first(&dns->waiting), struct dns_query, link));
}

struct dns_query *dns_ask(struct dns *dns, struct span name, enum dns_type type, dns_answered *answered, void *arg)
{
    struct dns_query *query = dns->open < DNS_QUERIES_MAX ? calloc(1, sizeof(*query) + name.n + 1) : NULL;
    if (!query)
        return NULL;
    *query = (struct dns_query){ .dns = dns, .packet = BUF_EMPTY(DNS_ANSWER_MAX), .type = type, .answered = answered, .arg = arg,
                                 .n = name.n };
    if (name.n)
        memcpy(query->name, name.p, name.n);
    list_init(&query->link);
    dns->open++;
    loop_timer_init(dns->loop, &query->timer, on_due);
    loop_task_init(dns->loop, &query->task, on_task);
    if (dns->quick_count < DNS_QUICK_MAX && list_is_empty(&dns->waiting))
        ask(query);
    else
        list_add_last(&dns->waiting, &query->link);
    return query;
}

void dns_cancel(struct dns_query *query)
{
    if (query && !query->forgotten)
        query_drop(query);
}

unsigned dns_open(const struct dns *dns) { return dns->open; }

/* -- the context -- */

static enum status complain(char *error, size_t room, const char *what, int result)
{
    snprintf(error, room, "%s: %s", what, result ? ub_strerror(result) : "not possible");
    return STATUS_DENIED;
}

static int set_size(struct ub_ctx *context, const char *name, size_t octets)
{
    char text[32];
    snprintf(text, sizeof(text), "%zu", octets);
    return ub_ctx_set_option(context, name, text);
}

static enum status set_options(struct ub_ctx *context, const struct dns_settings *settings, char *error, size_t room)
{
    static const struct { const char *name, *value; } options[] = {
        { "do-not-query-localhost:", "no" },  /* a resolver on this machine is the usual one */
        { "outgoing-range:", "4096" },        /* what we gave up goes on in there for a while */
        { "num-queries-per-thread:", "2048" },
        { "infra-host-ttl:", "60" },          /* a resolver that was down is tried again after a minute, not after fifteen */
        { "infra-keep-probing:", "yes" },
        { "infra-cache-min-rtt:", "400" },    /* a resolver that answers one name in no time may have to look for the next */
        { "prefetch:", "yes" },
        { "minimal-responses:", "no" },
        { "cache-max-negative-ttl:", "900" },
    };
    for (unsigned i = 0; i < ARRAY_LEN(options); i++) {
        int result = ub_ctx_set_option(context, options[i].name, options[i].value);
        if (result)
            return complain(error, room, options[i].name, result);
    }
    int result = ub_ctx_set_option(context, "module-config:", settings->validate ? "validator iterator" : "iterator");
    if (!result)
        result = set_size(context, "msg-cache-size:", settings->cache / 2); /* most answers are one small set */
    if (!result)
        result = set_size(context, "rrset-cache-size:", settings->cache / 2);
    for (unsigned i = 0; !result && settings->validate && i < ARRAY_LEN(root_keys); i++)
        result = ub_ctx_add_ta(context, root_keys[i]);
    return result ? complain(error, room, "dns", result) : STATUS_OK;
}

static enum status set_resolvers(struct ub_ctx *context, const struct dns_settings *settings, char *error, size_t room)
{
    for (unsigned i = 0; i < settings->count; i++) {
        char ip[NET_ADDRESS_TEXT], text[NET_ADDRESS_TEXT + 8];
        snprintf(text, sizeof(text), "%s@%u", net_address_ip_text(&settings->resolvers[i], ip),
                 net_address_port(&settings->resolvers[i]));
        int result = ub_ctx_set_fwd(context, text);
        if (result)
            return complain(error, room, text, result);
    }
    int result = settings->system ? dns_add_resolvers(context, settings->resolv_conf) : 0;
    if (result)
        return complain(error, room, "/etc/resolv.conf", result);
    if (settings->hosts)
        dns_add_hosts(context, settings->hosts_file);
    /* libunbound says itself that nothing exists under "test" (RFC 6761 section 6.2); whole networks are rehearsed
     * there, and the resolvers we were told of know best. Last, because it ends the configuration. */
    if (settings->system || settings->count > 0)
        ub_ctx_zone_remove(context, "test.");
    return STATUS_OK;
}

static void on_primed(void *arg, int rcode, void *packet, int n, int security, char *why_bogus, int was_ratelimited) {}

/* The first question makes libunbound take in what it was told (this one it answers by itself). What is wrong with that
 * shall be known now, and not with the first message. */
static enum status prime(struct ub_ctx *context, char *error, size_t room)
{
    int result = ub_resolve_event(context, "localhost", DNS_A, 1, NULL, on_primed, NULL);
    return result ? complain(error, room, "dns", result) : STATUS_OK;
}

enum status dns_new(struct loop *loop, const struct dns_settings *settings, char *error, size_t room, struct dns **ret)
{
    struct dns *dns = calloc(1, sizeof(*dns));
    if (!dns)
        return STATUS_MEMORY;
    dns->loop = loop;
    dns->timeout_ms = settings->timeout_ms;
    list_init(&dns->waiting);
    list_init(&dns->queries);
    list_init(&dns->slow);
    loop_task_init(loop, &dns->next, on_next);
    dns_event_base_init(&dns->base, loop);
    dns->context = ub_ctx_create_ub_event(&dns->base.base);
    enum status status = dns->context ? set_options(dns->context, settings, error, room) : STATUS_MEMORY;
    if (status == STATUS_OK)
        status = set_resolvers(dns->context, settings, error, room);
    if (status == STATUS_OK)
        status = prime(dns->context, error, room);
    if (status == STATUS_OK)
        *ret = dns;
    else
        dns_free(dns);
    return status;
}

void dns_free(struct dns *dns)
{
    if (!dns)
        return;
    struct list *lists[] = { &dns->waiting, &dns->slow, &dns->queries };
    for (unsigned i = 0; i < ARRAY_LEN(lists); i++)
        for (LIST_EACH(link, lists[i]))
            dns_cancel(CONTAINER(link, struct dns_query, link));
    if (dns->context)
        ub_ctx_delete(dns->context); /* may call back what is open, or not: both leave it forgotten */
    for (LIST_EACH(rest, &dns->queries))
        query_free(CONTAINER(rest, struct dns_query, link));
    loop_task_cancel(&dns->next);
    free(dns);
}
