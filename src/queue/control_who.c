/* Who asks over the control socket: may he, and by what name is he remembered?
 *
 * The names of all who may (root, our own user, our group's members) are read before the lock closes; afterwards no file
 * can be opened that tells them. Who came to the group since is "uid 1234" until the next start. */
#include "queue/control_priv.h"
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct control_name {
    struct list link;
    uid_t uid;
    char name[QUEUE_WHO_MAX];
};

static void add_name(struct queue_role *role, const struct passwd *user)
{
    struct control_name *name = user ? calloc(1, sizeof *name) : NULL;
    if (!name)
        return;
    name->uid = user->pw_uid;
    snprintf(name->name, sizeof name->name, "%s", user->pw_name);
    list_add_last(&role->operators, &name->link);
}

void control_who_read(struct queue_role *role)
{
    control_who_done(role);
    add_name(role, getpwuid(0));
    add_name(role, getpwuid(geteuid()));
    const struct group *group = getgrgid(getegid());
    for (char *const *member = group ? group->gr_mem : NULL; member && *member; member++)
        add_name(role, getpwnam(*member));
}

void control_who_done(struct queue_role *role)
{
    for (LIST_EACH(link, &role->operators)) {
        list_remove(link);
        free(CONTAINER(link, struct control_name, link));
    }
}

static void name_find(const struct queue_role *role, uid_t uid, char ret[QUEUE_WHO_MAX])
{
    snprintf(ret, QUEUE_WHO_MAX, "uid %u", (unsigned)uid);
    for (LIST_EACH(link, &role->operators))
        if (CONTAINER(link, struct control_name, link)->uid == uid) {
            memcpy(ret, CONTAINER(link, struct control_name, link)->name, QUEUE_WHO_MAX);
            return;
        }
}

static bool is_member(int fd)
{
    gid_t groups[1024];
    socklen_t size = sizeof groups;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) != 0)
        return false;
    for (size_t i = 0; i < size / sizeof groups[0]; i++)
        if (groups[i] == getegid())
            return true;
    return false;
}

/* The user is right, but no operator sits there: somebody has taken the process over. */
static bool is_delivery(const struct queue_role *role, pid_t pid)
{
    for (LIST_EACH(link, &role->deliveries))
        if (CONTAINER(link, struct delivery, link)->pid == pid)
            return true;
    return false;
}

bool control_who_may_ask(const struct queue_role *role, int fd, char who[QUEUE_WHO_MAX])
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
        return false;
    if (is_delivery(role, peer.pid)) {
        snprintf(who, QUEUE_WHO_MAX, "delivery, process %d", (int)peer.pid);
        return false;
    }
    name_find(role, peer.uid, who);
    return peer.uid == 0 || peer.uid == geteuid() || peer.gid == getegid() || is_member(fd);
}
