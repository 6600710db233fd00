/* What DNS says about where mail goes: answers of any form to the questions for MX and for addresses, with the parser that
 * reads them in between. The resolver itself is not linked: its questions end up here.
 *
 * Octets: which family; the domain; then for each question a status, and a packet (two octets of length). */
#include "delivery/hops.h"
#include "fuzz.h"
#include "net/dns_priv.h"

#define ASKED_MAX 4

struct dns_query {
    bool open;
    enum dns_type type;
    char name[DNS_NAME_MAX];
    dns_answered *answered;
    void *arg;
};

static struct dns_query asked[ASKED_MAX];
static struct hops found;
static unsigned done_mx, done_addresses;

struct dns_query *dns_ask(struct dns *dns, struct span name, enum dns_type type, dns_answered *answered, void *arg)
{
    require(name.n < DNS_NAME_MAX);
    for (unsigned i = 0; i < ASKED_MAX; i++)
        if (!asked[i].open) {
            asked[i] = (struct dns_query){ .open = true, .type = type, .answered = answered, .arg = arg };
            if (name.n)
                memcpy(asked[i].name, name.p, name.n);
            return &asked[i];
        }
    return NULL;
}

void dns_cancel(struct dns_query *query)
{
    if (query)
        query->open = false;
}

static void answer_one(struct dns_query *query, struct choices *choices)
{
    static struct dns_record records[DNS_RECORDS_MAX];
    static const enum status bad[] = { STATUS_NOT_FOUND, STATUS_TIMEOUT, STATUS_IO, STATUS_DAMAGED, STATUS_SYNTAX };
    char canonical[DNS_NAME_MAX];
    uint8_t mood = choose(choices);
    size_t n = MIN((size_t)choose_octets(choices, 2), choices->left.n);
    struct span packet = fuzz_exact(span_head(choices->left, n));
    choices->left = span_from(choices->left, n);
    struct dns_answer answer = { .status = bad[mood % ARRAY_LEN(bad)] };
    if (mood & 128 || dns_packet_read(packet, span_str(query->name), (uint16_t)query->type, records, canonical, &answer) != STATUS_OK)
        answer.status = bad[mood % ARRAY_LEN(bad)];
    if (!dns_name_is_good(span_str(query->name)))
        answer = (struct dns_answer){ .status = STATUS_SYNTAX };
    answer.security = mood >> 5 & 1 ? DNS_BOGUS : DNS_INSECURE;
    query->open = false;
    query->answered(query->arg, &answer);
    free((void *)(uintptr_t)packet.p);
}

static void answer_all(struct choices *choices)
{
    bool any;
    do {
        any = false;
        for (unsigned i = 0; i < ASKED_MAX; i++)
            if (asked[i].open) {
                any = true;
                answer_one(&asked[i], choices);
            }
    } while (any);
}

static void check_trouble(const struct hops_trouble *trouble, bool any)
{
    require(memchr(trouble->text, 0, sizeof trouble->text) != NULL);
    require((trouble->result == HOPS_OK) == any);
    if (!any)
        require(trouble->text[0] && trouble->enhanced.class == (trouble->result == HOPS_FAILED ? 5 : 4));
}

static void on_hops(void *arg, struct hops *hops)
{
    AUTO(buf_done) struct buf key = BUF_EMPTY(HOPS_MAX * DNS_NAME_MAX + 64);
    done_mx++;
    check_trouble(&hops->trouble, hops->count > 0);
    require(hops->count <= HOPS_MAX);
    for (unsigned i = 0; i < hops->count; i++) {
        require(memchr(hops->list[i].name, 0, DNS_NAME_MAX) != NULL && hops->list[i].name[0]);
        require(i == 0 || hops->list[i - 1].preference <= hops->list[i].preference);
    }
    if (hops->count)
        require(hops_key(hops, &key).n > 3 && key.n <= 2048);
    found = *hops;
}

static void on_addresses(void *arg, const struct hop_addresses *addresses)
{
    done_addresses++;
    require(addresses->count <= HOPS_ADDRESSES_MAX);
    check_trouble(&addresses->trouble, addresses->count > 0);
    for (unsigned i = 0; i < addresses->count; i++)
        require(net_address_port(&addresses->list[i]) == 25);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct choices choices = choices_of(data, size);
    uint8_t families = 1 + choose_below(&choices, 3);
    bool cancel = choose(&choices) == 7;
    struct span domain = choose_text(&choices, 255);
    memset(asked, 0, sizeof asked);
    found = (struct hops){ 0 };
    done_mx = done_addresses = 0;
    struct hops_query *query = hops_ask(NULL, domain, SPAN("me.example"), size, on_hops, NULL);
    require(query != NULL);
    if (cancel)
        hops_cancel(query);
    answer_all(&choices);
    require(done_mx == (cancel ? 0 : 1));
    if (found.count && hops_ask_addresses(NULL, span_str(found.list[0].name), 25, families & 1, families & 2, on_addresses, NULL)) {
        answer_all(&choices);
        require(done_addresses == 1);
    }
    hops_free(&found);
    return 0;
}
