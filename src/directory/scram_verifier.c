#include "directory/scram_priv.h"
#include "directory/secret.h"
#include <gsasl.h>
#include <sodium.h>
#include <stdlib.h>

#define FORM "{SCRAM-SHA-256}"
#define FORM_OF_RFC_5803 "SCRAM-SHA-256$"

void scram_random(unsigned char *p, size_t n) { randombytes_buf(p, n); }

void scram_base64_add(const unsigned char *p, size_t n, struct buf *ret)
{
    size_t room = sodium_base64_encoded_len(n, sodium_base64_VARIANT_ORIGINAL); /* with its NUL */
    if (buf_reserve(ret, room) != STATUS_OK) {
        ret->failed = true;
        return;
    }
    sodium_bin2base64(ret->p + ret->n, room, p, n, sodium_base64_VARIANT_ORIGINAL);
    ret->n += room - 1;
}

bool scram_base64_take(struct span text, size_t most, struct buf *ret)
{
    size_t n;
    const char *end;
    if (!text.n || buf_reserve(ret, most) != STATUS_OK ||
        sodium_base642bin((unsigned char *)ret->p, most, text.p, text.n, NULL, &n, &end, sodium_base64_VARIANT_ORIGINAL) != 0 ||
        end != text.p + text.n)
        return false;
    ret->n = n;
    return true;
}

/* -- as text -- */

bool scram_is_verifier(struct span text) { return span_starts(text, SPAN(FORM)) || span_starts(text, SPAN(FORM_OF_RFC_5803)); }

static bool take_octets(struct span text, size_t most, unsigned char *ret, uint32_t *ret_n)
{
    AUTO(buf_wipe) struct buf octets = BUF_EMPTY(SCRAM_SALT_MAX);
    if (!scram_base64_take(text, most, &octets) || !octets.n)
        return false;
    memcpy(ret, octets.p, octets.n);
    *ret_n = (uint32_t)octets.n;
    return true;
}

enum status scram_verifier_parse(struct span text, struct scram_verifier *ret)
{
    bool ours = span_starts(text, SPAN(FORM));
    struct span parts[4];
    const char ends[4] = { ours ? ',' : ':', ours ? ',' : '$', ours ? ',' : ':', '\0' };
    if (!scram_is_verifier(text))
        return STATUS_SYNTAX;
    text = span_from(text, ours ? sizeof FORM - 1 : sizeof FORM_OF_RFC_5803 - 1);
    for (size_t i = 0; i < 4; i++)
        if (!span_cut(&text, ends[i], &parts[i]))
            return STATUS_SYNTAX;
    struct scram_verifier verifier = { 0 };
    uint64_t iterations;
    uint32_t stored_n, server_n;
    if (text.n || !span_u64(parts[0], SCRAM_ITERATIONS_MOST, &iterations) || iterations < SCRAM_ITERATIONS_LEAST ||
        !take_octets(parts[1], SCRAM_SALT_MAX, verifier.salt, &verifier.salt_n) ||
        !take_octets(parts[2], SCRAM_HASH, verifier.stored, &stored_n) || stored_n != SCRAM_HASH ||
        !take_octets(parts[3], SCRAM_HASH, verifier.server, &server_n) || server_n != SCRAM_HASH)
        return STATUS_SYNTAX;
    verifier.iterations = (uint32_t)iterations;
    *ret = verifier;
    return STATUS_OK;
}

enum status scram_verifier_print(const struct scram_verifier *verifier, struct buf *ret)
{
    buf_printf(ret, FORM "%u,", verifier->iterations);
    scram_base64_add(verifier->salt, verifier->salt_n, ret);
    buf_add_char(ret, ',');
    scram_base64_add(verifier->stored, SCRAM_HASH, ret);
    buf_add_char(ret, ',');
    scram_base64_add(verifier->server, SCRAM_HASH, ret);
    return ret->failed ? STATUS_MEMORY : STATUS_OK;
}

/* -- arithmetic (RFC 5802 section 3) -- */

static void hmac(const unsigned char key[SCRAM_HASH], struct span text, unsigned char ret[SCRAM_HASH])
{
    crypto_auth_hmacsha256_state state;
    crypto_auth_hmacsha256_init(&state, key, SCRAM_HASH);
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)text.p, text.n);
    crypto_auth_hmacsha256_final(&state, ret);
    sodium_memzero(&state, sizeof state);
}

