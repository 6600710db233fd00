#include "cli/load.h"
#include "base/time.h"
#include "cli/common.h"
#include "cli/load_priv.h"
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define IDLE_WINDOW 256 /* idle connections on their way at once */

static const char usage[] =
    "usage: goniec load --to HOST:PORT [options]\n"
    "Sends many messages and measures how a server takes them. Messages carry X-Load-Id, by which\n"
    "`goniec sink --expect` sees that each arrives exactly once.\n"
    "\n"
    "  --to HOST:PORT | unix:/path\n"
    "  --messages N          altogether (1000)\n"
    "  --connections N       at the same time (20)\n"
    "  --per-connection N    messages on each connection, then a new one; 0: all on the first ones (0)\n"
    "  --size OCTETS         of a message with its header (4096)\n"
    "  --recipients N        of each message (1)\n"
    "  --from PATTERN        sender; %d is the number of the message (sender@load.example)\n"
    "  --rcpt PATTERN        recipients; %d is a number (user%d@example.org)\n"
    "  --users N             how many different numbers (1000)\n"
    "  --tls none|starttls|implicit   (none); certificates are not verified\n"
    "  --login USER:PASSWORD AUTH PLAIN; %d in USER is the number of the connection\n"
    "  --no-pipelining       wait for the answer to each command\n"
    "  --lmtp                speak LMTP\n"
    "  --idle N              besides, connections that are opened first, say hello (TLS, login) and are held to the end;\n"
    "                        with --messages 0 they are all there is: until a signal, or for --seconds\n"
    "  --rate N              messages a second at most\n"
    "  --seconds N           begin no message after this time\n"
    "  --timeout SECONDS     for each answer (60)\n"
    "  --name NAME           our name in EHLO (load.example)\n"
    "  --run NUMBER          marks the messages of this run (chance)\n"
    "  --json                the result as JSON\n"
    "  --quiet               no result\n";

static int complain(const char *what, const char *why)
{
    fprintf(stderr, "goniec load: %s: %s\n", what, why);
    return 2;
}

/* -- options -- */

enum { OPT_TO = 1, OPT_FROM, OPT_RCPT, OPT_TLS, OPT_LOGIN, OPT_NO_PIPELINING, OPT_LMTP, OPT_NAME, OPT_JSON, OPT_QUIET, OPT_HELP, OPT_NUMBER };

/* Options that are numbers: OPT_NUMBER and the place in this table. */
static const struct number_option {
    const char *name;
    size_t where;
    uint64_t preset, least, most;
} numbers[] = {
    { "messages", offsetof(struct load_options, messages), 1000, 0, 100000000 },
    { "connections", offsetof(struct load_options, connections), 20, 1, 100000 },
    { "per-connection", offsetof(struct load_options, per_connection), 0, 0, UINT32_MAX },
    { "size", offsetof(struct load_options, size), 4096, 1, 1u << 30 },
    { "recipients", offsetof(struct load_options, recipients), 1, 1, 10000 },
    { "users", offsetof(struct load_options, users), 1000, 1, UINT32_MAX },
    { "idle", offsetof(struct load_options, idle), 0, 0, 1000000 },
    { "rate", offsetof(struct load_options, rate), 0, 0, 10000000 },
    { "seconds", offsetof(struct load_options, seconds), 0, 0, 1000000 },
    { "timeout", offsetof(struct load_options, timeout), 60, 1, 86400 },
    { "run", offsetof(struct load_options, run), 0, 0, UINT64_MAX },
};

static const struct option words[] = {
    { "to", 1, NULL, OPT_TO }, { "from", 1, NULL, OPT_FROM }, { "rcpt", 1, NULL, OPT_RCPT }, { "tls", 1, NULL, OPT_TLS },
    { "login", 1, NULL, OPT_LOGIN }, { "no-pipelining", 0, NULL, OPT_NO_PIPELINING }, { "lmtp", 0, NULL, OPT_LMTP },
    { "name", 1, NULL, OPT_NAME }, { "json", 0, NULL, OPT_JSON }, { "quiet", 0, NULL, OPT_QUIET }, { "help", 0, NULL, OPT_HELP },
};

static uint64_t *number_at(struct load_options *options, unsigned i) { return (uint64_t *)(void *)((char *)options + numbers[i].where); }

