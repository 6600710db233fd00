/* queue/settings.h -- what can be set about waiting, trying again, turns and reports: the sections `queue` and `dsn`. */
#pragma once
#include "conf/common.h"
#include "conf/parse.h"

struct queue_settings {
    int64_t first_retry_ms, longest_retry_ms;
    int64_t retry_growth;               /* each interval is the one before, times this */
    int64_t jitter;                     /* percent by which an interval is made longer or shorter at most */
    int64_t expire_ms;
    int64_t delay_notice_ms;            /* 0: never */
    int64_t recipients_per_transaction;
    int64_t connections_per_site;
    int64_t first_connections;          /* of these, to a site that nothing is known of */
    int64_t messages_ahead;             /* leases in hand for each of these connections */
    int64_t site_pause_ms, longest_site_pause_ms;
    int64_t domains_kept;
    int64_t compact;                    /* percent of a segment that is alive still when it is moved away */
};

enum dsn_double_bounce { DSN_DOUBLE_DROP, DSN_DOUBLE_POSTMASTER };

struct dsn_settings {
    struct span postmaster;             /* unset: postmaster@ our name */
    int64_t return_octets;
    enum dsn_double_bounce double_bounce;
};

/* The part of the settings file that the process `queue` reads. */
struct queue_root {
    struct conf_common common;
    struct queue_settings queue;
    struct dsn_settings dsn;
};

/* What of the file concerns this process; for CONF_PARTIAL. */
extern const struct conf_section queue_root_section;
extern const struct conf_section queue_settings_section;
extern const struct conf_section dsn_settings_section;
