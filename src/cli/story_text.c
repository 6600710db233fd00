/* A story told: a sentence for each event that has one. */
#include "base/id.h"
#include "base/time.h"
#include "cli/story_priv.h"
#include "mail/status_code.h"
#include <time.h>

#define TEXT_MAX 1200 /* octets of one field that are shown */

struct teller {
    struct buf *out;
    const json_t *event;
    const struct story *story;
    unsigned indent;
    char day[32];
};

static void say(struct teller *t, const char *text) { buf_add_str(t->out, text); }

/* Somebody else's text, harmless for a terminal. */
static void say_safe(struct teller *t, struct span text)
{
    for (size_t i = 0; i < text.n && i < TEXT_MAX; i++) {
        unsigned char c = (unsigned char)text.p[i];
        bool c1 = c == 0xC2 && i + 1 < text.n && (unsigned char)text.p[i + 1] < 0xA0;
        bool blank = c == '\n' || c == '\r' || c == '\t';
        i += c1;
        buf_add_char(t->out, blank ? ' ' : c1 || c < ' ' || c == 0x7F ? '?' : (char)c);
    }
    if (text.n > TEXT_MAX)
        say(t, "...");
}

static struct span span_in(const json_t *event, const char *name)
{
    const json_t *value = json_object_get(event, name);
    return span_of(json_string_value(value), json_string_length(value));
}

static bool has(const struct teller *t, const char *name)
{
    const json_t *value = json_object_get(t->event, name);
    return json_is_string(value) ? json_string_length(value) > 0 : json_is_true(value) || json_integer_value(value) != 0;
}

/* `before`, the field, `behind`; nothing when it is empty. */
static void say_field(struct teller *t, const char *before, const char *name, const char *behind)
{
    if (!has(t, name))
        return;
    say(t, before);
    const json_t *value = json_object_get(t->event, name);
    if (json_is_string(value))
        say_safe(t, span_in(t->event, name));
    else if (json_is_integer(value))
        buf_printf(t->out, "%lld", (long long)json_integer_value(value));
    say(t, behind);
}

static void say_octets(struct teller *t, int64_t octets)
{
    if (octets < 1024)
        buf_printf(t->out, "%lld octets", (long long)octets);
    else if (octets < 1 << 20)
        buf_printf(t->out, "%.1f KiB", (double)octets / 1024);
    else
        buf_printf(t->out, "%.1f MiB", (double)octets / (1 << 20));
}

static void say_duration(struct teller *t, int64_t ms)
{
    if (ms < 100)
        buf_printf(t->out, "%lld ms", (long long)ms);
    else if (ms < 10 * TIME_SECOND_MS)
        buf_printf(t->out, "%.1f s", (double)ms / 1000);
    else if (ms < 2 * TIME_MINUTE_MS)
        buf_printf(t->out, "%lld s", (long long)(ms / TIME_SECOND_MS));
    else if (ms < 2 * TIME_HOUR_MS)
        buf_printf(t->out, "%lld min", (long long)(ms / TIME_MINUTE_MS));
    else
        buf_printf(t->out, "%lld h", (long long)(ms / TIME_HOUR_MS));
}

static void say_moment(struct teller *t, int64_t wall_ms)
{
    char text[64];
    struct tm tm = { 0 };
    time_t when = (time_t)(wall_ms / 1000);
    localtime_r(&when, &tm);
    strftime(text, sizeof text, "%a %d %b %H:%M:%S", &tm);
    say(t, text);
}

/* "2026-11-23T14:20:07.123Z". False: it is none. */
static bool stamp_parse(const char *stamp, time_t *ret)
{
    struct tm tm = { 0 };
    if (!strptime(stamp, "%Y-%m-%dT%H:%M:%S", &tm))
        return false;
    *ret = timegm(&tm);
    return true;
}

static void say_indent(struct teller *t, unsigned more) { buf_printf(t->out, "%*s", (int)(t->indent + more), ""); }

