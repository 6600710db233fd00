/* wire/queue_delivery.h -- queue knows what is due, delivery asks for work and tells what the peers said.
 *
 * delivery gives credits (leases it can take on now); queue never sends more. A lease is one message and those of
 * its recipients that go to one site now; its end is one OUTCOME that names every recipient of the lease. delivery
 * reads the message itself from the segment (SEGMENT comes before the first lease that needs it).
 * A delivery that dies loses its leases: their recipients wait again.
 *
 * A queue that dies does not stop a delivery in the middle of a message. The next queue is told first what is still in
 * hand, and which outcomes the one before did not confirm (HELD, with an OUTCOME behind it where there is one); then
 * comes the first CREDIT, be it 0. Until then the queue grants nothing, so that no message goes out twice.
 *
 * A delivery that is to end says LEAVING and gives back what no server has begun to take (RETURNED). Behind LEFT no
 * grant follows.
 */
#pragma once
#include "wire/channel.h"
#include "wire/codec.h"

#define WIRE_DOMAIN_MAX 255
#define WIRE_SITE_KEY_MAX 2048
#define WIRE_REPLY_MAX 1024      /* octets of a remote server's words that are kept */
#define WIRE_LEASE_RECIPIENTS_MAX 1000

enum queue_delivery_kind {
    /* queue -> delivery */
    LEASE_SEGMENT = 1,     /* struct lease_segment, one descriptor, read-only */
    LEASE_SEGMENT_GONE,    /* struct lease_segment_gone: close it */
    LEASE_BODY,            /* struct lease_body, one descriptor, read-only: a body file */
    LEASE_BODY_GONE,       /* struct lease_body_gone */
    LEASE_RESOLVE,         /* struct lease_resolve: which site serves this domain? */
    LEASE_GRANT,           /* struct lease_grant */
    LEASE_SETTLED,         /* struct lease_settled: outcomes are written, in the order in which they came */
    LEASE_LEFT,            /* no body; answers LEAVING */
    /* delivery -> queue */
    LEASE_CREDIT = 32,     /* struct lease_credit */
    LEASE_RESOLVED,        /* struct lease_resolved */
    LEASE_OUTCOME,         /* struct lease_outcome */
    LEASE_HELD,            /* struct lease_held: a lease of the queue before */
    LEASE_RETURNED,        /* struct lease_returned: nobody has begun it, as if it had not been granted */
    LEASE_LEAVING,         /* no body; all credits are void */
};

struct lease_segment {
    uint32_t number;
    uint64_t epoch;
};
struct lease_segment_gone {
    uint32_t number;
};
struct lease_body {
    uint64_t number;
};
struct lease_body_gone {
    uint64_t number;
};
struct lease_resolve {
    uint64_t token;
    struct span domain;    /* lower case; or a domain literal "[192.0.2.1]" */
    struct span route;     /* an operator's reroute ("smtp://host:25"), "" for the settings' own */
};
struct lease_grant {
    uint64_t lease;
    uint64_t id;
    uint32_t segment;
    uint32_t offset;
    uint32_t length;
    uint64_t body;         /* number of the body file, 0: none */
    uint32_t attempt;      /* 1 for the first */
    uint32_t connections;  /* how many connections this process may have to the site now */
    struct span site;      /* the key that LEASE_RESOLVED gave */
    struct span domain;    /* of the first recipient: what the hops are looked up by */
    struct span route;     /* an operator's reroute, or "" */
    uint32_t recipient_count;
    uint32_t recipients[WIRE_LEASE_RECIPIENTS_MAX]; /* indexes in the record's envelope */
};

struct lease_settled {
    uint32_t outcomes;     /* so many more */
};

