/* goniec's mutable variables, once for each process: a list, for the rooms have very few, and the program's thread-local
 * ones. What is static can only be found in the program's own table of symbols, behind the name of its source file.
 */
#include "kernel_priv.h"
#include <elf.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct piece {
    char *at;
    size_t octets;
};

static struct {
    struct piece pieces[64];
    size_t count, octets;
    char *fresh;             /* as they were when the program began */
    uintptr_t base;
    size_t tls_octets;
} table;

static int on_program(struct dl_phdr_info *info, size_t size, void *arg)
{
    table.base = info->dlpi_addr;
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_TLS && info->dlpi_tls_data)
            table.pieces[table.count++] = (struct piece){ info->dlpi_tls_data, info->dlpi_phdr[i].p_memsz };
    return 1; /* the program itself comes first */
}

/* tests/sim/calls.py holds this list against the archives. What it leaves out is the same in every process. */
static const struct {
    const char *file, *name;
} known[] = { { "hash.c", "drawn" }, { "log.c", "self" } };

/* The compiler adds a number to the names of variables inside of functions. */
static bool is_known(const char *file, const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        size_t n = strlen(known[i].name);
        if (strcmp(file, known[i].file) == 0 && strncmp(name, known[i].name, n) == 0 && (!name[n] || name[n] == '.'))
            return true;
    }
    return false;
}

static void add_symbols(const char *file)
{
    const ElfW(Ehdr) *head = (const void *)file;
    const ElfW(Shdr) *sections = (const void *)(file + head->e_shoff);
    for (size_t s = 0; s < head->e_shnum; s++) {
        if (sections[s].sh_type != SHT_SYMTAB)
            continue;
        const ElfW(Sym) *symbols = (const void *)(file + sections[s].sh_offset);
        const char *names = file + sections[sections[s].sh_link].sh_offset;
        const char *of = "";
        for (size_t i = 0; i < sections[s].sh_size / sizeof *symbols; i++) {
            unsigned type = ELF64_ST_TYPE(symbols[i].st_info);
            if (type == STT_FILE)
                of = names + symbols[i].st_name;
            if (type != STT_OBJECT || !symbols[i].st_size || !is_known(of, names + symbols[i].st_name))
                continue;
            if (table.count == ARRAY_LEN(table.pieces))
                abort();
            table.pieces[table.count++] = (struct piece){ (char *)(table.base + symbols[i].st_value), symbols[i].st_size };
        }
    }
}

/* Reads the whole program; before any run, so that these are the real calls. */
void globals_init(void)
{
    if (table.fresh)
        return;
    dl_iterate_phdr(on_program, NULL);
    FILE *file = fopen("/proc/self/exe", "re");
    if (!file || fseek(file, 0, SEEK_END) != 0)
        abort();
    size_t size = (size_t)ftell(file);
    char *octets = kernel_calloc(1, size);
    rewind(file);
    if (fread(octets, 1, size, file) != size)
        abort();
    fclose(file);
    add_symbols(octets);
    kernel_free(octets);
    for (size_t i = 0; i < table.count; i++)
        table.octets += table.pieces[i].octets;
    table.fresh = kernel_calloc(1, table.octets + 1);
    globals_save(table.fresh);
}

size_t globals_octets(void) { return table.octets + 1; }
void globals_fresh(void *copy) { memcpy(copy, table.fresh, table.octets); }

void globals_save(void *copy)
{
    char *to = copy;
    for (size_t i = 0; i < table.count; to += table.pieces[i].octets, i++)
        memcpy(to, table.pieces[i].at, table.pieces[i].octets);
}

void globals_load(const void *copy)
{
    const char *from = copy;
    for (size_t i = 0; i < table.count; from += table.pieces[i].octets, i++)
        memcpy(table.pieces[i].at, from, table.pieces[i].octets);
}
