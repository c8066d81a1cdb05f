/* SPDX-License-Identifier: Apache-2.0
 *
 * test_ring - real sockets and files through the ring: what arrives, what closing promises
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "internal.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static struct ring *ring;

static void turn_until(bool *done)
{
    for (int turns = 0; !*done; turns++) {
        assert_true(turns < 100000);
        ring_turn(ring, ring_now(ring) + DURATION_MS(20), 64);
        ring_timers_run(ring, 64);
    }
}

static int set_up(void **state)
{
    char why[256];
    const struct ring_options options = {.entries = 8}; /* small: the full queue is met often */
    (void)state;
    ring = ring_create(&options, why, sizeof(why));
    if (ring == NULL) fail_msg("%s", why);
    ring_enter_thread(ring);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    assert_int_equal(ring_in_flight(ring), 0);
    ring_destroy(&ring);
    return 0;
}

/* ---- a server that echoes, and a client -------------------------------------------------------
 */

enum { CLIENTS = 40, SENT = 300 * 1000 };

static struct peer {
    struct ring_socket socket;
    char *data;
    size_t received;
    unsigned sends_left;
    bool connected, closed, server;
    int error;
} clients[CLIENTS], servers[CLIENTS];
static unsigned server_count, closed_count;
static bool all_closed;
static char pattern[SENT];

static void peer_closed(struct ring_socket *socket)
{
    struct peer *peer = CONTAINER_OF(socket, struct peer, socket);
    assert_false(peer->closed);
    peer->closed = true;
    free(peer->data);
    peer->data = NULL;
    closed_count += 1;
    all_closed = closed_count == 2 * CLIENTS;
}

static void echo_received(struct ring_socket *socket, struct bytes data, int error)
{
    struct peer *peer = CONTAINER_OF(socket, struct peer, socket);
    if (data.len == 0) {
        assert_int_equal(error, 0);
        ring_socket_close(socket);
        return;
    }
    assert_true(peer->received + data.len <= SENT);
    memcpy(peer->data + peer->received, data.data, data.len);
    peer->received += data.len;
    if (peer->received == SENT) { /* in pieces of odd sizes, one empty */
        const struct bytes pieces[] = {{peer->data, 1},
                                       {peer->data + 1, 0},
                                       {peer->data + 1, 99999},
                                       {peer->data + 100000, SENT - 100000}};
        ring_send(socket, pieces, ARRAY_COUNT(pieces));
    }
}

static void echo_sent(struct ring_socket *socket, int64_t result)
{
    (void)socket;
    assert_int_equal(result, SENT);
}

static const struct ring_socket_events echo_events = {
    .on_received = echo_received, .on_sent = echo_sent, .on_closed = peer_closed};

static void on_accepted(struct ring_listener *listener, int fd, const struct address *address)
{
    (void)listener;
    assert_true(address_is_loopback(address));
    struct peer *peer = &servers[server_count++];
    peer->data = malloc(SENT);
    ring_socket_adopt(&peer->socket, ring, fd, &echo_events);
    ring_recv_start(&peer->socket);
}

static void client_connected(struct ring_socket *socket, int error)
{
    assert_int_equal(error, 0);
    const struct bytes all = {pattern, SENT};
    ring_recv_start(socket);
    ring_send(socket, &all, 1);
}

static void client_received(struct ring_socket *socket, struct bytes data, int error)
{
    struct peer *peer = CONTAINER_OF(socket, struct peer, socket);
    assert_int_equal(error, 0);
    assert_true(data.len > 0);
    assert_memory_equal(data.data, pattern + peer->received, data.len);
    peer->received += data.len;
    if (peer->received == SENT) ring_socket_close(socket);
}

static const struct ring_socket_events client_events = {.on_connected = client_connected,
                                                        .on_received = client_received,
                                                        .on_sent = echo_sent,
                                                        .on_closed = peer_closed};

static void listener_closed(struct ring_listener *listener)
{
    (void)listener;
    all_closed = true;
}

static void sockets_carry_all_octets(void **state)
{
    struct ring_listener listener = {.on_accepted = on_accepted, .on_closed = listener_closed};
    struct address address;
    (void)state;
    for (size_t i = 0; i < SENT; i++)
        pattern[i] = (char)(i * 7 + i / 251);
    assert_true(address_parse(BYTES("127.0.0.1:1"), 0, &address));
    address.port = 0;
    assert_int_equal(ring_listen(&listener, ring, &address, 100), 0);
    assert_true(address.port != 0);
    ring_accept_start(&listener);
    for (int i = 0; i < CLIENTS; i++)
        ring_socket_connect(&clients[i].socket, ring, &address, NULL, &client_events);
    turn_until(&all_closed);
    for (int i = 0; i < CLIENTS; i++) {
        assert_int_equal(clients[i].received, SENT);
        assert_int_equal(servers[i].received, SENT);
    }
    all_closed = false;
    ring_listener_close(&listener);
    turn_until(&all_closed);
}

