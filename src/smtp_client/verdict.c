/* SPDX-License-Identifier: Apache-2.0
 *
 * verdict - from a reply to what it means for the recipients (RFC 5321 section 4.2)
 *
 * The first digit decides; the few codes with a meaning of their own are named here.
 */
#include "internal.h"

/* Only what is valid: copying 512 octets of nothing for each recipient is felt. */
void verdict_copy(struct smtp_verdict *to, const struct smtp_verdict *from)
{
    memcpy(to, from, offsetof(struct smtp_verdict, text) + from->text_len);
}

static void put_text(struct smtp_verdict *verdict, struct bytes text)
{
    verdict->text_len = (uint16_t)MIN(text.len, sizeof(verdict->text));
    if (verdict->text_len > 0) memcpy(verdict->text, text.data, verdict->text_len);
}

static enum smtp_outcome outcome_of(uint16_t code)
{
    if (code < 300) return SMTP_OUTCOME_DELIVERED;
    return code >= 500 ? SMTP_OUTCOME_REFUSED : SMTP_OUTCOME_DEFERRED;
}

void verdict_of_reply(struct smtp_verdict *verdict, enum smtp_stage stage,
                      const struct smtp_reply *reply)
{
    verdict->outcome = outcome_of(reply->code);
    verdict->stage = stage;
    verdict->local = false;
    verdict->code = reply->code;
    verdict->enhanced = reply->enhanced;
    put_text(verdict, smtp_reply_text(reply));
}

void verdict_local(struct smtp_verdict *verdict, enum smtp_outcome outcome, enum smtp_stage stage,
                   uint16_t code, struct smtp_enhanced enhanced, const char *text)
{
    verdict->outcome = outcome;
    verdict->stage = stage;
    verdict->local = true;
    verdict->code = code;
    verdict->enhanced = enhanced;
    put_text(verdict, bytes_of(text));
}

void verdict_not_tried(struct smtp_verdict *verdict, enum smtp_stage stage)
{
    verdict_local(verdict, SMTP_OUTCOME_NOT_TRIED, stage, 0, (struct smtp_enhanced){0}, "");
}

/* x.1.z, x.2.z and x.7.z speak of the address, the mailbox, the policy: of this recipient. */
static bool is_about_the_recipient(struct smtp_enhanced code)
{
    return code.class != 0 && (code.subject == 1 || code.subject == 2 || code.subject == 7);
}

void verdict_of_rcpt(struct smtp_verdict *verdict, const struct smtp_reply *reply,
                     uint32_t accepted)
{
    verdict_of_reply(verdict, SMTP_STAGE_RCPT, reply);
    if (reply->code != 452 && reply->code != 552) return;
    if (is_about_the_recipient(reply->enhanced)) return;

    /* Too many recipients. 552 for it comes from RFC 821 and is taken as 452 (RFC 5321 section
     * 4.5.3.1.10). Behind accepted ones it costs nothing: they go on, this one goes next time. */
    verdict->outcome = accepted > 0 ? SMTP_OUTCOME_NOT_TRIED : SMTP_OUTCOME_DEFERRED;
}

static bool contains_nocase(struct bytes text, struct bytes word)
{
    for (size_t i = 0; i + word.len <= text.len; i++) {
        if (bytes_equal_nocase((struct bytes){text.data + i, word.len}, word)) return true;
    }
    return false;
}

bool verdict_blames_order(const struct smtp_reply *reply)
{
    /* Our commands are known, well formed and in order, so that these show that the receiver lost
     * some of them (or bytes of them). */
    if (reply->code == 500 || reply->code == 502 || reply->code == 503) return true;
    if (reply->code < 500) return false;
    return contains_nocase(smtp_reply_text(reply), BYTES("pipelin")) ||
           contains_nocase(smtp_reply_text(reply), BYTES("synchroni"));
}
