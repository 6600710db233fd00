#include "base/memory.h"
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void memory_give_back(void) { malloc_trim(0); }

/* Up to `room` - 1 octets and a NUL. */
static size_t read_text(const char *path, char *ret, size_t room)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, ret, room - 1) : 0;
    if (fd >= 0)
        close(fd);
    ret[n > 0 ? n : 0] = 0;
    return n > 0 ? (size_t)n : 0;
}

static bool has_word(struct span list, struct span word)
{
    struct span item;
    while (list.n && span_cut(&list, ',', &item))
        if (span_eq(item, word))
            return true;
    return false;
}

struct span memory_group(struct span text, bool *is_v1)
{
    struct span line, number, controllers, found = SPAN_NONE;
    *is_v1 = false;
    while (text.n && span_cut(&text, '\n', &line)) {
        if (!span_cut(&line, ':', &number) || !span_cut(&line, ':', &controllers))
            continue;
        if (has_word(controllers, SPAN("memory"))) { /* it is there in one version only */
            *is_v1 = true;
            return line;
        }
        if (span_eq(number, SPAN("0")) && controllers.n == 0)
            found = line;
    }
    return found;
}

/* The least limit of the group and of those around it. */
static uint64_t limit_of_group(struct span group, bool is_v1)
{
    char path[4096 + 64], text[64];
    uint64_t least = UINT64_MAX;
    if (group.n >= 4096)
        return least;
    for (;;) {
        snprintf(path, sizeof path, "/sys/fs/cgroup%s%.*s/%s", is_v1 ? "/memory" : "", SPAN_ARGS(group),
                 is_v1 ? "memory.limit_in_bytes" : "memory.max");
        if (read_text(path, text, sizeof text) && text[0] >= '0' && text[0] <= '9')
            least = MIN(least, (uint64_t)strtoull(text, NULL, 10));
        if (group.n == 0)
            return least;
        do
            group.n--;
        while (group.n > 0 && group.p[group.n] != '/');
    }
}

uint64_t memory_allowed(void)
{
    char text[4096];
    bool is_v1;
    long pages = sysconf(_SC_PHYS_PAGES), octets = sysconf(_SC_PAGESIZE);
    uint64_t machine = pages > 0 && octets > 0 ? (uint64_t)pages * (uint64_t)octets : 0;
    struct span group = memory_group(span_of(text, read_text("/proc/self/cgroup", text, sizeof text)), &is_v1);
    uint64_t limit = limit_of_group(group, is_v1);
    return machine == 0 ? (limit == UINT64_MAX ? 0 : limit) : MIN(machine, limit);
}
