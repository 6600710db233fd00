/* The process smtpd under people who mean it no good, or are only too many. */
#include "smtpd/session_priv.h"
#include "smtpd_house.h"

#define LOGIN "AUTH PLAIN AGFubmEAc2VjcmV0\r\n"

/* What comes is too little, though it never stops. */
static void test_slow_sender(void **state)
{
    static struct house house;
    struct guest guest;
    house_begin(&house, "smtpd: { minimum-rate: 100KiB, minimum-rate-after: 1s }");
    relay_begin(&guest, &house);
    guest_talks(&guest, &house, "MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n", "354 ");
    drip(&guest, &house, "x\r\n", "421 4.4.2 The message comes too slowly");
    guest_sees_close(&guest, &house);
    guest_end(&guest);
    house_end(&house);
}

/* A stranger who does not wait for the greeting is no mail server; those we know need not wait. */
static void test_greeting_delay(void **state)
{
    static struct house house;
    struct guest guest;
    house_begin(&house, "smtpd: { greeting-delay: 30s }\nrelay: { networks: [192.0.2.1] }");
    guest_begin(&guest, &house, 2);
    guest_talks(&guest, &house, "EHLO early.example\r\n", "554 You spoke before the greeting");
    guest_sees_close(&guest, &house);
    guest_end(&guest);
    guest_begin(&guest, &house, 0); /* a submission listener */
    guest_hears(&guest, &house, "220 ");
    guest_end(&guest);
    guest_begin(&guest, &house, 3);
    guest_talks(&guest, &house, "PROXY TCP4 192.0.2.1 192.0.2.7 4242 25\r\n", "220 ");
    guest_end(&guest);
    house_end(&house);
    house_begin(&house, "smtpd: { greeting-delay: 1s }\nrelay: { networks: [] }");
    guest_begin(&guest, &house, 2);
    guest_hears(&guest, &house, "220 ");
    guest_end(&guest);
    house_end(&house);
}

/* Who begins a handshake and says no more is waited for a while; others of the same address, not at all. */
static void test_handshakes(void **state)
{
    static struct house house;
    struct guest silent, other;
    house_begin(&house, "smtpd: { max-handshakes-per-address: 1, handshake: 2s }\nrelay: { networks: [] }");
    guest_begin(&silent, &house, 1);
    guest_begin(&other, &house, 1);
    guest_sees_close(&other, &house);
    guest_end(&other);
    guest_begin(&other, &house, 0);
    guest_talks(&other, &house, "EHLO a.example\r\n", "STARTTLS\r\n");
    guest_talks(&other, &house, "STARTTLS\r\n", "421 4.7.0 Too many TLS handshakes at a time");
    guest_sees_close(&other, &house);
    guest_end(&other);
    guest_sees_close(&silent, &house); /* its time is over */
    guest_end(&silent);
    guest_begin(&other, &house, 1);
    guest_tls(&other, &house);
    guest_hears(&other, &house, "220 ");
    guest_end(&other);
    house_end(&house);
}

/* Nobody keeps all places by handshakes that he does not end. */
static void test_handshakes_make_room(void **state)
{
    static struct house house;
    struct guest silent, other = { 0 };
    house_begin(&house, "smtpd: { max-handshakes: 1, handshake: 10min }");
    guest_begin(&silent, &house, 1);
    while (!silent.closed) { /* the first tries come too early */
        guest_begin(&other, &house, 1);
        while (!other.closed && !silent.closed)
            house_turn(&house);
        if (!silent.closed)
            guest_end(&other);
    }
    guest_tls(&other, &house);
    guest_hears(&other, &house, "220 ");
    guest_end(&other);
    guest_end(&silent);
    house_end(&house);
}

