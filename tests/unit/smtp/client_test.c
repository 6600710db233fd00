/* The client machine by scripts. Each line is a step:
 *
 *   S text      the server says it (CRLF added)         C text     the client said it (one line)
 *   N           the client said nothing more            M          the next message is sent
 *   B dotted    the body is asked for, and sent         b raw      it is asked for, and not yet sent
 *   e           it is sent now                          T ok|bad   TLS came up, or did not
 *   X           the server closes the connection        D          the deadline passes
 *   Q           the client is asked to say goodbye      R words    the next result
 *   W word      what the machine wants                  F words    why the session failed
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "smtp/client.h"

static const struct smtp_client_settings plain = {
    .hostname = SPAN("me.example"),
    .times = { 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1008, 1009, 1010 },
};

struct row {
    const char *name;
    struct smtp_client_settings change; /* what differs from `plain` */
    bool has_tls, is_8bit, needs_utf8;
    size_t recipients;                  /* 0: two */
    uint64_t octets;                    /* 0: 100 */
    const char *script;
};

#define HELLO(offers) "S 220 hi\nC EHLO me.example\n" offers "W message\n"
#define PLAIN HELLO("S 250 there\n")
#define PIPE HELLO("S 250-there\nS 250 PIPELINING\n")
#define CHUNK HELLO("S 250-there\nS 250-PIPELINING\nS 250 CHUNKING\n")
#define GROUP "M\nC MAIL FROM:<a@a.org>\nC RCPT TO:<r0@b.org>\nC RCPT TO:<r1@b.org>\n"
#define CHUNKED_ONE CHUNK "M\nC MAIL FROM:<a@a.org>\nC RCPT TO:<r0@b.org>\nC BDAT 100 LAST\nB raw\n"
#define IN_DOUBT(what) "R 0 deferred 0 4.4.2 " what " while waiting for the replies to a whole message; it may arrive twice\nW close\n"
#define DONE "R none\n"
/* Who answered 503 to the last transaction hears RSET in front of the next one. */
#define CHUNKED_TWO CHUNKED_ONE "S 250 ok\nS 550 who\nR 0 failed 550 5.0.0 who\nS 503 no\nW message\n" \
    "M\nC RSET\nC MAIL FROM:<a@a.org>\nC RCPT TO:<r0@b.org>\nC BDAT 100 LAST\nB raw\n"

