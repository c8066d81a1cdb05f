/* SPDX-License-Identifier: Apache-2.0
 *
 * scan_bulk_utf8 - passes over well-formed UTF-8, over blocks
 *
 * Each block is judged with the three octets before it: a character that goes on beyond a block is
 * judged with the next one.
 */
#pragma once

/* Is there an octet over 127 in a group? */
static inline bool group_high(const char *data)
{
    struct calm calm = calm_begin();
    for (size_t i = 0; i < GROUP_BLOCKS; i++)
        calm_ascii(&calm, data + i * BLOCK);
    return calm_high(&calm);
}

static inline bool blocks_wrong(const char *data, size_t blocks)
{
    struct wrong wrong = wrong_begin();
    __asm__("" : "+r"(blocks)); /* a loop: unrolled by gcc 12 it spills most of its registers */
    for (size_t i = 0; i < blocks; i++)
        wrong_add(&wrong, data + i * BLOCK);
    return wrong_any(&wrong);
}

/* Fewer octets than a block; with what is cut off at their end they are wrong. data[-3] can be
 * read.
 */
static inline bool rest_wrong(const char *data, size_t len)
{
    char padded[3 + BLOCK] = {0};
    memcpy(padded, data - 3, 3 + len);
    return blocks_wrong(padded + 3, 1);
}

/* The same place, or the beginning of a character that is not whole before it. */
static inline size_t char_boundary(const char *data, size_t at)
{
    for (size_t back = 1; back <= MIN(at, (size_t)3); back++) {
        const unsigned char octet = (unsigned char)data[at - back];
        if (octet < 0x80) break;
        if (octet < 0xc0) continue;
        const size_t len = octet < 0xe0 ? 2 : octet < 0xf0 ? 3 : 4;
        return len > back ? at - back : at;
    }
    return at;
}

/* Octets of whole well-formed characters at the beginning: not always all of them, but all there
 * are if the text is well-formed up to its end. */
static size_t utf8_pass(const char *data, size_t len)
{
    size_t at = 0;
    while (at < MIN(len, (size_t)3)) { /* octets to look back on */
        const size_t n = utf8_char_len(data + at, len - at);
        if (n == 0) return at;
        at += n;
    }
    for (; len - at >= GROUP; at += GROUP) {
        const bool ascii = (unsigned char)data[at - 1] < 0x80 && !group_high(data + at);
        if (!ascii && blocks_wrong(data + at, GROUP_BLOCKS)) return char_boundary(data, at);
    }
    for (; len - at >= BLOCK; at += BLOCK) {
        if (blocks_wrong(data + at, 1)) return char_boundary(data, at);
    }
    if (at < len && !rest_wrong(data + at, len - at)) return len;
    return char_boundary(data, at);
}
