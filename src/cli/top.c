/* `goniec top`: what is queued, how fast it goes, of whom most waits, and where to; again each second. */
#include "base/time.h"
#include "cli/control.h"
#include "cli/queue.h"
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ROWS 15

static long long number_at(const json_t *object, const char *name) { return json_integer_value(json_object_get(object, name)); }

static const char *text_at(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

/* Names come from strangers: nothing of them moves the cursor. */
static void put_name(const char *text, int width)
{
    int n = 0;
    for (; *text && n < width; text++, n++)
        putchar((unsigned char)*text < 32 || *text == 127 ? '?' : *text);
    printf("%*s", width - n, "");
}

static json_t *ask(const char *config)
{
    return control_ask(config, json_pack("{s:s}", "op", "status"), NULL, NULL);
}

/* Recipients a second between the two. */
static json_t *rates(const json_t *before, const json_t *now, int64_t ms)
{
    static const char *const names[] = { "accepted", "delivered", "deferred", "failed" };
    const json_t *then = json_object_get(before, "since_start"), *since = json_object_get(now, "since_start");
    json_t *object = json_object();
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        long long more = number_at(since, names[i]) - number_at(then, names[i]);
        json_object_set_new(object, names[i], json_real(more > 0 ? (double)more * 1000 / (double)MAX(ms, 1) : 0)); /* else it started anew */
    }
    return object;
}

static void print_json(json_t *now, json_t *rate)
{
    json_t *object = json_pack("{s:O?,s:o,s:O?,s:O?}", "queue", json_object_get(now, "queue"), "rates", rate, "senders",
                               json_object_get(now, "senders"), "sites", json_object_get(now, "sites"));
    json_dumpf(object, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(object);
}

static void print_head(const json_t *queue, const json_t *rate)
{
    time_t at = time(NULL);
    struct tm local = { 0 };
    char clock[16];
    strftime(clock, sizeof clock, "%H:%M:%S", localtime_r(&at, &local));
    const json_t *states = json_object_get(queue, "states");
    printf("%s  %lld messages, %lld recipients, %.1f MiB queued: %lld waiting, %lld ready, %lld delivering, %lld held, %lld suspended\n",
           clock, number_at(queue, "messages"), number_at(queue, "recipients"), (double)number_at(queue, "octets") / 1048576.0,
           number_at(states, "waiting") + number_at(states, "resolving"), number_at(states, "ready"), number_at(states, "delivering"),
           number_at(states, "held"), number_at(states, "suspended"));
    printf("recipients a second: %.1f accepted, %.1f delivered, %.1f deferred, %.1f failed\n\n",
           json_real_value(json_object_get(rate, "accepted")), json_real_value(json_object_get(rate, "delivered")),
           json_real_value(json_object_get(rate, "deferred")), json_real_value(json_object_get(rate, "failed")));
}

static void print_text(const json_t *now, const json_t *rate)
{
    size_t i;
    json_t *row;
    print_head(json_object_get(now, "queue"), rate);
    printf("%-48s %10s %10s\n", "SENDER", "MESSAGES", "MIB");
    json_array_foreach(json_object_get(now, "senders"), i, row) {
        if (i == ROWS)
            break;
        put_name(*text_at(row, "account") ? text_at(row, "account") : "(without login)", 48);
        printf(" %10lld %10.1f  %s\n", number_at(row, "messages"), (double)number_at(row, "octets") / 1048576.0,
               *text_at(row, "why") ? "suspended" : "");
    }
    printf("\n%-48s %10s %10s\n", "DESTINATION", "WAITING", "GOING");
    json_array_foreach(json_object_get(now, "sites"), i, row) {
        if (i == ROWS)
            break;
        put_name(text_at(row, "site"), 48);
        printf(" %10lld %10lld  %s%s\n", number_at(row, "waiting"), number_at(row, "delivering"),
               *text_at(row, "paused_until") ? "pauses until " : "", text_at(row, "paused_until"));
    }
    fflush(stdout);
}

static bool take_once(int *argc, char **argv)
{
    bool once = false;
    int n = 1;
    for (int i = 1; i < *argc; i++)
        if (strcmp(argv[i], "--once") == 0)
            once = true;
        else
            argv[n++] = argv[i];
    *argc = n;
    return once;
}

int top_main(int argc, char **argv)
{
    struct common_options options;
    bool once = take_once(&argc, argv);
    if (!common_options_take(&argc, argv, &options))
        return COMMON_USAGE;
    if (argc > 1)
        return common_usage("top");
    once |= options.json;
    json_t *before = ask(options.config);
    int64_t then_ms = time_mono_ms();
    while (before) {
        sleep(1);
        json_t *now = ask(options.config);
        int64_t now_ms = time_mono_ms();
        if (!now) {
            json_decref(before);
            return COMMON_FAILED;
        }
        json_t *rate = rates(before, now, now_ms - then_ms);
        if (!once)
            fputs("\033[H\033[2J", stdout); /* the first line of an empty screen */
        if (options.json)
            print_json(now, json_incref(rate));
        else
            print_text(now, rate);
        json_decref(rate);
        json_decref(before);
        before = now;
        then_ms = now_ms;
        if (once)
            break;
    }
    json_decref(before);
    return before ? 0 : COMMON_FAILED;
}
