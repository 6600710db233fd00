/* The servers of the recipients: they speak SMTP, well or badly, as the weather is at their host. */
#include "talk.h"
#include "world.h"
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { PATIENCE_MS = 3600000, LETTER_MAX = 8 << 20 };
enum step { AT_GREETING, AT_EHLO, AT_MAIL, AT_RCPT, AT_DATA, AT_BODY, AT_END, AT_RSET };

struct peer {
    struct talk talk;
    struct host *host;
    uint64_t connection;
    bool null_sender;
    int64_t mail_ms, end_ms;     /* when MAIL and the end of data came */
    bool was_late;               /* it was so strange in this transaction that its client may have gone, */
    bool is_out_of_step;         /* or in this session */
    unsigned rcpt_count;
    char rcpts[WORLD_RECIPIENTS][80];
    char sender[80];
    struct buf text;
};

/* -- the weather -- */

static bool acts(enum step step)
{
    return percent(step == AT_END ? 60 : 25);
}

static enum mood mood_of(const struct host *host)
{
    return world->calm ? MOOD_FINE : host->mood;
}

/* What every step may meet. False: the connection is over. */
static bool survive(struct peer *peer, enum step step)
{
    enum mood mood = mood_of(peer->host);
    if (mood < MOOD_STALLS || !acts(step))
        return true;
    switch (mood) {
    case MOOD_STALLS:
        kernel_sleep_ms(between(1000, 2 * PATIENCE_MS / 3));
        peer->was_late = true;
        return percent(50);
    case MOOD_DROPS:
        return false;
    case MOOD_RESETS:
        talk_end(&peer->talk, true);
        peer->talk.fd = -1;
        return false;
    case MOOD_GARBAGE:
        peer->is_out_of_step = true;
        return talk_say(&peer->talk, "%s", percent(50) ? "\x80\xff\x01 what?\r\n" : "999 \r\n25\r\n\r\n") && step != AT_END;
    case MOOD_ENDLESS:
        for (int i = 0; i < 200; i++)
            if (!talk_say(&peer->talk, "%s", "250-and one more thing is to be said about this and about that and about the other ")) break;
        return false;
    case MOOD_SLOW:
        kernel_sleep_ms(between(10, 20000));
        peer->was_late |= step == AT_BODY;
        return true;
    default:
        return true;
    }
}

static void refused(struct span address)
{
    struct rcpt *rcpt = ledger_rcpt(address, NULL);
    if (rcpt)
        rcpt->refused = true;
}

/* Of MAIL it is all that the letter has for us, of whom we may never hear. */
static void sender_refused(const struct peer *peer)
{
    unsigned number;
    struct letter *letter = sscanf(peer->sender, "s%u@", &number) == 1 ? ledger_letter(number) : NULL;
    for (unsigned i = 0; letter && i < letter->rcpt_count; i++)
        letter->rcpts[i].refused = true;
}

static void all_refused(const struct peer *peer)
{
    for (unsigned i = 0; i < peer->rcpt_count; i++)
        refused(span_str(peer->rcpts[i]));
}

/* -- a letter has come -- */

static void report_names(void *arg, struct span address, struct span action)
{
    struct rcpt *rcpt = ledger_rcpt(address, NULL);
    if (rcpt && span_eq_case(action, SPAN("failed")))
        rcpt->told++;
}

static struct letter *letter_of(const struct peer *peer, const struct mail_seen *seen)
{
    struct letter *letter = ledger_letter(seen->number);
    if (!letter)
        kernel_fail("a server was sent something that nobody wrote: letter %u", seen->number);
    if (seen->id && !letter->id)
        letter->id = seen->id;
    if (seen->id != letter->id)
        kernel_fail("letter %u has two ids", seen->number);
    return letter;
}

static void compare(const struct peer *peer, const struct letter *letter)
{
    AUTO(buf_done) struct buf text = BUF_EMPTY(LETTER_MAX);
    mail_make(letter, &text);
    struct span came = buf_span(&peer->text);
    if (came.n < text.n || !span_eq(span_from(came, came.n - text.n), buf_span(&text)))
        kernel_fail("letter %u was changed on its way: %zu octets went in, %zu came out", letter->number, text.n, came.n);
}

