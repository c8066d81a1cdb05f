/* SPDX-License-Identifier: Apache-2.0
 *
 * test_secure - a stream with TLS, over the real ring, against a peer that drives its own end
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ringpost/stream.h"

#include "../tls/pair.h"
#include <errno.h>
#include <sys/socket.h>

static struct ring *ring;
static struct stream_group group;
static struct tls_server *server;
static struct tls_client *client;

static struct user {
    struct stream stream;
    char input[4 << 20];
    size_t len, take; /* octets to take of each view; 0 = whole lines only */
    unsigned secured, drained, ends, closed;
    enum stream_end end;
    int end_error;
    char failure[128];
    const char *starttls; /* a line that starts TLS; what is said in clear before it */
    bool close_when_secure, finish_when_secure;
} user;

/* The peer: a socket, and TLS once it is there. */
static struct {
    int fd;
    struct tls *tls;
    char heard[4 << 20];
    size_t len;
    size_t split; /* octets written at once; 0: all */
    bool deaf, ended;
} peer;

static size_t on_input(struct stream *stream, struct bytes input)
{
    size_t taken = user.take ? MIN(user.take, input.len) : input.len;
    if (user.take == 0) {
        const char *line = memchr(input.data, '\n', input.len);
        taken = line ? (size_t)(line - input.data) + 1 : 0;
    }
    memcpy(user.input + user.len, input.data, taken);
    user.len += taken;
    if (taken > 0 && user.starttls != NULL) {
        stream_send_text(stream, bytes_of(user.starttls));
        user.starttls = NULL;
        stream_start_tls(stream, tls_accept(server, pair_now()));
        stream_send_text(stream, BYTES("queued behind\n"));
    }
    return taken;
}

static void on_drained(struct stream *stream)
{
    assert_int_equal(stream_unsent(stream), 0);
    user.drained += 1;
}

static void on_end(struct stream *stream, enum stream_end end, int error)
{
    user.ends += 1;
    user.end = end;
    user.end_error = error;
    stream_finish(stream);
}

static void on_secure(struct stream *stream, const char *error)
{
    user.secured += 1;
    if (error != NULL) {
        snprintf(user.failure, sizeof(user.failure), "%s", error);
        stream_finish(stream);
    } else if (user.close_when_secure) {
        stream_close(stream);
    } else if (user.finish_when_secure) {
        stream_send_text(stream, BYTES("221 bye\n"));
        stream_finish(stream);
    }
}

static void on_closed(struct stream *stream)
{
    (void)stream;
    user.closed += 1;
}

static const struct stream_events events = {.on_input = on_input,
                                            .on_drained = on_drained,
                                            .on_end = on_end,
                                            .on_secure = on_secure,
                                            .on_closed = on_closed};

/* ---- the peer ---------------------------------------------------------------------------------
 */

