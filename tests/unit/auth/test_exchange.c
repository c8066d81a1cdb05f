/* SPDX-License-Identifier: Apache-2.0
 *
 * test_exchange - PLAIN and LOGIN, with and without an initial response, and what is no SASL at all
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "users_text.h"

static struct auth_users *users;
static struct auth_exchange exchange;
static struct bytes challenge;

static const uint8_t octets[AUTH_NONCE_LEN] = "eighteen random o";

static void begin(enum smtp_mechanism mechanism)
{
    auth_exchange_init(&exchange, mechanism, octets);
}
static enum auth_step feed(struct bytes response)
{
    return auth_exchange_feed(&exchange, users, response, &challenge);
}
static void assert_says(const char *text)
{
    assert_true(bytes_equal(challenge, bytes_of(text)));
}

static void plain_is_checked(void **state)
{
    static const struct bytes good[] = {
        {"\0anna\0pencil", 12},
        {"anna\0anna\0pencil", 16},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
        begin(SMTP_MECHANISM_PLAIN);
        auth_exchange_ask(&exchange, &challenge);
        assert_says("");
        assert_int_equal(feed(good[i]), AUTH_CHECK);
        assert_string_equal(exchange.password, "pencil");
        assert_true(auth_secret_verify(&exchange.secret, BYTES("pencil")));
        assert_true(bytes_equal(auth_exchange_name(&exchange), BYTES("anna")));
        assert_int_equal(auth_exchange_checked(&exchange, true), AUTH_OK);
        assert_string_equal(exchange.password, ""); /* wiped */
    }
    begin(SMTP_MECHANISM_PLAIN);
    assert_int_equal(feed(good[0]), AUTH_CHECK);
    assert_int_equal(auth_exchange_checked(&exchange, false), AUTH_FAILED);
    assert_string_equal(exchange.failure, "wrong password");
}

static void a_stranger_never_gets_in(void **state)
{
    (void)state;
    begin(SMTP_MECHANISM_PLAIN);
    assert_int_equal(feed((struct bytes){"\0otto\0pencil", 12}), AUTH_CHECK);
    assert_true(exchange.secret.hash[0] != '\0'); /* somebody's, so that it takes as long */
    assert_int_equal(auth_exchange_checked(&exchange, true), AUTH_FAILED);
    assert_string_equal(exchange.failure, "no such user");
}

static void without_users_nobody_gets_in(void **state)
{
    (void)state;
    begin(SMTP_MECHANISM_PLAIN);
    assert_int_equal(
        auth_exchange_feed(&exchange, NULL, (struct bytes){"\0anna\0pencil", 12}, &challenge),
        AUTH_CHECK);
    assert_int_equal(auth_exchange_checked(&exchange, true), AUTH_FAILED);
}

static void acting_for_others_fails(void **state)
{
    (void)state;
    begin(SMTP_MECHANISM_PLAIN);
    assert_int_equal(feed((struct bytes){"bert\0anna\0pencil", 16}), AUTH_FAILED);
    assert_true(bytes_equal(auth_exchange_name(&exchange), BYTES("anna"))); /* who is counted */
}

static void malformed_plain(void **state)
{
    static const struct bytes wrong[] = {
        {"", 0},
        {"anna", 4},
        {"\0anna", 5},
        {"\0anna\0", 6},
        {"\0\0pencil", 8},
        {"\0anna\0pen\0cil", 13},
        {"\0an\xff\0pencil", 11},
        {"\0an:na\0pencil", 13},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        begin(SMTP_MECHANISM_PLAIN);
        assert_int_equal(feed(wrong[i]), AUTH_MALFORMED);
        assert_non_null(exchange.failure);
    }
}

static void lengths_of_plain(void **state)
{
    char response[AUTH_MESSAGE_MAX + 1];
    (void)state;
    for (size_t name = AUTH_NAME_MAX - 1; name <= AUTH_NAME_MAX + 1; name++) {
        for (size_t password = AUTH_PASSWORD_MAX; password <= AUTH_PASSWORD_MAX + 1; password++) {
            memset(response, 'x', sizeof(response));
            response[0] = response[name + 1] = '\0';
            begin(SMTP_MECHANISM_PLAIN);
            const enum auth_step step = feed((struct bytes){response, name + password + 2});
            const bool fits = name <= AUTH_NAME_MAX && password <= AUTH_PASSWORD_MAX;
            assert_int_equal(step, fits ? AUTH_CHECK : AUTH_MALFORMED);
            if (fits) assert_int_equal(strlen(exchange.password), password);
        }
    }
    begin(SMTP_MECHANISM_PLAIN);
    assert_int_equal(feed((struct bytes){response, sizeof(response)}), AUTH_MALFORMED);
}

static void login_asks_twice(void **state)
{
    (void)state;
    for (int initial = 0; initial < 2; initial++) {
        begin(SMTP_MECHANISM_LOGIN);
        if (!initial) {
            auth_exchange_ask(&exchange, &challenge);
            assert_says("Username:");
        }
        assert_int_equal(feed(BYTES("anna")), AUTH_CHALLENGE);
        assert_says("Password:");
        assert_int_equal(feed(BYTES("pencil")), AUTH_CHECK);
        assert_string_equal(exchange.password, "pencil");
        assert_int_equal(auth_exchange_checked(&exchange, true), AUTH_OK);
    }
}

/* The secret is that of when the name came: a reload in between pulls nothing away. */
static void login_survives_a_reload(void **state)
{
    struct auth_users *old = parse_users("otto:" BCRYPT_HASH ":*");
    (void)state;
    begin(SMTP_MECHANISM_LOGIN);
    assert_int_equal(auth_exchange_feed(&exchange, old, BYTES("otto"), &challenge), AUTH_CHALLENGE);
    auth_users_free(&old);
    assert_int_equal(feed(BYTES("pencil")), AUTH_CHECK);
    assert_true(auth_secret_verify(&exchange.secret, BYTES("pencil")));
    assert_int_equal(auth_exchange_checked(&exchange, true), AUTH_OK);
}

static void malformed_login(void **state)
{
    (void)state;
    begin(SMTP_MECHANISM_LOGIN);
    assert_int_equal(feed(BYTES("")), AUTH_MALFORMED);
    begin(SMTP_MECHANISM_LOGIN);
    assert_int_equal(feed(BYTES("an\0na")), AUTH_MALFORMED);
    begin(SMTP_MECHANISM_LOGIN);
    assert_int_equal(feed(BYTES("anna")), AUTH_CHALLENGE);
    assert_int_equal(feed(BYTES("")), AUTH_MALFORMED);
    begin(SMTP_MECHANISM_LOGIN);
    assert_int_equal(feed(BYTES("anna")), AUTH_CHALLENGE);
    assert_int_equal(feed(BYTES("pen\0cil")), AUTH_MALFORMED);
}

static int make_users(void **state)
{
    (void)state;
    users = parse_users("anna:" BCRYPT_HASH ":*\n");
    return users == NULL;
}
static int free_users(void **state)
{
    (void)state;
    auth_users_free(&users);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_is_checked),
        cmocka_unit_test(a_stranger_never_gets_in),
        cmocka_unit_test(without_users_nobody_gets_in),
        cmocka_unit_test(acting_for_others_fails),
        cmocka_unit_test(malformed_plain),
        cmocka_unit_test(lengths_of_plain),
        cmocka_unit_test(login_asks_twice),
        cmocka_unit_test(login_survives_a_reload),
        cmocka_unit_test(malformed_login),
    };
    return cmocka_run_group_tests(tests, make_users, free_users);
}
