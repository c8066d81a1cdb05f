/* SPDX-License-Identifier: Apache-2.0
 *
 * mime/field - the fields of a header, and what MIME says in them (RFC 5322, 2045, 2183, 6532)
 *
 * Job     takes a header apart: fields, folding, comments, the structured ones of MIME. Obsolete
 *         forms (RFC 5322 section 4) are read too. What cannot be read is told as that, never
 *         guessed to be something dangerous.
 * Owner   results point into the caller's octets or are written into the caller's memory; nothing
 *         is allocated. Every function is linear in the octets it is given.
 */
#pragma once
#include "ringpost/base.h"

struct mime_field {
    struct bytes name;  /* without the colon and the white space before it (obsolete) */
    struct bytes body;  /* behind the colon; folding is still in it, the last line end is not */
    struct bytes whole; /* from the name to the last line end: what to copy or cut out */
};
/* Takes the next field off the front of *header. False at the end of the header: nothing is left,
 * or *header begins with the empty line or with a line that is no field (see mime_header_len). Line
 * ends are CRLF; a bare LF is taken as one too. */
bool mime_field_next(struct bytes *header, struct mime_field *field);
/* Octets of the header of a text: through the last field's line end, without the empty line. A line
 * that is no field and no continuation ends the header as if an empty line stood before it. */
size_t mime_header_len(struct bytes text);
/* The first field of that name (ASCII, case-insensitive). */
bool mime_field_find(struct bytes header, struct bytes name, struct mime_field *field);

/* Unfolds (RFC 5322 section 2.2.3) and drops comments and white space at both ends: structured
 * bodies. Returns the length; out has room for body.len octets. Quoted strings stay quoted. */
size_t mime_unfold(struct bytes body, char *out);

/* ---- Content-Type (RFC 2045 section 5), Content-Disposition (RFC 2183) ------------------------
 */

enum {
    MIME_TOKEN_MAX = 127,   /* RFC 6838 section 4.2 */
    MIME_BOUNDARY_MAX = 70, /* RFC 2046 section 5.1.1; longer ones are read up to 200 */
    MIME_BOUNDARY_READ = 200,
};
struct mime_content_type {
    bool given;                            /* there was a field, and it could be read */
    struct bytes type, subtype;            /* "text", "plain" if not given or not readable (5.2) */
    struct bytes parameters;               /* from the first ";" on: codec/parameter.h reads them */
    char boundary[MIME_BOUNDARY_READ + 1]; /* terminated; "" if there is none */
};
/* body: of the field; { NULL, 0 } if there is none. */
void mime_content_type_read(struct bytes body, struct mime_content_type *type);
bool mime_type_is(const struct mime_content_type *type, const char *major, const char *minor);
/* The value of one parameter as UTF-8 (RFC 2231, RFC 2047); its length, at most cap; false if there
 * is none. */
bool mime_parameter(struct bytes parameters, const char *name, char *value, size_t cap,
                    size_t *len);

/* Content-Disposition (RFC 2183): "attachment", "inline", ...; empty if it cannot be read.
 * *parameters: from the first ";" on. */
struct bytes mime_disposition_read(struct bytes body, struct bytes *parameters);

/* ---- Content-Transfer-Encoding (RFC 2045 section 6) -------------------------------------------
 */

enum mime_encoding {
    MIME_7BIT, /* also when there is no field */
    MIME_8BIT,
    MIME_BINARY,
    MIME_QUOTED_PRINTABLE,
    MIME_BASE64,
    MIME_UUENCODE,         /* x-uuencode, x-uue, uuencode: not of any RFC, but of old mail */
    MIME_ENCODING_UNKNOWN, /* RFC 2045 section 6.4: the type is to be treated as octet-stream */
};
enum mime_encoding mime_encoding_read(struct bytes body);
const char *mime_encoding_name(enum mime_encoding encoding);
