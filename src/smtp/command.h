/* smtp/command.h -- cuts the octets that a client sends into SMTP commands.
 *
 * Pure: no socket, no clock, no allocation.
 * RFC 5321 section 4.1.1 (commands), 4.5.3.1.4 (line length), 2.3.8 (CRLF only).
 */
#pragma once
#include "base/span.h"
#include "base/status.h"

#define SMTP_COMMAND_MAX 2048 /* octets with CRLF; RFC 5321 asks for 512, extensions add */
#define SMTP_SASL_LINE_MAX 12288 /* octets with CRLF of AUTH and its answers; RFC 4954 section 4 */

/* X(name, text): what a client may ask. */
#define SMTP_VERB_LIST(X)                                                              \
    X(EHLO, "EHLO") X(HELO, "HELO") X(MAIL, "MAIL") X(RCPT, "RCPT") X(DATA, "DATA")    \
    X(BDAT, "BDAT") X(RSET, "RSET") X(NOOP, "NOOP") X(QUIT, "QUIT") X(HELP, "HELP")    \
    X(VRFY, "VRFY") X(EXPN, "EXPN") X(STARTTLS, "STARTTLS") X(AUTH, "AUTH")                \
    X(XLOCAL, "XLOCAL")

enum smtp_verb {
    SMTP_VERB_UNKNOWN,
    SMTP_VERB_FOREIGN, /* a word of another protocol ("GET", "POST"): somebody drives a web client at us */
#define X(name, text) SMTP_VERB_##name,
    SMTP_VERB_LIST(X)
#undef X
    SMTP_VERB_COUNT
};

const char *smtp_verb_text(enum smtp_verb verb); /* "MAIL"; "?" for the first two; static */

struct smtp_command {
    enum smtp_verb verb;
    struct span args; /* behind the verb, without blanks around; borrowed from the input */
};

/* Takes the first whole line, without its CRLF, off the front of `in`.
 *
 * On OK `in` moves past it; otherwise neither changes. AGAIN: no CRLF yet. TOO_LONG: the line cannot end
 * within `most` octets. SYNTAX: a bare CR or LF, by which a second command could be smuggled past another
 * server. After the last two: reply and close.
 */
MUST_CHECK enum status smtp_line_take(struct span *in, size_t most, struct span *ret);

/* The same for a command; SMTP_COMMAND_MAX holds, for AUTH SMTP_SASL_LINE_MAX. A line with a control character
 * is a command that nobody knows. */
MUST_CHECK enum status smtp_command_take(struct span *in, struct smtp_command *ret);
