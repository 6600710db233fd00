#include "smtpd/door.h"
#include "base/time.h"
#include "net/listen.h"
#include <stdlib.h>
#include <unistd.h>

#define TELL_EVERY_MS TIME_SECOND_MS

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

/* A flood must not become a flood of log lines. */
static void log_turned_away(struct door *door, const struct net_address *peer, const char *why)
{
    struct doors *doors = door->doors;
    char address[NET_ADDRESS_TEXT];
    int64_t now = loop_now_ms(door->smtpd->loop);
    doors->turned_away++;
    if (now - doors->told_ms < TELL_EVERY_MS)
        return;
    log_warning(door->smtpd->log, "turned-away", LOG_STR("client", net_address_ip_text(peer, address)),
                LOG_STR("why", why), LOG_INT("count", doors->turned_away));
    doors->told_ms = now;
    doors->turned_away = 0;
}

/* One packet in the hope that it arrives; no session for somebody who has too many. */
static void turn_away(struct door *door, int fd, const struct net_address *peer, const char *why)
{
    log_turned_away(door, peer, why);
    if (door->listen->tls != CONF_LISTEN_IMPLICIT) {
        AUTO(buf_done) struct buf text = BUF_EMPTY(512);
        buf_printf(&text, "421 4.3.2 %.*s %s; try again later\r\n", SPAN_ARGS(buf_span(&door->config->hostname)), why);
        if (send(fd, text.p, text.n, MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
            shutdown(fd, SHUT_WR);
    }
    close(fd);
}

/* Connections that this client may have; 0: any number. Relay networks speak for many. */
static unsigned most_of(const struct door *door, const struct conf_ip *ip)
{
    bool relay = door->listen->service == CONF_SERVICE_RELAY;
    if (relay && conf_networks_have(&door->config->root->relay.networks, ip))
        return 0;
    return (unsigned)door->config->root->smtpd.max_connections_per_address;
}

static void on_accept(void *arg, struct listener *listener, int fd, const struct net_address *peer)
{
    struct door *door = arg;
    struct smtpd *smtpd = door->smtpd;
    const struct smtpd_settings *settings = &door->config->root->smtpd;
    struct client *client = NULL;
    struct conf_ip ip;
    if (smtpd->session_count >= MIN((unsigned)settings->max_connections, smtpd->files.connections)) {
        turn_away(door, fd, peer, "Too many connections");
        return;
    }
    /* Whom a proxy speaks for is known later. */
    if (conf_ip_from(&peer->as.any, &ip) && !conf_networks_have(&door->listen->proxy_from, &ip)) {
        client = clients_enter(&smtpd->clients, net_address_octets(peer), most_of(door, &ip));
        if (!client) {
            turn_away(door, fd, peer, "Too many connections from your address");
            return;
        }
    }
    session_begin(smtpd, door->config, door->listen, fd, peer, client);
}

static void on_exhausted(void *arg, struct listener *listener)
{
    struct door *door = arg;
    log_turned_away(door, &NET_ADDRESS_NONE, "out of descriptors");
}

static const struct listener_events events = { on_accept, on_exhausted };

enum status doors_open(struct doors *doors, struct smtpd *smtpd, struct smtpd_config *config, uint32_t index, int fd)
{
    const struct conf_list *rows = &config->root->common.listen;
    struct door *door = index < rows->n ? calloc(1, sizeof *door) : NULL;
    if (!door) {
        close(fd);
        return index < rows->n ? STATUS_MEMORY : STATUS_NOT_FOUND;
    }
    const struct conf_listen *all = rows->items;
    *door = (struct door){ .doors = doors, .smtpd = smtpd, .config = smtpd_config_ref(config), .listen = &all[index] };
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
