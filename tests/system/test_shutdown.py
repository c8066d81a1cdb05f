# SPDX-License-Identifier: Apache-2.0
"""The way down: who is told, who is waited for, and what must not begin any more."""
import signal
import socket
import threading

import pytest
from harness import mail
from harness.actions import until_set
from harness.wait import until


def begin_data(relay):
    """A client in the middle of its content."""
    client = relay.session()
    client.envelope()
    client.ok("DATA", 354)
    client.send("Subject: half\r\n\r\n")
    return client


@pytest.mark.parametrize("level", ["error", "debug"])
def test_idle_server_ends_without_waiting(hop, relay_to, workers, level):
    """With level error no line of the log wakes anybody: the workers must do it themselves."""
    relay_to(hop, workers, log={"level": level}).stop(2)


def test_idle_control_connections_do_not_keep_it(hop, relay_to, workers):
    relay = relay_to(hop, workers)
    clients = []
    for text in (b"", b'{"command":'):
        client = socket.socket(socket.AF_UNIX)
        client.connect(relay.config.top["control"])
        client.sendall(text)
        clients.append(client)
    relay.stop(2)
    for client in clients:
        with client:
            assert client.recv(100) == b""


def test_whoever_is_cut_off_is_told(hop, relay_to, workers):
    """RFC 5321 section 3.8: no server closes without 421, however long it waited before."""
    relay = relay_to(hop, workers, top={"shutdown_timeout": "1s"})
    clients = [relay.session() for _ in range(3)]
    clients[0].envelope()
    clients[1].envelope()
    clients[1].send(b"BDAT 1000 LAST\r\nabc")
    clients[2].envelope()
    clients[2].ok("DATA", 354)
    relay.signal(signal.SIGTERM)
    for client in clients:
        reply = client.reply()
        assert (reply.code, reply.enhanced) == (421, "4.3.2")
        assert client.is_closed()
    relay.wait_exit(10)


def test_a_slow_client_may_finish(hop, relay_to):
    relay = relay_to(hop, top={"shutdown_timeout": "30s"})
    with begin_data(relay) as client:
        relay.signal(signal.SIGTERM)
        relay.wait_log("shutting down")
        client.send("text\r\n.\r\n")
        assert client.reply().code == 250
        assert client.reply().code == 421
    relay.wait_exit()
    relay.start()
    hop.wait(1)


def test_no_delivery_begins_while_sessions_finish(hop, relay_to, workers):
    """What begins late is cut off at the limit, and would reach the receiver twice."""
    go = threading.Event()
    hop.on("DOT", until_set(go), times=1)
    relay = relay_to(hop, workers, top={"shutdown_timeout": "30s"}, site={"connections": 1})
    with relay.session() as client:
        for number in range(20):
            client.mail(mail.message(f"n{number}"))
    until(lambda: hop.messages, 10, "the first message on its way")
    client = begin_data(relay)
    relay.signal(signal.SIGTERM)
    relay.wait_log("shutting down")
    go.set()
    until(lambda: hop.accepted and hop.open_now == 0, 15,
          "the end of the delivery connections")
    assert relay.is_running() and len(hop.accepted) < 20
    client.send("text\r\n.\r\n")
    assert client.reply().code == 250
    client.close()
    relay.wait_exit()
    relay.start()
    hop.wait(21)
    relay.wait_empty()
    assert len(hop.accepted) == 21
