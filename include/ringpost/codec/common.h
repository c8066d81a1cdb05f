/* SPDX-License-Identifier: Apache-2.0
 *
 * codec/common - how all codecs take and give octets
 *
 * One-shot functions take the whole text and a destination that is large enough for the worst case,
 * which a function or macro beside them computes. They never write beyond that.
 *
 * Streams (struct codec_*_encoder, _decoder) take pieces of any size, also of none. A call goes on
 * until the source is used up or fewer than CODEC_ROOM_MIN octets are left at the destination; so
 * with that much room every call makes progress. What is written never depends on how the text was
 * split. finish() settles what was held back: it writes at most CODEC_ROOM_MIN octets.
 * All of [dst, dst + cap) may be written to, whatever the call returns; nothing outside is.
 * Octets of the source beyond its length are never read.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CODEC_ROOM_MIN = 256 };
#define CODEC_NO_ERROR UINT64_MAX

struct codec_progress {
    size_t taken;   /* octets of the source */
    size_t written; /* octets in the destination */
};
struct codec_result {
    size_t written; /* octets in the destination; with an error: those before it */
    uint64_t error; /* offset in the source of the first octet that is wrong, the source's length if
                     * it ends too early; CODEC_NO_ERROR if nothing is wrong */
};
