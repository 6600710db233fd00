/* Descriptors: each client is one. The processes inherit what is allowed here. */
#include "smtpd/files.h"
#include "supervisor/supervisor_priv.h"
#include <sys/resource.h>

void limits_raise(const struct plan *plan)
{
    struct rlimit files;
    rlim_t wanted = smtpd_files_for((unsigned long)plan->settings->smtpd.max_connections);
    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return;
    if (files.rlim_max < wanted && setrlimit(RLIMIT_NOFILE, &(struct rlimit){ wanted, wanted }) == 0)
        return; /* we were privileged to have more than was meant for us */
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
}

void limits_tell(struct supervisor *supervisor, const struct plan *plan)
{
    struct rlimit files;
    unsigned long most = (unsigned long)plan->settings->smtpd.max_connections;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || smtpd_files_of(files.rlim_cur).connections >= most)
        return;
    log_warning(&supervisor->log, "too-few-descriptors", LOG_INT("allowed", (int64_t)files.rlim_cur),
                LOG_INT("wanted", (int64_t)smtpd_files_for(most)), LOG_INT("clients", smtpd_files_of(files.rlim_cur).connections),
                LOG_STR("why", "smtpd.max-connections cannot be reached: the system allows fewer open files (LimitNOFILE of "
                               "systemd, ulimit -Hn); each process takes as many clients as this line says"));
}
