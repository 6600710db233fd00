/* net/dns.h -- questions to the DNS, answered inside our loop by libunbound with its cache and its validation. */
#pragma once
#include "loop/loop.h"
#include "net/address.h"

#define DNS_NAME_MAX 256      /* with NUL */
#define DNS_RECORDS_MAX 100   /* of one answer; the others are dropped */
#define DNS_ANSWER_MAX 65536  /* octets */

enum dns_type { DNS_A = 1, DNS_CNAME = 5, DNS_MX = 15, DNS_TXT = 16, DNS_AAAA = 28, DNS_TLSA = 52 };

enum dns_security {
    DNS_INSECURE, /* not signed, or not checked */
    DNS_BOGUS,    /* signed, and the signatures are wrong: treat as no answer, and ask again later */
    DNS_SECURE,
};

struct dns_record {
    uint16_t preference;   /* MX */
    struct span octets;    /* the record's data as it came (A: 4, AAAA: 16, TLSA and TXT: raw) */
    char name[DNS_NAME_MAX]; /* MX: the host, lower case, without the last dot; "" is the root (null MX, RFC 7505) */
};

struct dns_answer {
    /* OK: the name exists (records may still be none). NOT_FOUND: it does not (NXDOMAIN). TIMEOUT; IO: the servers
     * failed or refused (`rcode`); DAMAGED: bogus or unreadable; SYNTAX: not a name. All but the first two are worth
     * another try later. */
    enum status status;
    int rcode; /* RFC 6895 section 2.3 */
    enum dns_security security;
    uint32_t ttl_s;
    unsigned count;
    const struct dns_record *records;
    const char *canonical; /* where CNAMEs led, lower case; the name asked for without any */
};

struct dns_settings {
    const struct net_address *resolvers; /* forwarders, their ports counting; none and not `system`: full recursion */
    unsigned count;
    bool system;     /* those of `resolv_conf` */
    bool validate;   /* DNSSEC from the root's key */
    size_t cache;    /* octets */
    int64_t timeout_ms; /* of a question, from when it is on its way */
    bool hosts; /* also answer from `hosts_file` */
    struct span resolv_conf, hosts_file; /* the files' text (resolv.conf(5), hosts(5)); read by dns_new() */
};

struct dns;
struct dns_query;
typedef void dns_answered(void *arg, const struct dns_answer *answer); /* borrowed during the call */

/* `error` says what is wrong (at least 128 octets). */
MUST_CHECK enum status dns_new(struct loop *loop, const struct dns_settings *settings, char *error, size_t room, struct dns **ret);
void dns_free(struct dns *dns); /* open questions are forgotten, unanswered; not inside an answer */

/* `answered` is called once, never inside this call. `name` is ASCII (A-labels), a last dot does not matter.
 * NULL: out of memory, or too many questions are open (DNS_QUERIES_MAX). */
#define DNS_QUERIES_MAX 20000
/* So many questions are on their way at once; the others wait for one of them to be answered, or to become slow: those
 * are counted by themselves, and beyond their number the oldest is told TIMEOUT. */
#define DNS_QUICK_MAX 128
#define DNS_SLOW_MS 500
#define DNS_SLOW_MAX 1500
struct dns_query *dns_ask(struct dns *dns, struct span name, enum dns_type type, dns_answered *answered, void *arg);
void dns_cancel(struct dns_query *query); /* NULL is fine */
unsigned dns_open(const struct dns *dns); /* questions without an answer yet */
