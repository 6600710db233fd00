#include "directory/sasl.h"

struct sasl_mechanism {
    const char *name;
    enum sasl_step (*feed)(struct sasl *sasl, struct span message);
    const char *challenges[2]; /* what stage 0 and 1 ask for when there is no message */
};

/* message = [authzid] NUL authcid NUL passwd (RFC 4616 section 2) */
static enum sasl_step plain_feed(struct sasl *sasl, struct span message)
{
    struct span behalf, login, password;
    if (!span_cut(&message, '\0', &behalf) || span_find(message, '\0') == message.n)
        return SASL_BROKEN;
    if (!span_cut(&message, '\0', &login) || !login.n)
        return SASL_BROKEN;
    password = message;
    if (!password.n || span_find(password, '\0') < password.n)
        return SASL_BROKEN;
    if (buf_add(&sasl->login, login) != STATUS_OK || buf_add(&sasl->password, password) != STATUS_OK)
        return SASL_BROKEN;
    return behalf.n && !span_eq_case(behalf, login) ? SASL_DENIED : SASL_CREDENTIALS;
}

static enum sasl_step login_feed(struct sasl *sasl, struct span message)
{
    struct buf *field = sasl->stage == 0 ? &sasl->login : &sasl->password;
    if (!message.n || span_find(message, '\0') < message.n || buf_add(field, message) != STATUS_OK)
        return SASL_BROKEN;
    return sasl->stage++ == 0 ? SASL_CHALLENGE : SASL_CREDENTIALS;
}

static const struct sasl_mechanism mechanisms[] = {
    { "PLAIN", plain_feed, { "", "" } },
    { "LOGIN", login_feed, { "Username:", "Password:" } }, /* clients compare these words */
};

struct span sasl_names(void)
{
    return SPAN("PLAIN LOGIN");
}

enum status sasl_begin(struct span name, struct sasl *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(mechanisms); i++)
        if (span_eq_case(name, span_str(mechanisms[i].name))) {
            *ret = (struct sasl){ .mechanism = &mechanisms[i], .login = BUF_EMPTY(SASL_FIELD_MAX),
                                  .password = BUF_EMPTY(SASL_FIELD_MAX) };
            return STATUS_OK;
        }
    return STATUS_NOT_FOUND;
}

void sasl_done(struct sasl *sasl)
{
    buf_wipe(&sasl->login);
    buf_wipe(&sasl->password);
}

enum sasl_step sasl_feed(struct sasl *sasl, bool has_message, struct span message)
{
    enum sasl_step step = SASL_CHALLENGE;
    if (has_message)
        step = sasl->mechanism->feed(sasl, message);
    if (step == SASL_CHALLENGE)
        sasl->challenge = span_str(sasl->mechanism->challenges[MIN(sasl->stage, 1u)]);
    return step;
}
