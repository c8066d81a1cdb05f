/* SPDX-License-Identifier: Apache-2.0
 *
 * address - between struct address and the system's form
 */
#pragma once
#include "ringpost/base.h"
#include <sys/socket.h>

socklen_t ring_address_to_system(const struct address *address, struct sockaddr_storage *storage);
/* family 0 when it is neither IPv4 nor IPv6; an IPv4-mapped address becomes IPv4. */
void ring_address_from_system(const struct sockaddr_storage *storage, struct address *address);
