/* The whole process in a child: sessions over real sockets, with everybody around it played by the test. */
#include "smtpd_house.h"

#define LOGIN "AUTH PLAIN AGFubmEAc2VjcmV0\r\n"
#define QUICK "smtpd: { login-without-tls: true }"
#define TO_RCPT "MAIL FROM:<anna@example.org>\r\nRCPT TO:<k@there.example>\r\n"
#define MESSAGE "From: anna@example.org\r\nSubject: x\r\n\r\nHello\r\n.\r\n"

/* What lies in the segment at the place of the last ENQUEUE. */
static struct span stored(struct house *house, char room[HOUSE_SEGMENT])
{
    ssize_t n = pread(house->segment_fd[house->last.segment], room, house->last.length, house->last.offset);
    assert_int_equal(n, house->last.length);
    return span_of(room, house->last.length);
}


static void test_submission(void **state)
{
    static struct house house;
    static char room[HOUSE_SEGMENT];
    struct guest guest;
    house_begin(&house, QUICK);
    guest_begin(&guest, &house, 0);
    guest_hears(&guest, &house, "220 mx.example.org ESMTP goniec\r\n");
    guest_talks(&guest, &house, "EHLO client.example\r\n", "250 HELP\r\n");
    guest_talks(&guest, &house, "MAIL FROM:<anna@example.org>\r\n", "530 5.7.0 Log in first\r\n");
    guest_talks(&guest, &house, "AUTH PLAIN AGFubmEAd3Jvbmc=\r\n", "535 5.7.8 Wrong login or password\r\n");
    guest_talks(&guest, &house, LOGIN, "235 2.7.0 Logged in\r\n");
    guest_talks(&guest, &house, "MAIL FROM:<bob@example.org>\r\n", "553 5.7.1 not as this one\r\n");
    guest_talks(&guest, &house, TO_RCPT "RCPT TO:<x@y.example> NOTIFY=NEVER\r\nDATA\r\n", "354 ");
    guest_talks(&guest, &house, MESSAGE, "250 2.0.0 Ok: queued as ");
    house_wait(&house, &house.enqueued, 1);
    assert_span(buf_span(&house.sender), "anna@example.org");
    assert_span(buf_span(&house.account), "anna@example.org");
    assert_span(buf_span(&house.recipients), "k@there.example x@y.example");
    struct span record = stored(&house, room);
    assert_true(has(record, "Received: ") && has(record, "Subject: x\r\n") && has(record, "\r\n\r\nHello\r\n"));
    assert_false(has(record, "127.0.0.1)")); /* hide-client */
    /* The author is asked about as well. */
    guest_talks(&guest, &house, "MAIL FROM:<>\r\nRCPT TO:<x@y.example>\r\nDATA\r\n", "354 ");
    guest_talks(&guest, &house, "From: bob@example.org\r\n\r\nx\r\n.\r\n", "550 5.7.1 not as this one\r\n");
    /* By chunks, pipelined, twice. */
    guest_talks(&guest, &house, TO_RCPT "BDAT 33\r\nFrom: anna@example.org\r\n\r\nHi\r\n.\r\nBDAT 0 LAST\r\n", "queued as ");
    guest_talks(&guest, &house, "QUIT\r\n", "221 2.0.0 Goodbye\r\n");
    guest_sees_close(&guest, &house);
    house_wait(&house, &house.enqueued, 2);
    guest_end(&guest);
    house_end(&house);
}

