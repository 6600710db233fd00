#include "conf/parse.h"
#include "policy/recipient.h"
#include "policy/sender.h"
#include "room.h"

static const struct policy_settings *settings;

static bool owns(void *arg, struct span key)
{
    return span_eq(key, SPAN("info@example.org"));
}

/* As himself, by a plus-address, by an alias, and as somebody else. */
static void sender(void)
{
    static const struct { const char *address; enum status verdict; } rows[] = {
        { "anna@example.org", STATUS_OK }, { "anna+shop@Example.org", STATUS_OK }, { "info@example.org", STATUS_OK },
        { "bob@example.org", STATUS_DENIED },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct policy_sender_question question = { SPAN("anna@example.org"), span_str(rows[i].address), false };
        room_must(policy_sender_check(&question, owns, NULL) == rows[i].verdict);
    }
}

static void recipient_begin(void)
{
    static const char text[] = "domains:\n"
                               "  - { name: example.org, recipients: [anna, info] }\n"
                               "  - { name: example.net, recipients: [\"*\"] }\n"
                               "  - name: example.edu\n";
    struct conf_faults faults;
    conf_faults_init(&faults, "goniec.conf");
    struct conf *conf = conf_parse(&policy_settings_section, span_str(text), 0, &faults);
    room_must(conf != NULL);
    settings = conf_values(conf);
}

static void recipient(void)
{
    static const struct { const char *address; enum policy_recipient verdict; } rows[] = {
        { "anna+news@example.org", POLICY_RECIPIENT_KNOWN }, { "anybody@example.net", POLICY_RECIPIENT_KNOWN },
        { "carol@example.edu", POLICY_RECIPIENT_ASK }, { "dave@example.com", POLICY_RECIPIENT_ELSEWHERE },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        room_must(policy_recipient_check(settings, span_str(rows[i].address)) == rows[i].verdict);
}

static const struct room_work works[] = {
    { "sender-4", NULL, sender },
    { "recipient-4", recipient_begin, recipient },
};
ROOM_MAIN(works)
