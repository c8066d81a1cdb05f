/* SPDX-License-Identifier: Apache-2.0
 *
 * scan_scalar - the plain form of each kernel: what the others are measured against
 */
#include "scan_ops.h"
#include "scan_step.h"

static size_t find_crlf(const char *data, size_t len)
{
    for (size_t i = 0; i + 1 < len; i++) {
        if (data[i] == '\r' && data[i + 1] == '\n') return i;
    }
    return len;
}

static bool has_8bit(const char *data, size_t len)
{
    unsigned char all = 0;
    for (size_t i = 0; i < len; i++)
        all |= (unsigned char)data[i];
    return all > 127;
}

static struct scan_progress read_content(struct scan_reader *reader, const char *src, size_t len,
                                         char *dst, size_t cap)
{
    struct scan_progress done = {0, 0};
    while (done.taken < len && done.written < cap && reader->state != SCAN_END) {
        const struct scan_progress step = scan_step(reader, src[done.taken], dst + done.written);
        done.taken += step.taken;
        done.written += step.written;
    }
    return done;
}

static size_t stuff(struct scan_stuffer *stuffer, const char *src, size_t len, char *dst)
{
    size_t written = 0;
    for (size_t i = 0; i < len; i++)
        written += scan_stuff_octet(stuffer, src[i], dst + written);
    return written;
}

const struct scan_ops scan_ops_scalar = {
    .find_crlf = find_crlf,
    .has_8bit = has_8bit,
    .crc32c = scan_crc32c_scalar,
    .read = read_content,
    .stuff = stuff,
    .utf8_pass = scan_utf8_plain_len,
};
