#include "delivery/config.h"
#include "delivery/route.h"
#include "net/tls.h"
#include <ifaddrs.h>
#include <stdlib.h>
#include <unistd.h>

static void add_self(struct delivery_config *config, const struct net_address *address)
{
    if (config->self_count < CONFIG_SELVES_MAX)
        config->selves[config->self_count++] = *address;
}

static struct net_address from_sockaddr(const struct sockaddr *from, uint16_t port)
{
    if (from->sa_family == AF_INET)
        return net_address_ip4(&((const struct sockaddr_in *)(const void *)from)->sin_addr, port);
    return net_address_ip6(&((const struct sockaddr_in6 *)(const void *)from)->sin6_addr, port);
}

/* A listener of all addresses (0.0.0.0, [::]) is every interface's address. */
static void add_interfaces(struct delivery_config *config, int family, uint16_t port)
{
    struct ifaddrs *all = NULL;
    if (getifaddrs(&all) < 0)
        return;
    for (const struct ifaddrs *at = all; at; at = at->ifa_next) {
        if (!at->ifa_addr || (at->ifa_addr->sa_family != AF_INET && at->ifa_addr->sa_family != AF_INET6))
            continue;
        if (family == AF_INET && at->ifa_addr->sa_family != AF_INET)
            continue;
        struct net_address address = from_sockaddr(at->ifa_addr, port);
        add_self(config, &address);
    }
    freeifaddrs(all);
}

static void find_selves(struct delivery_config *config)
{
    const struct conf_listen *listen = config->root->common.listen.items;
    static const struct conf_ip any6, any4 = { { [10] = 0xff, [11] = 0xff } };
    for (size_t i = 0; i < config->root->common.listen.n; i++) {
        struct sockaddr_storage at;
        conf_address_sockaddr(&listen[i].address, &at);
        uint16_t port = listen[i].address.port;
        struct net_address address = from_sockaddr((const struct sockaddr *)&at, port);
        if (conf_ip_eq(&listen[i].address.ip, &any4))
            add_interfaces(config, AF_INET, port);
        else if (conf_ip_eq(&listen[i].address.ip, &any6))
            add_interfaces(config, AF_INET6, port);
        else
            add_self(config, &address);
    }
}

bool delivery_config_has_socket(const struct delivery_config *config)
{
    const struct delivery_route *rules = config->root->routes.items;
    struct route route;
    for (size_t i = 0; i < config->root->routes.n; i++)
        if (route_parse(rules[i].via, &route, NULL) == STATUS_OK && route.kind == ROUTE_SOCKET)
            return true;
    return false;
}

bool delivery_config_is_self(const struct delivery_config *config, const struct net_address *address)
{
    for (unsigned i = 0; i < config->self_count; i++) {
        if (net_address_same_ip(&config->selves[i], address) &&
            net_address_port(&config->selves[i]) == net_address_port(address))
            return true;
    }
    return false;
}

static void find_name(struct delivery_config *config)
{
    struct span name = config->root->common.hostname;
    if (name.n && name.n < sizeof config->hostname_text)
        memcpy(config->hostname_text, name.p, name.n);
    else if (gethostname(config->hostname_text, sizeof config->hostname_text - 1) < 0 || !config->hostname_text[0])
        memcpy(config->hostname_text, "localhost", sizeof "localhost");
    config->hostname = span_str(config->hostname_text);
}

static bool make_dns(struct loop *loop, struct delivery_config *config, const struct delivery_files *files,
                     struct conf_faults *faults)
{
    struct net_address resolvers[NET_RESOLVERS_MAX];
    struct dns_settings settings;
    char error[256] = "";
    net_dns_from_settings(&config->root->dns, resolvers, &settings);
    settings.resolv_conf = files->resolv_conf;
    settings.hosts_file = files->hosts;
    if (dns_new(loop, &settings, error, sizeof error, &config->dns) == STATUS_OK)
        return true;
    conf_fault_at(config->conf, &config->root->dns, faults, "dns: %s", error);
    return false;
}

static bool make_tls(struct delivery_config *config, struct span trust, struct conf_faults *faults)
{
    struct tls_client_settings settings = { .trust = trust, .sessions = 10000, .allow_tls10 = true };
    char error[TLS_ERROR_SIZE] = "";
    if (tls_client_new(&settings, error, &config->tls) == STATUS_OK)
        return true;
    conf_fault_at(config->conf, &config->root->delivery.trust, faults, "trust: %s", error);
    return false;
}

enum status delivery_config_new(struct loop *loop, struct span text, const struct delivery_files *files,
                                struct conf_faults *faults, struct delivery_config **ret)
{
    struct delivery_config *config = calloc(1, sizeof *config);
    if (!config)
        return STATUS_MEMORY;
    config->refs = 1;
    config->conf = conf_parse(&delivery_root_section, text, CONF_PARTIAL, faults);
    if (config->conf)
        config->root = conf_values(config->conf);
    if (!config->conf || !make_dns(loop, config, files, faults) || !make_tls(config, files->trust, faults)) {
        delivery_config_unref(config);
        return STATUS_SYNTAX;
    }
    find_name(config);
    find_selves(config);
    *ret = config;
    return STATUS_OK;
}

struct delivery_config *delivery_config_ref(struct delivery_config *config)
{
    config->refs++;
    return config;
}

void delivery_config_unref(struct delivery_config *config)
{
    if (!config || --config->refs > 0)
        return;
    if (config->dns)
        dns_free(config->dns);
    tls_client_unref(config->tls);
    if (config->conf)
        conf_free(config->conf);
    free(config);
}
