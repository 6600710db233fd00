/* sim/talk.h -- lines and octets over a socket, for fibers of the world: they block their fiber alone. */
#pragma once
#include "base/buf.h"

struct talk {
    int fd;
    size_t at, n;      /* what of `in` was read and not yet taken */
    char in[4096];
    char line[2048];   /* the last line, without its CRLF, with a NUL */
};

void talk_init(struct talk *talk, int fd, int64_t patience_ms);
/* The next line into talk->line. False: the other side has gone, or said nothing in time. Longer lines are cut. */
bool talk_line(struct talk *talk);
/* The next octets, at most `most`, borrowed. Empty: as above. */
struct span talk_octets(struct talk *talk, size_t most);
/* All of it. False: the other side has gone, or took nothing in time. */
bool talk_send(struct talk *talk, struct span octets);
bool talk_say(struct talk *talk, const char *format, ...) PRINTF_LIKE(2, 3);
void talk_end(struct talk *talk, bool reset); /* closes; `reset`: so that the other side loses what it has not read */
