/* The spool as the queue's process uses it: opened, read at the start, its space given back. */
#include "base/hash.h"
#include "base/mutant.h"
#include "queue/recover.h"
#include "queue/role_priv.h"
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* -- events of the store, the journal and our own log -- */

static void on_report(void *arg, const char *name, const char *what)
{
    struct queue_role *role = arg;
    log_error(role_log(role), "spool-damage", LOG_STR("file", name), LOG_STR("what", what));
    buf_clear(&role->trouble);
    buf_printf(&role->trouble, "%s: %s", name, what);
}

static void own_writer_set_full(struct queue_role *role, bool full)
{
    if (!role->writer)
        return;
    if (full)
        role->own_needs = 0; /* it asks again when there is room */
    spool_writer_set_low(role->writer, full);
}

static void on_ready(void *arg)
{
    struct queue_role *role = arg;
    own_writer_set_full(role, false);
    disk_own_feed(role);
    writers_feed(role);
}

static void on_released(void *arg, uint32_t number)
{
    struct queue_role *role = arg;
    struct queue_log_segment *segment = queue_segment_find(&role->queue, number);
    if (segment && segment->empty_told)
        queue_segment_forget(&role->queue, segment);
}

static void on_low(void *arg, bool low)
{
    struct queue_role *role = arg;
    log_event(role_log(role), low ? LOG_ERROR : LOG_WARNING, low ? "disk-low" : "disk-room",
              LOG_INT("octets", spool_store_room(role->store)));
    if (!low)
        own_writer_set_full(role, false);
    writers_tell_state(role); /* our own log goes on as long as it has room: senders are told of failures */
}

/* As long as no outcome can be written, nothing more is given out to be delivered. */
static void on_trouble(void *arg, enum status status)
{
    struct queue_role *role = arg;
    if (status == STATUS_OK)
        log_warning(role_log(role), "journal-works-again");
    else
        log_error(role_log(role), "journal-trouble", LOG_STR("why", status_text(status)),
                  LOG_STR("what", "what became of messages cannot be written, so that no more are sent until it can"));
    queue_stall(&role->queue, role_now(role), status != STATUS_OK);
    if (status != STATUS_OK)
        control_trouble(role);
}

/* -- open -- */

static const char *why_not(enum status status)
{
    return status == STATUS_IO ? strerror(errno) : status_text(status);
}

static void on_checkpoint_room(void *arg) { checkpoints_room(arg); }

static enum status refused(struct queue_role *role, const char *what, enum status status)
{
    log_error(role_log(role), "spool-refused", LOG_STR("what", what), LOG_STR("why", why_not(status)));
    return status;
}

/* A large queue that was killed holds its lock until the kernel has taken its memory down. */
#define LOCK_WAIT_MS 5000

enum status disk_open(struct queue_role *role)
{
    static const struct spool_store_events store_events = { on_report, on_ready, on_released, on_low };
    static const struct spool_journal_events journal_events = { on_trouble, on_checkpoint_room };
    const struct queue_root *root = role_root(role);
    struct spool_store_settings settings = { .segment_octets = (uint32_t)root->common.spool.segment_octets,
                                             .reserve_octets = (uint64_t)root->common.spool.reserve_octets,
                                             .lock_wait_ms = LOCK_WAIT_MS };
    buf_clear(&role->path);
    buf_printf(&role->path, "%.*s/spool", SPAN_ARGS(root->common.state_dir));
    enum status status = spool_store_open(role->process.loop, buf_cstr(&role->path), &settings, &store_events, role,
                                          &role->store);
    if (status != STATUS_OK)
        return refused(role, buf_cstr(&role->path), status);
    role->journal = spool_journal_new(role->process.loop, role->store, false, &journal_events, role);
    return role->journal ? STATUS_OK : refused(role, "journal", STATUS_MEMORY);
}

/* -- the state as it was -- */

struct knowing {
    struct queue_role *role;
    enum status status;
};

