/* milter/delegation.h -- the client's half of Postfix's policy delegation protocol.
 *
 * Pure. A question is lines of "name=value" and an empty line; the answer one line "action=..." and an empty line. One
 * connection carries question after question.
 */
#pragma once
#include "base/buf.h"
#include "mail/status_code.h"

#define DELEGATION_ANSWER_MAX 4096u /* octets of an answer */
#define DELEGATION_TEXT_MAX 480     /* octets kept of its words */

struct delegation_attribute {
    const char *name;
    struct span value;
};

/* Adds a question. Octets that would end a line (and all other control characters) become "?". */
void delegation_ask(struct buf *out, const struct delegation_attribute *attributes, size_t count);

enum delegation_word {
    DELEGATION_DUNNO,   /* nothing said; also OK, which here opens no doors that others hold shut */
    DELEGATION_REJECT,  /* code is 5xx */
    DELEGATION_DEFER,   /* code is 4xx */
    DELEGATION_DEFER_IF_PERMIT, /* DEFER, unless somebody rejects */
    DELEGATION_DISCARD,
    DELEGATION_HOLD,
    DELEGATION_PREPEND, /* the text is a header field */
    DELEGATION_WARN,    /* the text is for the log */
};

struct delegation_answer {
    enum delegation_word word;
    unsigned code;                   /* 0: the word refuses nothing */
    struct status_code enhanced;     /* of the same class */
    char text[DELEGATION_TEXT_MAX];  /* without control characters; empty: nothing was said */
    size_t text_n;
};

/* Takes an answer off the front of `in`.
 *
 * AGAIN: it is not whole, feed more. SYNTAX: not an answer, or an action that we cannot carry out (FILTER, REDIRECT, BCC and
 * what has yet to be invented): treat the service as away and close. TOO_LONG: no end within DELEGATION_ANSWER_MAX: the same.
 */
MUST_CHECK enum status delegation_take(struct span *in, struct delegation_answer *ret);