static const struct row rows[] = {
    { "the long way", .script = PLAIN "M\nC MAIL FROM:<a@a.org>\nN\nS 250 ok\nC RCPT TO:<r0@b.org>\nN\nS 250 ok\n"
      "C RCPT TO:<r1@b.org>\nS 251 ok\nC DATA\nN\nS 354 go\nB dotted\nR none\nS 250 2.6.0 queued as 7\n"
      "R 0 delivered 250 2.6.0 queued as 7\nR 1 delivered 250 2.6.0 queued as 7\nW message\nQ\nC QUIT\nS 221 bye\nW close\nF 0\n" },
    { "one group", .script = PIPE GROUP "C DATA\nN\nS 250 ok\nS 250 ok\nS 250 ok\nS 354 go\nB dotted\nS 250 ok\n"
      "R 0 delivered 250 2.0.0 ok\nR 1 delivered 250 2.0.0 ok\nW message\n" GROUP "C DATA\n" },
    { "one recipient refused", .script = PIPE GROUP "C DATA\nS 250 ok\nS 550 5.1.1 who\nS 250 ok\nS 354 go\nB dotted\n"
      "R 0 failed 550 5.1.1 who\nS 250 ok\nR 1 delivered 250 2.0.0 ok\nW message\n" },
    { "all refused, then 354", .script = PIPE GROUP "C DATA\nS 250 ok\nS 550 who\nS 450 later\nR 0 failed 550 5.0.0 who\n"
      "R 1 deferred 450 4.0.0 later\nS 354 go\nC .\nW reply\nS 554 no recipients\n" DONE "W message\n"
      "M\nC RSET\nC MAIL FROM:<a@a.org>\n" },
    { "all refused, then 503", .script = PIPE GROUP "C DATA\nS 250 ok\nS 550 who\nS 550 who\nR 0 failed 550 5.0.0 who\n"
      "R 1 failed 550 5.0.0 who\nS 503 no\nN\nW message\nM\nC RSET\nC MAIL FROM:<a@a.org>\nC RCPT TO:<r0@b.org>\n"
      "C RCPT TO:<r1@b.org>\nC DATA\nS 250 reset\nS 250 ok\nS 250 ok\nS 250 ok\nS 354 go\nB dotted\nS 250 ok\n"
      "R 0 delivered 250 2.0.0 ok\nR 1 delivered 250 2.0.0 ok\n" },
    { "all refused, one by one", .script = PLAIN "M\nC MAIL FROM:<a@a.org>\nS 250 ok\nC RCPT TO:<r0@b.org>\nS 550 no\n"
      "C RCPT TO:<r1@b.org>\nS 550 no\nR 0 failed 550 5.0.0 no\nR 1 failed 550 5.0.0 no\nN\nW message\nM\nC RSET\nN\n"
      "S 250 ok\nC MAIL FROM:<a@a.org>\n" },
    { "RSET refused", .script = PLAIN "M\nC MAIL FROM:<a@a.org>\nS 250 ok\nC RCPT TO:<r0@b.org>\nS 550 no\n"
      "C RCPT TO:<r1@b.org>\nS 550 no\nR 0 failed 550 5.0.0 no\nR 1 failed 550 5.0.0 no\nM\nC RSET\nS 500 what\n"
      "R 0 deferred 500 4.5.2 what elsewhere\nR 1 deferred 500 4.5.2 what elsewhere\nW close\n" },
    { "sender refused", .script = PIPE GROUP "C DATA\nS 553 5.7.1 not you\nR 0 failed 553 5.7.1 not you\n"
      "R 1 failed 553 5.7.1 not you\nS 503 a\nS 503 b\nS 503 c\n" DONE "W message\n" },
    { "sender refused, then 354", .script = PIPE GROUP "C DATA\nS 451 later\nR 0 deferred 451 4.0.0 later\n"
      "R 1 deferred 451 4.0.0 later\nS 503 a\nS 503 b\nS 354 c\nC .\nS 503 d\n" DONE "W message\n" },
    { "sender refused, recipients and 354", .script = PIPE GROUP "C DATA\nS 451 later\nR 0 deferred 451 4.0.0 later\n"
      "R 1 deferred 451 4.0.0 later\nS 250 a\nS 503 b\nS 354 c\nN\n" DONE "W close\nF 4\n" },
    { "sender refused, one by one", .script = PLAIN "M\nC MAIL FROM:<a@a.org>\nS 550 no\nR 0 failed 550 5.0.0 no\n"
      "R 1 failed 550 5.0.0 no\nN\nW message\nM\nC MAIL FROM:<a@a.org>\n" },
    { "DATA refused", .script = PIPE GROUP "C DATA\nS 250 ok\nS 550 who\nS 250 ok\nR 0 failed 550 5.0.0 who\nS 451 disk\n"
      "R 1 deferred 451 4.0.0 disk\nW message\nM\nC RSET\n" },
    { "DATA answered by 250", .script = PIPE GROUP "C DATA\nS 250 ok\nS 250 ok\nS 250 ok\nS 250 queued\n"
      "R 0 deferred 0 4.5.0 the server sent a reply that makes no sense while sending DATA: queued elsewhere\n"
      "R 1 deferred 0 4.5.0 the server sent a reply that makes no sense while sending DATA: queued elsewhere\nW close\nF 4\n" },
    { "content refused", .script = PIPE GROUP "C DATA\nS 250 ok\nS 250 ok\nS 250 ok\nS 354 go\nB dotted\nS 554 5.7.1 spam\n"
      "R 0 failed 554 5.7.1 spam\nR 1 failed 554 5.7.1 spam\nW message\nM\nC MAIL FROM:<a@a.org>\n" },
    { "content deferred", .script = PIPE GROUP "C DATA\nS 250 ok\nS 250 ok\nS 250 ok\nS 354 go\nB dotted\nS 451 4.7.1 grey\n"
      "R 0 deferred 451 4.7.1 grey\nR 1 deferred 451 4.7.1 grey\nW message\n" },
    { "a word in the middle of the body", .script = PIPE GROUP "C DATA\nS 250 ok\nS 250 ok\nS 250 ok\nS 354 go\nb dotted\n"
      "S 552 too much\nR 0 failed 552 5.2.2 too much\nR 1 failed 552 5.2.2 too much\nW close\n" },
    { "yes in the middle of the body", .script = PIPE GROUP "C DATA\nS 250 ok\nS 250 ok\nS 250 ok\nS 354 go\nb dotted\n"
      "S 250 thanks\nR 0 deferred 0 4.5.0 the server said yes before the message was sent elsewhere\n"
      "R 1 deferred 0 4.5.0 the server said yes before the message was sent elsewhere\nW close\n" },
    { "421 to MAIL", .script = PIPE GROUP "C DATA\nS 421 4.3.2 closing\nR 0 deferred 421 4.3.2 closing elsewhere\n"
      "R 1 deferred 421 4.3.2 closing elsewhere\nW close\nF 1 421\n" },
    { "421 to the second RCPT", .script = PIPE GROUP "C DATA\nS 250 ok\nS 550 who\nS 421 enough\nR 0 failed 550 5.0.0 who\n"
      "R 1 deferred 421 4.4.2 enough elsewhere\nW close\n" },
    { "421 at the end", .script = PIPE GROUP "C DATA\nS 250 ok\nS 250 ok\nS 250 ok\nS 354 go\nB dotted\nS 421 bye\n"
      "R 0 deferred 421 4.4.2 bye elsewhere\nR 1 deferred 421 4.4.2 bye elsewhere\nW close\n" },
    { "too many recipients", .script = PIPE GROUP "C DATA\nS 250 ok\nS 250 ok\nS 452 enough\nR 1 deferred 452 4.5.3 enough full\n"
      "S 354 go\nB dotted\nS 250 ok\nR 0 delivered 250 2.0.0 ok\n" },
    { "552 as 452", .script = PIPE GROUP "C DATA\nS 250 ok\nS 250 ok\nS 552 enough\nR 1 deferred 552 4.5.3 enough full\n" },
    { "552 is a full mailbox", .script = PIPE GROUP "C DATA\nS 250 ok\nS 250 ok\nS 552 5.2.2 full box\nR 1 failed 552 5.2.2 full box\n" },
    { "closed at MAIL", .script = PIPE GROUP "C DATA\nX\n"
      "R 0 deferred 0 4.4.2 the server closed the connection while sending MAIL FROM elsewhere\n"
      "R 1 deferred 0 4.4.2 the server closed the connection while sending MAIL FROM elsewhere\nW close\nF 2\n" },
    { "closed in the body", .recipients = 1, .script = PIPE "M\nC MAIL FROM:<a@a.org>\nC RCPT TO:<r0@b.org>\nC DATA\nS 250 ok\nS 250 ok\nS 354 go\nb dotted\nX\n"
      "R 0 deferred 0 4.4.2 the server closed the connection while sending the message itself elsewhere\nW close\n" },
    { "closed after the end", .recipients = 1, .script = PIPE "M\nC MAIL FROM:<a@a.org>\nC RCPT TO:<r0@b.org>\nC DATA\nS 250 ok\nS 250 ok\nS 354 go\nB dotted\nX\n"
      "R 0 deferred 0 4.4.2 the server closed the connection while sending end of data; the message may arrive twice\nW close\n" },
    { "no word after the end", .recipients = 1, .script = PIPE "M\nC MAIL FROM:<a@a.org>\nC RCPT TO:<r0@b.org>\nC DATA\nS 250 ok\nS 250 ok\nS 354 go\nB dotted\nD\n"
      "R 0 deferred 0 4.4.2 no answer in time while sending end of data; the message may arrive twice\nW close\nF 3\n" },
    { "garbage after the end", .recipients = 1, .script = PIPE "M\nC MAIL FROM:<a@a.org>\nC RCPT TO:<r0@b.org>\nC DATA\nS 250 ok\nS 250 ok\nS 354 go\nB dotted\nS yes\n"
      "R 0 deferred 0 4.5.0 the server sent something that is no SMTP reply while sending end of data; the message may arrive twice: yes\nW close\nF 4\n" },
    { "354 after the end", .recipients = 1, .script = PIPE "M\nC MAIL FROM:<a@a.org>\nC RCPT TO:<r0@b.org>\nC DATA\nS 250 ok\nS 250 ok\nS 354 go\nB dotted\nS 354 more\n"
      "R 0 deferred 0 4.5.0 the server sent a reply that makes no sense while sending end of data; the message may arrive twice: more\nW close\n" },
    { "greeted with 5xx", .script = "S 554 5.7.1 go away\nN\nW close\nF 1 554\n" },
    { "greeted with 4xx", .script = "S 421 busy\nN\nW close\nF 1 421\n" },
    { "greeted with another 4xx", .script = "S 450 busy\nN\nW close\nF 1 450\n" },
    { "greeted with 354", .script = "S 354 go\nW close\nF 4\n" },
    { "greeted by a web server", .script = "S HTTP/1.1 400 Bad Request\nN\nW close\nF 4\n" },
    { "never greeted", .script = "N\nD\nW close\nF 3\n" },
    { "closed before the greeting", .script = "X\nW close\nF 2\n" },
    { "EHLO deferred", .script = "S 220 hi\nC EHLO me.example\nS 450 later\nW close\nF 1 450\n" },
    { "EHLO refused, HELO taken", .script = "S 220 hi\nC EHLO me.example\nS 502 what\nC HELO me.example\nS 250 old me\nW message\nM\nC MAIL FROM:<a@a.org>\nN\n" },
    { "EHLO and HELO refused", .script = "S 220 hi\nC EHLO me.example\nS 550 no\nC HELO me.example\nS 550 5.7.1 no\nW close\nF 1 550 permanent\n" },
    { "TLS", { .tls = SMTP_TLS_MAY }, .script = "S 220 hi\nC EHLO me.example\nS 250-x\nS 250-SIZE 5\nS 250 STARTTLS\nC STARTTLS\nW reply\n"
      "S 220 go\nW tls\nT ok\nC EHLO me.example\nS 250 x\nW message\nM\nC MAIL FROM:<a@a.org>\n" },
    { "TLS fails", { .tls = SMTP_TLS_MAY }, .script = "S 220 hi\nC EHLO me.example\nS 250-x\nS 250 STARTTLS\nC STARTTLS\nS 220 go\nT bad\nW close\nF 5\n" },
    { "closed during the handshake", { .tls = SMTP_TLS_MAY }, .script = "S 220 hi\nC EHLO me.example\nS 250-x\nS 250 STARTTLS\nC STARTTLS\nS 220 go\nX\nW close\nF 5\n" },
    { "injected before TLS", { .tls = SMTP_TLS_MAY }, .script = "S 220 hi\nC EHLO me.example\nS 250-x\nS 250 STARTTLS\nC STARTTLS\nS 220 go\nS 250 evil\nN\nW close\nF 5\n" },
    { "STARTTLS refused, may", { .tls = SMTP_TLS_MAY }, .script = "S 220 hi\nC EHLO me.example\nS 250-x\nS 250 STARTTLS\nC STARTTLS\nS 454 no\nW message\n" },
    { "STARTTLS refused, must", { .tls = SMTP_TLS_MUST }, .script = "S 220 hi\nC EHLO me.example\nS 250-x\nS 250 STARTTLS\nC STARTTLS\nS 454 no\nW close\nF 6 454\n" },
    { "no STARTTLS, must", { .tls = SMTP_TLS_MUST }, .script = "S 220 hi\nC EHLO me.example\nS 250 x\nW close\nF 6\n" },
    { "HELO, must", { .tls = SMTP_TLS_MUST }, .script = "S 220 hi\nC EHLO me.example\nS 502 x\nC HELO me.example\nS 250 x\nW close\nF 6\n" },
    { "STARTTLS not wanted", { .tls = SMTP_TLS_NEVER }, .script = HELLO("S 250-x\nS 250 STARTTLS\n") },
    { "AUTH PLAIN", { .username = SPAN("tim"), .password = SPAN("tanstaaftanstaaf") }, .has_tls = true,
      .script = "S 220 hi\nC EHLO me.example\nS 250-x\nS 250 AUTH LOGIN PLAIN\nC AUTH PLAIN AHRpbQB0YW5zdGFhZnRhbnN0YWFm\nS 235 ok\nW message\n" },
    { "AUTH PLAIN asked again", { .username = SPAN("tim"), .password = SPAN("tanstaaftanstaaf") }, .has_tls = true,
      .script = "S 220 hi\nC EHLO me.example\nS 250-x\nS 250 AUTH=PLAIN\nC AUTH PLAIN AHRpbQB0YW5zdGFhZnRhbnN0YWFm\n"
      "S 334\nC AHRpbQB0YW5zdGFhZnRhbnN0YWFm\nS 334 more\nW close\nF 7\n" },
    { "AUTH LOGIN", { .username = SPAN("tim"), .password = SPAN("secret") }, .has_tls = true,
      .script = "S 220 hi\nC EHLO me.example\nS 250-x\nS 250 AUTH LOGIN NTLM\nC AUTH LOGIN\nS 334 VXNlcm5hbWU6\nC dGlt\nS 334 UGFzc3dvcmQ6\nC c2VjcmV0\nS 235 ok\nW message\n" },
    { "login refused", { .username = SPAN("tim"), .password = SPAN("secret") }, .has_tls = true,
      .script = "S 220 hi\nC EHLO me.example\nS 250-x\nS 250 AUTH LOGIN\nC AUTH LOGIN\nS 535 5.7.8 no\nW close\nF 7 535\n" },
    { "no login in clear", { .username = SPAN("tim"), .password = SPAN("secret") },
      .script = "S 220 hi\nC EHLO me.example\nS 250-x\nS 250 AUTH PLAIN\nN\nW close\nF 7\n" },
    { "login in clear where it is allowed", { .username = SPAN("tim"), .password = SPAN("secret"), .auth_in_clear = true },
      .script = "S 220 hi\nC EHLO me.example\nS 250-x\nS 250 AUTH PLAIN\nC AUTH PLAIN AHRpbQBzZWNyZXQ=\n" },
    { "no way to log in", { .username = SPAN("tim"), .password = SPAN("secret") }, .has_tls = true,
      .script = "S 220 hi\nC EHLO me.example\nS 250-x\nS 250 AUTH GSSAPI\nN\nW close\nF 7\n" },
    { "everything offered", .is_8bit = true, .needs_utf8 = true, .recipients = 1,
      .script = HELLO("S 250-x\nS 250-SIZE 1000\nS 250-8BITMIME\nS 250-SMTPUTF8\nS 250 DSN\n")
      "M\nC MAIL FROM:<a@a.org> SIZE=100 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=e1\nS 250 ok\n"
      "C RCPT TO:<r0@b.org> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;r@x.org\n" },
    { "SMTPUTF8 missing", .needs_utf8 = true, .recipients = 1, .script = PLAIN "M\nN\n"
      "R 0 failed 0 5.6.7 the message needs SMTPUTF8, which the recipient's server does not offer\nW message\n" },
    { "8BITMIME missing, sent all the same", .is_8bit = true, .recipients = 1, .script = PLAIN "M\nC MAIL FROM:<a@a.org>\n" },
    { "8BITMIME missing, by the letter", { .strict_8bit = true }, .is_8bit = true, .recipients = 1, .script = PLAIN "M\nN\n"
      "R 0 failed 0 5.6.3 the message has 8-bit text, which the recipient's server does not take\nW message\n" },
    { "larger than SIZE", .recipients = 1, .octets = 1001, .script = HELLO("S 250-x\nS 250 SIZE 1000\n") "M\nN\n"
      "R 0 failed 0 5.3.4 the message is larger than the recipient's server takes\nW message\n" },
    { "SIZE 0 is no limit", .recipients = 1, .script = HELLO("S 250-x\nS 250 SIZE 0\n") "M\nC MAIL FROM:<a@a.org> SIZE=100\n" },
    { "RCPTMAX", .script = HELLO("S 250-x\nS 250-PIPELINING\nS 250 LIMITS MAILMAX=3 RCPTMAX=1\n")
      "M\nR 1 deferred 0 4.5.3 more recipients than the server takes at once full\nC MAIL FROM:<a@a.org>\nC RCPT TO:<r0@b.org>\nC DATA\nN\n"
      "S 250 ok\nS 250 ok\nS 354 ok\nB dotted\nS 250 ok\nR 0 delivered 250 2.0.0 ok\nW message\n" },
    { "chunk", .script = CHUNK GROUP "C BDAT 100 LAST\nB raw\nN\nS 250 ok\nS 250 ok\nS 550 who\nR 1 failed 550 5.0.0 who\nS 250 ok\n"
      "R 0 delivered 250 2.0.0 ok\nW message\n" },
    { "chunk, nobody wants it", .script = CHUNK GROUP "C BDAT 100 LAST\nB raw\nS 250 ok\nS 550 a\nS 550 b\nR 0 failed 550 5.0.0 a\n"
      "R 1 failed 550 5.0.0 b\nW reply\nS 503 no\nW message\nM\nC RSET\n" },
    { "chunk, nobody wants it, in the middle", .script = CHUNK GROUP "C BDAT 100 LAST\nb raw\nS 250 ok\nS 550 a\nS 550 b\nR 0 failed 550 5.0.0 a\n"
      "R 1 failed 550 5.0.0 b\nS 503 no\nW close\n" },
    { "chunk, sender refused", .script = CHUNK GROUP "C BDAT 100 LAST\nB raw\nS 550 no\nR 0 failed 550 5.0.0 no\nR 1 failed 550 5.0.0 no\n"
      "S 503 a\nS 503 b\nS 503 c\n" DONE "W message\n" },
    { "chunk behind RSET, closed", .recipients = 1, .script = CHUNKED_TWO "X\n" IN_DOUBT("the server closed the connection") },
    { "chunk behind RSET, garbage", .recipients = 1, .script = CHUNKED_TWO "S what\nR 0 deferred 0 4.5.0 the server sent "
      "something that is no SMTP reply while waiting for the replies to a whole message; it may arrive twice: what\nW close\n" },
    { "chunk behind RSET, refused", .recipients = 1, .script = CHUNKED_TWO "S 500 what\nR 0 deferred 0 4.5.0 the server sent "
      "a refusal while waiting for the replies to a whole message; it may arrive twice: what\nW close\n" },
    { "chunk, closed behind it", .recipients = 1, .script = CHUNKED_ONE "X\n" IN_DOUBT("the server closed the connection") "F 2\n" },
    { "chunk, no word about its recipient", .recipients = 1, .script = CHUNKED_ONE "S 250 ok\nD\n"
      IN_DOUBT("no answer in time") "F 3\n" },
    { "a large chunk waits", .octets = 100000, .script = CHUNK GROUP "N\nS 250 ok\nS 550 who\nS 250 ok\nC BDAT 100000 LAST\n"
      "R 0 failed 550 5.0.0 who\nB raw\nS 250 ok\nR 1 delivered 250 2.0.0 ok\nW message\n" },
    { "a large chunk is not sent for nobody", .octets = 100000, .script = CHUNK GROUP "S 250 ok\nS 550 a\nS 550 b\nN\nR 0 failed 550 5.0.0 a\n"
      "R 1 failed 550 5.0.0 b\nW message\n" },
    { "chunks not wanted", { .no_chunking = true }, .script = CHUNK GROUP "C DATA\n" },
    { "groups not wanted", { .no_pipelining = true }, .script = PIPE "M\nC MAIL FROM:<a@a.org>\nN\n" },
    { "LMTP", { .lmtp = true }, .recipients = 3, .script = "S 220 hi\nC LHLO me.example\nS 250-x\nS 250-PIPELINING\nS 250 CHUNKING\n"
      GROUP "C RCPT TO:<r2@b.org>\nC DATA\nS 250 ok\nS 250 ok\nS 550 who\nS 250 ok\nS 354 go\nB dotted\nR 1 failed 550 5.0.0 who\n"
      "S 250 2.1.5 one\nR 0 delivered 250 2.1.5 one\nW reply\nS 452 4.2.2 full\nR 2 deferred 452 4.2.2 full\nW message\n" },
    { "LMTP breaks off between its words", { .lmtp = true }, .script = "S 220 hi\nC LHLO me.example\nS 250-x\nS 250 PIPELINING\n"
      GROUP "C DATA\nS 250 ok\nS 250 ok\nS 250 ok\nS 354 go\nB dotted\nS 250 one\nX\nR 0 delivered 250 2.0.0 one\n"
      "R 1 deferred 0 4.4.2 the server closed the connection while sending end of data; the message may arrive twice\nW close\n" },
    { "LHLO refused", { .lmtp = true }, .script = "S 220 hi\nC LHLO me.example\nS 500 what\nN\nW close\nF 1 500 permanent\n" },
    { "a kept session is ended by the server", .script = PLAIN "S 421 idle\nN\nW close\nF 2 421\n" },
    { "a kept session breaks", .script = PLAIN "X\nW close\nF 2\n" },
    { "QUIT without an answer", .script = PLAIN "Q\nC QUIT\nD\nW close\nF 0\n" },
};

