#include "directory/secret.h"
#include "directory/scram_priv.h"
#include <crypt.h>
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>

#define PASSWORD_LEAST 8 /* characters; NIST SP 800-63B section 5.1.1.1 */

static const struct form {
    const char *start;
    const char *name;
    enum { FORM_CRYPT, FORM_ARGON, FORM_SCRAM } kind;
} forms[] = {
    { "$y$", "yescrypt", FORM_CRYPT },        { "$2b$", "bcrypt", FORM_CRYPT },        { "$2y$", "bcrypt", FORM_CRYPT },
    { "$2a$", "bcrypt", FORM_CRYPT },         { "$6$", "sha512-crypt", FORM_CRYPT },   { "$5$", "sha256-crypt", FORM_CRYPT },
    { "$argon2id$", "argon2id", FORM_ARGON }, { "$argon2i$", "argon2i", FORM_ARGON },
    { "{SCRAM-SHA-256}", "scram-sha-256", FORM_SCRAM }, { "SCRAM-SHA-256$", "scram-sha-256", FORM_SCRAM },
};

enum status secret_init(void)
{
    return sodium_init() < 0 ? STATUS_IO : STATUS_OK;
}

static const struct form *form_find(struct span stored)
{
    for (size_t i = 0; i < ARRAY_LEN(forms); i++)
        if (span_starts(stored, span_str(forms[i].start)))
            return &forms[i];
    return NULL;
}

const char *secret_form(struct span stored)
{
    const struct form *form = form_find(stored);
    return form ? form->name : NULL;
}

/* Equal in a time that does not tell where they differ. */
static bool texts_eq(const char *a, size_t a_n, struct span b)
{
    return a_n == b.n && sodium_memcmp(a, b.p, b.n) == 0;
}

static enum status crypt_check(const char *stored, struct span want, const char *password)
{
    struct crypt_data *work = calloc(1, sizeof *work);
    if (!work)
        return STATUS_MEMORY;
    errno = 0;
    const char *made = crypt_rn(password, stored, work, (int)sizeof *work);
    enum status status = STATUS_DENIED;
    if (!made)
        status = errno == ENOMEM ? STATUS_MEMORY : STATUS_SYNTAX;
    else if (texts_eq(made, strlen(made), want))
        status = STATUS_OK;
    explicit_bzero(work, sizeof *work);
    free(work);
    return status;
}

static enum status argon_check(const char *stored, const char *password, size_t password_n)
{
    if (strlen(stored) >= crypto_pwhash_STRBYTES)
        return STATUS_SYNTAX;
    errno = 0;
    if (crypto_pwhash_str_verify(stored, password, password_n) == 0)
        return STATUS_OK;
    return errno == ENOMEM ? STATUS_MEMORY : STATUS_DENIED;
}

static enum status scram_check(struct span stored, struct span password)
{
    struct scram_verifier verifier;
    enum status status = scram_verifier_parse(stored, &verifier);
    return status == STATUS_OK ? scram_verifier_check(&verifier, password) : status;
}

enum status secret_check(struct span stored, struct span password)
{
    const struct form *form = form_find(stored);
    if (!form || stored.n > SECRET_STORED_MAX || memchr(stored.p, '\0', stored.n))
        return STATUS_SYNTAX;
    /* Nobody's password has a NUL or is that long, but finding out takes the usual time. */
    bool is_possible = password.n && password.n <= SECRET_PASSWORD_MAX && !memchr(password.p, '\0', password.n);
    size_t n = is_possible ? password.n : 0;

    char stored_text[SECRET_STORED_MAX + 1], password_text[SECRET_PASSWORD_MAX + 1];
    memcpy(stored_text, stored.p, stored.n);
    stored_text[stored.n] = '\0';
    if (n)
        memcpy(password_text, password.p, n);
    password_text[n] = '\0';
    enum status status = form->kind == FORM_ARGON   ? argon_check(stored_text, password_text, n)
                         : form->kind == FORM_SCRAM ? scram_check(stored, span_of(password_text, n))
                                                    : crypt_check(stored_text, stored, password_text);
    explicit_bzero(password_text, sizeof password_text);
    return status == STATUS_OK && !is_possible ? STATUS_DENIED : status;
}

