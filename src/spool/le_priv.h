/* spool/le_priv.h -- little-endian numbers in the octets of a file. */
#pragma once
#include <endian.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t le16_get(const void *p) { uint16_t v; memcpy(&v, p, sizeof v); return le16toh(v); }
static inline uint32_t le32_get(const void *p) { uint32_t v; memcpy(&v, p, sizeof v); return le32toh(v); }
static inline uint64_t le64_get(const void *p) { uint64_t v; memcpy(&v, p, sizeof v); return le64toh(v); }
static inline void le16_set(void *p, uint16_t v) { v = htole16(v); memcpy(p, &v, sizeof v); }
static inline void le32_set(void *p, uint32_t v) { v = htole32(v); memcpy(p, &v, sizeof v); }
static inline void le64_set(void *p, uint64_t v) { v = htole64(v); memcpy(p, &v, sizeof v); }
