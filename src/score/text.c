#include "score/text.h"

static uint64_t mix(uint64_t x)
{
    x ^= x >> 32;
    x *= UINT64_C(0xd6e8feb86659fd93);
    x ^= x >> 32;
    x *= UINT64_C(0xd6e8feb86659fd93);
    return x ^ x >> 32;
}

static void end_word(struct score_text *text)
{
    if (text->words++) {
        uint64_t pair = mix(text->before * 3 + text->word);
        for (unsigned i = 0; i < 64; i++)
            text->bits[i] += (int32_t)(pair >> i & 1) * 2 - 1;
    }
    text->before = text->word;
    text->word = 0;
}

void score_text_feed(struct score_text *text, struct span octets)
{
    for (size_t i = 0; i < octets.n && text->words < SCORE_TEXT_WORDS; i++) {
        char c = ascii_lower(octets.p[i]);
        if (ascii_alpha(c) || (unsigned char)c >= 0x80)
            text->word = ((text->word ? text->word : UINT64_C(0xcbf29ce484222325)) ^ (unsigned char)c) * UINT64_C(0x100000001b3) | 1;
        else if (text->word)
            end_word(text);
    }
}

uint64_t score_text_take(struct score_text *text)
{
    if (text->word && text->words < SCORE_TEXT_WORDS)
        end_word(text);
    uint64_t print = 0;
    for (unsigned i = 0; i < 64; i++)
        print |= (uint64_t)(text->bits[i] > 0) << i;
    if (text->words < SCORE_TEXT_LEAST)
        print = 0;
    else if (print == 0)
        print = 1;
    *text = SCORE_TEXT_EMPTY;
    return print;
}

bool score_text_is_near(uint64_t a, uint64_t b)
{
    return a && b && (unsigned)__builtin_popcountll(a ^ b) <= SCORE_TEXT_NEAR;
}
