/* cli/common.h -- what all commands of `goniec` share: where the settings are, complaints, whom to become. */
#pragma once
#include "conf/parse.h"
#include "supervisor/root.h"
#include <stdio.h>

enum { COMMON_USAGE = 2, COMMON_FAILED = 1 }; /* exit statuses */

struct command {
    const char *name;
    const char *args;    /* "[--config FILE] [--json]" */
    const char *summary; /* half a sentence for the list */
    const char *help;    /* the rest, for `goniec help NAME`; NULL: it has its own --help */
    int (*run)(int argc, char **argv); /* argv[0] is the name; returns the exit status */
    bool internal;       /* not in the list */
};

extern const struct command commands[]; /* ended by { 0 }; in cli/commands.c */

/* `option` when it is given, else $GONIEC_CONFIG, else the file that the installation names. */
const char *common_config_path(const char *option);

/* Options that most commands have, cut out of argv; what is left is *argc words. False: a word that begins with a
 * hyphen and is neither (it was complained about). */
struct common_options {
    const char *config; /* always set afterwards */
    bool json;
};
MUST_CHECK bool common_options_take(int *argc, char **argv, struct common_options *ret);

/* The whole settings, parsed; the mistakes go to the standard error. NULL when there are any. */
struct conf *common_settings(const char *path);
static inline const struct root_settings *common_root(const struct conf *conf) { return conf_values(conf); }

/* "goniec: ..." on the standard error; returns COMMON_FAILED. */
int common_complain(const char *format, ...) PRINTF_LIKE(1, 2);
/* The usage of the command on the standard error; returns COMMON_USAGE. */
int common_usage(const char *name);

/* "2027-01-31", "2027-01-31T12:00:00Z", or a time from now (`sign` 1) or back from now (-1): "90d". Wall clock. */
MUST_CHECK bool common_when(const char *text, int sign, int64_t *ret_ms);

/* As root: become the settings' user, so that files made now are the server's. False: complained. */
MUST_CHECK bool common_become_user(const struct root_settings *settings);
/* As many descriptors as this process may have. */
void common_raise_descriptors(void);
