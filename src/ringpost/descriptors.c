/* SPDX-License-Identifier: Apache-2.0
 *
 * descriptors - who may have how many of the open files that the system allows
 */
#include "descriptors.h"

enum { LEAST = 12, SPARE = 32, SPARE_EACH = 16 };

bool descriptors_share(const struct descriptor_wants *wants, struct descriptor_shares *shares)
{
    if (wants->limit < wants->used + LEAST) return false;
    const uint64_t left = wants->limit - wants->used;
    const uint64_t spare = MIN(SPARE + SPARE_EACH * wants->workers, left / 4);
    const uint64_t rest = left - spare;
    *shares = (struct descriptor_shares){
        .clients = wants->clients,
        .deliveries = wants->deliveries,
        .spare = spare,
        .enough = wants->clients + wants->deliveries <= rest,
    };
    if (shares->enough) return true;
    /* A quarter for deliveries: they come and go, while clients may like to stay. */
    shares->deliveries = MIN(wants->deliveries, rest / 4);
    shares->clients = MIN(wants->clients, rest - shares->deliveries);
    return true;
}