/* ---- closing ------------------------------------------------------------------------------------
 */

static bool refused_closed;

static void refused_connected(struct ring_socket *socket, int error)
{
    assert_true(error == -ECONNREFUSED || error == -EADDRNOTAVAIL);
    ring_socket_close(socket);
    ring_socket_close(socket); /* idempotent */
}

static void refused_on_closed(struct ring_socket *socket)
{
    (void)socket;
    assert_false(refused_closed);
    refused_closed = true;
}

static const struct ring_socket_events refused_events = {.on_connected = refused_connected,
                                                         .on_closed = refused_on_closed};

static void failures_of_connect_come_back(void **state)
{
    struct ring_socket socket;
    struct address nobody, foreign;
    (void)state;
    assert_true(address_parse(BYTES("127.0.0.1:1"), 0, &nobody));
    assert_true(address_parse(BYTES("192.0.2.7:1"), 0, &foreign));
    foreign.port = 0;
    refused_closed = false;
    ring_socket_connect(&socket, ring, &nobody, NULL, &refused_events);
    turn_until(&refused_closed);
    refused_closed = false;
    ring_socket_connect(&socket, ring, &nobody, &foreign, &refused_events); /* bind() fails */
    turn_until(&refused_closed);
}

static void never_received(struct ring_socket *socket, struct bytes data, int error)
{
    (void)socket, (void)data, (void)error;
    fail_msg("a callback after close");
}

static const struct ring_socket_events silent_events = {.on_received = never_received,
                                                        .on_closed = refused_on_closed};

static void nothing_is_heard_after_close(void **state)
{
    int pair[2];
    struct ring_socket socket;
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    ring_socket_adopt(&socket, ring, pair[0], &silent_events);
    ring_recv_start(&socket);
    assert_int_equal(write(pair[1], "late", 4), 4);
    refused_closed = false;
    ring_socket_close(&socket);
    assert_false(refused_closed); /* never from inside */
    turn_until(&refused_closed);
    assert_int_equal(send(pair[1], "x", 1, MSG_NOSIGNAL), -1); /* really closed */
    close(pair[1]);
}

static unsigned stopped_count;

static void stop_received(struct ring_socket *socket, struct bytes data, int error)
{
    (void)error;
    stopped_count += (unsigned)data.len;
    if (data.len == 0) {
        ring_socket_close(socket);
    } else {
        ring_recv_stop(socket);
    }
}

static const struct ring_socket_events stop_events = {.on_received = stop_received,
                                                      .on_closed = refused_on_closed};

static void a_stopped_receive_goes_on_after_start(void **state)
{
    int pair[2];
    struct ring_socket socket;
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    ring_socket_adopt(&socket, ring, pair[0], &stop_events);
    stopped_count = 0;
    for (unsigned sent = 0; sent < 1000; sent++) {
        assert_int_equal(write(pair[1], "y", 1), 1);
        ring_recv_start(&socket);
        ring_turn(ring, ring_now(ring) + DURATION_MS(1), 64);
    }
    close(pair[1]);
    refused_closed = false;
    while (!refused_closed) {
        if (socket.handle.state == RING_OPEN) ring_recv_start(&socket);
        ring_turn(ring, ring_now(ring) + DURATION_MS(1), 64);
    }
    assert_int_equal(stopped_count, 1000);
}

/* ---- files
 * ------------------------------------------------------------------------------------------ */

static bool file_done;
static int64_t file_result;

static void on_file_done(struct ring_file_op *op, int64_t result)
{
    (void)op;
    file_result = result;
    file_done = true;
}

static void file_was_closed(struct ring_file *file)
{
    (void)file;
    file_done = true;
}

static int64_t wait_file(void)
{
    file_done = false;
    turn_until(&file_done);
    return file_result;
}

static void files_write_and_read(void **state)
{
    char path[] = "/var/tmp/ringpost-test-XXXXXX";
    struct ring_file file = {0};
    struct ring_file_op op = {.on_done = on_file_done};
    char *data = aligned_alloc(4096, 65536), *back = aligned_alloc(4096, 65536);
    (void)state;
    memset(data, 'd', 65536);
    close(mkstemp(path));
    assert_int_equal(ring_file_open(&file, ring, path, RING_FILE_CREATE | RING_FILE_DIRECT), 0);
    file.on_closed = file_was_closed;
    ring_file_allocate(&file, &op, 0, 1 << 20);
    assert_int_equal(wait_file(), 0);
    ring_file_write(&file, &op, data, 65536, 8192, true);
    assert_int_equal(wait_file(), 65536);
    ring_file_sync(&file, &op);
    assert_int_equal(wait_file(), 0);
    ring_file_read(&file, &op, back, 65536, 8192);
    assert_int_equal(wait_file(), 65536);
    assert_memory_equal(data, back, 65536);
    ring_file_read(&file, &op, back, 65536, (1 << 20) - 4096); /* ends early */
    assert_int_equal(wait_file(), 4096);
    assert_int_equal(ring_file_size(&file), 1 << 20);
    ring_file_close(&file);
    wait_file();
    assert_int_equal(ring_path_remove(ring, path), 0);
    assert_int_equal(ring_file_open(&file, ring, path, 0), -ENOENT);
    free(data);
    free(back);
}

