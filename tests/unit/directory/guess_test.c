/* Who has to wait, and for how long: the clock is ours. */
#include "directory/guess.h"
#include "test.h"

#define ANNA SPAN("anna@example.org")
#define BOB SPAN("bob@example.org")
#define SECOND 1000
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)

struct scene {
    struct guess *guess;
    int64_t now_ms;
    unsigned begun, ended;
    char network[GUESS_NETWORK_TEXT], login[GUESS_LOGIN_TEXT]; /* of the last news */
    uint32_t wrong, refused;
};

static void note(struct scene *scene, const struct guess_attack *attack)
{
    snprintf(scene->network, sizeof scene->network, "%s", attack->network);
    snprintf(scene->login, sizeof scene->login, "%s", attack->login);
    scene->wrong = attack->wrong;
    scene->refused = attack->refused;
}

static void on_begin(void *arg, const struct guess_attack *attack)
{
    struct scene *scene = arg;
    scene->begun++;
    note(scene, attack);
}

static void on_end(void *arg, const struct guess_attack *attack)
{
    struct scene *scene = arg;
    scene->ended++;
    note(scene, attack);
}

static const struct guess_limits usual = { 5, 30, 15 * MINUTE, 24, 48 };

static int setup(void **state)
{
    static const struct guess_events events = { on_begin, on_end };
    static struct scene scene;
    scene = (struct scene){ .now_ms = 987654321 };
    scene.guess = guess_new(&usual, &events, &scene);
    *state = &scene;
    return scene.guess ? 0 : 1;
}

static int teardown(void **state)
{
    guess_free(((struct scene *)*state)->guess);
    return 0;
}

/* What a try would have to wait. */
static int64_t wait(struct scene *scene, const char *client, struct span login, bool is_known)
{
    struct guess_try try;
    guess_try_of(scene->guess, span_str(client), login, is_known, true, &try);
    return guess_wait(scene->guess, &try, scene->now_ms);
}

/* A try: what it had to wait; if nothing, it ended so. */
static int64_t attempt(struct scene *scene, const char *client, struct span login, bool is_known, enum guess_result result)
{
    struct guess_try try;
    guess_try_of(scene->guess, span_str(client), login, is_known, true, &try);
    int64_t wait_ms = guess_wait(scene->guess, &try, scene->now_ms);
    if (wait_ms > 0) {
        guess_refused(scene->guess, &try, scene->now_ms);
        return wait_ms;
    }
    guess_begin(scene->guess, &try, scene->now_ms);
    guess_end(scene->guess, &try, result, scene->now_ms);
    return 0;
}

/* Each wrong one over five doubles the wait, and nothing that is tried meanwhile makes it longer. */
static void test_pair(void **state)
{
    struct scene *scene = *state;
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(attempt(scene, "192.0.2.1", ANNA, false, GUESS_WRONG), 0);
    static const int64_t waits[] = { 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900 };
    for (size_t i = 0; i < ARRAY_LEN(waits); i++) {
        int64_t wait_ms = waits[i] * SECOND;
        assert_int_equal(attempt(scene, "192.0.2.200", ANNA, false, GUESS_WRONG), wait_ms); /* the same network */
        scene->now_ms += wait_ms - 1;
        assert_int_equal(attempt(scene, "192.0.2.1", ANNA, false, GUESS_WRONG), 1);
        scene->now_ms += 1;
        assert_int_equal(attempt(scene, "192.0.2.1", ANNA, false, GUESS_WRONG), 0);
    }
    assert_int_equal(scene->begun, 1);
    assert_string_equal(scene->network, "192.0.2.0/24");
    assert_string_equal(scene->login, "anna@example.org");
    assert_int_equal(guess_attacks(scene->guess), 1);
    scene->now_ms += GUESS_QUIET_MS + 1;
    guess_sweep(scene->guess, scene->now_ms);
    assert_int_equal(scene->ended, 1);
    assert_int_equal(scene->wrong, 5 + ARRAY_LEN(waits));
    assert_int_equal(scene->refused, 2 * ARRAY_LEN(waits));
    assert_int_equal(guess_attacks(scene->guess), 0);
}

