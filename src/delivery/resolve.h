/* delivery/resolve.h -- answers the queue's question: which site serves this domain? */
#pragma once
#include "delivery/delivery.h"

struct question;

/* LEASE_RESOLVED follows, perhaps at once. */
void resolve_ask(struct delivery *delivery, const struct lease_resolve *resolve);
void question_drop(struct question *question); /* unanswered */
void resolve_drop_all(struct delivery *delivery);
