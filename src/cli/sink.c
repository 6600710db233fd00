#include "cli/sink.h"
#include "base/time.h"
#include "cli/common.h"
#include "cli/sink_priv.h"
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const char usage[] =
    "usage: goniec sink [options]\n"
    "Receives mail for tests: counts it, keeps it, refuses it, delays it. Statistics as JSON at the end.\n"
    "\n"
    "  --listen ADDRESS:PORT   where to listen (127.0.0.1:2525; [::1]:25; unix:/path); may be repeated\n"
    "  --lmtp                  speak LMTP instead of SMTP\n"
    "  --name NAME             our name (sink.example)\n"
    "  --tls starttls|implicit|none   (none) with a certificate signed by itself, or:\n"
    "  --certificate FILE --key FILE\n"
    "  --login USER:PASSWORD   the only login taken by AUTH PLAIN (otherwise any)\n"
    "  --store FOLDER          write each message to FOLDER/NUMBER.eml\n"
    "  --show                  write each message to the standard output\n"
    "  --max-size OCTETS       largest message (67108864)\n"
    "  --refuse STEP[=CODE][:PATTERN][:N%]   answer CODE (550) at connect, auth, mail, rcpt, data or end,\n"
    "                          for addresses like PATTERN (*@bad.example), in N of 100 cases\n"
    "  --defer STEP[:PATTERN][:N%]           the same with 451\n"
    "  --delay STEP=MS[:PATTERN][:N%]        answer later\n"
    "  --drop STEP[:PATTERN][:N%]            hang up (also at body: in the middle of the message)\n"
    "  --expect N              end after N messages of `goniec load`; missing or surplus ones: exit status 1\n"
    "  --run NUMBER            expect only those of `goniec load --run NUMBER`\n"
    "  --recipients N          recipients of each of these messages (1)\n"
    "  --stats SECONDS         statistics every so often\n"
    "  --quiet                 nothing but statistics\n";

static int complain(const char *what, const char *why)
{
    fprintf(stderr, "goniec sink: %s: %s\n", what, why);
    return 2;
}

/* -- options -- */

enum { OPT_LISTEN = 1, OPT_LMTP, OPT_NAME, OPT_TLS, OPT_CERTIFICATE, OPT_KEY, OPT_LOGIN, OPT_STORE, OPT_SHOW, OPT_MAX, OPT_REFUSE,
       OPT_DEFER, OPT_DELAY, OPT_DROP, OPT_EXPECT, OPT_RUN, OPT_RECIPIENTS, OPT_STATS, OPT_QUIET, OPT_HELP };

static const struct option options_known[] = {
    { "listen", 1, NULL, OPT_LISTEN }, { "lmtp", 0, NULL, OPT_LMTP }, { "name", 1, NULL, OPT_NAME }, { "tls", 1, NULL, OPT_TLS },
    { "certificate", 1, NULL, OPT_CERTIFICATE }, { "key", 1, NULL, OPT_KEY }, { "login", 1, NULL, OPT_LOGIN },
    { "store", 1, NULL, OPT_STORE }, { "show", 0, NULL, OPT_SHOW }, { "max-size", 1, NULL, OPT_MAX },
    { "refuse", 1, NULL, OPT_REFUSE }, { "defer", 1, NULL, OPT_DEFER }, { "delay", 1, NULL, OPT_DELAY },
    { "drop", 1, NULL, OPT_DROP }, { "expect", 1, NULL, OPT_EXPECT }, { "recipients", 1, NULL, OPT_RECIPIENTS },
    { "run", 1, NULL, OPT_RUN },
    { "stats", 1, NULL, OPT_STATS }, { "quiet", 0, NULL, OPT_QUIET }, { "help", 0, NULL, OPT_HELP }, { 0 },
};

static int add_rule(struct sink_options *options, enum sink_act act, const char *text)
{
    const char *why;
    return sink_rule_parse(&options->rules, act, text, &why) ? 0 : complain(text, why);
}

static int add_deferral(struct sink_options *options, const char *text)
{
    int result = add_rule(options, SINK_REFUSE, text);
    if (result == 0)
        options->rules.rules[options->rules.count - 1].code = 451;
    return result;
}

static int add_listen(struct sink_options *options, const char *text)
{
    if (options->listen_count == SINK_LISTENERS_MAX)
        return complain(text, "too many addresses");
    if (net_address_parse(span_str(text), 25, &options->listen[options->listen_count]) != STATUS_OK)
        return complain(text, "write 127.0.0.1:2525, [::1]:2525 or unix:/path");
    options->listen_count++;
    return 0;
}

static int set_tls(struct sink_options *options, const char *text)
{
    options->starttls = !strcmp(text, "starttls");
    options->implicit = !strcmp(text, "implicit");
    return options->starttls || options->implicit || !strcmp(text, "none") ? 0 : complain(text, "--tls is starttls, implicit or none");
}

