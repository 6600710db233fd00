/* malloc and its family, counted for each process, so that a killed one's memory can be freed, and a leak be seen. */
#include "kernel_priv.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef KERNEL_ASAN
#include <sanitizer/asan_interface.h>
#endif

void *__real_malloc(size_t n);
void *__real_calloc(size_t count, size_t n);
void *__real_realloc(void *p, size_t n);
void __real_free(void *p);

#define MAGIC UINT64_C(0x676f6e69656373)

struct block { /* in front of what the program got; a multiple of 16 octets */
    struct list link;
    struct process *process;
    size_t octets;
    uint64_t magic, spare;
};

/* -- the kernel's own -- */

void *kernel_calloc(size_t count, size_t octets)
{
    void *p = __real_calloc(count, octets);
    if (!p)
        abort();
    return p;
}

void *kernel_grow(void *p, size_t octets)
{
    p = __real_realloc(p, octets);
    if (!p)
        abort();
    return p;
}

void kernel_free(void *p) { __real_free(p); }

/* -- everybody's -- */

static struct block *block_of(void *p)
{
    struct block *block = (struct block *)p - 1;
    if (block->magic != MAGIC) {
        fprintf(stderr, "sim: memory is freed that malloc() did not give, or twice\n");
        abort();
    }
    return block;
}

static void *hand_out(struct block *block, size_t octets)
{
    if (!block)
        return NULL;
    struct process *process = kernel.running ? kernel.running->process : NULL;
    *block = (struct block){ .process = process, .octets = octets, .magic = MAGIC };
    list_init(&block->link);
    if (process) {
        list_add_last(&process->blocks, &block->link);
        process->block_count++;
        process->octets += octets;
    }
    return block + 1;
}

static void take_back(struct block *block)
{
    if (block->process) {
        list_remove(&block->link);
        block->process->block_count--;
        block->process->octets -= block->octets;
    }
}

static bool refuses(size_t octets)
{
    if (octets > SIZE_MAX / 4 || (kernel.running && fault(kernel.faults.no_memory))) {
        errno = ENOMEM;
        return true;
    }
    return false;
}

void *__wrap_malloc(size_t n);
void *__wrap_malloc(size_t n) { return refuses(n) ? NULL : hand_out(__real_malloc(sizeof(struct block) + n), n); }

void *__wrap_calloc(size_t count, size_t n);
void *__wrap_calloc(size_t count, size_t n)
{
    size_t octets;
    if (__builtin_mul_overflow(count, n, &octets) || refuses(octets))
        return NULL;
    return hand_out(__real_calloc(1, sizeof(struct block) + octets), octets);
}

void __wrap_free(void *p);
void __wrap_free(void *p)
{
    if (!p)
        return;
    struct block *block = block_of(p);
    take_back(block);
    block->magic = 0;
    __real_free(block);
}

void *__wrap_realloc(void *p, size_t n);
void *__wrap_realloc(void *p, size_t n)
{
    if (!p)
        return __wrap_malloc(n);
    struct block *block = block_of(p);
    if (refuses(n))
        return NULL;
    take_back(block);
    struct block *moved = __real_realloc(block, sizeof *block + n);
    if (!moved)
        abort();
    return hand_out(moved, n);
}

void *__wrap_reallocarray(void *p, size_t count, size_t n);
void *__wrap_reallocarray(void *p, size_t count, size_t n)
{
    size_t octets;
    if (__builtin_mul_overflow(count, n, &octets)) {
        errno = ENOMEM;
        return NULL;
    }
    return __wrap_realloc(p, octets);
}

char *__wrap_strndup(const char *text, size_t most);
char *__wrap_strndup(const char *text, size_t most)
{
    size_t n = strnlen(text, most);
    char *copy = __wrap_malloc(n + 1);
    if (copy) {
        memcpy(copy, text, n);
        copy[n] = '\0';
    }
    return copy;
}

char *__wrap_strdup(const char *text);
char *__wrap_strdup(const char *text) { return __wrap_strndup(text, SIZE_MAX); }

int __wrap_malloc_trim(size_t pad);
int __wrap_malloc_trim(size_t pad) { return 0; }

/* -- what OpenSSL keeps for a process: its memory is its own, and must not go with ours -- */

struct ssl_ctx_st;
struct ssl_ctx_st *__real_SSL_CTX_new(const void *method);
void __real_SSL_CTX_free(struct ssl_ctx_st *context);

struct context {
    struct list link;
    struct ssl_ctx_st *context;
};

struct ssl_ctx_st *__wrap_SSL_CTX_new(const void *method);
struct ssl_ctx_st *__wrap_SSL_CTX_new(const void *method)
{
    struct ssl_ctx_st *made = __real_SSL_CTX_new(method);
    if (!made || !inside())
        return made;
    struct context *context = kernel_calloc(1, sizeof *context);
    context->context = made;
    list_add_last(&me()->contexts, &context->link);
    return made;
}

static void context_free(struct context *context)
{
    list_remove(&context->link);
    __real_SSL_CTX_free(context->context);
    kernel_free(context);
}

void __wrap_SSL_CTX_free(struct ssl_ctx_st *made);
void __wrap_SSL_CTX_free(struct ssl_ctx_st *made)
{
    if (made && inside())
        for (LIST_EACH(link, &me()->contexts))
            if (CONTAINER(link, struct context, link)->context == made) {
                context_free(CONTAINER(link, struct context, link));
                return;
            }
    __real_SSL_CTX_free(made);
}

void memory_free_all(struct process *process)
{
    while (!list_is_empty(&process->contexts))
        context_free(CONTAINER(list_first(&process->contexts), struct context, link));
    for (struct list *link; (link = list_take_first(&process->blocks)) != NULL;) {
        struct block *block = CONTAINER(link, struct block, link);
        block->magic = 0;
        __real_free(block);
    }
    process->block_count = process->octets = 0;
}