static bool segment_known(void *arg, const struct spool_segment *segment)
{
    struct knowing *knowing = arg;
    struct queue_role *role = knowing->role;
    if (segment->use != SPOOL_MESSAGES)
        return true;
    struct queue_log_segment *known = queue_segment_add(&role->queue, segment->number, segment->epoch, segment->octets,
                                                        (int)segment->writer);
    if (known) {
        known->sealed = segment->writer == OWN_WRITER; /* others may still be writing: they outlive us */
        known->old = true;
    }
    knowing->status = known ? STATUS_OK : STATUS_MEMORY;
    return known;
}

/* All that there are, or none: a segment left out would look like one that is not there, and its bodies like nobody's. */
static enum status segments_known(struct queue_role *role)
{
    struct knowing knowing = { role, STATUS_OK };
    spool_store_each(role->store, segment_known, &knowing);
    return knowing.status;
}

static bool on_journal_record(void *arg, const struct spool_journal_record *record)
{
    struct queue_recovery *recovery = arg;
    enum status status = queue_recover_entry(recovery, record->kind, record->id, record->content);
    if (status == STATUS_DAMAGED)
        log_error(recovery->queue->log, "entry-unreadable", LOG_ID(record->id), LOG_INT("kind", record->kind));
    return status != STATUS_MEMORY;
}

static bool recipients_pack(const struct spool_envelope *envelope, struct buf *packed)
{
    for (uint32_t i = 0; i < envelope->recipient_count; i++) {
        struct spool_recipient recipient = spool_envelope_recipient(envelope, i);
        writer_recipient_put(packed, &(struct writer_recipient){ recipient.notify, recipient.address, recipient.wait_s });
    }
    return !packed->failed;
}

enum status disk_arrival(const struct spool_found *found, struct buf *packed, struct queue_arrival *ret)
{
    struct spool_envelope envelope;
    enum status status = spool_envelope_decode(found->envelope, &envelope);
    if (status != STATUS_OK)
        return status;
    buf_clear(packed);
    if (!recipients_pack(&envelope, packed))
        return STATUS_MEMORY;
    *ret = (struct queue_arrival){ .id = found->header.id, .body = found->header.file,
                                   .octets = found->header.headers + found->header.body, .segment = found->place.segment,
                                   .offset = found->place.offset, .length = found->place.length,
                                   .account = envelope.account, .sender = envelope.sender,
                                   .recipient_count = envelope.recipient_count, .recipients = buf_span(packed) };
    return STATUS_OK;
}

#define PACKED_MAX (256u << 20)

struct finding {
    struct queue_role *role;
    struct queue_recovery *recovery; /* NULL: while running */
    struct buf packed;
    uint64_t found;
    enum status status;
};

/* While running: of a body file it is certain whose it is. One that is not the writer's is somebody else's mail. */
static enum status found_late(struct finding *finding, const struct queue_arrival *arrival)
{
    struct queue_role *role = finding->role;
    struct queue_log_segment *segment = queue_segment_find(&role->queue, arrival->segment);
    bool named = !arrival->body || writers_body_named(role, segment->writer, arrival->body) || orphans_claim(role, arrival->body);
    if (!named)
        return queue_message_find(&role->queue, arrival->id) ? STATUS_EXISTS : STATUS_DENIED;
    enum status status = role_arrived(role, arrival);
    finding->found += status == STATUS_OK;
    return status;
}

/* Each process gives ids of its own; in our own log lie those of others, too, which were moved there. */
static enum status found_by(struct finding *finding, const struct queue_log_segment *segment, const struct queue_arrival *arrival)
{
    if (segment->writer != OWN_WRITER && id_writer(arrival->id) != segment->writer)
        return queue_message_find(&finding->role->queue, arrival->id) ? STATUS_EXISTS : STATUS_DENIED;
    return finding->recovery ? queue_recover_found(finding->recovery, arrival) : found_late(finding, arrival);
}

static enum status found_one(struct finding *finding, const struct spool_found *found)
{
    struct queue_arrival arrival;
    enum status status = disk_arrival(found, &finding->packed, &arrival);
    if (status != STATUS_OK)
        return status;
    struct queue_log_segment *segment = queue_segment_find(&finding->role->queue, arrival.segment);
    status = found_by(finding, segment, &arrival);
    if (status != STATUS_MEMORY) /* else the next look begins with it */
        segment->known = MAX(segment->known, arrival.offset);
    return status;
}

