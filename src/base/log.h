/* base/log.h -- the event log: one JSON object a line, each event with a fixed name and typed fields.
 *
 * Lines gather in memory and leave with one write per turn of the loop (log_flush). Every line has
 * "time", "level", "role", "pid" and "event"; what concerns a message has its "id", so that
 * `goniec trace` can tell its story. A line that cannot be written is counted, never waited for.
 */
#pragma once
#include "base/buf.h"
#include "base/id.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };

enum log_kind { LOG_END, LOG_TEXT, LOG_NUMBER, LOG_MESSAGE_ID, LOG_YES };

struct log_field {
    const char *name;
    enum log_kind kind;
    struct span text;
    int64_t number;
};

#define LOG_STR(name, value)  { (name), LOG_TEXT, span_str(value), 0 }
#define LOG_SPAN(name, value) { (name), LOG_TEXT, (value), 0 }
#define LOG_INT(name, value)  { (name), LOG_NUMBER, SPAN_NONE, (int64_t)(value) }
#define LOG_BOOL(name, value) { (name), LOG_YES, SPAN_NONE, (value) ? 1 : 0 }
#define LOG_ID(value)         { "id", LOG_MESSAGE_ID, SPAN_NONE, (int64_t)(value) }
#define LOG_SIZE(value)       LOG_INT("octets", value)

struct log {
    int fd;               /* appended to; -1 writes nothing */
    const char *role;     /* "smtpd", "queue", ...; static text */
    enum log_level least; /* lower levels are dropped */
    struct buf pending;
    uint64_t lost;        /* lines that could not be kept or written; the next flush says so */
};

#define LOG_CEILING (4u << 20) /* octets that wait at most for a slow disk */

void log_init(struct log *log, int fd, const char *role, enum log_level least);
void log_done(struct log *log); /* flushes; does not close the fd */
void log_flush(struct log *log);

/* `fields` ends with a LOG_END. Text that is not UTF-8 is kept readable by escaping. */
void log_write(struct log *log, enum log_level level, const char *event, const struct log_field *fields);

#define log_event(log, level, event, ...) \
    log_write((log), (level), (event), (const struct log_field[]){ __VA_ARGS__ __VA_OPT__(,) { 0 } })
#define log_debug(log, event, ...)   log_event(log, LOG_DEBUG, event __VA_OPT__(,) __VA_ARGS__)
#define log_info(log, event, ...)    log_event(log, LOG_INFO, event __VA_OPT__(,) __VA_ARGS__)
#define log_warning(log, event, ...) log_event(log, LOG_WARNING, event __VA_OPT__(,) __VA_ARGS__)
#define log_error(log, event, ...)   log_event(log, LOG_ERROR, event __VA_OPT__(,) __VA_ARGS__)

/* Appends `text` as a JSON string with its quotes. Bytes that are not UTF-8 become U+FFFD. */
void json_add_string(struct buf *buf, struct span text);
