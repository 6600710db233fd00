#include "supervisor/doors.h"
#include "net/listen.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
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
    for (uint32_t i = 0; i < n; i++)
        open_one(doors, plan, old, i, faults);
    if (faults->count == before)
        return doors;
    doors_free(doors);
    return NULL;
}

void doors_free(struct doors *doors)
{
    if (!doors)
        return;
    for (size_t i = 0; i < doors->n; i++) {
        for (unsigned j = 0; j < doors->processes; j++)
            if (doors->items[i].fds[j] >= 0)
                close(doors->items[i].fds[j]);
        free(doors->items[i].fds);
    }
    free(doors->items);
    free(doors);
}
