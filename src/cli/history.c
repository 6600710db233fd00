#include "cli/history.h"
#include "base/buf.h"
#include "base/order.h"
#include "base/time.h"
#include "cli/search.h"
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SLACK_MS (60 * TIME_SECOND_MS) /* clocks that were set, lines that waited in another process */
#define SLACK_OCTETS ((size_t)16 << 20)
#define SLACK_SURE ((size_t)1 << 20)   /* a message's first line that is farther behind where we began is its first */
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
        search_release(history->files[i].text);
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

/* A process that is killed while it writes leaves a line without its end, and the next event stands right behind it. As no
 * text in an event has a quote that is not escaped, this begins one wherever it stands. */
#define EVENT_BEGIN SPAN("{\"time\":\"")

/* Where the event begins in which the octet `at` stands. */
static size_t event_start(struct span text, size_t at)
{
    size_t start = line_start(text, at), step;
    struct span rest;
    while (rest = span_of(text.p + start, at - start),
           (step = span_find_span(span_from(rest, 1), EVENT_BEGIN)) < span_from(rest, 1).n)
        start += step + 1;
    return start;
}

static struct span event_at(struct span text, size_t start)
{
    struct span line = line_at(text, start), rest = span_from(line, 1);
    size_t next = span_find_span(rest, EVENT_BEGIN);
    return next < rest.n ? span_head(line, next + 1) : line;
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

/* What is looked for, and what was found of it. */
struct telling {
    struct span id;
    history_on_line *on_line;
    void *arg;
    bool born; /* its first line was among them */
};

/* Accepted, or written as a report about another one. */
static bool is_birth(struct span line, struct span id)
{
    return (span_eq(history_field(line, "event"), SPAN("accepted")) && span_eq(history_field(line, "id"), id)) ||
           span_eq(history_field(line, "report"), id);
}

/* The lines that begin from `from` to before `to`; a birth counts behind `sure`. */
static void lines_in(struct span text, size_t from, size_t to, size_t sure, struct telling *telling)
{
    struct search search;
    size_t next = from, at;
    search_init(&search, text, from, to, telling->id);
    while (search_next(&search, &at)) {
        if (at < next)
            continue; /* once more in the same line */
        size_t start = event_start(text, at);
        struct span line = event_at(text, start);
        telling->on_line(telling->arg, line);
        telling->born |= start >= sure && is_birth(line, telling->id);
        next = start + line.n;
    }
}

/* Where the lines since this time begin, and a good deal before it. Returns the number of the file. */
static unsigned begin_since(const struct history *history, int64_t since_ms, size_t *ret)
{
    unsigned file = 0;
    size_t at = 0, slack = SLACK_OCTETS;
    for (; file < history->count; file++)
        if ((at = offset_of_time(history->files[file].text, since_ms)) < history->files[file].text.n)
            break;
    if (file == history->count)
        file--;
    for (; slack > at && file > 0; at = history->files[--file].text.n)
        slack -= at;
    *ret = line_start(history->files[file].text, at - MIN(slack, at));
    return file;
}

void history_lines(const struct history *history, uint64_t id, history_on_line *on_line, void *arg)
{
    char text[ID_TEXT_SIZE];
    struct telling telling = { .id = span_str(id_text(id, text)), .on_line = on_line, .arg = arg };
    if (history->count == 0)
        return;
    size_t begin = 0;
    unsigned first = begin_since(history, id_time_wall_ms(id) - SLACK_MS, &begin);
    for (unsigned i = first; i < history->count; i++) {
        size_t from = i == first ? begin : 0;
        bool whole = from == 0 && (i > first || first == 0);
        lines_in(history->files[i].text, from, history->files[i].text.n, whole ? 0 : from + SLACK_SURE, &telling);
    }
    /* Else a clock was set, the id was made elsewhere, or lines were lost: look at the rest as well. */
    for (unsigned i = 0; i <= first && !telling.born; i++)
        lines_in(history->files[i].text, 0, i == first ? begin : history->files[i].text.n, SIZE_MAX, &telling);
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

/* The lines that hold `what` as a word of its own, from the last one on. */
struct mentions {
    struct search search;
    size_t end; /* the lines from here on were told */
};

static void mentions_init(struct mentions *mentions, struct span text, struct span what)
{
    search_init(&mentions->search, text, 0, text.n, what);
    mentions->end = text.n;
}

static bool mentions_take(struct mentions *mentions, struct span *ret)
{
    struct span text = mentions->search.text;
    for (size_t at; search_previous(&mentions->search, &at);) {
        size_t behind = at + mentions->search.what.n;
        if (behind > mentions->end || at == 0 || !is_word_end(text, behind) || !is_word_end(text, at - 1))
            continue;
        mentions->end = event_start(text, at);
        *ret = event_at(text, mentions->end);
        return true;
    }
    return false;
}

static size_t find_in(struct span text, struct span what, uint64_t *ids, size_t n, size_t most)
{
    struct span line;
    struct mentions mentions;
    mentions_init(&mentions, text, what);
    while (n < most && mentions_take(&mentions, &line)) {
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
    for (unsigned i = history->count; i-- > 0 && text.n && named.n;) {
        struct mentions mentions;
        mentions_init(&mentions, history->files[i].text, buf_span(&named));
        while (n < most && mentions_take(&mentions, &line))
            if (holds_word(line, text))
                ret[n++] = line;
    }
    return n;
}

size_t history_find(const struct history *history, struct span text, uint64_t *ret, size_t most)
{
    size_t n = 0;
    for (unsigned i = history->count; i-- > 0 && n < most && text.n;)
        n = find_in(history->files[i].text, text, ret, n, most);
    qsort(ret, n, sizeof *ret, order_u64);
    return n;
}
