/* SPDX-License-Identifier: Apache-2.0
 *
 * line - what one line of a header is, and white space and comments between tokens
 *
 * The rules that field and part share, so that both see the same header in the same octets.
 */
#pragma once
#include "ringpost/base.h"

/* So many octets of a line decide what it is: RFC 5322 section 2.1.1 allows 998 and CRLF. */
enum { MIME_LINE_MAX = 1000 };

enum mime_line {
    MIME_LINE_FIELD,        /* "name:" */
    MIME_LINE_CONTINUATION, /* begins with white space */
    MIME_LINE_EMPTY,
    MIME_LINE_OTHER, /* nothing that belongs into a header */
};
/* line: with its line end, or its first MIME_LINE_MAX octets. */
enum mime_line mime_line_of_header(struct bytes line);
/* Octets through the first LF; all if there is none. */
size_t mime_line_len(struct bytes text);

static inline bool mime_is_wsp(char c)
{
    return c == ' ' || c == '\t';
}
/* Also CR and LF, alone or not: folding that somebody has damaged is still white space. */
static inline bool mime_is_space(char c)
{
    return mime_is_wsp(c) || c == '\r' || c == '\n';
}
/* Octets of white space and comments at the front (CFWS of RFC 5322 section 3.2.2, obsolete forms
 * too). A comment that is not closed takes all. */
size_t mime_cfws_len(struct bytes text);
/* Octets of the comment at the front, both parentheses included; all if it is not closed. text
 * begins with "(". */
size_t mime_comment_len(struct bytes text);
/* Octets of the quoted string at the front, both quotes included; all if it is not closed. text
 * begins with a quote. */
size_t mime_quoted_len(struct bytes text);
/* Octets of the token at the front (RFC 2045 section 5.1). */
size_t mime_token_len(struct bytes text);
