/* Logins by SCRAM as smtpd passes them on, with GNU SASL as the client; and when SCRAM is offered at all. */
#include "directory/accounts.h"
#include "directory/scram.h"
#include "directory/service.h"
#include "directory/tree.h"
#include "test.h"
#include <gsasl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PASSWORD "correct horse"
#define HASH "$2b$04$0S7aSvRN0bcbuDYBq4hXVujYLSjeY3oheoJ9wRynxe6ji2n2LDajm"
#define SCRAM_AND_PLAIN "SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN"

struct house {
    char folder[64], path[96], salts[104];
    struct accounts *accounts;
    struct loop *loop;
    struct log log;
    struct directory_service *service;
    struct directory_peer *peer;
    struct buf challenge, mechanisms;
    unsigned answers;
    enum auth_result result;
    bool is_over;
    char account[64], text[256];
};

static void on_answer(void *arg, uint16_t kind, struct span body)
{
    if (kind == TELL_COUNT)
        return;
    struct house *house = arg;
    struct tell_auth auth;
    struct tell_challenge challenge;
    struct tell_mechanisms mechanisms;
    house->answers++;
    house->is_over = kind == TELL_AUTH;
    buf_clear(&house->challenge);
    if (kind == TELL_AUTH) {
        assert_true(tell_auth_get(body, &auth));
        house->result = (enum auth_result)auth.result;
        snprintf(house->account, sizeof house->account, "%.*s", SPAN_ARGS(auth.account));
        snprintf(house->text, sizeof house->text, "%.*s", SPAN_ARGS(auth.text));
    } else if (kind == TELL_CHALLENGE) {
        assert_true(tell_challenge_get(body, &challenge));
        buf_add(&house->challenge, challenge.challenge);
    } else {
        assert_true(kind == TELL_MECHANISMS && tell_mechanisms_get(body, &mechanisms));
        buf_clear(&house->mechanisms);
        buf_add(&house->mechanisms, mechanisms.names);
    }
}

static void set_stored(struct house *house, const char *login, bool is_new, const struct secret_wish *wish, const char *password)
{
    AUTO(buf_done) struct buf stored = BUF_EMPTY(SECRET_STORED_MAX);
    if (wish)
        assert_int_equal(secret_make_wished(span_str(password), wish, &stored), STATUS_OK);
    else
        buf_add_str(&stored, HASH);
    enum status status = is_new ? accounts_add(house->accounts, span_str(login), buf_span(&stored), SPAN(""), 0)
                                : accounts_set_stored(house->accounts, span_str(login), buf_span(&stored), 0);
    assert_int_equal(status, STATUS_OK);
}

static const struct secret_wish only_scram = { .scram = true, .iterations = 5000 };

static void begin_service(struct house *house)
{
    struct directory_limits limits = { .threads = 1, .waiting = 10, .remember_ms = 60000,
                                       .guess = { 5, 30, 900000, 24, 48 }, .signers = 1 };
    house->service = directory_service_new(house->loop, &house->log, house->path, &limits);
    directory_service_scram(house->service, DIRECTORY_SCRAM_YES, 5000);
    house->peer = directory_peer_new(house->service, on_answer, house);
    assert_non_null(house->peer);
}

static void end_service(struct house *house)
{
    directory_peer_free(house->peer);
    directory_service_free(house->service);
}

static int setup(void **state)
{
    struct house *house = calloc(1, sizeof *house);
    *state = house;
    strcpy(house->folder, "/tmp/goniec-scram-XXXXXX");
    if (secret_init() != STATUS_OK || !mkdtemp(house->folder))
        return 1;
    snprintf(house->path, sizeof house->path, "%s/accounts.db", house->folder);
    snprintf(house->salts, sizeof house->salts, "%s-salts", house->path);
    house->challenge = house->mechanisms = BUF_EMPTY(4096);
    assert_int_equal(accounts_open_to_change(house->path, -1, -1, &house->accounts), STATUS_OK);
    set_stored(house, "anna@example.org", true, &only_scram, PASSWORD);
    house->loop = loop_new();
    log_init(&house->log, -1, "directory", LOG_DEBUG);
    begin_service(house);
    return 0;
}