/* A further line of the same event. */
static void say_below(struct teller *t, const char *text)
{
    say(t, "\n");
    say_indent(t, 12);
    say(t, text);
}

static const char *address_name(const struct teller *t) { return has(t, "address") ? "address" : "ip"; }
static bool has_server(const struct teller *t) { return has(t, "host") || has(t, address_name(t)); }

static void say_server(struct teller *t)
{
    const char *address = address_name(t);
    bool named = has(t, "host") && !span_eq(span_in(t->event, "host"), span_in(t->event, address));
    say_safe(t, span_in(t->event, named ? "host" : address));
    say_field(t, named ? " (" : "", named ? address : "", "");
    if (has(t, address))
        say_field(t, ":", "port", "");
    say(t, named && has(t, address) ? ")" : "");
}

/* "550 5.1.1 No such user"; the enhanced code only once. */
static void say_words(struct teller *t)
{
    const char *status = text_of(t->event, "status");
    struct span text = span_in(t->event, has(t, "text") ? "text" : "reply"), words = text;
    struct status_code code;
    if (text.n == 0 && !has(t, "code"))
        return;
    say_below(t, is(t->event, "event", "refused") ? "We said: " : has(t, "code") ? "It said: " : "The reason: ");
    say_field(t, "", "code", " ");
    if (has(t, "code") && *status && !status_code_take(&words, &code)) {
        say_safe(t, span_str(status));
        say(t, " ");
    }
    say_safe(t, text);
}

/* Addresses with blanks between them. */
static void say_list(struct teller *t, struct span list)
{
    struct span one;
    for (bool first = true; span_cut(&list, ' ', &one); first = false) {
        say(t, first ? "" : ", ");
        say_safe(t, one);
    }
}

static void say_recipient(struct teller *t)
{
    if (has(t, "recipient"))
        say_safe(t, span_in(t->event, "recipient"));
    else if (has(t, "to"))
        say_list(t, span_in(t->event, "to"));
    else if (has(t, "domain"))
        say_field(t, "everybody at ", "domain", "");
    else
        say(t, "all recipients");
}

static void say_sender(struct teller *t)
{
    struct span from = span_in(t->event, has(t, "from") ? "from" : "sender");
    if (from.n)
        say_safe(t, from);
    else
        say(t, "the null sender");
}

static void on_accepted(struct teller *t)
{
    char id[ID_TEXT_SIZE];
    if (is(t->event, "about", id_text(t->story->id, id))) {
        say(t, "A report about it was written for ");
        say_recipient(t);
        say_field(t, ": ", "id", "");
        return;
    }
    say(t, has(t, "about") ? "A report was written" : "Accepted from ");
    if (has(t, "about"))
        say_field(t, " about ", "about", "");
    else
        say_sender(t);
    say(t, " for ");
    say_recipient(t);
    say(t, ", ");
    say_octets(t, number_of(t->event, "octets"));
    if (has(t, "account") || has(t, "client") || has(t, "protocol")) {
        say_below(t, "Login: ");
        say(t, has(t, "account") ? "" : "none");
        say_field(t, "", "account", "");
        say_field(t, "; client: ", "client", "");
        say_field(t, " (", "helo", ")");
        say_field(t, "; by ", "protocol", "");
        say(t, json_is_true(json_object_get(t->event, "tls")) ? "; encrypted" : "");
        if (json_is_string(json_object_get(t->event, "tls")))
            say_field(t, "; encrypted: ", "tls", "");
    }
    if (json_is_true(json_object_get(t->event, "gone")))
        say_below(t, "The client went away before it heard so: it may send the message again.");
}

