/* The whole service as smtpd sees it: questions in, answers out; only the clock and the threads are real. */
#include "directory/accounts.h"
#include "directory/credential.h"
#include "directory/service.h"
#include "directory/tree.h"
#include "test.h"
#include <stdlib.h>
#include <unistd.h>

#define SECRET "correct horse"
#define STORED "$2b$04$0S7aSvRN0bcbuDYBq4hXVujYLSjeY3oheoJ9wRynxe6ji2n2LDajm"
#define OTHER_STORED "$5$rounds=1000$8fvpDwtlqpyAVt1I$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

struct house {
    char folder[64], path[96];
    struct accounts *accounts;
    struct loop *loop;
    struct log log;
    struct directory_service *service;
    struct directory_peer *peer;
    uint64_t credential, asks_with;
    bool restricted;
    struct tell_count count;
    uint64_t taken_ms;
    unsigned answers; /* after what is told at once */
    uint16_t kind;    /* of the last answer */
    uint64_t token;
    uint8_t result;   /* auth result or verdict */
    char account[64], text[512];
};

static void keep(char *to, size_t room, struct span from)
{
    snprintf(to, room, "%.*s", SPAN_ARGS(from));
}

static void on_answer(void *arg, uint16_t kind, struct span body)
{
    struct house *house = arg;
    struct tell_auth auth;
    struct tell_verdict verdict;
    struct tell_challenge challenge;
    struct tell_mechanisms mechanisms;
    struct tell_counted counted;
    if (kind == TELL_COUNT) {
        assert_true(tell_count_get(body, &house->count));
        return;
    }
    house->kind = kind;
    house->answers++;
    switch (kind) {
    case TELL_AUTH:
        assert_true(tell_auth_get(body, &auth));
        house->token = auth.token;
        house->result = auth.result;
        house->credential = auth.credential;
        house->restricted = auth.restricted != 0;
        keep(house->account, sizeof house->account, auth.account);
        keep(house->text, sizeof house->text, auth.text);
        break;
    case TELL_VERDICT:
        assert_true(tell_verdict_get(body, &verdict));
        house->token = verdict.token;
        house->result = verdict.verdict;
        keep(house->text, sizeof house->text, verdict.text);
        break;
    case TELL_CHALLENGE:
        assert_true(tell_challenge_get(body, &challenge));
        keep(house->text, sizeof house->text, challenge.challenge);
        break;
    case TELL_COUNTED:
        assert_true(tell_counted_get(body, &counted));
        house->token = counted.token;
        house->result = counted.result;
        house->taken_ms = counted.taken_ms;
        keep(house->text, sizeof house->text, counted.text);
        break;
    default:
        assert_true(tell_mechanisms_get(body, &mechanisms));
        house->answers = 0;
    }
}

static enum status set_suspended(struct accounts *accounts, struct span login, bool suspended)
{
    struct tree_node node;
    enum status status = tree_find(accounts, TREE_SENDER, login, &node);
    if (status != STATUS_OK)
        return status;
    return suspended ? tree_suspend(accounts, &node, SPAN("ticket 17"), 0) : tree_resume(accounts, &node, 0);
}

static void fill(struct accounts *accounts)
{
    assert_int_equal(accounts_add(accounts, SPAN("anna@example.org"), SPAN(STORED), SPAN(""), 0), STATUS_OK);
    assert_int_equal(accounts_add(accounts, SPAN("off@example.org"), SPAN(STORED), SPAN(""), 0), STATUS_OK);
    assert_int_equal(accounts_add(accounts, SPAN("odd@example.org"), SPAN("{X}y"), SPAN(""), 0), STATUS_OK);
    assert_int_equal(set_suspended(accounts, SPAN("off@example.org"), true), STATUS_OK);
    assert_int_equal(accounts_alias_add(accounts, SPAN("anna@example.org"), SPAN("info@example.org"), 0), STATUS_OK);
    assert_int_equal(accounts_alias_add(accounts, SPAN("anna@example.org"), SPAN("*@shop.example"), 0), STATUS_OK);
}

static int setup_with(void **state, bool with_database, unsigned waiting)
{
    struct house *house = calloc(1, sizeof *house);
    *state = house;
    strcpy(house->folder, "/tmp/goniec-service-XXXXXX");
    if (secret_init() != STATUS_OK || !mkdtemp(house->folder))
        return 1;
    snprintf(house->path, sizeof house->path, "%s/accounts.db", house->folder);
    if (with_database) {
        assert_int_equal(accounts_open_to_change(house->path, -1, -1, &house->accounts), STATUS_OK);
        fill(house->accounts);
    }
    house->loop = loop_new();
    log_init(&house->log, -1, "directory", LOG_DEBUG);
    struct directory_limits limits = { .threads = 1, .waiting = waiting, .remember_ms = 60000,
                                       .guess = { 5, 30, 900000, 24, 48 }, .signers = 1 };
    house->service = directory_service_new(house->loop, &house->log, house->path, &limits);
    house->peer = directory_peer_new(house->service, on_answer, house);
    return house->peer ? 0 : 1;
}

