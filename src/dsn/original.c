/* SPDX-License-Identifier: Apache-2.0
 *
 * original - the last part of a report: the original message, or its header (RFC 6522 section 3)
 *
 * The original lies in pieces, cut anywhere. A bounded number of octets is read.
 */
#include "internal.h"
#include "ringpost/codec/quoted_printable.h"
#include "ringpost/scan.h"

enum { LINE_MAX_OCTETS = 998 };

struct reader {
    const struct bytes *pieces;
    uint32_t left; /* pieces, with the one being read */
    size_t offset; /* in it */
    size_t read;   /* octets so far */
    size_t len;    /* reads so many at most */
};

static struct reader reader_of(const struct dsn *dsn, size_t len)
{
    return (struct reader){dsn->original, dsn->original_count, 0, 0, len};
}

static void skip_empty(struct reader *reader)
{
    while (reader->left > 0 && reader->offset == reader->pieces->len) {
        reader->pieces += 1;
        reader->left -= 1;
        reader->offset = 0;
    }
}

/* -1 at the end. */
static int next_octet(struct reader *reader)
{
    skip_empty(reader);
    if (reader->read == reader->len || reader->left == 0) return -1;
    reader->read += 1;
    return (unsigned char)reader->pieces->data[reader->offset++];
}

/* What is left of the present piece, or all of the next one; empty at the end. */
static struct bytes next_piece(struct reader *reader)
{
    skip_empty(reader);
    if (reader->left == 0 || reader->read == reader->len) return (struct bytes){"", 0};
    const struct bytes rest = bytes_skip(*reader->pieces, reader->offset);
    const struct bytes piece = {rest.data, MIN(rest.len, reader->len - reader->read)};
    reader->offset += piece.len;
    reader->read += piece.len;
    return piece;
}

struct census {        /* of a number of octets */
    size_t header_len; /* up to the empty line; all of it if there is none */
    size_t line_end;   /* behind the last CRLF */
    bool body;         /* the empty line was seen */
    bool odd;          /* NUL, bare CR or LF, or a line that is too long */
    bool header_odd;
    bool has_8bit, header_8bit;
};

static struct census take_census(const struct dsn *dsn, size_t len)
{
    struct census census = {0};
    struct reader reader = reader_of(dsn, len);
    size_t line_len = 0, before_piece = 0;
    unsigned char before = 0;
    for (struct bytes piece; (piece = next_piece(&reader)).len > 0; before_piece += piece.len) {
        for (size_t i = 0; i < piece.len; i++) {
            const unsigned char c = (unsigned char)piece.data[i];
            if ((before == '\r') != (c == '\n') || c == '\0') census.odd = true;
            before = c;
            if (c > 127) census.has_8bit = true;
            line_len += c != '\r' && c != '\n';
            if (line_len > LINE_MAX_OCTETS) census.odd = true;
            if (c != '\n') continue;
            if (line_len == 0 && !census.body) {
                census.body = true;
                census.header_len = census.line_end;
                census.header_odd = census.odd;
                census.header_8bit = census.has_8bit;
            }
            census.line_end = before_piece + i + 1;
            line_len = 0;
        }
    }
    if (before == '\r') census.odd = true;
    if (!census.body) {
        /* Cut, or nothing but a header: whole lines of it. */
        census.header_len = census.line_end;
        census.header_odd = census.odd;
        census.header_8bit = census.has_8bit;
    }
    return census;
}

static bool is_utf8(const struct dsn *dsn, size_t len)
{
    struct reader reader = reader_of(dsn, len);
    struct scan_utf8 utf8;
    scan_utf8_init(&utf8);
    for (struct bytes piece; (piece = next_piece(&reader)).len > 0;)
        scan_utf8_feed(&utf8, piece.data, piece.len);
    return scan_utf8_finish(&utf8);
}

static size_t total_len(const struct dsn *dsn)
{
    size_t len = 0;
    for (uint32_t i = 0; i < dsn->original_count; i++)
        len += dsn->original[i].len;
    return len;
}

/* RET=FULL is for failures only (RFC 3461 section 4.3). */
static bool may_be_full(const struct dsn *dsn, size_t len)
{
    const size_t max = dsn->full_max > 0 ? dsn->full_max : DSN_FULL_MAX;
    return dsn->ret == SMTP_RET_FULL && dsn->original_complete && len <= max &&
           worst_action(dsn) == DSN_FAILED;
}

