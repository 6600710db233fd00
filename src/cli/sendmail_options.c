#include "cli/sendmail_options.h"
#include <stdio.h>
#include <strings.h>

struct reader {
    int argc, at;            /* the word that is being read */
    char **argv;
    const char *left;        /* of that word; NULL: it is used up */
    struct sendmail_options *ret;
    char *why;
};

typedef bool take(struct reader *reader, const char *value);

static bool refuse(struct reader *reader, const char *before, const char *what, const char *behind)
{
    snprintf(reader->why, SENDMAIL_WHY_SIZE, "%s%s%s", before, what, behind);
    return false;
}

static bool pass_over(struct reader *reader, const char *value) { return true; }
static bool take_config(struct reader *reader, const char *value) { reader->ret->config = value; return true; }
static bool take_sender(struct reader *reader, const char *value) { reader->ret->sender = value; return true; }
static bool take_name(struct reader *reader, const char *value) { reader->ret->name = value; return true; }
static bool take_envid(struct reader *reader, const char *value) { reader->ret->envid = value; return true; }
static bool take_dots(struct reader *reader, const char *value) { reader->ret->dot_is_text = true; return true; }
static bool take_recipients(struct reader *reader, const char *value) { reader->ret->take_recipients = true; return true; }
static bool take_verbose(struct reader *reader, const char *value) { reader->ret->verbose = true; return true; }
static bool take_aliases(struct reader *reader, const char *value) { reader->ret->mode = SENDMAIL_ALIASES; return true; }
static bool take_retry(struct reader *reader, const char *value) { reader->ret->mode = SENDMAIL_RETRY; return true; }

/* The server sees what the message holds. */
static bool take_body(struct reader *reader, const char *value)
{
    return strcasecmp(value, "8BITMIME") == 0 || strcasecmp(value, "7BIT") == 0 ||
           refuse(reader, "-B wants 7BIT or 8BITMIME, not ", value, "");
}

static bool take_return(struct reader *reader, const char *value)
{
    reader->ret->ret = strcasecmp(value, "full") == 0 ? "FULL" : strcasecmp(value, "hdrs") == 0 ? "HDRS" : NULL;
    return reader->ret->ret || refuse(reader, "-R wants full or hdrs, not ", value, "");
}

/* "never", or any of the others (RFC 3461 section 4.1). */
static bool take_notify(struct reader *reader, const char *value)
{
    struct sendmail_options *ret = reader->ret;
    struct span all = span_str(value), one;
    bool never = span_eq_case(all, SPAN("never"));
    bool good = all.n > 0 && all.n < sizeof ret->notify_text;
    for (struct span left = all; good && !never && span_cut(&left, ',', &one);)
        good = span_eq_case(one, SPAN("success")) || span_eq_case(one, SPAN("failure")) || span_eq_case(one, SPAN("delay"));
    if (!good)
        return refuse(reader, "-N wants never, or of success,failure,delay; not ", value, "");
    snprintf(ret->notify_text, sizeof ret->notify_text, "%s", value);
    ret->notify = ret->notify_text;
    return true;
}

static bool take_mode(struct reader *reader, const char *value)
{
    switch (value[0]) {
    case 'm': reader->ret->mode = SENDMAIL_SEND; return true;
    case 's': reader->ret->mode = SENDMAIL_SMTP; return true;
    case 'p': reader->ret->mode = SENDMAIL_QUEUE; return true;
    case 'i': case 'I': reader->ret->mode = SENDMAIL_ALIASES; return true;
    case 'd': case 'D': case 'l': return refuse(reader, "-b", value, ": the server is started by `goniec serve`");
    case 'v': case 't': return refuse(reader, "-b", value, ": addresses are not looked up here; send a message and `goniec trace` it");
    default: return refuse(reader, "-b", value, " is not known");
    }
}

/* Options of options: only that a dot ends nothing, and that there is talk, makes a difference. */
static bool take_set(struct reader *reader, const char *value)
{
    if (strcmp(value, "i") == 0 || strcasecmp(value, "IgnoreDots") == 0 || strcasecmp(value, "IgnoreDots=true") == 0)
        reader->ret->dot_is_text = true;
    else if (strcmp(value, "v") == 0)
        reader->ret->verbose = true;
    return true;
}

enum wants { NOTHING, VALUE, REST }; /* REST: what stands in the same word, which may be nothing */
static const struct option {
    char letter;
    enum wants wants;
    take *take;
} options[] = {
    { 'A', REST, pass_over },     { 'B', VALUE, take_body },    { 'C', VALUE, take_config },   { 'E', NOTHING, pass_over },
    { 'F', VALUE, take_name },    { 'G', NOTHING, pass_over },  { 'I', NOTHING, take_aliases }, { 'L', VALUE, pass_over },
    { 'N', VALUE, take_notify },  { 'O', VALUE, take_set },     { 'R', VALUE, take_return },   { 'U', NOTHING, pass_over },
    { 'V', VALUE, take_envid },   { 'X', VALUE, pass_over },    { 'b', VALUE, take_mode },     { 'e', REST, pass_over },
    { 'f', VALUE, take_sender },  { 'h', VALUE, pass_over },    { 'i', NOTHING, take_dots },   { 'm', NOTHING, pass_over },
    { 'n', NOTHING, pass_over },  { 'o', VALUE, take_set },     { 'p', VALUE, pass_over },     { 'q', REST, take_retry },
    { 'r', VALUE, take_sender },  { 't', NOTHING, take_recipients }, { 'v', NOTHING, take_verbose },
};

static const struct option *option_of(char letter)
{
    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        if (options[i].letter == letter)
            return &options[i];
    return NULL;
}

/* The value is what stands behind the letter, or else the next word. */
static const char *value_of(struct reader *reader)
{
    const char *value = *reader->left ? reader->left : reader->at + 1 < reader->argc ? reader->argv[++reader->at] : NULL;
    reader->left = NULL;
    return value;
}

static bool read_letter(struct reader *reader)
{
    const char shown[] = { reader->left[0], 0 };
    const struct option *option = option_of(*reader->left++);
    const char *value = "";
    if (!option)
        return refuse(reader, "the option -", shown, " is not known (`goniec sendmail --help` names those that are)");
    if (option->wants == VALUE && !(value = value_of(reader)))
        return refuse(reader, "the option -", shown, " wants a value");
    if (option->wants == REST)
        reader->left = NULL;
    return option->take(reader, value);
}

static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

enum sendmail_exit sendmail_options_read(int argc, char **argv, struct sendmail_options *ret, char why[SENDMAIL_WHY_SIZE])
{
    const char *name = argc > 0 ? name_of(argv[0]) : "";
    struct reader reader = { .argc = argc, .at = 1, .argv = argv, .ret = ret, .why = why };
    *ret = (struct sendmail_options){ .mode = strcmp(name, "mailq") == 0        ? SENDMAIL_QUEUE
                                              : strcmp(name, "newaliases") == 0 ? SENDMAIL_ALIASES
                                                                                : SENDMAIL_SEND };
    for (; reader.at < argc && argv[reader.at][0] == '-' && argv[reader.at][1]; reader.at++) {
        if (strcmp(argv[reader.at], "--help") == 0)
            ret->mode = SENDMAIL_HELP;
        else if (strcmp(argv[reader.at], "--") == 0) {
            reader.at++;
            break;
        } else
            for (reader.left = argv[reader.at] + 1; reader.left && *reader.left;)
                if (!read_letter(&reader))
                    return SENDMAIL_USAGE;
    }
    ret->recipients = argv + reader.at;
    return SENDMAIL_OK;
}
