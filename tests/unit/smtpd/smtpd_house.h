/* The process smtpd in a child, and everybody it talks to played here: supervisor, queue, directory, clients. */
#pragma once
#include "role_child.h"
#include "net/address.h"
#include "net/listen.h"
#include "net/stream.h"
#include "net/tls_key.h"
#include "smtpd/smtpd.h"
#include "spool/envelope.h"
#include "spool/segment.h"
#include "wire/smtpd_directory.h"
#include "wire/smtpd_queue.h"
#include "wire/supervisor.h"
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define HOUSE_SEGMENT (1u << 20)
#define HOUSE_DOORS 4 /* rows of `listen` in house_settings */

struct house {
    pid_t child;
    struct loop *loop;
    struct channel *supervisor, *queue, *directory;
    int listeners[HOUSE_DOORS];
    struct net_address at[HOUSE_DOORS];
    struct buf certificate, key; /* the key is only here: we are the directory that signs with it */
    struct tls_key *signer;
    unsigned signatures;         /* asked for */
    bool keyless;                /* directory knows no key */
    unsigned ready, drained, failed, logins, asked, segments, bodies, dropped;
    uint32_t segment_number;
    uint64_t epoch;
    int segment_fd[64], body_fd[8];
    unsigned enqueued;
    struct writer_enqueue last;  /* its spans are gone */
    struct buf recipients, sender, account; /* of the last one */
    bool is_gone, mute;          /* mute: directory does not answer */
};

struct guest {
    struct stream *stream;
    struct buf heard;
    bool closed, tls;
};

static inline void house_new_segment(struct house *house)
{
    int fd = memfd_create("segment", MFD_CLOEXEC);
    struct spool_segment segment = { .number = ++house->segment_number, .epoch = 1, .salt = 7, .octets = HOUSE_SEGMENT,
                                     .use = SPOOL_MESSAGES };
    AUTO(buf_done) struct buf body = BUF_EMPTY(64);
    assert_int_equal(ftruncate(fd, HOUSE_SEGMENT), 0);
    assert_int_equal(spool_segment_write(&spool_ops_system, fd, NULL, &segment), STATUS_OK);
    queue_segment_put(&body, &(struct queue_segment){ segment.number, 1, HOUSE_SEGMENT });
    channel_send_fds(house->queue, QUEUE_SEGMENT, buf_span(&body), &fd, 1);
    house->segment_fd[segment.number] = fd;
    house->segments++;
}

static inline void house_new_body(struct house *house, struct span asked)
{
    struct writer_need_body need;
    AUTO(buf_done) struct buf body = BUF_EMPTY(64);
    assert_true(writer_need_body_get(asked, &need));
    int fd = house->body_fd[++house->bodies] = memfd_create("body", MFD_CLOEXEC);
    queue_body_put(&body, &(struct queue_body){ need.token, house->bodies });
    channel_send_fds(house->queue, QUEUE_BODY, buf_span(&body), &fd, 1);
}

static inline void house_enqueued(struct house *house, struct span body)
{
    assert_true(writer_enqueue_get(body, &house->last));
    buf_clear(&house->recipients);
    buf_clear(&house->sender);
    buf_clear(&house->account);
    buf_add(&house->sender, house->last.sender);
    buf_add(&house->account, house->last.account);
    struct wire_reader reader = wire_read(house->last.recipients);
    struct writer_recipient recipient;
    for (uint32_t i = 0; i < house->last.recipient_count; i++) {
        assert_true(writer_recipient_get(&reader, &recipient));
        buf_printf(&house->recipients, "%s%.*s", i ? " " : "", SPAN_ARGS(recipient.address));
    }
    house->enqueued++;
}

static inline void house_on_queue(struct house *house, struct channel_message *message)
{
    switch (message->kind) {
    case WRITER_NEED_SEGMENT: house_new_segment(house); break;
    case WRITER_NEED_BODY: house_new_body(house, message->body); break;
    case WRITER_DROP_BODY: house->dropped++; break;
    case WRITER_ENQUEUE: house_enqueued(house, message->body); break;
    default: break;
    }
}

