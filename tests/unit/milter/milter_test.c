#include "test.h"
#include "milter/milter.h"
#include <stdlib.h>

static const struct milter_settings settings = {
    .actions = MILTER_MAY_ALL, .answer_ms = 10, .end_ms = 50, .patience_ms = 200, .body_max = 100,
};

/* What changed, as one line. */
static void on_change(void *arg, const struct milter_change *change)
{
    static const char *const kinds[] = { "add", "insert", "change", "sender", "rcpt+", "rcpt-", "body", "quarantine" };
    buf_printf(arg, "%s %u %.*s|%.*s|%.*s%s;", kinds[change->kind], change->index, SPAN_ARGS(change->name),
               SPAN_ARGS(change->value), SPAN_ARGS(change->params), change->has_blank ? "*" : "");
}

struct scene {
    struct milter milter;
    struct buf changes;
};

/* A packet: its letter and all behind it; `text` has its own NULs, but for the one that C adds. */
#define ANSWER(text) SPAN(text)

static void give(struct scene *scene, struct span packet, size_t step)
{
    char length[4] = { 0, (char)(packet.n >> 16), (char)(packet.n >> 8), (char)packet.n };
    struct buf whole = BUF_EMPTY(1 << 20);
    buf_add(&whole, span_of(length, 4));
    buf_add(&whole, packet);
    for (struct span left = buf_span(&whole); left.n; left = span_from(left, step))
        milter_feed(&scene->milter, span_head(left, step), 1);
    buf_done(&whole);
}

#define AGREE_ALL "O\0\0\0\6\0\0\1\xff\0\0\0\0"

static void begin(struct scene *scene, struct span agreement)
{
    scene->changes = BUF_EMPTY(1 << 20);
    milter_init(&scene->milter, &settings, on_change, &scene->changes, 0);
    buf_clear(&scene->milter.out);
    give(scene, agreement, 1);
}

static void end(struct scene *scene)
{
    milter_done(&scene->milter);
    buf_done(&scene->changes);
}

static void put(struct scene *scene, enum milter_command command)
{
    struct milter *milter = &scene->milter;
    static const struct milter_client client = { SPAN("h"), MILTER_IPV4, 258, SPAN("192.0.2.1") };
    switch (command) {
    case MILTER_CONNECT: milter_connect(milter, &client, 1); break;
    case MILTER_HELO: milter_helo(milter, SPAN("me"), 1); break;
    case MILTER_MAIL: milter_mail(milter, SPAN("a@b.c"), SPAN("SIZE=1  BODY=7BIT"), 1); break;
    case MILTER_RCPT: milter_rcpt(milter, SPAN("d@e.f"), SPAN_NONE, 1); break;
    case MILTER_DATA: milter_data(milter, 1); break;
    case MILTER_HEADER: milter_header(milter, SPAN("Subject"), SPAN("  a\r\n b\0c"), 1); break;
    case MILTER_EOH: milter_eoh(milter, 1); break;
    case MILTER_BODY: milter_body(milter, SPAN("text\r\n"), 1); break;
    case MILTER_END: milter_end(milter, 1); break;
    case MILTER_UNKNOWN: milter_unknown(milter, SPAN("FOO bar"), 1); break;
    default: abort();
    }
}

/* All commands up to this one; those before it are answered "continue". */
static void go_to(struct scene *scene, enum milter_command last)
{
    for (enum milter_command command = MILTER_CONNECT; command <= last; command++) {
        put(scene, command);
        if (command != last && milter_want(&scene->milter) == MILTER_WANT_ANSWER)
            give(scene, ANSWER("c"), 1);
    }
}

