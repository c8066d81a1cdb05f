/* SPDX-License-Identifier: Apache-2.0
 *
 * test_stream - input in whole views, output in order, pause, finish, deadline, close
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ringpost/stream.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static struct ring *ring;
static struct stream_group group;

static struct user {
    struct stream stream;
    char input[1 << 20];
    size_t len;
    size_t take; /* octets to take of each view; 0 = whole lines only */
    unsigned views, drained, ends, deadlines, closed;
    enum stream_end end;
    bool finish_at_end;
} user;
static int other; /* the peer's end */

static size_t on_input(struct stream *stream, struct bytes input)
{
    assert_ptr_equal(stream, &user.stream);
    user.views += 1;
    size_t taken = user.take ? MIN(user.take, input.len) : input.len;
    if (user.take == 0) {
        const char *line = memchr(input.data, '\n', input.len);
        taken = line ? (size_t)(line - input.data) + 1 : 0;
    }
    memcpy(user.input + user.len, input.data, taken);
    user.len += taken;
    return taken;
}
static void on_drained(struct stream *stream)
{
    (void)stream;
    user.drained += 1;
}
static void on_end(struct stream *stream, enum stream_end end, int error)
{
    (void)error;
    user.ends += 1;
    user.end = end;
    stream_close(stream);
}
static void on_deadline(struct stream *stream)
{
    user.deadlines += 1;
    stream_close(stream);
}
static void on_closed(struct stream *stream)
{
    (void)stream;
    user.closed += 1;
}
static const struct stream_events events = {.on_input = on_input,
                                            .on_drained = on_drained,
                                            .on_end = on_end,
                                            .on_deadline = on_deadline,
                                            .on_closed = on_closed};

static void turn(void)
{
    ring_turn(ring, ring_now(ring) + DURATION_MS(2), 64);
    ring_timers_run(ring, 64);
    stream_group_flush(&group);
}

static void turns(int count)
{
    while (count-- > 0)
        turn();
}

static int open_pair(void **state)
{
    int pair[2];
    (void)state;
    memset(&user, 0, sizeof(user));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    other = pair[1];
    stream_accept(&user.stream, &group, pair[0], &events);
    return 0;
}

static int close_pair(void **state)
{
    (void)state;
    stream_close(&user.stream);
    for (int i = 0; user.closed == 0; i++) {
        assert_true(i < 1000);
        turn();
    }
    turns(3);
    assert_int_equal(user.closed, 1);
    assert_int_equal(group.open, 0);
    assert_int_equal(ring_in_flight(ring), 0);
    close(other);
    return 0;
}

static void say(const char *text)
{
    assert_int_equal(write(other, text, strlen(text)), (ssize_t)strlen(text));
}

static void lines_are_whole_whatever_the_split(void **state)
{
    const char *text = "one\ntwo\n\nthree four five\n";
    (void)state;
    for (const char *c = text; *c; c++) {
        assert_int_equal(write(other, c, 1), 1);
        turn();
    }
    turns(3);
    assert_int_equal(user.len, strlen(text));
    assert_memory_equal(user.input, text, user.len);
    say("unfinished");
    turns(2);
    assert_int_equal(user.len, strlen(text));
    say(" line\nnext\n");
    turns(2);
    assert_memory_equal(user.input + strlen(text), "unfinished line\nnext\n", 21);
}

static void a_paused_stream_keeps_its_input(void **state)
{
    (void)state;
    stream_pause(&user.stream);
    say("a\nb\n");
    turns(3);
    assert_int_equal(user.views, 0);
    stream_resume(&user.stream);
    turns(2);
    assert_memory_equal(user.input, "a\nb\n", 4);
    stream_pause(&user.stream);
    say("c\n");
    close(dup(other));
    shutdown(other, SHUT_WR);
    turns(3);
    assert_int_equal(user.ends, 0); /* the end comes after the input before it */
    stream_resume(&user.stream);
    turns(2);
    assert_int_equal(user.len, 6);
    assert_int_equal(user.ends, 1);
    assert_int_equal(user.end, STREAM_END_PEER);
}

static void a_burst_is_bounded_and_complete(void **state)
{
    static char burst[600 * 1024], echo[600 * 1024];
    size_t written = 0;
    (void)state;
    user.take = 1000;
    for (size_t i = 0; i < sizeof(burst); i++)
        burst[i] = (char)random();
    stream_pause(&user.stream);
    while (written < sizeof(burst)) {
        const ssize_t n = send(other, burst + written, sizeof(burst) - written, MSG_DONTWAIT);
        if (n > 0) {
            written += (size_t)n;
        } else if (user.stream.paused && user.stream.rest_len >= STREAM_INPUT_MAX) {
            assert_true(user.stream.rest_len < 2 * STREAM_INPUT_MAX + 256 * 1024);
            stream_resume(&user.stream);
        }
        turn();
    }
    stream_resume(&user.stream);
    turns(30);
    assert_int_equal(user.len, sizeof(burst));
    assert_memory_equal(user.input, burst, sizeof(burst));
    memcpy(echo, burst, sizeof(echo));
}

