/* supervisor/supervisor.h -- `goniec serve`: reads the settings, opens the doors, starts a process for each duty, starts
 * those again that die, and carries out reloads and the stop.
 *
 * It reads nothing that a stranger sent: only the settings file, its children's few words, and requests on a socket
 * that only root and goniec's user can open. Started as root it stays root, since a reload may need ports below 1024 and keys
 * that only root can read; everything else becomes the user. Started by systemd as the user it never was root.
 */
#pragma once
#include "conf/parse.h"

/* Runs until it is told to stop. `path` is the settings file. Returns the exit status; what kept it from starting
 * stands on the standard error. */
int supervisor_run(const char *path);

/* What `goniec check` looks at: the settings, the files they name, the ports (unless a server holds them already).
 * True when all is good; otherwise `faults` grew. */
bool supervisor_check(const char *path, struct conf_faults *faults);

/* Asks the running supervisor ("reload", "stop") over the socket in `run_dir` and waits for the answer. OK; DENIED: it
 * refused, `answer` says why; IO: no server (errno). */
MUST_CHECK enum status supervisor_ask(const char *run_dir, const char *request, struct buf *answer);
