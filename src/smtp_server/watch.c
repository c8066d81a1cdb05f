/* SPDX-License-Identifier: Apache-2.0
 *
 * watch - observes the header section of content that passes by, in any pieces
 *
 * Nothing is kept but counts, flags, ranges and the name of the field being read. The section ends
 * at the first empty line (RFC 5322 section 2.1). A line that is no field does not end it: what a
 * lenient reader further on takes for header must not escape us. Only where the very first line is
 * none there is no header: the trace on top gets an empty line behind it, so nobody can take the
 * content for anything but the body. Names may have blanks before the colon (section 4.5, obsolete
 * syntax). Lines are taken to end in LF: a header with a bare one never gets as far as to matter.
 */
#include "ringpost/smtp_server.h"

enum watch_state {
    WATCH_LINE_START = 0,
    WATCH_NAME,       /* in what may be the name of a field */
    WATCH_NAME_BLANK, /* blanks behind it */
    WATCH_REST,       /* up to the end of the line */
    WATCH_CR,         /* a CR at the start of a line: an empty one, if LF follows */
    WATCH_DONE,       /* in the body */
};
enum { NAME_MAX_LEN = sizeof(((struct smtp_server_watch *)0)->name) };

void smtp_server_watch_init(struct smtp_server_watch *watch)
{
    *watch = (struct smtp_server_watch){.state = WATCH_LINE_START};
}

/* The field being read ends before this offset. */
static void end_field(struct smtp_server_watch *watch, uint64_t offset)
{
    struct smtp_server_header *header = &watch->header;
    if (!watch->in_cut) return;
    watch->in_cut = false;
    if (header->cut_count < SMTP_SERVER_CUTS_MAX) {
        header->cuts[header->cut_count] =
            (struct smtp_server_cut){watch->field_start, offset - watch->field_start};
    }
    header->cut_count += 1;
}

static void end_header(struct smtp_server_watch *watch, uint64_t offset)
{
    end_field(watch, offset);
    watch->header.len = offset;
    watch->header.ended = true;
    watch->state = WATCH_DONE;
}

/* The line is no field. */
static void end_name(struct smtp_server_watch *watch)
{
    if (watch->field_start > 0) {
        watch->state = WATCH_REST;
    } else {
        watch->header.no_header = true;
        end_header(watch, 0);
    }
}

static bool name_is(const struct smtp_server_watch *watch, struct bytes name)
{
    return bytes_equal((struct bytes){watch->name, watch->name_len}, name);
}

/* The colon has come. */
static void take_name(struct smtp_server_watch *watch)
{
    struct smtp_server_header *header = &watch->header;
    watch->state = WATCH_REST;
    if (watch->name_len > NAME_MAX_LEN) return; /* longer than any that matters */
    header->has_date |= name_is(watch, BYTES("date"));
    header->has_from |= name_is(watch, BYTES("from"));
    header->has_message_id |= name_is(watch, BYTES("message-id"));
    header->received += name_is(watch, BYTES("received"));
    watch->in_cut = name_is(watch, BYTES("return-path"));
}

static void take_name_octet(struct smtp_server_watch *watch, char octet)
{
    if (watch->name_len < NAME_MAX_LEN) watch->name[watch->name_len] = ascii_lower(octet);
    if (watch->name_len <= NAME_MAX_LEN) watch->name_len += 1;
}

static bool is_name_octet(char octet) /* ftext, RFC 5322 section 3.6.8; the colon is dealt with */
{
    return octet > 32 && octet < 127;
}

/* The first letters of the names that take_name() looks for: most fields need no closer look. */
static bool may_matter(char octet)
{
    const char lower = ascii_lower(octet);
    return lower == 'd' || lower == 'f' || lower == 'm' || lower == 'r';
}

static void begin_line(struct smtp_server_watch *watch, char octet, uint64_t offset)
{
    if (octet == '\r') {
        watch->state = WATCH_CR;
    } else if (offset == 0) {
        watch->state = WATCH_NAME;
        if (octet == ':' || !is_name_octet(octet)) {
            end_name(watch);
        } else {
            take_name_octet(watch, octet);
        }
    } else if (octet == ' ' || octet == '\t') {
        watch->state = WATCH_REST; /* folded: the field goes on */
    } else if (octet != '\n') {
        end_field(watch, offset);
        watch->field_start = offset;
        watch->name_len = 0;
        watch->state = WATCH_REST;
        if (may_matter(octet)) {
            watch->state = WATCH_NAME;
            take_name_octet(watch, octet);
        }
    }
}

static void watch_octet(struct smtp_server_watch *watch, char octet, uint64_t offset)
{
    switch ((enum watch_state)watch->state) {
    case WATCH_LINE_START:
        begin_line(watch, octet, offset);
        return;
    case WATCH_NAME:
    case WATCH_NAME_BLANK:
        if (octet == ':') {
            take_name(watch);
        } else if (octet == '\n') {
            watch->state = WATCH_LINE_START;
        } else if (octet == ' ' || octet == '\t') {
            watch->state = WATCH_NAME_BLANK;
        } else if (watch->state == WATCH_NAME && is_name_octet(octet)) {
            take_name_octet(watch, octet);
        } else {
            end_name(watch);
        }
        return;
    case WATCH_CR:
        if (octet == '\n') {
            end_header(watch, offset - 1);
        } else {
            watch->state = WATCH_REST;
        }
        return;
    case WATCH_REST:
        if (octet == '\n') watch->state = WATCH_LINE_START;
        return;
    case WATCH_DONE:
        return;
    }
    UNREACHABLE("watch: no such state");
}

/* The header of binary content: what else has no bare CR or LF anywhere. */
static void look_for_odd(struct smtp_server_watch *watch, const char *data, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        const char c = data[i];
        if (c == '\0' || (watch->last == '\r') != (c == '\n')) watch->header.odd = true;
        watch->last = c;
    }
}

void smtp_server_watch_feed(struct smtp_server_watch *watch, const char *data, size_t len)
{
    if (watch->state == WATCH_DONE || len == 0) return;
    size_t at = 0;
    while (at < len && watch->state != WATCH_DONE) {
        if (watch->state == WATCH_REST) {
            const char *lf = memchr(data + at, '\n', len - at);
            at = lf ? (size_t)(lf - data) : len;
            if (lf == NULL) break;
        }
        watch_octet(watch, data[at], watch->offset + at);
        at += 1;
    }
    watch->offset += at;
    watch->header.has_8bit |= !watch->header.no_header && scan_has_8bit(data, at);
    if (watch->strict && !watch->header.no_header) look_for_odd(watch, data, at);
}

void smtp_server_watch_finish(struct smtp_server_watch *watch)
{
    if (watch->state == WATCH_NAME || watch->state == WATCH_NAME_BLANK) end_name(watch);
    if (watch->state == WATCH_DONE) return;
    watch->header.odd |= watch->last == '\r';
    end_header(watch, watch->offset);
}
