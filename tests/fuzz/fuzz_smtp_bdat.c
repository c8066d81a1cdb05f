/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_smtp_bdat - chunks of any size, true or not, whole or cut, between commands and on their own
 *
 * Input: options; seed of the split; largest piece; largest room for content; then a list of
 * {what, size, octets}: a chunk (LAST or not) that announces its size, one that announces another
 * one, or a command. A reader here that knows nothing but RFC 3030 section 2 - the announced octets
 * are content, whatever they say, and the next octet is a command - says which messages come out of
 * the octets; the session must agree, in one piece and in any split.
 */
#include "../unit/smtp_server/toy_driver.h"
#include "choices.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STREAM_MAX = 1 << 13, ENTRIES_MAX = 60, MESSAGES_MAX = ENTRIES_MAX, LIE_MAX = 300 };

static const struct bytes opening = {"EHLO c.example\r\n", 16};
static const char *const commands[] = {
    "MAIL FROM:<s@a.example>\r\nRCPT TO:<r@b.example>\r\n",
    "RSET\r\n",
    "NOOP\r\n",
    "MAIL FROM:<s@a.example>\r\n",
    "RCPT TO:<r@b.example>\r\n",
    "EHLO c.example\r\n",
    "BDAT 0\r\n",
    "BDAT 0 LAST\r\n",
};

/* ---- what is sent ------------------------------------------------------------------------------
 */

static void put_chunk(struct choices *choices, unsigned what, struct text *out)
{
    const struct bytes octets = choose_text(choices, choose_octet(choices));
    size_t announced = octets.len;
    if (what & 2) announced = choose_octet(choices) + (what & 4 ? LIE_MAX : 0);
    text_printf(out, "BDAT %zu%s\r\n", announced, what & 1 ? " LAST" : "");
    text_put(out, octets);
}

static void build(struct choices *choices, struct text *out)
{
    text_put(out, opening);
    for (unsigned i = 0; i < ENTRIES_MAX && choices_left(choices); i++) {
        const unsigned what = choose_octet(choices);
        if (out->cap - out->len < 512) return;
        if (what & 8) {
            text_put(out, bytes_of(commands[what / 16 % ARRAY_COUNT(commands)]));
        } else {
            put_chunk(choices, what, out);
        }
    }
}

/* ---- what it means -----------------------------------------------------------------------------
 */

struct reading {
    bool sender, recipient, begun, failed;
    struct text content;
    unsigned messages;
    uint64_t last_hash;
    size_t last_len;
    char content_data[STREAM_MAX];
};

static void begin_anew(struct reading *reading)
{
    reading->sender = reading->recipient = reading->begun = reading->failed = false;
    text_init(&reading->content, reading->content_data, sizeof(reading->content_data));
}

static bool is_clean(struct bytes content)
{
    for (size_t i = 0; i < content.len; i++) {
        const char c = content.data[i];
        if (c == '\0') return false;
        if (c == '\r' && (i + 1 == content.len || content.data[i + 1] != '\n')) return false;
        if (c == '\n' && (i == 0 || content.data[i - 1] != '\r')) return false;
    }
    return true;
}

/* Known to be refused before its end: then all that follows is refused as well. */
static bool is_spoiled(struct bytes content)
{
    if (content.len > 0 && content.data[content.len - 1] == '\r') content.len -= 1;
    return !is_clean(content);
}

static void read_chunk(struct reading *reading, struct bytes chunk, bool last)
{
    if (!reading->sender || !reading->recipient) return; /* changes nothing */
    reading->begun = true;
    text_put(&reading->content, chunk);
    const struct bytes content = text_bytes(&reading->content);
    if (!last) {
        reading->failed |= is_spoiled(content);
        return;
    }
    if (!reading->failed && is_clean(content)) {
        reading->messages += 1;
        reading->last_len = content.len;
        reading->last_hash = hash_bytes(1, content);
    }
    begin_anew(reading);
}

/* "BDAT n" or "BDAT n LAST" as put_chunk() writes it; false: something else. */
static bool parse_bdat(struct bytes line, uint64_t *size, bool *last)
{
    const struct bytes verb = BYTES("BDAT "), word = BYTES(" LAST");
    if (!bytes_starts_with_nocase(line, verb)) return false;
    line = bytes_skip(line, verb.len);
    *last = line.len > word.len &&
            bytes_equal((struct bytes){line.data + line.len - word.len, word.len}, word);
    if (*last) line.len -= word.len;
    return bytes_to_u64(line, LIE_MAX * 2, size);
}

/* false: a command that is none of ours, from inside a chunk that is shorter than announced. */
static bool read_command(struct reading *reading, struct bytes line)
{
    if (bytes_equal(line, BYTES("NOOP"))) return true;
    if (bytes_equal(line, BYTES("RSET")) || bytes_equal(line, BYTES("EHLO c.example"))) {
        begin_anew(reading);
    } else if (bytes_equal(line, BYTES("MAIL FROM:<s@a.example>"))) {
        reading->sender = true;
    } else if (bytes_equal(line, BYTES("RCPT TO:<r@b.example>"))) {
        reading->recipient |= reading->sender && !reading->begun;
    } else {
        return false;
    }
    return true;
}

/* false: what the octets mean is not known here. */
static bool read_all(struct reading *reading, struct bytes stream)
{
    while (stream.len > 0) {
        uint64_t size;
        bool last;
        const char *end = memmem(stream.data, stream.len, "\r\n", 2);
        if (end == NULL) return true;
        const struct bytes line = {stream.data, (size_t)(end - stream.data)};
        stream = bytes_skip(stream, line.len + 2);
        if (parse_bdat(line, &size, &last)) {
            if (stream.len < size) return true; /* the chunk never ends */
            read_chunk(reading, (struct bytes){stream.data, size}, last);
            stream = bytes_skip(stream, size);
        } else if (!read_command(reading, line)) {
            return false;
        }
    }
    return true;
}

/* ---- both --------------------------------------------------------------------------------------
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct toy_driver whole, split;
    static struct reading reading;
    static char stream_data[STREAM_MAX];
    struct smtp_server_options options = smtp_server_options_default();
    struct choices choices = {data, size};
    struct text stream;
    const unsigned bits = choose_octet(&choices), seed = choose_octet(&choices);
    const size_t piece_max = choose_octet(&choices), room_max = choose_octet(&choices);
    const bool limited = bits & 3; /* by what the reader does not know of */
    if (bits & 1) options.max_message_size = 100;
    if (bits & 2) options.max_text_line = 40;
    if (!(bits & 2)) options.max_text_line = 0;
    options.max_received = UINT32_MAX;
    options.max_bad_commands = bits & 4 ? 100000 : 3;

    text_init(&stream, stream_data, sizeof(stream_data));
    build(&choices, &stream);
    toy_init(&whole, &options, true, 0, 0, 0);
    toy_run(&whole, text_bytes(&stream));
    toy_init(&split, &options, true, seed, piece_max, room_max);
    toy_run(&split, text_bytes(&stream));
    ASSERT(bytes_equal(text_bytes(&whole.log), text_bytes(&split.log)));

    reading.messages = 0;
    begin_anew(&reading);
    if (read_all(&reading, text_bytes(&stream)) && !limited && !whole.closed) {
        ASSERT(whole.messages == reading.messages);
        if (whole.messages > 0) ASSERT(whole.message_len == reading.last_len);
        if (whole.messages > 0) ASSERT(whole.message_hash == reading.last_hash);
    }
    toy_deinit(&whole);
    toy_deinit(&split);
    return 0;
}
