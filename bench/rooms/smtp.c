#include "message.h"
#include "room.h"
#include "smtp/client.h"
#include "smtp/dots.h"
#include "smtp/server.h"

static const struct smtp_server_settings server_settings = {
    .hostname = { "mail.example.org", 16 }, .mechanisms = { "PLAIN LOGIN", 11 }, .max_octets = 25u << 20, .max_recipients = 1000,
    .max_errors = 20, .max_idle_commands = 100, .max_line = 1u << 20,
};
static const struct smtp_client_settings client_settings = { .hostname = { "mail.example.org", 16 } };

static struct smtp_server server;
static struct smtp_client client;
static struct buf body = { NULL, 0, 0, 1u << 20, false }, dotted = { NULL, 0, 0, 1u << 20, false };
static unsigned arrived, delivered;

static void hear(struct span in)
{
    struct smtp_server_event event;
    while (smtp_server_next(&server, &in, &event) != SMTP_EVENT_MORE) {
        switch (event.kind) {
        case SMTP_EVENT_BODY:
            buf_add(&body, event.octets);
            break;
        case SMTP_EVENT_END:
            arrived++;
            room_must(body.n == ROOM_MESSAGE_OCTETS);
            buf_clear(&body);
            smtp_server_accept(&server);
            break;
        default:
            smtp_server_accept(&server);
        }
    }
    room_must(server.state != SMTP_STATE_CLOSED);
    buf_clear(&server.out);
}

/* The message in the form that follows DATA. */
static void dots(void)
{
    struct smtp_dots dots;
    buf_clear(&dotted);
    smtp_dots_init(&dots);
    room_must(smtp_dots_add(&dots, room_message(), &dotted) == STATUS_OK);
    room_must(buf_add(&dotted, smtp_dots_end(&dots)) == STATUS_OK);
}

static void server_begin(void)
{
    dots();
    smtp_server_init(&server, &server_settings, 0);
    smtp_server_greet(&server, 0);
    hear(SPAN("EHLO laptop.example.org\r\n"));
}

/* One message of a session with many: a pipelined group, then the message. */
static void server_message(void)
{
    unsigned before = arrived;
    hear(SPAN("MAIL FROM:<anna@example.org> SIZE=4096 BODY=8BITMIME\r\nRCPT TO:<bob@example.com>\r\nDATA\r\n"));
    hear(buf_span(&dotted));
    room_must(arrived == before + 1);
}

/* Greeting, EHLO and QUIT. */
static void server_session(void)
{
    smtp_server_init(&server, &server_settings, 0);
    smtp_server_greet(&server, 0);
    hear(SPAN("EHLO laptop.example.org\r\n"));
    smtp_server_done(&server);
}

static void on_result(void *arg, size_t recipient, const struct smtp_client_result *result)
{
    delivered += result->result == SMTP_DELIVERED;
}

static void answer(struct span octets)
{
    buf_clear(&client.out);
    smtp_client_feed(&client, octets, 1);
}

static void client_begin(void)
{
    smtp_client_init(&client, &client_settings, false, on_result, NULL, 1);
    answer(SPAN("220 mx.example.com ESMTP\r\n"));
    answer(SPAN("250-mx.example.com\r\n250-PIPELINING\r\n250-SIZE 10240000\r\n250-ENHANCEDSTATUSCODES\r\n250-8BITMIME\r\n250 DSN\r\n"));
    room_must(smtp_client_want(&client) == SMTP_WANT_MESSAGE);
}

/* One message over a connection that is kept. */
static void client_message(void)
{
    unsigned before = delivered;
    struct smtp_client_recipient bob = { .address = SPAN("bob@example.com") };
    struct smtp_client_message message = { .sender = SPAN("anna@example.org"), .octets = ROOM_MESSAGE_OCTETS,
                                           .recipients = &bob, .recipient_count = 1 };
    smtp_client_send(&client, &message, 1);
    answer(SPAN("250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n354 End data with <CR><LF>.<CR><LF>\r\n"));
    room_must(client.send == SMTP_SEND_DOTTED);
    smtp_client_body_sent(&client, 1);
    answer(SPAN("250 2.0.0 Ok: queued as 4bXq5V0Yz9z3w\r\n"));
    room_must(delivered == before + 1 && smtp_client_want(&client) == SMTP_WANT_MESSAGE);
}

static const struct room_work works[] = {
    { "server-message", server_begin, server_message },
    { "server-session", NULL, server_session },
    { "client-message", client_begin, client_message },
    { "dots", NULL, dots },
};
ROOM_MAIN(works)
