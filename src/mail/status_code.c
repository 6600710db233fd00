#include "mail/status_code.h"
#include <stdio.h>

/* A number of one to three digits at the front, ended by `end` or by what ends the code. */
static bool part_take(struct span *in, uint16_t *ret)
{
    unsigned value = 0;
    size_t n = 0;
    while (n < in->n && n < 3 && ascii_digit(in->p[n]))
        value = value * 10 + (unsigned)(in->p[n++] - '0');
    if (n == 0)
        return false;
    *in = span_from(*in, n);
    *ret = (uint16_t)value;
    return true;
}

bool status_code_take(struct span *in, struct status_code *ret)
{
    struct span at = *in;
    struct status_code code = { 0 };
    if (at.n < 5 || (at.p[0] != '2' && at.p[0] != '4' && at.p[0] != '5') || at.p[1] != '.')
        return false;
    code.class = (uint16_t)(at.p[0] - '0');
    at = span_from(at, 2);
    if (!part_take(&at, &code.subject) || at.n == 0 || at.p[0] != '.')
        return false;
    at = span_from(at, 1);
    if (!part_take(&at, &code.detail))
        return false;
    if (at.n && at.p[0] != ' ' && at.p[0] != '\t' && at.p[0] != '\r' && at.p[0] != '\n')
        return false;
    *in = at.n && at.p[0] == ' ' ? span_from(at, 1) : at;
    *ret = code;
    return true;
}

char *status_code_text(struct status_code code, char ret[STATUS_CODE_TEXT_SIZE])
{
    snprintf(ret, STATUS_CODE_TEXT_SIZE, "%u.%u.%u", code.class ? code.class : 5u, code.subject, code.detail);
    return ret;
}

/* RFC 5321 section 4.2.3 beside RFC 3463. What a reply means depends on what was asked: where one number serves
 * many reasons (550, 450, 451) nothing is claimed. */
struct status_code status_code_from_reply(int reply)
{
    static const struct {
        int reply;
        uint16_t subject, detail;
    } rows[] = {
        { 421, 4, 2 }, { 452, 3, 1 }, { 454, 7, 0 }, { 500, 5, 2 }, { 501, 5, 4 }, { 502, 5, 1 }, { 503, 5, 1 },
        { 504, 5, 4 }, { 530, 7, 0 }, { 535, 7, 8 }, { 551, 1, 6 }, { 552, 2, 2 }, { 553, 1, 3 }, { 555, 5, 4 },
        { 556, 1, 10 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].reply == reply)
            return (struct status_code){ (uint16_t)(reply / 100), rows[i].subject, rows[i].detail };
    int class = reply / 100;
    return (struct status_code){ (uint16_t)(class == 2 || class == 4 ? class : 5), 0, 0 };
}

#define ANY 999 /* every detail of the subject without a row of its own: those come last */