static int teardown(void **state)
{
    struct house *house = *state;
    end_service(house);
    accounts_close(house->accounts);
    log_done(&house->log);
    loop_free(house->loop);
    buf_done(&house->challenge);
    buf_done(&house->mechanisms);
    static const char *const ends[] = { "", "-wal", "-shm", "-salts" };
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        char name[128];
        snprintf(name, sizeof name, "%s%s", house->path, ends[i]);
        unlink(name);
    }
    int result = rmdir(house->folder);
    free(house);
    return result;
}

static const struct span exporter = SPAN("0123456789abcdef0123456789abcdef");

static void start(struct house *house, const char *mechanism, const char *client, struct span initial)
{
    AUTO(buf_done) struct buf body = BUF_EMPTY(65536);
    struct ask_auth_start ask = { .token = 7, .mechanism = span_str(mechanism), .has_initial = initial.p != NULL, .initial = initial,
                                  .client = span_str(client), .tls = 1, .exporter = exporter };
    ask_auth_start_put(&body, &ask);
    assert_int_equal(directory_peer_feed(house->peer, ASK_AUTH_START, buf_span(&body)), STATUS_OK);
}

static void go_on(struct house *house, struct span response)
{
    AUTO(buf_done) struct buf body = BUF_EMPTY(65536);
    ask_auth_next_put(&body, &(struct ask_auth_next){ 7, response });
    assert_int_equal(directory_peer_feed(house->peer, ASK_AUTH_NEXT, buf_span(&body)), STATUS_OK);
}

static void cancel(struct house *house)
{
    AUTO(buf_done) struct buf body = BUF_EMPTY(64);
    ask_cancel_put(&body, &(struct ask_cancel){ 7 });
    assert_int_equal(directory_peer_feed(house->peer, ASK_AUTH_CANCEL, buf_span(&body)), STATUS_OK);
}

/* A whole login by GNU SASL; `between` is done before the client's proof. */
static enum auth_result log_in(struct house *house, const char *client, const char *login, const char *password,
                               void (*between)(struct house *))
{
    Gsasl *gsasl;
    Gsasl_session *session;
    assert_int_equal(gsasl_init(&gsasl), GSASL_OK);
    assert_int_equal(gsasl_client_start(gsasl, "SCRAM-SHA-256-PLUS", &session), GSASL_OK);
    gsasl_property_set(session, GSASL_AUTHID, login);
    gsasl_property_set(session, GSASL_PASSWORD, password);
    gsasl_property_set(session, GSASL_CB_TLS_EXPORTER, "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=");
    house->is_over = false;
    for (unsigned turn = 0; !house->is_over; turn++) {
        char *words = NULL;
        size_t n = 0;
        int result = gsasl_step(session, house->challenge.p, turn ? house->challenge.n : 0, &words, &n);
        assert_true(result == GSASL_OK || result == GSASL_NEEDS_MORE);
        if (turn == 1 && between)
            between(house);
        if (turn == 0)
            start(house, "SCRAM-SHA-256-PLUS", client, span_of(words, n));
        else
            go_on(house, n ? span_of(words, n) : SPAN(""));
        gsasl_free(words);
        loop_turn(house->loop, 0);
    }
    gsasl_finish(session);
    gsasl_done(gsasl);
    return house->result;
}

static enum auth_result simply(struct house *house, const char *login, const char *password)
{
    return log_in(house, "192.0.2.1", login, password, NULL);
}

static enum status set_suspended(struct accounts *accounts, struct span login, bool suspended)
{
    struct tree_node node;
    enum status status = tree_find(accounts, TREE_SENDER, login, &node);
    if (status != STATUS_OK)
        return status;
    return suspended ? tree_suspend(accounts, &node, SPAN("ticket 17"), 0) : tree_resume(accounts, &node, 0);
}

