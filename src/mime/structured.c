/* SPDX-License-Identifier: Apache-2.0
 *
 * structured - the fields that MIME adds: Content-Type, Content-Transfer-Encoding, parameters
 *
 * Read as leniently as RFC 2045 section 5.2 asks: what cannot be read counts as not given.
 */
#include "line.h"
#include "ringpost/codec/parameter.h"
#include "ringpost/mime/field.h"

size_t mime_unfold(struct bytes body, char *out)
{
    size_t at = mime_cfws_len(body), len = 0;
    while (at < body.len) {
        const struct bytes rest = bytes_skip(body, at);
        const size_t gap = mime_cfws_len(rest);
        if (gap > 0) {
            at += gap;
            if (at < body.len) out[len++] = ' ';
            continue;
        }
        const size_t end = at + (rest.data[0] == '"' ? mime_quoted_len(rest) : 1);
        for (; at < end; at++) { /* inside quotes only the line ends go (RFC 5322 section 2.2.3) */
            if (body.data[at] != '\r' && body.data[at] != '\n') out[len++] = body.data[at];
        }
    }
    return len;
}

/* ---- Content-Type ---------------------------------------------------------------------------- */

static bool take_token(struct bytes *rest, struct bytes *token)
{
    *rest = bytes_skip(*rest, mime_cfws_len(*rest));
    *token = (struct bytes){rest->data, mime_token_len(*rest)};
    *rest = bytes_skip(*rest, token->len);
    return token->len > 0 && token->len <= MIME_TOKEN_MAX;
}

static bool take_char(struct bytes *rest, char c)
{
    const size_t gap = mime_cfws_len(*rest);
    if (gap == rest->len || rest->data[gap] != c) return false;
    *rest = bytes_skip(*rest, gap + 1);
    return true;
}

/* From the first ";" outside of quotes and comments. What stands before it, behind the subtype, is
 * somebody's mistake. */
static struct bytes from_semicolon(struct bytes rest)
{
    while (rest.len > 0 && rest.data[0] != ';') {
        const size_t gap = mime_cfws_len(rest);
        const size_t skip = gap > 0 ? gap : rest.data[0] == '"' ? mime_quoted_len(rest) : 1;
        rest = bytes_skip(rest, skip);
    }
    return rest;
}

/* Copies a value, token or quoted string, and takes quotes and folding out of it. Zero if it does
 * not fit: half a boundary is none. A token goes on until white space or ";": boundaries with "=",
 * "/" or ":" in them that should have been quoted are common. */
static size_t copy_value(struct bytes text, char *out, size_t cap)
{
    const bool quoted = text.len > 0 && text.data[0] == '"';
    size_t len = 0;
    for (size_t at = quoted; at < text.len; at++) {
        char c = text.data[at];
        if (quoted ? c == '"' : c == ';' || mime_is_space(c)) break;
        if (c == '\r' || c == '\n') continue;
        if (quoted && c == '\\' && at + 1 < text.len) c = text.data[++at];
        if (len == cap) return 0;
        out[len++] = c;
    }
    return len;
}

/* White space at its end a boundary must not have (RFC 2046 section 5.1.1); one with a NUL is none.
 */
static void read_boundary(struct bytes parameters, char *boundary)
{
    size_t len = 0;
    bool found = false;
    for (struct bytes rest = parameters; rest.len > 0 && !found; rest = from_semicolon(rest)) {
        struct bytes name;
        rest = bytes_skip(rest, 1);
        if (!take_token(&rest, &name) || !take_char(&rest, '=')) continue;
        rest = bytes_skip(rest, mime_cfws_len(rest));
        if (!bytes_equal_nocase(name, BYTES("boundary"))) continue;
        len = copy_value(rest, boundary, MIME_BOUNDARY_READ);
        found = true;
    }
    /* Not in one piece: RFC 2231. */
    if (!found && !mime_parameter(parameters, "boundary", boundary, MIME_BOUNDARY_READ, &len)) {
        len = 0;
    }
    while (len > 0 && mime_is_space(boundary[len - 1]))
        len--;
    if (memchr(boundary, '\0', len) != NULL) len = 0;
    boundary[len] = '\0';
}

void mime_content_type_read(struct bytes body, struct mime_content_type *type)
{
    *type = (struct mime_content_type){.type = BYTES("text"), .subtype = BYTES("plain")};
    struct bytes rest = body, major, minor;
    if (body.len == 0) return;
    if (!take_token(&rest, &major) || !take_char(&rest, '/') || !take_token(&rest, &minor)) return;
    type->given = true;
    type->type = major;
    type->subtype = minor;
    type->parameters = from_semicolon(rest);
    if (type->parameters.len > 0) read_boundary(type->parameters, type->boundary);
}

bool mime_type_is(const struct mime_content_type *type, const char *major, const char *minor)
{
    return bytes_equal_nocase(type->type, bytes_of(major)) &&
           bytes_equal_nocase(type->subtype, bytes_of(minor));
}

static bool find_parameter(struct bytes parameters, const char *name, bool extended, char *value,
                           size_t cap, size_t *len)
{
    struct codec_parameter_reader reader;
    struct codec_parameter parameter;
    codec_parameter_reader_init(&reader, parameters.data, parameters.len);
    while (codec_parameter_next(&reader, &parameter, value, cap)) {
        const struct bytes found = {parameter.name, parameter.name_len};
        if (!bytes_equal_nocase(found, bytes_of(name)) || (extended && !parameter.extended)) {
            continue;
        }
        *len = MIN(parameter.value_len, cap);
        return true;
    }
    return false;
}

/* filename*=... is the one to believe where filename=... is there for old readers. */
bool mime_parameter(struct bytes parameters, const char *name, char *value, size_t cap, size_t *len)
{
    return find_parameter(parameters, name, true, value, cap, len) ||
           find_parameter(parameters, name, false, value, cap, len);
}

struct bytes mime_disposition_read(struct bytes body, struct bytes *parameters)
{
    struct bytes token = {NULL, 0};
    if (body.len > 0) (void)take_token(&body, &token);
    *parameters = from_semicolon(body);
    return token;
}

/* ---- Content-Transfer-Encoding --------------------------------------------------------------- */

static const struct {
    const char *name;
    enum mime_encoding encoding;
} encodings[] = {
    {"7bit", MIME_7BIT},      {"8bit", MIME_8BIT},
    {"binary", MIME_BINARY},  {"quoted-printable", MIME_QUOTED_PRINTABLE},
    {"base64", MIME_BASE64},  {"x-uuencode", MIME_UUENCODE},
    {"x-uue", MIME_UUENCODE}, {"uuencode", MIME_UUENCODE},
    {"uue", MIME_UUENCODE},
};

enum mime_encoding mime_encoding_read(struct bytes body)
{
    struct bytes rest = body, token;
    if (mime_cfws_len(body) == body.len) return MIME_7BIT;
    if (!take_token(&rest, &token)) return MIME_ENCODING_UNKNOWN;
    for (size_t i = 0; i < ARRAY_COUNT(encodings); i++) {
        if (bytes_equal_nocase(token, bytes_of(encodings[i].name))) return encodings[i].encoding;
    }
    return MIME_ENCODING_UNKNOWN;
}

const char *mime_encoding_name(enum mime_encoding encoding)
{
    for (size_t i = 0; i < ARRAY_COUNT(encodings); i++) {
        if (encodings[i].encoding == encoding) return encodings[i].name;
    }
    return "unknown";
}
