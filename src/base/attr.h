/* base/attr.h -- the few language extensions that the house uses, each named once. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Runs `done(&variable)` when the variable leaves its scope: AUTO(buf_done) struct buf b; */
#define AUTO(done) __attribute__((cleanup(done)))
/* The caller has to look at what comes back. */
#define MUST_CHECK __attribute__((warn_unused_result))
/* `fmt` is the number of the format argument, `args` that of the first one it formats. */
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define UNUSED __attribute__((unused))
#define NORETURN __attribute__((noreturn))

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))
/* The structure of type `type` whose member `member` is at `pointer`. */
#define CONTAINER(pointer, type, member) ((type *)(void *)((char *)(pointer) - offsetof(type, member)))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
