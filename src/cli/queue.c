#include "cli/queue.h"
#include "cli/control.h"
#include "base/id.h"
#include <stdlib.h>

/* -- words to a request -- */

struct verb {
    const char *name, *done; /* "held" */
    bool changes;
};

static const struct verb verbs[] = {
    { "list", NULL, false }, { "show", NULL, false }, { "hold", "held", true }, { "release", "released", true },
    { "retry", "tried again", true }, { "reroute", "rerouted", true }, { "delete", "deleted", true },
};

static const char usage[] =
    "usage: goniec queue VERB [ID...] [filter...] [--json] [--config FILE]\n\n"
    "  list                 the messages that wait, oldest first; --limit N (1000; 0: all), --after ID\n"
    "  show                 everything known about them and each recipient\n"
    "  hold [--why TEXT]    stop them until they are released\n"
    "  release [--why TEXT] let held ones go, at once\n"
    "  retry                try now instead of later\n"
    "  reroute --via ROUTE  send them by another way: smtp://HOST:PORT, lmtp:/path, ...; \"\" for the usual one\n"
    "  delete [--why TEXT]  throw them away; the sender is not told\n\n"
    "Filters; all that are given must be true, and only the recipients that match are changed:\n"
    "  ID...                these messages\n"
    "  --account LOGIN      --sender ADDRESS      --recipient ADDRESS      --domain DOMAIN\n"
    "                       of the sender, the envelope, the recipient; with * and ?\n"
    "  --state STATE        waiting, ready, resolving, delivering, held, suspended, reporting\n"
    "  --older TIME         --younger TIME        accepted so long ago: 90s, 30min, 4h, 2d\n"
    "  --site SITE          as `goniec status` shows it\n"
    "  --all                everything\n";

static bool time_parse(const char *text, json_int_t *ret)
{
    static const struct { const char *unit; json_int_t seconds; } units[] = {
        { "s", 1 }, { "min", 60 }, { "m", 60 }, { "h", 3600 }, { "d", 86400 },
    };
    char *end;
    long long n = strtoll(text, &end, 10);
    if (end == text || n <= 0 || n > 100000000)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(units); i++)
        if (strcmp(end, units[i].unit) == 0) {
            *ret = n * units[i].seconds;
            return true;
        }
    return false;
}

struct asked {
    const struct verb *verb;
    const char *config;
    bool json;
    json_t *request, *filter, *ids;
};

static const char *const filter_texts[] = { "account", "sender", "recipient", "domain", "state", "site", NULL };
static const char *const request_texts[] = { "why", "via", "after", NULL };

static bool is_one_of(const char *word, const char *const *words)
{
    for (; *words; words++)
        if (strcmp(word, *words) == 0)
            return true;
    return false;
}

/* An option with its value. False: complained. */
static bool option_take(struct asked *asked, const char *name, const char *value)
{
    json_int_t seconds;
    char *end;
    if (is_one_of(name, filter_texts))
        return json_object_set_new(asked->filter, name, json_string(value)) == 0;
    if (is_one_of(name, request_texts))
        return json_object_set_new(asked->request, name, json_string(value)) == 0;
    if (strcmp(name, "config") == 0) {
        asked->config = value;
        return true;
    }
    if (strcmp(name, "older") == 0 || strcmp(name, "younger") == 0) {
        if (time_parse(value, &seconds))
            return json_object_set_new(asked->filter, *name == 'o' ? "older_s" : "younger_s", json_integer(seconds)) == 0;
        common_complain("--%s takes a time such as 90s, 30min, 4h or 2d", name);
        return false;
    }
    if (strcmp(name, "limit") == 0) {
        long long limit = strtoll(value, &end, 10);
        if (*value && !*end && limit >= 0)
            return json_object_set_new(asked->request, "limit", json_integer(limit)) == 0;
        common_complain("--limit takes a number");
        return false;
    }
    common_complain("unknown option --%s", name);
    return false;
}

static bool flag_take(struct asked *asked, const char *name)
{
    if (strcmp(name, "json") == 0)
        return asked->json = true;
    if (strcmp(name, "all") == 0)
        return json_object_set_new(asked->filter, "all", json_true()) == 0;
    return false;
}

static bool id_take(struct asked *asked, const char *word)
{
    uint64_t id;
    if (id_parse(span_str(word), &id))
        return json_array_append_new(asked->ids, json_string(word)) == 0;
    common_complain("%s is not the id of a message", word);
    return false;
}

static bool words_take(struct asked *asked, int argc, char **argv)
{
    for (int i = 2; i < argc; i++) {
        if (strncmp(argv[i], "--", 2) != 0) {
            if (!id_take(asked, argv[i]))
                return false;
            continue;
        }
        char name[32];
        const char *equals = strchr(argv[i], '=');
        size_t n = equals ? (size_t)(equals - argv[i]) : strlen(argv[i]);
        snprintf(name, sizeof name, "%.*s", (int)MIN(n - 2, sizeof name - 1), argv[i] + 2);
        if (!equals && flag_take(asked, name))
            continue;
        const char *value = equals ? equals + 1 : i + 1 < argc ? argv[++i] : NULL;
        if (!value) {
            common_complain("--%s needs a value", name);
            return false;
        }
        if (!option_take(asked, name, value))
            return false;
    }
    return true;
}

