/* A start on a spool of any form: segments, a checkpoint and body files made of the input, with checksums that are right, so
 * that what they say is read. The process must come up or say why not, what it knows must not contradict itself, and the
 * next start on what it left must find the same messages. `goniec spool verify` reads it, too.
 *
 * Octets: files, one after the other: what it is, its description, its records. */
#include "queue/entry.h"
#include "queue_inside.h"
#include "spool/envelope.h"
#include "spool/verify.h"

enum { SEGMENTS = 4, IDS = 6, FILES_MOST = 8, RECORDS_MOST = 24 };

static struct choices choices;
static uint64_t before[64];
static size_t before_count;
static bool reported;

/* -- the files -- */

struct file {
    struct spool_segment segment;
    struct buf octets;
    uint32_t commit;
    uint64_t records;
};

static uint64_t some_id(void)
{
    uint8_t which = choose(&choices);
    uint64_t id = ((uint64_t)(INSIDE_WALL_MS - INT64_C(1704067200000)) - 1000) << 23 | (uint64_t)(which & 3) << 15 | which % IDS;
    return which == 255 ? choose_octets(&choices, 8) : id;
}

static void put_envelope(struct buf *ret)
{
    struct spool_recipient list[4];
    uint8_t what = choose(&choices);
    struct span domain = choose_text(&choices, 20);
    char names[4][64];
    for (unsigned i = 0; i < ARRAY_LEN(list); i++) {
        snprintf(names[i], sizeof names[i], "%c@%.*s", 'a' + (int)i, SPAN_ARGS(domain));
        list[i] = (struct spool_recipient){ .address = span_str(names[i]), .notify = what & 15 };
    }
    struct spool_envelope envelope = { .flags = what, .account = SPAN("anna"), .sender = what & 16 ? SPAN_NONE : SPAN("s@t.example"),
                                       .recipients = list, .recipient_count = 1 + (what >> 6) };
    require(spool_envelope_encode(&envelope, ret) == STATUS_OK);
}

static void put_entry(uint8_t kind, struct buf *ret)
{
    uint8_t what = choose(&choices);
    uint32_t indexes[4] = { what & 3, what >> 2 & 3, what >> 4 & 3, what >> 6 };
    struct queue_entry entry = {
        .kind = kind, .how = choose(&choices) % 5, .tries = what, .retry_ms = INSIDE_WALL_MS + what * 1000,
        .words = { .code = 450, .enhanced = { 4, 2, 1 }, .text = choose_text(&choices, 20) }, .who = SPAN("ada"), .why = SPAN("why"),
        .route = SPAN("smtp://h:25"), .segment = choose_below(&choices, SEGMENTS + 1), .offset = SPOOL_BLOCK * choose_below(&choices, 16),
        .length = choose(&choices), .known = SPOOL_BLOCK * choose_below(&choices, 16), .epoch = 1 + choose_below(&choices, 2),
        .count = 1 + (what & 3), .indexes = indexes,
    };
    queue_entry_put(ret, &entry);
}

static void put_content(uint8_t kind, struct buf *ret)
{
    uint8_t form = choose(&choices);
    if (form & 1)
        buf_add(ret, choose_text(&choices, 255));
    else if (kind == SPOOL_KIND_MESSAGE)
        put_envelope(ret);
    else
        put_entry(kind, ret);
}

static void put_record(struct file *file, uint8_t what)
{
    static const uint8_t kinds[] = { SPOOL_KIND_PAD, SPOOL_KIND_MESSAGE, SPOOL_KIND_MESSAGE, SPOOL_KIND_END };
    uint8_t kind = what & 16 ? SPOOL_KIND_JOURNAL + what % 16 : kinds[what & 3], head[SPOOL_HEADER_OCTETS];
    AUTO(buf_done) struct buf content = BUF_EMPTY(65536);
    uint32_t at = (uint32_t)file->octets.n, seed = spool_segment_seed(&file->segment);
    put_content(kind, &content);
    bool last = what & 32;
    uint32_t length = SPOOL_HEADER_OCTETS + (uint32_t)content.n, to = last ? SPOOL_BLOCK : SPOOL_ALIGN;
    struct spool_header header = { .kind = kind, .flags = last ? SPOOL_FLAG_LAST : 0, .id = some_id(), .epoch = file->segment.epoch,
                                   .commit = file->commit, .stride = (at + length + to - 1) / to * to - at, .envelope = (uint32_t)content.n,
                                   .check_meta = crc32c(seed, content.p, content.n) };
    if (kind == SPOOL_KIND_END)
        header.id = what & 64 ? choose(&choices) : file->records;
    if (what & 64 && kind == SPOOL_KIND_MESSAGE) {
        header.body = choose(&choices);
        header.file = choose_below(&choices, 4);
    }
    if (what & 128) {
        header.stride = (uint32_t)choose_octets(&choices, 2) * SPOOL_ALIGN;
        header.commit = choose(&choices);
    }
    spool_header_encode(&header, seed, at, head);
    buf_add(&file->octets, span_of(head, sizeof head));
    buf_add(&file->octets, buf_span(&content));
    while (file->octets.n % to)
        buf_add_char(&file->octets, '\0');
    file->commit += last;
    file->records++;
}