static bool on_found(void *arg, const struct spool_found *found)
{
    struct finding *finding = arg;
    struct queue_role *role = finding->role;
    if (found->header.kind != SPOOL_KIND_MESSAGE)
        return true;
    enum status status = found_one(finding, found);
    if (finding->recovery && id_writer(found->header.id) == OWN_WRITER &&
        queue_message_find(&role->queue, found->header.id))
        log_info(role_log(role), "report-found", LOG_ID(found->header.id),
                 LOG_STR("what", "what it tells about may not be settled yet, and may be told a second time"));
    if (status != STATUS_OK && status != STATUS_EXISTS)
        log_error(role_log(role), "record-unusable", LOG_ID(found->header.id), LOG_INT("segment", found->place.segment),
                  LOG_INT("offset", found->place.offset), LOG_STR("why", status_text(status)));
    if (status == STATUS_MEMORY)
        finding->status = status;
    return status != STATUS_MEMORY;
}

static enum status segment_scan(struct finding *finding, struct queue_log_segment *segment)
{
    enum status status = spool_store_scan(finding->role->store, segment->number, segment->known, on_found, finding);
    if (status != STATUS_OK)
        log_error(role_log(finding->role), "scan-failed", LOG_INT("segment", segment->number),
                  LOG_STR("why", why_not(status)));
    return finding->status != STATUS_OK ? finding->status : status;
}

/* What lies in the part that could not be read is neither known nor lost. Nothing else may be written over it. */
static void leave_unread(struct queue_role *role, struct queue_log_segment *segment)
{
    segment->unread = true;
    log_error(role_log(role), "segment-unread", LOG_INT("segment", segment->number), LOG_STR("what",
              "the disk does not give all of it; the rest is read when the queue starts next: restart it when the disk is well. Until "
              "then the journal keeps all that happens"));
}

/* What was not read at the start must wait for the next one: the journal's word about it has been forgotten since. */
void disk_catch_up(struct queue_role *role, struct queue_log_segment *segment, bool last)
{
    if (segment->unread)
        return;
    if (MUTANT(UNANNOUNCED_FORGOTTEN))
        return;
    struct finding finding = { .role = role, .packed = BUF_EMPTY(PACKED_MAX) };
    enum status status = segment_scan(&finding, segment);
    if (finding.found || status != STATUS_OK)
        log_info(role_log(role), "found-unannounced", LOG_INT("segment", segment->number),
                 LOG_INT("messages", finding.found));
    if (last && status != STATUS_OK)
        leave_unread(role, segment);
    buf_done(&finding.packed);
}

/* Ids in what could not be read are not to be given again; they may be ahead of the clock, where it was set back. */
static void ids_keep_off(struct queue_recovery *recovery)
{
    int64_t latest = 0;
    for (size_t i = 0; i < ID_WRITERS; i++)
        latest = MAX(latest, id_time_wall_ms(recovery->last_ids[i]));
    for (size_t i = 0; i < ID_WRITERS; i++) {
        struct id_source source = { .last = recovery->last_ids[i], .writer = (uint8_t)i };
        recovery->last_ids[i] = id_next(&source, latest + TIME_HOUR_MS);
    }
}

static enum status scan_all(struct queue_role *role, struct queue_recovery *recovery)
{
    struct finding finding = { .role = role, .recovery = recovery, .packed = BUF_EMPTY(PACKED_MAX) };
    enum status worst = STATUS_OK;
    bool is_unread = false;
    for (MAP_EACH(node, &role->queue.segments)) {
        struct queue_log_segment *segment = CONTAINER(node, struct queue_log_segment, node);
        if (segment == recovery->limbo)
            continue;
        enum status status = segment_scan(&finding, segment);
        if (status == STATUS_MEMORY)
            worst = status;
        else if (status != STATUS_OK)
            leave_unread(role, segment);
        is_unread |= segment->unread;
    }
    if (is_unread)
        ids_keep_off(recovery);
    buf_done(&finding.packed);
    return worst;
}

/* A body is synced before the record that names it is written, so that a record without one was never acknowledged:
 * its writer died, and the file was swept away before the record was found. */
