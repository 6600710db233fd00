/* Whole dialogues, fed at once and octet by octet: the server's side must not see a difference. */
#include "smtp_talk.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define EHLO_REPLY                                                                                        \
    "250-mx.example\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-CHUNKING\r\n" \
    "250-DSN\r\n250-ENHANCEDSTATUSCODES\r\n"
#define EHLO_END "250-LIMITS RCPTMAX=3\r\n250 HELP\r\n"
#define GREETING "220 mx.example ESMTP goniec\r\n"
#define OPENING GREETING EHLO_REPLY EHLO_END
#define MAIL_OK "250 2.1.0 Sender ok\r\n"
#define RCPT_OK "250 2.1.5 Recipient ok\r\n"
#define GO_ON "354 Send the message; a line with a single dot ends it\r\n"
#define OK "250 2.0.0 Ok\r\n"
#define CHUNK_OK "250 2.0.0 Chunk taken\r\n"
#define BYE "221 2.0.0 Goodbye\r\n[CLOSE quit]"
/* A transaction up to the message. */
#define TO_DATA "EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n"
#define AT_DATA OPENING "[MAIL <a@b>]" MAIL_OK "[RCPT <c@d>]" RCPT_OK "[DATA]" GO_ON
#define TO_BDAT "EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n"
#define AT_BDAT OPENING "[MAIL <a@b>]" MAIL_OK "[RCPT <c@d>]" RCPT_OK
#define BARE "550 5.6.0 The message has a CR or LF that is not part of a CRLF\r\n"
#define TOO_LARGE "552 5.3.4 The message is larger than this server takes\r\n"
#define NO_BDAT "503 5.5.1 BDAT needs MAIL and an accepted RCPT first\r\n"
#define LF_ONLY "500 5.5.2 Lines end by CRLF, and by nothing else\r\n[CLOSE line]"

enum { FIX = 1u << 16, LIMITED = 1u << 17 };

struct row {
    const char *name;
    unsigned flags; /* SMTP_OFFER_x, SMTP_NEED_x, FIX, LIMITED */
    struct span input;
    struct span expected;
};
#define ROW(name, flags, input, expected) { name, flags, SPAN(input), SPAN(expected) }