static int setup(void **state) { return setup_with(state, true, 100); }
static int setup_empty(void **state) { return setup_with(state, false, 100); }
static int setup_narrow(void **state) { return setup_with(state, true, 4); }

static int teardown(void **state)
{
    struct house *house = *state;
    directory_peer_free(house->peer);
    directory_service_free(house->service);
    accounts_close(house->accounts);
    log_done(&house->log);
    loop_free(house->loop);
    char command[160];
    static const char *const ends[] = { "", "-wal", "-shm", "-counts-a", "-counts-b", "-known", "-known-wal", "-known-shm" };
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        snprintf(command, sizeof command, "%s%s", house->path, ends[i]);
        unlink(command);
    }
    int result = rmdir(house->folder);
    free(house);
    return result;
}

static void start(struct house *house, uint64_t token, const char *mechanism, bool has_initial, struct span initial,
                  const char *client)
{
    AUTO(buf_done) struct buf body = BUF_EMPTY(65536);
    ask_auth_start_put(&body, &(struct ask_auth_start){ .token = token, .mechanism = span_str(mechanism),
                                                        .has_initial = has_initial, .initial = initial,
                                                        .client = span_str(client), .tls = 1 });
    assert_int_equal(directory_peer_feed(house->peer, ASK_AUTH_START, buf_span(&body)), STATUS_OK);
}

static void wait_answers(struct house *house, unsigned count)
{
    while (house->answers < count)
        loop_turn(house->loop, -1);
}

/* How a PLAIN login ends; `at_once`: without a turn of the loop, so without a worker. */
static enum auth_result log_in_from(struct house *house, const char *client, struct span login, struct span password,
                                    bool *at_once)
{
    AUTO(buf_done) struct buf message = BUF_EMPTY(8192);
    buf_add_char(&message, '\0');
    buf_add(&message, login);
    buf_add_char(&message, '\0');
    buf_add(&message, password);
    house->answers = 0;
    start(house, 7, "PLAIN", true, buf_span(&message), client);
    *at_once = house->answers > 0;
    wait_answers(house, 1);
    assert_int_equal(house->kind, TELL_AUTH);
    assert_int_equal(house->token, 7);
    loop_turn(house->loop, 0); /* the turn's view of the database ends */
    return (enum auth_result)house->result;
}

static enum auth_result log_in(struct house *house, struct span login, struct span password, bool *at_once)
{
    return log_in_from(house, "192.0.2.1", login, password, at_once);
}

static void test_logins(void **state)
{
    struct house *house = *state;
    bool at_once;
    assert_int_equal(log_in(house, SPAN("Anna@Example.org"), SPAN(SECRET), &at_once), AUTH_OK);
    assert_string_equal(house->account, "anna@example.org");
    static const struct span wrong[][2] = {
        { SPAN("anna@example.org"), SPAN("wrong") },        { SPAN("nobody@example.org"), SPAN(SECRET) },
        { SPAN("off@example.org"), SPAN("wrong") },         { SPAN("odd@example.org"), SPAN("{X}y") },
        { SPAN("odd@example.org"), SPAN(SECRET) },          { SPAN("an na"), SPAN(SECRET) },
        { SPAN("anna@example.org"), SPAN("correct\nhorse") }, { SPAN("\xff"), SPAN("no login either") },
        { SPAN("info@example.org"), SPAN(SECRET) },         { SPAN("anna@example.org'--"), SPAN(SECRET) },
    };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        if (log_in(house, wrong[i][0], wrong[i][1], &at_once) != AUTH_DENIED)
            fail_msg("wrong login %zu was not denied", i);
        assert_string_equal(house->account, "");
        assert_string_equal(house->text, "login or password is wrong"); /* the same for all */
        if (at_once)
            fail_msg("wrong login %zu took no hash", i); /* so all take the time of one */
    }
}

static void test_remembers_until_the_password_changes(void **state)
{
    struct house *house = *state;
    bool at_once;
    assert_int_equal(log_in(house, SPAN("anna@example.org"), SPAN(SECRET), &at_once), AUTH_OK);
    assert_false(at_once);
    assert_int_equal(log_in(house, SPAN("anna@example.org"), SPAN(SECRET), &at_once), AUTH_OK);
    assert_true(at_once);
    assert_int_equal(log_in(house, SPAN("anna@example.org"), SPAN("correct hors"), &at_once), AUTH_DENIED);
    assert_false(at_once);

    assert_int_equal(accounts_set_stored(house->accounts, SPAN("anna@example.org"), SPAN(OTHER_STORED), 0), STATUS_OK);
    assert_int_equal(log_in(house, SPAN("anna@example.org"), SPAN(SECRET), &at_once), AUTH_DENIED);
    assert_int_equal(accounts_set_stored(house->accounts, SPAN("anna@example.org"), SPAN(STORED), 0), STATUS_OK);
    assert_int_equal(log_in(house, SPAN("anna@example.org"), SPAN(SECRET), &at_once), AUTH_OK);

    assert_int_equal(set_suspended(house->accounts, SPAN("anna@example.org"), true), STATUS_OK);
    /* who has the right password hears why it opens nothing, even while it is remembered; who has not does not */
    assert_int_equal(log_in(house, SPAN("anna@example.org"), SPAN(SECRET), &at_once), AUTH_DENIED);
    assert_string_equal(house->text, "anna@example.org is suspended (ticket 17); ask the administrator");
    assert_int_equal(log_in(house, SPAN("anna@example.org"), SPAN("another wrong"), &at_once), AUTH_DENIED);
    assert_string_equal(house->text, "login or password is wrong");
}

