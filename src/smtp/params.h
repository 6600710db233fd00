/* smtp/params.h -- what stands behind MAIL and RCPT: the path and the parameters of the extensions.
 *
 * Pure; the spans of a result are borrowed from the command.
 * RFC 5321 section 4.1.2, RFC 1870 (SIZE), 6152 (BODY), 6531 (SMTPUTF8), 3461 (DSN), 4954 section 5 (AUTH).
 */
#pragma once
#include "mail/address.h"
#include "mail/status_code.h"

enum smtp_body_kind { SMTP_BODY_UNSAID, SMTP_BODY_7BIT, SMTP_BODY_8BITMIME };
enum smtp_ret { SMTP_RET_UNSAID, SMTP_RET_FULL, SMTP_RET_HEADERS };
enum { SMTP_NOTIFY_NEVER = 1, SMTP_NOTIFY_SUCCESS = 2, SMTP_NOTIFY_FAILURE = 4, SMTP_NOTIFY_DELAY = 8 };

struct smtp_mail {
    struct address from;
    uint64_t size;             /* as the client announced it; 0: not said */
    enum smtp_body_kind body;
    enum smtp_ret ret;
    bool utf8;                 /* SMTPUTF8 */
    struct span envid;         /* in xtext, checked; or empty */
};

struct smtp_rcpt {
    struct address to;
    unsigned notify;           /* SMTP_NOTIFY_x; 0: not said */
    struct span orcpt;         /* "rfc822;..." in xtext, checked; or empty */
};

/* A reply that says no. `text` is static. */
struct smtp_refusal {
    unsigned code;
    struct status_code status;
    const char *text;
};

/* `args` is what stands behind the verb ("FROM:<a@b> SIZE=3"). With `extended` false (after HELO) no parameter is
 * taken. False: `ret_why` says what to answer, `ret` is untouched. */
MUST_CHECK bool smtp_mail_parse(struct span args, bool extended, struct smtp_mail *ret, struct smtp_refusal *ret_why);
/* `utf8`: MAIL had SMTPUTF8. */
MUST_CHECK bool smtp_rcpt_parse(struct span args, bool extended, bool utf8, struct smtp_rcpt *ret,
                                struct smtp_refusal *ret_why);
