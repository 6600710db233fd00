#include "spool/move.h"

static void on_append_done(struct spool_append *append, enum status status)
{
    struct spool_move *self = CONTAINER(append, struct spool_move, append);
    self->place = append->place;
    buf_done(&self->buf);
    self->on_done(self, status);
}

/* The whole record into the buffer, the body checked. */
static enum status read_whole(struct spool_move *self, const struct spool_ops *ops, int fd, struct spool_segment *segment,
                              struct spool_place place, struct spool_message *ret)
{
    enum status status = spool_message_read(ops, fd, segment, place, &self->buf, ret);
    if (status != STATUS_OK || ret->header.file || ret->body.p)
        return status;
    size_t meta = self->buf.n, envelope = ret->header.envelope, body = (size_t)ret->header.body;
    status = buf_reserve(&self->buf, body);
    if (status == STATUS_OK)
        status = spool_pread_all(ops, fd, self->buf.p + meta, body, ret->body_at);
    if (status == STATUS_OK && crc32c(0, self->buf.p + meta, body) != ret->header.check_body)
        status = STATUS_DAMAGED;
    if (status != STATUS_OK)
        return status;
    self->buf.n += body; /* the buffer may have moved: borrow anew */
    ret->envelope.stored = span_of(self->buf.p + SPOOL_HEADER_OCTETS, envelope);
    ret->headers = span_of(self->buf.p + SPOOL_HEADER_OCTETS + envelope, ret->header.headers);
    ret->body = span_of(self->buf.p + meta, body);
    return STATUS_OK;
}

enum status spool_move_start(struct spool_move *self, struct spool_writer *writer, const struct spool_ops *ops, int fd,
                             struct spool_segment *segment, struct spool_place place)
{
    struct spool_message message;
    self->buf = BUF_EMPTY(SPOOL_SEGMENT_MOST);
    enum status status = read_whole(self, ops, fd, segment, place, &message);
    if (status == STATUS_OK && message.header.id != self->id)
        status = STATUS_DAMAGED;
    if (status == STATUS_OK) {
        self->body = message.body;
        self->append = (struct spool_append){
            .id = message.header.id, .kind = message.header.kind, .envelope = message.envelope.stored,
            .headers = message.headers, .body = &self->body, .body_count = 1, .on_done = on_append_done,
        };
        if (message.header.file)
            self->append.file = (struct spool_body_ref){ message.header.file, message.header.body, message.header.check_body };
        status = spool_writer_append(writer, &self->append);
    }
    if (status != STATUS_OK)
        buf_done(&self->buf);
    return status;
}

void spool_move_drop(struct spool_move *self) { buf_done(&self->buf); }
