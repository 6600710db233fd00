/* cli/password.h -- where a new password comes from: a prompt, a pipe, chance, or ready-made from a panel. */
#pragma once
#include "directory/secret.h"

enum password_source { PASSWORD_PROMPT, PASSWORD_STDIN, PASSWORD_GENERATE, PASSWORD_HASH };

/* Adds what is to be stored for the password to `ret`. `hash` is the word behind --hash ("-": a line of the standard
 * input), otherwise `wish` says what is made. A generated password is printed on the standard output, once. False: a complaint was printed. */
MUST_CHECK bool password_obtain(enum password_source source, const char *hash, const struct secret_wish *wish, struct buf *ret);
