/* SPDX-License-Identifier: Apache-2.0
 *
 * internal - what the files of dsn share
 *
 *     dsn.c       is one due; header and frame of the report, the choice of its form
 *     people.c    the part for people
 *     status.c    the part for programs
 *     original.c  the original message, or its header
 *     sink.c      where all of it goes: cleaning, folding
 */
#pragma once
#include "ringpost/dsn.h"

/* ---- sink: octets of the report, written or only counted ----------------------------------------
 */

struct sink {
    struct text *out; /* NULL: only count */
    size_t total;
    size_t column; /* octets since the last CRLF */
    bool utf8;     /* UTF-8 may stand as it is; else every octet over 127 is replaced */
};
void sink_put(struct sink *sink, struct bytes bytes); /* as they are */
void sink_text(struct sink *sink, const char *text);
void sink_crlf(struct sink *sink);
void sink_line(struct sink *sink, const char *text); /* and CRLF */
void sink_number(struct sink *sink, unsigned value);
void sink_date(struct sink *sink, const char *name, wall_ms time); /* a whole field */
void sink_enhanced(struct sink *sink, struct smtp_enhanced code);

/* A stranger's text without a place to break: at most SINK_WORD_MAX octets of it. */
enum { SINK_WORD_MAX = 900 };
void sink_clean(struct sink *sink, struct bytes text);
/* The same with octets over 127 as \x{...} when UTF-8 may not stand (RFC 6533 section 3). */
void sink_address(struct sink *sink, struct bytes address);
/* A stranger's text, cleaned, runs of spaces as one, broken before words so that lines stay within
 * width; each further line begins with indent, which is white space. */
void sink_folded(struct sink *sink, struct bytes text, const char *indent, size_t width);

/* Length of the UTF-8 character (RFC 3629) at the front, 0 if there is none. */
size_t sink_character(struct bytes text, uint32_t *codepoint);

/* ---- the original
 * -------------------------------------------------------------------------------- */

enum original_form {
    ORIGINAL_HEADER = 0,     /* text/rfc822-headers */
    ORIGINAL_HEADER_ENCODED, /* the same in quoted-printable: 8-bit, or lines over 998 */
    ORIGINAL_HEADER_UTF8,    /* message/global-headers */
    ORIGINAL_FULL,           /* message/rfc822 */
    ORIGINAL_FULL_8BIT,
    ORIGINAL_FULL_UTF8, /* message/global */
    ORIGINAL_FORM_COUNT,
};
struct original_plan {
    enum original_form form;
    size_t len; /* octets from its beginning */
};
struct original_plan original_plan(const struct dsn *dsn);
bool original_is_8bit(struct original_plan plan); /* is written with octets over 127 */
bool original_contains(const struct dsn *dsn, size_t len, struct bytes needle);
void original_write(struct sink *sink, const struct dsn *dsn, struct original_plan plan);

/* ---- parts
 * --------------------------------------------------------------------------------------- */

enum dsn_action worst_action(const struct dsn *dsn); /* FAILED before DELAYED before the others */
void people_write(struct sink *sink, const struct dsn *dsn);
void status_write(struct sink *sink, const struct dsn *dsn);
/* "550 5.1.1 " in front of the reply's text; our own words have no code. */
void reply_codes_write(struct sink *sink, const struct dsn_recipient *recipient);
enum { REPLY_TEXT_MAX = 1000 };
static inline struct bytes reply_text(const struct dsn_recipient *recipient)
{
    return (struct bytes){recipient->text.data, MIN(recipient->text.len, REPLY_TEXT_MAX)};
}
