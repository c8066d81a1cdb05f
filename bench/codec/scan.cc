// SPDX-License-Identifier: Apache-2.0
//
// scan - what each octet of a message meets on its way in and out: reading (end of data, stuffed
// dots, copy, classes, in one pass), stuffing, search, UTF-8, CRC
#include "bench.h"
#include <cstdint>
#include <cstring>

namespace bench
{
namespace
{

// One message: begun anew each time, never at its end, so that all of it is content.
void add_read(const std::string &input, size_t size)
{
    Buffer source = text(input, spanned(size)), target = scratch(size);
    add_levels("scan_read", input, size, size, [=](size_t at) {
        struct scan_reader reader;
        scan_reader_init(&reader, true);
        const struct scan_progress done =
            scan_read(&reader, source->data() + at, size, target->data(), size);
        benchmark::DoNotOptimize(done);
        benchmark::DoNotOptimize(reader);
    });
}

void add_stuff(const std::string &input, size_t size)
{
    Buffer source = text(input, spanned(size)), target = scratch(2 * size);
    add_levels("scan_stuff", input, size, size, [=](size_t at) {
        struct scan_stuffer stuffer;
        scan_stuffer_init(&stuffer);
        benchmark::DoNotOptimize(scan_stuff(&stuffer, source->data() + at, size, target->data()));
    });
}

// A line without end: what is measured is the search, not the call.
void add_find_crlf(size_t size)
{
    Buffer source = text("ascii", size);
    for (char &octet : *source) {
        if (octet == '\r') octet = ' ';
    }
    add_levels("scan_find_crlf", "ascii", size, size,
               [=] { benchmark::DoNotOptimize(scan_find_crlf(source->data(), size)); });
}

void add_utf8(const std::string &input, size_t size)
{
    // A piece may end within a character, where all of it has been looked at.
    Buffer source = text(input, spanned(size));
    add_levels("scan_utf8", input, size, size, [=](size_t at) {
        const std::string_view piece = characters(source, at, size);
        benchmark::DoNotOptimize(scan_utf8_is_valid(piece.data(), piece.size()));
    });
}

void add_crc32c(size_t size)
{
    Buffer source = random_octets(size);
    add_levels("scan_crc32c", "random", size, size,
               [=] { benchmark::DoNotOptimize(scan_crc32c(0, source->data(), size)); });
}

} // namespace

void add_scan()
{
    for (size_t size : sizes) {
        for (const char *input : {"ascii", "cyrillic", "base64", "dots"})
            add_read(input, size);
        for (const char *input : {"ascii", "base64", "dots"})
            add_stuff(input, size);
        add_find_crlf(size);
        for (const char *input : {"ascii", "latin", "cyrillic", "html"})
            add_utf8(input, size);
        add_crc32c(size);
    }
}

} // namespace bench
