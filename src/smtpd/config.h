/* smtpd/config.h -- the settings in force. A session keeps those it began with, whatever is reloaded meanwhile; only
 * STARTTLS shows the certificate of the day. */
#pragma once
#include "base/list.h"
#include "conf/parse.h"
#include "net/tls.h"
#include "smtp/server.h"
#include "smtpd/clients.h"
#include "smtpd/settings.h"
#include "wire/supervisor.h"

struct smtpd_config {
    unsigned refs;
    struct list link;              /* among all that are alive */
    struct conf *conf;
    const struct smtpd_root *root; /* conf's */
    struct buf hostname;
    struct tls_server *tls;        /* NULL: no certificate at all */
    struct smtp_server_settings smtp, smtp_local; /* local: programs that speak without waiting are no strangers */
    struct client_limits limits;
    uint64_t max_memory;           /* octets */
};

/* Keeps nothing of `settings`; joins `all`. NULL: `why` says what is wrong, for people.
 * `ticket_secret`: TLS_TICKET_SECRET octets, or empty. `signer` has the keys of the certificates. */
struct smtpd_config *smtpd_config_new(const struct supervisor_settings *settings, struct span ticket_secret,
                                      struct tls_signer *signer, struct list *all, struct buf *why);
struct smtpd_config *smtpd_config_ref(struct smtpd_config *config);
void smtpd_config_unref(struct smtpd_config *config); /* NULL is fine */
/* What this client may; NULL: relay networks, which speak for many, have no limit. */
const struct client_limits *smtpd_config_limits(const struct smtpd_config *config, const struct conf_ip *ip);
/* directory told how one may log in. `names` must stay. */
void smtpd_config_set_mechanisms(struct list *all, struct span names);
