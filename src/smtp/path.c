/* SPDX-License-Identifier: Apache-2.0
 *
 * path - reverse-paths and forward-paths in angle brackets (RFC 5321 section 4.1.2, RFC 6531)
 *
 * Strict: what is accepted here is written again into commands, trace fields and reports. So no
 * octet that could end or begin something there gets through, quoted or not. A source route is
 * read and dropped (appendix C).
 */
#include "ringpost/scan.h"
#include "ringpost/smtp.h"

/* Moves past one octet if it is c. */
static bool take(struct bytes *cursor, char c)
{
    if (cursor->len == 0 || cursor->data[0] != c) return false;
    *cursor = bytes_skip(*cursor, 1);
    return true;
}

static bool is_atext(char c)
{
    const char lower = ascii_lower(c);
    if ((lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9')) return true;
    if ((unsigned char)c > 127) return true; /* RFC 6531 section 3.3; checked as a whole later */
    return c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL;
}

/* Dot-string = Atom *("." Atom). Its length; 0 if there is none at the front. */
static size_t dot_string_len(struct bytes text)
{
    size_t len = 0;
    bool in_atom = false;
    for (; len < text.len; len++) {
        const char c = text.data[len];
        if (c == '.') {
            if (!in_atom) return 0;
            in_atom = false;
        } else if (is_atext(c)) {
            in_atom = true;
        } else {
            break;
        }
    }
    return in_atom ? len : 0;
}

/* Quoted-string, with its quotes. Its length; 0 if there is none at the front. */
static size_t quoted_string_len(struct bytes text)
{
    for (size_t i = 1; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c == '"') return i + 1;
        if (c == '\\') {
            i += 1;
            if (i == text.len) return 0;
            c = (unsigned char)text.data[i];
            if (c > 126) return 0; /* quoted-pairSMTP is ASCII only */
        }
        if (c < 32 || c == 127) return 0;
    }
    return 0;
}

/* "@a,@b:" at the front is moved past; false if it begins as one and is none. */
static bool skip_source_route(struct bytes *cursor)
{
    if (cursor->len == 0 || cursor->data[0] != '@') return true;
    while (take(cursor, '@')) {
        size_t len = 0;
        while (len < cursor->len && strchr(",:>", cursor->data[len]) == NULL)
            len += 1;
        const struct bytes domain = {cursor->data, len};
        if (!smtp_domain_is_valid(domain, true)) return false;
        *cursor = bytes_skip(*cursor, len);
        if (take(cursor, ':')) return true;
        if (!take(cursor, ',')) return false;
    }
    return false;
}

/* Valid UTF-8 without the control characters U+0080..U+009F. */
static bool is_clean_utf8(struct bytes text)
{
    if (!scan_utf8_is_valid(text.data, text.len)) return false;
    for (size_t i = 0; i + 1 < text.len; i++) {
        const unsigned char second = (unsigned char)text.data[i + 1];
        if ((unsigned char)text.data[i] == 0xc2 && second < 0xa0) return false;
    }
    return true;
}

/* Everything between the brackets but the route. */
static enum smtp_syntax read_mailbox(struct bytes *cursor, bool reverse, struct smtp_path *path)
{
    const char *start = cursor->data;
    const bool quoted = cursor->len > 0 && start[0] == '"';
    const size_t local_len = quoted ? quoted_string_len(*cursor) : dot_string_len(*cursor);
    if (local_len == 0) return SMTP_SYNTAX_BAD;
    path->local = (struct bytes){start, local_len};
    *cursor = bytes_skip(*cursor, local_len);

    if (take(cursor, '@')) {
        size_t len = 0;
        while (len < cursor->len && cursor->data[len] != '>')
            len += 1;
        path->domain = (struct bytes){cursor->data, len};
        *cursor = bytes_skip(*cursor, len);
        if (len > SMTP_DOMAIN_MAX) return SMTP_SYNTAX_TOO_LONG;
        if (!smtp_domain_is_valid(path->domain, true)) return SMTP_SYNTAX_BAD;
    } else if (reverse || !bytes_equal_nocase(path->local, BYTES("postmaster"))) {
        return SMTP_SYNTAX_BAD; /* RFC 5321 section 4.5.1 names the only one without a domain */
    }
    path->address = (struct bytes){start, (size_t)(cursor->data - start)};
    if (local_len > SMTP_LOCAL_PART_MAX) return SMTP_SYNTAX_TOO_LONG;
    if (path->address.len > SMTP_PATH_MAX) return SMTP_SYNTAX_TOO_LONG;
    return SMTP_SYNTAX_OK;
}

enum smtp_syntax smtp_path_parse(struct bytes *input, bool reverse, bool utf8_allowed,
                                 struct smtp_path *path)
{
    struct bytes cursor = *input;
    *path = (struct smtp_path){.address = {"", 0}, .local = {"", 0}, .domain = {"", 0}};

    if (!take(&cursor, '<')) return SMTP_SYNTAX_BAD;
    if (take(&cursor, '>')) {
        if (!reverse) return SMTP_SYNTAX_BAD;
        *input = cursor;
        return SMTP_SYNTAX_OK;
    }
    if (!skip_source_route(&cursor)) return SMTP_SYNTAX_BAD;
    const enum smtp_syntax syntax = read_mailbox(&cursor, reverse, path);
    if (syntax != SMTP_SYNTAX_OK) return syntax;
    if (!take(&cursor, '>')) return SMTP_SYNTAX_BAD;

    path->utf8 = scan_has_8bit(path->address.data, path->address.len);
    if (path->utf8 && !is_clean_utf8(path->address)) return SMTP_SYNTAX_BAD;
    if (path->utf8 && !utf8_allowed) return SMTP_SYNTAX_NEEDS_UTF8;
    *input = cursor;
    return SMTP_SYNTAX_OK;
}
