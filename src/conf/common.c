#include "conf/common.h"
#include "base/log.h"

static const char *const services[] = { "submission", "relay", NULL };
static const char *const listen_tls[] = { "starttls", "implicit", "none", NULL };
static const char *const versions[] = { "1.2", "1.3", NULL };
static const char *const levels[] = { [LOG_DEBUG] = "debug", [LOG_INFO] = "info", [LOG_WARNING] = "warning",
                                      [LOG_ERROR] = "error", NULL };

#define AT(member) CONF_AT(struct conf_listen, member)
static const struct conf_directive listen_rows[] = {
    { "address", CONF_ADDRESS, AT(address), NULL, NULL, NULL,
      "Address and port to listen on. 0.0.0.0 is every IPv4 address, [::] every IPv6 address.",
      .flags = CONF_REQUIRED },
    { "service", CONF_ENUM, AT(service), "submission", NULL, NULL,
      "submission: mail programs and websites, login required. relay: the networks and domains listed under relay, "
      "and whoever logs in.", .words = services },
    { "tls", CONF_ENUM, AT(tls), "starttls", NULL, NULL,
      "starttls: the client asks for encryption. implicit: it is there from the first octet (port 465). none: never; "
      "then nobody can log in.", .words = listen_tls },
    { "proxy-from", CONF_NETWORKS, AT(proxy_from), NULL, NULL, NULL,
      "Proxies that open every connection with a PROXY header (version 1 or 2). Others may not send one." },
    { 0 }
};
static const struct conf_section listen_section = { listen_rows, sizeof(struct conf_listen), NULL };
#undef AT

#define AT(member) CONF_AT(struct conf_certificate, member)
static const struct conf_directive certificate_rows[] = {
    { "certificate", CONF_PATH, AT(certificate), NULL, NULL, NULL,
      "PEM file with the certificate and its chain.", .flags = CONF_REQUIRED },
    { "key", CONF_PATH, AT(key), NULL, NULL, NULL,
      "PEM file with the private key. Unset: the key stands in the certificate's file." },
    { 0 }
};
static const struct conf_section certificate_section = { certificate_rows, sizeof(struct conf_certificate), NULL };
#undef AT

#define AT(member) CONF_AT(struct conf_tls, member)
static const struct conf_directive tls_rows[] = {
    { "certificates", CONF_LIST, AT(certificates), NULL, NULL, NULL,
      "Certificates to show, chosen by the name the client asks for; the first serves all others. They are read "
      "again at each reload. None: a self-signed one is made.", .section = &certificate_section },
    { "minimum", CONF_ENUM, AT(minimum), "1.2", NULL, NULL, "Oldest TLS version spoken with clients.",
      .words = versions },
    { 0 }
};
static const struct conf_section tls_section = { tls_rows, sizeof(struct conf_tls), NULL };
#undef AT

#define AT(member) CONF_AT(struct conf_log, member)
static const struct conf_directive log_rows[] = {
    { "file", CONF_TEXT, AT(file), "-", "1", NULL,
      "Where events go, one JSON object a line: a path, or - for the standard error (the journal under systemd)." },
    { "level", CONF_ENUM, AT(level), "info", NULL, NULL, "Least important events to keep.", .words = levels },
    { 0 }
};
static const struct conf_section log_section = { log_rows, sizeof(struct conf_log), NULL };
#undef AT

#define AT(member) CONF_AT(struct conf_users, member)
static const struct conf_directive users_rows[] = {
    { "smtpd", CONF_TEXT, AT(smtpd), NULL, NULL, "32",
      "Who receives mail. Unset: the setting user with -smtpd behind it (goniec-smtpd), where there is such a user." },
    { "delivery", CONF_TEXT, AT(delivery), NULL, NULL, "32",
      "Who sends mail. Unset: the setting user with -delivery behind it, where there is such a user. Sockets of this machine "
      "that routes name must be open to it." },
    { 0 }
};
static const struct conf_section users_section = { users_rows, sizeof(struct conf_users), NULL };
#undef AT

#define AT(member) CONF_AT(struct conf_spool, member)
static const struct conf_directive spool_rows[] = {
    { "segment", CONF_SIZE, AT(segment_octets), "64MiB", "1MiB", "1GiB",
      "Size of the spool's files, filled once and then used again and again. Those that exist keep their size." },
    { "big-body", CONF_SIZE, AT(big_body_octets), "1MiB", "4KiB", "64MiB",
      "Messages over this size go to a file of their own." },
    { "reserve", CONF_SIZE, AT(reserve_octets), "256MiB", "0", "1TiB",
      "Disk space that stays free. With less, new mail is answered with 452 until there is room again; what is in the "
      "queue goes on." },
    { 0 }
};
static const struct conf_section spool_section = { spool_rows, sizeof(struct conf_spool), NULL };
#undef AT

#define AT(member) CONF_AT(struct conf_common, member)
static const struct conf_directive common_rows[] = {
    { "hostname", CONF_HOST, AT(hostname), NULL, NULL, NULL,
      "Our name in greetings, EHLO and Received headers; it should resolve to our address and back. Unset: the "
      "machine's own name." },
    { "state-dir", CONF_PATH, AT(state_dir), "/var/lib/goniec", NULL, NULL,
      "Folder for what must survive: the spool, the accounts, self-made certificates." },
    { "run-dir", CONF_PATH, AT(run_dir), "/run/goniec", NULL, NULL,
      "Folder for the control sockets." },
    { "user", CONF_TEXT, AT(user), "goniec", NULL, "32",
      "System user that everything but the supervisor becomes when started as root. Empty: nobody else." },
    { "users", CONF_SECTION, AT(users), NULL, NULL, NULL,
      "Other users for the processes that speak with strangers, who can read neither the spool nor the accounts then; only when "
      "started as root. They need no group, no folder and no file. Changes at a restart.", .section = &users_section },
    { "locks", CONF_BOOL, AT(locks), "yes", NULL, NULL,
      "Every process locks itself before it reads the first octet from outside: the kernel then refuses it everything but "
      "its duty (docs/security.md). no: only for a kernel without seccomp, or under a debugger. Changes at a restart." },
    { "log", CONF_SECTION, AT(log), NULL, NULL, NULL, "The event log.", .section = &log_section },
    { "listen", CONF_LIST, AT(listen),
      "[ { address: \"0.0.0.0:587\" }, { address: \"[::]:587\" },"
      " { address: \"0.0.0.0:465\", tls: implicit }, { address: \"[::]:465\", tls: implicit },"
      " { address: \"127.0.0.1:25\", service: relay }, { address: \"[::1]:25\", service: relay } ]", NULL, NULL,
      "The doors: where mail is taken, for whom, and how it is encrypted.", .section = &listen_section },
    { "tls", CONF_SECTION, AT(tls), NULL, NULL, NULL, "Encryption towards clients.", .section = &tls_section },
    { "spool", CONF_SECTION, AT(spool), NULL, NULL, NULL, "Where messages lie until they are delivered.",
      .section = &spool_section },
    { "drain", CONF_TIME_MS, AT(drain_ms), "30s", "0", "1h",
      "How long a stop waits for sessions and deliveries in hand before it cuts them off. No accepted message is lost "
      "by that." },
    { 0 }
};
const struct conf_section conf_common_section = { common_rows, sizeof(struct conf_common), NULL };
#undef AT