/* What directory was asked a moment ago, in this session and for this login, is not asked again. */
static void test_vouched(void **state)
{
    static struct house house;
    struct guest guest;
    house_begin(&house, QUICK);
    guest_begin(&guest, &house, 0);
    guest_hears(&guest, &house, "220 ");
    guest_talks(&guest, &house, "EHLO c\r\n", "250 HELP\r\n");
    unsigned asked = house.asked;
    guest_talks(&guest, &house, LOGIN, "235 ");
    guest_talks(&guest, &house, TO_RCPT "DATA\r\n", "354 ");
    guest_talks(&guest, &house, MESSAGE, "queued as ");
    if (house.asked > asked + 1) /* a machine that takes a quarter of a second for this much */
        skip();
    /* Not its own address: asked once, for both of them. */
    guest_talks(&guest, &house, "MAIL FROM:<shop@example.org>\r\nRCPT TO:<x@y.example>\r\nDATA\r\n", "354 ");
    asked = house.asked;
    guest_talks(&guest, &house, "From: shop@example.org\r\n\r\nx\r\n.\r\n", "queued as ");
    assert_true(house.asked <= asked + 1);
    /* A no is never a yes, and ends what was vouched for. */
    for (unsigned i = 0; i < 2; i++)
        guest_talks(&guest, &house, "MAIL FROM:<bob@example.org>\r\n", "553 5.7.1 not as this one\r\n");
    asked = house.asked;
    guest_talks(&guest, &house, "MAIL FROM:<anna@example.org>\r\n", "250 ");
    assert_int_equal(house.asked, asked + 1);
    guest_talks(&guest, &house, "RCPT TO:<x@y.example>\r\nDATA\r\n", "354 ");
    /* Its own address vouches for nobody beside it. */
    asked = house.asked;
    guest_talks(&guest, &house, "From: anna@example.org, bob@example.org\r\nSender: anna@example.org\r\n\r\nx\r\n.\r\n", "250 ");
    assert_int_equal(house.asked, asked + 1);
    guest_end(&guest);
    house_end(&house);
}

static void test_tls(void **state)
{
    static struct house house;
    static char room[HOUSE_SEGMENT];
    struct guest guest;
    house_begin(&house, "");
    guest_begin(&guest, &house, 0);
    guest_talks(&guest, &house, "", "ESMTP");
    guest_talks(&guest, &house, "EHLO c\r\n", "250-STARTTLS\r\n");
    guest_talks(&guest, &house, LOGIN, "538 5.7.11 Start TLS first\r\n");
    guest_talks(&guest, &house, "STARTTLS\r\n", "220 2.0.0 Begin TLS\r\n");
    guest_tls(&guest, &house);
    guest_talks(&guest, &house, "EHLO c\r\n", "250-AUTH PLAIN LOGIN\r\n");
    guest_talks(&guest, &house, LOGIN, "235 ");
    guest_talks(&guest, &house, TO_RCPT "DATA\r\n", "354 ");
    guest_talks(&guest, &house, MESSAGE, "queued as ");
    house_wait(&house, &house.enqueued, 1);
    assert_true(has(stored(&house, room), "ESMTPSA"));
    guest_end(&guest);
    guest_begin(&guest, &house, 1);
    guest_tls(&guest, &house);
    guest_hears(&guest, &house, "220 mx.example.org");
    guest_talks(&guest, &house, "EHLO c\r\n", "250-AUTH PLAIN LOGIN\r\n");
    guest_end(&guest);
    /* Octets in clear behind STARTTLS end the session. */
    guest_begin(&guest, &house, 0);
    guest_hears(&guest, &house, "220 ");
    guest_says(&guest, "EHLO c\r\n");
    guest_hears(&guest, &house, "250 HELP\r\n");
    guest_talks(&guest, &house, "STARTTLS\r\nEHLO x\r\n", "503 5.5.1 ");
    guest_sees_close(&guest, &house);
    guest_end(&guest);
    house_end(&house);
}

static void test_relay(void **state)
{
    static struct house house;
    struct guest guest;
    house_begin(&house, "relay: { networks: [], domains: [ { name: here.example, recipients: [info] } ] }");
    guest_begin(&guest, &house, 2);
    guest_hears(&guest, &house, "220 ");
    guest_talks(&guest, &house, "EHLO c\r\n", "250 HELP\r\n");
    guest_talks(&guest, &house, "MAIL FROM:<x@y.example>\r\n", "250 ");
    guest_talks(&guest, &house, "RCPT TO:<k@there.example>\r\n", "550 5.7.1 ");
    guest_talks(&guest, &house, "RCPT TO:<k@here.example>\r\n", "250 ");
    guest_talks(&guest, &house, "RCPT TO:<nobody@here.example>\r\n", "550 5.1.1 ");
    guest_talks(&guest, &house, "RCPT TO:<Info+news@here.example>\r\n", "250 ");
    guest_talks(&guest, &house, "RCPT TO:<Postmaster>\r\n", "250 ");
    guest_talks(&guest, &house, "RCPT TO:<\"a@there.example\"@here.example>\r\n", "550 5.1.1 ");
    guest_talks(&guest, &house, "RCPT TO:<@here.example:k@there.example>\r\n", "550 5.7.1 ");
    guest_talks(&guest, &house, "DATA\r\n", "354 ");
    guest_talks(&guest, &house, "a: b\r\n\r\n.\r\n", "queued as ");
    house_wait(&house, &house.enqueued, 1);
    assert_span(buf_span(&house.recipients), "k@here.example Info+news@here.example postmaster@mx.example.org");
    assert_span(buf_span(&house.account), "");
    guest_end(&guest);
    house_end(&house);
}