/* By the kernel's word first, then by the program's. */
static void on_handed_in(struct teller *t)
{
    say(t, "Handed in on this machine by ");
    say_field(t, "", "user", " ");
    buf_printf(t->out, "(uid %lld", (long long)number_of(t->event, "uid"));
    say_field(t, ", process ", "client_pid", "");
    say(t, ")");
    say_field(t, ", account ", "account", "");
    if (has(t, "cgroup")) {
        say_below(t, "");
        say_field(t, "Control group: ", "cgroup", "");
    }
    static const struct {
        const char *before, *name;
    } said[] = {
        { "It said that it is: ", "said_command" }, { "It said that it was called by: ", "said_parent" },
        { "It said that its folder is: ", "said_directory" }, { "It said that its script is: ", "said_script" },
        { "It said that its site is: ", "said_site" },
    };
    for (size_t i = 0; i < ARRAY_LEN(said); i++)
        if (has(t, said[i].name)) {
            say_below(t, said[i].before);
            say_field(t, "", said[i].name, "");
        }
}

static void on_delivered(struct teller *t)
{
    say(t, "Delivered to ");
    say_recipient(t);
    if (has_server(t)) {
        say(t, ": ");
        say_server(t);
        say(t, " took it");
    }
    if (has(t, "ms") || has(t, "took_ms")) {
        say(t, " in ");
        say_duration(t, number_of(t->event, has(t, "ms") ? "ms" : "took_ms"));
    }
    say_words(t);
    if (has(t, "host") || has(t, "tls"))
        say_below(t, has(t, "tls") ? "Encrypted: " : "The connection was not encrypted.");
    say_field(t, "", "tls", "");
    if (json_is_false(json_object_get(t->event, "verified")) && has(t, "tls"))
        say(t, " (the server's certificate was not verified)");
}

static void on_deferred(struct teller *t)
{
    say(t, "Not delivered yet to ");
    say_recipient(t);
    say(t, ": ");
    if (has(t, "code") && has_server(t)) {
        say_server(t);
        say(t, " asks to try again later");
    } else if (has(t, "domain")) {
        say(t, "its servers could not be found");
    } else {
        say(t, "no server could take it");
        if (has_server(t)) {
            say(t, "; the last one tried was ");
            say_server(t);
        }
    }
    say_words(t);
}

static void say_meaning(struct teller *t)
{
    struct span status = span_str(text_of(t->event, "status"));
    struct status_code code;
    if (!status_code_take(&status, &code))
        return;
    say_below(t, "That means: ");
    say(t, status_code_meaning(code));
}

static void on_failed(struct teller *t)
{
    say(t, "Could not be delivered to ");
    say_recipient(t);
    if (has(t, "code") && has_server(t)) {
        say(t, ": ");
        say_server(t);
        say(t, " refused it");
    }
    say_words(t);
    say_meaning(t);
}

static void on_waiting(struct teller *t)
{
    say(t, "Waits");
    say_field(t, " (", "domain", ")");
    if (has(t, "until")) {
        say(t, " until ");
        say_moment(t, number_of(t->event, "until"));
    }
    say(t, " for the next attempt");
    say_field(t, "; attempts so far: ", "attempt", "");
    say_words(t);
}

static void on_reported(struct teller *t)
{
    static const struct { const char *name, *words; } rows[] = {
        { "failed", "could not be delivered" }, { "delayed", "is late" }, { "delivered", "was delivered" },
        { "relayed", "was passed on" }, { "bounced", "could not be delivered" },
        { "reported-delivered", "was delivered" }, { "reported-relayed", "was passed on" },
        { "expired", "could not be delivered in time" },
    };
    say(t, has(t, "to") ? "" : "The sender");
    say_field(t, "", "to", "");
    say(t, " was told that the message");
    say_field(t, " to ", "recipient", "");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (is(t->event, "why", rows[i].name) || is(t->event, "event", rows[i].name))
            buf_printf(t->out, " %s", rows[i].words);
    say_field(t, "; the report is message ", "report", "");
}

/* A server that was tried and did not do; the next one, or the next time, may be better. */
static void on_trouble(struct teller *t)
{
    say_server(t);
    if (is(t->event, "event", "tls-given-up"))
        say(t, " could not be spoken to in TLS; it is tried without");
    else
        say(t, is(t->event, "event", "session-lost") ? ": the connection was lost" : " could not be used");
    say_words(t);
}

