/* What a person reads in a report. */
#include "base/id.h"
#include "mail/address.h"
#include "mail/date.h"
#include "mail/dsn_priv.h"

#define WIDTH 76     /* columns of a line that has blanks */
#define WORD_MAX 300 /* octets of a word on one line; may cut a character in two, which quoted-printable survives */

static const struct wording {
    const char *subject;     /* "Your message to X ..." */
    const char *head;        /* "Your message ..." X */
    const char *next;        /* in place of the advice; NULL: the advice */
} wordings[] = {
    [DSN_FAILED] = { "could not be delivered", "could not be delivered to", NULL },
    [DSN_DELAYED] = { "is delayed", "has not been delivered yet to",
                      "You need not do anything now, and should not send the message again" },
    [DSN_DELIVERED] = { "was delivered", "was delivered to", "Nothing. You asked for this note" },
    [DSN_RELAYED] = { "was passed on", "was passed on, by a server that sends no notes about the end, to",
                      "Nothing. You asked for this note" },
    [DSN_EXPANDED] = { "was passed on", "was passed on to all those who stand behind",
                       "Nothing. You asked for this note" },
};

void dsn_add_safe(struct buf *ret, struct span text, bool utf8, size_t most)
{
    bool blank = true; /* at the front, blanks go */
    utf8 = utf8 && span_is_utf8(text);
    size_t n = MIN(text.n, most);
    while (utf8 && n < text.n && n > 0 && ((unsigned char)text.p[n] & 0xC0) == 0x80)
        n--; /* not in the middle of a character */
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        /* C1 controls, which only stand behind C2 in UTF-8, go with the others. */
        bool c1 = c == 0xC2 && i + 1 < n && (unsigned char)text.p[i + 1] < 0xA0;
        i += c1 && utf8;
        bool space = c <= ' ' || c == 0x7F || (c1 && utf8);
        if (!space || !blank)
            buf_add_char(ret, space ? ' ' : c < 0x80 || utf8 ? (char)c : '?');
        blank = space;
    }
    if (n < text.n)
        buf_add(ret, SPAN("..."));
}

void dsn_add_codes(const struct dsn_recipient *recipient, struct buf *ret)
{
    char text[STATUS_CODE_TEXT_SIZE];
    struct span words = recipient->text;
    struct status_code said, code = recipient->status;
    buf_printf(ret, "%03d ", recipient->reply % 1000);
    bool tells = code.class == recipient->reply / 100 && (code.subject || code.detail);
    if (tells && !status_code_take(&words, &said))
        buf_printf(ret, "%s ", status_code_text(code, text));
}

static const struct wording *wording_of(const struct dsn *dsn)
{
    return &wordings[dsn->recipients[0].action];
}

static bool is_mixed(const struct dsn *dsn)
{
    for (size_t i = 1; i < dsn->recipient_count; i++)
        if (dsn->recipients[i].action != dsn->recipients[0].action)
            return true;
    return false;
}

void dsn_add_subject(const struct dsn *dsn, struct buf *ret)
{
    struct span first = dsn->recipients[0].address;
    buf_add_str(ret, "Your message");
    if (dsn->recipient_count == 1 && first.n <= 60 && span_is_ascii(first)) {
        buf_add_str(ret, " to ");
        dsn_add_safe(ret, first, false, 60);
    }
    buf_printf(ret, " %s", is_mixed(dsn) ? "and what became of it" : wording_of(dsn)->subject);
}

/* Other people's words, wrapped at blanks so that a mail program shows all of them; a word without end is cut. */
static void words_add(struct buf *ret, size_t column, struct span words)
{
    AUTO(buf_done) struct buf safe = BUF_EMPTY(2 * DSN_TEXT_MAX);
    dsn_add_safe(&safe, words, true, DSN_TEXT_MAX);
    ret->failed |= safe.failed;
    struct span rest = buf_span(&safe), word;
    for (bool first = true; span_cut(&rest, ' ', &word); first = false) {
        bool fits = first || column + 1 + word.n <= WIDTH;
        if (!first)
            buf_add_str(ret, fits ? " " : "\r\n      ");
        column = fits ? column + 1 + word.n : 6 + word.n;
        for (; word.n > WORD_MAX; word = span_from(word, WORD_MAX)) {
            buf_add(ret, span_head(word, WORD_MAX));
            buf_add_str(ret, "\r\n      ");
        }
        buf_add(ret, word);
    }
}

