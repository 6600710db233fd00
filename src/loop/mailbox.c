#include "loop/mailbox.h"
#include <errno.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void on_ready(struct loop_fd *fd, unsigned ready)
{
    struct mailbox *self = CONTAINER(fd, struct mailbox, fd);
    uint64_t count;
    if (read(fd->fd, &count, sizeof count) < 0 && errno != EAGAIN)
        return;
    struct letter *newest = atomic_exchange_explicit(&self->newest, NULL, memory_order_acquire);
    struct letter *oldest = NULL;
    while (newest) { /* turn the stack round */
        struct letter *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest) {
        struct letter *next = oldest->next;
        self->on_letter(self, oldest);
        oldest = next;
    }
}

enum status mailbox_init(struct mailbox *self, struct loop *loop, void (*on_letter)(struct mailbox *, struct letter *))
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0)
        return STATUS_IO;
    atomic_store(&self->newest, NULL);
    self->on_letter = on_letter;
    if (loop_fd_add(loop, &self->fd, fd, LOOP_READ, on_ready) == STATUS_OK)
        return STATUS_OK;
    close(fd);
    return STATUS_IO;
}

void mailbox_done(struct mailbox *self)
{
    loop_fd_remove(&self->fd);
    close(self->fd.fd);
}

void mailbox_put(struct mailbox *self, struct letter *letter)
{
    struct letter *newest = atomic_load_explicit(&self->newest, memory_order_relaxed);
    do
        letter->next = newest;
    while (!atomic_compare_exchange_weak_explicit(&self->newest, &newest, letter, memory_order_release,
                                                  memory_order_relaxed));
    if (newest)
        return; /* somebody before us has rung */
    uint64_t one = 1;
    while (write(self->fd.fd, &one, sizeof one) < 0 && errno == EINTR) {
    }
}