static bool body_is_missing(struct queue_role *role, uint64_t number)
{
    int fd;
    enum status status = spool_store_body_read_fd(role->store, number, &fd);
    if (status == STATUS_OK)
        close(fd);
    return status == STATUS_NOT_FOUND;
}

static void bodies_look(struct queue_role *role, struct queue_recovery *recovery)
{
    for (MAP_EACH(node, &role->queue.messages)) {
        struct queue_message *message = CONTAINER(node, struct queue_message, node);
        if (!message->body || !body_is_missing(role, message->body))
            continue;
        log_error(role_log(role), "body-missing", LOG_ID(message->id),
                  LOG_STR("what", "its body file is not there; the message was never acknowledged and is dropped"));
        recovery->lost++;
        queue_message_forget(&role->queue, message);
    }
}

static void recovered(struct queue_role *role, const struct queue_recovery *recovery, int64_t began_us)
{
    log_info(role_log(role), "recovered", LOG_INT("messages", role->queue.messages.n),
             LOG_INT("recipients", role->queue.recipients), LOG_INT("entries", recovery->entries),
             LOG_INT("found", recovery->found), LOG_INT("damaged", recovery->damaged),
             LOG_INT("lost", recovery->lost), LOG_INT("ids_ahead", recovery->ahead), LOG_INT("ms", (time_mono_us() - began_us) / 1000));
}

/* The store must be running before the core goes on: it tells about segments that are free. */
enum status disk_recover(struct queue_role *role)
{
    struct queue_recovery recovery;
    int64_t began_us = time_mono_us();
    enum status status = queue_recover_begin(&recovery, &role->queue);
    if (status == STATUS_OK)
        status = segments_known(role);
    if (status == STATUS_OK)
        status = spool_journal_replay(role->journal, on_journal_record, &recovery);
    if (status == STATUS_OK)
        status = scan_all(role, &recovery);
    if (status == STATUS_OK)
        status = bodies_settle(role);
    if (status == STATUS_OK)
        status = orphans_find(role);
    if (status != STATUS_OK) {
        queue_recover_give_up(&recovery); /* what was not read must not pass for what is not there */
        return refused(role, "recovery", status);
    }
    spool_store_start(role->store);
    bodies_look(role, &recovery);
    memcpy(role->last_ids, recovery.last_ids, sizeof role->last_ids);
    queue_recover_end(&recovery, role_now(role));
    recovered(role, &recovery, began_us);
    return STATUS_OK;
}

/* -- our own log -- */

static void on_own_need(void *arg)
{
    struct queue_role *role = arg;
    role->own_needs++;
    disk_own_feed(role);
}

static void on_own_sealed(void *arg, uint32_t number, uint32_t used, enum status why)
{
    struct queue_role *role = arg;
    struct queue_log_segment *segment = queue_segment_find(&role->queue, number);
    if (why != STATUS_OK)
        log_error(role_log(role), "segment-given-up", LOG_INT("segment", number), LOG_STR("why", why_not(why)));
    if (segment)
        queue_segment_sealed(&role->queue, segment);
}

void disk_own_feed(struct queue_role *role)
{
    while (role->writer && role->own_needs) {
        int fd;
        uint32_t number;
        enum status taken = spool_store_take(role->store, SPOOL_MESSAGES, OWN_WRITER, &fd, &number);
        if (taken == STATUS_FULL)
            own_writer_set_full(role, true);
        if (taken != STATUS_OK)
            return;
        const struct spool_segment *segment = spool_store_segment(role->store, number);
        if (!queue_segment_add(&role->queue, number, segment->epoch, segment->octets, OWN_WRITER)) {
            close(fd);
            spool_store_release(role->store, number);
            return;
        }
        role->own_needs--;
        enum status status = spool_writer_give(role->writer, fd);
        if (status != STATUS_OK) {
            log_error(role_log(role), "segment-refused", LOG_INT("segment", number), LOG_STR("why", status_text(status)));
            queue_segment_sealed(&role->queue, queue_segment_find(&role->queue, number));
        }
    }
}

