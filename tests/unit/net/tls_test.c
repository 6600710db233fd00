/* TLS client against TLS server, as two streams in one loop. */
#include "stream_pair.h"
#include "base/time.h"

static struct buf certificates[2], keys[2]; /* mail.example and other.example */
static char error[TLS_ERROR_SIZE];
static const char secret[TLS_TICKET_SECRET] = "a secret that all processes know";

static struct tls_server *make_server(bool only_tls13)
{
    struct tls_pair pairs[] = { { buf_span(&certificates[0]), buf_span(&keys[0]) }, { buf_span(&certificates[1]), buf_span(&keys[1]) } };
    struct tls_server_settings settings = { .pairs = pairs, .count = 2, .only_tls13 = only_tls13, .ticket_secret = { secret, sizeof(secret) } };
    struct tls_server *server;
    if (tls_server_new(&settings, error, &server) != STATUS_OK)
        fail_msg("%s", error);
    return server;
}

static struct tls_client *make_client(bool trusting)
{
    AUTO(buf_done) struct buf trust = BUF_EMPTY(10000);
    buf_add(&trust, buf_span(&certificates[0]));
    buf_add(&trust, buf_span(&certificates[1]));
    struct tls_client_settings settings = { .trust = trusting ? buf_span(&trust) : SPAN_NONE, .sessions = 2 };
    struct tls_client *client;
    if (tls_client_new(&settings, error, &client) != STATUS_OK)
        fail_msg("%s", error);
    return client;
}

static void make_certificates(void)
{
    static const char *const names[] = { "mail.example", "other.example" };
    for (unsigned i = 0; i < 2; i++) {
        certificates[i] = keys[i] = BUF_EMPTY(10000);
        assert_int_equal(tls_self_signed(names[i], 30, &certificates[i], &keys[i]), STATUS_OK);
    }
}

static void verifies_and_carries(void **state)
{
    struct tls_server *server = make_server(false);
    struct tls_client *client = make_client(true);
    stream_write(b.stream, SPAN("220 in clear\r\n"));
    stream_flush(b.stream);
    turns(2);
    handshake(client, server, (struct tls_wish){ .name = "other.example", .required = true });
    tls_server_unref(server); /* the streams keep their own */
    tls_client_unref(client);
    assert_int_equal(a.tls + b.tls, 2);
    assert_true(stream_tls(a.stream)->verified);
    assert_string_equal(stream_tls(a.stream)->peer_name, "other.example"); /* chosen by SNI */
    assert_string_equal(stream_tls(b.stream)->peer_name, "other.example");
    assert_string_equal(stream_tls(b.stream)->version, "TLSv1.3");

    static char big[700000];
    memset(big, 'x', sizeof(big));
    stream_write(a.stream, SPAN("hello"));
    stream_write(b.stream, SPAN("welcome"));
    turns(5);
    assert_span(buf_span(&b.got), "hello");
    assert_int_equal(b.readable, 1);
    assert_span(buf_span(&a.got), "220 in clear\r\nwelcome");
    struct span pieces[] = { SPAN("<"), { big, sizeof(big) }, SPAN(">") };
    size_t sent = stream_send(a.stream, pieces, 3, true);
    for (int i = 0; i < 1000 && sent < sizeof(big) + 2; i++) {
        turns(2);
        struct span rest[] = { span_from(pieces[1], sent - 1), SPAN(">") };
        sent += stream_send(a.stream, rest, 2, true);
    }
    turns(20);
    assert_int_equal(b.got.n, 5 + sizeof(big) + 2);
    assert_int_equal(b.got.p[b.got.n - 1], '>');
    stream_close(b.stream);
    b.stream = NULL;
    turns(5);
    assert_int_equal(a.end, STATUS_CLOSED);
}

