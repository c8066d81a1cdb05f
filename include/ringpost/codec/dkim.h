/* SPDX-License-Identifier: Apache-2.0
 *
 * codec/dkim - canonicalisation of a message's body, RFC 6376 section 3.4
 *
 * Simple (3.4.3): empty lines at the end go; an empty body becomes one CRLF. Relaxed (3.4.4): also,
 * runs of space and tab become one space, and those at the end of a line go; an empty body stays
 * empty. Both: a last line without CRLF gets one (after white space at its end went, if relaxed).
 * Only CRLF ends a line: any other CR or LF is an octet like others.
 */
#pragma once
#include "ringpost/codec/common.h"

#ifdef __cplusplus
extern "C" {
#endif

enum codec_dkim_mode { CODEC_DKIM_SIMPLE, CODEC_DKIM_RELAXED };

struct codec_dkim_body {
    uint8_t mode;       /* enum codec_dkim_mode */
    uint8_t state;      /* what was held back: the codec's own */
    bool any;           /* something has been written */
    uint64_t line_ends; /* CRLFs held back: they go if nothing else comes */
    uint64_t written;   /* octets of the canonical body so far */
};
void codec_dkim_body_init(struct codec_dkim_body *body, enum codec_dkim_mode mode);
/* Appends what is certain by now. dst and src do not overlap. Held line ends that turn out to count
 * are written as the room allows: call again until all is taken. */
struct codec_progress codec_dkim_body_feed(struct codec_dkim_body *body, const char *src,
                                           size_t len, char *dst, size_t cap);
/* Nothing more comes. Writes at most CODEC_ROOM_MIN octets and returns how many: call again until
 * that is 0, for a lone CR at the very end makes any number of held line ends count. */
size_t codec_dkim_body_finish(struct codec_dkim_body *body, char *dst);

/* One-shot: dst has room for len + 2 octets; they do not overlap. Returns the octets written. */
size_t codec_dkim_canonical(const char *src, size_t len, char *dst, enum codec_dkim_mode mode);

#ifdef __cplusplus
}
#endif