/* Says MAIL again and again until the answer is this one: news between processes takes its time. */
static void tries(struct guest *guest, struct house *house, const char *until)
{
    for (bool found = false; !found;) {
        guest_talks(guest, house, "RSET\r\n", "Forgotten\r\n");
        buf_clear(&guest->heard);
        guest_says(guest, "MAIL FROM:<a@b.example>\r\n");
        while (!has(buf_span(&guest->heard), "\r\n"))
            house_turn(house);
        found = has(buf_span(&guest->heard), until);
    }
    buf_clear(&guest->heard);
}

/* No room, no queue, no directory: each gets its own "later", and nothing is lost. */
static void test_troubles(void **state)
{
    static struct house house;
    struct guest guest, other;
    house_begin(&house, "smtpd: { login-without-tls: true, queue-wait: 0 }");
    relay_begin(&guest, &house);
    guest_talks(&guest, &house, "MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n", "250 2.1.5 ");
    house_state(&house, false);
    relay_begin(&other, &house);
    guest_talks(&other, &house, "MAIL FROM:<a@b.example>\r\n", "452 4.3.1 ");
    guest_talks(&guest, &house, "DATA\r\n", "452 4.3.1 ");
    house_state(&house, true);
    tries(&other, &house, "250 2.1.0 ");
    guest_talks(&other, &house, "RCPT TO:<c@d.example>\r\nDATA\r\n", "354 ");
    /* The queue dies in the middle of a message, and comes back. */
    channel_free(house.queue);
    house.queue = NULL;
    tries(&guest, &house, "451 4.3.0 ");
    guest_talks(&other, &house, "a: b\r\n\r\n.\r\n", "451 4.3.0 ");
    unsigned segments = house.segments;
    house_queue(&house);
    house_wait(&house, &house.segments, segments + 2);
    buf_clear(&other.heard);
    guest_talks(&other, &house, "MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n", "354 ");
    guest_talks(&other, &house, "a: b\r\n\r\n.\r\n", "queued as ");
    house_wait(&house, &house.enqueued, 1);
    /* The directory dies while somebody waits for it. */
    guest_end(&guest);
    guest_begin(&guest, &house, 0);
    guest_hears(&guest, &house, "220 ");
    guest_talks(&guest, &house, "EHLO c\r\n", "250 HELP\r\n");
    house.mute = true;
    unsigned asked = house.asked;
    guest_says(&guest, LOGIN);
    house_wait(&house, &house.asked, asked + 1);
    channel_free(house.directory);
    house.directory = NULL;
    guest_hears(&guest, &house, "454 4.7.0 ");
    house.mute = false;
    house_directory(&house);
    house_turn(&house);
    guest_talks(&guest, &house, LOGIN, " "); /* it is there again at once, or at the latest next time */
    guest_end(&guest);
    guest_end(&other);
    house_end(&house);
}

