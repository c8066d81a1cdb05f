/* SPDX-License-Identifier: Apache-2.0
 *
 * date - the date-time of trace fields and reports (RFC 5322 section 3.3), always in UTC
 *
 * Arithmetic only: the C library's calendar reads the zone's files and takes a lock.
 */
#include "ringpost/smtp.h"

enum { DAY_S = 24 * 60 * 60 };
#define TIME_MAX_S INT64_C(253402300799) /* 9999-12-31 23:59:59: the year has four digits */

struct civil_date {
    unsigned year, month, day; /* month 1..12, day 1..31 */
};

/* Years are counted from 1 March, so that the leap day is a year's last and the lengths of the
 * months before a given one are a linear function (153 days in five months). */
static struct civil_date civil_from_days(unsigned days_since_1970)
{
    const unsigned days = days_since_1970 + 719468; /* since 0000-03-01 */
    const unsigned era = days / 146097;             /* of 400 years */
    const unsigned day_of_era = days % 146097;
    const unsigned year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    const unsigned day_of_year =
        day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100); /* 0 = 1 March */
    const unsigned month_from_march = (5 * day_of_year + 2) / 153;
    const unsigned month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
    return (struct civil_date){
        .year = era * 400 + year_of_era + (month <= 2),
        .month = month,
        .day = day_of_year - (153 * month_from_march + 2) / 5 + 1,
    };
}

static char *put_digits(char *out, unsigned value, unsigned count)
{
    for (unsigned i = count; i > 0; i--, value /= 10)
        out[i - 1] = (char)('0' + value % 10);
    return out + count;
}

static char *put_word(char *out, const char *word, size_t len)
{
    memcpy(out, word, len);
    return out + len;
}

void smtp_date_format(wall_ms time, struct text *out)
{
    static const char weekdays[] = "Thu, Fri, Sat, Sun, Mon, Tue, Wed, "; /* 1970 began on one */
    static const char months[] = " Jan  Feb  Mar  Apr  May  Jun  Jul  Aug  Sep  Oct  Nov  Dec ";
    const int64_t seconds = MIN(MAX(time, 0) / 1000, TIME_MAX_S);
    const unsigned days = (unsigned)(seconds / DAY_S), second = (unsigned)(seconds % DAY_S);
    const struct civil_date date = civil_from_days(days);
    char line[SMTP_DATE_MAX], *at = line;

    at = put_word(at, weekdays + (size_t)(days % 7) * 5, 5);
    at = put_digits(at, date.day, date.day < 10 ? 1 : 2);
    at = put_word(at, months + (size_t)(date.month - 1) * 5, 5);
    at = put_digits(at, date.year, 4);
    at = put_word(at, " ", 1);
    at = put_digits(at, second / 3600, 2);
    at = put_word(at, ":", 1);
    at = put_digits(at, second / 60 % 60, 2);
    at = put_word(at, ":", 1);
    at = put_digits(at, second % 60, 2);
    at = put_word(at, " +0000", 6);
    text_put(out, (struct bytes){line, (size_t)(at - line)});
}
