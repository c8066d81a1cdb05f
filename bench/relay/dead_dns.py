# SPDX-License-Identifier: Apache-2.0
"""dead_dns - a name server on loopback whose mail hosts are all dead: dead_dns.py PORT

Any name NAME that starts with d and a number N has the one mail host mx.NAME, which has the one
address 127.(1 + N / 65536).(N / 256 % 256).(N % 256), where nothing listens on port 25: each
connection is refused at once. All other names do not exist. Answers live for a day.
"""

import re
import socket
import struct
import sys

TTL = 86400
TYPE_A, TYPE_SOA, TYPE_MX = 1, 6, 15
# Root as primary server and mailbox; a negative answer may be kept for the last number, an hour.
SOA_DATA = b"\0\0" + struct.pack("!IIIII", 1, 3600, 600, 86400, 3600)
SOA = b"\xc0\x0c" + struct.pack("!HHIH", TYPE_SOA, 1, 3600, len(SOA_DATA)) + SOA_DATA
DEAD = re.compile(rb"^(?:(\x02mx))?([\x02-\x0b])d(\d+)[\x01-\x3f]", re.IGNORECASE)


def address_of(number):
    return bytes((127, 1 + number // 65536 % 254, number // 256 % 256, number % 256))


def answer(query):
    """The response to one query packet, or None when it is none."""
    if len(query) < 17 or query[2] & 0x80:
        return None
    end = query.find(b"\0", 12)
    if end < 0 or end + 5 > len(query):
        return None
    question = query[12:end + 5]
    kind = struct.unpack_from("!H", query, end + 1)[0]
    match = DEAD.match(question)
    records = b""
    if match and not match.group(1) and kind == TYPE_MX:
        records = b"\xc0\x0c" + struct.pack("!HHIHH", TYPE_MX, 1, TTL, 7, 10) + b"\x02mx\xc0\x0c"
    if match and match.group(1) and kind == TYPE_A:
        records = (b"\xc0\x0c" + struct.pack("!HHIH", TYPE_A, 1, TTL, 4) +
                   address_of(int(match.group(3))))
    flags = 0x8580 if match else 0x8583
    count = 1 if records else 0
    head = query[:2] + struct.pack("!HHHHH", flags, 1, count, 1 - count, 0)
    return head + question + (records or SOA)


def main():
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    server.bind(("127.0.0.1", int(sys.argv[1])))
    while True:
        query, peer = server.recvfrom(4096)
        response = answer(query)
        if response is not None:
            server.sendto(response, peer)


if __name__ == "__main__":
    main()
