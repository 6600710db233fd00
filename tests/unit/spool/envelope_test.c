#include "spool/envelope.h"
#include "test.h"
#include <stdio.h>
#include <stdlib.h>

static struct spool_envelope sample(struct spool_recipient *recipients, uint32_t count)
{
    return (struct spool_envelope){
        .accepted_wall_ms = 1790000000123, .flags = SPOOL_8BIT | SPOOL_SUBMISSION, .ret = SPOOL_RET_HDRS,
        .account = SPAN("anna@example.org"), .sender = SPAN("news@example.org"), .envid = SPAN("QQ314159"),
        .client = SPAN("192.0.2.1"), .helo = SPAN("laptop"), .protocol = SPAN("ESMTPSA"),
        .recipient_count = count, .recipients = recipients,
    };
}

static void round_trip(void **state)
{
    struct spool_recipient two[] = {
        { SPAN("a@example.net"), SPAN("rfc822;a@example.net"), SPOOL_NOTIFY_NEVER },
        { SPAN("b@example.net"), SPAN_NONE, 0, 3600 },
    };
    struct spool_envelope envelope = sample(two, 2), got;
    AUTO(buf_done) struct buf buf = BUF_EMPTY(1u << 20);
    assert_int_equal(spool_envelope_encode(&envelope, &buf), STATUS_OK);
    assert_int_equal(spool_envelope_decode(buf_span(&buf), &got), STATUS_OK);
    assert_int_equal(got.accepted_wall_ms, envelope.accepted_wall_ms);
    assert_int_equal(got.flags, envelope.flags);
    assert_int_equal(got.ret, SPOOL_RET_HDRS);
    assert_true(span_eq(got.account, envelope.account) && span_eq(got.sender, envelope.sender) &&
                span_eq(got.envid, envelope.envid) && span_eq(got.client, envelope.client) &&
                span_eq(got.helo, envelope.helo) && span_eq(got.protocol, envelope.protocol));
    assert_int_equal(got.recipient_count, 2);
    struct spool_recipient first = spool_envelope_recipient(&got, 0), second = spool_envelope_recipient(&got, 1);
    assert_true(span_eq(first.address, two[0].address) && span_eq(first.orcpt, two[0].orcpt));
    assert_int_equal(first.notify, SPOOL_NOTIFY_NEVER);
    assert_true(span_eq(second.address, two[1].address));
    assert_int_equal(second.orcpt.n, 0);
    assert_true(first.wait_s == 0 && second.wait_s == 3600);
    size_t more = buf.n - 4 - 6 - two[1].address.n + 1; /* of its octets, the one that says how many lie behind the texts */
    assert_int_equal(buf.p[more], 4);
    memset(buf.p + buf.n - 4, 0, 4); /* no wait has one form only */
    assert_int_equal(spool_envelope_decode(buf_span(&buf), &got), STATUS_DAMAGED);
    buf.p[buf.n - 4] = 1;
    assert_int_equal(spool_envelope_decode(buf_span(&buf), &got), STATUS_OK);
    buf.p[more] = 3;
    assert_int_equal(spool_envelope_decode(buf_span(&buf), &got), STATUS_DAMAGED);
}

static void ten_thousand_recipients(void **state)
{
    enum { COUNT = 10000 };
    struct spool_recipient *recipients = calloc(COUNT, sizeof *recipients);
    char (*texts)[32] = calloc(COUNT, sizeof *texts);
    for (int i = 0; i < COUNT; i++) {
        snprintf(texts[i], sizeof texts[i], "reader%d@example.net", i);
        recipients[i].address = span_str(texts[i]);
    }
    struct spool_envelope envelope = sample(recipients, COUNT), got;
    AUTO(buf_done) struct buf buf = BUF_EMPTY(4u << 20);
    assert_int_equal(spool_envelope_encode(&envelope, &buf), STATUS_OK);
    assert_int_equal(spool_envelope_decode(buf_span(&buf), &got), STATUS_OK);
    for (unsigned i = 0; i < COUNT; i += 777)
        assert_true(span_eq(spool_envelope_recipient(&got, i).address, recipients[i].address));
    free(recipients);
    free(texts);
}

