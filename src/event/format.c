/* SPDX-License-Identifier: Apache-2.0
 *
 * format - numbers, times, ids and UTF-8, by arithmetic only
 *
 * An account record is written for each reception and each delivery: no printf, no table of the C
 * library's time zones, nothing that takes a lock.
 */
#include "event_private.h"

char *event_put_decimal(char *out, uint64_t value)
{
    char digits[20];
    size_t count = 0;
    do {
        digits[count++] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    while (count > 0)
        *out++ = digits[--count];
    return out;
}

static char *put_digits(char *out, uint32_t value, uint32_t count)
{
    for (uint32_t i = count; i-- > 0; value /= 10)
        out[i] = (char)('0' + value % 10);
    return out + count;
}

/* Days since 1970-01-01 to a date, by the rules of the Gregorian calendar: years are counted from
 * March 1st of year 0, so that the leap day comes last and months have a regular pattern. */
static void civil_date(uint32_t days, uint32_t *year, uint32_t *month, uint32_t *day)
{
    const uint32_t since_0 = days + 719468;
    const uint32_t era = since_0 / 146097;    /* 400 years */
    const uint32_t of_era = since_0 % 146097; /* 0..146096 */
    const uint32_t year_of_era =
        (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365; /* 0..399 */
    const uint32_t of_year =
        of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100); /* 0..365 */
    const uint32_t from_march = (5 * of_year + 2) / 153;                    /* 0..11 */
    *day = of_year - (153 * from_march + 2) / 5 + 1;
    *month = from_march < 10 ? from_march + 3 : from_march - 9;
    *year = era * 400 + year_of_era + (*month <= 2);
}

char *event_put_time(char *out, wall_ms when)
{
    const wall_ms year_10000 = 253402300800000;
    const uint64_t ms = (uint64_t)(when < 0 ? 0 : MIN(when, year_10000 - 1));
    const uint32_t of_day = (uint32_t)(ms / 1000 % 86400);
    uint32_t year, month, day;
    civil_date((uint32_t)(ms / 86400000), &year, &month, &day);
    out = put_digits(out, year, 4);
    *out++ = '-';
    out = put_digits(out, month, 2);
    *out++ = '-';
    out = put_digits(out, day, 2);
    *out++ = 'T';
    out = put_digits(out, of_day / 3600, 2);
    *out++ = ':';
    out = put_digits(out, of_day / 60 % 60, 2);
    *out++ = ':';
    out = put_digits(out, of_day % 60, 2);
    *out++ = '.';
    out = put_digits(out, (uint32_t)(ms % 1000), 3);
    *out++ = 'Z';
    return out;
}

const char *event_time_print(wall_ms when, char *out)
{
    *event_put_time(out, when) = '\0';
    return out;
}

uint16_t event_utf8_control(const char *data, size_t len)
{
    const unsigned char *at = (const unsigned char *)data;
    if (len == 2 && at[0] == 0xc2 && at[1] < 0xa0) return at[1];
    if (len == 3 && at[0] == 0xe2 && at[1] == 0x80 && (at[2] == 0xa8 || at[2] == 0xa9)) {
        return (uint16_t)(0x2000 + at[2] - 0x80);
    }
    return 0;
}

enum { ID_LEN = 13 }; /* 13 x 5 bits hold 64; the first character holds four */

const char *event_id_print(uint64_t id, char *out)
{
    static const char alphabet[] = "0123456789abcdefghijklmnopqrstuv";
    for (size_t i = ID_LEN; i-- > 0; id >>= 5)
        out[i] = alphabet[id & 31];
    out[ID_LEN] = '\0';
    return out;
}

bool event_id_parse(struct bytes text, uint64_t *id)
{
    uint64_t value = 0;
    if (text.len != ID_LEN) return false;
    for (size_t i = 0; i < ID_LEN; i++) {
        const char c = ascii_lower(text.data[i]);
        unsigned digit;
        if (c >= '0' && c <= '9') {
            digit = (unsigned)(c - '0');
        } else if (c >= 'a' && c <= 'v') {
            digit = (unsigned)(c - 'a') + 10;
        } else {
            return false;
        }
        if (i == 0 && digit > 15) return false;
        value = value << 5 | digit;
    }
    *id = value;
    return true;
}
