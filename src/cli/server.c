#include "cli/server.h"
#include "cli/common.h"
#include "delivery/delivery.h"
#include "directory/directory.h"
#include "queue/queue.h"
#include "share/share.h"
#include "smtpd/smtpd.h"
#include "supervisor/supervisor.h"
#include "wire/supervisor.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

int serve_main(int argc, char **argv)
{
    struct common_options options;
    if (!common_options_take(&argc, argv, &options))
        return COMMON_USAGE;
    return argc == 1 ? supervisor_run(options.config) : common_usage("serve");
}

int check_main(int argc, char **argv)
{
    struct common_options options;
    struct conf_faults faults;
    if (!common_options_take(&argc, argv, &options))
        return COMMON_USAGE;
    if (argc != 1)
        return common_usage("check");
    conf_faults_init(&faults, options.config);
    bool good = supervisor_check(options.config, &faults);
    fputs(buf_cstr(&faults.text), stderr);
    if (good)
        printf("%s: good\n", options.config);
    conf_faults_done(&faults);
    return good ? 0 : COMMON_FAILED;
}

/* Sends the request to the server that these settings belong to. */
static int ask(const char *name, int argc, char **argv, const char *done)
{
    struct common_options options;
    if (!common_options_take(&argc, argv, &options))
        return COMMON_USAGE;
    if (argc != 1)
        return common_usage(name);
    struct conf *conf = common_settings(options.config);
    if (!conf)
        return common_complain("a running server keeps the settings that it has");
    AUTO(buf_done) struct buf answer = BUF_EMPTY(1u << 20);
    const char *run_dir = common_root(conf)->common.run_dir.p;
    enum status status = supervisor_ask(run_dir, name, &answer);
    int error = errno;
    if (status == STATUS_DENIED)
        fputs(buf_cstr(&answer), stderr);
    else if (status != STATUS_OK)
        common_complain("no server answers in %s: %s", run_dir, strerror(error));
    else
        puts(done);
    conf_free(conf);
    return status == STATUS_OK ? 0 : COMMON_FAILED;
}

int reload_main(int argc, char **argv)
{
    return ask("reload", argc, argv, "the new settings hold");
}

int stop_main(int argc, char **argv)
{
    return ask("stop", argc, argv, "stopped");
}

int role_main(int argc, char **argv)
{
    static int (*const mains[ROLE_COUNT])(void) = {
        [ROLE_SMTPD] = smtpd_main,
        [ROLE_QUEUE] = queue_main,
        [ROLE_DELIVERY] = delivery_main,
        [ROLE_DIRECTORY] = directory_main,
        [ROLE_SHARE] = share_main,
        [ROLE_MIRROR] = mirror_main,
    };
    enum role role;
    struct stat channel;
    if (argc < 2 || !role_parse(span_str(argv[1]), &role) || !mains[role])
        return common_usage("role");
    if (fstat(SUPERVISOR_FD, &channel) != 0 || !S_ISSOCK(channel.st_mode))
        return common_complain("a role is started by `goniec serve` only");
    return mains[role]();
}
