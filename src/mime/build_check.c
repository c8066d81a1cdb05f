/* SPDX-License-Identifier: Apache-2.0
 *
 * build_check - what cannot become a correct message is found before anything is written
 *
 * Nothing that the caller gives can end a line or begin a field: no control character gets into the
 * header, addresses and ids follow their grammar, fields that the builder writes have no double.
 */
#include "build_private.h"
#include "line.h"
#include "ringpost/scan.h"
#include "ringpost/smtp.h"

const char *mime_build_explain(enum mime_build_result result)
{
    static const char *const phrases[] = {
        [MIME_BUILD_OK] = "nothing is wrong",
        [MIME_BUILD_NO_FROM] = "there is no From",
        [MIME_BUILD_NO_SENDER] = "several are in From, but there is no Sender",
        [MIME_BUILD_BAD_ADDRESS] = "not an address",
        [MIME_BUILD_NEEDS_UTF8] = "an address with characters that need SMTPUTF8",
        [MIME_BUILD_BAD_FIELD] = "not the name of a field that may be added",
        [MIME_BUILD_CONTROL] = "a control character is in it",
        [MIME_BUILD_TOO_LONG] = "too long",
        [MIME_BUILD_BAD_TYPE] = "not a media type that may be attached",
        [MIME_BUILD_BAD_ID] = "not a Message-ID or Content-ID",
        [MIME_BUILD_NO_HTML] = "there are images, but no HTML that shows them",
        [MIME_BUILD_NOT_UTF8] = "the text is not UTF-8",
    };
    static_assert(ARRAY_COUNT(phrases) == MIME_BUILD_RESULT_COUNT, "a phrase for each");
    return phrases[result];
}

static enum mime_build_result refuse(struct mime_builder *builder, enum mime_build_result result,
                                     struct bytes culprit)
{
    builder->culprit = culprit;
    return result;
}

static bool has_control(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        const unsigned char c = (unsigned char)text.data[i];
        if ((c < 32 && c != '\t') || c == 127) return true;
    }
    return false;
}

static enum mime_build_result check_words(struct mime_builder *builder, struct bytes text,
                                          size_t len_max)
{
    if (has_control(text)) return refuse(builder, MIME_BUILD_CONTROL, text);
    if (text.len > len_max) return refuse(builder, MIME_BUILD_TOO_LONG, text);
    return MIME_BUILD_OK;
}

/* ---- addresses ------------------------------------------------------------------------------- */

static enum mime_build_result check_mailbox(struct mime_builder *builder,
                                            const struct mime_mailbox *mailbox)
{
    char line[SMTP_PATH_MAX + 3];
    struct smtp_path path;
    struct text text;
    text_init(&text, line, sizeof(line));
    text_put(&text, BYTES("<"));
    text_put(&text, mailbox->address);
    text_put(&text, BYTES(">"));
    struct bytes input = text_bytes(&text);
    const enum smtp_syntax syntax = smtp_path_parse(&input, true, true, &path);
    if (text.cut || syntax != SMTP_SYNTAX_OK || input.len > 0 ||
        !bytes_equal(path.address, mailbox->address) ||
        !mime_address_spec_is_valid(mailbox->address)) {
        return refuse(builder, MIME_BUILD_BAD_ADDRESS, mailbox->address);
    }
    if (path.utf8 && !builder->message->utf8) {
        return refuse(builder, MIME_BUILD_NEEDS_UTF8, mailbox->address);
    }
    builder->utf8 |= path.utf8;
    return check_words(builder, mailbox->name, MIME_NAME_MAX);
}

static enum mime_build_result check_mailboxes(struct mime_builder *builder,
                                              const struct mime_mailboxes *mailboxes)
{
    enum mime_build_result result = MIME_BUILD_OK;
    for (size_t i = 0; i < mailboxes->count && result == MIME_BUILD_OK; i++)
        result = check_mailbox(builder, &mailboxes->list[i]);
    return result;
}

static enum mime_build_result check_people(struct mime_builder *builder)
{
    const struct mime_message *m = builder->message;
    const struct mime_mailboxes sender = {&m->sender, m->sender.address.len > 0};
    const struct mime_mailboxes *const lists[] = {&m->from, &sender, &m->reply_to, &m->to, &m->cc};
    if (m->from.count == 0) return MIME_BUILD_NO_FROM;
    if (m->from.count > 1 && sender.count == 0) return MIME_BUILD_NO_SENDER;
    enum mime_build_result result = MIME_BUILD_OK;
    for (size_t i = 0; i < ARRAY_COUNT(lists) && result == MIME_BUILD_OK; i++)
        result = check_mailboxes(builder, lists[i]);
    return result;
}

/* ---- ids and types --------------------------------------------------------------------------- */

/* Content-IDs without "@" are common, and their "cid:" works. RFC 2045 wants uniqueness only. */
static bool is_id(struct bytes id, bool with_at)
{
    if (id.len == 0 || id.len > MIME_BUILD_ID_MAX) return false;
    for (size_t i = 0; i < id.len; i++) {
        const char c = id.data[i];
        if (c <= 32 || c >= 127 || strchr("<>()\"\\,;:", c) != NULL) return false;
    }
    const char *at = memchr(id.data, '@', id.len);
    return !with_at || (at != NULL && at != id.data && at + 1 != id.data + id.len);
}

