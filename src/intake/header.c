/* What happens to the header: fields that must go, fields that are missing, the trace; and the facts of all octets. */
#include "intake/intake_priv.h"
#include "mail/date.h"
#include "mail/header.h"
#include "mail/message_id.h"
#include "mail/received.h"

#define LINE_MAX_OCTETS 998 /* RFC 5322 section 2.1.1 */
#define HOPS_MAX 100        /* RFC 5321 section 6.3 */

/* The fields that we know, and to which messages the dropping applies. */
enum known { KNOWN_NONE, KNOWN_FROM, KNOWN_DATE, KNOWN_MESSAGE_ID, KNOWN_RECEIVED };
static const struct rule {
    struct span name;
    enum known known;
    bool drop, drop_from_submission;
} rules[] = {
    { { "Received", 8 }, KNOWN_RECEIVED, false, false },
    { { "From", 4 }, KNOWN_FROM, false, false },
    { { "Date", 4 }, KNOWN_DATE, false, false },
    { { "Message-ID", 10 }, KNOWN_MESSAGE_ID, false, false },
    { { "Return-Path", 11 }, KNOWN_NONE, true, true }, /* RFC 5321 section 4.4: only the last server writes it */
    { { "Bcc", 3 }, KNOWN_NONE, false, true },         /* RFC 5322 section 3.6.3 */
    { { "Resent-Bcc", 10 }, KNOWN_NONE, false, true },
};

struct walk {
    struct intake *intake;
    const struct intake_facts *facts;
    bool repair;              /* a submitted message */
    size_t kept;              /* everything before is in a piece, or dropped */
    struct header_field from;
    unsigned from_count;
    bool has_date, has_message_id;
};

static size_t offset_of(const struct walk *walk, const char *p) { return (size_t)(p - walk->intake->bytes.p); }

static enum status piece_add(struct intake *intake, struct span piece)
{
    if (piece.n == 0)
        return STATUS_OK;
    if (intake->piece_count == INTAKE_PIECES_MAX)
        return intake_refuse(intake, STATUS_DENIED, 554, STATUS_CODE(5, 6, 0),
                             "The header has too many Return-Path or Bcc fields");
    intake->pieces[intake->piece_count++] = piece;
    return STATUS_OK;
}

/* Leaves `gone` out: what stands before it becomes a piece. */
static enum status drop(struct walk *walk, struct span gone)
{
    size_t at = offset_of(walk, gone.p);
    enum status status = piece_add(walk->intake, span_of(walk->intake->bytes.p + walk->kept, at - walk->kept));
    walk->kept = at + gone.n;
    return status;
}

static const struct rule *rule_of(const struct header_field *field)
{
    for (size_t i = 0; i < ARRAY_LEN(rules); i++)
        if (header_is(field, rules[i].name))
            return &rules[i];
    return NULL;
}

static bool is_blank(struct span value)
{
    char first;
    return header_unfold(value, &first, 1).n == 0;
}

/* A field that says nothing counts as missing, so that a good one can be put in its place. */
static enum status one_of(struct walk *walk, const struct header_field *field, bool *has)
{
    if (walk->repair && is_blank(field->value))
        return drop(walk, field->all);
    *has = true;
    return STATUS_OK;
}

static enum status on_field(struct walk *walk, const struct header_field *field)
{
    const struct rule *rule = rule_of(field);
    if (!rule)
        return STATUS_OK;
    if (rule->drop || (rule->drop_from_submission && walk->repair))
        return drop(walk, field->all);
    switch (rule->known) {
    case KNOWN_RECEIVED: walk->intake->hops++; return STATUS_OK;
    case KNOWN_DATE: return one_of(walk, field, &walk->has_date);
    case KNOWN_MESSAGE_ID: return one_of(walk, field, &walk->has_message_id);
    case KNOWN_FROM:
        walk->from = *field;
        walk->from_count++;
        return STATUS_OK;
    case KNOWN_NONE: break;
    }
    return STATUS_OK;
}

static enum status trace_add(struct intake *intake, const struct intake_facts *facts)
{
    struct span recipient = intake->recipient_count == 1 ? intake_recipient_of(intake, 0) : SPAN_NONE;
    if (facts->is_report)
        return STATUS_OK;
    return received_write(&(struct received){
        .helo = facts->helo, .client_address = facts->client_address, .client_name = facts->client_name,
        .local_user = facts->local_user, .local_uid = facts->local_uid, .hide_client = facts->hide_client, .hostname = facts->hostname, .with = facts->protocol,
        .tls_version = facts->tls_version, .tls_cipher = facts->tls_cipher, .tls_bits = facts->tls_bits,
        .id = facts->id, .recipient = recipient, .now_wall_ms = facts->now_wall_ms,
    }, &intake->added);
}

/* Once the fields are known: what is missing in a submitted message (RFC 6409 sections 6.1, 8.2 and 8.3). Whether the
 * From: field goes turns out only now, when pieces behind it may exist already: drop_from() cuts it out. */
static enum status repair(struct walk *walk, bool *ret_drop_from)
{
    char date[DATE_TEXT_SIZE];
    struct buf *added = &walk->intake->added;
    if (!walk->has_date)
        buf_printf(added, "Date: %s\r\n", date_text(walk->facts->now_wall_ms, date));
    if (!walk->has_message_id) {
        buf_add(added, SPAN("Message-ID: "));
        message_id_write(walk->facts->id, walk->facts->hostname, added);
        buf_add(added, SPAN("\r\n"));
    }
    return intake_from_check(walk->intake, walk->facts, walk->from.value, walk->from_count, ret_drop_from);
}

