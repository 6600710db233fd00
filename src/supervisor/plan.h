/* supervisor/plan.h -- what the settings file asks for, read and checked as a whole: the settings, and everything
 * outside the file that they name (certificates, keys, the user, the machine's name).
 *
 * A plan is made anew for each reload; the old one stays until the new one has been carried out.
 */
#pragma once
#include "conf/parse.h"
#include "supervisor/root.h"
#include "wire/supervisor.h"
#include <sys/types.h>

#define PLAN_PEM_MAX (1u << 20) /* octets of a certificate or key file */

struct plan_user {
    uid_t uid;
    gid_t gid;
};

struct plan {
    struct conf *conf;
    const struct root_settings *settings; /* inside `conf` */
    struct buf text;                      /* of the file */
    struct buf file;                      /* its name */
    struct plan_blob *blobs;              /* a stack */
    unsigned blob_count;
    bool change_user;                     /* started as root: children become: */
    uid_t uid;
    gid_t gid;
    struct plan_user users[ROLE_COUNT];   /* the same for each role; some are others than that */
    bool users_shared;                    /* there were no others for those who speak with strangers */
};

/* NULL: `faults` says why. Nothing is created or changed. */
struct plan *plan_new(const char *path, struct conf_faults *faults);
void plan_free(struct plan *plan); /* overwrites the keys */

/* The pair in state-dir/tls, made when it is not there, for a plan without certificates. `made` tells whether it is
 * new. False: `faults` says why. */
MUST_CHECK bool plan_self_sign(struct plan *plan, struct conf_faults *faults, bool *made);

/* What has to be the same for a reload: adds a fault for each setting that only a restart can change. */
void plan_compare(const struct plan *now, const struct plan *then, struct conf_faults *faults);

/* The body of SETTINGS for a process; only what its role needs to know. */
void plan_settings(const struct plan *plan, enum role role, uint32_t number, uint32_t count, struct buf *ret);

/* Where the accounts lie. */
enum status plan_accounts_folder(const struct plan *plan, struct buf *ret);

/* "mail.example.org" from the settings, or the machine's own name. */
struct span plan_hostname(const struct plan *plan);
unsigned plan_processes(int64_t asked); /* 0: one for each core that we may use */
