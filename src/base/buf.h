/* base/buf.h -- owned bytes that grow, up to a ceiling given at birth.
 *
 * Adding past the ceiling (or out of memory) changes nothing, returns a status and marks the
 * buffer `failed`, so that a writer of many small pieces may look once at the end.
 */
#pragma once
#include "base/span.h"
#include "base/status.h"
#include <stdarg.h>

struct buf {
    char *p;      /* NULL while nothing was added */
    size_t n;     /* octets in use */
    size_t room;  /* octets allocated */
    size_t most;  /* ceiling */
    bool failed;  /* an addition was refused since buf_clear() */
};

#define BUF_EMPTY(ceiling) ((struct buf){ NULL, 0, 0, (ceiling), false })

void buf_done(struct buf *buf);                  /* frees; the buffer is empty and usable again */
static inline void buf_clear(struct buf *buf) { buf->n = 0; buf->failed = false; }
struct buf buf_take(struct buf *buf);            /* moves the ownership out; `buf` is empty again */
static inline struct span buf_span(const struct buf *buf) { return (struct span){ buf->p, buf->n }; }

/* Room for `n` more octets; on OK at least that many may be written behind p[n]. */
MUST_CHECK enum status buf_reserve(struct buf *buf, size_t n);
enum status buf_add_slowly(struct buf *buf, struct span what); /* buf_add() where there is no room yet */
/* FULL over the ceiling, MEMORY when there is none. */
static inline enum status buf_add(struct buf *buf, struct span what)
{
    if (what.n > buf->room - buf->n)
        return buf_add_slowly(buf, what);
    if (what.n)
        memcpy(buf->p + buf->n, what.p, what.n);
    buf->n += what.n;
    return STATUS_OK;
}
static inline enum status buf_add_char(struct buf *buf, char c) { return buf_add(buf, span_of(&c, 1)); }
enum status buf_add_str(struct buf *buf, const char *text);
enum status buf_printf(struct buf *buf, const char *format, ...) PRINTF_LIKE(2, 3);
enum status buf_vprintf(struct buf *buf, const char *format, va_list args) PRINTF_LIKE(2, 0);
void buf_drop(struct buf *buf, size_t n);        /* the first `n` octets go; the rest moves down */
/* The text with a NUL behind it (not counted in n); "" when that cannot be had. */
const char *buf_cstr(struct buf *buf);
/* Reads `fd` to its end. IO: errno tells; FULL: it holds more than the ceiling. */
MUST_CHECK enum status buf_fill(struct buf *buf, int fd);
/* Overwrites the contents before freeing: for passwords and keys. */
void buf_wipe(struct buf *buf);
