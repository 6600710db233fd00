/* Jobs that nothing happens to, so that those behind silent servers do not keep what others could use. */
#include "delivery/job_priv.h"
#include <stdio.h>

void job_opens(struct job *job)
{
    job->opens_ms = loop_now_ms(job->delivery->loop);
    list_add_last(&job->delivery->opening, &job->in_opening);
    job->delivery->opening_count++;
}

void job_opened(struct job *job)
{
    if (!list_is_linked(&job->in_opening))
        return;
    list_remove(&job->in_opening);
    job->delivery->opening_count--;
}

static void give_up(struct job *job, int64_t waited_ms)
{
    char text[DNS_NAME_MAX + NET_ADDRESS_TEXT + 100], address[NET_ADDRESS_TEXT];
    if (job->tried)
        net_address_text(&job->trying, address);
    snprintf(text, sizeof text, "%s%s%s: no answer in %d s, and too many other servers let us wait", job->host,
             job->host[0] ? " " : "", job->tried ? address : "the mail servers", (int)(waited_ms / 1000));
    job_note(job, false, 0, STATUS_CODE(4, 4, 1), span_str(text));
    job_no_way(job);
}

void job_give_up_oldest(struct delivery *delivery, unsigned most)
{
    int64_t now_ms = loop_now_ms(delivery->loop);
    while (delivery->opening_count > most) {
        struct job *job = CONTAINER(list_first(&delivery->opening), struct job, in_opening);
        int64_t waited_ms = now_ms - job->opens_ms;
        if (waited_ms < JOB_PATIENCE_MS) {
            if (!loop_timer_runs(&delivery->patience_end))
                loop_timer_set(&delivery->patience_end, JOB_PATIENCE_MS - waited_ms);
            return;
        }
        give_up(job, waited_ms);
    }
}

void job_return_waiting(struct site *site, int64_t since_ms)
{
    struct delivery *delivery = site->delivery;
    for (struct list *first; (first = list_first(&site->waiting));) {
        struct job *job = CONTAINER(first, struct job, in_site);
        if (job->waits_ms > since_ms)
            return;
        job_give_back(delivery, job->lease);
        delivery->owed++;
        job_drop(job);
    }
}
