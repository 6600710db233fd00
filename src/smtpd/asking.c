#include "smtpd/asking.h"
#include "base/hash.h"
#include <unistd.h>

#define BODY_MAX (WIRE_SASL_MAX + WIRE_ASK_MAX * 1024u) /* octets of one question */

void asking_init(struct asking *asking, struct loop *loop, struct log *log, void (*on_mechanisms)(void *, struct span),
                 void *arg)
{
    *asking = (struct asking){ .loop = loop, .log = log, .open = MAP_EMPTY, .on_mechanisms = on_mechanisms, .arg = arg };
}

static bool has_token(const struct map_node *node, const void *key)
{
    const uint64_t *token = key;
    return CONTAINER(node, struct question, node)->token == *token;
}

static struct question *find(struct asking *asking, uint64_t token)
{
    struct map_node *node = map_find(&asking->open, hash_u64(token), has_token, &token);
    return node ? CONTAINER(node, struct question, node) : NULL;
}

static void forget(struct asking *asking, struct question *question)
{
    map_remove(&asking->open, &question->node);
    question->token = 0;
}

/* The directory is gone: everybody who waits is told. Each answer may end other sessions, so the map is looked at
 * anew every time. */
static void lose(struct asking *asking)
{
    channel_free(asking->directory);
    asking->directory = NULL;
    for (struct map_node *node; (node = map_first(&asking->open)) != NULL;) {
        struct question *question = CONTAINER(node, struct question, node);
        forget(asking, question);
        question->on_answer(question, &(struct answer){ .kind = ANSWER_AWAY });
    }
}

void asking_done(struct asking *asking)
{
    if (asking->directory)
        channel_free(asking->directory);
    asking->directory = NULL;
    map_done(&asking->open);
}

/* A challenge keeps the question open: the login goes on under the same token. */
static void deliver(struct asking *asking, uint64_t token, const struct answer *answer)
{
    struct question *question = find(asking, token);
    if (!question)
        return; /* the client went away meanwhile */
    if (answer->kind != ANSWER_CHALLENGE)
        forget(asking, question);
    question->on_answer(question, answer);
}

static bool take_mechanisms(struct asking *asking, struct span body)
{
    struct tell_mechanisms tell;
    if (!tell_mechanisms_get(body, &tell) || tell.names.n > sizeof asking->mechanisms)
        return false;
    if (tell.names.n)
        memcpy(asking->mechanisms, tell.names.p, tell.names.n);
    asking->mechanisms_n = tell.names.n;
    asking->on_mechanisms(asking->arg, asking_mechanisms(asking));
    return true;
}

static bool take(struct asking *asking, uint16_t kind, struct span body)
{
    struct tell_challenge challenge;
    struct tell_auth auth;
    struct tell_verdict verdict;
    struct tell_signature signature;
    struct tell_counted counted;
    switch (kind) {
    case TELL_MECHANISMS:
        return take_mechanisms(asking, body);
    case TELL_CHALLENGE:
        if (!tell_challenge_get(body, &challenge))
            return false;
        deliver(asking, challenge.token, &(struct answer){ .kind = ANSWER_CHALLENGE, .text = challenge.challenge });
        return true;
    case TELL_AUTH:
        if (!tell_auth_get(body, &auth))
            return false;
        deliver(asking, auth.token, &(struct answer){ .kind = ANSWER_LOGIN, .result = auth.result, .account = auth.account,
                                                       .text = auth.text, .credential = auth.credential,
                                                       .restricted = auth.restricted != 0 });
        return true;
    case TELL_VERDICT:
        if (!tell_verdict_get(body, &verdict))
            return false;
        deliver(asking, verdict.token, &(struct answer){ ANSWER_VERDICT, verdict.verdict, SPAN_NONE, verdict.text });
        return true;
    case TELL_SIGNATURE:
        if (!tell_signature_get(body, &signature))
            return false;
        deliver(asking, signature.token, &(struct answer){ ANSWER_SIGNATURE, signature.result, SPAN_NONE, signature.signature });
        return true;
    case TELL_COUNT:
        return tell_count_get(body, &asking->count);
    case TELL_COUNTED:
        if (!tell_counted_get(body, &counted))
            return false;
        deliver(asking, counted.token, &(struct answer){ .kind = ANSWER_COUNTED, .result = counted.result, .text = counted.text,
                                                          .taken_ms = counted.taken_ms, .message_wait_s = counted.message_wait_s,
                                                          .recipient_wait_s = counted.recipient_wait_s });
        return true;
    default:
        return false;
    }
}

static void on_message(void *arg, struct channel *channel, struct channel_message *message)
{
    struct asking *asking = arg;
    if (take(asking, message->kind, message->body) || asking->directory != channel)
        return;
    log_error(asking->log, "peer-broke-format", LOG_STR("peer", "directory"), LOG_INT("kind", message->kind));
    lose(asking);
}