/* The proxy's header counts, and nobody else's address: 127.0.0.1 is a relay network, 203.0.113.9 is not. */
static void test_proxy(void **state)
{
    static struct house house;
    struct guest guest;
    house_begin(&house, QUICK);
    guest_begin(&guest, &house, 3);
    guest_talks(&guest, &house, "PROXY TCP4 203.0.113.9 192.0.2.1 4242 25\r\n", "220 ");
    guest_talks(&guest, &house, "EHLO c\r\n", "250 HELP\r\n");
    guest_talks(&guest, &house, "MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n", "550 5.7.1 ");
    guest_end(&guest);
    guest_begin(&guest, &house, 3);
    guest_talks(&guest, &house, "PROXY TCP4 127.0.0.1 192.0.2.1 4242 25\r\n", "220 ");
    guest_talks(&guest, &house, "EHLO c\r\n", "250 HELP\r\n");
    guest_talks(&guest, &house, "MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n", "250 2.1.5 ");
    guest_end(&guest);
    static const char *const nobody[] = { "PROXY UNKNOWN\r\n", "PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n" };
    for (unsigned i = 0; i < 2; i++) { /* the proxy itself is in a relay network, whom it speaks for is not known */
        guest_begin(&guest, &house, 3);
        guest_talks(&guest, &house, nobody[i], "220 ");
        guest_talks(&guest, &house, "EHLO c\r\n", "250 HELP\r\n");
        guest_talks(&guest, &house, "MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n", "550 5.7.1 ");
        guest_end(&guest);
    }
    guest_begin(&guest, &house, 3);
    guest_says(&guest, "EHLO c\r\n");
    guest_sees_close(&guest, &house);
    assert_int_equal(guest.heard.n, 0);
    guest_end(&guest);
    guest_begin(&guest, &house, 3); /* what follows the header at once came before the greeting */
    guest_talks(&guest, &house, "PROXY TCP4 127.0.0.1 192.0.2.1 4242 25\r\nEHLO c\r\n", "554 ");
    guest_end(&guest);
    house_end(&house);
}

/* Behind a proxy the limit holds for each client, not for the proxy. */
static void test_proxy_limit(void **state)
{
    static struct house house;
    struct guest guests[4];
    house_begin(&house, "smtpd: { max-connections-per-address: 2 }");
    for (unsigned i = 0; i < 4; i++) {
        guest_begin(&guests[i], &house, 3);
        guest_talks(&guests[i], &house, i < 3 ? "PROXY TCP4 203.0.113.9 192.0.2.1 4242 25\r\n" : "PROXY TCP4 203.0.113.8 192.0.2.1 4242 25\r\n",
                    i == 2 ? "421 4.7.0 Too many connections from your address" : "220 ");
    }
    guest_sees_close(&guests[2], &house);
    guest_talks(&guests[0], &house, "QUIT\r\n", "221 ");
    guest_sees_close(&guests[0], &house);
    guest_end(&guests[0]);
    guest_begin(&guests[0], &house, 3);
    guest_talks(&guests[0], &house, "PROXY TCP4 203.0.113.9 192.0.2.1 4242 25\r\n", "220 ");
    for (unsigned i = 0; i < 4; i++)
        guest_end(&guests[i]);
    house_end(&house);
}

/* A login from before STARTTLS is forgotten by it. */
static void test_login_before_tls(void **state)
{
    static struct house house;
    struct guest guest;
    house_begin(&house, QUICK);
    guest_begin(&guest, &house, 0);
    guest_hears(&guest, &house, "220 ");
    guest_talks(&guest, &house, "EHLO c\r\n", "250 HELP\r\n");
    guest_talks(&guest, &house, LOGIN, "235 ");
    guest_talks(&guest, &house, "STARTTLS\r\n", "220 ");
    guest_tls(&guest, &house);
    guest_talks(&guest, &house, "MAIL FROM:<anna@example.org>\r\n", "503 ");
    guest_talks(&guest, &house, "EHLO c\r\n", "250 HELP\r\n");
    guest_talks(&guest, &house, "MAIL FROM:<anna@example.org>\r\n", "530 ");
    guest_end(&guest);
    house_end(&house);
}

/* A login is answered for at a relay listener too: no header in somebody else's name. */
static void test_login_at_relay(void **state)
{
    static struct house house;
    struct guest guest;
    house_begin(&house, "smtpd: { login-without-tls: true }\nrelay: { networks: [] }");
    relay_begin(&guest, &house);
    guest_talks(&guest, &house, LOGIN, "235 ");
    guest_talks(&guest, &house, TO_RCPT "DATA\r\n", "354 ");
    guest_talks(&guest, &house, "From: bob@example.org\r\n\r\nx\r\n.\r\n", "550 5.7.1 not as this one\r\n");
    guest_talks(&guest, &house, "MAIL FROM:<>\r\nRCPT TO:<x@y.example>\r\nDATA\r\n", "354 ");
    guest_talks(&guest, &house, "From: bob@example.org\r\n\r\nx\r\n.\r\n", "550 5.7.1 not as this one\r\n");
    guest_talks(&guest, &house, TO_RCPT "DATA\r\n", "354 ");
    guest_talks(&guest, &house, MESSAGE, "queued as ");
    guest_end(&guest);
    house_end(&house);
}

