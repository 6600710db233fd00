#include "conf/print.h"
#include "base/log.h"
#include "conf/value_priv.h"

enum { WRAP_COLUMNS = 100 };

struct printer {
    struct buf *ret;
    unsigned indent;   /* columns */
    bool explain;      /* with comments */
    bool first;        /* the next key continues the line of a "- " */
};

/* Would YAML read this back as the same text without quotes? Rather too few than too many. */
static bool is_plain(struct span text)
{
    static const char good[] = "./_+-@:%";
    if (text.n == 0 || (!ascii_alnum(text.p[0]) && text.p[0] != '/') || text.p[text.n - 1] == ':' ||
        span_eq(text, SPAN("null")))
        return false;
    for (size_t i = 0; i < text.n; i++)
        if (!ascii_alnum(text.p[i]) && !memchr(good, text.p[i], sizeof good - 1))
            return false;
    return true;
}

static void add_value(struct buf *ret, const struct conf_directive *directive, const void *member)
{
    AUTO(buf_done) struct buf text = BUF_EMPTY(64u << 10);
    conf_value_write(directive, member, &text);
    if (is_plain(buf_span(&text)))
        buf_add(ret, buf_span(&text));
    else
        json_add_string(ret, buf_span(&text));
}

static void add_indent(struct printer *printer)
{
    for (unsigned i = 0; i < printer->indent; i++)
        buf_add_char(printer->ret, ' ');
}

static void comment(struct printer *printer, struct span text)
{
    while (text.n) {
        size_t most = WRAP_COLUMNS - printer->indent, cut = text.n;
        if (cut > most) {
            cut = span_rfind(span_head(text, most), ' ');
            cut = cut == most ? span_find(text, ' ') : cut;
        }
        add_indent(printer);
        buf_printf(printer->ret, "# %.*s\n", SPAN_ARGS(span_head(text, cut)));
        text = span_trim(span_from(text, cut));
    }
}

/* "default 25MiB; 1KiB to 1GiB" */
static void limits(const struct conf_directive *d, struct buf *ret)
{
    if (d->flags & CONF_REQUIRED)
        buf_add_str(ret, "must be set");
    else if (d->kind != CONF_LIST)
        buf_printf(ret, "default %s", !d->preset ? "unset" : *d->preset ? d->preset : "empty");
    bool numbers = d->kind == CONF_INTEGER || d->kind == CONF_SIZE || d->kind == CONF_TIME_MS || d->kind == CONF_RATE;
    if (numbers && d->least && d->most)
        buf_printf(ret, "; %s to %s", d->least, d->most);
    else if (numbers && (d->least || d->most))
        buf_printf(ret, "; %s %s", d->least ? "at least" : "at most", d->least ? d->least : d->most);
    if (d->zero && !(d->preset && strcmp(d->preset, d->zero) == 0))
        buf_printf(ret, ", or %s", d->zero);
    for (size_t i = 0; d->words && d->words[i]; i++)
        buf_printf(ret, "%s%s", i ? ", " : "; one of ", d->words[i]);
}

static void explain(struct printer *printer, const struct conf_directive *d)
{
    if (!printer->explain)
        return;
    comment(printer, span_str(d->help));
    AUTO(buf_done) struct buf text = BUF_EMPTY(4096);
    if (d->kind != CONF_SECTION)
        limits(d, &text);
    comment(printer, buf_span(&text));
}

static void print_section(struct printer *printer, const struct conf_section *section, const char *values);

static void print_list(struct printer *printer, const struct conf_directive *d, const struct conf_list *list)
{
    bool was = printer->explain;
    buf_add_str(printer->ret, list->n ? ":\n" : ": []\n");
    for (size_t i = 0; i < list->n; i++) {
        printer->explain = false;
        add_indent(printer);
        buf_add_str(printer->ret, "  - ");
        printer->first = true;
        printer->indent += 4;
        print_section(printer, d->section, (const char *)list->items + i * d->section->size);
        printer->indent -= 4;
        if (printer->first) /* all members unset */
            buf_add_str(printer->ret, "{}\n");
        printer->first = false;
    }
    printer->explain = was;
}

static void print_values(struct buf *ret, const struct conf_directive *d, const struct conf_texts *list)
{
    buf_add_str(ret, ": [");
    size_t size = conf_kind_item_size(d->kind);
    for (size_t i = 0; i < list->n; i++) {
        buf_add_str(ret, i ? ", " : "");
        AUTO(buf_done) struct buf text = BUF_EMPTY(64u << 10);
        conf_value_write(d, (const char *)list->items + i * size, &text);
        json_add_string(ret, buf_span(&text));
    }
    buf_add_str(ret, "]\n");
}

