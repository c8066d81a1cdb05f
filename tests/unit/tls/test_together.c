/* SPDX-License-Identifier: Apache-2.0
 *
 * test_together - one session is resumed by several connections at a time
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pair.h"

static struct tls_server *server;
static struct tls_client *client;
static struct tls_tickets *tickets;

static struct pair begin(const struct tls_session *session)
{
    const struct tls_connect_options options = {
        .sni = "mx.test", .session = session, .now = pair_now()};
    return (struct pair){.server = tls_accept(server, pair_now()),
                         .client = tls_connect(client, &options)};
}

static bool is_resumed(const struct pair *pair)
{
    struct tls_info info;
    pair_both_open(pair);
    tls_get_info(pair->client, &info);
    return info.resumed;
}

/* Whatever the order in which their tickets come, and whether they end well: the newest session
 * that was given out serves the next connection. */
static void the_newest_session_always_serves(void **state)
{
    struct pair first = begin(NULL), together[3];
    struct tls_session *session;
    (void)state;
    pair_shake(&first);
    assert_false(is_resumed(&first));
    session = tls_session_take(first.client);
    assert_non_null(session);
    pair_free(&first);
    for (size_t round = 0; round < 3; round++) {
        for (size_t i = 0; i < ARRAY_COUNT(together); i++)
            together[i] = begin(session);
        for (size_t i = 0; i < ARRAY_COUNT(together); i++) {
            pair_shake(&together[i]);
            struct tls_session *newer = tls_session_take(together[i].client);
            assert_true(is_resumed(&together[i]));
            if (newer == NULL) continue;
            tls_session_free(&session);
            session = newer;
        }
        for (size_t i = 0; i < ARRAY_COUNT(together); i++)
            pair_free(&together[i]); /* a break, not an end */
    }
    tls_session_free(&session);
}

static int make_ends(void **state)
{
    static const uint8_t seed[TLS_TICKETS_SEED_LEN] = {1};
    const char *const files[] = {"mx"};
    (void)state;
    authority_begin();
    authority_make(&(struct authority_wish){.file = "mx", .names = "DNS:mx.test"});
    tickets = tls_tickets_create(seed, pair_now());
    server = pair_server(files, 1, tickets);
    client = pair_client("mx");
    return 0;
}

static int free_ends(void **state)
{
    (void)state;
    tls_server_free(&server);
    tls_client_free(&client);
    tls_tickets_free(&tickets);
    authority_end();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_newest_session_always_serves)};
    return cmocka_run_group_tests(tests, make_ends, free_ends);
}