struct lease_credit {
    uint32_t more;
};
enum resolve_result { RESOLVE_SITE, RESOLVE_DEFERRED, RESOLVE_FAILED };
struct lease_resolved {
    uint64_t token;
    uint8_t result;        /* enum resolve_result */
    struct span site;      /* canonical key: the same for all domains with the same set of MX hosts, or the route's text */
    uint32_t ttl_s;        /* how long the answer holds */
    uint16_t code;         /* when not a site: SMTP-like reply code, 0: none */
    uint16_t enhanced[3];  /* RFC 3463: 5.1.2, ... */
    struct span text;      /* what happened, for people */
};
enum outcome_result { OUTCOME_DELIVERED, OUTCOME_DEFERRED, OUTCOME_FAILED, OUTCOME_CAUGHT, OUTCOME_RELAYED };
enum outcome_trouble {
    TROUBLE_NONE,          /* the site answered as it should */
    TROUBLE_CONNECT,       /* no host could be reached or greeted us well: back off the whole site */
    TROUBLE_BUSY,          /* 421, or 4xx to everybody: slow down */
    TROUBLE_LOCAL,         /* our own fault (could not read the record, out of descriptors): no back-off for the site */
};
struct outcome_recipient {
    uint32_t index;
    uint8_t result;        /* enum outcome_result; RELAYED: delivered to a server without DSN, we owe a "relayed" report */
    uint16_t code;         /* the peer's reply code, 0: there was none */
    uint16_t enhanced[3];
    struct span text;      /* the peer's words, or ours when there were none */
};
struct lease_outcome {
    uint64_t lease;
    uint8_t trouble;       /* enum outcome_trouble */
    struct span host;      /* the last server that was spoken to: its name ("" when none) */
    struct span address;   /* "192.0.2.1:25" */
    struct span tls;       /* "TLSv1.3 TLS_AES_256_GCM_SHA384 verified", "" in clear */
    uint32_t recipient_count;
    struct span recipients; /* packed; outcome_recipient_put/get */
};

#define LEASE_HELD_BIT (UINT64_C(1) << 63) /* in numbers of leases that delivery chose; queue's own do not have it */
struct lease_held {
    uint64_t lease;        /* a new number for it */
    uint64_t id;
    uint32_t attempt;
    struct span site;
    uint32_t recipient_count;
    uint32_t recipients[WIRE_LEASE_RECIPIENTS_MAX];
};
struct lease_returned {
    uint64_t lease;
};

void lease_segment_put(struct buf *buf, const struct lease_segment *value);
void lease_segment_gone_put(struct buf *buf, const struct lease_segment_gone *value);
void lease_body_put(struct buf *buf, const struct lease_body *value);
void lease_body_gone_put(struct buf *buf, const struct lease_body_gone *value);
void lease_resolve_put(struct buf *buf, const struct lease_resolve *value);
void lease_grant_put(struct buf *buf, const struct lease_grant *value);
void lease_settled_put(struct buf *buf, const struct lease_settled *value);
void lease_credit_put(struct buf *buf, const struct lease_credit *value);
void lease_resolved_put(struct buf *buf, const struct lease_resolved *value);
void lease_outcome_put(struct buf *buf, const struct lease_outcome *value);
void lease_held_put(struct buf *buf, const struct lease_held *value);
void lease_returned_put(struct buf *buf, const struct lease_returned *value);
void outcome_recipient_put(struct buf *buf, const struct outcome_recipient *value);

/* All spans are borrowed from `body`. False: the sender broke the format. */
MUST_CHECK bool lease_segment_get(struct span body, struct lease_segment *ret);
MUST_CHECK bool lease_segment_gone_get(struct span body, struct lease_segment_gone *ret);
MUST_CHECK bool lease_body_get(struct span body, struct lease_body *ret);
MUST_CHECK bool lease_body_gone_get(struct span body, struct lease_body_gone *ret);
MUST_CHECK bool lease_resolve_get(struct span body, struct lease_resolve *ret);
MUST_CHECK bool lease_grant_get(struct span body, struct lease_grant *ret);
MUST_CHECK bool lease_settled_get(struct span body, struct lease_settled *ret);
MUST_CHECK bool lease_credit_get(struct span body, struct lease_credit *ret);
MUST_CHECK bool lease_resolved_get(struct span body, struct lease_resolved *ret);
MUST_CHECK bool lease_outcome_get(struct span body, struct lease_outcome *ret);
MUST_CHECK bool lease_held_get(struct span body, struct lease_held *ret);
MUST_CHECK bool lease_returned_get(struct span body, struct lease_returned *ret);
/* Takes the next recipient off the front; the caller asks recipient_count times. */
MUST_CHECK bool outcome_recipient_get(struct wire_reader *recipients, struct outcome_recipient *ret);
