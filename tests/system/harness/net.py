# SPDX-License-Identifier: Apache-2.0
"""net - loopback ports: find a free one, see whether somebody listens."""
import random
import socket

# Below the range that the kernel gives to outgoing connections (32768 and up): a port found free
# here cannot be taken by a connection a moment later.
_LOW, _HIGH = 12000, 32000
_ports = range(_LOW, _HIGH)
_given = set()


def use_part(number, count):
    """The number-th (from 0) of so many parts: runs side by side find no port twice."""
    global _ports  # pylint: disable=global-statement
    size = (_HIGH - _LOW) // count
    _ports = range(_LOW + number * size, _LOW + (number + 1) * size)


def free_port(addresses=("127.0.0.1",)):
    """A port free for TCP and UDP on every one of the addresses, handed out only once."""
    for _ in range(1000):
        port = random.SystemRandom().choice(_ports)
        if port not in _given and all(_is_free(address, port) for address in addresses):
            _given.add(port)
            return port
    raise RuntimeError("no free port")


def _is_free(address, port):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            if kind == socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError:
                return False
    return True


def listens(address, port):
    """Somebody listens on address:port (TCP). Asks the kernel, so that it costs no connection."""
    wanted = {_kernel_name(address, port), _kernel_name("0.0.0.0", port)}
    with open("/proc/net/tcp", encoding="ascii") as table:
        next(table)
        return any(row.split()[1] in wanted and row.split()[3] == "0A" for row in table)


def _kernel_name(address, port):
    octets = socket.inet_aton(address)[::-1]
    return f"{octets.hex().upper()}:{port:04X}"
