/* SPDX-License-Identifier: Apache-2.0
 *
 * choices - takes decisions, numbers and texts from the octets of a fuzz input
 *
 * When the octets run out every choice is 0, so that 0 should be what leads on to the end.
 */
#pragma once
#include "ringpost/base.h"

struct choices {
    const uint8_t *data;
    size_t left;
};

static inline bool choices_left(const struct choices *choices)
{
    return choices->left > 0;
}
static inline unsigned choose_octet(struct choices *choices)
{
    if (choices->left == 0) return 0;
    choices->left -= 1;
    return *choices->data++;
}
static inline unsigned choose_below(struct choices *choices, unsigned bound)
{
    return choose_octet(choices) % bound;
}
static inline bool choose_one_in(struct choices *choices, unsigned chance)
{
    return choose_octet(choices) % chance == chance - 1;
}
/* Up to len octets as they are. */
static inline struct bytes choose_text(struct choices *choices, size_t len)
{
    const struct bytes text = {(const char *)choices->data, MIN(len, choices->left)};
    choices->data += text.len;
    choices->left -= text.len;
    return text;
}
/* One of an array of strings. */
#define CHOOSE_FROM(choices, array) ((array)[choose_below(choices, ARRAY_COUNT(array))])
