#include "smtpd/config.h"
#include <stdlib.h>

static bool make_tls(struct smtpd_config *config, const struct supervisor_settings *settings, struct span ticket_secret,
                     struct tls_signer *signer, struct buf *why)
{
    const struct conf_tls *tls = &config->root->common.tls;
    const struct conf_certificate *certificates = tls->certificates.items;
    struct tls_pair self_signed = { .certificate = supervisor_settings_blob(settings, SPAN(CONF_SELF_SIGNED_CERTIFICATE)) };
    size_t count = tls->certificates.n ? tls->certificates.n : self_signed.certificate.n > 0;
    if (count == 0)
        return true;
    struct tls_pair *pairs = calloc(count, sizeof *pairs);
    if (!pairs)
        return false;
    pairs[0] = self_signed;
    for (size_t i = 0; i < tls->certificates.n; i++)
        pairs[i] = (struct tls_pair){ .certificate = supervisor_settings_blob(settings, certificates[i].certificate) };
    struct tls_server_settings server = { pairs, (unsigned)count, tls->minimum == CONF_TLS_1_3, ticket_secret, signer };
    char error[TLS_ERROR_SIZE];
    enum status status = tls_server_new(&server, error, &config->tls);
    free(pairs);
    if (status != STATUS_OK)
        buf_printf(why, "tls: %s\n", error);
    return status == STATUS_OK;
}

static void make_smtp(struct smtpd_config *config)
{
    const struct smtpd_settings *settings = &config->root->smtpd;
    config->smtp = (struct smtp_server_settings){
        .hostname = buf_span(&config->hostname),
        .max_octets = (uint64_t)settings->max_octets,
        .max_recipients = (uint32_t)settings->max_recipients,
        .max_errors = (uint32_t)settings->max_errors,
        .max_idle_commands = (uint32_t)settings->max_idle_commands,
        .max_line = (uint32_t)settings->max_line,
        .fix_newlines = settings->bare_newline == SMTPD_BARE_NEWLINE_FIX,
    };
    config->smtp_local = config->smtp;
    config->smtp_local.free_order = true;
}

static void make_limits(struct smtpd_config *config, const struct supervisor_settings *settings)
{
    const struct smtpd_settings *own = &config->root->smtpd;
    config->limits = (struct client_limits){
        .connections = (unsigned)own->max_connections_per_address,
        .network_connections = (unsigned)own->max_connections_per_network,
        .rate = own->connection_rate_per_address,
        .network_rate = own->connection_rate_per_network,
        .ip4_bits = (unsigned)own->network_ipv4,
        .ip6_bits = (unsigned)own->network_ipv6,
    };
    struct span machine = supervisor_settings_blob(settings, SPAN(CONF_MEMORY));
    uint64_t all = 0;
    for (size_t i = 0; i < MIN(machine.n, (size_t)18) && ascii_digit(machine.p[i]); i++)
        all = all * 10 + (uint64_t)(machine.p[i] - '0');
    config->max_memory = smtpd_settings_memory(own, all, settings->count);
}

const struct client_limits *smtpd_config_limits(const struct smtpd_config *config, const struct conf_ip *ip)
{
    return conf_networks_have(&config->root->relay.networks, ip) ? NULL : &config->limits;
}

static bool fill(struct smtpd_config *config, const struct supervisor_settings *settings, struct span ticket_secret,
                 struct tls_signer *signer, struct buf *why)
{
    AUTO(buf_done) struct buf file = BUF_EMPTY(8192);
    AUTO(conf_faults_done) struct conf_faults faults;
    buf_add(&file, settings->file);
    conf_faults_init(&faults, buf_cstr(&file));
    config->conf = conf_parse(&smtpd_root_section, settings->text, CONF_PARTIAL, &faults);
    if (!config->conf) {
        buf_add(why, buf_span(&faults.text));
        return false;
    }
    config->root = conf_values(config->conf);
    struct span own = config->root->common.hostname;
    buf_add(&config->hostname, own.n ? own : supervisor_settings_blob(settings, SPAN(CONF_HOSTNAME)));
    if (config->hostname.n == 0)
        buf_add_str(&config->hostname, "localhost");
    make_smtp(config);
    make_limits(config, settings);
    return make_tls(config, settings, ticket_secret, signer, why);
}

struct smtpd_config *smtpd_config_new(const struct supervisor_settings *settings, struct span ticket_secret,
                                      struct tls_signer *signer, struct list *all, struct buf *why)
{
    struct smtpd_config *config = calloc(1, sizeof *config);
    if (!config) {
        buf_add_str(why, "out of memory");
        return NULL;
    }
    *config = (struct smtpd_config){ .refs = 1, .hostname = BUF_EMPTY(ADDRESS_DOMAIN_MAX) };
    list_add_last(all, &config->link);
    if (fill(config, settings, ticket_secret, signer, why))
        return config;
    smtpd_config_unref(config);
    return NULL;
}

struct smtpd_config *smtpd_config_ref(struct smtpd_config *config)
{
    config->refs++;
    return config;
}

void smtpd_config_unref(struct smtpd_config *config)
{
    if (!config || --config->refs > 0)
        return;
    list_remove(&config->link);
    tls_server_unref(config->tls);
    conf_free(config->conf);
    buf_done(&config->hostname);
    free(config);
}

void smtpd_config_set_mechanisms(struct list *all, struct span names)
{
    for (LIST_EACH(link, all))
        CONTAINER(link, struct smtpd_config, link)->smtp.mechanisms = names;
}
