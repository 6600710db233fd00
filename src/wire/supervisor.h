/* wire/supervisor.h -- what the supervisor and its processes say to each other, on descriptor 3.
 *
 * Order after the start: SETTINGS, LOG, LISTENER..., PEER..., START. The process opens its doors, answers READY.
 * A reload: SETTINGS, LISTENER..., RELOAD: the listeners sent since are the whole new set (descriptors of addresses
 * that stay are those of the same socket, so nothing that waits in them is lost). A peer that died is replaced by a
 * new PEER with the same role and number. TICKETS may come at any time, first before START. What comes out of this order
 * (a second START, RELOAD before START, LISTENER or PEER before SETTINGS) is refused by wire/process.c with a line in the log.
 */
#pragma once
#include "wire/channel.h"
#include "wire/codec.h"

#define SUPERVISOR_FD 3        /* where a process finds its channel */
#define WIRE_BLOBS_MAX 256     /* certificates and keys in one SETTINGS */

enum supervisor_kind {
    SUPERVISOR_SETTINGS = 1, /* struct supervisor_settings */
    SUPERVISOR_LISTENER,     /* struct supervisor_listener, one descriptor */
    SUPERVISOR_PEER,         /* struct supervisor_peer, one descriptor */
    SUPERVISOR_LOG,          /* empty body, one descriptor: the event log; again after a rotation */
    SUPERVISOR_TICKETS,      /* struct supervisor_tickets: keys of TLS session tickets, newest first */
    SUPERVISOR_START,        /* empty */
    SUPERVISOR_RELOAD,       /* empty: SETTINGS and LISTENERs sent before it now hold */
    SUPERVISOR_DRAIN,        /* empty: take nothing new, finish what is in hand, say DRAINED and exit 0 */
    SUPERVISOR_READY,        /* up: doors are open; answers START and RELOAD */
    SUPERVISOR_DRAINED,      /* up: nothing left in hand */
    SUPERVISOR_FAILED,       /* up: struct supervisor_failed: cannot go on, or refuses these settings */
    SUPERVISOR_WHO,          /* up: struct supervisor_who: smtpd has a client of this machine */
    SUPERVISOR_WHO_IS,       /* struct supervisor_who_is: the answer */
    SUPERVISOR_TALLY,        /* struct supervisor_tally (wire/tally.h), one descriptor; before START, to smtpd and directory */
};

enum role { ROLE_SUPERVISOR, ROLE_SMTPD, ROLE_QUEUE, ROLE_DELIVERY, ROLE_DIRECTORY, ROLE_WEB, ROLE_SHARE, ROLE_MIRROR, ROLE_COUNT };
const char *role_name(enum role role);                    /* "smtpd", ...; never NULL */
MUST_CHECK bool role_parse(struct span name, enum role *ret);

struct supervisor_blob {
    struct span name;     /* the path as the settings name it, or a word such as "self-signed-key" */
    struct span content;
};

struct supervisor_settings {
    uint32_t number;      /* which of the processes of its role, from 0 */
    uint32_t count;       /* how many of them there are */
    struct span file;     /* name of the settings file, for messages */
    struct span text;     /* its text; parse it with the same tables */
    uint32_t blob_count;
    struct supervisor_blob blobs[WIRE_BLOBS_MAX];
};
void supervisor_settings_put(struct buf *buf, const struct supervisor_settings *value);
/* Spans are borrowed from `body`. */
MUST_CHECK bool supervisor_settings_get(struct span body, struct supervisor_settings *ret);
/* The content of the blob of that name, or SPAN_NONE. */
struct span supervisor_settings_blob(const struct supervisor_settings *settings, struct span name);

#define WIRE_LISTENER_LOCAL UINT32_MAX /* the socket of `local`; all processes smtpd have the same one */
struct supervisor_listener {
    uint32_t index;       /* row of `listen` in the settings, or WIRE_LISTENER_LOCAL */
};
void supervisor_listener_put(struct buf *buf, const struct supervisor_listener *value);
MUST_CHECK bool supervisor_listener_get(struct span body, struct supervisor_listener *ret);

struct supervisor_peer {
    enum role role;
    uint32_t number;
    uint32_t count;       /* how many of that role there are */
    uint32_t pid;         /* its process */
};
void supervisor_peer_put(struct buf *buf, const struct supervisor_peer *value);
MUST_CHECK bool supervisor_peer_get(struct span body, struct supervisor_peer *ret);

#define WIRE_TICKET_KEY_OCTETS 80 /* 16 name, 32 HMAC, 32 AES: what OpenSSL's ticket keys take */
#define WIRE_TICKET_KEYS_MAX 4
struct supervisor_tickets {
    uint32_t count;
    unsigned char keys[WIRE_TICKET_KEYS_MAX][WIRE_TICKET_KEY_OCTETS];
};
void supervisor_tickets_put(struct buf *buf, const struct supervisor_tickets *value);
MUST_CHECK bool supervisor_tickets_get(struct span body, struct supervisor_tickets *ret);

/* What the kernel said about a client (SO_PEERCRED), and what the system knows of it: smtpd opens no files. */
struct supervisor_who {
    uint64_t token;
    uint32_t uid;
    uint32_t pid;
};
void supervisor_who_put(struct buf *buf, const struct supervisor_who *value);
MUST_CHECK bool supervisor_who_get(struct span body, struct supervisor_who *ret);

#define WIRE_USER_MAX 64
#define WIRE_CGROUP_MAX 512
struct supervisor_who_is {
    uint64_t token;
    struct span name;     /* of the user, by /etc/passwd; or empty */
    struct span cgroup;   /* of the process; empty: it cannot be seen */
};
void supervisor_who_is_put(struct buf *buf, const struct supervisor_who_is *value);
MUST_CHECK bool supervisor_who_is_get(struct span body, struct supervisor_who_is *ret);

struct supervisor_failed {
    struct span text;     /* for the person who reads the log */
};
void supervisor_failed_put(struct buf *buf, const struct supervisor_failed *value);
MUST_CHECK bool supervisor_failed_get(struct span body, struct supervisor_failed *ret);