struct played {
    struct smtp_client client;
    struct smtp_client_message message;
    struct smtp_client_recipient recipients[3];
    struct buf results; /* one line each */
    int64_t now_ms;
    size_t step;
};

static void on_result(void *arg, size_t i, const struct smtp_client_result *result)
{
    static const char *const words[] = { "pending", "delivered", "deferred", "failed" };
    struct played *played = arg;
    char code[STATUS_CODE_TEXT_SIZE];
    buf_printf(&played->results, "%zu %s %d %s %.*s%s%s\n", i, words[result->result], result->code,
               status_code_text(result->enhanced, code), SPAN_ARGS(result->text), result->is_elsewhere ? " elsewhere" : "",
               result->is_full ? " full" : "");
}

static void take_line(struct buf *from, struct span want)
{
    struct span all = buf_span(from), line = SPAN("none");
    size_t end = span_find(all, '\n');
    if (all.n) {
        line = span_head(all, end);
        if (line.n && line.p[line.n - 1] == '\r')
            line.n--;
    }
    if (!span_eq(line, want))
        fail_msg("wanted \"%.*s\", got \"%.*s\"", SPAN_ARGS(want), SPAN_ARGS(line));
    if (all.n)
        buf_drop(from, end + 1);
}

static void say(struct played *played, struct span line)
{
    char text[1000];
    int n = snprintf(text, sizeof text, "%.*s\r\n", SPAN_ARGS(line));
    struct span left = span_of(text, (size_t)n);
    while (left.n) {
        struct span piece = span_head(left, played->step);
        smtp_client_feed(&played->client, piece, played->now_ms);
        left = span_from(left, piece.n);
    }
}

