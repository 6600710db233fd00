#include "mail/received.h"
#include "base/id.h"
#include "mail/date.h"

const char *received_with(bool esmtp, bool tls, bool login, bool utf8)
{
    static const char *const words[2][4] = {
        { "ESMTP", "ESMTPS", "ESMTPA", "ESMTPSA" },
        { "UTF8SMTP", "UTF8SMTPS", "UTF8SMTPA", "UTF8SMTPSA" },
    };
    if (!esmtp && !utf8)
        return "SMTP";
    return words[utf8][(login ? 2 : 0) + (tls ? 1 : 0)];
}

static bool is_word_octet(char c)
{
    return ascii_alnum(c) || c == '.' || c == '-' || c == '_' || c == ':' || c == '[' || c == ']';
}

/* Hostile text for a place where a word stands: what is neither a letter nor harmless becomes "?". */
static void word_add(struct buf *ret, struct span word)
{
    word = span_head(word, 255);
    if (word.n == 0)
        buf_add(ret, SPAN("unknown"));
    while (word.n) {
        size_t good = 0;
        while (good < word.n && is_word_octet(word.p[good]))
            good++;
        buf_add(ret, span_head(word, good));
        if (good < word.n)
            buf_add_char(ret, '?');
        word = span_from(word, good + 1);
    }
}

static void from_add(const struct received *received, struct buf *ret)
{
    if (received->local_user.n && !received->hide_client) {
        buf_add(ret, SPAN("from "));
        word_add(ret, received->local_user);
        buf_printf(ret, " (uid %u)", received->local_uid);
        return;
    }
    if (received->hide_client || received->client_address.n == 0) {
        /* The grammar wants a name; ours says that the client was one of our own users. */
        buf_add(ret, SPAN("from localhost (localhost)"));
        return;
    }
    bool six = span_find(received->client_address, ':') < received->client_address.n;
    buf_add(ret, SPAN("from "));
    word_add(ret, received->helo);
    buf_add(ret, SPAN(" ("));
    if (received->client_name.n) {
        word_add(ret, received->client_name);
        buf_add_char(ret, ' ');
    }
    buf_add_str(ret, six ? "[IPv6:" : "[");
    word_add(ret, received->client_address);
    buf_add(ret, SPAN("])"));
}

static void tls_add(const struct received *received, struct buf *ret)
{
    if (received->tls_version.n == 0)
        return;
    buf_add(ret, SPAN("\r\n\t(using "));
    word_add(ret, received->tls_version);
    if (received->tls_cipher.n) {
        buf_add(ret, SPAN(" with cipher "));
        word_add(ret, received->tls_cipher);
    }
    if (received->tls_bits)
        buf_printf(ret, " (%u bits)", received->tls_bits);
    buf_add_char(ret, ')');
}

enum status received_write(const struct received *received, struct buf *ret)
{
    char id[ID_TEXT_SIZE], date[DATE_TEXT_SIZE];
    size_t before = ret->n;
    buf_add(ret, SPAN("Received: "));
    from_add(received, ret);
    tls_add(received, ret);
    buf_add(ret, SPAN("\r\n\tby "));
    word_add(ret, received->hostname);
    buf_add(ret, SPAN(" (goniec) with "));
    word_add(ret, received->with);
    buf_add(ret, SPAN(" id "));
    buf_add_str(ret, id_text(received->id, id));
    if (received->recipient.n && span_find_span(received->recipient, SPAN("\r\n")) == received->recipient.n) {
        buf_add(ret, SPAN("\r\n\tfor <"));
        buf_add(ret, received->recipient);
        buf_add_char(ret, '>');
    }
    buf_add(ret, SPAN(";\r\n\t"));
    buf_add_str(ret, date_text(received->now_wall_ms, date));
    buf_add(ret, SPAN("\r\n"));
    if (!ret->failed)
        return STATUS_OK;
    ret->n = before;
    return STATUS_FULL;
}
