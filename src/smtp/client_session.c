/* From the greeting to a session that is ready: EHLO, STARTTLS, login. */
#include "smtp/base64.h"
#include "smtp/client_priv.h"

static void send_hello(struct smtp_client *client, const char *verb, enum smtp_client_state state)
{
    client->extensions = 0; /* RFC 3207 section 4.2: what was offered in clear is forgotten */
    client->size_limit = 0;
    client->mail_max = client->rcpt_max = 0;
    buf_add_str(&client->out, verb);
    buf_add(&client->out, client->settings->hostname);
    buf_add_str(&client->out, "\r\n");
    client_enter(client, state);
}

static void send_ehlo(struct smtp_client *client)
{
    send_hello(client, client->settings->lmtp ? "LHLO " : "EHLO ", SMTP_CLIENT_EHLO);
}

void client_on_greeting(struct smtp_client *client)
{
    send_ehlo(client);
}

void client_on_refused(struct smtp_client *client)
{
    client_refuse(client, SMTP_TROUBLE_REFUSED);
}

/* "554 no service for you" is said to a host, not about a message: another host, or another day, may do. */
void client_on_turned_away(struct smtp_client *client)
{
    client_refuse(client, SMTP_TROUBLE_REFUSED);
    client->failure.is_permanent = false;
}

static void send_secret(struct smtp_client *client, const char *before, struct span plain)
{
    buf_add_str(&client->out, before);
    enum status status = base64_encode(plain, &client->out);
    if (status != STATUS_OK || buf_add_str(&client->out, "\r\n") != STATUS_OK)
        client->out.failed = true;
}

/* RFC 4616: authorization identity (none), NUL, user, NUL, password. */
static void send_plain(struct smtp_client *client, const char *before)
{
    AUTO(buf_done) struct buf plain = BUF_EMPTY(4096);
    buf_add_char(&plain, '\0');
    buf_add(&plain, client->settings->username);
    buf_add_char(&plain, '\0');
    buf_add(&plain, client->settings->password);
    if (plain.failed)
        client->out.failed = true;
    else
        send_secret(client, before, buf_span(&plain));
    buf_wipe(&plain);
}

static void log_in(struct smtp_client *client)
{
    if (!client->has_tls && !client->settings->auth_in_clear) {
        client_break(client, SMTP_TROUBLE_AUTH, "the server offers no TLS, and the password is not sent in clear");
        return;
    }
    client->auth_step = 0;
    if (client->extensions & SMTP_EXT_AUTH_PLAIN) {
        send_plain(client, "AUTH PLAIN ");
    } else if (client->extensions & SMTP_EXT_AUTH_LOGIN) {
        buf_add_str(&client->out, "AUTH LOGIN\r\n");
    } else {
        client_break(client, SMTP_TROUBLE_AUTH, "the server offers no way to log in that we know (PLAIN, LOGIN)");
        return;
    }
    client_enter(client, SMTP_CLIENT_AUTH);
}

static void log_in_or_ready(struct smtp_client *client)
{
    if (client->settings->username.n)
        log_in(client);
    else
        client_enter(client, SMTP_CLIENT_READY);
}

void client_on_ehlo(struct smtp_client *client)
{
    bool may = !client->has_tls && client->settings->tls != SMTP_TLS_NEVER;
    if (may && (client->extensions & SMTP_EXT_STARTTLS)) {
        buf_add_str(&client->out, "STARTTLS\r\n");
        client_enter(client, SMTP_CLIENT_STARTTLS);
    } else if (may && client->settings->tls == SMTP_TLS_MUST) {
        client_break(client, SMTP_TROUBLE_TLS_MISSING, "TLS is required here, but the server does not offer it");
    } else {
        log_in_or_ready(client);
    }
}

void client_on_ehlo_refused(struct smtp_client *client)
{
    if (client->settings->lmtp)
        client_refuse(client, SMTP_TROUBLE_REFUSED);
    else
        send_hello(client, "HELO ", SMTP_CLIENT_HELO);
}

void client_on_helo(struct smtp_client *client)
{
    client_on_ehlo(client); /* with nothing offered */
}

void client_on_starttls(struct smtp_client *client)
{
    client_enter(client, SMTP_CLIENT_TLS);
}

/* 454 or 5xx: the server goes on in clear, and so may we (RFC 3207 section 4). */
void client_on_starttls_refused(struct smtp_client *client)
{
    if (client->settings->tls == SMTP_TLS_MUST)
        client_refuse(client, SMTP_TROUBLE_TLS_MISSING);
    else
        log_in_or_ready(client);
}

void smtp_client_tls(struct smtp_client *client, bool ok, const char *why, int64_t now_ms)
{
    client->now_ms = now_ms;
    if (client->state != SMTP_CLIENT_TLS)
        return;
    if (!ok) {
        client_break(client, SMTP_TROUBLE_TLS, why ? why : "TLS could not be negotiated");
        return;
    }
    client->has_tls = true;
    smtp_reply_init(&client->reply);
    send_ehlo(client);
}

void client_on_auth(struct smtp_client *client)
{
    client_enter(client, SMTP_CLIENT_READY);
}

/* 334: LOGIN asks for one thing after the other; some servers ask again for what came with AUTH PLAIN. */
void client_on_auth_more(struct smtp_client *client)
{
    unsigned step = client->auth_step++;
    bool plain = client->extensions & SMTP_EXT_AUTH_PLAIN;
    if (step >= (plain ? 1u : 2u)) {
        client_break(client, SMTP_TROUBLE_AUTH, "the server asks for more than a name and a password");
        return;
    }
    if (plain)
        send_plain(client, "");
    else
        send_secret(client, "", step == 0 ? client->settings->username : client->settings->password);
    client_arm(client);
}

void client_on_auth_refused(struct smtp_client *client)
{
    client_refuse(client, SMTP_TROUBLE_AUTH);
}
