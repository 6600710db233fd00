#include "spool/log.h"
#include "base/mutant.h"
#include <stdlib.h>

static const uint8_t zeros[SPOOL_BLOCK];

void spool_log_init(struct spool_log *log, const struct spool_ops *ops)
{
    *log = (struct spool_log){ .ops = ops ? ops : &spool_ops_system, .fd = -1 };
}

void spool_log_done(struct spool_log *log)
{
    spool_log_close(log);
    free(log->pieces);
    free(log->heads);
    *log = (struct spool_log){ .ops = log->ops, .fd = -1 };
}

enum status spool_log_open(struct spool_log *log, int fd)
{
    struct spool_segment segment;
    enum status status = spool_segment_read(log->ops, fd, &segment);
    if (status == STATUS_OK && segment.use == SPOOL_EMPTY)
        status = STATUS_DAMAGED; /* nobody took it into use: it may be given to another */
    if (status != STATUS_OK) {
        log->ops->close(log->ops, fd);
        return status;
    }
    spool_log_close(log);
    log->fd = fd;
    log->segment = segment;
    log->at = SPOOL_SEGMENT_FIRST;
    log->commit = 0;
    return STATUS_OK;
}

void spool_log_close(struct spool_log *log)
{
    if (log->fd >= 0)
        log->ops->close(log->ops, log->fd);
    log->fd = -1;
}

static uint64_t round_up(uint64_t n, uint64_t to) { return (n + to - 1) / to * to; }

static uint64_t body_octets(const struct spool_append *append)
{
    uint64_t octets = 0;
    if (append->file.number)
        return 0;
    for (size_t i = 0; i < append->body_count; i++)
        octets += append->body[i].n;
    return octets;
}

uint64_t spool_append_octets(const struct spool_append *append)
{
    return SPOOL_HEADER_OCTETS + (uint64_t)append->envelope.n + append->headers.n + body_octets(append);
}

bool spool_log_fits(const struct spool_log *log, uint64_t taken, const struct spool_append *append)
{
    uint64_t end = round_up(log->at + taken + spool_append_octets(append), SPOOL_BLOCK);
    return end <= spool_segment_end(&log->segment);
}

static void add_piece(struct spool_log *log, const void *p, size_t n)
{
    if (n)
        log->pieces[log->piece_count++] = (struct iovec){ (void *)(uintptr_t)p, n };
}

/* Room for the headers and pieces of the whole commit, before any of them is pointed to. */
static enum status reserve(struct spool_log *log, const struct spool_append *first)
{
    size_t heads = 0, pieces = 0;
    for (const struct spool_append *append = first; append; append = append->next) {
        heads += SPOOL_HEADER_OCTETS;
        pieces += 4 + append->body_count;
    }
    if (heads > log->head_room) {
        uint8_t *more = realloc(log->heads, heads * 2);
        if (!more)
            return STATUS_MEMORY;
        log->heads = more;
        log->head_room = heads * 2;
    }
    if (pieces > log->piece_room) {
        struct iovec *more = reallocarray(log->pieces, pieces * 2, sizeof *more);
        if (!more)
            return STATUS_MEMORY;
        log->pieces = more;
        log->piece_room = pieces * 2;
    }
    return STATUS_OK;
}

static void describe(struct spool_log *log, struct spool_append *append, uint32_t seed, uint32_t at, bool last)
{
    uint64_t length = spool_append_octets(append);
    uint32_t end = (uint32_t)round_up(at + length, last ? SPOOL_BLOCK : SPOOL_ALIGN);
    uint32_t check_body = append->file.check;
    if (!append->file.number) {
        check_body = 0;
        for (size_t i = 0; i < append->body_count; i++)
            check_body = crc32c(check_body, append->body[i].p, append->body[i].n);
    }
    uint32_t check_meta = crc32c(seed, append->envelope.p, append->envelope.n);
    append->place = (struct spool_place){ log->segment.number, at, (uint32_t)length };
    append->header = (struct spool_header){
        .kind = append->kind,
        .flags = last ? SPOOL_FLAG_LAST : 0,
        .id = append->id,
        .epoch = log->segment.epoch,
        .commit = log->commit + 1,
        .stride = end - at,
        .envelope = (uint32_t)append->envelope.n,
        .headers = (uint32_t)append->headers.n,
        .check_meta = crc32c(check_meta, append->headers.p, append->headers.n),
        .body = append->file.number ? append->file.octets : body_octets(append),
        .file = append->file.number,
        .check_body = check_body,
    };
}

static void compose(struct spool_log *log, struct spool_append *append, uint8_t *head, uint32_t seed, uint32_t at)
{
    describe(log, append, seed, at, append->next == NULL);
    spool_header_encode(&append->header, seed, at, head);
    add_piece(log, head, SPOOL_HEADER_OCTETS);
    add_piece(log, append->envelope.p, append->envelope.n);
    add_piece(log, append->headers.p, append->headers.n);
    for (size_t i = 0; !append->file.number && i < append->body_count; i++)
        add_piece(log, append->body[i].p, append->body[i].n);
    add_piece(log, zeros, append->header.stride - append->place.length);
}

enum status spool_log_commit(struct spool_log *log, struct spool_append *first)
{
    enum status status = reserve(log, first);
    if (status != STATUS_OK)
        return status;
    uint32_t seed = spool_segment_seed(&log->segment), at = log->at;
    uint8_t *head = log->heads;
    log->piece_count = 0;
    for (struct spool_append *append = first; append; append = append->next) {
        compose(log, append, head, seed, at);
        at += append->header.stride;
        head += SPOOL_HEADER_OCTETS;
    }
    status = spool_pwritev_all(log->ops, log->fd, log->pieces, log->piece_count, log->at);
    if (status == STATUS_OK && !MUTANT(REPLY_BEFORE_SYNC))
        status = spool_fdatasync(log->ops, log->fd);
    if (status != STATUS_OK)
        return status;
    log->at = at;
    log->commit++;
    return STATUS_OK;
}