struct original_plan original_plan(const struct dsn *dsn)
{
    const size_t len = total_len(dsn);
    if (may_be_full(dsn, len)) {
        const struct census census = take_census(dsn, len);
        if (!census.odd) {
            const bool utf8 = census.header_8bit && is_utf8(dsn, census.header_len);
            return (struct original_plan){utf8              ? ORIGINAL_FULL_UTF8
                                          : census.has_8bit ? ORIGINAL_FULL_8BIT
                                                            : ORIGINAL_FULL,
                                          len};
        }
    }
    const struct census census = take_census(dsn, MIN(len, DSN_HEADER_MAX));
    const bool utf8 = census.header_8bit && !census.header_odd && dsn_needs_smtputf8(dsn) &&
                      is_utf8(dsn, census.header_len);
    return (struct original_plan){utf8 ? ORIGINAL_HEADER_UTF8
                                  : census.header_8bit || census.header_odd
                                      ? ORIGINAL_HEADER_ENCODED
                                      : ORIGINAL_HEADER,
                                  census.header_len};
}

bool original_contains(const struct dsn *dsn, size_t len, struct bytes needle)
{
    struct reader reader = reader_of(dsn, len);
    do {
        struct reader probe = reader;
        size_t equal = 0;
        while (equal < needle.len && next_octet(&probe) == (unsigned char)needle.data[equal])
            equal += 1;
        if (equal == needle.len) return true;
    } while (next_octet(&reader) >= 0);
    return false;
}

static void write_as_it_is(struct sink *sink, struct reader reader)
{
    for (struct bytes piece; (piece = next_piece(&reader)).len > 0;)
        sink_put(sink, piece);
}

static void write_encoded(struct sink *sink, struct reader reader)
{
    struct codec_qp_encoder encoder;
    char encoded[4 * CODEC_ROOM_MIN];
    codec_qp_encoder_init(&encoder, CODEC_QP_ESCAPE_FROM);
    for (struct bytes piece; (piece = next_piece(&reader)).len > 0;) {
        while (piece.len > 0) {
            const struct codec_progress done =
                codec_qp_encoder_feed(&encoder, piece.data, piece.len, encoded, sizeof(encoded));
            sink_put(sink, (struct bytes){encoded, done.written});
            piece = bytes_skip(piece, done.taken);
        }
    }
    const size_t last = codec_qp_encoder_finish(&encoder, encoded);
    sink_put(sink, (struct bytes){encoded, last});
}

static const struct {
    const char *type, *encoding, *description;
} forms[] = {
    [ORIGINAL_HEADER] = {"text/rfc822-headers; charset=us-ascii", "7bit", "Message header"},
    [ORIGINAL_HEADER_ENCODED] = {"text/rfc822-headers; charset=utf-8", "quoted-printable",
                                 "Message header"},
    [ORIGINAL_HEADER_UTF8] = {"message/global-headers", "8bit", "Message header"},
    [ORIGINAL_FULL] = {"message/rfc822", "7bit", "Message"},
    [ORIGINAL_FULL_8BIT] = {"message/rfc822", "8bit", "Message"},
    [ORIGINAL_FULL_UTF8] = {"message/global", "8bit", "Message"},
};
static_assert(ARRAY_COUNT(forms) == ORIGINAL_FORM_COUNT, "one row for each form");

bool original_is_8bit(struct original_plan plan)
{
    return strcmp(forms[plan.form].encoding, "8bit") == 0;
}

void original_write(struct sink *sink, const struct dsn *dsn, struct original_plan plan)
{
    const struct reader reader = reader_of(dsn, plan.len);
    sink_text(sink, "Content-Description: ");
    sink_line(sink, forms[plan.form].description);
    sink_text(sink, "Content-Type: ");
    sink_line(sink, forms[plan.form].type);
    sink_text(sink, "Content-Transfer-Encoding: ");
    sink_line(sink, forms[plan.form].encoding);
    sink_crlf(sink);
    if (plan.form == ORIGINAL_HEADER_ENCODED) {
        write_encoded(sink, reader);
    } else {
        write_as_it_is(sink, reader);
    }
}
