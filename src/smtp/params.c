/* SPDX-License-Identifier: Apache-2.0
 *
 * params - parameters of MAIL and RCPT (RFC 5321 section 4.1.2; RFC 1870, 3461, 4954, 6152, 6531)
 *
 * One table row a parameter. Each may come once; a bit for each row remembers that.
 */
#include "ringpost/scan.h"
#include "ringpost/smtp.h"

enum { SIZE_DIGITS_MAX = 20 }; /* RFC 1870 section 4 */

struct param {
    struct bytes keyword, value;
    bool has_value;
};

/* Moves past " KEYWORD[=value]". *param is empty at the end of the input. */
static enum smtp_syntax take_param(struct bytes *input, struct param *param)
{
    *param = (struct param){0};
    if (input->len == 0) return SMTP_SYNTAX_OK;
    if (input->data[0] != ' ') return SMTP_SYNTAX_BAD;
    while (input->len > 0 && input->data[0] == ' ')
        *input = bytes_skip(*input, 1);
    const char *space = input->len > 0 ? memchr(input->data, ' ', input->len) : NULL;
    const struct bytes word = {input->data, space ? (size_t)(space - input->data) : input->len};
    *input = bytes_skip(*input, word.len);

    param->keyword = word;
    const char *equals = word.len > 0 ? memchr(word.data, '=', word.len) : NULL;
    if (equals == NULL) return SMTP_SYNTAX_OK;
    param->has_value = true;
    param->keyword.len = (size_t)(equals - word.data);
    param->value = bytes_skip(word, param->keyword.len + 1);
    if (param->keyword.len == 0 || param->value.len == 0) return SMTP_SYNTAX_BAD;
    for (size_t i = 0; i < param->value.len; i++) {
        const unsigned char c = (unsigned char)param->value.data[i];
        if (c < 33 || c == '=' || c == 127) return SMTP_SYNTAX_BAD;
    }
    return SMTP_SYNTAX_OK;
}

/* ---- MAIL -------------------------------------------------------------------------------------
 */

static enum smtp_syntax read_size(const struct param *param, struct smtp_mail_params *mail)
{
    for (size_t i = 0; i < param->value.len; i++) {
        if (param->value.data[i] < '0' || param->value.data[i] > '9') return SMTP_SYNTAX_BAD;
    }
    if (param->value.len > SIZE_DIGITS_MAX) return SMTP_SYNTAX_BAD;
    /* 20 digits can be more than 64 bits hold: larger than any limit, then. */
    if (!bytes_to_u64(param->value, UINT64_MAX, &mail->size)) mail->size = UINT64_MAX;
    return SMTP_SYNTAX_OK;
}

static enum smtp_syntax read_body(const struct param *param, struct smtp_mail_params *mail)
{
    if (bytes_equal_nocase(param->value, BYTES("7BIT"))) {
        mail->body = SMTP_BODY_7BIT;
    } else if (bytes_equal_nocase(param->value, BYTES("8BITMIME"))) {
        mail->body = SMTP_BODY_8BITMIME;
    } else if (bytes_equal_nocase(param->value, BYTES("BINARYMIME"))) {
        mail->body = SMTP_BODY_BINARYMIME;
    } else {
        return SMTP_SYNTAX_BAD;
    }
    return SMTP_SYNTAX_OK;
}

static enum smtp_syntax read_ret(const struct param *param, struct smtp_mail_params *mail)
{
    if (bytes_equal_nocase(param->value, BYTES("FULL"))) {
        mail->ret = SMTP_RET_FULL;
    } else if (bytes_equal_nocase(param->value, BYTES("HDRS"))) {
        mail->ret = SMTP_RET_HDRS;
    } else {
        return SMTP_SYNTAX_BAD;
    }
    return SMTP_SYNTAX_OK;
}

static enum smtp_syntax read_envid(const struct param *param, struct smtp_mail_params *mail)
{
    if (param->value.len > SMTP_ENVID_MAX) return SMTP_SYNTAX_BAD;
    if (!smtp_xtext_is_valid(param->value)) return SMTP_SYNTAX_BAD;
    mail->envid = param->value;
    return SMTP_SYNTAX_OK;
}

/* RFC 4954 section 5. Its length is that of xtext of a path, with room to spare. */
static enum smtp_syntax read_auth(const struct param *param, struct smtp_mail_params *mail)
{
    if (param->value.len > SMTP_ORCPT_MAX) return SMTP_SYNTAX_BAD;
    if (!bytes_equal(param->value, BYTES("<>")) && !smtp_xtext_is_valid(param->value)) {
        return SMTP_SYNTAX_BAD;
    }
    mail->auth = param->value;
    return SMTP_SYNTAX_OK;
}

static enum smtp_syntax read_smtputf8(const struct param *param, struct smtp_mail_params *mail)
{
    (void)param;
    mail->smtputf8 = true;
    return SMTP_SYNTAX_OK;
}

static const struct {
    struct bytes keyword;
    bool has_value;
    enum smtp_syntax (*read)(const struct param *param, struct smtp_mail_params *mail);
} mail_params[] = {
    {{"SIZE", 4}, true, read_size}, {{"BODY", 4}, true, read_body},
    {{"RET", 3}, true, read_ret},   {{"ENVID", 5}, true, read_envid},
    {{"AUTH", 4}, true, read_auth}, {{"SMTPUTF8", 8}, false, read_smtputf8},
};