static void peer_write(void)
{
    struct bytes piece;
    while (tls_output(peer.tls, &piece, 1) > 0) {
        if (peer.split > 0) piece.len = MIN(piece.len, peer.split);
        const ssize_t len = send(peer.fd, piece.data, piece.len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (len <= 0) return;
        tls_output_sent(peer.tls, (size_t)len);
        if (peer.split > 0) return;
    }
}

static void peer_read(void)
{
    char octets[20000];
    const ssize_t len = recv(peer.fd, octets, sizeof(octets), MSG_DONTWAIT);
    peer.ended |= len == 0 || (len < 0 && errno != EAGAIN);
    if (len <= 0) return;
    if (peer.tls == NULL) {
        memcpy(peer.heard + peer.len, octets, (size_t)len);
        peer.len += (size_t)len;
        return;
    }
    tls_feed(peer.tls, (struct bytes){octets, (size_t)len});
    tls_handshake(peer.tls);
    size_t got;
    while ((got = tls_read(peer.tls, peer.heard + peer.len, sizeof(peer.heard) - peer.len)) > 0)
        peer.len += got;
}

static void peer_say(const char *text)
{
    const struct bytes piece = bytes_of(text);
    if (peer.tls == NULL) {
        assert_int_equal(write(peer.fd, text, piece.len), piece.len);
    } else {
        assert_int_equal(tls_write(peer.tls, &piece, 1, SIZE_MAX), piece.len);
        peer_write();
    }
}

static void turn(void)
{
    if (peer.tls != NULL) peer_write();
    ring_turn(ring, ring_now(ring) + DURATION_MS(2), 64);
    ring_timers_run(ring, 64);
    stream_group_flush(&group);
    if (!peer.deaf) peer_read();
}

static void turns(int count)
{
    while (count-- > 0)
        turn();
}

#define UNTIL(condition)                                                                           \
    for (int turns_ = 0; !(condition); turns_++) {                                                 \
        assert_true(turns_ < 2000);                                                                \
        turn();                                                                                    \
    }

static int open_pair(void **state)
{
    int pair[2];
    (void)state;
    memset(&user, 0, sizeof(user));
    memset(&peer, 0, sizeof(peer));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    peer.fd = pair[1];
    stream_accept(&user.stream, &group, pair[0], &events);
    return 0;
}

static int close_pair(void **state)
{
    (void)state;
    stream_close(&user.stream);
    UNTIL(user.closed > 0);
    turns(3);
    assert_int_equal(user.closed, 1);
    assert_int_equal(group.open, 0);
    assert_int_equal(group.kept, 0);
    assert_int_equal(ring_in_flight(ring), 0);
    tls_free(&peer.tls);
    close(peer.fd);
    return 0;
}

static struct tls *connect_tls(void)
{
    const struct tls_connect_options options = {.sni = "mx.test", .now = pair_now()};
    return tls_connect(client, &options);
}

/* The stream serves, the peer connects. */
static void serve(void)
{
    stream_start_tls(&user.stream, tls_accept(server, pair_now()));
    peer.tls = connect_tls();
    tls_handshake(peer.tls);
    UNTIL(user.secured > 0);
    assert_string_equal(user.failure, "");
}

static void expect_heard(const char *text)
{
    UNTIL(peer.len >= strlen(text));
    assert_int_equal(peer.len, strlen(text));
    assert_memory_equal(peer.heard, text, peer.len);
    peer.len = 0;
}

static void expect_input(const char *text)
{
    UNTIL(user.len >= strlen(text));
    assert_int_equal(user.len, strlen(text));
    assert_memory_equal(user.input, text, user.len);
    user.len = 0;
}

/* ---- tests ------------------------------------------------------------------------------------
 */

static void a_served_stream_talks(void **state)
{
    (void)state;
    serve();
    assert_int_equal(user.secured, 1);
    peer_say("one\ntwo\n");
    expect_input("one\ntwo\n");
    stream_send_text(&user.stream, BYTES("250 yes\n"));
    expect_heard("250 yes\n");
    assert_int_equal(user.stream.queued, 8);
    UNTIL(user.stream.sent == 8);
    assert_int_equal(user.drained, 1);
    peer_say("half ");
    turns(3);
    assert_int_equal(user.len, 0);
    peer_say("line\n");
    expect_input("half line\n");
}

static void a_connecting_stream_talks(void **state)
{
    (void)state;
    peer.tls = tls_accept(server, pair_now());
    stream_start_tls(&user.stream, connect_tls());
    stream_send_text(&user.stream, BYTES("EHLO me\n")); /* waits for the handshake */
    UNTIL(user.secured > 0);
    expect_heard("EHLO me\n");
    peer_say("250 you\n");
    expect_input("250 you\n");
    struct tls_info info;
    tls_get_info(stream_tls(&user.stream), &info);
    assert_string_equal(info.peer_name, "mx.test");
}

static void octet_by_octet(void **state)
{
    (void)state;
    peer.split = 1;
    serve();
    peer_say("one\ntwo\n");
    expect_input("one\ntwo\n");
}

/* What was queued before leaves in clear, what comes after it does not. */
static void clear_text_leaves_first(void **state)
{
    (void)state;
    user.starttls = "220 go\n";
    peer_say("STARTTLS\n");
    UNTIL(peer.len >= 7);
    assert_int_equal(peer.len, 7);
    assert_memory_equal(peer.heard, "220 go\n", 7);
    peer.len = 0;
    peer.tls = connect_tls();
    tls_handshake(peer.tls);
    expect_heard("queued behind\n");
    assert_int_equal(user.secured, 1);
    UNTIL(stream_unsent(&user.stream) == 0);
    assert_int_equal(user.stream.sent, 7 + 14);
    assert_int_equal(user.drained, 1);
}

/* RFC 3207 section 6: what was injected in clear is never taken for what came protected. */
static void clear_text_behind_starttls_is_dropped(void **state)
{
    (void)state;
    user.starttls = "220 go\n";
    peer_say("STARTTLS\nMAIL FROM:<evil>\nRCPT");
    UNTIL(peer.len >= 7);
    peer.len = 0;
    peer.tls = connect_tls();
    tls_handshake(peer.tls);
    UNTIL(user.secured > 0);
    peer_say("EHLO me\n");
    turns(5);
    assert_int_equal(user.len, 9 + 8);
    assert_memory_equal(user.input, "STARTTLS\nEHLO me\n", 17);
}

static void clear_text_in_the_rest_is_dropped(void **state)
{
    (void)state;
    peer_say("no line yet");
    turns(3);
    assert_int_equal(user.stream.rest_len, 11);
    serve();
    peer_say("EHLO me\n");
    expect_input("EHLO me\n");
}

static void garbage_fails_and_is_told_once(void **state)
{
    (void)state;
    stream_start_tls(&user.stream, tls_accept(server, pair_now()));
    peer_say("EHLO in clear\r\n");
    UNTIL(user.closed > 0);
    assert_int_equal(user.secured, 1);
    assert_string_equal(user.failure, "the peer does not speak TLS");
    assert_int_equal(user.ends, 0);
    assert_int_equal(user.len, 0);
}

static void close_notify_in_the_handshake_opens_nothing(void **state)
{
    static const char notify[] = "\x15\x03\x03\x00\x02\x01";
    (void)state;
    stream_start_tls(&user.stream, tls_accept(server, pair_now()));
    stream_send_text(&user.stream, BYTES("220 hello\n"));
    assert_int_equal(send(peer.fd, notify, sizeof(notify), 0), 7);
    UNTIL(user.closed > 0);
    assert_int_equal(user.secured, 1);
    assert_string_not_equal(user.failure, "");
    turn();
    assert_int_equal(peer.len, 7);
    assert_int_equal(peer.heard[0], 21); /* an alert is all that is said */
}

static void a_failure_reaches_the_peer_as_an_alert(void **state)
{
    static const char *const names[] = {"other.test"};
    const struct tls_connect_options options = {
        .names = names, .name_count = 1, .verify = true, .now = pair_now()};
    (void)state;
    peer.tls = tls_accept(server, pair_now());
    stream_start_tls(&user.stream, tls_connect(client, &options));
    stream_send_text(&user.stream, BYTES("EHLO me\n")); /* must never leave */
    UNTIL(user.closed > 0);
    assert_int_equal(user.secured, 1);
    assert_string_equal(user.failure, "certificate verify failed: hostname mismatch");
    UNTIL(peer.ended);
    assert_int_equal(peer.len, 0);
    assert_string_equal(tls_error(peer.tls), "the peer refuses: bad certificate");
}

static void an_end_during_the_handshake_is_an_end(void **state)
{
    (void)state;
    stream_start_tls(&user.stream, tls_accept(server, pair_now()));
    turns(2);
    shutdown(peer.fd, SHUT_WR);
    UNTIL(user.closed > 0);
    assert_int_equal(user.ends, 1);
    assert_int_equal(user.secured, 0);
}

/* What was queued in clear leaves, and that is all: nobody is told of a handshake any more. */
static void finishing_before_the_handshake(void **state)
{
    (void)state;
    stream_send_text(&user.stream, BYTES("220 go\n"));
    stream_start_tls(&user.stream, connect_tls());
    stream_send_text(&user.stream, BYTES("secret\n"));
    stream_finish(&user.stream);
    UNTIL(user.closed > 0);
    UNTIL(peer.ended);
    assert_int_equal(peer.len, 7);
    assert_memory_equal(peer.heard, "220 go\n", 7);
    assert_int_equal(user.secured, 0);
}

static void closing_and_finishing_inside_on_secure(void **state)
{
    (void)state;
    user.finish_when_secure = true;
    serve();
    expect_heard("221 bye\n");
    UNTIL(user.closed > 0);
    UNTIL(peer.ended);
    assert_int_equal(tls_status(peer.tls), TLS_CLOSED); /* close_notify came before the end */
}

static void closing_inside_on_secure(void **state)
{
    (void)state;
    user.close_when_secure = true;
    serve();
    UNTIL(user.closed > 0);
}

static void finish_says_close_notify_when_idle(void **state)
{
    (void)state;
    serve();
    stream_finish(&user.stream);
    UNTIL(user.closed > 0);
    UNTIL(peer.ended);
    assert_int_equal(tls_status(peer.tls), TLS_CLOSED);
}

static void close_notify_is_an_end(void **state)
{
    (void)state;
    serve();
    peer_say("QUIT\n");
    tls_close(peer.tls);
    UNTIL(user.closed > 0);
    assert_int_equal(user.len, 5);
    assert_int_equal(user.ends, 1);
    assert_int_equal(user.end, STREAM_END_PEER);
    assert_int_equal(user.end_error, 0);
}

static void a_broken_record_is_an_error_behind_the_input_before_it(void **state)
{
    struct bytes piece;
    char record[200];
    (void)state;
    serve();
    turns(2);
    peer_say("before\n");
    const struct bytes after = BYTES("after\n");
    tls_write(peer.tls, &after, 1, 100);
    tls_output(peer.tls, &piece, 1);
    memcpy(record, piece.data, piece.len);
    record[8] ^= 1;
    assert_int_equal(send(peer.fd, record, piece.len, 0), piece.len);
    tls_output_sent(peer.tls, piece.len);
    UNTIL(user.closed > 0);
    assert_int_equal(user.len, 7);
    assert_int_equal(user.ends, 1);
    assert_int_equal(user.end, STREAM_END_ERROR);
    assert_int_equal(user.end_error, -EPROTO);
}

/* Large content crosses a small socket; the ciphertext in memory stays small. */
static void large_content_is_encrypted_a_little_ahead(void **state)
{
    static char content[3 << 20];
    (void)state;
    for (size_t i = 0; i < sizeof(content); i++)
        content[i] = (char)(i * 31 + i / 4096);
    serve();
    stream_send_text(&user.stream, BYTES("DATA\n"));
    stream_send_ref(&user.stream, (struct bytes){content, sizeof(content)});
    const uint64_t mark = user.stream.queued;
    stream_send_text(&user.stream, BYTES(".\n"));
    peer.deaf = true;
    turns(10);
    const uint64_t before = user.stream.sent;
    assert_true(before < sizeof(content) / 2);
    assert_true(tls_output_len(stream_tls(&user.stream)) < 80 * 1024);
    peer.deaf = false;
    UNTIL(user.stream.sent >= mark + 2);
    assert_int_equal(user.stream.sent, mark + 2);
    assert_int_equal(user.drained, 1);
    UNTIL(peer.len >= mark + 2);
    assert_memory_equal(peer.heard, "DATA\n", 5);
    assert_memory_equal(peer.heard + 5, content, sizeof(content));
    assert_memory_equal(peer.heard + 5 + sizeof(content), ".\n", 2);
}

static void a_paused_stream_keeps_plaintext(void **state)
{
    static char burst[800 * 1000];
    size_t said = 0;
    (void)state;
    for (size_t i = 0; i < sizeof(burst); i++)
        burst[i] = (char)(i * 17 + i / 1000);
    serve();
    user.take = 1000;
    stream_pause(&user.stream);
    for (int i = 0; said < sizeof(burst); i++) {
        assert_true(i < 10000);
        if (tls_output_len(peer.tls) == 0) {
            const struct bytes piece = {burst + said, sizeof(burst) - said};
            said += tls_write(peer.tls, &piece, 1, 50000);
        }
        if (user.stream.rest_len > STREAM_INPUT_MAX) {
            assert_true(user.stream.rest_len < 2 * STREAM_INPUT_MAX + 256 * 1024);
            stream_resume(&user.stream);
            turn();
            stream_pause(&user.stream);
        }
        turn();
    }
    stream_resume(&user.stream);
    UNTIL(user.len == sizeof(burst));
    assert_memory_equal(user.input, burst, sizeof(burst));
    /* The end waits too. */
    stream_pause(&user.stream);
    tls_close(peer.tls);
    turns(5);
    assert_int_equal(user.ends, 0);
    stream_resume(&user.stream);
    UNTIL(user.ends == 1);
}

static void finish_reading_throws_away_what_comes(void **state)
{
    static char more[64 * 1024];
    (void)state;
    serve();
    turns(3);
    stream_send_text(&user.stream, BYTES("421 bye\n"));
    stream_finish_reading(&user.stream, DURATION_S(60));
    for (int i = 0; i < 50; i++) {
        assert_int_equal(send(peer.fd, more, sizeof(more), MSG_NOSIGNAL), sizeof(more));
        turn();
    }
    expect_heard("421 bye\n");
    assert_int_equal(tls_status(peer.tls), TLS_CLOSED);
    assert_int_equal(user.closed, 0);
    shutdown(peer.fd, SHUT_WR);
    UNTIL(user.closed > 0);
    assert_int_equal(user.ends, 0);
}

static void a_reset_is_told_once(void **state)
{
    (void)state;
    serve();
    turns(3);
    stream_send_text(&user.stream, BYTES("x"));
    peer.deaf = true;
    turns(2);
    close(peer.fd); /* with an unread octet: a reset */
    peer.fd = -1;
    for (int i = 0; user.closed == 0; i++) {
        assert_true(i < 100);
        stream_send_text(&user.stream, BYTES("more"));
        turn();
    }
    assert_int_equal(user.ends, 1);
}

static int start(void **state)
{
    char why[256];
    const struct ring_options options = {.entries = 64};
    const char *const files[] = {"mx"};
    (void)state;
    authority_begin();
    authority_make(&(struct authority_wish){.file = "mx", .names = "DNS:mx.test"});
    server = pair_server(files, 1, NULL);
    client = pair_client("mx");
    ring = ring_create(&options, why, sizeof(why));
    if (ring == NULL) fail_msg("%s", why);
    ring_enter_thread(ring);
    stream_group_init(&group, ring);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    ring_destroy(&ring);
    tls_server_free(&server);
    tls_client_free(&client);
    authority_end();
    return 0;
}

int main(void)
{
#define PAIR_TEST(f) cmocka_unit_test_setup_teardown(f, open_pair, close_pair)
    const struct CMUnitTest tests[] = {
        PAIR_TEST(a_served_stream_talks),
        PAIR_TEST(a_connecting_stream_talks),
        PAIR_TEST(octet_by_octet),
        PAIR_TEST(clear_text_leaves_first),
        PAIR_TEST(clear_text_behind_starttls_is_dropped),
        PAIR_TEST(clear_text_in_the_rest_is_dropped),
        PAIR_TEST(garbage_fails_and_is_told_once),
        PAIR_TEST(close_notify_in_the_handshake_opens_nothing),
        PAIR_TEST(a_failure_reaches_the_peer_as_an_alert),
        PAIR_TEST(an_end_during_the_handshake_is_an_end),
        PAIR_TEST(finishing_before_the_handshake),
        PAIR_TEST(closing_and_finishing_inside_on_secure),
        PAIR_TEST(closing_inside_on_secure),
        PAIR_TEST(finish_says_close_notify_when_idle),
        PAIR_TEST(close_notify_is_an_end),
        PAIR_TEST(a_broken_record_is_an_error_behind_the_input_before_it),
        PAIR_TEST(large_content_is_encrypted_a_little_ahead),
        PAIR_TEST(a_paused_stream_keeps_plaintext),
        PAIR_TEST(finish_reading_throws_away_what_comes),
        PAIR_TEST(a_reset_is_told_once),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
