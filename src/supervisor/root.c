#include "supervisor/root.h"

#define AT(member) CONF_AT(struct root_settings, member)
static const struct conf_directive rows[] = {
    { NULL, CONF_INLINE, AT(common), .section = &conf_common_section },
    { "smtpd", CONF_SECTION, AT(smtpd), .help = "Receiving: limits and habits of the SMTP sessions with clients.",
      .section = &smtpd_settings_section },
    { "relay", CONF_SECTION, AT(relay), .help = "For whom mail is carried that nobody logged in for.",
      .section = &policy_settings_section },
    { "local", CONF_SECTION, AT(local), .help = "Mail from users, websites and programs of this machine, by `sendmail`.",
      .section = &policy_local_section },
    { "accounts", CONF_SECTION, AT(accounts), .help = "Who may log in, and how passwords are checked.",
      .section = &directory_settings_section },
    { "queue", CONF_SECTION, AT(queue), .help = "Waiting, trying again, taking turns.",
      .section = &queue_settings_section },
    { "dsn", CONF_SECTION, AT(dsn), .help = "Reports to senders about what could not be delivered.",
      .section = &dsn_settings_section },
    { "delivery", CONF_SECTION, AT(delivery), .help = "Sending: how mail is handed to other servers.",
      .section = &delivery_settings_section },
    { "routes", CONF_LIST, AT(routes),
      .help = "Where mail goes, by the recipient's domain. The most exact one holds: the domain itself, then the "
              "longest *.domain, then *. Without one, the domain's MX records tell.",
      .section = &delivery_route_section },
    { "dns", CONF_SECTION, AT(dns), .help = "Whom we ask where mail goes.", .section = &net_dns_section },
    { "share", CONF_SECTION, AT(share), .help = "Several machines that count their limits together.", .section = &share_settings_section },
    { 0 }
};
const struct conf_section root_section = { rows, sizeof(struct root_settings), NULL };