static int set_number(const char *text, uint64_t least, uint64_t most, uint64_t *ret)
{
    if (span_u64(span_str(text), most, ret) && *ret >= least)
        return 0;
    return complain(text, "not a number that is possible here");
}

static int take_option(struct sink_options *options, int option, const char *value)
{
    uint64_t number = 0;
    int result = 0;
    switch (option) {
    case OPT_LISTEN: return add_listen(options, value);
    case OPT_LMTP: options->lmtp = true; return 0;
    case OPT_NAME: options->name = value; return 0;
    case OPT_TLS: return set_tls(options, value);
    case OPT_CERTIFICATE: options->certificate = value; return 0;
    case OPT_KEY: options->key = value; return 0;
    case OPT_LOGIN: options->login = value; return 0;
    case OPT_STORE: options->store = value; return 0;
    case OPT_SHOW: options->show = true; return 0;
    case OPT_MAX: return set_number(value, 1000, UINT64_C(1) << 32, &options->max_octets);
    case OPT_REFUSE: return add_rule(options, SINK_REFUSE, value);
    case OPT_DEFER: return add_deferral(options, value);
    case OPT_DELAY: return add_rule(options, SINK_DELAY, value);
    case OPT_DROP: return add_rule(options, SINK_DROP, value);
    case OPT_EXPECT: return set_number(value, 1, UINT64_C(1) << 40, &options->expect);
    case OPT_RUN: return set_number(value, 0, UINT64_MAX, &options->run);
    case OPT_RECIPIENTS: result = set_number(value, 1, 60000, &number); options->each = (unsigned)number; return result;
    case OPT_STATS: result = set_number(value, 1, 86400, &number); options->stats_ms = (int64_t)number * 1000; return result;
    case OPT_QUIET: options->quiet = true; return 0;
    case OPT_HELP: fputs(usage, stdout); return -1;
    default: fputs("try goniec sink --help\n", stderr); return 2;
    }
}

/* 0: go on. -1: done. 2: wrong. */
static int take_options(struct sink_options *options, int argc, char **argv)
{
    int option, result = 0;
    while (result == 0 && (option = getopt_long(argc, argv, "", options_known, NULL)) != -1)
        result = take_option(options, option, optarg);
    if (result == 0 && optind < argc)
        result = complain(argv[optind], "not an option; try goniec sink --help");
    if (result == 0 && options->listen_count == 0)
        result = add_listen(options, "127.0.0.1:2525");
    if (result == 0 && options->store && mkdir(options->store, 0755) != 0 && errno != EEXIST)
        result = complain(options->store, strerror(errno));
    return result;
}

/* -- keeping -- */

static bool write_message(FILE *file, int64_t began_ms, struct span sender, struct span recipients, struct span message)
{
    struct span recipient;
    fprintf(file, "X-Sink-Began: %" PRId64 "\r\n", began_ms);
    fprintf(file, "X-Sink-From: <%.*s>\r\n", SPAN_ARGS(sender));
    while (span_cut(&recipients, '\n', &recipient)) {
        if (recipient.n)
            fprintf(file, "X-Sink-To: <%.*s>\r\n", SPAN_ARGS(recipient));
    }
    return fwrite(message.p, 1, message.n, file) == message.n;
}

bool sink_keep(struct sink *sink, int64_t began_ms, struct span sender, struct span recipients, struct span message)
{
    bool good = true;
    if (sink->options.show) {
        write_message(stdout, began_ms, sender, recipients, message);
        fputs("\n", stdout);
        fflush(stdout);
    }
    if (!sink->options.store)
        return true;
    char path[4096], temporary[4096 + 8];
    snprintf(path, sizeof(path), "%s/%06u.eml", sink->options.store, ++sink->stored);
    snprintf(temporary, sizeof(temporary), "%s.new", path);
    FILE *file = fopen(temporary, "we");
    if (file) {
        good = write_message(file, began_ms, sender, recipients, message);
        good = fclose(file) == 0 && good && rename(temporary, path) == 0; /* whoever waits for it sees the whole */
    }
    if (file && good)
        return true;
    complain(path, strerror(errno));
    return false;
}

/* -- running -- */

static uint64_t expected(const struct sink *sink) { return sink->options.expect; }

void sink_arrived(struct sink *sink)
{
    if (sink->options.expect && sink->counts.unique >= sink->options.expect)
        loop_stop(sink->loop);
}

static void on_accept(void *arg, struct listener *listener, int fd, const struct net_address *peer) { sink_session_new(arg, fd); }
static const struct listener_events listener_events = { .on_accept = on_accept };

static int read_file(const char *path, struct buf *ret)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    enum status status = fd < 0 ? STATUS_IO : buf_fill(ret, fd);
    if (fd >= 0)
        close(fd);
    return status == STATUS_OK ? 0 : complain(path, fd < 0 ? strerror(errno) : status_text(status));
}

