/* A message on its way from the standard input to the server: its beginning is read before anybody is bothered, its rest
 * streams. */
#include "cli/sendmail_priv.h"
#include "mail/handin.h"
#include "mail/lines.h"
#include "mail/xtext.h"
#include "smtp/dots.h"
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define BEGINNING (256u << 10)                    /* octets that are read before the server is called */
#define INPUT_MAX (HEADER_MAX + 2 * BEGINNING)
#define CHUNK (64u << 10)

struct errand {
    const struct sendmail_options *options;
    struct talk talk;
    struct lines lines;
    struct buf input;        /* clean lines that were not sent */
    bool at_end;             /* of the standard input */
    size_t header, body;     /* in `input`: where they end and begin */
    struct buf head;         /* the header as it is sent */
    struct buf told_text;
    struct smtp_told told;
    struct buf sender;       /* of the envelope; empty: nobody */
    struct buf recipients;   /* each with a NUL behind it */
    bool utf8;
};

static enum sendmail_exit no_memory(void) { return sendmail_complain(SENDMAIL_OS, "not sent: no memory"); }

/* -- reading -- */

static enum sendmail_exit read_more(struct errand *errand)
{
    char room[CHUNK];
    ssize_t n;
    do
        n = read(STDIN_FILENO, room, sizeof room);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return sendmail_complain(SENDMAIL_IO, "not sent: the message cannot be read: %s", strerror(errno));
    enum status status = n > 0 ? lines_add(&errand->lines, span_of(room, (size_t)n), &errand->input)
                               : lines_end(&errand->lines, &errand->input);
    errand->at_end = n == 0 || errand->lines.ended;
    return status == STATUS_OK ? SENDMAIL_OK : no_memory();
}

static bool header_is_whole(const struct errand *errand)
{
    struct span input = buf_span(&errand->input);
    return span_starts(input, SPAN("\r\n")) || span_find_span(input, SPAN("\r\n\r\n")) < input.n || input.n > HEADER_MAX;
}

static enum sendmail_exit read_beginning(struct errand *errand)
{
    enum sendmail_exit exit = SENDMAIL_OK;
    while (exit == SENDMAIL_OK && !errand->at_end && (errand->input.n < BEGINNING || !header_is_whole(errand)))
        exit = read_more(errand);
    if (exit != SENDMAIL_OK)
        return exit;
    buf_drop(&errand->input, handin_mailbox_line(buf_span(&errand->input)));
    if (header_measure(buf_span(&errand->input), HEADER_MAX, &errand->header, &errand->body) != STATUS_OK)
        return sendmail_complain(SENDMAIL_DATA, "not sent: the header of the message is too large");
    return SENDMAIL_OK;
}

static enum sendmail_exit greet(struct errand *errand, int argc, char **argv)
{
    struct talk *talk = &errand->talk;
    AUTO(buf_done) struct buf line = BUF_EMPTY(4096);
    if (talk_listen(talk) != STATUS_OK)
        return sendmail_complain(SENDMAIL_LATER, "not sent, try again later: the mail server does not greet");
    enum sendmail_exit exit = talk_verdict(talk, 2);
    if (exit == SENDMAIL_OK)
        exit = talk_ask(talk, SPAN("EHLO localhost"), 2);
    sendmail_say(span_head(buf_span(&errand->input), errand->header), argc, argv, &line);
    if (exit == SENDMAIL_OK)
        exit = talk_ask(talk, buf_span(&line), 2);
    if (exit != SENDMAIL_OK)
        return exit;
    buf_add(&errand->told_text, smtp_reply_text(&talk->reply));
    return smtp_told_get(buf_span(&errand->told_text), &errand->told) == STATUS_OK && errand->told.sender.n > 0
               ? SENDMAIL_OK
               : sendmail_complain(SENDMAIL_CONFIG, "not sent: this is not goniec's socket");
}

/* -- the envelope -- */

static enum status add_recipient(void *arg, struct span address)
{
    struct errand *errand = arg;
    errand->utf8 |= !span_is_ascii(address);
    buf_add(&errand->recipients, address);
    return buf_add_char(&errand->recipients, '\0');
}

