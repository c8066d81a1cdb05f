/* SPDX-License-Identifier: Apache-2.0
 *
 * mime/convert - a message in the form that its receiver takes (RFC 6152 section 3, RFC 3030)
 *
 * Job     turns binary content into lines, and 8-bit content into 7-bit, part by part: the encoding
 *         of a part is changed where it has to be, and the fields that tell it. What a signature or
 *         encryption covers is never changed: such a message cannot be converted.
 * How     first a plan, made from the whole content: a list of edits, in order, and the exact
 * length of the result. Then the result is written piece by piece, as often as it is wanted. Owner
 * the content and the plan's memory are the caller's; both stay while the plan lives. Nothing is
 * allocated.
 */
#pragma once
#include "ringpost/base.h"
#include "ringpost/codec/base64.h"
#include "ringpost/codec/quoted_printable.h"
#include "ringpost/mime/part.h"

enum mime_convert_form {
    MIME_CONVERT_8BIT, /* lines of at most 998 octets that end in CRLF, no NUL */
    /* Also, no octet over 127. Header fields that have some are told by encoded-words and RFC 2231
     * where that is possible: text, names and parameters in UTF-8. Others stay as they are. */
    MIME_CONVERT_7BIT,
};
enum mime_convert_result {
    MIME_CONVERT_OK = 0,
    MIME_CONVERT_FIXED,    /* a part that must not be changed would have to be */
    MIME_CONVERT_CROWDED,  /* more parts than there is memory for, or than are looked at */
    MIME_CONVERT_HOPELESS, /* header fields or delimiters with what no encoding can mend */
};

enum mime_edit_what {
    MIME_EDIT_COPY = 0,
    MIME_EDIT_DROP,
    MIME_EDIT_QP,       /* encode as text: line ends stay */
    MIME_EDIT_BASE64,   /* encode, in lines of 76 */
    MIME_EDIT_QP_AGAIN, /* is quoted-printable, badly: decode as well as it goes, and encode */
    MIME_EDIT_BASE64_AGAIN,
    MIME_EDIT_SAY, /* text of our own; of the content nothing is taken */
};
struct mime_edit {
    uint64_t len; /* octets of the content; each edit begins where the one before it ends */
    const char *say;
    uint8_t what; /* enum mime_edit_what */
};

struct mime_conversion {
    const struct bytes *pieces; /* the content */
    uint32_t piece_count;
    const struct mime_edit *edits; /* cover the content */
    uint32_t edit_count;
    uint64_t len;      /* of the result */
    bool has_8bit;     /* of the result, as scan.h has it */
    bool leading_dot;  /* a line begins with "." */
    bool no_last_crlf; /* the last line has no CRLF */
};
struct mime_convert_memory {
    struct mime_parser
        *parser; /* only while the plan is being made, as are the room and the parts */
    char *header_room;
    size_t header_cap; /* MIME_HEADER_MAX; a part with a longer header cannot be converted */
    struct mime_part *parts;
    uint32_t part_cap;
    struct mime_edit *edits; /* stay with the plan; room for mime_convert_edits_max(part_cap) */
    char *text;              /* stays with the plan: fields that are written anew */
    size_t text_cap;         /* without room a field stays as it is */
};
enum { MIME_CONVERT_FIELDS = 100 }; /* so many are written anew; the others stay as they are */
static inline uint32_t mime_convert_edits_max(uint32_t parts)
{
    return parts * 12 + 1 + 3 * MIME_CONVERT_FIELDS;
}
/* Linear in the octets of the content; it is read about three times. */
MUST_USE enum mime_convert_result mime_convert_plan(struct mime_conversion *conversion,
                                                    enum mime_convert_form form,
                                                    const struct bytes *pieces,
                                                    uint32_t piece_count,
                                                    const struct mime_convert_memory *memory);

enum { MIME_CONVERT_ROOM_MIN = 8 * CODEC_ROOM_MIN };
struct mime_converter { /* how far the result has been written */
    const struct mime_conversion *conversion;
    uint32_t edit;      /* the present one */
    uint32_t edit_said; /* octets of its own text that are written */
    bool begun;
    uint64_t left;  /* octets of the content that it still takes */
    uint32_t piece; /* of the content; and the offset in it, of the next octet */
    size_t piece_at;
    struct codec_qp_encoder qp;
    struct codec_qp_decoder qp_decoder;
    struct codec_base64_encoder base64;
    struct codec_base64_decoder base64_decoder;
};
void mime_converter_init(struct mime_converter *converter,
                         const struct mime_conversion *conversion);
/* The next octets of the result; 0 when all is written. cap >= MIME_CONVERT_ROOM_MIN. */
size_t mime_convert_next(struct mime_converter *converter, char *dst, size_t cap);
