#include "limits/words.h"
#include "base/time.h"
#include <inttypes.h>
#include <time.h>

static bool is_octets(unsigned what) { return what == LIMITS_BYTES || what == LIMITS_QUEUED_BYTES; }

/* One and many in English; after "limit 1 ..." and "limit 5 ..." in Polish (genitive). */
static const struct {
    const char *one, *many, *one_pl, *many_pl;
} nouns[LIMITS_WHAT_COUNT] = {
    [LIMITS_MESSAGES] = { "message", "messages", "wiadomości", "wiadomości" },
    [LIMITS_RECIPIENTS] = { "recipient", "recipients", "odbiorcy", "odbiorców" },
    [LIMITS_BYTES] = { "octet", "octets", "wysłanych danych", "wysłanych danych" },
    [LIMITS_NEW_RECIPIENTS] = { "new recipient", "new recipients", "nowego odbiorcy", "nowych odbiorców" },
    [LIMITS_FAILURES] = { "failed recipient", "failed recipients", "niedoręczonego adresata", "niedoręczonych adresatów" },
    [LIMITS_CONNECTIONS] = { "connection", "connections", "połączenia", "połączeń" },
    [LIMITS_LOGINS] = { "login", "logins", "logowania", "logowań" },
    [LIMITS_QUEUED] = { "queued message", "queued messages", "czekającej wiadomości", "czekających wiadomości" },
    [LIMITS_QUEUED_BYTES] = { "queued octets", "queued octets", "danych w kolejce", "danych w kolejce" },
};

static const struct period {
    int64_t ms;
    const char *per, *per_pl, *last;
} periods[] = {
    { TIME_MINUTE_MS, "per minute", "na minutę", "60 s" },
    { TIME_HOUR_MS, "per hour", "na godzinę", "60 min" },
    { TIME_DAY_MS, "per day", "na dobę", "24 h" },
};

static const struct period *find_period(int64_t ms)
{
    for (size_t i = 0; i < ARRAY_LEN(periods); i++)
        if (periods[i].ms == ms)
            return &periods[i];
    return NULL;
}

/* "10 min": units that both languages write alike. */
static void write_time(int64_t ms, struct buf *ret)
{
    static const struct {
        int64_t ms;
        const char *name;
    } units[] = { { TIME_DAY_MS, "d" }, { TIME_HOUR_MS, "h" }, { TIME_MINUTE_MS, "min" }, { TIME_SECOND_MS, "s" }, { 1, "ms" } };
    const struct period *period = find_period(ms);
    size_t i = 0;
    while (ms % units[i].ms)
        i++;
    if (period)
        buf_add_str(ret, period->last);
    else
        buf_printf(ret, "%" PRId64 " %s", ms / units[i].ms, units[i].name);
}

/* "300 ", or "1.5 GiB " of octets. */
static void write_amount(unsigned what, uint64_t n, enum limits_language language, struct buf *ret)
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
    if (!is_octets(what)) {
        buf_printf(ret, "%" PRIu64, n);
        return;
    }
    unsigned unit = 0;
    while (unit + 1 < ARRAY_LEN(units) && n >> 10 * (unit + 1))
        unit++;
    uint64_t whole = n >> 10 * unit, rest = n - (whole << 10 * unit);
    uint64_t tenth = unit ? rest * 10 >> 10 * unit : 0; /* rounded down: no room is promised that is not there */
    if (tenth)
        buf_printf(ret, "%" PRIu64 "%s%" PRIu64 " %s", whole, language == LIMITS_POLISH ? "," : ".", tenth, units[unit]);
    else
        buf_printf(ret, "%" PRIu64 " %s", whole, units[unit]);
}

static const char *noun(unsigned what, uint64_t n, enum limits_language language)
{
    if (language == LIMITS_POLISH)
        return n == 1 ? nouns[what].one_pl : nouns[what].many_pl;
    return n == 1 ? nouns[what].one : nouns[what].many;
}

