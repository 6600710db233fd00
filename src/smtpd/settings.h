/* smtpd/settings.h -- what can be set about receiving: the section `smtpd`. */
#pragma once
#include "conf/common.h"
#include "policy/local.h"
#include "policy/settings.h"

enum smtpd_bare_newline { SMTPD_BARE_NEWLINE_REFUSE, SMTPD_BARE_NEWLINE_FIX };

struct smtpd_settings {
    int64_t processes;          /* 0: one for each core that we may use */
    int64_t max_octets;
    int64_t max_line;           /* 0: no limit */
    int64_t max_recipients;
    int64_t max_errors;
    int64_t max_idle_commands;
    int64_t max_hops;
    int64_t max_connections;
    int64_t max_connections_per_address; /* 0: no limit */
    int64_t max_connections_per_network; /* the same */
    struct conf_rate connection_rate_per_address, connection_rate_per_network;
    int64_t network_ipv4, network_ipv6;  /* bits of a network's prefix */
    int64_t max_handshakes;
    int64_t max_handshakes_per_address;  /* 0: no limit */
    int64_t handshake_ms;
    int64_t max_memory;         /* 0: what smtpd_settings_memory() says */
    int64_t idle_ms;
    int64_t crowded_idle_ms;    /* the same for strangers while there is hardly any room */
    int64_t transaction_ms;
    int64_t minimum_rate;       /* octets per second; 0: none */
    int64_t rate_grace_ms;      /* before it counts */
    int64_t greeting_delay_ms;
    int64_t queue_wait_ms;
    int bare_newline;           /* enum smtpd_bare_newline */
    bool hide_client;
    bool login_without_tls;
};

/* The part of the settings file that the process reads. */
struct smtpd_root {
    struct conf_common common;
    struct smtpd_settings smtpd;
    struct policy_settings relay;
    struct policy_local local;
};

/* The octets that one of `processes` may use on a machine with `machine` octets (0: nobody knows). */
uint64_t smtpd_settings_memory(const struct smtpd_settings *settings, uint64_t machine, unsigned processes);

extern const struct conf_section smtpd_settings_section;
extern const struct conf_section smtpd_root_section; /* parse with CONF_PARTIAL */
