#include "spool/scan.h"
#include "base/mutant.h"
#include "spool/le_priv.h"

#define WINDOW_OCTETS (256u << 10) /* read at a time */

struct walk {
    struct spool_scan *scan;
    uint32_t seed, limit;
    struct buf window;       /* the octets of the segment from `base` on */
    uint32_t base;
    uint32_t at;             /* where the next header is expected */
    uint32_t commit;         /* of the record before */
    uint32_t unsynced;       /* the first commit that may be torn */
    bool whole;              /* the record before was the last of its commit */
    bool stop;
};

/* `n` octets of the segment from `at` on, which lie before the limit. */
static enum status window_get(struct walk *walk, uint32_t at, size_t n, const uint8_t **ret)
{
    if (at < walk->base || (uint64_t)at + n > (uint64_t)walk->base + walk->window.n) {
        size_t want = MIN(MAX(n, (size_t)WINDOW_OCTETS), walk->limit - at);
        buf_clear(&walk->window);
        walk->base = at;
        enum status status = buf_reserve(&walk->window, want);
        if (status == STATUS_OK)
            status = spool_pread_all(walk->scan->ops, walk->scan->fd, walk->window.p, want, at);
        if (status != STATUS_OK)
            return status;
        walk->window.n = want;
    }
    *ret = (const uint8_t *)walk->window.p + (at - walk->base);
    return STATUS_OK;
}

/* DAMAGED: there is no record at `at`. */
static enum status header_at(struct walk *walk, uint32_t at, struct spool_header *ret)
{
    const uint8_t *bytes;
    if ((uint64_t)at + SPOOL_HEADER_OCTETS > walk->limit)
        return STATUS_DAMAGED;
    enum status status = window_get(walk, at, SPOOL_HEADER_OCTETS, &bytes);
    return status == STATUS_OK ? spool_header_decode(bytes, walk->seed, at, walk->limit, ret) : status;
}

/* The first header from `at` on, at any multiple of 8. The seed, which no stranger knows, keeps octets of a body
 * from looking like one. NOT_FOUND: none up to the end. */
static enum status find_header(struct walk *walk, uint32_t at, uint32_t *ret)
{
    while ((uint64_t)at + SPOOL_HEADER_OCTETS <= walk->limit) {
        const uint8_t *bytes;
        struct spool_header header;
        size_t n = MIN((size_t)WINDOW_OCTETS, walk->limit - at), i = 0;
        enum status status = window_get(walk, at, n, &bytes);
        if (status != STATUS_OK)
            return status;
        for (; i + SPOOL_HEADER_OCTETS <= n; i += SPOOL_ALIGN) {
            if (le32_get(bytes + i) != SPOOL_RECORD_MAGIC)
                continue;
            status = spool_header_decode(bytes + i, walk->seed, at + (uint32_t)i, walk->limit, &header);
            if (status != STATUS_DAMAGED) {
                *ret = at + (uint32_t)i;
                return status;
            }
        }
        at += (uint32_t)i;
    }
    return STATUS_NOT_FOUND;
}

static void damage(struct walk *walk, uint32_t at, uint32_t octets, uint64_t id, const char *what)
{
    struct spool_scan *scan = walk->scan;
    struct spool_damage found = { scan->segment.number, at, octets, id, what };
    scan->damaged++;
    if (scan->on_damage)
        scan->on_damage(scan->arg, &found);
}

static void pass(struct walk *walk, const struct spool_header *header)
{
    walk->at += header->stride;
    walk->commit = header->commit;
    walk->whole = header->flags & SPOOL_FLAG_LAST;
}

/* What lies at walk->at is no header: goes on to the next one. In a commit that was not synced that is a tear, before it
 * damage. `report`: the second walk, which knows what the last commit is. */
static enum status skip_gap(struct walk *walk, bool report, struct spool_header *ret)
{
    uint32_t from = walk->at, next = walk->limit;
    enum status status = find_header(walk, from + SPOOL_ALIGN, &next);
    bool may_be_torn = walk->commit + walk->whole >= walk->unsynced;
    if (report && status != STATUS_NOT_FOUND && !may_be_torn)
        damage(walk, from, next - from, 0, "no readable record header here");
    if (report && may_be_torn && (status == STATUS_OK || !walk->whole))
        walk->scan->torn = true;
    if (status != STATUS_OK)
        return status;
    walk->at = next;
    return header_at(walk, next, ret);
}

/* The next header; NOT_FOUND at the end of the log. */
static enum status next_header(struct walk *walk, bool report, struct spool_header *ret)
{
    if ((uint64_t)walk->at + SPOOL_HEADER_OCTETS > walk->limit)
        return STATUS_NOT_FOUND;
    enum status status = header_at(walk, walk->at, ret);
    if (MUTANT(HOLE_ENDS_LOG) && status == STATUS_DAMAGED)
        return STATUS_NOT_FOUND;
    return status == STATUS_DAMAGED ? skip_gap(walk, report, ret) : status;
}

static enum status check_body(struct walk *walk, const struct spool_found *found)
{
    uint32_t check = 0;
    for (uint64_t done = 0; done < found->header.body;) {
        const uint8_t *bytes;
        size_t n = (size_t)MIN((uint64_t)WINDOW_OCTETS, found->header.body - done);
        enum status status = window_get(walk, (uint32_t)(found->body_at + done), n, &bytes);
        if (status != STATUS_OK)
            return status;
        check = crc32c(check, bytes, n);
        done += n;
    }
    return check == found->header.check_body || MUTANT(TORN_TAIL_ACCEPTED) ? STATUS_OK : STATUS_DAMAGED;
}

