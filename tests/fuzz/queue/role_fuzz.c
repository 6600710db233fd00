/* The whole process queue, with its files, among peers that say anything: a taken over smtpd (writer 0), deliveries,
 * whoever has the control socket, the supervisor. It must neither fall over nor be left with a state that contradicts
 * itself; and while only writer 0 lies, nothing of what writer 1 stored may suffer, not even over a restart.
 *
 * Octets: what the run is about; then steps. */
#include "queue/lease.h"
#include "queue_peers.h"
#include "wire/queue_directory.h"

enum { ONLY_WRITER = 1, STEPS_MOST = 60, HONEST_MESSAGES = 3 };

static struct choices choices;
static struct writer_peer liar, honest;
static struct delivery_peer deliveries[2];
static uint64_t honest_ids[HONEST_MESSAGES], honest_body;
static bool only_writer;
static int control_fd;
static struct channel *directory;  /* NULL: there is none */
static bool directory_lost;
static char seen[SPOOL_BLOCK]; /* a description with its stamp, as the liar found it */
static bool has_seen;

/* -- what is true at the beginning: two announced messages, one of them with a body file, and one that is not -- */

static void honest_store(unsigned i, uint64_t body, bool announce)
{
    AUTO(buf_done) struct buf packed = BUF_EMPTY(4096);
    struct writer_enqueue told;
    require(writer_store(&honest, "honest.example", 2, body, &told, &packed));
    honest_ids[i] = told.id;
    if (announce)
        SAY(&honest, WRITER_ENQUEUE, writer_enqueue_put, told);
}

static void writers_begin_all(bool first)
{
    writer_begin(&liar, 0, 2);
    writer_begin(&honest, 1, 2);
    if (!first)
        return;
    channel_send(honest.channel, WRITER_NEED_SEGMENT, SPAN_NONE);
    SAY(&honest, WRITER_NEED_BODY, writer_need_body_put, (struct writer_need_body){ 1 });
    inside_turns(4);
    honest_body = kept_one(&honest.bodies, 0);
    require(spool_log_is_open(&honest.log) && honest_body);
    honest_store(0, 0, true);
    honest_store(1, honest_body, true);
    honest_store(2, 0, false);
    channel_send(liar.channel, WRITER_NEED_SEGMENT, SPAN_NONE);
    inside_turns(4);
}

static void check_honest(bool restarted)
{
    char path[200];
    for (unsigned i = 0; i < HONEST_MESSAGES; i++) {
        struct queue_message *message = queue_message_find(queue_inside.queue, honest_ids[i]);
        if (i == 2 && !restarted)
            continue; /* its announcement is still to come */
        require(message && message->living == 2 && message->body == (i == 1 ? honest_body : 0));
        require(message->segment->number == kept_one(&honest.segments, 0) || restarted);
    }
    snprintf(path, sizeof path, "%s/spool/bodies/%016llx.body", inside.folder, (unsigned long long)honest_body);
    require(access(path, F_OK) == 0);
}

/* -- writer 0 -- */

/* A number that is somebody's, or nobody's. */
static uint64_t some_number(const struct kept *own, const struct kept *others)
{
    uint8_t which = choose(&choices);
    switch (which >> 6) {
    case 0: return kept_one(own, which);
    case 1: return kept_one(others, which);
    case 2: return which & 63;
    default: return choose_octets(&choices, 8);
    }
}

static void lie_enqueue(struct writer_enqueue told, struct buf *packed)
{
    uint8_t lies = choose(&choices);
    if (lies & 1)
        told.id = some_number(&liar.ids_used, &honest.ids_used);
    if (lies & 2)
        told.segment = (uint32_t)some_number(&liar.segments, &honest.segments);
    if (lies & 4)
        told.offset = (uint32_t)choose_octets(&choices, 4);
    if (lies & 8)
        told.length = (uint32_t)choose_octets(&choices, 4);
    if (lies & 16)
        told.body = some_number(&liar.bodies, &honest.bodies);
    if (lies & 32) {
        told.sender = choose_text(&choices, 255);
        told.account = choose_text(&choices, 255);
    }
    if (lies & 64) {
        struct span recipients = choose_text(&choices, 255);
        told.recipient_count = lies & 128 ? (uint32_t)choose_octets(&choices, 4) : 1 + (uint32_t)recipients.n / 5;
        buf_clear(packed);
        if (lies & 128)
            buf_add(packed, recipients);
        for (uint32_t i = 0; !(lies & 128) && i < told.recipient_count; i++)
            writer_recipient_put(packed, &(struct writer_recipient){ (uint8_t)i, span_head(span_from(recipients, i * 5u), 5 + i) });
        told.recipients = buf_span(packed);
    }
    SAY(&liar, WRITER_ENQUEUE, writer_enqueue_put, told);
}

