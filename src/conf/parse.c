#include "conf/parse.h"
#include "conf/tree_priv.h"
#include "base/log.h"
#include "conf/value_priv.h"
#include <assert.h>
#include <stdlib.h>

enum { SECTION_ROWS_MAX = 96, SHOWN_MAX = 60 };

/* Where a member was set, for faults found later. */
struct mark {
    const void *member;
    unsigned line, column;
};

struct conf {
    struct conf_arena arena;
    void *values;
    struct mark *marks;
    size_t mark_count, mark_room;
};

/* The way from the root to a value, kept on the stack while it is read: "listen[1].tls". */
struct place {
    const struct place *up;
    const char *name; /* NULL: the item `index` of what stands above */
    size_t index;
};

struct reader {
    struct conf *conf;
    struct conf_faults *faults;
    bool partial;
};

/* A row found by its key, and the struct its member lies in (another one for inline rows). */
struct found {
    const struct conf_directive *directive;
    char *values;
};

/* What was set in one section; rows that were not are checked for being required. */
struct seen {
    const struct conf_directive *rows[SECTION_ROWS_MAX];
    size_t n;
};

static bool has_seen(const struct seen *seen, const struct conf_directive *directive)
{
    for (size_t i = 0; i < seen->n; i++)
        if (seen->rows[i] == directive)
            return true;
    return false;
}

static void place_write(const struct place *place, struct buf *ret)
{
    if (!place)
        return;
    place_write(place->up, ret);
    if (place->name)
        buf_printf(ret, "%s%s", ret->n ? "." : "", place->name);
    else
        buf_printf(ret, "[%zu]", place->index);
}

/* "smtpd.idle: `what`"; `near` gives the line. */
static void fault(struct reader *r, const struct conf_node *near, const struct place *place, const char *what)
{
    AUTO(buf_done) struct buf path = BUF_EMPTY(1024);
    place_write(place, &path);
    conf_faults_add(r->faults, near ? near->line : 0, near ? near->column : 0, "%s%s%s", buf_cstr(&path),
                    path.n ? ": " : "", what);
}

static bool memory_fault(struct reader *r)
{
    conf_faults_add(r->faults, 0, 0, "out of memory");
    return false;
}

static bool mark_add(struct reader *r, const void *member, const struct conf_node *node)
{
    struct conf *conf = r->conf;
    if (conf->mark_count == conf->mark_room) {
        size_t room = conf->mark_room ? conf->mark_room * 2 : 64;
        struct mark *marks = reallocarray(conf->marks, room, sizeof *marks);
        if (!marks)
            return memory_fault(r);
        conf->marks = marks;
        conf->mark_room = room;
    }
    conf->marks[conf->mark_count++] = (struct mark){ member, node->line, node->column };
    return true;
}

/* The table against the struct: a mistake here is ours. */
static void assert_row(const struct conf_directive *directive)
{
    assert(directive->kind > 0 && directive->kind < CONF_KIND_COUNT);
    assert((directive->name == NULL) == (directive->kind == CONF_INLINE));
    assert(directive->size == conf_kind_size(directive) && "the member's type is not the one of its kind");
    (void)directive;
}

static bool find_row(const struct conf_section *section, char *values, struct span key, struct found *ret)
{
    for (const struct conf_directive *d = section->directives; d->kind; d++) {
        if (d->kind == CONF_INLINE) {
            if (find_row(d->section, values + d->where, key, ret))
                return true;
        } else if (span_eq(span_str(d->name), key)) {
            *ret = (struct found){ d, values };
            return true;
        }
    }
    return false;
}

struct names {
    const char *items[SECTION_ROWS_MAX];
    size_t n;
};

static const char *names_at(const void *names, size_t i) { return ((const struct names *)names)->items[i]; }

