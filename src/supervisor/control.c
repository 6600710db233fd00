/* The socket supervisor.sock in run-dir: one request a connection ("reload", "stop", "clients"), one answer, the end.
 *
 * An answer is "ok\n" or "failed\n" and then text for the person who asked; for "clients" a JSON object with the figures of
 * wire/tally.h.
 */
#include "net/listen.h"
#include "supervisor/supervisor_priv.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { REQUEST_MAX = 64, CLIENTS_MAX = 16, ANSWER_MAX = 128 << 10 };

struct client {
    struct list link;
    struct control *control;
    struct loop_fd fd;
    struct buf request;
    bool waits_for_stop;
    uint64_t reload; /* the number of the reload that answers it */
};

struct control {
    struct supervisor *supervisor;
    struct listener *listener;
    struct list clients;
    unsigned count;
    struct net_address at;
};

static void client_free(struct client *client)
{
    list_remove(&client->link);
    client->control->count--;
    loop_fd_remove(&client->fd);
    close(client->fd.fd);
    buf_done(&client->request);
    free(client);
}

/* The answer is small and the socket's buffer is empty: it goes out at once or not at all. */
static void answer(struct client *client, bool ok, struct span text)
{
    AUTO(buf_done) struct buf out = BUF_EMPTY(ANSWER_MAX);
    buf_printf(&out, "%s\n%.*s", ok ? "ok" : "failed", SPAN_ARGS(text));
    ssize_t sent = send(client->fd.fd, out.p, out.n, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)sent;
    client_free(client);
}

/* Which client asked may have gone meanwhile; its control remembers by the ring. */
static void on_reloaded(void *arg, struct span faults)
{
    struct control *control = arg;
    for (LIST_EACH(link, &control->clients)) {
        struct client *client = CONTAINER(link, struct client, link);
        if (client->reload && client->reload <= control->supervisor->reloads)
            answer(client, faults.n == 0, faults);
    }
}

static void tell_clients(struct client *client)
{
    AUTO(buf_done) struct buf text = BUF_EMPTY(ANSWER_MAX);
    for (unsigned i = 0; i < TALLY_FIGURES; i++)
        buf_printf(&text, "%s\"%s\":%llu", i ? "," : "{", tally_figure_name((enum tally_figure)i),
                   (unsigned long long)tally_figure(&client->control->supervisor->tally, (enum tally_figure)i));
    buf_add_str(&text, "}\n");
    answer(client, true, buf_span(&text));
}

static void act(struct client *client)
{
    struct supervisor *supervisor = client->control->supervisor;
    struct span request = buf_span(&client->request);
    if (span_eq(request, SPAN("reload\n"))) {
        client->reload = supervisor->reloads + 1; /* one under way may have read the old file */
        reload_start(supervisor, on_reloaded, client->control);
    } else if (span_eq(request, SPAN("stop\n"))) {
        client->waits_for_stop = true;
        if (supervisor->stage < STAGE_STOPPING)
            supervisor_stop(supervisor);
    } else if (span_eq(request, SPAN("clients\n"))) {
        tell_clients(client);
    } else {
        answer(client, false, SPAN("unknown request\n"));
    }
}

static void on_ready(struct loop_fd *fd, unsigned ready)
{
    struct client *client = CONTAINER(fd, struct client, fd);
    char octets[REQUEST_MAX];
    ssize_t n = recv(fd->fd, octets, sizeof octets, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    bool acted = client->request.n && client->request.p[client->request.n - 1] == '\n';
    if (n <= 0 || acted || buf_add(&client->request, span_of(octets, (size_t)n)) != STATUS_OK)
        client_free(client);
    else if (client->request.p[client->request.n - 1] == '\n')
        act(client);
}

/* One of our own has no business here: somebody has taken it over. */
static bool is_child(const struct supervisor *supervisor, int fd)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
        return true;
    for (unsigned i = 0; i < supervisor->child_count; i++)
        if (supervisor->children[i].pid == peer.pid)
            return true;
    return false;
}

