/* SPDX-License-Identifier: Apache-2.0
 *
 * test_users - users files: what is taken, what is refused and where, who may send as whom
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "users_text.h"
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void users_are_found(void **state)
{
    struct auth_users *users = parse_users("# comment\n\nanna:" YESCRYPT_HASH ":*\r\n"
                                           "bert:" BCRYPT_HASH "," RFC_VERIFIER ":b.example,<>\n"
                                           "d\xc3\xb6rte:" RFC_VERIFIER ":*");
    (void)state;
    assert_non_null(users);
    assert_string_equal(messages, "");
    assert_int_equal(auth_users_count(users), 3);
    assert_non_null(auth_users_find(users, BYTES("anna")));
    assert_non_null(auth_users_find(users, BYTES("bert")));
    assert_non_null(auth_users_find(users, BYTES("d\xc3\xb6rte")));
    assert_null(auth_users_find(users, BYTES("Anna")));
    assert_null(auth_users_find(users, BYTES("ann")));
    assert_null(auth_users_find(users, BYTES("")));
    auth_users_free(&users);
    assert_null(users);
}

static void mechanisms_hang_on_the_secrets(void **state)
{
    const uint32_t clear = SMTP_MECHANISM_PLAIN | SMTP_MECHANISM_LOGIN;
    struct auth_users *users = parse_users("# nobody\n");
    (void)state;
    assert_int_equal(auth_users_mechanisms(users), 0);
    auth_users_free(&users);
    users = parse_users("a:" BCRYPT_HASH ":*");
    assert_int_equal(auth_users_mechanisms(users), clear);
    auth_users_free(&users);
    users = parse_users("a:" BCRYPT_HASH ":*\nb:" RFC_VERIFIER ":*");
    assert_int_equal(auth_users_mechanisms(users), clear | SMTP_MECHANISM_SCRAM_SHA_256);
    auth_users_free(&users);
}

static void wrong_lines_are_named(void **state)
{
    static const struct {
        const char *line, *wrong;
    } cases[] = {
        {"anna", "not name:secret:reverse-paths"},
        {"anna:" BCRYPT_HASH, "not name:secret:reverse-paths"},
        {":" BCRYPT_HASH ":*", "an empty name"},
        {"an na:" BCRYPT_HASH ":*", "a name with white space"},
        {"an\x07na:" BCRYPT_HASH ":*", "a name with white space"},
        {"an\xc2\x85:" BCRYPT_HASH ":*", "a name with white space"},
        {"an\xffna:" BCRYPT_HASH ":*", "no UTF-8"},
        {"an,na:" BCRYPT_HASH ":*", "a name with white space"},
        {"anna::*", "no secret"},
        {"anna:" BCRYPT_HASH ",:*", "no secret"},
        {"anna:," BCRYPT_HASH ":*", "of no kind that is known"},
        {"anna:secret:*", "of no kind that is known"},
        {"anna:$1$salt$qJH7.N4xYta3aEG/dfqo/0:*", "of no kind that is known"},
        {"anna:" BCRYPT_HASH "," YESCRYPT_HASH ":*", "two hashes"},
        {"anna:" RFC_VERIFIER "," RFC_VERIFIER ":*", "two SCRAM verifiers"},
        {"anna:$y$j75$saltsalt$short:*", "a hash that was cut"},
        {"anna:$y$@@@$s$NqEh491kiRv92sczGxs7PABorTQKeT3095HgoXgjRI6:*", "a malformed hash"},
        {"anna:SCRAM-SHA-256$4095:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLm"
         "tbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=:*",
         "fewer than 4096 iterations"},
        {"anna:SCRAM-SHA-256$x:W22ZaJ0SNY7soEsUEjb6gQ==$a:b:*", "wrong number of iterations"},
        {"anna:SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLm"
         "tbsT4qY=:*",
         "a malformed SCRAM verifier"},
        {"anna:" BCRYPT_HASH ":", "no reverse-path"},
        {"anna:" BCRYPT_HASH ":a.example,", "an empty reverse-path"},
        {"anna:" BCRYPT_HASH ":,a.example", "an empty reverse-path"},
        {"anna:" BCRYPT_HASH ":a b", "no domain"},
        {"anna:" BCRYPT_HASH ":@a.example", "no address"},
        {"anna:" BCRYPT_HASH ":x@", "no address"},
        {"anna:" BCRYPT_HASH ":*\nanna:" BCRYPT_HASH ":*", "user \"anna\" once more, after line 2"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        char text[1024];
        snprintf(text, sizeof(text), "#\n%s\n", cases[i].line);
        assert_null(parse_users(text));
        assert_int_equal(errors, 1);
        if (strstr(messages, cases[i].wrong) == NULL) fail_msg("%s: %s", text, messages);
        assert_non_null(strstr(messages, strchr(cases[i].line, '\n') ? "users:3: " : "users:2: "));
        assert_null(strstr(messages, "saltsalt")); /* no secret in a message */
    }
}

