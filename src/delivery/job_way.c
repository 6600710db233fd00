/* Where a job may try: hosts in the order of their preference, the addresses of each by turns; those that failed a
 * moment ago come last. */
#include "delivery/job_priv.h"
#include <stdio.h>
#include <stdlib.h>

struct target {
    struct net_address address;
    char host[DNS_NAME_MAX];
};

struct way {
    struct job *job;
    struct loop_task next;      /* goes on outside of what told us to */
    struct hops_query *query;
    struct hops hops;
    bool has_hops;
    unsigned hop;               /* the next to look up */
    char host[DNS_NAME_MAX];    /* of the addresses */
    struct net_address addresses[HOPS_ADDRESSES_MAX];
    unsigned address_count, address;
    struct target *later;       /* NULL until there is one */
    unsigned later_count, later_at;
};

static void note_trouble(struct job *job, const struct hops_trouble *trouble)
{
    job_note(job, trouble->result == HOPS_FAILED, trouble->code, trouble->enhanced, span_str(trouble->text));
}

static void on_hops(void *arg, struct hops *hops)
{
    struct way *way = arg;
    way->query = NULL;
    way->hops = *hops;
    way->has_hops = true;
    if (hops->trouble.result != HOPS_OK) {
        note_trouble(way->job, &hops->trouble);
        way->hops.count = 0;
    }
    loop_later(&way->next);
}

static void on_addresses(void *arg, const struct hop_addresses *found)
{
    struct way *way = arg;
    way->query = NULL;
    way->address = 0;
    way->address_count = found->count;
    for (unsigned i = 0; i < found->count; i++)
        way->addresses[i] = found->list[i];
    if (found->trouble.result != HOPS_OK)
        note_trouble(way->job, &found->trouble);
    loop_later(&way->next);
}

static void one_address(struct way *way, const char *host, const struct net_address *address)
{
    way->has_hops = true;
    way->addresses[0] = *address;
    way->address = 0;
    way->address_count = 1;
    snprintf(way->host, sizeof way->host, "%s", host);
    loop_later(&way->next);
}

/* Asks for the hosts of a domain, or takes what the route says. False: out of memory. */
static bool find_hops(struct way *way)
{
    struct job *job = way->job;
    struct net_address address;
    const char *host = job->route.host;
    if (job->route.kind == ROUTE_SOCKET) {
        char text[ROUTE_HOST_MAX + 8];
        snprintf(text, sizeof text, "unix:%s", host);
        if (net_address_parse(span_str(text), 0, &address) == STATUS_OK) {
            one_address(way, "", &address);
            return true;
        }
        job_note(job, false, 0, STATUS_CODE(4, 3, 5), SPAN("the path of the socket cannot be used"));
        way->has_hops = true;
        loop_later(&way->next);
        return true;
    }
    struct span name = job->route.kind == ROUTE_MX ? job->domain : span_str(host);
    if (hops_literal(name, job->route.port, &address)) {
        one_address(way, "", &address);
        return true;
    }
    if (job->route.kind == ROUTE_MX) {
        struct delivery *delivery = job->delivery;
        way->query = hops_ask(job->config->dns, name, job->config->hostname, ++delivery->random, on_hops, way);
        return way->query != NULL;
    }
    way->hops.list = calloc(1, sizeof *way->hops.list);
    if (!way->hops.list)
        return false;
    snprintf(way->hops.list[0].name, sizeof way->hops.list[0].name, "%s", host);
    way->hops.count = 1;
    way->has_hops = true;
    loop_later(&way->next);
    return true;
}

static bool find_addresses(struct way *way)
{
    const struct job *job = way->job;
    int ip = job->config->root->delivery.ip;
    memcpy(way->host, way->hops.list[way->hop++].name, sizeof way->host);
    struct span name = span_str(way->host);
    way->query = hops_ask_addresses(job->config->dns, name, job->route.port, ip != DELIVERY_IP_4, ip != DELIVERY_IP_6,
                                    on_addresses, way);
    return way->query != NULL;
}

