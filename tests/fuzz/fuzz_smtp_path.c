/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_smtp_path - paths, domains, parameters, xtext and stored envelopes
 *
 * What is accepted must hold nothing that could end a line, and must be accepted again when it is
 * written between brackets.
 */
#include "ringpost/smtp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void assert_clean(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        const unsigned char c = (unsigned char)text.data[i];
        ASSERT(c >= 32 && c != 127);
    }
}

static void check_again(const struct smtp_path *path, bool reverse)
{
    char data[SMTP_PATH_MAX + 3];
    struct text text;
    struct smtp_path again;
    text_init(&text, data, sizeof(data));
    text_put(&text, BYTES("<"));
    text_put(&text, path->address);
    text_put(&text, BYTES(">"));
    ASSERT(!text.cut);
    struct bytes input = text_bytes(&text);
    ASSERT(smtp_path_parse(&input, reverse, path->utf8, &again) == SMTP_SYNTAX_OK);
    ASSERT(input.len == 0 && bytes_equal(again.address, path->address));
    ASSERT(bytes_equal(again.local, path->local) && bytes_equal(again.domain, path->domain));
}

static void check_path(struct bytes input, bool reverse, bool utf8)
{
    struct smtp_path path;
    struct bytes rest = input;
    if (smtp_path_parse(&rest, reverse, utf8, &path) != SMTP_SYNTAX_OK) return;
    ASSERT(rest.len < input.len);
    ASSERT(path.address.len <= SMTP_PATH_MAX && path.local.len <= SMTP_LOCAL_PART_MAX);
    ASSERT(reverse || path.address.len > 0);
    ASSERT(utf8 || !path.utf8);
    assert_clean(path.address);
    check_again(&path, reverse);
    if (path.domain.len > 0) {
        ASSERT(bytes_equal(smtp_domain_of(path.address), path.domain));
        ASSERT(smtp_domain_is_valid(path.domain, utf8));
    }
}

/* What was understood, written the way we would, says the same. */
static void check_mail_again(const struct smtp_mail_params *params)
{
    static const char *const bodies[] = {"7BIT", "8BITMIME", "BINARYMIME"};
    static const char *const rets[] = {"", " RET=FULL", " RET=HDRS"};
    char data[SMTP_ENVID_MAX + 200];
    struct text text;
    struct smtp_mail_params again;
    ASSERT(params->body < ARRAY_COUNT(bodies) && params->ret < ARRAY_COUNT(rets));
    text_init(&text, data, sizeof(data));
    text_printf(&text, " SIZE=%llu BODY=%s%s%s", (unsigned long long)params->size,
                bodies[params->body], rets[params->ret], params->smtputf8 ? " SMTPUTF8" : "");
    if (params->envid.len > 0) text_printf(&text, " ENVID=%.*s", BYTES_FMT(params->envid));
    ASSERT(!text.cut && smtp_mail_params_parse(text_bytes(&text), &again) == SMTP_SYNTAX_OK);
    ASSERT(again.size == params->size && again.body == params->body && again.ret == params->ret);
    ASSERT(again.smtputf8 == params->smtputf8 && bytes_equal(again.envid, params->envid));
}

static void check_rcpt_again(const struct smtp_rcpt_params *params)
{
    static const char *const words[] = {"NEVER", "SUCCESS", "FAILURE", "DELAY"};
    char data[SMTP_ORCPT_MAX + 200];
    struct text text;
    struct smtp_rcpt_params again;
    text_init(&text, data, sizeof(data));
    for (unsigned i = 0; i < ARRAY_COUNT(words); i++) {
        if (!(params->notify & 1u << i)) continue;
        text_printf(&text, "%s%s", text.len == 0 ? " NOTIFY=" : ",", words[i]);
    }
    if (params->orcpt.len > 0) text_printf(&text, " ORCPT=%.*s", BYTES_FMT(params->orcpt));
    ASSERT(!text.cut && smtp_rcpt_params_parse(text_bytes(&text), &again) == SMTP_SYNTAX_OK);
    ASSERT(again.notify == params->notify && bytes_equal(again.orcpt, params->orcpt));
}

static void check_params(struct bytes input)
{
    struct smtp_mail_params mail;
    struct smtp_rcpt_params rcpt;
    if (smtp_mail_params_parse(input, &mail) == SMTP_SYNTAX_OK) {
        ASSERT(mail.envid.len <= SMTP_ENVID_MAX && smtp_xtext_is_valid(mail.envid));
        assert_clean(mail.envid);
        check_mail_again(&mail);
    }
    if (smtp_rcpt_params_parse(input, &rcpt) == SMTP_SYNTAX_OK) {
        ASSERT(rcpt.orcpt.len <= SMTP_ORCPT_MAX);
        ASSERT(rcpt.notify == SMTP_NOTIFY_NEVER || !(rcpt.notify & SMTP_NOTIFY_NEVER));
        assert_clean(rcpt.orcpt);
        check_rcpt_again(&rcpt);
    }
}

static void check_xtext(struct bytes input)
{
    static char plain[1 << 16], encoded[3 << 16];
    struct text decoded, again;
    text_init(&decoded, plain, sizeof(plain));
    text_init(&again, encoded, sizeof(encoded));
    smtp_xtext_encode(input, &again);
    if (!smtp_xtext_decode(input, &decoded)) {
        ASSERT(!smtp_xtext_is_valid(input));
        return;
    }
    ASSERT(smtp_xtext_is_valid(input));
    assert_clean(text_bytes(&decoded));
    text_init(&again, encoded, sizeof(encoded));
    smtp_xtext_encode(text_bytes(&decoded), &again);
    ASSERT(smtp_xtext_is_valid(text_bytes(&again)));
}

static void check_envelope(struct bytes input)
{
    struct smtp_envelope envelope;
    struct smtp_recipient recipient;
    uint32_t count = 0;
    if (!smtp_envelope_load(input, &envelope)) return;
    struct bytes cursor = envelope.recipients;
    while (smtp_recipient_next(&cursor, &recipient))
        count += 1;
    ASSERT(count == envelope.recipient_count && cursor.len == 0);
    (void)smtp_protocol_name(envelope.protocol);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct bytes input = {(const char *)data, size};
    struct bytes args;
    for (int how = 0; how < 4; how++)
        check_path(input, how & 1, how & 2);
    check_params(input);
    check_xtext(input);
    check_envelope(input);
    (void)smtp_extension_parse(input, &args);
    (void)smtp_domain_is_valid(input, true);
    (void)smtp_address_literal_is_valid(input);
    return 0;
}
