/* A small log on a simulated disk, for the spool's tests. */
#pragma once
#include "simdisk.h"
#include "spool/log.h"
#include "spool/scan.h"
#include <stdio.h>

#define SAMPLE_OCTETS (64u * SPOOL_BLOCK)
#define SAMPLE_MOST 4096

/* A segment in use, as the store would hand it out; synced. */
static inline int sample_segment(struct simdisk *disk, uint32_t number, uint32_t octets)
{
    char name[SPOOL_SEGMENT_NAME_SIZE];
    int fd = disk->ops.openat(&disk->ops, AT_FDCWD, spool_segment_name(number, name), O_CREAT | O_RDWR, 0600);
    struct spool_segment segment = { .number = number, .epoch = 1, .octets = octets, .use = SPOOL_MESSAGES };
    disk->ops.random(&disk->ops, &segment.salt, sizeof segment.salt);
    char *zeros = calloc(1, octets);
    if (fd < 0 || !zeros || spool_pwrite_all(&disk->ops, fd, zeros, octets, 0) != STATUS_OK ||
        spool_segment_write(&disk->ops, fd, NULL, &segment) != STATUS_OK || disk->ops.fdatasync(&disk->ops, fd) < 0)
        abort();
    free(zeros);
    for (int i = 0; i < SIM_FILES; i++)
        disk->names[i].safe = disk->names[i].now;
    return fd;
}

/* One message with its memory; its octets are told by its id. */
struct sample {
    struct spool_append append;
    char envelope[64], headers[64];
    char *body;
    struct span piece[2];
    enum status status;
    bool done;
};

static inline void sample_init(struct sample *sample, uint64_t id, size_t body)
{
    *sample = (struct sample){ 0 };
    snprintf(sample->envelope, sizeof sample->envelope, "envelope of %llu", (unsigned long long)id);
    snprintf(sample->headers, sizeof sample->headers, "Received: %llu\r\n", (unsigned long long)id);
    sample->body = malloc(body + 1);
    if (!sample->body)
        abort();
    for (size_t i = 0; i < body; i++)
        sample->body[i] = (char)(id * 31 + i * 7);
    sample->piece[0] = span_of(sample->body, body / 3);
    sample->piece[1] = span_of(sample->body + body / 3, body - body / 3);
    sample->append = (struct spool_append){
        .id = id, .kind = SPOOL_KIND_MESSAGE, .envelope = span_str(sample->envelope),
        .headers = span_str(sample->headers), .body = sample->piece, .body_count = 2,
    };
}

static inline void sample_done(struct sample *sample) { free(sample->body); }

/* Commits `count` messages, ids from `id` on, at once. */
static inline enum status sample_commit(struct spool_log *log, uint64_t id, unsigned count, size_t body,
                                        struct spool_place *ret)
{
    struct sample *samples = calloc(count, sizeof *samples);
    if (!samples)
        abort();
    for (unsigned i = 0; i < count; i++) {
        sample_init(&samples[i], id + i, body);
        if (i)
            samples[i - 1].append.next = &samples[i].append;
    }
    enum status status = spool_log_commit(log, &samples[0].append);
    for (unsigned i = 0; i < count; i++) {
        if (ret)
            ret[i] = samples[i].append.place;
        sample_done(&samples[i]);
    }
    free(samples);
    return status;
}

/* What a scan saw. */
struct seen {
    uint64_t ids[SAMPLE_MOST];
    struct spool_place places[SAMPLE_MOST];
    size_t count, damages;
    struct spool_damage damage;
};

static inline bool seen_record(void *arg, const struct spool_found *found)
{
    struct seen *seen = arg;
    char expected[64];
    snprintf(expected, sizeof expected, "envelope of %llu", (unsigned long long)found->header.id);
    if (!span_eq(found->envelope, span_str(expected)) || seen->count == SAMPLE_MOST)
        abort(); /* a wrong record was taken for whole */
    seen->places[seen->count] = found->place;
    seen->ids[seen->count++] = found->header.id;
    return true;
}

static inline void seen_damage(void *arg, const struct spool_damage *damage)
{
    struct seen *seen = arg;
    seen->damages++;
    seen->damage = *damage;
}

static inline bool seen_has(const struct seen *seen, uint64_t id)
{
    for (size_t i = 0; i < seen->count; i++)
        if (seen->ids[i] == id)
            return true;
    return false;
}

static inline enum status sample_scan(struct simdisk *disk, uint32_t number, uint32_t after, unsigned flags,
                                      struct spool_scan *scan, struct seen *seen)
{
    char name[SPOOL_SEGMENT_NAME_SIZE];
    *seen = (struct seen){ 0 };
    *scan = (struct spool_scan){ .ops = &disk->ops, .after = after, .flags = flags, .on_record = seen_record,
                                 .on_damage = seen_damage, .arg = seen };
    scan->fd = disk->ops.openat(&disk->ops, AT_FDCWD, spool_segment_name(number, name), O_RDONLY, 0);
    enum status status = spool_segment_read(&disk->ops, scan->fd, &scan->segment);
    if (status == STATUS_OK)
        status = spool_scan_run(scan);
    disk->ops.close(&disk->ops, scan->fd);
    return status;
}
