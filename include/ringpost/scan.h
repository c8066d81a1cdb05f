/* SPDX-License-Identifier: Apache-2.0
 *
 * scan - SIMD scanning of SMTP streams: line ends, end of data, leading dots, octet classes
 *
 * Job     the loops that touch every octet of a message, once. Each function has a scalar form,
 *         which is its specification, and NEON, AVX2 and AVX-512 forms that give the same results.
 * Choice  simd.h: before main(), by the features of the CPU.
 * Owner   nothing is kept: the caller owns all memory. Pure functions; any thread may call them.
 * Errors  none: what is odd about the octets is reported as data.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Offset of the first CR that a LF follows; len if there is none. */
size_t scan_find_crlf(const char *data, size_t len);
/* Has an octet over 127. */
bool scan_has_8bit(const char *data, size_t len);
/* Well-formed UTF-8 (RFC 3629: no surrogates, nothing overlong, at most U+10FFFF). */
bool scan_utf8_is_valid(const char *data, size_t len);
/* Octets of the whole well-formed characters before the first error, or before a character that is
 * cut off at the end; len if all is well. */
size_t scan_utf8_valid_len(const char *data, size_t len);
/* The same for text that comes in pieces, split anywhere, also within characters. */
struct scan_utf8 {
    uint64_t valid; /* octets of whole well-formed characters so far: the offset of an error */
    uint8_t cut_len;
    char cut[3]; /* the beginning of a character, well-formed as far as it goes */
    bool broken;
};
void scan_utf8_init(struct scan_utf8 *utf8);
bool scan_utf8_feed(struct scan_utf8 *utf8, const char *data, size_t len); /* false: an error */
bool scan_utf8_finish(const struct scan_utf8 *utf8); /* all well, and no character cut off */
/* CRC-32C (RFC 3720 appendix B.4). Seed 0 begins; the result of one call is the seed of the next.
 */
uint32_t scan_crc32c(uint32_t seed, const void *data, size_t len);

/* ---- the content reader: octets of DATA or BDAT on their way into the store ------------------
 *
 * One pass copies, takes stuffed dots out (DATA), finds the end (DATA) and classifies. Only CRLF
 * ends a line and only CRLF "." CRLF ends the data, with the CRLF of the DATA command counting for
 * the first (RFC 5321 section 4.1.1.4): whatever else somebody might take for an end is content and
 * is reported as SCAN_BARE_CR or SCAN_BARE_LF. Any split of the same octets gives the same results.
 */
enum scan_class {
    SCAN_8BIT = 1 << 0,        /* an octet over 127 */
    SCAN_NUL = 1 << 1,         /* an octet 0 */
    SCAN_BARE_CR = 1 << 2,     /* a CR that no LF follows */
    SCAN_BARE_LF = 1 << 3,     /* a LF that no CR precedes */
    SCAN_LEADING_DOT = 1 << 4, /* a line that begins with "." after unstuffing */
};
enum scan_state {
    SCAN_LINE_START = 0, /* behind a CRLF, or at the very start */
    SCAN_IN_LINE,
    SCAN_AFTER_CR,     /* the CR has been written */
    SCAN_AFTER_DOT,    /* DATA: CRLF "." came; the dot is not written: stuffed, or the end */
    SCAN_AFTER_DOT_CR, /* DATA: CRLF "." CR came; the CR is not written yet */
    SCAN_END,          /* DATA: CRLF "." CRLF came; what follows is not content */
};
struct scan_reader {
    uint8_t state;     /* enum scan_state */
    uint8_t classes;   /* bits of enum scan_class */
    bool dots;         /* DATA: unstuff and look for the end; BDAT: all octets are content */
    uint64_t octets;   /* written so far: the length of the content, its last CRLF included */
    uint64_t line;     /* octets of the unfinished line, with a CR that may be its end */
    uint64_t line_max; /* longest finished line, without CRLF; after scan_reader_finish(): of all */
};
struct scan_progress {
    size_t taken;   /* octets of the source */
    size_t written; /* octets in the destination */
};
void scan_reader_init(struct scan_reader *reader, bool dots);
/* Goes on until the source is used up, the destination is full or the end is found. The octets of
 * the source behind the end are not touched. src and dst do not overlap. dst may be written beyond
 * ->written, within cap. A CR held back by an earlier call may make written = taken + 1. */
struct scan_progress scan_read(struct scan_reader *reader, const char *src, size_t len, char *dst,
                               size_t cap);
/* No more octets come (end of data found, or last chunk complete): settles what was open, a last
 * CR without LF and a last line without CRLF. DATA: only in SCAN_END. */
void scan_reader_finish(struct scan_reader *reader);
/* The longest line as known now, the unfinished one included. */
static inline uint64_t scan_reader_longest(const struct scan_reader *reader)
{
    /* The CR that has come may be the line's end: it counts when it turns out to be bare. */
    const uint64_t line = reader->line - (reader->state == SCAN_AFTER_CR);
    return line > reader->line_max ? line : reader->line_max;
}

/* ---- dot-stuffing for DATA: content that has leading dots, on its way out ----------------------
 */
struct scan_stuffer {
    uint8_t state; /* enum scan_state, one of the first three */
};
static inline void scan_stuffer_init(struct scan_stuffer *stuffer)
{
    stuffer->state = SCAN_LINE_START;
}
/* Copies all of src, doubling each "." at the start of a line; returns the octets written. dst has
 * room for 2 * len octets and does not overlap src. The end of data is not written. */
size_t scan_stuff(struct scan_stuffer *stuffer, const char *src, size_t len, char *dst);
/* The content so far ends in CRLF (or is empty): "." CRLF may follow. */
static inline bool scan_stuffer_at_line_start(const struct scan_stuffer *stuffer)
{
    return stuffer->state == SCAN_LINE_START;
}

#ifdef __cplusplus
}
#endif
