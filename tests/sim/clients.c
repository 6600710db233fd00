/* Who sends: programs that speak to smtpd's listener, politely or not. What they hear at the end of data is the promise. */
#include "talk.h"
#include "base/id.h"
#include "world.h"
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { LETTER_MAX = 8 << 20, PATIENCE_MS = 900000, PORT = 2525 };

struct client {
    struct talk talk;
    unsigned rude;               /* of a hundred steps so many go wrong */
    bool pipelines, chunks;
    struct buf text;
};

/* -- what is written -- */

static void rcpt_make(struct letter *letter, unsigned i)
{
    struct rcpt *rcpt = &letter->rcpts[i];
    const char *kind = one_in(20) ? "gone" : one_in(40) ? "never" : "r";
    rcpt->domain = (unsigned)kernel_below(world->domain_count);
    rcpt->notify = (uint8_t)(one_in(12) ? 'n' : one_in(12) ? 's' : one_in(20) ? 'f' : 0);
    snprintf(rcpt->address, sizeof rcpt->address, "%s%u-%u@%s", kind, letter->number, i,
             world->domains[rcpt->domain].name);
}

static size_t size_make(void)
{
    if (one_in(12))
        return world->plan.big_body + kernel_below(3 * world->plan.big_body);
    return one_in(3) ? 200 + kernel_below(12000) : 200 + kernel_below(1500);
}

static struct letter *letter_write(void)
{
    struct letter *letter = ledger_letter_new();
    if (!letter)
        return NULL;
    letter->octets = size_make();
    letter->eight_bit = one_in(5);
    letter->rcpt_count = one_in(30) ? 100 + (unsigned)kernel_below(WORLD_RECIPIENTS - 100) : one_in(3) ? 1 + (unsigned)kernel_below(6) : 1;
    letter->rcpts = calloc(letter->rcpt_count, sizeof *letter->rcpts);
    for (unsigned i = 0; i < letter->rcpt_count; i++)
        rcpt_make(letter, i);
    if (!one_in(25))
        snprintf(letter->sender, sizeof letter->sender, "s%u@%s", letter->number,
                 world->domains[kernel_below(world->domain_count)].name);
    return letter;
}

/* -- rudeness -- */

enum going { GOES_ON, GOES_AWAY };

/* Between any two steps; GOES_AWAY: without a word. */
static enum going mind(struct client *client)
{
    if (world->over)
        return GOES_AWAY;
    if (!percent(client->rude) || !one_in(6))
        return GOES_ON;
    if (one_in(3)) {
        kernel_sleep_ms(between(1000, 400000));
        return GOES_ON;
    }
    talk_end(&client->talk, one_in(2));
    client->talk.fd = -1;
    return GOES_AWAY;
}

/* Some of it, when the client goes away in the middle. */
static bool say_all(struct client *client, struct span octets)
{
    while (octets.n) {
        if (mind(client) == GOES_AWAY)
            return false;
        size_t n = percent(client->rude) ? 1 + kernel_below(octets.n) : octets.n;
        if (!talk_send(&client->talk, span_head(octets, n)))
            return false;
        octets = span_from(octets, n);
    }
    return true;
}

/* The code of the next reply; 0: the server has gone. */
static unsigned reply(struct client *client)
{
    do {
        if (!talk_line(&client->talk))
            return 0;
    } while (client->talk.line[0] && client->talk.line[1] && client->talk.line[2] && client->talk.line[3] == '-');
    return (unsigned)strtoul(client->talk.line, NULL, 10);
}

/* -- a letter's way -- */

static void words_rcpt(const struct rcpt *rcpt, struct buf *ret)
{
    const char *notify = rcpt->notify == 'n' ? " NOTIFY=NEVER" : rcpt->notify == 's' ? " NOTIFY=SUCCESS,FAILURE"
                         : rcpt->notify == 'f' ? " NOTIFY=FAILURE" : "";
    buf_printf(ret, "RCPT TO:<%s>%s\r\n", rcpt->address, notify);
}

static bool hear_rcpt(struct client *client, struct rcpt *rcpt)
{
    unsigned code = reply(client);
    rcpt->accepted = code / 100 == 2;
    return code != 0;
}

static bool envelope_at_once(struct client *client, struct letter *letter, struct buf *words)
{
    for (unsigned i = 0; i < letter->rcpt_count; i++)
        words_rcpt(&letter->rcpts[i], words);
    bool good = say_all(client, buf_span(words)) && reply(client);
    for (unsigned i = 0; good && i < letter->rcpt_count; i++)
        good = hear_rcpt(client, &letter->rcpts[i]);
    return good;
}

static bool envelope_by_steps(struct client *client, struct letter *letter, struct buf *words)
{
    bool good = say_all(client, buf_span(words));
    unsigned code = good ? reply(client) : 0;
    for (unsigned i = 0; code / 100 == 2 && good && i < letter->rcpt_count; i++) {
        buf_clear(words);
        words_rcpt(&letter->rcpts[i], words);
        good = say_all(client, buf_span(words)) && hear_rcpt(client, &letter->rcpts[i]);
    }
    return good && code;
}