static void send_message(struct played *played, const struct row *row)
{
    static const char *const names[] = { "r0@b.org", "r1@b.org", "r2@b.org" };
    played->message = (struct smtp_client_message){
        .sender = SPAN("a@a.org"), .octets = row->octets ? row->octets : 100, .is_8bit = row->is_8bit,
        .needs_utf8 = row->needs_utf8, .ret = SMTP_RET_HEADERS, .envid = SPAN("e1"),
        .recipients = played->recipients, .recipient_count = row->recipients ? row->recipients : 2,
    };
    for (size_t i = 0; i < 3; i++)
        played->recipients[i] = (struct smtp_client_recipient){ .address = span_str(names[i]),
            .notify = SMTP_NOTIFY_SUCCESS | SMTP_NOTIFY_FAILURE, .orcpt = SPAN("rfc822;r@x.org") };
    assert_int_equal(smtp_client_want(&played->client), SMTP_WANT_MESSAGE);
    smtp_client_send(&played->client, &played->message, played->now_ms);
}

static void check_failure(const struct smtp_client_failure *failure, struct span want)
{
    char text[60];
    int n = snprintf(text, sizeof text, "%d", (int)failure->trouble);
    if (failure->code)
        n += snprintf(text + n, sizeof text - (size_t)n, " %d", failure->code);
    if (failure->is_permanent)
        n += snprintf(text + n, sizeof text - (size_t)n, " permanent");
    if (!span_eq(span_of(text, (size_t)n), want))
        fail_msg("wanted failure %.*s, got %s: %.*s", SPAN_ARGS(want), text, (int)failure->text_n, failure->text);
}

