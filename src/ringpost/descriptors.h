/* SPDX-License-Identifier: Apache-2.0
 *
 * descriptors - who may have how many of the open files that the system allows
 *
 * Every connection is an open file, and so is every segment of the spool. Clients that only hold
 * connections must not be able to take the last one: then the spool could not go on and nothing
 * could be delivered. So the limit (RLIMIT_NOFILE) is shared out, and clients beyond their share
 * get 421. Pure.
 */
#pragma once
#include "ringpost/base.h"

struct descriptor_wants {
    uint64_t limit; /* descriptors are below it */
    uint64_t used;  /* by what is open before the first connection */
    uint64_t workers;
    uint64_t clients, deliveries; /* what the configuration allows, of the whole process */
};
struct descriptor_shares {
    uint64_t clients, deliveries;
    uint64_t spare; /* for the files of the spool, the logs, the resolver, the control socket */
    bool enough;    /* everybody gets what the configuration allows */
};
/* false: so few that it makes no sense to run; *shares is not set. */
MUST_USE bool descriptors_share(const struct descriptor_wants *wants,
                                struct descriptor_shares *shares);