static bool is_token(struct bytes text)
{
    return text.len > 0 && mime_token_len(text) == text.len;
}

static bool is_type(struct bytes type)
{
    const char *slash = memchr(type.data, '/', type.len);
    if (slash == NULL || type.len > MIME_BUILD_ID_MAX) return false;
    const size_t len = (size_t)(slash - type.data);
    if (bytes_starts_with_nocase(type, BYTES("multipart/"))) return false;
    return is_token((struct bytes){type.data, len}) && is_token(bytes_skip(type, len + 1));
}

static enum mime_build_result check_parts(struct mime_builder *builder,
                                          const struct mime_build_part *parts, size_t count,
                                          bool need_id)
{
    for (size_t i = 0; i < count; i++) {
        const struct mime_build_part *part = &parts[i];
        if (part->type.len > 0 && !is_type(part->type)) {
            return refuse(builder, MIME_BUILD_BAD_TYPE, part->type);
        }
        if ((need_id || part->id.len > 0) && !is_id(part->id, false)) {
            return refuse(builder, MIME_BUILD_BAD_ID, part->id);
        }
        const enum mime_build_result result = check_words(builder, part->name, MIME_BUILD_TEXT_MAX);
        if (result != MIME_BUILD_OK) return result;
    }
    return MIME_BUILD_OK;
}

/* ---- fields ---------------------------------------------------------------------------------- */

/* RFC 5322 section 3.6.8; and none that stands there anyway, or that only a relay may write. */
static bool may_be_added(struct bytes name)
{
    static const char *const taken[] = {"From",       "Sender",   "Reply-To",     "To",
                                        "Cc",         "Bcc",      "Subject",      "Date",
                                        "Message-ID", "Received", "MIME-Version", "Return-Path"};
    if (name.len == 0) return false;
    for (size_t i = 0; i < name.len; i++) {
        if (name.data[i] <= 32 || name.data[i] >= 127 || name.data[i] == ':') return false;
    }
    for (size_t i = 0; i < ARRAY_COUNT(taken); i++) {
        if (bytes_equal_nocase(name, bytes_of(taken[i]))) return false;
    }
    return !bytes_starts_with_nocase(name, BYTES("Content-"));
}

static size_t longest_word(struct bytes text)
{
    size_t longest = 0, word = 0;
    for (size_t i = 0; i < text.len; i++) {
        word = text.data[i] == ' ' || text.data[i] == '\t' ? 0 : word + 1;
        longest = MAX(longest, word);
    }
    return longest;
}

static enum mime_build_result check_extra(struct mime_builder *builder,
                                          const struct mime_extra *extra)
{
    if (extra->name.len > MIME_BUILD_NAME_MAX) {
        return refuse(builder, MIME_BUILD_TOO_LONG, extra->name);
    }
    if (!may_be_added(extra->name)) return refuse(builder, MIME_BUILD_BAD_FIELD, extra->name);
    const bool encoded = scan_has_8bit(extra->body.data, extra->body.len);
    if (!encoded && longest_word(extra->body) > MIME_BUILD_WORD_MAX) {
        return refuse(builder, MIME_BUILD_TOO_LONG, extra->body);
    }
    return check_words(builder, extra->body, MIME_BUILD_BODY_MAX);
}

static enum mime_build_result check_fields(struct mime_builder *builder)
{
    const struct mime_message *m = builder->message;
    enum mime_build_result result = check_words(builder, m->subject, MIME_BUILD_TEXT_MAX);
    for (size_t i = 0; i < m->extra_count && result == MIME_BUILD_OK; i++)
        result = check_extra(builder, &m->extra[i]);
    if (result != MIME_BUILD_OK) return result;
    if (m->message_id.len > 0 && !is_id(m->message_id, true)) {
        return refuse(builder, MIME_BUILD_BAD_ID, m->message_id);
    }
    return MIME_BUILD_OK;
}

/* ---- all ------------------------------------------------------------------------------------- */

static enum mime_build_result check_content(struct mime_builder *builder)
{
    const struct mime_message *m = builder->message;
    if (m->image_count > 0 && m->html.data == NULL) return MIME_BUILD_NO_HTML;
    if (!scan_utf8_is_valid(m->text.data, m->text.len)) return MIME_BUILD_NOT_UTF8;
    if (!scan_utf8_is_valid(m->html.data, m->html.len)) return MIME_BUILD_NOT_UTF8;
    const enum mime_build_result result = check_parts(builder, m->images, m->image_count, true);
    if (result != MIME_BUILD_OK) return result;
    return check_parts(builder, m->attachments, m->attachment_count, false);
}

enum mime_build_result mime_build_check(struct mime_builder *builder)
{
    enum mime_build_result result = check_people(builder);
    if (result == MIME_BUILD_OK) result = check_fields(builder);
    if (result == MIME_BUILD_OK) result = check_content(builder);
    return result;
}
