/* What each command does, and when it may come. */
#include "smtp/base64.h"
#include "smtp/server_priv.h"

#define IN(state) (1u << SMTP_STATE_##state)
#define ANY (~0u)

typedef void run_command(struct smtp_server *server, struct span args, struct smtp_server_event *ret);

static void set_helo(struct smtp_server *server, struct span args, bool extended)
{
    struct span name = span_head(args, span_find(args, ' '));
    server_drop(server); /* RFC 5321 section 4.1.4 */
    if (name.n == 0 || name.n > ADDRESS_DOMAIN_MAX) {
        server_refuse(server, 501, STATUS_CODE(0, 0, 0), "Say your name behind EHLO");
        return;
    }
    buf_clear(&server->helo);
    buf_add(&server->helo, name); /* the ceiling holds; without memory the name stays empty, which harms nobody */
    server->extended = extended;
    server_enter(server, SMTP_STATE_GREETED);
    if (extended)
        server_say_ehlo(server);
    else
        server_say(server, 250, STATUS_CODE(0, 0, 0), server->settings->hostname);
}

static void on_ehlo(struct smtp_server *server, struct span args, struct smtp_server_event *ret)
{
    set_helo(server, args, true);
}

static void on_helo(struct smtp_server *server, struct span args, struct smtp_server_event *ret)
{
    set_helo(server, args, false);
}

static void on_starttls(struct smtp_server *server, struct span args, struct smtp_server_event *ret)
{
    if (server->secured)
        server_refuse(server, 503, STATUS_CODE(5, 5, 1), "TLS is on already");
    else if (!(server->offers & SMTP_OFFER_TLS))
        server_refuse(server, 502, STATUS_CODE(5, 5, 1), "No TLS here");
    else if (args.n > 0)
        server_refuse(server, 501, STATUS_CODE(5, 5, 4), "STARTTLS takes no parameter");
    else
        ret->kind = SMTP_EVENT_STARTTLS;
}

bool server_next_mechanism(const struct smtp_server *server, struct span *names, struct span *ret)
{
    while (span_cut(names, ' ', ret))
        if (ret->n > 0 && (server->offers & SMTP_OFFER_PLUS || !span_ends_case(*ret, SPAN("-PLUS"))))
            return true;
    return false;
}

static bool offers_mechanism(const struct smtp_server *server, struct span name)
{
    struct span names = server->settings->mechanisms;
    for (struct span one; server_next_mechanism(server, &names, &one);)
        if (span_eq_case(one, name))
            return true;
    return false;
}

/* Decodes one line of the exchange; the octets stay until they are answered. */
static bool decode_sasl(struct smtp_server *server, struct span line, struct smtp_server_event *ret)
{
    buf_clear(&server->sasl);
    if (buf_reserve(&server->sasl, line.n) != STATUS_OK || /* at once: growing would leave copies of a password */
        base64_decode(line, &server->sasl) != STATUS_OK) {
        buf_wipe(&server->sasl);
        server_refuse(server, 501, STATUS_CODE(5, 5, 2), "This is not base64");
        return false;
    }
    ret->octets = buf_span(&server->sasl);
    ret->has_octets = true;
    return true;
}

static void start_auth(struct smtp_server *server, struct span args, struct smtp_server_event *ret)
{
    struct span name = span_head(args, span_find(args, ' '));
    struct span initial = span_trim(span_from(args, name.n));
    if (name.n > SMTP_MECHANISM_MAX || !offers_mechanism(server, name)) {
        server_refuse(server, 504, STATUS_CODE(5, 5, 4), "This way to log in is not offered");
        return;
    }
    bool is_empty = span_eq(initial, SPAN("=")); /* RFC 4954 section 4 */
    if (initial.n > 0 && !decode_sasl(server, is_empty ? SPAN("") : initial, ret))
        return;
    for (size_t i = 0; i < name.n; i++)
        server->mechanism[i] = (char)(name.p[i] - (name.p[i] >= 'a' && name.p[i] <= 'z' ? 32 : 0));
    ret->mechanism = span_of(server->mechanism, name.n);
    ret->kind = SMTP_EVENT_AUTH;
}

static void on_auth(struct smtp_server *server, struct span args, struct smtp_server_event *ret)
{
    if (server->logged_in)
        server_refuse(server, 503, STATUS_CODE(5, 5, 1), "You are logged in already");
    else if (server->offers & SMTP_OFFER_AUTH && server->settings->mechanisms.n > 0)
        start_auth(server, args, ret);
    else if (server->offers & SMTP_OFFER_TLS && !server->secured)
        server_refuse(server, 538, STATUS_CODE(5, 7, 11), "Start TLS first");
    else
        server_refuse(server, 502, STATUS_CODE(5, 5, 1), "No login here");
}

