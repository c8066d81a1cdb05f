/* SPDX-License-Identifier: Apache-2.0
 *
 * site - one word for a set of mail hosts
 *
 *     alt1.l.google.com           (alt1|alt2|aspmx).l.google.com
 *     alt2.l.google.com    ──▶     └── sorted ───┘ └ the labels all end with
 *     aspmx.l.google.com
 *
 * The word can be taken apart again ('(', '|', ')' and '~' are in no host name), so two sets never
 * share one. That matters: mail of one site goes over connections opened for another domain of it,
 * and anybody can publish MX records. Hence no hash for the long ones.
 */
#include "private.h"
#include <stdlib.h>

static int compare(const void *left, const void *right)
{
    const struct bytes *a = left, *b = right;
    const int order = memcmp(a->data, b->data, MIN(a->len, b->len));
    if (order != 0) return order;
    return a->len < b->len ? -1 : a->len > b->len;
}

/* Octets at the end that are whole labels of both, with the dot before them; never all of one. */
static size_t common_end(struct bytes a, struct bytes b)
{
    size_t same = 0, whole = 0;
    while (same < a.len && same < b.len) {
        const char c = a.data[a.len - 1 - same];
        if (c != b.data[b.len - 1 - same]) break;
        same += 1;
        if (c == '.') whole = same;
    }
    return whole;
}

void dns_site_name(struct bytes *names, size_t count, struct bytes domain, struct text *out)
{
    ASSERT(count > 0);
    qsort(names, count, sizeof(*names), compare);
    if (count == 1) {
        text_put(out, names[0]);
        return;
    }
    size_t end = names[0].len;
    for (size_t i = 1; i < count; i++)
        end = MIN(end, common_end(names[0], names[i]));
    for (size_t i = 0; i < count; i++) {
        text_put(out, i == 0 ? BYTES("(") : BYTES("|"));
        text_put(out, (struct bytes){names[i].data, names[i].len - end});
    }
    text_put(out, BYTES(")"));
    text_put(out, bytes_skip(names[0], names[0].len - end));
    if (!out->cut) return;
    text_init(out, out->data, out->cap);
    text_put(out, BYTES("~"));
    text_put(out, domain);
}
