/* Runs a fuzz target over every sample in some folders, of which those that do not exist are empty: how fuzzers take part
 * in the ordinary suite. */
#include "base/buf.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int run_one(const char *folder, const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    AUTO(buf_done) struct buf sample = BUF_EMPTY(16u << 20);
    if (fd < 0 || buf_fill(&sample, fd) != STATUS_OK) {
        perror(path);
        exit(1);
    }
    close(fd);
    /* An exact heap copy, so that the sanitizer sees one octet too far. */
    uint8_t *exact = malloc(sample.n ? sample.n : 1);
    if (!exact)
        exit(1);
    if (sample.n)
        memcpy(exact, sample.p, sample.n);
    LLVMFuzzerTestOneInput(exact, sample.n);
    free(exact);
    return 1;
}

static int run_all(const char *path)
{
    int ran = 0;
    DIR *folder = opendir(path);
    if (!folder)
        return 0;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
        if (entry->d_name[0] != '.')
            ran += run_one(path, entry->d_name);
    closedir(folder);
    return ran;
}

int main(int argc, char **argv)
{
    int ran = 0;
    for (int i = 1; i < argc; i++)
        ran += run_all(argv[i]);
    printf("%d samples\n", ran);
    return ran ? 0 : 1; /* no sample: a test that cannot fail */
}
