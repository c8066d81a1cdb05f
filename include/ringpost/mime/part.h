/* SPDX-License-Identifier: Apache-2.0
 *
 * mime/part - the parts of a message: a streaming parser of the part tree (RFC 2045, 2046, 6532)
 *
 * Job     finds where each part's header and body are, what they say of themselves, and what kind
 *         of octets they hold. Decoding bodies is mime/body.h's job.
 * Drive   pull: hand in octets as they come, in pieces of any size; each call gives one event. Any
 *         split gives the same parts, and the same octets of bodies.
 * Owner   the parser is one struct of fixed size (25 KB: not for the stack of a server), the
 *         memory for one header is the caller's, nothing is allocated.
 * Errors  none: whatever is odd is a flag of a part. No input is refused, and the work is linear in
 *         the octets, whatever they are.
 *
 * What ends a part. A delimiter is a line of its own: "--", the boundary, "--" if it is the last,
 * white space (RFC 2046 section 5.1.1), so a boundary that begins like another one is never taken
 * for it. The line end before it belongs to it, and ends in CRLF or LF. The delimiter of an outer
 * multipart ends the inner ones; of two open multiparts with one boundary the inner one has it.
 * Behind its closing delimiter a multipart has no delimiters any more. A line longer than 998
 * octets is none.
 * What ends a header. The empty line, a delimiter, or a line that is no field (mime/field.h).
 */
#pragma once
#include "ringpost/mime/field.h"
#include "ringpost/scan.h"

enum {
    MIME_DEPTH_MAX = 64,         /* levels below the message itself */
    MIME_PARTS_MAX = 10000,      /* default */
    MIME_HEADER_MAX = 64 * 1024, /* default room for one header */
};
#define MIME_NO_PARENT UINT32_MAX

/* Offsets in the message, counted from its first octet. */
struct mime_range {
    uint64_t begin, end; /* end: behind the last octet */
};

enum mime_part_kind {
    MIME_LEAF = 0,  /* its body is octets */
    MIME_MULTIPART, /* its body is preamble, parts, epilogue */
    MIME_MESSAGE,   /* its body is one message: message/rfc822, message/global */
};
/* What the relay and its tools want to know of a type; field.h tells the rest. */
enum mime_type_class {
    MIME_TYPE_TEXT = 0, /* text/anything */
    MIME_TYPE_MULTIPART,
    MIME_TYPE_MULTIPART_SIGNED,    /* RFC 1847 */
    MIME_TYPE_MULTIPART_ENCRYPTED, /* RFC 1847 */
    MIME_TYPE_MESSAGE,             /* message/rfc822, message/global */
    MIME_TYPE_MESSAGE_OTHER,       /* delivery-status, partial, external-body, ... */
    MIME_TYPE_PKCS7,               /* application/pkcs7-mime, x-pkcs7-mime: S/MIME, RFC 8551 */
    MIME_TYPE_OTHER,
};
enum mime_part_flag {
    MIME_PART_HEADER_CUT = 1 << 0,    /* longer than the room: what was beyond it was not read */
    MIME_PART_NO_EMPTY_LINE = 1 << 1, /* a line that is no field or a delimiter ended the header */
    MIME_PART_NO_BOUNDARY = 1 << 2,   /* multipart without usable boundary: a leaf */
    MIME_PART_NO_PARTS = 1 << 3,      /* multipart whose boundary never came: all is preamble */
    MIME_PART_NOT_CLOSED = 1 << 4,    /* multipart without closing delimiter */
    MIME_PART_TOO_DEEP = 1 << 5,      /* multipart or message at the limit of depth: a leaf */
    MIME_PART_TOO_MANY = 1 << 6,      /* delimiters in it were not heeded: the limit of parts */
    MIME_PART_ENCODED = 1 << 7,       /* multipart or message in base64, quoted-printable or what is
                                       * unknown (RFC 2045 section 6.4 forbids): a message is a leaf
                                       * then, a multipart is read as if it were not encoded */
    MIME_PART_REPEATED = 1 << 8,   /* a field of Content-* that may come once came again; the first
                                    * one counts */
    MIME_PART_IN_SIGNED = 1 << 9,  /* is inside multipart/signed: its octets are signed */
    MIME_PART_MBOX_LINE = 1 << 10, /* "From " line before the header of the message itself */
};
enum mime_part_end {
    MIME_END_NONE = 0, /* it goes on */
    MIME_END_BOUNDARY, /* by a delimiter of the multipart that it is in */
    MIME_END_CLOSING,  /* by the closing delimiter of that */
    MIME_END_OUTER,    /* by a delimiter of a multipart further out */
    MIME_END_MESSAGE,  /* the octets were at an end */
};
enum mime_line_end { MIME_NO_LINE_END = 0, MIME_LF, MIME_CRLF };

