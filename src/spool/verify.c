#include "spool/verify.h"
#include "spool/envelope.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>

#define READ_OCTETS (256u << 10)
#define NAME_SIZE 320

/* One file of records that is being read. */
struct reading {
    struct spool_verify *verify;
    const char *name;
    int bodies_dir;
    struct spool_scan *scan;
    uint64_t records;
    uint32_t number;         /* of the segment, as its name says */
    bool ended;
};

static void fault_at(struct spool_verify *verify, const struct spool_fault *fault)
{
    verify->faults++;
    verify->on_fault(verify->arg, fault);
}

static void fault(struct spool_verify *verify, enum spool_fault_kind kind, const char *name, const char *what)
{
    fault_at(verify, &(struct spool_fault){ .kind = kind, .name = name, .what = what });
}

static int open_in(const struct spool_verify *verify, int dir, const char *name, int flags)
{
    return verify->ops->openat(verify->ops, dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | flags, 0);
}

static enum status sum_file(const struct spool_ops *ops, int fd, uint64_t octets, uint32_t *ret)
{
    AUTO(buf_done) struct buf buf = BUF_EMPTY(READ_OCTETS);
    enum status status = buf_reserve(&buf, READ_OCTETS);
    uint32_t check = 0;
    for (uint64_t done = 0; status == STATUS_OK && done < octets;) {
        size_t n = (size_t)MIN(octets - done, (uint64_t)READ_OCTETS);
        status = spool_pread_all(ops, fd, buf.p, n, done);
        if (status == STATUS_OK)
            check = crc32c(check, buf.p, n);
        done += n;
    }
    *ret = check;
    return status;
}

static void check_body_file(struct reading *reading, const struct spool_header *header)
{
    struct spool_verify *verify = reading->verify;
    char name[NAME_SIZE];
    snprintf(name, sizeof name, "bodies/%016" PRIx64 ".body", header->file);
    int fd = reading->bodies_dir < 0 ? -1 : open_in(verify, reading->bodies_dir, name + strlen("bodies/"), 0);
    if (fd < 0) {
        verify->bodies_gone++;
        return;
    }
    uint32_t check;
    enum status status = sum_file(verify->ops, fd, header->body, &check);
    verify->ops->close(verify->ops, fd);
    if (status == STATUS_OK && check == header->check_body) {
        verify->bodies++;
        verify->octets += header->body;
        return;
    }
    fault_at(verify, &(struct spool_fault){ SPOOL_FAULT_BODY, name, 0, header->body, header->id,
                                            status == STATUS_OK ? "the body's checksum is wrong"
                                                                : "the body is shorter than its record says" });
}

static bool on_record(void *arg, const struct spool_found *found)
{
    struct reading *reading = arg;
    struct spool_verify *verify = reading->verify;
    struct spool_envelope envelope;
    verify->octets += found->place.length;
    if (found->header.kind == SPOOL_KIND_END) {
        reading->ended = found->header.id == reading->records;
        return true;
    }
    reading->records++;
    if (found->header.kind != SPOOL_KIND_MESSAGE)
        return true;
    verify->messages++;
    if (spool_envelope_decode(found->envelope, &envelope) != STATUS_OK)
        fault_at(verify, &(struct spool_fault){ SPOOL_FAULT_DAMAGE, reading->name, found->place.offset,
                                                found->place.length, found->header.id, "no envelope in the record" });
    if (found->header.file)
        check_body_file(reading, &found->header);
    return true;
}

static void on_damage(void *arg, const struct spool_damage *damage)
{
    struct reading *reading = arg;
    struct spool_segment now;
    /* Did the running server give the segment a new life while we read? Then there is nothing to say about the old. */
    if (spool_segment_read(reading->verify->ops, reading->scan->fd, &now) == STATUS_OK &&
        now.salt != reading->scan->segment.salt)
        return;
    fault_at(reading->verify, &(struct spool_fault){ SPOOL_FAULT_DAMAGE, reading->name, damage->offset, damage->octets,
                                                     damage->id, damage->what });
}

static void check_stamp(struct reading *reading, int fd)
{
    struct spool_verify *verify = reading->verify;
    struct spool_segment segment;
    if (verify->is_stamped && spool_segment_read_stamped(verify->ops, fd, &verify->stamp, &segment) == STATUS_DAMAGED)
        fault(verify, SPOOL_FAULT_DAMAGE, reading->name, "its description was not written by this queue");
}

static enum status read_records(struct reading *reading, int fd)
{
    struct spool_verify *verify = reading->verify;
    struct spool_scan scan = { .ops = verify->ops, .fd = fd, .flags = SPOOL_SCAN_DEEP, .on_record = on_record,
                               .on_damage = on_damage, .arg = reading };
    reading->scan = &scan;
    enum status status = spool_segment_read(verify->ops, fd, &scan.segment);
    if (status == STATUS_OK)
        status = spool_scan_run(&scan);
    if (status == STATUS_OK && scan.segment.use != SPOOL_CHECKPOINT)
        check_stamp(reading, fd);
    if (status == STATUS_OK && scan.segment.use != SPOOL_CHECKPOINT && scan.segment.number != reading->number)
        fault(verify, SPOOL_FAULT_FOREIGN, reading->name, "the copy of another file of the spool");
    if (status == STATUS_DENIED)
        fault(verify, SPOOL_FAULT_VERSION, reading->name, "written by a newer version of goniec");
    else if (status == STATUS_DAMAGED)
        fault(verify, SPOOL_FAULT_DAMAGE, reading->name, "its description is unreadable");
    else if (status == STATUS_IO)
        fault(verify, SPOOL_FAULT_ACCESS, reading->name, "it cannot be read");
    if (status != STATUS_OK)
        return status;
    if (scan.segment.use == SPOOL_JOURNAL)
        verify->journal_records += reading->records;
    verify->torn += scan.torn && scan.segment.use == SPOOL_MESSAGES;
    verify->empty_segments += scan.segment.use == SPOOL_EMPTY;
    if (verify->on_segment && scan.segment.use != SPOOL_CHECKPOINT)
        verify->on_segment(verify->arg, &scan.segment, &scan);
    return STATUS_OK;
}