/* The owner is elsewhere, or at an address where he has been before: nothing of it concerns him. */
static void test_owner_gets_in(void **state)
{
    struct scene *scene = *state;
    for (unsigned i = 0; i < 500; i++) {
        attempt(scene, "192.0.2.1", ANNA, false, GUESS_WRONG);
        scene->now_ms += 100;
    }
    assert_true(wait(scene, "192.0.2.1", ANNA, false) > 0);
    assert_true(wait(scene, "192.0.2.99", ANNA, false) > 0);
    assert_int_equal(attempt(scene, "198.51.100.7", ANNA, false, GUESS_RIGHT), 0);
    assert_int_equal(attempt(scene, "192.0.2.99", ANNA, true, GUESS_RIGHT), 0);
    assert_int_equal(attempt(scene, "192.0.2.99", BOB, false, GUESS_RIGHT), 0); /* another login of that network */
    assert_true(wait(scene, "192.0.2.1", ANNA, false) > 0); /* all that helps the guesser nothing */
    assert_int_equal(attempt(scene, "2001:db8::1", ANNA, false, GUESS_RIGHT), 0);
}

/* Where he has been before he may err more often, but not for ever: it may be somebody else at his machine. */
static void test_known_address(void **state)
{
    struct scene *scene = *state;
    for (unsigned i = 0; i < 50; i++)
        assert_int_equal(attempt(scene, "192.0.2.1", ANNA, true, GUESS_WRONG), 0);
    assert_int_equal(attempt(scene, "192.0.2.1", ANNA, true, GUESS_WRONG), 2 * SECOND);
    assert_int_equal(wait(scene, "192.0.2.2", ANNA, true), 0);
    assert_int_equal(wait(scene, "192.0.2.1", ANNA, false), 0);
}

/* The right one ends it; an hour without any does, too. */
static void test_forgiven(void **state)
{
    struct scene *scene = *state;
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 4; i++)
            assert_int_equal(attempt(scene, "192.0.2.1", ANNA, false, GUESS_WRONG), 0);
        assert_int_equal(attempt(scene, "192.0.2.1", ANNA, false, GUESS_RIGHT), 0);
    }
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(attempt(scene, "192.0.2.1", ANNA, false, GUESS_WRONG), 0);
    assert_int_equal(wait(scene, "192.0.2.1", ANNA, false), 2 * SECOND);
    scene->now_ms += HOUR + 1;
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(attempt(scene, "192.0.2.1", ANNA, false, GUESS_WRONG), 0);
    assert_int_equal(wait(scene, "192.0.2.1", ANNA, false), 2 * SECOND);
    assert_int_equal(scene->begun, 0); /* nobody was turned away: no attack */
}

/* Many at the same moment: no more are looked at than one after the other would be. */
static void test_at_once(void **state)
{
    struct scene *scene = *state;
    struct guess_try try;
    unsigned good = 0;
    guess_try_of(scene->guess, SPAN("192.0.2.1"), ANNA, false, true, &try);
    for (unsigned i = 0; i < 64; i++)
        if (guess_wait(scene->guess, &try, scene->now_ms) == 0) {
            guess_begin(scene->guess, &try, scene->now_ms);
            good++;
        }
    assert_int_equal(good, 5);
    for (unsigned i = 0; i < good; i++)
        guess_end(scene->guess, &try, GUESS_WRONG, scene->now_ms);
    assert_int_equal(guess_wait(scene->guess, &try, scene->now_ms), 2 * SECOND);
    scene->now_ms += 2 * SECOND;
    for (unsigned i = good = 0; i < 64; i++)
        if (guess_wait(scene->guess, &try, scene->now_ms) == 0) {
            guess_begin(scene->guess, &try, scene->now_ms);
            good++;
        }
    assert_int_equal(good, 1);
    guess_end(scene->guess, &try, GUESS_UNKNOWN, scene->now_ms); /* given up: it counts for nothing */
    assert_int_equal(guess_wait(scene->guess, &try, scene->now_ms), 0);
}

static struct span numbered(char room[32], unsigned i) { return span_of(room, (size_t)snprintf(room, 32, "login%u", i)); }

