/* A TLS server whose private keys are elsewhere: its handshakes wait for signatures, in any order and never too many. */
#include "stream_pair.h"
#include "made_key.h"
#include <openssl/x509.h>

static char error[TLS_ERROR_SIZE];
static struct tls_key *key;
static struct tls_signer signer;
static struct tls_signing *asked[TLS_SIGNING_MAX + 8]; /* NULL: cancelled */
static unsigned asked_n, cancelled;
static bool at_once;

static void sign(unsigned i)
{
    unsigned char signature[TLS_SIGNATURE_MAX];
    size_t n = 0;
    struct tls_signing *signing = asked[i];
    asked[i] = NULL;
    assert_int_equal(signing->key.n, TLS_KEY_ID);
    assert_memory_equal(signing->key.p, tls_key_id(key), TLS_KEY_ID);
    assert_int_equal(tls_key_sign(key, signing->scheme, signing->content, false, signature, &n), STATUS_OK);
    tls_signing_answer(signing, span_of(signature, n), NULL);
}

static void on_ask(void *arg, struct tls_signing *signing)
{
    assert_true(asked_n < ARRAY_LEN(asked));
    asked[asked_n] = signing;
    signing->asked = &asked[asked_n++];
    if (at_once)
        sign(asked_n - 1);
}

static void on_cancel(void *arg, struct tls_signing *signing)
{
    *(struct tls_signing **)signing->asked = NULL;
    cancelled++;
}

static struct tls_server *make_server(EVP_PKEY *made)
{
    X509 *certificate = X509_new();
    char *p;
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_UTF8, (const unsigned char *)"mail.example", -1, -1, 0);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    assert_int_equal(X509_set_pubkey(certificate, made), 1);
    assert_true(X509_sign(certificate, made, EVP_PKEY_get_base_id(made) == EVP_PKEY_ED25519 ? NULL : EVP_sha256()) > 0);
    BIO *bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_X509(bio, certificate), 1);
    long n = BIO_get_mem_data(bio, &p);
    key = key_of(made);

    tls_signer_init(&signer, on_ask, on_cancel, NULL);
    struct tls_pair pair = { .certificate = span_of(p, (size_t)n) };
    static const char secret[TLS_TICKET_SECRET] = "a secret";
    struct tls_server_settings settings = { .pairs = &pair, .count = 1, .ticket_secret = { secret, sizeof(secret) }, .signer = &signer };
    struct tls_server *server;
    if (tls_server_new(&settings, error, &server) != STATUS_OK)
        fail_msg("%s", error);
    BIO_free(bio);
    X509_free(certificate);
    EVP_PKEY_free(made);
    asked_n = cancelled = 0;
    at_once = false;
    return server;
}

static struct tls_client *make_client(void)
{
    struct tls_client *client;
    assert_int_equal(tls_client_new(&(struct tls_client_settings){ .sessions = 4 }, error, &client), STATUS_OK);
    return client;
}

static void done(struct tls_server *server, struct tls_client *client)
{
    assert_int_equal(signer.waiting, 0);
    assert_true(list_is_empty(&signer.gate));
    tls_server_unref(server);
    tls_client_unref(client);
    tls_key_unref(key);
}

static void start(struct tls_client *client, struct tls_server *server, struct span session)
{
    handshake(client, server, (struct tls_wish){ .name = "mail.example", .session = session });
}

static void talk(void)
{
    assert_int_equal(a.tls + b.tls, 2);
    stream_write(a.stream, SPAN("hello"));
    stream_write(b.stream, SPAN("welcome"));
    turns(5);
    assert_span(buf_span(&b.got), "hello");
    assert_span(buf_span(&a.got), "welcome");
}

static void waits_for_its_signature(void **state)
{
    struct tls_server *server = make_server(EVP_EC_gen("P-256"));
    struct tls_client *client = make_client();
    start(client, server, SPAN_NONE);
    assert_int_equal(asked_n, 1);
    assert_int_equal(a.tls + b.tls + a.ends + b.ends, 0);
    assert_int_equal(signer.waiting, 1);
    turns(10); /* nothing wakes it up but the answer */
    assert_int_equal(asked_n, 1);
    sign(0);
    turns(10);
    talk();
    assert_int_equal(asked_n, 1);
    again();
    at_once = true; /* the answer comes inside the question */
    start(client, server, SPAN_NONE);
    talk();
    done(server, client);
}

static void every_kind_of_key(void **state)
{
    EVP_PKEY *made[] = { EVP_RSA_gen(2048), EVP_EC_gen("P-384"), EVP_PKEY_Q_keygen(NULL, NULL, "ED25519") };
    for (size_t i = 0; i < ARRAY_LEN(made); i++) {
        struct tls_server *server = make_server(made[i]);
        struct tls_client *client = make_client();
        at_once = true;
        start(client, server, SPAN_NONE);
        talk();
        done(server, client);
        again();
    }
}

/* Who comes back with a ticket needs no signature. */
static void resumes_without_one(void **state)
{
    struct tls_server *server = make_server(EVP_EC_gen("P-256"));
    struct tls_client *client = make_client();
    at_once = true;
    for (unsigned i = 0; i < 2; i++) {
        start(client, server, SPAN("mail"));
        talk();
        assert_int_equal(stream_tls(b.stream)->resumed, i);
        again();
    }
    assert_int_equal(asked_n, 1);
    done(server, client);
}

