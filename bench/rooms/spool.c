#include "message.h"
#include "room.h"
#include "spool/envelope.h"
#include "spool/log.h"
#include "spool/reader.h"
#include "spool/scan.h"

enum { SEGMENT = 1u << 20, BATCH = 20 };

/* A segment in memory: the disk is not what is counted here. */
static uint8_t disk[SEGMENT];

static int disk_close(const struct spool_ops *ops, int fd) { return 0; }
static int disk_fdatasync(const struct spool_ops *ops, int fd) { return 0; }

static int disk_fstat(const struct spool_ops *ops, int fd, struct stat *ret)
{
    *ret = (struct stat){ .st_size = SEGMENT };
    return 0;
}

static ssize_t disk_pread(const struct spool_ops *ops, int fd, void *p, size_t n, off_t at)
{
    n = MIN(n, SEGMENT - (size_t)at);
    memcpy(p, disk + at, n);
    return (ssize_t)n;
}

static ssize_t disk_pwritev(const struct spool_ops *ops, int fd, const struct iovec *pieces, int count, off_t at)
{
    size_t n = 0;
    for (int i = 0; i < count; i++) {
        memcpy(disk + at + n, pieces[i].iov_base, pieces[i].iov_len);
        n += pieces[i].iov_len;
    }
    return (ssize_t)n;
}

static const struct spool_ops ops = { .close = disk_close, .pread = disk_pread, .pwritev = disk_pwritev,
                                      .fdatasync = disk_fdatasync, .fstat = disk_fstat };
static struct spool_log records;
static struct buf envelope = { NULL, 0, 0, 1u << 20, false }, bytes = { NULL, 0, 0, 1u << 20, false };
static struct spool_place place;

static const struct spool_envelope sample = {
    .accepted_wall_ms = INT64_C(1795443607000), .flags = SPOOL_8BIT | SPOOL_TLS, .sender = { "anna@example.org", 16 },
    .client = { "192.0.2.7", 9 }, .helo = { "laptop.example.org", 18 }, .protocol = { "ESMTPS", 6 }, .recipient_count = 1,
    .recipients = &(struct spool_recipient){ .address = { "bob@example.com", 15 } },
};

static void envelope_write(void)
{
    buf_clear(&envelope);
    room_must(spool_envelope_encode(&sample, &envelope) == STATUS_OK);
}

static void envelope_read(void)
{
    struct spool_envelope read;
    room_must(spool_envelope_decode(buf_span(&envelope), &read) == STATUS_OK);
    room_must(spool_envelope_recipient(&read, 0).address.n == 15);
}

static void commit(unsigned count)
{
    static const struct span headers = { "Received: from laptop.example.org ([192.0.2.7])\r\n", 49 };
    struct spool_append appends[BATCH];
    struct span body = room_message();
    for (unsigned i = 0; i < count; i++)
        appends[i] = (struct spool_append){ .id = i + 1, .kind = SPOOL_KIND_MESSAGE, .envelope = buf_span(&envelope),
                                            .headers = headers, .body = &body, .body_count = 1,
                                            .next = i + 1 < count ? &appends[i + 1] : NULL };
    room_must(spool_log_commit(&records, appends) == STATUS_OK);
    place = appends[0].place;
}

static void log_begin(void)
{
    struct spool_segment segment = { .number = 1, .epoch = 1, .salt = 42, .octets = SEGMENT, .use = SPOOL_MESSAGES };
    envelope_write();
    room_must(spool_segment_write(&ops, 3, NULL, &segment) == STATUS_OK);
    spool_log_init(&records, &ops);
    room_must(spool_log_open(&records, 3) == STATUS_OK);
}

/* Each time at the segment's beginning, so that it lasts for ever. */
static void commit_one(void)
{
    records.at = SPOOL_SEGMENT_FIRST;
    records.commit = 0;
    commit(1);
}

static void commit_batch(void)
{
    records.at = SPOOL_SEGMENT_FIRST;
    records.commit = 0;
    commit(BATCH);
}

static void read_begin(void)
{
    log_begin();
    commit_one();
}

/* As delivery reads it. */
static void read_message(void)
{
    struct spool_segment segment = records.segment;
    struct spool_message message;
    room_must(spool_message_read(&ops, 3, &segment, place, &bytes, &message) == STATUS_OK);
    room_must(message.body.n == ROOM_MESSAGE_OCTETS);
}

static void scan_begin(void)
{
    log_begin();
    for (unsigned i = 0; i < 5; i++)
        commit(BATCH);
}

static bool on_record(void *arg, const struct spool_found *found)
{
    return true;
}

/* A hundred messages, as after a start. */
static void scan(void)
{
    struct spool_scan scan = { .ops = &ops, .fd = 3, .segment = records.segment, .on_record = on_record };
    room_must(spool_scan_run(&scan) == STATUS_OK && scan.records == 100 && scan.damaged == 0);
}

static const struct room_work works[] = {
    { "envelope-write", NULL, envelope_write },
    { "envelope-read", envelope_write, envelope_read },
    { "commit-1", log_begin, commit_one },
    { "commit-20", log_begin, commit_batch },
    { "read", read_begin, read_message },
    { "scan-100", scan_begin, scan },
};
ROOM_MAIN(works)