static void server_words_add(const struct dsn_recipient *recipient, struct buf *ret)
{
    if (recipient->text.n == 0 && !recipient->reply)
        return;
    if (recipient->reply == 0) {
        buf_add_str(ret, "    The reason: ");
    } else {
        buf_add_str(ret, "    The server ");
        dsn_add_safe(ret, recipient->remote_host.n ? recipient->remote_host : recipient->remote_address, true, 255);
        if (recipient->remote_host.n && recipient->remote_address.n) {
            buf_add_str(ret, " (");
            dsn_add_safe(ret, recipient->remote_address, false, 64);
            buf_add_str(ret, ")");
        }
        buf_add_str(ret, " said:\r\n      ");
        dsn_add_codes(recipient, ret);
    }
    words_add(ret, 16, recipient->text);
    buf_add_str(ret, "\r\n");
}

/* Of a delay the reasons "policy" and "protocol" are mostly greylisting and limits, which pass by themselves. */
static const char *meaning_of(const struct dsn_recipient *recipient)
{
    if (recipient->action == DSN_DELAYED && (recipient->status.subject < 1 || recipient->status.subject > 4))
        return "The recipient's server asks us to try again later.";
    return status_code_meaning(recipient->status);
}

static void recipient_add(const struct dsn_recipient *recipient, struct buf *ret)
{
    char date[DATE_TEXT_SIZE];
    const char *next = wordings[recipient->action].next;
    bool trouble = recipient->action == DSN_FAILED || recipient->action == DSN_DELAYED;
    buf_add_str(ret, "  ");
    dsn_add_safe(ret, recipient->address, true, ADDRESS_MAX);
    buf_printf(ret, "\r\n");
    if (trouble)
        buf_printf(ret, "    %s\r\n", meaning_of(recipient));
    server_words_add(recipient, ret);
    buf_printf(ret, "    What to do: %s", next ? next : status_code_advice(recipient->status));
    if (recipient->action == DSN_DELAYED && recipient->retry_until_wall_ms)
        buf_printf(ret, ": we go on\r\n      trying until %s, and tell you if it fails",
                   date_text(recipient->retry_until_wall_ms, date));
    buf_printf(ret, "%s\r\n\r\n", next ? "." : "");
}

void dsn_add_text(const struct dsn *dsn, bool returns_body, struct buf *ret)
{
    char date[DATE_TEXT_SIZE], id[ID_TEXT_SIZE];
    for (enum dsn_action action = DSN_FAILED; action <= DSN_EXPANDED; action++) {
        bool began = false;
        for (size_t i = 0; i < dsn->recipient_count; i++) {
            if (dsn->recipients[i].action != action)
                continue;
            if (!began)
                buf_printf(ret, "Your message %s:\r\n\r\n", wordings[action].head);
            began = true;
            recipient_add(&dsn->recipients[i], ret);
        }
    }
    buf_add_str(ret, "This note was written by the mail server ");
    dsn_add_safe(ret, dsn->hostname, true, 255);
    if (dsn->arrival_wall_ms)
        buf_printf(ret, ",\r\nwhich took your message on %s", date_text(dsn->arrival_wall_ms, date));
    if (dsn->message_id)
        buf_printf(ret, ".\r\nThere it has the number %s", id_text(dsn->message_id, id));
    buf_add_str(ret, ".\r\n");
    if (dsn->header.n)
        buf_printf(ret, "%s of your message follows below.\r\n", returns_body ? "A copy" : "The header");
}
