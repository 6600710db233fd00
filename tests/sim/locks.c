/* In the place of the room lock: here all processes are one, whom its locks would catch. */
#include "lock/lock.h"

void lock_allow(struct lock *lock, const char *path, unsigned rights) {}
enum status lock_close(const struct lock *lock, char why[LOCK_WHY_SIZE]) { return STATUS_OK; }
int lock_landlock(void) { return 0; }