static void too_long_is_refused(void **state)
{
    static char text[SPOOL_TEXT_MAX + 1];
    struct spool_recipient one = { span_of(text, sizeof text), SPAN_NONE, 0 };
    AUTO(buf_done) struct buf buf = BUF_EMPTY(1u << 20);
    struct spool_envelope envelope = sample(&one, 1);
    assert_int_equal(spool_envelope_encode(&envelope, &buf), STATUS_TOO_LONG);
    one.address.n = SPOOL_TEXT_MAX;
    assert_int_equal(spool_envelope_encode(&envelope, &buf), STATUS_OK);
    envelope.helo = span_of(text, sizeof text);
    assert_int_equal(spool_envelope_encode(&envelope, &buf), STATUS_TOO_LONG);
}

/* Cut off anywhere, or with any octet changed: refused, or still within its own octets. */
static void hostile_octets_stay_inside(void **state)
{
    struct spool_recipient two[] = { { SPAN("a@b"), SPAN("rfc822;a@b"), 0 }, { SPAN("c@d"), SPAN_NONE, 0 } };
    struct spool_envelope envelope = sample(two, 2), got;
    AUTO(buf_done) struct buf buf = BUF_EMPTY(1u << 20);
    assert_int_equal(spool_envelope_encode(&envelope, &buf), STATUS_OK);
    for (size_t n = 0; n < buf.n; n++) {
        char *exact = malloc(n + 1);
        memcpy(exact, buf.p, n);
        assert_int_equal(spool_envelope_decode(span_of(exact, n), &got), STATUS_DAMAGED);
        free(exact);
    }
    for (size_t at = 0; at < buf.n; at++)
        for (unsigned value = 0; value < 256; value += 15) {
            char *exact = malloc(buf.n);
            memcpy(exact, buf.p, buf.n);
            exact[at] = (char)value;
            if (spool_envelope_decode(span_of(exact, buf.n), &got) == STATUS_OK)
                for (uint32_t i = 0; i < got.recipient_count; i++) {
                    struct spool_recipient recipient = spool_envelope_recipient(&got, i);
                    assert_true(recipient.orcpt.p + recipient.orcpt.n <= exact + buf.n);
                }
            free(exact);
        }
}

/* A writer that went over to the enemy: what it stores must not become a second command to another server. */
static void ends_of_lines_are_refused(void **state)
{
    static const char bad[] = "a@b>\r\nRSET";
    for (unsigned i = 0; i < 5; i++) {
        struct spool_recipient one = { SPAN("a@b"), SPAN("rfc822;a@b"), 0 };
        struct spool_envelope envelope = sample(&one, 1), got;
        struct span *const places[] = { &envelope.sender, &envelope.envid, &one.address, &one.orcpt, &envelope.helo };
        AUTO(buf_done) struct buf buf = BUF_EMPTY(1u << 20);
        *places[i] = span_str(bad);
        assert_int_equal(spool_envelope_encode(&envelope, &buf), STATUS_OK);
        assert_int_equal(spool_envelope_decode(buf_span(&buf), &got), i == 4 ? STATUS_OK : STATUS_DAMAGED);
    }
}

/* Nor must its ENVID or ORCPT become a second parameter. */
static void blanks_are_refused_where_parameters_stand(void **state)
{
    for (unsigned i = 0; i < 4; i++) {
        struct spool_recipient one = { SPAN("a@b"), SPAN("rfc822;a@b"), 0 };
        struct spool_envelope envelope = sample(&one, 1), got;
        struct span *const places[] = { &envelope.sender, &one.address, &envelope.envid, &one.orcpt };
        AUTO(buf_done) struct buf buf = BUF_EMPTY(1u << 20);
        *places[i] = SPAN("\"x SIZE=0\"@b");
        assert_int_equal(spool_envelope_encode(&envelope, &buf), STATUS_OK);
        assert_int_equal(spool_envelope_decode(buf_span(&buf), &got), i < 2 ? STATUS_OK : STATUS_DAMAGED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(ten_thousand_recipients),
        cmocka_unit_test(too_long_is_refused),
        cmocka_unit_test(hostile_octets_stay_inside),
        cmocka_unit_test(ends_of_lines_are_refused),
        cmocka_unit_test(blanks_are_refused_where_parameters_stand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
