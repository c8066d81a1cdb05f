/* SPDX-License-Identifier: Apache-2.0
 *
 * test_dialog - dialogs on a real worker, with real hashing behind it
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "users_text.h"

enum { CROWD = 50 };

static struct worker *worker;
static struct auth_shared *shared;
static struct auth *auth;
static struct auth_users *users;
static struct auth_options options;
static const struct address home = {.family = 4, .prefix = 32, .ip = {192, 0, 2, 1}};

struct client {
    struct auth_dialog *dialog;
    enum auth_verdict verdict;
    struct auth_answer answer;
    char text[256];
    unsigned answers;
    struct client *ends; /* whose dialog it ends when its own has its answer */
};

static void keep(struct client *client, enum auth_verdict verdict)
{
    client->verdict = verdict;
    snprintf(client->text, sizeof(client->text), "%.*s", BYTES_FMT(client->answer.text));
}

static void on_answer(void *context, enum auth_verdict verdict, const struct auth_answer *answer)
{
    struct client *client = context;
    assert_int_not_equal(verdict, AUTH_WAIT);
    client->answer = *answer;
    client->answers += 1;
    keep(client, verdict);
    auth_dialog_end(&client->dialog);
    if (client->ends != NULL) auth_dialog_end(&client->ends->dialog);
}

static struct client begin(enum smtp_mechanism mechanism)
{
    return (struct client){.dialog = auth_dialog_begin(auth, mechanism, &home, on_answer, NULL)};
}

static void feed(struct client *client, struct bytes response)
{
    keep(client, auth_dialog_feed(client->dialog, response, &client->answer));
}

/* PLAIN in one go; the client is the context of its dialog. */
static void plain(struct client *client, const char *name, const char *password)
{
    char response[128];
    const int len = snprintf(response, sizeof(response), "%c%s%c%s", 0, name, 0, password);
    *client = (struct client){0};
    client->dialog = auth_dialog_begin(auth, SMTP_MECHANISM_PLAIN, &home, on_answer, client);
    client->answer = (struct auth_answer){0};
    feed(client, (struct bytes){response, (size_t)len});
}

static void await(const struct client *client)
{
    while (client->answers == 0)
        worker_turn(worker);
}

static uint64_t counted(enum metrics_counter counter)
{
    return worker->metrics.counters[counter];
}

static void a_right_password_is_hashed_once(void **state)
{
    struct client client;
    (void)state;
    plain(&client, "anna", "pencil");
    assert_int_equal(client.verdict, AUTH_WAIT);
    await(&client);
    assert_int_equal(client.verdict, AUTH_ACCEPTED);
    assert_string_equal(client.text, "anna");
    plain(&client, "anna", "pencil");
    assert_int_equal(client.verdict, AUTH_ACCEPTED); /* at once */
    assert_string_equal(client.text, "anna");
    auth_dialog_end(&client.dialog);
    assert_int_equal(counted(METRICS_AUTH_HASHED), 1);
    assert_int_equal(counted(METRICS_AUTH_CACHED), 1);
    assert_int_equal(counted(METRICS_AUTH_ACCEPTED), 2);
    auth_configure(auth, &options); /* a reload forgets */
    plain(&client, "anna", "pencil");
    assert_int_equal(client.verdict, AUTH_WAIT);
    await(&client);
    assert_int_equal(client.verdict, AUTH_ACCEPTED);
    assert_int_equal(counted(METRICS_AUTH_HASHED), 2);
}

static void a_wrong_password_is_answered_late(void **state)
{
    struct client client;
    (void)state;
    const instant before = ring_now(worker->ring);
    plain(&client, "anna", "pen");
    assert_int_equal(client.verdict, AUTH_WAIT);
    await(&client);
    assert_int_equal(client.verdict, AUTH_REFUSED);
    assert_string_equal(client.text, "535 5.7.8 Authentication credentials invalid");
    assert_false(client.answer.close);
    assert_true(ring_now(worker->ring) - before >= DURATION_S(1)); /* never early */
    assert_int_equal(counted(METRICS_AUTH_FAILED), 1);
}

static void a_crowd_has_its_password_hashed_once(void **state)
{
    static struct client crowd[CROWD];
    (void)state;
    for (int i = 0; i < CROWD; i++)
        plain(&crowd[i], "anna", "pencil");
    for (int i = 0; i < CROWD; i++) {
        await(&crowd[i]);
        assert_int_equal(crowd[i].verdict, AUTH_ACCEPTED);
    }
    assert_int_equal(counted(METRICS_AUTH_HASHED), 1);
}