static void every_error_is_told_up_to_a_bound(void **state)
{
    char text[600] = "";
    (void)state;
    for (int i = 0; i < 100; i++)
        strcat(text, "a:b\n");
    assert_null(parse_users(text));
    assert_int_equal(errors, 20);
}

static void weak_hashes_are_warned_about(void **state)
{
    struct auth_users *users = parse_users("a:" SHA512_HASH ":*\nb:" SHA256_HASH ":*\n");
    (void)state;
    assert_non_null(users);
    assert_int_equal(warnings, 2);
    assert_non_null(strstr(messages, "users:1: warning: a SHA-512"));
    auth_users_free(&users);
}

static void reverse_paths_are_permitted(void **state)
{
    static const struct {
        const char *permitted, *path;
        bool may;
    } cases[] = {
        {"*", "a@b.example", true},
        {"*", "", true},
        {"<>", "", true},
        {"<>", "a@b.example", false},
        {"b.example", "a@b.example", true},
        {"b.example", "a@B.Example", true},
        {"b.example", "", false},
        {"b.example", "a@c.b.example", false},
        {"b.example", "a@ab.example", false},
        {"b.example", "b.example@c.example", false},
        {".b.example", "a@c.b.example", true},
        {".b.example", "a@d.c.B.example", true},
        {".b.example", "a@b.example", false},
        {".b.example", "a@xb.example", false},
        {"news@b.example", "news@B.example", true},
        {"news@b.example", "News@b.example", false},
        {"news@b.example", "other@b.example", false},
        {"news@b.example", "\"x@y\"@b.example", false},
        {"\"x@y\"@b.example", "\"x@y\"@b.example", true},
        {"y@b.example", "\"x@y@b.example", false},
        {"[127.0.0.1]", "a@[127.0.0.1]", true},
        {"x.example,<>,.y.example,a@z.example", "q@x.example", true},
        {"x.example,<>,.y.example,a@z.example", "", true},
        {"x.example,<>,.y.example,a@z.example", "q@w.y.example", true},
        {"x.example,<>,.y.example,a@z.example", "a@z.example", true},
        {"x.example,<>,.y.example,a@z.example", "b@z.example", false},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        char text[512];
        snprintf(text, sizeof(text), "u:" BCRYPT_HASH ":%s", cases[i].permitted);
        struct auth_users *users = parse_users(text);
        if (users == NULL) fail_msg("%s", messages);
        const struct auth_user *user = auth_users_find(users, BYTES("u"));
        if (auth_user_may_send(user, bytes_of(cases[i].path)) != cases[i].may)
            fail_msg("%s: %s", cases[i].permitted, cases[i].path);
        auth_users_free(&users);
    }
}

#define LINE "a:" BCRYPT_HASH ":*\n"

static void files_are_loaded(void **state)
{
    const struct auth_report report = {.message = keep_message};
    char path[] = "/tmp/ringpost-users-XXXXXX";
    (void)state;
    const int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, LINE, strlen(LINE)) > 0 && fchmod(fd, 0600) == 0);
    errors = warnings = 0;
    struct auth_users *users = auth_users_load(path, &report);
    assert_non_null(users);
    assert_int_equal(errors + warnings, 0);
    auth_users_free(&users);
    assert_true(fchmod(fd, 0644) == 0);
    users = auth_users_load(path, &report);
    assert_int_equal(warnings, 1);
    auth_users_free(&users);
    assert_true(write(fd, "b\n", 2) == 2);
    assert_null(auth_users_load(path, &report));
    assert_int_equal(errors, 1);
    close(fd);
    unlink(path);
    assert_null(auth_users_load(path, &report));
    assert_int_equal(errors, 2);
    assert_non_null(strstr(messages, "No such file"));
    assert_null(auth_users_load("/", &report));
    assert_int_equal(errors, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(users_are_found),
        cmocka_unit_test(mechanisms_hang_on_the_secrets),
        cmocka_unit_test(wrong_lines_are_named),
        cmocka_unit_test(every_error_is_told_up_to_a_bound),
        cmocka_unit_test(weak_hashes_are_warned_about),
        cmocka_unit_test(reverse_paths_are_permitted),
        cmocka_unit_test(files_are_loaded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