static bool is_hidden(const struct conf_directive *d, const char *member)
{
    bool scalar = !d->section && !conf_kind_is_list(d->kind);
    return d->flags & CONF_SECRET || (scalar && conf_value_is_unset(d, member));
}

static void print_row(struct printer *printer, const struct conf_directive *d, const char *member)
{
    if (!printer->explain && is_hidden(d, member))
        return;
    explain(printer, d);
    if (printer->first)
        printer->first = false;
    else
        add_indent(printer);
    if (is_hidden(d, member)) {
        buf_printf(printer->ret, "#%s:%s\n", d->name, d->flags & CONF_SECRET ? " (not shown)" : "");
        return;
    }
    buf_add_str(printer->ret, d->name);
    if (d->kind == CONF_SECTION) {
        buf_add_str(printer->ret, ":\n");
        printer->indent += 2;
        print_section(printer, d->section, member);
        printer->indent -= 2;
    } else if (d->kind == CONF_LIST) {
        print_list(printer, d, (const struct conf_list *)(const void *)member);
    } else if (conf_kind_is_list(d->kind)) {
        print_values(printer->ret, d, (const struct conf_texts *)(const void *)member);
    } else {
        buf_add_str(printer->ret, ": ");
        add_value(printer->ret, d, member);
        buf_add_char(printer->ret, '\n');
    }
}

static void print_section(struct printer *printer, const struct conf_section *section, const char *values)
{
    for (const struct conf_directive *d = section->directives; d->kind; d++) {
        if (d->kind == CONF_INLINE) {
            print_section(printer, d->section, values + d->where);
            continue;
        }
        if (printer->explain && printer->indent == 0 && printer->ret->n)
            buf_add_char(printer->ret, '\n');
        print_row(printer, d, values + d->where);
    }
}

void conf_print_text(const struct conf_section *root, const void *values, struct buf *ret)
{
    struct printer printer = { ret, 0, true, false };
    print_section(&printer, root, values);
}

/* The names from the root to here, for "smtpd.max-size". */
struct way {
    const struct way *up;
    const char *name;
};

static void add_way(struct buf *ret, const struct way *way)
{
    if (!way)
        return;
    add_way(ret, way->up);
    buf_printf(ret, "%s.", way->name);
}

static void add_json_text(struct buf *ret, const char *name, const char *text)
{
    buf_printf(ret, ", \"%s\": ", name);
    if (text)
        json_add_string(ret, span_str(text));
    else
        buf_add_str(ret, "null");
}

static void json_value(struct buf *ret, const struct conf_directive *d, const char *member);

static void json_members(struct buf *ret, const struct conf_section *section, const char *values, bool *any)
{
    for (const struct conf_directive *d = section->directives; d->kind; d++) {
        if (d->kind == CONF_INLINE) {
            json_members(ret, d->section, values + d->where, any);
            continue;
        }
        buf_printf(ret, "%s\"%s\": ", *any ? ", " : "", d->name);
        *any = true;
        json_value(ret, d, values + d->where);
    }
}

static void json_scalar(struct buf *ret, const struct conf_directive *d, const char *member)
{
    AUTO(buf_done) struct buf text = BUF_EMPTY(64u << 10);
    conf_value_write(d, member, &text);
    if (d->kind == CONF_BOOL)
        buf_add_str(ret, *(const bool *)member ? "true" : "false");
    else if (d->kind == CONF_INTEGER && (text.n && (ascii_digit(text.p[0]) || text.p[0] == '-')))
        buf_add(ret, buf_span(&text));
    else
        json_add_string(ret, buf_span(&text));
}

static void json_items(struct buf *ret, const struct conf_directive *d, const struct conf_texts *list)
{
    size_t size = d->kind == CONF_LIST ? d->section->size : conf_kind_item_size(d->kind);
    buf_add_char(ret, '[');
    for (size_t i = 0; i < list->n; i++) {
        const char *item = (const char *)list->items + i * size;
        bool any = false;
        buf_add_str(ret, i ? ", " : "");
        if (d->kind != CONF_LIST) {
            json_scalar(ret, d, item);
            continue;
        }
        buf_add_char(ret, '{');
        json_members(ret, d->section, item, &any);
        buf_add_char(ret, '}');
    }
    buf_add_char(ret, ']');
}

