#include "intake/intake.h"
#include "message.h"
#include "room.h"

static struct intake intake;
static struct buf enqueue = { NULL, 0, 0, 1u << 20, false };
static uint64_t ids;

static void begin(void)
{
    intake_init(&intake, 1u << 20);
}

/* Everything but the disk: from the envelope to what is told to the queue. */
static void message(bool submission)
{
    struct intake_facts facts = {
        .hostname = SPAN("mail.example.org"), .helo = SPAN("laptop.example.org"), .client_address = SPAN("192.0.2.7"),
        .protocol = SPAN("ESMTPSA"), .tls_version = SPAN("TLSv1.3"), .tls_cipher = SPAN("TLS_AES_256_GCM_SHA384"), .tls_bits = 256,
        .account = submission ? SPAN("anna@example.org") : SPAN_NONE, .submission = submission, .ret = SPOOL_RET_NONE,
        .max_hops = 50, .id = ++ids, .now_wall_ms = INT64_C(1795443607000),
    };
    intake_clear(&intake);
    room_must(intake_sender(&intake, SPAN("anna@example.org")) == STATUS_OK);
    room_must(intake_recipient(&intake, SPAN("bob@example.com"), SPAN_NONE, 0) == STATUS_OK);
    room_must(intake_take(&intake, room_message()) == STATUS_OK);
    room_must(intake_header(&intake, &facts) == STATUS_OK);
    room_must(intake_compose(&intake, &facts) == STATUS_OK);
    buf_clear(&enqueue);
    intake_announce(&intake, &enqueue);
}

static void relay(void)
{
    message(false);
}

static void submission(void)
{
    message(true);
    room_must(intake_from_count(&intake) == 1);
}

static const struct room_work works[] = {
    { "relay", begin, relay },
    { "submission", begin, submission },
};
ROOM_MAIN(works)
