/* SPDX-License-Identifier: Apache-2.0
 *
 * mime/build - a message from its parts (RFC 5322, 2045 to 2049, 2183, 2387, 6532)
 *
 * Job     text, HTML, images that the HTML shows, attachments: the header, the structure, and for
 *         each part the encoding that its content needs. The message comes as a stream, straight
 *         into the caller's buffers: attachments are encoded there and nowhere else. Its length is
 *         known before the first octet.
 * Owner   the caller owns the builder (about 70 KB: not for the stack of a server), the message,
 *         the arrays and all octets in them, and changes none of them while the builder is used.
 *         Nothing is allocated. No clock, no random source: the caller gives both.
 * Errors  what cannot become a correct message is refused by mime_build_init(), with the culprit.
 *         After that nothing can fail.
 *
 *     multipart/mixed            if there are attachments
 *       multipart/related        if there are images (RFC 2387)
 *         multipart/alternative  if there are text and html
 *           text/plain
 *           text/html
 *         image ...
 *       attachment ...
 */
#pragma once
#include "ringpost/codec/base64.h"
#include "ringpost/codec/quoted_printable.h"
#include "ringpost/mime/address.h"
#include "ringpost/mime/field.h"

struct iovec;

enum {
    MIME_BUILD_TEXT_MAX = 1024, /* octets of a subject, the name of a file; names of people have at
                                   most MIME_NAME_MAX */
    MIME_BUILD_BODY_MAX = 4096, /* of the body of a field that the caller adds */
    MIME_BUILD_WORD_MAX = 900,  /* of what stands between two spaces of it */
    MIME_BUILD_NAME_MAX = 60,   /* of its name */
    MIME_BUILD_ID_MAX = 255,    /* of a Message-ID, a Content-ID, a media type */
    MIME_BUILD_LINE = 78,       /* lines of the header are folded there, RFC 5322 section 2.1.1 */
    MIME_BUILD_LINE_MAX = 998,  /* no line is longer; text that has longer ones is encoded */
    MIME_BUILD_PIECE = 64 * 1024,
    MIME_BUILD_CHUNK = 4 * 1024,
};

struct mime_mailbox {
    struct bytes name;    /* UTF-8; empty: only the address */
    struct bytes address; /* local@domain, without angle brackets */
};
struct mime_mailboxes {
    const struct mime_mailbox *list;
    size_t count;
};
struct mime_extra {
    struct bytes name;
    struct bytes body; /* UTF-8, not folded; encoded-words only if it has octets over 127 */
};

/* An image, or an attachment. It comes out octet for octet as it was given. */
struct mime_build_part {
    struct bytes content;
    struct bytes type; /* "image/png"; empty: application/octet-stream. No multipart. message/ is
                          sent without an encoding (RFC 2046 section 5.2.1), its line ends become
                          CRLF; where that is not possible it goes as octet-stream */
    struct bytes name; /* of the file, UTF-8; empty: none */
    struct bytes id; /* Content-ID without angle brackets; images need one, which the HTML names as
                        "cid:..." */
    /* The builder's own: */
    uint64_t len;        /* octets of the encoded body */
    uint8_t encoding;    /* enum mime_encoding */
    bool normalise;      /* line ends become CRLF, and there is one at the end */
    bool opaque;         /* as application/octet-stream, whatever the type says */
    const char *charset; /* parameter of text types; NULL: none */
};

struct mime_message {
    struct mime_mailboxes from; /* at least one */
    struct mime_mailbox sender; /* no address: none; needed when several are in from */
    struct mime_mailboxes reply_to, to, cc;
    struct bytes subject;    /* UTF-8; data NULL: none */
    struct bytes message_id; /* local@domain, without angle brackets; empty: made from date and
                                random */
    wall_ms date;
    uint64_t random[2];             /* different for each message: boundaries, Message-ID */
    const struct mime_extra *extra; /* fields in this order, e.g. List-Unsubscribe and
                                       List-Unsubscribe-Post (RFC 8058) */
    size_t extra_count;

    struct bytes text, html; /* UTF-8, any line ends; data NULL: none. Neither: an empty text */
    struct mime_build_part *images; /* only with html */
    size_t image_count;
    struct mime_build_part *attachments;
    size_t attachment_count;

    bool eight_bit; /* 8-bit text may go as it is: the way offers 8BITMIME (RFC 6152) */
    bool utf8;      /* addresses may have octets over 127: the way offers SMTPUTF8 (RFC 6531) */
};

