#include "delivery/hops.h"
#include "base/hash.h"
#include "wire/queue_delivery.h"
#include <idn2.h>
#include <stdio.h>
#include <stdlib.h>

struct hops_query {
    struct dns *dns;
    char host[DNS_NAME_MAX];
    uint16_t port;
    /* of an MX */
    struct dns_query *mx;
    hops_done *done;
    char self[DNS_NAME_MAX];
    uint64_t random;
    /* of addresses */
    struct dns_query *a, *aaaa;
    hops_addresses_done *addresses_done;
    struct net_address ip4[HOPS_ADDRESSES_MAX], ip6[HOPS_ADDRESSES_MAX];
    unsigned count4, count6;
    bool is_temporary;
    enum status why;
    uint32_t ttl_s;
    void *arg;
};

static void set_trouble(struct hops_trouble *ret, enum hops_result result, int code, struct status_code enhanced,
                        const char *before, const char *name, const char *after)
{
    *ret = (struct hops_trouble){ .result = result, .code = code, .enhanced = enhanced };
    snprintf(ret->text, sizeof ret->text, "%s%.120s%s", before, name, after);
}

/* Is this no answer, but one may come later? */
static bool is_temporary(const struct dns_answer *answer)
{
    return answer->security == DNS_BOGUS || (answer->status != STATUS_OK && answer->status != STATUS_NOT_FOUND &&
                                             answer->status != STATUS_SYNTAX);
}

static const char *temporary_text(enum status why)
{
    return why == STATUS_TIMEOUT ? ": the name servers do not answer" : why == STATUS_DAMAGED
               ? ": the name servers' answer is not valid" : ": the name servers failed";
}

/* ---- MX ---- */

static uint64_t next_random(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    return hash_u64(*state);
}

static int by_preference(const void *a, const void *b)
{
    const struct hop *x = a, *y = b;
    return (x->preference > y->preference) - (x->preference < y->preference);
}

static void shuffle(struct hop *list, unsigned n, uint64_t *random)
{
    for (unsigned i = n; i > 1; i--) {
        unsigned j = (unsigned)(next_random(random) % i);
        struct hop swap = list[i - 1];
        list[i - 1] = list[j];
        list[j] = swap;
    }
}

/* Ourselves, and whoever is no better, would only send it back. */
static void cut_self(struct hops *hops, const char *self)
{
    for (unsigned i = 0; i < hops->count; i++) {
        if (!span_eq_case(span_str(hops->list[i].name), span_str(self)))
            continue;
        unsigned least = 0;
        while (hops->list[least].preference < hops->list[i].preference)
            least++;
        hops->count = least;
        return;
    }
}

static void set_null(const struct hops_query *query, struct hops *hops)
{
    set_trouble(&hops->trouble, HOPS_FAILED, 556, STATUS_CODE(5, 1, 10), "the domain ", query->host, " takes no mail");
}

static void take_records(const struct hops_query *query, const struct dns_answer *answer, struct hops *hops)
{
    unsigned most = MIN(answer->count, (unsigned)DNS_RECORDS_MAX);
    hops->list = calloc(most, sizeof *hops->list);
    if (!hops->list) {
        set_trouble(&hops->trouble, HOPS_DEFERRED, 0, STATUS_CODE(4, 3, 0), "out of memory for ", query->host, "");
        return;
    }
    for (unsigned i = 0; i < most; i++) {
        if (!answer->records[i].name[0]) /* a null MX beside others means nothing */
            continue;
        struct hop *hop = &hops->list[hops->count++];
        snprintf(hop->name, sizeof hop->name, "%s", answer->records[i].name);
        hop->preference = answer->records[i].preference;
    }
    if (hops->count == 0) {
        set_null(query, hops);
        return;
    }
    uint64_t random = query->random;
    shuffle(hops->list, hops->count, &random); /* the sort that follows need not keep an order among equals */
    qsort(hops->list, hops->count, sizeof *hops->list, by_preference);
    cut_self(hops, query->self);
    hops->count = MIN(hops->count, (unsigned)HOPS_MAX);
    if (hops->count == 0)
        set_trouble(&hops->trouble, HOPS_FAILED, 0, STATUS_CODE(5, 4, 6), "mail for ", query->host,
                    " loops back to this server");
}

