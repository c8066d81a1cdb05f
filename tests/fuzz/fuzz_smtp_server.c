/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_smtp_server - a hostile client: the session ends, keeps its invariants, and does not depend
 * on the split of packets
 *
 * The first octets: options; seed of the split and more options (of TLS and AUTH); largest piece;
 * largest room for content. The rest is what the client sends. The invariants are those of the toy
 * driver.
 */
#include "../unit/smtp_server/toy_driver.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void make_options(struct smtp_server_options *options, uint8_t bits, uint8_t more)
{
    *options = smtp_server_options_default();
    if (bits & 1) options->max_message_size = 200;
    if (bits & 2) options->max_recipients = 2;
    if (bits & 4) options->max_text_line = 40;
    if (bits & 8) options->max_bad_commands = 2;
    if (bits & 16) options->max_received = 1;
    if (bits & 32) options->extensions &= ~(uint32_t)(SMTP_EXT_CHUNKING | SMTP_EXT_SMTPUTF8);
    if (bits & 64) options->max_command_line = 512;
    if (more & 32) options->extensions |= SMTP_EXT_STARTTLS;
    if (more & 64)
        options->auth = SMTP_MECHANISM_PLAIN | SMTP_MECHANISM_LOGIN | SMTP_MECHANISM_SCRAM_SHA_256;
    options->auth_clear = !(more & 32) || (more & 1);
    options->require_tls = (more & 32) && (more & 128);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct toy_driver whole, split;
    struct smtp_server_options options;
    if (size < 4) return 0;
    const struct bytes input = {(const char *)data + 4, size - 4};
    const bool relay_allowed = !(data[0] & 128);

    make_options(&options, data[0], data[1]);
    toy_init(&whole, &options, relay_allowed, 0, 0, 0);
    toy_run(&whole, input);
    toy_deinit(&whole);
    toy_init(&split, &options, relay_allowed, data[1], 1 + (size_t)data[2], data[3]);
    toy_run(&split, input);
    toy_deinit(&split);
    ASSERT(bytes_equal(text_bytes(&whole.log), text_bytes(&split.log)));
    return 0;
}