static const struct row rows[] = {
    ROW("a message", 0, TO_DATA "Hi\r\n.\r\nQUIT\r\n", AT_DATA "[MESSAGE Hi\r\n]" OK BYE),
    ROW("an empty message", 0, TO_DATA ".\r\n", AT_DATA "[MESSAGE ]" OK),
    ROW("dots", 0, TO_DATA "..\r\n.a\r\n...b.\r\n\r\n..\r\n.\r\n", AT_DATA "[MESSAGE .\r\na\r\n..b.\r\n\r\n.\r\n]" OK),
    ROW("two messages", 0, TO_DATA "1\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<postmaster>\r\nDATA\r\n2\r\n.\r\n",
        AT_DATA "[MESSAGE 1\r\n]" OK "[MAIL <>]" MAIL_OK "[RCPT <postmaster>]" RCPT_OK "[DATA]" GO_ON "[MESSAGE 2\r\n]" OK),
    ROW("the message is refused", 0, TO_DATA "refuse\r\n.\r\nRSET\r\n",
        AT_DATA "[MESSAGE refuse\r\n]554 5.7.1 Not this\r\n250 2.0.0 Forgotten\r\n"),
    /* Nothing but CRLF.CRLF ends a message. */
    ROW("LF.LF", FIX, TO_DATA "a\n.\nMAIL FROM:<x@y>\r\n.\r\n",
        AT_DATA "[MESSAGE a\r\n.\r\nMAIL FROM:<x@y>\r\n]" OK),
    ROW("LF.CRLF", FIX, TO_DATA "a\n.\r\nb\r\n.\r\n", AT_DATA "[MESSAGE a\r\n.\r\nb\r\n]" OK),
    ROW("CRLF.LF", FIX, TO_DATA "a\r\n.\nb\r\n.\r\n", AT_DATA "[MESSAGE a\r\n\r\nb\r\n]" OK),
    ROW("CRLF.CR", FIX, TO_DATA "a\r\n.\rb\r\n.\r\n", AT_DATA "[MESSAGE a\r\n\r\nb\r\n]" OK),
    ROW("CR.CR", FIX, TO_DATA "a\r.\rb\r\n.\r\n", AT_DATA "[MESSAGE a\r\n.\r\nb\r\n]" OK),
    ROW("CRCRLF.CRLF", FIX, TO_DATA "a\r\r\n.\r\n", AT_DATA "[MESSAGE a\r\n\r\n]" OK),
    ROW("CRLFCR.CRLF", FIX, TO_DATA "a\r\n\r.\r\nb\r\n.\r\n", AT_DATA "[MESSAGE a\r\n\r\n.\r\nb\r\n]" OK),
    ROW("LF first", FIX, TO_DATA "\n.\r\n\r\n.\r\n", AT_DATA "[MESSAGE \r\n.\r\n\r\n]" OK),
    ROW("bare LF is refused", 0, TO_DATA "a\n.\nMAIL FROM:<x@y>\r\n.\r\nNOOP\r\n", AT_DATA "[DROP]" BARE OK),
    ROW("bare CR is refused", 0, TO_DATA "a\rb\r\n.\r\nNOOP\r\n", AT_DATA "[DROP]" BARE OK),
    ROW("a CR before the end is refused", 0, TO_DATA "a\r\r\n.\r\nNOOP\r\n", AT_DATA "[DROP]" BARE OK),
    ROW("NUL passes", 0, TO_DATA "a\0b\r\n.\r\n", AT_DATA "[MESSAGE a\0b\r\n]" OK),
    /* BDAT */
    ROW("one chunk", 0, TO_BDAT "BDAT 4 LAST\r\nHi\r\nQUIT\r\n", AT_BDAT "[DATA][MESSAGE Hi\r\n]" OK BYE),
    ROW("three chunks", 0, TO_BDAT "BDAT 3\r\nHi\rBDAT 2\r\n\n.BDAT 2 last\r\n\r\nNOOP\r\n",
        AT_BDAT "[DATA]" CHUNK_OK CHUNK_OK "[MESSAGE Hi\r\n.\r\n]" OK OK),
    ROW("an empty last chunk", 0, TO_BDAT "BDAT 3\r\n.\r\nBDAT 0 LAST\r\n", AT_BDAT "[DATA]" CHUNK_OK "[MESSAGE .\r\n]" OK),
    ROW("no octet at all", 0, TO_BDAT "BDAT 0 LAST\r\n", AT_BDAT "[DATA][MESSAGE ]" OK),
    ROW("a last line without end", 0, TO_BDAT "BDAT 2 LAST\r\nHi", AT_BDAT "[DATA][MESSAGE Hi\r\n]" OK),
    ROW("a bare LF in a chunk", 0, TO_BDAT "BDAT 4\r\nH\ni\nBDAT 5 LAST\r\nNOOP\nQUIT\r\n",
        AT_BDAT "[DATA][DROP]" BARE BARE BYE),
    ROW("a bare CR at the end of all chunks", 0, TO_BDAT "BDAT 3 LAST\r\nHi\rNOOP\r\n", AT_BDAT "[DATA][DROP]" BARE OK),
    ROW("the same, made clean", FIX, TO_BDAT "BDAT 3 LAST\r\nHi\rNOOP\r\n", AT_BDAT "[DATA][MESSAGE Hi\r\n]" OK OK),
    ROW("a bare LF at the end, made clean", FIX, TO_BDAT "BDAT 3 LAST\r\nHi\n", AT_BDAT "[DATA][MESSAGE Hi\r\n]" OK),
    ROW("a chunk without MAIL is counted out", 0, "EHLO c\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n", OPENING NO_BDAT OK),
    ROW("a chunk without recipient", 0, "EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<no@d>\r\nBDAT 6\r\nNOOP\r\nBDAT 6 LAST\r\nQUIT\r\nRSET\r\n",
        OPENING "[MAIL <a@b>]" MAIL_OK "[RCPT <no@d>]550 5.1.1 No such person\r\n" NO_BDAT NO_BDAT "250 2.0.0 Forgotten\r\n[DROP]"),
    ROW("RSET between chunks", 0, TO_BDAT "BDAT 1\r\naRSET\r\nBDAT 1 LAST\r\nb",
        AT_BDAT "[DATA]" CHUNK_OK "250 2.0.0 Forgotten\r\n[DROP]" NO_BDAT),
    ROW("other commands between chunks", 0, TO_BDAT "BDAT 1\r\naMAIL FROM:<x@y>\r\nRCPT TO:<x@y>\r\nDATA\r\nBDAT 0 LAST\r\n",
        AT_BDAT "[DATA]" CHUNK_OK "503 5.5.1 Say EHLO first, and one MAIL at a time\r\n503 5.5.1 MAIL comes first\r\n"
        "503 5.5.1 An accepted RCPT comes first, and no BDAT before DATA\r\n[MESSAGE a\r\n]" OK),
    ROW("a wrong chunk size", 0, TO_BDAT "BDAT x\r\nNOOP\r\n", AT_BDAT "501 5.5.4 Write BDAT octets [LAST]\r\n[CLOSE sync]"),
    ROW("a huge chunk size", 0, TO_BDAT "BDAT 99999999999999999999\r\n",
        AT_BDAT "501 5.5.4 Write BDAT octets [LAST]\r\n[CLOSE sync]"),
    ROW("chunks over the limit", LIMITED, TO_BDAT "BDAT 9 LAST\r\n123456789NOOP\r\n", AT_BDAT "[DROP]" TOO_LARGE OK),
    ROW("together over the limit", LIMITED, TO_BDAT "BDAT 5\r\n12345BDAT 5\r\n12345BDAT 1 LAST\r\n1NOOP\r\n",
        AT_BDAT "[DATA]" CHUNK_OK "[DROP]" TOO_LARGE TOO_LARGE OK),
    ROW("DATA over the limit", LIMITED, TO_DATA "123456789\r\n.\r\nNOOP\r\n", AT_DATA "[DROP]" TOO_LARGE OK),
    /* Parameters */
    ROW("all of them", 0,
        "EHLO c\r\nMAIL FROM:<a@b> SIZE=10 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=x+2By AUTH=<>\r\n"
        "RCPT TO:<@r,@s:c@d> NOTIFY=SUCCESS,delay ORCPT=rfc822;c@d\r\n",
        OPENING "[MAIL <a@b> size=10 body=8 utf8 ret=hdrs envid=x+2By]" MAIL_OK
        "[RCPT <c@d> notify=10 orcpt=rfc822;c@d]" RCPT_OK),
    ROW("blanks and case", 0, "ehlo c\r\nmail from: <a@b>  size=1 \r\nrcpt to: <c@d> \r\n",
        OPENING "[MAIL <a@b> size=1]" MAIL_OK "[RCPT <c@d>]" RCPT_OK),
    ROW("unknown, twice, wrong", 0,
        "EHLO c\r\nMAIL FROM:<a@b> X=1\r\nMAIL FROM:<a@b> SIZE=1 size=2\r\nMAIL FROM:<a@b> SIZE=x\r\nMAIL FROM:<a@b> SIZE\r\n",
        OPENING "555 5.5.4 A parameter is not known here\r\n501 5.5.4 A parameter was given twice\r\n"
        "501 5.5.4 A parameter has a wrong value\r\n501 5.5.4 A parameter has a wrong value\r\n"),
    ROW("announced too large", 0, "EHLO c\r\nMAIL FROM:<a@b> SIZE=1001\r\n", OPENING TOO_LARGE),
    ROW("NOTIFY=NEVER stands alone", 0, TO_BDAT "RCPT TO:<c@d> NOTIFY=NEVER,DELAY\r\nRCPT TO:<c@d> NOTIFY=DELAY,\r\nRCPT TO:<c@d> NOTIFY=NEVER\r\n",
        AT_BDAT "501 5.5.4 A parameter has a wrong value\r\n501 5.5.4 A parameter has a wrong value\r\n[RCPT <c@d> notify=1]" RCPT_OK),
    ROW("no parameters after HELO", 0, "HELO c\r\nMAIL FROM:<a@b> SIZE=1\r\nMAIL FROM:<a@b>\r\n",
        GREETING "250 mx.example\r\n555 5.5.4 Parameters need EHLO\r\n[MAIL <a@b>]" MAIL_OK),
    ROW("UTF-8 needs SMTPUTF8", 0, "EHLO c\r\nMAIL FROM:<\xc3\xa4@b>\r\nMAIL FROM:<\xc3\xa4@b> SMTPUTF8\r\nRCPT TO:<\xc3\xb6@d>\r\n",
        OPENING "553 5.6.7 The address needs SMTPUTF8\r\n[MAIL <\xc3\xa4@b> utf8]" MAIL_OK "[RCPT <\xc3\xb6@d>]" RCPT_OK),
    ROW("UTF-8 in RCPT alone", 0, "EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<\xc3\xb6@d>\r\n",
        OPENING "[MAIL <a@b>]" MAIL_OK "553 5.6.7 The address needs SMTPUTF8\r\n"),
    ROW("not a path", 0, "EHLO c\r\nMAIL FROM:a@b\r\nMAIL TO:<a@b>\r\nMAIL FROM:<a@b>X\r\nMAIL FROM:<a\r\n",
        OPENING "501 5.1.7 This is not an address in angle brackets\r\n501 5.5.4 Write MAIL FROM:<address>\r\n"
        "501 5.1.7 This is not an address in angle brackets\r\n501 5.1.7 This is not an address in angle brackets\r\n"),
    ROW("the null recipient", 0, "EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<>\r\n",
        OPENING "[MAIL <>]" MAIL_OK "501 5.1.3 This is not an address in angle brackets\r\n"),
    /* Order */
    ROW("no EHLO", 0, "MAIL FROM:<a@b>\r\n", GREETING "503 5.5.1 Say EHLO first, and one MAIL at a time\r\n"),
    ROW("EHLO without a name", 0, "EHLO\r\n", GREETING "501 Say your name behind EHLO\r\n"),
    ROW("DATA without recipients", 0, "EHLO c\r\nMAIL FROM:<a@b>\r\nDATA\r\n",
        OPENING "[MAIL <a@b>]" MAIL_OK "503 5.5.1 An accepted RCPT comes first, and no BDAT before DATA\r\n"),
    ROW("some recipients refused", 0, "EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<no@d>\r\nRCPT TO:<later@d>\r\nRCPT TO:<e@d>\r\nDATA\r\n.\r\n",
        OPENING "[MAIL <a@b>]" MAIL_OK "[RCPT <no@d>]550 5.1.1 No such person\r\n[RCPT <later@d>]450 4.2.0 Later\r\n"
        "[RCPT <e@d>]" RCPT_OK "[DATA]" GO_ON "[MESSAGE ]" OK),
    ROW("the sender refused", 0, "EHLO c\r\nMAIL FROM:<no@b>\r\nRCPT TO:<c@d>\r\n",
        OPENING "[MAIL <no@b>]550 5.1.1 No such person\r\n503 5.5.1 MAIL comes first\r\n"),
    ROW("too many recipients", 0, TO_BDAT "RCPT TO:<2@d>\r\nRCPT TO:<3@d>\r\nRCPT TO:<4@d>\r\n",
        AT_BDAT "[RCPT <2@d>]" RCPT_OK "[RCPT <3@d>]" RCPT_OK
        "452 4.5.3 Too many recipients; send another message for the rest\r\n"),
    ROW("RSET and EHLO forget", 0, TO_BDAT "RSET\r\nRCPT TO:<c@d>\r\nMAIL FROM:<a@b>\r\nEHLO c\r\nRSET\r\n",
        AT_BDAT "250 2.0.0 Forgotten\r\n[DROP]503 5.5.1 MAIL comes first\r\n[MAIL <a@b>]" MAIL_OK EHLO_REPLY EHLO_END "[DROP]"
        "250 2.0.0 Forgotten\r\n"),
    ROW("small talk", 0, "NOOP x\r\nHELP\r\nVRFY a\r\nEXPN b\r\nFOO\r\nQUIT now\r\n",
        GREETING OK "214 2.0.0 goniec speaks RFC 5321; ask your postmaster for more\r\n"
        "252 2.0.0 Not told here; send the message and see\r\n502 5.5.1 Lists are not shown\r\n"
        "500 5.5.2 This command is not known here\r\n" BYE),
    ROW("too many errors", 0, "A\r\nB\r\nC\r\nD\r\nE\r\nF\r\n",
        GREETING "500 5.5.2 This command is not known here\r\n500 5.5.2 This command is not known here\r\n"
        "500 5.5.2 This command is not known here\r\n500 5.5.2 This command is not known here\r\n"
        "500 5.5.2 This command is not known here\r\n421 4.7.0 Too many errors; closing\r\n[CLOSE errors]"),
    ROW("the door says 421", 0, "EHLO c\r\nMAIL FROM:<away@b>\r\nNOOP\r\n",
        OPENING "[MAIL <away@b>]421 4.3.2 Go away\r\n[CLOSE door]"),
    /* Lines */
    ROW("LF in commands", 0, "NOOP\nQUIT\r\n", GREETING LF_ONLY),
    ROW("CR in commands", 0, "NOOP\rQUIT\r\n", GREETING LF_ONLY),
    ROW("NUL in commands", 0, "NOOP \0\r\n", GREETING "500 5.5.2 This command is not known here\r\n"),
    ROW("a web client", 0, "POST / HTTP/1.1\r\nHost: x\r\n", GREETING "500 5.5.2 This is a mail server\r\n[CLOSE foreign]"),
    /* TLS and login */
    ROW("STARTTLS", SMTP_OFFER_TLS, "EHLO c\r\nSTARTTLS\r\n",
        GREETING EHLO_REPLY "250-STARTTLS\r\n" EHLO_END "[STARTTLS]220 2.0.0 Begin TLS\r\n"),
    ROW("TLS is needed", SMTP_OFFER_TLS | SMTP_NEED_TLS, "EHLO c\r\nMAIL FROM:<a@b>\r\nAUTH PLAIN\r\n",
        GREETING EHLO_REPLY "250-STARTTLS\r\n" EHLO_END "530 5.7.0 Start TLS first\r\n538 5.7.11 Start TLS first\r\n"),
    ROW("no TLS here", 0, "AUTH PLAIN\r\nEHLO c\r\nAUTH PLAIN\r\nSTARTTLS\r\n",
        GREETING "503 5.5.1 Say EHLO first, and no AUTH within a message\r\n"
        EHLO_REPLY EHLO_END "502 5.5.1 No login here\r\n502 5.5.1 No TLS here\r\n"),
    ROW("login", SMTP_OFFER_AUTH | SMTP_NEED_LOGIN, "EHLO c\r\nMAIL FROM:<a@b>\r\nAUTH plain Z29vZA==\r\nAUTH PLAIN\r\nMAIL FROM:<a@b>\r\n",
        GREETING EHLO_REPLY "250-AUTH PLAIN LOGIN\r\n" EHLO_END "530 5.7.0 Log in first\r\n[AUTH PLAIN good]235 2.7.0 Logged in\r\n"
        "503 5.5.1 You are logged in already\r\n[MAIL <a@b>]" MAIL_OK),
    ROW("login in steps", SMTP_OFFER_AUTH, "EHLO c\r\nAUTH LOGIN\r\nYXNr\r\nZ29vZA==\r\n",
        GREETING EHLO_REPLY "250-AUTH PLAIN LOGIN\r\n" EHLO_END "[AUTH LOGIN ]334 bW9yZT8=\r\n[AUTH ask]334 bW9yZT8=\r\n"
        "[AUTH good]235 2.7.0 Logged in\r\n"),
    ROW("a login that can be bound", SMTP_OFFER_AUTH | SMTP_OFFER_PLUS, "EHLO c\r\nAUTH X-PLUS Z29vZA==\r\n",
        GREETING EHLO_REPLY "250-AUTH PLAIN LOGIN X-PLUS\r\n" EHLO_END "[AUTH X-PLUS good]235 2.7.0 Logged in\r\n"),
    ROW("a login that cannot be bound", SMTP_OFFER_AUTH, "EHLO c\r\nAUTH X-PLUS Z29vZA==\r\n",
        GREETING EHLO_REPLY "250-AUTH PLAIN LOGIN\r\n" EHLO_END "504 5.5.4 This way to log in is not offered\r\n"),
    ROW("an empty answer", SMTP_OFFER_AUTH, "EHLO c\r\nAUTH LOGIN\r\n\r\nZ29vZA==\r\n",
        GREETING EHLO_REPLY "250-AUTH PLAIN LOGIN\r\n" EHLO_END "[AUTH LOGIN ]334 bW9yZT8=\r\n[AUTH ]535 5.7.8 Wrong login or password\r\n"
        "500 5.5.2 This command is not known here\r\n"),
    ROW("login fails", SMTP_OFFER_AUTH, "EHLO c\r\nAUTH PLAIN =\r\nAUTH PLAIN\r\n*\r\nAUTH PLAIN ???\r\nAUTH PLAIN\r\n???\r\nAUTH X\r\n",
        GREETING EHLO_REPLY "250-AUTH PLAIN LOGIN\r\n" EHLO_END "[AUTH PLAIN ]535 5.7.8 Wrong login or password\r\n"
        "[AUTH PLAIN ]334 bW9yZT8=\r\n501 5.7.0 Login cancelled\r\n[CANCEL]501 5.5.2 This is not base64\r\n"
        "[AUTH PLAIN ]334 bW9yZT8=\r\n501 5.5.2 This is not base64\r\n[CANCEL]504 5.5.4 This way to log in is not offered\r\n"
        "421 4.7.0 Too many errors; closing\r\n[CLOSE errors]"),
};