/* X.Subject.Detail: what is wrong, and what a sender can do. */
static const struct meaning {
    uint16_t subject, detail;
    const char *meaning, *advice;
} meanings[] = {
    { 1, 1, "This address does not exist at the recipient's provider.",
      "Check the address for typing mistakes, or ask the recipient for the current one." },
    { 1, 2, "The domain of this address does not exist, or it has no mail server.",
      "Check what stands behind the @ for typing mistakes." },
    { 1, 3, "The recipient's server does not accept this as a valid address.",
      "Check the address for typing mistakes and for characters that do not belong there." },
    { 1, 6, "The recipient has moved and the old address does not accept messages any more.",
      "Ask the recipient for the current address." },
    { 1, 7, "The recipient's server does not accept the sender's address.",
      "Check the sender's address in your mail program, or ask your administrator." },
    { 1, 8, "The recipient's server cannot check the domain of the sender's address.",
      "Ask your administrator to look at the domain's entries in the DNS." },
    { 1, 10, "The domain of this address says that it receives no messages at all.",
      "Ask the recipient for another address." },
    { 1, ANY, "The recipient's server does not accept this address.",
      "Check the address, or ask the recipient for another one." },
    { 2, 1, "The recipient's mailbox is switched off.", "Try to reach the recipient in another way." },
    { 2, 2, "The recipient's mailbox is full.",
      "Try again in a few days, or tell the recipient in another way." },
    { 2, 3, "The message is larger than the recipient's mailbox takes.",
      "Send it with smaller attachments, or send a link to them." },
    { 2, 4, "The mailing list could not pass the message on to its members.", "Ask the owner of the list." },
    { 2, ANY, "The recipient's mailbox does not take the message now.",
      "Try again later, or reach the recipient in another way." },
    { 3, 1, "The recipient's server has no room for the message.", "Try again later." },
    { 3, 4, "The message is larger than the recipient's server takes.",
      "Send it with smaller attachments, or send a link to them." },
    { 3, ANY, "The recipient's server is not able to take the message.",
      "Try again later. If it happens again, tell the recipient in another way." },
    { 4, 1, "The recipient's server did not answer.",
      "Often such a server works again some time later: send the message again then." },
    { 4, 2, "The connection to the recipient's server was lost.", "Send the message again later." },
    { 4, 3, "The server could not find out where to send the message.",
      "Check what stands behind the @. If it is right, send the message again later." },
    { 4, 4, "No way to the recipient's server was found.",
      "Check what stands behind the @. If it is right, ask your administrator." },
    { 4, 6, "The message would go round in circles between servers.",
      "Tell the recipient in another way: the forwarding of that address has to be put right." },
    { 4, 7, "The message could not be delivered within the time it is kept.",
      "Check the address. If it is right, the recipient's server may work again later: send the message again then." },
    { 4, ANY, "The recipient's server could not be reached properly.", "Send the message again later." },
    { 5, 3, "The message has more recipients than the server takes at once.", "Send it to fewer recipients at a time." },
    { 5, ANY, "Our server and the recipient's did not understand each other.",
      "Ask your administrator, who needs the technical details below." },
    { 6, 5, "The message would have to be changed on its way, and must not be.",
      "Send it in another format, or ask your administrator." },
    { 6, 7, "The recipient's server cannot handle addresses with letters outside of plain ASCII.",
      "Use an address without such letters, if the recipient (and you) have one." },
    { 6, ANY, "The recipient's server cannot handle the format of the message.",
      "Send it as plain text or with other attachments." },
    { 7, 1, "The recipient's server refuses to take this message from you.",
      "Its own words may say why. Change the message, reach the recipient in another way, or ask your administrator." },
    { 7, 2, "Only certain people may send to this mailing list.", "Ask the owner of the list." },
    { 7, 4, "The connection would not have been as safe as it has to be.",
      "Ask your administrator, who needs the technical details below." },
    { 7, 8, "Our server could not log in to the next server.", "Tell your administrator." },
    { 7, 10, "The recipient's server demands an encrypted connection.", "Tell your administrator." },
    { 7, 20, "The message had no valid signature (DKIM), which the recipient's server demands.", "Tell your administrator." },
    { 7, 23, "The recipient's server found that our server may not send for your domain (SPF).", "Tell your administrator." },
    { 7, 25, "The recipient's server does not trust the name of our server (reverse DNS).", "Tell your administrator." },
    { 7, 26, "The recipient's server could not confirm that the message comes from your domain.", "Tell your administrator." },
    { 7, 27, "The domain of the sender's address receives no messages, so its mail is refused.",
      "Use another sender's address, or ask your administrator." },
    { 7, ANY, "The recipient's server refused the message by its rules.",
      "Its own words may say why. Change the message, reach the recipient in another way, or ask your administrator." },
    { ANY, ANY, "The recipient's server did not take the message.",
      "Its own words may say why. If they do not help, ask your administrator." },
};

static const struct meaning *meaning_find(struct status_code code)
{
    size_t i = 0;
    for (; i + 1 < ARRAY_LEN(meanings); i++)
        if (meanings[i].subject == code.subject && (meanings[i].detail == code.detail || meanings[i].detail == ANY))
            break;
    return &meanings[i];
}

const char *status_code_meaning(struct status_code code) { return meaning_find(code)->meaning; }
const char *status_code_advice(struct status_code code) { return meaning_find(code)->advice; }