static void a_refusal_fails_it(void **state)
{
    struct tls_server *server = make_server(EVP_EC_gen("P-256"));
    struct tls_client *client = make_client();
    start(client, server, SPAN_NONE);
    tls_signing_answer(asked[0], SPAN_NONE, "the keys are away");
    turns(10);
    assert_int_equal(b.end, STATUS_DENIED);
    assert_string_equal(stream_tls_failure(b.stream), "TLS handshake failed: the keys are away");
    assert_int_equal(a.end, STATUS_DENIED); /* it got an alert */
    again();
    start(client, server, SPAN_NONE); /* a signature that is none: the client finds out, we do not die */
    tls_signing_answer(asked[1], SPAN("this is no signature"), NULL);
    turns(10);
    assert_int_equal(a.end, STATUS_DENIED);
    assert_int_equal(b.ends, 1);
    done(server, client);
}

static void connections_that_end_while_they_wait(void **state)
{
    struct tls_server *server = make_server(EVP_EC_gen("P-256"));
    struct tls_client *client = make_client();
    start(client, server, SPAN_NONE);
    stream_free(b.stream);
    b.stream = NULL;
    assert_int_equal(cancelled, 1);
    assert_int_equal(signer.waiting, 0);
    again();
    start(client, server, SPAN_NONE); /* the client goes: seen when the answer is written at the latest */
    stream_free(a.stream);
    a.stream = NULL;
    turns(5);
    if (asked[1])
        sign(1);
    turns(10);
    assert_int_equal(b.ends, 1);
    again();
    start(client, server, SPAN_NONE); /* given away: the answer finds nobody who could go on */
    stream_close_linger(b.stream);
    b.stream = NULL;
    turns(5);
    if (asked[2])
        sign(2);
    turns(10);
    stream_free_closing();
    done(server, client);
}

/* More handshakes at once than may wait: the others begin theirs when it is their turn, in order. */
static void the_gate(void **state)
{
    enum { MANY = TLS_SIGNING_MAX + 5 };
    static struct side clients[MANY], servers[MANY];
    struct tls_server *server = make_server(EVP_EC_gen("P-256"));
    struct tls_client *client = make_client();
    struct tls_wish wish = { .name = "mail.example" };
    for (unsigned i = 0; i < MANY; i++) {
        int fds[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
        begin_side(&clients[i], fds[0]);
        begin_side(&servers[i], fds[1]);
        assert_int_equal(stream_start_tls_server(servers[i].stream, server), STATUS_OK);
        assert_int_equal(stream_start_tls_client(clients[i].stream, client, &wish), STATUS_OK);
        turns(4);
    }
    turns(10);
    assert_int_equal(asked_n, TLS_SIGNING_MAX);
    assert_int_equal(signer.waiting, TLS_SIGNING_MAX);
    stream_free(servers[0].stream);                   /* makes room for one */
    stream_free(servers[TLS_SIGNING_MAX + 1].stream); /* waits at the gate */
    servers[0].stream = servers[TLS_SIGNING_MAX + 1].stream = NULL;
    turns(10);
    assert_int_equal(asked_n, TLS_SIGNING_MAX + 1);
    for (unsigned i = 1; i < TLS_SIGNING_MAX; i++)
        sign(i);
    turns(20);
    assert_int_equal(asked_n, TLS_SIGNING_MAX + 4);
    for (unsigned i = TLS_SIGNING_MAX; i < asked_n; i++)
        sign(i);
    turns(20);
    unsigned secured = 0;
    for (unsigned i = 0; i < MANY; i++) {
        secured += servers[i].tls;
        stream_free(clients[i].stream);
        stream_free(servers[i].stream);
        buf_done(&clients[i].got);
        buf_done(&servers[i].got);
    }
    assert_int_equal(secured, MANY - 2);
    done(server, client);
}

/* What the client sends too early waits with the handshake. */
static void octets_behind_the_hello(void **state)
{
    struct tls_server *server = make_server(EVP_EC_gen("P-256"));
    struct tls_client *client = make_client();
    assert_int_equal(stream_start_tls_server(b.stream, server), STATUS_OK);
    assert_int_equal(stream_start_tls_client(a.stream, client, &(struct tls_wish){ .name = "mail.example" }), STATUS_OK);
    stream_flush(a.stream);
    int fd = stream_fd(a.stream);
    assert_int_equal(send(fd, "\x14\x03\x03\x00\x01\x01", 6, 0), 6); /* change_cipher_spec, as middleboxes like it */
    turns(5);
    assert_int_equal(asked_n, 1);
    sign(0);
    turns(10);
    talk();
    done(server, client);
}

static void only_certificates_go_to_the_server(void **state)
{
    AUTO(buf_done) struct buf certificate = BUF_EMPTY(10000);
    AUTO(buf_done) struct buf secret = BUF_EMPTY(10000);
    AUTO(buf_done) struct buf both = BUF_EMPTY(30000);
    AUTO(buf_done) struct buf only = BUF_EMPTY(30000);
    assert_int_equal(tls_self_signed("mail.example", 30, &certificate, &secret), STATUS_OK);
    buf_add(&both, buf_span(&secret));
    buf_add(&both, buf_span(&certificate));
    buf_add(&both, buf_span(&secret));
    buf_add(&both, buf_span(&certificate));
    assert_int_equal(tls_only_certificates(buf_span(&both), &only), STATUS_OK);
    assert_int_equal(only.n, 2 * certificate.n);
    assert_memory_equal(only.p + certificate.n, certificate.p, certificate.n);
    assert_int_equal(tls_only_certificates(buf_span(&secret), &only), STATUS_SYNTAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(waits_for_its_signature, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_kind_of_key, set_up, tear_down),
        cmocka_unit_test_setup_teardown(resumes_without_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_refusal_fails_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(connections_that_end_while_they_wait, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_gate, set_up, tear_down),
        cmocka_unit_test_setup_teardown(octets_behind_the_hello, set_up, tear_down),
        cmocka_unit_test(only_certificates_go_to_the_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
