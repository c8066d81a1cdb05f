// SPDX-License-Identifier: Apache-2.0
//
// loops - where no library exists: what programs do by hand, with libc's memchr() or octet by octet
#include "bench.h"
#include <cstring>

namespace bench
{

namespace
{

// DATA line by line: end of data, stuffed dots, copy. Nothing is checked.
size_t read_by_memchr(const char *src, size_t len, char *dst)
{
    const char *at = src, *const end = src + len;
    char *out = dst;
    while (at < end) {
        const auto *feed = static_cast<const char *>(std::memchr(at, '\n', size_t(end - at)));
        const char *const next = feed != nullptr ? feed + 1 : end;
        if (*at == '.') {
            if (next - at == 3 && at[1] == '\r') break;
            at += 1;
        }
        std::memcpy(out, at, size_t(next - at));
        out += next - at;
        at = next;
    }
    return size_t(out - dst);
}

struct Found {
    size_t written = 0, line_max = 0;
    bool is_8bit = false, nul = false, bare_cr = false, bare_lf = false, dot = false;
};

// The same octet by octet, with all that scan_read() reports.
Found read_by_octet(const char *src, size_t len, char *dst)
{
    Found found;
    size_t line = 0;
    char last = '\n', before = '\r';
    for (size_t i = 0; i < len; i++) {
        const char octet = src[i];
        const bool at_start = last == '\n' && before == '\r';
        before = last;
        last = octet;
        if (at_start && octet == '.') {
            if (len - i >= 3 && src[i + 1] == '\r' && src[i + 2] == '\n') break;
            found.dot |= i + 1 < len && src[i + 1] == '.';
            continue;
        }
        found.is_8bit |= (octet & 0x80) != 0;
        found.nul |= octet == 0;
        found.bare_cr |= before == '\r' && octet != '\n';
        found.bare_lf |= before != '\r' && octet == '\n';
        dst[found.written++] = octet;
        line += 1;
        if (octet == '\n' && before == '\r') {
            if (line - 2 > found.line_max) found.line_max = line - 2;
            line = 0;
        }
    }
    return found;
}

size_t stuff_by_memchr(const char *src, size_t len, char *dst)
{
    const char *at = src, *const end = src + len;
    char *out = dst;
    while (at < end) {
        const auto *feed = static_cast<const char *>(std::memchr(at, '\n', size_t(end - at)));
        const char *const next = feed != nullptr ? feed + 1 : end;
        if (*at == '.') *out++ = '.';
        std::memcpy(out, at, size_t(next - at));
        out += next - at;
        at = next;
    }
    return size_t(out - dst);
}

// RFC 6376 section 3.4.4, without the line that is missing at the end.
size_t relax_by_octet(const char *src, size_t len, char *dst)
{
    size_t written = 0, empty = 0;
    bool space = false;
    for (size_t i = 0; i < len; i++) {
        const char octet = src[i];
        if (octet == '\r' && i + 1 < len && src[i + 1] == '\n') {
            space = false;
            empty += 1;
            i += 1;
            continue;
        }
        if (octet == ' ' || octet == '\t') {
            space = true;
            continue;
        }
        for (; empty > 0; empty--) {
            dst[written++] = '\r';
            dst[written++] = '\n';
        }
        if (space) dst[written++] = ' ';
        space = false;
        dst[written++] = octet;
    }
    dst[written++] = '\r';
    dst[written++] = '\n';
    return written;
}

void add_read(const std::string &input, size_t size)
{
    Buffer source = text(input, size), target = scratch(size);
    add("scan_read", "memchr", input, size, size,
        [=] { benchmark::DoNotOptimize(read_by_memchr(source->data(), size, target->data())); });
    add("scan_read", "loop", input, size, size,
        [=] { benchmark::DoNotOptimize(read_by_octet(source->data(), size, target->data())); });
}

} // namespace

void add_loops()
{
    for (size_t size : sizes) {
        for (const char *input : {"ascii", "cyrillic", "base64", "dots"})
            add_read(input, size);
        for (const char *input : {"ascii", "base64", "dots"}) {
            Buffer source = text(input, spanned(size)), target = scratch(2 * size);
            add("scan_stuff", "memchr", input, size, size, [=](size_t at) {
                benchmark::DoNotOptimize(
                    stuff_by_memchr(source->data() + at, size, target->data()));
            });
        }
        for (const char *input : {"ascii", "latin", "cyrillic", "html", "base64"}) {
            Buffer source = text(input, spanned(size)), target = scratch(size + 2);
            add("dkim_relaxed", "loop", input, size, size, [=](size_t at) {
                benchmark::DoNotOptimize(relax_by_octet(source->data() + at, size, target->data()));
            });
        }
    }
}

} // namespace bench
