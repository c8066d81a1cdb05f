/* SPDX-License-Identifier: Apache-2.0
 *
 * extension - service keywords of EHLO, and the names of protocols for trace
 * fields
 */
#include "ringpost/smtp.h"

static const struct {
    struct bytes keyword;
    enum smtp_extension extension;
} extensions[] = {
    {{"PIPELINING", 10}, SMTP_EXT_PIPELINING},
    {{"SIZE", 4}, SMTP_EXT_SIZE},
    {{"8BITMIME", 8}, SMTP_EXT_8BITMIME},
    {{"SMTPUTF8", 8}, SMTP_EXT_SMTPUTF8},
    {{"ENHANCEDSTATUSCODES", 19}, SMTP_EXT_ENHANCEDSTATUSCODES},
    {{"CHUNKING", 8}, SMTP_EXT_CHUNKING},
    {{"DSN", 3}, SMTP_EXT_DSN},
    {{"STARTTLS", 8}, SMTP_EXT_STARTTLS},
    {{"BINARYMIME", 10}, SMTP_EXT_BINARYMIME},
    {{"LIMITS", 6}, SMTP_EXT_LIMITS},
    {{"AUTH", 4}, SMTP_EXT_AUTH},
};

uint32_t smtp_extension_parse(struct bytes line, struct bytes *args)
{
    struct bytes keyword = line;
    const char *space = line.len > 0 ? memchr(line.data, ' ', line.len) : NULL;
    if (space != NULL) keyword.len = (size_t)(space - line.data);
    *args = bytes_trim(bytes_skip(line, keyword.len));
    keyword = bytes_trim(keyword);

    for (size_t i = 0; i < ARRAY_COUNT(extensions); i++) {
        if (bytes_equal_nocase(keyword, extensions[i].keyword)) return extensions[i].extension;
    }
    return 0;
}

const char *smtp_protocol_name(uint8_t protocol)
{
    /* RFC 5321 section 4.4, RFC 3848 and RFC 6531 section 4.3 */
    static const char *const names[] = {
        [SMTP_PROTOCOL_LOCAL] = "local",         [SMTP_PROTOCOL_SMTP] = "SMTP",
        [SMTP_PROTOCOL_ESMTP] = "ESMTP",         [SMTP_PROTOCOL_ESMTPS] = "ESMTPS",
        [SMTP_PROTOCOL_ESMTPA] = "ESMTPA",       [SMTP_PROTOCOL_ESMTPSA] = "ESMTPSA",
        [SMTP_PROTOCOL_UTF8SMTP] = "UTF8SMTP",   [SMTP_PROTOCOL_UTF8SMTPS] = "UTF8SMTPS",
        [SMTP_PROTOCOL_UTF8SMTPA] = "UTF8SMTPA", [SMTP_PROTOCOL_UTF8SMTPSA] = "UTF8SMTPSA",
    };
    static_assert(ARRAY_COUNT(names) == SMTP_PROTOCOL_COUNT, "one name for each protocol");
    ASSERT(protocol < ARRAY_COUNT(names));
    return names[protocol];
}
