/* SPDX-License-Identifier: Apache-2.0
 *
 * offer - what can be known before a transaction is tried
 *
 * The receiver said what it takes (EHLO). What it cannot take gets its verdict here, without a
 * command being sent. Also the last guard that no octet of an envelope can act as the end of a
 * command, whoever filled the envelope.
 */
#include "internal.h"

#define ENHANCED(c, s, d) ((struct smtp_enhanced){c, s, d})

static const char mail_too_large[] = "message size exceeds the limit that the receiver announces";
static const char mail_is_8bit[] = "message needs 8BITMIME, which the receiver does not offer";
static const char mail_is_binary[] = "message needs BINARYMIME, which the receiver does not offer";
static const char mail_is_fixed[] =
    "message cannot be converted to what the receiver takes: signed, encrypted or malformed parts";
static const char mail_is_utf8[] = "message needs SMTPUTF8, which the receiver does not offer";
static const char address_is_utf8[] = "address needs SMTPUTF8, which the receiver does not offer";
static const char sender_is_bad[] = "sender address cannot be sent: bad syntax";
static const char address_is_bad[] = "address cannot be sent: bad syntax";

/* May stand between "<" and ">": no control characters, and spaces and angles only when quoted. */
static bool address_is_sound(struct bytes address, bool *utf8)
{
    bool quoted = false;
    if (address.len > SMTP_PATH_MAX) return false;
    for (size_t i = 0; i < address.len; i++) {
        const unsigned char c = (unsigned char)address.data[i];
        if (c < 32 || c == 127) return false;
        if (c > 127) *utf8 = true;
        if (quoted && c == '\\') {
            i += 1; /* the octet behind it is still looked at: it may be a control character */
            if (i == address.len) return false;
            const unsigned char escaped = (unsigned char)address.data[i];
            if (escaped < 32 || escaped >= 127) return false;
        } else if (c == '"') {
            quoted = !quoted;
        } else if (!quoted && (c == ' ' || c == '<' || c == '>')) {
            return false;
        }
    }
    return !quoted;
}

bool offer_envid_is_sound(struct bytes envid)
{
    return envid.len > 0 && envid.len <= SMTP_ENVID_MAX && smtp_xtext_is_valid(envid);
}

/* "type;value", printable; what is behind the type is passed on as it came (RFC 3461 5.2.1). */
bool offer_orcpt_is_sound(struct bytes orcpt, bool utf8_allowed)
{
    if (orcpt.len == 0 || orcpt.len > SMTP_ORCPT_MAX) return false;
    for (size_t i = 0; i < orcpt.len; i++) {
        const unsigned char c = (unsigned char)orcpt.data[i];
        if (c <= 32 || c == 127 || (c > 127 && !utf8_allowed)) return false;
    }
    return true;
}

/* SMTPUTF8 is not offered without 8BITMIME (RFC 6531 section 3.1), whatever the list says. */
static bool takes_8bit(const struct smtp_client *client)
{
    return client->extensions & (SMTP_EXT_8BITMIME | SMTP_EXT_SMTPUTF8);
}

static bool takes_binary(const struct smtp_client *client)
{
    return client_chunks(client) && client->extensions & SMTP_EXT_BINARYMIME;
}

enum smtp_form smtp_client_form(const struct smtp_client *client,
                                const struct smtp_transaction *transaction)
{
    const enum smtp_eight_bit eight_bit = client->options.eight_bit;

    if (eight_bit == SMTP_EIGHT_BIT_BOUNCE) return SMTP_FORM_AS_IS; /* or not at all */
    if (transaction->body == SMTP_BODY_BINARYMIME && !takes_binary(client)) {
        return takes_8bit(client) || eight_bit == SMTP_EIGHT_BIT_SEND ? SMTP_FORM_8BIT
                                                                      : SMTP_FORM_7BIT;
    }
    if (transaction->content_flags & SMTP_CONTENT_8BIT && !takes_8bit(client) &&
        eight_bit == SMTP_EIGHT_BIT_CONVERT) {
        return SMTP_FORM_7BIT;
    }
    return SMTP_FORM_AS_IS;
}

