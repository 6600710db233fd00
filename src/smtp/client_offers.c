/* What the server offers in its answer to EHLO (RFC 5321 section 4.1.1.1). */
#include "smtp/client_priv.h"

static void take_size(struct smtp_client *client, struct span args)
{
    uint64_t limit;
    if (span_u64(span_trim(args), UINT64_MAX, &limit))
        client->size_limit = limit; /* 0: no fixed limit (RFC 1870 section 4) */
}

static void take_auth(struct smtp_client *client, struct span args)
{
    struct span word;
    while (span_cut(&args, ' ', &word)) {
        if (span_eq_case(word, SPAN("PLAIN")))
            client->extensions |= SMTP_EXT_AUTH_PLAIN;
        else if (span_eq_case(word, SPAN("LOGIN")))
            client->extensions |= SMTP_EXT_AUTH_LOGIN;
    }
}

/* RFC 9422 section 4: a limit that cannot be read is no limit. */
static void take_limits(struct smtp_client *client, struct span args)
{
    struct span word, name;
    while (span_cut(&args, ' ', &word)) {
        uint64_t value;
        if (!span_cut(&word, '=', &name) || !span_u64(word, UINT32_MAX, &value) || value == 0)
            continue;
        if (span_eq_case(name, SPAN("MAILMAX")))
            client->mail_max = (uint32_t)value;
        else if (span_eq_case(name, SPAN("RCPTMAX")))
            client->rcpt_max = (uint32_t)value;
    }
}

static const struct {
    const char *keyword;
    unsigned extension;
    void (*take)(struct smtp_client *client, struct span args);
} offers[] = {
    { "PIPELINING", SMTP_EXT_PIPELINING, NULL },
    { "SIZE", SMTP_EXT_SIZE, take_size },
    { "8BITMIME", SMTP_EXT_8BITMIME, NULL },
    { "SMTPUTF8", SMTP_EXT_SMTPUTF8, NULL },
    { "STARTTLS", SMTP_EXT_STARTTLS, NULL },
    { "DSN", SMTP_EXT_DSN, NULL },
    { "CHUNKING", SMTP_EXT_CHUNKING, NULL },
    { "ENHANCEDSTATUSCODES", SMTP_EXT_ENHANCED, NULL },
    { "AUTH", SMTP_EXT_AUTH, take_auth },
    { "LIMITS", SMTP_EXT_LIMITS, take_limits },
};

void client_offer_take(struct smtp_client *client, struct span line)
{
    struct span keyword;
    if (!span_cut(&line, ' ', &keyword))
        return;
    for (size_t i = 0; i < ARRAY_LEN(offers); i++) {
        if (!span_eq_case(keyword, span_str(offers[i].keyword)))
            continue;
        client->extensions |= offers[i].extension;
        if (offers[i].take)
            offers[i].take(client, line);
        return;
    }
    if (span_starts_case(keyword, SPAN("AUTH="))) { /* an old form that some servers still use alone */
        client->extensions |= SMTP_EXT_AUTH;
        take_auth(client, span_from(keyword, 5));
        take_auth(client, line);
    }
}