/* anna may log in with "secret" and send as anna@ and shop@example.org; known recipients begin with "k". */
static inline void house_on_directory(struct house *house, struct channel_message *message)
{
    AUTO(buf_done) struct buf body = BUF_EMPTY(4096);
    struct ask_auth_start start;
    struct ask_may_send may;
    struct ask_is_recipient is;
    house->asked++;
    if (house->mute)
        return;
    if (message->kind == ASK_AUTH_START) {
        assert_true(ask_auth_start_get(message->body, &start));
        bool good = span_eq(start.initial, SPAN("\0anna\0secret"));
        house->logins++;
        tell_auth_put(&body, &(struct tell_auth){ start.token, good ? AUTH_OK : AUTH_DENIED,
                                                  good ? SPAN("anna@example.org") : SPAN_NONE, SPAN_NONE });
        channel_send(house->directory, TELL_AUTH, buf_span(&body));
    } else if (message->kind == ASK_MAY_SEND) {
        assert_true(ask_may_send_get(message->body, &may));
        bool good = span_eq(may.addresses[0], SPAN("anna@example.org")) || span_eq(may.addresses[0], SPAN("shop@example.org"));
        tell_verdict_put(&body, &(struct tell_verdict){ may.token, good ? VERDICT_YES : VERDICT_NO, SPAN("not as this one") });
        channel_send(house->directory, TELL_VERDICT, buf_span(&body));
    } else if (message->kind == ASK_IS_RECIPIENT) {
        assert_true(ask_is_recipient_get(message->body, &is));
        bool good = is.address.p[0] == 'k';
        tell_verdict_put(&body, &(struct tell_verdict){ is.token, good ? VERDICT_YES : VERDICT_NO, SPAN_NONE });
        channel_send(house->directory, TELL_VERDICT, buf_span(&body));
    }
}

static inline void house_sign(struct house *house, struct span asked)
{
    struct ask_sign ask;
    unsigned char signature[TLS_SIGNATURE_MAX];
    size_t n = 0;
    AUTO(buf_done) struct buf body = BUF_EMPTY(4096);
    assert_true(ask_sign_get(asked, &ask));
    house->signatures++;
    if (house->mute)
        return;
    bool known = !house->keyless && span_eq(ask.key, span_of(tls_key_id(house->signer), TLS_KEY_ID));
    if (known)
        assert_int_equal(tls_key_sign(house->signer, ask.scheme, ask.content, false, signature, &n), STATUS_OK);
    tell_signature_put(&body, &(struct tell_signature){ ask.token, known ? SIGN_OK : SIGN_UNKNOWN_KEY, span_of(signature, n) });
    channel_send(house->directory, TELL_SIGNATURE, buf_span(&body));
}

static inline void house_on_message(void *arg, struct channel *channel, struct channel_message *message)
{
    struct house *house = arg;
    if (channel == house->queue)
        house_on_queue(house, message);
    else if (channel == house->directory && message->kind == ASK_SIGN)
        house_sign(house, message->body);
    else if (channel == house->directory)
        house_on_directory(house, message);
    else {
        house->ready += message->kind == SUPERVISOR_READY;
        house->drained += message->kind == SUPERVISOR_DRAINED;
        house->failed += message->kind == SUPERVISOR_FAILED;
    }
}

static inline void house_on_closed(void *arg, struct channel *channel, enum status why)
{
    struct house *house = arg;
    if (channel == house->supervisor)
        house->is_gone = true;
}

static const struct channel_events house_events = { house_on_message, house_on_closed };

/* One turn; what was sent outside of any leaves first. */
static inline void house_turn(struct house *house)
{
    channel_flush(house->supervisor);
    if (house->queue)
        channel_flush(house->queue);
    if (house->directory)
        channel_flush(house->directory);
    loop_turn(house->loop, 100);
}

/* Turns until `*counter` is at least `least`; a minute of silence is a failure. */
static inline void house_wait(struct house *house, const unsigned *counter, unsigned least)
{
    int64_t until = loop_now_ms(house->loop) + 60000;
    while (*counter < least && loop_now_ms(house->loop) < until)
        house_turn(house);
    assert_true(*counter >= least);
}

static inline struct channel *house_peer(struct house *house, enum role role)
{
    int pair[2];
    AUTO(buf_done) struct buf body = BUF_EMPTY(64);
    assert_int_equal(channel_pair(pair), STATUS_OK);
    supervisor_peer_put(&body, &(struct supervisor_peer){ role, 0, 1 });
    channel_send_fds(house->supervisor, SUPERVISOR_PEER, buf_span(&body), &pair[1], 1);
    close(pair[1]);
    return channel_new(house->loop, pair[0], &house_events, house);
}

