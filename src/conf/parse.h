/* conf/parse.h -- the text of a settings file (YAML, so JSON too) becomes structs; errors name their place.
 *
 * Pure: text in, structs out; conf_read() is the only one that touches a file. All mistakes are collected (up to
 * CONF_FAULTS_MAX), each as `file:line:column: what is wrong; what is allowed`. Anchors, aliases, tags, several
 * documents, duplicate keys and depth over CONF_DEPTH_MAX are refused, so a small text stays small.
 *
 * A process that owns a part of the settings parses the same text with its own root section and CONF_PARTIAL:
 *
 *     struct smtpd_root { struct conf_common common; struct smtpd_settings smtpd; };
 *     rows: { NULL, CONF_INLINE, AT(common), .section = &conf_common_section },
 *           { "smtpd", CONF_SECTION, AT(smtpd), .help = "...", .section = &smtpd_settings_section },
 */
#pragma once
#include "conf/directive.h"

#define CONF_TEXT_MAX (1u << 20) /* octets of a settings file */
#define CONF_DEPTH_MAX 16
#define CONF_FAULTS_MAX 50

enum {
    CONF_PARTIAL = 1 /* top-level keys without a row are other processes' and are skipped */
};

struct conf;

/* What is wrong, one line each: "goniec.conf:3:7: ...\n". */
struct conf_faults {
    struct buf text;
    unsigned count;      /* also those that were too many to keep */
    const char *file;    /* name to say; borrowed */
};

void conf_faults_init(struct conf_faults *faults, const char *file);
void conf_faults_done(struct conf_faults *faults);
/* `line` 0: the file as a whole. */
void conf_faults_add(struct conf_faults *faults, unsigned line, unsigned column, const char *format, ...)
    PRINTF_LIKE(4, 5);

/* The settings, or NULL when `faults` grew. The object owns all strings and lists; it keeps nothing of `text`. */
struct conf *conf_parse(const struct conf_section *root, struct span text, unsigned flags, struct conf_faults *faults);
void conf_free(struct conf *conf);

/* The struct of the root section; lives as long as `conf`. */
const void *conf_values(const struct conf *conf);

/* Adds a fault found later (a port in use, a key that cannot be read) at the place where `member` was set; `member`
 * points into the values. When it was not set in the file, the fault names the file alone. */
void conf_fault_at(const struct conf *conf, const void *member, struct conf_faults *faults, const char *format, ...)
    PRINTF_LIKE(4, 5);
/* Was `member` written in the file, or is it the default? */
bool conf_is_set(const struct conf *conf, const void *member);

/* The whole file into `ret` (a buffer with a ceiling); a fault says why not. */
MUST_CHECK bool conf_read(const char *path, struct buf *ret, struct conf_faults *faults);