/* One network, many logins: thirty wrong ones, then ten tries a minute, in the long run. */
static void test_network(void **state)
{
    struct scene *scene = *state;
    char room[32];
    unsigned checked = 0;
    for (unsigned i = 0; i < 1000; i++)
        checked += attempt(scene, "192.0.2.1", numbered(room, i), false, GUESS_WRONG) == 0;
    assert_int_equal(checked, 30);
    assert_int_equal(scene->begun, 1);
    assert_string_equal(scene->network, "192.0.2.0/24");
    assert_string_equal(scene->login, "");
    assert_int_equal(wait(scene, "192.0.2.7", ANNA, false), 6 * SECOND);
    assert_int_equal(wait(scene, "192.0.2.7", ANNA, true), 0);
    assert_int_equal(wait(scene, "192.0.3.7", ANNA, false), 0);
    for (unsigned i = 0; i < 3600; i++) {
        scene->now_ms += SECOND;
        checked += attempt(scene, "192.0.2.1", numbered(room, i), false, GUESS_WRONG) == 0;
    }
    assert_in_range(checked, 30 + 595, 30 + 605);
    assert_int_equal(scene->begun, 1); /* one line for all of it */
    scene->now_ms += HOUR;
    guess_sweep(scene->guess, scene->now_ms);
    assert_int_equal(scene->ended, 1);
    assert_int_equal(wait(scene, "192.0.2.1", ANNA, false), 0);
}

/* After a restart everybody in an office logs in at once, and rightly. */
static void test_many_right_ones(void **state)
{
    struct scene *scene = *state;
    struct guess_try tries[200];
    char room[32];
    for (unsigned i = 0; i < ARRAY_LEN(tries); i++) {
        guess_try_of(scene->guess, SPAN("2001:db8:7::1"), numbered(room, i), false, true, &tries[i]);
        assert_int_equal(guess_wait(scene->guess, &tries[i], scene->now_ms), 0);
        guess_begin(scene->guess, &tries[i], scene->now_ms);
    }
    for (unsigned i = 0; i < ARRAY_LEN(tries); i++)
        guess_end(scene->guess, &tries[i], GUESS_RIGHT, scene->now_ms);
    assert_int_equal(wait(scene, "2001:db8:7:8::1", ANNA, false), 0);
}

/* From everywhere at once nobody is slowed, since the owner could be anybody; but somebody is told, once. */
static void test_spread(void **state)
{
    struct scene *scene = *state;
    char client[32];
    for (unsigned i = 0; i < 100; i++) {
        snprintf(client, sizeof client, "10.%u.7.9", i);
        assert_int_equal(attempt(scene, client, ANNA, false, GUESS_WRONG), 0);
    }
    assert_int_equal(scene->begun, 1);
    assert_string_equal(scene->network, "");
    assert_string_equal(scene->login, "anna@example.org");
    struct guess_try try;
    guess_try_of(scene->guess, SPAN("203.0.113.9"), ANNA, false, true, &try);
    assert_true(guess_is_told(scene->guess, &try));
    guess_try_of(scene->guess, SPAN("203.0.113.9"), BOB, false, true, &try);
    assert_false(guess_is_told(scene->guess, &try));
    for (unsigned i = 0; i < 20000; i++) { /* more than there is room for */
        char login[32];
        snprintf(client, sizeof client, "10.%u.%u.9", i % 250, i / 250);
        attempt(scene, client, numbered(login, i), false, GUESS_WRONG);
    }
    assert_int_equal(scene->begun, 2);
    assert_string_equal(scene->login, "");
    assert_true(guess_is_told(scene->guess, &try));
}

static void test_unlimited(void **state)
{
    struct scene *scene = *state;
    static const struct guess_limits none = { 0, 0, MINUTE, 24, 48 };
    guess_set_limits(scene->guess, &none);
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(attempt(scene, "192.0.2.1", ANNA, false, GUESS_WRONG), 0);
}

static void test_addresses(void **state)
{
    static const struct { const char *a, *b; bool same; } rows[] = {
        { "192.0.2.1", "192.0.2.1", true },     { "192.0.2.1", "192.0.2.2", false },
        { "2001:db8::1", "2001:db8::2", true }, { "2001:db8::1", "2001:db8:0:1::1", false },
        { "nobody", "nobody", true },           { "", "nobody", false },
    };
    char room[2][16];
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(span_eq(guess_address(span_str(rows[i].a), room[0]), guess_address(span_str(rows[i].b), room[1])),
                         rows[i].same);
}

int main(void)
{
#define ROW(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = { ROW(test_pair), ROW(test_owner_gets_in), ROW(test_known_address), ROW(test_forgiven),
                                        ROW(test_at_once), ROW(test_network), ROW(test_many_right_ones), ROW(test_spread),
                                        ROW(test_unlimited), cmocka_unit_test(test_addresses) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
