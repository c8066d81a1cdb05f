# SPDX-License-Identifier: Apache-2.0
"""Clients that are no friends of TLS: cut, garbled, slow, injected, renegotiated, many at once."""
import os
import random
import socket
import ssl
import struct
import time

import pytest
from harness import mail
from harness.raw_client import RawClient
from harness.tls import Tunnel, client_context, in_pieces
from harness.tools import SClient
from harness.wait import PATIENCE, until


def is_implicit(relay):
    return next(iter(relay.config.listeners.values()))["tls"] == "implicit"


def knock(relay, timeout=10.0):
    """A connection on which the next octet is to be of the handshake."""
    if is_implicit(relay):
        return RawClient(relay.port, greet=False, timeout=timeout)
    client = RawClient(relay.port, timeout=timeout)
    client.ehlo()
    client.ok("STARTTLS", 220)
    return client


def tunnel(relay, context=None, how=None):
    """A client in TLS by hand, and EHLO said. how: makes Tunnel's `how` of the socket."""
    client = knock(relay)
    plain = client.socket
    client.socket = Tunnel(plain, context or client_context(), how=how(plain) if how else None)
    client.socket.handshake()
    if is_implicit(relay):
        assert client.reply().code == 220
    client.ehlo()
    return client


def open_files(relay):
    return len(os.listdir(f"/proc/{relay.process.pid}/fd"))


def reset(client):
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def ends(client):
    """The server has ended it, in order or not; what it had sent before."""
    try:
        return client.rest()
    except TimeoutError:
        raise AssertionError("the connection is still open") from None


@pytest.fixture(params=["starttls", "implicit"])
def kind(request):
    return request.param


@pytest.fixture
def relay(hop, secure_relay, kind):
    """It must be as before when a test is over: sessions, files, and it still takes mail."""
    relay = secure_relay(hop, tls=kind, tls_timeout="2s")
    with tunnel(relay) as client:
        client.ok("QUIT", 221)
    until(lambda: relay.counter("sessions_in") == 0, 10, "the first session's end")
    before = open_files(relay)
    yield relay
    with tunnel(relay) as client:
        client.mail(mail.message("after"))
        client.ok("QUIT", 221)
    hop.wait(1, of=lambda message: message.field("Subject") == ["after"])
    until(lambda: relay.counter("sessions_in") == 0, 20,
          lambda: f"no session; there are {relay.counter('sessions_in')}")
    relay.wait_empty()
    until(lambda: open_files(relay) <= before + 4, 10,
          lambda: f"{before} open files, not {open_files(relay)}")


# ---- handshakes that are not ended --------------------------------------------------------------


def recorded(relay, version):
    """What a client sends in a handshake, as octets that may be cut anywhere."""
    client = knock(relay)
    secure = Tunnel(client.socket, client_context(minimum=version, maximum=version)).handshake()
    client.close()
    return sum(map(len, secure.flights))


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_handshake_cut_at_every_octet(relay, version):
    """A fresh handshake for each, so that what comes before the cut is always right."""
    context = client_context(minimum=version, maximum=version)
    total = recorded(relay, version)
    assert 250 < total < 2000
    for keep in range(total):
        client = knock(relay)
        plain, left = client.socket, [keep]

        def some(octets, plain=plain, left=left):
            plain.sendall(octets[:left[0]])
            left[0] -= len(octets)
            if left[0] <= 0:
                raise EOFError
        with pytest.raises(EOFError):
            Tunnel(plain, context, how=some).handshake()
        if keep % 3 == 0:
            reset(client)
        client.close()
    until(lambda: relay.counter("sessions_in") == 0, 20, "the cut sessions to end")


def test_handshake_that_stops_at_every_octet(relay):
    """All at once, none closed by the client: the deadline ends each of them."""
    context, clients = client_context(), []
    total = recorded(relay, "1.3")
    for keep in range(0, total, 3):
        client = knock(relay)
        plain, left = client.socket, [keep]

        def some(octets, plain=plain, left=left):
            plain.sendall(octets[:left[0]])
            left[0] -= len(octets)
            if left[0] <= 0:
                raise EOFError
        with pytest.raises(EOFError):
            Tunnel(plain, context, how=some).handshake()
        clients.append(client)
    for client in clients:
        ends(client)
        client.close()


