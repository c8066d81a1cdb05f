/* SPDX-License-Identifier: Apache-2.0
 *
 * address - reads lists of mailboxes and groups (RFC 5322 sections 3.4 and 4.4)
 *
 * An address is taken token by token up to the comma that ends it; where "<", "@" and ":" stand
 * decides what it is. Every token is looked at once for that, and once more to check local part and
 * domain.
 */
#include "ringpost/mime/address.h"

#include "address_private.h"
#include "line.h"

void mime_address_reader_init(struct mime_address_reader *reader, struct bytes body)
{
    *reader = (struct mime_address_reader){.rest = body};
}

/* ---- tokens ---------------------------------------------------------------------------------- */

static size_t literal_len(struct bytes text)
{
    for (size_t at = 1; at < text.len; at++) {
        if (text.data[at] == ']') return at + 1;
        if (text.data[at] == '\\') at++;
    }
    return text.len;
}

size_t mime_address_token_len(struct bytes text)
{
    const size_t gap = mime_cfws_len(text);
    if (gap > 0) return gap;
    if (text.data[0] == '"') return mime_quoted_len(text);
    if (text.data[0] == '[') return literal_len(text);
    size_t len = 0;
    while (len < text.len && mime_is_atom_char(text.data[len]))
        len++;
    return MAX(len, (size_t)1);
}

static struct bytes between(const char *begin, const char *end)
{
    return (struct bytes){begin, (size_t)(end - begin)};
}

static struct bytes trim_cfws(struct bytes text)
{
    const char *end = text.data;
    text = bytes_skip(text, mime_cfws_len(text));
    end = text.data;
    for (struct bytes rest = text; rest.len > 0;) {
        const size_t len = mime_address_token_len(rest);
        if (mime_cfws_len(rest) == 0) end = rest.data + len;
        rest = bytes_skip(rest, len);
    }
    return between(text.data, end);
}

/* ---- local part and domain ------------------------------------------------------------------- */

/* Other than folding. */
static bool has_control(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        const unsigned char c = (unsigned char)text.data[i];
        if ((c < ' ' && !mime_is_space(text.data[i])) || c == 127) return true;
    }
    return false;
}

/* Words with dots between them; CFWS anywhere (obs-local-part, obs-domain). A dot too many is a
 * mistake that is often made and understood: "a..b", "a.", but not only dots. */
static bool words_are_valid(struct bytes text, bool quoted_allowed)
{
    bool word = false, after_word = false;
    while (text.len > 0) {
        const size_t len = mime_address_token_len(text);
        const char c = text.data[0];
        if (mime_cfws_len(text) > 0) { /* between words */
            text = bytes_skip(text, len);
            continue;
        }
        if (has_control((struct bytes){text.data, len})) return false;
        if (c == '.') {
            after_word = false;
        } else if (after_word) {
            return false;
        } else if (mime_is_atom_char(c) || (c == '"' && quoted_allowed && len > 1)) {
            word = after_word = true;
        } else {
            return false;
        }
        text = bytes_skip(text, len);
    }
    return word;
}

static bool domain_is_valid(struct bytes domain)
{
    domain = trim_cfws(domain);
    if (domain.len > 0 && domain.data[0] == '[') {
        if (literal_len(domain) != domain.len || domain.data[domain.len - 1] != ']') return false;
        const struct bytes content = {domain.data + 1, domain.len - 2};
        return bytes_trim(content).len > 0 && !has_control(content) &&
               memchr(content.data, '\\', content.len) == NULL; /* obs-dtext: never seen */
    }
    return words_are_valid(domain, false);
}

/* text: local@domain. The last "@" outside of quotes counts. */
bool mime_address_read_spec(struct bytes text, struct mime_address *address)
{
    const char *at = NULL;
    for (struct bytes rest = text; rest.len > 0;
         rest = bytes_skip(rest, mime_address_token_len(rest))) {
        if (rest.data[0] == '@') at = rest.data;
    }
    if (at == NULL) return false;
    address->local = trim_cfws(between(text.data, at));
    address->domain = trim_cfws(between(at + 1, text.data + text.len));
    return words_are_valid(address->local, true) && domain_is_valid(address->domain);
}