static void test_logins(void **state)
{
    struct house *house = *state;
    set_stored(house, "off@example.org", true, &only_scram, PASSWORD);
    assert_int_equal(set_suspended(house->accounts, SPAN("off@example.org"), true), STATUS_OK);
    set_stored(house, "hash@example.org", true, NULL, NULL);
    assert_int_equal(simply(house, "Anna@Example.ORG", PASSWORD), AUTH_OK);
    assert_string_equal(house->account, "anna@example.org");
    static const char *const wrong[][2] = { { "anna@example.org", "correct hors" }, { "nobody@example.org", PASSWORD },
                                            { "off@example.org", "wrong" },         { "hash@example.org", PASSWORD },
                                            { "a b", PASSWORD } };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        if (simply(house, wrong[i][0], wrong[i][1]) != AUTH_DENIED)
            fail_msg("wrong login %zu", i);
        assert_string_equal(house->text, "login or password is wrong"); /* the same for all */
    }
    assert_int_equal(simply(house, "off@example.org", PASSWORD), AUTH_DENIED); /* who has it hears why it opens nothing */
    assert_string_equal(house->text, "off@example.org is suspended (ticket 17); ask the administrator");
}

static void change_password(struct house *house) { set_stored(house, "anna@example.org", false, &only_scram, "another one"); }
static void disable(struct house *house)
{
    assert_int_equal(set_suspended(house->accounts, SPAN("anna@example.org"), true), STATUS_OK);
}

static void test_changed_meanwhile(void **state)
{
    struct house *house = *state;
    assert_int_equal(log_in(house, "192.0.2.1", "anna@example.org", PASSWORD, change_password), AUTH_DENIED);
    assert_int_equal(simply(house, "anna@example.org", "another one"), AUTH_OK);
    assert_int_equal(log_in(house, "192.0.2.1", "anna@example.org", "another one", disable), AUTH_DENIED);
}

/* Salt and rounds of a login's first answer, behind the nonce. */
static void salt_of(struct house *house, const char *login, char ret[256])
{
    char message[256];
    snprintf(message, sizeof message, "n,,n=%s,r=abc", login);
    start(house, "SCRAM-SHA-256", "192.0.2.1", span_str(message));
    struct span challenge = buf_span(&house->challenge);
    snprintf(ret, 256, "%.*s", SPAN_ARGS(span_from(challenge, span_find(challenge, ','))));
    cancel(house);
    loop_turn(house->loop, 0);
}

/* Nobody can ask who exists: the same salt each time, also after a start, of the length and with the rounds of others. */
static void test_salts(void **state)
{
    struct house *house = *state;
    char anna[256], nobody[256], again[256], other[256];
    struct stat file;
    salt_of(house, "anna@example.org", anna);
    salt_of(house, "nobody@example.org", nobody);
    salt_of(house, "nobody@Example.org", again);
    salt_of(house, "nobodx@example.org", other);
    assert_string_equal(nobody, again);
    assert_string_not_equal(nobody, other);
    assert_int_equal(strlen(anna), strlen(nobody));
    assert_string_equal(strstr(anna, ",i="), strstr(nobody, ",i="));
    assert_int_equal(stat(house->salts, &file), 0);
    assert_int_equal(file.st_mode & 0777, 0600);
    assert_int_equal(file.st_size, SCRAM_HASH);
    end_service(house);
    begin_service(house);
    salt_of(house, "nobody@example.org", again);
    assert_string_equal(nobody, again);
    end_service(house);
    assert_int_equal(truncate(house->salts, 5), 0); /* a power cut: another one is made */
    begin_service(house);
    salt_of(house, "nobody@example.org", again);
    assert_string_not_equal(nobody, again);
    assert_int_equal(stat(house->salts, &file), 0);
    assert_int_equal(file.st_size, SCRAM_HASH);
}

/* The same pauses as for other passwords; the owner elsewhere has none; who did not prove anything has not guessed. */
static void test_guessers(void **state)
{
    struct house *house = *state;
    char salt[256];
    for (unsigned i = 0; i < 20; i++)
        salt_of(house, "anna@example.org", salt);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(simply(house, "anna@example.org", "a guess"), AUTH_DENIED);
    assert_int_equal(simply(house, "anna@example.org", "a guess"), AUTH_BUSY);
    assert_int_equal(simply(house, "anna@example.org", PASSWORD), AUTH_BUSY); /* he learns nothing */
    assert_true(strncmp(house->text, "too many wrong passwords came from your network", 47) == 0);
    assert_int_equal(log_in(house, "198.51.100.1", "anna@example.org", PASSWORD, NULL), AUTH_OK);
}

