#include "spool/reader.h"
#include <errno.h>

#define CHECK_OCTETS (256u << 10) /* read at a time */

/* One try with what is known of the segment. */
static enum status read_record(const struct spool_ops *ops, int fd, const struct spool_segment *segment,
                               struct spool_place place, struct buf *buf, struct spool_header *ret)
{
    uint32_t limit = spool_segment_end(segment);
    if (place.length < SPOOL_HEADER_OCTETS || place.offset < SPOOL_SEGMENT_FIRST ||
        (uint64_t)place.offset + place.length > limit)
        return STATUS_DAMAGED;
    size_t n = place.length <= SPOOL_READ_ALONG ? place.length : SPOOL_HEADER_OCTETS;
    buf_clear(buf);
    enum status status = buf_reserve(buf, n);
    if (status == STATUS_OK)
        status = spool_pread_all(ops, fd, buf->p, n, place.offset);
    if (status != STATUS_OK)
        return status;
    buf->n = n;
    return spool_header_decode((const uint8_t *)buf->p, spool_segment_seed(segment), place.offset, limit, ret);
}

/* Envelope and headers into the buffer, behind the header, unless the first read brought them. */
static enum status read_meta(const struct spool_ops *ops, int fd, struct spool_place place, struct buf *buf,
                             const struct spool_header *header)
{
    size_t need = SPOOL_HEADER_OCTETS + (size_t)header->envelope + header->headers;
    if (buf->n >= need)
        return STATUS_OK;
    enum status status = buf_reserve(buf, need - buf->n);
    if (status == STATUS_OK)
        status = spool_pread_all(ops, fd, buf->p + buf->n, need - buf->n, place.offset + buf->n);
    if (status == STATUS_OK)
        buf->n = need;
    return status;
}

static void locate(const struct spool_header *header, struct spool_place place, const struct buf *buf,
                   struct spool_message *ret)
{
    uint64_t meta = (uint64_t)header->envelope + header->headers;
    ret->place = place;
    ret->header = *header;
    ret->headers = span_of(buf->p + SPOOL_HEADER_OCTETS + header->envelope, header->headers);
    ret->content_at = place.offset + (uint64_t)SPOOL_HEADER_OCTETS + header->envelope;
    ret->content = header->headers + (header->file ? 0 : header->body);
    ret->body_at = header->file ? 0 : place.offset + SPOOL_HEADER_OCTETS + meta;
    ret->octets = header->headers + header->body;
    ret->body = SPAN_NONE;
    if (!header->file && buf->n >= SPOOL_HEADER_OCTETS + meta + header->body)
        ret->body = span_of(buf->p + SPOOL_HEADER_OCTETS + meta, (size_t)header->body);
}

enum status spool_message_read(const struct spool_ops *ops, int fd, struct spool_segment *segment,
                               struct spool_place place, struct buf *buf, struct spool_message *ret)
{
    struct spool_header header;
    enum status status = read_record(ops, fd, segment, place, buf, &header);
    if (status == STATUS_DAMAGED) {
        /* The segment may have begun a new life since we looked at it. */
        struct spool_segment now;
        status = spool_segment_read(ops, fd, &now);
        if (status == STATUS_DAMAGED)
            status = spool_segment_read_cut(ops, fd, NULL, &now);
        if (status == STATUS_OK && now.salt == segment->salt)
            return STATUS_DAMAGED;
        if (status == STATUS_OK) {
            *segment = now;
            status = read_record(ops, fd, segment, place, buf, &header);
        }
    }
    if (status == STATUS_OK && (header.kind != SPOOL_KIND_MESSAGE || spool_header_length(&header) != place.length))
        status = STATUS_DAMAGED;
    if (status == STATUS_OK)
        status = read_meta(ops, fd, place, buf, &header);
    if (status != STATUS_OK)
        return status;

    struct spool_message message = { 0 };
    struct span meta = span_of(buf->p + SPOOL_HEADER_OCTETS, (size_t)header.envelope + header.headers);
    if (crc32c(spool_segment_seed(segment), meta.p, meta.n) != header.check_meta)
        return STATUS_DAMAGED;
    status = spool_envelope_decode(span_head(meta, header.envelope), &message.envelope);
    if (status != STATUS_OK)
        return status;
    locate(&header, place, buf, &message);
    if (message.body.p && crc32c(0, message.body.p, message.body.n) != header.check_body)
        return STATUS_DAMAGED;
    *ret = message;
    return STATUS_OK;
}

enum status spool_message_pread(const struct spool_ops *ops, int fd, int body_fd, const struct spool_message *message,
                                uint64_t at, void *p, size_t n)
{
    if (at > message->octets || n > message->octets - at) {
        errno = EINVAL;
        return STATUS_IO;
    }
    size_t first = at < message->content ? (size_t)MIN((uint64_t)n, message->content - at) : 0;
    enum status status = STATUS_OK;
    if (first)
        status = spool_pread_all(ops, fd, p, first, message->content_at + at);
    if (status == STATUS_OK && first < n)
        status = spool_pread_all(ops, body_fd, (char *)p + first, n - first, at + first - message->content);
    return status;
}

enum status spool_message_check(const struct spool_ops *ops, int fd, int body_fd, const struct spool_message *message)
{
    if (message->body.p)
        return STATUS_OK; /* checked when it was read */
    AUTO(buf_done) struct buf buf = BUF_EMPTY(CHECK_OCTETS);
    enum status status = buf_reserve(&buf, CHECK_OCTETS);
    uint32_t check = 0;
    for (uint64_t done = 0; status == STATUS_OK && done < message->header.body;) {
        size_t n = (size_t)MIN(message->header.body - done, (uint64_t)CHECK_OCTETS);
        status = spool_message_pread(ops, fd, body_fd, message, message->header.headers + done, buf.p, n);
        if (status == STATUS_OK)
            check = crc32c(check, buf.p, n);
        done += n;
    }
    if (status == STATUS_OK && check != message->header.check_body)
        status = STATUS_DAMAGED;
    return status;
}