static void every_command_is_written_as_milters_read_it(void **state)
{
    (void)state;
    static const struct {
        enum milter_command command;
        struct span packet;
    } rows[] = {
        { MILTER_CONNECT, SPAN("\0\0\0\7DCj\0us\0\0\0\0\x10" "Ch\0" "4\1\2" "192.0.2.1\0") },
        { MILTER_HELO, SPAN("\0\0\0\4Hme\0") },
        { MILTER_MAIL, SPAN("\0\0\0\7DMi\0" "77\0\0\0\0\x1aM<a@b.c>\0SIZE=1\0BODY=7BIT\0") },
        { MILTER_RCPT, SPAN("\0\0\0\x14" "DR{rcpt_addr}\0d@e.f\0\0\0\0\x9R<d@e.f>\0") },
        { MILTER_DATA, SPAN("\0\0\0\7DTi\0" "77\0\0\0\0\1T") },
        { MILTER_HEADER, SPAN("\0\0\0\x11LSubject\0 a\n b c\0") },
        { MILTER_EOH, SPAN("\0\0\0\7DNi\0" "77\0\0\0\0\1N") },
        { MILTER_BODY, SPAN("\0\0\0\7Btext\r\n") },
        { MILTER_END, SPAN("\0\0\0\7DEi\0" "77\0\0\0\0\1E") },
    };
    struct scene scene;
    begin(&scene, ANSWER(AGREE_ALL));
    scene.milter.macros[MILTER_MACRO_HOSTNAME] = SPAN("us");
    scene.milter.macros[MILTER_MACRO_RCPT_ADDR] = SPAN("d@e.f");
    scene.milter.macros[MILTER_MACRO_ID] = SPAN("77");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        put(&scene, rows[i].command);
        assert_int_equal(milter_want(&scene.milter), MILTER_WANT_ANSWER);
        assert_int_equal(scene.milter.out.n, rows[i].packet.n);
        assert_memory_equal(scene.milter.out.p, rows[i].packet.p, rows[i].packet.n);
        buf_clear(&scene.milter.out);
        give(&scene, ANSWER("c"), 1);
        assert_int_equal(milter_want(&scene.milter), MILTER_WANT_COMMAND);
    }
    milter_quit(&scene.milter);
    assert_memory_equal(scene.milter.out.p, "\0\0\0\1Q", 5);
    end(&scene);
}

static void the_negotiation_is_held_to_what_was_offered(void **state)
{
    (void)state;
    static const struct {
        struct span answer;
        enum milter_trouble trouble;
    } rows[] = {
        { SPAN(AGREE_ALL), MILTER_TROUBLE_NONE },
        { SPAN("O\0\0\0\2\0\0\0\0\0\0\0\x7f"), MILTER_TROUBLE_NONE },
        { SPAN("O\0\0\0\6\0\0\1\0\0\0\0\0\0\0\0\2{mail_addr} i\0"), MILTER_TROUBLE_NONE },
        { SPAN("O\0\0\0\6\0\0\1\0\0\0\0\0\0\0\0\7i\0"), MILTER_TROUBLE_GARBAGE },
        { SPAN("O\0\0\0\6\0\0\1\0\0\0\0\0\0\0\0\1i"), MILTER_TROUBLE_GARBAGE },
        { SPAN("O\0\0\0\6\0\0\0\0\0\0\0\0\0\0\0\1i\0"), MILTER_TROUBLE_GARBAGE },
        { SPAN("O\0\0\0\1\0\0\0\0\0\0\0\0"), MILTER_TROUBLE_GARBAGE },
        { SPAN("O\0\0\0\7\0\0\0\0\0\0\0\0"), MILTER_TROUBLE_GARBAGE },
        { SPAN("O\0\0\0\6\0\0\2\0\0\0\0\0"), MILTER_TROUBLE_GARBAGE },
        { SPAN("O\0\0\0\6\0\0\0\0\x10\0\0\0"), MILTER_TROUBLE_GARBAGE },
        { SPAN("O\0\0\0\6\0\0\0\0\0\0\0"), MILTER_TROUBLE_GARBAGE },
        { SPAN("O"), MILTER_TROUBLE_GARBAGE },
        { SPAN("c"), MILTER_TROUBLE_GARBAGE },
        { SPAN("r"), MILTER_TROUBLE_REFUSED },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct scene scene;
        begin(&scene, rows[i].answer);
        assert_int_equal(scene.milter.trouble, rows[i].trouble);
        assert_int_equal(milter_want(&scene.milter),
                         rows[i].trouble == MILTER_TROUBLE_NONE ? MILTER_WANT_COMMAND : MILTER_WANT_CLOSE);
        end(&scene);
    }
}

