# SPDX-License-Identifier: Apache-2.0
"""Injection: limits of RFC 5321 section 4.5.3, connections, timeouts, and who may relay."""
import contextlib
import select
import socket
import struct
import time

import pytest
from harness import mail
from harness.raw_client import RawClient
from harness.wait import PATIENCE, until


@pytest.fixture
def small(run, hop, relay_to):
    """A relay with low limits."""
    return relay_to(hop, listener={
        "max_message_size": "64K", "max_recipients": 3, "max_text_line": 998,
        "max_bad_commands": 5, "max_command_line": 1024})


def test_size_declared_too_big(small):
    with small.session() as client:
        reply = client.command(f"MAIL FROM:<a@b.test> SIZE={(64 << 10) + 1}")
        assert (reply.code, reply.enhanced) == (552, "5.3.4")
        client.mail(mail.message(), params=f" SIZE={64 << 10}")


@pytest.mark.parametrize("over", [0, 1, 1000, 100000])
def test_content_too_big(small, hop, over):
    content = mail.message()
    content += mail.body_of_size((64 << 10) - len(content) + over)
    with small.session() as client:
        client.envelope()
        reply = client.data(content)
        assert (reply.code, reply.enhanced) == ((250, "2.0.0") if over == 0 else (552, "5.3.4"))
        client.mail(mail.message("next"))
    messages = hop.wait(2 if over == 0 else 1)
    assert len(messages) == (2 if over == 0 else 1)


def test_content_too_big_by_chunks(small):
    with small.session() as client:
        client.envelope()
        piece = b"y" * 62 + b"\r\n"
        assert client.bdat(mail.message(body=piece * 500), last=False).code == 250
        reply = client.bdat(piece * 1000, last=False)
        assert (reply.code, reply.enhanced) == (552, "5.3.4")
        assert client.bdat(b"z\r\n").code in (503, 552)
        client.mail(mail.message("next"))


def test_stuffed_dots_do_not_count(small):
    content = mail.message()
    dots = ((64 << 10) - len(content)) // 3
    content += b".\r\n" * dots
    with small.session() as client:
        client.mail(content)


def test_too_many_recipients(small, hop):
    with small.session() as client:
        client.ok("MAIL FROM:<a@b.test>")
        for number in range(3):
            client.ok(f"RCPT TO:<r{number}@dest.test>")
        for number in range(3, 6):
            reply = client.command(f"RCPT TO:<r{number}@dest.test>")
            assert (reply.code, reply.enhanced) == (452, "4.5.3")
        assert client.data(mail.message()).code == 250
    hop.wait(1)
    assert sorted(hop.accepted[0].recipients) == ["r0@dest.test", "r1@dest.test", "r2@dest.test"]


def test_default_takes_a_thousand_recipients(run, hop, relay_to):
    relay = relay_to(hop, site={"recipients_per_transaction": 1000})
    with relay.session() as client:
        lines = b"".join(b"RCPT TO:<r%d@dest.test>\r\n" % n for n in range(1001))
        client.send(b"MAIL FROM:<a@b.test>\r\n" + lines)
        codes = [reply.code for reply in client.replies(1002)]
        assert codes == [250] * 1001 + [452]
        assert client.data(mail.message()).code == 250
    hop.wait(1)
    got = [address for message in hop.accepted for address in message.recipients]
    assert sorted(got) == sorted(f"r{n}@dest.test" for n in range(1000))


@pytest.mark.parametrize("length", [998, 999, 5000])
def test_text_line(small, length):
    with small.session() as client:
        client.envelope()
        reply = client.data(mail.message(body=b"l" * length + b"\r\n"))
        if length == 998:
            assert reply.code == 250
        else:
            assert (reply.code, reply.enhanced) == (550, "5.6.0")
        client.mail(mail.message("next"))


def test_text_line_without_limit(run, hop, relay_to):
    relay = relay_to(hop, listener={"max_text_line": 0})
    body = b"l" * 300000 + b"\r\n" + b"." * 1500 + b"\r\n"
    with relay.session() as client:
        client.mail(mail.message(body=body))
    assert hop.wait(1)[0].body == body


def test_dot_stuffed_line_at_the_limit(small, hop):
    """The stuffed dot is not part of the line (RFC 5321 section 4.5.3.1.6)."""
    body = b"." + b"l" * 997 + b"\r\n"
    with small.session() as client:
        client.mail(mail.message(body=body))
    assert hop.wait(1)[0].body == body