static int64_t find_sender(struct accounts *accounts, struct span login)
{
    struct tree_node node;
    assert_int_equal(tree_find(accounts, TREE_SENDER, login, &node), STATUS_OK);
    return node.id;
}

/* "abcdef-ghjkm", and what it opens. */
#define APP_SECRET "abcdef-ghjkm"
#define APP_STORED "$6$rounds=1000$saltsalt$icgHRYY5eLaEYFP4eFT8NFJu6mm/2Q9ggMl5VYfgXFaqdYLwkTZ6jhYudUy9myRifglCtspy99dysOVsz8qZg0"

static void add_app(struct house *house, const char *name, int64_t expires_ms, const char *networks, const char *senders)
{
    struct credential credential = { .sender = find_sender(house->accounts, SPAN("anna@example.org")), .name = span_str(name),
                                     .handle = SPAN("abcdef"), .stored = SPAN(APP_STORED), .expires_ms = expires_ms,
                                     .networks = span_str(networks), .senders = span_str(senders) };
    (void)!credential_revoke(house->accounts, credential.sender, credential.name, 0);
    assert_int_equal(credential_add(house->accounts, &credential, 0), STATUS_OK);
}

static void test_app_passwords(void **state)
{
    struct house *house = *state;
    bool at_once;
    struct span anna = SPAN("anna@example.org");
    add_app(house, "phone", 0, "", "");
    assert_int_equal(log_in(house, anna, SPAN(APP_SECRET), &at_once), AUTH_OK);
    assert_int_not_equal(house->credential, 0);
    assert_false(house->restricted);
    assert_int_equal(log_in(house, anna, SPAN(APP_SECRET), &at_once), AUTH_OK);
    assert_true(at_once); /* remembered by itself */
    assert_int_equal(log_in(house, anna, SPAN(SECRET), &at_once), AUTH_OK); /* its own password opens as before */
    assert_int_equal(log_in(house, anna, SPAN("abcdef-wrong"), &at_once), AUTH_DENIED);
    assert_int_equal(log_in(house, SPAN("odd@example.org"), SPAN(APP_SECRET), &at_once), AUTH_DENIED);

    add_app(house, "phone", 1000, "", "");
    assert_int_equal(log_in(house, anna, SPAN(APP_SECRET), &at_once), AUTH_DENIED);
    assert_string_equal(house->text, "the credential phone of anna@example.org expired at 1970-01-01T00:00:01.000Z; "
                                     "log in with another, or have a new one made");
    add_app(house, "phone", 0, "198.51.100.0/24", "");
    assert_int_equal(log_in(house, anna, SPAN(APP_SECRET), &at_once), AUTH_DENIED);
    assert_string_equal(house->text, "the credential phone of anna@example.org may not be used from 192.0.2.1; "
                                     "use another, or have its networks changed");
    assert_int_equal(log_in_from(house, "198.51.100.7", anna, SPAN(APP_SECRET), &at_once), AUTH_OK);
    assert_int_equal(credential_revoke(house->accounts, find_sender(house->accounts, anna), SPAN("phone"), 0), STATUS_OK);
    assert_int_equal(log_in_from(house, "198.51.100.7", anna, SPAN(APP_SECRET), &at_once), AUTH_DENIED);
    assert_string_equal(house->text, "login or password is wrong");
}

static void guess_wrongly(struct house *house, const char *client, unsigned first, unsigned count, enum auth_result result)
{
    bool at_once;
    for (unsigned i = first; i < first + count; i++) {
        char password[32];
        snprintf(password, sizeof password, "guess %u", i);
        assert_int_equal(log_in_from(house, client, SPAN("anna@example.org"), span_str(password), &at_once), result);
        assert_int_equal(at_once, result == AUTH_BUSY); /* who is put off costs no hash */
    }
}

/* A guesser waits; he learns nothing, not even from what is remembered; the owner does not wait. */
static void test_guesser(void **state)
{
    struct house *house = *state;
    bool at_once;
    struct tally tally;
    assert_int_equal(tally_alone(&tally), STATUS_OK);
    directory_service_count(house->service, &tally);
    assert_int_equal(log_in_from(house, "198.51.100.1", SPAN("anna@example.org"), SPAN(SECRET), &at_once), AUTH_OK);
    guess_wrongly(house, "192.0.2.1", 0, 5, AUTH_DENIED);
    guess_wrongly(house, "192.0.2.2", 5, 30, AUTH_BUSY);
    assert_true(strncmp(house->text, "too many wrong passwords came from your network; try again in ", 62) == 0);
    assert_int_equal(log_in_from(house, "192.0.2.3", SPAN("anna@example.org"), SPAN(SECRET), &at_once), AUTH_BUSY);
    assert_true(at_once);
    assert_int_equal(log_in_from(house, "198.51.100.1", SPAN("anna@example.org"), SPAN(SECRET), &at_once), AUTH_OK);
    assert_int_equal(log_in_from(house, "203.0.113.4", SPAN("anna@example.org"), SPAN(SECRET), &at_once), AUTH_OK);
    assert_true(tally_figure(&tally, TALLY_LOGINS_SLOWED) == 31);
    assert_true(tally_figure(&tally, TALLY_LOGINS_FAILED) == 5);
    assert_true(tally_figure(&tally, TALLY_LOGINS) == 3);
    assert_true(tally_figure(&tally, TALLY_ATTACKS) == 1);
    tally_unmap(&tally);
}