static void one_lock_at_a_time(void **state)
{
    char path[] = "/var/tmp/ringpost-test-XXXXXX";
    struct ring_file first = {0}, second = {0};
    (void)state;
    close(mkstemp(path));
    assert_int_equal(ring_file_open(&first, ring, path, 0), 0);
    assert_int_equal(ring_file_open(&second, ring, path, 0), 0);
    assert_int_equal(ring_file_lock(&first), 0);
    assert_int_equal(ring_file_lock(&second), -EWOULDBLOCK);
    first.on_closed = second.on_closed = file_was_closed;
    ring_file_close(&first);
    wait_file();
    assert_int_equal(ring_file_lock(&second), 0);
    ring_file_close(&second);
    wait_file();
    remove(path);
}

/* ---- wake-ups and polls
 * ---------------------------------------------------------------------------------- */

static void *waker(void *argument)
{
    char why[256];
    const struct ring_options options = {.entries = 8};
    struct ring *mine = ring_create(&options, why, sizeof(why));
    ring_enter_thread(mine);
    ring_wake(mine, argument);
    ring_turn(mine, 0, 8);
    ring_turn(mine, ring_now(mine) + DURATION_MS(5), 8);
    ring_destroy(&mine);
    return NULL;
}

static void a_sleeping_ring_is_woken(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        pthread_t thread;
        pthread_create(&thread, NULL, waker, ring);
        const instant before = ring_clock(ring);
        ring_turn(ring, before + DURATION_S(20), 8);
        assert_true(ring_now(ring) - before < DURATION_S(15));
        pthread_join(thread, NULL);
        ring_turn(ring, 0, 8);
    }
}

static bool poll_over;
static unsigned polled;

static void on_ready(struct ring_poll *poll, uint32_t events)
{
    assert_true(events & POLLIN);
    if (++polled == 3) {
        ring_poll_stop(poll);
    } else {
        ring_poll_start(poll, ring, *(int *)(poll + 1), POLLIN);
    }
}

static void poll_closed(struct ring_poll *poll)
{
    (void)poll;
    poll_over = true;
}

static void polls_tell_of_foreign_descriptors(void **state)
{
    int pipe_ends[2];
    struct {
        struct ring_poll poll;
        int fd;
    } watched = {.poll = {.on_ready = on_ready, .on_closed = poll_closed}};
    (void)state;
    assert_int_equal(pipe(pipe_ends), 0);
    watched.fd = pipe_ends[0];
    assert_int_equal(write(pipe_ends[1], "p", 1), 1);
    poll_over = false;
    polled = 0;
    ring_poll_start(&watched.poll, ring, watched.fd, POLLIN);
    turn_until(&poll_over);
    assert_int_equal(polled, 3);
    ring_poll_start(&watched.poll, ring, watched.fd, POLLOUT); /* never ready: stopped in flight */
    ring_poll_stop(&watched.poll);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    poll_over = false;
    turn_until(&poll_over);
    assert_int_equal(polled, 3);
}

/* Whoever gets to write into a ring of ours cannot open a file with it. */
static int32_t refusal;
static void refused(struct ring_op *op, int32_t result, uint32_t flags)
{
    (void)op, (void)flags;
    refusal = result;
}

static void other_operations_are_refused(void **state)
{
    struct ring_op op = {.done = refused};
    (void)state;
    struct io_uring_sqe *sqe = ring_sqe(ring);
    io_uring_prep_openat(sqe, AT_FDCWD, "/dev/null", O_RDONLY, 0);
    ring_op_start(ring, &op, sqe);
    refusal = 0;
    while (op.in_flight)
        ring_turn(ring, ring_now(ring) + DURATION_MS(20), 64);
    assert_int_equal(refusal, -EACCES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sockets_carry_all_octets),
        cmocka_unit_test(failures_of_connect_come_back),
        cmocka_unit_test(nothing_is_heard_after_close),
        cmocka_unit_test(a_stopped_receive_goes_on_after_start),
        cmocka_unit_test(files_write_and_read),
        cmocka_unit_test(one_lock_at_a_time),
        cmocka_unit_test(a_sleeping_ring_is_woken),
        cmocka_unit_test(polls_tell_of_foreign_descriptors),
        cmocka_unit_test(other_operations_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
