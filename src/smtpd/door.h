/* smtpd/door.h -- the listening sockets, and who is turned away at them. */
#pragma once
#include "smtpd/session.h"

struct doors {
    struct list open;         /* struct door */
};

void doors_init(struct doors *doors);
/* Opens one; owns `fd`. `index` is the row of `listen`, or WIRE_LISTENER_LOCAL. */
enum status doors_open(struct doors *doors, struct smtpd *smtpd, struct smtpd_config *config, uint32_t index, int fd);
void doors_close(struct doors *doors); /* all; what waits in the sockets stays there for whoever holds them too */
/* After a reload: puts the doors of `fresh` in the place of those of `doors`. */
void doors_replace(struct doors *doors, struct doors *fresh);
