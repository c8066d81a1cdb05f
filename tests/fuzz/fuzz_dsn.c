/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_dsn - a report about anything: no text of a stranger may show as structure
 *
 * Input: one octet of options, then strings, each behind one octet with its length: sender, envid,
 * address, orcpt, reply text, remote; the rest is the original, cut in two.
 */
#include "ringpost/dsn.h"
#include <stdlib.h>

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) return 0;
    struct bytes input = {(const char *)data + 1, size - 1};
    struct bytes sender = take(&input), pieces[2];
    if (sender.len == 0) sender = BYTES("a@x");
    const struct bytes envid = take(&input);
    struct dsn_recipient recipient = {
        .address = take(&input),
        .orcpt = take(&input),
        .text = take(&input),
        .remote = take(&input),
        .action = data[0] & 3,
        .expired = data[0] & 4,
        .local = data[0] & 8,
        .code = data[0] & 16 ? 550 : 0,
        .status = {data[0] & 32 ? 4 : 0, 2, 2},
    };
    pieces[0] = (struct bytes){input.data, input.len / 3};
    pieces[1] = bytes_skip(input, input.len / 3);
    const struct dsn dsn = {
        .reporting_mta = BYTES("relay.example"),
        .sender = sender,
        .id = BYTES("1"),
        .envid = envid,
        .recipients = &recipient,
        .recipient_count = 1,
        .original = pieces,
        .original_count = 2,
        .original_complete = data[0] & 64,
        .ret = data[0] & 128 ? SMTP_RET_FULL : SMTP_RET_UNSET,
    };
    const size_t len = dsn_measure(&dsn);
    struct text out;
    char *memory = malloc(len + 1);
    if (memory == NULL) abort();
    text_init(&out, memory, len + 1);
    (void)dsn_write(&dsn, &out);
    ASSERT(out.len == len);
    check_framing(text_bytes(&out), dsn_needs_smtputf8(&dsn));
    free(memory);
    return 0;
}
