#include "supervisor/doors.h"
#include "net/listen.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct net_address net_of(const struct conf_address *address)
{
    struct sockaddr_storage storage;
    struct net_address ret = NET_ADDRESS_NONE;
    ret.n = conf_address_sockaddr(address, &storage);
    memcpy(&ret.as, &storage, ret.n);
    return ret;
}

static const struct door *find_door(const struct doors *doors, const struct conf_address *address)
{
    for (size_t i = 0; doors && i < doors->n; i++)
        if (conf_ip_eq(&doors->items[i].address.ip, &address->ip) && doors->items[i].address.port == address->port)
            return &doors->items[i];
    return NULL;
}

static bool door_duplicate(struct door *door, const struct door *old, unsigned processes)
{
    for (unsigned i = 0; i < processes; i++) {
        door->fds[i] = fcntl(old->fds[i], F_DUPFD_CLOEXEC, 4);
        if (door->fds[i] < 0)
            return false;
    }
    return true;
}

/* Shared sockets of the same user bind beside each other without a word, so ask once without sharing. */
static bool door_bind(struct door *door, unsigned processes)
{
    struct net_address at = net_of(&door->address);
    int probe;
    if (listen_open(&at, &(struct listen_options){ .backlog = 1 }, &probe) != STATUS_OK)
        return false;
    close(probe);
    for (unsigned i = 0; i < processes; i++)
        if (listen_open(&at, &(struct listen_options){ .share = true }, &door->fds[i]) != STATUS_OK) {
            door->fds[i] = -1;
            return false;
        }
    return true;
}

static const char *hint(int error)
{
    return error == EACCES       ? "; ports below 1024 need root or the capability CAP_NET_BIND_SERVICE"
           : error == EADDRINUSE ? "; another program listens there (ss -ltnp shows which)"
                                 : "";
}

static void open_one(struct doors *doors, const struct plan *plan, const struct doors *old, uint32_t index,
                     struct conf_faults *faults)
{
    const struct conf_list *list = &plan->settings->common.listen;
    const struct conf_listen *listen = (const struct conf_listen *)list->items + index;
    struct door *door = &doors->items[doors->n];
    const struct door *same = find_door(old, &listen->address);
    *door = (struct door){ listen->address, index, malloc(doors->processes * sizeof *door->fds) };
    if (!door->fds) {
        conf_faults_add(faults, 0, 0, "out of memory");
        return;
    }
    for (unsigned i = 0; i < doors->processes; i++)
        door->fds[i] = -1;
    doors->n++;
    if (same ? door_duplicate(door, same, doors->processes) : door_bind(door, doors->processes))
        return;
    int error = errno;
    bool no_family = error == EAFNOSUPPORT || error == EADDRNOTAVAIL;
    if (no_family && !conf_is_set(plan->conf, list)) {
        free(door->fds);
        doors->n--;
        return;
    }
    char text[CONF_ADDRESS_TEXT_SIZE];
    conf_fault_at(plan->conf, &listen->address, faults, "cannot listen on %s: %s%s",
                  conf_address_text(&listen->address, text), strerror(error), hint(error));
}

static bool local_address(const struct plan *plan, struct net_address *ret)
{
    AUTO(buf_done) struct buf text = BUF_EMPTY(8192);
    const struct span *path = &plan->settings->local.socket, *run_dir = &plan->settings->common.run_dir;
    if (path->n > 0)
        buf_printf(&text, "unix:%.*s", SPAN_ARGS(*path));
    else
        buf_printf(&text, "unix:%.*s/" POLICY_LOCAL_SOCKET, SPAN_ARGS(*run_dir));
    return net_address_parse(buf_span(&text), 0, ret) == STATUS_OK;
}

static bool is_same_path(const struct doors *doors, const struct net_address *at)
{
    return doors && doors->local >= 0 && strcmp(doors->local_at.as.un.sun_path, at->as.un.sun_path) == 0;
}

/* Everybody on the machine may connect from the socket's first moment: no chmod(2) on a path that others could replace. */
static enum status open_for_all(const struct net_address *at, int *ret)
{
    mode_t mask = umask(0111);
    enum status status = listen_open(at, &(struct listen_options){ 0 }, ret);
    umask(mask);
    return status;
}

bool doors_open_local(struct doors *doors, const struct plan *plan, const struct doors *old, struct conf_faults *faults)
{
    const struct policy_local *local = &plan->settings->local;
    const void *where = local->socket.n ? &local->socket : &plan->settings->common.run_dir;
    if (!local->listen)
        return true;
    if (!local_address(plan, &doors->local_at)) {
        conf_fault_at(plan->conf, where, faults, "local: the path of the socket is too long");
        return false;
    }
    if (is_same_path(old, &doors->local_at))
        doors->local = fcntl(old->local, F_DUPFD_CLOEXEC, 4);
    else if (open_for_all(&doors->local_at, &doors->local) != STATUS_OK)
        doors->local = -1;
    if (doors->local < 0)
        conf_fault_at(plan->conf, where, faults, "local: cannot listen on %s: %s", doors->local_at.as.un.sun_path, strerror(errno));
    return doors->local >= 0;
}

struct doors *supervisor_doors_open(const struct plan *plan, const struct doors *old, unsigned processes,
                         struct conf_faults *faults)
{
    unsigned before = faults->count;
    size_t n = plan->settings->common.listen.n;
    struct doors *doors = calloc(1, sizeof *doors);
    if (doors)
        doors->items = calloc(n ? n : 1, sizeof *doors->items);
    if (!doors || !doors->items) {
        free(doors);
        conf_faults_add(faults, 0, 0, "out of memory");
        return NULL;
    }
    doors->processes = processes;
    doors->local = -1;
    for (uint32_t i = 0; i < n; i++)
        open_one(doors, plan, old, i, faults);
    if (faults->count == before)
        return doors;
    doors_free(doors);
    return NULL;
}

void doors_unlink(const struct doors *doors, const struct doors *stays)
{
    if (doors && doors->local >= 0 && !is_same_path(stays, &doors->local_at))
        unlink(doors->local_at.as.un.sun_path);
}

void doors_free(struct doors *doors)
{
    if (!doors)
        return;
    if (doors->local >= 0)
        close(doors->local);
    for (size_t i = 0; i < doors->n; i++) {
        for (unsigned j = 0; j < doors->processes; j++)
            if (doors->items[i].fds[j] >= 0)
                close(doors->items[i].fds[j]);
        free(doors->items[i].fds);
    }
    free(doors->items);
    free(doors);
}
