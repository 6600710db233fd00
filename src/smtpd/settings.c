#include "smtpd/settings.h"

static const char *const bare_newline[] = { [SMTPD_BARE_NEWLINE_REFUSE] = "refuse", [SMTPD_BARE_NEWLINE_FIX] = "fix", NULL };

#define MEMORY_SET_LEAST ((uint64_t)1 << 20)
#define MEMORY_LEAST ((uint64_t)16 << 20)
#define MEMORY_MOST ((uint64_t)1 << 30)
#define MEMORY_UNKNOWN ((uint64_t)256 << 20)

#define AT(member) CONF_AT(struct smtpd_settings, member)
static const struct conf_directive rows[] = {
    { "processes", CONF_INTEGER, AT(processes), "auto", "0", "64",
      "Processes that receive mail. auto: one for each core that goniec may use.", .zero = "auto" },
    { "max-size", CONF_SIZE, AT(max_octets), "25MiB", "1KiB", "1GiB",
      "Largest message taken, headers included. Announced as SIZE (RFC 1870)." },
    { "max-line", CONF_SIZE, AT(max_line), "1MiB", "998", "1GiB",
      "Longest line of a message. RFC 5321 asks for 998 octets; many programs send more, and most servers take it." },
    { "max-recipients", CONF_INTEGER, AT(max_recipients), "1000", "1", "100000",
      "Recipients of one message; for those over it the client is told to send another one (452 4.5.3). Announced as "
      "LIMITS RCPTMAX (RFC 9422); RFC 5321 asks for 100 at least." },
    { "max-errors", CONF_INTEGER, AT(max_errors), "20", "1", "1000",
      "Wrong commands, refused recipients and failed logins of one session before it is closed with 421." },
    { "max-idle-commands", CONF_INTEGER, AT(max_idle_commands), "100", "5", "100000",
      "NOOP, RSET, EHLO, VRFY and the like without a message between them, before each counts as an error." },
    { "max-hops", CONF_INTEGER, AT(max_hops), "50", "5", "1000",
      "Received fields of a message; one with more is in a loop and refused (RFC 5321 section 6.3)." },
    { "max-connections", CONF_INTEGER, AT(max_connections), "10000", "1", "1000000",
      "Sessions at a time in each process. Others are told to come back later. Each needs a descriptor: where the system "
      "allows too few (LimitNOFILE), fewer are taken, and the event log says so at the start." },
    { "max-connections-per-address", CONF_INTEGER, AT(max_connections_per_address), "100", "0", "1000000",
      "Sessions at a time from one client (IPv6: from one /64), in all processes together. Relay networks "
      "(relay.networks) are counted by none of the limits for an address or a network, nor are listed proxies, but those "
      "whom they speak for are.", .zero = "unlimited" },
    { "max-connections-per-network", CONF_INTEGER, AT(max_connections_per_network), "1000", "0", "1000000",
      "The same for a network around it (network-ipv4, network-ipv6).", .zero = "unlimited" },
    { "connection-rate-per-address", CONF_RATE, AT(connection_rate_per_address), "1000/10s", NULL, NULL,
      "New connections from one client in a time, in all processes together: so many at once after a pause, and evenly in "
      "the long run.", .zero = "unlimited" },
    { "connection-rate-per-network", CONF_RATE, AT(connection_rate_per_network), "3000/10s", NULL, NULL,
      "The same for a network.", .zero = "unlimited" },
    { "network-ipv4", CONF_INTEGER, AT(network_ipv4), "24", "8", "32",
      "Bits of an IPv4 address that name its network, for what is limited by network." },
    { "network-ipv6", CONF_INTEGER, AT(network_ipv6), "48", "16", "64", "Bits of an IPv6 address that do." },
    { "max-handshakes", CONF_INTEGER, AT(max_handshakes), "1000", "1", "1000000",
      "TLS handshakes at a time, in all processes together. For one more, the oldest that takes longer than two seconds is "
      "cut off; where there is none, the new client is turned away." },
    { "max-handshakes-per-address", CONF_INTEGER, AT(max_handshakes_per_address), "50", "0", "1000000",
      "TLS handshakes at a time with one client.", .zero = "unlimited" },
    { "handshake", CONF_TIME_MS, AT(handshake_ms), "30s", "1s", "10min", "How long a TLS handshake may take." },
    { "max-memory", CONF_SIZE, AT(max_memory), "auto", "0", "1TiB",
      "Octets that each process holds in memory for clients: 4 KiB for a session, 20 KiB more for its TLS, and messages on "
      "their way in. Sessions take half of it at most; who comes then is turned away with 421. Of what is left for messages "
      "a client has at most as much as is still free, so one alone half; what is over that is put off with 452. auto: all "
      "processes together use a quarter of the memory that the machine (or the control group that goniec runs in) has, but "
      "one no more than 1GiB and no less than 16MiB.", .zero = "auto" },
    { "idle", CONF_TIME_MS, AT(idle_ms), "5min", "1s", "1h",
      "How long a silent client is kept (RFC 5321 section 4.5.3.2.7 asks for five minutes)." },
    { "crowded-idle", CONF_TIME_MS, AT(crowded_idle_ms), "10s", "1s", "1h",
      "How long a silent client that has not logged in is kept while three quarters of max-connections, or of the memory for "
      "sessions, are in use." },
    { "transaction", CONF_TIME_MS, AT(transaction_ms), "30min", "1s", "1d",
      "Longest time from MAIL to the end of the message." },
    { "minimum-rate", CONF_SIZE, AT(minimum_rate), "100", "0", "1GiB",
      "Octets per second that a message must come in with, on average after its first half minute (minimum-rate-after). "
      "0: any." },
    { "minimum-rate-after", CONF_TIME_MS, AT(rate_grace_ms), "30s", "1s", "1h",
      "How long a message may come as slowly as it likes before minimum-rate counts." },
    { "greeting-delay", CONF_TIME_MS, AT(greeting_delay_ms), "0", "0", "30s",
      "How long a client of a relay listener waits for the greeting. Who speaks before it is no mail server. Relay "
      "networks do not wait." },
    { "queue-wait", CONF_TIME_MS, AT(queue_wait_ms), "10s", "0", "5min",
      "How long MAIL waits for a queue that is just starting (again) before the client is told to come back (451)." },
    { "bare-newline", CONF_ENUM, AT(bare_newline), "refuse", NULL, NULL,
      "A CR or LF in a message that is not part of a CRLF: refuse the message, or fix it by making it a CRLF. Never "
      "passed on, since other servers could read it as the end of the message.", .words = bare_newline },
    { "hide-client", CONF_BOOL, AT(hide_client), "true", NULL, NULL,
      "Leave the address of a logged-in client out of the Received field, which everybody can read." },
    { "login-without-tls", CONF_BOOL, AT(login_without_tls), "false", NULL, NULL,
      "Let clients log in on unencrypted connections. Everybody on the way can read the password: only for loopback "
      "and tests." },
    { 0 }
};
const struct conf_section smtpd_settings_section = { rows, sizeof(struct smtpd_settings), NULL };
#undef AT

uint64_t smtpd_settings_memory(const struct smtpd_settings *settings, uint64_t machine, unsigned processes)
{
    if (settings->max_memory > 0)
        return MAX((uint64_t)settings->max_memory, MEMORY_SET_LEAST);
    if (machine == 0)
        return MEMORY_UNKNOWN;
    return MIN(MAX(machine / 4 / MAX(processes, 1u), MEMORY_LEAST), MEMORY_MOST);
}

#define AT(member) CONF_AT(struct smtpd_root, member)
static const struct conf_directive root_rows[] = {
    { NULL, CONF_INLINE, AT(common), .section = &conf_common_section },
    { "smtpd", CONF_SECTION, AT(smtpd), .help = "Receiving mail.", .section = &smtpd_settings_section },
    { "relay", CONF_SECTION, AT(relay), .help = "For whom we carry mail that nobody logged in for.",
      .section = &policy_settings_section },
    { "local", CONF_SECTION, AT(local), .help = "Mail from this machine.", .section = &policy_local_section },
    { 0 }
};
const struct conf_section smtpd_root_section = { root_rows, sizeof(struct smtpd_root), NULL };
