#include "conf/tree_priv.h"
#include <libfyaml.h>

enum { NODES_MAX = 200000 };

struct builder {
    struct fy_parser *parser;
    struct conf_arena *arena;
    struct conf_faults *faults;
    size_t nodes;
};

static unsigned from_1(int from_0) { return from_0 < 0 ? 1u : (unsigned)from_0 + 1; }

static void fault_at(struct builder *b, struct fy_event *event, const char *what)
{
    const struct fy_mark *mark = fy_event_start_mark(event);
    conf_faults_add(b->faults, mark ? from_1(mark->line) : 0, mark ? from_1(mark->column) : 0, "%s", what);
}

static struct conf_node *node_new(struct builder *b, struct fy_event *event, enum conf_node_kind kind)
{
    if (++b->nodes > NODES_MAX) {
        fault_at(b, event, "too many values");
        return NULL;
    }
    struct conf_node *node = conf_arena_get(b->arena, 1, sizeof *node);
    if (!node) {
        fault_at(b, event, "out of memory");
        return NULL;
    }
    const struct fy_mark *mark = fy_event_start_mark(event);
    *node = (struct conf_node){ .kind = kind, .line = mark ? from_1(mark->line) : 1,
                                .column = mark ? from_1(mark->column) : 1 };
    return node;
}

static struct conf_node *take(struct builder *b, struct fy_event *event, unsigned depth);

/* Parses on; NULL at the first error, which the library's collector then knows. */
static struct conf_node *take_next(struct builder *b, enum fy_event_type end, unsigned depth, bool *ended)
{
    struct fy_event *event = fy_parser_parse(b->parser);
    if (!event)
        return NULL;
    struct conf_node *node = NULL;
    *ended = event->type == end;
    if (!*ended)
        node = take(b, event, depth);
    fy_parser_event_free(b->parser, event);
    return node;
}

static bool take_children(struct builder *b, struct conf_node *parent, enum fy_event_type end, unsigned depth)
{
    struct conf_node **last = &parent->first;
    for (bool ended = false;;) {
        struct conf_node *key = NULL;
        if (parent->kind == CONF_NODE_MAP) {
            key = take_next(b, end, depth, &ended);
            if (!key)
                return ended;
            if (key->kind != CONF_NODE_SCALAR) {
                conf_faults_add(b->faults, key->line, key->column, "a name is needed before the colon");
                return false;
            }
        }
        struct conf_node *child = take_next(b, end, depth, &ended);
        if (!child)
            return ended;
        child->key = key;
        if (key && child->kind == CONF_NODE_SCALAR && child->plain && child->text.n == 0) {
            child->line = key->line; /* nothing has no place of its own */
            child->column = key->column;
        }
        *last = child;
        last = &child->next;
        parent->n++;
    }
}

static struct conf_node *take_scalar(struct builder *b, struct fy_event *event)
{
    struct conf_node *node = node_new(b, event, CONF_NODE_SCALAR);
    if (!node)
        return NULL;
    size_t n = 0;
    const char *text = event->scalar.value ? fy_token_get_text(event->scalar.value, &n) : "";
    if (!conf_arena_copy(b->arena, span_of(text, text ? n : 0), &node->text)) {
        fault_at(b, event, "out of memory");
        return NULL;
    }
    enum fy_scalar_style style = event->scalar.value ? fy_token_scalar_style(event->scalar.value) : FYSS_PLAIN;
    node->plain = style == FYSS_PLAIN;
    if ((style == FYSS_SINGLE_QUOTED || style == FYSS_DOUBLE_QUOTED) && node->column > 1)
        node->column--; /* the mark stands behind the quote */
    return node;
}

static struct conf_node *take(struct builder *b, struct fy_event *event, unsigned depth)
{
    bool odd = (event->type == FYET_SCALAR && (event->scalar.anchor || event->scalar.tag)) ||
               (event->type == FYET_MAPPING_START && (event->mapping_start.anchor || event->mapping_start.tag)) ||
               (event->type == FYET_SEQUENCE_START && (event->sequence_start.anchor || event->sequence_start.tag));
    if (odd || event->type == FYET_ALIAS) {
        fault_at(b, event, "anchors (&), aliases (*) and tags (!) are not allowed; put text that begins so in quotes");
        return NULL;
    }
    if (event->type == FYET_SCALAR)
        return take_scalar(b, event);
    bool map = event->type == FYET_MAPPING_START;
    if (!map && event->type != FYET_SEQUENCE_START) {
        fault_at(b, event, "a value is needed here");
        return NULL;
    }
    if (depth >= CONF_DEPTH_MAX) {
        fault_at(b, event, "nested too deep");
        return NULL;
    }
    struct conf_node *node = node_new(b, event, map ? CONF_NODE_MAP : CONF_NODE_LIST);
    if (!node || !take_children(b, node, map ? FYET_MAPPING_END : FYET_SEQUENCE_END, depth + 1))
        return NULL;
    return node;
}