/* Dripping keeps alive neither half a command nor a message that is refused already. */
static void test_dripping(void **state)
{
    static struct house house;
    struct guest guest;
    house_begin(&house, "smtpd: { idle: 1s, transaction: 1s, max-size: 1KiB, minimum-rate: 0 }");
    relay_begin(&guest, &house);
    drip(&guest, &house, "x", "421 4.4.2 Nothing came for too long");
    guest_end(&guest);
    relay_begin(&guest, &house);
    guest_talks(&guest, &house, "MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n", "354 ");
    for (unsigned i = 0; i < 2000; i++)
        guest_says(&guest, "x");
    drip(&guest, &house, "x", "421 4.4.2 The message took too long");
    guest_end(&guest);
    house_end(&house);
}

/* Envelopes count as memory, too. */
static void test_recipients_memory(void **state)
{
    static struct house house;
    struct guest guest;
    AUTO(buf_done) struct buf orcpt = BUF_EMPTY(500);
    house_begin(&house, "smtpd: { max-memory: 1MiB, max-recipients: 100000 }");
    relay_begin(&guest, &house);
    guest_talks(&guest, &house, "MAIL FROM:<a@b.example>\r\n", "250 ");
    while (orcpt.n < 400)
        buf_add_char(&orcpt, 'x');
    unsigned taken = 0;
    for (bool more = true; more; taken += more) {
        AUTO(buf_done) struct buf line = BUF_EMPTY(1024);
        buf_printf(&line, "RCPT TO:<r%u@d.example> ORCPT=rfc822;%.*s\r\n", taken, SPAN_ARGS(buf_span(&orcpt)));
        buf_clear(&guest.heard);
        guest_says(&guest, buf_cstr(&line));
        while (!has(buf_span(&guest.heard), "\r\n"))
            house_turn(&house);
        more = has(buf_span(&guest.heard), "250 ");
        assert_true(taken < 2000);
    }
    assert_true(has(buf_span(&guest.heard), "452 4.5.3 "));
    guest_talks(&guest, &house, "RSET\r\n", "250 ");
    guest_talks(&guest, &house, "MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n", "250 2.1.5 ");
    guest_end(&guest);
    house_end(&house);
}

#define MUCH 400000u

/* All of a message but its end; `answer` is the server's to this piece. */
static void give_much(struct guest *guest, struct house *house, const char *answer)
{
    AUTO(buf_done) struct buf line = BUF_EMPTY(200);
    buf_printf(&line, "BDAT %u\r\n", MUCH);
    guest_talks(guest, house, "MAIL FROM:<a@b.example>\r\nRCPT TO:<postmaster>\r\n", "250 2.1.5 ");
    guest_says(guest, buf_cstr(&line));
    buf_clear(&line);
    buf_printf(&line, "%098d\r\n", 0);
    for (size_t n = 0; n < MUCH; n += line.n)
        stream_write(guest->stream, buf_span(&line));
    guest_talks(guest, house, "", answer);
}

/* One client cannot fill max-memory: what it holds is at most what is left for others. */
static void test_shared_memory(void **state)
{
    enum { FIT = 5 }; /* of half of 4 MiB */
    static struct house house;
    struct guest guests[FIT + 1], other;
    house_begin(&house, "smtpd: { max-memory: 4MiB }");
    for (unsigned i = 0; i <= FIT; i++) {
        relay_begin(&guests[i], &house);
        give_much(&guests[i], &house, i < FIT ? "250 2.0.0 " : "452 4.3.1 Too much mail at a time");
    }
    guest_talks(&guests[FIT], &house, "RSET\r\n", "250 ");
    guest_begin(&other, &house, 3);
    guest_talks(&other, &house, "PROXY TCP4 203.0.113.9 192.0.2.1 4242 25\r\n", "220 ");
    guest_talks(&other, &house, "EHLO b.example\r\n", "250 HELP\r\n");
    give_much(&other, &house, "250 2.0.0 ");
    guest_talks(&other, &house, "BDAT 0 LAST\r\n", "queued as ");
    for (unsigned i = 0; i < FIT; i++)
        guest_talks(&guests[i], &house, "BDAT 0 LAST\r\n", "queued as ");
    give_much(&guests[FIT], &house, "250 2.0.0 "); /* there is room again */
    guest_talks(&guests[FIT], &house, "BDAT 0 LAST\r\n", "queued as ");
    for (unsigned i = 0; i <= FIT; i++)
        guest_end(&guests[i]);
    guest_end(&other);
    house_end(&house);
}