static void test_unbound(void **state)
{
    struct house *house = *state;
    start(house, "SCRAM-SHA-256", "192.0.2.1", SPAN("y,,n=anna@example.org,r=abc"));
    assert_true(house->is_over && house->result == AUTH_DENIED);
    assert_true(strncmp(house->text, "this login does not belong to this connection", 45) == 0);
    for (unsigned i = 0; i < 20; i++) /* no guesses: nobody waits for them */
        start(house, "SCRAM-SHA-256-PLUS", "192.0.2.1", SPAN("p=tls-unique,,n=anna@example.org,r=abc"));
    assert_int_equal(simply(house, "anna@example.org", PASSWORD), AUTH_OK);
}

/* PLAIN works by what is stored for SCRAM. */
static void test_plain(void **state)
{
    struct house *house = *state;
    house->is_over = false;
    start(house, "PLAIN", "192.0.2.1", SPAN("\0anna@example.org\0" PASSWORD));
    while (!house->is_over)
        loop_turn(house->loop, -1);
    assert_int_equal(house->result, AUTH_OK);
    house->is_over = false;
    start(house, "PLAIN", "192.0.2.1", SPAN("\0anna@example.org\0correct hors"));
    while (!house->is_over)
        loop_turn(house->loop, -1);
    assert_int_equal(house->result, AUTH_DENIED);
}

static void wait_mechanisms(struct house *house, const char *names)
{
    while (!span_eq(buf_span(&house->mechanisms), span_str(names)))
        loop_turn(house->loop, -1);
}

/* Offered while everybody can use it; what a panel does in between is seen. */
static void test_offer(void **state)
{
    struct house *house = *state;
    wait_mechanisms(house, SCRAM_AND_PLAIN);
    directory_service_scram(house->service, DIRECTORY_SCRAM_NO, 5000);
    assert_span(buf_span(&house->mechanisms), "PLAIN LOGIN");
    directory_service_scram(house->service, DIRECTORY_SCRAM_AUTO, 5000);
    assert_span(buf_span(&house->mechanisms), SCRAM_AND_PLAIN); /* at once, where they are few */

    set_stored(house, "old@example.org", true, NULL, NULL);
    wait_mechanisms(house, "PLAIN LOGIN");
    assert_int_equal(set_suspended(house->accounts, SPAN("old@example.org"), true), STATUS_OK);
    wait_mechanisms(house, SCRAM_AND_PLAIN);
    assert_int_equal(set_suspended(house->accounts, SPAN("old@example.org"), false), STATUS_OK);
    wait_mechanisms(house, "PLAIN LOGIN");
    set_stored(house, "old@example.org", false, &only_scram, PASSWORD);
    wait_mechanisms(house, SCRAM_AND_PLAIN);
}

/* More than one slice, the one without at the end. */
static void test_offer_of_many(void **state)
{
    struct house *house = *state;
    directory_service_scram(house->service, DIRECTORY_SCRAM_NO, 5000);
    AUTO(buf_done) struct buf stored = BUF_EMPTY(SECRET_STORED_MAX);
    assert_int_equal(secret_make_wished(SPAN(PASSWORD), &only_scram, &stored), STATUS_OK);
    for (unsigned i = 0; i < 2500; i++) {
        char login[64];
        snprintf(login, sizeof login, "user%u@example.org", i);
        assert_int_equal(accounts_add(house->accounts, span_str(login), buf_span(&stored), SPAN(""), 0), STATUS_OK);
    }
    directory_service_scram(house->service, DIRECTORY_SCRAM_AUTO, 5000);
    wait_mechanisms(house, SCRAM_AND_PLAIN);
    set_stored(house, "zoe@example.org", true, NULL, NULL);
    wait_mechanisms(house, "PLAIN LOGIN");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = { TEST(test_logins),   TEST(test_changed_meanwhile), TEST(test_salts),
                                        TEST(test_guessers), TEST(test_unbound),           TEST(test_plain),
                                        TEST(test_offer),    TEST(test_offer_of_many) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
