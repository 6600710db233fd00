/* smtp/client_priv.h -- what the files of the client machine share. */
#pragma once
#include "smtp/client.h"

typedef void client_handler(struct smtp_client *client);

void client_enter(struct smtp_client *client, enum smtp_client_state state); /* the only place that changes it */
void client_arm(struct smtp_client *client);                                 /* a new deadline for this state */
/* Ends the session for a reason of ours (`text`). */
void client_break(struct smtp_client *client, enum smtp_client_trouble trouble, const char *text);
/* Ends it because of the reply just read. */
void client_refuse(struct smtp_client *client, enum smtp_client_trouble trouble);

/* Session: client_session.c */
client_handler client_on_greeting, client_on_ehlo, client_on_ehlo_refused, client_on_helo, client_on_starttls,
    client_on_starttls_refused, client_on_auth, client_on_auth_more, client_on_auth_refused, client_on_refused,
    client_on_turned_away;
/* Offers: client_offers.c; one line of the reply to EHLO. */
void client_offer_take(struct smtp_client *client, struct span line);

/* Message: client_message.c */
client_handler client_on_rset, client_on_mail, client_on_mail_refused, client_on_rcpt, client_on_rcpt_refused,
    client_on_data, client_on_data_refused, client_on_end, client_on_discarded;
/* Every recipient without a result is deferred, since the session is over. `code` 0: no reply, `text` is ours. */
void client_message_abandon(struct smtp_client *client, bool is_elsewhere);
