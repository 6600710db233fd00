#include "base/buf.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void buf_done(struct buf *buf)
{
    free(buf->p);
    *buf = BUF_EMPTY(buf->most);
}

void buf_wipe(struct buf *buf)
{
    if (buf->p)
        explicit_bzero(buf->p, buf->room);
    buf_done(buf);
}

struct buf buf_take(struct buf *buf)
{
    struct buf taken = *buf;
    *buf = BUF_EMPTY(buf->most);
    return taken;
}

enum status buf_reserve(struct buf *buf, size_t n)
{
    if (n <= buf->room - buf->n)
        return STATUS_OK;
    if (n > buf->most - MIN(buf->n, buf->most)) {
        buf->failed = true;
        return STATUS_FULL;
    }
    size_t room = MIN(MAX(buf->room + buf->room / 2, MAX(buf->n + n, (size_t)64)), buf->most);
    char *p = realloc(buf->p, room);
    if (!p) {
        buf->failed = true;
        return STATUS_MEMORY;
    }
    buf->p = p;
    buf->room = room;
    return STATUS_OK;
}

enum status buf_add_slowly(struct buf *buf, struct span what)
{
    enum status status = buf_reserve(buf, what.n);
    return status == STATUS_OK ? buf_add(buf, what) : status;
}

enum status buf_add_str(struct buf *buf, const char *text)
{
    return buf_add(buf, span_str(text));
}

enum status buf_vprintf(struct buf *buf, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (length < 0)
        return STATUS_IO;
    /* vsnprintf writes a NUL that we do not count: ask for it, fall back on a copy at the ceiling. */
    if (buf_reserve(buf, (size_t)length + 1) == STATUS_OK) {
        vsnprintf(buf->p + buf->n, (size_t)length + 1, format, args);
        buf->n += (size_t)length;
        return STATUS_OK;
    }
    return STATUS_FULL;
}

enum status buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    enum status status = buf_vprintf(buf, format, args);
    va_end(args);
    return status;
}

void buf_drop(struct buf *buf, size_t n)
{
    n = MIN(n, buf->n);
    if (n && n < buf->n)
        memmove(buf->p, buf->p + n, buf->n - n);
    buf->n -= n;
}

const char *buf_cstr(struct buf *buf)
{
    if (buf_add_char(buf, '\0') != STATUS_OK)
        return "";
    buf->n--;
    return buf->p;
}

enum status buf_fill(struct buf *buf, int fd)
{
    for (;;) {
        char chunk[16384];
        ssize_t got = read(fd, chunk, sizeof chunk);
        if (got == 0)
            return STATUS_OK;
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return STATUS_IO;
        enum status status = buf_add(buf, span_of(chunk, (size_t)got));
        if (status != STATUS_OK)
            return status;
    }
}
