/* SPDX-License-Identifier: Apache-2.0
 *
 * test_chain - a chain against an array that holds the same octets
 */
#include "ringpost/buf.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
/* after the standard headers */
#include <cmocka.h>

enum { MODEL_MAX = 1 << 18 };

static int wiped; /* pieces of memory */

void __real_base_free_secret(void *ptr, size_t size);
void __wrap_base_free_secret(void *ptr, size_t size);
void __wrap_base_free_secret(void *ptr, size_t size)
{
    wiped += 1;
    __real_base_free_secret(ptr, size);
}

static void empty_chain(void **state)
{
    struct buf_chain chain;
    struct bytes piece;
    (void)state;
    buf_chain_init(&chain);
    buf_chain_append(&chain, (struct bytes){0});
    assert_int_equal(chain.len, 0);
    assert_int_equal(chain.chunks, 0);
    assert_int_equal(buf_chain_front(&chain).len, 0);
    assert_int_equal(buf_chain_pieces(&chain, &piece, 1), 0);
    buf_chain_consume(&chain, 0);
    buf_chain_deinit(&chain);
}

static void keeps_order_over_chunks(void **state)
{
    static char model[MODEL_MAX];
    struct buf_chain chain;
    (void)state;
    for (size_t i = 0; i < sizeof(model); i++)
        model[i] = (char)(i * 31 + (i >> 8));
    buf_chain_init(&chain);
    buf_chain_append(&chain, (struct bytes){model, sizeof(model)});
    assert_int_equal(chain.len, sizeof(model));
    size_t at = 0;
    while (chain.len > 0) {
        const struct bytes front = buf_chain_front(&chain);
        assert_true(front.len > 0);
        assert_memory_equal(front.data, model + at, front.len);
        at += front.len;
        buf_chain_consume(&chain, front.len);
    }
    assert_int_equal(at, sizeof(model));
    assert_int_equal(chain.chunks, 0);
    buf_chain_deinit(&chain);
}

/* All octets of the chain, gathered through pieces. */
static void check(const struct buf_chain *chain, const char *model, size_t len)
{
    static struct bytes pieces[256];
    const size_t count = buf_chain_pieces(chain, pieces, 256);
    size_t at = 0;
    assert_int_equal(chain->len, len);
    assert_true(count <= chain->chunks);
    for (size_t i = 0; i < count; i++) {
        assert_true(pieces[i].len > 0 && at + pieces[i].len <= len);
        assert_memory_equal(pieces[i].data, model + at, pieces[i].len);
        at += pieces[i].len;
    }
    if (count < 256) assert_int_equal(at, len);
}

static void random_appends_and_consumes(void **state)
{
    static char model[MODEL_MAX];
    char text[9000];
    size_t len = 0;
    struct buf_chain chain;
    struct random random;
    (void)state;
    random_init(&random, 5);
    buf_chain_init(&chain);
    for (int i = 0; i < 4000; i++) {
        if (random_below(&random, 2) == 0) {
            const size_t more = random_below(&random, random_below(&random, 4) ? 100 : 9000);
            if (len + more > sizeof(model)) continue;
            for (size_t j = 0; j < more; j++)
                text[j] = (char)random_u64(&random);
            buf_chain_append(&chain, (struct bytes){text, more});
            memcpy(model + len, text, more);
            len += more;
        } else {
            const size_t less = random_below(&random, len + 1);
            buf_chain_consume(&chain, less);
            memmove(model, model + less, len - less);
            len -= less;
        }
        check(&chain, model, len);
    }
    buf_chain_deinit(&chain);
    assert_int_equal(chain.len, 0);
}

static void pieces_stop_at_max(void **state)
{
    static const char data[5 * BUF_CHUNK_SIZE];
    struct buf_chain chain;
    struct bytes pieces[2];
    (void)state;
    buf_chain_init(&chain);
    buf_chain_append(&chain, (struct bytes){data, sizeof(data)});
    assert_true(chain.chunks >= 5);
    assert_int_equal(buf_chain_pieces(&chain, pieces, 2), 2);
    buf_chain_deinit(&chain);
}

/* Memory follows what is in it: a chunk that was used up is given back. */
static void consumed_chunks_are_freed(void **state)
{
    struct buf_chain chain;
    (void)state;
    buf_chain_init(&chain);
    for (int i = 0; i < 100000; i++) {
        buf_chain_append(&chain, BYTES("0123456789"));
        if (i >= 10) buf_chain_consume(&chain, 10);
        assert_true(chain.chunks <= 2);
    }
    buf_chain_deinit(&chain);
}

/* Fills all the room that the chain has in one place. */
static size_t fill(struct buf_chain *chain, void (*add)(struct buf_chain *chain, size_t len))
{
    size_t room;
    char *at = buf_chain_room(chain, &room);
    memset(at, 'x', room);
    add(chain, room);
    return room;
}

/* And only they: wiping costs as much as writing. */
static void secret_chunks_are_wiped(void **state)
{
    struct buf_chain chain;
    size_t room;
    (void)state;
    wiped = 0;
    buf_chain_init(&chain);
    const size_t first = fill(&chain, buf_chain_add), second = fill(&chain, buf_chain_add_secret),
                 third = fill(&chain, buf_chain_add);
    buf_chain_append(&chain, BYTES("before"));
    memcpy(buf_chain_room(&chain, &room), "secret", 6);
    buf_chain_add_secret(&chain, 6);
    buf_chain_append(&chain, BYTES("behind")); /* the three lie in one chunk */
    assert_int_equal(chain.chunks, 4);
    buf_chain_consume(&chain, first);
    assert_int_equal(wiped, 0);
    buf_chain_consume(&chain, second - 1);
    assert_int_equal(wiped, 0);
    buf_chain_consume(&chain, 1);
    assert_int_equal(wiped, 1);
    buf_chain_consume(&chain, third);
    assert_int_equal(wiped, 1);
    buf_chain_deinit(&chain);
    assert_int_equal(wiped, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_chain),
        cmocka_unit_test(keeps_order_over_chunks),
        cmocka_unit_test(random_appends_and_consumes),
        cmocka_unit_test(pieces_stop_at_max),
        cmocka_unit_test(consumed_chunks_are_freed),
        cmocka_unit_test(secret_chunks_are_wiped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