/* What is ourselves, and everything that is no better, would come back (RFC 5321 section 5.1). */
static void stop_at_self(struct way *way)
{
    struct job *job = way->job;
    way->hop = way->hops.count;
    way->address = way->address_count;
    if (job->tried > 0 || way->later_count > 0)
        return;
    char text[DNS_NAME_MAX + 80];
    snprintf(text, sizeof text, "mail for %.*s loops back to this server", (int)MIN(job->domain.n, (size_t)200), job->domain.p);
    job_note(job, true, 0, STATUS_CODE(5, 4, 6), span_str(text));
}

/* May the DNS (or a literal) send us there? Routes are the administrator's own word. */
static bool is_refused(const struct job *job, const struct net_address *address)
{
    struct conf_ip ip;
    return job->route.kind == ROUTE_MX && conf_ip_from(&address->as.any, &ip) &&
           conf_networks_have(&job->config->root->delivery.refuse, &ip);
}

static void note_refused(struct job *job, const struct net_address *address)
{
    char ip[NET_ADDRESS_TEXT], text[NET_ADDRESS_TEXT + 120];
    net_address_ip_text(address, ip);
    snprintf(text, sizeof text, "its server has the address %s, where no mail is sent (setting delivery.refuse-networks)", ip);
    job_note(job, true, 0, STATUS_CODE(5, 4, 4), span_str(text));
}

static bool keep_for_later(struct way *way, const struct net_address *address)
{
    if (!way->later)
        way->later = calloc(HOPS_ADDRESSES_MAX, sizeof *way->later);
    if (!way->later || way->later_count == HOPS_ADDRESSES_MAX)
        return false;
    struct target *later = &way->later[way->later_count++];
    later->address = *address;
    memcpy(later->host, way->host, sizeof later->host);
    return true;
}

/* Takes the next address at once, if there is one. */
static bool take_address(struct way *way)
{
    struct job *job = way->job;
    int64_t now_ms = loop_now_ms(job->delivery->loop);
    while (way->address < way->address_count) {
        const struct net_address *address = &way->addresses[way->address++];
        if (delivery_config_is_self(job->config, address)) {
            stop_at_self(way);
        } else if (is_refused(job, address)) {
            if (job->tried == 0 && way->later_count == 0) /* one that answered "later" is worth waiting for */
                note_refused(job, address);
        } else if (!hosts_is_failed(&job->delivery->hosts, address, now_ms) || !keep_for_later(way, address)) {
            job->trying = *address;
            memcpy(job->host, way->host, sizeof job->host);
            return true;
        }
    }
    if (way->has_hops && way->hop >= way->hops.count && way->later_at < way->later_count) {
        const struct target *later = &way->later[way->later_at++];
        job->trying = later->address;
        memcpy(job->host, later->host, sizeof job->host);
        return true;
    }
    return false;
}

static void go_on(struct loop_task *task)
{
    struct way *way = CONTAINER(task, struct way, next);
    struct job *job = way->job;
    bool ok = true;
    if (job->tried >= (unsigned)job->config->root->delivery.addresses) {
        job_no_way(job);
        return;
    }
    if (take_address(way)) {
        job->tried++;
        job_open(job);
        return;
    }
    if (!way->has_hops) {
        ok = find_hops(way);
    } else if (way->hop < way->hops.count) {
        ok = find_addresses(way);
    } else {
        job_no_way(job);
        return;
    }
    if (!ok) {
        job->trouble = TROUBLE_LOCAL;
        job_note(job, false, 0, STATUS_CODE(4, 3, 0), SPAN("out of memory"));
        job_no_way(job);
    }
}

void job_way_next(struct job *job)
{
    if (!job->way) {
        job->way = calloc(1, sizeof *job->way);
        if (!job->way) {
            job->trouble = TROUBLE_LOCAL;
            job_note(job, false, 0, STATUS_CODE(4, 3, 0), SPAN("out of memory"));
            job_no_way(job);
            return;
        }
        job->way->job = job;
        loop_task_init(job->delivery->loop, &job->way->next, go_on);
    }
    loop_later(&job->way->next);
}

void job_way_free(struct job *job)
{
    struct way *way = job->way;
    if (!way)
        return;
    loop_task_cancel(&way->next);
    hops_cancel(way->query);
    hops_free(&way->hops);
    free(way->later);
    free(way);
    job->way = NULL;
}
