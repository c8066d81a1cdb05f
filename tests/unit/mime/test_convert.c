/* SPDX-License-Identifier: Apache-2.0
 *
 * test_convert - known answers: what becomes of a message that its receiver cannot take
 *
 * Each is also made from content in pieces, cut everywhere, and written into little room.
 */
#include "ringpost/mime/convert.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { PARTS = 40, RESULT_MAX = 1 << 16 };

static struct mime_part parts[PARTS];
static struct mime_edit edits[PARTS * 12 + 1 + 3 * MIME_CONVERT_FIELDS];
static struct mime_parser parser;
static char header_room[4096], text_room[1 << 16];
static char result_octets[RESULT_MAX];
static size_t result_len;
static struct mime_conversion conversion;

static enum mime_convert_result convert(enum mime_convert_form form, struct bytes *pieces,
                                        uint32_t count, size_t room)
{
    const struct mime_convert_memory memory = {
        .parser = &parser,
        .header_room = header_room,
        .header_cap = sizeof(header_room),
        .parts = parts,
        .part_cap = PARTS,
        .edits = edits,
        .text = text_room,
        .text_cap = sizeof(text_room),
    };
    struct mime_converter converter;
    const enum mime_convert_result result =
        mime_convert_plan(&conversion, form, pieces, count, &memory);
    result_len = 0;
    if (result != MIME_CONVERT_OK) return result;
    mime_converter_init(&converter, &conversion);
    for (;;) {
        char *piece = malloc(room); /* so that a sanitizer sees what is written beyond */
        assert_non_null(piece);
        const size_t len = mime_convert_next(&converter, piece, room);
        assert_true(len <= room && result_len + len < RESULT_MAX);
        memcpy(result_octets + result_len, piece, len);
        free(piece);
        if (len == 0) break;
        result_len += len;
    }
    assert_int_equal(result_len, conversion.len);
    return result;
}

static enum mime_convert_result convert_text(enum mime_convert_form form, struct bytes text)
{
    return convert(form, &text, 1, RESULT_MAX);
}

/* wanted.data NULL: it cannot be converted. */
static void check(enum mime_convert_form form, struct bytes text, enum mime_convert_result result,
                  struct bytes wanted)
{
    for (size_t cut = 0; cut <= text.len; cut++) {
        struct bytes pieces[4] = {{text.data, cut / 2},
                                  {"", 0},
                                  {text.data + cut / 2, cut - cut / 2},
                                  bytes_skip(text, cut)};
        assert_int_equal(convert(form, pieces, 4, cut % 2 ? MIME_CONVERT_ROOM_MIN : 3000), result);
        if (result != MIME_CONVERT_OK) continue;
        if (result_len != wanted.len || memcmp(result_octets, wanted.data, wanted.len) != 0) {
            fail_msg("cut at %zu:\n%.*s\nwanted:\n%.*s", cut, (int)result_len, result_octets,
                     BYTES_FMT(wanted));
        }
    }
}
#define TO_7BIT(text, wanted)   check(MIME_CONVERT_7BIT, BYTES(text), MIME_CONVERT_OK, BYTES(wanted))
#define TO_8BIT(text, wanted)   check(MIME_CONVERT_8BIT, BYTES(text), MIME_CONVERT_OK, BYTES(wanted))
#define CANNOT(form, text, why) check(MIME_CONVERT_##form, BYTES(text), why, BYTES(""))

#define HEADER "From: a@b.example\r\nMIME-Version: 1.0\r\n"

static void test_text(void **state)
{
    (void)state;
    TO_7BIT(HEADER "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: "
                   "8bit\r\nSubject: x\r\n\r\nGr\xc3\xbc\xc3\x9f"
                   "e aus dem Wald \r\n.\r\nFrom hier\r\n",
            HEADER "Content-Type: text/plain; charset=utf-8\r\nSubject: "
                   "x\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nGr=C3=BC=C3=9Fe aus "
                   "dem Wald=20\r\n.\r\n=46rom hier\r\n");
    assert_true(conversion.leading_dot && !conversion.has_8bit && !conversion.no_last_crlf);
    /* Mostly what has to be escaped: base64. */
    TO_7BIT(HEADER
            "Content-Type: text/plain; charset=utf-8\r\n\r\n\xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2",
            HEADER "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: "
                   "base64\r\n\r\n0J/RgNC40LI=\r\n");
    /* Nothing to do: as it was, but for what the encoding is called. */
    TO_7BIT(HEADER "\r\nplain\r\n", HEADER "\r\nplain\r\n");
    TO_7BIT(HEADER "Content-Transfer-Encoding:8bit\r\n\r\nplain", HEADER "\r\nplain");
    assert_true(conversion.no_last_crlf);
    TO_7BIT("", "");
    TO_7BIT("\r\n", "\r\n");
}