/* False: the server has gone, or we. What was taken stands in the ledger. */
static bool envelope(struct client *client, struct letter *letter)
{
    AUTO(buf_done) struct buf words = BUF_EMPTY(1 << 20);
    buf_printf(&words, "MAIL FROM:<%s>%s\r\n", letter->sender, letter->eight_bit ? " BODY=8BITMIME" : "");
    return client->pipelines ? envelope_at_once(client, letter, &words) : envelope_by_steps(client, letter, &words);
}

static unsigned taken(const struct letter *letter)
{
    unsigned n = 0;
    for (unsigned i = 0; i < letter->rcpt_count; i++)
        n += letter->rcpts[i].accepted;
    return n;
}

static bool send_data(struct client *client)
{
    AUTO(buf_done) struct buf dotted = BUF_EMPTY(2 * LETTER_MAX);
    struct span rest = buf_span(&client->text), line;
    if (!talk_say(&client->talk, "DATA\r\n"))
        return false;
    if (reply(client) != 354)
        return client->talk.line[0] != 0;
    while (rest.n && span_cut(&rest, '\n', &line)) {
        if (line.n && line.p[0] == '.')
            buf_add_char(&dotted, '.');
        buf_add(&dotted, line);
        buf_add_char(&dotted, '\n');
    }
    buf_add_str(&dotted, ".\r\n");
    return say_all(client, buf_span(&dotted));
}

static bool send_chunks(struct client *client)
{
    struct span rest = buf_span(&client->text);
    do {
        struct span chunk = span_head(rest, one_in(2) ? rest.n : 1 + kernel_below(rest.n));
        bool last = chunk.n == rest.n;
        rest = span_from(rest, chunk.n);
        if (!talk_say(&client->talk, "BDAT %zu%s\r\n", chunk.n, last ? " LAST" : "") || !say_all(client, chunk))
            return false;
        if (!last && reply(client) / 100 != 2)
            return false; /* the rest of the chunks would only be thrown away */
    } while (rest.n);
    return true;
}

static void promise(struct client *client, struct letter *letter)
{
    unsigned code = reply(client);
    const char *as = strstr(client->talk.line, "queued as ");
    uint64_t id = 0;
    letter->answer_ms = kernel_now_ms();
    if (code == 250) {
        if (!as || !id_parse(span_head(span_str(as + 10), ID_TEXT_SIZE - 1), &id))
            kernel_fail("a 250 without an id: %s", client->talk.line);
        if (letter->id && letter->id != id)
            kernel_fail("letter %u was promised under another id than it has", letter->number);
        letter->id = id;
        letter->answer = ANSWER_TAKEN;
        kernel_trace("promised: letter %u, %u recipients", letter->number, taken(letter));
    } else if (code) {
        letter->answer = ANSWER_REFUSED;
    }
}

/* False: the connection is of no use any more. */
static bool letter_send(struct client *client, struct letter *letter)
{
    if (!envelope(client, letter))
        return false;
    if (taken(letter) == 0)
        return talk_say(&client->talk, "RSET\r\n") && reply(client) == 250;
    mail_make(letter, &client->text);
    bool good = client->chunks ? send_chunks(client) : send_data(client);
    if (!good || client->talk.fd < 0)
        return false;
    if (client->talk.line[0] != '3' && !client->chunks) /* no to DATA */
        return talk_say(&client->talk, "RSET\r\n") && reply(client) == 250;
    if (mind(client) == GOES_AWAY)
        return false;
    promise(client, letter);
    return letter->answer != ANSWER_NONE;
}

/* -- a connection -- */

static bool dial(struct client *client)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr = { htonl(INADDR_LOOPBACK) } };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    talk_init(&client->talk, fd, PATIENCE_MS);
    bool good = connect(fd, (const struct sockaddr *)&to, sizeof to) == 0;
    if (good)
        ledger_connection(fd);
    if (good && reply(client) == 220 && talk_say(&client->talk, "EHLO client.example\r\n") && reply(client) == 250)
        return true;
    talk_end(&client->talk, false);
    return false;
}

static void session(struct client *client)
{
    unsigned letters = one_in(2) ? 1 : 1 + (unsigned)kernel_below(20);
    bool good = true;
    while (good && letters-- && !world->over) {
        struct letter *letter = letter_write();
        good = letter && letter_send(client, letter);
        if (good && one_in(4))
            kernel_sleep_ms(between(1, 5000));
    }
    if (client->talk.fd < 0)
        return;
    if (good && talk_say(&client->talk, "QUIT\r\n"))
        reply(client);
    talk_end(&client->talk, !good && one_in(2));
}

static void run(void *arg)
{
    struct client *client = arg;
    while (!world->over && world->letter_count < world->plan.messages) {
        client->pipelines = percent(50);
        client->chunks = percent(30);
        client->rude = percent(50) ? world->plan.rude : 0;
        if (dial(client))
            session(client);
        kernel_sleep_ms(one_in(3) ? between(1, 200) : between(100, world->plan.trouble_ms / 30 + 200));
    }
    buf_done(&client->text);
    free(client);
    if (--world->clients_left == 0)
        kernel_gate_open(&world->all_sent);
}

void clients_start(void)
{
    world->clients_left = world->plan.clients;
    for (unsigned i = 0; i < world->plan.clients; i++) {
        struct client *client = calloc(1, sizeof *client);
        client->text = BUF_EMPTY(LETTER_MAX);
        kernel_fiber("client", run, client);
    }
}
