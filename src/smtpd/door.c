#include "smtpd/door.h"
#include "net/listen.h"
#include "smtpd/local.h"
#include <stdlib.h>
#include <unistd.h>

struct door {
    struct list link;
    struct doors *doors;
    struct smtpd *smtpd;
    struct smtpd_config *config;
    const struct conf_listen *listen;
    struct listener *listener;
};

void doors_init(struct doors *doors)
{
    *doors = (struct doors){ 0 };
    list_init(&doors->open);
}

/* One packet in the hope that it arrives; no session for somebody who has too many. */
static void turn_away(struct door *door, int fd, const struct net_address *peer, enum refusal why)
{
    char address[NET_ADDRESS_TEXT], status[STATUS_CODE_TEXT_SIZE];
    load_note_away(door->smtpd, net_address_ip_text(peer, address), why);
    if (door->listen->tls != CONF_LISTEN_IMPLICIT) {
        AUTO(buf_done) struct buf text = BUF_EMPTY(1024);
        buf_printf(&text, "421 %s %.*s %.*s\r\n", status_code_text(load_refusal_status(why), status),
                   SPAN_ARGS(buf_span(&door->config->hostname)), SPAN_ARGS(load_refusal_text(why)));
        if (send(fd, text.p, text.n, MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
            shutdown(fd, SHUT_WR);
    }
    close(fd);
}

static const struct conf_listen local_listen = { .service = CONF_SERVICE_SUBMISSION, .tls = CONF_LISTEN_NONE };

/* Users of this machine are counted each by itself; root is not. */
static enum refusal count_local(struct door *door, int fd, struct client **ret)
{
    struct ucred user;
    char key[LOCAL_KEY_OCTETS];
    if (!local_peer(fd, &user))
        return REFUSAL_MEMORY;
    return clients_enter(&door->smtpd->clients, local_key(user.uid, key), user.uid == 0 ? NULL : &door->config->limits,
                         loop_now_ms(door->smtpd->loop), ret);
}

static void on_accept(void *arg, struct listener *listener, int fd, const struct net_address *peer)
{
    struct door *door = arg;
    struct smtpd *smtpd = door->smtpd;
    struct client *client = NULL;
    struct conf_ip ip;
    enum refusal why = load_may_enter(smtpd);
    /* Whom a proxy speaks for is known later. */
    if (why == REFUSAL_NONE && conf_ip_from(&peer->as.any, &ip) && !conf_networks_have(&door->listen->proxy_from, &ip))
        why = clients_enter(&smtpd->clients, net_address_octets(peer), smtpd_config_limits(door->config, &ip),
                            loop_now_ms(smtpd->loop), &client);
    if (why == REFUSAL_NONE && door->listen == &local_listen)
        why = count_local(door, fd, &client);
    if (why != REFUSAL_NONE)
        turn_away(door, fd, peer, why);
    else
        session_begin(smtpd, door->config, door->listen, fd, peer, client);
}

static void on_exhausted(void *arg, struct listener *listener)
{
    load_note_away(((struct door *)arg)->smtpd, "?", REFUSAL_FULL);
}

static const struct listener_events events = { on_accept, on_exhausted };

enum status doors_open(struct doors *doors, struct smtpd *smtpd, struct smtpd_config *config, uint32_t index, int fd)
{
    const struct conf_list *rows = &config->root->common.listen;
    bool known = index < rows->n || index == WIRE_LISTENER_LOCAL;
    struct door *door = known ? calloc(1, sizeof *door) : NULL;
    if (!door) {
        close(fd);
        return known ? STATUS_MEMORY : STATUS_NOT_FOUND;
    }
    const struct conf_listen *all = rows->items;
    *door = (struct door){ .doors = doors, .smtpd = smtpd, .config = smtpd_config_ref(config),
                           .listen = index == WIRE_LISTENER_LOCAL ? &local_listen : &all[index] };
    list_add_last(&doors->open, &door->link);
    door->listener = listener_new(smtpd->loop, fd, &events, door);
    if (door->listener)
        return STATUS_OK;
    close(fd);
    list_remove(&door->link);
    smtpd_config_unref(config);
    free(door);
    return STATUS_MEMORY;
}

void doors_close(struct doors *doors)
{
    for (struct list *link; (link = list_take_first(&doors->open)) != NULL;) {
        struct door *door = CONTAINER(link, struct door, link);
        listener_free(door->listener);
        smtpd_config_unref(door->config);
        free(door);
    }
}

void doors_replace(struct doors *doors, struct doors *fresh)
{
    doors_close(doors);
    for (struct list *link; (link = list_take_first(&fresh->open)) != NULL;) {
        CONTAINER(link, struct door, link)->doors = doors;
        list_add_last(&doors->open, link);
    }
}
