# SPDX-License-Identifier: Apache-2.0
"""Many clients that behave badly: what they cost is bounded, others are served, all is given back."""
import os
import random
import socket
import struct
import threading

from harness import mail
from harness.wait import until

CLIENTS = 500


def connect(relay, count, receive_buffer=None):
    clients = []
    for _ in range(count):
        client = socket.socket()
        if receive_buffer:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        client.connect(("127.0.0.1", relay.port))
        clients.append(client)
    return clients


def close_all(relay, clients):
    for client in clients:
        client.close()
    until(lambda: relay.counter("sessions_in") == 0, 20, "the end of all sessions")


def open_files(relay):
    return len(os.listdir(f"/proc/{relay.process.pid}/fd"))


def is_served(relay, hop):
    before = len(hop.accepted)
    with relay.session() as client:
        client.mail(mail.message())
    hop.wait(before + 1)


def test_clients_that_never_read(hop, relay_to):
    """Replies pile up to a limit, then commands do; both are bounded, for each and for all."""
    relay = relay_to(hop, 1)
    before = relay.memory_kb()
    clients = connect(relay, CLIENTS, receive_buffer=4096)
    for client in clients:
        client.setblocking(False)
    for _ in range(40):
        for client in clients:
            try:
                client.send(b"NOOP\r\n" * 10000)
            except OSError:
                pass
    is_served(relay, hop)
    assert relay.memory_kb() - before < 450_000
    close_all(relay, clients)
    is_served(relay, hop)


def test_clients_that_come_and_go(hop, relay_to, workers):
    """Ends and resets at every stage leave nothing behind."""
    pieces = (b"", b"EHLO x\r\n", b"\0" * 3000, b"EHLO x\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<a@b.test>",
              b"EHLO x\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<a@b.test>\r\nDATA\r\nabc",
              b"EHLO x\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<a@b.test>\r\nBDAT 9 LAST\r\nabc",
              b"EHLO x\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<a@b.test>\r\nBDAT 5 LAST\r\nabc\r\n")
    relay = relay_to(hop, workers)
    is_served(relay, hop)
    relay.wait_empty()

    def come_and_go(seed):
        chance = random.Random(seed)
        for _ in range(300):
            with socket.create_connection(("127.0.0.1", relay.port)) as client:
                if chance.random() < 0.5:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                try:
                    client.sendall(chance.choice(pieces))
                    if chance.random() < 0.5:
                        client.recv(chance.choice((1, 1000)))
                except OSError:
                    pass

    threads = [threading.Thread(target=come_and_go, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    until(lambda: relay.counter("sessions_in") == 0, 20, "the end of all sessions")
    relay.wait_empty()
    until(lambda: relay.counter("sessions_out") == 0, 20, "the end of delivery connections")
    assert relay.counter("messages_received") == len(hop.accepted)
    is_served(relay, hop)


def test_more_clients_than_allowed(hop, relay_to, workers):
    relay = relay_to(hop, workers, listener={"max_connections": 200})
    first = relay.session()
    files = open_files(relay)
    for _ in range(3):
        clients = connect(relay, 300)
        greetings = [client.recv(3) for client in clients]
        assert greetings.count(b"220") == 199 and greetings.count(b"421") == 101
        first.mail(mail.message())
        for client in clients:
            client.close()
        until(lambda: relay.counter("sessions_in") == 1, 20, "the end of all sessions but one")
    hop.wait(3)
    until(lambda: open_files(relay) <= files + 8, 10, "files being closed")
    assert relay.counter("connections_in_refused") == 303
    first.close()
