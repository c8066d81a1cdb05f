/* SPDX-License-Identifier: Apache-2.0
 *
 * test_contract - handshake, plaintext, closing and failing, whatever the splits
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pair.h"

#include "internal.h"

static struct tls_server *server;
static struct tls_client *client;
static const char *const mx_names[] = {"mx.test"};

static struct pair begin(void)
{
    const struct tls_connect_options options = {
        .sni = "mx.test", .names = mx_names, .name_count = 1, .verify = true, .now = pair_now()};
    return (struct pair){.server = tls_accept(server, pair_now()),
                         .client = tls_connect(client, &options)};
}

/* Says text from one end to the other and expects it there. */
static void expect_talk(struct pair *pair, bool to_server, const char *text)
{
    const struct bytes piece = bytes_of(text);
    char heard[200];
    size_t len = 0;
    assert_int_equal(tls_write(to_server ? pair->client : pair->server, &piece, 1, 1000),
                     piece.len);
    assert_true(pair_carry(pair, to_server, heard, &len));
    assert_int_equal(len, piece.len);
    assert_memory_equal(heard, text, len);
}

static void both_ends_open_and_talk(void **state)
{
    struct pair pair = begin();
    struct tls_info info;
    (void)state;
    assert_int_equal(tls_status(pair.server), TLS_HANDSHAKE);
    pair_shake(&pair);
    pair_both_open(&pair);
    expect_talk(&pair, true, "EHLO me\r\n");
    expect_talk(&pair, false, "250 you\r\n");
    tls_get_info(pair.client, &info);
    assert_string_equal(info.version, "TLSv1.3");
    assert_string_equal(info.cipher, "TLS_AES_128_GCM_SHA256");
    assert_string_equal(info.sni, "mx.test");
    assert_string_equal(info.peer_name, "mx.test");
    assert_true(info.verified);
    assert_false(info.resumed);
    tls_get_info(pair.server, &info);
    assert_string_equal(info.version, "TLSv1.3");
    assert_string_equal(info.sni, "mx.test");
    assert_string_equal(info.peer_name, "");
    assert_false(info.verified);
    pair_free(&pair);
}

static void every_split_gives_the_same(void **state)
{
    (void)state;
    for (size_t split = 1; split < 1200; split++) {
        struct pair pair = begin();
        pair.split = split;
        pair_shake(&pair);
        pair_both_open(&pair);
        expect_talk(&pair, true, "split");
        expect_talk(&pair, false, "tilps");
        pair_free(&pair);
    }
}

/* A connection that breaks off anywhere is neither open nor failed for it, and all is freed. */
static void a_cut_at_every_octet_opens_nothing(void **state)
{
    struct pair whole = begin();
    (void)state;
    pair_shake(&whole);
    const size_t octets[2] = {whole.crossed[0], whole.crossed[1]};
    pair_free(&whole);
    for (size_t side = 0; side < 2; side++) {
        /* Signatures differ by some octets from one handshake to the next. */
        for (size_t cut = 1; cut < octets[side] - 8; cut++) {
            struct pair pair = begin();
            pair.cut[side] = cut;
            pair_shake(&pair);
            assert_int_equal(tls_status(pair.server), TLS_HANDSHAKE);
            if (side == 1) assert_int_equal(tls_status(pair.client), TLS_HANDSHAKE);
            pair_free(&pair);
        }
    }
}

static void garbage_is_no_hello(void **state)
{
    const struct bytes garbage[] = {
        BYTES("EHLO injector.example\r\nMAIL FROM:<>\r\n"),
        BYTES("GET / HTTP/1.0\r\n\r\n"),
        BYTES("\x15\x03\x03\x00\x02\x01\x00"), /* close_notify: an end that opens nothing */
        BYTES("\x15\x03\x03\x00\x02\x02\x28"), /* an alert */
        BYTES("\x16\x03\x01\xff\xff"
              "a record that is far too long"),
        BYTES("\x16\x03\x01\x00\x20"
              "\x02\x00\x00\x1c not a client's hello......."),
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(garbage); i++) {
        struct tls *tls = tls_accept(server, pair_now());
        char plain[10];
        tls_feed(tls, garbage[i]);
        assert_int_equal(tls_handshake(tls), TLS_FAILED);
        assert_true(strlen(tls_error(tls)) > 0);
        if (i < 2) assert_string_equal(tls_error(tls), "the peer does not speak TLS");
        tls_feed(tls, BYTES("more"));
        assert_int_equal(tls_handshake(tls), TLS_FAILED);
        assert_int_equal(tls_read(tls, plain, sizeof(plain)), 0);
        assert_int_equal(tls_write(tls, &BYTES("x"), 1, 1), 0);
        tls_close(tls);
        tls_free(&tls);
    }
}

