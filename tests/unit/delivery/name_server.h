/* A name server on loopback, in the test's own loop, that answers from rows. */
#pragma once
#include "test.h"
#include "loop/loop.h"
#include "net/dns.h"
#include <arpa/inet.h>
#include <stdlib.h>
#include <unistd.h>

struct name_row {
    const char *name;    /* lower case */
    enum dns_type type;
    const char *records; /* "10 a.example,20 b.example"; "192.0.2.1,192.0.2.2"; "": none of this type; "!": SERVFAIL */
};

struct name_server {
    struct loop_fd fd;
    struct net_address at;
    const struct name_row *rows;
    size_t count;
};

static inline size_t name_put(unsigned char *at, const char *name)
{
    size_t n = 0;
    while (*name) {
        size_t label = strcspn(name, ".");
        at[n++] = (unsigned char)label;
        memcpy(at + n, name, label);
        n += label;
        name += label + (name[label] == '.');
    }
    at[n++] = 0;
    return n;
}

static inline size_t name_record(unsigned char *at, enum dns_type type, const char *text)
{
    size_t n = 12, length;
    memcpy(at, "\xc0\x0c\0\0\0\1\0\0\1\x2c\0\0", 12);
    at[3] = (unsigned char)type;
    if (type == DNS_MX) {
        char *host;
        unsigned long preference = strtoul(text, &host, 10);
        at[n++] = (unsigned char)(preference >> 8);
        at[n++] = (unsigned char)preference;
        n += name_put(at + n, host + (*host == ' '));
    } else {
        assert_int_equal(inet_pton(type == DNS_A ? AF_INET : AF_INET6, text, at + n), 1);
        n += type == DNS_A ? 4 : 16;
    }
    length = n - 12;
    at[11] = (unsigned char)length;
    return n;
}

/* A name without any row does not exist. */
static inline size_t name_answer(const struct name_server *server, unsigned char *packet, const char *name, int type, size_t end)
{
    bool exists = false;
    const char *records = "";
    for (size_t i = 0; i < server->count; i++) {
        if (strcmp(server->rows[i].name, name) != 0)
            continue;
        exists = true;
        if ((int)server->rows[i].type == type)
            records = server->rows[i].records;
    }
    packet[2] = 0x85;
    packet[3] = !exists ? 0x83 : records[0] == '!' ? 0x82 : 0x80;
    memset(packet + 6, 0, 6);
    char copy[1000];
    snprintf(copy, sizeof copy, "%s", records[0] == '!' ? "" : records);
    for (char *save, *one = strtok_r(copy, ",", &save); one; one = strtok_r(NULL, ",", &save)) {
        end += name_record(packet + end, (enum dns_type)type, one);
        packet[7]++;
    }
    return end;
}

static inline void name_question(struct loop_fd *fd, unsigned ready)
{
    struct name_server *server = CONTAINER(fd, struct name_server, fd);
    unsigned char packet[4096];
    char name[300] = "";
    struct net_address from = { .n = sizeof from.as };
    ssize_t got = recvfrom(fd->fd, packet, 512, 0, &from.as.any, &from.n);
    if (got < 17)
        return;
    size_t at = 12, n = 0;
    while (packet[at]) {
        if (n)
            name[n++] = '.';
        for (unsigned i = 0; i < packet[at]; i++)
            name[n++] = ascii_lower((char)packet[at + 1 + i]);
        at += packet[at] + 1u;
    }
    size_t end = name_answer(server, packet, name, packet[at + 2], at + 5);
    assert_true(sendto(fd->fd, packet, end, 0, &from.as.any, from.n) > 0);
}

static inline void name_server_open(struct name_server *server, struct loop *loop, const struct name_row *rows, size_t count)
{
    *server = (struct name_server){ .rows = rows, .count = count };
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    assert_int_equal(bind(fd, (struct sockaddr *)(void *)&at, sizeof at), 0);
    assert_int_equal(net_address_local(fd, &server->at), STATUS_OK);
    assert_int_equal(loop_fd_add(loop, &server->fd, fd, LOOP_READ, name_question), STATUS_OK);
}

static inline void name_server_close(struct name_server *server)
{
    loop_fd_remove(&server->fd);
    close(server->fd.fd);
}
