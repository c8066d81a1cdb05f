/* SPDX-License-Identifier: Apache-2.0
 *
 * people - the part of a report that people read (RFC 3464 section 1, item (a) of 6522 section 3)
 */
#include "internal.h"

enum { WIDTH = 76 };
static const char indent[] = "    ";

static const char *opening(enum dsn_action action)
{
    switch (action) {
    case DSN_FAILED:
        return "Your message could not be delivered to the recipients below. No further\r\n"
               "attempts will be made for them.\r\n";
    case DSN_DELAYED:
        return "Your message has not been delivered yet to the recipients below. Attempts go\r\n"
               "on: THERE IS NO NEED TO SEND IT AGAIN.\r\n";
    case DSN_RELAYED:
        return "You asked for a report of success. Your message was passed on for the\r\n"
               "recipients below to mail systems that may send no further report.\r\n";
    case DSN_DELIVERED:
        return "Your message was delivered to the recipients below.\r\n";
    }
    UNREACHABLE("dsn: no such action");
}

/* "mx.example said: 550 5.1.1 No such user", or our own words. */
static void write_reason(struct sink *sink, const struct dsn_recipient *recipient)
{
    if (recipient->code == 0 && recipient->text.len == 0) return;
    sink_text(sink, indent);
    if (!recipient->local && recipient->remote.len > 0) {
        sink_clean(sink, recipient->remote);
        sink_text(sink, " said: ");
    }
    reply_codes_write(sink, recipient);
    sink_folded(sink, reply_text(recipient), "        ", WIDTH);
    sink_crlf(sink);
}

static void write_recipient(struct sink *sink, const struct dsn_recipient *recipient)
{
    sink_crlf(sink);
    sink_text(sink, "<");
    sink_address(sink, recipient->address);
    sink_line(sink, ">");
    if (recipient->action == DSN_FAILED && recipient->expired) {
        sink_text(sink, indent);
        sink_line(sink, "The time for delivery has run out. The last attempt ended so:");
    }
    write_reason(sink, recipient);
    if (recipient->action == DSN_DELAYED && recipient->will_retry_until > 0) {
        sink_text(sink, indent);
        sink_date(sink, "Attempts go on until", recipient->will_retry_until);
    }
}

void people_write(struct sink *sink, const struct dsn *dsn)
{
    static const enum dsn_action order[] = {DSN_FAILED, DSN_DELAYED, DSN_RELAYED, DSN_DELIVERED};
    sink_text(sink, "This is the mail system at host ");
    sink_clean(sink, dsn->reporting_mta);
    sink_line(sink, ".");
    for (size_t i = 0; i < ARRAY_COUNT(order); i++) {
        bool opened = false;
        for (uint32_t r = 0; r < dsn->recipient_count; r++) {
            if (dsn->recipients[r].action != order[i]) continue;
            if (!opened) {
                sink_crlf(sink);
                sink_text(sink, opening(order[i]));
                opened = true;
            }
            write_recipient(sink, &dsn->recipients[r]);
        }
    }
}