static void test_not_mime(void **state)
{
    (void)state;
    TO_7BIT("From: a@b.example\r\n\r\nna\xc3\xafve text of one line\r\n",
            "From: a@b.example\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; "
            "charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nna=C3=AFve text "
            "of one line\r\n");
    TO_7BIT("From: a@b.example\r\n\r\nna\xefve text of one line\r\n",
            "From: a@b.example\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; "
            "charset=unknown-8bit\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nna=EFve "
            "text of one line\r\n");
    /* No header at all, or none that an empty line ends. */
    TO_7BIT("\r\nna\xefve text of one line\r\n",
            "MIME-Version: 1.0\r\nContent-Type: text/plain; "
            "charset=unknown-8bit\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nna=EFve "
            "text of one line\r\n");
    TO_7BIT("From: a@b.example\r\nthis is not a field: na\xefve\r\n",
            "From: a@b.example\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; "
            "charset=unknown-8bit\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nthis is "
            "not a field: na=EFve\r\n");
}

#define MULTI(type, encoding)                                                                      \
    HEADER "Content-Type: multipart/" type "; boundary=b\r\n" encoding "\r\n"
#define PART_7BIT "--b\r\n\r\nplain\r\n"
#define PART_8BIT                                                                                  \
    "--b\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: "           \
    "8BIT\r\n\r\nna\xefve text of one line\r\n"
#define PART_QP                                                                                    \
    "--b\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: "           \
    "quoted-printable\r\n\r\nna=EFve text of one line\r\n"

static void test_parts(void **state)
{
    (void)state;
    TO_7BIT(MULTI("mixed", "Content-Transfer-Encoding: 8bit\r\n") PART_7BIT PART_8BIT "--b--\r\n",
            MULTI("mixed", "") PART_7BIT PART_QP "--b--\r\n");
    /* Nobody reads preamble and epilogue. */
    TO_7BIT(MULTI("mixed", "") "pr\xe9"
                               "amble\r\n" PART_8BIT "--b--\r\n\xe9pilogue\r\n",
            MULTI("mixed", "") "\r\n" PART_QP "--b--\r\n");
    TO_7BIT(MULTI("mixed", "") "preamble\r\n" PART_8BIT "--b--\r\nepilogue\r\n",
            MULTI("mixed", "") "preamble\r\n" PART_QP "--b--\r\nepilogue\r\n");
    /* A message in it: without MIME-Version, and its own parts. */
    TO_7BIT(
        MULTI("mixed", "") "--b\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: "
                           "8bit\r\n\r\nSubject: x\r\n\r\nna\xefve text of one line\r\n--b--\r\n",
        MULTI("mixed", "") "--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: "
                           "x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; "
                           "charset=unknown-8bit\r\nContent-Transfer-Encoding: "
                           "quoted-printable\r\n\r\nna=EFve text of one line\r\n--b--\r\n");
    /* Nested, not closed. */
    TO_7BIT(
        MULTI("mixed", "") "--b\r\nContent-Type: multipart/alternative; "
                           "boundary=c\r\n\r\n--c\r\n\r\nna\xefve text of one line\r\n--b\r\n\r\nx",
        MULTI("mixed", "") "--b\r\nContent-Type: multipart/alternative; "
                           "boundary=c\r\n\r\n--c\r\nContent-Transfer-Encoding: "
                           "quoted-printable\r\n\r\nna=EFve text of one line\r\n--b\r\n\r\nx");
}

#define SIGNED                                                                                     \
    "--b\r\nContent-Type: multipart/signed; boundary=s\r\n\r\n--s\r\n\r\nas it is\r\n--s\r\n"      \
    "Content-Type: application/pgp-signature\r\n\r\nx\r\n--s--\r\n"