static int prepare_tls(struct sink *sink)
{
    const struct sink_options *options = &sink->options;
    AUTO(buf_done) struct buf certificate = BUF_EMPTY(1 << 20);
    AUTO(buf_done) struct buf key = BUF_EMPTY(1 << 20);
    char error[TLS_ERROR_SIZE], secret[TLS_TICKET_SECRET];
    if (!options->starttls && !options->implicit)
        return 0;
    if (options->certificate) {
        if (read_file(options->certificate, &certificate) || (options->key && read_file(options->key, &key)))
            return 2;
    } else if (tls_self_signed(options->name, 30, &certificate, &key) != STATUS_OK) {
        return complain(options->name, "no certificate can be made for this name");
    }
    tls_random(secret, sizeof(secret));
    struct tls_pair pair = { buf_span(&certificate), buf_span(&key) };
    struct tls_server_settings settings = { .pairs = &pair, .count = 1, .ticket_secret = { secret, sizeof(secret) } };
    return tls_server_new(&settings, error, &sink->tls) == STATUS_OK ? 0 : complain("certificate", error);
}

static int open_listeners(struct sink *sink)
{
    for (unsigned i = 0; i < sink->options.listen_count; i++) {
        struct net_address *at = &sink->options.listen[i];
        struct listen_options options = { 0 };
        char text[NET_ADDRESS_TEXT];
        int fd;
        if (listen_open(at, &options, &fd) != STATUS_OK)
            return complain(net_address_text(at, text), strerror(errno));
        sink->listeners[i] = listener_new(sink->loop, fd, &listener_events, sink);
        if (!sink->listeners[i]) {
            close(fd);
            return complain(net_address_text(at, text), strerror(errno));
        }
        if (net_address_port(at) == 0 && net_address_octets(at).n && net_address_local(fd, at) != STATUS_OK)
            return complain(net_address_text(at, text), strerror(errno));
        if (!sink->options.quiet)
            fprintf(stderr, "goniec sink: listening on %s\n", net_address_text(at, text));
    }
    return 0;
}

static void on_signal(void *arg, int number) { loop_stop(((struct sink *)arg)->loop); }
static void on_usr1(void *arg, int number) { sink_counts_print(&((struct sink *)arg)->counts, expected(arg)); }

static void on_stats(struct loop_timer *timer)
{
    struct sink *sink = CONTAINER(timer, struct sink, stats);
    sink_counts_print(&sink->counts, expected(sink));
    loop_timer_set(timer, sink->options.stats_ms);
}

static int run(struct sink *sink)
{
    loop_timer_init(sink->loop, &sink->stats, on_stats);
    if (sink->options.stats_ms)
        loop_timer_set(&sink->stats, sink->options.stats_ms);
    signal(SIGPIPE, SIG_IGN);
    if (loop_signal(sink->loop, SIGINT, on_signal, sink) != STATUS_OK || loop_signal(sink->loop, SIGTERM, on_signal, sink) != STATUS_OK ||
        loop_signal(sink->loop, SIGUSR1, on_usr1, sink) != STATUS_OK)
        return complain("signals", strerror(errno));
    loop_run(sink->loop);
    for (int i = 0; i < 5 && sink->options.expect; i++) /* the last replies, and what comes twice right behind */
        loop_turn(sink->loop, 20);
    sink_counts_print(&sink->counts, expected(sink));
    bool whole = !sink->options.expect || (sink->counts.unique == sink->options.expect && sink->counts.surplus == 0);
    return whole ? 0 : 1;
}

int sink_main(int argc, char **argv)
{
    struct sink sink = { .options = { .name = "sink.example", .each = 1, .max_octets = 64u << 20 } };
    list_init(&sink.sessions);
    int result = take_options(&sink.options, argc, argv);
    if (result != 0)
        return result < 0 ? 0 : result;
    srand48(time_mono_us());
    sink.settings = (struct smtp_server_settings){ .hostname = span_str(sink.options.name), .mechanisms = SPAN("PLAIN LOGIN"),
                                                   .max_octets = sink.options.max_octets, .max_recipients = 50000,
                                                   .max_errors = 1000000, .max_idle_commands = 1000000, .fix_newlines = true };
    common_raise_descriptors();
    sink.loop = loop_new();
    if (!sink.loop)
        return complain("loop", strerror(errno));
    result = prepare_tls(&sink);
    if (result == 0)
        result = open_listeners(&sink);
    if (result == 0)
        result = run(&sink);
    for (unsigned i = 0; i < SINK_LISTENERS_MAX; i++)
        listener_free(sink.listeners[i]);
    sink_session_free_all(&sink);
    tls_server_unref(sink.tls);
    sink_counts_done(&sink.counts);
    stream_free_closing();
    loop_free(sink.loop);
    return result;
}