static void act(struct played *played, const struct row *row, char verb, struct span args)
{
    static const char *const wants[] = { "reply", "tls", "message", "close" };
    static const char *const sends[] = { "nothing", "dotted", "raw" };
    struct smtp_client *client = &played->client;
    played->now_ms++;
    switch (verb) {
    case 'S': say(played, args); break;
    case 'C': take_line(&client->out, args); break;
    case 'N': take_line(&client->out, SPAN("none")); break;
    case 'R': take_line(&played->results, args); break;
    case 'M': send_message(played, row); break;
    case 'X': smtp_client_lost(client, STATUS_CLOSED, played->now_ms); break;
    case 'Q': smtp_client_quit(client, played->now_ms); break;
    case 'e': smtp_client_body_sent(client, played->now_ms); break;
    case 'T': smtp_client_tls(client, span_eq(args, SPAN("ok")), "no way", played->now_ms); break;
    case 'W': assert_true(span_eq(args, span_str(wants[smtp_client_want(client)]))); break;
    case 'F': check_failure(&client->failure, args); break;
    case 'B':
    case 'b':
        assert_true(span_eq(args, span_str(sends[client->send])));
        if (verb == 'B')
            smtp_client_body_sent(client, played->now_ms);
        break;
    case 'D':
        smtp_client_tick(client, client->deadline_ms - 1);
        assert_int_not_equal(smtp_client_want(client), SMTP_WANT_CLOSE);
        smtp_client_tick(client, client->deadline_ms);
        break;
    default: fail_msg("no such step: %c", verb);
    }
}