static void liar_stores(void)
{
    static const char *const domains[] = { "one.example", "two.example", "honest.example", "[192.0.2.1]" };
    uint8_t what = choose(&choices);
    AUTO(buf_done) struct buf packed = BUF_EMPTY(65536);
    struct writer_enqueue told = { .id = 1, .segment = (uint32_t)kept_one(&liar.segments, 0), .length = 64, .recipient_count = 1 };
    uint64_t body = what & 8 ? kept_one(&liar.bodies, what >> 4) : 0;
    bool stored = writer_store(&liar, domains[what & 3], 1 + (what >> 5), body, &told, &packed);
    if (what & 4)
        lie_enqueue(told, &packed);
    else if (stored && !(what & 16))
        SAY(&liar, WRITER_ENQUEUE, writer_enqueue_put, told);
}

/* A record of its own making in its segment: an envelope of any form, under a checksum that is right. */
static void liar_forges(void)
{
    uint8_t what = choose(&choices);
    struct span envelope = choose_text(&choices, 255), body = choose_text(&choices, 20);
    struct spool_append append = { .id = some_number(&liar.ids_used, &honest.ids_used), .envelope = envelope, .body = &body,
                                   .kind = what & 1 ? SPOOL_KIND_MESSAGE : what >> 1, .body_count = 1 };
    if (what & 128)
        append.file = (struct spool_body_ref){ .number = some_number(&liar.bodies, &honest.bodies), .octets = what };
    if (spool_log_is_open(&liar.log) && spool_log_fits(&liar.log, 0, &append))
        (void)!spool_log_commit(&liar.log, &append);
}

/* What the segment says of itself: made up, with the checksum that belongs to it, or as it stood there or in another one. */
static void liar_claims(uint64_t at, struct span said)
{
    const uint8_t *says = (const uint8_t *)said.p;
    struct spool_segment segment;
    char now[SPOOL_BLOCK];
    if (pread(liar.raw_fd, now, sizeof now, 0) != (ssize_t)sizeof now)
        return;
    if (said.n == 1 && has_seen) {
        (void)!pwrite(liar.raw_fd, seen, sizeof seen, says[0] & 1 ? 0 : INSIDE_SEGMENT - SPOOL_BLOCK);
        return;
    }
    memcpy(seen, now, sizeof now);
    has_seen = true;
    if (said.n < 2 || said.n > 8 || spool_segment_read(&spool_ops_system, liar.raw_fd, &segment) != STATUS_OK) {
        (void)!pwrite(liar.raw_fd, said.p, MIN(said.n, INSIDE_SEGMENT - at), (off_t)at);
        return;
    }
    segment.use = says[0] % SPOOL_USE_COUNT;
    segment.writer = says[1];
    segment.lent = said.n > 2 ? says[2] : segment.lent;
    segment.number = said.n > 3 ? says[3] : segment.number;
    segment.epoch += said.n > 4 ? says[4] : 0;
    segment.sequence += said.n > 5 ? says[5] : 0;
    segment.octets = said.n > 6 ? says[6] * SPOOL_BLOCK : segment.octets;
    (void)!spool_segment_write(&spool_ops_system, liar.raw_fd, NULL, &segment);
}

static void liar_scribbles(void)
{
    uint64_t at = choose_octets(&choices, 2) * 8 % INSIDE_SEGMENT;
    struct span octets = choose_text(&choices, 255);
    if (liar.raw_fd < 0)
        return;
    if (at < SPOOL_BLOCK || at + octets.n > INSIDE_SEGMENT - SPOOL_BLOCK)
        liar_claims(at, octets);
    else
        (void)!pwrite(liar.raw_fd, octets.p, octets.n, (off_t)at);
}

