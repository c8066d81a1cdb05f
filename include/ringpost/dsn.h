/* SPDX-License-Identifier: Apache-2.0
 *
 * dsn - delivery status notifications (RFC 3461, 3464, 3834, 6522, 6533)
 *
 * Job     decides whether a notification is due, and writes one: multipart/report of a text for
 *         people, one for programs, and the original or its header. Pure: bytes in, bytes out.
 * Drive   dsn_is_due() for each recipient; gather the recipients of one message for whom it is
 *         into one struct dsn; size = dsn_measure(); dsn_write() into that much memory. The
 *         envelope: null reverse-path, recipient dsn->sender, NOTIFY=NEVER, RET unset,
 *         smtputf8 = dsn_needs_smtputf8().
 * Owner   struct dsn borrows everything; nothing is kept.
 * Safety  all text that a stranger wrote is cleaned of control characters and folded, so that it
 *         cannot begin a field or a part; sizes are bounded by DSN_*_MAX and by what is returned.
 *         Never to the null sender: notifications cannot loop.
 */
#pragma once
#include "ringpost/base.h"
#include "ringpost/smtp.h"

enum {
    DSN_HEADER_MAX = 64 * 1024, /* octets of the original's header returned; then cut at a line */
    DSN_FULL_MAX = 50 * 1024,   /* default for ->full_max */
};

enum dsn_action {
    DSN_FAILED = 0, /* refused, or given up: see ->expired */
    DSN_DELAYED,    /* still trying */
    DSN_RELAYED,    /* accepted by a next hop that offers no DSN */
    DSN_DELIVERED,  /* final delivery (a local transport; a relay never says so) */
};

/* RFC 3461 sections 4.1 and 5.2. notify: bits of enum smtp_notify. */
bool dsn_is_due(enum dsn_action action, uint8_t notify, struct bytes sender);
/* After a 2yz of the next hop: relayed is due only if that hop did not take over the request. */
static inline bool dsn_relayed_is_due(uint8_t notify, struct bytes sender, bool next_hop_dsn)
{
    return !next_hop_dsn && dsn_is_due(DSN_RELAYED, notify, sender);
}

struct dsn_recipient {
    struct bytes address;
    struct bytes orcpt;          /* "rfc822;xtext" as injected, or empty */
    uint8_t action;              /* enum dsn_action */
    bool expired;                /* FAILED because time ran out, not by a refusal */
    bool local;                  /* code and text are our own words, not the receiver's */
    uint16_t code;               /* of the last reply; 0 = none */
    struct bytes text;           /* of the last reply, without codes; any octets */
    struct bytes remote;         /* name or [address] of the host that said so; empty = none */
    struct smtp_enhanced status; /* class 0 = unknown: derived from code and action */
    wall_ms last_attempt;        /* 0 = none */
    wall_ms will_retry_until;    /* DELAYED only; 0 = not said */
};
struct dsn {
    struct bytes reporting_mta; /* our host name */
    struct bytes sender;        /* the original's reverse-path: not null */
    struct bytes id;            /* unique, [A-Za-z0-9.-] only: Message-ID and boundary */
    wall_ms now;
    wall_ms arrival;    /* when the original was accepted; 0 = not said */
    struct bytes envid; /* xtext, as injected, or empty */
    uint8_t ret;        /* enum smtp_ret: FULL returns the original if that is possible */
    const struct dsn_recipient *recipients;
    uint32_t recipient_count;
    /* The original, or its beginning, in pieces that follow each other (trace prefix, content). */
    const struct bytes *original;
    uint32_t original_count;
    bool original_complete; /* false: only its beginning, which is never returned as the whole */
    uint32_t full_max; /* octets; a larger original comes back as its header. 0 = DSN_FULL_MAX */
};

/* Octets that dsn_write() writes. */
size_t dsn_measure(const struct dsn *dsn);
/* Appends the whole message, CRLF at each line's end, none bare, the last included. out must have
 * room for dsn_measure() + 1. Returns bits of enum smtp_content_flag. */
uint8_t dsn_write(const struct dsn *dsn, struct text *out);
/* Its own header holds UTF-8, because the sender's address does. */
bool dsn_needs_smtputf8(const struct dsn *dsn);