/* -- answers to words -- */

static const char *text_at(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

static json_int_t number_at(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

/* A terminal is not to be told what to do by a stranger's address. */
static void put(const char *text)
{
    for (; *text; text++)
        putchar((unsigned char)*text < 32 || *text == 127 ? '?' : *text);
}

static void print_age(json_int_t seconds)
{
    if (seconds >= 172800)
        printf("%lldd", (long long)(seconds / 86400));
    else if (seconds >= 7200)
        printf("%lldh", (long long)(seconds / 3600));
    else if (seconds >= 120)
        printf("%lldmin", (long long)(seconds / 60));
    else
        printf("%llds", (long long)seconds);
}

static void print_recipient(const json_t *recipient)
{
    static const struct { const char *name, *before; } parts[] = {
        { "route", ", by " }, { "next", ", next attempt " }, { "held_by", ", by " }, { "why", ": " },
    };
    printf("    ");
    put(text_at(recipient, "address"));
    printf("  %s", text_at(recipient, "state"));
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        if (*text_at(recipient, parts[i].name)) {
            fputs(parts[i].before, stdout);
            put(text_at(recipient, parts[i].name));
        }
    if (number_at(recipient, "attempts"))
        printf(", %lld attempts", (long long)number_at(recipient, "attempts"));
    putchar('\n');
    if (!*text_at(recipient, "text"))
        return;
    printf("      ");
    if (number_at(recipient, "code")) {
        put(*text_at(recipient, "host") ? text_at(recipient, "host") : "its server");
        printf(" said: %lld ", (long long)number_at(recipient, "code"));
    }
    put(text_at(recipient, "text"));
    putchar('\n');
}

static void print_message(void *arg, json_t *message)
{
    size_t i;
    json_t *recipient, *recipients = json_object_get(message, "recipients");
    printf("%s  ", text_at(message, "id"));
    print_age(number_at(message, "age_s"));
    printf(" old, %lld octets, from ", (long long)number_at(message, "octets"));
    put(*text_at(message, "sender") ? text_at(message, "sender") : "<>");
    if (*text_at(message, "account")) {
        fputs(", account ", stdout);
        put(text_at(message, "account"));
    }
    printf(", %lld recipient%s\n", (long long)number_at(message, "recipient_count"),
           number_at(message, "recipient_count") == 1 ? "" : "s");
    if (*text_at(message, "error"))
        printf("    %s\n", text_at(message, "error"));
    json_array_foreach(recipients, i, recipient)
        print_recipient(recipient);
    if (json_is_true(json_object_get(message, "more")))
        puts("    ... and more; `goniec queue show` tells all");
}

static void keep_message(void *arg, json_t *message)
{
    json_array_append(arg, message);
}

static int finish(const struct asked *asked, json_t *answer, json_t *list)
{
    json_int_t recipients = number_at(answer, "recipients"), busy = number_at(answer, "busy");
    if (asked->json) {
        json_dumpf(asked->verb->changes ? answer : list, stdout, JSON_INDENT(2));
        putchar('\n');
        return 0;
    }
    if (!asked->verb->changes) {
        if (number_at(answer, "shown") == 0)
            puts("No message matches.");
        else if (json_is_true(json_object_get(answer, "more")))
            printf("There are more; go on with --after ID, or use --limit 0.\n");
        return 0;
    }
    printf("%lld recipient%s of %lld message%s %s.\n", (long long)recipients, recipients == 1 ? "" : "s",
           (long long)number_at(answer, "messages"), number_at(answer, "messages") == 1 ? "" : "s", asked->verb->done);
    if (busy)
        printf("%lld left as they are: they are just being delivered or reported.\n", (long long)busy);
    return 0;
}

static int ask(struct asked *asked)
{
    json_t *list = json_array();
    json_object_set_new(asked->request, "op", json_string(asked->verb->name));
    if (json_array_size(asked->ids))
        json_object_set(asked->filter, "ids", asked->ids);
    if (json_object_size(asked->filter) == 0 && !asked->verb->changes && strcmp(asked->verb->name, "list") == 0)
        json_object_set_new(asked->filter, "all", json_true());
    json_object_set(asked->request, "filter", asked->filter);
    json_t *answer = control_ask(common_config_path(asked->config), json_incref(asked->request),
                                 asked->json ? keep_message : print_message, list);
    int status = answer ? finish(asked, answer, list) : COMMON_FAILED;
    json_decref(answer);
    json_decref(list);
    return status;
}

static const struct verb *verb_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    return NULL;
}

int queue_command_main(int argc, char **argv)
{
    struct asked asked = { .verb = argc > 1 ? verb_find(argv[1]) : NULL };
    if (!asked.verb) {
        bool help = argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0);
        fputs(usage, help ? stdout : stderr);
        return help ? 0 : COMMON_USAGE;
    }
    asked.request = json_object();
    asked.filter = json_object();
    asked.ids = json_array();
    int status = words_take(&asked, argc, argv) ? ask(&asked) : COMMON_USAGE;
    json_decref(asked.request);
    json_decref(asked.filter);
    json_decref(asked.ids);
    return status;
}
