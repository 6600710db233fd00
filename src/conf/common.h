/* conf/common.h -- the settings that more than one process reads: our name, our folders, the doors, the certificates.
 *
 * They stand at the top level of the file. Each root section takes them in with a CONF_INLINE row.
 */
#pragma once
#include "conf/directive.h"

enum conf_service { CONF_SERVICE_SUBMISSION, CONF_SERVICE_RELAY };
enum conf_listen_tls { CONF_LISTEN_STARTTLS, CONF_LISTEN_IMPLICIT, CONF_LISTEN_NONE };
enum conf_tls_version { CONF_TLS_1_2, CONF_TLS_1_3 };

struct conf_listen {
    struct conf_address address;
    enum conf_service service;
    enum conf_listen_tls tls;
    struct conf_networks proxy_from; /* who must open with a PROXY header; empty: nobody may */
};

struct conf_certificate {
    struct span certificate; /* path of the PEM file, chain included */
    struct span key;         /* path; unset: in the same file */
};

struct conf_tls {
    struct conf_list certificates; /* of struct conf_certificate; the first serves clients without SNI */
    enum conf_tls_version minimum;
};

struct conf_log {
    struct span file; /* path, or "-" for the standard error */
    int level;        /* enum log_level */
};

struct conf_common {
    struct span hostname;  /* unset: the supervisor fills in the name of the machine */
    struct span state_dir;
    struct span run_dir;
    struct span user;
    struct conf_log log;
    struct conf_list listen; /* of struct conf_listen */
    struct conf_tls tls;
};

extern const struct conf_section conf_common_section;
