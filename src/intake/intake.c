/* The life of one message between the door and the log. */
#include "base/hash.h"
#include "intake/intake_priv.h"
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define KEEP_OCTETS (256u << 10) /* a buffer over that is given back between two messages */
#define KEEP_RECIPIENTS 4096u    /* so is room for more recipients */
#define CHUNK_MAX (16u << 20)    /* by how much the piece that makes a message a big one may pass inline_max */

void intake_init(struct intake *intake, size_t inline_max)
{
    *intake = (struct intake){
        .inline_max = inline_max,
        .added = BUF_EMPTY(64u << 10),
        .bytes = BUF_EMPTY(inline_max + CHUNK_MAX),
        .texts = BUF_EMPTY(INTAKE_TEXTS_MAX),
        .envelope = BUF_EMPTY(2u * INTAKE_TEXTS_MAX),
        .packed = BUF_EMPTY(2u * INTAKE_TEXTS_MAX),
        .at_line_start = true,
    };
}

static void recipients_free(struct intake *intake)
{
    free(intake->recipients);
    free(intake->slots);
    intake->recipients = NULL;
    intake->slots = NULL;
    intake->recipient_room = intake->recipient_count = 0;
}

void intake_done(struct intake *intake)
{
    buf_done(&intake->added);
    buf_done(&intake->bytes);
    buf_done(&intake->texts);
    buf_done(&intake->envelope);
    buf_done(&intake->packed);
    recipients_free(intake);
}

static void buf_reuse(struct buf *buf)
{
    buf_clear(buf);
    if (buf->room > KEEP_OCTETS)
        buf_done(buf);
}

void intake_clear(struct intake *intake)
{
    if (intake->recipient_room > KEEP_RECIPIENTS)
        recipients_free(intake);
    if (intake->recipient_count)
        memset(intake->slots, 0, SLOTS_PER_RECIPIENT * intake->recipient_room * sizeof *intake->slots);
    struct intake old = *intake;
    buf_reuse(&old.added);
    buf_reuse(&old.bytes);
    buf_reuse(&old.texts);
    buf_reuse(&old.envelope);
    buf_reuse(&old.packed);
    /* Everything that is not named here belongs to one message only. */
    *intake = (struct intake){
        .added = old.added, .bytes = old.bytes, .texts = old.texts, .envelope = old.envelope, .packed = old.packed,
        .recipients = old.recipients, .slots = old.slots, .recipient_room = old.recipient_room, .inline_max = old.inline_max,
        .at_line_start = true, .arg = old.arg,
    };
}

enum status intake_refuse(struct intake *intake, enum status status, unsigned reply, struct status_code code,
                          const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(intake->refusal.text, sizeof intake->refusal.text, format, args);
    va_end(args);
    intake->refusal.reply = reply;
    intake->refusal.code = code;
    return status;
}

struct span intake_text(const struct intake *intake, struct intake_text text)
{
    return span_head(span_from(buf_span(&intake->texts), text.at), text.n);
}

enum status intake_text_add(struct intake *intake, struct span text, struct intake_text *ret)
{
    size_t at = intake->texts.n;
    enum status status = buf_add(&intake->texts, text);
    if (status == STATUS_OK)
        *ret = (struct intake_text){ at, text.n };
    return status;
}

enum status intake_sender(struct intake *intake, struct span address)
{
    return intake_text_add(intake, address, &intake->sender);
}

/* Where the recipient stands in the table of those we have, or would stand. */
static uint32_t *slot_of(const struct intake *intake, struct span address)
{
    uint64_t mask = SLOTS_PER_RECIPIENT * (uint64_t)intake->recipient_room - 1;
    for (uint64_t at = hash_bytes(address) & mask;; at = (at + 1) & mask) {
        uint32_t *slot = &intake->slots[at];
        if (*slot == 0 || span_eq(intake_recipient_of(intake, *slot - 1), address))
            return slot;
    }
}

