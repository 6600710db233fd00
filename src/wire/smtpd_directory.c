#include "wire/smtpd_directory.h"

/* Several words are the token and one text, others the token, a result and one text. */

static void text_put(struct buf *buf, uint64_t token, struct span text)
{
    wire_put_u64(buf, token);
    wire_put_span(buf, text);
}

static bool text_get(struct span body, size_t most, uint64_t *token, struct span *ret)
{
    struct wire_reader reader = wire_read(body);
    *token = wire_get_u64(&reader);
    *ret = wire_get_span(&reader, most);
    return wire_end(&reader);
}

static void result_put(struct buf *buf, uint64_t token, uint8_t result, struct span text)
{
    wire_put_u64(buf, token);
    wire_put_u8(buf, result);
    wire_put_span(buf, text);
}

static bool result_get(struct span body, size_t most, uint64_t *token, uint8_t *result, struct span *ret)
{
    struct wire_reader reader = wire_read(body);
    *token = wire_get_u64(&reader);
    *result = wire_get_u8(&reader);
    *ret = wire_get_span(&reader, most);
    return wire_end(&reader);
}

void ask_auth_start_put(struct buf *buf, const struct ask_auth_start *value)
{
    wire_put_u64(buf, value->token);
    wire_put_span(buf, value->mechanism);
    wire_put_u8(buf, value->has_initial);
    wire_put_span(buf, value->initial);
    wire_put_span(buf, value->client);
    wire_put_u8(buf, value->tls);
    wire_put_span(buf, value->exporter);
    wire_put_span(buf, value->unique);
    wire_put_span(buf, value->end_point);
}

bool ask_auth_start_get(struct span body, struct ask_auth_start *ret)
{
    struct wire_reader reader = wire_read(body);
    ret->token = wire_get_u64(&reader);
    ret->mechanism = wire_get_span(&reader, 64);
    ret->has_initial = wire_get_u8(&reader);
    ret->initial = wire_get_span(&reader, WIRE_SASL_MAX);
    ret->client = wire_get_span(&reader, 128);
    ret->tls = wire_get_u8(&reader);
    ret->exporter = wire_get_span(&reader, WIRE_BINDING_MAX);
    ret->unique = wire_get_span(&reader, WIRE_BINDING_MAX);
    ret->end_point = wire_get_span(&reader, WIRE_BINDING_MAX);
    return wire_end(&reader);
}

void ask_auth_next_put(struct buf *buf, const struct ask_auth_next *value)
{
    text_put(buf, value->token, value->response);
}

bool ask_auth_next_get(struct span body, struct ask_auth_next *ret)
{
    return text_get(body, WIRE_SASL_MAX, &ret->token, &ret->response);
}

void ask_cancel_put(struct buf *buf, const struct ask_cancel *value)
{
    wire_put_u64(buf, value->token);
}

bool ask_cancel_get(struct span body, struct ask_cancel *ret)
{
    struct wire_reader reader = wire_read(body);
    ret->token = wire_get_u64(&reader);
    return wire_end(&reader);
}

void ask_may_send_put(struct buf *buf, const struct ask_may_send *value)
{
    wire_put_u64(buf, value->token);
    wire_put_span(buf, value->account);
    wire_put_u64(buf, value->credential);
    wire_put_u8(buf, value->which);
    wire_put_u32(buf, value->count);
    for (uint32_t i = 0; i < value->count; i++)
        wire_put_span(buf, value->addresses[i]);
}

bool ask_may_send_get(struct span body, struct ask_may_send *ret)
{
    struct wire_reader reader = wire_read(body);
    ret->token = wire_get_u64(&reader);
    ret->account = wire_get_span(&reader, WIRE_LOGIN_MAX);
    ret->credential = wire_get_u64(&reader);
    ret->which = wire_get_u8(&reader);
    ret->count = wire_get_u32(&reader);
    if (ret->count < 1 || ret->count > WIRE_ASK_MAX)
        return false;
    for (uint32_t i = 0; i < ret->count; i++)
        ret->addresses[i] = wire_get_span(&reader, 1024);
    return wire_end(&reader);
}

void ask_is_recipient_put(struct buf *buf, const struct ask_is_recipient *value)
{
    text_put(buf, value->token, value->address);
}

bool ask_is_recipient_get(struct span body, struct ask_is_recipient *ret)
{
    return text_get(body, 1024, &ret->token, &ret->address);
}

void ask_sign_put(struct buf *buf, const struct ask_sign *value)
{
    wire_put_u64(buf, value->token);
    wire_put_span(buf, value->key);
    wire_put_u16(buf, value->scheme);
    wire_put_span(buf, value->content);
}

bool ask_sign_get(struct span body, struct ask_sign *ret)
{
    struct wire_reader reader = wire_read(body);
    ret->token = wire_get_u64(&reader);
    ret->key = wire_get_span(&reader, WIRE_KEY_ID);
    ret->scheme = wire_get_u16(&reader);
    ret->content = wire_get_span(&reader, WIRE_SIGN_MAX);
    return wire_end(&reader) && ret->key.n == WIRE_KEY_ID;
}

