/* SPDX-License-Identifier: Apache-2.0
 *
 * convert_field - a field with octets over 127, in 7 bit: encoded-words and RFC 2231
 *
 * Such fields are UTF-8 that nobody announced (SMTPUTF8), and common. Text, names and parameters
 * can be told in 7 bit without loss; addresses cannot. What is not UTF-8, cannot be read, or is a
 * field of which only its owner knows the syntax, is left as it is.
 */
#include "convert_private.h"
#include "ringpost/codec/parameter.h"
#include "ringpost/codec/word.h"
#include "ringpost/mime/address.h"
#include "ringpost/scan.h"

enum { VALUE_MAX = 4096, SPEC_MAX = 400 };

static const char *const address_fields[] = {
    "From",        "Sender",        "Reply-To",  "To",        "Cc",         "Bcc",
    "Resent-From", "Resent-Sender", "Resent-To", "Resent-Cc", "Resent-Bcc",
};
static const char *const text_fields[] = {
    "Subject", "Comments", "Content-Description", "Organization", "Thread-Topic",
};

static bool is_one_of(struct bytes name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (bytes_equal_nocase(name, bytes_of(names[i]))) return true;
    }
    return false;
}

/* What is encoded there already is decoded first: an encoded-word within one means nothing. */
static bool convert_text(struct bytes body, size_t column, struct text *out)
{
    char text[VALUE_MAX];
    while (body.len > 0 && (body.data[0] == ' ' || body.data[0] == '\t'))
        body = bytes_skip(body, 1);
    const size_t len = codec_word_decode(body.data, body.len, text, sizeof(text));
    if (len > sizeof(text) || out->cap - out->len <= codec_word_encoded_max(len)) return false;
    out->len += codec_word_encode(text, len, out->data + out->len, column, CODEC_WORD_TEXT,
                                  CODEC_WORD_AUTO);
    return true;
}

static bool convert_address(struct mime_address_printer *printer,
                            const struct mime_address *address)
{
    char name[MIME_NAME_MAX], spec[SPEC_MAX];
    const size_t len = mime_address_name(address, name, sizeof(name));
    struct text text;
    switch (address->kind) {
    case MIME_ADDRESS_MAILBOX:
        text_init(&text, spec, sizeof(spec));
        mime_address_spec(address, &text);
        return !text.cut &&
               mime_address_print(printer, (struct bytes){name, len}, text_bytes(&text));
    case MIME_ADDRESS_GROUP_BEGIN:
        mime_address_print_group(printer, (struct bytes){name, len});
        return true;
    case MIME_ADDRESS_GROUP_END:
        mime_address_print_group_end(printer);
        return true;
    case MIME_ADDRESS_INVALID:
        return false;
    }
    UNREACHABLE("mime: no such kind of address");
}

static bool convert_addresses(struct bytes body, size_t column, struct text *out)
{
    struct mime_address_reader reader;
    struct mime_address_printer printer;
    struct mime_address address;
    bool any = false;
    mime_address_reader_init(&reader, body);
    mime_address_printer_init(&printer, out, column, true);
    while (mime_address_next(&reader, &address)) {
        if (!convert_address(&printer, &address)) return false;
        any = true;
    }
    return any;
}

static bool convert_parameters(struct bytes parameters, struct text *out)
{
    char name[CODEC_PARAMETER_NAME_MAX + 1], value[VALUE_MAX];
    struct codec_parameter_reader reader;
    struct codec_parameter parameter;
    codec_parameter_reader_init(&reader, parameters.data, parameters.len);
    while (codec_parameter_next(&reader, &parameter, value, sizeof(value))) {
        const size_t len = parameter.value_len;
        if (parameter.name_len >= sizeof(name) || len > sizeof(value) ||
            scan_has_8bit(parameter.name, parameter.name_len) ||
            out->cap - out->len <= codec_parameter_encoded_max(len)) {
            return false;
        }
        memcpy(name, parameter.name, parameter.name_len);
        name[parameter.name_len] = '\0';
        out->len += codec_parameter_encode(name, value, len, out->data + out->len);
    }
    return true;
}

static bool convert_content_type(struct bytes body, struct text *out)
{
    struct mime_content_type type;
    mime_content_type_read(body, &type);
    if (!type.given) return false;
    text_put(out, BYTES(" "));
    text_put(out, type.type);
    text_put(out, BYTES("/"));
    text_put(out, type.subtype);
    return convert_parameters(type.parameters, out);
}

static bool convert_disposition(struct bytes body, struct text *out)
{
    struct bytes parameters;
    const struct bytes token = mime_disposition_read(body, &parameters);
    if (token.len == 0) return false;
    text_put(out, BYTES(" "));
    text_put(out, token);
    return convert_parameters(parameters, out);
}

static bool convert_body(const struct mime_field *field, struct text *out)
{
    const struct bytes name = field->name, body = field->body;
    if (bytes_equal_nocase(name, BYTES("Content-Type"))) return convert_content_type(body, out);
    if (bytes_equal_nocase(name, BYTES("Content-Disposition"))) {
        return convert_disposition(body, out);
    }
    if (is_one_of(name, address_fields, ARRAY_COUNT(address_fields))) {
        return convert_addresses(body, name.len + 1, out);
    }
    if (is_one_of(name, text_fields, ARRAY_COUNT(text_fields)) ||
        bytes_starts_with_nocase(name, BYTES("X-"))) {
        text_put(out, BYTES(" "));
        return convert_text(body, name.len + 2, out);
    }
    return false;
}

bool convert_field(const struct mime_field *field, struct text *out)
{
    if (!scan_utf8_is_valid(field->body.data, field->body.len)) return false;
    text_put(out, field->name);
    text_put(out, BYTES(":"));
    if (!convert_body(field, out)) return false;
    text_put(out, BYTES("\r\n"));
    return !out->cut && !scan_has_8bit(out->data, out->len);
}