enum smtp_syntax smtp_mail_params_parse(struct bytes input, struct smtp_mail_params *params)
{
    uint32_t seen = 0;
    *params = (struct smtp_mail_params){.envid = {"", 0}, .auth = {"", 0}};
    for (;;) {
        struct param param;
        size_t row = 0;
        enum smtp_syntax syntax = take_param(&input, &param);
        if (syntax != SMTP_SYNTAX_OK || param.keyword.len == 0) return syntax;
        while (row < ARRAY_COUNT(mail_params) &&
               !bytes_equal_nocase(param.keyword, mail_params[row].keyword))
            row += 1;
        if (row == ARRAY_COUNT(mail_params)) return SMTP_SYNTAX_UNKNOWN;
        if (seen & (1u << row)) return SMTP_SYNTAX_BAD;
        if (param.has_value != mail_params[row].has_value) return SMTP_SYNTAX_BAD;
        seen |= 1u << row;
        syntax = mail_params[row].read(&param, params);
        if (syntax != SMTP_SYNTAX_OK) return syntax;
    }
}

/* ---- RCPT -------------------------------------------------------------------------------------
 */

static enum smtp_syntax read_notify(const struct param *param, struct smtp_rcpt_params *rcpt)
{
    static const struct {
        struct bytes word;
        enum smtp_notify bit;
    } words[] = {
        {{"NEVER", 5}, SMTP_NOTIFY_NEVER},
        {{"SUCCESS", 7}, SMTP_NOTIFY_SUCCESS},
        {{"FAILURE", 7}, SMTP_NOTIFY_FAILURE},
        {{"DELAY", 5}, SMTP_NOTIFY_DELAY},
    };
    struct bytes rest = param->value;
    for (;;) {
        const char *comma = rest.len > 0 ? memchr(rest.data, ',', rest.len) : NULL;
        const struct bytes word = {rest.data, comma ? (size_t)(comma - rest.data) : rest.len};
        size_t row = 0;
        while (row < ARRAY_COUNT(words) && !bytes_equal_nocase(word, words[row].word))
            row += 1;
        if (row == ARRAY_COUNT(words)) return SMTP_SYNTAX_BAD;
        rcpt->notify |= (uint8_t)words[row].bit;
        if (comma == NULL) break;
        rest = bytes_skip(rest, word.len + 1);
    }
    /* RFC 3461 section 4.1: NEVER stands alone. */
    const bool never = rcpt->notify & SMTP_NOTIFY_NEVER;
    return never && rcpt->notify != SMTP_NOTIFY_NEVER ? SMTP_SYNTAX_BAD : SMTP_SYNTAX_OK;
}

/* RFC 6533 section 3: with the type utf-8 the address may stand there as UTF-8. */
static bool is_utf8_orcpt(struct bytes type, struct bytes address)
{
    if (!bytes_equal_nocase(type, BYTES("utf-8"))) return false;
    for (size_t i = 0; i < address.len; i++) {
        const unsigned char c = (unsigned char)address.data[i];
        const bool c1 =
            c == 0xc2 && i + 1 < address.len && (unsigned char)address.data[i + 1] < 0xa0;
        if (c < 33 || c == '=' || c == '+' || c == 127 || c1) return false;
    }
    return scan_utf8_is_valid(address.data, address.len);
}

static enum smtp_syntax read_orcpt(const struct param *param, struct smtp_rcpt_params *rcpt)
{
    const struct bytes value = param->value;
    const char *semicolon = memchr(value.data, ';', value.len);
    if (value.len > SMTP_ORCPT_MAX || semicolon == NULL) return SMTP_SYNTAX_BAD;
    const struct bytes type = {value.data, (size_t)(semicolon - value.data)};
    const struct bytes address = bytes_skip(value, type.len + 1);
    if (type.len == 0 || address.len == 0) return SMTP_SYNTAX_BAD;
    for (size_t i = 0; i < type.len; i++) {
        const char lower = ascii_lower(type.data[i]);
        const bool digit = lower >= '0' && lower <= '9';
        if (!digit && !(lower >= 'a' && lower <= 'z') && lower != '-') return SMTP_SYNTAX_BAD;
    }
    if (!smtp_xtext_is_valid(address) && !is_utf8_orcpt(type, address)) return SMTP_SYNTAX_BAD;
    rcpt->orcpt = value;
    return SMTP_SYNTAX_OK;
}

enum smtp_syntax smtp_rcpt_params_parse(struct bytes input, struct smtp_rcpt_params *params)
{
    bool notify_seen = false, orcpt_seen = false;
    *params = (struct smtp_rcpt_params){.orcpt = {"", 0}};
    for (;;) {
        struct param param;
        enum smtp_syntax syntax = take_param(&input, &param);
        if (syntax != SMTP_SYNTAX_OK || param.keyword.len == 0) return syntax;
        const bool notify = bytes_equal_nocase(param.keyword, BYTES("NOTIFY"));
        const bool orcpt = bytes_equal_nocase(param.keyword, BYTES("ORCPT"));
        if (!notify && !orcpt) return SMTP_SYNTAX_UNKNOWN;
        if (!param.has_value || (notify && notify_seen) || (orcpt && orcpt_seen)) {
            return SMTP_SYNTAX_BAD;
        }
        notify_seen |= notify;
        orcpt_seen |= orcpt;
        syntax = notify ? read_notify(&param, params) : read_orcpt(&param, params);
        if (syntax != SMTP_SYNTAX_OK) return syntax;
    }
}
