/* SPDX-License-Identifier: Apache-2.0
 *
 * utf8 - well-formed UTF-8: the kernel in force passes over what is good, the plain code below
 * finds the place of what is not, and the ends of pieces
 */
#include "scan_ops.h"

size_t scan_utf8_plain_len(const char *data, size_t len)
{
    size_t at = 0;
    while (at < len) {
        uint64_t eight;
        if (len - at >= sizeof(eight)) {
            memcpy(&eight, data + at, sizeof(eight));
            if ((eight & 0x8080808080808080u) == 0) {
                at += sizeof(eight);
                continue;
            }
        }
        const size_t n = utf8_char_len(data + at, len - at);
        if (n == 0) break;
        at += n;
    }
    return at;
}

void scan_utf8_init(struct scan_utf8 *utf8)
{
    *utf8 = (struct scan_utf8){0};
}

/* Completes the character that was cut off. Returns the octets taken from data; all of them also if
 * it is still cut off. */
static size_t complete(struct scan_utf8 *utf8, const char *data, size_t len)
{
    char octets[8];
    const size_t had = utf8->cut_len, more = MIN(len, 4 - had);
    memcpy(octets, utf8->cut, had);
    memcpy(octets + had, data, more);
    const struct utf8_char found = utf8_char(octets, had + more);
    if (found.good == found.len) {
        utf8->valid += found.len;
        utf8->cut_len = 0;
        return found.len - had;
    }
    if (found.good < had + more) {
        utf8->broken = true;
        return 0;
    }
    memcpy(utf8->cut, octets, found.good); /* at most 3: four would be whole */
    utf8->cut_len = (uint8_t)found.good;
    return more;
}

bool scan_utf8_feed(struct scan_utf8 *utf8, const char *data, size_t len)
{
    size_t at = 0;
    if (utf8->broken || len == 0) return !utf8->broken;
    if (utf8->cut_len > 0) {
        at = complete(utf8, data, len);
        if (utf8->broken || at == len) return !utf8->broken;
    }
    const size_t good = scan_utf8_valid_len(data + at, len - at);
    utf8->valid += good;
    at += good;
    if (at == len) return true;
    const struct utf8_char found = utf8_char(data + at, len - at);
    utf8->broken = found.len == 0 || found.good < len - at;
    if (utf8->broken) return false;
    memcpy(utf8->cut, data + at, found.good);
    utf8->cut_len = (uint8_t)found.good;
    return true;
}

bool scan_utf8_finish(const struct scan_utf8 *utf8)
{
    return !utf8->broken && utf8->cut_len == 0;
}
