/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_dns_answer - reads arbitrary octets as a DNS message
 *
 * The question is taken from the message itself, so that mutations get past it; what comes out must
 * keep the promises of answer.h.
 */
#include "answer.h"

static void check_name(const char *name, size_t len)
{
    ASSERT(len <= DNS_NAME_MAX && name[len] == '\0');
    for (size_t i = 0; i < len; i++) {
        const char c = name[i];
        ASSERT((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
               c == '.');
    }
}

static void check(const struct dns_answer *answer)
{
    ASSERT(answer->mx_count <= DNS_MX_MAX && answer->address_count <= DNS_ADDRESSES_MAX);
    ASSERT(answer->alias_count <= DNS_CNAME_MAX && answer->ttl <= INT32_MAX);
    ASSERT(answer->seen >= answer->mx_count && answer->seen >= answer->address_count);
    ASSERT(!answer->null_mx || (answer->seen == 1 && answer->mx_count == 0));
    check_name(answer->name, strlen(answer->name));
    for (uint8_t i = 0; i < answer->mx_count; i++) {
        const struct answer_mx *mx = &answer->mx[i];
        ASSERT(mx->name_len > 0);
        check_name(mx->name, mx->name_len);
        ASSERT(i == 0 || mx->preference >= answer->mx[i - 1].preference);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum dns_type types[] = {DNS_TYPE_MX, DNS_TYPE_A, DNS_TYPE_AAAA};
    const struct bytes message = {(const char *)data, size};
    char name[DNS_NAME_MAX + 1];
    struct text text;
    size_t at = 12;
    text_init(&text, name, sizeof(name));
    if (dns_answer_name(message, &at, &text) != ANSWER_NAME_OK) text_init(&text, name, 1);
    for (size_t i = 0; i < ARRAY_COUNT(types); i++) {
        struct dns_answer answer;
        if (dns_answer_parse(message, text_bytes(&text), types[i], &answer) == DNS_ERROR_NONE) {
            check(&answer);
        }
    }
    char strings[100];
    struct text txt;
    uint32_t count;
    text_init(&txt, strings, sizeof(strings));
    const enum dns_error error = dns_txt_read(message, text_bytes(&text), &txt, &count);
    ASSERT(error == DNS_ERROR_NONE || error < DNS_ERROR_COUNT);
    ASSERT(count > 0 || txt.len == 0);
    return 0;
}
