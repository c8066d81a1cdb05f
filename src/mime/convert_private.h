/* SPDX-License-Identifier: Apache-2.0
 *
 * convert_private - what the files of the converter share
 */
#pragma once
#include "ringpost/mime/field.h"

/* Writes the field in 7 bit, with its CRLF, to out, which is empty. False: it stays as it is, and
 * what is in out means nothing. */
bool convert_field(const struct mime_field *field, struct text *out);
