/* Every word between processes: there and back, and every shorter prefix is refused. */
#include "wire/directory_share.h"
#include "wire/queue_delivery.h"
#include "wire/smtpd_directory.h"
#include "wire/smtpd_queue.h"
#include "wire/supervisor.h"
#include "test.h"

/* Decodes each prefix of `body`; only the whole may be taken. `open_ended`: the tail is a packed list. */
#define CHECK_PREFIXES(type, body, open_ended)                                             \
    do {                                                                                   \
        static struct type scratch;                                                        \
        for (size_t cut = 0; cut < (body).n && !(open_ended); cut++)                       \
            assert_false(type##_get(span_head((body), cut), &scratch));                    \
    } while (0)

static void test_grant(void **state)
{
    static struct lease_grant grant, back;
    grant = (struct lease_grant){ .lease = 9, .id = 77, .segment = 3, .offset = 4096, .length = 5000, .body = 2,
                                  .attempt = 4, .connections = 20, .site = SPAN("mx:a b"), .domain = SPAN("example.org"),
                                  .route = SPAN(""), .recipient_count = 3, .recipients = { 0, 5, 70000 } };
    AUTO(buf_done) struct buf buf = BUF_EMPTY(10000);
    lease_grant_put(&buf, &grant);
    assert_true(lease_grant_get(buf_span(&buf), &back));
    assert_true(back.lease == 9 && back.id == 77 && back.segment == 3 && back.offset == 4096 && back.length == 5000);
    assert_true(back.body == 2 && back.attempt == 4 && back.connections == 20 && back.recipients[2] == 70000);
    assert_span(back.site, "mx:a b");
    assert_span(back.domain, "example.org");
    CHECK_PREFIXES(lease_grant, buf_span(&buf), false);
}

static void test_held(void **state)
{
    static struct lease_held held, back;
    held = (struct lease_held){ .lease = LEASE_HELD_BIT | 4, .id = 77, .attempt = 2, .site = SPAN("mx:a b"),
                                .recipient_count = 2, .recipients = { 5, 70000 } };
    AUTO(buf_done) struct buf buf = BUF_EMPTY(10000);
    lease_held_put(&buf, &held);
    assert_true(lease_held_get(buf_span(&buf), &back));
    assert_true(back.lease == held.lease && back.id == 77 && back.attempt == 2 && back.recipients[1] == 70000);
    assert_span(back.site, "mx:a b");
    CHECK_PREFIXES(lease_held, buf_span(&buf), false);
    held.lease = 4; /* queue's own */
    buf_clear(&buf);
    lease_held_put(&buf, &held);
    assert_false(lease_held_get(buf_span(&buf), &back));

    buf_clear(&buf);
    struct lease_returned returned = { 9 };
    lease_returned_put(&buf, &returned);
    assert_true(lease_returned_get(buf_span(&buf), &returned) && returned.lease == 9);
    CHECK_PREFIXES(lease_returned, buf_span(&buf), false);
    buf_clear(&buf);
    struct lease_settled settled = { 8 };
    lease_settled_put(&buf, &settled);
    assert_true(lease_settled_get(buf_span(&buf), &settled) && settled.outcomes == 8);
    CHECK_PREFIXES(lease_settled, buf_span(&buf), false);
}

static void test_enqueue(void **state)
{
    AUTO(buf_done) struct buf packed = BUF_EMPTY(10000), buf = BUF_EMPTY(10000);
    writer_recipient_put(&packed, &(struct writer_recipient){ NOTIFY_FAILURE | NOTIFY_DELAY, SPAN("a@example.org") });
    writer_recipient_put(&packed, &(struct writer_recipient){ NOTIFY_DELAY, SPAN("b@example.org"), 3600 });
    struct writer_enqueue enqueue = { .id = 1, .segment = 2, .offset = 3, .length = 4, .flags = ENQUEUE_UTF8,
                                      .octets = 5, .accepted_wall_ms = -6, .account = SPAN("anna"), .sender = SPAN(""),
                                      .recipient_count = 2, .recipients = buf_span(&packed) }, back;
    writer_enqueue_put(&buf, &enqueue);
    assert_true(writer_enqueue_get(buf_span(&buf), &back));
    assert_true(back.accepted_wall_ms == -6 && back.flags == ENQUEUE_UTF8 && back.recipient_count == 2);
    struct wire_reader reader = wire_read(back.recipients);
    struct writer_recipient recipient;
    assert_true(writer_recipient_get(&reader, &recipient));
    assert_span(recipient.address, "a@example.org");
    assert_int_equal(recipient.notify, NOTIFY_FAILURE | NOTIFY_DELAY);
    assert_int_equal(recipient.wait_s, 0);
    assert_true(writer_recipient_get(&reader, &recipient));
    assert_int_equal(recipient.notify, NOTIFY_DELAY);
    assert_int_equal(recipient.wait_s, 3600);
    assert_true(wire_end(&reader));
    assert_false(writer_recipient_get(&reader, &recipient));
}

static void test_outcome(void **state)
{
    AUTO(buf_done) struct buf packed = BUF_EMPTY(10000), buf = BUF_EMPTY(10000);
    outcome_recipient_put(&packed, &(struct outcome_recipient){ 8, OUTCOME_FAILED, 550, { 5, 1, 1 }, SPAN("no such user") });
    struct lease_outcome outcome = { .lease = 1, .trouble = TROUBLE_BUSY, .host = SPAN("mx"), .address = SPAN("[::1]:25"),
                                     .tls = SPAN(""), .recipient_count = 1, .recipients = buf_span(&packed) }, back;
    lease_outcome_put(&buf, &outcome);
    assert_true(lease_outcome_get(buf_span(&buf), &back));
    struct wire_reader reader = wire_read(back.recipients);
    struct outcome_recipient recipient;
    assert_true(outcome_recipient_get(&reader, &recipient));
    assert_true(recipient.index == 8 && recipient.code == 550 && recipient.enhanced[1] == 1);
    assert_span(recipient.text, "no such user");
    assert_span(back.address, "[::1]:25");
}

static void test_questions(void **state)
{
    AUTO(buf_done) struct buf buf = BUF_EMPTY(10000);
    static struct ask_may_send ask, back;
    ask = (struct ask_may_send){ .token = 5, .account = SPAN("anna"), .which = MAY_SEND_HEADER, .count = 2,
                                 .addresses = { SPAN("a@b"), SPAN("c@d") } };
    ask_may_send_put(&buf, &ask);
    assert_true(ask_may_send_get(buf_span(&buf), &back));
    assert_span(back.addresses[1], "c@d");
    CHECK_PREFIXES(ask_may_send, buf_span(&buf), false);

    buf_clear(&buf);
    struct ask_auth_start start = { .token = 1, .mechanism = SPAN("PLAIN"), .has_initial = 1,
                                    .initial = SPAN("\0anna\0secret"), .client = SPAN("192.0.2.1"), .tls = 1 }, heard;
    ask_auth_start_put(&buf, &start);
    assert_true(ask_auth_start_get(buf_span(&buf), &heard));
    assert_int_equal(heard.initial.n, 12);
    CHECK_PREFIXES(ask_auth_start, buf_span(&buf), false);
}

static void test_signatures(void **state)
{
    AUTO(buf_done) struct buf buf = BUF_EMPTY(10000);
    struct ask_sign ask = { .token = 6, .key = SPAN("0123456789abcdef0123456789abcdef"), .scheme = 0x0403, .content = SPAN("to sign") }, heard;
    ask_sign_put(&buf, &ask);
    assert_true(ask_sign_get(buf_span(&buf), &heard));
    assert_true(heard.token == 6 && heard.scheme == 0x0403 && span_eq(heard.key, ask.key) && span_eq(heard.content, ask.content));
    CHECK_PREFIXES(ask_sign, buf_span(&buf), false);
    buf_clear(&buf);
    ask.key = SPAN("0123456789abcdef0123456789abcde"); /* an octet short */
    ask_sign_put(&buf, &ask);
    assert_false(ask_sign_get(buf_span(&buf), &heard));

    buf_clear(&buf);
    struct tell_signature tell = { .token = 6, .result = SIGN_OK, .signature = SPAN("signed") }, told;
    tell_signature_put(&buf, &tell);
    assert_true(tell_signature_get(buf_span(&buf), &told) && told.token == 6 && told.signature.n == 6);
    CHECK_PREFIXES(tell_signature, buf_span(&buf), false);
}

static void test_settings(void **state)
{
    AUTO(buf_done) struct buf buf = BUF_EMPTY(10000);
    static struct supervisor_settings settings, back;
    settings = (struct supervisor_settings){ .number = 1, .count = 2, .file = SPAN("/etc/goniec.conf"),
        .text = SPAN("hostname: a"), .blob_count = 1, .blobs = { { SPAN("/etc/key"), SPAN("secret\0") } } };
    supervisor_settings_put(&buf, &settings);
    assert_true(supervisor_settings_get(buf_span(&buf), &back));
    assert_int_equal(supervisor_settings_blob(&back, SPAN("/etc/key")).n, 7);
    assert_null(supervisor_settings_blob(&back, SPAN("/etc/other")).p);
    CHECK_PREFIXES(supervisor_settings, buf_span(&buf), false);
    enum role role;
    for (unsigned i = 0; i < ROLE_COUNT; i++) {
        assert_true(role_parse(span_str(role_name((enum role)i)), &role));
        assert_int_equal(role, i);
    }
    assert_false(role_parse(SPAN("root"), &role));
}

static void test_who(void **state)
{
    AUTO(buf_done) struct buf buf = BUF_EMPTY(10000);
    struct supervisor_who who = { 7, 1001, 4242 }, asked;
    struct supervisor_who_is is = { 7, SPAN("www1"), SPAN("/shop") }, told;
    supervisor_who_put(&buf, &who);
    assert_true(supervisor_who_get(buf_span(&buf), &asked));
    assert_true(asked.token == 7 && asked.uid == 1001 && asked.pid == 4242);
    CHECK_PREFIXES(supervisor_who, buf_span(&buf), false);
    buf_clear(&buf);
    supervisor_who_is_put(&buf, &is);
    assert_true(supervisor_who_is_get(buf_span(&buf), &told));
    assert_span(told.name, "www1");
    assert_span(told.cgroup, "/shop");
    CHECK_PREFIXES(supervisor_who_is, buf_span(&buf), false);
}

static void test_shared(void **state)
{
    AUTO(buf_done) struct buf entries = BUF_EMPTY(10000), buf = BUF_EMPTY(10000);
    struct share_other other = { SPAN("mx1"), 77, { SPAN("\1anna"), SPAN("windows") } }, back;
    struct share_nodes nodes;
    share_other_put(&entries, &other);
    share_nodes_put(&buf, &(struct share_nodes){ true, 1, buf_span(&entries) });
    assert_true(share_nodes_get(buf_span(&buf), &nodes));
    assert_true(nodes.more && nodes.count == 1);
    struct wire_reader reader = wire_read(nodes.entries);
    assert_true(share_other_get(&reader, &back) && wire_end(&reader));
    assert_span(back.machine, "mx1");
    assert_span(back.node.key, "\1anna");
    assert_span(back.node.value, "windows");
    assert_int_equal(back.age_ms, 77);
    for (size_t n = 0; n < nodes.entries.n; n++) {
        reader = wire_read(span_head(nodes.entries, n));
        assert_false(share_other_get(&reader, &back));
    }
    buf_clear(&buf);
    share_nodes_put(&buf, &(struct share_nodes){ false, WIRE_SHARE_NODES_MAX + 1, SPAN_NONE });
    assert_false(share_nodes_get(buf_span(&buf), &nodes));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_grant), cmocka_unit_test(test_held), cmocka_unit_test(test_enqueue),
                                        cmocka_unit_test(test_outcome), cmocka_unit_test(test_questions), cmocka_unit_test(test_signatures),
                                        cmocka_unit_test(test_settings), cmocka_unit_test(test_who), cmocka_unit_test(test_shared) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
