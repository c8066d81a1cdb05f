/* SPDX-License-Identifier: Apache-2.0
 *
 * test_secret - hashes and verifiers: made, printed, read, compared; strangers
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "internal.h"
#include "users_text.h"

static const uint8_t octets[AUTH_RANDOM_LEN] = "sixteen octets!";

static void read_secret(const char *text, struct auth_secret *secret)
{
    const char *weak, *wrong = auth_secret_parse(bytes_of(text), secret, &weak);
    if (wrong != NULL) fail_msg("%s: %s", text, wrong);
}

static void passwords_are_compared(void **state)
{
    static const char *const secrets[] = {BCRYPT_HASH, YESCRYPT_HASH, GOST_HASH,
                                          SHA256_HASH, SHA512_HASH,   RFC_VERIFIER};
    struct auth_secret secret;
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(secrets); i++) {
        read_secret(secrets[i], &secret);
        assert_true(auth_secret_verify(&secret, BYTES("pencil")));
        assert_false(auth_secret_verify(&secret, BYTES("Pencil")));
        assert_false(auth_secret_verify(&secret, BYTES("pencil ")));
        assert_false(auth_secret_verify(&secret, BYTES("")));
    }
    read_secret(BCRYPT_HASH "," RFC_VERIFIER, &secret);
    memset(secret.stored_key, 0, sizeof(secret.stored_key)); /* the hash decides */
    assert_true(auth_secret_verify(&secret, BYTES("pencil")));
    secret = (struct auth_secret){0};
    assert_false(auth_secret_verify(&secret, BYTES("")));
}

static void secrets_go_there_and_back(void **state)
{
    struct auth_secret secret = {0}, again;
    char line[1024];
    struct text text;
    (void)state;
    text_init(&text, line, sizeof(line));
    assert_true(auth_secret_hash(BYTES("geheim"), octets, &secret));
    assert_memory_equal(secret.hash, "$y$", 3);
    auth_secret_scram(BYTES("geheim"), octets, AUTH_ITERATIONS_MIN, &secret);
    auth_secret_print(&secret, &text);
    read_secret(line, &again);
    assert_memory_equal(&secret, &again, sizeof(secret));
    assert_true(auth_secret_verify(&again, BYTES("geheim")));
    again.hash[0] = '\0';
    assert_true(auth_secret_verify(&again, BYTES("geheim")));
    assert_false(auth_secret_verify(&again, BYTES("geheimer")));
    read_secret(RFC_VERIFIER, &again);
    text_init(&text, line, sizeof(line));
    auth_secret_print(&again, &text);
    assert_string_equal(line, RFC_VERIFIER);
}

static void the_longest_password_is_whole(void **state)
{
    struct auth_secret secret = {0};
    char password[AUTH_PASSWORD_MAX + 1];
    (void)state;
    memset(password, 'x', sizeof(password));
    assert_false(auth_secret_hash((struct bytes){password, sizeof(password)}, octets, &secret));
    assert_true(auth_secret_hash((struct bytes){password, AUTH_PASSWORD_MAX}, octets, &secret));
    assert_true(auth_secret_verify(&secret, (struct bytes){password, AUTH_PASSWORD_MAX}));
    assert_false(auth_secret_verify(&secret, (struct bytes){password, AUTH_PASSWORD_MAX - 1}));
    assert_false(auth_secret_verify(&secret, (struct bytes){password, AUTH_PASSWORD_MAX + 1}));
}

/* What is shown of a stranger in SCRAM looks like a user's and does not change. */
static void strangers_are_steady(void **state)
{
    const char *const text = "a:" BCRYPT_HASH ":*\nb:" RFC_VERIFIER ":*";
    struct auth_users *users = parse_users(text), *again = parse_users(text);
    struct auth_users *others = parse_users("a:" YESCRYPT_HASH ":*\nb:" RFC_VERIFIER ":*");
    struct auth_secret first, second;
    (void)state;
    auth_stranger_secret(users, BYTES("mallory"), true, &first);
    auth_stranger_secret(again, BYTES("mallory"), true, &second);
    assert_memory_equal(&first, &second, sizeof(first));
    assert_int_equal(first.iterations, 4096);
    assert_int_equal(first.salt_len, 16);
    auth_stranger_secret(users, BYTES("oscar"), true, &second);
    assert_memory_not_equal(first.salt, second.salt, first.salt_len);
    assert_memory_not_equal(first.stored_key, second.stored_key, 32);
    auth_stranger_secret(others, BYTES("mallory"), true, &second);
    assert_memory_not_equal(first.salt, second.salt, first.salt_len);
    auth_users_free(&users);
    auth_users_free(&again);
    auth_users_free(&others);
}

/* A password of theirs costs what a user's does. */
static void strangers_cost_the_same(void **state)
{
    struct auth_users *users = parse_users("a:" BCRYPT_HASH ":*");
    struct auth_secret secret;
    (void)state;
    auth_stranger_secret(users, BYTES("mallory"), false, &secret);
    assert_string_equal(secret.hash, BCRYPT_HASH);
    auth_stranger_secret(users, BYTES("mallory"), true, &secret); /* nobody has a verifier */
    assert_int_equal(secret.iterations, AUTH_ITERATIONS_DEFAULT);
    assert_int_equal(secret.salt_len, AUTH_RANDOM_LEN);
    auth_users_free(&users);
    auth_stranger_secret(NULL, BYTES("mallory"), true, &secret);
    assert_int_equal(secret.iterations, AUTH_ITERATIONS_DEFAULT);
    auth_stranger_secret(NULL, BYTES("mallory"), false, &secret);
    assert_false(auth_secret_verify(&secret, BYTES("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passwords_are_compared),
        cmocka_unit_test(secrets_go_there_and_back),
        cmocka_unit_test(the_longest_password_is_whole),
        cmocka_unit_test(strangers_are_steady),
        cmocka_unit_test(strangers_cost_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