void limits_words_limit(const struct limits_rule *rule, enum limits_language language, struct buf *ret)
{
    bool polish = language == LIMITS_POLISH;
    write_amount(rule->what, rule->amount, language, ret);
    if (!is_octets(rule->what))
        buf_printf(ret, " %s", noun(rule->what, rule->amount, language));
    else if (rule->what == LIMITS_QUEUED_BYTES || polish)
        buf_printf(ret, " %s", rule->what == LIMITS_QUEUED_BYTES && !polish ? "queued" : noun(rule->what, 2, language));
    const struct period *period = find_period(rule->per_ms);
    if (period) {
        buf_printf(ret, " %s", polish ? period->per_pl : period->per);
    } else if (rule->per_ms) {
        buf_add_str(ret, polish ? " na " : " in ");
        write_time(rule->per_ms, ret);
    }
    if (rule->burst) {
        buf_add_str(ret, polish ? " (najwyżej " : " (at most ");
        write_amount(rule->what, rule->burst, language, ret);
        buf_add_str(ret, polish ? " naraz)" : " at once)");
    }
}

/* Of a name nothing may break the line, or the terminal of who reads it. */
static void write_name(const struct limits_node *node, bool ascii, struct buf *ret)
{
    static const char *const before[LIMITS_KIND_COUNT] = {
        [LIMITS_CREDENTIAL] = "credential ", [LIMITS_SENDER] = "", [LIMITS_DOMAIN] = "domain ",
        [LIMITS_CUSTOMER] = "customer ", [LIMITS_SERVER] = "server ",
    };
    static const char *const before_pl[LIMITS_KIND_COUNT] = {
        [LIMITS_CREDENTIAL] = "hasła ", [LIMITS_SENDER] = "", [LIMITS_DOMAIN] = "domeny ",
        [LIMITS_CUSTOMER] = "klienta ", [LIMITS_SERVER] = "serwera ",
    };
    struct span name = span_head(node->name, 200);
    bool good = span_is_utf8(name);
    buf_add_str(ret, ascii ? before[node->kind] : before_pl[node->kind]);
    for (size_t i = 0; i < name.n; i++) {
        unsigned char c = (unsigned char)name.p[i];
        buf_add_char(ret, c < 0x20 || c == 0x7f || (c >= 0x80 && (ascii || !good)) ? '?' : (char)c);
    }
}

/* "60 min", in both languages; a level is what waits now. */
static void write_count(const struct limits_rule *rule, uint64_t count, enum limits_language language, struct buf *ret)
{
    bool polish = language == LIMITS_POLISH;
    write_amount(rule->what, count, language, ret);
    if (rule->per_ms) {
        buf_add_str(ret, polish ? " w ciągu ostatnich " : " in the last ");
        write_time(rule->per_ms, ret);
    } else {
        buf_add_str(ret, polish ? " teraz" : " now");
    }
}

/* "14:20"; with seconds where it is soon, with the day where it is not today. */
static void write_when(int64_t wall_ms, struct limits_moment moment, struct buf *ret)
{
    time_t at = (time_t)((wall_ms + moment.zone_ms) / 1000);
    bool is_today = (wall_ms + moment.zone_ms) / TIME_DAY_MS == (moment.wall_ms + moment.zone_ms) / TIME_DAY_MS;
    struct tm tm;
    if (!gmtime_r(&at, &tm))
        return;
    if (!is_today)
        buf_printf(ret, "%04d-%02d-%02d ", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday);
    buf_printf(ret, "%02d:%02d", tm.tm_hour, tm.tm_min);
    if (tm.tm_sec)
        buf_printf(ret, ":%02d", tm.tm_sec);
}

static void write_room(const struct limits_verdict *verdict, struct limits_moment moment, struct buf *ret)
{
    if (verdict->clear_wall_ms == LIMITS_NEVER) {
        buf_add_str(ret, "; this alone is more than the limit (");
        write_amount(verdict->rule->what, verdict->asked, LIMITS_ENGLISH, ret);
        buf_add_str(ret, "): send less at once");
    } else if (verdict->clear_wall_ms == 0) {
        buf_add_str(ret, "; room as soon as some of them are done");
    } else {
        buf_add_str(ret, "; room for ");
        write_amount(verdict->rule->what, verdict->room_then, LIMITS_ENGLISH, ret);
        buf_add_str(ret, " more at ");
        write_when(verdict->clear_wall_ms, moment, ret);
    }
}