/* "<" has been taken. Goes through ">", or up to where somebody forgot it. */
static bool read_angle(struct bytes *rest, struct mime_address *address)
{
    const char *begin = rest->data + mime_cfws_len(*rest);
    bool route = begin < rest->data + rest->len && *begin == '@';
    while (rest->len > 0) {
        const char c = rest->data[0];
        if (c == '>') {
            const struct bytes spec = between(begin, rest->data);
            *rest = bytes_skip(*rest, 1);
            return mime_address_read_spec(spec, address);
        }
        if (c == '<' || (c == ',' && !route)) return false;
        *rest = bytes_skip(*rest, mime_address_token_len(*rest));
        if (c == ':' && route) { /* the end of a source route */
            route = false;
            begin = rest->data;
        }
    }
    return false;
}

/* ---- addresses ------------------------------------------------------------------------------- */

static bool ends_address(const struct mime_address_reader *reader)
{
    const char c = reader->rest.data[0];
    return c == ',' || c == ';';
}

/* Behind an address: the first comment is kept, what else there is is skipped. */
static void read_tail(struct mime_address_reader *reader, struct mime_address *address)
{
    struct bytes *rest = &reader->rest;
    while (rest->len > 0 && !ends_address(reader)) {
        const size_t len = mime_address_token_len(*rest);
        const char *open = memchr(rest->data, '(', len);
        if (open != NULL && address->comment.len == 0 && mime_cfws_len(*rest) > 0) {
            const struct bytes comment = between(open, rest->data + len);
            const size_t comment_len = mime_comment_len(comment);
            address->comment = (struct bytes){open + 1, comment_len - 1};
            if (comment.data[comment_len - 1] == ')') address->comment.len -= 1;
        }
        *rest = bytes_skip(*rest, len);
    }
}

/* An address without "<" and ">". */
static void read_bare(struct mime_address *address)
{
    if (!mime_address_read_spec(address->whole, address)) return;
    address->kind = MIME_ADDRESS_MAILBOX;
    /* Its comments stand behind the domain, within what has been taken. */
    const char *end = address->domain.data + address->domain.len;
    struct mime_address_reader tail = {
        .rest = between(end, address->whole.data + address->whole.len),
    };
    read_tail(&tail, address);
}

static void read_address(struct mime_address_reader *reader, struct mime_address *address)
{
    struct bytes *rest = &reader->rest;
    const char *begin = rest->data;
    bool at_sign = false;
    while (rest->len > 0 && !ends_address(reader)) {
        const char c = rest->data[0];
        if (c == '<') {
            address->name = trim_cfws(between(begin, rest->data));
            *rest = bytes_skip(*rest, 1);
            if (read_angle(rest, address)) address->kind = MIME_ADDRESS_MAILBOX;
            read_tail(reader, address);
            address->whole = between(begin, rest->data);
            return;
        }
        if (c == ':' && !at_sign && !reader->in_group) {
            address->name = trim_cfws(between(begin, rest->data));
            address->kind = MIME_ADDRESS_GROUP_BEGIN;
            *rest = bytes_skip(*rest, 1);
            address->whole = between(begin, rest->data);
            reader->in_group = true;
            return;
        }
        at_sign |= c == '@';
        *rest = bytes_skip(*rest, mime_address_token_len(*rest));
    }
    address->whole = between(begin, rest->data);
    if (at_sign) read_bare(address);
}

/* Skips commas too many, and a ";" that ends no group; true at the end of a group. */
static bool skip_to_address(struct mime_address_reader *reader)
{
    struct bytes *rest = &reader->rest;
    while (rest->len > 0) {
        const size_t gap = mime_cfws_len(*rest);
        const bool group_ends = gap == 0 && rest->data[0] == ';' && reader->in_group;
        if (gap == 0 && !ends_address(reader)) return false;
        *rest = bytes_skip(*rest, MAX(gap, (size_t)1));
        if (group_ends) return true;
    }
    return reader->in_group;
}

bool mime_address_next(struct mime_address_reader *reader, struct mime_address *address)
{
    *address = (struct mime_address){.kind = MIME_ADDRESS_INVALID};
    if (skip_to_address(reader)) {
        reader->in_group = false;
        address->kind = MIME_ADDRESS_GROUP_END;
        return true;
    }
    if (reader->rest.len == 0) return false;
    read_address(reader, address);
    return true;
}