static void take_itself(const struct hops_query *query, struct hops *hops)
{
    hops->list = calloc(1, sizeof *hops->list);
    if (!hops->list) {
        set_trouble(&hops->trouble, HOPS_DEFERRED, 0, STATUS_CODE(4, 3, 0), "out of memory for ", query->host, "");
        return;
    }
    snprintf(hops->list[0].name, sizeof hops->list[0].name, "%s", query->host);
    hops->count = 1;
    hops->is_implicit = true;
    cut_self(hops, query->self);
    if (hops->count == 0)
        set_trouble(&hops->trouble, HOPS_FAILED, 0, STATUS_CODE(5, 4, 6), "mail for ", query->host,
                    " loops back to this server");
}

static void on_mx(void *arg, const struct dns_answer *answer)
{
    struct hops_query *query = arg;
    struct hops hops = { .ttl_s = answer->ttl_s };
    query->mx = NULL;
    if (is_temporary(answer))
        set_trouble(&hops.trouble, HOPS_DEFERRED, 0, STATUS_CODE(4, 4, 3), "cannot find the mail servers of ", query->host,
                    temporary_text(answer->status));
    else if (answer->status == STATUS_NOT_FOUND)
        set_trouble(&hops.trouble, HOPS_FAILED, 0, STATUS_CODE(5, 1, 2), "the domain ", query->host, " does not exist");
    else if (answer->status == STATUS_SYNTAX)
        set_trouble(&hops.trouble, HOPS_FAILED, 0, STATUS_CODE(5, 1, 2), "", query->host, " is not the name of a domain");
    else if (answer->count == 0)
        take_itself(query, &hops);
    else
        take_records(query, answer, &hops);
    hops_done *done = query->done;
    void *done_arg = query->arg;
    free(query);
    done(done_arg, &hops);
}

/* The DNS knows a name in UTF-8 by its A-labels (RFC 5891). One that has none stays as it is, and is no name. */
static void set_host(struct hops_query *query, struct span name)
{
    if (name.n)
        memcpy(query->host, name.p, name.n);
    if (span_is_ascii(name))
        return;
    char *ascii = NULL;
    if (idn2_to_ascii_8z(query->host, &ascii, IDN2_NONTRANSITIONAL) == IDN2_OK && strlen(ascii) < sizeof query->host)
        snprintf(query->host, sizeof query->host, "%s", ascii);
    idn2_free(ascii);
}

static struct hops_query *query_new(struct dns *dns, struct span name, void *arg)
{
    struct hops_query *query = name.n < DNS_NAME_MAX ? calloc(1, sizeof *query) : NULL;
    if (!query)
        return NULL;
    query->dns = dns;
    query->arg = arg;
    set_host(query, name);
    return query;
}

struct hops_query *hops_ask(struct dns *dns, struct span domain, struct span self, uint64_t random, hops_done *done, void *arg)
{
    struct hops_query *query = query_new(dns, domain, arg);
    if (!query)
        return NULL;
    query->done = done;
    query->random = random;
    snprintf(query->self, sizeof query->self, "%.*s", SPAN_ARGS(self));
    query->mx = dns_ask(dns, span_str(query->host), DNS_MX, on_mx, query);
    if (!query->mx) {
        free(query);
        return NULL;
    }
    return query;
}

void hops_free(struct hops *hops)
{
    free(hops->list);
    hops->list = NULL;
    hops->count = 0;
}

/* ---- addresses ---- */

static void note(struct hops_query *query, const struct dns_answer *answer)
{
    query->ttl_s = MIN(query->ttl_s, answer->ttl_s);
    if (is_temporary(answer)) {
        query->is_temporary = true;
        query->why = answer->status;
    }
}

