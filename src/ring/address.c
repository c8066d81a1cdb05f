/* SPDX-License-Identifier: Apache-2.0
 *
 * address - between struct address and the system's form
 */
#include "address.h"
#include <arpa/inet.h>
#include <netinet/in.h>

socklen_t ring_address_to_system(const struct address *address, struct sockaddr_storage *storage)
{
    memset(storage, 0, sizeof(*storage));
    if (address->family == 6) {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)storage;
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(address->port);
        memcpy(&in6->sin6_addr, address->ip, 16);
        return sizeof(*in6);
    }
    struct sockaddr_in *in = (struct sockaddr_in *)storage;
    in->sin_family = AF_INET;
    in->sin_port = htons(address->port);
    memcpy(&in->sin_addr, address->ip, 4);
    return sizeof(*in);
}

void ring_address_from_system(const struct sockaddr_storage *storage, struct address *address)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    *address = (struct address){0};
    if (storage->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)storage;
        *address = (struct address){.family = 4, .prefix = 32, .port = ntohs(in->sin_port)};
        memcpy(address->ip, &in->sin_addr, 4);
    } else if (storage->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)storage;
        *address = (struct address){.family = 6, .prefix = 128, .port = ntohs(in6->sin6_port)};
        memcpy(address->ip, &in6->sin6_addr, 16);
        if (memcmp(address->ip, mapped, sizeof(mapped)) == 0) {
            address->family = 4;
            address->prefix = 32;
            memmove(address->ip, address->ip + 12, 4);
            memset(address->ip + 4, 0, 12);
        }
    }
}