static void a_spoilt_record_ends_it(void **state)
{
    struct pair pair = begin();
    struct bytes piece = BYTES("first");
    char plain[100], record[200];
    (void)state;
    pair_shake(&pair);
    tls_write(pair.client, &piece, 1, 100);
    const size_t first = tls_output_len(pair.client);
    tls_write(pair.client, &piece, 1, 100);
    assert_int_equal(tls_output(pair.client, &piece, 1), 1);
    memcpy(record, piece.data, piece.len);
    record[first + 10] ^= 1;
    tls_feed(pair.server, (struct bytes){record, piece.len});
    assert_int_equal(tls_read(pair.server, plain, sizeof(plain)), 5); /* what came before it */
    assert_int_equal(tls_read(pair.server, plain, sizeof(plain)), 0);
    assert_int_equal(tls_status(pair.server), TLS_FAILED);
    assert_true(tls_output_len(pair.server) > 0); /* an alert */
    pair_carry(&pair, false, NULL, NULL);
    assert_int_equal(tls_status(pair.client), TLS_FAILED);
    assert_non_null(strstr(tls_error(pair.client), "the peer refuses: bad record mac"));
    pair_free(&pair);
}

static void many_pieces_make_few_records(void **state)
{
    static char content[100 * 1000], heard[sizeof(content) + 100];
    struct pair pair = begin();
    struct bytes pieces[20];
    size_t len = 0, all = 0;
    (void)state;
    for (size_t i = 0; i < sizeof(content); i++)
        content[i] = (char)(i * 7 + i / 256);
    pair_shake(&pair);
    while (pair_carry(&pair, false, NULL, NULL)) {
    }
    for (size_t i = 0; i < ARRAY_COUNT(pieces); i++) {
        pieces[i] = (struct bytes){content + i * 5000, i % 3 == 2 ? 0 : 5000};
        all += pieces[i].len;
    }
    assert_int_equal(tls_write(pair.client, pieces, 20, SIZE_MAX), all);
    const size_t records = (all + 16383) / 16384;
    assert_int_equal(tls_output_len(pair.client), all + records * 22);
    pair_carry(&pair, true, heard, &len);
    assert_int_equal(len, all);
    for (size_t i = 0, at = 0; i < ARRAY_COUNT(pieces); at += pieces[i++].len)
        assert_memory_equal(heard + at, pieces[i].data, pieces[i].len);
    /* No more than asked for; the rest is the caller's to bring again. */
    assert_int_equal(tls_write(pair.client, pieces, 20, 7000), 7000);
    len = 0;
    pair_carry(&pair, true, heard, &len);
    assert_memory_equal(heard, content, 7000);
    /* From one place, a piece larger than records. */
    pieces[0] = (struct bytes){content, sizeof(content)};
    assert_int_equal(tls_write(pair.server, pieces, 1, SIZE_MAX), sizeof(content));
    len = 0;
    pair_carry(&pair, false, heard, &len);
    assert_int_equal(len, sizeof(content));
    assert_memory_equal(heard, content, len);
    pair_free(&pair);
}

static void close_notify_is_seen_and_half_closed(void **state)
{
    struct pair pair = begin();
    char heard[100];
    size_t len = 0;
    (void)state;
    pair_shake(&pair);
    struct bytes piece = BYTES("QUIT");
    tls_write(pair.client, &piece, 1, 100);
    tls_close(pair.client);
    tls_close(pair.client);
    assert_int_equal(tls_write(pair.client, &piece, 1, 100), 0);
    pair_carry(&pair, true, heard, &len);
    assert_int_equal(len, 4);
    assert_int_equal(tls_status(pair.server), TLS_CLOSED);
    tls_feed(pair.server, BYTES("garbage behind it"));
    assert_int_equal(tls_read(pair.server, heard, sizeof(heard)), 0);
    assert_int_equal(tls_status(pair.server), TLS_CLOSED);
    expect_talk(&pair, false, "221 bye");
    tls_close(pair.server);
    pair_carry(&pair, false, NULL, NULL);
    assert_int_equal(tls_status(pair.client), TLS_CLOSED);
    pair_free(&pair);
}