/* The queue dies while directory is asked about the author of a large message: the next question is a new one. */
static void test_queue_dies_at_author(void **state)
{
    static struct house house;
    struct guest guest;
    house_begin(&house, QUICK "\nspool: { big-body: 64KiB }");
    guest_begin(&guest, &house, 0);
    guest_hears(&guest, &house, "220 ");
    guest_talks(&guest, &house, "EHLO c\r\n", "250 HELP\r\n");
    guest_talks(&guest, &house, LOGIN, "235 ");
    guest_talks(&guest, &house, TO_RCPT "DATA\r\n", "354 ");
    guest_says(&guest, "From: shop@example.org\r\n\r\n");
    for (unsigned i = 0; i < 2000; i++)
        guest_says(&guest, "0123456789 0123456789 0123456789 0123456789\r\n");
    house_wait(&house, &house.bodies, 1);
    house.mute = true;
    unsigned asked = house.asked;
    guest_says(&guest, ".\r\n");
    house_wait(&house, &house.asked, asked + 1);
    channel_free(house.queue);
    house.queue = NULL;
    guest_hears(&guest, &house, "451 4.3.0 ");
    house.mute = false;
    house_queue(&house);
    for (unsigned i = 0; i < 3; i++) {
        guest_talks(&guest, &house, TO_RCPT "DATA\r\n", "354 ");
        guest_talks(&guest, &house, MESSAGE, "queued as ");
    }
    guest_end(&guest);
    house_end(&house);
}

/* Dripping octets keep a session alive, but not a transaction. */
static void test_transaction_time(void **state)
{
    static struct house house;
    struct guest guest;
    house_begin(&house, "smtpd: { transaction: 1s }");
    relay_begin(&guest, &house);
    guest_talks(&guest, &house, "MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n", "354 ");
    while (!has(buf_span(&guest.heard), "421 4.4.2 The message took too long")) {
        if (guest.stream)
            guest_says(&guest, "x");
        house_turn(&house);
    }
    guest_end(&guest);
    house_end(&house);
}

/* A client that half closes behind its last line still gets its answers. */
static void test_half_close(void **state)
{
    static struct house house;
    struct guest guest;
    house_begin(&house, QUICK);
    relay_begin(&guest, &house);
    guest_talks(&guest, &house, "MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n", "354 ");
    guest_says(&guest, "a: b\r\n\r\n.\r\n");
    shutdown(stream_fd(guest.stream), SHUT_WR);
    guest_hears(&guest, &house, "queued as ");
    guest_sees_close(&guest, &house);
    house_wait(&house, &house.enqueued, 1);
    guest_end(&guest);
    house_end(&house);
}

/* A queue that is only started anew is waited for: the client sees nothing but a pause. */
static void test_queue_wait(void **state)
{
    static struct house house;
    struct guest guest;
    house_begin(&house, "");
    relay_begin(&guest, &house);
    channel_free(house.queue);
    house.queue = NULL;
    guest_talks(&guest, &house, "NOOP\r\n", "250 ");
    guest_says(&guest, "MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n");
    house_turn(&house);
    house_queue(&house);
    guest_hears(&guest, &house, "354 ");
    guest_talks(&guest, &house, "a: b\r\n\r\n.\r\n", "queued as ");
    guest_end(&guest);
    house_end(&house);
}

