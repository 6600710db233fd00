/* delivery/settings.h -- `delivery` and `routes`: how mail leaves, and where to. */
#pragma once
#include "conf/common.h"
#include "net/settings.h"

enum delivery_ip { DELIVERY_IP_BOTH, DELIVERY_IP_6, DELIVERY_IP_4 };
/* OPPORTUNISTIC: where it is offered. REQUIRED: always, whoever the server is. VERIFIED: and its certificate is good
 * for its name. */
enum delivery_tls { DELIVERY_TLS_AUTO, DELIVERY_TLS_NONE, DELIVERY_TLS_OPPORTUNISTIC, DELIVERY_TLS_REQUIRED, DELIVERY_TLS_VERIFIED };

struct delivery_settings {
    int64_t processes;        /* 0: one for each core that we may use */
    int64_t leases;
    int64_t port;
    int64_t messages_per_connection;
    int64_t idle_ms;
    int64_t idle_most;
    int64_t addresses;
    int64_t failed_host_ms;
    struct conf_networks refuse; /* addresses that no host of an MX record may have */
    int ip;                   /* enum delivery_ip */
    int tls;                  /* enum delivery_tls; towards MX hosts */
    struct span trust;
    bool pipelining, chunking, strict_8bit;
    int64_t connect_ms, greeting_ms, ehlo_ms, starttls_ms, auth_ms, mail_ms, rcpt_ms, data_ms, block_ms, dot_ms, rset_ms, message_ms;
};

struct delivery_route {
    struct span domain;
    struct span via;
    int tls;                  /* enum delivery_tls */
    struct span user, password;
    struct span text;         /* for reject */
};

/* What a delivery process reads of the file. */
struct delivery_root {
    struct conf_common common;
    struct delivery_settings delivery;
    struct conf_list routes;  /* of struct delivery_route */
    struct net_dns_settings dns;
};

extern const struct conf_section delivery_settings_section;
extern const struct conf_section delivery_route_section;
extern const struct conf_section delivery_root_section; /* parse with CONF_PARTIAL */
