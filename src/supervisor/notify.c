#include "supervisor/notify.h"
#include "base/buf.h"
#include "base/time.h"
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct sockaddr_un place;
static socklen_t place_octets; /* 0: nobody to tell */

void notify_init(void)
{
    const char *path = getenv("NOTIFY_SOCKET");
    size_t n = path ? strlen(path) : 0;
    if (n > 1 && n < sizeof place.sun_path && (path[0] == '/' || path[0] == '@')) {
        place.sun_family = AF_UNIX;
        memcpy(place.sun_path, path, n);
        if (path[0] == '@')
            place.sun_path[0] = 0; /* the abstract name space */
        place_octets = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    }
    unsetenv("NOTIFY_SOCKET");
}

void notify(const char *state)
{
    if (!place_octets)
        return;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    ssize_t sent = sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&place, place_octets);
    (void)sent; /* whoever asked to be told has gone */
    close(fd);
}

void notify_reloading(void)
{
    char text[64];
    snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%" PRId64, time_mono_us());
    notify(text);
}