void server_auth_line(struct smtp_server *server, struct span line, struct smtp_server_event *ret)
{
    bool cancelled = span_eq(line, SPAN("*"));
    server_enter(server, SMTP_STATE_GREETED);
    if (cancelled)
        server_refuse(server, 501, STATUS_CODE(5, 7, 0), "Login cancelled");
    ret->kind = cancelled || !decode_sasl(server, line, ret) ? SMTP_EVENT_AUTH_CANCEL : SMTP_EVENT_AUTH_RESPONSE;
}

static void on_xlocal(struct smtp_server *server, struct span args, struct smtp_server_event *ret)
{
    if (!(server->offers & SMTP_OFFER_LOCAL)) {
        server_refuse(server, 500, STATUS_CODE(5, 5, 2), "This command is not known here");
        return;
    }
    ret->octets = args;
    ret->kind = SMTP_EVENT_LOCAL;
}

static void on_mail(struct smtp_server *server, struct span args, struct smtp_server_event *ret)
{
    struct smtp_refusal why;
    uint64_t most = server->settings->max_octets;
    if (server->offers & SMTP_NEED_TLS && !server->secured)
        server_refuse(server, 530, STATUS_CODE(5, 7, 0), "Start TLS first");
    else if (server->offers & SMTP_NEED_LOGIN && !server->logged_in)
        server_refuse(server, 530, STATUS_CODE(5, 7, 0), "Log in first");
    else if (!smtp_mail_parse(args, server->extended, &ret->mail, &why))
        server_refuse(server, why.code, why.status, why.text);
    else if (most > 0 && ret->mail.size > most)
        server_refuse(server, 552, STATUS_CODE(5, 3, 4), "The message is larger than this server takes");
    else {
        server->utf8 = ret->mail.utf8;
        ret->kind = SMTP_EVENT_MAIL;
    }
}

static void on_rcpt(struct smtp_server *server, struct span args, struct smtp_server_event *ret)
{
    struct smtp_refusal why;
    if (!smtp_rcpt_parse(args, server->extended, server->utf8, &ret->rcpt, &why))
        server_refuse(server, why.code, why.status, why.text);
    else if (server->recipients >= server->settings->max_recipients)
        server_refuse(server, 452, STATUS_CODE(4, 5, 3), "Too many recipients; send another message for the rest");
    else
        ret->kind = SMTP_EVENT_RCPT;
}

static void on_data(struct smtp_server *server, struct span args, struct smtp_server_event *ret)
{
    if (args.n > 0) {
        server_refuse(server, 501, STATUS_CODE(5, 5, 4), "DATA takes no parameter");
        return;
    }
    server->chunked = false;
    ret->kind = SMTP_EVENT_DATA;
}

static bool parse_chunk(struct span args, uint64_t *ret, bool *ret_last)
{
    struct span size = span_head(args, span_find(args, ' '));
    struct span word = span_trim(span_from(args, size.n));
    *ret_last = span_eq_case(word, SPAN("LAST"));
    return span_u64(size, INT64_MAX, ret) && (word.n == 0 || *ret_last);
}

/* The octets follow whatever we say, so each chunk is counted out, wanted or not (RFC 3030 section 2). */
static void on_bdat(struct smtp_server *server, struct span args, struct smtp_server_event *ret)
{
    uint64_t octets;
    bool last;
    if (!parse_chunk(args, &octets, &last)) {
        server_say(server, 501, STATUS_CODE(5, 5, 4), SPAN("Write BDAT octets [LAST]"));
        server_close(server, SMTP_CLOSE_SYNC);
        return;
    }
    bool first = server->state == SMTP_STATE_RCPT;
    server->chunk_unwanted = !first && server->state != SMTP_STATE_CHUNKS;
    if (server->chunk_unwanted) {
        server->back = server->state;
        server->swallowed = 0;
    } else if (first) {
        server->chunked = true;
        server_body_start(server);
    }
    server_chunk_start(server, octets, last);
    if (first && !server->spoiled)
        ret->kind = SMTP_EVENT_DATA;
}

static void on_rset(struct smtp_server *server, struct span args, struct smtp_server_event *ret)
{
    server_drop(server);
    server_say(server, 250, STATUS_CODE(2, 0, 0), SPAN("Forgotten"));
}

static void on_noop(struct smtp_server *server, struct span args, struct smtp_server_event *ret)
{
    server_say(server, 250, STATUS_CODE(2, 0, 0), SPAN("Ok"));
}

static void on_quit(struct smtp_server *server, struct span args, struct smtp_server_event *ret)
{
    server_say(server, 221, STATUS_CODE(2, 0, 0), SPAN("Goodbye"));
    server_close(server, SMTP_CLOSE_QUIT);
}