void limits_words_reason(const struct limits_verdict *verdict, struct limits_moment moment, struct buf *ret)
{
    if (verdict->outcome == LIMITS_VERDICT_FULL)
        buf_add_str(ret, "more senders are active than this server has memory to count; try again later "
                         "(operator: raise the memory for limits)");
    if (verdict->outcome != LIMITS_VERDICT_LIMITED)
        return;
    buf_add_str(ret, "limit of ");
    limits_words_limit(verdict->rule, LIMITS_ENGLISH, ret);
    buf_add_str(ret, " for ");
    write_name(verdict->node, true, ret);
    buf_add_str(ret, " reached (");
    write_count(verdict->rule, verdict->count, LIMITS_ENGLISH, ret);
    buf_add_char(ret, ')');
    write_room(verdict, moment, ret);
}

void limits_words_reply(const struct limits_verdict *verdict, struct limits_moment moment, struct buf *ret)
{
    static const char *const codes[LIMITS_ACTION_COUNT] = {
        [LIMITS_NOTIFY] = "250 2.7.1 accepted: ",
        [LIMITS_PACE] = "250 2.7.1 accepted, goes out when there is room: ",
        [LIMITS_HOLD] = "250 2.7.1 accepted and kept until there is room: ",
        [LIMITS_DEFER] = "450 4.7.1 ",
        [LIMITS_REJECT] = "550 5.7.1 ",
        [LIMITS_SUSPEND] = "550 5.7.1 sending is suspended: ",
    };
    if (verdict->outcome == LIMITS_VERDICT_FULL)
        buf_add_str(ret, "451 4.3.1 ");
    else if (verdict->outcome == LIMITS_VERDICT_LIMITED)
        buf_add_str(ret, verdict->clear_wall_ms == LIMITS_NEVER && verdict->rule->action != LIMITS_SUSPEND
                             ? is_octets(verdict->rule->what) ? "552 5.3.4 " : "550 5.7.1 "
                             : codes[verdict->rule->action]);
    limits_words_reason(verdict, moment, ret);
}

void limits_words_warning_subject(const struct limits_warning *warning, enum limits_language language, struct buf *ret)
{
    bool polish = language == LIMITS_POLISH;
    if (warning->percent >= 100)
        buf_add_str(ret, polish ? "Limit wyczerpany: " : "Limit reached: ");
    else
        buf_printf(ret, polish ? "Wykorzystano %u%% limitu: " : "%u%% of a limit used: ", warning->percent);
    write_name(warning->node, !polish, ret);
}

/* What happens to the next one, by the limit's action. */
static const char *const consequences[LIMITS_ACTION_COUNT][2] = {
    [LIMITS_NOTIFY] = { "Nothing is stopped by it; this is only to let you know.",
                        "Niczego nie zatrzymuje; to tylko informacja." },
    [LIMITS_PACE] = { "What is over the limit is accepted and goes out later, as the limit allows.",
                      "To, co przekracza limit, jest przyjmowane i wychodzi później, w dozwolonym tempie." },
    [LIMITS_HOLD] = { "What is over the limit is accepted and kept; it goes out by itself once there is room.",
                      "To, co przekracza limit, jest przyjmowane i przechowywane; wyjdzie samo, gdy zwolni się miejsce." },
    [LIMITS_DEFER] = { "What is over the limit is refused for now; mail programs and servers try again by themselves.",
                       "To, co przekracza limit, jest na razie odmawiane; programy i serwery pocztowe ponowią próbę same." },
    [LIMITS_REJECT] = { "What is over the limit is refused, and the sender is told so.",
                        "To, co przekracza limit, jest odmawiane, a nadawca dostaje o tym wiadomość." },
    [LIMITS_SUSPEND] = { "Who goes over the limit is suspended until the operator lifts it.",
                         "Kto przekroczy limit, zostaje zawieszony, aż operator to zniesie." },
};

void limits_words_warning(const struct limits_warning *warning, enum limits_language language, struct buf *ret)
{
    bool polish = language == LIMITS_POLISH;
    write_name(warning->node, !polish, ret);
    buf_add_str(ret, polish ? ": limit " : ": limit of ");
    limits_words_limit(warning->rule, language, ret);
    buf_add_str(ret, warning->percent >= 100 ? polish ? " jest wyczerpany (" : " is reached ("
                                             : polish ? " jest prawie wyczerpany (" : " is nearly reached (");
    write_count(warning->rule, warning->count, language, ret);
    buf_printf(ret, ").\n%s\n", consequences[warning->rule->action][polish]);
    buf_add_str(ret, polish ? "Następna taka wiadomość najwcześniej po upływie tego czasu.\n"
                            : "You are told this once in that time.\n");
}
