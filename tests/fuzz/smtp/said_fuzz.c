/* What a program of this machine says of itself, and what it hears: whatever is taken is one line without blanks, and what is
 * written is read back as it was. */
#include "fuzz.h"
#include "mail/xtext.h"
#include "smtp/said.h"

static void check_value(struct span value)
{
    require(value.n <= SMTP_SAID_MAX && xtext_check(value));
    for (size_t i = 0; i < value.n; i++)
        require((unsigned char)value.p[i] > ' ' && (unsigned char)value.p[i] < 0x7F);
}

static void check_read(struct span args)
{
    struct span values[SMTP_SAID_COUNT];
    if (smtp_said_get(args, values) != STATUS_OK)
        return;
    AUTO(buf_done) struct buf again = BUF_EMPTY(SMTP_SAID_COUNT * (SMTP_SAID_MAX + 20));
    struct span back[SMTP_SAID_COUNT];
    for (unsigned i = 0; i < SMTP_SAID_COUNT; i++) {
        check_value(values[i]);
        buf_printf(&again, " %s=%.*s", smtp_said_name(i), SPAN_ARGS(values[i]));
    }
    require(!again.failed && smtp_said_get(buf_span(&again), back) == STATUS_OK);
    for (unsigned i = 0; i < SMTP_SAID_COUNT; i++)
        require(span_eq(back[i], values[i]));
}

/* Any octets as values: the beginning of each comes back. */
static void check_written(struct choices *choices)
{
    AUTO(buf_done) struct buf line = BUF_EMPTY(1 << 16);
    struct span values[SMTP_SAID_COUNT], back[SMTP_SAID_COUNT];
    for (unsigned i = 0; i < SMTP_SAID_COUNT; i++) {
        values[i] = choose_text(choices, 200);
        smtp_said_put(&line, i, values[i]);
    }
    require(!line.failed && smtp_said_get(buf_span(&line), back) == STATUS_OK);
    for (unsigned i = 0; i < SMTP_SAID_COUNT; i++) {
        AUTO(buf_done) struct buf text = BUF_EMPTY(SMTP_SAID_MAX + 1);
        check_value(back[i]);
        require(xtext_decode(back[i], &text) == STATUS_OK);
        require(text.n <= values[i].n && span_eq(buf_span(&text), span_head(values[i], text.n)));
        require(text.n == values[i].n || back[i].n + 3 >= SMTP_SAID_MAX);
    }
}

static void check_told(struct span text)
{
    struct smtp_told told, back;
    if (smtp_told_get(text, &told) != STATUS_OK)
        return;
    AUTO(buf_done) struct buf again = BUF_EMPTY(1 << 20);
    smtp_told_put(&again, &told);
    require(!again.failed && smtp_told_get(buf_span(&again), &back) == STATUS_OK);
    require(told.origin.n && span_eq(back.origin, told.origin) && span_eq(back.sender, told.sender));
    require(span_find(buf_span(&again), '\n') == again.n && span_find(buf_span(&again), '\r') == again.n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct choices choices = choices_of(data, size);
    struct span exact = fuzz_exact(choices.left);
    check_read(exact);
    check_told(exact);
    check_written(&choices);
    free((void *)(uintptr_t)exact.p);
    return 0;
}