/* Where the owner has been before he gets in, whoever guesses beside him, and may err himself. */
static void test_known_address(void **state)
{
    struct house *house = *state;
    bool at_once;
    assert_int_equal(log_in_from(house, "192.0.2.7", SPAN("anna@example.org"), SPAN(SECRET), &at_once), AUTH_OK);
    guess_wrongly(house, "192.0.2.1", 0, 5, AUTH_DENIED);
    guess_wrongly(house, "192.0.2.1", 5, 5, AUTH_BUSY);
    assert_int_equal(log_in_from(house, "192.0.2.7", SPAN("anna@example.org"), SPAN(SECRET), &at_once), AUTH_OK);
    guess_wrongly(house, "192.0.2.7", 100, 10, AUTH_DENIED);
    assert_int_equal(log_in_from(house, "192.0.2.7", SPAN("anna@example.org"), SPAN(SECRET), &at_once), AUTH_OK);
}

/* A program with an old password, which nobody looks at, is no guesser, and costs one hash. */
static void test_same_wrong_password(void **state)
{
    struct house *house = *state;
    bool at_once;
    static const struct span logins[] = { SPAN("anna@example.org"), SPAN("nobody@example.org") }; /* both alike */
    for (size_t i = 0; i < ARRAY_LEN(logins); i++)
        for (unsigned n = 0; n < 50; n++) {
            assert_int_equal(log_in(house, logins[i], SPAN("the old one"), &at_once), AUTH_DENIED);
            assert_int_equal(at_once, n > 0);
        }
    assert_int_equal(log_in(house, SPAN("anna@example.org"), SPAN(SECRET), &at_once), AUTH_OK);
    assert_int_equal(log_in(house, SPAN("off@example.org"), SPAN(SECRET), &at_once), AUTH_DENIED);
    assert_int_equal(set_suspended(house->accounts, SPAN("off@example.org"), false), STATUS_OK);
    assert_int_equal(log_in(house, SPAN("off@example.org"), SPAN(SECRET), &at_once), AUTH_OK);
}

/* Many persons behind one address are not slowed together, but each guessed login is. */
static void test_many_behind_an_address(void **state)
{
    struct house *house = *state;
    struct conf_network many;
    bool at_once;
    static const struct guess_limits limits = { 5, 10, 900000, 24, 48 };
    assert_true(conf_network_parse(SPAN("192.0.2.0/28"), &many));
    directory_service_guard(house->service, &limits, &(struct conf_networks){ &many, 1 });
    for (unsigned i = 0; i < 20; i++) {
        char login[32];
        snprintf(login, sizeof login, "who%u@example.org", i);
        assert_int_equal(log_in(house, span_str(login), SPAN("x"), &at_once), AUTH_DENIED);
    }
    guess_wrongly(house, "192.0.2.1", 0, 5, AUTH_DENIED);
    guess_wrongly(house, "192.0.2.1", 5, 1, AUTH_BUSY);
}

static void next(struct house *house, uint64_t token, struct span response)
{
    AUTO(buf_done) struct buf body = BUF_EMPTY(65536);
    ask_auth_next_put(&body, &(struct ask_auth_next){ token, response });
    assert_int_equal(directory_peer_feed(house->peer, ASK_AUTH_NEXT, buf_span(&body)), STATUS_OK);
}

static void test_login_mechanism(void **state)
{
    struct house *house = *state;
    start(house, 1, "LOGIN", false, SPAN_NONE, "192.0.2.1");
    assert_string_equal(house->text, "Username:");
    next(house, 1, SPAN("anna@example.org"));
    assert_string_equal(house->text, "Password:");
    next(house, 1, SPAN(SECRET));
    wait_answers(house, 3);
    assert_int_equal(house->result, AUTH_OK);
    start(house, 2, "GSSAPI", false, SPAN_NONE, "192.0.2.1");
    assert_int_equal(house->result, AUTH_UNKNOWN_MECHANISM);
    start(house, 3, "PLAIN", true, SPAN("nonsense"), "192.0.2.1");
    assert_int_equal(house->result, AUTH_BROKEN);
}

/* Fifty connections of one website at once cost one hash. */
static void test_same_logins_share_a_check(void **state)
{
    struct house *house = *state;
    for (uint64_t token = 1; token <= 50; token++)
        start(house, token, "PLAIN", true, SPAN("\0anna@example.org\0" SECRET), "192.0.2.1");
    assert_int_equal(house->answers, 0);
    wait_answers(house, 1);
    assert_int_equal(house->answers, 50);
    assert_int_equal(house->result, AUTH_OK);
}