static void play(const struct row *row, size_t step)
{
    struct played played = { .results = BUF_EMPTY(1 << 16), .step = step };
    struct smtp_client_settings settings = row->change;
    settings.hostname = plain.hostname;
    settings.times = plain.times;
    smtp_client_init(&played.client, &settings, row->has_tls, on_result, &played, 0);
    struct span script = span_str(row->script), line;
    while (span_cut(&script, '\n', &line)) {
        if (line.n)
            act(&played, row, line.p[0], span_from(line, 2));
    }
    take_line(&played.results, SPAN("none"));
    smtp_client_done(&played.client);
    buf_done(&played.results);
}

static void scripts_are_played(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (size_t step = 1; step <= 1000; step += 999) {
            print_message("%s\n", rows[i].name);
            play(&rows[i], step);
        }
    }
}

static void the_deadline_does_not_move_with_single_octets(void **state)
{
    (void)state;
    struct smtp_client client;
    smtp_client_init(&client, &plain, false, on_result, NULL, 0);
    for (int64_t now_ms = 0; now_ms < 1000; now_ms += 10)
        smtp_client_feed(&client, SPAN("2"), now_ms);
    smtp_client_tick(&client, 1000);
    assert_int_equal(client.failure.trouble, SMTP_TROUBLE_TIMEOUT);
    smtp_client_done(&client);
}

