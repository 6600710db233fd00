#include "mail/message_id.h"
#include "base/id.h"

enum status message_id_write(uint64_t id, struct span hostname, struct buf *ret)
{
    char text[ID_TEXT_SIZE];
    return buf_printf(ret, "<%s.goniec@%.*s>", id_text(id, text), SPAN_ARGS(hostname));
}

struct span message_id_inner(struct span value)
{
    size_t open = span_find(value, '<');
    struct span inner = span_from(value, open + 1);
    size_t end = span_find(inner, '>');
    if (open == value.n || end == inner.n)
        return span_trim(value);
    return span_head(inner, end);
}
