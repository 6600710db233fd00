/* Octets of a message: DATA's up to CRLF.CRLF, BDAT's by their number, and those of a message that nobody wants any
 * more, which are read for nothing so that the next command is found where it begins. */
#include "smtp/server_priv.h"

#define SWALLOW_MAX (UINT64_C(64) << 20) /* octets read for nothing beyond max_octets, before we close */

void server_body_start(struct smtp_server *server)
{
    smtp_body_init(&server->body, !server->chunked);
    server->swallowed = 0;
    server->spoiled = false;
}

void server_body_spoil(struct smtp_server *server, unsigned code, struct status_code status, struct span text)
{
    if (server->spoiled)
        return;
    server->spoiled = true;
    server_say_to(&server->verdict, server->utf8, code, status, text);
}

void smtp_server_spoil(struct smtp_server *server, unsigned code, struct status_code status, struct span text)
{
    if (code == 421)
        smtp_server_shut(server, status, text);
    else if (1u << server->state & (1u << SMTP_STATE_DATA | 1u << SMTP_STATE_CHUNKS | 1u << SMTP_STATE_CHUNK))
        server_body_spoil(server, code, status, text);
}

/* We spoil it ourselves: the door has to hear. */
static void give_up(struct smtp_server *server, unsigned code, struct status_code status, struct span text)
{
    server->dropping = !server->spoiled;
    server_body_spoil(server, code, status, text);
}

static void check_limits(struct smtp_server *server)
{
    const struct smtp_server_settings *settings = server->settings;
    const struct smtp_body *body = &server->body;
    if (body->bare && !settings->fix_newlines)
        give_up(server, 550, STATUS_CODE(5, 6, 0), SPAN("The message has a CR or LF that is not part of a CRLF"));
    else if (settings->max_octets > 0 && body->octets > settings->max_octets)
        give_up(server, 552, STATUS_CODE(5, 3, 4), SPAN("The message is larger than this server takes"));
    else if (settings->max_line > 0 && MAX(body->line, body->longest) > settings->max_line)
        give_up(server, 550, STATUS_CODE(5, 6, 0), SPAN("A line of the message is too long"));
}

static void say_verdict(struct smtp_server *server) { buf_add(&server->out, buf_span(&server->verdict)); }

static void swallow(struct smtp_server *server, size_t n)
{
    server->swallowed += n;
    if (server->swallowed <= server->settings->max_octets + SWALLOW_MAX)
        return;
    say_verdict(server);
    server_close(server, SMTP_CLOSE_SYNC);
}

/* Takes the next clean piece; BODY unless the message is spoiled (by this piece, perhaps). */
static enum status take_piece(struct smtp_server *server, struct span *in, struct smtp_server_event *ret)
{
    size_t before = in->n;
    struct span piece;
    enum status status = smtp_body_take(&server->body, in, &piece);
    if (status == STATUS_OK && !server->spoiled)
        check_limits(server);
    if (server->spoiled)
        swallow(server, before - in->n);
    else if (status == STATUS_OK) {
        ret->kind = SMTP_EVENT_BODY;
        ret->octets = piece;
    }
    return status;
}

static void end_message(struct smtp_server *server, struct smtp_server_event *ret)
{
    if (!server->spoiled) {
        ret->kind = SMTP_EVENT_END;
        return;
    }
    say_verdict(server);
    server_end_transaction(server);
}

void server_chunk_start(struct smtp_server *server, uint64_t octets, bool last)
{
    uint64_t most = server->settings->max_octets;
    server->chunk_left = octets;
    server->chunk_last = last;
    if (most > 0 && !server->chunk_unwanted && (octets > most || server->body.octets > most - octets))
        give_up(server, 552, STATUS_CODE(5, 3, 4), SPAN("The message is larger than this server takes"));
    server_enter(server, SMTP_STATE_CHUNK);
}

/* The last chunk was read; a last line without end still gets one. */
static void end_chunks(struct smtp_server *server, struct smtp_server_event *ret)
{
    struct span rest = smtp_body_finish(&server->body);
    if (rest.n > 0 && !server->spoiled) {
        check_limits(server);
        if (server->spoiled)
            return; /* DROP first */
        ret->kind = SMTP_EVENT_BODY;
        ret->octets = rest;
        return;
    }
    end_message(server, ret);
}

static void end_chunk(struct smtp_server *server, struct smtp_server_event *ret)
{
    if (server->chunk_unwanted) {
        server->chunk_unwanted = false;
        server_enter(server, server->back);
        server_refuse(server, 503, STATUS_CODE(5, 5, 1), "BDAT needs MAIL and an accepted RCPT first");
        return;
    }
    if (server->chunk_last) {
        end_chunks(server, ret);
        return;
    }
    if (server->spoiled)
        say_verdict(server);
    else
        server_say(server, 250, STATUS_CODE(2, 0, 0), SPAN("Chunk taken"));
    server_enter(server, SMTP_STATE_CHUNKS);
}

static bool chunk_next(struct smtp_server *server, struct span *in, struct smtp_server_event *ret)
{
    if (server->chunk_left == 0) {
        end_chunk(server, ret);
        return true;
    }
    struct span chunk = span_head(*in, (size_t)MIN(server->chunk_left, (uint64_t)SIZE_MAX));
    size_t before = chunk.n;
    enum status status = STATUS_AGAIN;
    if (server->chunk_unwanted) {
        chunk = span_from(chunk, chunk.n);
        swallow(server, before);
    } else
        status = take_piece(server, &chunk, ret);
    *in = span_from(*in, before - chunk.n);
    server->chunk_left -= before - chunk.n;
    return status != STATUS_AGAIN || before > 0;
}

size_t smtp_server_skim(struct smtp_server *server, struct span *in)
{
    bool chunk = server->state == SMTP_STATE_CHUNK && !server->chunk_unwanted;
    bool skims = server->settings->fix_newlines && server->settings->max_line == 0 && !server->spoiled;
    if (!skims || server->waiting != SMTP_EVENT_MORE || !(chunk || server->state == SMTP_STATE_DATA))
        return 0;
    size_t most = chunk ? (size_t)MIN(server->chunk_left, (uint64_t)SIZE_MAX) : in->n;
    size_t n = smtp_body_skim(&server->body, span_head(*in, most));
    server->chunk_left -= chunk ? n : 0;
    *in = span_from(*in, n);
    return n;
}

bool server_body_next(struct smtp_server *server, struct span *in, struct smtp_server_event *ret)
{
    if (server->state == SMTP_STATE_CHUNK)
        return chunk_next(server, in, ret);
    enum status status = take_piece(server, in, ret);
    if (status == STATUS_CLOSED && !server->closing)
        end_message(server, ret);
    return status != STATUS_AGAIN;
}