static void names_collect(const struct conf_section *section, struct names *names)
{
    for (const struct conf_directive *d = section->directives; d->kind; d++) {
        if (d->kind == CONF_INLINE)
            names_collect(d->section, names);
        else if (names->n < SECTION_ROWS_MAX)
            names->items[names->n++] = d->name;
    }
}

/* The key stands in a section below this one? Then it was only written at the wrong level. */
static const char *section_with(const struct conf_section *section, struct span key)
{
    struct found ignored;
    for (const struct conf_directive *d = section->directives; d->kind; d++) {
        if (d->kind == CONF_INLINE) {
            const char *name = section_with(d->section, key);
            if (name)
                return name;
        } else if (d->section && find_row(d->section, NULL, key, &ignored)) {
            return d->name;
        }
    }
    return NULL;
}

static void unknown_key(struct reader *r, const struct conf_section *section, const struct conf_node *key,
                        const struct place *place)
{
    AUTO(buf_done) struct buf what = BUF_EMPTY(2048);
    buf_add_str(&what, "unknown setting ");
    json_add_string(&what, span_head(key->text, SHOWN_MAX));
    struct names names = { .n = 0 };
    names_collect(section, &names);
    const char *near = conf_nearest(key->text, names_at, &names, names.n);
    const char *below = section_with(section, key->text);
    if (near || below) {
        buf_printf(&what, "; did you mean %s%s", near ? near : "it inside ", near ? "" : below);
    } else {
        buf_add_str(&what, "; allowed here are ");
        for (size_t i = 0; i < names.n; i++)
            buf_printf(&what, "%s%s", i ? ", " : "", names.items[i]);
    }
    if (near || below)
        buf_add_char(&what, '?');
    fault(r, key, place, buf_cstr(&what));
}

static bool is_null(const struct conf_node *node)
{
    return node->kind == CONF_NODE_SCALAR && node->plain &&
           (node->text.n == 0 || span_eq(node->text, SPAN("null")) || span_eq(node->text, SPAN("~")));
}

static void read_scalar(struct reader *r, const struct conf_directive *directive, void *member,
                        const struct conf_node *node, const struct place *place)
{
    AUTO(buf_done) struct buf why = BUF_EMPTY(2048);
    AUTO(buf_done) struct buf what = BUF_EMPTY(4096);
    if (node->kind != CONF_NODE_SCALAR) {
        buf_printf(&what, "one value is needed here (%s)", conf_kind_name(directive->kind));
    } else if (node->plain && node->text.n == 0) {
        buf_printf(&what, "a value is missing (%s)", conf_kind_name(directive->kind));
    } else if (!conf_value_parse(&r->conf->arena, directive, node->text, member, &why)) {
        if (directive->flags & CONF_SECRET)
            buf_add_str(&what, "the value");
        else
            json_add_string(&what, span_head(node->text, SHOWN_MAX));
        buf_printf(&what, ": %s", buf_cstr(&why));
    } else if (mark_add(r, member, node)) {
        return;
    }
    if (what.n)
        fault(r, node, place, buf_cstr(&what));
}

/* A list of scalars; one scalar alone is a list of one. */
static void read_values(struct reader *r, const struct conf_directive *directive, void *member,
                        const struct conf_node *node, const struct place *place)
{
    if (node->kind == CONF_NODE_MAP || (node->kind == CONF_NODE_SCALAR && node->plain && node->text.n == 0)) {
        fault(r, node, place, "a list is needed here, like [ a, b ]; write [] for none");
        return;
    }
    size_t count = node->kind == CONF_NODE_LIST ? node->n : 1, size = conf_kind_item_size(directive->kind), i = 0;
    char *items = conf_arena_get(&r->conf->arena, count, size);
    if (!items) {
        memory_fault(r);
        return;
    }
    const struct conf_node *item = node->kind == CONF_NODE_LIST ? node->first : node;
    for (; item; item = node->kind == CONF_NODE_LIST ? item->next : NULL, i++) {
        struct place at = { place, NULL, i };
        read_scalar(r, directive, items + i * size, item, &at);
    }
    *(struct conf_texts *)member = (struct conf_texts){ (void *)items, count }; /* all lists look alike */
    mark_add(r, member, node);
}