static void liar_dies(void)
{
    writer_end(&liar);
    inside_turns(2);
    writer_begin(&liar, 0, choose(&choices) & 1 ? 2 : 200);
}

static void writer_step(uint8_t what)
{
    switch (what) {
    case 0:
    case 1: liar_stores(); break;
    case 2: channel_send(liar.channel, WRITER_NEED_SEGMENT, SPAN_NONE); break;
    case 3: SAY(&liar, WRITER_NEED_BODY, writer_need_body_put, (struct writer_need_body){ choose(&choices) }); break;
    case 4:
        SAY(&liar, WRITER_DROP_BODY, writer_drop_body_put, (struct writer_drop_body){ some_number(&liar.bodies, &honest.bodies) });
        break;
    case 5:
        SAY(&liar, WRITER_SEALED, writer_sealed_put,
            (struct writer_sealed){ (uint32_t)some_number(&liar.segments, &honest.segments), choose(&choices) });
        break;
    case 6: liar_forges(); break;
    case 7: liar_scribbles(); break;
    case 8: liar_dies(); break;
    default: channel_send(liar.channel, (uint16_t)(choose(&choices) % 48), choose_text(&choices, 255)); break;
    }
}

/* -- deliveries -- */

static void delivery_outcome(struct delivery_peer *delivery, uint8_t what)
{
    AUTO(buf_done) struct buf packed = BUF_EMPTY((size_t)1 << 17);
    struct lease_outcome outcome = { .lease = kept_one(&delivery->leases, choose(&choices)), .trouble = what & 3,
                                     .host = choose_text(&choices, 30), .recipient_count = delivery->last.recipient_count };
    if (what & 64)
        outcome.lease = some_number(&delivery->leases, &deliveries[!delivery->number].leases);
    if (what & 32)
        outcome.recipient_count = choose(&choices);
    for (uint32_t i = 0; i < outcome.recipient_count; i++)
        outcome_recipient_put(&packed, &(struct outcome_recipient){
            .index = what & 16 ? choose(&choices) : delivery->last.recipients[i % WIRE_LEASE_RECIPIENTS_MAX], .result = choose(&choices) % 6,
            .code = (uint16_t)choose_octets(&choices, 2), .enhanced = { choose(&choices), 1, 1 }, .text = choose_text(&choices, 60) });
    outcome.recipients = buf_span(&packed);
    SAY(delivery, LEASE_OUTCOME, lease_outcome_put, outcome);
}

static void delivery_resolved(struct delivery_peer *delivery, uint8_t what)
{
    struct lease_resolved answer = { .token = what & 64 ? choose_octets(&choices, 8) : kept_one(&delivery->tokens, choose(&choices)),
                                     .result = what & 32 ? choose(&choices) : what & 3, .site = choose_text(&choices, 20),
                                     .ttl_s = (uint32_t)choose_octets(&choices, what & 16 ? 4 : 1), .code = choose(&choices),
                                     .enhanced = { 4, 4, choose(&choices) }, .text = choose_text(&choices, 100) };
    SAY(delivery, LEASE_RESOLVED, lease_resolved_put, answer);
}

static void delivery_held(struct delivery_peer *delivery, uint8_t what)
{
    static struct lease_held held;
    const struct kept *ids = what & 64 ? &honest.ids_used : &liar.ids_used;
    held = (struct lease_held){ .lease = choose(&choices), .id = kept_one(ids, choose(&choices)), .attempt = 1 + choose(&choices),
                                .site = choose_text(&choices, 10), .recipient_count = 1 + choose_below(&choices, 4) };
    if (!(what & 32))
        held.lease |= LEASE_HELD_BIT;
    for (uint32_t i = 0; i < held.recipient_count; i++)
        held.recipients[i] = choose(&choices) % 5;
    SAY(delivery, LEASE_HELD, lease_held_put, held);
}