static enum status set_sender(void *arg, struct span address)
{
    struct errand *errand = arg;
    errand->utf8 |= !span_is_ascii(address);
    if (errand->sender.n > 0)
        return STATUS_SYNTAX;
    return buf_add(&errand->sender, address);
}

static enum sendmail_exit read_sender(struct errand *errand)
{
    const char *given = errand->options->sender;
    struct handin how = { .origin = errand->told.origin, .on_recipient = set_sender, .arg = errand };
    if (!given) {
        buf_add(&errand->sender, errand->told.sender);
        return SENDMAIL_OK;
    }
    if (!*given || strcmp(given, "<>") == 0)
        return SENDMAIL_OK;
    if (handin_words(&how, span_str(given)) == STATUS_OK && errand->sender.n > 0)
        return SENDMAIL_OK;
    return sendmail_complain(SENDMAIL_USAGE, "not sent: the sender %s is not an address", given);
}

static enum sendmail_exit read_words(struct errand *errand)
{
    struct handin how = { .origin = errand->told.origin, .on_recipient = add_recipient, .arg = errand };
    for (char **word = errand->options->recipients; *word; word++)
        if (handin_words(&how, span_str(*word)) != STATUS_OK)
            return sendmail_complain(SENDMAIL_USAGE, "not sent: the recipient %s is not an address", *word);
    return SENDMAIL_OK;
}

static enum sendmail_exit read_header(struct errand *errand)
{
    const struct sendmail_options *options = errand->options;
    struct handin how = { .origin = errand->told.origin, .name = span_str(options->name), .take_recipients = options->take_recipients,
                          .sender = errand->sender.n ? buf_span(&errand->sender) : errand->told.sender,
                          .on_recipient = add_recipient, .arg = errand };
    enum status status = handin_header(&how, span_head(buf_span(&errand->input), errand->header), &errand->head);
    errand->utf8 |= how.has_utf8;
    if (status != STATUS_OK && how.bad.n)
        return sendmail_complain(SENDMAIL_DATA, "not sent: the recipients in the field %.*s cannot be read in one way only; write them "
                                 "as Name <address@domain>, with commas between them", SPAN_ARGS(how.bad));
    if (status != STATUS_OK)
        return no_memory();
    if (errand->recipients.n > 0)
        return SENDMAIL_OK;
    return options->take_recipients
               ? sendmail_complain(SENDMAIL_DATA, "not sent: there is no recipient in To, Cc and Bcc")
               : sendmail_complain(SENDMAIL_USAGE, "not sent: name the recipients, or use -t to take them from the header");
}

static enum sendmail_exit say_mail(struct errand *errand)
{
    const struct sendmail_options *options = errand->options;
    AUTO(buf_done) struct buf line = BUF_EMPTY(2048);
    buf_printf(&line, "MAIL FROM:<%.*s>", SPAN_ARGS(buf_span(&errand->sender)));
    if (errand->utf8)
        buf_add(&line, SPAN(" SMTPUTF8"));
    if (options->ret)
        buf_printf(&line, " RET=%s", options->ret);
    if (options->envid) {
        buf_add(&line, SPAN(" ENVID="));
        xtext_encode(span_head(span_str(options->envid), XTEXT_ENVID_MAX / 3), &line);
    }
    return talk_ask(&errand->talk, buf_span(&line), 2);
}

static enum sendmail_exit say_recipients(struct errand *errand)
{
    struct span left = buf_span(&errand->recipients), one;
    enum sendmail_exit exit = SENDMAIL_OK;
    while (exit == SENDMAIL_OK && span_cut(&left, '\0', &one)) {
        AUTO(buf_done) struct buf line = BUF_EMPTY(2048);
        if (one.n == 0)
            continue;
        buf_printf(&line, "RCPT TO:<%.*s>", SPAN_ARGS(one));
        if (errand->options->notify)
            buf_printf(&line, " NOTIFY=%s", errand->options->notify);
        exit = talk_ask(&errand->talk, buf_span(&line), 2);
        if (exit != SENDMAIL_OK)
            fprintf(stderr, "sendmail: that was said about the recipient %.*s; the message went to nobody\n", SPAN_ARGS(one));
    }
    return exit;
}

