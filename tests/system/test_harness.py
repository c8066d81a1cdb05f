# SPDX-License-Identifier: Apache-2.0
"""The harness against real programs: a test bench that is wrong proves nothing.

No ringpost here. Postfix stands in for the relay, smtp-source and swaks for clients.
"""
import email.message

import pytest
from harness import mail
from harness.actions import (disconnect, drip, keep_but_disconnect, peek, raw, reply, slowly,
                             stall)
from harness.config import Config
from harness.dns import answer_with
from harness.next_hop import EXTENSIONS, split_path, wire
from harness.raw_client import RawClient, stuff
from harness.sender import Sender
from harness.tools import smtp_source, swaks


def test_smtp_source_through_postfix_to_smtp_sink(run):
    sink = run.sink()
    relay = run.postfix(sink.where)
    smtp_source(relay.port, 50, sessions=5, length=1000)
    sink.wait_mails(50)
    assert len(set(sink.values("Message-Id"))) == 50


def test_sender_through_postfix_to_scripted_hop_exactly_once(run, hop):
    relay = run.postfix(hop.where)
    sender = Sender(relay.port, threads=3, total=40).start().join()
    assert len(sender.acknowledged) == 40 and not sender.refused
    messages = hop.wait(40, seconds=30)
    assert sorted(m.field("Subject")[0] for m in messages) == sorted(sender.acknowledged)
    assert all(mail.without_trace(m.data).endswith(sender.body) for m in messages)


def test_sender_with_bdat(hop):
    sender = Sender(hop.port, threads=2, total=10, use_bdat=True).start().join()
    assert len(sender.acknowledged) == 10
    assert all(m.chunks == 1 for m in hop.accepted)


def test_postfix_bounces_are_read_as_dsn(run, hop):
    hop.on("RCPT", reply("550 5.1.1 unknown <user>"), when=lambda s: "b@" in s.candidate)
    relay = run.postfix(hop.where)
    with RawClient(relay.port) as client:
        client.ehlo()
        client.mail(mail.message())
    notice = mail.Dsn(hop.wait_dsn(1)[0].data)
    fields = notice.recipient("b@dest.test")
    assert (fields["Action"], fields["Status"]) == ("failed", "5.1.1")
    assert "unknown <user>" in fields["Diagnostic-Code"]
    assert notice.returned()["Subject"] == "test"


def test_hop_keeps_the_bytes(hop):
    content = mail.message(body=b".\r\n..two\r\n\r\n \xff\r\n.")
    with RawClient(hop.port) as client:
        client.ehlo()
        client.mail(content)
        client.envelope()
        client.bdat(content[:10], last=False)
        assert client.bdat(content[10:]).code == 250
        client.mail(b"")
    assert [m.data for m in hop.accepted] == [content + b"\r\n", content, b""]


def test_hop_rules_times_skip_and_when(hop):
    hop.on("RCPT", reply("450 4.2.0 later"), times=1)
    hop.on("MAIL", reply("421 4.3.2 no"), skip=2, times=1)
    with RawClient(hop.port) as client:
        client.ehlo()
        client.ok("MAIL FROM:<>")
        client.ok("RCPT TO:<b@dest.test>", 450)
        client.ok("RCPT TO:<b@dest.test>")
        client.ok("RSET")
        client.ok("MAIL FROM:<>")
        client.ok("RSET")
        client.ok("MAIL FROM:<>", 421)


def test_hop_loses_the_reply_behind_the_dot(hop):
    hop.on("DOT", keep_but_disconnect(), times=1)
    with RawClient(hop.port) as client:
        client.ehlo()
        client.envelope()
        client.ok("DATA", 354)
        client.send(b"hello\r\n.\r\n")
        assert client.is_closed()
    assert len(hop.wait(1)) == 1


def test_hop_one_of_batch_drops_the_rest(hop):
    hop.one_of_batch = True
    with RawClient(hop.port, timeout=1) as client:
        client.ehlo()
        client.send(b"MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\n")
        client.reply()
        with pytest.raises(TimeoutError):
            client.reply()


