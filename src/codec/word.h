/* SPDX-License-Identifier: Apache-2.0
 *
 * word - what parameter.c needs of the encoded-words' decoder
 */
#pragma once
#include "charset.h"
#include "ringpost/codec/word.h"

/* codec_word_decode() into a sink. */
void word_decode(const char *text, size_t len, struct codec_sink *sink, struct charset_pool *pool);
/* The value of a hexadecimal digit of either case, or -1. */
static inline int hex_value(char c)
{
    const unsigned digit = (unsigned char)c - (unsigned)'0';
    const unsigned letter = ((unsigned char)c | 0x20u) - 'a';
    if (digit < 10) return (int)digit;
    return letter < 6 ? (int)letter + 10 : -1;
}
static inline bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}