/* Four places wait: one client gets one of them, and what is over is told to come back. */
static void test_full_waiting_room(void **state)
{
    struct house *house = *state;
    start(house, 1, "PLAIN", true, SPAN("\0anna@example.org\0wrong 1"), "192.0.2.1");
    assert_int_equal(house->answers, 0);
    start(house, 2, "PLAIN", true, SPAN("\0anna@example.org\0wrong 2"), "192.0.2.1");
    assert_int_equal(house->answers, 1);
    assert_int_equal(house->token, 2);
    assert_int_equal(house->result, AUTH_BUSY);
    start(house, 3, "PLAIN", true, SPAN("\0anna@example.org\0" SECRET), "192.0.2.2");
    wait_answers(house, 3);
    assert_int_equal(house->token, 3);
    assert_int_equal(house->result, AUTH_OK);
    start(house, 4, "PLAIN", true, SPAN("\0anna@example.org\0wrong 3"), "192.0.2.1"); /* its place is free again */
    assert_int_equal(house->answers, 3);
    wait_answers(house, 4);
    assert_int_equal(house->result, AUTH_DENIED);
}

static void test_cancel_and_gone(void **state)
{
    struct house *house = *state;
    AUTO(buf_done) struct buf body = BUF_EMPTY(64);
    ask_cancel_put(&body, &(struct ask_cancel){ 1 });
    start(house, 1, "PLAIN", true, SPAN("\0anna@example.org\0" SECRET), "192.0.2.1");
    assert_int_equal(directory_peer_feed(house->peer, ASK_AUTH_CANCEL, buf_span(&body)), STATUS_OK);
    assert_int_equal(directory_peer_feed(house->peer, ASK_AUTH_CANCEL, buf_span(&body)), STATUS_OK);
    start(house, 1, "PLAIN", true, SPAN("\0anna@example.org\0other"), "192.0.2.1"); /* the token is free */
    wait_answers(house, 1);
    assert_int_equal(house->result, AUTH_DENIED);
    assert_int_equal(house->answers, 1); /* none for what was cancelled */
    start(house, 9, "PLAIN", true, SPAN("\0anna@example.org\0third"), "192.0.2.1");
    directory_peer_free(house->peer); /* smtpd dies while its question is in a worker */
    house->peer = directory_peer_new(house->service, on_answer, house);
    start(house, 9, "PLAIN", true, SPAN("\0anna@example.org\0third"), "192.0.2.1");
    wait_answers(house, 1);
    assert_int_equal(house->answers, 1);
}

static enum verdict ask_send(struct house *house, const char *account, bool in_header, const char *one, const char *two)
{
    struct ask_may_send *ask = calloc(1, sizeof *ask);
    *ask = (struct ask_may_send){ .token = 5, .account = span_str(account), .credential = house->asks_with,
                                  .which = in_header ? MAY_SEND_HEADER : MAY_SEND_ENVELOPE,
                                  .count = two ? 2 : 1, .addresses = { span_str(one), span_str(two) } };
    AUTO(buf_done) struct buf body = BUF_EMPTY(65536);
    ask_may_send_put(&body, ask);
    free(ask);
    assert_int_equal(directory_peer_feed(house->peer, ASK_MAY_SEND, buf_span(&body)), STATUS_OK);
    assert_int_equal(house->kind, TELL_VERDICT);
    loop_turn(house->loop, 0);
    return (enum verdict)house->result;
}

static void test_sessions_of_an_app_password(void **state)
{
    struct house *house = *state;
    bool at_once;
    struct span anna = SPAN("anna@example.org");
    add_app(house, "shop", 0, "192.0.2.0/24", "info@example.org");
    assert_int_equal(log_in(house, anna, SPAN(APP_SECRET), &at_once), AUTH_OK);
    assert_true(house->restricted); /* its own address is not its own any more without a question */
    house->asks_with = house->credential;
    assert_int_equal(ask_send(house, "anna@example.org", false, "info+x@example.org", NULL), VERDICT_YES);
    assert_int_equal(ask_send(house, "anna@example.org", false, "", NULL), VERDICT_YES);
    assert_int_equal(ask_send(house, "anna@example.org", true, "", NULL), VERDICT_NO);
    assert_int_equal(ask_send(house, "anna@example.org", true, "info@example.org", "anna@example.org"), VERDICT_NO);
    assert_string_equal(house->text, "the credential shop of anna@example.org may not send as anna@example.org, but as "
                                     "info@example.org; log in with another, or ask the administrator");
    add_app(house, "shop", 0, "", "bob@example.org"); /* never more than the sender itself; and it has another number now */
    assert_int_equal(ask_send(house, "anna@example.org", false, "info@example.org", NULL), VERDICT_NO);
    assert_string_equal(house->text, "what this login was made with has been changed or revoked; log in again");
    assert_int_equal(log_in(house, anna, SPAN(APP_SECRET), &at_once), AUTH_OK);
    house->asks_with = house->credential;
    assert_int_equal(ask_send(house, "anna@example.org", false, "bob@example.org", NULL), VERDICT_NO);
}

