/* One message: MAIL, RCPT, DATA or BDAT, and the word about each recipient. */
#include "base/mutant.h"
#include "smtp/client_priv.h"
#include <inttypes.h>

static void settle(struct smtp_client *client, size_t i, const struct smtp_client_result *result)
{
    struct smtp_client_recipient *recipient = &client->message->recipients[i];
    if (recipient->result != SMTP_PENDING)
        return;
    recipient->result = result->result;
    if (recipient->is_accepted)
        client->open--;
    client->on_result(client->arg, i, result);
}

static void settle_rest(struct smtp_client *client, const struct smtp_client_result *result)
{
    for (size_t i = 0; client->message && i < client->message->recipient_count; i++)
        settle(client, i, result);
}

/* The reply just read, as a result. */
static struct smtp_client_result from_reply(const struct smtp_client *client)
{
    const struct smtp_reply *reply = &client->reply;
    int class = reply->code / 100;
    return (struct smtp_client_result){
        .result = class == 2 ? SMTP_DELIVERED : class == 5 ? SMTP_FAILED : SMTP_DEFERRED,
        .code = reply->code,
        .enhanced = reply->enhanced.class ? reply->enhanced : status_code_from_reply(reply->code),
        .text = smtp_reply_text(reply),
    };
}

static void settle_rest_by_reply(struct smtp_client *client)
{
    struct smtp_client_result result = from_reply(client);
    settle_rest(client, &result);
}

void client_message_abandon(struct smtp_client *client, bool is_elsewhere)
{
    const struct smtp_client_failure *failure = &client->failure;
    struct smtp_client_result result = {
        .result = SMTP_DEFERRED,
        .code = failure->code,
        .enhanced = failure->enhanced,
        .text = span_of(failure->text, failure->text_n),
        .is_elsewhere = is_elsewhere,
    };
    if (MUTANT(SETTLED_BEFORE_250) && client->open)
        result.result = SMTP_DELIVERED;
    result.enhanced.class = 4; /* nothing that ends a session in the middle is the last word about a recipient */
    settle_rest(client, &result);
    client->message = NULL;
}

static void finish(struct smtp_client *client)
{
    client->message = NULL;
    client_enter(client, SMTP_CLIENT_READY);
}

/* --- what is said --- */

static void add_mail(struct smtp_client *client)
{
    const struct smtp_client_message *message = client->message;
    struct buf *out = &client->out;
    buf_add_str(out, "MAIL FROM:<");
    buf_add(out, message->sender);
    buf_add_char(out, '>');
    if (client->extensions & SMTP_EXT_SIZE)
        buf_printf(out, " SIZE=%" PRIu64, message->octets);
    if (message->is_8bit && (client->extensions & SMTP_EXT_8BITMIME))
        buf_add_str(out, " BODY=8BITMIME");
    if (message->needs_utf8)
        buf_add_str(out, " SMTPUTF8");
    if (client->extensions & SMTP_EXT_DSN) {
        if (message->ret != SMTP_RET_UNSAID)
            buf_add_str(out, message->ret == SMTP_RET_FULL ? " RET=FULL" : " RET=HDRS");
        if (message->envid.n) {
            buf_add_str(out, " ENVID=");
            buf_add(out, message->envid);
        }
    }
    if (message->auth.n && (client->extensions & SMTP_EXT_AUTH)) {
        buf_add_str(out, " AUTH=");
        buf_add(out, message->auth);
    }
    buf_add_str(out, "\r\n");
}

static void add_notify(struct buf *out, unsigned notify)
{
    static const struct {
        unsigned bit;
        const char *word;
    } words[] = {
        { SMTP_NOTIFY_NEVER, "NEVER" }, { SMTP_NOTIFY_SUCCESS, "SUCCESS" },
        { SMTP_NOTIFY_FAILURE, "FAILURE" }, { SMTP_NOTIFY_DELAY, "DELAY" },
    };
    const char *before = " NOTIFY=";
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (!(notify & words[i].bit))
            continue;
        buf_add_str(out, before);
        buf_add_str(out, words[i].word);
        before = ",";
    }
}

