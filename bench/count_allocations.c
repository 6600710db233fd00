/* bench/count_allocations.c -- preloaded into a server that is counted: how often each process asks for memory.
 *
 * It also lets strace of the same user watch the process, which otherwise forbids it, or Yama does to all but parents.
 * The count lies in the first eight octets of GONIEC_COUNT_FOLDER/PID and can be read there at any time. What is asked for
 * before the file is there is not counted, and a child counts as its parent until it executes a program itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* glibc's own names behind those that are replaced here. */
extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t count, size_t n);
extern void *__libc_realloc(void *p, size_t n);
extern void *__libc_memalign(size_t align, size_t n);

static _Atomic uint64_t early;
static _Atomic uint64_t *asked = &early;

static void ask(void)
{
    atomic_fetch_add_explicit(asked, 1, memory_order_relaxed);
}

void *malloc(size_t n)
{
    ask();
    return __libc_malloc(n);
}

void *calloc(size_t count, size_t n)
{
    ask();
    return __libc_calloc(count, n);
}

void *realloc(void *p, size_t n)
{
    ask();
    return __libc_realloc(p, n);
}

void *aligned_alloc(size_t align, size_t n)
{
    ask();
    return __libc_memalign(align, n);
}

int posix_memalign(void **ret, size_t align, size_t n)
{
    ask();
    void *p = __libc_memalign(align, n);
    if (!p)
        return ENOMEM;
    *ret = p;
    return 0;
}

/* All but the wish to be watched by nobody. */
int prctl(int option, ...)
{
    va_list list;
    unsigned long rest[4];
    va_start(list, option);
    for (int i = 0; i < 4; i++)
        rest[i] = va_arg(list, unsigned long);
    va_end(list);
    return option == PR_SET_DUMPABLE ? 0 : (int)syscall(SYS_prctl, option, rest[0], rest[1], rest[2], rest[3]);
}

/* For a program that asks how often it did so itself (bench/rooms/room.h). */
uint64_t count_allocations_so_far(void);

uint64_t count_allocations_so_far(void)
{
    return atomic_load_explicit(asked, memory_order_relaxed);
}

__attribute__((constructor)) static void show(void)
{
    const char *folder = getenv("GONIEC_COUNT_FOLDER");
    char path[4096];
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0); /* strace comes from beside us, not from above */
    if (!folder || snprintf(path, sizeof path, "%s/%d", folder, (int)getpid()) >= (int)sizeof path)
        return;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    void *page = ftruncate(fd, 4096) == 0 ? mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
    close(fd);
    if (page != MAP_FAILED)
        asked = page;
}
