#include "directory/sasl.h"

struct sasl_mechanism {
    const char *name;
    enum sasl_step (*feed)(struct sasl *sasl, struct span message);
    const char *challenges[2]; /* what stage 0 and 1 ask for when there is no message */
    bool is_scram, is_plus;
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
    sasl->why = "wants to act for another login";
    return behalf.n && !span_eq_case(behalf, login) ? SASL_DENIED : SASL_CREDENTIALS;
}

static enum sasl_step login_feed(struct sasl *sasl, struct span message)
{
    struct buf *field = sasl->stage == 0 ? &sasl->login : &sasl->password;
    if (!message.n || span_find(message, '\0') < message.n || buf_add(field, message) != STATUS_OK)
        return SASL_BROKEN;
    return sasl->stage++ == 0 ? SASL_CHALLENGE : SASL_CREDENTIALS;
}

/* -- SCRAM: login, proof, and an empty line behind our signature (RFC 4954 section 4: a success has no words of its own) -- */

enum { STAGE_FIRST, STAGE_LOGIN, STAGE_FINAL, STAGE_PROOF, STAGE_LAST, STAGE_OVER };

static const struct {
    enum sasl_step step;
    const char *why;
} results[] = {
    [SCRAM_GOOD] = { SASL_LOGIN, NULL },
    [SCRAM_BROKEN] = { SASL_BROKEN, NULL },
    [SCRAM_OTHER] = { SASL_DENIED, "wants to act for another login" },
    [SCRAM_WRONG] = { SASL_PROOF, "wrong password" },
    [SCRAM_UNBOUND] = { SASL_UNBOUND, "made for another TLS connection: somebody may stand between the client and this server" },
    [SCRAM_NO_SUCH_BINDING] = { SASL_UNBOUND, "wants a channel binding that this connection does not have" },
    [SCRAM_DOWNGRADED] = { SASL_UNBOUND, "was told that SCRAM-SHA-256-PLUS is not offered, though it is: somebody may stand between "
                                         "the client and this server" },
};

static enum sasl_step scram_feed(struct sasl *sasl, struct span message)
{
    enum scram_result result;
    switch (sasl->stage) {
    case STAGE_FIRST:
        result = scram_first(sasl->scram, message, &sasl->login);
        sasl->stage = STAGE_LOGIN;
        break;
    case STAGE_FINAL:
        result = scram_final(sasl->scram, message);
        sasl->stage = STAGE_PROOF;
        sasl->proof_fits = result == SCRAM_GOOD;
        if (result == SCRAM_GOOD)
            return SASL_PROOF;
        break;
    case STAGE_LAST:
        sasl->stage = STAGE_OVER;
        return message.n ? SASL_BROKEN : SASL_DONE;
    default:
        return SASL_BROKEN;
    }
    sasl->why = results[result].why;
    return results[result].step;
}

enum sasl_step sasl_verifier(struct sasl *sasl, const struct scram_verifier *verifier)
{
    buf_clear(&sasl->words);
    if (sasl->stage != STAGE_LOGIN || scram_challenge(sasl->scram, verifier, &sasl->words) != STATUS_OK)
        return SASL_BROKEN;
    sasl->stage = STAGE_FINAL;
    sasl->challenge = buf_span(&sasl->words);
    return SASL_CHALLENGE;
}

enum sasl_step sasl_accept(struct sasl *sasl)
{
    buf_clear(&sasl->words);
    if (sasl->stage != STAGE_PROOF || !sasl->proof_fits || scram_signature(sasl->scram, &sasl->words) != STATUS_OK)
        return SASL_BROKEN;
    sasl->stage = STAGE_LAST;
    sasl->challenge = buf_span(&sasl->words);
    return SASL_CHALLENGE;
}

/* -- all of them -- */

static const struct sasl_mechanism mechanisms[] = {
    { "SCRAM-SHA-256-PLUS", scram_feed, { "", "" }, true, true },
    { "SCRAM-SHA-256", scram_feed, { "", "" }, true, false },
    { "PLAIN", plain_feed, { "", "" }, false, false },
    { "LOGIN", login_feed, { "Username:", "Password:" }, false, false }, /* clients compare these words */
};

struct span sasl_names(bool with_scram)
{
    return with_scram ? SPAN("SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN") : SPAN("PLAIN LOGIN");
}

enum status sasl_begin(struct span name, const struct scram_bindings *bindings, struct sasl *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(mechanisms); i++)
        if (span_eq_case(name, span_str(mechanisms[i].name))) {
            *ret = (struct sasl){ .mechanism = &mechanisms[i], .login = BUF_EMPTY(SASL_FIELD_MAX),
                                  .password = BUF_EMPTY(SASL_FIELD_MAX), .words = BUF_EMPTY(SCRAM_MESSAGE_MAX) };
            if (mechanisms[i].is_scram)
                ret->scram = scram_begin(mechanisms[i].is_plus, bindings);
            return mechanisms[i].is_scram && !ret->scram ? STATUS_MEMORY : STATUS_OK;
        }
    return STATUS_NOT_FOUND;
}

void sasl_done(struct sasl *sasl)
{
    buf_wipe(&sasl->login);
    buf_wipe(&sasl->password);
    buf_done(&sasl->words);
    scram_free(sasl->scram);
    sasl->scram = NULL;
}

const char *sasl_name(const struct sasl *sasl) { return sasl->mechanism->name; }

enum sasl_step sasl_feed(struct sasl *sasl, bool has_message, struct span message)
{
    enum sasl_step step = SASL_CHALLENGE;
    if (has_message)
        step = sasl->mechanism->feed(sasl, message);
    if (step == SASL_CHALLENGE)
        sasl->challenge = span_str(sasl->mechanism->challenges[MIN(sasl->stage, 1u)]);
    return step;
}
