/* SPDX-License-Identifier: Apache-2.0
 *
 * command - prints commands; everything that is sent but content comes from here
 *
 * What is printed was checked in offer.c: no octet of it can end the command early.
 */
#include "internal.h"

static void put_number(struct text *out, uint64_t value)
{
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    text_put(out, (struct bytes){digits + at, sizeof(digits) - at});
}

void client_command_hello(const struct smtp_client *client, const char *verb, struct text *out)
{
    text_put(out, bytes_of(verb));
    text_put(out, BYTES(" "));
    text_put(out, client->options.ehlo_name);
    text_put(out, BYTES("\r\n"));
}

static void put_body(const struct smtp_client *client, const struct smtp_transaction *transaction,
                     struct text *out)
{
    if (transaction->body == SMTP_BODY_BINARYMIME) {
        text_put(out, BYTES(" BODY=BINARYMIME")); /* offer.c saw to it that this is offered */
    } else if ((transaction->content_flags & SMTP_CONTENT_8BIT) &&
               (client->extensions & SMTP_EXT_8BITMIME)) {
        text_put(out, BYTES(" BODY=8BITMIME"));
    }
}

void client_command_mail(const struct smtp_client *client,
                         const struct smtp_transaction *transaction, struct text *out)
{
    text_put(out, BYTES("MAIL FROM:<"));
    text_put(out, transaction->reverse_path);
    text_put(out, BYTES(">"));
    if (client->extensions & SMTP_EXT_SIZE) {
        text_put(out, BYTES(" SIZE="));
        put_number(out, transaction->size);
    }
    put_body(client, transaction, out);
    if (transaction->utf8) text_put(out, BYTES(" SMTPUTF8"));
    if (client->extensions & SMTP_EXT_DSN) {
        if (transaction->ret == SMTP_RET_FULL) text_put(out, BYTES(" RET=FULL"));
        if (transaction->ret == SMTP_RET_HDRS) text_put(out, BYTES(" RET=HDRS"));
        if (offer_envid_is_sound(transaction->envid)) {
            text_put(out, BYTES(" ENVID="));
            text_put(out, transaction->envid);
        }
    }
    text_put(out, BYTES("\r\n"));
}

static void put_notify(uint8_t notify, struct text *out)
{
    static const struct {
        uint8_t bit;
        struct bytes word;
    } words[] = {
        {SMTP_NOTIFY_SUCCESS, {"SUCCESS", 7}},
        {SMTP_NOTIFY_FAILURE, {"FAILURE", 7}},
        {SMTP_NOTIFY_DELAY, {"DELAY", 5}},
    };
    if (notify == SMTP_NOTIFY_UNSET) return;
    text_put(out, BYTES(" NOTIFY="));
    if (notify & SMTP_NOTIFY_NEVER) { /* stands alone (RFC 3461 section 4.1) */
        text_put(out, BYTES("NEVER"));
        return;
    }
    bool first = true;
    for (size_t i = 0; i < ARRAY_COUNT(words); i++) {
        if (!(notify & words[i].bit)) continue;
        if (!first) text_put(out, BYTES(","));
        text_put(out, words[i].word);
        first = false;
    }
}

void client_command_rcpt(const struct smtp_client *client,
                         const struct smtp_transaction *transaction,
                         const struct smtp_recipient *recipient, struct text *out)
{
    text_put(out, BYTES("RCPT TO:<"));
    text_put(out, recipient->address);
    text_put(out, BYTES(">"));
    if (client->extensions & SMTP_EXT_DSN) {
        put_notify(recipient->notify, out);
        if (offer_orcpt_is_sound(recipient->orcpt, transaction->utf8)) {
            text_put(out, BYTES(" ORCPT="));
            text_put(out, recipient->orcpt);
        }
    }
    text_put(out, BYTES("\r\n"));
}

void client_command_bdat(uint64_t size, struct text *out)
{
    text_put(out, BYTES("BDAT "));
    put_number(out, size);
    text_put(out, BYTES(" LAST\r\n"));
}
