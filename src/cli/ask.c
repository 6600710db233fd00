#include "cli/ask.h"
#include "base/attr.h"
#include "wire/control.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define WAIT_S 60 /* a long list takes its time; a queue that says nothing for so long is stuck */

static FILE *dial(const char *run_dir, const char **ret_why)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    struct timeval wait = { .tv_sec = WAIT_S };
    int n = snprintf(at.sun_path, sizeof at.sun_path, "%s/%s", run_dir, CONTROL_SOCKET);
    if (n < 0 || (size_t)n >= sizeof at.sun_path) {
        *ret_why = "the setting run-dir is too long for a socket's path";
        return NULL;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof at) == 0) {
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
        FILE *stream = fdopen(fd, "r+");
        if (stream)
            return stream;
    }
    *ret_why = errno == ENOENT || errno == ECONNREFUSED ? "no server runs there" : strerror(errno);
    if (fd >= 0)
        close(fd);
    return NULL;
}

/* The lines of the answer up to its last one, which gets all messages. */
static json_t *read_answer(FILE *stream)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t n;
    json_t *messages = json_array(), *last = NULL;
    while (!last && (n = getline(&line, &room, stream)) > 0 && n <= (ssize_t)CONTROL_LINE_MAX) {
        json_t *answer = json_loadb(line, (size_t)n, JSON_ALLOW_NUL, NULL);
        json_t *message = json_object_get(answer, "message");
        if (message)
            json_array_append(messages, message);
        else if (json_is_object(answer))
            last = json_incref(answer);
        json_decref(answer);
    }
    if (last)
        json_object_set(last, "messages", messages);
    json_decref(messages);
    free(line);
    return last;
}

json_t *ask_queue(const char *run_dir, const json_t *request, const char **ret_why)
{
    FILE *stream = dial(run_dir, ret_why);
    if (!stream)
        return NULL;
    errno = 0;
    bool sent = json_dumpf(request, stream, JSON_COMPACT) == 0 && fputc('\n', stream) != EOF && fflush(stream) == 0;
    json_t *answer = sent ? read_answer(stream) : NULL;
    if (!answer)
        *ret_why = errno == EAGAIN ? "the queue does not answer" : errno ? strerror(errno) : "the queue hung up";
    fclose(stream);
    return answer;
}

json_t *ask_about(const char *op, const char *id)
{
    return json_pack("{s:s, s:{s:[s]}}", "op", op, "filter", "ids", id);
}
