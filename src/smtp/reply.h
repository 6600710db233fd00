/* smtp/reply.h -- reads the replies of an SMTP or LMTP server, which may send anything at all.
 *
 * Pure, without allocation: a reader of fixed size takes octets as they come and hands out one line after the
 * other. What is kept of the words is bounded, free of control octets and UTF-8.
 * RFC 5321 section 4.2 (codes, many lines), RFC 2034 and RFC 3463 (enhanced codes).
 */
#pragma once
#include "base/span.h"
#include "base/status.h"
#include "mail/status_code.h"

#define SMTP_REPLY_LINE_MAX 1024     /* octets kept of one line; RFC 5321 section 4.5.3.1.5 asks for 512 */
#define SMTP_REPLY_LINES_MAX 200     /* lines of one reply */
#define SMTP_REPLY_OCTETS_MAX 65536u /* octets of one reply, those that are not kept included */
#define SMTP_REPLY_TEXT_MAX 1024     /* octets kept of all lines together */

struct smtp_reply {
    int code;                    /* 200..599, once the reply is complete */
    struct status_code enhanced; /* class 0: the server gave none */
    bool is_complete;            /* the line just read was the last one */
    unsigned lines;              /* read so far */

    char text[SMTP_REPLY_TEXT_MAX]; /* the words of all lines, joined by blanks, without codes */
    size_t text_n;

    char line[SMTP_REPLY_LINE_MAX]; /* the line being read, then the one just read */
    size_t line_n;
    struct span words;              /* of the line just read, behind its code; lies in `line` */
    size_t octets;
};

void smtp_reply_init(struct smtp_reply *reply);

/* Takes octets off the front of `in` up to the end of the next line.
 *
 * OK: a line was read: look at `words`, and at `is_complete`; after a complete reply the next call begins anew.
 * AGAIN: `in` is used up, feed more. SYNTAX: no reply at all (nor can anything behind it be trusted): close.
 * TOO_LONG: over a limit above: close. After the last two the reader holds what came so far in `text`.
 */
MUST_CHECK enum status smtp_reply_feed(struct smtp_reply *reply, struct span *in);

static inline struct span smtp_reply_text(const struct smtp_reply *reply) { return span_of(reply->text, reply->text_n); }
