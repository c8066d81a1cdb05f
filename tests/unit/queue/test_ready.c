/* SPDX-License-Identifier: Apache-2.0
 *
 * test_ready - ready queues against a simulated world of hosts that answer, refuse, and die
 *
 * Whatever happens: no job is lost or doubled, no limit is passed, the rate holds, jobs of a ready
 * queue are given in order, a host that failed is left alone, and when the world is well again all
 * jobs get through.
 */
#include "fixture.h"

enum { READIES = 3, JOBS = 400, CONNECTIONS = 200, HOSTS = 4 };

static struct queue_options options;
static struct queue queue;
static struct queue_hosts hosts;
static struct random rnd;
static instant now;

static struct world_host {
    bool up;
    instant down_since;
    uint32_t accepts; /* connections at a time */
} world[HOSTS];

struct job {
    struct queue_job queue;
    bool out, done, failed;
    uint32_t ready, number;
};
static struct job jobs[JOBS];

struct connection {
    struct queue_connection queue;
    uint32_t ready;
    uint32_t window;
    bool used, working;
    struct job *in_flight[8];
};
static struct connection connections[CONNECTIONS];

static struct test_ready {
    struct queue_ready queue;
    uint32_t last_number;
    uint32_t given;
    instant first_given;
} readies[READIES];

static uint32_t host_of(const struct address *address)
{
    return address->ip[3];
}

static struct queue_plan *make_plan(uint32_t ready)
{
    struct stored *stored = calloc(1, sizeof(*stored));
    stored_begin(stored);
    stored_add(stored, "a@b.example");
    stored_end(stored);
    struct queue_message *message = queue_message_new(&queue);
    assert_true(queue_message_admit(&queue, message, &stored->envelope, now, 0));
    assert_int_equal(queue_start(&queue, &message->entry, now), QUEUE_START_LOOKUP);
    char site[16];
    snprintf(site, sizeof(site), "site%u", ready);
    struct queue_plan_input input = plan_of(&options, site, 0);
    input.target_count = HOSTS;
    for (uint32_t h = 0; h < HOSTS; h++) {
        input.targets[h] = input.targets[0];
        input.targets[h].address.ip[3] = (uint8_t)h;
        input.targets[h].host = (uint8_t)h;
        input.targets[h].preference = (uint16_t)(h / 2);
    }
    const struct queue_gate *gate = queue_domain_routed(&queue, message->entry.domain, &input, now);
    struct queue_plan *plan = malloc(gate->plan->size);
    memcpy(plan, gate->plan, gate->plan->size);
    queue_message_forget(&queue, message);
    queue_message_free(&queue, message);
    free(stored);
    return plan;
}

static void start(uint64_t seed)
{
    random_init(&rnd, seed);
    now = DURATION_S(100);
    queue_options_default(&options);
    options.defaults.connections_max = 1 + (uint32_t)random_below(&rnd, 9);
    options.defaults.messages_per_connection = (uint32_t)random_below(&rnd, 20);
    options.defaults.retry_s[0] = 5;
    options.defaults.retry_count = 1;
    if (random_below(&rnd, 2)) options.defaults.message_interval = DURATION_MS(20);
    options.defaults.message_burst = 1 + (uint32_t)random_below(&rnd, 3);
    queue_init(&queue, &options, 0, 1, now, seed);
    queue_hosts_init(&hosts, 64, 12);
    memset(jobs, 0, sizeof(jobs));
    memset(connections, 0, sizeof(connections));
    memset(readies, 0, sizeof(readies));
    for (uint32_t r = 0; r < READIES; r++) {
        struct queue_plan *plan = make_plan(r);
        queue_ready_init(&readies[r].queue);
        queue_ready_plan(&readies[r].queue, plan, 0);
        free(plan);
    }
    for (uint32_t h = 0; h < HOSTS; h++)
        world[h] = (struct world_host){.up = true, .accepts = 1 + (uint32_t)random_below(&rnd, 20)};
}

static struct connection *connection_of(struct queue_connection *queue_connection)
{
    return CONTAINER_OF(queue_connection, struct connection, queue);
}

static void close_connection(struct connection *connection)
{
    struct test_ready *ready = &readies[connection->ready];
    for (uint32_t i = 0; i < ARRAY_COUNT(connection->in_flight); i++) {
        struct job *job = connection->in_flight[i];
        if (job == NULL) continue;
        connection->in_flight[i] = NULL;
        queue_connection_settled(&ready->queue, &connection->queue, &job->queue, now);
        if (queue_ready_put_back(&ready->queue, &job->queue, true)) {
            ready->last_number = MIN(ready->last_number, job->number - 1);
        } else {
            job->done = job->failed = true;
        }
    }
    queue_connection_closed(&ready->queue, &hosts, &connection->queue);
    connection->used = false;
}