static void finish_addresses(struct hops_query *query)
{
    struct hop_addresses found = { .ttl_s = query->ttl_s };
    for (unsigned i = 0; i < HOPS_ADDRESSES_MAX && found.count < HOPS_ADDRESSES_MAX; i++) {
        if (i < query->count6)
            found.list[found.count++] = query->ip6[i];
        if (i < query->count4 && found.count < HOPS_ADDRESSES_MAX)
            found.list[found.count++] = query->ip4[i];
    }
    if (found.count == 0 && query->is_temporary)
        set_trouble(&found.trouble, HOPS_DEFERRED, 0, STATUS_CODE(4, 4, 3), "cannot find the address of ", query->host,
                    temporary_text(query->why));
    else if (found.count == 0)
        set_trouble(&found.trouble, HOPS_FAILED, 0, STATUS_CODE(5, 4, 4), "the host ", query->host, " has no address");
    hops_addresses_done *done = query->addresses_done;
    void *arg = query->arg;
    free(query);
    done(arg, &found);
}

static void on_a(void *arg, const struct dns_answer *answer)
{
    struct hops_query *query = arg;
    query->a = NULL;
    note(query, answer);
    for (unsigned i = 0; answer->status == STATUS_OK && i < answer->count; i++) {
        if (answer->records[i].octets.n == 4 && query->count4 < HOPS_ADDRESSES_MAX)
            query->ip4[query->count4++] = net_address_ip4(answer->records[i].octets.p, query->port);
    }
    if (!query->aaaa)
        finish_addresses(query);
}

static void on_aaaa(void *arg, const struct dns_answer *answer)
{
    struct hops_query *query = arg;
    query->aaaa = NULL;
    note(query, answer);
    for (unsigned i = 0; answer->status == STATUS_OK && i < answer->count; i++) {
        if (answer->records[i].octets.n == 16 && query->count6 < HOPS_ADDRESSES_MAX)
            query->ip6[query->count6++] = net_address_ip6(answer->records[i].octets.p, query->port);
    }
    if (!query->a)
        finish_addresses(query);
}

struct hops_query *hops_ask_addresses(struct dns *dns, struct span host, uint16_t port, bool want6, bool want4,
                                      hops_addresses_done *done, void *arg)
{
    struct hops_query *query = query_new(dns, host, arg);
    if (!query)
        return NULL;
    query->port = port;
    query->addresses_done = done;
    query->ttl_s = UINT32_MAX;
    bool ok = true;
    if (want6)
        ok = (query->aaaa = dns_ask(dns, span_str(query->host), DNS_AAAA, on_aaaa, query)) != NULL;
    if (ok && want4)
        ok = (query->a = dns_ask(dns, span_str(query->host), DNS_A, on_a, query)) != NULL;
    if (!ok || (!want4 && !want6)) {
        hops_cancel(query);
        return NULL;
    }
    return query;
}

void hops_cancel(struct hops_query *query)
{
    if (!query)
        return;
    dns_cancel(query->mx);
    dns_cancel(query->a);
    dns_cancel(query->aaaa);
    free(query);
}

/* ---- names ---- */

bool hops_literal(struct span domain, uint16_t port, struct net_address *ret)
{
    if (domain.n > 2 && domain.p[0] == '[' && domain.p[domain.n - 1] == ']')
        domain = span_of(domain.p + 1, domain.n - 2);
    if (span_starts_case(domain, SPAN("IPv6:")))
        domain = span_from(domain, 5);
    return net_address_parse_ip(domain, port, ret) == STATUS_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

struct span hops_key(const struct hops *hops, struct buf *ret)
{
    const char *names[HOPS_MAX];
    for (unsigned i = 0; i < hops->count; i++)
        names[i] = hops->list[i].name;
    qsort(names, hops->count, sizeof names[0], by_name);
    buf_add_str(ret, "mx:");
    for (unsigned i = 0; i < hops->count; i++) {
        if (i > 0 && strcmp(names[i], names[i - 1]) == 0)
            continue;
        if (ret->n > 3)
            buf_add_char(ret, ',');
        buf_add_str(ret, names[i]);
    }
    if (ret->n > WIRE_SITE_KEY_MAX) {
        uint64_t hash = hash_stable(buf_span(ret));
        ret->n = WIRE_SITE_KEY_MAX - 20;
        buf_printf(ret, "#%016llx", (unsigned long long)hash);
    }
    return buf_span(ret);
}