/* Hi(): PBKDF2 of one block. The state after the key is made once: half the work of each iteration. */
static void salted(struct span password, const struct scram_verifier *verifier, unsigned char ret[SCRAM_HASH])
{
    static const unsigned char first_block[4] = { 0, 0, 0, 1 };
    crypto_auth_hmacsha256_state keyed, state;
    unsigned char u[SCRAM_HASH];
    crypto_auth_hmacsha256_init(&keyed, (const unsigned char *)password.p, password.n);
    state = keyed;
    crypto_auth_hmacsha256_update(&state, verifier->salt, verifier->salt_n);
    crypto_auth_hmacsha256_update(&state, first_block, sizeof first_block);
    crypto_auth_hmacsha256_final(&state, u);
    memcpy(ret, u, SCRAM_HASH);
    for (uint32_t i = 1; i < verifier->iterations; i++) {
        state = keyed;
        crypto_auth_hmacsha256_update(&state, u, SCRAM_HASH);
        crypto_auth_hmacsha256_final(&state, u);
        for (size_t at = 0; at < SCRAM_HASH; at++)
            ret[at] ^= u[at];
    }
    sodium_memzero(&keyed, sizeof keyed);
    sodium_memzero(&state, sizeof state);
    sodium_memzero(u, sizeof u);
}

/* SASLprep (RFC 4013), as clients do it before they hash. What it forbids is taken as it is: they do the same, or cannot log in. */
static enum status prepare(struct span password, struct buf *ret)
{
    if (buf_reserve(ret, password.n + 1) != STATUS_OK)
        return STATUS_MEMORY;
    buf_add(ret, password);
    if (span_is_ascii(password))
        return STATUS_OK;
    char *prepared = NULL;
    if (gsasl_saslprep(buf_cstr(ret), GSASL_ALLOW_UNASSIGNED, &prepared, NULL) == GSASL_OK && prepared[0]) {
        buf_clear(ret);
        buf_add_str(ret, prepared);
    }
    if (prepared)
        explicit_bzero(prepared, strlen(prepared));
    gsasl_free(prepared);
    return ret->failed ? STATUS_MEMORY : STATUS_OK;
}

enum status scram_verifier_fill(struct span password, struct scram_verifier *ret)
{
    AUTO(buf_wipe) struct buf prepared = BUF_EMPTY(4 * SECRET_PASSWORD_MAX);
    unsigned char salted_password[SCRAM_HASH], client[SCRAM_HASH];
    if (password.n > SECRET_PASSWORD_MAX || prepare(password, &prepared) != STATUS_OK)
        return STATUS_MEMORY;
    salted(buf_span(&prepared), ret, salted_password);
    hmac(salted_password, SPAN("Client Key"), client);
    crypto_hash_sha256(ret->stored, client, SCRAM_HASH);
    hmac(salted_password, SPAN("Server Key"), ret->server);
    sodium_memzero(salted_password, sizeof salted_password);
    sodium_memzero(client, sizeof client);
    return STATUS_OK;
}

enum status scram_verifier_check(const struct scram_verifier *verifier, struct span password)
{
    struct scram_verifier made = *verifier;
    enum status status = scram_verifier_fill(password, &made);
    if (status == STATUS_OK && sodium_memcmp(made.stored, verifier->stored, SCRAM_HASH) != 0)
        status = STATUS_DENIED;
    sodium_memzero(&made, sizeof made);
    return status;
}

void scram_verifier_fake(const unsigned char secret[SCRAM_HASH], struct span login, uint32_t iterations, uint32_t salt_n,
                         struct scram_verifier *ret)
{
    crypto_auth_hmacsha512_state state;
    unsigned char octets[crypto_auth_hmacsha512_BYTES];
    crypto_auth_hmacsha512_init(&state, secret, SCRAM_HASH);
    crypto_auth_hmacsha512_update(&state, (const unsigned char *)login.p, login.n);
    crypto_auth_hmacsha512_final(&state, octets);
    *ret = (struct scram_verifier){ .iterations = iterations, .salt_n = MIN(salt_n, (uint32_t)sizeof octets) };
    memcpy(ret->salt, octets, ret->salt_n);
    scram_random(ret->stored, SCRAM_HASH);
    scram_random(ret->server, SCRAM_HASH);
    sodium_memzero(octets, sizeof octets);
}

bool scram_proof_fits(const struct scram_verifier *verifier, struct span auth, const char *proof)
{
    unsigned char client[SCRAM_HASH], stored[SCRAM_HASH];
    hmac(verifier->stored, auth, client); /* ClientSignature */
    for (size_t i = 0; i < SCRAM_HASH; i++)
        client[i] ^= (unsigned char)proof[i];
    crypto_hash_sha256(stored, client, SCRAM_HASH);
    sodium_memzero(client, sizeof client);
    return sodium_memcmp(stored, verifier->stored, SCRAM_HASH) == 0;
}

void scram_server_signature(const struct scram_verifier *verifier, struct span auth, unsigned char ret[SCRAM_HASH])
{
    hmac(verifier->server, auth, ret);
}
