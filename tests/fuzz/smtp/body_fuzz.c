/* The octets of a message as DATA and BDAT carry them: whole, octet by octet and cut at one place they must give the same
 * clean message, that message must be what a plain reading of RFC 5321 gives, and what is sent of it again must be read as
 * the same. First octet: DATA or BDAT; the next two: where it is cut. */
#include "fuzz.h"
#include "smtp/body.h"
#include "smtp/dots.h"

struct reading {
    struct buf clean;
    size_t used;     /* octets up to the end of DATA; all of them when it did not end */
    bool ended;
    struct smtp_body body;
};

static void take(struct reading *reading, struct span *in)
{
    struct span piece;
    enum status status;
    while (!reading->ended && (status = smtp_body_take(&reading->body, in, &piece)) != STATUS_AGAIN) {
        if (status == STATUS_OK)
            require(piece.n > 0 && buf_add(&reading->clean, piece) == STATUS_OK);
        else
            require(status == STATUS_CLOSED && reading->body.dots);
        reading->ended = status == STATUS_CLOSED;
    }
}

/* In two steps: `first` octets `step` at a time, then the rest at once. */
static void read_body(struct reading *reading, bool dots, struct span input, size_t first, size_t step)
{
    *reading = (struct reading){ .clean = BUF_EMPTY((size_t)4 << 20) };
    smtp_body_init(&reading->body, dots);
    size_t done = 0;
    while (done < input.n && !reading->ended) {
        size_t n = done < first ? MIN(step, first - done) : input.n - done;
        struct span exact = fuzz_exact(span_head(span_from(input, done), n)), left = exact;
        take(reading, &left);
        done += exact.n - left.n;
        require(reading->ended || left.n == 0);
        free((void *)(uintptr_t)exact.p);
    }
    reading->used = done;
    if (!dots)
        require(buf_add(&reading->clean, smtp_body_finish(&reading->body)) == STATUS_OK);
}

static void check_same(const struct reading *a, const struct reading *b)
{
    require(a->ended == b->ended && a->used == b->used && span_eq(buf_span(&a->clean), buf_span(&b->clean)));
    require(a->body.bare == b->body.bare && a->body.has_8bit == b->body.has_8bit && a->body.has_nul == b->body.has_nul);
    require(a->body.octets == b->body.octets && a->body.longest == b->body.longest);
}

/* -- a plain reading, one octet at a time and with all of the message at hand -- */

static size_t data_end(struct span input)
{
    if (span_starts(input, SPAN(".\r\n")))
        return 0;
    size_t at = span_find_span(input, SPAN("\r\n.\r\n"));
    return at < input.n ? at + 2 : input.n;
}

static void plain_reading(bool dots, struct span input, struct buf *ret)
{
    bool line_start = true;
    for (size_t i = 0; i < input.n; i++) {
        char c = input.p[i];
        bool crlf = c == '\r' && i + 1 < input.n && input.p[i + 1] == '\n';
        if (dots && line_start && c == '.') {
            line_start = false;
            continue;
        }
        line_start = crlf;
        if (crlf || c == '\r' || c == '\n')
            buf_add_str(ret, "\r\n");
        else
            buf_add_char(ret, c);
        i += crlf;
    }
}

static void check_clean(struct span clean)
{
    for (size_t i = 0; i < clean.n; i++) {
        require(clean.p[i] != '\n' || (i && clean.p[i - 1] == '\r'));
        require(clean.p[i] != '\r' || (i + 1 < clean.n && clean.p[i + 1] == '\n'));
    }
}

/* What a server is sent behind DATA is read there as the same message, and ends exactly where it ends. */
static void check_again(struct span clean, size_t step)
{
    AUTO(buf_done) struct buf sent = BUF_EMPTY((size_t)16 << 20);
    struct smtp_dots dots;
    struct reading again;
    smtp_dots_init(&dots);
    for (struct span left = clean; left.n; left = span_from(left, step))
        require(smtp_dots_add(&dots, span_head(left, step), &sent) == STATUS_OK);
    buf_add(&sent, smtp_dots_end(&dots));
    buf_add_str(&sent, "QUIT\r\n");
    read_body(&again, true, buf_span(&sent), 0, 1);
    require(again.ended && again.used == sent.n - 6);
    bool whole = clean.n == 0 || clean.p[clean.n - 1] == '\n';
    require(again.clean.n == clean.n + (whole ? 0 : 2) && span_eq(span_head(buf_span(&again.clean), clean.n), clean));
    buf_done(&again.clean);
}

/* Who looks for the end alone may drop octets unseen and still finds it where it is. */
static void check_skim(struct span input, size_t step, const struct reading *whole)
{
    struct smtp_body body;
    struct span left = SPAN_NONE, piece;
    enum status status = STATUS_AGAIN;
    smtp_body_init(&body, true);
    for (size_t end = 0; end < input.n && status != STATUS_CLOSED;) {
        end = MIN(end + step, input.n);
        left = span_of(left.p ? left.p : input.p, (size_t)(input.p + end - (left.p ? left.p : input.p)));
        left = span_from(left, smtp_body_skim(&body, left));
        while ((status = smtp_body_take(&body, &left, &piece)) == STATUS_OK)
            left = span_from(left, smtp_body_skim(&body, left));
    }
    require((status == STATUS_CLOSED) == whole->ended);
    if (whole->ended)
        require((size_t)(left.p - input.p) == whole->used);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct choices choices = choices_of(data, size);
    bool dots = choose(&choices) & 1;
    size_t cut = (size_t)choose_octets(&choices, 2);
    struct span input = span_head(choices.left, (size_t)1 << 16);
    struct reading whole, octets, parts;
    read_body(&whole, dots, input, 0, 1);
    read_body(&octets, dots, input, SIZE_MAX, 1);
    read_body(&parts, dots, input, cut % (input.n + 1), SIZE_MAX);
    check_same(&whole, &octets);
    check_same(&whole, &parts);

    AUTO(buf_done) struct buf plain = BUF_EMPTY((size_t)4 << 20);
    size_t end = dots ? data_end(input) : input.n;
    require(!dots || whole.ended == (end < input.n || (input.n >= 3 && end == 0 && input.p[0] == '.')));
    if (whole.ended || !dots) {
        plain_reading(dots, span_head(input, end), &plain);
        struct span clean = buf_span(&whole.clean);
        check_clean(clean);
        require(span_eq(span_head(clean, plain.n), buf_span(&plain)));
        require(clean.n == plain.n || (!dots && clean.n == plain.n + 2 && span_ends_case(clean, SPAN("\r\n"))));
        check_again(clean, 1 + cut % 7);
    }
    if (dots)
        check_skim(input, 1 + cut % 9, &whole);
    buf_done(&whole.clean);
    buf_done(&octets.clean);
    buf_done(&parts.clean);
    return 0;
}