static void set_from(struct house *house, enum tree_kind kind, struct span name, const char *value)
{
    struct tree_node node;
    struct span text = span_str(value);
    assert_int_equal(tree_find(house->accounts, kind, name, &node), STATUS_OK);
    assert_int_equal(tree_set(house->accounts, &node, tree_setting_find(SPAN("from")), &text, 1, 0), STATUS_OK);
}

static void test_senders_by_their_place(void **state)
{
    struct house *house = *state;
    assert_int_equal(ask_send(house, "anna@example.org", false, "anybody@example.org", NULL), VERDICT_NO);
    set_from(house, TREE_DOMAIN, SPAN("example.org"), "domain");
    assert_int_equal(ask_send(house, "anna@example.org", false, "anybody@example.org", NULL), VERDICT_YES);
    assert_int_equal(ask_send(house, "anna@example.org", false, "anybody@other.example", NULL), VERDICT_NO);
    assert_int_equal(accounts_add(house->accounts, SPAN("x@other.example"), SPAN("x"), SPAN(""), 0), STATUS_OK);
    set_from(house, TREE_DOMAIN, SPAN("example.org"), "customer");
    assert_int_equal(ask_send(house, "anna@example.org", false, "anybody@other.example", NULL), VERDICT_YES);
    assert_int_equal(ask_send(house, "anna@example.org", false, "anybody@third.example", NULL), VERDICT_NO);
    set_from(house, TREE_SENDER, SPAN("anna@example.org"), "any"); /* capped above */
    assert_int_equal(ask_send(house, "anna@example.org", false, "anybody@third.example", NULL), VERDICT_NO);
    set_from(house, TREE_DOMAIN, SPAN("example.org"), "any");
    assert_int_equal(ask_send(house, "anna@example.org", false, "anybody@third.example", NULL), VERDICT_YES);
}

static void test_senders(void **state)
{
    struct house *house = *state;
    assert_int_equal(ask_send(house, "anna@example.org", false, "anna@example.org", NULL), VERDICT_YES);
    assert_int_equal(ask_send(house, "anna@example.org", false, "", NULL), VERDICT_YES);
    assert_int_equal(ask_send(house, "anna@example.org", true, "info+a@example.org", "x@shop.example"), VERDICT_YES);
    assert_int_equal(ask_send(house, "anna@example.org", true, "info@example.org", "bob@example.org"), VERDICT_NO);
    assert_string_equal(house->text, "anna@example.org may not send as bob@example.org; it owns anna@example.org, "
                                     "*@shop.example and info@example.org; ask the administrator to add an alias");
    assert_int_equal(ask_send(house, "anna@example.org", false, "nonsense", NULL), VERDICT_NO);
    assert_int_equal(ask_send(house, "off@example.org", false, "off@example.org", NULL), VERDICT_NO);
    assert_int_equal(ask_send(house, "gone@example.org", false, "gone@example.org", NULL), VERDICT_NO);
    assert_int_equal(ask_send(house, "", false, "anna@example.org", NULL), VERDICT_NO);
    /* a right given or taken holds from the next question on */
    assert_int_equal(accounts_alias_add(house->accounts, SPAN("anna@example.org"), SPAN("bob@example.org"), 0), STATUS_OK);
    assert_int_equal(ask_send(house, "anna@example.org", false, "bob@example.org", NULL), VERDICT_YES);
    assert_int_equal(accounts_alias_remove(house->accounts, SPAN("anna@example.org"), SPAN("bob@example.org"), 0),
                     STATUS_OK);
    assert_int_equal(ask_send(house, "anna@example.org", false, "bob@example.org", NULL), VERDICT_NO);
}

static enum verdict ask_recipient(struct house *house, const char *address)
{
    AUTO(buf_done) struct buf body = BUF_EMPTY(4096);
    ask_is_recipient_put(&body, &(struct ask_is_recipient){ 6, span_str(address) });
    assert_int_equal(directory_peer_feed(house->peer, ASK_IS_RECIPIENT, buf_span(&body)), STATUS_OK);
    assert_int_equal(house->kind, TELL_VERDICT);
    return (enum verdict)house->result;
}

static void test_recipients(void **state)
{
    struct house *house = *state;
    static const char *const known[] = { "anna@example.org", "ANNA+x@example.org", "info@example.org",
                                         "off@example.org" };
    static const char *const unknown[] = { "bob@example.org", "x@shop.example", "*@shop.example.org", "anna", "",
                                            "*@shop.example", "*+a@shop.example", "\"*\"@shop.example" };
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        assert_int_equal(ask_recipient(house, known[i]), VERDICT_YES);
    for (size_t i = 0; i < ARRAY_LEN(unknown); i++)
        assert_int_equal(ask_recipient(house, unknown[i]), VERDICT_NO);
}

/* No database: nobody exists, and finding that out takes as long as ever. */
static void test_without_database(void **state)
{
    struct house *house = *state;
    bool at_once;
    assert_int_equal(log_in(house, SPAN("anna@example.org"), SPAN(SECRET), &at_once), AUTH_DENIED);
    assert_false(at_once);
    assert_int_equal(ask_send(house, "anna@example.org", false, "anna@example.org", NULL), VERDICT_NO);
    assert_int_equal(ask_recipient(house, "anna@example.org"), VERDICT_NO);
}