/* Fills `ret`; its spans borrow from the window. DAMAGED: `*what` says where. */
static enum status read_record(struct walk *walk, const struct spool_header *header, struct spool_found *ret,
                               const char **what)
{
    uint32_t at = walk->at;
    size_t meta = (size_t)header->envelope + header->headers;
    *ret = (struct spool_found){
        .place = { walk->scan->segment.number, at, (uint32_t)spool_header_length(header) },
        .header = *header,
        .body_at = (uint64_t)at + SPOOL_HEADER_OCTETS + meta,
    };
    bool may_be_torn = header->commit >= walk->unsynced;
    enum status status = STATUS_OK;
    *what = "the body is damaged";
    if (!header->file && (may_be_torn || walk->scan->flags & SPOOL_SCAN_DEEP))
        status = check_body(walk, ret);
    if (status != STATUS_OK)
        return status;
    const uint8_t *bytes;
    *what = "the envelope is damaged";
    status = window_get(walk, at + SPOOL_HEADER_OCTETS, meta, &bytes);
    if (status != STATUS_OK)
        return status;
    ret->envelope = span_of(bytes, header->envelope);
    ret->headers = span_of(bytes + header->envelope, header->headers);
    if (MUTANT(TORN_TAIL_ACCEPTED))
        return STATUS_OK;
    return crc32c(walk->seed, bytes, meta) == header->check_meta ? STATUS_OK : STATUS_DAMAGED;
}

static enum status emit(struct walk *walk, const struct spool_header *header)
{
    struct spool_scan *scan = walk->scan;
    struct spool_found found;
    const char *what;
    if (MUTANT(LAST_COMMIT_SKIPPED) && header->commit == scan->last_commit)
        return STATUS_OK;
    enum status status = read_record(walk, header, &found, &what);
    if (status == STATUS_DAMAGED && header->commit >= walk->unsynced)
        scan->torn = true;
    else if (status == STATUS_DAMAGED)
        damage(walk, walk->at, header->stride, header->id, what);
    if (status != STATUS_OK)
        return status == STATUS_DAMAGED ? STATUS_OK : status;
    scan->records++;
    walk->stop = !scan->on_record(scan->arg, &found);
    return STATUS_OK;
}

static void rewind_walk(struct walk *walk)
{
    walk->at = walk->scan->after ? walk->scan->after : SPOOL_SEGMENT_FIRST;
    walk->commit = 0;
    walk->whole = true;
}

/* The last commit may be torn, and the one before when that was not synced as the last was written. */
static void note_commit(struct walk *walk, const struct spool_header *header)
{
    bool early = header->flags & SPOOL_FLAG_EARLY;
    if (header->commit > walk->scan->last_commit) {
        walk->scan->last_commit = header->commit;
        walk->unsynced = header->commit - early;
    } else if (header->commit == walk->scan->last_commit && !early) {
        walk->unsynced = header->commit;
    }
}

/* First walk: headers only; learns which commit is the last and where it ends. */
static enum status survey(struct walk *walk)
{
    struct spool_header header;
    enum status status;
    rewind_walk(walk);
    walk->scan->end = walk->at;
    while ((status = next_header(walk, false, &header)) == STATUS_OK) {
        note_commit(walk, &header);
        pass(walk, &header);
        walk->scan->end = (walk->at + SPOOL_BLOCK - 1) / SPOOL_BLOCK * SPOOL_BLOCK;
    }
    if (status != STATUS_NOT_FOUND)
        return status;
    walk->limit = walk->at; /* nothing of ours lies behind it: spare the second walk the search */
    return STATUS_OK;
}

static enum status hand_out(struct walk *walk)
{
    struct spool_header header;
    enum status status;
    rewind_walk(walk);
    /* The known record was not necessarily in the first commit. One that the disk does not give is not one that is not there. */
    status = walk->scan->after ? header_at(walk, walk->at, &header) : STATUS_DAMAGED;
    if (status == STATUS_OK)
        pass(walk, &header);
    else if (status != STATUS_DAMAGED)
        return status;
    while ((status = next_header(walk, true, &header)) == STATUS_OK && !walk->stop) {
        if (header.kind != SPOOL_KIND_PAD)
            status = emit(walk, &header);
        if (status != STATUS_OK || walk->stop)
            return status;
        pass(walk, &header);
    }
    if (status == STATUS_NOT_FOUND && !walk->whole)
        walk->scan->torn = true;
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

static enum status find_limit(struct walk *walk)
{
    struct spool_scan *scan = walk->scan;
    walk->limit = spool_segment_end(&scan->segment);
    if (scan->segment.use != SPOOL_CHECKPOINT)
        return STATUS_OK;
    struct stat st;
    if (scan->ops->fstat(scan->ops, scan->fd, &st) < 0)
        return STATUS_IO;
    walk->limit = (uint32_t)MIN((uint64_t)st.st_size, (uint64_t)SPOOL_CHECKPOINT_MOST);
    return STATUS_OK;
}

enum status spool_scan_run(struct spool_scan *scan)
{
    struct walk walk = {
        .scan = scan,
        .seed = spool_segment_seed(&scan->segment),
        .window = BUF_EMPTY(SPOOL_SEGMENT_MOST),
    };
    scan->end = SPOOL_SEGMENT_FIRST;
    scan->last_commit = 0;
    scan->torn = false;
    scan->records = scan->damaged = 0;
    if (scan->segment.use == SPOOL_EMPTY || scan->after % SPOOL_ALIGN != 0)
        return STATUS_OK;
    enum status status = find_limit(&walk);
    if (status == STATUS_OK)
        status = survey(&walk);
    if (status == STATUS_OK)
        status = hand_out(&walk);
    buf_done(&walk.window);
    return status;
}