@pytest.mark.parametrize("length", [512, 1024, 1025, 2000, 100000])
def test_command_line(small, length):
    """length with CRLF; the session goes on behind a line that was too long."""
    with small.session() as client:
        line = b"NOOP " + b"n" * (length - 7)
        reply = client.command(line)
        assert reply.code == (250 if length <= 1024 else 500), reply
        assert client.command("NOOP").code == 250


def test_line_without_end_is_bounded(small):
    before = small.memory_kb()
    with small.session() as client:
        for _ in range(64):
            client.send(b"n" * (1 << 20))
        client.send(b"\r\n")
        assert client.reply().code == 500
        assert client.command("NOOP").code == 250
    assert small.memory_kb() - before < 32 << 10


def test_bad_commands_end_the_session(small):
    with small.session() as client:
        codes = []
        for _ in range(6):
            codes.append(client.command("BLUB").code)
        assert codes == [500] * 5 + [421]
        assert client.is_closed()


def test_bad_commands_are_counted_since_the_last_message(small):
    with small.session() as client:
        for _ in range(3):
            for _ in range(4):
                client.ok("BLUB", 500)
            client.mail(mail.message())


# ---- connections --------------------------------------------------------------------------------


def test_connections_in_all(run, hop, relay_to):
    relay = relay_to(hop, listener={"max_connections": 8, "max_connections_per_client": 8})
    clients = [relay.client() for _ in range(8)]
    over = relay.client()
    assert over.greeting.code == 421 and over.is_closed()
    clients.pop().close()

    def free_again():
        with relay.client() as client:
            return client.greeting.code == 220
    until(free_again, 5, "a place for a new connection")
    for client in clients:
        client.ok("QUIT", 221)
    assert relay.counter("connections_in_refused") >= 1


def test_connections_per_client(run, hop, relay_to, workers):
    """One address, whatever worker its connections come to."""
    relay = relay_to(hop, workers=workers, listener={"max_connections_per_client": 5})
    clients = [relay.client(source="127.0.0.7") for _ in range(5)]
    assert all(client.greeting.code == 220 for client in clients)
    over = relay.client(source="127.0.0.7")
    assert over.greeting.code == 421 and over.is_closed()
    assert relay.client(source="127.0.0.8").greeting.code == 220


@pytest.mark.parametrize("count", [20000, 200000])
def test_clients_that_leave_without_reading_free_their_place(run, hop, relay_to, count):
    """Not only when their deadline comes: they would use up the connections of their address.

    With the smaller count the relay still receives when it learns that they are gone."""
    relay = relay_to(hop, listener={"max_connections_per_client": 20})
    for _ in range(20):
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            client.settimeout(0.5)
            client.connect(("127.0.0.1", relay.port))
            try:
                client.sendall(b"HELP\r\n" * count)
                client.recv(200)  # the greeting and some of the replies
                client.recv(200)
            except TimeoutError:
                pass
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    until(lambda: relay.counter("sessions_in") == 0, 20, "all sessions ended")
    with relay.session() as client:
        client.mail(mail.message())


def test_a_crowd_that_does_not_read_is_bounded(run, hop, relay_to):
    """What each of them may leave unread is little, but many are not to use up the memory."""
    relay = relay_to(hop, 1)
    before, crowd, flood = relay.memory_kb(), [], b"HELP\r\n" * 100000
    try:
        for _ in range(100):
            client = socket.socket()
            crowd.append(client)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            client.connect(("127.0.0.1", relay.port))
            client.setblocking(False)
        for client in crowd * 4:  # each until the relay takes no more
            with contextlib.suppress(ConnectionError):
                while select.select([], [client], [], 0.05)[1]:
                    client.send(flood)
        # Sanitizers, which ask for patience too, keep freed memory for a while.
        assert relay.memory_kb() - before < (140 << 10) * PATIENCE
        with relay.session() as client:
            client.mail(mail.message())
    finally:
        for client in crowd:
            client.close()
    hop.wait(1)
    until(lambda: relay.counter("sessions_in") == 0, 20, "all sessions ended")


# ---- timeouts -----------------------------------------------------------------------------------


def expect_timeout(client, seconds, send=b""):
    began = time.monotonic()
    reply = client.reply()
    assert (reply.code, reply.enhanced) == (421, "4.4.2")
    assert time.monotonic() - began > seconds * 0.7
    assert client.is_closed()


def test_idle_client_is_timed_out(run, hop, relay_to):
    relay = relay_to(hop, listener={"command_timeout": "1s"})
    with relay.session() as client:
        expect_timeout(client, 1)