static void add_rcpt(struct smtp_client *client, size_t i)
{
    const struct smtp_client_recipient *recipient = &client->message->recipients[i];
    struct buf *out = &client->out;
    buf_add_str(out, "RCPT TO:<");
    buf_add(out, recipient->address);
    buf_add_char(out, '>');
    if (client->extensions & SMTP_EXT_DSN) {
        add_notify(out, recipient->notify);
        if (recipient->orcpt.n) {
            buf_add_str(out, " ORCPT=");
            buf_add(out, recipient->orcpt);
        }
    }
    buf_add_str(out, "\r\n");
}

/* The first recipient from `i` on that this transaction names, or their number. */
static size_t asked_from(const struct smtp_client *client, size_t i)
{
    while (i < client->message->recipient_count && !client->message->recipients[i].is_asked)
        i++;
    return i;
}

static bool is_pipelined(const struct smtp_client *client)
{
    return (client->extensions & SMTP_EXT_PIPELINING) && !client->settings->no_pipelining;
}

static bool is_chunked(const struct smtp_client *client)
{
    return (client->extensions & SMTP_EXT_CHUNKING) && !client->settings->no_chunking && !client->settings->lmtp;
}

/* DATA, or BDAT with the body right behind it. */
static void add_begin(struct smtp_client *client)
{
    if (is_chunked(client)) {
        buf_printf(&client->out, "BDAT %" PRIu64 " LAST\r\n", client->message->octets);
        client->send = SMTP_SEND_RAW;
    } else {
        buf_add_str(&client->out, "DATA\r\n");
    }
}

/* With PIPELINING the whole envelope leaves at once, in a group that DATA or BDAT ends (RFC 2920 section 3.1).
 * A large body is not sent before somebody wants it: then BDAT waits for the recipients' replies. */
static void add_transaction(struct smtp_client *client)
{
    add_mail(client);
    if (!is_pipelined(client))
        return;
    for (size_t i = asked_from(client, 0); i < client->message->recipient_count; i = asked_from(client, i + 1))
        add_rcpt(client, i);
    client->is_early = is_chunked(client) && client->message->octets <= SMTP_CLIENT_EARLY_MAX;
    client->is_grouped = client->is_early || !is_chunked(client);
    if (client->is_grouped)
        add_begin(client);
}

/* --- what cannot be said --- */

/* The parsers let no such octet through; here is the last door before a peer could take it for a command. */
static bool is_speakable(struct span text, char least)
{
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (c < (unsigned char)least || c == 0x7f)
            return false;
    }
    return true;
}

static bool is_message_speakable(const struct smtp_client_message *message)
{
    return is_speakable(message->sender, ' ') && is_speakable(message->envid, '!') && is_speakable(message->auth, '!');
}

static void reject_rest(struct smtp_client *client, struct status_code enhanced, const char *text)
{
    struct smtp_client_result result = { .result = SMTP_FAILED, .enhanced = enhanced, .text = span_str(text) };
    settle_rest(client, &result);
}

/* What this server cannot take needs no asking. */
static void reject_unfit(struct smtp_client *client)
{
    const struct smtp_client_message *message = client->message;
    unsigned extensions = client->extensions;
    if (!is_message_speakable(message))
        reject_rest(client, STATUS_CODE(5, 1, 7), "the sender's address cannot be written in SMTP");
    else if (message->needs_utf8 && !(extensions & SMTP_EXT_SMTPUTF8))
        reject_rest(client, STATUS_CODE(5, 6, 7),
                    "the message needs SMTPUTF8, which the recipient's server does not offer");
    else if (message->is_8bit && client->settings->strict_8bit && !(extensions & SMTP_EXT_8BITMIME))
        reject_rest(client, STATUS_CODE(5, 6, 3),
                    "the message has 8-bit text, which the recipient's server does not take");
    else if (client->size_limit && message->octets > client->size_limit)
        reject_rest(client, STATUS_CODE(5, 3, 4), "the message is larger than the recipient's server takes");
}

