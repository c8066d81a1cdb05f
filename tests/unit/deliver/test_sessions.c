/* SPDX-License-Identifier: Apache-2.0
 *
 * test_sessions - the newest session of a key is found, the one not used longest goes, none is lost
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "internal.h"
#include <stdio.h>
#include <stdlib.h>

/* ---- sessions of the test's own ----------------------------------------------------------------
 */

static unsigned living;

static struct tls_session *make(unsigned number)
{
    unsigned *session = malloc(sizeof(*session));
    *session = number;
    living += 1;
    return (struct tls_session *)session;
}

void tls_session_free(struct tls_session **session)
{
    free(*session);
    *session = NULL;
    living -= 1;
}

static unsigned found(struct deliver_sessions *sessions, const char *key)
{
    const struct tls_session *session = sessions_find(sessions, bytes_of(key));
    return session == NULL ? 0 : *(const unsigned *)(const void *)session;
}

static void the_newest_of_a_key(void **state)
{
    struct deliver_sessions sessions;
    (void)state;
    sessions_init(&sessions);
    assert_int_equal(found(&sessions, "a"), 0);
    sessions_keep(&sessions, BYTES("a"), make(1));
    sessions_keep(&sessions, BYTES("b"), make(2));
    sessions_keep(&sessions, BYTES("a"), make(3));
    assert_int_equal(living, 2);
    assert_int_equal(found(&sessions, "a"), 3);
    assert_int_equal(found(&sessions, "a"), 3); /* it may serve again */
    assert_int_equal(found(&sessions, "b"), 2);
    sessions_forget(&sessions, BYTES("a"));
    sessions_forget(&sessions, BYTES("a"));
    assert_int_equal(found(&sessions, "a"), 0);
    sessions_drop(&sessions);
    assert_int_equal(living, 0);
    sessions_keep(&sessions, BYTES("b"), make(4));
    assert_int_equal(found(&sessions, "b"), 4);
    sessions_deinit(&sessions);
    assert_int_equal(living, 0);
}

static void the_longest_unused_goes(void **state)
{
    struct deliver_sessions sessions;
    char key[16];
    (void)state;
    sessions_init(&sessions);
    for (unsigned i = 1; i <= SESSIONS_MAX; i++) {
        snprintf(key, sizeof(key), "k%u", i);
        sessions_keep(&sessions, bytes_of(key), make(i));
    }
    assert_int_equal(living, SESSIONS_MAX);
    assert_int_equal(found(&sessions, "k1"), 1); /* used just now */
    sessions_keep(&sessions, BYTES("new"), make(7777));
    assert_int_equal(living, SESSIONS_MAX);
    assert_int_equal(found(&sessions, "k1"), 1);
    assert_int_equal(found(&sessions, "k2"), 0);
    assert_int_equal(found(&sessions, "k3"), 3);
    assert_int_equal(found(&sessions, "new"), 7777);
    sessions_deinit(&sessions);
    assert_int_equal(living, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_newest_of_a_key),
        cmocka_unit_test(the_longest_unused_goes),
    };
    return cmocka_run_group_tests_name("deliver sessions", tests, NULL, NULL);
}
