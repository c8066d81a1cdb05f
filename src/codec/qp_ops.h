/* SPDX-License-Identifier: Apache-2.0
 *
 * qp_ops - the kernels of quoted-printable, one table an instruction set
 *
 * Each gives what the scalar one gives, however the text is split.
 */
#pragma once
#include "ringpost/base.h"
#include "ringpost/codec/quoted_printable.h"

/* What the decoder holds back, beside white space (->space_count). */
enum qp_state {
    QP_TEXT = 0,
    QP_EQUALS,    /* "=", perhaps with white space behind it */
    QP_DIGIT,     /* "=" and ->first */
    QP_EQUALS_CR, /* "=", white space that no longer counts, CR */
    QP_CR,        /* strict only: a CR, which has been written */
};

/* The form of an octet may depend on this many behind it: "From " is the longest that counts. */
enum { QP_LOOKAHEAD = 4 };

struct qp_ops {
    /* Goes on until the source is used up, the room is low (at most under CODEC_ROOM_MIN octets,
     * and less than what may yet come) or an error is found. Keeps ->offset and ->error. */
    struct codec_progress (*decode)(struct codec_qp_decoder *decoder, const char *src, size_t len,
                                    char *dst, size_t cap);
    /* Goes on until the source is used up or the room is low (at most under CODEC_ROOM_MIN octets).
     * last: nothing comes behind src; otherwise up to QP_LOOKAHEAD octets of it are not taken. */
    struct codec_progress (*encode)(struct codec_qp_encoder *encoder, const char *src, size_t len,
                                    bool last, char *dst, size_t cap);
};
extern const struct qp_ops qp_ops_scalar;
#ifdef __x86_64__
extern const struct qp_ops qp_ops_avx2, qp_ops_avx512;
#endif
#ifdef __aarch64__
extern const struct qp_ops qp_ops_neon;
#endif

/* The scalar decoder until it has taken at_least octets and holds nothing back. */
struct codec_progress qp_decode_steps(struct codec_qp_decoder *decoder, const char *src, size_t len,
                                      char *dst, size_t cap, size_t at_least);

/* The first 4 octets of a register are literals, then come their 4 high digits, their 4 low digits
 * and "=": which of them, for each set of 4 octets that are escaped (bit i: octet i). */
extern _Alignas(16) const uint8_t qp_forms[16][16];
/* For each set of octets that stay, of 8 (bit i: octet i): their numbers, the first lowest. */
extern const uint64_t qp_kept[256];

/* What a kernel says of 64 octets, bit i for octet i: see qp_decode_bulk.h and qp_encode_bulk.h. */
struct qp_marks {
    uint64_t escapes; /* "=" with two digits behind it */
    uint64_t breaks;  /* "=" with CRLF behind it */
    uint64_t unknown; /* any other "=" */
    uint64_t odd;     /* not 0 if there is something else that the scalar decoder must see */
    uint64_t lf;      /* strict only */
};
struct qp_octets {
    uint64_t other; /* neither 33 to 60 nor 62 to 126 */
    uint64_t space; /* space, tab */
    uint64_t cr, lf;
};