static void clients_go_whenever_they_like(void **state)
{
    static struct client crowd[CROWD];
    struct client other = begin(SMTP_MECHANISM_LOGIN);
    (void)state;
    assert_int_equal(auth_dialog_ask(other.dialog, &other.answer), AUTH_SAY);
    auth_dialog_end(&other.dialog);
    for (int i = 0; i < CROWD; i++)
        plain(&crowd[i], "anna", "pencil");
    for (int i = 0; i < CROWD; i += 2)
        auth_dialog_end(&crowd[i].dialog);
    crowd[1].ends = &crowd[3]; /* of the same check, from inside its answer */
    await(&crowd[5]);
    assert_int_equal(crowd[1].answers, 1);
    assert_int_equal(crowd[3].answers, 0);
    assert_int_equal(crowd[4].answers, 0);
    plain(&other, "anna", "pen"); /* it is hashed on without anybody */
    auth_dialog_end(&other.dialog);
    assert_false(auth_is_idle(auth));
    while (!auth_is_idle(auth))
        worker_turn(worker);
    plain(&other, "bert", "pen"); /* the delay ends with the dialog, too */
    while (counted(METRICS_AUTH_FAILED) == 0)
        worker_turn(worker);
    auth_dialog_end(&other.dialog);
    assert_true(auth_is_idle(auth));
}

static void a_client_at_its_limit_is_not_looked_at(void **state)
{
    struct client client;
    (void)state;
    options.failures_per_client_max = 2;
    auth_configure(auth, &options);
    for (int i = 0; i < 2; i++) {
        plain(&client, "anna", "pen");
        while (counted(METRICS_AUTH_FAILED) == (uint64_t)i)
            worker_turn(worker);
        auth_dialog_end(&client.dialog);
    }
    plain(&client, "anna", "pencil");
    assert_int_equal(client.verdict, AUTH_REFUSED);
    assert_memory_equal(client.text, "421 4.7.0 ", 10);
    assert_true(client.answer.close);
    auth_dialog_end(&client.dialog);
    client = begin(SMTP_MECHANISM_LOGIN);
    assert_int_equal(auth_dialog_ask(client.dialog, &client.answer), AUTH_REFUSED);
    assert_true(client.answer.close);
    auth_dialog_end(&client.dialog);
    assert_int_equal(counted(METRICS_AUTH_LIMITED), 2);
}

static void a_user_at_its_limit_is_not_looked_at(void **state)
{
    struct client client;
    (void)state;
    options.failures_per_user_max = 1;
    auth_configure(auth, &options);
    plain(&client, "anna", "pen");
    while (counted(METRICS_AUTH_FAILED) == 0)
        worker_turn(worker);
    auth_dialog_end(&client.dialog);
    plain(&client, "anna", "pencil"); /* a right one must not be told from a wrong one */
    assert_int_equal(client.verdict, AUTH_REFUSED);
    assert_memory_equal(client.text, "454 4.7.0 ", 10);
    assert_false(client.answer.close);
    auth_dialog_end(&client.dialog);
    client = begin(SMTP_MECHANISM_SCRAM_SHA_256);
    feed(&client, BYTES("n,,n=anna,r=abc"));
    assert_int_equal(client.verdict, AUTH_REFUSED);
    auth_dialog_end(&client.dialog);
}

static void too_many_at_a_time_are_put_off(void **state)
{
    static struct client crowd[2 * WORKER_TASKS_MAX];
    unsigned put_off = 0;
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(crowd); i++) {
        char password[16];
        snprintf(password, sizeof(password), "%zu", i);
        plain(&crowd[i], "slow", password);
        if (crowd[i].verdict != AUTH_REFUSED) continue;
        assert_memory_equal(crowd[i].text, "454 4.7.0 ", 10);
        put_off += 1;
    }
    assert_true(put_off > 0);
    for (size_t i = 0; i < ARRAY_COUNT(crowd); i++)
        auth_dialog_end(&crowd[i].dialog);
    while (!auth_is_idle(auth))
        worker_turn(worker);
}

