/* supervisor/root.h -- every room's directives joined to the one table of the settings file. */
#pragma once
#include "conf/common.h"
#include "delivery/settings.h"
#include "directory/settings.h"
#include "net/settings.h"
#include "policy/local.h"
#include "policy/settings.h"
#include "queue/settings.h"
#include "share/settings.h"
#include "smtpd/settings.h"

struct root_settings {
    struct conf_common common;
    struct smtpd_settings smtpd;
    struct policy_settings relay;
    struct policy_local local;
    struct directory_settings accounts;
    struct queue_settings queue;
    struct dsn_settings dsn;
    struct delivery_settings delivery;
    struct conf_list routes; /* of struct delivery_route */
    struct net_dns_settings dns;
    struct share_settings share;
};

extern const struct conf_section root_section;
