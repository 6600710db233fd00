/* The users of this machine: a uid's name by /etc/passwd, a process's control group by /proc.
 *
 * Read by hand, because the system's own way (getpwuid(3)) may ask a directory server over the network, and the supervisor
 * waits for nobody. Nothing is read that lies in the memory of the process: a program can make its command line a page that
 * never comes. */
#include "supervisor/supervisor_priv.h"
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAMES 64         /* kept */
#define LINE_MAX_OCTETS 4096

static struct names {
    struct timespec changed; /* the file, when they were read */
    ino_t inode;
    struct {
        bool is_known;
        uid_t uid;
        char name[WIRE_USER_MAX + 1]; /* "": it has none */
    } all[NAMES];
} names;

static void close_file(FILE **file)
{
    if (*file)
        fclose(*file);
}

static void read_name(uid_t uid, char ret[WIRE_USER_MAX + 1])
{
    struct passwd entry = { 0 }, *found = NULL;
    char room[LINE_MAX_OCTETS];
    AUTO(close_file) FILE *file = fopen("/etc/passwd", "re");
    ret[0] = 0;
    while (file && fgetpwent_r(file, &entry, room, sizeof room, &found) == 0 && found)
        if (entry.pw_uid == uid && strlen(entry.pw_name) <= WIRE_USER_MAX) {
            snprintf(ret, WIRE_USER_MAX + 1, "%s", entry.pw_name);
            return;
        }
}

static const char *name_of(uid_t uid)
{
    struct stat now;
    if (stat("/etc/passwd", &now) != 0)
        return "";
    if (now.st_ino != names.inode || memcmp(&now.st_mtim, &names.changed, sizeof names.changed) != 0)
        names = (struct names){ .changed = now.st_mtim, .inode = now.st_ino };
    unsigned place = uid % NAMES;
    if (!names.all[place].is_known || names.all[place].uid != uid) {
        read_name(uid, names.all[place].name);
        names.all[place].is_known = true;
        names.all[place].uid = uid;
    }
    return names.all[place].name;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

/* "0::/system.slice/x.service\n", of a process that is still that user's. */
static struct span cgroup_of(uid_t uid, uint32_t pid, char *room, size_t size)
{
    char path[32];
    struct stat owner;
    snprintf(path, sizeof path, "/proc/%u", pid);
    AUTO(close_fd) int folder = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0 || fstat(folder, &owner) != 0 || owner.st_uid != uid)
        return SPAN_NONE;
    AUTO(close_fd) int fd = openat(folder, "cgroup", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, room, size) : -1;
    struct span text = span_of(room, n > 0 ? (size_t)n : 0), line;
    while (span_cut(&text, '\n', &line))
        if (span_starts(line, SPAN("0::")) && line.n <= WIRE_CGROUP_MAX + 3)
            return span_from(line, 3);
    return SPAN_NONE;
}

void who_find(const struct supervisor_who *who, struct supervisor_who_is *ret)
{
    static char room[LINE_MAX_OCTETS];
    *ret = (struct supervisor_who_is){ .token = who->token, .name = span_str(name_of(who->uid)),
                                       .cgroup = cgroup_of(who->uid, who->pid, room, sizeof room) };
}