/* ---- a peer with other habits: OpenSSL's own client on memory BIOs ----------------------------
 */

struct other {
    SSL_CTX *context;
    SSL *ssl;
    struct tls *tls;
};

static struct other begin_other(int version)
{
    struct other other = {.context = SSL_CTX_new(TLS_client_method()),
                          .tls = tls_accept(server, pair_now())};
    SSL_CTX_set_min_proto_version(other.context, version);
    SSL_CTX_set_max_proto_version(other.context, version);
    SSL_CTX_set_security_level(other.context, 0);
    other.ssl = SSL_new(other.context);
    SSL_set_bio(other.ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_connect_state(other.ssl);
    return other;
}

static void carry_other(struct other *other)
{
    char octets[20000], plain[100];
    for (int i = 0; i < 10; i++) {
        SSL_do_handshake(other->ssl);
        const int len = BIO_read(SSL_get_wbio(other->ssl), octets, sizeof(octets));
        tls_feed(other->tls, (struct bytes){octets, len > 0 ? (size_t)len : 0});
        tls_handshake(other->tls);
        tls_read(other->tls, plain, sizeof(plain));
        struct bytes piece;
        while (tls_output(other->tls, &piece, 1) > 0) {
            BIO_write(SSL_get_rbio(other->ssl), piece.data, (int)piece.len);
            tls_output_sent(other->tls, piece.len);
        }
        SSL_read(other->ssl, plain, sizeof(plain));
    }
}

static void end_other(struct other *other)
{
    tls_free(&other->tls);
    SSL_free(other->ssl);
    SSL_CTX_free(other->context);
}

static void renegotiation_is_refused(void **state)
{
    struct other other = begin_other(TLS1_2_VERSION);
    (void)state;
    carry_other(&other);
    assert_int_equal(tls_status(other.tls), TLS_OPEN);
    assert_int_equal(SSL_num_renegotiations(other.ssl), 0);
    assert_int_equal(SSL_renegotiate(other.ssl), 1);
    carry_other(&other);
    assert_false(SSL_is_init_finished(other.ssl)); /* it never comes to an end */
    end_other(&other);
}

static void old_versions_are_refused(void **state)
{
    struct other other = begin_other(TLS1_1_VERSION);
    (void)state;
    carry_other(&other);
    assert_int_equal(tls_status(other.tls), TLS_FAILED);
    assert_non_null(strstr(tls_error(other.tls), "unsupported protocol"));
    end_other(&other);
}

/* Whoever makes us answer and does not read comes to an end. */
static void output_without_a_reader_is_bounded(void **state)
{
    static char content[100 * 1000];
    const struct bytes piece = {content, sizeof(content)};
    struct pair pair = begin();
    (void)state;
    pair_shake(&pair);
    for (int i = 0; tls_status(pair.server) == TLS_OPEN; i++) {
        assert_true(i < 100);
        tls_write(pair.server, &piece, 1, SIZE_MAX);
        assert_true(tls_output_len(pair.server) <= TLS_OUTPUT_MAX);
    }
    assert_int_equal(tls_status(pair.server), TLS_FAILED);
    pair_free(&pair);
}

static int make_ends(void **state)
{
    const char *const files[] = {"mx"};
    (void)state;
    authority_begin();
    authority_make(&(struct authority_wish){.file = "ca", .is_authority = true});
    authority_make(&(struct authority_wish){.file = "mx", .names = "DNS:mx.test", .issuer = "ca"});
    server = pair_server(files, 1, NULL);
    client = pair_client("ca");
    return 0;
}

static int free_ends(void **state)
{
    (void)state;
    tls_server_free(&server);
    tls_client_free(&client);
    authority_end();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ends_open_and_talk),
        cmocka_unit_test(every_split_gives_the_same),
        cmocka_unit_test(a_cut_at_every_octet_opens_nothing),
        cmocka_unit_test(garbage_is_no_hello),
        cmocka_unit_test(a_spoilt_record_ends_it),
        cmocka_unit_test(many_pieces_make_few_records),
        cmocka_unit_test(close_notify_is_seen_and_half_closed),
        cmocka_unit_test(renegotiation_is_refused),
        cmocka_unit_test(old_versions_are_refused),
        cmocka_unit_test(output_without_a_reader_is_bounded),
    };
    return cmocka_run_group_tests(tests, make_ends, free_ends);
}