static void read_section(struct reader *r, const struct conf_section *section, char *values,
                         const struct conf_node *node, const struct place *place);

static void read_list(struct reader *r, const struct conf_directive *directive, void *member,
                      const struct conf_node *node, const struct place *place)
{
    if (node->kind != CONF_NODE_LIST) {
        fault(r, node, place, "a list of sections is needed here, each beginning with \"- \"; write [] for none");
        return;
    }
    size_t size = directive->section->size, i = 0;
    char *items = conf_arena_get(&r->conf->arena, node->n, size);
    if (!items) {
        memory_fault(r);
        return;
    }
    for (const struct conf_node *item = node->first; item; item = item->next, i++) {
        struct place at = { place, NULL, i };
        read_section(r, directive->section, items + i * size, item, &at);
        mark_add(r, items + i * size, item);
    }
    *(struct conf_list *)member = (struct conf_list){ items, node->n };
    mark_add(r, member, node);
}

static void read_row(struct reader *r, const struct conf_directive *directive, char *member,
                     const struct conf_node *node, const struct place *place)
{
    if (directive->kind == CONF_SECTION)
        read_section(r, directive->section, member, node, place);
    else if (directive->kind == CONF_LIST)
        read_list(r, directive, member, node, place);
    else if (conf_kind_is_list(directive->kind))
        read_values(r, directive, member, node, place);
    else
        read_scalar(r, directive, member, node, place);
}

/* Not even a default can be read without memory. */
static bool is_starved(const struct conf_faults *faults)
{
    struct span said = buf_span(&faults->text);
    return faults->text.failed || span_find_span(said, SPAN("out of memory")) < said.n;
}

/* The default in its written form goes the same way as a value from the file. */
static void preset_row(struct reader *r, const struct conf_directive *directive, char *member)
{
    struct conf_node scalar = { .kind = CONF_NODE_SCALAR, .text = span_str(directive->preset) };
    struct conf_node *node = &scalar;
    if (directive->kind == CONF_LIST || conf_kind_is_list(directive->kind))
        node = conf_tree_build(&r->conf->arena, scalar.text, r->faults);
    unsigned before = r->faults->count;
    size_t marks = r->conf->mark_count;
    if (node)
        read_row(r, directive, member, node, NULL);
    assert((r->faults->count == before || is_starved(r->faults)) && "a directive's default is written wrong");
    (void)before;
    r->conf->mark_count = marks; /* not set by the file */
}

static void preset_section(struct reader *r, const struct conf_section *section, char *values)
{
    for (const struct conf_directive *d = section->directives; d->kind; d++) {
        assert_row(d);
        if (d->kind == CONF_SECTION || d->kind == CONF_INLINE)
            preset_section(r, d->section, values + d->where);
        else if (d->preset)
            preset_row(r, d, values + d->where);
    }
}

/* What was left out, and whether all fits together; for sections that were left out as a whole, too. */
static void finish_section(struct reader *r, const struct conf_section *section, char *values,
                           const struct conf_node *node, const struct seen *seen, const struct place *place)
{
    unsigned before = r->faults->count;
    for (const struct conf_directive *d = section->directives; d->kind; d++) {
        if (d->kind == CONF_INLINE) {
            finish_section(r, d->section, values + d->where, node, seen, place);
        } else if (d->kind == CONF_SECTION && !has_seen(seen, d)) {
            struct place at = { place, d->name, 0 };
            struct seen none = { .n = 0 };
            finish_section(r, d->section, values + d->where, node, &none, &at);
        } else if (d->flags & CONF_REQUIRED && !has_seen(seen, d)) {
            struct place at = { place, d->name, 0 };
            fault(r, node, &at, "must be set");
        }
    }
    AUTO(buf_done) struct buf why = BUF_EMPTY(2048);
    if (r->faults->count == before && section->check && !section->check(values, &why))
        fault(r, node, place, buf_cstr(&why));
}