/* Both ends have the same octets, and no other connection has them, also where the session is resumed. */
static void binds_logins(void **state)
{
    struct tls_bindings first = { 0 }, mine, peers;
    struct tls_server *server = make_server(false);
    struct tls_client *client = make_client(true);
    assert_false(stream_tls_can_bind(a.stream));
    stream_tls_bindings(a.stream, &mine);
    assert_true(mine.exporter_n == 0 && mine.unique_n == 0 && mine.end_point_n == 0);
    for (unsigned i = 0; i < 3; i++) {
        handshake(client, server, (struct tls_wish){ .name = "mail.example", .required = true, .session = SPAN("mail.example:25") });
        turns(5);
        assert_true(stream_tls_can_bind(a.stream) && stream_tls_can_bind(b.stream));
        stream_tls_bindings(a.stream, &mine);
        stream_tls_bindings(b.stream, &peers);
        assert_true(mine.exporter_n == 32 && mine.unique_n == 0 && mine.end_point_n == 32); /* signed with SHA-256 */
        assert_memory_equal(mine.exporter, peers.exporter, 32);
        assert_memory_equal(mine.end_point, peers.end_point, 32);
        assert_memory_not_equal(mine.exporter, first.exporter, 32);
        if (i > 0)
            assert_memory_equal(mine.end_point, first.end_point, 32);
        first = mine;
        again();
    }
    tls_server_unref(server);
    tls_client_unref(client);
}

static void opportunistic_only_records(void **state)
{
    struct tls_server *server = make_server(false);
    struct tls_client *client = make_client(false);
    handshake(client, server, (struct tls_wish){ .name = "mail.example" });
    assert_int_equal(a.tls, 1);
    assert_false(stream_tls(a.stream)->verified);
    assert_non_null(stream_tls(a.stream)->verify_text);
    again();
    handshake(client, server, (struct tls_wish){ .name = "mail.example", .required = true });
    assert_int_equal(a.tls, 0);
    assert_int_equal(a.end, STATUS_DENIED);
    assert_non_null(strstr(stream_tls_failure(a.stream), "certificate"));
    assert_int_equal(b.ends, 1);
    tls_server_unref(server);
    tls_client_unref(client);
}

static void wrong_names_are_found_out(void **state)
{
    struct tls_server *server = make_server(false);
    struct tls_client *client = make_client(true);
    handshake(client, server, (struct tls_wish){ .name = "third.example", .required = true });
    assert_int_equal(a.end, STATUS_DENIED);
    tls_server_unref(server);
    tls_client_unref(client);
}

/* Another process with the same secret goes on with the session; one with another secret does not. */
static void resumes_across_processes(void **state)
{
    struct tls_client *client = make_client(true);
    struct tls_wish wish = { .name = "mail.example", .required = true, .session = SPAN("mail.example:25") };
    for (unsigned i = 0; i < 3; i++) {
        struct tls_server *server = make_server(true);
        handshake(client, server, wish);
        assert_int_equal(a.tls + b.tls, 2);
        assert_int_equal(stream_tls(a.stream)->resumed, i != 0);
        assert_int_equal(stream_tls(b.stream)->resumed, i != 0);
        tls_server_unref(server);
        again();
    }
    /* What was agreed without insisting on the certificate is not taken for more. */
    struct tls_server *server = make_server(true);
    wish.required = false;
    handshake(client, server, wish);
    assert_false(stream_tls(a.stream)->resumed);
    tls_server_unref(server);
    for (unsigned i = 0; i < 5; i++) { /* more sites than are kept */
        char key[8];
        again();
        snprintf(key, sizeof(key), "%u", i);
        server = make_server(true);
        wish.session = span_str(key);
        handshake(client, server, wish);
        assert_int_equal(a.tls, 1);
        tls_server_unref(server);
    }
    tls_client_unref(client);
}

/* Who throws tickets away gets few; who uses them always gets the next. */
static void tickets_for_those_who_use_them(void **state)
{
    struct tls_server *server = make_server(true);
    struct tls_client *client = make_client(true);
    struct tls_wish never = { .name = "mail.example" };
    struct tls_wish wish = { .name = "mail.example", .session = SPAN("mail.example:25") };
    for (unsigned i = 0; i < 12; i++) {
        handshake(client, server, never);
        again();
    }
    unsigned first = 0;
    for (unsigned i = 1; i < 100; i++) {
        handshake(client, server, wish);
        assert_int_equal(a.tls + b.tls, 2);
        if (stream_tls(b.stream)->resumed && first == 0)
            first = i;
        assert_int_equal(stream_tls(a.stream)->resumed, first != 0);
        again();
    }
    assert_in_range(first, 3, 64); /* not at once, but in the end */
    tls_server_unref(server);
    tls_client_unref(client);
}

