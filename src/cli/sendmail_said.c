/* What `sendmail` tells about itself and its caller, for whoever looks for a script. */
#include "cli/sendmail_priv.h"
#include "cli/sendmail_caller.h"
#include "mail/handin.h"
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define CMDLINE_MAX 4096 /* octets of a command line that are looked at */

static void say_command(int argc, char **argv, struct buf *line)
{
    AUTO(buf_done) struct buf text = BUF_EMPTY(SMTP_SAID_MAX);
    for (int i = 0; i < argc && !text.failed; i++) {
        if (i > 0)
            buf_add_char(&text, ' ');
        buf_add(&text, span_head(span_str(argv[i]), SMTP_SAID_MAX - 1 - MIN(text.n, (size_t)SMTP_SAID_MAX - 1)));
    }
    smtp_said_put(line, SMTP_SAID_COMMAND, buf_span(&text));
}

/* A file of /proc about a process. */
static struct span read_about(int pid, const char *name, char *room, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, room, size) : -1;
    if (fd >= 0)
        close(fd);
    return span_of(room, n > 0 ? (size_t)n : 0);
}

static int parent_of(int pid)
{
    char room[512];
    struct span text = read_about(pid, "stat", room, sizeof room); /* "4242 (sh) S 4241 ..." */
    struct span left = span_from(text, span_rfind(text, ')')), word = SPAN_NONE;
    uint64_t parent = 0;
    for (unsigned i = 0; i < 3; i++)
        if (!span_cut(&left, ' ', &word))
            return 0;
    return span_u64(word, INT_MAX, &parent) ? (int)parent : 0;
}

static bool is_file(const char *path)
{
    struct stat found;
    return stat(path, &found) == 0 && S_ISREG(found.st_mode);
}

static void say_parent(struct buf *line)
{
    AUTO(buf_done) struct buf caller = BUF_EMPTY(CMDLINE_MAX);
    char room[CMDLINE_MAX];
    int pid = (int)getppid();
    struct span cmdline = read_about(pid, "cmdline", room, sizeof room);
    if (sendmail_caller_is_shell(cmdline))
        cmdline = read_about(parent_of(pid), "cmdline", room, sizeof room);
    if (sendmail_caller(cmdline, is_file, &caller) == STATUS_OK)
        smtp_said_put(line, SMTP_SAID_PARENT, buf_span(&caller));
}

void sendmail_say(struct span header, int argc, char **argv, struct buf *line)
{
    char folder[PATH_MAX], script[SMTP_SAID_MAX];
    struct span found = handin_value(header, SPAN("X-PHP-Originating-Script"), script, sizeof script);
    const char *site = getenv("HTTP_HOST") ? getenv("HTTP_HOST") : getenv("SERVER_NAME");
    buf_add_str(line, "XLOCAL");
    say_command(argc, argv, line);
    say_parent(line);
    if (getcwd(folder, sizeof folder))
        smtp_said_put(line, SMTP_SAID_DIRECTORY, span_str(folder));
    smtp_said_put(line, SMTP_SAID_SCRIPT, found.n ? found : span_str(getenv("SCRIPT_FILENAME")));
    smtp_said_put(line, SMTP_SAID_SITE, span_str(site));
}