static void test_sealed(void **state)
{
    (void)state;
    CANNOT(7BIT, MULTI("signed", "") PART_8BIT PART_7BIT "--b--\r\n", MIME_CONVERT_FIXED);
    CANNOT(7BIT, MULTI("encrypted", "") PART_7BIT PART_8BIT "--b--\r\n", MIME_CONVERT_FIXED);
    CANNOT(7BIT,
           HEADER "Content-Type: application/pkcs7-mime; smime-type=signed-data\r\n"
                  "Content-Transfer-Encoding: binary\r\n\r\n\x30\x82",
           MIME_CONVERT_FIXED);
    CANNOT(8BIT,
           HEADER "Content-Type: application/pkcs7-mime; smime-type=signed-data\r\n"
                  "Content-Transfer-Encoding: binary\r\n\r\n\x30\n",
           MIME_CONVERT_FIXED);
    /* Signed text that can go as it is does not stand in the way of the rest. */
    TO_7BIT(MULTI("mixed", "") SIGNED PART_8BIT "--b--\r\n",
            MULTI("mixed", "") SIGNED PART_QP "--b--\r\n");
    /* Inside of it not even names are changed. */
    TO_7BIT(
        MULTI("signed", "Content-Transfer-Encoding: 8bit\r\n") "--b\r\nContent-Transfer-Encoding: "
                                                               "8bit\r\n\r\nx\r\n--b--\r\n",
        MULTI("signed", "") "--b\r\nContent-Transfer-Encoding: 8bit\r\n\r\nx\r\n--b--\r\n");
    CANNOT(7BIT, HEADER "Content-Type: message/partial; id=a; number=1\r\n\r\n\r\n\xe9\r\n",
           MIME_CONVERT_FIXED);
    CANNOT(7BIT, MULTI("mixed", "") "--b\r\nContent-Type: multipart/mixed\r\n\r\n\xe9\r\n--b--\r\n",
           MIME_CONVERT_FIXED);
    CANNOT(7BIT, HEADER "Content-Transfer-Encoding: x-own\r\n\r\n\xe9\r\n", MIME_CONVERT_FIXED);
}

static void test_binary(void **state)
{
    (void)state;
    TO_8BIT(
        MULTI(
            "mixed",
            "Content-Transfer-Encoding: binary\r\n") "--b\r\nContent-Type: "
                                                     "image/png\r\nContent-Transfer-Encoding: "
                                                     "binary\r\n\r\n\x89PNG\r\n\x1a\n\0\r\n--b\r\n"
                                                     "Content-Type: text/plain; "
                                                     "charset=utf-8\r\nContent-Transfer-Encoding: "
                                                     "binary\r\n\r\n\xc3\xa9t\xc3\xa9\r\n--"
                                                     "b\r\nContent-Type: "
                                                     "text/plain\r\n\r\na\nb\rc\r\n--b--\r\n",
        MULTI("mixed",
              "Content-Transfer-Encoding: 8bit\r\n") "--b\r\nContent-Type: "
                                                     "image/png\r\nContent-Transfer-Encoding: "
                                                     "base64\r\n\r\niVBORw0KGgoA\r\n\r\n--b\r\n"
                                                     "Content-Type: text/plain; "
                                                     "charset=utf-8\r\nContent-Transfer-Encoding: "
                                                     "8bit\r\n\r\n\xc3\xa9t\xc3\xa9\r\n--"
                                                     "b\r\nContent-Type: text/plain\r\n"
                                                     "Content-Transfer-Encoding: "
                                                     "quoted-printable\r\n\r\na=0Ab=0Dc\r\n--b--"
                                                     "\r\n");
    assert_true(conversion.has_8bit);
    /* A line end that is none in a delimiter or a header: nobody can mend that. */
    CANNOT(8BIT, MULTI("mixed", "") "--b\n\r\nx\r\n--b--\r\n", MIME_CONVERT_HOPELESS);
    CANNOT(8BIT, MULTI("mixed", "") "--b\r\nA: b\nC: d\r\n\r\nx\r\n--b--\r\n",
           MIME_CONVERT_HOPELESS);
    /* A line that is too long. */
    char text[2048] = HEADER "\r\n";
    size_t len = strlen(text);
    memset(text + len, 'x', 1000);
    assert_int_equal(convert_text(MIME_CONVERT_8BIT, (struct bytes){text, len + 1000}),
                     MIME_CONVERT_OK);
    assert_non_null(strstr(result_octets, "quoted-printable\r\n\r\nxxx"));
    assert_int_equal(convert_text(MIME_CONVERT_8BIT, (struct bytes){text, len + 998}),
                     MIME_CONVERT_OK);
    assert_int_equal(result_len, len + 998);
}

#define TEXT "Content-Type: text/plain; charset=iso-8859-1\r\n"

