/* SPDX-License-Identifier: Apache-2.0
 *
 * test_base64 - known answers, the same from each kernel that this CPU has
 *
 * The comparison of kernels with each other and with a model is tests/prop/prop_base64.c.
 */
#include "ringpost/base.h"
#include "ringpost/codec/base64.h"
#include "ringpost/simd.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define FOR_EACH_KERNEL                                                                            \
    for (int level_ = 0; level_ < SIMD_LEVEL_COUNT; level_++)                                      \
        if (simd_select((enum simd_level)level_))

#define TEXT(literal)                                                                              \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }

/* RFC 4648 section 10 */
static const struct {
    struct bytes octets, text;
} vectors[] = {
    {TEXT(""), TEXT("")},
    {TEXT("f"), TEXT("Zg==")},
    {TEXT("fo"), TEXT("Zm8=")},
    {TEXT("foo"), TEXT("Zm9v")},
    {TEXT("foob"), TEXT("Zm9vYg==")},
    {TEXT("fooba"), TEXT("Zm9vYmE=")},
    {TEXT("foobar"), TEXT("Zm9vYmFy")},
};

static void test_vectors(void **state)
{
    (void)state;
    FOR_EACH_KERNEL
    {
        for (size_t i = 0; i < ARRAY_COUNT(vectors); i++) {
            const struct bytes octets = vectors[i].octets, text = vectors[i].text;
            char out[16];
            assert_int_equal(codec_base64_encoded_len(octets.len, 0), text.len);
            assert_int_equal(codec_base64_encode(octets.data, octets.len, out), text.len);
            assert_memory_equal(out, text.data, text.len);
            const struct codec_result result =
                codec_base64_decode(text.data, text.len, out, CODEC_BASE64_PLAIN);
            assert_true(result.error == CODEC_NO_ERROR);
            assert_int_equal(result.written, octets.len);
            assert_memory_equal(out, octets.data, octets.len);
        }
    }
}

static void test_lines(void **state)
{
    (void)state;
    static const char octets[] =
        "The quick brown fox jumps over the lazy dog, twice and once more: "
        "the quick brown fox jumps over it.";
    static const char text[] =
        "VGhlIHF1aWNrIGJyb3duIGZveCBqdW1wcyBvdmVyIHRoZSBsYXp5IGRvZywgdHdpY2UgYW5kIG9u\r\n"
        "Y2UgbW9yZTogdGhlIHF1aWNrIGJyb3duIGZveCBqdW1wcyBvdmVyIGl0Lg==\r\n";
    char out[200];
    FOR_EACH_KERNEL
    {
        size_t len = sizeof(octets) - 1;
        assert_int_equal(codec_base64_encoded_len(len, 76), sizeof(text) - 1);
        assert_int_equal(codec_base64_encode_lines(octets, len, out, 76), sizeof(text) - 1);
        assert_memory_equal(out, text, sizeof(text) - 1);
        const struct codec_result result =
            codec_base64_decode(text, sizeof(text) - 1, out, CODEC_BASE64_STRICT);
        assert_true(result.error == CODEC_NO_ERROR);
        assert_int_equal(result.written, len);
        assert_memory_equal(out, octets, len);
        assert_int_equal(codec_base64_encode_lines("abcdefg", 7, out, 4), 18);
        assert_memory_equal(out, "YWJj\r\nZGVm\r\nZw==\r\n", 18);
        assert_int_equal(codec_base64_encode_lines("", 0, out, 76), 0);
    }
}

#define FINE CODEC_NO_ERROR