static int set_number(struct load_options *options, unsigned i, const char *text)
{
    uint64_t value;
    if (!span_u64(span_str(text), numbers[i].most, &value) || value < numbers[i].least)
        return complain(numbers[i].name, "not a number that is possible here");
    *number_at(options, i) = value;
    return 0;
}

static int set_to(struct load_options *options, const char *text)
{
    options->to_text = text;
    if (net_address_parse(span_str(text), 25, &options->to) == STATUS_OK)
        return 0;
    struct span whole = span_str(text);
    size_t colon = span_rfind(whole, ':');
    char host[256] = "";
    struct addrinfo *found = NULL, hints = { .ai_socktype = SOCK_STREAM };
    memcpy(host, whole.p, MIN(colon, sizeof(host) - 1));
    int result = getaddrinfo(host, colon < whole.n ? text + colon + 1 : "25", &hints, &found);
    if (result != 0)
        return complain(text, gai_strerror(result));
    options->to.n = found->ai_addrlen;
    memcpy(&options->to.as, found->ai_addr, MIN(found->ai_addrlen, sizeof(options->to.as)));
    freeaddrinfo(found);
    return 0;
}

static int set_tls(struct load_options *options, const char *text)
{
    static const char *const names[] = { "none", "starttls", "implicit" };
    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(text, names[i]) == 0) {
            options->tls = i;
            return 0;
        }
    }
    return complain(text, "--tls is none, starttls or implicit");
}

static int set_login(struct load_options *options, char *text)
{
    char *colon = strchr(text, ':');
    if (!colon)
        return complain("--login", "write USER:PASSWORD");
    *colon = '\0'; /* the password is gone from `ps` as well */
    options->login = text;
    options->password = strdup(colon + 1);
    memset(colon + 1, 'x', strlen(colon + 1));
    return 0;
}

static int take_option(struct load_options *options, int option, char *value)
{
    switch (option) {
    case OPT_TO: return set_to(options, value);
    case OPT_FROM: options->from = value; return 0;
    case OPT_RCPT: options->rcpt = value; return 0;
    case OPT_TLS: return set_tls(options, value);
    case OPT_LOGIN: return set_login(options, value);
    case OPT_NO_PIPELINING: options->no_pipelining = true; return 0;
    case OPT_LMTP: options->lmtp = true; return 0;
    case OPT_NAME: options->name = value; return 0;
    case OPT_JSON: options->json = true; return 0;
    case OPT_QUIET: options->quiet = true; return 0;
    case OPT_HELP: fputs(usage, stdout); return -1;
    default:
        if (option >= OPT_NUMBER && option < OPT_NUMBER + (int)ARRAY_LEN(numbers))
            return set_number(options, (unsigned)(option - OPT_NUMBER), value);
        fputs("try goniec load --help\n", stderr);
        return 2;
    }
}

static int take_options(struct load_options *options, int argc, char **argv)
{
    struct option known[ARRAY_LEN(words) + ARRAY_LEN(numbers) + 1] = { 0 };
    memcpy(known, words, sizeof(words));
    for (unsigned i = 0; i < ARRAY_LEN(numbers); i++) {
        known[ARRAY_LEN(words) + i] = (struct option){ numbers[i].name, 1, NULL, OPT_NUMBER + (int)i };
        *number_at(options, i) = numbers[i].preset;
    }
    int option, result = 0;
    while (result == 0 && (option = getopt_long(argc, argv, "", known, NULL)) != -1)
        result = take_option(options, option, optarg);
    if (result == 0 && optind < argc)
        result = complain(argv[optind], "not an option; try goniec load --help");
    if (result == 0 && options->messages == 0 && options->idle == 0)
        result = complain("--messages", "none is only possible with --idle");
    if (result == 0 && options->to.n == 0)
        result = complain("--to", "is needed; try goniec load --help");
    return result;
}

/* -- the course -- */

bool load_has_more(const struct load *load)
{
    return !load->stopping && load->begun < load->options.messages &&
           (!load->stop_ms || loop_now_ms(load->loop) < load->stop_ms);
}

int64_t load_wait_ms(const struct load *load)
{
    if (!load->options.rate)
        return 0;
    int64_t due_us = load->start_us + (int64_t)(load->begun * 1000000 / load->options.rate);
    int64_t wait_us = due_us - time_mono_us();
    return wait_us <= 0 ? 0 : (wait_us + 999) / 1000;
}