static enum status recipients_grow(struct intake *intake)
{
    if (intake->recipient_count < intake->recipient_room)
        return STATUS_OK;
    if (intake->recipient_count >= SPOOL_RECIPIENTS_MAX)
        return STATUS_FULL;
    uint32_t room = MAX(8u, intake->recipient_room * 2); /* a power of two: the table's size */
    uint32_t *slots = calloc(SLOTS_PER_RECIPIENT * (size_t)room, sizeof *slots);
    struct intake_recipient *recipients = slots ? realloc(intake->recipients, room * sizeof *recipients) : NULL;
    if (!recipients) {
        free(slots);
        return STATUS_MEMORY;
    }
    free(intake->slots);
    intake->slots = slots;
    intake->recipients = recipients;
    intake->recipient_room = room;
    for (uint32_t i = 0; i < intake->recipient_count; i++)
        *slot_of(intake, intake_recipient_of(intake, i)) = i + 1;
    return STATUS_OK;
}

enum status intake_recipient(struct intake *intake, struct span address, struct span orcpt, unsigned notify)
{
    struct intake_recipient recipient = { .notify = (uint8_t)notify };
    enum status status = recipients_grow(intake);
    uint32_t *slot = status == STATUS_OK ? slot_of(intake, address) : NULL;
    if (!slot || *slot)
        return status; /* named twice: one copy is enough, as it was first asked for */
    status = intake_text_add(intake, address, &recipient.address);
    if (status == STATUS_OK)
        status = intake_text_add(intake, orcpt, &recipient.orcpt);
    if (status != STATUS_OK)
        return status;
    intake->recipients[intake->recipient_count++] = recipient;
    *slot = intake->recipient_count;
    return STATUS_OK;
}

struct span intake_sender_of(const struct intake *intake) { return intake_text(intake, intake->sender); }

void intake_recipient_waits(struct intake *intake, uint32_t seconds)
{
    if (intake->recipient_count)
        intake->recipients[intake->recipient_count - 1].wait_s = seconds;
}

void intake_waits(struct intake *intake, uint32_t seconds) { intake->wait_s = MAX(intake->wait_s, seconds); }

struct span intake_recipient_of(const struct intake *intake, uint32_t i)
{
    assert(i < intake->recipient_count);
    return intake_text(intake, intake->recipients[i].address);
}

uint32_t intake_from_count(const struct intake *intake) { return intake->from_count; }

struct span intake_from(const struct intake *intake, uint32_t i)
{
    assert(i < intake->from_count);
    return intake_text(intake, intake->from[i]);
}

const struct span *intake_pieces(const struct intake *intake, size_t *ret_count)
{
    *ret_count = intake->piece_count;
    return intake->pieces;
}

void intake_drop_pieces(struct intake *intake)
{
    assert(intake->is_big);
    intake->piece_count = 0;
    buf_done(&intake->bytes);
}

size_t intake_room(const struct intake *intake)
{
    return intake->added.room + intake->bytes.room + intake->texts.room + intake->envelope.room + intake->packed.room +
           intake->recipient_room * (sizeof *intake->recipients + SLOTS_PER_RECIPIENT * sizeof *intake->slots);
}

enum status intake_take(struct intake *intake, struct span octets)
{
    assert(!intake->is_big && octets.n <= CHUNK_MAX);
    enum status status = buf_add(&intake->bytes, octets);
    if (status != STATUS_OK)
        return STATUS_MEMORY;
    if (intake->bytes.n <= intake->inline_max)
        return STATUS_OK;
    intake->is_big = true;
    return STATUS_FULL;
}

enum status intake_no_memory(struct intake *intake)
{
    return intake_refuse(intake, STATUS_FULL, 452, STATUS_CODE(4, 3, 1), "No memory for this message now; try again later");
}

static struct spool_recipient stored_recipient(const struct intake *intake, uint32_t i)
{
    const struct intake_recipient *recipient = &intake->recipients[i];
    return (struct spool_recipient){ .address = intake_text(intake, recipient->address),
                                     .orcpt = intake_text(intake, recipient->orcpt), .notify = recipient->notify,
                                     .wait_s = MAX(recipient->wait_s, intake->wait_s) };
}

