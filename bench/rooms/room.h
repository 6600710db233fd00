/* bench/rooms/room.h -- frame of the programs whose instructions are counted, one for each pure room.
 *
 *     room_mail         names the compiler, then its works, one a line
 *     room_mail 20      does each work twenty times inside room_counted(), one work after the other, and says how often
 *                       they asked for memory meanwhile (with libcount_allocations.so preloaded)
 *
 * bench/count_rooms.py runs them under callgrind, which collects inside room_counted() alone and writes down what it has
 * whenever that returns. Each work is done eight times before: what happens once, or until buffers have grown, is not
 * counted. Works use no clock and no chance: the same build executes the same instructions.
 */
#pragma once
#include "base/buf.h"
#include <stdio.h>
#include <stdlib.h>

struct room_work {
    const char *name;
    void (*begin)(void); /* once, before everything; may be NULL */
    void (*once)(void);
};

#define ROOM_WARM 8

/* Not a test of the room, but a work that fails would count for nothing. */
#define room_must(holds) ((holds) ? (void)0 : room_failed(#holds, __FILE__, __LINE__))

NORETURN static inline void room_failed(const char *what, const char *file, int line)
{
    fprintf(stderr, "%s:%d: this no longer holds: %s\n", file, line, what);
    exit(1);
}

/* Of the preloaded library, if there is one. */
__attribute__((weak)) uint64_t count_allocations_so_far(void);

void room_counted(const struct room_work *work, unsigned long times);

__attribute__((noinline)) void room_counted(const struct room_work *work, unsigned long times)
{
    while (times--)
        work->once();
}

static inline int room_main(const struct room_work *works, size_t count, int argc, char **argv)
{
    if (argc != 2) {
        printf("%s %s\n", __VERSION__, ROOM_MACHINE);
        for (size_t i = 0; i < count; i++)
            puts(works[i].name);
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        if (works[i].begin)
            works[i].begin();
        for (unsigned warm = 0; warm < ROOM_WARM; warm++)
            works[i].once();
        uint64_t before = count_allocations_so_far ? count_allocations_so_far() : 0;
        room_counted(&works[i], strtoul(argv[1], NULL, 10));
        if (count_allocations_so_far)
            printf("%llu\n", (unsigned long long)(count_allocations_so_far() - before));
    }
    return 0;
}

#define ROOM_MAIN(works) \
    int main(int argc, char **argv) { return room_main((works), ARRAY_LEN(works), argc, argv); }