static inline void house_queue(struct house *house)
{
    AUTO(buf_done) struct buf body = BUF_EMPTY(64);
    house->queue = house_peer(house, ROLE_QUEUE);
    queue_welcome_put(&body, &(struct queue_welcome){ 3, 0 });
    channel_send(house->queue, QUEUE_WELCOME, buf_span(&body));
}

static inline void house_state(struct house *house, bool accepting)
{
    AUTO(buf_done) struct buf body = BUF_EMPTY(64);
    queue_state_put(&body, &(struct queue_state){ accepting, SPAN("a test") });
    channel_send(house->queue, QUEUE_STATE, buf_span(&body));
}

static inline void house_directory(struct house *house)
{
    AUTO(buf_done) struct buf body = BUF_EMPTY(64);
    house->directory = house_peer(house, ROLE_DIRECTORY);
    tell_mechanisms_put(&body, &(struct tell_mechanisms){ SPAN("PLAIN LOGIN") });
    channel_send(house->directory, TELL_MECHANISMS, buf_span(&body));
}

/* Rows of `listen`: 0 submission with STARTTLS, 1 submission with implicit TLS, 2 relay, 3 relay
 * behind a proxy. */
static inline void house_settings(struct house *house, const char *more)
{
    AUTO(buf_done) struct buf text = BUF_EMPTY(8192), body = BUF_EMPTY(64);
    buf_printf(&text,
               "hostname: mx.example.org\nlisten:\n"
               "  - { address: \"127.0.0.1:1\", service: submission }\n"
               "  - { address: \"127.0.0.1:2\", service: submission, tls: implicit }\n"
               "  - { address: \"127.0.0.1:3\", service: relay }\n"
               "  - { address: \"127.0.0.1:4\", service: relay, proxy-from: [127.0.0.1] }\n%s\n",
               more);
    struct supervisor_blob blob = { SPAN("self-signed-certificate"), buf_span(&house->certificate) };
    role_settings(house->supervisor, buf_span(&text), &blob);
    for (uint32_t i = 0; i < HOUSE_DOORS; i++) {
        buf_clear(&body);
        supervisor_listener_put(&body, &(struct supervisor_listener){ i });
        channel_send_fds(house->supervisor, SUPERVISOR_LISTENER, buf_span(&body), &house->listeners[i], 1);
    }
}

/* A certificate and its key, instead of those before. */
static inline void house_new_key(struct house *house)
{
    char error[TLS_ERROR_SIZE];
    tls_key_unref(house->signer);
    buf_clear(&house->certificate);
    buf_clear(&house->key);
    assert_int_equal(tls_self_signed("mx.example.org", 10, &house->certificate, &house->key), STATUS_OK);
    assert_int_equal(tls_key_new(buf_span(&house->key), error, &house->signer), STATUS_OK);
}

static inline void house_begin(struct house *house, const char *more)
{
    int supervisor;
    *house = (struct house){ .certificate = BUF_EMPTY(65536), .key = BUF_EMPTY(65536), .recipients = BUF_EMPTY(65536),
                             .sender = BUF_EMPTY(4096), .account = BUF_EMPTY(4096) };
    house->child = role_begin(smtpd_main, &supervisor);
    house->loop = loop_new();
    house->supervisor = channel_new(house->loop, supervisor, &house_events, house);
    house_new_key(house);
    for (unsigned i = 0; i < HOUSE_DOORS; i++) {
        assert_int_equal(net_address_parse(SPAN("127.0.0.1:0"), 1, &house->at[i]), STATUS_OK);
        assert_int_equal(listen_open(&house->at[i], &(struct listen_options){ 0 }, &house->listeners[i]), STATUS_OK);
        assert_int_equal(net_address_local(house->listeners[i], &house->at[i]), STATUS_OK);
    }
    house_settings(house, more);
    house_queue(house);
    house_directory(house);
    channel_send(house->supervisor, SUPERVISOR_START, SPAN_NONE);
    house_wait(house, &house->ready, 1);
    house_wait(house, &house->segments, 2);
}