static const struct smtp_server_settings usual = {
    .hostname = { "mx.example", 10 }, .mechanisms = { "PLAIN LOGIN X-PLUS", 18 }, .max_octets = 1000, .max_recipients = 3,
    .max_errors = 5, .max_idle_commands = 10, .free_order = true,
};

static void play_row(const struct row *row, size_t piece)
{
    struct smtp_server_settings settings = usual;
    settings.fix_newlines = row->flags & FIX;
    settings.max_octets = row->flags & LIMITED ? 8 : usual.max_octets;
    struct talk talk;
    talk_init(&talk, &settings, row->flags & 0xffff, piece);
    talk_flush(&talk);
    talk_feed(&talk, row->input);
    struct span said = buf_span(&talk.said);
    AUTO(buf_done) struct buf seen = BUF_EMPTY(1 << 20); /* with this test's limit put back to the usual one */
    size_t at = row->flags & LIMITED ? span_find_span(said, SPAN("SIZE 8\r\n")) : said.n;
    buf_add(&seen, span_head(said, at));
    if (at < said.n) {
        buf_add_str(&seen, "SIZE 1000\r\n");
        buf_add(&seen, span_from(said, at + 8));
    }
    if (!span_eq(buf_span(&seen), row->expected)) {
        fprintf(stderr, "%s, %zu octets at a time\n-- expected\n%.*s\n-- seen\n%.*s\n", row->name, piece,
                SPAN_ARGS(row->expected), SPAN_ARGS(buf_span(&seen)));
        fail();
    }
    talk_done(&talk);
}

