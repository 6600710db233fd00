#include "delivery/route.h"

#define AT(member) CONF_AT(struct delivery_settings, member)
static const char *const ip_words[] = { "both", "ipv6", "ipv4", NULL };
static const char *const tls_words[] = { "auto", "none", "opportunistic", "required", "verified", NULL };

static const struct conf_directive rows[] = {
    { "processes", CONF_INTEGER, AT(processes), "auto", "0", "64",
      "Delivery processes; auto: one for each core that goniec may use.", .zero = "auto" },
    { "leases", CONF_INTEGER, AT(leases), "5000", "1", "100000",
      "Messages that one delivery process has in hand at most, and connections that it uses. When half of them wait for "
      "servers that say nothing, those that have waited longest, and five seconds at least, are tried later." },
    { "port", CONF_INTEGER, AT(port), "25", "1", "65535", "Port of the servers that MX records name." },
    { "messages-per-connection", CONF_INTEGER, AT(messages_per_connection), "100", "1", "1000000",
      "After so many messages a connection is closed. A server that names less (LIMITS, RFC 9422) is obeyed." },
    { "idle-connection", CONF_TIME_MS, AT(idle_ms), "10s", "0s", "5min",
      "How long a connection waits for the next message to the same site." },
    { "idle-connections", CONF_INTEGER, AT(idle_most), "2000", "0", "100000",
      "Connections that one delivery process keeps for further messages, to all sites together; beyond that the one used "
      "longest ago is closed." },
    { "addresses-per-attempt", CONF_INTEGER, AT(addresses), "10", "1", "100",
      "Servers' addresses that one attempt tries before the message waits." },
    { "failed-host", CONF_TIME_MS, AT(failed_host_ms), "1min", "0s", "1h",
      "How long an address that could not be reached stands behind a site's other addresses." },
    { "refuse-networks", CONF_NETWORKS, AT(refuse),
      "[0.0.0.0/8, 127.0.0.0/8, 169.254.0.0/16, 224.0.0.0/3, \"::/128\", \"::1/128\", \"fe80::/10\", \"ff00::/8\"]", NULL, NULL,
      "Addresses that we never connect to because a stranger's DNS or a domain literal says so: this machine and its "
      "links. Routes may lead there all the same; add private networks where nothing of yours receives mail there." },
    { "ip", CONF_ENUM, AT(ip), "both", NULL, NULL, "Connect by both versions of IP, by turns, or by one alone.",
      .words = ip_words },
    { "tls", CONF_ENUM, AT(tls), "opportunistic", NULL, NULL,
      "TLS towards MX hosts: none; opportunistic: where it is offered, and in clear where it fails; required: never in "
      "clear; verified: and the certificate must be good for the host's name. auto is opportunistic.",
      .words = tls_words },
    { "trust", CONF_PATH, AT(trust), NULL, NULL, NULL,
      "PEM file of the authorities that certificates are compared with. Default: the system's." },
    { "pipelining", CONF_BOOL, AT(pipelining), "yes", NULL, NULL, "Send commands in groups where it is offered (RFC 2920)." },
    { "chunking", CONF_BOOL, AT(chunking), "yes", NULL, NULL, "Send messages by BDAT where it is offered (RFC 3030)." },
    { "strict-8bit", CONF_BOOL, AT(strict_8bit), "no", NULL, NULL,
      "Fail messages with 8-bit text when the server does not offer 8BITMIME (RFC 6152). Otherwise they are sent as "
      "they are, which practically every server takes." },
    { "connect", CONF_TIME_MS, AT(connect_ms), "30s", "1s", "10min", "How long a connection may take to come up." },
    { "greeting", CONF_TIME_MS, AT(greeting_ms), "5min", "1s", "1h", "Wait for the greeting (RFC 5321 section 4.5.3.2.1)." },
    { "ehlo", CONF_TIME_MS, AT(ehlo_ms), "5min", "1s", "1h", "Wait for the answer to EHLO or HELO." },
    { "starttls", CONF_TIME_MS, AT(starttls_ms), "2min", "1s", "1h", "Wait for the answer to STARTTLS, and for the handshake." },
    { "auth", CONF_TIME_MS, AT(auth_ms), "2min", "1s", "1h", "Wait for the answer to a login." },
    { "mail", CONF_TIME_MS, AT(mail_ms), "5min", "1s", "1h", "Wait for the answer to MAIL (RFC 5321 section 4.5.3.2.2)." },
    { "rcpt", CONF_TIME_MS, AT(rcpt_ms), "5min", "1s", "1h", "Wait for the answer to each RCPT (RFC 5321 section 4.5.3.2.3)." },
    { "data", CONF_TIME_MS, AT(data_ms), "2min", "1s", "1h", "Wait for the answer to DATA (RFC 5321 section 4.5.3.2.4)." },
    { "block", CONF_TIME_MS, AT(block_ms), "3min", "1s", "1h",
      "How long the server may take no octet of a message (RFC 5321 section 4.5.3.2.5)." },
    { "end-of-data", CONF_TIME_MS, AT(dot_ms), "10min", "1s", "1h",
      "Wait for the answer to the message's end (RFC 5321 section 4.5.3.2.6). Less than the server needs makes duplicates." },
    { "transaction", CONF_TIME_MS, AT(message_ms), "2h", "1min", "1d",
      "How long one message may take from MAIL until all of it is sent, though the server goes on a little again and again; "
      "then it is tried elsewhere, or later." },
    { "rset", CONF_TIME_MS, AT(rset_ms), "30s", "1s", "1h", "Wait for the answer to RSET." },
    { 0 }
};
const struct conf_section delivery_settings_section = { rows, sizeof(struct delivery_settings), NULL };
#undef AT

