#include "directory/verifiers.h"
#include "base/hash.h"
#include "directory/accounts_priv.h"
#include <fcntl.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECRET_ENDS "-salts"

/* What others have, so that who does not exist looks like them. */
static void look_like_others(struct accounts *accounts, struct span login, const unsigned char *secret, uint32_t iterations,
                             struct scram_verifier *ret)
{
    AUTO(buf_done) struct buf other = BUF_EMPTY(SECRET_STORED_MAX);
    struct scram_verifier model = { .iterations = iterations, .salt_n = SCRAM_SALT };
    if (accounts_any_stored(accounts, hash_bytes(login), &other) == STATUS_OK)
        (void)!scram_verifier_parse(secret_for_scram(buf_span(&other)), &model);
    scram_verifier_fake(secret, login, model.iterations, model.salt_n, ret);
}

enum status verifiers_find(struct accounts *accounts, struct span login, const unsigned char *secret, uint32_t iterations,
                           struct verifiers_found *ret)
{
    AUTO(buf_done) struct buf stored = BUF_EMPTY(SECRET_STORED_MAX);
    int64_t credential = 0;
    enum status status = login.n ? accounts_password(accounts, login, &credential, &stored) : STATUS_NOT_FOUND;
    if (status != STATUS_OK && status != STATUS_NOT_FOUND)
        return status;
    *ret = (struct verifiers_found){ .credential = credential, .reason = "no such account" };
    if (status == STATUS_OK) {
        ret->may_succeed = scram_verifier_parse(secret_for_scram(buf_span(&stored)), &ret->verifier) == STATUS_OK;
        ret->reason = "nothing is stored for SCRAM; `goniec account passwd` does that, PLAIN works as ever";
    }
    if (!ret->may_succeed)
        look_like_others(accounts, login, secret, iterations, &ret->verifier);
    return STATUS_OK;
}

/* -- who is missing -- */

enum status verifiers_missing(struct accounts *accounts, int64_t *from, unsigned most, bool *ret_found)
{
    sqlite3_stmt *statement = accounts_statement(accounts, ST_NO_VERIFIER);
    if (!statement)
        return STATUS_IO;
    sqlite3_bind_int64(statement, 1, *from);
    sqlite3_bind_int64(statement, 2, most);
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        *from = sqlite3_column_int64(statement, 1) < most ? 0 : sqlite3_column_int64(statement, 0);
        *ret_found = sqlite3_column_int64(statement, 2) != 0;
    }
    sqlite3_reset(statement);
    return code == SQLITE_ROW ? STATUS_OK : accounts_fail(accounts, code, "looking for verifiers");
}

enum status verifiers_generation(struct accounts *accounts, int64_t *ret)
{
    sqlite3_stmt *statement = accounts_statement(accounts, ST_GENERATION);
    int code = statement ? sqlite3_step(statement) : SQLITE_ERROR;
    if (code == SQLITE_ROW)
        *ret = sqlite3_column_int64(statement, 0);
    if (statement)
        sqlite3_reset(statement);
    return code == SQLITE_ROW ? STATUS_OK : accounts_fail(accounts, code, "looking for changes");
}

/* -- the secret -- */

static bool read_or_make(int fd, unsigned char ret[SCRAM_HASH])
{
    unsigned char kept[SCRAM_HASH + 1];
    if (pread(fd, kept, sizeof kept, 0) == SCRAM_HASH) {
        memcpy(ret, kept, SCRAM_HASH);
        sodium_memzero(kept, sizeof kept);
        return true;
    }
    return ftruncate(fd, 0) == 0 && pwrite(fd, ret, SCRAM_HASH, 0) == SCRAM_HASH;
}

enum status verifiers_secret(const char *database, unsigned char ret[SCRAM_HASH])
{
    AUTO(buf_done) struct buf path = BUF_EMPTY(8192);
    buf_add_str(&path, database);
    buf_add_str(&path, SECRET_ENDS);
    randombytes_buf(ret, SCRAM_HASH);
    int fd = open(buf_cstr(&path), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return STATUS_IO;
    bool good = read_or_make(fd, ret);
    close(fd);
    return good ? STATUS_OK : STATUS_IO;
}