static void test_dialogues(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (size_t piece = 0; piece < 4; piece++)
            play_row(&rows[i], piece);
}

/* What arrives before our reply, where the client cannot have known it. */
static void test_early(void **state)
{
    static const struct row early[] = {
        ROW("EHLO", 0, "EHLO c\r\nMAIL FROM:<a@b>\r\n", "503 5.5.1 Wait for the reply before you go on\r\n[CLOSE early]"),
        ROW("STARTTLS", SMTP_OFFER_TLS, "STARTTLS\r\nNOOP\r\n", "503 5.5.1 Wait for the reply before you go on\r\n[CLOSE tls-leftover]"),
    };
    struct smtp_server_settings settings = usual;
    settings.free_order = false;
    for (size_t i = 0; i < ARRAY_LEN(early); i++) {
        struct talk talk;
        talk_init(&talk, &settings, early[i].flags, 0);
        buf_clear(&talk.server.out);
        talk_feed(&talk, early[i].input);
        assert_true(span_eq(buf_span(&talk.said), early[i].expected));
        talk_done(&talk);
    }
}

static void test_early_talker(void **state)
{
    struct smtp_server server;
    smtp_server_init(&server, &usual, 0);
    smtp_server_greet(&server, 3);
    struct span in = SPAN("EHLO x\r\n");
    struct smtp_server_event event;
    assert_int_equal(smtp_server_next(&server, &in, &event), SMTP_EVENT_CLOSE);
    assert_int_equal(event.why, SMTP_CLOSE_EARLY);
    assert_true(span_starts(buf_span(&server.out), SPAN("554 ")));
    smtp_server_done(&server);
}

