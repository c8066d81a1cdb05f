/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_machines - the two SMTP machines in random conversations that make sense, or nearly so
 *
 * The octets of the input are decisions, not the conversation: the first one chooses the play.
 *
 *     machines_server.c   a client with a grammar, for the server
 *     machines_client.c   a receiver with a grammar, for the client
 *     machines_pair.c     the client and the server of Ringpost with each other
 */
#include "machines.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- content ----------------------------------------------------------------------------------
 */

void machines_put_content(struct choices *choices, struct text *out)
{
    static const struct bytes snippets[] = {
        {"From: a@x.example\r\n", 19},
        {"\r\n", 2},
        {"text\r\n", 6},
        {".", 1},
        {".\r\n", 3},
        {"..\r\n", 4},
        {"\r\n.\r\n", 5},
        {"\r\n.\r", 4},
        {"\r", 1},
        {"\n", 1},
        {"\n.\n", 3},
        {"\n.\r\n", 4},
        {"\0", 1},
        {"\xc3\xa4", 2},
        {"no end of line", 14},
        {"\r\n..", 4},
        {"Received: x\r\n", 13},
        {"Return-Path: <>\r\n", 17},
        {"Subject: s\r\n t\r\n", 16},
        {"QUIT\r\n", 6},
        {"MAIL FROM:<evil@x.example>\r\n", 28},
        {"0123456789012345678901234567890123456789", 40},
    };
    for (unsigned count = choose_below(choices, 12); count > 0; count--) {
        const struct bytes snippet = CHOOSE_FROM(choices, snippets);
        if (out->cap - out->len <= snippet.len) return;
        text_put(out, snippet);
    }
}

bool machines_ends_line(struct bytes content)
{
    return content.len == 0 ||
           (content.len > 1 && memcmp(content.data + content.len - 2, "\r\n", 2) == 0);
}

static uint32_t count_of(struct bytes text, struct bytes word)
{
    uint32_t count = 0;
    for (size_t i = 0; i + word.len <= text.len; i++)
        count += memcmp(text.data + i, word.data, word.len) == 0;
    return count;
}

enum machines_judgement machines_judge(struct bytes content, bool whole,
                                       const struct machines_limits *limits)
{
    size_t line = 0;
    if (limits->size > 0 && content.len > limits->size) return CONTENT_BAD;
    for (size_t i = 0; i < content.len; i++) {
        const char c = content.data[i];
        const bool last = i + 1 == content.len;
        if (c == '\0') return CONTENT_BAD;
        if (c == '\r' && !last && content.data[i + 1] != '\n') return CONTENT_BAD;
        if (c == '\r' && last && whole) return CONTENT_BAD;
        if (c == '\n' && (i == 0 || content.data[i - 1] != '\r')) return CONTENT_BAD;
        if (c == '\n') line = 0;
        if (c != '\n' && c != '\r') line += 1;
        if (limits->text_line > 0 && line > limits->text_line) return CONTENT_BAD;
    }
    if (count_of(content, BYTES("Received:")) > limits->received) return CONTENT_UNSURE;
    if (count_of(content, BYTES("Return-Path:")) > limits->cuts) return CONTENT_UNSURE;
    return CONTENT_GOOD;
}

void machines_stuff(struct bytes content, bool after_lf, struct text *out)
{
    for (size_t i = 0; i < content.len; i++) {
        const bool begins = i == 0 || (content.data[i - 1] == '\n' &&
                                       (after_lf || (i > 1 && content.data[i - 2] == '\r')));
        if (begins && content.data[i] == '.') text_put(out, BYTES("."));
        text_put(out, (struct bytes){content.data + i, 1});
    }
    if (!machines_ends_line(content)) text_put(out, BYTES("\r\n"));
    text_put(out, BYTES(".\r\n"));
}

/* ---- the play ---------------------------------------------------------------------------------
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const plays[])(struct choices *) = {machines_server, machines_client,
                                                      machines_pair};
    struct choices choices = {data, size};
    if (size > 0) CHOOSE_FROM(&choices, plays)(&choices);
    return 0;
}
