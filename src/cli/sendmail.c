#include "cli/sendmail.h"
#include "cli/common.h"
#include "cli/queue.h"
#include "cli/sendmail_priv.h"
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static const char help[] =
    "usage: goniec sendmail [OPTIONS] [RECIPIENT ...]\n"
    "       sendmail, mailq, newaliases (links to goniec)\n\n"
    "Reads a message from the standard input and hands it to the server over its local socket. Who sends it, the kernel says.\n\n"
    "  -t            take the recipients from To, Cc and Bcc (those named here come on top)\n"
    "  -i, -oi       a line with a single dot ends nothing\n"
    "  -f, -r ADDR   sender of the envelope; <>: nobody. What one may use, the settings say (local)\n"
    "  -F NAME       full name for a missing From field\n"
    "  -N WHEN       reports: never, or of success,failure,delay       -R full|hdrs, -V ID: what they hold\n"
    "  -bs           speak SMTP on the standard input and output\n"
    "  -bp, mailq    list what waits                     -bi, newaliases   nothing: there are no aliases\n"
    "  -v            show the talk with the server       -C FILE           settings, for the path of the socket\n\n"
    "Passed over: -A -B -E -G -L -O -U -X -bm -e -h -m -n -o -p, and -q (the server tries again by itself).\n"
    "Exit status: 0 the server has the message; 64 wrong usage; 65 a mistake in the message; 67 a recipient was refused;\n"
    "69, 71, 74, 78 it did not work; 75 not now, try again; 77 not allowed. When it is not 0, nothing was sent to anybody.\n";

bool sendmail_is_name(const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    return strcmp(name, "sendmail") == 0 || strcmp(name, "mailq") == 0 || strcmp(name, "newaliases") == 0;
}

/* Of the settings, where we may read them. Everybody calls us, so a secret settings file is no mistake. */
static void find_socket(const char *config, struct buf *ret)
{
    const char *own = getenv("GONIEC_SUBMIT");
    AUTO(buf_done) struct buf text = BUF_EMPTY(CONF_TEXT_MAX);
    AUTO(conf_faults_done) struct conf_faults faults;
    const char *path = common_config_path(config);
    conf_faults_init(&faults, path);
    struct conf *conf = !own && conf_read(path, &text, &faults) ? conf_parse(&root_section, buf_span(&text), 0, &faults) : NULL;
    if (own)
        buf_add_str(ret, own);
    else if (conf && common_root(conf)->local.socket.n)
        buf_add(ret, common_root(conf)->local.socket);
    else
        buf_printf(ret, "%s/" POLICY_LOCAL_SOCKET, conf ? common_root(conf)->common.run_dir.p : "/run/goniec");
    conf_free(conf);
}

/* A program with borrowed rights (setuid) called us: the mail is its caller's, and so are the environment and -C. */
static bool give_back_rights(void)
{
    uid_t user = getuid();
    gid_t group = getgid();
    return (getegid() == group || setresgid(group, group, group) == 0) &&
           (geteuid() == user || setresuid(user, user, user) == 0);
}

static int list_queue(void)
{
    char name[] = "queue", list[] = "list";
    return queue_command_main(2, (char *[]){ name, list, NULL }) == 0 ? SENDMAIL_OK : SENDMAIL_UNAVAILABLE;
}

int sendmail_main(int argc, char **argv)
{
    struct sendmail_options options;
    char why[SENDMAIL_WHY_SIZE];
    AUTO(buf_done) struct buf path = BUF_EMPTY(4096);
    if (sendmail_options_read(argc, argv, &options, why) != SENDMAIL_OK)
        return sendmail_complain(SENDMAIL_USAGE, "%s", why);
    if (!give_back_rights())
        return sendmail_complain(SENDMAIL_OS, "the rights of a setuid program cannot be given up");
    signal(SIGPIPE, SIG_IGN);
    find_socket(options.config, &path);
    switch (options.mode) {
    case SENDMAIL_HELP: fputs(help, stdout); return SENDMAIL_OK;
    case SENDMAIL_QUEUE: return list_queue();
    case SENDMAIL_ALIASES: puts("goniec has no aliases file; nothing is to be done"); return SENDMAIL_OK;
    case SENDMAIL_RETRY: puts("goniec tries again by itself; `goniec queue retry` does it at once"); return SENDMAIL_OK;
    case SENDMAIL_SMTP: return sendmail_relay(buf_cstr(&path));
    case SENDMAIL_SEND: break;
    }
    return sendmail_send(&options, buf_cstr(&path), argc, argv);
}
