/* The process queue in a child, and a delivery process that went over to the enemy: which leases it may call its own. */
#include "house.h"
#include "wire/queue_delivery.h"

struct outsider {
    struct channel *channel;
    bool closed, settled;
};

static void outsider_heard(void *arg, struct channel *channel, struct channel_message *message)
{
    ((struct outsider *)arg)->settled |= message->kind == LEASE_SETTLED;
}

static void outsider_lost(void *arg, struct channel *channel, enum status why) { ((struct outsider *)arg)->closed = true; }

static int peer_send(struct house *house, uint32_t number)
{
    int pair[2];
    AUTO(buf_done) struct buf body = BUF_EMPTY(64);
    assert_int_equal(channel_pair(pair), STATUS_OK);
    supervisor_peer_put(&body, &(struct supervisor_peer){ ROLE_DELIVERY, number, 2, 1 });
    channel_send_fds(house->supervisor, SUPERVISOR_PEER, buf_span(&body), &pair[1], 1);
    close(pair[1]);
    return pair[0];
}

static void outsider_begin(struct outsider *outsider, struct house *house, int fd)
{
    static const struct channel_events outsider_events = { outsider_heard, outsider_lost };
    *outsider = (struct outsider){ 0 };
    outsider->channel = channel_new(house->loop, fd, &outsider_events, outsider);
    assert_non_null(outsider->channel);
}

/* It says that it holds the lease of that message and has delivered it. */
static void claim(struct outsider *outsider, uint64_t id)
{
    static struct lease_held held;
    AUTO(buf_done) struct buf body = BUF_EMPTY(4096), packed = BUF_EMPTY(256), outcome = BUF_EMPTY(4096);
    held = (struct lease_held){ .lease = LEASE_HELD_BIT | 7, .id = id, .attempt = 9, .site = SPAN("mx.example"),
                                .recipient_count = 1 };
    lease_held_put(&body, &held);
    channel_send(outsider->channel, LEASE_HELD, buf_span(&body));
    outcome_recipient_put(&packed, &(struct outcome_recipient){ .result = OUTCOME_DELIVERED });
    lease_outcome_put(&outcome, &(struct lease_outcome){ .lease = held.lease, .recipient_count = 1, .recipients = buf_span(&packed) });
    channel_send(outsider->channel, LEASE_OUTCOME, buf_span(&outcome));
}

static bool is_cut_off(struct house *house, struct outsider *outsider)
{
    for (int64_t until = time_mono_ms() + 60000; !outsider->closed && time_mono_ms() < until;)
        loop_turn(house->loop, 100);
    return outsider->closed;
}

static bool is_believed(struct house *house, struct outsider *outsider)
{
    for (int64_t until = time_mono_ms() + 60000; !outsider->settled && !outsider->closed && time_mono_ms() < until;)
        loop_turn(house->loop, 100);
    return outsider->settled && !outsider->closed;
}

/* Whoever comes later has nothing of the queue before; nor has anybody after his first credit. */
static void test_only_what_was_there_before_holds_leases(void **state)
{
    static struct house house;
    struct outsider late, old;
    char folder[] = "/tmp/goniec-deliveries-XXXXXX";
    assert_non_null(mkdtemp(folder));
    house_prepare(&house, folder, -1);
    int fd = peer_send(&house, 0);
    house_start(&house);
    outsider_begin(&old, &house, fd);
    writer_begin(&house);
    uint64_t id = id_next(&house.ids, time_wall_ms());
    assert_true(takes(&house, id, 4096, 0));
    outsider_begin(&late, &house, peer_send(&house, 1));
    claim(&late, id);
    assert_true(is_cut_off(&house, &late));
    channel_free(late.channel);
    claim(&old, id);
    assert_true(is_believed(&house, &old));
    AUTO(buf_done) struct buf credit = BUF_EMPTY(64);
    lease_credit_put(&credit, &(struct lease_credit){ 0 });
    channel_send(old.channel, LEASE_CREDIT, buf_span(&credit));
    uint64_t other = id_next(&house.ids, time_wall_ms());
    assert_true(takes(&house, other, 8192, 0));
    claim(&old, other);
    assert_true(is_cut_off(&house, &old));
    channel_free(old.channel);
    house_end(&house);
    AUTO(buf_done) struct buf remove = BUF_EMPTY(256);
    buf_printf(&remove, "rm -r %s", folder);
    assert_int_equal(system(buf_cstr(&remove)), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_only_what_was_there_before_holds_leases) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