/* A server that takes a little each time, or answers one recipient after the other, keeps us for so long and no longer; but
 * what has been sent whole is waited for. */
static void a_message_has_its_time(void **state)
{
    (void)state;
    static const bool is_stalled[] = { true, false };
    struct smtp_client_settings settings = plain;
    settings.times.message_ms = 5000;
    for (size_t i = 0; i < ARRAY_LEN(is_stalled); i++) {
        struct played played = { .results = BUF_EMPTY(1 << 16), .step = 1000 };
        struct smtp_client *client = &played.client;
        struct smtp_client_recipient recipients[] = { { .address = SPAN("r0@b.org") } };
        struct smtp_client_message message = { .sender = SPAN("a@a.org"), .octets = 1 << 20, .recipients = recipients,
                                               .recipient_count = 1 };
        smtp_client_init(client, &settings, false, on_result, &played, 0);
        smtp_client_feed(client, SPAN("220 hi\r\n250 there\r\n"), 100);
        smtp_client_send(client, &message, 100);
        smtp_client_feed(client, SPAN("250 ok\r\n250 ok\r\n354 go\r\n"), 200);
        assert_int_equal(client->send, SMTP_SEND_DOTTED);
        for (int64_t now_ms = 300; now_ms < 5000; now_ms += 100) {
            smtp_client_body_progress(client, now_ms);
            smtp_client_tick(client, now_ms);
            assert_int_equal(smtp_client_want(client), SMTP_WANT_REPLY);
        }
        if (is_stalled[i]) {
            smtp_client_body_progress(client, 5099);
            assert_int_equal(smtp_client_deadline(client), 5100);
            smtp_client_tick(client, 5100);
            assert_int_equal(client->failure.trouble, SMTP_TROUBLE_TIMEOUT);
            assert_true(message.recipients[0].result == SMTP_DEFERRED);
        } else {
            smtp_client_body_sent(client, 5099);
            assert_int_equal(smtp_client_deadline(client), 5099 + plain.times.dot_ms);
            smtp_client_feed(client, SPAN("250 ok\r\n"), 5900);
            assert_true(message.recipients[0].result == SMTP_DELIVERED);
        }
        buf_done(&played.results);
        smtp_client_done(client);
    }
}

