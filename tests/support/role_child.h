/* A role's own process in a child of the test, which is its supervisor. */
#pragma once
#include "test.h"
#include "wire/channel.h"
#include "wire/supervisor.h"
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* Forks a child that runs `role`, a role's main, with its end of a channel at SUPERVISOR_FD and nothing else of the test's
 * that was open. `ret_fd`: our end of the channel; the caller's. */
static inline pid_t role_begin(int (*role)(void), int *ret_fd)
{
    int pair[2];
    assert_int_equal(channel_pair(pair), STATUS_OK);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(pair[1], SUPERVISOR_FD);
        for (int fd = SUPERVISOR_FD + 1; fd < 64; fd++)
            close(fd);
        _exit(role());
    }
    close(pair[1]);
    *ret_fd = pair[0];
    return child;
}

/* Waits for its end and gives what it returned; what a sanitizer finds at the end counts, too. */
static inline int role_end(pid_t child)
{
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* Gives it settings of one file, goniec.conf. `blob`: what they name; NULL: nothing. */
static inline void role_settings(struct channel *channel, struct span text, const struct supervisor_blob *blob)
{
    AUTO(buf_done) struct buf body = BUF_EMPTY(65536);
    struct supervisor_settings *settings = calloc(1, sizeof *settings);
    settings->count = 1;
    settings->file = SPAN("goniec.conf");
    settings->text = text;
    settings->blob_count = blob ? 1 : 0;
    if (blob)
        settings->blobs[0] = *blob;
    supervisor_settings_put(&body, settings);
    free(settings);
    assert_int_equal(channel_send(channel, SUPERVISOR_SETTINGS, buf_span(&body)), STATUS_OK);
}