static bool fill_body(struct load *load)
{
    static const char line[] = "The courier rides by night and by day, and what he carries is not his own. 1\r\n";
    load->body = BUF_EMPTY(load->options.size + sizeof(line));
    while (load->body.n < load->options.size) {
        if (buf_add(&load->body, span_of(line, sizeof(line) - 1)) != STATUS_OK)
            return false;
    }
    return true;
}

static void on_signal(void *arg, int number)
{
    struct load *load = arg;
    if (load->stopping || load->running == 0)
        loop_stop(load->loop); /* the second time, or where only idle ones are held: at once */
    load->stopping = true;
}

static int prepare(struct load *load)
{
    char error[TLS_ERROR_SIZE];
    time_t now = time(NULL);
    struct tm broken;
    struct tls_client_settings settings = { .sessions = 0 };
    gmtime_r(&now, &broken);
    strftime(load->date, sizeof(load->date), "%a, %d %b %Y %H:%M:%S +0000", &broken);
    if (load->options.run == 0)
        tls_random(&load->options.run, 4);
    if (!fill_body(load))
        return complain("--size", "out of memory");
    if (load->options.tls != LOAD_CLEAR && tls_client_new(&settings, error, &load->tls) != STATUS_OK)
        return complain("TLS", error);
    signal(SIGPIPE, SIG_IGN);
    if (loop_signal(load->loop, SIGINT, on_signal, load) != STATUS_OK || loop_signal(load->loop, SIGTERM, on_signal, load) != STATUS_OK)
        return complain("signals", strerror(errno));
    return 0;
}

/* All messages' sessions. False: out of memory. */
static bool start_sessions(struct load *load)
{
    bool good = true;
    load->start_us = load->last_us = time_mono_us();
    if (load->options.seconds)
        load->stop_ms = loop_now_ms(load->loop) + (int64_t)load->options.seconds * 1000;
    uint64_t sessions = MIN(load->options.connections, load->options.messages);
    load->running = 1; /* ours: a session that ends at once must not end the loop */
    for (uint64_t i = 0; i < sessions && good; i++)
        good = load_session_start(load, i, false);
    if (--load->running == 0 && load->options.messages)
        loop_stop(load->loop);
    return good;
}

static void on_idle_end(struct loop_timer *timer) { loop_stop(CONTAINER(timer, struct load, idle_end)->loop); }

/* A few at a time: no server's backlog takes ten thousand at once. When all are there, the messages begin. */
static void open_idle(struct loop_task *task)
{
    struct load *load = CONTAINER(task, struct load, idle_task);
    bool good = true;
    while (good && load->idle_begun < load->options.idle && load->idle_open < IDLE_WINDOW) {
        load->idle_open++;
        good = load_session_start(load, load->options.connections + load->idle_begun++, true);
    }
    if (good && load->idle_open == 0) {
        if (load->options.idle && !load->options.quiet)
            fprintf(stderr, "goniec load: %" PRIu64 " idle connections are held\n", load->idle_held);
        if (!load->options.messages && load->options.seconds)
            loop_timer_set(&load->idle_end, (int64_t)load->options.seconds * 1000);
        good = start_sessions(load);
    }
    if (!good) {
        complain("sessions", "out of memory");
        loop_stop(load->loop);
    }
}

void load_idle_settled(struct load *load)
{
    load->idle_open--;
    loop_later(&load->idle_task);
}

static int run(struct load *load)
{
    load->start_us = load->last_us = time_mono_us();
    loop_task_init(load->loop, &load->idle_task, open_idle);
    loop_timer_init(load->loop, &load->idle_end, on_idle_end);
    loop_later(&load->idle_task);
    loop_run(load->loop);
    load_report(load);
    bool held = load->idle_held == load->options.idle;
    return held && load->failed == 0 && load->taken == load->begun && (load->taken || !load->options.messages) ? 0 : 1;
}

int load_main(int argc, char **argv)
{
    struct load load = { .options = { .name = "load.example", .from = "sender@load.example", .rcpt = "user%d@example.org" } };
    int result = take_options(&load.options, argc, argv);
    if (result != 0)
        return result < 0 ? 0 : result;
    list_init(&load.sessions);
    common_raise_descriptors();
    load.loop = loop_new();
    if (!load.loop)
        return complain("loop", strerror(errno));
    result = prepare(&load);
    if (result == 0)
        result = run(&load);
    load_session_free_all(&load);
    buf_done(&load.body);
    free(load.latency_us);
    free((char *)load.options.password);
    tls_client_unref(load.tls);
    stream_free_closing();
    loop_free(load.loop);
    return result;
}