static void open_connection(uint32_t r, const struct queue_target *target)
{
    for (uint32_t i = 0; i < CONNECTIONS; i++) {
        struct connection *connection = &connections[i];
        if (connection->used) continue;
        memset(connection, 0, sizeof(*connection));
        connection->used = true;
        connection->ready = r;
        connection->window = 1 + (uint32_t)random_below(&rnd, 4);
        queue_connection_opening(&readies[r].queue, &hosts, &connection->queue, &target->address);
        return;
    }
    fail_msg("no room for a connection");
}

static void give(struct test_ready *ready, struct connection *connection, struct job *job)
{
    assert_false(job->done);
    assert_true(job->queue.expires == 0 || job->queue.expires > now);
    assert_int_equal(connection->queue.state, QUEUE_CONNECTION_OPEN);
    assert_true(job->number > ready->last_number || job->queue.put_back > 0);
    ready->last_number = MAX(ready->last_number, job->number);
    const uint32_t most = options.defaults.messages_per_connection;
    if (most > 0) assert_true(connection->queue.given <= most);
    if (ready->given++ == 0) ready->first_given = now;
    if (options.defaults.message_interval > 0) {
        const uint64_t allowed = (now - ready->first_given) / options.defaults.message_interval +
                                 options.defaults.message_burst;
        assert_true(ready->given <= allowed);
    }
    for (uint32_t i = 0; i < connection->window; i++) {
        if (connection->in_flight[i] != NULL) continue;
        connection->in_flight[i] = job;
        break;
    }
    queue_connection_room(&ready->queue, &connection->queue,
                          connection->queue.in_flight < connection->window);
}

static instant decide(uint32_t r)
{
    struct test_ready *ready = &readies[r];
    for (uint32_t turns = 0; turns < 5000; turns++) {
        const struct queue_decision decision = queue_ready_decide(&ready->queue, &hosts, &rnd, now);
        const uint32_t total = ready->queue.open + ready->queue.opening + ready->queue.closing;
        assert_true(total <= MAX(options.defaults.connections_max, 1u));
        assert_true(hosts.connections <= hosts.connections_max);
        switch (decision.step) {
        case QUEUE_STEP_WAIT:
            assert_true(decision.at > now);
            return decision.at;
        case QUEUE_STEP_OPEN: {
            assert_true(total < MAX(options.defaults.connections_max, 1u));
            const struct queue_host *host =
                queue_hosts_find(&hosts, ready->queue.plan, &decision.target->address);
            if (host != NULL && host->failures > 0) {
                assert_true(host->until <= now && host->opening == 0);
            }
            open_connection(r, decision.target);
            break;
        }
        case QUEUE_STEP_GIVE:
            give(ready, connection_of(decision.connection),
                 CONTAINER_OF(decision.job, struct job, queue));
            break;
        case QUEUE_STEP_CLOSE:
            assert_int_equal(decision.connection->in_flight, 0);
            assert_int_equal(decision.connection->state, QUEUE_CONNECTION_CLOSING);
            break;
        case QUEUE_STEP_EXPIRE: {
            struct job *job = CONTAINER_OF(decision.job, struct job, queue);
            assert_true(job->queue.expires > 0 && job->queue.expires <= now);
            job->done = job->failed = true;
            break;
        }
        case QUEUE_STEP_FAIL: {
            struct job *job = CONTAINER_OF(decision.job, struct job, queue);
            assert_non_null(decision.host);
            assert_true(decision.at > now);
            job->done = job->failed = true;
            break;
        }
        }
    }
    fail_msg("decisions without end");
    return 0;
}

static void decide_all(void)
{
    struct queue_ready *woken;
    for (uint32_t r = 0; r < READIES; r++)
        decide(r);
    for (uint32_t i = 0; i < 100 && (woken = queue_hosts_woken(&hosts)) != NULL; i++)
        decide((uint32_t)(CONTAINER_OF(woken, struct test_ready, queue) - readies));
}