static void test_broken_questions(void **state)
{
    struct house *house = *state;
    for (unsigned kind = 0; kind < 40; kind++)
        assert_int_equal(directory_peer_feed(house->peer, (uint16_t)kind, SPAN("nonsense")),
                         kind == ASK_AUTH_CANCEL ? STATUS_OK : STATUS_SYNTAX); /* eight octets are a token */
    AUTO(buf_done) struct buf body = BUF_EMPTY(64);
    ask_auth_next_put(&body, &(struct ask_auth_next){ 99, SPAN("to nobody") });
    assert_int_equal(directory_peer_feed(house->peer, ASK_AUTH_NEXT, buf_span(&body)), STATUS_SYNTAX);
}

static enum counted ask_count(struct house *house, const char *account, uint8_t which, uint64_t octets, const char *address)
{
    AUTO(buf_done) struct buf body = BUF_EMPTY(4096);
    struct ask_count ask = { 9, span_str(account), 0, which, octets, span_str(address) };
    ask_count_put(&body, &ask);
    assert_int_equal(directory_peer_feed(house->peer, ASK_COUNT, buf_span(&body)), STATUS_OK);
    assert_int_equal(house->kind, TELL_COUNTED);
    assert_int_equal(house->token, 9);
    return (enum counted)house->result;
}

static void undo(struct house *house, const char *account, uint8_t which, uint32_t recipients, uint64_t octets)
{
    AUTO(buf_done) struct buf body = BUF_EMPTY(4096);
    struct ask_undo ask = { span_str(account), 0, which, recipients, octets, house->taken_ms };
    ask_undo_put(&body, &ask);
    assert_int_equal(directory_peer_feed(house->peer, ASK_UNDO, buf_span(&body)), STATUS_OK);
}

#define ANNA "anna@example.org"
#define BOTH (COUNT_MESSAGE | COUNT_RECIPIENT)

static void set_defaults(struct house *house, const char *first, const char *second)
{
    struct span rules[] = { span_str(first), span_str(second ? second : "") };
    directory_service_limits(house->service, &(struct conf_texts){ rules, second ? 2 : 1 }, INT64_C(86400000), 0);
}

static void test_counts(void **state)
{
    struct house *house = *state;
    assert_int_equal(house->count.accounts, 0); /* nothing is asked without limits */
    set_defaults(house, "messages 2/1h each sender", "recipients 3/1h each sender");
    assert_int_equal(house->count.accounts, BOTH);
    assert_int_equal(house->count.relayed, 0);
    assert_int_equal(ask_count(house, ANNA, BOTH, 0, "a@x.example"), COUNTED_YES);
    assert_int_equal(ask_count(house, ANNA, COUNT_RECIPIENT, 0, "b@x.example"), COUNTED_YES);
    assert_int_equal(ask_count(house, ANNA, BOTH, 0, "c@x.example"), COUNTED_YES);
    assert_int_equal(ask_count(house, ANNA, COUNT_RECIPIENT, 0, "d@x.example"), COUNTED_DEFER);
    assert_non_null(strstr(house->text, "limit of 3 recipients per hour for anna@example.org reached (3 in the last 60 min); room for"));
    assert_int_equal(ask_count(house, ANNA, BOTH, 0, "d@x.example"), COUNTED_DEFER);
    assert_non_null(strstr(house->text, "limit of 2 messages per hour"));
    assert_int_equal(ask_count(house, "other@example.org", BOTH, 0, "d@x.example"), COUNTED_YES); /* not even in the tree */
    undo(house, ANNA, BOTH, 2, 0);
    assert_int_equal(ask_count(house, ANNA, BOTH, 0, "d@x.example"), COUNTED_YES);
    /* The message had room, its recipient not: neither is counted. */
    assert_int_equal(ask_count(house, ANNA, COUNT_RECIPIENT, 0, "e@x.example"), COUNTED_YES);
    undo(house, ANNA, COUNT_MESSAGE, 0, 0);
    assert_int_equal(ask_count(house, ANNA, BOTH, 0, "f@x.example"), COUNTED_DEFER);
    undo(house, ANNA, COUNT_RECIPIENT, 1, 0);
    assert_int_equal(ask_count(house, ANNA, BOTH, 0, "f@x.example"), COUNTED_YES);
}

static void test_counts_octets_whole(void **state)
{
    struct house *house = *state;
    set_defaults(house, "bytes 10KiB/1h each sender reject", NULL);
    assert_int_equal(house->count.accounts, COUNT_OCTETS);
    assert_int_equal(ask_count(house, ANNA, COUNT_OCTETS, 11000, ""), COUNTED_TOO_LARGE);
    assert_int_equal(ask_count(house, ANNA, COUNT_OCTETS, 10000, ""), COUNTED_YES);
    assert_int_equal(ask_count(house, ANNA, COUNT_OCTETS, 241, ""), COUNTED_REJECT);
    assert_int_equal(ask_count(house, ANNA, COUNT_OCTETS, 240, ""), COUNTED_YES);
}