void tell_challenge_put(struct buf *buf, const struct tell_challenge *value)
{
    text_put(buf, value->token, value->challenge);
}

bool tell_challenge_get(struct span body, struct tell_challenge *ret)
{
    return text_get(body, WIRE_SASL_MAX, &ret->token, &ret->challenge);
}

void tell_auth_put(struct buf *buf, const struct tell_auth *value)
{
    wire_put_u64(buf, value->token);
    wire_put_u8(buf, value->result);
    wire_put_span(buf, value->account);
    wire_put_span(buf, value->text);
    wire_put_u64(buf, value->credential);
    wire_put_u8(buf, value->restricted);
}

bool tell_auth_get(struct span body, struct tell_auth *ret)
{
    struct wire_reader reader = wire_read(body);
    ret->token = wire_get_u64(&reader);
    ret->result = wire_get_u8(&reader);
    ret->account = wire_get_span(&reader, WIRE_LOGIN_MAX);
    ret->text = wire_get_span(&reader, 1024);
    ret->credential = wire_get_u64(&reader);
    ret->restricted = wire_get_u8(&reader);
    return wire_end(&reader);
}

void tell_verdict_put(struct buf *buf, const struct tell_verdict *value)
{
    result_put(buf, value->token, value->verdict, value->text);
}

bool tell_verdict_get(struct span body, struct tell_verdict *ret)
{
    return result_get(body, 4096, &ret->token, &ret->verdict, &ret->text);
}

void tell_mechanisms_put(struct buf *buf, const struct tell_mechanisms *value)
{
    wire_put_span(buf, value->names);
}

bool tell_mechanisms_get(struct span body, struct tell_mechanisms *ret)
{
    struct wire_reader reader = wire_read(body);
    ret->names = wire_get_span(&reader, 512);
    return wire_end(&reader);
}

void tell_signature_put(struct buf *buf, const struct tell_signature *value)
{
    result_put(buf, value->token, value->result, value->signature);
}

bool tell_signature_get(struct span body, struct tell_signature *ret)
{
    return result_get(body, WIRE_SIGNATURE_MAX, &ret->token, &ret->result, &ret->signature);
}

void ask_count_put(struct buf *buf, const struct ask_count *value)
{
    wire_put_u64(buf, value->token);
    wire_put_span(buf, value->account);
    wire_put_u64(buf, value->credential);
    wire_put_u8(buf, value->which);
    wire_put_u64(buf, value->octets);
    wire_put_span(buf, value->address);
}

bool ask_count_get(struct span body, struct ask_count *ret)
{
    struct wire_reader reader = wire_read(body);
    ret->token = wire_get_u64(&reader);
    ret->account = wire_get_span(&reader, WIRE_LOGIN_MAX);
    ret->credential = wire_get_u64(&reader);
    ret->which = wire_get_u8(&reader);
    ret->octets = wire_get_u64(&reader);
    ret->address = wire_get_span(&reader, 1024);
    return wire_end(&reader);
}

void ask_undo_put(struct buf *buf, const struct ask_undo *value)
{
    wire_put_span(buf, value->account);
    wire_put_u64(buf, value->credential);
    wire_put_u8(buf, value->which);
    wire_put_u32(buf, value->recipients);
    wire_put_u64(buf, value->octets);
    wire_put_u64(buf, value->taken_ms);
}

bool ask_undo_get(struct span body, struct ask_undo *ret)
{
    struct wire_reader reader = wire_read(body);
    ret->account = wire_get_span(&reader, WIRE_LOGIN_MAX);
    ret->credential = wire_get_u64(&reader);
    ret->which = wire_get_u8(&reader);
    ret->recipients = wire_get_u32(&reader);
    ret->octets = wire_get_u64(&reader);
    ret->taken_ms = wire_get_u64(&reader);
    return wire_end(&reader);
}

void tell_count_put(struct buf *buf, const struct tell_count *value)
{
    wire_put_u8(buf, value->accounts);
    wire_put_u8(buf, value->relayed);
}

bool tell_count_get(struct span body, struct tell_count *ret)
{
    struct wire_reader reader = wire_read(body);
    ret->accounts = wire_get_u8(&reader);
    ret->relayed = wire_get_u8(&reader);
    return wire_end(&reader);
}

void tell_counted_put(struct buf *buf, const struct tell_counted *value)
{
    wire_put_u64(buf, value->token);
    wire_put_u8(buf, value->result);
    wire_put_u64(buf, value->taken_ms);
    wire_put_u32(buf, value->message_wait_s);
    wire_put_u32(buf, value->recipient_wait_s);
    wire_put_span(buf, value->text);
}

bool tell_counted_get(struct span body, struct tell_counted *ret)
{
    struct wire_reader reader = wire_read(body);
    ret->token = wire_get_u64(&reader);
    ret->result = wire_get_u8(&reader);
    ret->taken_ms = wire_get_u64(&reader);
    ret->message_wait_s = wire_get_u32(&reader);
    ret->recipient_wait_s = wire_get_u32(&reader);
    ret->text = wire_get_span(&reader, 4096);
    return wire_end(&reader);
}
