/* Every message between processes, as octets from anywhere: what is read of it lies inside it, and written again it is the
 * same octets. First octet: which of them. */
#include "fuzz.h"
#include "wire/directory_share.h"
#include "wire/queue_delivery.h"
#include "wire/queue_directory.h"
#include "wire/smtpd_directory.h"
#include "wire/smtpd_queue.h"
#include "wire/supervisor.h"

static struct span body; /* what is being read */

static void inside(struct span span)
{
    require(span.n == 0 || (span.p >= body.p && span.p + span.n <= body.p + body.n));
}

static void same(struct buf *again)
{
    require(!again->failed && span_eq(buf_span(again), body));
}

/* Reads a `type` and, when it is one, writes it again; its texts are looked at in between. */
#define WORD(type, ...)                                                 \
    static void word_##type(struct buf *again)                          \
    {                                                                   \
        static struct type value;                                       \
        if (!type##_get(body, &value))                                  \
            return;                                                     \
        const struct span texts[] = { SPAN_NONE, __VA_ARGS__ };         \
        for (size_t i = 0; i < ARRAY_LEN(texts); i++)                   \
            inside(texts[i]);                                           \
        type##_put(again, &value);                                      \
        same(again);                                                    \
    }

WORD(queue_welcome)
WORD(queue_segment)
WORD(queue_body)
WORD(queue_state, value.reason)
WORD(writer_sealed)
WORD(writer_need_body)
WORD(writer_drop_body)
WORD(writer_enqueue, value.account, value.sender, value.recipients)
WORD(lease_segment)
WORD(lease_segment_gone)
WORD(lease_body)
WORD(lease_body_gone)
WORD(lease_resolve, value.domain, value.route)
WORD(lease_grant, value.site, value.domain, value.route)
WORD(lease_settled)
WORD(lease_credit)
WORD(lease_resolved, value.site, value.text)
WORD(lease_outcome, value.host, value.address, value.tls, value.recipients)
WORD(lease_held, value.site)
WORD(lease_returned)
WORD(ask_auth_start, value.mechanism, value.initial, value.client, value.exporter, value.unique, value.end_point)
WORD(ask_auth_next, value.response)
WORD(ask_cancel)
WORD(ask_may_send, value.account, value.addresses[0], value.addresses[value.count - 1])
WORD(ask_is_recipient, value.address)
WORD(tell_challenge, value.challenge)
WORD(tell_auth, value.account, value.text)
WORD(tell_verdict, value.text)
WORD(tell_mechanisms, value.names)
WORD(supervisor_settings, value.file, value.text)
WORD(supervisor_listener)
WORD(supervisor_peer)
WORD(supervisor_tickets)
WORD(supervisor_failed, value.text)
WORD(supervisor_who)
WORD(supervisor_who_is, value.name, value.cgroup)
WORD(backlog_levels, value.entries)
WORD(backlog_stay, value.entries)
WORD(backlog_notice, value.text)
WORD(ask_count, value.account, value.address)
WORD(ask_undo, value.account)
WORD(tell_count)
WORD(tell_counted, value.text)

/* The packed lists: read one after the other to the end, or to the first that is none. */
static void writer_recipients(struct buf *again)
{
    struct wire_reader reader = wire_read(body);
    struct writer_recipient one;
    while (reader.left.n && writer_recipient_get(&reader, &one)) {
        inside(one.address);
        require(one.address.n <= WIRE_ADDRESS_MAX);
        writer_recipient_put(again, &one);
    }
    require(span_starts(body, buf_span(again)));
}

static void outcome_recipients(struct buf *again)
{
    struct wire_reader reader = wire_read(body);
    struct outcome_recipient one;
    while (reader.left.n && outcome_recipient_get(&reader, &one)) {
        inside(one.text);
        require(one.text.n <= WIRE_REPLY_MAX);
        outcome_recipient_put(again, &one);
    }
    require(span_starts(body, buf_span(again)));
}

static void levels(struct buf *again)
{
    struct wire_reader reader = wire_read(body);
    struct backlog_level one;
    while (reader.left.n && backlog_level_get(&reader, &one)) {
        inside(one.account);
        require(one.account.n > 0 && one.account.n <= WIRE_BACKLOG_NAME_MAX);
        backlog_level_put(again, &one);
    }
    require(span_starts(body, buf_span(again)));
}

static void stayers(struct buf *again)
{
    struct wire_reader reader = wire_read(body);
    struct backlog_stayer one;
    while (reader.left.n && backlog_stayer_get(&reader, &one)) {
        inside(one.account);
        inside(one.why);
        require(one.account.n > 0 && one.why.n <= WIRE_STAY_WHY_MAX);
        backlog_stayer_put(again, &one);
    }
    require(span_starts(body, buf_span(again)));
}

static void shared(struct buf *again)
{
    struct wire_reader reader = wire_read(body);
    struct share_other one;
    while (reader.left.n && share_other_get(&reader, &one)) {
        inside(one.machine);
        inside(one.node.key);
        inside(one.node.value);
        require(one.machine.n > 0 && one.node.key.n > 0 && one.node.value.n <= WIRE_SHARE_VALUE_MAX);
        share_other_put(again, &one);
    }
    require(span_starts(body, buf_span(again)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const words[])(struct buf *again) = {
        word_queue_welcome, word_queue_segment, word_queue_body, word_queue_state, word_writer_sealed, word_writer_need_body,
        word_writer_drop_body, word_writer_enqueue, word_lease_segment, word_lease_segment_gone, word_lease_body,
        word_lease_body_gone, word_lease_resolve, word_lease_grant, word_lease_settled, word_lease_credit, word_lease_resolved,
        word_lease_outcome, word_lease_held, word_lease_returned, word_ask_auth_start, word_ask_auth_next, word_ask_cancel,
        word_ask_may_send, word_ask_is_recipient, word_tell_challenge, word_tell_auth, word_tell_verdict,
        word_tell_mechanisms, word_supervisor_settings, word_supervisor_listener, word_supervisor_peer,
        word_supervisor_tickets, word_supervisor_failed, writer_recipients, outcome_recipients, word_supervisor_who,
        word_supervisor_who_is, word_backlog_levels, word_backlog_stay, levels, stayers,
        word_ask_count, word_ask_undo, word_tell_count, word_tell_counted, word_backlog_notice, shared,
    };
    struct choices choices = choices_of(data, size);
    uint8_t which = choose_below(&choices, ARRAY_LEN(words));
    AUTO(buf_done) struct buf again = BUF_EMPTY((size_t)1 << 20);
    body = fuzz_exact(choices.left);
    words[which](&again);
    free((void *)(uintptr_t)body.p);
    return 0;
}