static void delivery_step(uint8_t what)
{
    struct delivery_peer *delivery = &deliveries[choose(&choices) & 1];
    uint8_t how = choose(&choices);
    if (!delivery->channel || delivery->closed || what == 0) {
        delivery_end(delivery);
        delivery_begin(delivery, (uint32_t)(delivery - deliveries));
        return;
    }
    switch (what) {
    case 1:
    case 2: SAY(delivery, LEASE_CREDIT, lease_credit_put, (struct lease_credit){ how }); break;
    case 3:
    case 4: delivery_resolved(delivery, how & 15 ? how & 3 : how); break;
    case 5:
    case 6: delivery_outcome(delivery, how & 12 ? how & 3 : how); break;
    case 7: delivery_held(delivery, how); break;
    case 8:
        SAY(delivery, LEASE_RETURNED, lease_returned_put,
            (struct lease_returned){ some_number(&delivery->leases, &deliveries[!delivery->number].leases) });
        break;
    case 9: channel_send(delivery->channel, LEASE_LEAVING, how & 1 ? SPAN("x") : SPAN_NONE); break;
    default: channel_send(delivery->channel, (uint16_t)(how % 48), choose_text(&choices, 255)); break;
    }
}

/* -- the control socket, the clock, the supervisor -- */

static void control_say(struct span line)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    char answer[4096];
    snprintf(at.sun_path, sizeof at.sun_path, "%s/control.sock", inside.folder);
    if (control_fd < 0) {
        control_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        require(control_fd >= 0 && connect(control_fd, (const struct sockaddr *)&at, sizeof at) == 0);
        inside_turns(1);
    }
    (void)!send(control_fd, line.p, line.n, MSG_NOSIGNAL | MSG_DONTWAIT);
    inside_turns(4);
    ssize_t n = recv(control_fd, answer, sizeof answer, MSG_DONTWAIT);
    require(n <= 0 || answer[0] == '{');
    if (n == 0 || choose(&choices) % 8 == 0) {
        close(control_fd);
        control_fd = -1;
    }
}

static void control_step(void)
{
    static const char *const ops[] = { "status", "list", "show", "hold", "release", "retry", "delete", "reroute" };
    static const char *const filters[] = { "\"all\":true", "\"recipient\":\"a@*\"", "\"state\":\"held\"", "\"domain\":\"one.example\"",
                                           "\"account\":\"an*\",\"younger_s\":9", "\"sender\":\"s@here.example\"" };
    uint8_t what = choose(&choices), filter = choose(&choices);
    AUTO(buf_done) struct buf line = BUF_EMPTY(4096);
    if (what & 64) {
        control_say(choose_text(&choices, 255));
        return;
    }
    buf_printf(&line, "{\"op\":\"%s\",\"filter\":{%s},\"via\":\"smtp://h:%u\",\"limit\":%u}\n", ops[what & 7],
               filters[filter % ARRAY_LEN(filters)], filter, what >> 3 & 7);
    control_say(buf_span(&line));
}

static void supervisor_step(void)
{
    uint16_t kind = 1 + choose(&choices) % 15;
    channel_send(inside.supervisor, kind, choose_text(&choices, 255));
}

static void other_step(uint8_t what)
{
    static const char *const changes[] = {
        "queue: { first-retry: 1s, expire: 1min, delay-notice: 2s, jitter: 0 }\n",
        "queue: { recipients-per-transaction: 1, connections-per-site: 1, messages-ahead: 1, compact: 90 }\n",
        "dsn: { double-bounce: postmaster, return-size: 0 }\n", "queue: { expire: 1s }\nlog: { level: debug }\n",
    };
    switch (what) {
    case 0:
    case 1: inside_pass(INT64_C(1) << choose(&choices) % 20); break;
    case 2:
        inside_settings(choose(&choices) & 128 ? choose_text(&choices, 255) : span_str(changes[choose(&choices) % ARRAY_LEN(changes)]));
        channel_send(inside.supervisor, SUPERVISOR_RELOAD, SPAN_NONE);
        break;
    case 3: supervisor_step(); break;
    default: control_step(); break;
    }
}

/* -- directory -- */

static void directory_heard(void *arg, struct channel *channel, struct channel_message *message)
{
    struct backlog_levels levels;
    struct backlog_level level;
    require(message->kind == BACKLOG_LEVELS && backlog_levels_get(message->body, &levels));
    struct wire_reader reader = wire_read(levels.entries);
    for (uint32_t i = 0; i < levels.count; i++)
        require(backlog_level_get(&reader, &level) && (level.messages || !level.octets));
    require(wire_end(&reader));
}

