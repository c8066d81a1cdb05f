/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_dsn - a report about anything: no text of a stranger may show as structure
 *
 * Input: one octet of options, then strings, each behind one octet with its length: sender, envid;
 * for each recipient its own octet of options, address, orcpt, reply text, remote; the rest is the
 * original, cut in two.
 */
#include "ringpost/dsn.h"
#include <stdlib.h>

enum { RECIPIENTS_MAX = 3 };

static struct bytes take(struct bytes *input)
{
    if (input->len == 0) return (struct bytes){"", 0};
    const size_t len = MIN((unsigned char)input->data[0], input->len - 1);
    const struct bytes taken = {input->data + 1, len};
    *input = bytes_skip(*input, len + 1);
    return taken;
}

static unsigned count(struct bytes text, struct bytes needle)
{
    unsigned found = 0;
    for (size_t i = 0; i + needle.len <= text.len; i++)
        found += memcmp(text.data + i, needle.data, needle.len) == 0;
    return found;
}

static void check_framing(struct bytes message, bool utf8)
{
    bool header = true;
    for (size_t i = 0; i < message.len; i++) {
        const char c = message.data[i];
        ASSERT(c != '\0');
        if (c == '\r') ASSERT(i + 1 < message.len && message.data[i + 1] == '\n');
        if (c == '\n') ASSERT(i > 0 && message.data[i - 1] == '\r');
        if (c == '\r' && i > 0 && message.data[i - 1] == '\n') header = false;
        if (header && !utf8) ASSERT((unsigned char)c < 128);
    }
    ASSERT(message.len > 2 && message.data[message.len - 1] == '\n');

    /* The boundary stands where we put it, and nowhere else: its parameter and four delimiters. */
    const struct bytes mark = BYTES("\r\n boundary=\"");
    const char *at = memmem(message.data, message.len, mark.data, mark.len);
    ASSERT(at != NULL);
    const char *end = strchr(at + mark.len, '"');
    ASSERT(end != NULL);
    char delimiter[80];
    struct text text;
    text_init(&text, delimiter, sizeof(delimiter));
    text_printf(&text, "\r\n--%.*s", (int)(end - at - (ptrdiff_t)mark.len), at + mark.len);
    ASSERT(count(message, text_bytes(&text)) == 4);
}

/* Each recipient has its group of fields in the second part, and no text looks like one. */
static void check_fields(struct bytes message, uint32_t recipients)
{
    const struct bytes type = BYTES("\r\nContent-Type: message/");
    const char *from = memmem(message.data, message.len, type.data, type.len);
    ASSERT(from != NULL);
    struct bytes part = bytes_skip(message, (size_t)(from - message.data) + type.len);
    const char *to = memmem(part.data, part.len, "\r\n--", 4);
    ASSERT(to != NULL);
    part.len = (size_t)(to - part.data);
    ASSERT(count(part, BYTES("\r\nFinal-Recipient: ")) == recipients);
    ASSERT(count(part, BYTES("\r\nAction: ")) == recipients);
    ASSERT(count(part, BYTES("\r\nStatus: ")) == recipients);
    ASSERT(count(part, BYTES("\r\n\r\n")) >= recipients);
}

static void check_flags(struct bytes message, uint8_t flags)
{
    bool high = false;
    for (size_t i = 0; i < message.len; i++)
        high |= (unsigned char)message.data[i] > 127;
    const bool dots = message.data[0] == '.' || count(message, BYTES("\r\n.")) > 0;
    ASSERT(high == ((flags & SMTP_CONTENT_8BIT) != 0));
    ASSERT(!dots || flags & SMTP_CONTENT_LEADING_DOT);
    ASSERT(!(flags & SMTP_CONTENT_NO_FINAL_CRLF));
}

static struct dsn_recipient take_recipient(struct bytes *input)
{
    const unsigned bits = input->len > 0 ? (unsigned char)input->data[0] : 0;
    *input = bytes_skip(*input, 1);
    struct dsn_recipient recipient = {
        .action = bits & 3,
        .expired = bits & 4,
        .local = bits & 8,
        .code = bits & 16   ? 550
                : bits & 32 ? 421
                            : 0,
        .status = {bits & 64 ? 4 : 0, 2, 2},
        .last_attempt = bits & 128 ? 1700000000000 : 0,
        .will_retry_until = bits & 4 ? 1700000099000 : 0,
    };
    recipient.address = take(input);
    recipient.orcpt = take(input);
    recipient.text = take(input);
    recipient.remote = take(input);
    return recipient;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dsn_recipient recipients[RECIPIENTS_MAX];
    if (size < 2) return 0;
    struct bytes input = {(const char *)data + 1, size - 1};
    struct bytes sender = take(&input), pieces[2];
    if (sender.len == 0) sender = BYTES("a@x");
    const struct bytes envid = take(&input);
    const uint32_t recipient_count = 1 + data[0] % RECIPIENTS_MAX;
    for (uint32_t i = 0; i < recipient_count; i++)
        recipients[i] = take_recipient(&input);
    pieces[0] = (struct bytes){input.data, input.len / 3};
    pieces[1] = bytes_skip(input, input.len / 3);
    const struct dsn dsn = {
        .reporting_mta = BYTES("relay.example"),
        .sender = sender,
        .id = BYTES("1"),
        .now = 1700000001000,
        .arrival = data[0] & 8 ? 1690000000000 : 0,
        .envid = envid,
        .recipients = recipients,
        .recipient_count = recipient_count,
        .original = pieces,
        .original_count = 2,
        .original_complete = data[0] & 16,
        .full_max = data[0] & 32 ? 20 : 0,
        .ret = data[0] & 64    ? SMTP_RET_FULL
               : data[0] & 128 ? SMTP_RET_HDRS
                               : SMTP_RET_UNSET,
    };
    const size_t len = dsn_measure(&dsn);
    struct text out;
    char *memory = malloc(len + 1);
    if (memory == NULL) abort();
    text_init(&out, memory, len + 1);
    const uint8_t flags = dsn_write(&dsn, &out);
    ASSERT(out.len == len);
    check_framing(text_bytes(&out), dsn_needs_smtputf8(&dsn));
    check_fields(text_bytes(&out), recipient_count);
    check_flags(text_bytes(&out), flags);
    free(memory);
    return 0;
}
