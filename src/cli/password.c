#include "cli/password.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>
#include <termios.h>
#include <unistd.h>

#define LINE_MAX_OCTETS 1024 /* allocated at once, so that no half-grown copy of a password stays behind */

static bool complain(const char *what)
{
    fprintf(stderr, "goniec: %s\n", what);
    return false;
}

/* Reads up to the end of the line, which is taken off. */
static bool read_line(int fd, struct buf *ret)
{
    if (buf_reserve(ret, LINE_MAX_OCTETS) != STATUS_OK)
        return complain("out of memory");
    for (;;) {
        char c;
        ssize_t got = read(fd, &c, 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return complain(strerror(errno));
        if (got == 0 || c == '\n')
            break;
        if (buf_add_char(ret, c) != STATUS_OK)
            return complain("that line is too long for a password");
    }
    if (ret->n && ret->p[ret->n - 1] == '\r')
        ret->n--;
    return true;
}

/* Asks on the terminal without showing what is typed. */
static bool ask_once(int tty, const char *question, struct buf *ret)
{
    struct termios shown, hidden;
    if (tcgetattr(tty, &shown) != 0)
        return complain("cannot hide what is typed on this terminal");
    hidden = shown;
    hidden.c_lflag &= ~(tcflag_t)ECHO;
    dprintf(tty, "%s: ", question);
    tcsetattr(tty, TCSAFLUSH, &hidden);
    bool ok = read_line(tty, ret);
    tcsetattr(tty, TCSAFLUSH, &shown);
    dprintf(tty, "\n");
    return ok;
}

static bool ask_twice(struct buf *ret)
{
    int tty = open("/dev/tty", O_RDWR | O_CLOEXEC);
    if (tty < 0)
        return complain("there is no terminal to ask for the password on; "
                        "use --password-stdin, --hash or --generate");
    AUTO(buf_wipe) struct buf again = BUF_EMPTY(LINE_MAX_OCTETS);
    bool ok = ask_once(tty, "Password", ret) && ask_once(tty, "The same again", &again);
    close(tty);
    if (ok && !span_eq(buf_span(ret), buf_span(&again)))
        return complain("the two passwords differ");
    return ok;
}

/* Four groups of five letters out of 32: a hundred bits, easy to read to somebody. */
static bool generate(struct buf *ret)
{
    static const char letters[] = "abcdefghjkmnpqrstuvwxyz123456789"; /* no i, l, o, 0 */
    unsigned char chance[20];
    if (getrandom(chance, sizeof chance, 0) != (ssize_t)sizeof chance)
        return complain("no random numbers");
    if (buf_reserve(ret, LINE_MAX_OCTETS) != STATUS_OK)
        return complain("out of memory");
    for (size_t i = 0; i < sizeof chance; i++) {
        if (i && i % 5 == 0)
            buf_add_char(ret, '-');
        buf_add_char(ret, letters[chance[i] % 32]);
    }
    explicit_bzero(chance, sizeof chance);
    return true;
}

static bool take_hash(const char *hash, struct buf *ret)
{
    AUTO(buf_done) struct buf line = BUF_EMPTY(LINE_MAX_OCTETS);
    struct span text = span_str(hash), form;
    if (strcmp(hash, "-") == 0) {
        if (!read_line(STDIN_FILENO, &line))
            return false;
        text = buf_span(&line);
    }
    if (secret_import(text, &form) != STATUS_OK)
        return complain("that is no stored form of a password; it begins with $y$, $2b$, $2y$, $6$, $5$, $argon2id$ or {SCRAM-SHA-256} "
                        "(quote it: the shell takes $ for its own)");
    return buf_add(ret, form) == STATUS_OK;
}

bool password_obtain(enum password_source source, const char *hash, const struct secret_wish *wish, struct buf *ret)
{
    AUTO(buf_wipe) struct buf password = BUF_EMPTY(LINE_MAX_OCTETS);
    bool ok = false;
    switch (source) {
    case PASSWORD_HASH: return take_hash(hash, ret);
    case PASSWORD_PROMPT: ok = ask_twice(&password); break;
    case PASSWORD_STDIN: ok = read_line(STDIN_FILENO, &password); break;
    case PASSWORD_GENERATE: ok = generate(&password); break;
    }
    if (!ok)
        return false;
    const char *complaint = secret_complaint(buf_span(&password));
    if (complaint)
        return complain(complaint);
    if (secret_is_short(buf_span(&password)))
        fprintf(stderr, "goniec: warning: a password of less than 8 characters is soon guessed\n");
    if (secret_make_wished(buf_span(&password), wish, ret) != STATUS_OK)
        return complain("the password could not be hashed");
    if (source == PASSWORD_GENERATE)
        printf("password: %.*s\n", SPAN_ARGS(buf_span(&password)));
    return true;
}
