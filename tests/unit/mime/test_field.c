/* SPDX-License-Identifier: Apache-2.0
 *
 * test_field - fields of a header, Content-Type, Content-Transfer-Encoding
 */
#include "ringpost/mime/field.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void assert_text(struct bytes got, const char *expected)
{
    assert_int_equal(got.len, strlen(expected));
    if (got.len > 0) assert_memory_equal(got.data, expected, got.len);
}

static void test_fields(void **context)
{
    (void)context;
    struct bytes header =
        BYTES("A: 1\r\nB :2\r\n\t3\r\n  \r\nC:\nd-E:x\r\ny: no\r\n\r\nbody: 1\r\n");
    struct bytes all = header;
    struct mime_field field;
    assert_int_equal(mime_header_len(header), header.len - strlen("\r\nbody: 1\r\n"));
    assert_true(mime_field_next(&header, &field));
    assert_text(field.name, "A");
    assert_text(field.body, " 1");
    assert_text(field.whole, "A: 1\r\n");
    assert_true(mime_field_next(&header, &field));
    assert_text(field.name, "B");
    assert_text(field.body, "2\r\n\t3\r\n  ");
    assert_true(mime_field_next(&header, &field));
    assert_text(field.name, "C");
    assert_text(field.body, "");
    assert_text(field.whole, "C:\n");
    assert_true(mime_field_next(&header, &field));
    assert_text(field.name, "d-E");
    assert_true(mime_field_next(&header, &field));
    assert_false(mime_field_next(&header, &field));
    assert_text(header, "\r\nbody: 1\r\n");
    assert_true(mime_field_find(all, BYTES("D-e"), &field));
    assert_text(field.body, "x");
    assert_false(mime_field_find(all, BYTES("body"), &field));
}

static void test_headers_that_end_early(void **context)
{
    (void)context;
    static const struct {
        struct bytes text;
        size_t len;
    } cases[] = {
        {{"", 0}, 0},
        {{"\r\n", 2}, 0},
        {{" a: b\r\n", 7}, 0},
        {{"a: b\r\nno field\r\nc: d\r\n", 22}, 6},
        {{"a: b\r\n: d\r\n", 11}, 6},
        {{"a: b\r\nc\0: d\r\n", 13}, 6},
        {{"a: b\r\n\xc3\xa4: d\r\n", 13}, 6},
        {{"a: b", 4}, 4},
        {{"a: b\r\n c", 8}, 8},
        {{"a: b\r\nc", 7}, 6},
        {{"a\t : b\n\nc:d\n", 12}, 7},
        {{"From x y\r\na: b\r\n", 16}, 0},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
        assert_int_equal(mime_header_len(cases[i].text), cases[i].len);
}

/* A name is decided by its line's first 1000 octets. */
static void test_long_names(void **context)
{
    (void)context;
    char text[1100];
    memset(text, 'n', sizeof(text));
    text[999] = ':';
    assert_int_equal(mime_header_len((struct bytes){text, sizeof(text)}), sizeof(text));
    text[999] = 'n';
    text[1000] = ':';
    assert_int_equal(mime_header_len((struct bytes){text, sizeof(text)}), 0);
}

static void test_unfold(void **context)
{
    (void)context;
    static const struct {
        const char *body, *out;
    } cases[] = {
        {"", ""},
        {" a\r\n\tb ", "a b"},
        {"(c) a (d (e) \\) f) ; b(x)", "a ; b"},
        {"a(b)c", "a c"},
        {"\"a (b)\r\n c\\\" \";(", "\"a (b) c\\\" \";"},
        {"\"open (", "\"open ("},
        {"(open \\", ""},
        {"a)", "a)"},
    };
    char out[64];
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        const size_t len = mime_unfold(bytes_of(cases[i].body), out);
        assert_text((struct bytes){out, len}, cases[i].out);
    }
}

static void test_content_types(void **context)
{
    (void)context;
    static const struct {
        const char *body;
        bool given;
        const char *type, *subtype, *parameters, *boundary;
    } cases[] = {
        {" text/html", true, "text", "html", "", ""},
        {"\r\n (c) Text (d) / (e) HTML (f) ; charset=x", true, "Text", "HTML", "; charset=x", ""},
        {"multipart/mixed; boundary=abc", true, "multipart", "mixed", "; boundary=abc", "abc"},
        {"multipart/mixed; x=\"; boundary=no\";\r\n BOUNDARY = \"a b\\\"c  \"", true, "multipart",
         "mixed", "; x=\"; boundary=no\";\r\n BOUNDARY = \"a b\\\"c  \"", "a b\"c"},
        {"multipart/mixed; boundary=a=b/c:d; x=y", true, "multipart", "mixed",
         "; boundary=a=b/c:d; x=y", "a=b/c:d"},
        {"multipart/mixed; (boundary=x) boundary=(y)\"z\"", true, "multipart", "mixed",
         "; (boundary=x) boundary=(y)\"z\"", "z"},
        {"multipart/mixed; boundary=\"\"", true, "multipart", "mixed", "; boundary=\"\"", ""},
        {"multipart/mixed; boundary", true, "multipart", "mixed", "; boundary", ""},
        {"multipart/mixed boundary=x", true, "multipart", "mixed", "", ""},
        {"multipart/mixed junk \";\" ; boundary=x", true, "multipart", "mixed", "; boundary=x",
         "x"},
        {"multipart/mixed; xboundary=y; boundary=x; boundary=z", true, "multipart", "mixed",
         "; xboundary=y; boundary=x; boundary=z", "x"},
        {"", false, "text", "plain", "", ""},
        {"text", false, "text", "plain", "", ""},
        {"html; boundary=x", false, "text", "plain", "", ""},
        {"image/", false, "text", "plain", "", ""},
        {"/x; boundary=x", false, "text", "plain", "", ""},
        {"(", false, "text", "plain", "", ""},
    };
    struct mime_content_type type;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        mime_content_type_read(bytes_of(cases[i].body), &type);
        assert_int_equal(type.given, cases[i].given);
        assert_text(type.type, cases[i].type);
        assert_text(type.subtype, cases[i].subtype);
        assert_text(type.parameters, cases[i].parameters);
        assert_string_equal(type.boundary, cases[i].boundary);
    }
    mime_content_type_read((struct bytes){NULL, 0}, &type);
    assert_false(type.given);
    assert_true(mime_type_is(&type, "TEXT", "plain") && !mime_type_is(&type, "text", "html"));
}

