#include "smtpd/settings.h"

static const char *const bare_newline[] = { [SMTPD_BARE_NEWLINE_REFUSE] = "refuse", [SMTPD_BARE_NEWLINE_FIX] = "fix", NULL };

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
      "Sessions at a time from one client (IPv6: from one /64) in each process. Relay networks are not counted, nor "
      "listed proxies, but those whom they speak for are.", .zero = "unlimited" },
    { "max-memory", CONF_SIZE, AT(max_memory), "256MiB", "1MiB", "1TiB",
      "Octets of messages on their way in that each process holds in memory. A client has at most as much of it as is "
      "still free, so one alone half; what is over that is put off with 452." },
    { "idle", CONF_TIME_MS, AT(idle_ms), "5min", "1s", "1h",
      "How long a silent client is kept (RFC 5321 section 4.5.3.2.7 asks for five minutes)." },
    { "transaction", CONF_TIME_MS, AT(transaction_ms), "30min", "1s", "1d",
      "Longest time from MAIL to the end of the message." },
    { "minimum-rate", CONF_SIZE, AT(minimum_rate), "100", "0", "1GiB",
      "Octets per second that a message must come in with, on average after its first half minute. 0: any." },
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

#define AT(member) CONF_AT(struct smtpd_root, member)
static const struct conf_directive root_rows[] = {
    { NULL, CONF_INLINE, AT(common), .section = &conf_common_section },
    { "smtpd", CONF_SECTION, AT(smtpd), .help = "Receiving mail.", .section = &smtpd_settings_section },
    { "relay", CONF_SECTION, AT(relay), .help = "For whom we carry mail that nobody logged in for.",
      .section = &policy_settings_section },
    { 0 }
};
const struct conf_section smtpd_root_section = { root_rows, sizeof(struct smtpd_root), NULL };
