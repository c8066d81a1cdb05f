/* SPDX-License-Identifier: Apache-2.0
 *
 * charset_names - the charsets that are met in mail
 *
 * A closed list, because the name comes from a stranger: glibc loads a module for each charset and
 * remembers each name it was ever asked for, and names like "CHAR" or "UTF-8//IGNORE" mean more
 * than a charset. Names are those of the IANA registry and those that mail programs have made up;
 * where a vendor's superset is what is really sent under the standard's name (Shift_JIS, GB2312,
 * KS_C_5601-1987), the superset is what they are read as.
 */
#include "charset.h"

enum { NAME_MAX_LEN = 24 };

static const struct charset charsets[] = {
    {"utf8", CHARSET_UTF8, NULL},
    {"unicode11utf8", CHARSET_UTF8, NULL},
    {"usascii", CHARSET_UTF8, NULL}, /* whoever says so and sends 8 bits sends UTF-8, if anything */
    {"ascii", CHARSET_UTF8, NULL},
    {"ansix341968", CHARSET_UTF8, NULL},
    {"iso646us", CHARSET_UTF8, NULL},
    {"iso88591", CHARSET_LATIN1, NULL},
    {"iso885911987", CHARSET_LATIN1, NULL},
    {"latin1", CHARSET_LATIN1, NULL},
    {"windows1252", CHARSET_WINDOWS_1252, NULL},
    {"cp1252", CHARSET_WINDOWS_1252, NULL},
    {"iso88592", CHARSET_ICONV, "ISO-8859-2"},
    {"latin2", CHARSET_ICONV, "ISO-8859-2"},
    {"iso88593", CHARSET_ICONV, "ISO-8859-3"},
    {"iso88594", CHARSET_ICONV, "ISO-8859-4"},
    {"iso88595", CHARSET_ICONV, "ISO-8859-5"},
    {"iso88596", CHARSET_ICONV, "ISO-8859-6"},
    {"iso88597", CHARSET_ICONV, "ISO-8859-7"},
    {"iso88598", CHARSET_ICONV, "ISO-8859-8"},
    {"iso88598i", CHARSET_ICONV, "ISO-8859-8"}, /* RFC 1556: the order of writing differs only */
    {"iso88598e", CHARSET_ICONV, "ISO-8859-8"},
    {"iso88599", CHARSET_ICONV, "ISO-8859-9"},
    {"latin5", CHARSET_ICONV, "ISO-8859-9"},
    {"iso885910", CHARSET_ICONV, "ISO-8859-10"},
    {"iso885911", CHARSET_ICONV, "ISO-8859-11"},
    {"iso885913", CHARSET_ICONV, "ISO-8859-13"},
    {"iso885914", CHARSET_ICONV, "ISO-8859-14"},
    {"iso885915", CHARSET_ICONV, "ISO-8859-15"},
    {"latin9", CHARSET_ICONV, "ISO-8859-15"},
    {"iso885916", CHARSET_ICONV, "ISO-8859-16"},
    {"windows1250", CHARSET_ICONV, "CP1250"},
    {"cp1250", CHARSET_ICONV, "CP1250"},
    {"windows1251", CHARSET_ICONV, "CP1251"},
    {"cp1251", CHARSET_ICONV, "CP1251"},
    {"windows1253", CHARSET_ICONV, "CP1253"},
    {"windows1254", CHARSET_ICONV, "CP1254"},
    {"windows1255", CHARSET_ICONV, "CP1255"},
    {"windows1256", CHARSET_ICONV, "CP1256"},
    {"windows1257", CHARSET_ICONV, "CP1257"},
    {"windows1258", CHARSET_ICONV, "CP1258"},
    {"windows874", CHARSET_ICONV, "CP874"},
    {"tis620", CHARSET_ICONV, "TIS-620"},
    {"koi8r", CHARSET_ICONV, "KOI8-R"},
    {"koi8u", CHARSET_ICONV, "KOI8-U"},
    {"ibm437", CHARSET_ICONV, "CP437"},
    {"cp437", CHARSET_ICONV, "CP437"},
    {"ibm850", CHARSET_ICONV, "CP850"},
    {"cp850", CHARSET_ICONV, "CP850"},
    {"ibm852", CHARSET_ICONV, "CP852"},
    {"cp852", CHARSET_ICONV, "CP852"},
    {"ibm866", CHARSET_ICONV, "CP866"},
    {"cp866", CHARSET_ICONV, "CP866"},
    {"macintosh", CHARSET_ICONV, "MACINTOSH"},
    {"xmacroman", CHARSET_ICONV, "MACINTOSH"},
    {"xmaccyrillic", CHARSET_ICONV, "MAC-CYRILLIC"},
    {"iso2022jp", CHARSET_ICONV, "ISO-2022-JP"},
    {"iso2022jp1", CHARSET_ICONV, "ISO-2022-JP"},
    {"iso2022jp2", CHARSET_ICONV, "ISO-2022-JP-2"},
    {"eucjp", CHARSET_ICONV, "EUC-JP"},
    {"xeucjp", CHARSET_ICONV, "EUC-JP"},
    {"shiftjis", CHARSET_ICONV, "CP932"},
    {"sjis", CHARSET_ICONV, "CP932"},
    {"xsjis", CHARSET_ICONV, "CP932"},
    {"mskanji", CHARSET_ICONV, "CP932"},
    {"windows31j", CHARSET_ICONV, "CP932"},
    {"cp932", CHARSET_ICONV, "CP932"},
    {"iso2022kr", CHARSET_ICONV, "ISO-2022-KR"},
    {"euckr", CHARSET_ICONV, "CP949"},
    {"ksc56011987", CHARSET_ICONV, "CP949"},
    {"ksc5601", CHARSET_ICONV, "CP949"},
    {"cp949", CHARSET_ICONV, "CP949"},
    {"uhc", CHARSET_ICONV, "CP949"},
    {"johab", CHARSET_ICONV, "JOHAB"},
    {"gb2312", CHARSET_ICONV, "GB18030"},
    {"euccn", CHARSET_ICONV, "GB18030"},
    {"eucgb2312cn", CHARSET_ICONV, "GB18030"}, /* this and "big5_tw" are what Python writes */
    {"gbk", CHARSET_ICONV, "GB18030"},
    {"xgbk", CHARSET_ICONV, "GB18030"},
    {"cp936", CHARSET_ICONV, "GB18030"},
    {"gb18030", CHARSET_ICONV, "GB18030"},
    {"big5", CHARSET_ICONV, "BIG5"},
    {"big5hkscs", CHARSET_ICONV, "BIG5-HKSCS"},
    {"big5tw", CHARSET_ICONV, "BIG5"},
    {"cp950", CHARSET_ICONV, "BIG5"},
    {"euctw", CHARSET_ICONV, "EUC-TW"},
    {"utf7", CHARSET_ICONV, "UTF-7"},
    {"unicode11utf7", CHARSET_ICONV, "UTF-7"},
    {"utf16", CHARSET_ICONV, "UTF-16"},
    {"utf16be", CHARSET_ICONV, "UTF-16BE"},
    {"utf16le", CHARSET_ICONV, "UTF-16LE"},
    {"viscii", CHARSET_ICONV, "VISCII"},
    {"armscii8", CHARSET_ICONV, "ARMSCII-8"},
};

const struct charset *charset_find(const char *name, size_t len)
{
    char plain[NAME_MAX_LEN];
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        const char c = ascii_lower(name[i]);
        if (c == '-' || c == '_' || c == '.' || c == ':') continue;
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) || n + 1 == sizeof(plain)) {
            return NULL;
        }
        plain[n++] = c;
    }
    plain[n] = '\0';
    for (size_t i = 0; i < ARRAY_COUNT(charsets); i++) {
        if (strcmp(plain, charsets[i].name) == 0) return &charsets[i];
    }
    return NULL;
}
