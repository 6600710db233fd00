/* conf/directive.h -- settings declared as table rows, from which everything else comes: the parser, its errors,
 * `goniec settings`, the manual page.
 *
 * A room has a struct for its settings, a table with a row for each member, and a section that joins the two:
 *
 *     #define AT(member) CONF_AT(struct smtpd_settings, member)
 *     static const struct conf_directive rows[] = {
 *         { "max-size", CONF_SIZE,    AT(max_octets), "25MiB", "1KiB", "1GiB",
 *           "Largest message taken, headers included. Announced as SIZE (RFC 1870)." },
 *         { "idle",     CONF_TIME_MS, AT(idle_ms),    "5min",  "1s",   "1h",
 *           "How long a silent client is kept (RFC 5321 section 4.5.3.2.7)." },
 *         { 0 }
 *     };
 *     const struct conf_section smtpd_settings_section = { rows, sizeof(struct smtpd_settings), NULL };
 *
 * What a member's type must be stands behind each kind below; the sizes are checked when the table is first used.
 */
#pragma once
#include "base/buf.h"
#include "conf/network.h"

enum conf_kind {
    CONF_TEXT = 1,   /* struct span; a NUL stands behind it, so `.p` serves as a C string; unset: SPAN_NONE */
    CONF_HOST,       /* struct span, the same: a domain name of letters, digits and hyphens, in lower case */
    CONF_PATH,       /* struct span, the same: an absolute path */
    CONF_BOOL,       /* bool */
    CONF_INTEGER,    /* int64_t */
    CONF_SIZE,       /* int64_t octets: 25MiB, 64KiB, 1GB */
    CONF_TIME_MS,    /* int64_t milliseconds: 5min, 1h30min, 4h, 5d, 250ms */
    CONF_RATE,       /* struct conf_rate: 300/1h, 20/min */
    CONF_ENUM,       /* int (or an enum type): index into `words` */
    CONF_ADDRESS,    /* struct conf_address: 192.0.2.1:25, [::1]:25; `least` "0" allows port 0 */
    CONF_NETWORKS,   /* struct conf_networks: list of 192.0.2.0/24, ::1 */
    CONF_ADDRESSES,  /* struct conf_addresses: list of address:port */
    CONF_TEXTS,      /* struct conf_texts: list of text */
    CONF_SECTION,    /* the struct of `section` itself, under its own key */
    CONF_INLINE,     /* the struct of `section` itself, its keys on this level; `name` is NULL */
    CONF_LIST,       /* struct conf_list: list of sections */
    CONF_KIND_COUNT
};

struct conf_rate {
    int64_t count;   /* this many */
    int64_t per_ms;  /* in this time; 0: no limit */
};

struct conf_texts {
    const struct span *items; /* each with a NUL behind it */
    size_t n;
};

struct conf_list {
    void *items; /* array of the section's struct */
    size_t n;
};

enum {
    CONF_REQUIRED = 1, /* has no default; leaving it out is an error */
    CONF_SECRET = 2    /* never printed */
};

/* Member -> its two columns. */
#define CONF_AT(type, member) offsetof(type, member), sizeof(((type *)0)->member)

struct conf_directive {
    const char *name;           /* as written in the file: lower case, hyphens */
    enum conf_kind kind;
    size_t where, size;         /* CONF_AT() */
    const char *preset;         /* default, as a person would write it (lists in YAML flow style); NULL: unset, 0, empty */
    const char *least, *most;   /* as written; numbers, sizes and times only (CONF_TEXT: octets); NULL: the kind's own */
    const char *help;           /* whole sentences, for the manual */
    /* What few rows need; name them: .words = tls_words. */
    const char *const *words;   /* CONF_ENUM: ended by NULL */
    const char *zero;           /* a word that stands for 0, such as "auto" or "unlimited" */
    const struct conf_section *section; /* CONF_SECTION, CONF_INLINE, CONF_LIST */
    /* Looks at the converted value (each item of CONF_TEXTS); false: `why` says what is allowed. Not called for unset. */
    bool (*check)(const void *value, struct buf *why);
    unsigned flags;
};

struct conf_section {
    const struct conf_directive *directives; /* ended by { 0 } */
    size_t size;                             /* of the struct */
    /* Looks at the whole, once all members are set and good; false: `why` says what does not fit together. */
    bool (*check)(const void *values, struct buf *why);
};