static void test_counts_strangers_once(void **state)
{
    struct house *house = *state;
    set_defaults(house, "new-recipients 2/1h each sender", NULL);
    assert_int_equal(ask_count(house, ANNA, BOTH, 0, "a@x.example"), COUNTED_YES);
    assert_int_equal(ask_count(house, ANNA, BOTH, 0, "A@X.example"), COUNTED_YES);
    assert_int_equal(ask_count(house, ANNA, BOTH, 0, "b@x.example"), COUNTED_YES);
    undo(house, ANNA, BOTH, 3, 0); /* whom he wrote to he knows all the same, and counted they are */
    assert_int_equal(ask_count(house, ANNA, BOTH, 0, "c@x.example"), COUNTED_DEFER);
    assert_non_null(strstr(house->text, "new recipients"));
    assert_int_equal(ask_count(house, ANNA, BOTH, 0, "b@x.example"), COUNTED_YES);
}

/* What is said in the tree instead of the defaults, and that mail of machines counts where a limit says so. */
static void test_counts_by_the_tree(void **state)
{
    struct house *house = *state;
    struct tree_node node;
    struct span rule = SPAN("recipients 1/1h"), relayed = SPAN("recipients 2/1h relayed local");
    const struct tree_setting *limit = tree_setting_find(SPAN("limit"));
    assert_int_equal(tree_find(house->accounts, TREE_SENDER, SPAN(ANNA), &node), STATUS_OK);
    assert_int_equal(tree_set(house->accounts, &node, limit, &rule, 1, 0), STATUS_OK);
    assert_int_equal(tree_find(house->accounts, TREE_SERVER, SPAN_NONE, &node), STATUS_OK);
    assert_int_equal(tree_set(house->accounts, &node, limit, &relayed, 1, 0), STATUS_OK);
    set_defaults(house, "recipients 5/1h each sender", NULL);
    assert_int_equal(house->count.relayed, COUNT_RECIPIENT | COUNT_LOCAL);
    assert_int_equal(ask_count(house, ANNA, BOTH | COUNT_LOCAL, 0, "a@x.example"), COUNTED_YES); /* at the server alone */
    assert_int_equal(ask_count(house, ANNA, BOTH, 0, "b@x.example"), COUNTED_YES);
    assert_int_equal(ask_count(house, ANNA, BOTH, 0, "c@x.example"), COUNTED_DEFER);
    assert_non_null(strstr(house->text, "limit of 1 recipients per hour for anna@example.org") ||
                    strstr(house->text, "limit of 1 recipient per hour for anna@example.org") ? house->text : NULL);
    assert_int_equal(ask_count(house, "", BOTH, 0, "c@x.example"), COUNTED_DEFER);
    assert_non_null(strstr(house->text, "limit of 2 recipients per hour for"));
}

static void test_counts_null_senders_apart(void **state)
{
    struct house *house = *state;
    set_defaults(house, "recipients 1/1h each sender", NULL);
    for (int i = 0; i < 100; i++)
        assert_int_equal(ask_count(house, ANNA, COUNT_RECIPIENT | COUNT_NULL, 0, "a@x.example"), COUNTED_YES);
    assert_int_equal(ask_count(house, ANNA, COUNT_RECIPIENT | COUNT_NULL, 0, "a@x.example"), COUNTED_DEFER);
    assert_non_null(strstr(house->text, "the null sender of anna@example.org"));
    assert_int_equal(ask_count(house, ANNA, BOTH, 0, "a@x.example"), COUNTED_YES);
}

static void test_suspends(void **state)
{
    struct house *house = *state;
    struct tree_node node;
    set_defaults(house, "recipients 1/1h each sender suspend", NULL);
    assert_int_equal(ask_count(house, ANNA, BOTH, 0, "a@x.example"), COUNTED_YES);
    assert_int_equal(ask_count(house, ANNA, BOTH, 0, "b@x.example"), COUNTED_REJECT);
    assert_non_null(strstr(house->text, "suspended until the administrator lifts it: limit of 1 recipient"));
    assert_int_equal(tree_find(house->accounts, TREE_SENDER, SPAN(ANNA), &node), STATUS_OK);
    assert_true(node.suspended);
    assert_true(span_starts(node.reason, SPAN("limit of 1 recipient")));
}

#define CASE(test, how) cmocka_unit_test_setup_teardown(test, how, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_logins, setup), CASE(test_remembers_until_the_password_changes, setup),
        CASE(test_guesser, setup), CASE(test_known_address, setup), CASE(test_same_wrong_password, setup),
        CASE(test_many_behind_an_address, setup),
        CASE(test_login_mechanism, setup), CASE(test_same_logins_share_a_check, setup),
        CASE(test_full_waiting_room, setup_narrow), CASE(test_cancel_and_gone, setup), CASE(test_senders, setup),
        CASE(test_app_passwords, setup), CASE(test_sessions_of_an_app_password, setup), CASE(test_senders_by_their_place, setup),
        CASE(test_recipients, setup), CASE(test_without_database, setup_empty), CASE(test_broken_questions, setup),
        CASE(test_counts, setup), CASE(test_counts_octets_whole, setup), CASE(test_counts_strangers_once, setup),
        CASE(test_counts_by_the_tree, setup), CASE(test_counts_null_senders_apart, setup), CASE(test_suspends, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