static struct sent sent_now(const struct peer *peer, enum delivered_how how)
{
    return (struct sent){ .mail_ms = peer->mail_ms, .end_ms = peer->end_ms, .ms = kernel_now_ms(),
                          .left_ms = kernel_left_ms(peer->talk.fd), .connection = peer->connection, .how = how };
}

static void note_letter(const struct peer *peer, const struct mail_seen *seen, enum delivered_how how)
{
    struct letter *letter = letter_of(peer, seen);
    compare(peer, letter);
    for (unsigned i = 0; i < peer->rcpt_count; i++) {
        struct letter *its = NULL;
        struct rcpt *rcpt = ledger_rcpt(span_str(peer->rcpts[i]), &its);
        if (!rcpt || its != letter || !rcpt->accepted)
            kernel_fail("letter %u was sent to %s, who is none of its recipients", letter->number, peer->rcpts[i]);
        if (rcpt->sent_count < WORLD_SENDS)
            rcpt->sent[rcpt->sent_count] = sent_now(peer, how);
        rcpt->sent_count++;
        kernel_trace("delivered: letter %u to %s%s", letter->number, rcpt->address, how == HOW_UNSURE ? ", unheard" : "");
    }
}

static void note_report(const struct peer *peer, const struct mail_seen *seen, enum delivered_how how)
{
    struct report *report = ledger_report_ref(seen->id);
    if (report->arrived < WORLD_SENDS)
        report->sent[report->arrived] = sent_now(peer, how);
    report->arrived++;
    if (report->arrived == 1)
        mail_report_each(buf_span(&peer->text), report_names, NULL);
    kernel_trace("delivered: a report about letter %u to %s", seen->number, peer->rcpts[0]);
}

/* The moment: from here on it is the peer's. */
static bool take_over(struct peer *peer)
{
    struct mail_seen seen;
    bool unheard = mood_of(peer->host) >= MOOD_STALLS && one_in(3);
    enum delivered_how how = unheard || peer->was_late || peer->is_out_of_step ? HOW_UNSURE : HOW_SURE;
    if (!talk_say(&peer->talk, "250 2.0.0 taken\r\n"))
        return false;
    mail_look(buf_span(&peer->text), peer->null_sender, &seen);
    if (seen.is_report)
        note_report(peer, &seen, how);
    else
        note_letter(peer, &seen, how);
    if (unheard) {
        talk_end(&peer->talk, true);
        peer->talk.fd = -1;
    }
    return !unheard;
}

static bool at_end(struct peer *peer)
{
    peer->end_ms = kernel_now_ms();
    if (!survive(peer, AT_END))
        return false;
    switch (mood_of(peer->host)) {
    case MOOD_LATER:
        return talk_say(&peer->talk, "451 4.3.2 not just now\r\n");
    case MOOD_REFUSES_END:
        if (!acts(AT_END))
            break;
        all_refused(peer);
        return talk_say(&peer->talk, "554 5.7.1 we do not like it\r\n");
    default:
        break;
    }
    /* So late the client may have gone: then its 250 was not heard, and a server that knows that takes nothing. */
    if (kernel_now_ms() - peer->end_ms > world->plan.end_of_data_ms - 1000)
        return false;
    return take_over(peer);
}

/* -- the octets -- */

static bool take_data(struct peer *peer)
{
    unsigned long lines = 0;
    buf_clear(&peer->text);
    while (talk_line(&peer->talk)) {
        const char *line = peer->talk.line;
        if (strcmp(line, ".") == 0)
            return true;
        if (++lines % 50 == 0 && !survive(peer, AT_BODY))
            return false;
        buf_add_str(&peer->text, line[0] == '.' ? line + 1 : line);
        buf_add_str(&peer->text, "\r\n");
    }
    return false;
}

static bool take_chunk(struct peer *peer, size_t octets)
{
    while (octets) {
        struct span some = talk_octets(&peer->talk, octets);
        if (!some.n)
            return false;
        buf_add(&peer->text, some);
        octets -= some.n;
    }
    return survive(peer, AT_BODY);
}

/* -- commands -- */