def test_hop_peeks_at_what_comes_without_a_reply(hop):
    hop.on("DOT", peek())
    with RawClient(hop.port) as client:
        client.ehlo()
        client.envelope()
        client.ok("DATA", 354)
        client.send(b"hello\r\n.\r\nMAIL FROM:<x@y.test>\r\n")
        client.replies(2)
    assert hop.sessions[0].ahead == [b"MAIL FROM:<x@y.test>\r\n"]


@pytest.mark.parametrize("action", [stall(), disconnect(), disconnect(reset=True), drip(),
                                    raw(b"hello\r\n")])
def test_hop_greets_badly(hop, action):
    hop.on("CONNECT", action)
    with pytest.raises((OSError, EOFError, AssertionError)):
        RawClient(hop.port, timeout=0.3)


def test_hop_answers_octet_by_octet(hop):
    hop.on("EHLO", slowly(0.001))
    with RawClient(hop.port) as client:
        assert client.ehlo().texts[1:] == list(EXTENSIONS)


def test_swaks_talks_to_the_hop(hop):
    code, transcript = swaks(hop.port, "--to", "b@dest.test", "--from", "a@source.test")
    assert code == 0, transcript
    assert hop.accepted[0].recipients == ["b@dest.test"]


def test_nsd_answers_as_its_zones_say(run):
    server = run.nsd({"one.test": "@ MX 10 mx1\n@ MX 20 mx2\nmx1 A 127.0.0.2",
                      "two.test": "@ MX 0 .\nalias CNAME one.test."}, broken=("broken.test",))
    answer = server.ask("one.test", "MX").answer[0]
    assert sorted(r.preference for r in answer) == [10, 20]
    assert server.ask("two.test", "MX").answer[0][0].exchange.to_text() == "."
    assert server.ask("nobody.one.test", "MX").rcode() == 3
    assert server.ask("broken.test", "MX").rcode() == 2


def test_bad_name_server_lies(run):
    server = run.bad_dns(lambda query, tcp: answer_with(query, "x.test. 5 IN MX 1 mx.x.test."))
    import dns.message
    import dns.query
    answer = dns.query.udp(dns.message.make_query("x.test", "MX"), "127.0.0.1", 2, server.port)
    assert answer.answer[0][0].preference == 1
    assert server.queries[0][1:] == ("x.test", "MX")


def test_raw_client_splits(hop):
    with RawClient(hop.port) as client:
        client.send_split(b"EHLO x\r\n", 1, 0.002)
        assert client.reply().code == 250
    assert len(hop.sessions[0].pieces) > 1


def test_stuffing_and_sizes():
    assert stuff(b".a\r\n.\r\nb") == b"..a\r\n..\r\nb\r\n"
    for size in (2, 3, 75, 76, 77, 80, 81, 1000, 4096):
        body = mail.body_of_size(size)
        assert len(body) == size and body.endswith(b"\r\n")
        assert all(len(line) <= 998 for line in body.split(b"\r\n"))
    assert mail.without_trace(b"Received: a\r\n\tb\r\nReceived: c\r\nX: y\r\n") == b"X: y\r\n"
    assert wire("250 a\nb") == b"250-a\r\n250 b\r\n"
    assert split_path('RCPT TO:<"a>b"@c.test> NOTIFY=NEVER') == ('"a>b"@c.test', "NOTIFY=NEVER")


def test_configuration_text():
    config = Config("/tmp/x", 2525).route("*", "127.0.0.1:1").site("slow.test", connections=1)
    text = config.text()
    assert 'retry = {"1s", "1s", "1s"}' in text
    assert 'site "slow.test" {\n    connections = 1\n}' in text
    assert "pipelining = true" in text


def test_dsn_reader_refuses_what_is_not_one():
    with pytest.raises(AssertionError):
        mail.Dsn(email.message.EmailMessage().as_bytes())