struct mime_part {
    uint32_t index;  /* in the order of the octets; 0: the message itself */
    uint32_t parent; /* index; MIME_NO_PARENT for 0 */
    uint32_t depth;  /* 0 for the message itself */
    uint32_t number; /* place among its parent's children, from 1 */
    uint32_t children;
    uint16_t flags;   /* enum mime_part_flag */
    uint8_t kind;     /* enum mime_part_kind */
    uint8_t type;     /* enum mime_type_class */
    uint8_t encoding; /* enum mime_encoding */
    uint8_t end;      /* enum mime_part_end */
    uint8_t line_end; /* enum mime_line_end: what the body's last octets are */
    uint8_t classes;  /* enum scan_class, of the body; multipart: of preamble and epilogue */
    uint8_t header_classes;
    uint64_t line_max;        /* longest line of the body, without CRLF; multipart: as above */
    struct mime_range header; /* without the empty line */
    struct mime_range body;   /* without the line end that belongs to the next delimiter */
    struct mime_range preamble, epilogue; /* multipart; within body */
    /* Of the header, first ones, as field.h's ->whole; empty if there is none. */
    struct mime_range content_type, transfer_encoding, disposition;
};

/* ---- the parser -------------------------------------------------------------------------------
 */

enum mime_event {
    MIME_MORE,        /* the input is used up */
    MIME_PART_BEGIN,  /* index, parent, depth, number, header.begin and end (so far) are known */
    MIME_PART_HEADER, /* all of the header is known, ->header holds it, ->content_type is read */
    MIME_PART_BODY,   /* a leaf's next octets: ->data, which are at ->data_offset of the message */
    MIME_PART_END,    /* all of *->part is known */
    MIME_DONE,        /* all parts have ended; again and again from now on */
};
struct mime_parser_options {
    uint32_t depth_max; /* 0 or more than MIME_DEPTH_MAX: that */
    uint32_t parts_max; /* 0: MIME_PARTS_MAX */
};
struct mime_level { /* the parser's own */
    struct mime_part part;
    uint64_t boundary_hash;
    uint8_t boundary_len; /* 0: no delimiters (any more) */
    bool digest;          /* RFC 2046 section 5.1.5 */
    char boundary[MIME_BOUNDARY_READ];
};
struct mime_parser {
    /* Results of the last call, valid until the next one. */
    const struct mime_part *part;
    struct bytes data; /* in the input or in the parser */
    uint64_t data_offset;
    struct bytes header;                   /* at MIME_PART_HEADER: octets, as far as kept */
    struct mime_content_type content_type; /* at MIME_PART_HEADER: points into ->header */

    /* The parser's own. */
    uint8_t state;
    bool line_start;       /* behind a line end, or where a region begins */
    bool closing;          /* the delimiter that was found is the last one */
    uint8_t line_end_len;  /* octets of a line end (or its CR) that wait for what follows */
    uint8_t line_end_last; /* length of the last line's end: it may belong to a delimiter */
    uint16_t line_len;     /* octets in line */
    uint32_t levels, open; /* on the stack; those of them that have delimiters */
    uint32_t keep;         /* levels that a delimiter does not end */
    uint32_t part_count, depth_max, parts_max;
    uint64_t offset; /* octets used */
    uint64_t floor;  /* no body ends before this */
    uint64_t region_at, region_end;
    char *header_room;
    size_t header_cap, header_len, field_start;
    struct scan_reader reader;
    char line_end[2];
    char last[2];    /* octets of the body */
    char line[1000]; /* the beginning of a line that is not decided yet */
    struct mime_level stack[MIME_DEPTH_MAX + 1];
};
/* header_room: for one header at a time, cap octets, e.g. MIME_HEADER_MAX. options may be NULL. */
void mime_parser_init(struct mime_parser *parser, char *header_room, size_t cap,
                      const struct mime_parser_options *options);
/* Takes octets off the front of *input until there is an event. MIME_MORE: hand in the next piece,
 * or an empty one with last set. last: nothing follows behind this input; then MIME_MORE does not
 * come any more, but MIME_DONE. */
enum mime_event mime_parser_next(struct mime_parser *parser, struct bytes *input, bool last);

/* ---- the tree: all parts of one message, in the caller's memory -------------------------------
 */

struct mime_tree {
    struct mime_part *parts; /* in the order of the octets: a parent comes before its children */
    uint32_t count, cap;
    bool cut; /* there were more parts than cap, or the parser's own limits were met */
};
void mime_tree_init(struct mime_tree *tree, struct mime_part *parts, uint32_t cap);
/* All events of one piece, kept in the tree. */
void mime_tree_feed(struct mime_tree *tree, struct mime_parser *parser, struct bytes piece,
                    bool last);
/* A whole message. room: for headers, as above. */
void mime_tree_read(struct mime_tree *tree, struct mime_parser *parser, struct bytes message,
                    char *room, size_t cap);
/* The octets of a range of a message that is there as a whole. */
static inline struct bytes mime_range_of(struct bytes message, struct mime_range range)
{
    return (struct bytes){message.data + range.begin, (size_t)(range.end - range.begin)};
}
/* Does some part hold octets that are signed or encrypted: multipart/signed, multipart/encrypted,
 * application/pkcs7-mime? Then only the sender may encode anew (RFC 1847, 3156, 8551). */
bool mime_tree_is_sealed(const struct mime_tree *tree);
