/* SPDX-License-Identifier: Apache-2.0
 *
 * test_scram - SCRAM-SHA-256: the conversation of RFC 7677 section 3, and every way to leave it
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

#define RFC_FIRST "n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
#define RFC_NONCE "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define RFC_PROOF "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
#define RFC_FINAL "c=biws,r=" RFC_NONCE ",p=" RFC_PROOF

/* With the server's part of the nonce that the RFC has. */
static void begin(void)
{
    static const uint8_t octets[AUTH_NONCE_LEN] = "eighteen random o";
    auth_exchange_init(&exchange, SMTP_MECHANISM_SCRAM_SHA_256, octets);
    strcpy(exchange.nonce, "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0");
}
static enum auth_step feed(const char *response)
{
    return auth_exchange_feed(&exchange, users, bytes_of(response), &challenge);
}
static void assert_says(const char *text)
{
    if (!bytes_equal(challenge, bytes_of(text)))
        fail_msg("%.*s instead of %s", BYTES_FMT(challenge), text);
}

static void the_conversation_of_the_rfc(void **state)
{
    (void)state;
    begin();
    auth_exchange_ask(&exchange, &challenge);
    assert_says("");
    assert_int_equal(feed(RFC_FIRST), AUTH_CHALLENGE);
    assert_says("r=" RFC_NONCE ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
    assert_int_equal(feed(RFC_FINAL), AUTH_CHALLENGE);
    assert_says("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    assert_int_equal(feed(""), AUTH_OK);
    assert_true(bytes_equal(auth_exchange_name(&exchange), BYTES("user")));
}

static void our_nonce_is_from_the_octets(void **state)
{
    static const uint8_t octets[AUTH_NONCE_LEN] = "\xff\xee octets 345678";
    (void)state;
    auth_exchange_init(&exchange, SMTP_MECHANISM_SCRAM_SHA_256, octets);
    assert_string_equal(exchange.nonce, "/+4gb2N0ZXRzIDM0NTY3OAAA");
    assert_int_equal(feed(RFC_FIRST), AUTH_CHALLENGE);
    assert_int_equal(feed(RFC_FINAL), AUTH_FAILED); /* of another conversation */
}

/* Every octet of what is proved matters. */
static void a_changed_proof_fails(void **state)
{
    (void)state;
    for (size_t i = 0; i < strlen(RFC_PROOF) - 2; i++) {
        char final[] = RFC_FINAL;
        char *octet = &final[sizeof(final) - 1 - strlen(RFC_PROOF) + i];
        *octet = *octet == 'A' ? 'B' : 'A';
        begin();
        assert_int_equal(feed(RFC_FIRST), AUTH_CHALLENGE);
        assert_int_equal(feed(final), AUTH_FAILED);
        assert_string_equal(exchange.failure, "wrong password");
    }
}

static void what_is_repeated_must_be_the_same(void **state)
{
    (void)state;
    begin();
    assert_int_equal(feed(RFC_FIRST), AUTH_CHALLENGE);
    assert_int_equal(feed("c=eSws,r=" RFC_NONCE ",p=" RFC_PROOF), AUTH_FAILED); /* "y,," */
    begin();
    assert_int_equal(feed(RFC_FIRST), AUTH_CHALLENGE);
    assert_int_equal(feed("c=biws,r=" RFC_NONCE "x,p=" RFC_PROOF), AUTH_FAILED);
    begin();
    assert_int_equal(feed(RFC_FIRST), AUTH_CHALLENGE);
    assert_int_equal(feed("c=biws,r=rOprNGfwEbeRWgbNEkqO,p=" RFC_PROOF), AUTH_FAILED);
    begin(); /* an extension is signed, too */
    assert_int_equal(feed(RFC_FIRST), AUTH_CHALLENGE);
    assert_int_equal(feed("c=biws,r=" RFC_NONCE ",x=y,p=" RFC_PROOF), AUTH_FAILED);
}

static void first_messages(void **state)
{
    static const struct {
        const char *first;
        enum auth_step step;
    } cases[] = {
        {"y,,n=user,r=abc", AUTH_CHALLENGE},
        {"n,a=user,n=user,r=abc", AUTH_CHALLENGE},
        {"n,a=otto,n=user,r=abc", AUTH_FAILED},
        {"n,,n=user,r=abc,x=y", AUTH_CHALLENGE},
        {"n,,n=us=2Cer,r=abc", AUTH_MALFORMED}, /* decoded, but no name of ours */
        {"n,,n=us=3Der,r=abc", AUTH_CHALLENGE}, /* a stranger */
        {"n,,n=us=3der,r=abc", AUTH_MALFORMED},
        {"n,,n=user=,r=abc", AUTH_MALFORMED},
        {"n,,n=user=2,r=abc", AUTH_MALFORMED},
        {"p=tls-unique,,n=user,r=abc", AUTH_FAILED},
        {"p=,,n=user,r=abc", AUTH_FAILED},
        {"n,,m=x,n=user,r=abc", AUTH_FAILED},
        {"", AUTH_MALFORMED},
        {"n", AUTH_MALFORMED},
        {"n,", AUTH_MALFORMED},
        {"n,,", AUTH_MALFORMED},
        {"x,,n=user,r=abc", AUTH_MALFORMED},
        {"N,,n=user,r=abc", AUTH_MALFORMED},
        {",,n=user,r=abc", AUTH_MALFORMED},
        {"n,user,n=user,r=abc", AUTH_MALFORMED},
        {"n,a=us=er,n=user,r=abc", AUTH_MALFORMED},
        {"n,,n=,r=abc", AUTH_MALFORMED},
        {"n,,n=user", AUTH_MALFORMED},
        {"n,,n=user,", AUTH_MALFORMED},
        {"n,,n=user,r=", AUTH_MALFORMED},
        {"n,,n=user,r=a b", AUTH_MALFORMED},
        {"n,,n=user,r=a\x7f", AUTH_MALFORMED},
        {"n,,n=user,x=abc", AUTH_MALFORMED},
        {"n,,r=abc,n=user", AUTH_MALFORMED},
        {"n,,n=user,r=abc,1=y", AUTH_MALFORMED},
        {"n,,n=user,r=abc,x", AUTH_MALFORMED},
        {"n,,n=us\xc3,r=abc", AUTH_MALFORMED},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        begin();
        const enum auth_step step = feed(cases[i].first);
        if (step != cases[i].step) fail_msg("%s: %d", cases[i].first, step);
        if (step != AUTH_CHALLENGE) assert_non_null(exchange.failure);
    }
}

static void final_messages(void **state)
{
    static const char *const malformed[] = {
        "",
        "c=biws",
        "c=biws,r=" RFC_NONCE,
        "c=biws,r=" RFC_NONCE ",p=",
        "c=biws,r=" RFC_NONCE ",p=AAAA",
        "c=biws,r=" RFC_NONCE ",p=" RFC_PROOF ",x=y",
        "c=biws,r=" RFC_NONCE ",x,p=" RFC_PROOF,
        "c=bi*s,r=" RFC_NONCE ",p=" RFC_PROOF,
        "r=" RFC_NONCE ",c=biws,p=" RFC_PROOF,
        "c=biws,p=" RFC_PROOF,
        "p=" RFC_PROOF,
        RFC_FINAL " ",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(malformed); i++) {
        begin();
        assert_int_equal(feed(RFC_FIRST), AUTH_CHALLENGE);
        if (feed(malformed[i]) != AUTH_MALFORMED) fail_msg("%s", malformed[i]);
    }
}

static void nothing_follows_the_proof(void **state)
{
    (void)state;
    begin();
    assert_int_equal(feed(RFC_FIRST), AUTH_CHALLENGE);
    assert_int_equal(feed(RFC_FINAL), AUTH_CHALLENGE);
    assert_int_equal(feed("x"), AUTH_MALFORMED);
}

/* A stranger, and a user without a verifier: asked on like others, refused at the end. */
static void strangers_fail_late(void **state)
{
    static const struct {
        const char *first, *why;
    } cases[] = {
        {"n,,n=otto,r=rOprNGfwEbeRWgbNEkqO", "no such user"},
        {"n,,n=anna,r=rOprNGfwEbeRWgbNEkqO", "this user has no SCRAM verifier"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        begin();
        assert_int_equal(feed(cases[i].first), AUTH_CHALLENGE);
        assert_memory_equal(challenge.data, "r=" RFC_NONCE ",s=", strlen(RFC_NONCE) + 5);
        assert_int_equal(challenge.len,
                         strlen("r=" RFC_NONCE ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"));
        assert_int_equal(feed(RFC_FINAL), AUTH_FAILED);
        assert_string_equal(exchange.failure, cases[i].why);
    }
}

static void the_longest_messages_fit(void **state)
{
    char first[AUTH_MESSAGE_MAX + 1] = "n,a=", final[AUTH_MESSAGE_MAX + 1] = "c=biws,r=";
    (void)state;
    for (int part = 0; part < 2; part++) { /* authzid and name, all of "=3D" */
        for (int i = 0; i < AUTH_NAME_MAX; i++)
            strcat(first, "=3D");
        strcat(first, part == 0 ? ",n=" : ",r=");
    }
    memset(first + strlen(first), 'r', 256);
    begin();
    assert_int_equal(feed(first), AUTH_CHALLENGE);
    assert_int_equal(exchange.name_len, AUTH_NAME_MAX);
    memset(final + strlen(final), 'r', 1900);
    strcat(final, ",p=" RFC_PROOF);
    assert_int_equal(feed(final), AUTH_FAILED);
    strcat(first, "r");
    begin();
    assert_int_equal(feed(first), AUTH_MALFORMED);
}

static int make_users(void **state)
{
    (void)state;
    users = parse_users("anna:" BCRYPT_HASH ":*\nuser:" RFC_VERIFIER ":*\n");
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
        cmocka_unit_test(the_conversation_of_the_rfc),
        cmocka_unit_test(our_nonce_is_from_the_octets),
        cmocka_unit_test(a_changed_proof_fails),
        cmocka_unit_test(what_is_repeated_must_be_the_same),
        cmocka_unit_test(first_messages),
        cmocka_unit_test(final_messages),
        cmocka_unit_test(nothing_follows_the_proof),
        cmocka_unit_test(strangers_fail_late),
        cmocka_unit_test(the_longest_messages_fit),
    };
    return cmocka_run_group_tests(tests, make_users, free_users);
}