enum status disk_start(struct queue_role *role)
{
    static const struct spool_writer_events events = { on_own_need, on_own_sealed };
    struct spool_writer_settings settings = { .ahead = 1 };
    role->ids = (struct id_source){ .last = role->last_ids[OWN_WRITER], .writer = OWN_WRITER };
    role->writer = spool_writer_new(role->process.loop, &settings, &events, role);
    if (!role->writer)
        return refused(role, "log", STATUS_MEMORY);
    disk_own_feed(role);
    return STATUS_OK;
}

/* Something on disk that nobody needs once the journal is synced. */
struct giving_back {
    struct spool_sync sync;
    struct list link;
    struct queue_role *role;
    uint64_t number;
    bool is_body;
};

/* The next start finds that nobody needs it. */
static void giving_forget(struct list *link)
{
    list_remove(link);
    free(CONTAINER(link, struct giving_back, link));
}

void disk_stop(struct queue_role *role)
{
    spool_writer_free(role->writer);
    role->writer = NULL;
}

void disk_close(struct queue_role *role)
{
    spool_journal_free(role->journal);
    for (LIST_EACH(link, &role->givings))
        giving_forget(link);
    spool_store_free(role->store);
    for (MAP_EACH(node, &role->sent_bodies))
        free(CONTAINER(node, struct sent_body, node));
    map_done(&role->sent_bodies);
}

/* -- what the core asks for -- */

void on_act_journal(void *arg, uint8_t kind, uint64_t id, struct span content)
{
    struct queue_role *role = arg;
    enum status status = spool_journal_append(role->journal, kind, id, content);
    if (status == STATUS_MEMORY)
        abort(); /* as queue_journal() does */
    if (status != STATUS_OK)
        log_error(role_log(role), "entry-lost", LOG_ID(id), LOG_INT("kind", kind), LOG_STR("why", status_text(status)));
}

static void on_synced(struct spool_sync *sync)
{
    struct giving_back *giving = CONTAINER(sync, struct giving_back, sync);
    struct queue_role *role = giving->role;
    if (giving->is_body) {
        spool_store_body_remove(role->store, giving->number);
    } else {
        log_debug(role_log(role), "segment-free", LOG_INT("segment", giving->number));
        spool_store_release(role->store, (uint32_t)giving->number);
    }
    list_remove(&giving->link);
    free(giving);
}

static void give_back(struct queue_role *role, uint64_t number, bool is_body)
{
    struct giving_back *giving = calloc(1, sizeof *giving);
    if (!giving)
        return; /* the next start finds that nobody needs it */
    *giving = (struct giving_back){ .sync = { .on_done = on_synced }, .role = role, .number = number,
                                    .is_body = is_body };
    list_add_last(&role->givings, &giving->link);
    if (is_body ? MUTANT(BODY_REMOVED_EARLY) : MUTANT(SEGMENT_FREED_EARLY))
        on_synced(&giving->sync);
    else
        spool_journal_sync(role->journal, &giving->sync);
}

void on_act_segment_empty(void *arg, struct queue_log_segment *segment)
{
    deliveries_segment_gone(arg, segment);
    give_back(arg, segment->number, false);
}

void on_act_body_unused(void *arg, uint64_t body)
{
    deliveries_body_gone(arg, body);
    give_back(arg, body, true);
}

/* -- records -- */

enum status disk_read(struct queue_role *role, const struct queue_message *message, struct buf *buf,
                      struct spool_message *ret, int *ret_fd)
{
    const struct spool_segment *known = spool_store_segment(role->store, message->segment->number);
    int fd;
    if (!known)
        return STATUS_NOT_FOUND;
    enum status status = spool_store_read_fd(role->store, message->segment->number, &fd);
    if (status != STATUS_OK)
        return status;
    struct spool_segment segment = *known;
    struct spool_place place = { message->segment->number, message->offset, message->length };
    status = spool_message_read(spool_store_ops(role->store), fd, &segment, place, buf, ret);
    if (status == STATUS_OK && ret->header.id != message->id)
        status = STATUS_DAMAGED;
    if (status == STATUS_OK && ret_fd)
        *ret_fd = fd;
    else
        close(fd);
    return status;
}