/* Over big-body: into a file, whose contents and the record's headers make up the message. */
static void test_large(void **state)
{
    static struct house house;
    struct guest guest;
    house_begin(&house, "spool: { big-body: 64KiB }");
    relay_begin(&guest, &house);
    guest_talks(&guest, &house, "MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n", "354 ");
    guest_says(&guest, "Subject: large\r\n\r\n");
    char line[100];
    memset(line, 'x', sizeof line);
    memcpy(line + 97, "\r\n", 3);
    size_t octets = strlen("Subject: large\r\n\r\n");
    for (unsigned i = 0; i < 20000; i++, octets += 99) {
        while (stream_waiting(guest.stream) > 100000)
            house_turn(&house);
        stream_write(guest.stream, span_of(line, 99));
    }
    guest_talks(&guest, &house, ".\r\n", "queued as ");
    house_wait(&house, &house.enqueued, 1);
    assert_int_equal(house.bodies, 1);
    assert_int_equal(house.last.body, 1);
    assert_int_equal(lseek(house.body_fd[1], 0, SEEK_END), octets);
    assert_int_equal(house.dropped, 0);
    /* A client that goes away in the middle leaves no file. */
    guest_talks(&guest, &house, "MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n", "354 ");
    for (unsigned i = 0; i < 5000; i++)
        stream_write(guest.stream, span_of(line, 99));
    house_wait(&house, &house.bodies, 2);
    guest_end(&guest);
    house_wait(&house, &house.dropped, 1);
    house_end(&house);
}

static void test_limits(void **state)
{
    static struct house house;
    struct guest guests[3];
    house_begin(&house, "smtpd: { idle: 1s, max-connections-per-address: 2, max-size: 1KiB, max-hops: 5 }\nrelay: { networks: [] }");
    for (unsigned i = 0; i < 2; i++) {
        guest_begin(&guests[i], &house, 2);
        guest_hears(&guests[i], &house, "220 ");
    }
    guest_begin(&guests[2], &house, 2);
    guest_hears(&guests[2], &house, "421 4.7.0 mx.example.org Too many connections from your address");
    guest_sees_close(&guests[2], &house);
    guest_hears(&guests[0], &house, "421 4.4.2 ");
    guest_sees_close(&guests[0], &house);
    for (unsigned i = 0; i < 3; i++)
        guest_end(&guests[i]);
    house_end(&house);
}

/* A reload drops nobody; the drain lets a message in hand come to its end. */
static void test_reload_and_drain(void **state)
{
    static struct house house;
    struct guest guest, idle;
    house_begin(&house, QUICK);
    relay_begin(&guest, &house);
    relay_begin(&idle, &house);
    house_settings(&house, "smtpd: { max-size: 2KiB }");
    channel_send(house.supervisor, SUPERVISOR_RELOAD, SPAN_NONE);
    house_wait(&house, &house.ready, 2);
    struct guest late;
    guest_begin(&late, &house, 2);
    guest_hears(&late, &house, "220 ");
    guest_talks(&late, &house, "EHLO c\r\n", "SIZE 2048\r\n");
    guest_end(&late);
    guest_talks(&guest, &house, "MAIL FROM:<a@b.example> SIZE=100000\r\nRCPT TO:<c@d.example>\r\nDATA\r\n", "354 ");
    channel_send(house.supervisor, SUPERVISOR_DRAIN, SPAN_NONE);
    guest_hears(&idle, &house, "421 4.3.2 ");
    guest_sees_close(&idle, &house);
    assert_int_equal(house.drained, 0);
    guest_talks(&guest, &house, "a: b\r\n\r\n.\r\n", "queued as ");
    guest_hears(&guest, &house, "421 4.3.2 ");
    guest_end(&guest);
    guest_end(&idle);
    house_end(&house);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_submission), cmocka_unit_test(test_vouched), cmocka_unit_test(test_tls),    cmocka_unit_test(test_relay),
        cmocka_unit_test(test_troubles),   cmocka_unit_test(test_large),  cmocka_unit_test(test_limits),
        cmocka_unit_test(test_reload_and_drain), cmocka_unit_test(test_proxy),
        cmocka_unit_test(test_login_before_tls), cmocka_unit_test(test_transaction_time),
        cmocka_unit_test(test_half_close), cmocka_unit_test(test_queue_wait),
        cmocka_unit_test(test_proxy_limit), cmocka_unit_test(test_login_at_relay), cmocka_unit_test(test_dripping),
        cmocka_unit_test(test_recipients_memory), cmocka_unit_test(test_shared_memory), cmocka_unit_test(test_queue_dies_at_author),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