static void file_write(struct file *file, const char *name, bool whole)
{
    char path[200];
    snprintf(path, sizeof path, "%s/spool/%s", inside.folder, name);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    if (whole)
        require(ftruncate(fd, (off_t)file->segment.octets) == 0);
    require(spool_pwrite_all(inside_ops(), fd, file->octets.p + SPOOL_BLOCK, file->octets.n - SPOOL_BLOCK, SPOOL_BLOCK) == STATUS_OK);
    require(spool_segment_write(inside_ops(), fd, NULL, &file->segment) == STATUS_OK);
    close(fd);
}

static void make_segment(uint8_t what)
{
    char name[64], base[SPOOL_SEGMENT_NAME_SIZE];
    bool checkpoint = what & 8;
    struct file file = { .octets = BUF_EMPTY((size_t)1 << 20), .commit = 1 };
    file.segment = (struct spool_segment){ .number = checkpoint ? 0 : what % SEGMENTS, .epoch = 1 + choose_below(&choices, 2), .salt = what,
                                           .sequence = choose_below(&choices, 8), .octets = INSIDE_SEGMENT,
                                           .use = checkpoint ? SPOOL_CHECKPOINT : choose_below(&choices, SPOOL_USE_COUNT),
                                           .writer = choose_below(&choices, 4) };
    require(buf_reserve(&file.octets, SPOOL_BLOCK) == STATUS_OK);
    memset(file.octets.p, 0, SPOOL_BLOCK);
    file.octets.n = SPOOL_BLOCK;
    for (unsigned i = 0; i < RECORDS_MOST && !choices_over(&choices) && file.octets.n < INSIDE_SEGMENT - 3 * SPOOL_BLOCK; i++) {
        uint8_t record = choose(&choices);
        if (record == 0)
            break;
        put_record(&file, record);
    }
    snprintf(name, sizeof name, "segments/%s", spool_segment_name(what % SEGMENTS, base));
    file_write(&file, checkpoint ? "checkpoint" : name, !checkpoint);
    buf_done(&file.octets);
}

static void make_other(uint8_t what)
{
    static const char *const names[] = { "segments/00000009.seg", "bodies/0000000000000001.body", "bodies/0000000000000002.body",
                                         "bodies/x", "checkpoint.new", "segments/00000001.new", "foreign", "checkpoint" };
    char path[200];
    snprintf(path, sizeof path, "%s/spool/%s", inside.folder, names[what % ARRAY_LEN(names)]);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    struct span octets = choose_text(&choices, 255);
    (void)!write(fd, octets.p, octets.n);
    close(fd);
}

static void folders_make(void)
{
    static const char *const folders[] = { "", "/segments", "/bodies" };
    char path[200];
    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        snprintf(path, sizeof path, "%s/spool%s", inside.folder, folders[i]);
        mkdir(path, 0700);
    }
}

/* -- the starts -- */

static void check_message(const struct queue_message *message)
{
    uint64_t living = 0;
    require(message->living > 0 && message->segment && message->offset <= message->segment->size);
    for (const struct queue_share *share = message->shares; share; share = share->next) {
        require(share->count > 0 && share->message == message);
        living += share->count;
    }
    require(living == message->living);
}

static void check_queue(const struct queue *queue)
{
    uint64_t sum = 0, living = 0;
    for (unsigned place = 0; place < QUEUE_PLACE_COUNT; place++)
        sum += queue->by_place[place];
    for (MAP_EACH(node, &queue->messages)) {
        struct queue_message *message = CONTAINER(node, struct queue_message, node);
        check_message(message);
        living += message->living;
    }
    require(sum == queue->recipients && living == queue->recipients);
}

static void drive_first(void)
{
    before_count = 0;
    reported = true;
    if (!inside_start(inside_end, SPAN_NONE))
        return;
    reported = queue_inside.queue->reports || queue_inside.queue->counts.reported;
    check_queue(queue_inside.queue);
    for (MAP_EACH(node, &queue_inside.queue->messages))
        if (before_count < ARRAY_LEN(before))
            before[before_count++] = CONTAINER(node, struct queue_message, node)->id;
    inside_pass(1);
    reported |= queue_inside.queue->reports || queue_inside.queue->counts.reported || queue_inside.queue->counts.failed;
}

static void drive_again(void)
{
    if (!inside_start(inside_end, SPAN_NONE))
        return;
    check_queue(queue_inside.queue);
    for (size_t i = 0; i < before_count && !reported; i++)
        require(queue_message_find(queue_inside.queue, before[i]) != NULL);
    require(reported || before_count == ARRAY_LEN(before) || queue_inside.queue->messages.n == before_count);
    inside_pass(1000);
}

static void on_fault(void *arg, const struct spool_fault *fault) { require(fault->name && fault->what); }

static void verify(void)
{
    char path[200];
    struct spool_verify verify = { .ops = inside_ops(), .on_fault = on_fault };
    snprintf(path, sizeof path, "%s/spool", inside.folder);
    require(spool_verify_run(&verify, path) == STATUS_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    choices = choices_of(data, MIN(size, (size_t)8192));
    queue_inside_begin();
    folders_make();
    for (int i = 0; i < FILES_MOST && !choices_over(&choices); i++) {
        uint8_t what = choose(&choices);
        if (what < 192)
            make_segment(what);
        else
            make_other(what);
    }
    verify();
    inside_run(queue_main, drive_first);
    verify();
    inside_run(queue_main, drive_again);
    return 0;
}
