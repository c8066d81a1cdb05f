/* SPDX-License-Identifier: Apache-2.0
 *
 * test_tickets - resumption across servers, reloads and hours; the chain of keys
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pair.h"

#include "internal.h"
#include <pthread.h>

static const uint8_t seed[TLS_TICKETS_SEED_LEN] = {1, 2, 3};
static const char *const mx[] = {"mx"};
static struct tls_client *client;
static wall_ms start; /* the beginning of an hour */

static wall_ms hours(int count)
{
    return start + (wall_ms)count * TLS_TICKETS_EPOCH_MS;
}

/* One connection; returns the session it brought, and whether it was resumed. */
static struct tls_session *connect_at(struct tls_server *server, const struct tls_session *session,
                                      const char *const *names, bool verify, wall_ms now,
                                      bool *resumed)
{
    const struct tls_connect_options options = {.sni = "mx.test",
                                                .names = names,
                                                .name_count = 1,
                                                .verify = verify,
                                                .session = session,
                                                .now = pair_now()};
    struct pair pair = {.server = tls_accept(server, now), .client = tls_connect(client, &options)};
    struct tls_info info;
    pair_shake(&pair);
    if (tls_status(pair.client) == TLS_FAILED) {
        assert_string_equal(tls_error(pair.client), "certificate verify failed: hostname mismatch");
        pair_free(&pair);
        return NULL;
    }
    pair_both_open(&pair);
    tls_get_info(pair.client, &info);
    *resumed = info.resumed;
    assert_string_equal(info.peer_name, "mx.test");
    struct tls_session *fresh = tls_session_take(pair.client);
    assert_null(tls_session_take(pair.client));
    pair_free(&pair);
    return fresh;
}

static const char *const right_name[] = {"mx.test"}, *const wrong_name[] = {"other.test"};

static bool resumes(struct tls_server *server, const struct tls_session *session, wall_ms now)
{
    bool resumed;
    struct tls_session *fresh = connect_at(server, session, right_name, true, now, &resumed);
    tls_session_free(&fresh);
    return resumed;
}

static void a_session_is_resumed_until_the_keys_are_gone(void **state)
{
    struct tls_tickets *tickets = tls_tickets_create(seed, hours(0));
    struct tls_server *one = pair_server(mx, 1, tickets), *other = pair_server(mx, 1, tickets);
    bool resumed;
    (void)state;
    struct tls_session *session = connect_at(one, NULL, right_name, true, hours(0), &resumed);
    assert_false(resumed);
    assert_non_null(session);
    for (int i = 0; i < 3; i++) /* as often as wanted */
        assert_true(resumes(one, session, hours(0)));
    tls_server_free(&one);
    assert_true(resumes(other, session, hours(0) + 1000)); /* another listener, or after a reload */
    assert_true(resumes(other, session, hours(1)));        /* the key of the hour before */
    assert_true(resumes(other, session, hours(2) - 1));
    assert_false(resumes(other, session, hours(2)));
    assert_false(resumes(other, session, hours(0))); /* what is gone is gone */
    tls_session_free(&session);
    assert_null(session);
    tls_server_free(&other);
    tls_tickets_free(&tickets);
}

static void a_resumed_session_brings_a_fresh_one(void **state)
{
    struct tls_tickets *tickets = tls_tickets_create(seed, hours(0));
    struct tls_server *server = pair_server(mx, 1, tickets);
    bool resumed;
    (void)state;
    struct tls_session *session = connect_at(server, NULL, right_name, true, hours(0), &resumed);
    for (int hour = 1; hour < 5; hour++) {
        struct tls_session *fresh =
            connect_at(server, session, right_name, true, hours(hour), &resumed);
        assert_true(resumed);
        assert_non_null(fresh);
        tls_session_free(&session);
        session = fresh;
    }
    tls_session_free(&session);
    tls_server_free(&server);
    tls_tickets_free(&tickets);
}

/* The vector stands behind the name of the key (RFC 5077 section 4). Many are drawn at once. */
static void each_ticket_has_a_vector_of_its_own(void **state)
{
    enum { TICKETS = 70, IV_LEN = 16 };
    static uint8_t vectors[TICKETS][IV_LEN];
    struct tls_tickets *tickets = tls_tickets_create(seed, hours(0));
    struct tls_server *server = pair_server(mx, 1, tickets);
    (void)state;
    for (int i = 0; i < TICKETS; i++) {
        bool resumed;
        const uint8_t *ticket;
        size_t len;
        struct tls_session *session =
            connect_at(server, NULL, right_name, true, hours(0), &resumed);
        SSL_SESSION_get0_ticket((const SSL_SESSION *)session, &ticket, &len);
        assert_true(len > TLS_TICKET_NAME_LEN + IV_LEN);
        memcpy(vectors[i], ticket + TLS_TICKET_NAME_LEN, IV_LEN);
        for (int other = 0; other < i; other++)
            assert_memory_not_equal(vectors[i], vectors[other], IV_LEN);
        tls_session_free(&session);
    }
    tls_server_free(&server);
    tls_tickets_free(&tickets);
}

static void without_keys_or_with_others_nothing_is_resumed(void **state)
{
    const uint8_t other_seed[TLS_TICKETS_SEED_LEN] = {9};
    struct tls_tickets *tickets = tls_tickets_create(seed, hours(0));
    struct tls_tickets *others = tls_tickets_create(other_seed, hours(0));
    struct tls_server *server = pair_server(mx, 1, tickets), *other = pair_server(mx, 1, others);
    struct tls_server *without = pair_server(mx, 1, NULL);
    bool resumed;
    (void)state;
    struct tls_session *session = connect_at(server, NULL, right_name, true, hours(0), &resumed);
    assert_non_null(session);
    assert_false(resumes(other, session, hours(0)));
    assert_false(resumes(without, session, hours(0)));
    assert_null(connect_at(without, NULL, right_name, true, hours(0), &resumed));
    assert_true(resumes(server, session, hours(0)));
    tls_session_free(&session);
    tls_server_free(&server);
    tls_server_free(&other);
    tls_server_free(&without);
    tls_tickets_free(&tickets);
    tls_tickets_free(&others);
}