static void test_parameters(void **context)
{
    (void)context;
    static const struct {
        const char *parameters, *name, *value; /* NULL: there is none */
    } cases[] = {
        {"; charset=utf-8", "charset", "utf-8"},
        {"; (c) CharSet = \"a b\" (d)", "charset", "a b"},
        {"; x=y; filename*=utf-8''%c3%a4.pdf", "filename", "\xc3\xa4.pdf"},
        {"; filename*1=b; filename*0=a", "filename", "ab"},
        {"; name=\"=?utf-8?q?=C3=A4?=\"", "name", "\xc3\xa4"},
        {"; name=\"\"", "name", ""},
        {"; xname=y", "name", NULL},
        {"", "name", NULL},
    };
    char value[100];
    size_t len;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        const bool found = mime_parameter(bytes_of(cases[i].parameters), cases[i].name, value,
                                          sizeof(value), &len);
        assert_int_equal(found, cases[i].value != NULL);
        if (found) assert_text((struct bytes){value, len}, cases[i].value);
    }
    assert_true(mime_parameter(BYTES("; a=\"12345\""), "a", value, 3, &len));
    assert_int_equal(len, 3);
    /* a boundary in sections is a boundary */
    struct mime_content_type type;
    mime_content_type_read(BYTES("multipart/mixed; boundary*0=a; boundary*1=\"b \""), &type);
    assert_string_equal(type.boundary, "ab");
}

static void test_dispositions(void **context)
{
    (void)context;
    struct bytes parameters;
    assert_text(mime_disposition_read(BYTES(" (c) Attachment (d); filename=x"), &parameters),
                "Attachment");
    assert_text(parameters, "; filename=x");
    assert_text(mime_disposition_read(BYTES("inline"), &parameters), "inline");
    assert_text(parameters, "");
    assert_text(mime_disposition_read(BYTES("; filename=x"), &parameters), "");
    assert_text(parameters, "; filename=x");
    assert_int_equal(mime_disposition_read((struct bytes){NULL, 0}, &parameters).len, 0);
}

static void test_limits_of_types(void **context)
{
    (void)context;
    char body[512];
    struct mime_content_type type;
    for (int len = 126; len <= 128; len++) {
        snprintf(body, sizeof(body), "text/%0*d", len, 0);
        mime_content_type_read(bytes_of(body), &type);
        assert_int_equal(type.given, len <= MIME_TOKEN_MAX);
    }
    for (int len = 199; len <= 201; len++) {
        snprintf(body, sizeof(body), "multipart/x; boundary=\"%0*d\"", len, 0);
        mime_content_type_read(bytes_of(body), &type);
        assert_int_equal(strlen(type.boundary), len <= MIME_BOUNDARY_READ ? len : 0);
    }
    mime_content_type_read((struct bytes){"multipart/x; boundary=\"a\0b\"", 27}, &type);
    assert_string_equal(type.boundary, "");
}

static void test_encodings(void **context)
{
    (void)context;
    static const struct {
        const char *body;
        enum mime_encoding encoding;
    } cases[] = {
        {"", MIME_7BIT},
        {" (c) ", MIME_7BIT},
        {"7BIT", MIME_7BIT},
        {" 8bit ", MIME_8BIT},
        {"binary", MIME_BINARY},
        {"(x) Quoted-Printable (y)", MIME_QUOTED_PRINTABLE},
        {"\r\n\tBase64\r\n", MIME_BASE64},
        {"base64;", MIME_BASE64},
        {"x-uuencode", MIME_UUENCODE},
        {"X-UUE", MIME_UUENCODE},
        {"base32", MIME_ENCODING_UNKNOWN},
        {";", MIME_ENCODING_UNKNOWN},
        {"\"base64\"", MIME_ENCODING_UNKNOWN},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
        assert_int_equal(mime_encoding_read(bytes_of(cases[i].body)), cases[i].encoding);
    assert_string_equal(mime_encoding_name(MIME_QUOTED_PRINTABLE), "quoted-printable");
    assert_string_equal(mime_encoding_name(MIME_UUENCODE), "x-uuencode");
    assert_string_equal(mime_encoding_name(MIME_ENCODING_UNKNOWN), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),        cmocka_unit_test(test_headers_that_end_early),
        cmocka_unit_test(test_long_names),    cmocka_unit_test(test_unfold),
        cmocka_unit_test(test_content_types), cmocka_unit_test(test_parameters),
        cmocka_unit_test(test_dispositions),  cmocka_unit_test(test_limits_of_types),
        cmocka_unit_test(test_encodings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
