/* Addresses as text from settings and from other servers: what is one is written and read as the same, here and in conf. */
#include "conf/network.h"
#include "fuzz.h"
#include "net/address.h"

static void check_network(struct span text)
{
    struct conf_network network, again;
    struct conf_ip ip;
    char form[CONF_ADDRESS_TEXT_SIZE];
    if (conf_network_parse(text, &network)) {
        require(network.bits <= 128 && conf_network_parse(span_str(conf_network_text(&network, form)), &again));
        require(again.bits == network.bits && conf_ip_eq(&again.ip, &network.ip) && conf_network_has(&network, &network.ip));
    }
    if (conf_ip_parse(text, &ip)) {
        require(conf_ip_parse(span_str(conf_ip_text(&ip, form)), &again.ip) && conf_ip_eq(&again.ip, &ip));
    }
}

static void check_socket(struct span text)
{
    struct conf_address address, again;
    struct sockaddr_storage at;
    char form[CONF_ADDRESS_TEXT_SIZE];
    if (!conf_address_parse(text, &address))
        return;
    require(conf_address_parse(span_str(conf_address_text(&address, form)), &again));
    require(again.port == address.port && conf_ip_eq(&again.ip, &address.ip));
    require(conf_address_sockaddr(&address, &at) <= sizeof at);
    require(conf_address_from((const struct sockaddr *)&at, &again) && conf_ip_eq(&again.ip, &address.ip));
}

static void check_net(struct span text)
{
    struct net_address address, again;
    char form[NET_ADDRESS_TEXT];
    if (net_address_parse_ip(text, 25, &address) == STATUS_OK) {
        require(net_address_parse_ip(span_str(net_address_ip_text(&address, form)), 25, &again) == STATUS_OK);
        require(net_address_same_ip(&address, &again) && net_address_port(&address) == 25);
    }
    if (net_address_parse(text, 25, &address) != STATUS_OK)
        return;
    require(address.n > 0 && address.n <= sizeof address.as);
    net_address_text(&address, form);
    if (net_address_octets(&address).n && net_address_port(&address)) {
        require(net_address_parse(span_str(form), 0, &again) == STATUS_OK && net_address_same_ip(&address, &again));
        require(net_address_port(&address) == net_address_port(&again));
    }
    net_address_is_loopback(&address);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = fuzz_exact(span_of(data, MIN(size, (size_t)512)));
    check_network(text);
    check_socket(text);
    check_net(text);
    free((void *)(uintptr_t)text.p);
    return 0;
}