static bool on_ehlo(struct peer *peer)
{
    const struct host *host = peer->host;
    if (!survive(peer, AT_EHLO))
        return false;
    return talk_say(&peer->talk, "250-%s\r\n%s%s%s%s%s250 ENHANCEDSTATUSCODES\r\n", host->name,
                    host->pipelining ? "250-PIPELINING\r\n" : "", host->chunking ? "250-CHUNKING\r\n" : "",
                    host->dsn ? "250-DSN\r\n" : "", host->eight_bit ? "250-8BITMIME\r\n" : "",
                    host->size ? "250-SIZE 10000000\r\n" : "");
}

/* What stands in <>. */
static struct span path_of(const char *line)
{
    struct span text = span_str(line);
    struct span from = span_from(text, span_find(text, '<') + 1);
    return span_head(from, span_find(from, '>'));
}

static bool on_mail(struct peer *peer)
{
    struct span from = path_of(peer->talk.line);
    peer->null_sender = from.n == 0;
    peer->was_late = false;
    peer->mail_ms = kernel_now_ms();
    peer->rcpt_count = 0;
    snprintf(peer->sender, sizeof peer->sender, "%.*s", SPAN_ARGS(from));
    buf_clear(&peer->text);
    if (!survive(peer, AT_MAIL))
        return false;
    if (mood_of(peer->host) == MOOD_REFUSES_MAIL && acts(AT_MAIL)) {
        sender_refused(peer);
        peer->sender[0] = '!'; /* its recipients hear no as well */
        return talk_say(&peer->talk, "550 5.7.1 not from you\r\n");
    }
    return talk_say(&peer->talk, "250 2.1.0 fine\r\n");
}

static bool on_rcpt(struct peer *peer)
{
    struct span to = path_of(peer->talk.line);
    enum mood mood = mood_of(peer->host);
    if (!survive(peer, AT_RCPT))
        return false;
    if (peer->sender[0] == '!') {
        refused(to);
        return talk_say(&peer->talk, "503 5.5.1 MAIL first\r\n");
    }
    if (span_starts(to, SPAN("gone")) || (mood == MOOD_REFUSES_SOME && percent(40))) {
        refused(to);
        return talk_say(&peer->talk, "550 5.1.1 nobody here has that name\r\n");
    }
    if (span_starts(to, SPAN("never")) || mood == MOOD_GREY)
        return talk_say(&peer->talk, "451 4.7.1 come again\r\n");
    if (peer->rcpt_count == WORLD_RECIPIENTS)
        return talk_say(&peer->talk, "452 4.5.3 too many\r\n");
    snprintf(peer->rcpts[peer->rcpt_count++], sizeof peer->rcpts[0], "%.*s", SPAN_ARGS(to));
    return talk_say(&peer->talk, "250 2.1.5 fine\r\n");
}

static bool on_data(struct peer *peer)
{
    if (!survive(peer, AT_DATA))
        return false;
    if (peer->rcpt_count == 0)
        return talk_say(&peer->talk, "554 5.5.1 no recipients\r\n");
    if (mood_of(peer->host) == MOOD_NO_DATA)
        return talk_say(&peer->talk, "451 4.3.0 not now\r\n");
    bool good = talk_say(&peer->talk, "354 go on\r\n") && take_data(peer) && at_end(peer);
    peer->rcpt_count = 0;
    return good;
}

static bool on_bdat(struct peer *peer)
{
    unsigned long octets = strtoul(peer->talk.line + 5, NULL, 10);
    bool last = strstr(peer->talk.line, "LAST") != NULL;
    if (!take_chunk(peer, octets))
        return false;
    if (peer->rcpt_count == 0)
        return talk_say(&peer->talk, "554 5.5.1 no recipients\r\n");
    if (!last)
        return talk_say(&peer->talk, "250 2.0.0 %lu octets\r\n", octets);
    bool good = at_end(peer);
    peer->rcpt_count = 0;
    return good;
}

static bool on_rset(struct peer *peer)
{
    peer->rcpt_count = 0;
    peer->sender[0] = 0;
    return survive(peer, AT_RSET) && talk_say(&peer->talk, "250 2.0.0 forgotten\r\n");
}

static bool on_quit(struct peer *peer)
{
    talk_say(&peer->talk, "221 2.0.0 bye\r\n");
    return false;
}

static const struct {
    const char *verb;
    bool (*act)(struct peer *peer);
} verbs[] = {
    { "EHLO", on_ehlo }, { "HELO", on_ehlo }, { "MAIL", on_mail }, { "RCPT", on_rcpt }, { "DATA", on_data },
    { "BDAT", on_bdat }, { "RSET", on_rset }, { "QUIT", on_quit },
};