static void on_given_up(struct teller *t)
{
    if (has(t, "report")) {
        on_reported(t);
        return;
    }
    say(t, is(t->event, "event", "expired") ? "Given up, as it could not be delivered in time, for " : "Given up for ");
    say_recipient(t);
    say_field(t, ": ", "why", "");
    say_words(t);
}

static void on_operator(struct teller *t)
{
    static const struct { const char *event, *words; } rows[] = {
        { "held", "Stopped (it waits until somebody releases it)" }, { "released", "Released" },
        { "retried", "Told to be tried now" }, { "rerouted", "Sent another way" }, { "deleted", "Deleted" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (is(t->event, "event", rows[i].event))
            say(t, rows[i].words);
    say_field(t, " for ", has(t, "recipient") ? "recipient" : "domain", "");
    say_field(t, " by ", "by", "");
    say_field(t, ", ", "route", "");
    say_field(t, ": ", "why", "");
}

/* Never became a message: what a client asked for and did not get. */
static void on_refused(struct teller *t)
{
    say(t, "Refused");
    say_field(t, " at ", "at", "");
    say_field(t, ", from ", "from", "");
    say_field(t, ", to ", "to", "");
    say_words(t);
    if (has(t, "account") || has(t, "client")) {
        say_below(t, "Login: ");
        say(t, has(t, "account") ? "" : "none");
        say_field(t, "", "account", "");
        say_field(t, "; client: ", "client", "");
    }
}

static void on_caught(struct teller *t)
{
    say(t, "Kept for looking at, by a route, instead of being delivered to ");
    say_recipient(t);
    say_words(t);
}

static void on_done(struct teller *t) { say(t, "Nothing is left to be done for it."); }

/* No sentence for this one: all that it says. */
static void on_other(struct teller *t)
{
    static const char *const known[] = { "time", "level", "role", "pid", "event", "id" };
    const char *name;
    json_t *value;
    unsigned n = 0;
    say_safe(t, span_in(t->event, "event"));
    json_object_foreach((json_t *)(uintptr_t)t->event, name, value) {
        bool skip = false;
        for (size_t i = 0; i < ARRAY_LEN(known); i++)
            skip |= strcmp(name, known[i]) == 0;
        if (skip || !has(t, name))
            continue;
        say(t, n++ ? ", " : ": ");
        say_safe(t, span_str(name));
        say_field(t, " ", name, "");
    }
}

static const struct telling {
    const char *event;
    void (*tell)(struct teller *t);
} tellings[] = {
    { "accepted", on_accepted }, { "handed-in", on_handed_in }, { "delivered", on_delivered }, { "deferred", on_deferred }, { "failed", on_failed },
    { "waiting", on_waiting },   { "expired", on_given_up },    { "dropped", on_given_up },  { "reported", on_reported },
    { "held", on_operator },     { "released", on_operator },   { "retried", on_operator },  { "rerouted", on_operator },
    { "deleted", on_operator },  { "caught", on_caught },       { "done", on_done },
    { "bounced", on_reported },  { "delayed", on_reported },    { "reported-delivered", on_reported },
    { "reported-relayed", on_reported }, { "host-failed", on_trouble }, { "session-lost", on_trouble },
    { "tls-given-up", on_trouble }, { "refused", on_refused },
};

/* The local day and time of the event; the day only where it changes. */
static void say_time(struct teller *t)
{
    struct tm tm = { 0 };
    time_t when = 0;
    char day[32] = "", clock[32] = "--------";
    if (stamp_parse(text_of(t->event, "time"), &when)) {
        localtime_r(&when, &tm);
        strftime(day, sizeof day, "%A %d %B %Y", &tm);
        strftime(clock, sizeof clock, "%H:%M:%S", &tm);
    }
    if (strcmp(day, t->day) != 0) {
        say_indent(t, 0);
        buf_printf(t->out, "%s\n", day);
        memcpy(t->day, day, sizeof day);
    }
    say_indent(t, 2);
    buf_printf(t->out, "%-8s  ", clock);
}

/* Recipients whose last event was final. */
static int64_t ended(const struct story *story, int64_t *ret_all, bool *ret_done)
{
    static const char *const finals[] = { "delivered", "failed", "caught", "expired", "bounced" };
    size_t i;
    json_t *event, *last = json_object();
    int64_t count = 0;
    *ret_all = 0;
    *ret_done = false;
    json_array_foreach(story->events, i, event) {
        bool final = false;
        for (size_t n = 0; n < ARRAY_LEN(finals); n++)
            final |= is(event, "event", finals[n]);
        if (*text_of(event, "recipient") && (final || is(event, "event", "deferred")))
            json_object_set_new(last, text_of(event, "recipient"), json_boolean(final));
        if (is(event, "event", "dropped") || is(event, "event", "deleted"))
            count += number_of(event, "recipients");
        if (is(event, "event", "accepted") && !*text_of(event, "about"))
            *ret_all = number_of(event, "recipients");
        *ret_done |= is(event, "event", "done");
    }
    const char *name;
    json_object_foreach(last, name, event)
        count += json_is_true(event);
    json_decref(last);
    return count;
}

bool story_is_over(const struct story *story)
{
    int64_t all = 0;
    bool done = false;
    int64_t over = ended(story, &all, &done);
    return done || (all > 0 && over >= all);
}

/* One recipient that the queue still has. */
static void say_waiting(struct teller *t)
{
    time_t next = 0;
    say_indent(t, 4);
    say_field(t, "", "address", ": ");
    say_field(t, "", "state", "");
    if (stamp_parse(text_of(t->event, "next"), &next)) {
        say(t, ", next attempt ");
        say_moment(t, next * TIME_SECOND_MS);
    }
    say_field(t, ", attempts so far: ", "attempts", "");
    say_field(t, "; held by ", "held_by", "");
    say_field(t, ": ", "why", "");
    say_field(t, "; sent by the route ", "route", "");
    if (has(t, "text") || has(t, "code"))
        say_below(t, "Last time");
    if (has(t, "text") || has(t, "code"))
        say_field(t, " ", "host", "");
    say_field(t, ": ", "code", "");
    say_field(t, " ", "text", "");
    say(t, "\n");
}

static void say_now(struct teller *t)
{
    size_t i;
    json_t *recipient;
    say_indent(t, 2);
    say(t, "Now in the queue:\n");
    json_array_foreach(json_object_get(t->story->now, "recipients"), i, recipient) {
        t->event = recipient;
        say_waiting(t);
    }
    if (json_is_true(json_object_get(t->story->now, "more"))) {
        say_indent(t, 4);
        say(t, "... and more of them\n");
    }
}

static void story_end(struct teller *t)
{
    int64_t all = 0;
    bool done = false;
    int64_t over = ended(t->story, &all, &done);
    if (t->story->now) {
        say_now(t);
        return;
    }
    if (done || all == 0)
        return;
    say_indent(t, 12);
    if (over >= all)
        say(t, "Nothing is left to be done for it.\n");
    else
        buf_printf(t->out, "%lld of %lld recipients are still to be reached.\n", (long long)(all - over), (long long)all);
}

void story_text(const struct story *story, unsigned indent, struct buf *ret)
{
    struct teller t = { .out = ret, .story = story, .indent = indent };
    size_t i;
    json_t *event;
    json_array_foreach(story->events, i, event) {
        void (*tell)(struct teller *) = on_other;
        t.event = event;
        for (size_t n = 0; n < ARRAY_LEN(tellings); n++)
            if (is(event, "event", tellings[n].event))
                tell = tellings[n].tell;
        say_time(&t);
        tell(&t);
        say(&t, "\n");
    }
    story_end(&t);
}
