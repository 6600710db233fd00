#include "base/log.h"
#include "base/time.h"
#include <errno.h>
#include <unistd.h>

static pid_t self; /* asked for once: the C library does not keep it */

static const char *const level_names[] = { "debug", "info", "warning", "error" };

void log_init(struct log *log, int fd, const char *role, enum log_level least)
{
    self = getpid();
    *log = (struct log){ .fd = fd, .role = role, .least = least, .pending = BUF_EMPTY(LOG_CEILING) };
}

void log_done(struct log *log)
{
    log_flush(log);
    buf_done(&log->pending);
}

static bool is_plain(unsigned char c) { return c >= 0x20 && c < 0x7F && c != '"' && c != '\\'; }

/* Eight at once; a false no is possible, a false yes not. */
static bool are_plain(const char *p)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), high = ones * 0x80;
    uint64_t word, quote, slash;
    memcpy(&word, p, sizeof word);
    quote = word ^ ones * '"';
    slash = word ^ ones * '\\';
    uint64_t wrong = ((word - ones * 0x20) & ~word) | word | (word + ones) | ((quote - ones) & ~quote) | ((slash - ones) & ~slash);
    return (wrong & high) == 0;
}

/* The octets of the character at the front of `s` when it may stand in JSON as it is, else 0. */
static size_t plain_length(struct span s)
{
    unsigned char c = (unsigned char)s.p[0];
    if (c < 0x80)
        return is_plain(c);
    for (size_t n = 2; n <= 4 && n <= s.n; n++)
        if (span_is_utf8(span_head(s, n)))
            return n;
    return 0;
}

static void add_escaped(struct buf *buf, unsigned char c)
{
    if (c == '"' || c == '\\')
        buf_printf(buf, "\\%c", c);
    else if (c == '\n')
        buf_add(buf, SPAN("\\n"));
    else if (c == '\r')
        buf_add(buf, SPAN("\\r"));
    else if (c == '\t')
        buf_add(buf, SPAN("\\t"));
    else if (c < 0x80)
        buf_printf(buf, "\\u%04x", c);
    else
        buf_add(buf, SPAN("\\ufffd"));
}

void json_add_string(struct buf *buf, struct span text)
{
    buf_add_char(buf, '"');
    while (text.n) {
        size_t plain = 0, step;
        do { /* nearly every octet is plain: those in a loop of their own */
            while (text.n - plain >= 8 && are_plain(text.p + plain))
                plain += 8;
            while (plain < text.n && is_plain((unsigned char)text.p[plain]))
                plain++;
            step = plain < text.n ? plain_length(span_from(text, plain)) : 0;
            plain += step;
        } while (step);
        buf_add(buf, span_head(text, plain));
        text = span_from(text, plain);
        if (text.n) {
            add_escaped(buf, (unsigned char)text.p[0]);
            text = span_from(text, 1);
        }
    }
    buf_add_char(buf, '"');
}

static void add_number(struct buf *buf, int64_t number)
{
    char digits[24];
    size_t at = sizeof digits;
    uint64_t rest = number < 0 ? -(uint64_t)number : (uint64_t)number;
    do
        digits[--at] = (char)('0' + rest % 10);
    while ((rest /= 10) != 0);
    if (number < 0)
        digits[--at] = '-';
    buf_add(buf, span_of(digits + at, sizeof digits - at));
}

static void add_field(struct buf *buf, const struct log_field *field)
{
    char id[ID_TEXT_SIZE];
    buf_add(buf, SPAN(",\""));
    buf_add_str(buf, field->name);
    buf_add(buf, SPAN("\":"));
    switch (field->kind) {
    case LOG_TEXT:
        json_add_string(buf, field->text);
        break;
    case LOG_NUMBER:
        add_number(buf, field->number);
        break;
    case LOG_MESSAGE_ID:
        json_add_string(buf, span_str(id_text((uint64_t)field->number, id)));
        break;
    case LOG_YES:
        buf_add_str(buf, field->number ? "true" : "false");
        break;
    case LOG_END:
        break;
    }
}

void log_write(struct log *log, enum log_level level, const char *event, const struct log_field *fields)
{
    if (level < log->least || log->fd < 0)
        return;
    struct buf *buf = &log->pending;
    size_t start = buf->n;
    char when[TIME_TEXT_SIZE];
    buf_add(buf, SPAN("{\"time\":\""));
    buf_add_str(buf, time_iso(time_wall_ms(), when));
    buf_add(buf, SPAN("\",\"level\":\""));
    buf_add_str(buf, level_names[level]);
    buf_add(buf, SPAN("\",\"role\":\""));
    buf_add_str(buf, log->role);
    buf_add(buf, SPAN("\",\"pid\":"));
    add_number(buf, self);
    buf_add(buf, SPAN(",\"event\":\""));
    buf_add_str(buf, event);
    buf_add_char(buf, '"');
    for (; fields->kind != LOG_END; fields++)
        add_field(buf, fields);
    buf_add(buf, SPAN("}\n"));
    if (buf->failed) {
        buf->n = start;
        buf->failed = false;
        log->lost++;
    }
}

void log_flush(struct log *log)
{
    struct buf *buf = &log->pending;
    if (log->lost && log->fd >= 0) {
        uint64_t lost = log->lost;
        log->lost = 0;
        log_warning(log, "log-lines-lost", LOG_INT("lines", lost));
    }
    while (buf->n) {
        ssize_t wrote = write(log->fd, buf->p, buf->n);
        if (wrote > 0) {
            buf_drop(buf, (size_t)wrote);
            continue;
        }
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0 && errno != EAGAIN) { /* a full disk must not stop the mail */
            for (size_t i = 0; i < buf->n; i++)
                log->lost += buf->p[i] == '\n';
            buf_clear(buf);
        }
        return;
    }
}
