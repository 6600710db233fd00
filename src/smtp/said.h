/* smtp/said.h -- XLOCAL: what a program of this machine tells about itself, and what it hears about its user.
 *
 * A command of our own, offered on the local socket only. What the program says is kept for whoever looks for a script, and
 * never believed: who it is comes from the kernel. Every value is xtext (RFC 3461 section 4), so none can become a line.
 *
 *   XLOCAL command=/usr/sbin/sendmail+20-t directory=/srv/www1
 *   250 2.0.0 origin=example.org sender=shop@example.org
 */
#pragma once
#include "base/buf.h"

#define SMTP_SAID_MAX 300 /* octets of a value, as xtext: all of them fit into a command line */

/* X(name, text) */
#define SMTP_SAID_LIST(X)                                                                                          \
    X(COMMAND, "command") X(PARENT, "parent") X(DIRECTORY, "directory") X(SCRIPT, "script") X(SITE, "site")
enum smtp_said {
#define X(name, text) SMTP_SAID_##name,
    SMTP_SAID_LIST(X)
#undef X
    SMTP_SAID_COUNT
};
const char *smtp_said_name(enum smtp_said field); /* "command"; never NULL */

/* Appends " name=value"; of a long value the beginning, of an empty one nothing. */
void smtp_said_put(struct buf *buf, enum smtp_said field, struct span value);
/* Reads the arguments of XLOCAL; the values are still xtext, borrowed; those not given are empty. Unknown names are passed
 * over. SYNTAX: not name=xtext. TOO_LONG: a value over SMTP_SAID_MAX. */
MUST_CHECK enum status smtp_said_get(struct span args, struct span ret[SMTP_SAID_COUNT]);

/* The words of the reply. */
struct smtp_told {
    struct span origin; /* domain behind names without one */
    struct span sender; /* whom a message is from unless it says otherwise; empty: name and origin */
};
void smtp_told_put(struct buf *buf, const struct smtp_told *told);
/* Spans are borrowed. SYNTAX: no origin, or a word with control characters. */
MUST_CHECK enum status smtp_told_get(struct span text, struct smtp_told *ret);