static bool each_segment(void *arg, const char *base)
{
    struct reading *reading = arg;
    struct spool_verify *verify = reading->verify;
    char name[NAME_SIZE];
    uint32_t number;
    snprintf(name, sizeof name, "segments/%.255s", base);
    if (span_ends_case(span_str(base), SPAN(".new")))
        return true; /* being made */
    if (!spool_segment_name_parse(base, &number)) {
        fault(verify, SPOOL_FAULT_FOREIGN, name, "not a file of the spool");
        return true;
    }
    int dir = open_in(verify, verify->dir, "segments", O_DIRECTORY), fd = open_in(verify, dir, base, 0);
    struct reading own = { .verify = verify, .name = name, .bodies_dir = reading->bodies_dir, .number = number };
    verify->segments++;
    if (fd < 0) {
        if (errno != ENOENT) /* else the server has removed it meanwhile */
            fault(verify, SPOOL_FAULT_ACCESS, name, "it cannot be opened");
    } else {
        (void)read_records(&own, fd);
        verify->ops->close(verify->ops, fd);
    }
    verify->ops->close(verify->ops, dir);
    return true;
}

static bool each_body(void *arg, const char *base)
{
    struct reading *reading = arg;
    char name[NAME_SIZE];
    size_t n = strlen(base);
    snprintf(name, sizeof name, "bodies/%.255s", base);
    if (n != 21 || strcmp(base + 16, ".body") != 0 || strspn(base, "0123456789abcdef") < 16)
        fault(reading->verify, SPOOL_FAULT_FOREIGN, name, "not a file of the spool");
    return true;
}

static bool each_top(void *arg, const char *name)
{
    static const char *const ours[] = { "lock", "segments", "bodies", "checkpoint", "checkpoint.new", "quarantine",
                                        SPOOL_STAMP_NAME, SPOOL_STAMP_NAME_NEW };
    struct reading *reading = arg;
    for (size_t i = 0; i < ARRAY_LEN(ours); i++)
        if (strcmp(name, ours[i]) == 0)
            return true;
    fault(reading->verify, SPOOL_FAULT_FOREIGN, name, "not a file of the spool");
    return true;
}

static void read_checkpoint(struct spool_verify *verify)
{
    int fd = open_in(verify, verify->dir, "checkpoint", 0);
    if (fd < 0)
        return; /* a young spool has none */
    struct reading reading = { .verify = verify, .name = "checkpoint", .bodies_dir = -1 };
    if (read_records(&reading, fd) == STATUS_OK && !reading.ended)
        fault(verify, SPOOL_FAULT_DAMAGE, "checkpoint", "records are missing");
    verify->checkpoint_records += reading.records;
    verify->ops->close(verify->ops, fd);
}

static enum status list_in(struct reading *reading, const char *name, bool (*each)(void *arg, const char *name))
{
    struct spool_verify *verify = reading->verify;
    int dir = open_in(verify, verify->dir, name, O_DIRECTORY);
    if (dir < 0)
        return STATUS_IO;
    int wrong = verify->ops->list(verify->ops, dir, each, reading);
    verify->ops->close(verify->ops, dir);
    return wrong < 0 ? STATUS_IO : STATUS_OK;
}

enum status spool_verify_run(struct spool_verify *verify, const char *path)
{
    if (!verify->ops)
        verify->ops = &spool_ops_system;
    verify->dir = verify->ops->openat(verify->ops, AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (verify->dir < 0)
        return STATUS_IO;
    struct reading reading = { .verify = verify };
    verify->is_stamped = spool_stamp_key_read(verify->ops, verify->dir, &verify->stamp) == STATUS_OK;
    reading.bodies_dir = open_in(verify, verify->dir, "bodies", O_DIRECTORY);
    enum status status = verify->ops->list(verify->ops, verify->dir, each_top, &reading) < 0 ? STATUS_IO : STATUS_OK;
    if (status == STATUS_OK)
        status = list_in(&reading, "segments", each_segment);
    if (status == STATUS_OK)
        status = list_in(&reading, "bodies", each_body);
    if (status == STATUS_OK)
        read_checkpoint(verify);
    int wrong = errno;
    if (reading.bodies_dir >= 0)
        verify->ops->close(verify->ops, reading.bodies_dir);
    verify->ops->close(verify->ops, verify->dir);
    explicit_bzero(&verify->stamp, sizeof verify->stamp);
    errno = wrong;
    return status;
}