enum mime_build_result {
    MIME_BUILD_OK = 0,
    MIME_BUILD_NO_FROM,
    MIME_BUILD_NO_SENDER,   /* several in From, RFC 5322 section 3.6.2 */
    MIME_BUILD_BAD_ADDRESS, /* RFC 5321 section 4.1.2 */
    MIME_BUILD_NEEDS_UTF8,  /* an address has octets over 127, and they are not allowed */
    MIME_BUILD_BAD_FIELD,   /* not a name of a field, or of one that the builder writes */
    MIME_BUILD_CONTROL,     /* a control character: whoever put a line end there meant mischief */
    MIME_BUILD_TOO_LONG,    /* see the limits above */
    MIME_BUILD_BAD_TYPE,    /* not type "/" subtype, or a multipart */
    MIME_BUILD_BAD_ID,      /* Message-ID, Content-ID: RFC 5322 section 3.6.4 */
    MIME_BUILD_NO_HTML,     /* images, but nothing that shows them */
    MIME_BUILD_NOT_UTF8,    /* text, html */
    MIME_BUILD_RESULT_COUNT,
};
const char *mime_build_explain(enum mime_build_result result); /* a phrase: "an address that ..." */

/* The octets of one body on their way. The builder's own. */
struct mime_build_body {
    const struct mime_build_part *part;
    bool active;  /* there is more to come */
    bool settled; /* the source is used up, its last line end too */
    size_t at;    /* octets taken of the content */
    size_t chunk_at, chunk_len;
    union {
        struct codec_base64_encoder base64;
        struct codec_qp_encoder qp;
    };
    char chunk[MIME_BUILD_CHUNK]; /* content with CRLF line ends, on its way into an encoder */
};
enum { MIME_BUILD_DEPTH_MAX = 3, MIME_BUILD_BOUNDARY = 2 + 32 };
struct mime_builder {
    const struct mime_message *message;
    struct bytes culprit; /* after a refusal: the text that is wrong, or nothing */
    struct mime_build_part text, html;
    uint64_t len;
    bool eight_bit, utf8; /* octets over 127 in the body; in the header */

    uint8_t step; /* of the table in build.c */
    uint8_t depth;
    bool fresh; /* no part of the innermost multipart has begun */
    size_t index;
    struct mime_address_printer printer;
    size_t piece_at, piece_len;
    char levels[MIME_BUILD_DEPTH_MAX];      /* of the multiparts that are open: a letter each */
    char boundary[MIME_BUILD_BOUNDARY + 1]; /* of all, followed by the letter */
    struct mime_build_body body;
    char piece[MIME_BUILD_PIECE]; /* a field or a part's header, before it is copied */
};

/* Checks the message and reads text, html and attachments of type text/ and message/ once or twice
 * to choose their encodings:
 *
 *   7bit     nothing over 127, no NUL, no bare CR or LF, no line over 998
 *   8bit     the same but for octets over 127, if allowed
 *   QP       text that is mostly ASCII
 *   base64   other text, and everything that is not text
 *
 * No boundary occurs in a body: base64 has no "_", QP has no "=_", all boundaries begin with "=_",
 * and what would go as it is has been searched for them. */
MUST_USE enum mime_build_result mime_build_init(struct mime_builder *builder,
                                                const struct mime_message *message);
/* Octets of the whole message, exactly: for SIZE= (RFC 1870). */
static inline uint64_t mime_build_len(const struct mime_builder *builder)
{
    return builder->len;
}
/* The body has octets over 127: the message needs 8BITMIME. Only with message->eight_bit. */
static inline bool mime_build_is_8bit(const struct mime_builder *builder)
{
    return builder->eight_bit;
}
/* The header has octets over 127: the message needs SMTPUTF8. Only with message->utf8. */
static inline bool mime_build_is_utf8(const struct mime_builder *builder)
{
    return builder->utf8;
}
/* The next octets; fewer than cap only at the end, 0 behind it. Any sequence of caps gives the same
 * message. With less room than CODEC_ROOM_MIN octets are copied once more. */
size_t mime_build_next(struct mime_builder *builder, char *dst, size_t cap);
/* The same into several buffers, filled in order; returns the octets of all. */
size_t mime_build_iovec(struct mime_builder *builder, const struct iovec *iov, size_t count);
/* Again from the first octet: the same message once more, e.g. over another connection. */
void mime_build_rewind(struct mime_builder *builder);