/* Nothing from before the handshake survives it, and octets in clear behind it end the session. */
static void test_starttls(void **state)
{
    struct talk talk;
    talk_init(&talk, &usual, SMTP_OFFER_TLS, 0);
    talk_feed(&talk, SPAN("EHLO before\r\n"));
    talk_feed(&talk, SPAN("STARTTLS\r\n"));
    smtp_server_secured(&talk.server);
    assert_int_equal(smtp_server_helo(&talk.server).n, 0);
    buf_clear(&talk.said);
    talk_feed(&talk, SPAN("MAIL FROM:<a@b>\r\n"));
    talk_feed(&talk, SPAN("STARTTLS\r\n"));
    assert_true(span_eq(buf_span(&talk.said),
                        SPAN("503 5.5.1 Say EHLO first, and one MAIL at a time\r\n503 5.5.1 TLS is on already\r\n")));
    talk_done(&talk);

    talk_init(&talk, &usual, SMTP_OFFER_TLS, 0);
    talk_feed(&talk, SPAN("STARTTLS\r\n"));
    talk_feed(&talk, SPAN("NOOP\r\n"));
    assert_true(talk.closed);
    assert_true(span_ends_case(buf_span(&talk.said), SPAN("220 2.0.0 Begin TLS\r\n[CLOSE tls-leftover]")));
    talk_done(&talk);
}

