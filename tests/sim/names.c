/* The DNS: what stands in net/dns.h, played by the world. It runs inside of the delivery processes, on their loops. */
#include "net/dns.h"
#include "loop/loop.h"
#include "world.h"
#include <stdio.h>
#include <stdlib.h>

struct dns {
    struct loop *loop;
    int64_t timeout_ms;
    struct list queries;
};

struct dns_query {
    struct list link;
    struct dns *dns;
    struct loop_timer timer;
    char name[DNS_NAME_MAX];
    enum dns_type type;
    dns_answered *answered;
    void *arg;
    enum dns_mood mood;
};

enum { TTL_S = 300 };

/* -- the world's names -- */

static void host_make(unsigned i)
{
    struct host *host = &world->hosts[i];
    *host = (struct host){ .ip = 0x0a010001u + (i << 8), .pipelining = percent(70), .chunking = percent(40), .dsn = percent(30),
                           .eight_bit = percent(80), .size = percent(70) };
    snprintf(host->name, sizeof host->name, "mx%u.hosts.example", i);
}

static void domain_make(unsigned i)
{
    struct domain *domain = &world->domains[i];
    *domain = (struct domain){ .gone = i > 3 && one_in(12) };
    snprintf(domain->name, sizeof domain->name, "d%u.example", i);
    if (one_in(6)) { /* no MX: it is a host itself, with the address of one */
        domain->self = (unsigned)kernel_below(world->host_count);
        return;
    }
    domain->mx_count = 1 + (unsigned)kernel_below(3);
    unsigned first = (unsigned)kernel_below(world->host_count);
    if (i && one_in(3)) { /* behind the same servers as another one */
        *domain = world->domains[i - 1];
        snprintf(domain->name, sizeof domain->name, "d%u.example", i);
        return;
    }
    for (unsigned k = 0; k < domain->mx_count; k++)
        domain->mx[k] = (first + k) % world->host_count;
}

void names_make(void)
{
    world->host_count = 2 + (unsigned)kernel_below(WORLD_HOSTS - 2);
    world->domain_count = 4 + (unsigned)kernel_below(WORLD_DOMAINS - 4);
    for (unsigned i = 0; i < world->host_count; i++)
        host_make(i);
    for (unsigned i = 0; i < world->domain_count; i++)
        domain_make(i);
}

static const struct domain *domain_find(const char *name)
{
    for (unsigned i = 0; i < world->domain_count; i++)
        if (strcmp(world->domains[i].name, name) == 0)
            return &world->domains[i];
    return NULL;
}

static const struct host *host_find(const char *name)
{
    for (unsigned i = 0; i < world->host_count; i++)
        if (strcmp(world->hosts[i].name, name) == 0)
            return &world->hosts[i];
    const struct domain *domain = domain_find(name);
    return domain && !domain->gone && domain->mx_count == 0 ? &world->hosts[domain->self] : NULL;
}

/* -- answers -- */

static void say(struct dns_query *query, const struct dns_answer *answer)
{
    dns_answered *answered = query->answered;
    void *arg = query->arg;
    list_remove(&query->link);
    free(query);
    answered(arg, answer);
}

static void say_status(struct dns_query *query, enum status status, int rcode)
{
    say(query, &(struct dns_answer){ .status = status, .rcode = rcode, .ttl_s = TTL_S, .canonical = "" });
}

static void say_mx(struct dns_query *query, const struct domain *domain)
{
    struct dns_record *records = calloc(3, sizeof *records);
    if (!records) {
        say_status(query, STATUS_IO, 2);
        return;
    }
    for (unsigned i = 0; i < domain->mx_count; i++) {
        records[i].preference = (uint16_t)(10 * (i + 1));
        snprintf(records[i].name, sizeof records[i].name, "%s", world->hosts[domain->mx[i]].name);
    }
    say(query, &(struct dns_answer){ .status = STATUS_OK, .ttl_s = TTL_S, .count = domain->mx_count, .records = records,
                                     .canonical = "" });
    free(records);
}

static void say_a(struct dns_query *query, const struct host *host)
{
    struct dns_record *record = calloc(1, sizeof *record);
    if (!record) {
        say_status(query, STATUS_IO, 2);
        return;
    }
    unsigned char octets[4] = { (unsigned char)(host->ip >> 24), (unsigned char)(host->ip >> 16),
                                (unsigned char)(host->ip >> 8), (unsigned char)host->ip };
    record->octets = span_of(octets, sizeof octets);
    say(query, &(struct dns_answer){ .status = STATUS_OK, .ttl_s = TTL_S, .count = query->type == DNS_A, .records = record,
                                     .canonical = "" });
    free(record);
}

static void on_due(struct loop_timer *timer)
{
    struct dns_query *query = CONTAINER(timer, struct dns_query, timer);
    const struct domain *domain = domain_find(query->name);
    const struct host *host = host_find(query->name);
    if (query->mood == DNS_SILENT)
        say_status(query, STATUS_TIMEOUT, 0);
    else if (query->mood == DNS_SERVFAIL)
        say_status(query, STATUS_IO, 2);
    else if (query->type == DNS_MX && domain && !domain->gone)
        say_mx(query, domain);
    else if (query->type != DNS_MX && host)
        say_a(query, host);
    else
        say_status(query, STATUS_NOT_FOUND, 3);
}

/* -- net/dns.h -- */

enum status dns_new(struct loop *loop, const struct dns_settings *settings, char *error, size_t room, struct dns **ret)
{
    struct dns *dns = calloc(1, sizeof *dns);
    if (!dns) {
        snprintf(error, room, "out of memory");
        return STATUS_MEMORY;
    }
    dns->loop = loop;
    dns->timeout_ms = settings->timeout_ms;
    list_init(&dns->queries);
    *ret = dns;
    return STATUS_OK;
}

void dns_cancel(struct dns_query *query)
{
    if (!query)
        return;
    list_remove(&query->link);
    loop_timer_stop(&query->timer);
    free(query);
}

void dns_free(struct dns *dns)
{
    for (LIST_EACH(link, &dns->queries))
        dns_cancel(CONTAINER(link, struct dns_query, link));
    free(dns);
}

static int64_t delay_ms(const struct dns_query *query)
{
    switch (query->mood) {
    case DNS_SILENT: return query->dns->timeout_ms;
    case DNS_SLOW: return between(100, query->dns->timeout_ms - 100);
    default: return between(1, 30);
    }
}

struct dns_query *dns_ask(struct dns *dns, struct span name, enum dns_type type, dns_answered *answered, void *arg)
{
    struct dns_query *query = calloc(1, sizeof *query);
    if (!query)
        return NULL;
    query->dns = dns;
    snprintf(query->name, sizeof query->name, "%.*s", SPAN_ARGS(name));
    query->type = type;
    query->answered = answered;
    query->arg = arg;
    const struct domain *domain = domain_find(query->name);
    query->mood = domain && !world->calm ? domain->dns : DNS_FINE;
    list_init(&query->link);
    list_add_last(&dns->queries, &query->link);
    loop_timer_init(dns->loop, &query->timer, on_due);
    loop_timer_set(&query->timer, delay_ms(query));
    return query;
}

unsigned dns_open(const struct dns *dns)
{
    unsigned n = 0;
    for (const struct list *link = dns->queries.next; link != &dns->queries; link = link->next)
        n++;
    return n;
}
