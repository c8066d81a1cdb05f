/* SPDX-License-Identifier: Apache-2.0
 *
 * interfaces - the addresses of this machine, for the rule against mail loops
 *
 * A listener on 0.0.0.0 answers on all of them, so an MX record with any of them leads back to us.
 */
#include "serve.h"
#include <ifaddrs.h>
#include <netinet/in.h>

static bool read_address(const struct sockaddr *from, struct address *address)
{
    if (from == NULL) return false;
    if (from->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const void *)from;
        *address = (struct address){.family = 4, .prefix = 32};
        memcpy(address->ip, &v4->sin_addr, 4);
        return true;
    }
    if (from->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const void *)from;
        *address = (struct address){.family = 6, .prefix = 128};
        memcpy(address->ip, &v6->sin6_addr, 16);
        return true;
    }
    return false;
}

void interfaces_add(struct config *config)
{
    enum { ADDRESSES_MAX = 256 };
    struct address addresses[ADDRESSES_MAX];
    struct ifaddrs *all;
    size_t count = 0;
    if (getifaddrs(&all) != 0) return; /* names still tell our own hosts */
    for (const struct ifaddrs *one = all; one != NULL && count < ADDRESSES_MAX; one = one->ifa_next)
        count += read_address(one->ifa_addr, &addresses[count]);
    freeifaddrs(all);
    config_add_own_addresses(config, addresses, count);
}