static void step_connection(struct connection *connection)
{
    struct test_ready *ready = &readies[connection->ready];
    struct world_host *host = &world[host_of(&connection->queue.peer)];
    const struct queue_error_view why = {.code = 421, .text = BYTES("too busy"), .reply = true};
    switch ((enum queue_connection_state)connection->queue.state) {
    case QUEUE_CONNECTION_OPENING: {
        uint32_t others = 0;
        for (uint32_t i = 0; i < CONNECTIONS; i++) {
            others += connections[i].used && connections[i].working &&
                      address_equal(&connections[i].queue.peer, &connection->queue.peer);
        }
        if (host->up && others < host->accepts) {
            connection->working = true;
            queue_connection_opened(&ready->queue, &hosts, &connection->queue, true, now);
        } else {
            queue_connection_failed(&ready->queue, &hosts, &connection->queue, &why, now);
        }
        break;
    }
    case QUEUE_CONNECTION_OPEN:
        if (!host->up || random_below(&rnd, 50) == 0) {
            queue_connection_closing(&ready->queue, &connection->queue);
            close_connection(connection);
            break;
        }
        for (uint32_t i = 0; i < connection->window; i++) {
            struct job *job = connection->in_flight[i];
            if (job == NULL) continue;
            connection->in_flight[i] = NULL;
            job->done = true;
            queue_connection_settled(&ready->queue, &connection->queue, &job->queue, now);
            queue_connection_room(&ready->queue, &connection->queue, true);
            break;
        }
        break;
    case QUEUE_CONNECTION_CLOSING:
        close_connection(connection);
        break;
    case QUEUE_CONNECTION_CLOSED:
    case QUEUE_CONNECTION_STATE_COUNT:
        fail();
    }
}

static uint32_t add_jobs(uint32_t from, uint64_t count)
{
    for (; count > 0 && from < JOBS; count--, from++) {
        const uint32_t r = (uint32_t)random_below(&rnd, READIES);
        jobs[from].ready = r;
        jobs[from].out = true;
        jobs[from].number = from + 1;
        if (random_below(&rnd, 5) == 0) {
            jobs[from].queue.expires = now + random_below(&rnd, DURATION_S(2));
        }
        list_init(&jobs[from].queue.link);
        queue_ready_add(&readies[r].queue, &jobs[from].queue);
    }
    return from;
}

static void check(uint32_t added)
{
    uint32_t waiting = 0, in_flight = 0, done = 0;
    for (uint32_t r = 0; r < READIES; r++) {
        waiting += readies[r].queue.waiting;
        in_flight += readies[r].queue.in_flight;
    }
    for (uint32_t i = 0; i < added; i++)
        done += jobs[i].done;
    assert_int_equal(waiting + in_flight + done, added);
}

static void stop(void)
{
    for (uint32_t r = 0; r < READIES; r++) {
        struct queue_job *job;
        readies[r].queue.draining = true;
        while ((job = queue_ready_take(&readies[r].queue)) != NULL)
            list_init(&job->link);
    }
    for (uint32_t i = 0; i < CONNECTIONS; i++) {
        if (!connections[i].used) continue;
        if (connections[i].queue.state == QUEUE_CONNECTION_OPEN) {
            queue_connection_closing(&readies[connections[i].ready].queue, &connections[i].queue);
        }
        close_connection(&connections[i]);
    }
    for (uint32_t r = 0; r < READIES; r++) {
        while (queue_ready_take(&readies[r].queue) != NULL)
            continue;
        queue_ready_deinit(&readies[r].queue);
    }
    queue_hosts_deinit(&hosts);
    queue_deinit(&queue);
}

static void random_worlds(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        start(seed);
        uint32_t added = 0;
        for (uint32_t step = 0; step < 2000; step++) {
            now += random_below(&rnd, DURATION_MS(100));
            if (random_below(&rnd, 4) == 0) added = add_jobs(added, random_below(&rnd, 10));
            if (random_below(&rnd, 60) == 0) {
                world[random_below(&rnd, HOSTS)].up = random_below(&rnd, 2);
            }
            for (uint32_t i = 0; i < CONNECTIONS; i++) {
                if (connections[i].used && random_below(&rnd, 2)) step_connection(&connections[i]);
            }
            decide_all();
            check(added);
        }
        /* All is well again: everything left gets through within the pauses. */
        for (uint32_t h = 0; h < HOSTS; h++)
            world[h] = (struct world_host){.up = true, .accepts = CONNECTIONS};
        uint32_t done = 0;
        for (uint32_t step = 0; step < 100000 && done < added; step++) {
            now += DURATION_MS(10);
            for (uint32_t i = 0; i < CONNECTIONS; i++) {
                if (connections[i].used) step_connection(&connections[i]);
            }
            decide_all();
            done = 0;
            for (uint32_t i = 0; i < added; i++)
                done += jobs[i].done;
        }
        assert_int_equal(done, added);
        check(added);
        stop();
    }
}

