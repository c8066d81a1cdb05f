/* SPDX-License-Identifier: Apache-2.0
 *
 * status - the part of a report that programs read: message/delivery-status (RFC 3464 section 2)
 */
#include "internal.h"
#include "ringpost/scan.h"

enum { WIDTH = 76 };

static const struct {
    const char *name;
    uint8_t class; /* of its status */
} actions[] = {
    [DSN_FAILED] = {"failed", 5},
    [DSN_DELAYED] = {"delayed", 4},
    [DSN_RELAYED] = {"relayed", 2},
    [DSN_DELIVERED] = {"delivered", 2},
};

/* The class agrees with the action. A failure by time keeps 4.y.z: the code of the actual problem
 * is wanted, and "sending in the future may be successful" (RFC 3463 sections 2 and 3.5). */
static struct smtp_enhanced status_of(const struct dsn_recipient *recipient)
{
    const bool expired = recipient->action == DSN_FAILED && recipient->expired;
    const struct smtp_enhanced given = recipient->status;
    const uint8_t by_code = recipient->code >= 200 ? (uint8_t)(recipient->code / 100) : 0;
    const uint8_t class = expired ? 4 : actions[recipient->action].class;

    if (given.class == 0 && by_code == 0 && expired) return (struct smtp_enhanced){4, 4, 7};
    if (given.class == class || (expired && given.class == 5)) return given;
    if (class != 2 && (given.class == 4 || given.class == 5)) {
        return (struct smtp_enhanced){class, given.subject, given.detail};
    }
    return (struct smtp_enhanced){class, 0};
}

void reply_codes_write(struct sink *sink, const struct dsn_recipient *recipient)
{
    if (recipient->code == 0 || recipient->local) return;
    sink_number(sink, recipient->code);
    sink_text(sink, " ");
    if (recipient->status.class == 0) return;
    sink_enhanced(sink, recipient->status);
    sink_text(sink, " ");
}

/* RFC 3464 section 2.3.2: decoded, so that it reads as the sender wrote it. A type that is no atom
 * is none of ours to repeat. */
static void write_original_recipient(struct sink *sink, struct bytes orcpt)
{
    char decoded[SMTP_ORCPT_MAX + 1];
    struct text text;
    size_t type_len = 0;
    while (type_len < orcpt.len && orcpt.data[type_len] != ';') {
        const char c = ascii_lower(orcpt.data[type_len]);
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-')) return;
        type_len += 1;
    }
    if (type_len == 0 || type_len > 40 || type_len == orcpt.len) return;
    const struct bytes type = {orcpt.data, type_len};
    struct bytes address = bytes_skip(orcpt, type_len + 1);

    /* "utf-8" has an encoding of its own, which stays (RFC 6533 section 3). */
    text_init(&text, decoded, sizeof(decoded));
    if (!bytes_equal_nocase(type, BYTES("utf-8")) && smtp_xtext_decode(address, &text) &&
        !text.cut) {
        address = text_bytes(&text);
    }
    sink_text(sink, "Original-Recipient: ");
    sink_put(sink, type);
    sink_text(sink, "; ");
    sink_address(sink, address);
    sink_crlf(sink);
}

static void write_diagnostic(struct sink *sink, const struct dsn_recipient *recipient)
{
    const struct bytes text = reply_text(recipient);
    const bool said = recipient->code > 0 && !recipient->local;
    if (!said && text.len == 0) return;
    sink_text(sink, said ? "Diagnostic-Code: smtp; " : "Diagnostic-Code: X-Ringpost; ");
    reply_codes_write(sink, recipient);
    sink_folded(sink, text, " ", WIDTH);
    sink_crlf(sink);
}

static void write_recipient(struct sink *sink, const struct dsn_recipient *recipient)
{
    sink_crlf(sink);
    write_original_recipient(sink, recipient->orcpt);
    sink_text(sink, "Final-Recipient: ");
    const bool utf8 = scan_has_8bit(recipient->address.data, recipient->address.len);
    sink_text(sink, utf8 ? "utf-8; " : "rfc822; ");
    sink_address(sink, recipient->address);
    sink_crlf(sink);
    sink_text(sink, "Action: ");
    sink_line(sink, actions[recipient->action].name);
    sink_text(sink, "Status: ");
    sink_enhanced(sink, status_of(recipient));
    sink_crlf(sink);
    if (recipient->remote.len > 0) {
        sink_text(sink, "Remote-MTA: dns; ");
        sink_clean(sink, recipient->remote);
        sink_crlf(sink);
    }
    write_diagnostic(sink, recipient);
    if (recipient->last_attempt > 0) sink_date(sink, "Last-Attempt-Date", recipient->last_attempt);
    if (recipient->action == DSN_DELAYED && recipient->will_retry_until > 0) {
        sink_date(sink, "Will-Retry-Until", recipient->will_retry_until);
    }
}

static void write_envelope_id(struct sink *sink, struct bytes envid)
{
    char decoded[SMTP_ENVID_MAX + 1];
    struct text text;
    text_init(&text, decoded, sizeof(decoded));
    if (envid.len == 0 || !smtp_xtext_decode(envid, &text) || text.cut) return;
    sink_text(sink, "Original-Envelope-Id: ");
    sink_clean(sink, text_bytes(&text));
    sink_crlf(sink);
}

void status_write(struct sink *sink, const struct dsn *dsn)
{
    write_envelope_id(sink, dsn->envid);
    sink_text(sink, "Reporting-MTA: dns; ");
    sink_clean(sink, dsn->reporting_mta);
    sink_crlf(sink);
    if (dsn->arrival > 0) sink_date(sink, "Arrival-Date", dsn->arrival);
    for (uint32_t i = 0; i < dsn->recipient_count; i++)
        write_recipient(sink, &dsn->recipients[i]);
}
