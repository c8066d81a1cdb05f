# SPDX-License-Identifier: Apache-2.0
"""Receivers whose side of the handshake is cut off or garbled anywhere: nothing of the mail is lost,
nothing leaves in clear where it must not, and the relay goes on.
"""
import ssl

import pytest
from harness import mail
from harness.tls import server_context

STEP = 23  # octets of the server's handshake between one cut and the next


class ByHand:
    """In the place of an ssl.SSLContext in a NextHop: a handshake whose octets go through
    change(address of the receiver, octets sent before, octets), which returns those to send; None
    ends the connection.
    """

    def __init__(self, context, change):
        self.context, self.change = context, change

    def wrap_socket(self, connection, **_options):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        server = self.context.wrap_bio(incoming, outgoing, server_side=True)
        address, sent = connection.getsockname()[0], 0
        while True:
            try:
                server.do_handshake()
                raise OSError("the handshake was not to succeed")
            except ssl.SSLWantReadError:
                octets = self.change(address, sent, outgoing.read())
                if octets is None:
                    raise OSError("cut") from None
                sent += len(octets)
                connection.sendall(octets)
                if self.change(address, sent, b"") is None:
                    raise OSError("cut") from None
                piece = connection.recv(65536)
                if not piece:
                    raise OSError("the client has gone") from None
                incoming.write(piece)


def flight_len(certificate):
    """Octets that a server sends up to its Finished."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    hello_in, hello_out = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = server_context(certificate).wrap_bio(incoming, outgoing, server_side=True)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).wrap_bio(hello_in, hello_out,
                                                              server_hostname="x.test")
    for one in (client, server):
        try:
            one.do_handshake()
        except ssl.SSLWantReadError:
            incoming.write(hello_out.read())
    return outgoing.pending


@pytest.fixture
def places(certificate):
    """Address of a receiver -> how many octets it sends before it ends the connection."""
    return {f"127.0.7.{n}": n * STEP for n in range(flight_len(certificate) // STEP)}


@pytest.fixture
def relay_to_places(run, relay_to, places):
    """relay_to_places(hop, policy): one domain for each address, n<number>.test."""
    def start(hop, policy):
        config = run.config().site(tls=policy, tls_timeout="2s", retry=["2s"], expiry="5m")
        for address in places:
            config.route(f"n{address.rpartition('.')[2]}.test", f"{address}:{hop.port}")
        return run.ringpost(config)
    return start


def send_to_all(relay, places):
    with relay.session() as client:
        for address in places:
            name = address.rpartition(".")[2]
            client.mail(mail.message(f"to-{name}"), recipients=(f"b@n{name}.test",))


def first_part(places):
    """Sends what is left up to the place, and ends the connection there."""
    def change(address, sent, octets):
        left = places[address] - sent
        return octets[:left] if left > 0 else None
    return change


def test_cut_anywhere_and_mail_may_go_in_clear(run, certificate, places, relay_to_places):
    hop = run.hop(address="0.0.0.0", tls=ByHand(server_context(certificate), first_part(places)))
    relay = relay_to_places(hop, "may")
    send_to_all(relay, places)
    messages = hop.wait(len(places), 60)
    assert not [m for m in messages if m.session.tls]
    assert len({m.field("Subject")[0] for m in messages}) == len(messages) == len(places)
    relay.wait_empty()


def test_cut_anywhere_and_mail_never_goes_in_clear(run, certificate, places, relay_to_places):
    hop = run.hop(address="0.0.0.0", tls=ByHand(server_context(certificate), first_part(places)))
    relay = relay_to_places(hop, "encrypt")
    send_to_all(relay, places)
    failures = relay.wait_account(len(places), 60, type="TransientFailure")
    assert {f["response"]["enhanced_code"]["subject"] for f in failures} == {7}
    assert not hop.commands("MAIL")
    hop.tls = server_context(certificate)  # all is well again
    messages = hop.wait(len(places), 60)
    assert all(m.session.tls for m in messages)
    relay.wait_empty()


def test_garbled_anywhere(run, certificate, places, relay_to_places):
    """An octet of the handshake is changed. Wherever it is: no mail goes out on that connection."""
    def change(address, sent, octets):
        at = places[address] - sent
        if 0 <= at < len(octets):
            return octets[:at] + bytes([octets[at] ^ 0x55]) + octets[at + 1:]
        return octets
    hop = run.hop(address="0.0.0.0", tls=ByHand(server_context(certificate), change))
    relay = relay_to_places(hop, "encrypt")
    send_to_all(relay, places)
    relay.wait_account(len(places), 60, type="TransientFailure")
    assert not hop.commands("MAIL")
    hop.tls = server_context(certificate)
    hop.wait(len(places), 60)
    relay.wait_empty()