/* True when all of them are settled by one verdict. */
static bool check_message(const struct smtp_client *client, struct smtp_transaction *transaction)
{
    struct smtp_verdict *verdict = &transaction->verdict;
    const uint32_t offered = client->extensions;
    bool sender_utf8 = false;

    if (!address_is_sound(transaction->reverse_path, &sender_utf8)) {
        verdict_local(verdict, SMTP_OUTCOME_REFUSED, SMTP_STAGE_MAIL, 553, ENHANCED(5, 1, 7),
                      sender_is_bad);
        return true;
    }
    if (client->limits.size > 0 && transaction->size > client->limits.size) {
        verdict_local(verdict, SMTP_OUTCOME_REFUSED, SMTP_STAGE_MAIL, 552, ENHANCED(5, 3, 4),
                      mail_too_large);
        return true;
    }
    transaction->utf8 = sender_utf8 || (transaction->smtputf8 &&
                                        (transaction->content_flags & SMTP_CONTENT_UTF8_HEADER));
    if (transaction->utf8 && !(offered & SMTP_EXT_SMTPUTF8)) {
        verdict_local(verdict, SMTP_OUTCOME_REFUSED, SMTP_STAGE_MAIL, 553, ENHANCED(5, 6, 7),
                      mail_is_utf8);
        return true;
    }
    if (transaction->unconvertible) {
        verdict_local(verdict, SMTP_OUTCOME_REFUSED, SMTP_STAGE_MAIL, 554, ENHANCED(5, 6, 1),
                      mail_is_fixed);
        return true;
    }
    if (transaction->body == SMTP_BODY_BINARYMIME && !takes_binary(client)) {
        verdict_local(verdict, SMTP_OUTCOME_REFUSED, SMTP_STAGE_MAIL, 554, ENHANCED(5, 6, 3),
                      mail_is_binary);
        return true;
    }
    if ((transaction->content_flags & SMTP_CONTENT_8BIT) &&
        client->options.eight_bit == SMTP_EIGHT_BIT_BOUNCE && !takes_8bit(client)) {
        verdict_local(verdict, SMTP_OUTCOME_REFUSED, SMTP_STAGE_MAIL, 554, ENHANCED(5, 6, 3),
                      mail_is_8bit);
        return true;
    }
    return false;
}

/* False: it got its verdict. */
static bool check_recipient(const struct smtp_client *client, struct smtp_transaction *transaction,
                            struct smtp_transaction_recipient *recipient)
{
    bool utf8 = false;
    if (recipient->to.address.len == 0 || !address_is_sound(recipient->to.address, &utf8)) {
        verdict_local(&recipient->verdict, SMTP_OUTCOME_REFUSED, SMTP_STAGE_RCPT, 553,
                      ENHANCED(5, 1, 3), address_is_bad);
        return false;
    }
    if (utf8 && !(client->extensions & SMTP_EXT_SMTPUTF8)) {
        verdict_local(&recipient->verdict, SMTP_OUTCOME_REFUSED, SMTP_STAGE_RCPT, 553,
                      ENHANCED(5, 6, 7), address_is_utf8);
        return false;
    }
    transaction->utf8 |= utf8;
    return true;
}

struct domain_set { /* the distinct domains of a transaction (RFC 9422, RCPTDOMAINMAX) */
    uint32_t count, max;
    struct bytes domains[SMTP_CLIENT_DOMAINS_MAX];
};

static bool domain_fits(struct domain_set *set, struct bytes address)
{
    const struct bytes domain = smtp_domain_of(address);
    for (uint32_t i = 0; i < set->count; i++) {
        if (bytes_equal_nocase(set->domains[i], domain)) return true;
    }
    if (set->count == set->max) return false;
    set->domains[set->count++] = domain;
    return true;
}

bool offer_check(struct smtp_client *client, struct smtp_transaction *transaction)
{
    const struct smtp_client_limits *limits = &client->limits;
    struct domain_set domains = {.max = MIN(limits->rcpt_domain_max, SMTP_CLIENT_DOMAINS_MAX)};
    uint32_t left = 0;

    if (check_message(client, transaction)) return false;
    for (uint32_t i = 0; i < transaction->recipient_count; i++) {
        struct smtp_transaction_recipient *recipient = &transaction->recipients[i];
        if (!check_recipient(client, transaction, recipient)) continue;
        if ((limits->rcpt_max > 0 && left == limits->rcpt_max) ||
            (domains.max > 0 && !domain_fits(&domains, recipient->to.address))) {
            verdict_not_tried(&recipient->verdict, SMTP_STAGE_RCPT);
            transaction->many = true;
            continue;
        }
        left += 1;
    }
    return left > 0;
}