/* The certificate is not shown again, so the name is compared with the one of then. */
static void names_are_checked_again(void **state)
{
    struct tls_tickets *tickets = tls_tickets_create(seed, hours(0));
    struct tls_server *server = pair_server(mx, 1, tickets);
    bool resumed;
    (void)state;
    struct tls_session *session = connect_at(server, NULL, right_name, true, hours(0), &resumed);
    assert_null(connect_at(server, session, wrong_name, true, hours(0), &resumed));
    tls_session_free(&session);
    session = connect_at(server, NULL, wrong_name, false, hours(0), &resumed); /* not verified */
    assert_non_null(session);
    assert_null(connect_at(server, session, wrong_name, true, hours(0), &resumed));
    tls_session_free(&session);
    tls_server_free(&server);
    tls_tickets_free(&tickets);
}

/* ---- the chain --------------------------------------------------------------------------------
 */

static void keys_follow_the_clock(void **state)
{
    struct tls_tickets *tickets = tls_tickets_create(seed, hours(0));
    (void)state;
    const struct tls_ticket_key first = *tls_tickets_current(tickets, hours(0));
    assert_int_equal(tls_tickets_find(tickets, first.name, hours(1) - 1)->epoch, first.epoch);
    const struct tls_ticket_key second = *tls_tickets_current(tickets, hours(1));
    assert_memory_not_equal(first.name, second.name, sizeof(first.name));
    assert_memory_not_equal(first.cipher, second.cipher, sizeof(first.cipher));
    assert_memory_not_equal(first.mac, second.mac, sizeof(first.mac));
    assert_memory_not_equal(second.cipher, second.mac, sizeof(first.mac));
    assert_non_null(tls_tickets_find(tickets, first.name, hours(1)));
    assert_memory_equal(tls_tickets_current(tickets, hours(0))->name, second.name, 16);
    assert_non_null(tls_tickets_find(tickets, second.name, hours(2)));
    assert_null(tls_tickets_find(tickets, first.name, hours(2)));
    /* After a silence the key before it is old, however few keys there were. */
    const struct tls_ticket_key third = *tls_tickets_current(tickets, hours(2));
    assert_null(tls_tickets_find(tickets, third.name, hours(9)));
    const struct tls_ticket_key last = *tls_tickets_current(tickets, hours(9));
    assert_non_null(tls_tickets_find(tickets, last.name, hours(10)));
    tls_tickets_free(&tickets);
    /* The same seed and clock give the same keys, another seed gives others. */
    tickets = tls_tickets_create(seed, hours(0));
    assert_memory_equal(tls_tickets_current(tickets, hours(0))->cipher, first.cipher, 32);
    assert_memory_equal(tls_tickets_current(tickets, hours(1))->cipher, second.cipher, 32);
    tls_tickets_free(&tickets);
}

enum { THREADS = 4, SHARED_HOURS = 500 };
static struct tls_tickets *shared;
static pthread_barrier_t hour_begins;
static struct tls_ticket_key seen[THREADS][SHARED_HOURS];

static void *use_keys(void *argument)
{
    struct tls_ticket_key *mine = argument;
    for (int hour = 0; hour < SHARED_HOURS; hour++) {
        pthread_barrier_wait(&hour_begins);
        mine[hour] = *tls_tickets_current(shared, hours(hour));
    }
    return NULL;
}

/* Workers meet a new hour at once: each gets the new key or still the one before, always whole. */
static void threads_advance_together(void **state)
{
    pthread_t threads[THREADS];
    (void)state;
    shared = tls_tickets_create(seed, hours(0));
    pthread_barrier_init(&hour_begins, NULL, THREADS);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, use_keys, seen[i]), 0);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&hour_begins);
    tls_tickets_free(&shared);
    shared = tls_tickets_create(seed, hours(0)); /* alone, for comparison */
    struct tls_ticket_key before = {0};
    for (int hour = 0; hour < SHARED_HOURS; hour++) {
        const struct tls_ticket_key key = *tls_tickets_current(shared, hours(hour));
        for (size_t i = 0; i < THREADS; i++) {
            if (memcmp(&seen[i][hour], &before, sizeof(key)) == 0) continue;
            assert_memory_equal(&seen[i][hour], &key, sizeof(key));
        }
        before = key;
    }
    tls_tickets_free(&shared);
}

static int make_ends(void **state)
{
    (void)state;
    authority_begin();
    authority_make(&(struct authority_wish){.file = "mx", .names = "DNS:mx.test"});
    client = pair_client("mx");
    start = pair_now() / TLS_TICKETS_EPOCH_MS * TLS_TICKETS_EPOCH_MS;
    return 0;
}

static int free_ends(void **state)
{
    (void)state;
    tls_client_free(&client);
    authority_end();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_is_resumed_until_the_keys_are_gone),
        cmocka_unit_test(a_resumed_session_brings_a_fresh_one),
        cmocka_unit_test(each_ticket_has_a_vector_of_its_own),
        cmocka_unit_test(without_keys_or_with_others_nothing_is_resumed),
        cmocka_unit_test(names_are_checked_again),
        cmocka_unit_test(keys_follow_the_clock),
        cmocka_unit_test(threads_advance_together),
    };
    return cmocka_run_group_tests(tests, make_ends, free_ends);
}
