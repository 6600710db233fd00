/* conf/common.h -- the settings that more than one process reads: our name, our folders, the doors, the certificates.
 *
 * They stand at the top level of the file. Each root section takes them in with a CONF_INLINE row.
 */
#pragma once
#include "conf/directive.h"

enum conf_service { CONF_SERVICE_SUBMISSION, CONF_SERVICE_RELAY };
enum conf_listen_tls { CONF_LISTEN_STARTTLS, CONF_LISTEN_IMPLICIT, CONF_LISTEN_NONE };
enum conf_tls_version { CONF_TLS_1_2, CONF_TLS_1_3 };

/* Names of what the supervisor adds to the settings (wire/supervisor.h: blobs). A file of the settings (certificate,
 * key) goes by its path: its certificates to smtpd, all of it to directory. */
#define CONF_HOSTNAME "hostname"                                  /* the machine's own name */
#define CONF_SELF_SIGNED_CERTIFICATE "self-signed-certificate"    /* sent when no certificate is configured */
#define CONF_SELF_SIGNED_KEY "self-signed-key"                    /* the same; only for directory */
#define CONF_MEMORY "memory" /* octets that the machine, or our part of it, has, as a decimal number; only for smtpd */
#define CONF_RESOLV_CONF "resolv.conf" /* of the system, where it is wanted; these three only for delivery */
#define CONF_HOSTS "hosts"
#define CONF_AUTHORITIES "authorities" /* PEM: delivery.trust, or the system's */

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

struct conf_spool {
    int64_t segment_octets;
    int64_t big_body_octets; /* larger bodies go to files of their own */
    int64_t reserve_octets;  /* disk space kept free: below it, new mail gets 452 */
};

/* Whom the processes that speak with strangers become; empty: "USER-smtpd" and so on where there is one, else `user`. */
struct conf_users { struct span smtpd, delivery; };

struct conf_common {
    struct span hostname;  /* unset: the blob CONF_HOSTNAME of the supervisor's SETTINGS */
    struct span state_dir;
    struct span run_dir;
    struct span user;      /* empty: nobody else */
    struct conf_users users;
    bool locks;            /* the kernel holds every process to its duty (lock/lock.h) */
    struct conf_log log;
    struct conf_list listen; /* of struct conf_listen */
    struct conf_tls tls;
    struct conf_spool spool;
    int64_t drain_ms;       /* how long a stop waits for what is in hand */
};

extern const struct conf_section conf_common_section;