/* Leaves out recipients beyond what the server wants in one transaction, and those nobody can name. */
static void choose_recipients(struct smtp_client *client)
{
    static const struct smtp_client_result unspeakable = {
        .result = SMTP_FAILED, .enhanced = { 5, 1, 3 }, .text = SPAN("the address cannot be written in SMTP"),
    };
    static const struct smtp_client_result surplus = {
        .result = SMTP_DEFERRED, .enhanced = { 4, 5, 3 },
        .text = SPAN("more recipients than the server takes at once"), .is_full = true,
    };
    struct smtp_client_message *message = client->message;
    size_t left = client->rcpt_max ? client->rcpt_max : message->recipient_count;
    for (size_t i = 0; i < message->recipient_count; i++) {
        struct smtp_client_recipient *recipient = &message->recipients[i];
        bool good = recipient->address.n && is_speakable(recipient->address, ' ') && is_speakable(recipient->orcpt, '!');
        recipient->is_asked = recipient->result == SMTP_PENDING && good && left > 0;
        if (recipient->is_asked)
            left--;
        else
            settle(client, i, good ? &surplus : &unspeakable);
    }
}

void smtp_client_send(struct smtp_client *client, struct smtp_client_message *message, int64_t now_ms)
{
    client->now_ms = now_ms;
    client->message = message;
    client->message_due_ms = client->settings->times.message_ms > 0 ? now_ms + client->settings->times.message_ms : INT64_MAX;
    client->accepted = client->open = 0;
    client->is_mail_refused = client->is_early = client->is_grouped = false;
    for (size_t i = 0; i < message->recipient_count; i++) {
        message->recipients[i].result = SMTP_PENDING;
        message->recipients[i].is_accepted = message->recipients[i].is_asked = false;
    }
    reject_unfit(client);
    choose_recipients(client);
    client->next = asked_from(client, 0);
    if (client->next == message->recipient_count) {
        finish(client);
        return;
    }
    client->messages++;
    bool is_dirty = client->is_dirty;
    client->is_dirty = false;
    if (is_dirty)
        buf_add_str(&client->out, "RSET\r\n");
    if (!is_dirty || is_pipelined(client))
        add_transaction(client);
    client_enter(client, is_dirty ? SMTP_CLIENT_RSET : SMTP_CLIENT_MAIL);
    if (client->out.failed)
        client_break(client, SMTP_TROUBLE_LOCAL, "out of memory for commands");
}

/* --- what is answered --- */

void client_on_rset(struct smtp_client *client)
{
    if (!is_pipelined(client))
        add_mail(client);
    client_enter(client, SMTP_CLIENT_MAIL);
}

void client_on_mail(struct smtp_client *client)
{
    client->is_dirty = true;
    if (!is_pipelined(client))
        add_rcpt(client, client->next);
    client_enter(client, SMTP_CLIENT_RCPT);
}

/* The rest of a pipelined group is answered all the same, and has to be read. */
void client_on_mail_refused(struct smtp_client *client)
{
    client->is_mail_refused = true;
    settle_rest_by_reply(client);
    if (is_pipelined(client))
        client_enter(client, SMTP_CLIENT_RCPT);
    else
        finish(client);
}

/* The replies of a group go on with that of DATA or BDAT. Without a group, DATA is said only if it is worth it. */
static void on_all_recipients(struct smtp_client *client)
{
    if (!client->is_grouped && client->open == 0) {
        finish(client);
        return;
    }
    if (!client->is_grouped)
        add_begin(client);
    if (!is_chunked(client))
        client_enter(client, SMTP_CLIENT_DATA);
    else
        client_enter(client, client->open ? SMTP_CLIENT_DOT : SMTP_CLIENT_DISCARD);
}

