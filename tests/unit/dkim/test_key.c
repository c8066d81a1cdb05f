/* SPDX-License-Identifier: Apache-2.0
 *
 * test_key - reading, making and writing keys; their records
 */
#include "keys.h"
#include "ringpost/dkim.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
/* after those above, as it wants */
#include <cmocka.h>

static struct dkim_key_reader *reader; /* one for all: what it could not read changes nothing */

static int make_reader(void **state)
{
    (void)state;
    reader = dkim_key_reader_create();
    return 0;
}

static int free_reader(void **state)
{
    (void)state;
    dkim_key_reader_free(&reader);
    return 0;
}

static void refuse(const char *pem, const char *wanted)
{
    char why[200];
    assert_null(dkim_key_read(reader, bytes_of(pem), why, sizeof(why)));
    if (strstr(why, wanted) == NULL) fail_msg("\"%s\" does not say \"%s\"", why, wanted);
}

static void what_is_no_key_is_told_apart(void **state)
{
    static const char ec[] = "-----BEGIN PRIVATE KEY-----\n"
                             "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgYOsN27brJ2Tb/830\n"
                             "upXMOBDs8JODPc4R5bhxDiUcR4+hRANCAARjQ53Y6CPUPfppqLEHL/TO32xCifEg\n"
                             "dxo9D5b22acJsXCdbjr5SoNxAPtJ+PnZQZgbVDzmRgZYyle7uuHSP5cc\n"
                             "-----END PRIVATE KEY-----\n";
    static const char encrypted[] =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
        "MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAiiLyJKI2sp+gICCAAw\n"
        "DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEOTL/i8J/PS9uHgYweIeykUEgZBP\n"
        "l9i5hlF3Tl0yU468XE+NowVT2GZbKfmho2k2xbrZ2IaNTI90S4+ntRCc52i0yXmc\n"
        "qA54XE1dbOlRgxySiYjkUYCgrdK5W9LIWM9BAvvg41EpDDUS1xOtE63NoAJkg9HU\n"
        "40J64+vE4Oi6s3+yUELnwl5qwVtOxIwsSM2G26OCyQXBovuIxaGDD3HbbInsoH4=\n"
        "-----END ENCRYPTED PRIVATE KEY-----\n";
    (void)state;
    refuse("", "no private key in PEM form");
    refuse("hello\n", "no private key in PEM form");
    refuse("-----BEGIN PUBLIC KEY-----\nMCow\n-----END PUBLIC KEY-----\n", "is a public key");
    refuse("-----BEGIN CERTIFICATE-----\nMCow\n-----END CERTIFICATE-----\n", "is a certificate");
    refuse("-----BEGIN PRIVATE KEY-----\nMCow\n-----END PRIVATE KEY-----\n", "is damaged");
    refuse(encrypted, "is encrypted");
    refuse(ec, "is a key for EC");
}

/* What stands before it does not matter; and what could not be read before does not either. */
static void a_key_is_found_behind_others(void **state)
{
    static const char certificate[] =
        "-----BEGIN CERTIFICATE-----\n"
        "MIIBLDCB36ADAgECAhR4eroTPszW5FPnTJBiP5bh3OjL9TAFBgMrZXAwDDEKMAgG\n"
        "A1UEAwwBeDAeFw0yNjExMjgwMjA5MTdaFw0zNjExMjUwMjA5MTdaMAwxCjAIBgNV\n"
        "BAMMAXgwKjAFBgMrZXADIQDP2hHZDIjPvcPwAMw3nNXwUw5fpRzYVf+3lGvVWfz7\n"
        "KKNTMFEwHQYDVR0OBBYEFGaIrLW2ZV/LbBfeT1MCxZ9+8GjeMB8GA1UdIwQYMBaA\n"
        "FGaIrLW2ZV/LbBfeT1MCxZ9+8GjeMA8GA1UdEwEB/wQFMAMBAf8wBQYDK2VwA0EA\n"
        "KOyva0khcKEDRab6b6M+Z7HL81/8DDbqawYWqD1+CmHzpO22HxnEgypl1zW0yS9a\n"
        "edkLvySXU0ERsxeRlVfRBQ==\n"
        "-----END CERTIFICATE-----\n";
    char file[8192], why[200];
    (void)state;
    refuse(certificate, "is a certificate");
    snprintf(file, sizeof(file), "Some words.\n%s%s%s", certificate, rfc8463_rsa, rfc8463_ed25519);
    struct dkim_key *key = dkim_key_read(reader, bytes_of(file), why, sizeof(why));
    assert_non_null(key);
    assert_int_equal(dkim_key_algorithm(key), DKIM_RSA_SHA256);
    dkim_key_unref(key);
}

