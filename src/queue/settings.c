#include "queue/settings.h"

#define AT(member) CONF_AT(struct queue_settings, member)
static const struct conf_directive queue_rows[] = {
    { "first-retry", CONF_TIME_MS, AT(first_retry_ms), "5min", "1s", "1d",
      "How long after a first attempt that was deferred the next one follows." },
    { "retry-growth", CONF_INTEGER, AT(retry_growth), "2", "1", "10",
      "Each interval between attempts is the one before, times this." },
    { "longest-retry", CONF_TIME_MS, AT(longest_retry_ms), "4h", "1s", "7d",
      "Intervals between attempts grow no further than this." },
    { "jitter", CONF_INTEGER, AT(jitter), "20", "0", "90",
      "Percent by which an interval is made shorter or longer at random, so that messages that failed together do not "
      "come back together." },
    { "expire", CONF_TIME_MS, AT(expire_ms), "5d", "1s", "30d",
      "A recipient that could not be reached for so long is given up, and the sender is told (RFC 5321 section "
      "4.5.4.1)." },
    { "delay-notice", CONF_TIME_MS, AT(delay_notice_ms), "4h", "1s", "30d",
      "The sender is told once when a message is still waiting after this time, where NOTIFY allows it (RFC 3461 "
      "section 4.1).", .zero = "never" },
    { "recipients-per-transaction", CONF_INTEGER, AT(recipients_per_transaction), "100", "1", "1000",
      "Most recipients that one transaction to another server has." },
    { "connections-per-site", CONF_INTEGER, AT(connections_per_site), "20", "1", "10000",
      "Most connections to the servers of one site, over all delivery processes. All domains with the same set of MX "
      "hosts are one site." },
    { "first-connections", CONF_INTEGER, AT(first_connections), "2", "1", "10000",
      "Connections to a site that has not taken a message yet; each that it takes allows one more, up to "
      "connections-per-site." },
    { "messages-ahead", CONF_INTEGER, AT(messages_ahead), "4", "1", "100",
      "Messages given to a delivery process for each connection that it may have to a site, so that the connection "
      "does not stand idle between two of them." },
    { "site-pause", CONF_TIME_MS, AT(site_pause_ms), "1min", "1s", "1h",
      "When none of a site's servers can be reached, nothing is tried there for this time; twice as long after each "
      "further failure." },
    { "longest-site-pause", CONF_TIME_MS, AT(longest_site_pause_ms), "15min", "1s", "1d",
      "The pauses of a site that cannot be reached grow no further than this." },
    { "domains-kept", CONF_INTEGER, AT(domains_kept), "150000", "0", "10000000",
      "Domains without a waiting message whose site is remembered until its answer's time is over." },
    { "compact", CONF_INTEGER, AT(compact), "10", "0", "90",
      "When at most this percent of a segment of the spool is still alive, what lives in it is moved, so that the "
      "segment can be used again. 0: never." },
    { 0 }
};
const struct conf_section queue_settings_section = { queue_rows, sizeof(struct queue_settings), NULL };
#undef AT

#define AT(member) CONF_AT(struct dsn_settings, member)
static const char *const double_bounce_words[] = { [DSN_DOUBLE_DROP] = "drop", [DSN_DOUBLE_POSTMASTER] = "postmaster",
                                                   NULL };
static const struct conf_directive dsn_rows[] = {
    { "postmaster", CONF_TEXT, AT(postmaster), NULL, NULL, "510",
      "Address that reports to senders come from. Default: postmaster at our hostname." },
    { "return-size", CONF_SIZE, AT(return_octets), "50KiB", "0", "25MiB",
      "Most of the original message that a report gives back; a larger one is given back as its header only." },
    { "double-bounce", CONF_ENUM, AT(double_bounce), "drop", NULL, NULL,
      "What happens to a report that cannot be delivered itself: it is dropped (and the log says so), or it goes to the "
      "postmaster.", .words = double_bounce_words },
    { 0 }
};
const struct conf_section dsn_settings_section = { dsn_rows, sizeof(struct dsn_settings), NULL };
#undef AT

#define AT(member) CONF_AT(struct queue_root, member)
static const struct conf_directive root_rows[] = {
    { NULL, CONF_INLINE, AT(common), .section = &conf_common_section },
    { "queue", CONF_SECTION, AT(queue), .help = "Waiting, trying again, taking turns.",
      .section = &queue_settings_section },
    { "dsn", CONF_SECTION, AT(dsn), .help = "Reports to senders about what could not be delivered.",
      .section = &dsn_settings_section },
    { 0 }
};
const struct conf_section queue_root_section = { root_rows, sizeof(struct queue_root), NULL };