static void an_address_cannot_become_a_command(void **state)
{
    (void)state;
    struct played played = { .results = BUF_EMPTY(1 << 16), .step = 1000 };
    smtp_client_init(&played.client, &plain, false, on_result, &played, 0);
    say(&played, SPAN("220 hi"));
    say(&played, SPAN("250-x\r\n250 PIPELINING"));
    buf_clear(&played.client.out);
    struct smtp_client_recipient recipients[] = { { .address = SPAN("a@b>\r\nRCPT TO:<c@d") }, { .address = SPAN("c@d") } };
    struct smtp_client_message message = { .octets = 3, .recipients = recipients, .recipient_count = 2 };
    smtp_client_send(&played.client, &message, 0);
    take_line(&played.results, SPAN("0 failed 0 5.1.3 the address cannot be written in SMTP"));
    assert_string_equal(buf_cstr(&played.client.out), "MAIL FROM:<>\r\nRCPT TO:<c@d>\r\nDATA\r\n");
    say(&played, SPAN("250 ok\r\n250 ok\r\n354 go"));
    smtp_client_body_sent(&played.client, 0);
    say(&played, SPAN("250 ok"));
    take_line(&played.results, SPAN("1 delivered 250 2.0.0 ok"));
    smtp_client_done(&played.client);
    buf_done(&played.results);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scripts_are_played),
        cmocka_unit_test(the_deadline_does_not_move_with_single_octets),
        cmocka_unit_test(a_message_has_its_time),
        cmocka_unit_test(an_address_cannot_become_a_command),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