static enum status walk_fields(struct walk *walk, struct span header)
{
    struct header_field field;
    while (header_next(&header, &field)) {
        enum status status = on_field(walk, &field);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

/* Cuts the piece that holds the From: field in two, around it. */
static enum status drop_from(struct walk *walk)
{
    struct intake *intake = walk->intake;
    struct span old[INTAKE_PIECES_MAX], gone = walk->from.all;
    size_t count = intake->piece_count;
    memcpy(old, intake->pieces, count * sizeof *old);
    intake->piece_count = 0;
    for (size_t i = 0; i < count; i++) {
        bool holds = gone.p >= old[i].p && gone.p < old[i].p + old[i].n;
        size_t before = holds ? (size_t)(gone.p - old[i].p) : old[i].n;
        enum status status = piece_add(intake, span_head(old[i], before));
        if (status == STATUS_OK && holds)
            status = piece_add(intake, span_from(old[i], before + gone.n));
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

/* The rest behind the last dropped field. Where a line that is no field ended the header, an empty line goes before
 * it, so that nobody after us reads what stands behind as more header. */
static enum status pieces_finish(struct walk *walk, size_t header, size_t body)
{
    struct intake *intake = walk->intake;
    struct span bytes = buf_span(&intake->bytes);
    if (body > header)
        return piece_add(intake, span_from(bytes, walk->kept));
    enum status status = piece_add(intake, span_from(span_head(bytes, header), walk->kept));
    if (status == STATUS_OK)
        status = piece_add(intake, SPAN("\r\n"));
    return status == STATUS_OK ? piece_add(intake, span_from(bytes, header)) : status;
}

/* Octets of a line "From anna Mon ..." or ">From ..." that programs reading mailbox files leave in front. */
static size_t mailbox_line(struct span bytes)
{
    struct header_field field;
    struct span rest = bytes;
    if ((!span_starts(bytes, SPAN("From ")) && !span_starts(bytes, SPAN(">From "))) || header_next(&rest, &field))
        return 0;
    size_t end = span_find_span(bytes, SPAN("\r\n"));
    return end < bytes.n ? end + 2 : 0;
}

static enum status header_edges(struct intake *intake, size_t skip, size_t *ret_header, size_t *ret_body)
{
    struct span bytes = span_from(buf_span(&intake->bytes), skip);
    enum status status = header_measure(bytes, HEADER_MAX, ret_header, ret_body);
    /* Of a big message only the beginning is here: its header must have ended in it. */
    bool open = intake->is_big && *ret_body == *ret_header
                && span_find_span(span_from(bytes, *ret_header), SPAN("\r\n")) == bytes.n - *ret_header;
    if (status != STATUS_OK || open)
        return intake_refuse(intake, STATUS_TOO_LONG, 552, STATUS_CODE(5, 3, 4), "The header of the message is too large");
    *ret_header += skip;
    *ret_body += skip;
    return STATUS_OK;
}

enum status intake_header(struct intake *intake, const struct intake_facts *facts)
{
    struct walk walk = { .intake = intake, .facts = facts, .repair = facts->submission && !facts->is_report };
    size_t header = 0, body = 0, skip = walk.repair ? mailbox_line(buf_span(&intake->bytes)) : 0;
    bool from_goes = false;
    uint32_t most = facts->max_hops ? facts->max_hops : HOPS_MAX;
    walk.kept = skip;
    enum status status = header_edges(intake, skip, &header, &body);
    if (status == STATUS_OK)
        status = trace_add(intake, facts);
    if (status == STATUS_OK)
        status = walk_fields(&walk, span_from(span_head(buf_span(&intake->bytes), header), skip));
    if (status == STATUS_OK && intake->hops > most && !facts->is_report)
        return intake_refuse(intake, STATUS_DENIED, 554, STATUS_CODE(5, 4, 6),
                             "The message passed %u servers already: it goes round in circles", intake->hops);
    if (status == STATUS_OK && walk.repair)
        status = repair(&walk, &from_goes);
    if (status == STATUS_OK)
        status = pieces_finish(&walk, header, body);
    if (status == STATUS_OK && from_goes)
        status = drop_from(&walk);
    if (intake->added.failed)
        return intake_no_memory(intake);
    if (status != STATUS_OK)
        return status;
    intake->octets = intake->added.n;
    intake->flags |= span_is_ascii(buf_span(&intake->added)) ? 0u : SPOOL_8BIT;
    for (size_t i = 0; i < intake->piece_count; i++)
        intake_scan(intake, intake->pieces[i]);
    return STATUS_OK;
}

static void line_part(struct intake *intake, struct span part, bool ends)
{
    if (intake->at_line_start && part.n && part.p[0] == '.')
        intake->flags |= SPOOL_LEADING_DOTS;
    intake->line += part.n;
    if (intake->line > LINE_MAX_OCTETS + 2)
        intake->flags |= SPOOL_LONG_LINES;
    intake->at_line_start = ends;
    if (ends)
        intake->line = 0;
}

void intake_scan(struct intake *intake, struct span octets)
{
    intake->octets += octets.n;
    if (!(intake->flags & SPOOL_8BIT) && !span_is_ascii(octets))
        intake->flags |= SPOOL_8BIT;
    while (octets.n) {
        size_t lf = span_find(octets, '\n');
        bool ends = lf < octets.n;
        line_part(intake, span_head(octets, lf + ends), ends);
        octets = span_from(octets, lf + ends);
    }
}