static bool on_command(struct peer *peer)
{
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        if (strncasecmp(peer->talk.line, verbs[i].verb, 4) == 0)
            return verbs[i].act(peer);
    return talk_say(&peer->talk, "500 5.5.2 what?\r\n");
}

static bool greet(struct peer *peer)
{
    if (!survive(peer, AT_GREETING))
        return false;
    if (mood_of(peer->host) == MOOD_BUSY) {
        talk_say(&peer->talk, "421 4.3.2 too much to do\r\n");
        return false;
    }
    return talk_say(&peer->talk, "220 %s ESMTP\r\n", peer->host->name);
}

static void serve(void *arg)
{
    struct peer *peer = arg;
    bool good = greet(peer);
    while (good && talk_line(&peer->talk))
        good = on_command(peer);
    if (peer->talk.fd >= 0)
        talk_end(&peer->talk, false);
    buf_done(&peer->text);
    free(peer);
}

/* -- doors -- */

static struct host *host_at(uint32_t ip)
{
    for (unsigned i = 0; i < world->host_count; i++)
        if (world->hosts[i].ip == ip)
            return &world->hosts[i];
    return NULL;
}

enum kernel_connect peers_connect(void *arg, const struct sockaddr *to, socklen_t n)
{
    const struct sockaddr_in *in = (const void *)to;
    const struct host *host = to->sa_family == AF_INET ? host_at(ntohl(in->sin_addr.s_addr)) : NULL;
    if (!host)
        return KERNEL_CONNECT;
    switch (mood_of(host)) {
    case MOOD_CLOSED: return KERNEL_REFUSE;
    case MOOD_SILENT: return KERNEL_SILENT;
    case MOOD_UNREACHABLE: return KERNEL_UNREACHABLE;
    default: return KERNEL_CONNECT;
    }
}

static void welcome(int fd)
{
    struct sockaddr_in at;
    socklen_t n = sizeof at;
    struct host *host = getsockname(fd, (struct sockaddr *)&at, &n) == 0 ? host_at(ntohl(at.sin_addr.s_addr)) : NULL;
    struct peer *peer = host ? calloc(1, sizeof *peer) : NULL;
    if (!peer) {
        close(fd);
        return;
    }
    peer->host = host;
    peer->text = BUF_EMPTY(LETTER_MAX);
    peer->connection = kernel_connection(fd);
    ledger_connection(fd);
    talk_init(&peer->talk, fd, PATIENCE_MS);
    kernel_fiber(host->name, serve, peer);
}

static void doorman(void *arg)
{
    int door = (int)(intptr_t)arg;
    for (;;) {
        int fd = accept4(door, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0)
            welcome(fd);
    }
}

void peers_start(void)
{
    int door = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(25) };
    if (door < 0 || bind(door, (const struct sockaddr *)&at, sizeof at) != 0 || listen(door, 1000) != 0)
        kernel_fail("the peers cannot listen");
    kernel_fiber("peers", doorman, (void *)(intptr_t)door);
    kernel_network(peers_connect, NULL);
}

/* -- how the weather changes -- */

static void forecast(void *arg)
{
    unsigned bad = world->plan.weather;
    while (!world->calm) {
        struct host *host = &world->hosts[kernel_below(world->host_count)];
        host->mood = percent(bad) ? (enum mood)kernel_below(MOOD_COUNT) : MOOD_FINE;
        struct domain *domain = &world->domains[kernel_below(world->domain_count)];
        domain->dns = percent(bad / 2) ? (enum dns_mood)kernel_below(DNS_MOOD_COUNT) : DNS_FINE;
        kernel_sleep_ms(between(100, world->plan.trouble_ms / 20));
    }
}

void weather_start(void)
{
    unsigned bad = world->plan.weather;
    for (unsigned i = 0; i < world->host_count; i++)
        world->hosts[i].mood = percent(bad) ? (enum mood)kernel_below(MOOD_COUNT) : MOOD_FINE;
    for (unsigned i = 0; i < world->domain_count; i++)
        world->domains[i].dns = percent(bad / 2) ? (enum dns_mood)kernel_below(DNS_MOOD_COUNT) : DNS_FINE;
    kernel_fiber("weather", forecast, NULL);
}
