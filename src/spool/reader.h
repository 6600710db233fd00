/* spool/reader.h -- reads one message where it lies: envelope, headers, and where its content is. */
#pragma once
#include "base/buf.h"
#include "spool/envelope.h"
#include "spool/segment.h"

struct spool_message {
    struct spool_place place;
    struct spool_header header;
    struct spool_envelope envelope; /* borrows from the buffer */
    struct span headers;            /* the header lines that we added; borrowed from the buffer */
    struct span body;               /* the inline body when it was read along (and checked), else p == NULL */
    /* The message is `headers` and then the body. In the segment both are one range from `content_at`, of
     * `content` octets (without the body when that has a file). */
    uint64_t content_at;
    uint64_t content;
    uint64_t body_at;               /* in the segment, or 0 in the body file */
    uint64_t octets;                /* of the whole message: headers and body */
};

#define SPOOL_READ_ALONG 65536u     /* records up to this size are read whole, with one system call */

/* Reads the record at `place` from the segment's descriptor into `buf` (cleared first) and checks it. `segment` is
 * what the caller remembers of the segment; it is read anew when the epoch has moved on. DAMAGED; IO: errno; MEMORY. */
MUST_CHECK enum status spool_message_read(const struct spool_ops *ops, int fd, struct spool_segment *segment,
                                          struct spool_place place, struct buf *buf, struct spool_message *ret);
/* Reads `n` octets of the message from `at` (0: start of the headers) on. `body_fd` is used when header.file is set. */
MUST_CHECK enum status spool_message_pread(const struct spool_ops *ops, int fd, int body_fd,
                                           const struct spool_message *message, uint64_t at, void *p, size_t n);
/* Reads the body through and compares its checksum. DAMAGED; IO. */
MUST_CHECK enum status spool_message_check(const struct spool_ops *ops, int fd, int body_fd,
                                           const struct spool_message *message);