/* An event that the door has not answered holds everything up; what came meanwhile is not lost. */
static void test_pause(void **state)
{
    struct smtp_server server;
    smtp_server_init(&server, &usual, 0);
    smtp_server_greet(&server, 0);
    struct span in = SPAN("EHLO c\r\nMAIL FROM:<a@b>\r\nNOOP\r\n");
    struct smtp_server_event event;
    assert_int_equal(smtp_server_next(&server, &in, &event), SMTP_EVENT_MAIL);
    assert_int_equal(smtp_server_next(&server, &in, &event), SMTP_EVENT_PAUSED);
    assert_int_equal(in.n, 6);
    buf_clear(&server.out);
    smtp_server_answer(&server, 550, STATUS_CODE(5, 7, 1), SPAN("a\r\n250 b"));
    assert_int_equal(smtp_server_next(&server, &in, &event), SMTP_EVENT_MORE);
    assert_true(span_eq(buf_span(&server.out), SPAN("550 5.7.1 a??250 b\r\n250 2.0.0 Ok\r\n")));
    smtp_server_done(&server);
}

/* The door spoils a message in the middle: no END, and the reply comes at its end. */
static void test_spoil(void **state)
{
    struct talk talk;
    talk_init(&talk, &usual, 0, 0);
    talk_feed(&talk, SPAN(TO_DATA "one\r\n"));
    smtp_server_spoil(&talk.server, 452, STATUS_CODE(4, 3, 1), SPAN("No room"));
    talk_flush(&talk);
    buf_clear(&talk.said);
    talk_feed(&talk, SPAN("two\r\n.\r\nNOOP\r\n"));
    assert_true(span_eq(buf_span(&talk.said), SPAN("452 4.3.1 No room\r\n" OK)));
    talk_done(&talk);
}

