/* SPDX-License-Identifier: Apache-2.0
 *
 * users - the snapshot of a users file
 */
#pragma once
#include "internal.h"

struct auth_users {
    char *text; /* the file; users point into it */
    size_t text_len;
    struct auth_user *all;
    uint32_t count, cap;
    uint32_t *scram, scram_count; /* indexes of those with a verifier */
    struct table by_name;
    uint8_t stranger_key[DIGEST_SHA256_LEN];
};
