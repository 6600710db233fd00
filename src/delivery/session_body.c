/* The body on its way: from the record in memory, or straight from its file. */
#include "delivery/session_priv.h"
#include <stdlib.h>

#define CHUNK_OCTETS 65536u
#define TURN_OCTETS (256u << 10)  /* of a file in one turn of the loop: others' mail goes on in between */
#define WAITING_MOST (256u << 10) /* octets that dotted pieces may leave waiting in the stream */

/* Looked for, and not taken from the record: its flags are the word of the process that wrote it, and behind a dot alone
 * on a line that it said nothing of, the rest of the message would be commands. */
static bool needs_dots(const struct session *session)
{
    const struct spool_message *message = session->body.message;
    struct span headers = message->headers, body = message->body;
    if (session->client.send != SMTP_SEND_DOTTED)
        return false;
    if (!body.p || (message->envelope.flags & SPOOL_LEADING_DOTS)) /* a file is read once, and doubled meanwhile */
        return true;
    return span_starts(headers, SPAN(".")) || smtp_dots_find(headers) < headers.n || span_starts(body, SPAN(".")) ||
           smtp_dots_find(body) < body.n;
}

void session_fail(struct session *session)
{
    session->has_local_trouble = true;
    session->is_sending = false;
    smtp_client_lost(&session->client, STATUS_IO, loop_now_ms(session->loop));
    session->again = true;
}

static void finish(struct session *session)
{
    session->is_sending = false;
    stream_set_bulk(session->stream, false);
    smtp_client_body_sent(&session->client, loop_now_ms(session->loop));
}

/* What stands behind the message's last octet. */
static struct span tail(const struct session *session)
{
    return session->client.send == SMTP_SEND_DOTTED ? smtp_dots_end(&session->dots) : SPAN_NONE;
}

/* False: the end could not be said, and what comes next would be taken for a part of the message. */
static bool tail_write(struct session *session)
{
    enum status status = stream_write(session->stream, tail(session));
    if (status == STATUS_OK || status == STATUS_CLOSED)
        return true;
    session_fail(session);
    return false;
}

/* Without dots to double, nothing is copied: what the stream does not take now is offered again. */
static bool pump_memory(struct session *session)
{
    const struct spool_message *message = session->body.message;
    struct span headers = message->headers, body = message->body;
    struct span end = tail(session);
    size_t at = (size_t)session->at, before = headers.n + body.n;
    struct span pieces[3] = { span_from(headers, at), span_from(body, at > headers.n ? at - headers.n : 0),
                              span_from(end, at > before ? at - before : 0) };
    session->at += stream_send(session->stream, pieces, 3, true);
    return session->at == before + end.n;
}

static bool go_on_next_turn(struct session *session)
{
    stream_want_drained(session->stream);
    return false;
}

static bool pump_file(struct session *session)
{
    const struct spool_message *message = session->body.message;
    uint64_t turn = TURN_OCTETS;
    while (session->at < message->octets) {
        bool in_segment = session->at < message->content;
        int fd = in_segment ? session->body.segment_fd : session->body.body_fd;
        uint64_t from = in_segment ? message->content_at + session->at : session->at - message->content;
        uint64_t left = (in_segment ? message->content : message->octets) - session->at;
        size_t now = (size_t)MIN(left, turn), took = stream_send_file(session->stream, fd, (off_t)from, now);
        session->at += took;
        turn -= took;
        if (took == 0 && stream_waiting(session->stream) == 0 && stream_errno(session->stream) == 0)
            session_fail(session);
        if (took < now)
            return false;
        if (turn == 0 && session->at < message->octets)
            return go_on_next_turn(session);
    }
    return tail_write(session);
}

static bool pump_dotted_memory(struct session *session)
{
    const struct spool_message *message = session->body.message;
    struct buf *out = stream_output(session->stream);
    if (smtp_dots_add(&session->dots, message->headers, out) != STATUS_OK ||
        smtp_dots_add(&session->dots, message->body, out) != STATUS_OK || buf_add(out, tail(session)) != STATUS_OK) {
        session_fail(session);
        return false;
    }
    session->at = message->octets;
    return true;
}

static bool pump_dotted_file(struct session *session)
{
    const struct spool_message *message = session->body.message;
    char *chunk = malloc(CHUNK_OCTETS);
    uint64_t until = MIN(message->octets, session->at + TURN_OCTETS);
    while (chunk && session->at < until && stream_waiting(session->stream) < WAITING_MOST) {
        size_t n = (size_t)MIN(message->octets - session->at, (uint64_t)CHUNK_OCTETS);
        if (spool_message_pread(&spool_ops_system, session->body.segment_fd, session->body.body_fd, message, session->at,
                                chunk, n) != STATUS_OK ||
            smtp_dots_add(&session->dots, span_of(chunk, n), stream_output(session->stream)) != STATUS_OK) {
            free(chunk);
            session_fail(session);
            return false;
        }
        session->at += n;
        stream_flush(session->stream);
    }
    free(chunk);
    if (!chunk)
        session_fail(session);
    if (chunk && session->at == until && until < message->octets)
        return go_on_next_turn(session);
    if (!chunk || session->at < message->octets)
        return false;
    return tail_write(session);
}

void session_body_pump(struct session *session)
{
    const struct spool_message *message = session->body.message;
    bool in_memory = message->body.p != NULL, done;
    if (session->is_dotted)
        done = in_memory ? pump_dotted_memory(session) : pump_dotted_file(session);
    else
        done = in_memory ? pump_memory(session) : pump_file(session);
    if (done && session->is_sending)
        finish(session);
}

/* A body that goes as it is still has to end with a line's end before the dot: look at its last two octets. */
static bool look_at_end(struct session *session)
{
    const struct spool_message *message = session->body.message;
    char end[2];
    if (message->body.p && message->body.n > 1) {
        smtp_dots_skip(&session->dots, message->body);
        return true;
    }
    size_t n = (size_t)MIN(message->octets, (uint64_t)2);
    if (spool_message_pread(&spool_ops_system, session->body.segment_fd, session->body.body_fd, message,
                            message->octets - n, end, n) != STATUS_OK)
        return false;
    smtp_dots_skip(&session->dots, span_of(end, n));
    return true;
}

void session_body_begin(struct session *session)
{
    session->is_sending = true;
    session->at = 0;
    smtp_dots_init(&session->dots);
    session->is_dotted = needs_dots(session);
    stream_set_bulk(session->stream, session->body.message->octets > TURN_OCTETS);
    if (session->client.send == SMTP_SEND_DOTTED && !session->is_dotted && !look_at_end(session)) {
        session_fail(session);
        return;
    }
    session_body_pump(session);
}
