/* SPDX-License-Identifier: Apache-2.0
 *
 * test_address - lists of addresses read and printed
 *
 * A list is written down as a line an address: "name <local@domain>", "name:" for a group, ";" for
 * its end, "!text" for what is no address.
 */
#include "ringpost/mime/address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static const char *print_list(struct bytes body)
{
    static char out[1 << 14];
    char name[MIME_NAME_MAX];
    struct text text;
    struct mime_address_reader reader;
    struct mime_address address;
    text_init(&text, out, sizeof(out));
    mime_address_reader_init(&reader, body);
    while (mime_address_next(&reader, &address)) {
        const struct bytes plain = {name, mime_address_name(&address, name, sizeof(name))};
        switch (address.kind) {
        case MIME_ADDRESS_MAILBOX:
            text_put(&text, plain);
            text_put(&text, BYTES("<"));
            mime_address_spec(&address, &text);
            text_put(&text, BYTES(">\n"));
            break;
        case MIME_ADDRESS_GROUP_BEGIN:
            text_put(&text, plain);
            text_put(&text, BYTES(":\n"));
            break;
        case MIME_ADDRESS_GROUP_END:
            text_put(&text, BYTES(";\n"));
            break;
        case MIME_ADDRESS_INVALID:
            text_put(&text, BYTES("!"));
            text_put(&text, address.whole);
            text_put(&text, BYTES("\n"));
            break;
        }
    }
    assert_false(text.cut);
    return out;
}

static const struct {
    const char *body, *list;
} lists[] = {
    {"", ""},
    {" \r\n (nobody) , ,", ""},
    {"a@b.example", "<a@b.example>\n"},
    {"<a@b>", "<a@b>\n"},
    {"Ann <a@b>", "Ann<a@b>\n"},
    {"Ann B. Cee\r\n\t<a@b>, d@e", "Ann B. Cee<a@b>\n<d@e>\n"},
    {"\"Cee, Ann \\\"A\\\"\" <a@b>", "Cee, Ann \"A\"<a@b>\n"},
    {"Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>", "Pete<pete@silly.test>\n"},
    {"a@b (Ann (B) Cee)", "Ann (B) Cee<a@b>\n"},
    {"(x) a@b", "<a@b>\n"},
    {"<a@b> (Ann)", "Ann<a@b>\n"},
    {"\"a b\"@c, \"a.b\"@c, \"a\".\"b\"@c, \"a@b\"@c, \"\"@c",
     "<\"a b\"@c>\n<a.b@c>\n<a.b@c>\n<\"a@b\"@c>\n<\"\"@c>\n"},
    {"a . b @ c . d", "<a.b@c.d>\n"},
    {"a..b.@c", "<\"a..b.\"@c>\n"},
    {"x <a@[ 192.0.2.1 ]>, b@[IPv6:::1]", "x<a@[192.0.2.1]>\n<b@[IPv6:::1]>\n"},
    {"Who <@x,@y.z : a@b>, c@d", "Who<a@b>\n<c@d>\n"},
    {"A Group:Ed <e@f>,j@k;", "A Group:\nEd<e@f>\n<j@k>\n;\n"},
    {"Undisclosed recipients:;", "Undisclosed recipients:\n;\n"},
    {"(e)g(f):(x)a@b(y);(z), c@d", "g:\ny<a@b>\n;\n<c@d>\n"},
    {"g: a@b, c@d", "g:\n<a@b>\n<c@d>\n;\n"},
    {"g:;h:a@b;", "g:\n;\nh:\n<a@b>\n;\n"},
    {"g:,;,c@d", "g:\n;\n<c@d>\n"},
    {"a@b; c@d;", "<a@b>\n<c@d>\n"}, /* as some programs let people type it */
    {"r\xc3\xa9ne@\xc3\xa9t\xc3\xa9.test", "<r\xc3\xa9ne@\xc3\xa9t\xc3\xa9.test>\n"},
    {"a@b <c@d>", "a@b<c@d>\n"},
    /* no addresses */
    {"root", "!root\n"},
    {"Ann", "!Ann\n"},
    {"<>", "!<>\n"},
    {"Ann <>", "!Ann <>\n"},
    {"<a@b", "!<a@b\n"},
    {"Ann <a@b, c@d>, e@f", "!Ann <a@b\n!c@d>\n<e@f>\n"},
    {"a@", "!a@\n"},
    {"@b", "!@b\n"},
    {"a b@c", "!a b@c\n"},
    {"a@b c", "!a@b c\n"},
    {"a@b@c", "!a@b@c\n"},
    {"a@[1", "!a@[1\n"},
    {"a@[ ]", "!a@[ ]\n"},
    {"a@[", "!a@[\n"},
    {"\"a@b", "!\"a@b\n"},
    {"<a@b> junk, c@d", "<a@b>\n<c@d>\n"},
    {"<<a@b>>", "!<<a@b>>\n"},
    {"g:h:a@b;", "g:\n!h:a@b\n;\n"},
    {"a\x01@b", "!a\x01@b\n"},
    {"\"a\x01\"@b", "!\"a\x01\"@b\n"},
    {"(((((", ""},
    {"<@a,@b", "!<@a,@b\n"},
    {".@.", "!.@.\n"},
};