/* The recipients as the envelope and as the ENQUEUE want them. Nearly all messages have few. */
static enum status envelope_write(struct intake *intake, struct spool_envelope *envelope)
{
    struct spool_recipient few[16], *all = few;
    if (intake->recipient_count > ARRAY_LEN(few))
        all = calloc(intake->recipient_count, sizeof *all);
    if (!all)
        return STATUS_MEMORY;
    for (uint32_t i = 0; i < intake->recipient_count; i++) {
        all[i] = stored_recipient(intake, i);
        writer_recipient_put(&intake->packed, &(struct writer_recipient){ all[i].notify, all[i].address, all[i].wait_s });
    }
    envelope->recipients = all;
    envelope->recipient_count = intake->recipient_count;
    enum status status = spool_envelope_encode(envelope, &intake->envelope);
    envelope->recipients = NULL; /* they end here */
    if (all != few)
        free(all);
    return intake->packed.failed ? STATUS_MEMORY : status;
}

enum status intake_compose(struct intake *intake, const struct intake_facts *facts)
{
    if (intake_text_add(intake, facts->account, &intake->account) != STATUS_OK)
        return intake_no_memory(intake);
    intake->id = facts->id;
    intake->accepted_wall_ms = facts->now_wall_ms;
    intake->ret = facts->ret;
    intake->flags |= (facts->utf8 ? SPOOL_SMTPUTF8 : 0u) | (facts->body_8bit ? SPOOL_8BIT : 0u)
                     | (facts->submission ? SPOOL_SUBMISSION : 0u) | (facts->is_report ? SPOOL_REPORT : 0u)
                     | (facts->tls_version.n ? SPOOL_TLS : 0u);
    struct spool_envelope envelope = {
        .accepted_wall_ms = facts->now_wall_ms, .flags = intake->flags, .ret = facts->ret, .account = facts->account,
        .sender = intake_sender_of(intake), .envid = facts->envid, .client = facts->client_address,
        .helo = span_head(facts->helo, 255), .protocol = facts->protocol,
    };
    enum status status = envelope_write(intake, &envelope);
    if (status == STATUS_TOO_LONG)
        return intake_refuse(intake, STATUS_FULL, 552, STATUS_CODE(5, 5, 3), "Too many recipients, or addresses too long");
    return status == STATUS_OK ? STATUS_OK : intake_no_memory(intake);
}

static void on_appended(struct spool_append *append, enum status status)
{
    struct intake *intake = CONTAINER(append, struct intake, append);
    intake->on_stored(intake, status);
}

enum status intake_store(struct intake *intake, struct spool_writer *writer, const struct spool_body_ref *file,
                         intake_on_stored *on_stored)
{
    intake->on_stored = on_stored;
    intake->append = (struct spool_append){
        .id = intake->id, .kind = SPOOL_KIND_MESSAGE, .envelope = buf_span(&intake->envelope),
        .headers = buf_span(&intake->added), .on_done = on_appended,
    };
    if (file) {
        intake->append.file = *file;
    } else {
        intake->append.body = intake->pieces;
        intake->append.body_count = intake->piece_count;
    }
    return spool_writer_append(writer, &intake->append);
}

void intake_announce(const struct intake *intake, struct buf *ret)
{
    uint32_t flags = (intake->flags & SPOOL_8BIT ? ENQUEUE_8BIT : 0u) | (intake->flags & SPOOL_SMTPUTF8 ? ENQUEUE_UTF8 : 0u)
                     | (intake->ret == SPOOL_RET_FULL ? ENQUEUE_RET_FULL : 0u)
                     | (intake->ret == SPOOL_RET_HDRS ? ENQUEUE_RET_HEADERS : 0u)
                     | (intake->flags & SPOOL_SUBMISSION ? ENQUEUE_SUBMISSION : 0u);
    writer_enqueue_put(ret, &(struct writer_enqueue){
        .id = intake->id, .segment = intake->append.place.segment, .offset = intake->append.place.offset,
        .length = intake->append.place.length, .flags = flags, .octets = intake->octets,
        .body = intake->append.file.number, .accepted_wall_ms = intake->accepted_wall_ms,
        .account = intake_text(intake, intake->account), .sender = intake_sender_of(intake),
        .recipient_count = intake->recipient_count, .recipients = buf_span(&intake->packed),
    });
}