/* One answer to one command, fed whole and octet by octet. */
static const struct {
    enum milter_command command;
    struct span answer;
    enum milter_trouble trouble; /* NONE: then the word */
    enum milter_word word;
    unsigned code;
    struct status_code enhanced;
    const char *text;
} verdicts[] = {
    { MILTER_CONNECT, SPAN("c"), 0, MILTER_CONTINUE, 0, { 0 }, "" },
    { MILTER_CONNECT, SPAN("a"), 0, MILTER_ACCEPT, 0, { 0 }, "" },
    { MILTER_CONNECT, SPAN("r"), 0, MILTER_REJECT, 554, { 5, 7, 1 }, "" },
    { MILTER_CONNECT, SPAN("d"), MILTER_TROUBLE_GARBAGE, 0, 0, { 0 }, NULL },
    { MILTER_CONNECT, SPAN("f"), MILTER_TROUBLE_REFUSED, 0, 0, { 0 }, NULL },
    { MILTER_HELO, SPAN("4"), 0, MILTER_SHUTDOWN, 421, { 4, 7, 0 }, "" },
    { MILTER_MAIL, SPAN("t"), 0, MILTER_TEMPFAIL, 451, { 4, 7, 1 }, "" },
    { MILTER_RCPT, SPAN("r"), 0, MILTER_REJECT, 550, { 5, 7, 1 }, "" },
    { MILTER_RCPT, SPAN("y550 5.1.1 no \"100%%\" such\0"), 0, MILTER_REJECT, 550, { 5, 1, 1 }, "no \"100%\" such" },
    { MILTER_RCPT, SPAN("y450 4.2.1 later\0"), 0, MILTER_TEMPFAIL, 450, { 4, 2, 1 }, "later" },
    { MILTER_RCPT, SPAN("y421 4.2.1 go\0"), 0, MILTER_SHUTDOWN, 421, { 4, 2, 1 }, "go" },
    { MILTER_RCPT, SPAN("y550\0"), 0, MILTER_REJECT, 550, { 5, 0, 0 }, "" },
    { MILTER_RCPT, SPAN("y550-5.7.1 a\r\n550 5.7.1 b\0"), 0, MILTER_REJECT, 550, { 5, 7, 1 }, "a b" },
    { MILTER_RCPT, SPAN("y550 5.7.1 a\x01\tb\x1b[2J\xc3\xa9\0"), 0, MILTER_REJECT, 550, { 5, 7, 1 }, "a b [2J??" },
    { MILTER_RCPT, SPAN("y550 4.7.1 odd\0"), 0, MILTER_REJECT, 550, { 5, 0, 0 }, "4.7.1 odd" },
    { MILTER_RCPT, SPAN("y550 a\r\n250 b\0"), MILTER_TROUBLE_GARBAGE, 0, 0, { 0 }, NULL },
    { MILTER_RCPT, SPAN("y250 fine\0"), MILTER_TROUBLE_GARBAGE, 0, 0, { 0 }, NULL },
    { MILTER_RCPT, SPAN("y5500 x\0"), MILTER_TROUBLE_GARBAGE, 0, 0, { 0 }, NULL },
    { MILTER_RCPT, SPAN("y560 x\0"), MILTER_TROUBLE_GARBAGE, 0, 0, { 0 }, NULL },
    { MILTER_RCPT, SPAN("y\0"), MILTER_TROUBLE_GARBAGE, 0, 0, { 0 }, NULL },
    { MILTER_RCPT, SPAN("y550 x"), MILTER_TROUBLE_GARBAGE, 0, 0, { 0 }, NULL },
    { MILTER_RCPT, SPAN("s"), MILTER_TROUBLE_GARBAGE, 0, 0, { 0 }, NULL },
    { MILTER_RCPT, SPAN("hA\0b\0"), MILTER_TROUBLE_GARBAGE, 0, 0, { 0 }, NULL },
    { MILTER_RCPT, SPAN("O\0\0\0\6\0\0\0\0\0\0\0\0"), MILTER_TROUBLE_GARBAGE, 0, 0, { 0 }, NULL },
    { MILTER_RCPT, SPAN("Z"), MILTER_TROUBLE_GARBAGE, 0, 0, { 0 }, NULL },
    { MILTER_DATA, SPAN("d"), 0, MILTER_DISCARD, 0, { 0 }, "" },
    { MILTER_BODY, SPAN("s"), MILTER_TROUBLE_GARBAGE, 0, 0, { 0 }, NULL }, /* SKIP was not agreed on */
    { MILTER_END, SPAN("a"), 0, MILTER_ACCEPT, 0, { 0 }, "" },
};