def test_handshake_octet_by_octet(hop, relay):
    with tunnel(relay, how=in_pieces) as client:
        client.mail(mail.message("single", mail.body_of_size(3000)))
        client.ok("QUIT", 221)
    assert hop.wait(1)[0].body == mail.body_of_size(3000)


@pytest.mark.parametrize("size", [5, 37, 1000])
def test_records_in_pieces(hop, relay, size):
    content = mail.message("pieces", mail.body_of_size(200_000))
    with tunnel(relay, how=lambda plain: in_pieces(plain, size)) as client:
        client.mail(content)
    assert mail.without_trace(hop.wait(1)[0].data) == content


def test_slow_handshake(relay):
    """An octet now and then keeps nobody alive: the deadline is for the whole handshake."""
    client = knock(relay)
    began = time.monotonic()

    def dripping(octets):
        for octet in octets:
            client.socket.sendall(bytes([octet]))
            time.sleep(0.1)
            assert time.monotonic() - began < 15 * PATIENCE, "still alive"
    with pytest.raises((OSError, EOFError)):
        Tunnel(client.socket, client_context(), how=dripping).handshake()
    client.close()


# ---- octets that are no handshake ---------------------------------------------------------------

_RANDOM = random.Random(5)
GARBAGE = {
    "http": b"GET / HTTP/1.1\r\nHost: relay.test\r\n\r\n",
    "smtp": b"EHLO client.test\r\nMAIL FROM:<a@source.test>\r\n",
    "zeros": bytes(600),
    "ones": b"\xff" * 600,
    "ssl2": bytes.fromhex("802e0100020015000000100100800200800300800400800500800600400700c0"),
    "ssl3": bytes.fromhex("160300002f0100002b0300") + bytes(42),
    "alert": bytes.fromhex("15030100020228"),
    "data-first": bytes.fromhex("1703030005") + b"hello",
    "finished-first": bytes.fromhex("16030300101400000c") + bytes(12),
    "long-record": bytes.fromhex("160301ffff") + bytes(70000),
    "empty-records": bytes.fromhex("1603010000") * 200,
    "empty-hello": bytes.fromhex("160301000401000000"),
    "huge-hello": bytes.fromhex("1603014000") + b"\x01\xff\xff\xff" + bytes(0x3ffc),
    "heartbeat": bytes.fromhex("180302000301ffff"),
    "random": _RANDOM.randbytes(5000),
}


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_instead_of_a_hello(relay, name):
    with knock(relay) as client:
        try:
            client.send(GARBAGE[name])
        except ConnectionError:
            return
        answer = ends(client)
        assert not answer or answer[0] == 21, answer  # an alert at most (RFC 8446 section 6)


def test_hello_with_a_flipped_bit(relay):
    """Each octet of a good ClientHello is garbled once. Some still make a good one: no matter."""
    hello = Tunnel(None, client_context()).hello()
    for at in range(len(hello)):
        with knock(relay) as client:
            client.send(hello[:at] + bytes([hello[at] ^ 0x41]) + hello[at + 1:])
            client.socket.shutdown(socket.SHUT_WR)
            try:
                ends(client)
            except ConnectionError:
                pass


def test_hello_names_a_host_in_an_odd_way(relay):
    """Names that are none: too long, with a backslash at the end, a NUL, spaces (CVE-2019-15846)."""
    for name in ("a" * 63 + "." + "b" * 63 + ".test", "relay.test\\", "relay test", "-", "..", "*"):
        client = knock(relay)
        try:
            Tunnel(client.socket, client_context(), name=name).handshake()
        except (OSError, EOFError, ValueError, UnicodeError):
            pass
        client.close()


# ---- after the handshake ------------------------------------------------------------------------


def test_broken_record_in_the_content(hop, relay):
    """What came whole before it is no message yet; the session ends."""
    with tunnel(relay) as client:
        client.envelope()
        client.ok("DATA", 354)
        client.send(mail.message("broken"))
        plain = client.socket.socket
        client.socket.how = lambda octets: plain.sendall(
            octets[:-1] + bytes([octets[-1] ^ 1]))
        client.send("more\r\n.\r\n")
        client.socket = plain
        answer = ends(client)
        assert not answer or answer[0] in (21, 23)
    assert not hop.sessions


