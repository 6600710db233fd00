/* delivery/config.h -- one reading of the settings with what was made of it; those who work by it keep it alive. */
#pragma once
#include "conf/parse.h"
#include "delivery/settings.h"
#include "loop/loop.h"

#define CONFIG_SELVES_MAX 256

struct delivery_config {
    unsigned refs;
    struct conf *conf;
    const struct delivery_root *root;
    char hostname_text[256];
    struct span hostname;       /* our name */
    struct dns *dns;
    struct tls_client *tls;
    struct net_address selves[CONFIG_SELVES_MAX]; /* where we listen ourselves */
    unsigned self_count;
};

/* What the supervisor read for us; borrowed during the call. */
struct delivery_files {
    struct span trust;       /* PEM of the authorities; empty: nobody is trusted */
    struct span resolv_conf; /* of the system, where the settings name no resolvers */
    struct span hosts;       /* of the system, where the settings want it */
};

/* Parses the settings and makes what they ask for. Opens no file. SYNTAX, with what is wrong in `faults`. */
MUST_CHECK enum status delivery_config_new(struct loop *loop, struct span text, const struct delivery_files *files,
                                           struct conf_faults *faults, struct delivery_config **ret);
struct delivery_config *delivery_config_ref(struct delivery_config *config);
void delivery_config_unref(struct delivery_config *config); /* NULL is fine */
/* Does a route lead to a socket of this machine? */
bool delivery_config_has_socket(const struct delivery_config *config);
/* Would mail sent to this address come back to us? */
bool delivery_config_is_self(const struct delivery_config *config, const struct net_address *address);
