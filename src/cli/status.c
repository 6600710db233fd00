#include "cli/control.h"
#include "cli/queue.h"
#include "supervisor/supervisor.h"

static json_int_t number_at(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

static const char *text_at(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

static void put(const char *text)
{
    for (; *text; text++)
        putchar((unsigned char)*text < 32 || *text == 127 ? '?' : *text);
}

static void print_queue(const json_t *queue)
{
    const char *state;
    json_t *n;
    bool first = true;
    printf("Queued: %lld messages, %lld recipients, %.1f MiB, of %lld accounts\n",
           (long long)number_at(queue, "messages"), (long long)number_at(queue, "recipients"),
           (double)number_at(queue, "octets") / 1048576.0, (long long)number_at(queue, "accounts"));
    json_object_foreach(json_object_get(queue, "states"), state, n) {
        if (json_integer_value(n) == 0)
            continue;
        printf("%s%lld %s", first ? "  " : ", ", (long long)json_integer_value(n), state);
        first = false;
    }
    if (!first)
        putchar('\n');
    if (*text_at(queue, "oldest"))
        printf("  the oldest was accepted %s\n", text_at(queue, "oldest"));
}

static void print_counts(const json_t *counts)
{
    printf("Recipients since the start: %lld accepted, %lld delivered, %lld failed (%lld expired), %lld deleted; "
           "%lld deferrals, %lld reports\n",
           (long long)number_at(counts, "accepted"), (long long)number_at(counts, "delivered"),
           (long long)number_at(counts, "failed"), (long long)number_at(counts, "expired"),
           (long long)number_at(counts, "deleted"), (long long)number_at(counts, "deferred"),
           (long long)number_at(counts, "reports"));
}

static void print_site(const json_t *site)
{
    printf("  ");
    put(text_at(site, "site"));
    printf(": %lld waiting, %lld being delivered", (long long)number_at(site, "waiting"),
           (long long)number_at(site, "delivering"));
    if (*text_at(site, "paused_until"))
        printf(", nothing until %s after %lld failures", text_at(site, "paused_until"),
               (long long)number_at(site, "failures"));
    if (*text_at(site, "text")) {
        fputs(": ", stdout);
        put(text_at(site, "text"));
    }
    putchar('\n');
}

static void print_clients(const json_t *clients)
{
    static const struct { const char *name, *why; } all[] = {
        { "turned_away_full", "no place" },
        { "turned_away_memory", "no memory" },
        { "turned_away_address", "too many from the address" },
        { "turned_away_network", "too many from the network" },
        { "turned_away_often", "too often" },
        { "turned_away_handshakes", "too many handshakes" },
    };
    printf("Clients: %lld connected, %lld in a TLS handshake, %.1f MiB of memory; since the start %lld, %lld timed out\n",
           (long long)number_at(clients, "sessions"), (long long)number_at(clients, "handshakes"),
           (double)number_at(clients, "octets") / 1048576.0, (long long)number_at(clients, "accepted"),
           (long long)number_at(clients, "timed_out"));
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (number_at(clients, all[i].name) > 0)
            printf("  %lld TURNED AWAY: %s\n", (long long)number_at(clients, all[i].name), all[i].why);
    printf("Logins since the start: %lld good, %lld wrong, %lld put off because of wrong ones before them\n",
           (long long)number_at(clients, "logins"), (long long)number_at(clients, "logins_failed"),
           (long long)number_at(clients, "logins_slowed"));
    if (number_at(clients, "attacks") > 0)
        printf("  PASSWORDS ARE BEING GUESSED: %lld attacks at present (events guessing-began)\n",
               (long long)number_at(clients, "attacks"));
}

/* What the processes count together; NULL: nobody says. */
static json_t *ask_clients(const char *config)
{
    AUTO(buf_done) struct buf answer = BUF_EMPTY(1u << 16);
    struct conf *conf = common_settings(config);
    json_t *clients = NULL;
    if (conf && supervisor_ask(common_root(conf)->common.run_dir.p, "clients", &answer) == STATUS_OK)
        clients = json_loadb(answer.p, answer.n, 0, NULL);
    conf_free(conf);
    return clients;
}

static void print_status(const json_t *status)
{
    size_t i;
    json_t *site;
    const json_t *spool = json_object_get(status, "spool"), *sites = json_object_get(status, "sites");
    print_queue(json_object_get(status, "queue"));
    print_counts(json_object_get(status, "since_start"));
    if (json_object_get(status, "clients"))
        print_clients(json_object_get(status, "clients"));
    printf("Spool: %lld segments in use, %.1f GiB free on the disk%s\n", (long long)number_at(spool, "segments"),
           (double)number_at(spool, "room") / 1073741824.0,
           json_is_true(json_object_get(spool, "low")) ? ": TOO LITTLE, new mail is refused until there is room" : "");
    if (json_array_size(sites))
        puts("Sites with the most to do:");
    json_array_foreach(sites, i, site)
        print_site(site);
}

int status_main(int argc, char **argv)
{
    struct common_options options;
    if (!common_options_take(&argc, argv, &options))
        return COMMON_USAGE;
    if (argc > 1)
        return common_usage("status");
    json_t *status = control_ask(options.config, json_pack("{s:s}", "op", "status"), NULL, NULL);
    if (!status)
        return COMMON_FAILED;
    json_object_del(status, "done");
    json_t *clients = ask_clients(options.config);
    if (clients)
        json_object_set_new(status, "clients", clients);
    if (options.json) {
        json_dumpf(status, stdout, JSON_INDENT(2));
        putchar('\n');
    } else {
        print_status(status);
    }
    json_decref(status);
    return 0;
}
