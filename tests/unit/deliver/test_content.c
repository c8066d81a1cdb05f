/* SPDX-License-Identifier: Apache-2.0
 *
 * test_content - dots doubled exactly where they begin a line, whatever the pieces; bounded parts
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "internal.h"
#include <stdlib.h>

/* ---- the stream of this test: keeps what is sent ------------------------------------------------
 */

static char output[1 << 22];
static size_t output_len;
static size_t runs;

static void keep(struct stream *stream, struct bytes octets)
{
    assert_true(output_len + octets.len <= sizeof(output));
    memcpy(output + output_len, octets.data, octets.len);
    output_len += octets.len;
    stream->queued += octets.len;
    runs += 1;
}

void stream_send_text(struct stream *stream, struct bytes text)
{
    keep(stream, text);
}

void stream_send_ref(struct stream *stream, struct bytes octets)
{
    keep(stream, octets);
}

/* ---- the obvious way ----------------------------------------------------------------------------
 */

static size_t stuff(const char *in, size_t len, char *out)
{
    size_t at = 0;
    for (size_t i = 0; i < len; i++) {
        if (in[i] == '.' && (i == 0 || in[i - 1] == '\n')) out[at++] = '.';
        out[at++] = in[i];
    }
    return at;
}

static struct deliver_connection *connection;
static struct random rnd;

static int setup(void **state)
{
    (void)state;
    connection = calloc(1, sizeof(*connection));
    random_init(&rnd, 11);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(connection);
    return 0;
}

static void run(const char *content, size_t len, bool stuffed, uint8_t flags)
{
    static char expected[1 << 22];
    struct bytes pieces[40];
    struct deliver_job job = {.pieces = pieces};
    job.transaction.content_flags = flags;
    job.transaction.size = len;
    for (size_t at = 0; at < len && job.piece_count < ARRAY_COUNT(pieces);) {
        size_t part = job.piece_count + 1 == ARRAY_COUNT(pieces)
                          ? len - at
                          : random_below(&rnd, 2 * len / ARRAY_COUNT(pieces) + 3);
        part = MIN(part, len - at);
        pieces[job.piece_count++] = (struct bytes){content + at, part};
        at += part;
    }
    output_len = 0;
    connection->stream.queued = connection->stream.sent = 77;
    uint32_t parts = 1;
    bool whole = content_begin(connection, &job, stuffed);
    while (!whole) {
        assert_ptr_equal(connection->sending, &job);
        assert_true(job.transaction.content_end == UINT64_MAX);
        assert_true(stream_unsent(&connection->stream) < 2 * UNSENT_MAX + len);
        connection->stream.sent = connection->stream.queued; /* all has left */
        whole = content_continue(connection);
        parts += 1;
        assert_true(parts < 100000);
    }
    assert_null(connection->sending);
    assert_int_equal(job.transaction.content_end, 77 + output_len);
    const bool doubled = stuffed && (flags & SMTP_CONTENT_LEADING_DOT);
    const size_t expected_len =
        doubled ? stuff(content, len, expected) : (memcpy(expected, content, len), len);
    assert_int_equal(output_len, expected_len);
    assert_memory_equal(output, expected, expected_len);
}

static void random_contents(void **state)
{
    (void)state;
    static const char octets[] = {'.', '.', '\r', '\n', 'a', 'b'};
    static char content[4000];
    for (uint32_t round = 0; round < 5000; round++) {
        const size_t len = 1 + random_below(&rnd, round % 10 ? 60 : sizeof(content));
        for (size_t i = 0; i < len; i++)
            content[i] = octets[random_below(&rnd, sizeof(octets))];
        run(content, len, true, SMTP_CONTENT_LEADING_DOT);
        run(content, len, false, SMTP_CONTENT_LEADING_DOT); /* BDAT: as it is */
    }
    run("no dots here\r\n", 14, true, 0);
    assert_true(runs > 0);
}

/* Nothing but dots at line starts: queued in parts, not all at once. */
static void hostile_content_is_bounded(void **state)
{
    (void)state;
    static char content[900000];
    for (size_t i = 0; i < sizeof(content); i++)
        content[i] = "\r\n."[i % 3];
    run(content, sizeof(content), true, SMTP_CONTENT_LEADING_DOT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(random_contents, setup, teardown),
        cmocka_unit_test_setup_teardown(hostile_content_is_bounded, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