static void a_cut_key_is_never_read(void **state)
{
    char why[200], pem[sizeof(rfc8463_rsa)];
    (void)state;
    for (size_t len = 0; len + 2 < sizeof(rfc8463_rsa); len += 13) {
        memcpy(pem, rfc8463_rsa, len);
        assert_null(dkim_key_read(reader, (struct bytes){pem, len}, why, sizeof(why)));
    }
}

static void sizes_are_bounded(void **state)
{
    char why[200];
    (void)state;
    assert_null(dkim_key_generate(DKIM_RSA_SHA256, 768, why, sizeof(why)));
    assert_non_null(strstr(why, "only 768 bits"));
    struct dkim_key *key = dkim_key_generate(DKIM_RSA_SHA256, 1024, why, sizeof(why));
    assert_non_null(key);
    assert_int_equal(dkim_key_bits(key), 1024);
    dkim_key_unref(key);
}

/* What was written is read as the same key, and the record of one fits the other. */
static void round_trip(enum dkim_algorithm algorithm)
{
    char why[200], room[4096], record_room[DKIM_RECORD_MAX], other_room[DKIM_RECORD_MAX];
    struct text pem, record, other;
    struct dkim_key *key = dkim_key_generate(algorithm, 2048, why, sizeof(why));
    assert_non_null(key);
    text_init(&pem, room, sizeof(room));
    assert_true(dkim_key_write(key, &pem));
    struct dkim_key *again = dkim_key_read(reader, text_bytes(&pem), why, sizeof(why));
    assert_non_null(again);
    assert_int_equal(dkim_key_algorithm(again), algorithm);
    text_init(&record, record_room, sizeof(record_room));
    text_init(&other, other_room, sizeof(other_room));
    dkim_record_print(key, &record);
    dkim_record_print(again, &other);
    assert_false(record.cut);
    assert_string_equal(record.data, other.data);
    assert_null(dkim_record_compare(again, text_bytes(&record)));
    dkim_key_unref(again);
    dkim_key_unref(key);
}

static void keys_come_back_from_their_files(void **state)
{
    (void)state;
    round_trip(DKIM_RSA_SHA256);
    round_trip(DKIM_ED25519_SHA256);
}

static struct dkim_key *must_read(const char *pem)
{
    char why[200];
    struct dkim_key *key = dkim_key_read(reader, bytes_of(pem), why, sizeof(why));
    assert_non_null(key);
    return key;
}

static void records_of_rfc_8463(void **state)
{
    static const char rsa[] =
        "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWR"
        "iGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutAC"
        "DfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3"
        "Ip3G+2kryOTIKT+l/K4w3QIDAQAB";
    static const char ed25519[] =
        "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
    struct dkim_key *keys[] = {must_read(rfc8463_rsa), must_read(rfc8463_ed25519)};
    const char *const records[] = {rsa, ed25519};
    char room[DKIM_RECORD_MAX];
    struct text text;
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        text_init(&text, room, sizeof(room));
        dkim_record_print(keys[i], &text);
        assert_string_equal(text.data, records[i]);
        dkim_key_unref(keys[i]);
    }
}

static void published_records_are_judged(void **state)
{
    static const struct {
        const char *record, *verdict; /* NULL: it fits */
    } cases[] = {
        {"v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", NULL},
        {" p = 11qYAYKxCrfV S/7TyWQHOg7hcvPapiMlrwIaaPcHURo= ;k=ed25519;", NULL},
        {"k=ed25519; h=sha1:sha256; s=*; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", NULL},
        {"v=DKIM1; k=ed25519; p=", "revoked"},
        {"v=DKIM1; k=ed25519", "no p="},
        {"v=spf1 -all", "no DKIM record"},
        {"p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", "another type"},
        {"k=ed25519; p=12qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", "another key"},
        {"k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHUR", "no base64"},
        {"k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=; h=sha1", "sha256"},
        {"k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=; s=tlsrpt", "not for mail"},
    };
    struct dkim_key *key = must_read(rfc8463_ed25519);
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        const char *verdict = dkim_record_compare(key, bytes_of(cases[i].record));
        if (cases[i].verdict == NULL)
            assert_null(verdict);
        else
            assert_true(verdict != NULL && strstr(verdict, cases[i].verdict) != NULL);
    }
    dkim_key_unref(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_key_is_told_apart),
        cmocka_unit_test(a_key_is_found_behind_others),
        cmocka_unit_test(a_cut_key_is_never_read),
        cmocka_unit_test(sizes_are_bounded),
        cmocka_unit_test(keys_come_back_from_their_files),
        cmocka_unit_test(records_of_rfc_8463),
        cmocka_unit_test(published_records_are_judged),
    };
    return cmocka_run_group_tests(tests, make_reader, free_reader);
}