/* Stream start, at most one document, stream end. */
static struct conf_node *take_document(struct builder *b)
{
    struct conf_node *root = NULL;
    for (bool going = true; going;) {
        struct fy_event *event = fy_parser_parse(b->parser);
        if (!event)
            return NULL;
        going = false;
        if (event->type == FYET_STREAM_START || event->type == FYET_DOCUMENT_START ||
            event->type == FYET_DOCUMENT_END) {
            going = true;
        } else if (event->type == FYET_STREAM_END) {
            if (!root)
                root = node_new(b, event, CONF_NODE_MAP);
        } else if (root) {
            fault_at(b, event, "only one document is allowed in a settings file");
            root = NULL;
        } else {
            root = take(b, event, 0);
            going = root != NULL;
        }
        fy_parser_event_free(b->parser, event);
    }
    return root;
}

/* The library stops at the end of a C string and repairs odd octets; refuse what would be read differently. */
static bool text_is_clean(struct span text, struct conf_faults *faults)
{
    unsigned line = 1, column = 1;
    for (size_t i = 0; i < text.n; i++, column++) {
        unsigned char c = (unsigned char)text.p[i];
        if ((c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7f) {
            conf_faults_add(faults, line, column, "control character 0x%02x; a settings file is plain UTF-8 text", c);
            return false;
        }
        if (c == '\n') {
            line++;
            column = 0;
        }
    }
    if (span_is_utf8(text))
        return true;
    conf_faults_add(faults, 0, 0, "not UTF-8; save the file in UTF-8");
    return false;
}

static void ignore_output(struct fy_diag *diag UNUSED, void *user UNUSED, const char *text UNUSED, size_t n UNUSED) {}

/* Behind the last octet that is not white space: what is never closed is missed there, not in the empty lines below. */
static void find_end(struct span text, unsigned *line, unsigned *column)
{
    *line = *column = 1;
    for (unsigned l = 1, c = 1, i = 0; i < text.n; i++, c++) {
        if (text.p[i] == '\n') {
            l++;
            c = 0;
        } else if (text.p[i] != ' ' && text.p[i] != '\t' && text.p[i] != '\r') {
            *line = l;
            *column = c + 1;
        }
    }
}

static void report(struct fy_diag *diag, struct span text, struct conf_faults *faults)
{
    void *at = NULL;
    unsigned before = faults->count, last_line, last_column;
    find_end(text, &last_line, &last_column);
    for (struct fy_diag_error *error; (error = fy_diag_errors_iterate(diag, &at)) != NULL;) {
        unsigned line = from_1(error->line - 1), column = from_1(error->column - 1);
        bool behind = line > last_line;
        conf_faults_add(faults, behind ? last_line : line, behind ? last_column : column, "%s",
                        error->msg ? error->msg : "not YAML");
    }
    if (faults->count == before)
        conf_faults_add(faults, 0, 0, "not YAML, or out of memory");
}

struct conf_node *conf_tree_build(struct conf_arena *arena, struct span text, struct conf_faults *faults)
{
    if (text.n > CONF_TEXT_MAX) {
        conf_faults_add(faults, 0, 0, "longer than %u octets", CONF_TEXT_MAX);
        return NULL;
    }
    if (!text_is_clean(text, faults))
        return NULL;

    struct fy_diag_cfg diag_cfg;
    fy_diag_cfg_default(&diag_cfg);
    diag_cfg.fp = NULL;
    diag_cfg.output_fn = ignore_output;
    diag_cfg.colorize = false;
    struct fy_diag *diag = fy_diag_create(&diag_cfg);
    struct fy_parse_cfg cfg = { .flags = FYPCF_QUIET | FYPCF_JSON_NONE, .diag = diag };
    struct builder b = { NULL, arena, faults, 0 };
    struct conf_node *root = NULL;
    unsigned before = faults->count;
    if (diag) {
        fy_diag_set_collect_errors(diag, true);
        b.parser = fy_parser_create(&cfg);
    }
    if (b.parser && fy_parser_set_string(b.parser, text.n ? text.p : " ", text.n ? text.n : 1) == 0)
        root = take_document(&b);
    if (!root && faults->count == before) {
        if (diag)
            report(diag, text, faults);
        else
            conf_faults_add(faults, 0, 0, "out of memory");
    }
    fy_parser_destroy(b.parser);
    fy_diag_destroy(diag);
    return root;
}