static void output_keeps_its_order(void **state)
{
    static char content[2500 * 1000], got[sizeof(content) + 100];
    size_t len = 0;
    (void)state;
    memset(content, 'c', sizeof(content));
    content[0] = '<';
    content[sizeof(content) - 1] = '>';
    stream_send_text(&user.stream, BYTES("MAIL\r\n"));
    stream_send_text(&user.stream, BYTES("DATA\r\n"));
    stream_send_ref(&user.stream, (struct bytes){content, sizeof(content)});
    const uint64_t mark = user.stream.queued;
    stream_send_text(&user.stream, BYTES(".\r\n"));
    assert_int_equal(mark, 12 + sizeof(content));
    assert_true(user.stream.sent == 0); /* it leaves with the turn, not with each call */
    while (len < 15 + sizeof(content)) {
        turn();
        const ssize_t n = recv(other, got + len, sizeof(got) - len, MSG_DONTWAIT);
        if (n > 0) len += (size_t)n;
    }
    turns(2);
    assert_memory_equal(got, "MAIL\r\nDATA\r\n<c", 14);
    assert_memory_equal(got + 10 + sizeof(content), "c>.\r\n", 5);
    assert_true(user.stream.sent >= mark);
    assert_int_equal(stream_unsent(&user.stream), 0);
    assert_int_equal(user.drained, 1);
    assert_int_equal(user.stream.text.chunks, 0);
}

static void finish_sends_then_closes(void **state)
{
    char got[16] = {0};
    (void)state;
    stream_send_text(&user.stream, BYTES("221 bye\r\n"));
    stream_finish(&user.stream);
    for (int i = 0; user.closed == 0; i++) {
        assert_true(i < 100);
        turn();
    }
    assert_int_equal(recv(other, got, sizeof(got), 0), 9);
    assert_string_equal(got, "221 bye\r\n");
    assert_int_equal(recv(other, got, sizeof(got), 0), 0);
}

/* A peer that is still sending when it is told to go: nothing of it may be answered by a reset. */
static void finish_reading_waits_for_the_peer(void **state)
{
    static char more[64 * 1024];
    char got[16] = {0};
    (void)state;
    say("DATA\n");
    turn();
    stream_send_text(&user.stream, BYTES("421 bye\r\n"));
    stream_finish_reading(&user.stream, DURATION_S(60));
    for (int i = 0; i < 50; i++) {
        assert_int_equal(send(other, more, sizeof(more), MSG_NOSIGNAL), sizeof(more));
        turn();
    }
    assert_int_equal(user.closed, 0);
    assert_int_equal(user.len, 5); /* of no use to anybody */
    assert_int_equal(recv(other, got, sizeof(got), 0), 9);
    assert_string_equal(got, "421 bye\r\n");
    assert_int_equal(recv(other, got, sizeof(got), 0), 0);
    shutdown(other, SHUT_WR);
    for (int i = 0; user.closed == 0; i++) {
        assert_true(i < 100);
        turn();
    }
    assert_int_equal(user.ends, 0);
}

static void finish_reading_has_limited_patience(void **state)
{
    (void)state;
    stream_send_text(&user.stream, BYTES("421 bye\r\n"));
    stream_finish_reading(&user.stream, DURATION_MS(10));
    for (int i = 0; user.closed == 0; i++) {
        assert_true(i < 1000);
        say("more");
        turn();
    }
    assert_int_equal(user.deadlines, 0);
}

static void a_peer_that_does_not_read_meets_the_deadline(void **state)
{
    static char content[8 << 20];
    (void)state;
    stream_send_ref(&user.stream, (struct bytes){content, sizeof(content)});
    stream_set_deadline(&user.stream, ring_now(ring) + DURATION_MS(30));
    for (int i = 0; user.closed == 0; i++) {
        assert_true(i < 1000);
        turn();
    }
    assert_int_equal(user.deadlines, 1);
    assert_int_equal(user.ends, 0);
}

static void a_reset_is_told_once(void **state)
{
    (void)state;
    stream_send_text(&user.stream, BYTES("x"));
    turns(2);
    close(other); /* with an unread octet: a reset */
    for (int i = 0; user.closed == 0; i++) {
        assert_true(i < 100);
        stream_send_text(&user.stream, BYTES("more"));
        turn();
    }
    assert_int_equal(user.ends, 1);
    other = -1;
}

/* A receiver that has enough of a content says so and goes: its words count, not the reset. */
static void last_words_come_before_the_end(void **state)
{
    static char content[8 << 20];
    (void)state;
    stream_send_ref(&user.stream, (struct bytes){content, sizeof(content)});
    turns(3);
    assert_true(stream_unsent(&user.stream) > 0);
    say("552 too large\n");
    close(other); /* with unread octets: a reset */
    other = -1;
    for (int i = 0; user.closed == 0; i++) {
        assert_true(i < 100);
        turn();
    }
    assert_int_equal(user.len, 14);
    assert_memory_equal(user.input, "552 too large\n", 14);
    assert_int_equal(user.ends, 1);
}

static int start_ring(void **state)
{
    char why[256];
    const struct ring_options options = {.entries = 64};
    (void)state;
    ring = ring_create(&options, why, sizeof(why));
    if (ring == NULL) fail_msg("%s", why);
    ring_enter_thread(ring);
    stream_group_init(&group, ring);
    return 0;
}

int main(void)
{
#define PAIR_TEST(f) cmocka_unit_test_setup_teardown(f, open_pair, close_pair)
    const struct CMUnitTest tests[] = {
        PAIR_TEST(lines_are_whole_whatever_the_split),
        PAIR_TEST(a_paused_stream_keeps_its_input),
        PAIR_TEST(a_burst_is_bounded_and_complete),
        PAIR_TEST(output_keeps_its_order),
        PAIR_TEST(finish_sends_then_closes),
        PAIR_TEST(finish_reading_waits_for_the_peer),
        PAIR_TEST(finish_reading_has_limited_patience),
        PAIR_TEST(a_peer_that_does_not_read_meets_the_deadline),
        PAIR_TEST(a_reset_is_told_once),
        PAIR_TEST(last_words_come_before_the_end),
    };
    return cmocka_run_group_tests(tests, start_ring, NULL);
}
