/* SPDX-License-Identifier: Apache-2.0
 *
 * mime/date - the date-time of header fields (RFC 5322 sections 3.3 and 4.3)
 */
#pragma once
#include "ringpost/smtp.h"

struct mime_date {
    wall_ms time;
    int16_t zone;    /* minutes east of UTC: -23:59 to +23:59 */
    bool zone_known; /* false: "-0000", a military letter, or none at all: UTC is a guess */
};
/* A field's body: comments, folding, obsolete zones, years of two or three digits and missing
 * seconds are read; the day of the week is not checked. False if it is no date. */
MUST_USE bool mime_date_read(struct bytes body, struct mime_date *date);
/* "Sat, 21 Nov 2026 08:05:39 +0100"; UTC: smtp_date_format(). */
void mime_date_print(const struct mime_date *date, struct text *out);