static void clear_text_behind_starttls_is_an_error(void **state)
{
    struct tls_server *server = make_server(false);
    b.consume = 10;
    stream_write(a.stream, SPAN("STARTTLS\r\nRSET\r\n"));
    turns(3);
    assert_int_equal(stream_start_tls_server(b.stream, server), STATUS_SYNTAX);
    tls_server_unref(server);
}

/* Behind a PROXY header the client's first record may come in the same packet. */
static void takes_over_input_that_is_tls_already(void **state)
{
    struct tls_server *server = make_server(false);
    struct tls_client *client = make_client(true);
    b.consume = 7;
    stream_write(a.stream, SPAN("PROXY\r\n"));
    assert_int_equal(stream_start_tls_client(a.stream, client, &(struct tls_wish){ .name = "mail.example" }), STATUS_OK);
    turns(3);
    assert_true(stream_input(b.stream).n > 0);
    assert_int_equal(stream_start_tls_server_with_input(b.stream, server), STATUS_OK);
    turns(10);
    assert_int_equal(a.tls + b.tls, 2);
    tls_server_unref(server);
    tls_client_unref(client);
}

static void strangers_are_sent_away(void **state)
{
    struct tls_server *server = make_server(false);
    assert_int_equal(stream_start_tls_server(b.stream, server), STATUS_OK);
    stream_write(a.stream, SPAN("EHLO this is no handshake\r\n"));
    turns(5);
    assert_int_equal(b.end, STATUS_DENIED);
    assert_true(stream_tls_failure(b.stream)[0] != '\0');
    assert_int_equal(b.ends, 1);
    tls_server_unref(server);
}

static void pairs_are_checked(void **state)
{
    int64_t until = 0;
    struct tls_pair good = { buf_span(&certificates[0]), buf_span(&keys[0]) };
    assert_int_equal(tls_pair_check(&good, error, &until), STATUS_OK);
    assert_in_range((until - time_wall_ms()) / TIME_DAY_MS, 29, 30);
    struct tls_pair mixed = { buf_span(&certificates[0]), buf_span(&keys[1]) };
    assert_int_equal(tls_pair_check(&mixed, error, &until), STATUS_DENIED);
    assert_non_null(strstr(error, "key"));
    struct tls_pair empty = { SPAN("-----BEGIN NONSENSE-----"), SPAN_NONE };
    assert_int_equal(tls_pair_check(&empty, error, &until), STATUS_SYNTAX);
    struct tls_server *server;
    assert_int_equal(tls_server_new(&(struct tls_server_settings){ 0 }, error, &server), STATUS_DENIED);
    struct buf one = BUF_EMPTY(100), two = BUF_EMPTY(100);
    assert_int_equal(tls_self_signed("a,DNS:b", 1, &one, &two), STATUS_SYNTAX);
}

static int set_up_all(void **state)
{
    make_certificates();
    return 0;
}

static int tear_down_all(void **state)
{
    for (unsigned i = 0; i < 2; i++) {
        buf_done(&certificates[i]);
        buf_done(&keys[i]);
    }
    return 0;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(verifies_and_carries), TEST(binds_logins), TEST(opportunistic_only_records), TEST(wrong_names_are_found_out),
        TEST(resumes_across_processes), TEST(tickets_for_those_who_use_them),
        TEST(clear_text_behind_starttls_is_an_error),
        TEST(takes_over_input_that_is_tls_already), TEST(strangers_are_sent_away), TEST(pairs_are_checked),
    };
    return cmocka_run_group_tests(tests, set_up_all, tear_down_all);
}
