/* Whatever a milter answers: nothing of it reaches a reply, an address or a header but what may stand there, and answers
 * that arrive at once or octet by octet lead to the same dialogue. Octets: what is offered; then flights of answers, each
 * its length in two octets and so much; a command goes out between two of them. */
#include "fuzz.h"
#include "milter/milter.h"

static bool is_printable(struct span text)
{
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] < ' ' || text.p[i] > '~')
            return false;
    return true;
}

static void on_change(void *arg, const struct milter_change *change)
{
    for (size_t i = 0; i < change->params.n; i++)
        require((unsigned char)change->params.p[i] >= ' ');
    bool is_address = change->kind >= MILTER_CHANGE_SENDER && change->kind <= MILTER_DELETE_RECIPIENT;
    for (size_t i = 0; is_address && i < change->value.n; i++)
        require((unsigned char)change->value.p[i] >= ' ');
    require(change->kind > MILTER_CHANGE_HEADER || (change->name.n && is_printable(change->name)));
    require(change->kind != MILTER_QUARANTINE || is_printable(change->value));
    buf_printf(arg, "[%d %u %d ", change->kind, change->index, change->has_blank);
    buf_add(arg, change->name);
    buf_add(arg, change->value);
    buf_add(arg, change->params);
    buf_add_char(arg, ']');
}

static void command(struct milter *milter, unsigned n)
{
    static const struct milter_client client = { SPAN("host"), MILTER_IPV6, 25, SPAN("2001:db8::1") };
    switch (milter->stage) {
    case MILTER_AGREED: milter_connect(milter, &client, n); break;
    case MILTER_CONNECTED: milter_helo(milter, SPAN("me"), n); break;
    case MILTER_GREETED: milter_mail(milter, SPAN("a@b"), SPAN("SIZE=5"), n); break;
    case MILTER_IN_MAIL: milter_rcpt(milter, SPAN("c@d"), SPAN_NONE, n); break;
    case MILTER_IN_RCPT: milter_data(milter, n); break;
    case MILTER_IN_DATA: milter_header(milter, SPAN("From"), SPAN(" a@b\r\n c"), n); break;
    case MILTER_IN_HEADER: milter_eoh(milter, n); break;
    case MILTER_IN_BODY:
        if (n % 3)
            milter_body(milter, SPAN("text\r\n"), n);
        else
            milter_end(milter, n);
        break;
    default: require(false);
    }
}

static void tell(struct milter *milter, struct buf *story)
{
    const struct milter_verdict *verdict = &milter->verdict;
    require(verdict->word < MILTER_REJECT ? verdict->code == 0 : verdict->code / 100 == verdict->enhanced.class);
    require(is_printable(span_of(verdict->text, verdict->text_n)));
    require(verdict->code == 0 || (verdict->code >= 400 && verdict->code < 600));
    buf_printf(story, "{%d %d %u %u.%u.%u %.*s %lld}", milter->stage, verdict->word, verdict->code, verdict->enhanced.class,
               verdict->enhanced.subject, verdict->enhanced.detail, (int)verdict->text_n, verdict->text,
               (long long)milter->deadline_ms);
    buf_add(story, buf_span(&milter->out));
    buf_clear(&milter->out);
}

static void play(struct span input, size_t step, struct buf *story)
{
    struct milter milter;
    const struct milter_settings settings = { .actions = (uint8_t)input.p[0] | (input.p[1] & 1) << 8, .answer_ms = 50,
                                              .end_ms = 70, .patience_ms = 100, .body_max = 1000 };
    milter_init(&milter, &settings, on_change, story, 0);
    milter.macros[MILTER_MACRO_ID] = SPAN("id");
    milter.macros[MILTER_MACRO_RCPT_ADDR] = SPAN("c@d");
    input = span_from(input, 2);
    for (unsigned n = 1; input.n >= 2 && milter_want(&milter) != MILTER_WANT_CLOSE; n++) {
        struct span flight = span_head(span_from(input, 2), (size_t)(uint8_t)input.p[0] << 8 | (uint8_t)input.p[1]);
        input = span_from(input, 2 + flight.n);
        struct span exact = fuzz_exact(flight);
        for (struct span left = exact; left.n; left = span_from(left, step))
            milter_feed(&milter, span_head(left, step), n);
        free((void *)(uintptr_t)exact.p);
        tell(&milter, story);
        milter_tick(&milter, n);
        if (milter_want(&milter) == MILTER_WANT_COMMAND && milter.verdict.word >= MILTER_REJECT)
            milter_abort(&milter);
        if (milter_want(&milter) == MILTER_WANT_COMMAND)
            command(&milter, n);
        tell(&milter, story);
    }
    milter_lost(&milter, STATUS_CLOSED, 1000);
    require(milter_want(&milter) == MILTER_WANT_CLOSE && milter.trouble != MILTER_TROUBLE_NONE && milter.words[0]);
    buf_add_str(story, milter.words);
    milter_done(&milter);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > 1u << 15)
        return 0;
    struct buf whole = BUF_EMPTY((size_t)8 << 20), single = BUF_EMPTY((size_t)8 << 20);
    play(span_of(data, size), size, &whole);
    play(span_of(data, size), 1, &single);
    require(span_eq(buf_span(&whole), buf_span(&single)));
    buf_done(&whole);
    buf_done(&single);
    return 0;
}