static void on_closed(void *arg, struct channel *channel, enum status why)
{
    struct asking *asking = arg;
    log_warning(asking->log, "peer-gone", LOG_STR("peer", "directory"), LOG_STR("why", status_text(why)));
    lose(asking);
}

void asking_connect(struct asking *asking, int fd)
{
    static const struct channel_events events = { on_message, on_closed };
    if (asking->directory)
        lose(asking);
    asking->directory = channel_new(asking->loop, fd, &events, asking);
    if (!asking->directory)
        log_error(asking->log, "peer-refused", LOG_STR("peer", "directory"), LOG_STR("why", "out of memory"));
    if (!asking->directory)
        close(fd);
}

/* A new token for the question, or false. */
static bool begin(struct asking *asking, struct question *question)
{
    if (!asking->directory || channel_is_dead(asking->directory))
        return false;
    if (question->token)
        forget(asking, question); /* what was asked before is of no use any more */
    question->token = ++asking->token;
    if (map_add(&asking->open, &question->node, hash_u64(question->token)) == STATUS_OK)
        return true;
    question->token = 0;
    return false;
}

static bool send_it(struct asking *asking, struct question *question, uint16_t kind, struct buf *body)
{
    bool sent = !body->failed && channel_send(asking->directory, kind, buf_span(body)) == STATUS_OK;
    if (!sent)
        forget(asking, question);
    else if (kind == ASK_AUTH_START || kind == ASK_AUTH_NEXT)
        channel_is_secret(asking->directory);
    return sent;
}

bool asking_login(struct asking *asking, struct question *question, struct ask_auth_start *start)
{
    AUTO(buf_wipe) struct buf body = BUF_EMPTY(BODY_MAX); /* a password: at once, growing would leave copies of it */
    if (buf_reserve(&body, start->initial.n + 512) != STATUS_OK || !begin(asking, question))
        return false;
    start->token = question->token;
    ask_auth_start_put(&body, start);
    return send_it(asking, question, ASK_AUTH_START, &body);
}

bool asking_login_next(struct asking *asking, struct question *question, struct span response)
{
    AUTO(buf_wipe) struct buf body = BUF_EMPTY(BODY_MAX);
    if (question->token == 0 || buf_reserve(&body, response.n + 64) != STATUS_OK)
        return false; /* the directory that began it is gone */
    ask_auth_next_put(&body, &(struct ask_auth_next){ question->token, response });
    return send_it(asking, question, ASK_AUTH_NEXT, &body);
}

bool asking_may_send(struct asking *asking, struct question *question, struct ask_may_send *ask)
{
    AUTO(buf_done) struct buf body = BUF_EMPTY(BODY_MAX);
    if (!begin(asking, question))
        return false;
    ask->token = question->token;
    ask_may_send_put(&body, ask);
    return send_it(asking, question, ASK_MAY_SEND, &body);
}

bool asking_is_recipient(struct asking *asking, struct question *question, struct span address)
{
    AUTO(buf_done) struct buf body = BUF_EMPTY(BODY_MAX);
    if (!begin(asking, question))
        return false;
    ask_is_recipient_put(&body, &(struct ask_is_recipient){ question->token, address });
    return send_it(asking, question, ASK_IS_RECIPIENT, &body);
}

bool asking_sign(struct asking *asking, struct question *question, struct ask_sign *ask)
{
    AUTO(buf_done) struct buf body = BUF_EMPTY(BODY_MAX);
    if (!begin(asking, question))
        return false;
    ask->token = question->token;
    ask_sign_put(&body, ask);
    return send_it(asking, question, ASK_SIGN, &body);
}

bool asking_count(struct asking *asking, struct question *question, struct ask_count *ask)
{
    AUTO(buf_done) struct buf body = BUF_EMPTY(BODY_MAX);
    if (!begin(asking, question))
        return false;
    ask->token = question->token;
    ask_count_put(&body, ask);
    return send_it(asking, question, ASK_COUNT, &body);
}

void asking_undo(struct asking *asking, const struct ask_undo *undo)
{
    AUTO(buf_done) struct buf body = BUF_EMPTY(BODY_MAX);
    ask_undo_put(&body, undo);
    if (asking->directory && !body.failed)
        channel_send(asking->directory, ASK_UNDO, buf_span(&body)); /* a dead one says so by on_closed */
}

void asking_cancel(struct asking *asking, struct question *question)
{
    if (question->token == 0)
        return;
    AUTO(buf_done) struct buf body = BUF_EMPTY(64);
    ask_cancel_put(&body, &(struct ask_cancel){ question->token });
    if (asking->directory)
        channel_send(asking->directory, ASK_AUTH_CANCEL, buf_span(&body)); /* of another question it is no harm */
    forget(asking, question);
}

void asking_drop(struct asking *asking, struct question *question)
{
    if (question->token)
        forget(asking, question);
}