static void directory_ended(void *arg, struct channel *channel, enum status why) { directory_lost = true; }

static void directory_end(void)
{
    if (directory)
        channel_free(directory);
    directory = NULL;
}

/* Who is suspended: one of those who have mail, or anybody; or anything at all. */
static void directory_step(void)
{
    static const struct channel_events events = { directory_heard, directory_ended };
    static const char *const names[] = { "anna@here.example", "liar", "honest" };
    AUTO(buf_done) struct buf entries = BUF_EMPTY(65536), body = BUF_EMPTY(65536);
    if (directory_lost)
        directory_end();
    directory_lost = false;
    if (!directory) {
        directory = channel_new(inside.loop, inside_peer(ROLE_DIRECTORY, 0, 1), &events, NULL);
        require(directory != NULL);
    }
    uint8_t what = choose(&choices);
    if (what & 128) {
        channel_send(directory, what & 64 ? choose(&choices) : BACKLOG_STAY, choose_text(&choices, 255));
        return;
    }
    uint32_t count = what >> 2 & 3;
    for (uint32_t i = 0; i < count; i++) {
        uint8_t which = choose(&choices);
        struct span name = which < 128 ? span_str(names[which % ARRAY_LEN(names)]) : choose_text(&choices, 40);
        backlog_stayer_put(&entries, &(struct backlog_stayer){ name, SPAN("why") });
    }
    backlog_stay_put(&body, &(struct backlog_stay){ what & 3, count, buf_span(&entries) });
    channel_send(directory, BACKLOG_STAY, buf_span(&body));
}

/* -- the run -- */

static void check_sums(void)
{
    const struct queue *queue = queue_inside.queue;
    uint64_t sum = 0;
    for (unsigned place = 0; place < QUEUE_PLACE_COUNT; place++)
        sum += queue->by_place[place];
    require(sum == queue->recipients);
    require(queue->credit <= (uint64_t)QUEUE_CREDIT_MAX * 2);
}

static void step(void)
{
    uint8_t what = choose(&choices);
    if (liar.closed) {
        writer_end(&liar);
        writer_begin(&liar, 0, 2);
    }
    if (only_writer && what >= 112)
        inside_pass(1);
    else if (only_writer || what < 96)
        writer_step(what % 10);
    else if (what < 192)
        delivery_step(what % 11);
    else if (what < 240)
        other_step(what % 6);
    else
        directory_step();
    inside_turns(2);
    check_sums();
}

static void all_end(void)
{
    writer_end(&liar);
    writer_end(&honest);
    delivery_end(&deliveries[0]);
    delivery_end(&deliveries[1]);
    directory_end();
    directory_lost = false;
    if (control_fd >= 0)
        close(control_fd);
    control_fd = -1;
}

static void drive(bool first)
{
    control_fd = -1;
    require(inside_start(inside_end, SPAN_NONE));
    writers_begin_all(first);
    for (int steps = 0; !choices_over(&choices) && steps < STEPS_MOST; steps++) {
        if ((uint8_t)choices.left.p[0] == 255) { /* another life */
            choose(&choices);
            break;
        }
        step();
    }
    if (only_writer)
        check_honest(!first);
    all_end();
    inside_turns(2);
}

static void drive_first(void) { drive(true); }
static void drive_again(void) { drive(false); }

/* The second queue finds them there: they may have leases of the first. */
static void deliveries_are_there(void)
{
    for (uint32_t i = 0; i < ARRAY_LEN(deliveries); i++)
        delivery_begin(&deliveries[i], i);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    choices = choices_of(data, MIN(size, (size_t)4096));
    only_writer = choose(&choices) & ONLY_WRITER;
    has_seen = false;
    queue_inside_begin();
    deliveries[0] = deliveries[1] = (struct delivery_peer){ 0 };
    inside_run(queue_main, drive_first);
    inside.before_start = only_writer ? NULL : deliveries_are_there;
    inside_run(queue_main, drive_again);
    inside.before_start = NULL;
    return 0;
}