static void test_lists(void **context)
{
    (void)context;
    for (size_t i = 0; i < ARRAY_COUNT(lists); i++)
        assert_string_equal(print_list(bytes_of(lists[i].body)), lists[i].list);
}

/* Every beginning of every list, so that whatever is open at its end is met; all of it is read. */
static void test_beginnings(void **context)
{
    (void)context;
    for (size_t i = 0; i < ARRAY_COUNT(lists); i++) {
        const struct bytes body = bytes_of(lists[i].body);
        for (size_t len = 0; len < body.len; len++)
            (void)print_list((struct bytes){body.data, len});
    }
}

static void test_names_are_cut_at_characters(void **context)
{
    (void)context;
    struct mime_address address = {.name = BYTES("\"ab\xc3\xa9\xe2\x82\xac\"")};
    char out[16];
    static const size_t lens[] = {0, 1, 2, 2, 4, 4, 4, 7, 7};
    for (size_t cap = 0; cap < ARRAY_COUNT(lens); cap++)
        assert_int_equal(mime_address_name(&address, out, cap), lens[cap]);
}

/* ---- printing -------------------------------------------------------------------------------- */

struct mailbox {
    struct bytes name;
    const char *spec;
};

static const char *print_boxes(const struct mailbox *boxes, size_t count, bool seven_bit)
{
    static char out[1 << 14];
    struct text text;
    struct mime_address_printer printer;
    text_init(&text, out, sizeof(out));
    mime_address_printer_init(&printer, &text, strlen("To:"), seven_bit);
    for (size_t i = 0; i < count; i++)
        assert_true(mime_address_print(&printer, boxes[i].name, bytes_of(boxes[i].spec)));
    assert_false(text.cut);
    return out;
}

