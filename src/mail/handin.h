/* mail/handin.h -- the header of a message that a program of this machine hands in through `sendmail`.
 *
 * Pure; every octet is hostile. Recipients are taken out of it where that is asked for (-t), Bcc is left out, names without a
 * domain get one, and a From: that is missing is written. Everything else (Date, Message-ID) is the server's.
 * RFC 5322 sections 3.6.3 (Bcc), 3.6.6 (Resent), 3.4 (addresses); RFC 6409 section 6.1 (names without a domain).
 */
#pragma once
#include "base/buf.h"
#include "mail/header.h"

/* A recipient, local@domain, borrowed for the call. A status other than OK ends the walk and is returned. */
typedef enum status handin_recipient(void *arg, struct span address);

struct handin {
    struct span origin;     /* domain behind names without one */
    struct span sender;     /* for a missing From: */
    struct span name;       /* the sender's full name, hostile; or empty */
    bool take_recipients;   /* of Resent-To, -Cc and -Bcc when there are any, else of To, Cc and Bcc */
    handin_recipient *on_recipient;
    void *arg;
    bool has_utf8;          /* out: an address is not ASCII: the message has to travel with SMTPUTF8 */
    struct span bad;        /* out: the name of the field that could not be read */
};

/* Appends the header with an empty line behind it. `header` are clean lines, as header_measure() measured them. SYNTAX:
 * recipients that can be read in two ways, or not at all; `bad` names their field. TOO_LONG, FULL, MEMORY; and what
 * `on_recipient` gave. */
MUST_CHECK enum status handin_header(struct handin *handin, struct span header, struct buf *ret);

/* The recipients of a word of the command line: an address, or several with commas between them. */
MUST_CHECK enum status handin_words(const struct handin *handin, struct span word);

/* Octets of a line "From anna Mon ..." or ">From ..." in front, as programs that read mailbox files leave it. */
size_t handin_mailbox_line(struct span message);
/* The value of the first field of that name on one line; empty: there is none. */
struct span handin_value(struct span header, struct span name, char *ret, size_t room);