static void on_help(struct smtp_server *server, struct span args, struct smtp_server_event *ret)
{
    server_say(server, 214, STATUS_CODE(2, 0, 0), SPAN("goniec speaks RFC 5321; ask your postmaster for more"));
}

static void on_vrfy(struct smtp_server *server, struct span args, struct smtp_server_event *ret)
{
    server_say(server, 252, STATUS_CODE(2, 0, 0), SPAN("Not told here; send the message and see"));
}

static void on_expn(struct smtp_server *server, struct span args, struct smtp_server_event *ret)
{
    server_refuse(server, 502, STATUS_CODE(5, 5, 1), "Lists are not shown");
}

static void on_unknown(struct smtp_server *server, struct span args, struct smtp_server_event *ret)
{
    server_refuse(server, 500, STATUS_CODE(5, 5, 2), "This command is not known here");
}

static void on_foreign(struct smtp_server *server, struct span args, struct smtp_server_event *ret)
{
    server_say(server, 500, STATUS_CODE(5, 5, 2), SPAN("This is a mail server"));
    server_close(server, SMTP_CLOSE_FOREIGN);
}

#define OUTSIDE (IN(CONNECTED) | IN(GREETED) | IN(MAIL) | IN(RCPT))
#define ALWAYS (OUTSIDE | IN(CHUNKS))

/* Which command may come when (RFC 5321 section 4.1.4), which must end a pipelined group (RFC 2920 section 3.1), and
 * which leads nowhere when it comes again and again. */
static const struct rule {
    unsigned allowed; /* IN(state) bits */
    bool ends_group;
    bool is_idle;
    run_command *run;
    const char *otherwise; /* 503 in another state */
} rules[SMTP_VERB_COUNT] = {
    [SMTP_VERB_UNKNOWN] = { ANY, false, false, on_unknown, NULL },
    [SMTP_VERB_FOREIGN] = { ANY, false, false, on_foreign, NULL },
    [SMTP_VERB_EHLO] = { ALWAYS, true, true, on_ehlo, NULL },
    [SMTP_VERB_HELO] = { ALWAYS, true, true, on_helo, NULL },
    [SMTP_VERB_STARTTLS] = { OUTSIDE & ~(IN(MAIL) | IN(RCPT)), true, true, on_starttls, "Not within a message" },
    [SMTP_VERB_AUTH] = { IN(GREETED), true, false, on_auth, "Say EHLO first, and no AUTH within a message" },
    [SMTP_VERB_MAIL] = { IN(GREETED), false, false, on_mail, "Say EHLO first, and one MAIL at a time" },
    [SMTP_VERB_RCPT] = { IN(MAIL) | IN(RCPT), false, false, on_rcpt, "MAIL comes first" },
    [SMTP_VERB_DATA] = { IN(RCPT), true, false, on_data, "An accepted RCPT comes first, and no BDAT before DATA" },
    [SMTP_VERB_BDAT] = { ALWAYS, false, false, on_bdat, NULL }, /* looks at the state itself */
    [SMTP_VERB_RSET] = { ALWAYS, false, true, on_rset, NULL },
    [SMTP_VERB_NOOP] = { ALWAYS, false, true, on_noop, NULL },
    [SMTP_VERB_QUIT] = { ALWAYS, false, false, on_quit, NULL },
    [SMTP_VERB_HELP] = { ALWAYS, false, true, on_help, NULL },
    [SMTP_VERB_VRFY] = { ALWAYS, false, true, on_vrfy, NULL },
    [SMTP_VERB_EXPN] = { ALWAYS, false, true, on_expn, NULL },
    [SMTP_VERB_XLOCAL] = { IN(GREETED), false, true, on_xlocal, "Say EHLO first, and not within a message" },
};

/* The client could not know our reply yet: it guesses, or somebody else wrote these octets. */
static void close_early(struct smtp_server *server, enum smtp_verb verb)
{
    bool tls = verb == SMTP_VERB_STARTTLS;
    server_say(server, 503, STATUS_CODE(5, 5, 1), SPAN("Wait for the reply before you go on"));
    server_close(server, tls ? SMTP_CLOSE_TLS_LEFTOVER : SMTP_CLOSE_EARLY);
}

void server_command(struct smtp_server *server, struct smtp_command command, bool more_follows,
                    struct smtp_server_event *ret)
{
    const struct rule *rule = &rules[command.verb];
    bool strict = command.verb == SMTP_VERB_STARTTLS || !server->settings->free_order;
    if (rule->ends_group && more_follows && strict) {
        close_early(server, command.verb);
        return;
    }
    if (!(rule->allowed & 1u << server->state)) {
        server_refuse(server, 503, STATUS_CODE(5, 5, 1), rule->otherwise);
        return;
    }
    rule->run(server, command.args, ret);
    if (rule->is_idle && ++server->idle_commands > server->settings->max_idle_commands)
        server_count_error(server);
}
