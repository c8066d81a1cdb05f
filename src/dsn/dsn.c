/* SPDX-License-Identifier: Apache-2.0
 *
 * dsn - whether a notification is due, and its frame: multipart/report (RFC 6522)
 */
#include "internal.h"
#include "ringpost/scan.h"

enum { BOUNDARY_MAX = 70, ID_MAX = 50 }; /* RFC 2046 section 5.1.1; of the id in the boundary */

bool dsn_is_due(enum dsn_action action, uint8_t notify, struct bytes sender)
{
    if (sender.len == 0) return false; /* RFC 5321 section 4.5.5: no loops, no backscatter */
    if (notify & SMTP_NOTIFY_NEVER) return false;
    switch (action) {
    case DSN_FAILED:
        return notify == SMTP_NOTIFY_UNSET || (notify & SMTP_NOTIFY_FAILURE);
    case DSN_DELAYED:
        return notify & SMTP_NOTIFY_DELAY;
    case DSN_RELAYED:
    case DSN_DELIVERED:
        return notify & SMTP_NOTIFY_SUCCESS;
    }
    UNREACHABLE("dsn: no such action");
}

bool dsn_needs_smtputf8(const struct dsn *dsn)
{
    return scan_has_8bit(dsn->sender.data, dsn->sender.len);
}

enum dsn_action worst_action(const struct dsn *dsn)
{
    enum dsn_action worst = DSN_DELIVERED;
    for (uint32_t i = 0; i < dsn->recipient_count; i++) {
        const enum dsn_action action = (enum dsn_action)dsn->recipients[i].action;
        worst = MIN(worst, action); /* declared in that order */
    }
    return worst;
}

static const char *subject(enum dsn_action action)
{
    switch (action) {
    case DSN_FAILED:
        return "Mail delivery failed: message could not be delivered";
    case DSN_DELAYED:
        return "Mail delivery delayed: attempts go on";
    case DSN_RELAYED:
        return "Mail delivery report: message was relayed";
    case DSN_DELIVERED:
        return "Mail delivery report: message was delivered";
    }
    UNREACHABLE("dsn: no such action");
}

/* A boundary that the original does not hold. Each occurrence in it spoils one number at most, so
 * that the search ends after original / length of a boundary steps. The other parts cannot hold
 * one at the beginning of a line: what strangers wrote there never begins a line. */
static void choose_boundary(const struct dsn *dsn, struct original_plan plan, struct text *out)
{
    const struct bytes id = {dsn->id.data, MIN(dsn->id.len, ID_MAX)};
    for (unsigned number = 0;; number++) {
        out->len = 0;
        text_printf(out, "=_%.*s_%u", BYTES_FMT(id), number);
        if (!original_contains(dsn, plan.len, text_bytes(out))) return;
    }
}

static void write_header(struct sink *sink, const struct dsn *dsn, struct bytes boundary,
                         bool is_8bit)
{
    sink_date(sink, "Date", dsn->now);
    sink_text(sink, "From: Mail Delivery System <MAILER-DAEMON@");
    sink_clean(sink, dsn->reporting_mta);
    sink_line(sink, ">");
    sink_text(sink, "To: <");
    sink_clean(sink, dsn->sender);
    sink_line(sink, ">");
    sink_text(sink, "Subject: ");
    sink_line(sink, subject(worst_action(dsn)));
    sink_text(sink, "Message-ID: <");
    sink_clean(sink, dsn->id);
    sink_text(sink, "@");
    sink_clean(sink, dsn->reporting_mta);
    sink_line(sink, ">");
    sink_line(sink, "Auto-Submitted: auto-replied");
    sink_line(sink, "MIME-Version: 1.0");
    sink_line(sink, "Content-Type: multipart/report; report-type=delivery-status;");
    sink_text(sink, " boundary=\"");
    sink_put(sink, boundary);
    sink_line(sink, "\"");
    if (is_8bit) sink_line(sink, "Content-Transfer-Encoding: 8bit");
    sink_crlf(sink);
}

static void write_delimiter(struct sink *sink, struct bytes boundary, const char *end)
{
    sink_text(sink, "--");
    sink_put(sink, boundary);
    sink_line(sink, end);
}

static void check_id(struct bytes id)
{
    ASSERT(id.len > 0);
    for (size_t i = 0; i < id.len; i++) {
        const char c = ascii_lower(id.data[i]);
        ASSERT((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-');
    }
}

static void emit(struct sink *sink, const struct dsn *dsn)
{
    char buffer[BOUNDARY_MAX + 1];
    struct text text;
    const struct original_plan plan = original_plan(dsn);
    ASSERT(dsn->sender.len > 0 && dsn->recipient_count > 0);
    check_id(dsn->id);
    text_init(&text, buffer, sizeof(buffer));
    choose_boundary(dsn, plan, &text);
    const struct bytes boundary = text_bytes(&text);
    sink->utf8 = dsn_needs_smtputf8(dsn);

    write_header(sink, dsn, boundary, sink->utf8 || original_is_8bit(plan));
    sink_line(sink, "This is a report in MIME format.");
    sink_crlf(sink);
    write_delimiter(sink, boundary, "");
    sink_line(sink, "Content-Description: Notification");
    sink_line(sink, sink->utf8 ? "Content-Type: text/plain; charset=utf-8"
                               : "Content-Type: text/plain; charset=us-ascii");
    if (sink->utf8) sink_line(sink, "Content-Transfer-Encoding: 8bit");
    sink_crlf(sink);
    people_write(sink, dsn);
    sink_crlf(sink);
    write_delimiter(sink, boundary, "");
    sink_line(sink, "Content-Description: Delivery report");
    sink_line(sink, sink->utf8 ? "Content-Type: message/global-delivery-status"
                               : "Content-Type: message/delivery-status");
    if (sink->utf8) sink_line(sink, "Content-Transfer-Encoding: 8bit");
    sink_crlf(sink);
    status_write(sink, dsn);
    sink_crlf(sink);
    write_delimiter(sink, boundary, "");
    original_write(sink, dsn, plan);
    sink_crlf(sink);
    write_delimiter(sink, boundary, "--");
}

size_t dsn_measure(const struct dsn *dsn)
{
    struct sink sink = {.out = NULL};
    emit(&sink, dsn);
    return sink.total;
}

static uint8_t flags_of(struct bytes message)
{
    uint8_t flags = 0;
    bool header = true;
    for (size_t i = 0; i < message.len; i++) {
        const bool begins_line = i == 0 || message.data[i - 1] == '\n';
        if (begins_line && message.data[i] == '\r') header = false;
        if (begins_line && message.data[i] == '.') flags |= SMTP_CONTENT_LEADING_DOT;
        if ((unsigned char)message.data[i] <= 127) continue;
        flags |= SMTP_CONTENT_8BIT;
        if (header) flags |= SMTP_CONTENT_UTF8_HEADER;
    }
    return flags;
}

uint8_t dsn_write(const struct dsn *dsn, struct text *out)
{
    const size_t start = out->len;
    struct sink sink = {.out = out};
    emit(&sink, dsn);
    ASSERT(!out->cut && out->len == start + sink.total);
    return flags_of((struct bytes){out->data + start, out->len - start});
}