static void each_answer_has_its_verdict(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(verdicts); i++) {
        for (size_t step = 1; step < 200; step += 99) {
            struct scene scene;
            begin(&scene, ANSWER(AGREE_ALL));
            go_to(&scene, verdicts[i].command);
            give(&scene, verdicts[i].answer, step);
            assert_int_equal(scene.milter.trouble, verdicts[i].trouble);
            if (verdicts[i].text) {
                const struct milter_verdict *verdict = &scene.milter.verdict;
                assert_int_equal(verdict->word, verdicts[i].word);
                assert_int_equal(verdict->code, verdicts[i].code);
                assert_memory_equal(&verdict->enhanced, &verdicts[i].enhanced, sizeof verdict->enhanced);
                assert_span(span_of(verdict->text, verdict->text_n), verdicts[i].text);
            } else {
                assert_true(strlen(scene.milter.words) > 10);
            }
            end(&scene);
        }
    }
}

static const struct {
    struct span answer;
    const char *change; /* NULL: garbage */
} changes[] = {
    { SPAN("hX-A\0b c\0"), "add 0 X-A|b c|;" },
    { SPAN("hX-A\0\0"), "add 0 X-A||;" },
    { SPAN("hX A\0b\0"), NULL },
    { SPAN("hX:\0b\0"), NULL },
    { SPAN("h\0b\0"), NULL },
    { SPAN("hX\0b"), NULL },
    { SPAN("hX\0b\0c\0"), NULL },
    { SPAN("h"), NULL },
    { SPAN("i\0\0\0\1X-A\0b\n\tc\0"), "insert 1 X-A|b\n\tc|;" },
    { SPAN("i\0\0\1X\0"), NULL },
    { SPAN("m\0\0\0\2X-A\0b\0"), "change 2 X-A|b|;" },
    { SPAN("m\0\0\0\2X-A\0\0"), "change 2 X-A||;" },
    { SPAN("e<a@b.c>\0"), "sender 0 |a@b.c|;" },
    { SPAN("e<>\0"), "sender 0 ||;" },
    { SPAN("ea@b.c\0RET=FULL\0"), "sender 0 |a@b.c|RET=FULL;" },
    { SPAN("e<a@b.c> x\0"), NULL },
    { SPAN("e<a@b.c>\0R\r\nDATA\0"), NULL },
    { SPAN("+<a@b.c>\0"), "rcpt+ 0 |a@b.c|;" },
    { SPAN("+<a@b.c>\0NOTIFY=NEVER\0"), NULL },
    { SPAN("+<>\0"), NULL },
    { SPAN("+a@b.c\r\nRSET\0"), NULL },
    { SPAN("2<a@b.c>\0NOTIFY=NEVER\0"), "rcpt+ 0 |a@b.c|NOTIFY=NEVER;" },
    { SPAN("-<a@b.c>\0"), "rcpt- 0 |a@b.c|;" },
    { SPAN("bnew\r\n"), "body 0 |new\r\n|;" },
    { SPAN("qtoo \x07 odd\0"), "quarantine 0 |too odd|;" },
    { SPAN("q"), NULL },
};

static void each_change_is_told_or_garbage(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
        struct scene scene;
        begin(&scene, ANSWER(AGREE_ALL));
        go_to(&scene, MILTER_END);
        give(&scene, changes[i].answer, 1 + i % 3);
        if (changes[i].change) {
            assert_span(buf_span(&scene.changes), changes[i].change);
            assert_int_equal(milter_want(&scene.milter), MILTER_WANT_ANSWER);
            give(&scene, ANSWER("c"), 1);
            assert_int_equal(milter_want(&scene.milter), MILTER_WANT_COMMAND);
        } else {
            assert_int_equal(scene.milter.trouble, MILTER_TROUBLE_GARBAGE);
            assert_int_equal(scene.changes.n, 0);
        }
        end(&scene);
    }
}

static void what_was_not_agreed_on_is_garbage(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
        struct scene scene;
        begin(&scene, ANSWER("O\0\0\0\6\0\0\0\0\0\0\0\0"));
        go_to(&scene, MILTER_END);
        give(&scene, changes[i].answer, 100);
        assert_int_equal(scene.milter.trouble, MILTER_TROUBLE_GARBAGE);
        assert_int_equal(scene.changes.n, 0);
        end(&scene);
    }
}