static void on_accept(void *arg, struct listener *listener, int fd, const struct net_address *peer)
{
    struct control *control = arg;
    if (is_child(control->supervisor, fd)) {
        log_error(&control->supervisor->log, "control-denied", LOG_STR("why", "one of goniec's own processes asked: a break-in"));
        close(fd);
        return;
    }
    struct client *client = control->count < CLIENTS_MAX ? calloc(1, sizeof *client) : NULL;
    if (!client) {
        close(fd);
        return;
    }
    client->control = control;
    client->request = BUF_EMPTY(REQUEST_MAX);
    if (loop_fd_add(control->supervisor->loop, &client->fd, fd, LOOP_READ, on_ready) != STATUS_OK) {
        free(client);
        close(fd);
        return;
    }
    list_add_last(&control->clients, &client->link);
    control->count++;
}

static enum status socket_address(const char *run_dir, struct net_address *ret)
{
    AUTO(buf_done) struct buf path = BUF_EMPTY(8192);
    buf_printf(&path, "unix:%s/supervisor.sock", run_dir);
    return net_address_parse(buf_span(&path), 0, ret);
}

/* NULL when the socket cannot be had. */
static struct listener *listen_at(struct control *control, const struct plan *plan)
{
    static const struct listener_events events = { on_accept, NULL };
    int fd;
    mode_t mask = umask(0177); /* from its first moment nobody else's */
    enum status status = listen_open(&control->at, &(struct listen_options){ .backlog = CLIENTS_MAX }, &fd);
    umask(mask);
    if (status != STATUS_OK)
        return NULL;
    if (plan->change_user && lchown(control->at.as.un.sun_path, plan->uid, plan->gid) != 0) {
        close(fd);
        return NULL;
    }
    struct listener *listener = listener_new(control->supervisor->loop, fd, &events, control);
    if (!listener)
        close(fd);
    return listener;
}

bool supervisor_control_open(struct supervisor *supervisor, struct conf_faults *faults)
{
    struct plan *plan = supervisor->plan;
    const struct span *run_dir = &plan->settings->common.run_dir;
    struct control *control = calloc(1, sizeof *control);
    if (!control) {
        conf_faults_add(faults, 0, 0, "out of memory");
        return false;
    }
    control->supervisor = supervisor;
    list_init(&control->clients);
    if (socket_address(run_dir->p, &control->at) != STATUS_OK)
        conf_fault_at(plan->conf, run_dir, faults, "run-dir: the path is too long for a socket");
    else if (!(control->listener = listen_at(control, plan)))
        conf_fault_at(plan->conf, run_dir, faults, "run-dir: no socket can be made in %s: %s", run_dir->p,
                      strerror(errno));
    if (control->listener)
        supervisor->control = control;
    else
        free(control);
    return supervisor->control != NULL;
}

void supervisor_control_close(struct supervisor *supervisor)
{
    struct control *control = supervisor->control;
    if (!control)
        return;
    for (LIST_EACH(link, &control->clients)) {
        struct client *client = CONTAINER(link, struct client, link);
        if (client->waits_for_stop)
            answer(client, true, SPAN_NONE);
        else
            client_free(client);
    }
    listener_free(control->listener);
    unlink(control->at.as.un.sun_path);
    free(control);
    supervisor->control = NULL;
}

/* --- the other end --- */

static enum status ask(int fd, const char *request, struct buf *answer)
{
    AUTO(buf_done) struct buf all = BUF_EMPTY(ANSWER_MAX);
    if (buf_printf(&all, "%s\n", request) != STATUS_OK || send(fd, all.p, all.n, MSG_NOSIGNAL) != (ssize_t)all.n)
        return STATUS_IO;
    buf_clear(&all);
    struct span first = SPAN_NONE;
    if (buf_fill(&all, fd) != STATUS_OK)
        return STATUS_IO;
    struct span text = buf_span(&all);
    if (!span_cut(&text, '\n', &first)) {
        errno = ECONNRESET; /* it ended without an answer */
        return STATUS_IO;
    }
    buf_add(answer, text);
    return span_eq(first, SPAN("ok")) ? STATUS_OK : STATUS_DENIED;
}

enum status supervisor_ask(const char *run_dir, const char *request, struct buf *answer)
{
    struct net_address at;
    if (socket_address(run_dir, &at) != STATUS_OK) {
        errno = ENAMETOOLONG;
        return STATUS_IO;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    enum status status = STATUS_IO;
    if (fd >= 0 && connect(fd, &at.as.any, at.n) == 0)
        status = ask(fd, request, answer);
    int error = errno;
    if (fd >= 0)
        close(fd);
    errno = error;
    return status;
}
