/* SPDX-License-Identifier: Apache-2.0
 *
 * codec - everything a mail body needs done to it, at close to the speed of memory
 *
 * The public library libringpost_codec: these headers, simd.h (which instruction set) and scan.h
 * (dot-stuffing, end of data, classes of octets, UTF-8). It needs nothing but libc, allocates
 * nothing (iconv(3) may, see word.h), keeps nothing: the caller owns all memory, and any thread may
 * call anything on objects of its own. What is wrong with the octets is reported as data; no input
 * is undefined behaviour.
 */
#pragma once
#include "ringpost/codec/base64.h"
#include "ringpost/codec/common.h"
#include "ringpost/codec/dkim.h"
#include "ringpost/codec/parameter.h"
#include "ringpost/codec/quoted_printable.h"
#include "ringpost/codec/uuencode.h"
#include "ringpost/codec/word.h"
