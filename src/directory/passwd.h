/* directory/passwd.h -- users of a file that somebody else keeps: Dovecot's passwd-file, Apache's htpasswd.
 *
 * Such a user is an account like all others, with a credential named "passwd-file" that is what the file says: it comes, changes
 * and goes with the line, and the account with its limits, aliases and history stays. Files are looked at each second and taken
 * when they have rested for one; a file that cannot be read changes nothing. The database is changed in slices.
 */
#pragma once
#include "conf/directive.h"
#include "directory/service.h"

#define PASSWD_CREDENTIAL "passwd-file"
#define PASSWD_FILES_MAX 6 /* fewer than LOCK_FOLDERS_MAX */
#define PASSWD_FILE_MOST ((size_t)256 << 20) /* octets */

/* A line: user:password:uid:gid:gecos:home:shell:extra, of which most may be missing. Borrowed from it. */
struct passwd_line {
    struct span user;
    struct span stored;   /* a form that goniec knows (directory/secret.h); empty: nobody logs in */
    struct span networks; /* of allow_nets=, still with commas between */
};
/* NOT_FOUND: an empty line or a comment. SYNTAX: `why` says what is wrong. */
MUST_CHECK enum status passwd_line_read(struct span line, struct passwd_line *ret, const char **why);

struct passwd;
struct passwd *passwd_new(struct directory_service *service); /* NULL: out of memory */
void passwd_free(struct passwd *passwd);
/* `domain`: behind users without one; may be empty. */
void passwd_set(struct passwd *passwd, const struct conf_texts *files, struct span domain);
/* A setting: an absolute path. */
bool passwd_check_path(const void *value, struct buf *why);