def test_octets_that_make_no_command_gain_no_time(run, hop, relay_to):
    relay = relay_to(hop, listener={"command_timeout": "1s"})
    with relay.session() as client:
        began = time.monotonic()
        try:
            while time.monotonic() - began < 8:
                client.send(b"N")
                time.sleep(0.1)
        except OSError:
            pass
        assert time.monotonic() - began < 6


def test_stalled_content_is_timed_out(run, hop, relay_to):
    relay = relay_to(hop, listener={"data_timeout": "1s"})
    with relay.session() as client:
        client.envelope()
        client.ok("DATA", 354)
        client.send(b"Subject: 1\r\n")
        expect_timeout(client, 1)
    assert relay.queued() == 0


def test_half_a_message_vanishes(run, hop, relay_to):
    relay = relay_to(hop)
    with relay.session() as client:
        client.envelope()
        client.ok("DATA", 354)
        client.send(mail.message())
    with relay.session() as client:
        client.envelope()
        client.send(b"BDAT 1000 LAST\r\nhello")
    with relay.session() as client:
        client.mail(mail.message("whole"))
    assert [m.field("Subject") for m in hop.wait(1)] == [["whole"]]
    relay.wait_empty()
    assert len(hop.accepted) == 1


# ---- who may relay ------------------------------------------------------------------------------


def test_relay_is_denied_to_strangers(run, hop, relay_to):
    relay = relay_to(hop, listener={"relay_from": ["127.0.0.1/32", "10.0.0.0/8"]})
    with relay.session(source="127.0.0.2") as client:
        client.ok("MAIL FROM:<a@b.test>")
        reply = client.command("RCPT TO:<b@dest.test>")
        assert (reply.code, reply.enhanced) == (550, "5.7.1")
        assert client.command("DATA").code in (503, 554)
        client.ok("QUIT", 221)
    with relay.session(source="127.0.0.1") as client:
        client.mail(mail.message())


def test_refusals_are_in_the_log(run, hop, relay_to):
    """The first of a session for everybody, the others among the details."""
    relay = relay_to(hop, listener={"relay_from": ["127.0.0.1/32"]}, log={"level": "info"})
    with relay.session(source="127.0.0.2") as client:
        client.ok("MAIL FROM:<a@b.test>")
        client.ok("RCPT TO:<b@dest.test>", 550)
        client.ok("RCPT TO:<b@dest.test>", 550)
        client.ok("BLUB", 500)
    with relay.session() as client:
        client.envelope()
        assert client.data(b"a\rb\r\n").code == 550
    relay.wait_log(r"127\.0\.0\.2: session \w+: refused: 550 5\.7\.1 ")
    relay.wait_log(r"127\.0\.0\.1: session \w+: refused: 550 5\.5\.2 ")
    assert relay.log().count("refused:") == 2


def test_networks_are_matched_by_their_prefix(run, hop, relay_to):
    relay = relay_to(hop, listener={"relay_from": ["127.0.0.4/30"]})
    for last, allowed in ((3, False), (4, True), (7, True), (8, False)):
        with relay.session(source=f"127.0.0.{last}") as client:
            client.ok("MAIL FROM:<a@b.test>")
            client.ok("RCPT TO:<b@dest.test>", 250 if allowed else 550)


def test_several_listeners_with_terms_of_their_own(run, hop):
    from harness.net import free_port
    config = run.config().route("*", hop.where)
    other = free_port()
    config.listeners[f"127.0.0.1:{other}"] = {"relay_from": ["127.0.0.0/8"], "max_recipients": 1,
                                              "hostname": "other.test"}
    relay = run.ringpost(config)
    with RawClient(other) as client:
        assert client.greeting.texts[0].startswith("other.test")
        client.ehlo()
        client.ok("MAIL FROM:<a@b.test>")
        client.ok("RCPT TO:<b@dest.test>")
        client.ok("RCPT TO:<c@dest.test>", 452)
    with relay.session() as client:
        client.envelope(recipients=("b@dest.test", "c@dest.test"))


def test_ipv6_listener(run, hop):
    from harness.net import free_port
    config = run.config().route("*", hop.where)
    run_relay = run.ringpost(config, start=False)
    port = free_port()
    text_of = config.text
    config.text = lambda: text_of() + (f'listener "[::1]:{port}" {{ relay_from = {{"::1/128"}} }}\n')
    run_relay.start()
    with socket.create_connection(("::1", port), 10) as raw:
        assert raw.recv(100).startswith(b"220 ")
    with RawClient(port, host="::1") as client:
        client.ehlo()
        client.mail(mail.message())
    assert "[IPv6:::1]" in hop.wait(1)[0].field("Received")[0]