static void json_value(struct buf *ret, const struct conf_directive *d, const char *member)
{
    bool any = false;
    if (is_hidden(d, member)) {
        buf_add_str(ret, "null");
    } else if (d->kind == CONF_SECTION) {
        buf_add_char(ret, '{');
        json_members(ret, d->section, member, &any);
        buf_add_char(ret, '}');
    } else if (d->kind == CONF_LIST || conf_kind_is_list(d->kind)) {
        json_items(ret, d, (const struct conf_texts *)(const void *)member);
    } else {
        json_scalar(ret, d, member);
    }
}

static void json_section(struct buf *ret, const struct conf_section *section, const char *values, const struct way *way)
{
    for (const struct conf_directive *d = section->directives; d->kind; d++) {
        struct way here = { way, d->name };
        if (d->kind == CONF_INLINE || d->kind == CONF_SECTION) {
            json_section(ret, d->section, values + d->where, d->kind == CONF_INLINE ? way : &here);
            continue;
        }
        buf_add_str(ret, ret->n > 2 ? ",\n  {\"name\": \"" : "\n  {\"name\": \"");
        add_way(ret, way);
        buf_printf(ret, "%s\", \"value\": ", d->name);
        json_value(ret, d, values + d->where);
        add_json_text(ret, "default", d->preset);
        add_json_text(ret, "least", d->least);
        add_json_text(ret, "most", d->most);
        add_json_text(ret, "kind", conf_kind_name(d->kind));
        add_json_text(ret, "help", d->help);
        buf_add_char(ret, '}');
    }
}

void conf_print_json(const struct conf_section *root, const void *values, struct buf *ret)
{
    buf_add_char(ret, '[');
    json_section(ret, root, values, NULL);
    buf_add_str(ret, "\n]\n");
}

/* Text for roff: no accidental commands, hyphens that can be copied. */
static void roff(struct buf *ret, const char *text)
{
    for (const char *p = text; p && *p; p++) {
        if (*p == '\\')
            buf_add_str(ret, "\\e");
        else if (*p == '-')
            buf_add_str(ret, "\\-");
        else if ((*p == '.' || *p == '\'') && (p == text || p[-1] == '\n'))
            buf_printf(ret, "\\&%c", *p);
        else
            buf_add_char(ret, *p);
    }
}

static void man_section(struct buf *ret, const struct conf_section *section, const struct way *way);

/* Rows of this level first, then each section below under its own heading. */
static void man_rows(struct buf *ret, const struct conf_section *section)
{
    for (const struct conf_directive *d = section->directives; d->kind; d++) {
        if (d->kind == CONF_INLINE)
            man_rows(ret, d->section);
        if (d->kind == CONF_INLINE || d->section)
            continue;
        AUTO(buf_done) struct buf text = BUF_EMPTY(4096);
        limits(d, &text);
        buf_add_str(ret, ".TP\n.BR ");
        roff(ret, d->name);
        buf_printf(ret, " \" (%s; ", conf_kind_name(d->kind));
        for (const char *p = buf_cstr(&text); *p; p++) /* a quote inside a macro's argument is doubled */
            buf_add_str(ret, (char[]){ *p, *p == '"' ? '"' : 0, 0 });
        buf_add_str(ret, ")\"\n");
        roff(ret, d->help);
        buf_add_char(ret, '\n');
    }
}

static void man_below(struct buf *ret, const struct conf_section *section, const struct way *way)
{
    for (const struct conf_directive *d = section->directives; d->kind; d++) {
        struct way here = { way, d->name };
        if (d->kind == CONF_INLINE) {
            man_below(ret, d->section, way);
        } else if (d->section) {
            AUTO(buf_done) struct buf title = BUF_EMPTY(1024);
            add_way(&title, &here);
            title.n -= title.n ? 1 : 0; /* the last dot */
            buf_add_str(ret, ".SS ");
            roff(ret, buf_cstr(&title));
            buf_add_char(ret, '\n');
            roff(ret, d->help);
            buf_add_str(ret, d->kind == CONF_LIST ? "\nA list; each item has:\n" : "\n");
            man_section(ret, d->section, &here);
        }
    }
}

static void man_section(struct buf *ret, const struct conf_section *section, const struct way *way)
{
    man_rows(ret, section);
    man_below(ret, section, way);
}

void conf_print_man(const struct conf_section *root, struct buf *ret) { man_section(ret, root, NULL); }
