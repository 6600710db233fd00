#include "smtp/params.h"
#include "mail/xtext.h"

#define NO(code, c, s, d, text) ((struct smtp_refusal){ (code), { (c), (s), (d) }, (text) })

/* One command while it is read. Every parameter may come once. */
struct reading {
    bool utf8;           /* RCPT: as MAIL said */
    unsigned seen;       /* bits: rows of the table that came */
    struct smtp_mail mail;
    struct smtp_rcpt rcpt;
    struct smtp_refusal why;
};

typedef bool set_param(struct reading *reading, struct span value);
struct param {
    const char *name;
    bool has_value;
    set_param *set; /* false: the value is wrong */
};

static bool set_size(struct reading *reading, struct span value)
{
    return value.n <= 20 && span_u64(value, UINT64_MAX, &reading->mail.size); /* RFC 1870 section 4: 1*20DIGIT */
}

static bool set_body(struct reading *reading, struct span value)
{
    if (span_eq_case(value, SPAN("7BIT")))
        reading->mail.body = SMTP_BODY_7BIT;
    else if (span_eq_case(value, SPAN("8BITMIME")))
        reading->mail.body = SMTP_BODY_8BITMIME;
    else
        return false;
    return true;
}

static bool set_utf8(struct reading *reading, struct span value)
{
    reading->mail.utf8 = true;
    return true;
}

static bool set_ret(struct reading *reading, struct span value)
{
    if (span_eq_case(value, SPAN("FULL")))
        reading->mail.ret = SMTP_RET_FULL;
    else if (span_eq_case(value, SPAN("HDRS")))
        reading->mail.ret = SMTP_RET_HEADERS;
    else
        return false;
    return true;
}

static bool set_envid(struct reading *reading, struct span value)
{
    reading->mail.envid = value;
    return value.n > 0 && value.n <= XTEXT_ENVID_MAX && xtext_check(value);
}

/* Who wrote it in the eyes of another server: taken and forgotten, since nobody is trusted with it (RFC 4954 section 5). */
static bool set_auth(struct reading *reading, struct span value)
{
    return span_eq(value, SPAN("<>")) || (value.n > 0 && value.n <= XTEXT_ORCPT_MAX && xtext_check(value));
}

static bool set_notify(struct reading *reading, struct span value)
{
    static const struct {
        const char *word;
        unsigned bit;
    } words[] = { { "NEVER", SMTP_NOTIFY_NEVER }, { "SUCCESS", SMTP_NOTIFY_SUCCESS },
                  { "FAILURE", SMTP_NOTIFY_FAILURE }, { "DELAY", SMTP_NOTIFY_DELAY } };
    unsigned notify = 0;
    bool ends_with_comma = value.n > 0 && value.p[value.n - 1] == ',';
    for (struct span word; span_cut(&value, ',', &word);) {
        unsigned bit = 0;
        for (size_t i = 0; i < ARRAY_LEN(words); i++)
            if (span_eq_case(word, span_str(words[i].word)))
                bit = words[i].bit;
        if (bit == 0)
            return false;
        notify |= bit;
    }
    reading->rcpt.notify = notify;
    bool never = notify & SMTP_NOTIFY_NEVER;
    return notify != 0 && !ends_with_comma && (!never || notify == SMTP_NOTIFY_NEVER); /* RFC 3461 section 4.1 */
}

static bool set_orcpt(struct reading *reading, struct span value)
{
    reading->rcpt.orcpt = value;
    return value.n > 0 && value.n <= XTEXT_ORCPT_MAX && xtext_orcpt_check(value, reading->utf8);
}

static const struct param mail_params[] = {
    { "SIZE", true, set_size },   { "BODY", true, set_body },   { "SMTPUTF8", false, set_utf8 },
    { "RET", true, set_ret },     { "ENVID", true, set_envid }, { "AUTH", true, set_auth },
};
static const struct param rcpt_params[] = { { "NOTIFY", true, set_notify }, { "ORCPT", true, set_orcpt } };

