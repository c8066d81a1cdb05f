# SPDX-License-Identifier: Apache-2.0
"""Many clients in TLS: what each one costs while it does nothing, and that all is given back."""
import threading

import pytest
from harness import mail
from harness.clock import is_sanitized
from harness.raw_client import RawClient
from harness.tls import client_context
from harness.wait import until

IDLE_BYTES = 24 << 10  # of a session that waits for a command in TLS; in clear it is 5 KiB
LEFT_KB = 6144         # what a thousand sessions may leave behind


def crowd(relay, count, context, act=lambda client: None):
    """So many clients in TLS, opened by a few threads."""
    clients, lock, todo = [], threading.Lock(), iter(range(count))

    def work():
        while True:
            with lock:
                if next(todo, None) is None:
                    return
            client = RawClient(relay.port, timeout=30)
            client.starttls(context)
            client.ehlo()
            act(client)
            with lock:
                clients.append(client)
    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(clients) == count
    return clients


@pytest.fixture(autouse=True)
def counts_memory(binary):
    if is_sanitized(binary):
        pytest.skip("sanitizers keep what was freed")


@pytest.mark.heavy
@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_idle_sessions_are_small(hop, secure_relay, version, capsys):
    relay = secure_relay(hop)
    context = client_context(maximum=version)
    for client in crowd(relay, 50, context, lambda client: client.mail(mail.message())):
        client.close()  # what is allocated once has been
    until(lambda: relay.counter("sessions_in") == 0, 20, "the first ones to go")
    before = relay.memory_kb()
    clients = crowd(relay, 1000, context)
    each = (relay.memory_kb() - before) * 1024 // 1000
    with capsys.disabled():
        print(f"\n    1000 idle connections with TLS {version}, {each} octets each", end=" ")
    assert relay.counter("sessions_in") == 1000
    assert each < IDLE_BYTES
    for client in clients[::100]:  # they are alive
        client.mail(mail.message())
    hop.wait(60, 30)
    for client in clients:
        client.close()
    until(lambda: relay.counter("sessions_in") == 0, 20, "all to go")
    again = crowd(relay, 1000, context)
    assert relay.memory_kb() - before < (each * 1000 >> 10) + LEFT_KB  # the same memory again
    for client in again:
        client.close()
    until(lambda: relay.counter("sessions_in") == 0, 20, "all to go")


def test_sessions_that_only_shake_hands(hop, secure_relay, workers):
    """500 handshakes, half of them resumed, none leaves anything."""
    relay = secure_relay(hop, workers)
    context = client_context()
    for client in crowd(relay, 20, context):
        client.close()
    until(lambda: relay.counter("sessions_in") == 0, 20, "the first ones to go")
    before = relay.memory_kb()
    for _ in range(5):
        for client in crowd(relay, 50, context):
            session = client.socket.session
            client.close()
            with RawClient(relay.port) as second:
                second.starttls(context, session=session)
                second.ehlo()
                assert second.socket.session_reused
    until(lambda: relay.counter("sessions_in") == 0, 20, "all to go")
    assert relay.memory_kb() - before < LEFT_KB


@pytest.mark.heavy
def test_no_tls_no_cost(hop, relay_to, secure_relay):
    """A session in clear costs no more on a listener that offers TLS."""
    sizes = []
    for relay in (relay_to(hop), secure_relay(hop)):
        relay.session().close()
        before = relay.memory_kb()
        clients = [relay.session() for _ in range(1000)]
        sizes.append((relay.memory_kb() - before) * 1024 // 1000)
        for client in clients:
            client.close()
    assert sizes[1] - sizes[0] < 1024, sizes