@pytest.mark.parametrize("how", ["close", "reset"])
def test_truncated_content(hop, relay, how):
    with tunnel(relay) as client:
        client.envelope()
        client.ok("DATA", 354)
        client.send(mail.message("truncated"))
        client.socket = client.socket.socket
        (reset if how == "reset" else RawClient.close)(client)
    until(lambda: relay.counter("sessions_in") == 0, 10, "the session's end")
    assert relay.counter("messages_received") == 0 and not hop.sessions


def test_clear_text_in_the_middle_of_tls(hop, relay):
    with tunnel(relay) as client:
        client.envelope()
        client.socket = client.socket.socket
        client.send("DATA\r\nSubject: in clear\r\n\r\nhello\r\n.\r\n")
        answer = ends(client)
        assert not answer or answer[0] in (21, 23)
    assert not hop.sessions


def test_one_octet_a_record(hop, relay):
    with tunnel(relay) as client:
        client.envelope()
        client.ok("DATA", 354)
        for octet in mail.message("tiny") + b".\r\n":
            client.send(bytes([octet]))
        assert client.reply().code == 250
    assert hop.wait(1)[0].field("Subject") == ["tiny"]


def test_client_that_reads_nothing(relay):
    """Replies that nobody takes do not pile up: the relay stops reading, and the client is stuck."""
    with tunnel(relay) as client:
        client.socket.socket.settimeout(1)
        with pytest.raises(TimeoutError):
            for _ in range(10_000):
                client.send(b"NOOP\r\n" * 1000)


@pytest.mark.parametrize("version", ["tls1_2", "tls1_3"])
def test_renegotiation_is_refused(relay, kind, version):
    """R of s_client: a new handshake within TLS 1.2; a new key within 1.3 (K), which is fine."""
    with SClient(relay.port, "-" + version, "-crlf", starttls=kind == "starttls") as client:
        client.wait("Verify return code")
        client.type("NOOP\n")
        client.wait("(?m)^250 2.0.0")
        if version == "tls1_3":
            client.type("K\n")
            client.wait("KEYUPDATE")
            client.text = ""
            client.type("NOOP\n")
            client.wait("(?m)^250 2.0.0")
            return
        client.type("R\n")
        client.wait("RENEGOTIATING")
        code, text = client.rest()
        assert code != 0 and "no renegotiation" in text, text


@pytest.mark.parametrize("cut", range(1, 30, 4))
def test_commands_behind_starttls(hop, secure_relay, cut):
    """RFC 3207 section 6, CVE-2011-0411: clear text must never be read as if it were protected."""
    relay = secure_relay(hop)
    injected = b"RSET\r\nMAIL FROM:<evil@source.test>\r\nRCPT TO:<b@dest.test>\r\n"
    with RawClient(relay.port) as client:
        client.ehlo()
        client.send(b"STARTTLS\r\n" + injected[:cut])
        assert client.reply().code in (220, 421)
        with pytest.raises((OSError, EOFError)):
            Tunnel(client.socket, client_context()).handshake()
    until(lambda: relay.counter("sessions_in") == 0, 10, "the session's end")
    assert not hop.sessions


def test_hello_in_the_segment_of_starttls(secure_relay, hop):
    """A client that does not wait for 220 cannot be told from an injector."""
    relay = secure_relay(hop)
    with RawClient(relay.port) as client:
        client.ehlo()
        plain = client.socket
        secure = Tunnel(plain, client_context(), how=lambda octets: plain.sendall(
            b"STARTTLS\r\n" + octets))
        with pytest.raises((OSError, EOFError, ssl.SSLError)):
            secure.handshake()


# ---- many at once -------------------------------------------------------------------------------


def test_plain_mail_while_others_shake_hands(hop, relay, kind):
    """Handshakes that hang cost the others nothing."""
    hanging = [knock(relay) for _ in range(200)]
    for client in hanging:
        client.send(bytes.fromhex("1603010200010001fc0303"))
    with tunnel(relay) as client:
        for number in range(20):
            client.mail(mail.message(f"n{number}"))
    hop.wait(20)
    for client in hanging:
        client.close()
