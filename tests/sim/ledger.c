#include "world.h"
#include <stdio.h>
#include <stdlib.h>

struct letter *ledger_letter_new(void)
{
    if (world->letter_count + 1 >= WORLD_MESSAGES || world->letter_count >= world->plan.messages)
        return NULL;
    struct letter *letter = calloc(1, sizeof *letter);
    letter->number = ++world->letter_count;
    world->letters[letter->number] = letter;
    return letter;
}

struct letter *ledger_letter(uint32_t number)
{
    return number && number <= world->letter_count ? world->letters[number] : NULL;
}

struct letter *ledger_letter_by_id(uint64_t id)
{
    for (uint32_t i = 1; id && i <= world->letter_count; i++)
        if (world->letters[i]->id == id)
            return world->letters[i];
    return NULL;
}

struct report *ledger_report(uint64_t id)
{
    for (size_t i = 0; i < world->report_count; i++)
        if (world->reports[i].id == id)
            return &world->reports[i];
    return NULL;
}

struct report *ledger_report_ref(uint64_t id)
{
    struct report *report = ledger_report(id);
    if (report)
        return report;
    if (world->report_count == WORLD_REPORTS)
        kernel_fail("more reports than anybody has use for");
    report = &world->reports[world->report_count++];
    *report = (struct report){ .id = id };
    return report;
}

struct rcpt *ledger_rcpt(struct span address, struct letter **ret_letter)
{
    unsigned number, i;
    char text[96];
    snprintf(text, sizeof text, "%.*s", SPAN_ARGS(span_head(address, MIN(address.n, sizeof text - 1))));
    const char *digits = text + strcspn(text, "0123456789@");
    if (sscanf(digits, "%u-%u@", &number, &i) != 2)
        return NULL;
    struct letter *letter = ledger_letter(number);
    if (!letter || i >= letter->rcpt_count || !span_eq_case(address, span_str(letter->rcpts[i].address)))
        return NULL;
    if (ret_letter)
        *ret_letter = letter;
    return &letter->rcpts[i];
}

void ledger_incident(enum incident_kind kind, uint64_t what)
{
    if (world->incident_count == WORLD_INCIDENTS)
        kernel_fail("more goes wrong than anybody can remember");
    world->incidents[world->incident_count++] = (struct incident){ kind, kernel_now_ms(), what };
}

void ledger_connection(int fd)
{
    world->recent[world->recent_at++ % ARRAY_LEN(world->recent)] = kernel_connection(fd);
}

void ledger_done(void)
{
    for (uint32_t i = 1; i <= world->letter_count; i++) {
        free(world->letters[i]->rcpts);
        free(world->letters[i]);
    }
    free(world->letters);
    free(world->reports);
    free(world->incidents);
}