static bool set_one(struct reading *reading, struct span text, const struct param *params, size_t count)
{
    struct span name = span_head(text, span_find(text, '='));
    bool has_value = name.n < text.n;
    for (size_t i = 0; i < count; i++) {
        if (!span_eq_case(name, span_str(params[i].name)))
            continue;
        bool again = reading->seen & 1u << i;
        reading->seen |= 1u << i;
        if (!again && has_value == params[i].has_value && params[i].set(reading, span_from(text, name.n + 1)))
            return true;
        reading->why = again ? NO(501, 5, 5, 4, "A parameter was given twice") : NO(501, 5, 5, 4, "A parameter has a wrong value");
        return false;
    }
    reading->why = NO(555, 5, 5, 4, "A parameter is not known here");
    return false;
}

static bool read_params(struct reading *reading, struct span text, bool extended, const struct param *params,
                        size_t count)
{
    text = span_trim(text);
    if (text.n > 0 && !extended) {
        reading->why = NO(555, 5, 5, 4, "Parameters need EHLO");
        return false;
    }
    for (struct span word; text.n > 0 && span_cut(&text, ' ', &word);)
        if (word.n > 0 && !set_one(reading, word, params, count))
            return false;
    return true;
}

/* Cuts "FROM:" and the path, leaves the parameters in `args`. RFC 6531 section 3.4: a path that needs SMTPUTF8 is read
 * as such first; whether the client asked for it is known only after the parameters. */
static bool read_path(struct span *args, struct span keyword, unsigned allow, struct address *ret, struct smtp_refusal *why)
{
    if (!span_starts_case(*args, keyword)) {
        *why = keyword.p[0] == 'F' ? NO(501, 5, 5, 4, "Write MAIL FROM:<address>") : NO(501, 5, 5, 4, "Write RCPT TO:<address>");
        return false;
    }
    *args = span_trim(span_from(*args, keyword.n)); /* the blank that many programs write is not the grammar's */
    enum status status = address_path_take(args, allow, ret);
    bool good = status == STATUS_OK && (args->n == 0 || args->p[0] == ' ');
    if (good)
        return true;
    unsigned detail = keyword.p[0] == 'F' ? 7 : 3; /* RFC 3463 section 3.2 */
    *why = (struct smtp_refusal){ 501, { 5, 1, (uint16_t)detail },
                                  status == STATUS_TOO_LONG ? "The address is too long"
                                  : status == STATUS_DENIED ? "The address needs SMTPUTF8"
                                                            : "This is not an address in angle brackets" };
    if (status == STATUS_DENIED)
        *why = NO(553, 5, 6, 7, "The address needs SMTPUTF8");
    return false;
}

bool smtp_mail_parse(struct span args, bool extended, struct smtp_mail *ret, struct smtp_refusal *ret_why)
{
    struct reading reading = { 0 };
    struct address from;
    unsigned allow = ADDRESS_NULL | ADDRESS_UTF8;
    if (!read_path(&args, SPAN("FROM:"), allow, &from, &reading.why))
        goto no;
    if (!read_params(&reading, args, extended, mail_params, ARRAY_LEN(mail_params)))
        goto no;
    if (from.is_utf8 && !reading.mail.utf8) {
        reading.why = NO(553, 5, 6, 7, "The address needs SMTPUTF8");
        goto no;
    }
    *ret = reading.mail;
    ret->from = from;
    return true;
no:
    *ret_why = reading.why;
    return false;
}

bool smtp_rcpt_parse(struct span args, bool extended, bool utf8, struct smtp_rcpt *ret, struct smtp_refusal *ret_why)
{
    struct reading reading = { .utf8 = utf8 };
    struct address to;
    unsigned allow = ADDRESS_POSTMASTER | (utf8 ? (unsigned)ADDRESS_UTF8 : 0u);
    if (!read_path(&args, SPAN("TO:"), allow, &to, &reading.why) ||
        !read_params(&reading, args, extended, rcpt_params, ARRAY_LEN(rcpt_params))) {
        *ret_why = reading.why;
        return false;
    }
    *ret = reading.rcpt;
    ret->to = to;
    return true;
}