/* -- the message -- */

static enum status send_text(struct errand *errand, struct smtp_dots *dots, struct span text)
{
    AUTO(buf_done) struct buf out = BUF_EMPTY(2 * INPUT_MAX);
    enum status status = smtp_dots_add(dots, text, &out);
    return status == STATUS_OK ? talk_send(&errand->talk, buf_span(&out)) : status;
}

static enum sendmail_exit send_message(struct errand *errand)
{
    struct smtp_dots dots;
    enum sendmail_exit exit = talk_ask(&errand->talk, SPAN("DATA"), 3);
    if (exit != SENDMAIL_OK)
        return exit;
    smtp_dots_init(&dots);
    enum status status = send_text(errand, &dots, buf_span(&errand->head));
    buf_drop(&errand->input, errand->body);
    if (status == STATUS_OK)
        status = send_text(errand, &dots, buf_span(&errand->input));
    while (status == STATUS_OK && !errand->at_end) {
        buf_clear(&errand->input);
        exit = read_more(errand);
        if (exit != SENDMAIL_OK)
            return exit; /* the server throws away what did not end */
        status = send_text(errand, &dots, buf_span(&errand->input));
    }
    if (status == STATUS_OK)
        status = talk_send(&errand->talk, smtp_dots_end(&dots));
    if (talk_listen(&errand->talk) != STATUS_OK)
        return sendmail_complain(SENDMAIL_LATER, status == STATUS_OK
                                     ? "the mail server hung up before it said whether it has the message; try again later"
                                     : "not sent, try again later: the mail server hung up");
    return talk_verdict(&errand->talk, 2);
}

static enum sendmail_exit run(struct errand *errand, const char *path, int argc, char **argv)
{
    enum sendmail_exit exit = read_beginning(errand);
    if (exit == SENDMAIL_OK && !*errand->options->recipients && !errand->options->take_recipients)
        return sendmail_complain(SENDMAIL_USAGE, "not sent: name the recipients, or use -t to take them from the header");
    if (exit == SENDMAIL_OK)
        exit = talk_open(&errand->talk, path, errand->options->verbose);
    if (exit == SENDMAIL_OK)
        exit = greet(errand, argc, argv);
    if (exit == SENDMAIL_OK)
        exit = read_sender(errand);
    if (exit == SENDMAIL_OK)
        exit = read_words(errand);
    if (exit == SENDMAIL_OK)
        exit = read_header(errand);
    if (exit == SENDMAIL_OK)
        exit = say_mail(errand);
    if (exit == SENDMAIL_OK)
        exit = say_recipients(errand);
    if (exit == SENDMAIL_OK)
        exit = send_message(errand);
    return exit;
}

enum sendmail_exit sendmail_send(const struct sendmail_options *options, const char *path, int argc, char **argv)
{
    struct errand errand = {
        .options = options, .talk = { .fd = -1 }, .lines = { .dot_ends = !options->dot_is_text }, .input = BUF_EMPTY(INPUT_MAX),
        .head = BUF_EMPTY(4 * HEADER_MAX), .told_text = BUF_EMPTY(SMTP_REPLY_TEXT_MAX), .sender = BUF_EMPTY(2 * ADDRESS_MAX),
        .recipients = BUF_EMPTY(16u << 20),
    };
    enum sendmail_exit exit = run(&errand, path, argc, argv);
    if (exit == SENDMAIL_OK)
        (void)!talk_send(&errand.talk, SPAN("QUIT\r\n"));
    talk_close(&errand.talk);
    buf_done(&errand.input);
    buf_done(&errand.head);
    buf_done(&errand.told_text);
    buf_done(&errand.sender);
    buf_done(&errand.recipients);
    return exit;
}
