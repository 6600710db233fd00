#include "spool/stamp.h"
#include "base/hash.h"
#include "spool/le_priv.h"
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>

static const char magic[8] = "GNCSTMP";
enum { AT_KEY = 8, AT_CHECK = AT_KEY + SPOOL_STAMP_KEY_OCTETS, FILE_OCTETS = AT_CHECK + 4 };

void spool_stamp_make(const struct spool_stamp_key *key, const void *p, size_t n, uint8_t ret[SPOOL_STAMP_OCTETS])
{
    crypto_generichash(ret, SPOOL_STAMP_OCTETS, p, n, key->octets, sizeof key->octets);
}

bool spool_stamp_is(const struct spool_stamp_key *key, const void *p, size_t n, const uint8_t stamp[SPOOL_STAMP_OCTETS])
{
    uint8_t right[SPOOL_STAMP_OCTETS];
    spool_stamp_make(key, p, n, right);
    return crypto_verify_16(right, stamp) == 0;
}

enum status spool_stamp_key_read(const struct spool_ops *ops, int dir, struct spool_stamp_key *ret)
{
    uint8_t octets[FILE_OCTETS];
    struct stat st;
    int fd = ops->openat(ops, dir, SPOOL_STAMP_NAME, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0);
    if (fd < 0)
        return errno == ENOENT ? STATUS_NOT_FOUND : errno == ELOOP ? STATUS_DAMAGED : STATUS_IO;
    enum status status = ops->fstat(ops, fd, &st) < 0 ? STATUS_IO : STATUS_OK;
    if (status == STATUS_OK && (!S_ISREG(st.st_mode) || st.st_size != FILE_OCTETS))
        status = STATUS_DAMAGED;
    if (status == STATUS_OK)
        status = spool_pread_all(ops, fd, octets, sizeof octets, 0);
    int wrong = errno;
    ops->close(ops, fd);
    errno = wrong;
    if (status == STATUS_OK &&
        (memcmp(octets, magic, sizeof magic) != 0 || le32_get(octets + AT_CHECK) != crc32c(0, octets, AT_CHECK)))
        status = STATUS_DAMAGED;
    if (status == STATUS_OK)
        memcpy(ret->octets, octets + AT_KEY, sizeof ret->octets);
    explicit_bzero(octets, sizeof octets);
    return status;
}

enum status spool_stamp_key_write(const struct spool_ops *ops, int dir, const struct spool_stamp_key *key)
{
    uint8_t octets[FILE_OCTETS];
    memcpy(octets, magic, sizeof magic);
    memcpy(octets + AT_KEY, key->octets, sizeof key->octets);
    le32_set(octets + AT_CHECK, crc32c(0, octets, AT_CHECK));
    ops->unlinkat(ops, dir, SPOOL_STAMP_NAME_NEW);
    int fd = ops->openat(ops, dir, SPOOL_STAMP_NAME_NEW, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    enum status status = fd < 0 ? STATUS_IO : spool_pwrite_all(ops, fd, octets, sizeof octets, 0);
    explicit_bzero(octets, sizeof octets);
    if (status == STATUS_OK)
        status = spool_fsync(ops, fd);
    if (fd >= 0)
        ops->close(ops, fd);
    if (status == STATUS_OK && ops->renameat(ops, dir, SPOOL_STAMP_NAME_NEW, SPOOL_STAMP_NAME) < 0)
        status = STATUS_IO;
    return status == STATUS_OK ? spool_fsync(ops, dir) : status;
}