/* A refusal of the first chunk: every chunk is counted out and gets the same answer. */
static void test_refused_chunk(void **state)
{
    struct smtp_server server;
    smtp_server_init(&server, &usual, 0);
    smtp_server_greet(&server, 0);
    struct span in = SPAN(TO_BDAT "BDAT 6\r\nQUIT\r\nBDAT 4 LAST\r\nNO\r\nNOOP\r\n");
    struct smtp_server_event event;
    while (smtp_server_next(&server, &in, &event) != SMTP_EVENT_DATA)
        smtp_server_accept(&server);
    buf_clear(&server.out);
    smtp_server_answer(&server, 452, STATUS_CODE(4, 3, 1), SPAN("No room"));
    assert_int_equal(smtp_server_next(&server, &in, &event), SMTP_EVENT_MORE);
    assert_true(span_eq(buf_span(&server.out), SPAN("452 4.3.1 No room\r\n452 4.3.1 No room\r\n" OK)));
    assert_int_equal(server.state, SMTP_STATE_GREETED);
    smtp_server_done(&server);
}

static void test_long_lines(void **state)
{
    static char line[2048];
    memset(line, 'x', sizeof line);
    for (size_t piece = 0; piece < 2; piece++) {
        struct talk talk;
        talk_init(&talk, &usual, 0, piece);
        buf_clear(&talk.server.out);
        talk_feed(&talk, span_of(line, sizeof line));
        assert_true(span_eq(buf_span(&talk.said), SPAN("500 5.5.2 The line is too long\r\n[CLOSE line]")));
        talk_done(&talk);
    }
}

