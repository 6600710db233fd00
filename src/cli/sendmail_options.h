/* cli/sendmail_options.h -- the command line of `sendmail`, `mailq` and `newaliases`, as programs have called them for decades.
 *
 * Pure. What changed the habits of other servers and is harmless here is passed over; what nobody knows is refused, because
 * it may have meant something.
 */
#pragma once
#include "base/span.h"

/* <sysexits.h>: what callers look at. */
enum sendmail_exit {
    SENDMAIL_OK = 0,
    SENDMAIL_USAGE = 64,
    SENDMAIL_DATA = 65,      /* the message, or a recipient in it */
    SENDMAIL_NO_USER = 67,   /* the server refused a recipient */
    SENDMAIL_UNAVAILABLE = 69,
    SENDMAIL_OS = 71,
    SENDMAIL_IO = 74,
    SENDMAIL_LATER = 75,
    SENDMAIL_NOT_ALLOWED = 77,
    SENDMAIL_CONFIG = 78,
};

enum sendmail_mode { SENDMAIL_SEND, SENDMAIL_SMTP, SENDMAIL_QUEUE, SENDMAIL_ALIASES, SENDMAIL_RETRY, SENDMAIL_HELP };

struct sendmail_options {
    enum sendmail_mode mode;
    const char *config;      /* -C; NULL: the usual one */
    const char *sender;      /* -f, -r; NULL: the user; "" or "<>": nobody */
    const char *name;        /* -F; NULL: none */
    const char *notify;      /* -N, as DSN's NOTIFY wants it; NULL: unsaid */
    const char *ret;         /* -R: "FULL" or "HDRS"; NULL: unsaid */
    const char *envid;       /* -V; NULL: none */
    bool take_recipients;    /* -t */
    bool dot_is_text;        /* -i, -oi */
    bool verbose;            /* -v */
    char **recipients;       /* ended by NULL; those of argv */
    char notify_text[64];    /* for `notify` */
};

#define SENDMAIL_WHY_SIZE 200
/* argv[0] is the name it was called by. The spans of argv must stay. Returns SENDMAIL_OK, or SENDMAIL_USAGE and `why`. */
enum sendmail_exit sendmail_options_read(int argc, char **argv, struct sendmail_options *ret, char why[SENDMAIL_WHY_SIZE]);
