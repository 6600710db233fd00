/* A login's messages: credentials come only of what the mechanism allows, and they are exactly what the client sent. */
#include "directory/sasl.h"
#include "fuzz.h"

static const struct scram_bindings no_bindings;

static void check_plain(const struct sasl *sasl, struct span message)
{
    AUTO(buf_done) struct buf tail = BUF_EMPTY((size_t)1 << 16);
    buf_add_char(&tail, '\0');
    buf_add(&tail, buf_span(&sasl->login));
    buf_add_char(&tail, '\0');
    buf_add(&tail, buf_span(&sasl->password));
    require(tail.n <= message.n && span_eq(span_from(message, message.n - tail.n), buf_span(&tail)));
    struct span behalf = span_head(message, message.n - tail.n);
    require(behalf.n == 0 || span_eq_case(behalf, buf_span(&sasl->login)));
}

static void play(struct sasl *sasl, bool is_plain, struct choices *choices)
{
    struct span messages[8] = { SPAN_NONE };
    unsigned n = 0;
    enum sasl_step step = SASL_CHALLENGE;
    for (unsigned turn = 0; turn < 8 && step == SASL_CHALLENGE; turn++) {
        bool has_message = turn > 0 || (choose(choices) & 1);
        struct span message = has_message ? fuzz_exact(choose_text(choices, 255)) : SPAN_NONE;
        step = sasl_feed(sasl, has_message, message);
        require(step != SASL_CHALLENGE || sasl->challenge.n <= 16);
        if (has_message)
            messages[n++] = message;
    }
    if (step == SASL_CREDENTIALS) {
        require(sasl->login.n && sasl->password.n && n > 0);
        require(span_find(buf_span(&sasl->login), '\0') == sasl->login.n);
        require(span_find(buf_span(&sasl->password), '\0') == sasl->password.n);
        if (is_plain)
            check_plain(sasl, messages[n - 1]);
        else
            require(n >= 2 && span_eq(messages[n - 2], buf_span(&sasl->login)) &&
                    span_eq(messages[n - 1], buf_span(&sasl->password)));
    }
    for (unsigned i = 0; i < n; i++)
        free((void *)(uintptr_t)messages[i].p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct choices choices = choices_of(data, size);
    uint8_t which = choose_below(&choices, 3);
    struct span name = which == 0 ? SPAN("PLAIN") : which == 1 ? SPAN("LOGIN") : choose_text(&choices, 30);
    struct sasl sasl;
    if (sasl_begin(name, &no_bindings, &sasl) != STATUS_OK) {
        require(which == 2);
        return 0;
    }
    play(&sasl, span_eq_case(name, SPAN("PLAIN")), &choices);
    sasl_done(&sasl);
    require(sasl.login.p == NULL && sasl.password.p == NULL);
    return 0;
}
