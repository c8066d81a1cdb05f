/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_mime_address - lists of addresses, and dates
 *
 * What was read is printed, and reads back as the same.
 */
#include "ringpost/mime/address.h"
#include "ringpost/mime/date.h"
#include "ringpost/scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void assert_same(struct bytes printed, struct bytes name, struct bytes spec)
{
    struct mime_address_reader reader;
    struct mime_address address;
    char again[1200], again_name[MIME_NAME_MAX];
    struct text text;
    text_init(&text, again, sizeof(again));
    mime_address_reader_init(&reader, printed);
    ASSERT(mime_address_next(&reader, &address) && address.kind == MIME_ADDRESS_MAILBOX);
    mime_address_spec(&address, &text);
    ASSERT(bytes_equal(text_bytes(&text), spec));
    const size_t len = mime_address_name(&address, again_name, sizeof(again_name));
    ASSERT((len > 0) == (name.len > 0));
    ASSERT(!mime_address_next(&reader, &address));
}

static void print_again(const struct mime_address *address)
{
    char name[MIME_NAME_MAX], spec[1200], line[8000];
    struct text text, out;
    const size_t len = mime_address_name(address, name, sizeof(name));
    ASSERT(len <= sizeof(name));
    if (address->kind != MIME_ADDRESS_MAILBOX) return;
    text_init(&text, spec, sizeof(spec));
    mime_address_spec(address, &text);
    for (int seven_bit = 0; seven_bit < 2; seven_bit++) {
        struct mime_address_printer printer;
        text_init(&out, line, sizeof(line));
        mime_address_printer_init(&printer, &out, 3, seven_bit);
        if (!mime_address_print(&printer, (struct bytes){name, len}, text_bytes(&text))) {
            ASSERT(seven_bit || text.len > 800 || !scan_utf8_is_valid(text.data, text.len));
            continue;
        }
        ASSERT(!out.cut && (!seven_bit || !scan_has_8bit(out.data, out.len)));
        const struct bytes clean = bytes_trim((struct bytes){name, len});
        bool blank = true;
        for (size_t i = 0; i < clean.len; i++)
            blank &= (unsigned char)clean.data[i] <= ' ' || clean.data[i] == 127;
        assert_same(text_bytes(&out), blank ? (struct bytes){NULL, 0} : clean, text_bytes(&text));
    }
}

static void check_date(struct bytes input)
{
    struct mime_date date, again;
    char line[SMTP_DATE_MAX];
    struct text text;
    if (!mime_date_read(input, &date)) return;
    const wall_ms local = date.time + date.zone * INT64_C(60000);
    if (local < 0 || local >= INT64_C(253402300800000)) return; /* before 1970, after 9999 */
    text_init(&text, line, sizeof(line));
    mime_date_print(&date, &text);
    ASSERT(!text.cut && mime_date_read(text_bytes(&text), &again));
    ASSERT(again.time == date.time && again.zone == date.zone);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct bytes input = {(const char *)data, size};
    struct mime_address_reader reader;
    struct mime_address address;
    int depth = 0;
    mime_address_reader_init(&reader, input);
    while (mime_address_next(&reader, &address)) {
        depth += address.kind == MIME_ADDRESS_GROUP_BEGIN;
        depth -= address.kind == MIME_ADDRESS_GROUP_END;
        ASSERT(depth == 0 || depth == 1);
        print_again(&address);
    }
    ASSERT(depth == 0 && reader.rest.len == 0);
    check_date(input);
    return 0;
}
