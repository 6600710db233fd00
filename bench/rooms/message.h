/* bench/rooms/message.h -- the message of the works: 4 KiB, with the header that a mail program of today writes. */
#pragma once
#include "base/buf.h"

#define ROOM_MESSAGE_OCTETS 4096

static const char room_header[] =
    "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org;\r\n"
    "\ts=2026; t=1795443607; h=from:from:reply-to:subject:date:message-id:to:cc:\r\n"
    "\t mime-version:content-type:content-transfer-encoding:in-reply-to;\r\n"
    "\tbh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=;\r\n"
    "\tb=dGhpcyBpcyBubyBzaWduYXR1cmUgYXQgYWxsLCBidXQgaXQgaXMgYXMgbG9uZyBhcyBvbmUu\r\n"
    "\t dGhpcyBpcyBubyBzaWduYXR1cmUgYXQgYWxsLCBidXQgaXQgaXMgYXMgbG9uZyBhcyBvbmUu\r\n"
    "Received: from laptop.example.org (laptop.example.org [192.0.2.7])\r\n"
    "\tby relay.example.org with ESMTPSA id 0AXJ7K2M9PQRS\r\n"
    "\tfor <bob@example.com>; Mon, 23 Nov 2026 14:20:07 +0000\r\n"
    "From: \"Anna van der Berg\" <anna@example.org>\r\n"
    "To: Bob <bob@example.com>, \"Carol, at work\" <carol@work.example.net>\r\n"
    "Cc: dave@example.edu (Dave)\r\n"
    "Reply-To: Anna <anna+answers@example.org>\r\n"
    "Subject: =?UTF-8?Q?Zam=C3=B3wienie?= 4711: what was agreed,\r\n"
    " and what still has to be done before the end of the year\r\n"
    "Date: Mon, 23 Nov 2026 15:20:07 +0100\r\n"
    "Message-ID: <6a1f0b5e-7c1d-4a56-9f0e-2f8d8a6f9f11@laptop.example.org>\r\n"
    "In-Reply-To: <CAF=abc123+xyz@mail.example.com>\r\n"
    "User-Agent: Mozilla Thunderbird\r\n"
    "MIME-Version: 1.0\r\n"
    "Content-Type: text/plain; charset=UTF-8; format=flowed\r\n"
    "Content-Transfer-Encoding: 8bit\r\n";

/* The whole message, clean: CRLF, no line that begins with a dot but one, ROOM_MESSAGE_OCTETS long. */
static inline struct span room_message(void)
{
    static struct buf message = { NULL, 0, 0, 2 * ROOM_MESSAGE_OCTETS, false };
    static const struct span line = { "All work and no play makes a dull boy; all play and no work, a mere toy.\r\n", 74 };
    if (message.n)
        return buf_span(&message);
    buf_add_str(&message, room_header);
    buf_add_str(&message, "\r\n.\r\n");
    while (message.n + line.n < ROOM_MESSAGE_OCTETS)
        buf_add(&message, line);
    while (message.n < ROOM_MESSAGE_OCTETS - 2)
        buf_add_char(&message, '.');
    buf_add_str(&message, "\r\n");
    return buf_span(&message);
}
