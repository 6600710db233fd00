#include "cli/control.h"
#include "wire/control.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* A server that has just been started opens the socket once it has read its spool. */
#define PATIENCE 200
#define PATIENCE_MS 50

static bool server_lives(struct span run_dir)
{
    char path[4096];
    long long pid = 0;
    snprintf(path, sizeof path, "%.*s/goniec.pid", SPAN_ARGS(run_dir));
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    /* Written by us; one that is too large to be a number is nobody's. NOLINTNEXTLINE(cert-err34-c) */
    bool lives = fscanf(file, "%lld", &pid) == 1 && pid > 0 && (kill((pid_t)pid, 0) == 0 || errno == EPERM);
    fclose(file);
    return lives;
}

static int connect_once(const struct sockaddr_un *at)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)at, sizeof *at) == 0)
        return fd;
    int why = errno;
    close(fd);
    errno = why;
    return -1;
}

static int connect_at(struct span run_dir)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    int n = snprintf(at.sun_path, sizeof at.sun_path, "%.*s/" CONTROL_SOCKET, SPAN_ARGS(run_dir));
    if (n < 0 || (size_t)n >= sizeof at.sun_path) {
        common_complain("the path of run-dir is too long for a socket");
        return -1;
    }
    int fd;
    int why = 0;
    for (int i = 0; (fd = connect_once(&at)) < 0 && i < PATIENCE; i++) {
        why = errno;
        if ((why != ENOENT && why != ECONNREFUSED) || !server_lives(run_dir))
            break;
        usleep(PATIENCE_MS * 1000);
    }
    if (fd < 0 && why == EACCES)
        common_complain("%s: you may not ask this server; be root, its user or in its group", at.sun_path);
    else if (fd < 0)
        common_complain("the server is not running, or not with these settings (%s: %s)", at.sun_path, strerror(why));
    return fd;
}

static int control_connect(const char *config)
{
    struct conf *conf = common_settings(config);
    if (!conf)
        return -1;
    int fd = connect_at(common_root(conf)->common.run_dir);
    conf_free(conf);
    return fd;
}

static bool send_request(FILE *peer, json_t *request)
{
    char *text = json_dumps(request, JSON_COMPACT);
    bool good = text && fprintf(peer, "%s\n", text) > 0 && fflush(peer) == 0;
    free(text);
    return good;
}

/* The next line as JSON; NULL: there is none. */
static json_t *read_line(FILE *peer, char **line, size_t *room)
{
    ssize_t n = getline(line, room, peer);
    return n > 0 ? json_loadb(*line, (size_t)n, 0, NULL) : NULL;
}

static json_t *read_answer(FILE *peer, void (*each)(void *arg, json_t *message), void *arg)
{
    char *line = NULL;
    size_t room = 0;
    json_t *answer;
    while ((answer = read_line(peer, &line, &room))) {
        json_t *message = json_object_get(answer, "message");
        if (!message)
            break;
        if (each)
            each(arg, message);
        json_decref(answer);
    }
    free(line);
    const char *error = json_string_value(json_object_get(answer, "error"));
    if (answer && !error)
        return answer;
    common_complain("%s", error ? error : "the server hung up in the middle of its answer");
    json_decref(answer);
    return NULL;
}

json_t *control_ask(const char *config, json_t *request, void (*each)(void *arg, json_t *message), void *arg)
{
    int fd = control_connect(config);
    FILE *peer = fd >= 0 ? fdopen(fd, "r+") : NULL;
    json_t *answer = NULL;
    if (peer) {
        if (send_request(peer, request))
            answer = read_answer(peer, each, arg);
        else
            common_complain("the server does not listen: %s", strerror(errno));
        fclose(peer);
    } else if (fd >= 0) {
        close(fd);
    }
    json_decref(request);
    return answer;
}