static void wishes_leave_out_commands_and_answers(void **state)
{
    (void)state;
    struct scene scene; /* no CONNECT, HELO and RCPT; no answers to MAIL, header, end of header, body; leading blanks; skip */
    begin(&scene, ANSWER("O\0\0\0\6\0\0\0\0\0\x1c\x44\x8b"));
    go_to(&scene, MILTER_DATA);
    assert_memory_equal(scene.milter.out.p, "\0\0\0\x1aM<a@b.c>", 12);
    assert_int_equal(milter_want(&scene.milter), MILTER_WANT_ANSWER);
    give(&scene, ANSWER("c"), 1);
    buf_clear(&scene.milter.out);
    put(&scene, MILTER_HEADER);
    assert_memory_equal(scene.milter.out.p, "\0\0\0\x12LSubject\0  a\n b c\0", 22);
    put(&scene, MILTER_EOH);
    put(&scene, MILTER_BODY);
    put(&scene, MILTER_END);
    assert_int_equal(milter_want(&scene.milter), MILTER_WANT_ANSWER);
    give(&scene, ANSWER("c"), 1);
    assert_int_equal(scene.milter.trouble, MILTER_TROUBLE_NONE);
    end(&scene);
}

static void a_skipped_body_is_not_sent_on(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene, ANSWER("O\0\0\0\6\0\0\0\0\0\0\4\0"));
    go_to(&scene, MILTER_BODY);
    give(&scene, ANSWER("s"), 1);
    buf_clear(&scene.milter.out);
    put(&scene, MILTER_BODY);
    assert_int_equal(scene.milter.out.n, 0);
    assert_int_equal(milter_want(&scene.milter), MILTER_WANT_COMMAND);
    put(&scene, MILTER_END);
    assert_int_equal(milter_want(&scene.milter), MILTER_WANT_ANSWER);
    end(&scene);
}

static void an_accepted_message_is_asked_about_no_more(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene, ANSWER(AGREE_ALL));
    go_to(&scene, MILTER_RCPT);
    give(&scene, ANSWER("a"), 1);
    buf_clear(&scene.milter.out);
    for (enum milter_command command = MILTER_DATA; command <= MILTER_END; command++)
        put(&scene, command);
    assert_int_equal(scene.milter.out.n, 0);
    put(&scene, MILTER_MAIL);
    assert_int_equal(milter_want(&scene.milter), MILTER_WANT_ANSWER);
    give(&scene, ANSWER("r"), 1);
    buf_clear(&scene.milter.out);
    milter_abort(&scene.milter);
    assert_memory_equal(scene.milter.out.p, "\0\0\0\1A", 5);
    put(&scene, MILTER_MAIL);
    end(&scene);

    begin(&scene, ANSWER(AGREE_ALL));
    go_to(&scene, MILTER_HELO);
    give(&scene, ANSWER("a"), 1);
    buf_clear(&scene.milter.out);
    for (enum milter_command command = MILTER_MAIL; command <= MILTER_END; command++)
        put(&scene, command);
    put(&scene, MILTER_MAIL);
    assert_int_equal(scene.milter.out.n, 0);
    end(&scene);
}

static void an_old_milter_is_not_told_what_it_does_not_know(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene, ANSWER("O\0\0\0\2\0\0\0\0\0\0\0\0"));
    go_to(&scene, MILTER_RCPT);
    give(&scene, ANSWER("c"), 1);
    buf_clear(&scene.milter.out);
    put(&scene, MILTER_UNKNOWN);
    put(&scene, MILTER_DATA);
    assert_int_equal(scene.milter.out.n, 0);
    assert_int_equal(milter_want(&scene.milter), MILTER_WANT_COMMAND);
    end(&scene);
}

static void the_milter_names_the_macros_that_it_wants(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene, ANSWER("O\0\0\0\6\0\0\1\0\0\0\0\0\0\0\0\0v, client_addr {what}\0"));
    scene.milter.macros[MILTER_MACRO_HOSTNAME] = SPAN("us");
    scene.milter.macros[MILTER_MACRO_VERSION] = SPAN("9");
    scene.milter.macros[MILTER_MACRO_CLIENT_ADDR] = SPAN("::1");
    buf_clear(&scene.milter.out);
    put(&scene, MILTER_CONNECT);
    assert_memory_equal(scene.milter.out.p, "\0\0\0\x18" "DCv\0" "9\0{client_addr}\0::1\0", 28);
    end(&scene);
}

