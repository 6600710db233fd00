#include "queue/control_priv.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define CLIENTS_MAX 32
#define OUT_ENOUGH (256u << 10)  /* a slow reader is written no more than this ahead */

struct control {
    struct queue_role *role;
    struct loop_fd fd;
    struct list clients;
    unsigned count;
    struct sockaddr_un at;
};

static void client_free(struct control_client *client)
{
    list_remove(&client->link);
    client->role->control->count--;
    loop_task_cancel(&client->step);
    loop_fd_remove(&client->fd);
    close(client->fd.fd);
    control_end(client);
    buf_done(&client->in);
    buf_done(&client->out);
    free(client);
}

void client_say(struct control_client *client, json_t *line)
{
    char *text = line ? json_dumps(line, JSON_COMPACT) : NULL;
    buf_add_str(&client->out, text ? text : "{\"error\": \"out of memory\"}");
    buf_add_char(&client->out, '\n');
    free(text);
    json_decref(line);
}

/* False: it has gone. */
static bool client_send(struct control_client *client)
{
    while (client->sent < client->out.n) {
        ssize_t n = send(client->fd.fd, client->out.p + client->sent, client->out.n - client->sent,
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN || errno == EWOULDBLOCK;
        client->sent += (size_t)n;
    }
    buf_clear(&client->out);
    client->sent = 0;
    return true;
}

static void client_watch(struct control_client *client)
{
    bool waits = client->out.n > client->sent;
    loop_fd_want(&client->fd, (waits ? LOOP_WRITE : 0u) | (client->request || client->ending ? 0u : LOOP_READ));
    if (client->request && client->kept != CONTROL_KEPT_SOON && client->out.n - client->sent < OUT_ENOUGH)
        loop_later(&client->step);
}

static void line_next(struct control_client *client)
{
    size_t end;
    while (!client->request && (end = span_find(buf_span(&client->in), '\n')) < client->in.n) {
        control_begin(client, span_head(buf_span(&client->in), end));
        buf_drop(&client->in, end + 1);
    }
}

static void on_step(struct loop_task *task)
{
    struct control_client *client = CONTAINER(task, struct control_client, step);
    bool may = client->request && client->kept != CONTROL_KEPT_SOON && client->out.n - client->sent < OUT_ENOUGH;
    if (may && !control_step(client)) {
        control_end(client);
        line_next(client);
    }
    if (client->out.failed || !client_send(client) ||
        (client->ending && !client->request && client->out.n == client->sent)) {
        client_free(client);
        return;
    }
    client_watch(client);
}

static bool client_read(struct control_client *client)
{
    if (buf_reserve(&client->in, 4096) != STATUS_OK)
        return false; /* a line without an end */
    ssize_t n = recv(client->fd.fd, client->in.p + client->in.n, 4096, MSG_DONTWAIT);
    if (n < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
    client->in.n += (size_t)n;
    client->ending = n == 0;
    return true;
}

static void on_client(struct loop_fd *fd, unsigned ready)
{
    struct control_client *client = CONTAINER(fd, struct control_client, fd);
    bool good = true;
    if ((ready & LOOP_READ) && !client->request)
        good = client_read(client);
    else if ((ready & LOOP_ERROR) && !(ready & LOOP_WRITE))
        good = false;
    if (good && (ready & LOOP_WRITE))
        good = client_send(client);
    if (!good) {
        client_free(client);
        return;
    }
    line_next(client);
    loop_later(&client->step);
}

/* -- connections -- */

static void refuse(struct control *control, int fd, const char *who)
{
    static const char denied[] = "{\"error\": \"you are not allowed to ask\"}\n";
    log_warning(role_log(control->role), "control-denied", LOG_STR("who", who));
    ssize_t n = send(fd, denied, sizeof denied - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)n;
    close(fd);
}

static void on_connection(struct loop_fd *listener, unsigned ready)
{
    struct control *control = CONTAINER(listener, struct control, fd);
    struct queue_role *role = control->role;
    char who[QUEUE_WHO_MAX] = "?";
    int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    if (control->count >= CLIENTS_MAX || !control_who_may_ask(role, fd, who)) {
        refuse(control, fd, who);
        return;
    }
    struct control_client *client = calloc(1, sizeof *client);
    if (!client) {
        close(fd);
        return;
    }
    client->role = role;
    client->in = BUF_EMPTY(CONTROL_REQUEST_MAX);
    client->out = BUF_EMPTY((size_t)2 * CONTROL_LINE_MAX);
    memcpy(client->who, who, sizeof who);
    list_add_last(&control->clients, &client->link);
    control->count++;
    loop_task_init(role->process.loop, &client->step, on_step);
    if (loop_fd_add(role->process.loop, &client->fd, fd, LOOP_READ, on_client) != STATUS_OK) {
        client->fd.fd = fd;
        client_free(client);
    }
}

/* -- the socket -- */

static enum status failed(struct queue_role *role, const char *path)
{
    log_error(role_log(role), "control-refused", LOG_STR("socket", path), LOG_STR("why", strerror(errno)));
    return STATUS_IO;
}

/* A socket of that name is a dead server's: the lock on the spool says that there is no other. */
static enum status listen_at(struct control *control, int fd)
{
    const char *path = control->at.sun_path;
    if (unlink(path) != 0 && errno != ENOENT)
        return failed(control->role, path);
    mode_t before = umask(0117);
    int bound = bind(fd, (const struct sockaddr *)&control->at, sizeof control->at);
    umask(before);
    if (bound != 0 || chmod(path, 0660) != 0 || listen(fd, CLIENTS_MAX) != 0)
        return failed(control->role, path);
    return loop_fd_add(control->role->process.loop, &control->fd, fd, LOOP_READ, on_connection);
}

enum status control_open(struct queue_role *role)
{
    struct control *control = calloc(1, sizeof *control);
    if (!control)
        return STATUS_MEMORY;
    control->role = role;
    list_init(&control->clients);
    control->at.sun_family = AF_UNIX;
    control->fd.fd = -1;
    role->control = control;
    int n = snprintf(control->at.sun_path, sizeof control->at.sun_path, "%.*s/" CONTROL_SOCKET,
                     SPAN_ARGS(role_root(role)->common.run_dir));
    if (n < 0 || (size_t)n >= sizeof control->at.sun_path) {
        errno = ENAMETOOLONG;
        return failed(role, CONTROL_SOCKET);
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return failed(role, control->at.sun_path);
    enum status status = listen_at(control, fd);
    if (status != STATUS_OK) {
        loop_fd_remove(&control->fd);
        close(fd);
        control->fd.fd = -1;
    }
    return status;
}

void control_trouble(struct queue_role *role)
{
    if (!role->control)
        return;
    for (LIST_EACH(link, &role->control->clients))
        control_not_kept(CONTAINER(link, struct control_client, link));
}

void control_close(struct queue_role *role)
{
    struct control *control = role->control;
    if (!control)
        return;
    for (LIST_EACH(link, &control->clients)) {
        struct control_client *client = CONTAINER(link, struct control_client, link);
        control_stopping(client);
        (void)client_send(client); /* as much as it takes: nobody waits for a slow reader */
        client_free(client);
    }
    if (control->fd.fd >= 0) {
        loop_fd_remove(&control->fd);
        close(control->fd.fd);
        unlink(control->at.sun_path);
    }
    free(control);
    role->control = NULL;
}
