/* Runs a fuzz target over every sample in a folder: how fuzzers take part in the ordinary suite. */
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

int main(int argc, char **argv)
{
    int ran = 0;
    DIR *folder = argc > 1 ? opendir(argv[1]) : NULL;
    if (!folder) {
        fprintf(stderr, "usage: %s SAMPLES-FOLDER (missing: %s)\n", argv[0], argc > 1 ? argv[1] : "");
        return 1;
    }
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
        if (entry->d_name[0] != '.')
            ran += run_one(argv[1], entry->d_name);
    closedir(folder);
    printf("%d samples\n", ran);
    return ran ? 0 : 1; /* no sample: a test that cannot fail */
}