static void next_recipient(struct smtp_client *client)
{
    client->next = asked_from(client, client->next + 1);
    if (client->next == client->message->recipient_count) {
        on_all_recipients(client);
        return;
    }
    if (!is_pipelined(client))
        add_rcpt(client, client->next);
    client_enter(client, SMTP_CLIENT_RCPT);
}

void client_on_rcpt(struct smtp_client *client)
{
    struct smtp_client_recipient *recipient = &client->message->recipients[client->next];
    client->accepted++;
    if (recipient->result == SMTP_PENDING) {
        recipient->is_accepted = true;
        client->open++;
    }
    next_recipient(client);
}

/* 452, and from old servers 552, also says "enough for one transaction" (RFC 5321 section 4.5.3.1.10). It cannot
 * mean that before one was taken; and 552 5.2.2 is a mailbox that is full. */
static bool is_enough(const struct smtp_client *client, const struct smtp_client_result *result)
{
    struct status_code given = client->reply.enhanced;
    if (client->accepted == 0 || (result->code != 452 && result->code != 552))
        return false;
    return given.class == 0 || (given.subject == 5 && given.detail == 3);
}

void client_on_rcpt_refused(struct smtp_client *client)
{
    struct smtp_client_result result = from_reply(client);
    if (is_enough(client, &result)) {
        result.result = SMTP_DEFERRED;
        result.enhanced = STATUS_CODE(4, 5, 3);
        result.is_full = true;
    }
    settle(client, client->next, &result);
    next_recipient(client);
}

void client_on_data(struct smtp_client *client)
{
    if (client->open) {
        client->send = SMTP_SEND_DOTTED;
        client_enter(client, SMTP_CLIENT_DOT);
        return;
    }
    /* A server that refused all and wants the message nevertheless gets an empty one (RFC 2920 section 3.1). If
     * it had said yes to a recipient though no to the sender, it would deliver that: hang up instead. */
    if (client->accepted) {
        client_break(client, SMTP_TROUBLE_GARBAGE, "the server refused the sender, but took recipients and DATA");
        return;
    }
    buf_add_str(&client->out, ".\r\n");
    client_enter(client, SMTP_CLIENT_DISCARD);
}

void client_on_data_refused(struct smtp_client *client)
{
    settle_rest_by_reply(client);
    finish(client);
}

void client_on_discarded(struct smtp_client *client)
{
    if (client->send != SMTP_SEND_NOTHING) { /* answered in the middle of the body: what follows cannot be told apart */
        client_refuse(client, SMTP_TROUBLE_GARBAGE);
        return;
    }
    finish(client);
}

/* The next recipient to which an LMTP server answers (RFC 2033 section 4.2). */
static void settle_next_open(struct smtp_client *client, const struct smtp_client_result *result)
{
    struct smtp_client_message *message = client->message;
    for (size_t i = 0; i < message->recipient_count; i++) {
        if (message->recipients[i].is_accepted && message->recipients[i].result == SMTP_PENDING) {
            settle(client, i, result);
            return;
        }
    }
}

void client_on_end(struct smtp_client *client)
{
    struct smtp_client_result result = from_reply(client);
    bool is_unfinished = client->send != SMTP_SEND_NOTHING;
    if (is_unfinished && result.result == SMTP_DELIVERED) {
        client_break(client, SMTP_TROUBLE_GARBAGE, "the server said yes before the message was sent");
        return;
    }
    if (client->settings->lmtp && !is_unfinished)
        settle_next_open(client, &result);
    else
        settle_rest(client, &result);
    if (is_unfinished) {
        client_refuse(client, SMTP_TROUBLE_REFUSED); /* what is left of the body must not become commands */
    } else if (client->open == 0) {
        client->is_dirty = false; /* RFC 5321 section 4.1.1.4: whatever the answer, the buffers are cleared */
        finish(client);
    } else {
        client_arm(client);
    }
}
