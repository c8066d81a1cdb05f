/* SPDX-License-Identifier: Apache-2.0
 *
 * date - reads and prints date-time (RFC 5322 sections 3.3 and 4.3)
 */
#include "ringpost/mime/date.h"

#include "line.h"

enum { DAY_S = 24 * 60 * 60, ZONE_MAX = 24 * 60 - 1 };

/* ---- tokens ---------------------------------------------------------------------------------- */

static void skip(struct bytes *rest)
{
    *rest = bytes_skip(*rest, mime_cfws_len(*rest));
}

static bool take_char(struct bytes *rest, char c)
{
    skip(rest);
    if (rest->len == 0 || rest->data[0] != c) return false;
    *rest = bytes_skip(*rest, 1);
    return true;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* min to max digits, all that there are. Returns how many, or 0. */
static unsigned take_number(struct bytes *rest, unsigned min, unsigned max, unsigned *value)
{
    unsigned count = 0;
    skip(rest);
    for (*value = 0; count < rest->len && is_digit(rest->data[count]); count++) {
        if (count == max) return 0;
        *value = *value * 10 + (unsigned)(rest->data[count] - '0');
    }
    if (count < min) return 0;
    *rest = bytes_skip(*rest, count);
    return count;
}

static struct bytes take_word(struct bytes *rest)
{
    size_t len = 0;
    skip(rest);
    while (len < rest->len && ascii_lower(rest->data[len]) >= 'a' &&
           ascii_lower(rest->data[len]) <= 'z')
        len++;
    const struct bytes word = {rest->data, len};
    *rest = bytes_skip(*rest, len);
    return word;
}

/* ---- the calendar ---------------------------------------------------------------------------- */

static bool is_leap(unsigned year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static unsigned days_in_month(unsigned year, unsigned month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month - 1] + (month == 2 && is_leap(year));
}

/* Days since 1970-01-01. Years begin in March here: smtp/date.c says why. */
static int64_t days_of(unsigned year, unsigned month, unsigned day)
{
    const int64_t y = (int64_t)year - (month <= 2);
    const int64_t month_from_march = (month + 9) % 12;
    const int64_t leap_days = y / 4 - y / 100 + y / 400;
    return y * 365 + leap_days + (153 * month_from_march + 2) / 5 + day - 1 - 719468;
}

static bool take_month(struct bytes *rest, unsigned *month)
{
    static const char names[] = "janfebmaraprmayjunjulaugsepoctnovdec";
    const struct bytes word = take_word(rest);
    if (word.len < 3) return false;
    for (*month = 1; *month <= 12; ++*month) {
        const struct bytes name = {names + (size_t)(*month - 1) * 3, 3};
        if (bytes_equal_nocase((struct bytes){word.data, 3}, name)) return true;
    }
    return false;
}

/* RFC 5322 section 4.3: two digits are 1950 to 2049, three are counted from 1900. */
static bool take_year(struct bytes *rest, unsigned *year)
{
    const unsigned digits = take_number(rest, 2, 4, year);
    if (digits == 2) *year += *year < 50 ? 2000 : 1900;
    if (digits == 3) *year += 1900;
    return digits > 0 && *year >= 1900;
}

/* ---- zones ----------------------------------------------------------------------------------- */

static bool read_zone(struct bytes rest, struct mime_date *date)
{
    static const struct {
        const char *name;
        int8_t hours;
    } zones[] = {
        {"UT", 0},   {"GMT", 0},  {"UTC", 0},  {"EST", -5}, {"EDT", -4}, {"CST", -6},
        {"CDT", -5}, {"MST", -7}, {"MDT", -6}, {"PST", -8}, {"PDT", -7},
    };
    unsigned number;
    skip(&rest);
    const char sign = rest.len > 0 ? rest.data[0] : '\0';
    if (sign == '+' || sign == '-') {
        rest = bytes_skip(rest, 1);
        if (take_number(&rest, 4, 4, &number) == 0 || number % 100 > 59) return false;
        const int minutes = (int)(number / 100 * 60 + number % 100);
        if (minutes > ZONE_MAX) return false;
        date->zone = (int16_t)(sign == '-' ? -minutes : minutes);
        date->zone_known = sign == '+' || minutes > 0;
        return true;
    }
    const struct bytes word = take_word(&rest);
    for (size_t i = 0; i < ARRAY_COUNT(zones); i++) {
        if (!bytes_equal_nocase(word, bytes_of(zones[i].name))) continue;
        date->zone = (int16_t)(zones[i].hours * 60);
        date->zone_known = true;
    }
    return true; /* others, military letters among them, say nothing that can be relied upon */
}

/* ---- both ways ------------------------------------------------------------------------------- */

static bool take_time(struct bytes *rest, unsigned *seconds)
{
    unsigned hour, minute, second = 0;
    if (take_number(rest, 1, 2, &hour) == 0 || !take_char(rest, ':')) return false;
    if (take_number(rest, 1, 2, &minute) == 0) return false;
    if (take_char(rest, ':') && take_number(rest, 1, 2, &second) == 0) return false;
    if (hour > 23 || minute > 59 || second > 60) return false; /* 60: a leap second */
    *seconds = hour * 3600 + minute * 60 + second;
    return true;
}

bool mime_date_read(struct bytes body, struct mime_date *date)
{
    unsigned year, month, day, seconds;
    *date = (struct mime_date){0};
    if (body.len == 0) return false;
    (void)take_word(&body); /* the day of the week, in whatever language */
    (void)take_char(&body, ',');
    if (take_number(&body, 1, 2, &day) == 0) return false;
    (void)take_char(&body, '-'); /* some write 21-Nov-2026 */
    if (!take_month(&body, &month)) return false;
    (void)take_char(&body, '-');
    if (!take_year(&body, &year) || day < 1 || day > days_in_month(year, month)) return false;
    if (!take_time(&body, &seconds) || !read_zone(body, date)) return false;
    date->time =
        (days_of(year, month, day) * DAY_S + (int64_t)seconds - (int64_t)date->zone * 60) * 1000;
    return true;
}

void mime_date_print(const struct mime_date *date, struct text *out)
{
    char line[SMTP_DATE_MAX];
    struct text text;
    const unsigned zone = (unsigned)(date->zone < 0 ? -date->zone : date->zone);
    text_init(&text, line, sizeof(line));
    smtp_date_format(date->time + (wall_ms)date->zone * 60000, &text);
    text.len -= strlen("+0000");
    text_printf(&text, "%c%02u%02u", date->zone < 0 || !date->zone_known ? '-' : '+',
                zone / 60 % 24, zone % 60);
    text_put(out, text_bytes(&text));
}
