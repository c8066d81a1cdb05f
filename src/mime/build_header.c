/* SPDX-License-Identifier: Apache-2.0
 *
 * build_header - fields: folding, encoded-words, lists of mailboxes (RFC 5322, 2047)
 *
 * A line is folded where white space stands anyway, so unfolding gives back what was given. Lines
 * of words of an ordinary length have at most MIME_BUILD_LINE characters.
 */
#include "build_private.h"
#include "line.h"
#include "ringpost/codec/word.h"
#include "ringpost/scan.h"
#include "ringpost/smtp.h"

enum { SUBJECT_WORD = 66 }; /* the first one has room behind "Subject: " */
static_assert(MIME_BUILD_PIECE > MIME_BUILD_BODY_MAX * 12 + MIME_BUILD_NAME_MAX + CODEC_ROOM_MIN,
              "the largest field fits, encoded: codec_word_encoded_max()");

void mime_build_field(struct text *out, const char *name, struct bytes body)
{
    text_put(out, bytes_of(name));
    text_put(out, BYTES(": "));
    text_put(out, body);
    text_put(out, BYTES("\r\n"));
}

/* Characters in the unfinished line. */
static size_t column_of(const struct text *out)
{
    const char *lf = memrchr(out->data, '\n', out->len);
    return lf == NULL ? out->len : (size_t)(out->data + out->len - lf - 1);
}

/* Encoded-words for the whole text; they begin where there is room for some characters at least. */
static void put_encoded(struct text *out, struct bytes text)
{
    text_put(out, column_of(out) > CODEC_WORD_LINE_MAX / 2 ? BYTES("\r\n ") : BYTES(" "));
    ASSERT(out->cap - out->len > codec_word_encoded_max(text.len));
    out->len += codec_word_encode(text.data, text.len, out->data + out->len, column_of(out),
                                  CODEC_WORD_TEXT, CODEC_WORD_AUTO);
    out->data[out->len] = '\0';
}

/* ---- unstructured ---------------------------------------------------------------------------- */

/* White space and the word behind it, which is empty only at the end of the text. */
static struct bytes next_word(struct bytes *rest)
{
    size_t len = 0;
    while (len < rest->len && mime_is_wsp(rest->data[len]))
        len += 1;
    while (len < rest->len && !mime_is_wsp(rest->data[len]))
        len += 1;
    const struct bytes word = {rest->data, len};
    *rest = bytes_skip(*rest, len);
    return word;
}

/* Can stand as it is without losing white space, a long line or a line of white space. */
static bool is_foldable(struct bytes text)
{
    if (text.len == 0) return true;
    if (mime_is_wsp(text.data[0]) || mime_is_wsp(text.data[text.len - 1])) return false;
    while (text.len > 0)
        if (next_word(&text).len > SUBJECT_WORD) return false;
    return true;
}

/* is_foldable() texts only: every word has room in a line, with the white space before it. */
static void put_folded(struct text *out, struct bytes text)
{
    while (text.len > 0) {
        const struct bytes word = next_word(&text);
        if (column_of(out) + word.len > MIME_BUILD_LINE) text_put(out, BYTES("\r\n"));
        text_put(out, word);
    }
}

/* Runs of white space in a field of the caller's become one space. */
static void put_squeezed(struct text *out, struct bytes text)
{
    for (text = bytes_trim(text); text.len > 0; text = bytes_trim(text)) {
        const struct bytes word = next_word(&text);
        if (column_of(out) + 1 + word.len > MIME_BUILD_LINE) text_put(out, BYTES("\r\n"));
        text_put(out, BYTES(" "));
        text_put(out, word);
    }
}

void mime_build_unstructured(struct text *out, struct bytes name, struct bytes body, bool subject)
{
    bool encode = scan_has_8bit(body.data, body.len);
    if (subject) encode |= codec_word_needed(body.data, body.len) || !is_foldable(body);
    text_put(out, name);
    text_put(out, BYTES(":"));
    if (encode) {
        put_encoded(out, body);
    } else if (subject) {
        if (body.len > 0) text_put(out, BYTES(" "));
        put_folded(out, body);
    } else {
        put_squeezed(out, body);
    }
    text_put(out, BYTES("\r\n"));
}

/* ---- mailboxes (RFC 5322 section 3.4) -------------------------------------------------------- */

/* A name beside an address that has octets over 127 may have them, too: the header is UTF-8. */
void mime_build_mailbox(struct mime_builder *builder, struct text *out, const char *name,
                        const struct mime_mailboxes *mailboxes, size_t index)
{
    const struct mime_mailbox *mailbox = &mailboxes->list[index];
    struct mime_address_printer *printer = &builder->printer;
    if (index == 0) {
        text_put(out, bytes_of(name));
        text_put(out, BYTES(":"));
        mime_address_printer_init(printer, out, out->len, true);
    }
    printer->out = out; /* the line may have begun in the last piece */
    printer->seven_bit = !scan_has_8bit(mailbox->address.data, mailbox->address.len);
    const bool printed = mime_address_print(printer, mailbox->name, mailbox->address);
    ASSERT(printed); /* build_check.c has looked */
    if (index + 1 == mailboxes->count) text_put(out, BYTES("\r\n"));
}

/* ---- the rest -------------------------------------------------------------------------------- */

void mime_build_date(struct text *out, wall_ms date)
{
    text_put(out, BYTES("Date: "));
    smtp_date_format(date, out);
    text_put(out, BYTES("\r\n"));
}

/* RFC 5322 section 3.6.4. A domain with octets over 127 is allowed where addresses may have them.
 */
void mime_build_message_id(struct text *out, const struct mime_message *message)
{
    text_put(out, BYTES("Message-ID: <"));
    if (message->message_id.len > 0) {
        text_put(out, message->message_id);
    } else {
        text_printf(out, "%llx.%016llx@", (unsigned long long)message->date,
                    (unsigned long long)message->random[0]);
        text_put(out, smtp_domain_of(message->from.list[0].address));
    }
    text_put(out, BYTES(">\r\n"));
}
