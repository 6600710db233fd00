/* Other people's words in the event log: each event stays one line of printable UTF-8 that ends the object it began. */
#include "base/log.h"
#include "fuzz.h"
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

static void check_line(struct span line)
{
    bool quoted = false;
    int depth = 0;
    require(line.n > 2 && line.p[0] == '{' && line.p[line.n - 1] == '}' && span_is_utf8(line));
    for (size_t i = 0; i < line.n; i++) {
        char c = line.p[i];
        require((unsigned char)c >= ' ' && c != 0x7F);
        if (quoted && c == '\\') {
            i++;
            require(i < line.n && strchr("\"\\/bfnrtu", line.p[i]) != NULL);
        } else if (c == '"') {
            quoted = !quoted;
        } else if (!quoted) {
            depth += (c == '{') - (c == '}');
            require(depth > 0 || i + 1 == line.n);
        }
    }
    require(!quoted && depth == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    struct choices choices = choices_of(data, size);
    struct span first = choose_text(&choices, 255);
    struct log log;
    AUTO(buf_done) struct buf said = BUF_EMPTY((size_t)4 << 20);
    if (fd < 0)
        fd = memfd_create("log", MFD_CLOEXEC);
    require(fd >= 0 && ftruncate(fd, 0) == 0 && lseek(fd, 0, SEEK_SET) == 0);
    log_init(&log, fd, "smtpd", LOG_DEBUG);
    log_warning(&log, "login-failed", LOG_SPAN("login", first), LOG_ID(size), LOG_SPAN("why", choices.left),
                LOG_INT("n", (int64_t)size), LOG_BOOL("tls", size & 1));
    log_done(&log);
    require(lseek(fd, 0, SEEK_SET) == 0 && buf_fill(&said, fd) == STATUS_OK);
    struct span lines = buf_span(&said), line = SPAN_NONE;
    require(span_ends_case(lines, SPAN("\n")) && span_cut(&lines, '\n', &line) && lines.n == 0);
    check_line(line);
    return 0;
}