static const struct {
    struct bytes text;
    enum codec_base64_mode mode;
    uint64_t error;
    struct bytes octets;
} texts[] = {
    {TEXT("Zm9v\r\n"), CODEC_BASE64_PLAIN, 4, TEXT("foo")},
    {TEXT("Zm9v\r\n"), CODEC_BASE64_STRICT, FINE, TEXT("foo")},
    {TEXT(" Z\tm9\nvYg= ="), CODEC_BASE64_STRICT, FINE, TEXT("foob")},
    {TEXT("Zm9v*Zm9v"), CODEC_BASE64_STRICT, 4, TEXT("foo")},
    {TEXT("Zm9v*Zm9v"), CODEC_BASE64_LENIENT, FINE, TEXT("foofoo")},
    {TEXT("Zm9v\0Zm9v"), CODEC_BASE64_STRICT, 4, TEXT("foo")},
    {TEXT("Zm9v\xda"
          "Zm9v"),
     CODEC_BASE64_LENIENT, FINE, TEXT("foofoo")},
    /* padding: missing, too early, too much, with bits that are not zero, not at the end */
    {TEXT("Zm9vYg"), CODEC_BASE64_PLAIN, 6, TEXT("foo")},
    {TEXT("Zm9vYg="), CODEC_BASE64_STRICT, 7, TEXT("foo")},
    {TEXT("Zm9vYg"), CODEC_BASE64_LENIENT, FINE, TEXT("foob")},
    {TEXT("Zm9vY"), CODEC_BASE64_LENIENT, FINE, TEXT("foo")},
    {TEXT("Zm9vY==="), CODEC_BASE64_STRICT, 5, TEXT("foo")},
    {TEXT("=Zm9v"), CODEC_BASE64_PLAIN, 0, TEXT("")},
    {TEXT("=Zm9v"), CODEC_BASE64_LENIENT, FINE, TEXT("")},
    {TEXT("Zm9="), CODEC_BASE64_PLAIN, 3, TEXT("")},
    {TEXT("Zm9="), CODEC_BASE64_LENIENT, FINE, TEXT("fo")},
    {TEXT("Zm8=="), CODEC_BASE64_STRICT, 4, TEXT("fo")},
    {TEXT("Zg=\r\n=\r\n"), CODEC_BASE64_STRICT, FINE, TEXT("f")},
    {TEXT("Zg==\r\nZg=="), CODEC_BASE64_STRICT, 6, TEXT("f")},
    {TEXT("Zg==\r\nZg=="), CODEC_BASE64_LENIENT, FINE, TEXT("f")},
    {TEXT("Zg=v"), CODEC_BASE64_STRICT, 3, TEXT("")},
};

static void test_texts(void **state)
{
    (void)state;
    FOR_EACH_KERNEL
    {
        for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
            char out[32];
            const struct codec_result result =
                codec_base64_decode(texts[i].text.data, texts[i].text.len, out, texts[i].mode);
            assert_true(result.error == texts[i].error);
            assert_int_equal(result.written, texts[i].octets.len);
            assert_memory_equal(out, texts[i].octets.data, result.written);
        }
    }
}

/* What a stream knows between its pieces. */
static void test_streams(void **state)
{
    (void)state;
    FOR_EACH_KERNEL
    {
        struct codec_base64_encoder encoder;
        struct codec_base64_decoder decoder;
        char out[CODEC_ROOM_MIN];
        codec_base64_encoder_init(&encoder, 8);
        struct codec_progress done =
            codec_base64_encoder_feed(&encoder, "foob", 4, out, sizeof(out));
        assert_int_equal(done.taken, 4);
        assert_int_equal(done.written, 4);
        done = codec_base64_encoder_feed(&encoder, "ar!", 3, out, sizeof(out));
        assert_int_equal(done.written, 6);
        assert_memory_equal(out, "YmFy\r\n", 6);
        assert_int_equal(codec_base64_encoder_finish(&encoder, out), 6);
        assert_memory_equal(out, "IQ==\r\n", 6);

        codec_base64_decoder_init(&decoder, CODEC_BASE64_STRICT);
        done = codec_base64_decoder_feed(&decoder, "Zm9vY", 5, out, sizeof(out));
        assert_int_equal(done.written, 3);
        assert_int_equal(decoder.held_count, 1);
        done = codec_base64_decoder_feed(&decoder, "g==?foo", 7, out, sizeof(out));
        assert_int_equal(done.taken, 7); /* all of it, in spite of the error */
        assert_int_equal(done.written, 1);
        assert_int_equal(decoder.error, 8);
        assert_int_equal(decoder.offset, 12);
        assert_int_equal(codec_base64_decoder_finish(&decoder, out), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_streams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