/* Sessions take half of the memory; who has none yet is told so, and finds room when somebody goes. */
static void test_memory_for_sessions(void **state)
{
    enum { FIT = 128 }; /* 4 KiB each */
    static struct house house;
    static struct guest guests[FIT + 1];
    house_begin(&house, "smtpd: { max-memory: 1MiB }");
    for (unsigned i = 0; i <= FIT; i++) {
        guest_begin(&guests[i], &house, 2);
        guest_hears(&guests[i], &house, i < FIT ? "220 " : "421 4.3.1 mx.example.org No memory for more clients");
    }
    guest_sees_close(&guests[FIT], &house);
    guest_talks(&guests[0], &house, "EHLO a.example\r\n", "250 HELP\r\n");
    guest_talks(&guests[0], &house, "MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n", "354 ");
    guest_talks(&guests[0], &house, "x: y\r\n\r\nx\r\n.\r\nQUIT\r\n", "221 "); /* there is room for mail */
    guest_sees_close(&guests[0], &house);
    guest_end(&guests[FIT]);
    guest_begin(&guests[FIT], &house, 2);
    guest_hears(&guests[FIT], &house, "220 ");
    for (unsigned i = 0; i <= FIT; i++)
        guest_end(&guests[i]);
    house_end(&house);
}

/* When there is hardly any room, strangers who say nothing go before those who have logged in. */
static void test_crowd(void **state)
{
    static struct house house;
    struct guest known, strangers[3];
    house_begin(&house, "smtpd: { max-connections: 4, idle: 1h, crowded-idle: 1s, login-without-tls: true }");
    guest_begin(&known, &house, 0);
    guest_hears(&known, &house, "220 ");
    guest_talks(&known, &house, "EHLO a.example\r\n", "250 HELP\r\n");
    guest_talks(&known, &house, LOGIN, "235 ");
    for (unsigned i = 0; i < 3; i++) {
        guest_begin(&strangers[i], &house, 0);
        guest_hears(&strangers[i], &house, "220 ");
    }
    for (unsigned i = 0; i < 2; i++) { /* two gone, two left: no crowd any more */
        guest_hears(&strangers[i], &house, "421 4.4.2 Nothing came for too long");
        guest_sees_close(&strangers[i], &house);
    }
    guest_talks(&known, &house, "NOOP\r\n", "250 ");
    for (unsigned i = 0; i < 3; i++)
        guest_end(&strangers[i]);
    guest_end(&known);
    house_end(&house);
}

/* However many strangers are refused, the log does not grow with them; those we know are always told of. */
static void test_log_of_strangers(void **state)
{
    static struct smtpd smtpd;
    struct log log;
    smtpd = (struct smtpd){ .loop = loop_new(), .log = &log };
    log_init(&log, -1, "smtpd", LOG_INFO);
    load_init(&smtpd);
    struct session stranger = { .smtpd = &smtpd }, known = { .smtpd = &smtpd, .account = (char[]){ "anna" }, .account_n = 4 };
    for (unsigned i = 0; i < 3 * LOAD_LINES; i++) {
        assert_int_equal(load_may_tell(&stranger), i < LOAD_LINES);
        assert_true(load_may_tell(&known));
    }
    assert_int_equal(smtpd.load.unsaid, 2 * LOAD_LINES);
    load_done(&smtpd);
    assert_true(load_may_tell(&stranger)); /* after it has been summed up */
    load_done(&smtpd);
    log_done(&log);
    loop_free(smtpd.loop);
}

/* auto is a part of what the machine has; what is set is what holds. */
static void test_memory_by_machine(void **state)
{
    static const struct { int64_t set; uint64_t machine; unsigned processes; uint64_t most; } rows[] = {
        { 0, (uint64_t)8 << 30, 2, (uint64_t)1 << 30 },
        { 0, (uint64_t)1 << 30, 2, (uint64_t)128 << 20 },
        { 0, (uint64_t)256 << 30, 4, (uint64_t)1 << 30 },
        { 0, (uint64_t)64 << 20, 4, (uint64_t)16 << 20 },
        { 0, 0, 2, (uint64_t)256 << 20 },
        { 5 << 20, (uint64_t)8 << 30, 2, (uint64_t)5 << 20 },
        { 1, (uint64_t)8 << 30, 2, (uint64_t)1 << 20 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct smtpd_settings settings = { .max_memory = rows[i].set };
        assert_true(smtpd_settings_memory(&settings, rows[i].machine, rows[i].processes) == rows[i].most);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slow_sender),
        cmocka_unit_test(test_greeting_delay),
        cmocka_unit_test(test_handshakes),
        cmocka_unit_test(test_handshakes_make_room),
        cmocka_unit_test(test_memory_for_sessions),
        cmocka_unit_test(test_crowd),
        cmocka_unit_test(test_log_of_strangers),
        cmocka_unit_test(test_memory_by_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