static void test_print(void **context)
{
    (void)context;
    const struct {
        struct mailbox box;
        const char *printed;
    } cases[] = {
        {{BYTES(""), "a@b"}, " a@b"},
        {{BYTES("Ann"), "a@b"}, " Ann <a@b>"},
        {{BYTES("  Ann  Bee "), "a@b"}, " \"Ann  Bee\" <a@b>"},
        {{BYTES("Ann Bee"), "a@b"}, " Ann Bee <a@b>"},
        {{BYTES("Ann B. Cee"), "a@b"}, " \"Ann B. Cee\" <a@b>"},
        {{BYTES("Cee, \"A\" \\"), "a@b"}, " \"Cee, \\\"A\\\" \\\\\" <a@b>"},
        {{BYTES("x\r\nBcc: y\0z"), "a@b"}, " \"x  Bcc: y z\" <a@b>"},
        {{BYTES(" \r\n "), "a@b"}, " a@b"},
        {{BYTES("R\xc3\xa9ne"), "r\xc3\xa9@b"}, " R\xc3\xa9ne <r\xc3\xa9@b>"},
        {{BYTES("(x)"), "\"a b\"@[192.0.2.1]"}, " \"(x)\" <\"a b\"@[192.0.2.1]>"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
        assert_string_equal(print_boxes(&cases[i].box, 1, false), cases[i].printed);
}

static void test_what_is_not_printed(void **context)
{
    (void)context;
    static const struct bytes wrong[] = {
        {"", 0},        {"a", 1},       {"a@", 2},      {"@b", 2},     {"a b@c", 5},
        {"a@b c", 5},   {"<a@b>", 5},   {"a@b\r\n", 5}, {"a(x)@b", 6}, {"\"a\0\"@b", 6},
        {"a@b,c@d", 7}, {"a@[1 2]", 7}, {"a@b;", 4},    {"\xff@b", 3}, {"\"a\r\n b\"@c", 9},
        {"a@b\n", 4},
    };
    char out[100];
    struct text text;
    struct mime_address_printer printer;
    text_init(&text, out, sizeof(out));
    mime_address_printer_init(&printer, &text, 3, false);
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++)
        assert_false(mime_address_print(&printer, BYTES("x"), wrong[i]));
    mime_address_printer_init(&printer, &text, 3, true);
    assert_false(mime_address_print(&printer, BYTES("x"), BYTES("r\xc3\xa9@b")));
    assert_int_equal(text.len, 0);
}

static void test_groups(void **context)
{
    (void)context;
    char out[100];
    struct text text;
    struct mime_address_printer printer;
    text_init(&text, out, sizeof(out));
    mime_address_printer_init(&printer, &text, 3, true);
    mime_address_print_group(&printer, BYTES("A.B"));
    assert_true(mime_address_print(&printer, BYTES("x"), BYTES("a@b")));
    assert_true(mime_address_print(&printer, BYTES(""), BYTES("c@d")));
    mime_address_print_group_end(&printer);
    mime_address_print_group(&printer, BYTES("g"));
    mime_address_print_group_end(&printer);
    assert_true(mime_address_print(&printer, BYTES(""), BYTES("e@f")));
    assert_string_equal(out, " \"A.B\": x <a@b>, c@d;, g:;, e@f");
}

/* Whatever the name: lines of at most 78, no line of nothing but white space, and it reads back. */
static void test_round_trip(void **context)
{
    (void)context;
    static const char alphabet[] = "abc  .,;:<>@()[]\"\\=?_\xc3\xa9\xe2\x82\xac";
    struct random random;
    random_init(&random, 1);
    for (int round = 0; round < 3000; round++) {
        char name[200];
        size_t len = random_below(&random, 150), at = 0;
        while (at + 4 < len) {
            const size_t pick = random_below(&random, 24);
            const char *from = pick < 22 ? alphabet + pick % 21 : alphabet + 21 + (pick - 22) * 2;
            const size_t n = pick < 22 ? 1 : pick == 22 ? 2 : 3;
            memcpy(name + at, from, n);
            at += n;
        }
        const struct mailbox boxes[] = {
            {{name, at}, "someone.with.a.longer.name@some.where.test"},
            {BYTES(""), "a@b"},
            {{name, at}, "c@d"},
        };
        const bool seven_bit = round % 2 == 0;
        const struct bytes printed = bytes_of(print_boxes(boxes, ARRAY_COUNT(boxes), seven_bit));
        size_t begin = 0;
        for (size_t i = 0; i <= printed.len; i++) {
            if (i < printed.len && printed.data[i] != '\n') {
                assert_true(!seven_bit || (signed char)printed.data[i] > 0);
                continue;
            }
            const size_t line = i - begin - (i < printed.len) + (begin == 0 ? 3 : 0);
            assert_true(line <= 78);
            const struct bytes content = {printed.data + begin, i - begin};
            assert_true(begin == 0 || bytes_trim(content).len > 0);
            begin = i + 1;
        }
        struct mime_address_reader reader;
        struct mime_address address;
        mime_address_reader_init(&reader, printed);
        const struct bytes expected = bytes_trim((struct bytes){name, at});
        for (size_t i = 0; i < ARRAY_COUNT(boxes); i++) {
            char again[MIME_NAME_MAX], spec[100];
            struct text text;
            text_init(&text, spec, sizeof(spec));
            assert_true(mime_address_next(&reader, &address));
            assert_int_equal(address.kind, MIME_ADDRESS_MAILBOX);
            mime_address_spec(&address, &text);
            assert_string_equal(spec, boxes[i].spec);
            const size_t again_len = mime_address_name(&address, again, sizeof(again));
            assert_int_equal(again_len, boxes[i].name.len > 0 ? expected.len : 0);
            if (again_len > 0) assert_memory_equal(again, expected.data, again_len);
        }
        assert_false(mime_address_next(&reader, &address));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_beginnings),
        cmocka_unit_test(test_names_are_cut_at_characters),
        cmocka_unit_test(test_print),
        cmocka_unit_test(test_what_is_not_printed),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
