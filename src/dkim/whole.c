/* SPDX-License-Identifier: Apache-2.0
 *
 * whole - a message that is at hand as a whole, signed in one go
 */
#include "internal.h"

static uint32_t sign_with(const struct dkim_choice *choice, const struct dkim_header *header,
                          const struct dkim_hashes *hashes, uint64_t now_s, uint32_t slot,
                          struct text *out)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < choice->count; i++) {
        struct dkim_field field;
        const size_t before = out->len;
        if (dkim_field_write(choice->signers[i], header, hashes, now_s, out, &field) != NULL)
            continue;
        if (dkim_field_sign(&field, slot)) {
            dkim_field_finish(&field, out->data);
            count += 1;
        } else {
            out->data[out->len = before] = '\0';
        }
    }
    return count;
}

uint32_t dkim_sign(const struct dkim_signers *signers, struct bytes message, uint64_t now_s,
                   uint32_t slot, struct text *out)
{
    enum { EMPTY_LINE = 2 };
    const size_t header_len = mime_header_len(message);
    struct dkim_header header = {0};
    struct dkim_choice choice;
    uint32_t count = 0;
    dkim_header_add(&header, (struct bytes){message.data, header_len});
    dkim_choose(signers, &header, &choice);
    if (choice.count > 0) {
        struct dkim_hashes hashes;
        struct dkim_body body;
        struct dkim_piece piece = {&body, bytes_skip(message, header_len + EMPTY_LINE)};
        dkim_body_init(&body, choice.body_modes);
        dkim_bodies_add(&piece, 1);
        dkim_body_end(&body, &hashes);
        count = sign_with(&choice, &header, &hashes, now_s, slot, out);
    }
    dkim_header_deinit(&header);
    return count;
}
