#include "cli/spool.h"
#include "base/id.h"
#include "base/log.h"
#include "cli/common.h"
#include "spool/verify.h"
#include <errno.h>
#include <inttypes.h>

static const char *const fault_words[] = {
    [SPOOL_FAULT_DAMAGE] = "damage", [SPOOL_FAULT_FOREIGN] = "foreign", [SPOOL_FAULT_BODY] = "body",
    [SPOOL_FAULT_VERSION] = "version", [SPOOL_FAULT_ACCESS] = "access",
};

struct report {
    bool json;
    struct buf faults; /* the members of the JSON array */
};

static void add_json(struct buf *to, const struct spool_fault *fault)
{
    char id[ID_TEXT_SIZE];
    if (to->n)
        buf_add_char(to, ',');
    buf_printf(to, "\n    {\"kind\": \"%s\", \"file\": ", fault_words[fault->kind]);
    json_add_string(to, span_str(fault->name));
    buf_printf(to, ", \"offset\": %" PRIu64 ", \"octets\": %" PRIu64 ", \"id\": ", fault->offset, fault->octets);
    json_add_string(to, fault->id ? span_str(id_text(fault->id, id)) : SPAN(""));
    buf_add_str(to, ", \"what\": ");
    json_add_string(to, span_str(fault->what));
    buf_add_char(to, '}');
}

static void on_fault(void *arg, const struct spool_fault *fault)
{
    struct report *report = arg;
    char id[ID_TEXT_SIZE];
    if (report->json) {
        add_json(&report->faults, fault);
        return;
    }
    printf("%s: ", fault->name);
    if (fault->octets)
        printf("at offset %" PRIu64 ", %" PRIu64 " octets: ", fault->offset, fault->octets);
    if (fault->id)
        printf("message %s: ", id_text(fault->id, id));
    printf("%s\n", fault->what);
}

static void print_text(const struct spool_verify *verify)
{
    printf("%" PRIu64 " segments (%" PRIu64 " empty), %" PRIu64 " message records, %" PRIu64 " body files, %" PRIu64
           " journal records, %" PRIu64 " checkpoint records\n",
           verify->segments, verify->empty_segments, verify->messages, verify->bodies, verify->journal_records,
           verify->checkpoint_records);
    if (verify->torn)
        printf("%" PRIu64 " segments end in a torn commit: a crash came while it was written, and nobody was told that "
               "it was stored\n", verify->torn);
    if (verify->faults)
        printf("%" PRIu64 " faults\n", verify->faults);
    else
        puts("no faults");
}

static void print_json(const struct spool_verify *verify, const struct report *report)
{
    printf("{\n  \"segments\": %" PRIu64 ",\n  \"empty_segments\": %" PRIu64 ",\n  \"messages\": %" PRIu64
           ",\n  \"bodies\": %" PRIu64 ",\n  \"bodies_gone\": %" PRIu64 ",\n  \"journal_records\": %" PRIu64
           ",\n  \"checkpoint_records\": %" PRIu64 ",\n  \"octets\": %" PRIu64 ",\n  \"torn\": %" PRIu64
           ",\n  \"faults\": [%.*s%s]\n}\n",
           verify->segments, verify->empty_segments, verify->messages, verify->bodies, verify->bodies_gone,
           verify->journal_records, verify->checkpoint_records, verify->octets, verify->torn,
           SPAN_ARGS(buf_span(&report->faults)), report->faults.n ? "\n  " : "");
}

int spool_main(int argc, char **argv)
{
    struct common_options options;
    if (!common_options_take(&argc, argv, &options))
        return COMMON_USAGE;
    if (argc < 2 || argc > 3 || strcmp(argv[1], "verify") != 0)
        return common_usage("spool");
    AUTO(buf_done) struct buf path = BUF_EMPTY(4096);
    if (argc == 3) {
        buf_add_str(&path, argv[2]);
    } else {
        struct conf *conf = common_settings(options.config);
        if (!conf)
            return COMMON_FAILED;
        buf_printf(&path, "%.*s/spool", SPAN_ARGS(common_root(conf)->common.state_dir));
        conf_free(conf);
    }
    struct report report = { .json = options.json, .faults = BUF_EMPTY(64u << 20) };
    struct spool_verify verify = { .on_fault = on_fault, .arg = &report };
    enum status status = spool_verify_run(&verify, buf_cstr(&path));
    if (status != STATUS_OK) {
        buf_done(&report.faults);
        return common_complain("%s: %s", buf_cstr(&path), status == STATUS_IO ? strerror(errno) : status_text(status));
    }
    if (options.json)
        print_json(&verify, &report);
    else
        print_text(&verify);
    buf_done(&report.faults);
    return verify.faults ? COMMON_FAILED : 0;
}
