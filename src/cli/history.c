#include "cli/history.h"
#include "base/buf.h"
#include "base/time.h"
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SLACK_MS (60 * TIME_SECOND_MS) /* clocks that were set, lines that waited in another process */
#define STAMP_AT 9                     /* behind {"time":" */
#define STAMP_OCTETS 24

static bool is_compressed(struct span path)
{
    static const char *const ends[] = { ".gz", ".xz", ".zst", ".bz2", ".lz4" };
    for (size_t i = 0; i < ARRAY_LEN(ends); i++)
        if (span_ends_case(path, span_str(ends[i])))
            return true;
    return false;
}

static enum status file_open(struct history *history, const char *path)
{
    struct stat stat;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return errno == ENOENT ? STATUS_NOT_FOUND : STATUS_IO;
    bool good = fstat(fd, &stat) == 0 && S_ISREG(stat.st_mode) && stat.st_size > 0;
    void *p = good ? mmap(NULL, (size_t)stat.st_size, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
    close(fd);
    if (p == MAP_FAILED)
        return STATUS_NOT_FOUND; /* empty, or a folder: nothing to read */
    struct history_file *file = &history->files[history->count++];
    file->text = span_of(p, (size_t)stat.st_size);
    file->path = strdup(path);
    return STATUS_OK;
}

/* The time of the line at the front, as text that sorts; empty when it has none. */
static struct span stamp_of(struct span line)
{
    if (line.n < STAMP_AT + STAMP_OCTETS || !span_starts(line, SPAN("{\"time\":\"")))
        return SPAN_NONE;
    return span_of(line.p + STAMP_AT, STAMP_OCTETS);
}

static int file_cmp(const void *a, const void *b)
{
    const struct history_file *left = a, *right = b;
    return span_cmp(stamp_of(left->text), stamp_of(right->text));
}

enum status history_open(struct history *history, const char *path)
{
    *history = (struct history){ 0 };
    AUTO(buf_done) struct buf pattern = BUF_EMPTY(8192);
    enum status status = file_open(history, path);
    if (status == STATUS_IO)
        return status;
    glob_t found = { 0 };
    buf_printf(&pattern, "%s[.-]*", path);
    if (glob(buf_cstr(&pattern), 0, NULL, &found) == 0)
        for (size_t i = 0; i < found.gl_pathc && history->count < HISTORY_FILES_MAX; i++) {
            if (is_compressed(span_str(found.gl_pathv[i])))
                history->compressed++;
            else if (file_open(history, found.gl_pathv[i]) == STATUS_IO)
                status = STATUS_IO;
        }
    globfree(&found);
    if (status == STATUS_IO) {
        int why = errno;
        history_close(history);
        errno = why;
        return STATUS_IO;
    }
    qsort(history->files, history->count, sizeof *history->files, file_cmp);
    return history->count || history->compressed || status == STATUS_OK ? STATUS_OK : STATUS_NOT_FOUND;
}

void history_close(struct history *history)
{
    for (unsigned i = 0; i < history->count; i++) {
        munmap((void *)(uintptr_t)history->files[i].text.p, history->files[i].text.n);
        free(history->files[i].path);
    }
    history->count = 0;
}

/* Where the line begins in which the octet `at` stands. */
static size_t line_start(struct span text, size_t at)
{
    size_t lf = span_rfind(span_head(text, at), '\n');
    return lf == at ? 0 : lf + 1;
}

static struct span line_at(struct span text, size_t start)
{
    struct span rest = span_from(text, start);
    return span_head(rest, span_find(rest, '\n'));
}

/* Offset of the first line whose time is not before `stamp`, by halving. Lines without a time are passed over. */
static size_t lower_bound(struct span text, struct span stamp)
{
    size_t low = 0, high = text.n;
    while (low < high) {
        size_t start = line_start(text, low + (high - low) / 2), at = start;
        struct span line = line_at(text, at);
        while (at < high && stamp_of(line).n == 0) {
            at += line.n + 1;
            line = line_at(text, MIN(at, text.n));
        }
        if (at >= high || span_cmp(stamp_of(line), stamp) >= 0)
            high = start;
        else
            low = MIN(at + line.n + 1, text.n);
    }
    return low;
}

static size_t offset_of_time(struct span text, int64_t wall_ms)
{
    char stamp[TIME_TEXT_SIZE];
    return lower_bound(text, span_head(span_str(time_iso(wall_ms, stamp)), STAMP_OCTETS));
}

struct span history_field(struct span line, const char *name)
{
    char key[64];
    size_t n = strlen(name);
    if (n + 5 > sizeof key)
        return SPAN_NONE;
    memcpy(key, ",\"", 2);
    memcpy(key + 2, name, n);
    memcpy(key + 2 + n, "\":\"", 4);
    size_t at = span_find_span(line, span_str(key));
    if (at == line.n)
        return SPAN_NONE;
    struct span value = span_from(line, at + n + 5);
    size_t end = 0;
    while (end < value.n && value.p[end] != '"')
        end += value.p[end] == '\\' ? 2 : 1;
    return end < value.n ? span_head(value, end) : SPAN_NONE;
}

/* Behind its "done" a message has no story but what other processes were still writing down. */
static size_t end_after(struct span text, size_t start, struct span line, struct span id, size_t end)
{
    if (!span_eq(history_field(line, "event"), SPAN("done")) || !span_eq(history_field(line, "id"), id))
        return end;
    size_t at = start;
    for (unsigned lines = 0; lines < 10000 && at < end; lines++)
        at += line_at(text, at).n + 1;
    return MIN(at, end);
}

static size_t lines_in(struct span text, size_t from, struct span id, history_on_line *on_line, void *arg)
{
    size_t end = text.n, count = 0;
    while (from < end) {
        size_t at = span_find_span(span_head(span_from(text, from), end - from), id);
        if (at == end - from)
            break;
        size_t start = line_start(text, from + at);
        struct span line = line_at(text, start);
        on_line(arg, line);
        count++;
        from = start + line.n + 1;
        end = end_after(text, start, line, id, end);
    }
    return count;
}

void history_lines(const struct history *history, uint64_t id, history_on_line *on_line, void *arg)
{
    char text[ID_TEXT_SIZE];
    struct span name = span_str(id_text(id, text));
    int64_t since_ms = id_time_wall_ms(id) - SLACK_MS;
    size_t found = 0;
    for (unsigned i = 0; i < history->count; i++)
        found += lines_in(history->files[i].text, offset_of_time(history->files[i].text, since_ms), name, on_line, arg);
    /* The clock was wrong, or the id was made elsewhere: look everywhere. */
    for (unsigned i = 0; i < history->count && found == 0; i++)
        found += lines_in(history->files[i].text, 0, name, on_line, arg);
}

static bool is_word_end(struct span text, size_t at)
{
    return at >= text.n || strchr("\" ,<>;", text.p[at]) != NULL;
}

static bool is_known(const uint64_t *ids, size_t n, uint64_t id)
{
    for (size_t i = 0; i < n; i++)
        if (ids[i] == id)
            return true;
    return false;
}

/* The last octet before `end` where `what` begins, or `end`. */
static size_t find_back(struct span text, size_t end, struct span what)
{
    size_t chunk = 4096; /* near ones are frequent: do not look through much for them */
    for (size_t high = end; high > 0; chunk = MIN(chunk * 2, (size_t)1 << 20)) {
        size_t low = high > chunk ? high - chunk : 0, best = end;
        struct span window = span_head(span_from(text, low), MIN(high + what.n, end) - low);
        for (size_t from = 0, at; (at = span_find_span(span_from(window, from), what)) < window.n - from; from += at + 1)
            best = low + from + at;
        if (best < end)
            return best;
        high = low;
    }
    return end;
}

/* The line before the octet `*end` that holds `what` as a word of its own; `*end` moves to its start. */
static bool mention_before(struct span text, struct span what, size_t *end, struct span *ret)
{
    while (*end > 0) {
        size_t at = find_back(text, *end, what);
        if (at == *end)
            return false;
        bool word = is_word_end(text, at + what.n) && at > 0 && is_word_end(text, at - 1);
        *end = word ? line_start(text, at) : at;
        if (word) {
            *ret = line_at(text, *end);
            return true;
        }
    }
    return false;
}

static size_t find_in(struct span text, struct span what, uint64_t *ids, size_t n, size_t most)
{
    struct span line;
    for (size_t end = text.n; n < most && mention_before(text, what, &end, &line);) {
        uint64_t id = 0;
        if (id_parse(history_field(line, "id"), &id) && !is_known(ids, n, id))
            ids[n++] = id;
    }
    return n;
}

static bool holds_word(struct span line, struct span what)
{
    for (size_t from = 0; from < line.n;) {
        size_t at = from + span_find_span(span_from(line, from), what);
        if (at >= line.n)
            return false;
        if (at > 0 && is_word_end(line, at - 1) && is_word_end(line, at + what.n))
            return true;
        from = at + 1;
    }
    return false;
}

size_t history_mentions(const struct history *history, struct span text, const char *event, struct span *ret, size_t most)
{
    size_t n = 0;
    struct span line;
    AUTO(buf_done) struct buf named = BUF_EMPTY(256); /* rarer than the text: look for it first */
    buf_printf(&named, "\"event\":\"%s\"", event);
    for (unsigned i = history->count; i-- > 0 && text.n && named.n;)
        for (size_t end = history->files[i].text.n;
             n < most && mention_before(history->files[i].text, buf_span(&named), &end, &line);)
            if (holds_word(line, text))
                ret[n++] = line;
    return n;
}

static int id_cmp(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

size_t history_find(const struct history *history, struct span text, uint64_t *ret, size_t most)
{
    size_t n = 0;
    for (unsigned i = history->count; i-- > 0 && n < most && text.n;)
        n = find_in(history->files[i].text, text, ret, n, most);
    qsort(ret, n, sizeof *ret, id_cmp);
    return n;
}