static void read_key(struct reader *r, const struct conf_section *section, char *values,
                     const struct conf_node *node, struct seen *seen, const struct place *place)
{
    struct found found;
    if (!find_row(section, values, node->key->text, &found)) {
        if (!(r->partial && !place))
            unknown_key(r, section, node->key, place);
        return;
    }
    struct place at = { place, found.directive->name, 0 };
    if (has_seen(seen, found.directive)) {
        fault(r, node->key, &at, "is set a second time");
        return;
    }
    assert(seen->n < SECTION_ROWS_MAX);
    seen->rows[seen->n++] = found.directive;
    bool null_section = found.directive->kind == CONF_SECTION && is_null(node);
    if (null_section || (is_null(node) && node->text.n)) /* left out: the default stands */
        seen->n--;
    else
        read_row(r, found.directive, found.values + found.directive->where, node, &at);
}

static void read_section(struct reader *r, const struct conf_section *section, char *values,
                         const struct conf_node *node, const struct place *place)
{
    unsigned before = r->faults->count;
    if (place && !place->name) /* an item of a list; the root's defaults cover all others */
        preset_section(r, section, values);
    struct seen seen = { .n = 0 };
    if (node->kind != CONF_NODE_MAP) {
        fault(r, node, place, "settings are needed here, each as \"name: value\"");
        return;
    }
    for (const struct conf_node *child = node->first; child; child = child->next)
        read_key(r, section, values, child, &seen, place);
    if (r->faults->count == before)
        finish_section(r, section, values, node, &seen, place);
}

static void read_all(struct reader *r, const struct conf_section *root, struct span text)
{
    struct conf_arena tree = { NULL };
    struct conf_node *node = conf_tree_build(&tree, text, r->faults);
    if (node && is_null(node))
        node->kind = CONF_NODE_MAP;
    r->conf->values = conf_arena_get(&r->conf->arena, 1, root->size);
    if (!r->conf->values)
        memory_fault(r);
    if (node && r->conf->values) {
        preset_section(r, root, r->conf->values);
        read_section(r, root, r->conf->values, node, NULL);
    }
    conf_arena_done(&tree);
}

struct conf *conf_parse(const struct conf_section *root, struct span text, unsigned flags, struct conf_faults *faults)
{
    struct conf *conf = calloc(1, sizeof *conf);
    unsigned before = faults->count;
    struct reader reader = { conf, faults, (flags & CONF_PARTIAL) != 0 };
    if (!conf) {
        memory_fault(&reader);
        return NULL;
    }
    read_all(&reader, root, text);
    if (faults->count == before)
        return conf;
    conf_free(conf);
    return NULL;
}

void conf_free(struct conf *conf)
{
    if (!conf)
        return;
    conf_arena_done(&conf->arena);
    free(conf->marks);
    free(conf);
}

const void *conf_values(const struct conf *conf) { return conf->values; }

static const struct mark *find_mark(const struct conf *conf, const void *member)
{
    for (size_t i = 0; i < conf->mark_count; i++)
        if (conf->marks[i].member == member)
            return &conf->marks[i];
    return NULL;
}

bool conf_is_set(const struct conf *conf, const void *member) { return find_mark(conf, member) != NULL; }

void conf_fault_at(const struct conf *conf, const void *member, struct conf_faults *faults, const char *format, ...)
{
    AUTO(buf_done) struct buf what = BUF_EMPTY(4096);
    const struct mark *mark = find_mark(conf, member);
    va_list args;
    va_start(args, format);
    buf_vprintf(&what, format, args);
    va_end(args);
    conf_faults_add(faults, mark ? mark->line : 0, mark ? mark->column : 0, "%s", buf_cstr(&what));
}