/* A long sentence becomes lines of one reply, none over the limit. */
static void test_long_reply(void **state)
{
    struct smtp_server server;
    smtp_server_init(&server, &usual, 0);
    char text[1200];
    memset(text, 'y', sizeof text);
    for (size_t i = 9; i < sizeof text; i += 10)
        text[i] = ' ';
    smtp_server_turn_away(&server, 554, STATUS_CODE(5, 7, 1), span_of(text, sizeof text));
    struct span out = buf_span(&server.out);
    size_t lines = 0;
    for (struct span line; out.n > 0 && span_cut(&out, '\n', &line); lines++) {
        assert_true(line.n < 512);
        assert_true(span_starts(line, out.n ? SPAN("554-5.7.1 y") : SPAN("554 5.7.1 y")));
    }
    assert_int_equal(lines, 3);
    smtp_server_done(&server);
}

static void test_small(void **state)
{
    assert_true(sizeof(struct smtp_server) < 600); /* a thousand idle sessions must cost next to nothing */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dialogues),     cmocka_unit_test(test_early),      cmocka_unit_test(test_early_talker),
        cmocka_unit_test(test_starttls),      cmocka_unit_test(test_pause),      cmocka_unit_test(test_spoil),
        cmocka_unit_test(test_refused_chunk), cmocka_unit_test(test_long_lines), cmocka_unit_test(test_long_reply),
        cmocka_unit_test(test_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
