/* SPDX-License-Identifier: Apache-2.0
 *
 * whole - the signature fields of a message that is at hand as a whole
 */
#include "internal.h"

uint32_t dkim_whole_write(const struct dkim_signers *signers, struct bytes message, uint64_t now_s,
                          struct text *out, struct dkim_field fields[DKIM_SIGNATURES_MAX])
{
    enum { EMPTY_LINE = 2 };
    const size_t header_len = mime_header_len(message);
    struct dkim_header header = {0};
    struct dkim_choice choice;
    struct dkim_hashes hashes;
    uint32_t count = 0;
    dkim_header_add(&header, (struct bytes){message.data, header_len});
    dkim_choose(signers, &header, &choice);
    if (choice.count > 0) {
        struct dkim_body body;
        struct dkim_piece piece = {&body, bytes_skip(message, header_len + EMPTY_LINE)};
        dkim_body_init(&body, choice.body_modes);
        dkim_bodies_add(&piece, 1);
        dkim_body_end(&body, &hashes);
    }
    for (uint32_t i = 0; i < choice.count; i++) {
        if (dkim_field_write(choice.signers[i], &header, &hashes, now_s, out, &fields[count]) ==
            NULL)
            count += 1;
    }
    dkim_header_deinit(&header);
    return count;
}
