/* What went wrong, for a person, and the one function that reads a file. */
#include "conf/parse.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

void conf_faults_init(struct conf_faults *faults, const char *file)
{
    *faults = (struct conf_faults){ BUF_EMPTY(256u << 10), 0, file };
}

void conf_faults_done(struct conf_faults *faults) { buf_done(&faults->text); }

void conf_faults_add(struct conf_faults *faults, unsigned line, unsigned column, const char *format, ...)
{
    if (faults->count++ >= CONF_FAULTS_MAX)
        return;
    buf_printf(&faults->text, "%s:", faults->file);
    if (line)
        buf_printf(&faults->text, "%u:%u:", line, column);
    buf_add_char(&faults->text, ' ');
    va_list args;
    va_start(args, format);
    buf_vprintf(&faults->text, format, args);
    va_end(args);
    buf_add_char(&faults->text, '\n');
    if (faults->count == CONF_FAULTS_MAX)
        buf_printf(&faults->text, "%s: too many errors; the rest is not shown\n", faults->file);
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

bool conf_read(const char *path, struct buf *ret, struct conf_faults *faults)
{
    AUTO(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    enum status status = fd < 0 ? STATUS_IO : buf_fill(ret, fd);
    if (status == STATUS_OK)
        return true;
    if (status == STATUS_FULL)
        conf_faults_add(faults, 0, 0, "longer than %zu octets", ret->most);
    else
        conf_faults_add(faults, 0, 0, "cannot be read: %s", status == STATUS_IO ? strerror(errno) : status_text(status));
    return false;
}