static void malformed_responses_are_no_failures(void **state)
{
    struct client client = begin(SMTP_MECHANISM_PLAIN);
    (void)state;
    feed(&client, BYTES("nonsense"));
    assert_int_equal(client.verdict, AUTH_REFUSED);
    assert_memory_equal(client.text, "501 5.5.2 ", 10);
    assert_false(client.answer.close);
    auth_dialog_end(&client.dialog);
    assert_int_equal(counted(METRICS_AUTH_FAILED), 0);
}

static void nonces_differ(void **state)
{
    char first[256];
    struct client client = begin(SMTP_MECHANISM_SCRAM_SHA_256);
    (void)state;
    feed(&client, BYTES("n,,n=user,r=abc"));
    assert_int_equal(client.verdict, AUTH_SAY);
    strcpy(first, client.text);
    auth_dialog_end(&client.dialog);
    client = begin(SMTP_MECHANISM_SCRAM_SHA_256);
    feed(&client, BYTES("n,,n=user,r=abc"));
    assert_int_equal(strlen(first), strlen(client.text));
    assert_string_not_equal(first, client.text);
    auth_dialog_end(&client.dialog);
}

static void scram_fails_late_too(void **state)
{
    char final[256];
    struct client client = {0};
    (void)state;
    client.dialog =
        auth_dialog_begin(auth, SMTP_MECHANISM_SCRAM_SHA_256, &home, on_answer, &client);
    feed(&client, BYTES("n,,n=user,r=abc"));
    snprintf(final, sizeof(final), "c=biws,%.*s,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
             (int)(strchr(client.text, ',') - client.text), client.text);
    feed(&client, bytes_of(final));
    assert_int_equal(client.verdict, AUTH_WAIT);
    await(&client);
    assert_memory_equal(client.text, "535 5.7.8 ", 10);
    assert_int_equal(counted(METRICS_AUTH_HASHED), 0);
}

/* Users that a reload takes away are gone for the next response. */
static void a_reload_in_the_middle(void **state)
{
    struct auth_users *others = parse_users("otto:" BCRYPT_HASH ":*");
    struct client client = begin(SMTP_MECHANISM_LOGIN);
    (void)state;
    assert_int_equal(auth_dialog_ask(client.dialog, &client.answer), AUTH_SAY);
    options.users = others;
    auth_configure(auth, &options);
    assert_ptr_equal(auth_current_users(auth), others);
    auth_users_free(&users);
    feed(&client, BYTES("otto"));
    assert_int_equal(client.verdict, AUTH_SAY);
    options.users = NULL;
    auth_configure(auth, &options);
    auth_users_free(&others);
    feed(&client, BYTES("pencil"));
    assert_int_equal(client.verdict, AUTH_WAIT);
    auth_dialog_end(&client.dialog);
    while (!auth_is_idle(auth))
        worker_turn(worker);
}

static int make(void **state)
{
    char why[256];
    const struct worker_options worker_options = {.workers = 1, .events = {.buffers_max = 64}};
    (void)state;
    worker = workers_create(&worker_options, why, sizeof(why));
    if (worker == NULL) return 1;
    ring_enter_thread(worker->ring);
    users = parse_users("anna:" BCRYPT_HASH ":*\nuser:" RFC_VERIFIER ":*\n"
                        "slow:" YESCRYPT_HASH ":*\n");
    options = auth_options_default();
    options.users = users;
    shared = auth_shared_create(worker->ring);
    auth = auth_create(worker, shared, &options);
    return users == NULL;
}
static int give_back(void **state)
{
    (void)state;
    auth_destroy(&auth);
    auth_shared_destroy(&shared);
    auth_users_free(&users);
    workers_destroy(&worker);
    return 0;
}

int main(void)
{
#define DIALOG_TEST(name) cmocka_unit_test_setup_teardown(name, make, give_back)
    const struct CMUnitTest tests[] = {
        DIALOG_TEST(a_right_password_is_hashed_once),
        DIALOG_TEST(a_wrong_password_is_answered_late),
        DIALOG_TEST(a_crowd_has_its_password_hashed_once),
        DIALOG_TEST(clients_go_whenever_they_like),
        DIALOG_TEST(a_client_at_its_limit_is_not_looked_at),
        DIALOG_TEST(a_user_at_its_limit_is_not_looked_at),
        DIALOG_TEST(too_many_at_a_time_are_put_off),
        DIALOG_TEST(malformed_responses_are_no_failures),
        DIALOG_TEST(nonces_differ),
        DIALOG_TEST(scram_fails_late_too),
        DIALOG_TEST(a_reload_in_the_middle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
