/* Whatever a milter puts into a header: it stays a header, ended where it ended, and has at most one field more. Octets: kind
 * of change; index; where the value ends; the value; then the header. */
#include "fuzz.h"
#include "mail/header.h"
#include "milter/edit.h"

static unsigned count_fields(struct span header, size_t *ret_left)
{
    unsigned n = 0;
    struct header_field field;
    while (header_next(&header, &field))
        n++;
    *ret_left = header.n;
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct choices choices = choices_of(data, size);
    struct milter_change change = { .kind = choose_below(&choices, 3), .name = SPAN("X-a"), .index = choose(&choices) };
    change.has_blank = choose_below(&choices, 2);
    change.value = choose_text(&choices, 200);
    size_t octets, body, left;
    if (size > 1u << 16 || header_measure(choices.left, HEADER_MAX, &octets, &body) != STATUS_OK)
        return 0;
    struct buf header = BUF_EMPTY(HEADER_MAX);
    require(buf_add(&header, span_head(choices.left, octets)) == STATUS_OK);
    unsigned before = count_fields(buf_span(&header), &left);
    enum status status = milter_edit(&header, &change);
    unsigned after = count_fields(buf_span(&header), &left);
    require(left == 0 && after <= before + 1 && after + 1 >= before);
    if (status != STATUS_OK)
        require(span_eq(buf_span(&header), span_head(choices.left, octets)));
    else if (change.kind != MILTER_CHANGE_HEADER)
        require(after == before + 1);
    buf_done(&header);
    return 0;
}
