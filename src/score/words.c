#include "score/score.h"
#include <math.h>

static const char *const part_names[SCORE_PART_COUNT] = {
#define X(name, text, most) text,
    SCORE_PART_LIST(X)
#undef X
};

const char *score_part_name(enum score_part part) { return part < SCORE_PART_COUNT ? part_names[part] : "?"; }

const char *score_step_name(enum score_step step)
{
    static const char *const names[SCORE_STEP_COUNT] = { "calm", "watch", "pace", "hold", "suspend" };
    return step < SCORE_STEP_COUNT ? names[step] : "?";
}

/* %F: the figure, %P: its window, %U: the usual figure, %C: the country. Polish stands with a colon, which needs no
 * grammatical number. */
static const char *const phrases[SCORE_PART_COUNT][2] = {
    [SCORE_VOLUME] = { "wrote to %F recipients in %P, usually %U at this hour of the week",
                       "odbiorców w ciągu %P: %F, zwykle o tej porze tygodnia: %U" },
    [SCORE_STRANGERS] = { "wrote to %F addresses never written to before in %P, usually %U a day",
                          "adresów, na które nigdy wcześniej nie pisano, w ciągu %P: %F, zwykle na dobę: %U" },
    [SCORE_FAILURES] = { "%F recipients failed for good in %P, usually %U a day",
                         "adresatów niedoręczonych na stałe w ciągu %P: %F, zwykle na dobę: %U" },
    [SCORE_PER_MESSAGE] = { "%F recipients per message, usually %U", "odbiorców na wiadomość: %F, zwykle: %U" },
    [SCORE_NETWORKS] = { "mail came from %F networks never seen before in %P, usually %U a day",
                         "sieci, z których nigdy wcześniej nie pisano, w ciągu %P: %F, zwykle na dobę: %U" },
    [SCORE_COUNTRY] = { "mail came from a country never seen before: %C", "poczta z kraju, z którego nigdy wcześniej nie pisano: %C" },
    [SCORE_HOUR] = { "mail at %F:00 UTC, an hour at which this sender never writes",
                     "poczta o %F:00 UTC, o której to godzinie ten nadawca nigdy nie pisze" },
    [SCORE_AT_ONCE] = { "mail came from %F networks in %P, usually %U", "różnych sieci w ciągu %P: %F, zwykle: %U" },
    [SCORE_TEXT] = { "the same text went to %F addresses never written to before, usually to %U at most",
                     "ten sam tekst wysłano na adresy, na które nigdy wcześniej nie pisano: %F, zwykle najwyżej: %U" },
};

static void write_period(uint32_t s, struct buf *ret)
{
    if (s >= 86400)
        buf_printf(ret, "%u h", s / 3600);
    else
        buf_printf(ret, "%u min", s / 60);
}

/* Below ten of something small, a tenth says more. */
static void write_figure(double figure, bool polish, struct buf *ret)
{
    long tenths = lround(figure * 10);
    if (figure >= 10 || tenths % 10 == 0)
        buf_printf(ret, "%ld", lround(figure));
    else
        buf_printf(ret, "%ld%c%ld", tenths / 10, polish ? ',' : '.', tenths % 10);
}

static void write_reason(const struct score_reason *reason, const char *phrase, bool polish, struct buf *ret)
{
    for (; *phrase; phrase++) {
        if (*phrase != '%') {
            buf_add_char(ret, *phrase);
            continue;
        }
        switch (*++phrase) {
        case 'F': buf_printf(ret, "%ld", lround(reason->figure)); break;
        case 'U': write_figure(reason->usual, polish, ret); break;
        case 'P': write_period(reason->per_s, ret); break;
        default: buf_printf(ret, "%c%c", reason->country[0], reason->country[1]); break;
        }
    }
    buf_printf(ret, " (+%u)", reason->points);
}

void score_words(const struct score_verdict *verdict, enum score_language language, struct buf *ret)
{
    bool polish = language == SCORE_POLISH, first = true;
    for (unsigned points = UINT8_MAX; points > 0; points--)
        for (unsigned part = 0; part < SCORE_PART_COUNT; part++) {
            const struct score_reason *reason = &verdict->reasons[part];
            if (reason->points != points)
                continue;
            if (!first)
                buf_add_str(ret, "; ");
            write_reason(reason, phrases[part][polish], polish, ret);
            first = false;
        }
}