bool secret_is_text(struct span password)
{
    for (size_t i = 0; i < password.n; i++)
        if ((unsigned char)password.p[i] < 0x20 || password.p[i] == 0x7f)
            return false;
    return span_is_utf8(password);
}

static size_t character_count(struct span utf8)
{
    size_t count = 0;
    for (size_t i = 0; i < utf8.n; i++)
        count += ((unsigned char)utf8.p[i] & 0xc0) != 0x80;
    return count;
}

const char *secret_complaint(struct span password)
{
    if (!password.n)
        return "the password is empty";
    if (password.n > SECRET_PASSWORD_MAX)
        return "the password is longer than 511 octets";
    if (!secret_is_text(password))
        return "the password is not UTF-8 or has control characters in it";
    return NULL;
}

bool secret_is_short(struct span password)
{
    return character_count(password) < PASSWORD_LEAST;
}

enum status secret_make(struct span password, struct buf *ret)
{
    if (secret_complaint(password))
        return STATUS_SYNTAX;
    char salt[CRYPT_GENSALT_OUTPUT_SIZE];
    if (!crypt_gensalt_rn("$y$", 0, NULL, 0, salt, (int)sizeof salt))
        return STATUS_IO;
    struct crypt_data *work = calloc(1, sizeof *work);
    if (!work)
        return STATUS_MEMORY;
    char text[SECRET_PASSWORD_MAX + 1];
    memcpy(text, password.p, password.n);
    text[password.n] = '\0';
    const char *made = crypt_rn(text, salt, work, (int)sizeof *work);
    enum status status = made ? buf_add_str(ret, made) : STATUS_IO;
    explicit_bzero(text, sizeof text);
    explicit_bzero(work, sizeof *work);
    free(work);
    return status;
}

enum status secret_make_wished(struct span password, const struct secret_wish *wish, struct buf *ret)
{
    struct scram_verifier verifier = { .iterations = wish->iterations, .salt_n = SCRAM_SALT };
    enum status status = secret_complaint(password) ? STATUS_SYNTAX : STATUS_OK;
    if (status == STATUS_OK && wish->hash)
        status = secret_make(password, ret);
    if (status != STATUS_OK || !wish->scram)
        return status;
    scram_random(verifier.salt, verifier.salt_n);
    status = scram_verifier_fill(password, &verifier);
    if (wish->hash)
        buf_add_char(ret, '\n');
    return status == STATUS_OK ? scram_verifier_print(&verifier, ret) : status;
}

struct span secret_for_password(struct span stored)
{
    struct span left = stored;
    for (struct span line; span_cut(&left, '\n', &line);)
        if (line.n && !scram_is_verifier(line))
            return line;
    return span_head(stored, span_find(stored, '\n'));
}

struct span secret_for_scram(struct span stored)
{
    for (struct span line; span_cut(&stored, '\n', &line);)
        if (scram_is_verifier(line))
            return line;
    return SPAN_NONE;
}

enum status secret_import(struct span text, struct span *ret)
{
    size_t end = span_find(text, '}');
    if (text.n && text.p[0] == '{' && end < text.n && !scram_is_verifier(text))
        text = span_from(text, end + 1);
    if (!form_find(text) || text.n > SECRET_STORED_MAX || !span_is_ascii(text))
        return STATUS_SYNTAX;
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] <= ' ' || (text.p[i] == ':' && !scram_is_verifier(text)))
            return STATUS_SYNTAX;
    struct scram_verifier verifier;
    if (scram_is_verifier(text) && scram_verifier_parse(text, &verifier) != STATUS_OK)
        return STATUS_SYNTAX;
    *ret = text;
    return STATUS_OK;
}

struct span secret_nobody(void)
{
    /* Nobody knows what this was made from; all that counts is that it costs what yescrypt costs. */
    return SPAN("$y$j9T$FsbLQc1l6bnFDkiGEIWE20$KNj0GpR2zQGkEB.kN2JdHHb1Yd7i9oaHQ.bpM5J9xH6");
}