static bool check_pattern(const void *value, struct buf *why)
{
    struct span pattern = *(const struct span *)value;
    if (span_eq(pattern, SPAN("*")))
        return true;
    if (span_starts(pattern, SPAN("*.")))
        pattern = span_from(pattern, 2);
    if (address_domain_check(pattern, ADDRESS_UTF8) == STATUS_OK)
        return true;
    buf_add_str(why, "example.org, *.example.org (all below it) or * (all)");
    return false;
}

static bool check_via(const void *value, struct buf *why)
{
    struct route route;
    return route_parse(*(const struct span *)value, &route, why) == STATUS_OK;
}

#define AT(member) CONF_AT(struct delivery_route, member)
static const struct conf_directive route_rows[] = {
    { "domain", CONF_TEXT, AT(domain), NULL, NULL, NULL,
      "Recipients' domain: example.org, *.example.org (all below it), * (all). The first rule that fits holds.",
      .check = check_pattern, .flags = CONF_REQUIRED },
    { "via", CONF_TEXT, AT(via), NULL, NULL, NULL,
      "The way: mx, smtp://host:port, smtps://user:password@host:port, lmtp://host:port, lmtp:/path/of/socket, discard, "
      "reject, catch (the message is held, for looking at).",
      .check = check_via, .flags = CONF_REQUIRED | CONF_SECRET },
    { "tls", CONF_ENUM, AT(tls), "auto", NULL, NULL,
      "As `tls` of `delivery`, for this way. auto: verified with a login and for smtps, else opportunistic.",
      .words = tls_words },
    { "user", CONF_TEXT, AT(user), NULL, NULL, "255", "Name to log in with, when it does not stand in `via`." },
    { "password", CONF_TEXT, AT(password), NULL, NULL, "255", "And the password.", .flags = CONF_SECRET },
    { "text", CONF_TEXT, AT(text), NULL, NULL, "200", "For reject: what the sender is told." },
    { 0 }
};
const struct conf_section delivery_route_section = { route_rows, sizeof(struct delivery_route), NULL };
#undef AT

#define AT(member) CONF_AT(struct delivery_root, member)
static const struct conf_directive root_rows[] = {
    { NULL, CONF_INLINE, AT(common), .section = &conf_common_section },
    { "delivery", CONF_SECTION, AT(delivery), .help = "How mail leaves.", .section = &delivery_settings_section },
    { "routes", CONF_LIST, AT(routes), .help = "Where mail goes that does not go by MX records.",
      .section = &delivery_route_section },
    { "dns", CONF_SECTION, AT(dns), .help = "Whom to ask for names.", .section = &net_dns_section },
    { 0 }
};
const struct conf_section delivery_root_section = { root_rows, sizeof(struct delivery_root), NULL };
#undef AT