static void test_badly_encoded(void **state)
{
    (void)state;
    TO_7BIT(HEADER TEXT
            "Content-Transfer-Encoding: quoted-printable\r\n\r\nna\xefve=\r\n=20=C3\r\n",
            HEADER TEXT "Content-Transfer-Encoding: quoted-printable\r\n\r\nna=EFve =C3\r\n");
    TO_7BIT(
        HEADER
        "Content-Type: image/gif\r\nContent-Transfer-Encoding: base64\r\n\r\nR0\xe9lG\r\nOA\r\n",
        HEADER "Content-Type: image/gif\r\nContent-Transfer-Encoding: base64\r\n\r\nR0lGOA==\r\n");
    TO_7BIT(HEADER TEXT "Content-Transfer-Encoding: 8bit\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"
                        "na\xefve text of one line\r\n",
            HEADER TEXT
            "Content-Transfer-Encoding: quoted-printable\r\n\r\nna=EFve text of one line\r\n");
    CANNOT(7BIT,
           HEADER TEXT "Content-Transfer-Encoding: 8bit\r\nContent-Transfer-Encoding: 7bit\r\n"
                       "Content-Transfer-Encoding: 7bit\r\n\r\n\xef\r\n",
           MIME_CONVERT_HOPELESS);
}

static void test_header_fields(void **state)
{
    (void)state;
    TO_7BIT("Subject: Gr\xc3\xbc\xc3\x9f"
            "e\r\nFrom: J\xc3\xb6rg <a@b.example>, c@d.example\r\nX-Place: "
            "K\xc3\xb6ln\r\n\r\nplain\r\n",
            "Subject: =?UTF-8?B?R3LDvMOfZQ==?=\r\nFrom: =?UTF-8?B?SsO2cmc=?= <a@b.example>, "
            "c@d.example\r\nX-Place: =?UTF-8?B?S8O2bG4=?=\r\n\r\nplain\r\n");
    assert_false(conversion.has_8bit);
    /* Already partly encoded, folded. */
    TO_7BIT("Subject: =?UTF-8?Q?=C3=9C?=\r\n b K\xc3\xb6ln\r\n\r\n",
            "Subject: =?UTF-8?B?w5wgYiBLw7Zsbg==?=\r\n\r\n");
    TO_7BIT(HEADER "Content-Type: application/pdf; name=\"\xc3\x84.pdf\"; x=y\r\n"
                   "Content-Disposition: attachment; filename=\xc3\x84.pdf\r\n\r\nplain\r\n",
            HEADER
            "Content-Type: application/pdf;\r\n name*=UTF-8''%C3%84.pdf;\r\n x=y\r\n"
            "Content-Disposition: attachment;\r\n filename*=UTF-8''%C3%84.pdf\r\n\r\nplain\r\n");
    /* Left as they are: not UTF-8, an address that needs SMTPUTF8, fields of unknown syntax. */
    TO_7BIT("Subject: Gr\xfc\xdf"
            "e\r\nTo: \xc3\xb6@b.example\r\nReceived: by K\xc3\xb6ln\r\n\r\nplain\r\n",
            "Subject: Gr\xfc\xdf"
            "e\r\nTo: \xc3\xb6@b.example\r\nReceived: by K\xc3\xb6ln\r\n\r\nplain\r\n");
    assert_true(conversion.has_8bit);
    /* In lines all of that may stay, and in what is signed it has to. */
    TO_8BIT("Subject: \xc3\x84\r\n\r\n", "Subject: \xc3\x84\r\n\r\n");
    TO_7BIT(MULTI("signed", "") "--b\r\nContent-Description: \xc3\x84\r\n\r\nx\r\n--b--\r\n",
            MULTI("signed", "") "--b\r\nContent-Description: \xc3\x84\r\n\r\nx\r\n--b--\r\n");
}

static void test_limits(void **state)
{
    (void)state;
    static char text[16384];
    struct text out;
    text_init(&out, text, sizeof(text));
    text_put(&out, BYTES(MULTI("mixed", "")));
    for (int i = 0; i < PARTS - 1; i++)
        text_put(&out, BYTES(PART_8BIT));
    assert_int_equal(convert_text(MIME_CONVERT_7BIT, text_bytes(&out)), MIME_CONVERT_OK);
    assert_false(conversion.has_8bit);
    text_put(&out, BYTES(PART_8BIT));
    assert_int_equal(convert_text(MIME_CONVERT_7BIT, text_bytes(&out)), MIME_CONVERT_CROWDED);

    /* A header that is longer than the room. */
    text_init(&out, text, sizeof(text));
    while (out.len < sizeof(header_room))
        text_put(&out, BYTES("X-Field: y\r\n"));
    text_put(&out, BYTES("\r\n\xc3\xa9\r\n"));
    assert_int_equal(convert_text(MIME_CONVERT_7BIT, text_bytes(&out)), MIME_CONVERT_HOPELESS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),          cmocka_unit_test(test_not_mime),
        cmocka_unit_test(test_parts),         cmocka_unit_test(test_sealed),
        cmocka_unit_test(test_binary),        cmocka_unit_test(test_badly_encoded),
        cmocka_unit_test(test_header_fields), cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
