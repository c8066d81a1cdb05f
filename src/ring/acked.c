/* SPDX-License-Identifier: Apache-2.0
 *
 * acked - what the peer's system has taken of what was sent
 *
 * In a file of its own: linux/tcp.h knows the field, and cannot be included beside netinet/tcp.h.
 */
#include "internal.h"
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

uint64_t ring_socket_acked(const struct ring_socket *socket)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof(info);
    if (getsockopt(socket->handle.fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0) return 0;
    return info.tcpi_bytes_acked;
}