static void idle_connections_close_in_time(void **state)
{
    (void)state;
    start(1);
    options.defaults.message_interval = 0;
    readies[0].queue.plan->options.message_interval = 0;
    jobs[0].number = 1;
    list_init(&jobs[0].queue.link);
    queue_ready_add(&readies[0].queue, &jobs[0].queue);
    decide(0);
    step_connection(&connections[0]); /* opened */
    decide(0);                        /* given */
    assert_int_equal(readies[0].queue.in_flight, 1);
    const instant given = now;
    now += DURATION_S(2);
    connections[0].queue.room = true;
    queue_connection_settled(&readies[0].queue, &connections[0].queue, &jobs[0].queue, now);
    connections[0].in_flight[0] = NULL;
    queue_connection_room(&readies[0].queue, &connections[0].queue, true);
    if (readies[0].queue.plan->options.messages_per_connection != 1) {
        const instant at = decide(0);
        assert_int_equal(at, now + options.defaults.idle_timeout);
        assert_true(at > given);
        now = at;
    }
    decide(0);
    assert_int_equal(connections[0].queue.state, QUEUE_CONNECTION_CLOSING);
    assert_int_equal(readies[0].queue.open, 0);
    stop();
}

/* All addresses of all hosts, in order of preference; then the jobs fail at once, until the first
 * one may be tried again. */
static void all_hosts_are_tried_in_order(void **state)
{
    (void)state;
    start(3);
    options.defaults.message_interval = 0;
    readies[0].queue.plan->options.message_interval = 0;
    for (uint32_t h = 0; h < HOSTS; h++)
        world[h].up = false;
    for (uint32_t i = 0; i < 10; i++) {
        jobs[i].number = i + 1;
        list_init(&jobs[i].queue.link);
        queue_ready_add(&readies[0].queue, &jobs[i].queue);
    }
    uint32_t tried[HOSTS] = {0};
    for (uint32_t attempt = 0; attempt < HOSTS; attempt++) {
        decide(0);
        assert_int_equal(readies[0].queue.opening, 1);
        for (uint32_t i = 0; i < CONNECTIONS; i++) {
            if (!connections[i].used) continue;
            const uint32_t host = host_of(&connections[i].queue.peer);
            assert_int_equal(host / 2, attempt / 2); /* preference */
            tried[host] += 1;
            step_connection(&connections[i]); /* fails */
            step_connection(&connections[i]); /* closed */
        }
    }
    for (uint32_t h = 0; h < HOSTS; h++)
        assert_int_equal(tried[h], 1);
    decide(0);
    for (uint32_t i = 0; i < 10; i++)
        assert_true(jobs[i].failed);
    assert_int_equal(queue_hosts_paused(&hosts, now), HOSTS);
    queue_hosts_forget(&hosts);
    assert_int_equal(queue_hosts_paused(&hosts, now), 0);
    stop();
}

/* There is room for two: the oldest one that nobody is connecting to goes. */
static void old_hosts_are_forgotten(void **state)
{
    (void)state;
    start(3);
    queue_hosts_deinit(&hosts);
    queue_hosts_init(&hosts, 2, 12);
    readies[0].queue.plan->options.message_interval = 0;
    for (uint32_t h = 0; h < HOSTS; h++)
        world[h].up = false;
    jobs[0].number = 1;
    list_init(&jobs[0].queue.link);
    queue_ready_add(&readies[0].queue, &jobs[0].queue);
    struct address tried[3];
    for (uint32_t attempt = 0; attempt < ARRAY_COUNT(tried); attempt++) {
        decide(0);
        for (uint32_t i = 0; i < CONNECTIONS; i++) {
            if (!connections[i].used) continue;
            tried[attempt] = connections[i].queue.peer;
            step_connection(&connections[i]); /* fails */
            step_connection(&connections[i]); /* closed */
        }
        assert_int_equal(hosts.table.count, MIN(attempt + 1, 2u));
    }
    assert_null(queue_hosts_find(&hosts, readies[0].queue.plan, &tried[0]));
    assert_non_null(queue_hosts_find(&hosts, readies[0].queue.plan, &tried[1]));
    assert_non_null(queue_hosts_find(&hosts, readies[0].queue.plan, &tried[2]));
    stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_worlds),
        cmocka_unit_test(idle_connections_close_in_time),
        cmocka_unit_test(all_hosts_are_tried_in_order),
        cmocka_unit_test(old_hosts_are_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
