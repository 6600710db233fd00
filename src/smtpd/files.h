/* smtpd/files.h -- how many connections and files fit into the descriptors that the system allows a process. What keeps
 * the mail going (channels, segments, files of large messages) has its part, however many clients there are. */
#pragma once

struct smtpd_files {
    unsigned connections; /* sessions at a time */
    unsigned bodies;      /* files of large messages at a time */
};

/* Of `limit` descriptors (RLIMIT_NOFILE). */
struct smtpd_files smtpd_files_of(unsigned long limit);
/* Descriptors for so many connections. */
unsigned long smtpd_files_for(unsigned long connections);
