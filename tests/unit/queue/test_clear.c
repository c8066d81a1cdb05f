/* SPDX-License-Identifier: Apache-2.0
 *
 * test_clear - hosts that are spoken to in clear for a while; the plan of a route with a login
 */
#include "fixture.h"

static struct address host(uint8_t number, uint16_t port)
{
    return (struct address){.family = 4, .port = port, .ip = {192, 0, 2, number}};
}

static void remembered_for_its_time(void **state)
{
    struct queue_clear clear;
    struct address a = host(1, 25), other_port = host(1, 26);
    (void)state;
    queue_clear_init(&clear, 10);
    assert_false(queue_clear_has(&clear, &a, 100));
    queue_clear_add(&clear, &a, 200);
    assert_true(queue_clear_has(&clear, &a, 100));
    assert_true(queue_clear_has(&clear, &a, 199));
    assert_false(queue_clear_has(&clear, &a, 200));
    assert_false(queue_clear_has(&clear, &other_port, 100));
    queue_clear_add(&clear, &a, 400); /* failed again */
    assert_true(queue_clear_has(&clear, &a, 399));
    queue_clear_forget(&clear);
    assert_false(queue_clear_has(&clear, &a, 300));
    assert_int_equal(clear.pool.in_use, 0);
    queue_clear_deinit(&clear);
}

static void the_oldest_goes_when_there_are_too_many(void **state)
{
    struct queue_clear clear;
    (void)state;
    queue_clear_init(&clear, 3);
    for (uint8_t i = 0; i < 3; i++) {
        const struct address a = host(i, 25);
        queue_clear_add(&clear, &a, 1000);
    }
    struct address zero = host(0, 25), one = host(1, 25), nine = host(9, 25);
    queue_clear_add(&clear, &zero, 1000); /* the newest again */
    queue_clear_add(&clear, &nine, 1000);
    assert_true(queue_clear_has(&clear, &zero, 1));
    assert_false(queue_clear_has(&clear, &one, 1));
    assert_true(queue_clear_has(&clear, &nine, 1));
    assert_int_equal(clear.table.count, 3);
    queue_clear_deinit(&clear);
}

static void tls_settings_are_those_of_the_block(void **state)
{
    struct queue_site sites[2] = {{.name = "a.example"}, {.name = "b.example"}};
    struct queue_options options;
    (void)state;
    queue_options_default(&options);
    assert_int_equal(options.default_tls.policy, SMTP_TLS_MAY);
    options.sites = sites;
    options.site_count = 2;
    assert_ptr_equal(queue_options_tls(&options, BYTES("b.example")), &sites[1].tls);
    assert_ptr_equal(queue_options_tls(&options, BYTES("")), &options.default_tls);
    /* A plan may be of a configuration that had more blocks. */
    assert_ptr_equal(queue_options_tls(&options, BYTES("gone.example")), &options.default_tls);
}

static struct queue_domain *domain_of(struct queue *queue, struct queue_message **message,
                                      struct stored *stored)
{
    stored_begin(stored);
    stored_add(stored, "a@b.example");
    stored_end(stored);
    *message = queue_message_new(queue);
    assert_true(queue_message_admit(queue, *message, &stored->envelope, 1, 0));
    assert_int_equal(queue_start(queue, &(*message)->entry, 1), QUEUE_START_LOOKUP);
    return (*message)->entry.domain;
}

static void a_plan_keeps_its_login(void **state)
{
    static struct stored stored;
    struct queue queue;
    struct queue_options options;
    struct queue_message *message;
    (void)state;
    queue_options_default(&options);
    queue_init(&queue, &options, 0, 1, 1, 99);
    struct queue_domain *domain = domain_of(&queue, &message, &stored);
    struct queue_plan_input input = plan_of(&options, "ann@relay.example", DURATION_S(1));
    char password[] = "secret";
    input.profile = BYTES("b.example");
    input.user = BYTES("ann");
    input.password = bytes_of(password);
    input.tls_implicit = true;
    const struct queue_plan *plan = queue_domain_routed(&queue, domain, &input, 1)->plan;
    memset(password, 0, sizeof(password)); /* the plan has its own */
    assert_true(bytes_equal(queue_plan_user(plan), BYTES("ann")));
    assert_true(bytes_equal(queue_plan_password(plan), BYTES("secret")));
    assert_true(bytes_equal(queue_plan_profile(plan), BYTES("b.example")));
    assert_true(
        bytes_equal(queue_target_name(plan, &plan->targets[0]), BYTES("ann@relay.example")));
    assert_true(plan->tls_implicit && !plan->auth_clear);

    struct queue_ready ready; /* the owner's copy */
    queue_ready_init(&ready);
    queue_ready_plan(&ready, plan, 0);
    queue_message_forget(&queue, message);
    queue_message_free(&queue, message);
    queue_deinit(&queue);
    assert_true(bytes_equal(queue_plan_password(ready.plan), BYTES("secret")));
    queue_ready_deinit(&ready);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(remembered_for_its_time),
        cmocka_unit_test(the_oldest_goes_when_there_are_too_many),
        cmocka_unit_test(tls_settings_are_those_of_the_block),
        cmocka_unit_test(a_plan_keeps_its_login),
    };
    return cmocka_run_group_tests_name("queue clear", tests, NULL, NULL);
}