/* Ends the process in order and looks at its exit status, sanitizers included. */
static inline void house_end(struct house *house)
{
    channel_send(house->supervisor, SUPERVISOR_DRAIN, SPAN_NONE);
    house_wait(house, &house->drained, 1);
    assert_int_equal(role_end(house->child), 0);
    channel_free(house->supervisor);
    if (house->queue)
        channel_free(house->queue);
    if (house->directory)
        channel_free(house->directory);
    for (unsigned i = 0; i < HOUSE_DOORS; i++)
        close(house->listeners[i]);
    for (unsigned i = 1; i <= house->segment_number; i++)
        close(house->segment_fd[i]);
    for (unsigned i = 1; i <= house->bodies; i++)
        close(house->body_fd[i]);
    buf_done(&house->certificate);
    buf_done(&house->key);
    tls_key_unref(house->signer);
    buf_done(&house->recipients);
    buf_done(&house->sender);
    buf_done(&house->account);
    loop_free(house->loop);
}

/* -- guests -- */

static inline void guest_on_readable(void *arg, struct stream *stream, struct span input)
{
    struct guest *guest = arg;
    buf_add(&guest->heard, input);
    stream_consume(stream, input.n);
}

static inline void guest_on_tls(void *arg, struct stream *stream) { ((struct guest *)arg)->tls = true; }

static inline void guest_on_end(void *arg, struct stream *stream, enum status why)
{
    struct guest *guest = arg;
    guest->closed = true;
    stream_free(stream);
    guest->stream = NULL;
}

static const struct stream_events guest_events = { guest_on_readable, NULL, guest_on_tls, guest_on_end };

static inline void guest_begin(struct guest *guest, struct house *house, unsigned door)
{
    *guest = (struct guest){ .heard = BUF_EMPTY(16u << 20) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, &house->at[door].as.any, house->at[door].n), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    guest->stream = stream_new(house->loop, fd, &guest_events, guest);
    assert_non_null(guest->stream);
}

static inline void guest_end(struct guest *guest)
{
    stream_free(guest->stream);
    buf_done(&guest->heard);
}

static inline void guest_tls(struct guest *guest, struct house *house)
{
    char error[TLS_ERROR_SIZE];
    struct tls_client *client;
    assert_int_equal(tls_client_new(&(struct tls_client_settings){ 0 }, error, &client), STATUS_OK);
    assert_int_equal(stream_start_tls_client(guest->stream, client, &(struct tls_wish){ .name = "mx.example.org" }), STATUS_OK);
    tls_client_unref(client);
    int64_t until = loop_now_ms(house->loop) + 60000;
    while (!guest->tls && !guest->closed && loop_now_ms(house->loop) < until)
        house_turn(house);
    assert_true(guest->tls);
}

/* Waits until `text` was heard; forgets everything up to its end. */
static inline void guest_hears(struct guest *guest, struct house *house, const char *text)
{
    int64_t until = loop_now_ms(house->loop) + 60000;
    for (;;) {
        struct span heard = buf_span(&guest->heard);
        size_t at = span_find_span(heard, span_str(text));
        if (at < heard.n) {
            buf_drop(&guest->heard, at + strlen(text));
            return;
        }
        if (guest->closed || loop_now_ms(house->loop) >= until)
            fail_msg("heard \"%.*s\", not \"%s\"", SPAN_ARGS(heard), text);
        house_turn(house);
    }
}

static inline void guest_says(struct guest *guest, const char *text)
{
    assert_non_null(guest->stream);
    assert_int_equal(stream_write(guest->stream, span_str(text)), STATUS_OK);
    stream_flush(guest->stream);
}

/* Says one thing and waits for the answer. */
static inline void guest_talks(struct guest *guest, struct house *house, const char *says, const char *hears)
{
    guest_says(guest, says);
    guest_hears(guest, house, hears);
}

static inline void guest_sees_close(struct guest *guest, struct house *house)
{
    int64_t until = loop_now_ms(house->loop) + 60000;
    while (!guest->closed && loop_now_ms(house->loop) < until)
        house_turn(house);
    assert_true(guest->closed);
}

static inline bool has(struct span text, const char *what) { return span_find_span(text, span_str(what)) < text.n; }

static inline void relay_begin(struct guest *guest, struct house *house)
{
    guest_begin(guest, house, 2);
    guest_hears(guest, house, "220 ");
    guest_talks(guest, house, "EHLO c\r\n", "250 HELP\r\n");
}

/* Says an octet again and again until it hears this. */
static inline void drip(struct guest *guest, struct house *house, const char *octet, const char *until)
{
    int64_t next = 0; /* slowly: half a command must not become too long */
    while (!has(buf_span(&guest->heard), until)) {
        assert_false(guest->closed);
        if (loop_now_ms(house->loop) >= next) {
            guest_says(guest, octet);
            next = loop_now_ms(house->loop) + 20;
        }
        house_turn(house);
    }
}