static void time_is_bounded_whatever_the_milter_says(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene, ANSWER(AGREE_ALL));
    assert_true(scene.milter.deadline_ms == INT64_MAX);
    go_to(&scene, MILTER_END);
    assert_int_equal(scene.milter.deadline_ms, 51);
    for (int64_t now = 40; milter_want(&scene.milter) == MILTER_WANT_ANSWER; now += 40) {
        assert_true(now < 300);
        milter_feed(&scene.milter, SPAN("\0\0\0\1p"), now);
        milter_tick(&scene.milter, scene.milter.deadline_ms - 1);
        assert_int_equal(milter_want(&scene.milter), MILTER_WANT_ANSWER);
        milter_tick(&scene.milter, now + 39);
    }
    assert_int_equal(scene.milter.trouble, MILTER_TROUBLE_TIMEOUT);
    end(&scene);
}

static void bounds_hold(void **state)
{
    (void)state;
    static char much[MILTER_CHUNK_MAX + 10];
    memset(much, 'x', sizeof much);
    struct scene scene;
    begin(&scene, ANSWER(AGREE_ALL));
    go_to(&scene, MILTER_DATA);
    give(&scene, ANSWER("c"), 1);
    milter_header(&scene.milter, SPAN("X"), span_of(much, sizeof much), 1);
    assert_int_equal(scene.milter.trouble, MILTER_TROUBLE_TOO_LONG);
    end(&scene);

    begin(&scene, ANSWER(AGREE_ALL));
    go_to(&scene, MILTER_END);
    for (unsigned i = 0; i < MILTER_CHANGES_MAX; i++)
        give(&scene, ANSWER("hX\0y\0"), 100);
    assert_int_equal(milter_want(&scene.milter), MILTER_WANT_ANSWER);
    give(&scene, ANSWER("hX\0y\0"), 100);
    assert_int_equal(scene.milter.trouble, MILTER_TROUBLE_GARBAGE);
    end(&scene);

    begin(&scene, ANSWER(AGREE_ALL));
    go_to(&scene, MILTER_END);
    much[0] = 'b';
    give(&scene, span_of(much, 101), 100);
    assert_int_equal(milter_want(&scene.milter), MILTER_WANT_ANSWER);
    give(&scene, span_of(much, 2), 100);
    assert_int_equal(scene.milter.trouble, MILTER_TROUBLE_GARBAGE);
    end(&scene);

    static const struct span lengths[] = { SPAN("\0\0\0\0"), SPAN("\x7f\xff\xff\xff"), SPAN("\0\2\0\1"), SPAN("HTTP") };
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        begin(&scene, ANSWER(AGREE_ALL));
        go_to(&scene, MILTER_MAIL);
        milter_feed(&scene.milter, lengths[i], 1);
        assert_int_equal(scene.milter.trouble, MILTER_TROUBLE_GARBAGE);
        end(&scene);
    }
}

static void whoever_speaks_unasked_or_vanishes_is_in_trouble(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene, ANSWER(AGREE_ALL));
    give(&scene, ANSWER("c"), 1);
    assert_int_equal(scene.milter.trouble, MILTER_TROUBLE_GARBAGE);
    end(&scene);

    begin(&scene, ANSWER(AGREE_ALL));
    go_to(&scene, MILTER_END);
    milter_lost(&scene.milter, STATUS_CLOSED, 2);
    assert_int_equal(scene.milter.trouble, MILTER_TROUBLE_LOST);
    assert_string_equal(scene.milter.words, "the milter closed the connection while it was told the end of the message");
    end(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_command_is_written_as_milters_read_it),
        cmocka_unit_test(the_negotiation_is_held_to_what_was_offered),
        cmocka_unit_test(each_answer_has_its_verdict),
        cmocka_unit_test(each_change_is_told_or_garbage),
        cmocka_unit_test(what_was_not_agreed_on_is_garbage),
        cmocka_unit_test(wishes_leave_out_commands_and_answers),
        cmocka_unit_test(a_skipped_body_is_not_sent_on),
        cmocka_unit_test(an_accepted_message_is_asked_about_no_more),
        cmocka_unit_test(an_old_milter_is_not_told_what_it_does_not_know),
        cmocka_unit_test(the_milter_names_the_macros_that_it_wants),
        cmocka_unit_test(time_is_bounded_whatever_the_milter_says),
        cmocka_unit_test(bounds_hold),
        cmocka_unit_test(whoever_speaks_unasked_or_vanishes_is_in_trouble),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
