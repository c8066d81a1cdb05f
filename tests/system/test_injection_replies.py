# SPDX-License-Identifier: Apache-2.0
"""Injection: what each command is answered, with which parameters, in which order (RFC 5321)."""
import pytest
from harness import mail


@pytest.fixture(scope="module")
def relay(run_module):
    hop = run_module.hop()
    return run_module.ringpost(run_module.config(2).route("*", hop.where))


@pytest.fixture
def client(relay):
    with relay.session() as session:
        yield session


def test_greeting_and_ehlo(relay):
    with relay.client() as client:
        assert client.greeting.code == 220
        assert client.greeting.texts[0].startswith("relay.test ESMTP")
        offered = client.ehlo().texts
        assert offered[0].split()[0] == "relay.test"
        for keyword in ("PIPELINING", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES", "CHUNKING",
                        "BINARYMIME", "DSN", "HELP", f"SIZE {50 << 20}"):
            assert keyword in offered[1:]
        assert not {"STARTTLS", "AUTH"} & {line.split()[0] for line in offered}


# Before EHLO: only what needs no greeting (RFC 5321 section 4.1.4).
@pytest.mark.parametrize("command, code", [
    ("NOOP", 250), ("RSET", 250), ("HELP", 214), ("VRFY someone", 252), ("QUIT", 221),
    ("MAIL FROM:<a@b.test>", 503), ("RCPT TO:<a@b.test>", 503), ("DATA", 503),
])
def test_before_ehlo(relay, command, code):
    with relay.client() as client:
        assert client.command(command).code == code


@pytest.mark.parametrize("command, code, enhanced", [
    ("NOOP", 250, "2."), ("NOOP with words", 250, "2."), ("noop", 250, "2."),
    ("RSET", 250, "2."), ("HELP", 214, "2."), ("HELP MAIL", 214, "2."),
    ("VRFY postmaster", 252, "2."), ("EXPN list", 502, "5."), ("TURN", 502, "5."),
    ("SEND FROM:<a@b.test>", 502, "5."), ("SOML FROM:<a@b.test>", 502, "5."),
    ("SAML FROM:<a@b.test>", 502, "5."), ("STARTTLS", 50, "5."), ("AUTH PLAIN", 50, "5."),
    ("BLUB", 500, "5."), ("", 500, "5."), ("MAILFROM:<a@b.test>", 500, "5."),
    ("RSET now", 501, "5."), ("QUIT now", 501, "5."), ("DATA", 503, "5."),
    ("RCPT TO:<b@dest.test>", 503, "5."), ("BDAT 0 LAST", 503, "5."),
    ("EHLO", 501, ""), ("EHLO a b", 501, ""), ("HELO", 501, ""), ("EHLO under_score", 2, ""),
    ("EHLO [127.0.0.1]", 250, ""), ("EHLO [IPv6:::1]", 250, ""), ("HELO client", 250, ""),
])
def test_commands(client, command, code, enhanced):
    """code: in full, or its first digits. Each 2yz, 4yz, 5yz but EHLO's has an enhanced code."""
    reply = client.command(command)
    if command == "EHLO under_score":
        return  # 250 or 501: but never a broken session
    assert str(reply.code).startswith(str(code)), reply
    if enhanced:
        assert reply.enhanced.startswith(enhanced), reply


@pytest.mark.parametrize("path, address", [
    ("<a@b.test>", "a@b.test"),
    ("<A.b+c=d@B.Test>", "A.b+c=d@B.Test"),
    ('<"a b"@b.test>', '"a b"@b.test'),
    ('<"a\\"b\\\\c"@b.test>', '"a\\"b\\\\c"@b.test'),
    ('<"a@c>d"@b.test>', '"a@c>d"@b.test'),
    ("<a@[127.0.0.1]>", "a@[127.0.0.1]"),
    ("<a@[IPv6:2001:db8::1]>", "a@[IPv6:2001:db8::1]"),
    ("<@one.test,@two.test:a@b.test>", "a@b.test"),
    ("<" + "l" * 64 + "@b.test>", "l" * 64 + "@b.test"),
    ("<a!b%c/d#e@b.test>", "a!b%c/d#e@b.test"),
])
def test_good_addresses_are_kept_as_given(run, hop, relay_to, path, address):
    relay = relay_to(hop)
    with relay.session() as client:
        client.ok(f"MAIL FROM:{path}")
        client.ok(f"RCPT TO:{path}")
        assert client.data(mail.message()).code == 250
    message = hop.wait(1)[0]
    assert (message.sender, message.recipients) == (address, [address])


@pytest.mark.parametrize("path", [
    "", "<", "<a@b.test", "a@b.test>", "<@b.test>", "<a@>", "<a@@b.test>", "<a@b..test>",
    "<a b@c.test>", "<.a@b.test>", "<a.@b.test>", "<a..b@c.test>", "<a@-b.test>", "<a@[300.1.1.1]>",
    "<a@[1.2.3]>", "<a@[IPv6:zz::1]>", '<"a@b.test>', '<"a"b@c.test>', "<a@b.test>>", "<a@b.test>x",
    "<" + "l" * 65 + "@b.test>", "<a@" + ".".join(["d" * 63] * 4) + ".test>",
    "<a@" + "d" * 64 + ".test>", "<a\x01@b.test>", '<"a\x00b"@c.test>', "<a@b\x7f.test>",
    "<a@b.test> <c@d.test>", "<@one.test:>", "<a\tb@c.test>",
])
def test_bad_addresses_are_refused(client, path):
    reply = client.command(f"MAIL FROM:{path}")
    assert reply.code in (500, 501, 553, 555) and reply.enhanced.startswith("5."), reply
    client.ok("MAIL FROM:<>")
    reply = client.command(f"RCPT TO:{path}")
    assert reply.code in (500, 501, 553, 555) and reply.enhanced.startswith("5."), reply
    client.ok("RCPT TO:<b@dest.test>")


def test_null_sender_and_null_recipient(client):
    client.ok("MAIL FROM:<>")
    client.ok("RCPT TO:<>", 501)
    client.ok("RCPT TO:<b@dest.test>")


def test_postmaster_without_domain(client):
    client.ok("MAIL FROM:<a@b.test>")
    client.ok("RCPT TO:<Postmaster>")
    client.ok("RCPT TO:<postMASTER>")
    client.ok("RCPT TO:<someone>", 501)


def test_syntax_variants_of_mail(client):
    for command in ("mail from:<a@b.test>", "Mail From:<a@b.test>", "MAIL FROM: <a@b.test>",
                    "MAIL FROM:<a@b.test> ", "MAIL FROM:<>"):
        reply = client.command(command)
        # A space behind the colon is a common mistake: taken or refused, but never misread.
        assert reply.code == 250 or (": <" in command and reply.code == 501), (command, reply)
        client.ok("RSET")
    for command in ("MAIL", "MAIL FROM", "MAIL <a@b.test>", "MAIL TO:<a@b.test>", "MAIL FROM<a@b>"):
        client.ok(command, 501)


@pytest.mark.parametrize("params, code", [
    ("SIZE=1000", 250), ("size=1000", 250), ("SIZE=0", 250), ("SIZE=", 501), ("SIZE", 501),
    ("SIZE=abc", 501), ("SIZE=-1", 501), ("SIZE=1 SIZE=1", 501), ("SIZE=1x", 501),
    ("SIZE=99999999999999999999", 55), ("SIZE=9999999999999999999999999", 5),
    (f"SIZE={50 << 20}", 250), (f"SIZE={(50 << 20) + 1}", 552),
    ("BODY=7BIT", 250), ("BODY=8BITMIME", 250), ("body=8bitmime", 250), ("BODY=BINARYMIME", 250),
    ("BODY=9BIT", 50), ("BODY", 501), ("BODY=", 501),
    ("SMTPUTF8", 250), ("SMTPUTF8=yes", 501), ("SMTPUTF8 SMTPUTF8", 501),
    ("RET=FULL", 250), ("RET=HDRS", 250), ("ret=hdrs", 250), ("RET=ALL", 501), ("RET", 501),
    ("ENVID=abc", 250), ("ENVID=a+2Bb+3D", 250), ("ENVID=a+zz", 501), ("ENVID=a=b", 501),
    ("ENVID=", 501), ("ENVID=a+2", 501), ("ENVID=" + "e" * 101, 501), ("ENVID=" + "e" * 100, 250),
    ("NOTIFY=NEVER", 555), ("ORCPT=rfc822;a", 555), ("AUTH=<>", 555), ("BLUB", 555),
    ("BLUB=1", 555), ("SIZE=10 BODY=8BITMIME RET=HDRS ENVID=q SMTPUTF8", 250), ("=", 5),
    ("BY=100;R", 555), ("HOLDFOR=10", 555), ("MT-PRIORITY=3", 555), ("REQUIRETLS", 555),
])
def test_parameters_of_mail(client, params, code):
    reply = client.command(f"MAIL FROM:<a@b.test> {params}")
    assert str(reply.code).startswith(str(code)), reply
    assert reply.enhanced.startswith(str(reply.code)[0]), reply
    client.ok("RCPT TO:<b@dest.test>", 250 if reply.code == 250 else 503)


@pytest.mark.parametrize("params, code", [
    ("NOTIFY=NEVER", 250), ("NOTIFY=SUCCESS,FAILURE,DELAY", 250), ("notify=success", 250),
    ("NOTIFY=DELAY", 250), ("NOTIFY=NEVER,SUCCESS", 501), ("NOTIFY=", 501), ("NOTIFY", 501),
    ("NOTIFY=SUCCESS,", 501), ("NOTIFY=SUCCESS FAILURE", 5), ("NOTIFY=SOMETIMES", 501),
    ("NOTIFY=SUCCESS NOTIFY=DELAY", 501),
    ("ORCPT=rfc822;b@dest.test", 250), ("ORCPT=RFC822;b+2Bc@dest.test", 250),
    ("ORCPT=x400;abc", 250), ("ORCPT=b@dest.test", 501), ("ORCPT=rfc822;", 501),
    ("ORCPT=;b@dest.test", 501), ("ORCPT=rfc822;a+2", 501), ("ORCPT=rfc822;a=b", 501),
    ("ORCPT=rfc822;" + "o" * 500, 501), ("ORCPT", 501), ("SIZE=1", 555), ("BLUB=1", 555),
    ("NOTIFY=FAILURE ORCPT=rfc822;b@dest.test", 250),
])
def test_parameters_of_rcpt(client, params, code):
    client.ok("MAIL FROM:<a@b.test>")
    reply = client.command(f"RCPT TO:<b@dest.test> {params}")
    assert str(reply.code).startswith(str(code)), reply
    assert reply.enhanced.startswith(str(reply.code)[0]), reply
    client.ok("RCPT TO:<c@dest.test>")


def test_parameters_need_ehlo(relay):
    with relay.client() as client:
        client.ok("HELO client.test")
        client.ok("MAIL FROM:<a@b.test> SIZE=10", 555)
        client.ok("MAIL FROM:<a@b.test>")
        client.ok("RCPT TO:<b@dest.test> NOTIFY=NEVER", 555)


def test_utf8_addresses_need_smtputf8(client):
    reply = client.command("MAIL FROM:<jürgen@b.test>")
    assert (reply.code, reply.enhanced) == (553, "5.6.7")
    client.ok("MAIL FROM:<jürgen@b.test> SMTPUTF8")
    client.ok("RCPT TO:<иван@почта.test>")
    client.ok("RSET")
    client.ok("MAIL FROM:<a@b.test>")
    reply = client.command("RCPT TO:<иван@dest.test>")
    assert (reply.code, reply.enhanced) == (553, "5.6.7")


@pytest.mark.parametrize("octets", [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80",
                                    b"\xc3"])
def test_invalid_utf8_in_addresses(client, octets):
    reply = client.command(b"MAIL FROM:<" + octets + b"@b.test> SMTPUTF8")
    assert reply.code in (500, 501, 553), reply


# ---- order --------------------------------------------------------------------------------------


def test_order_errors(client):
    client.ok("RCPT TO:<b@dest.test>", 503)
    client.ok("DATA", 503)
    client.ok("MAIL FROM:<a@b.test>")
    client.ok("MAIL FROM:<a@b.test>", 503)
    reply = client.command("DATA")
    assert reply.code in (503, 554)
    client.ok("RCPT TO:<b@dest.test>")
    client.ok("MAIL FROM:<a@b.test>", 503)
    client.ok("DATA", 354)
    client.send(b"hello\r\n.\r\n")
    assert client.reply().code == 250
    client.ok("RCPT TO:<b@dest.test>", 503)
    client.ok("DATA", 503)


def test_data_after_all_recipients_refused(client):
    client.ok("MAIL FROM:<a@b.test>")
    client.ok("RCPT TO:<b@@dest.test>", 501)
    reply = client.command("DATA")
    assert reply.code in (503, 554), reply
    client.ok("RSET")


@pytest.mark.parametrize("reset", ["RSET", "EHLO again.test", "HELO again.test"])
def test_transaction_ends_with(client, reset):
    client.envelope()
    client.ok(reset)
    client.ok("DATA", 503)
    client.ok("RCPT TO:<b@dest.test>", 503)
    client.mail(mail.message())


@pytest.mark.parametrize("word", ["NOOP", "VRFY x", "HELP", "EXPN x", "BLUB"])
def test_transaction_survives(client, word):
    client.envelope()
    client.command(word)
    assert client.data(mail.message()).code == 250


def test_quit_closes(relay):
    with relay.session() as client:
        client.ok("QUIT", 221)
        assert client.is_closed()


def test_commands_behind_quit_are_not_done(relay):
    with relay.session() as client:
        client.send(b"QUIT\r\nNOOP\r\nNOOP\r\n")
        assert client.reply().code == 221
        assert client.is_closed()


@pytest.mark.parametrize("line", ["GET / HTTP/1.1", "POST / HTTP/1.1", "CONNECT a:25 HTTP/1.1",
                                  "POST /" + "x" * 3000 + " HTTP/1.1", "POST /\tx HTTP/1.1",
                                  "POST / HTTP/1.1\nX: 1", "PROPFIND / HTTP/1.1"])
def test_http_is_sent_away(relay, line):
    with relay.client() as client:
        client.send(f"{line}\r\nHost: x\r\n\r\nEHLO x\r\nMAIL FROM:<a@b.test>\r\n".encode())
        answer = client.rest()
        assert answer.startswith((b"421 ", b"500 ")) and b"250" not in answer


def test_a_refused_mail_does_not_end_a_pipelining_session(client):
    """The group behind it is out of order by no fault of the client's."""
    group = b"RCPT TO:<b@dest.test>\r\n" * 500 + b"DATA\r\n"
    client.send(b"MAIL FROM:<a@b.test> SIZE=999999999999\r\n" + group)
    assert [reply.code for reply in client.replies(502)] == [552] + [503] * 501
    client.mail(mail.message())


# ---- pipelining ---------------------------------------------------------------------------------

SESSION = (b"EHLO c.test\r\nMAIL FROM:<a@b.test> SIZE=20\r\nRCPT TO:<b@dest.test>\r\n"
           b"RCPT TO:<bad@@dest.test>\r\nDATA\r\nSubject: 1\r\n\r\n..x\r\n.\r\n"
           b"MAIL FROM:<a@b.test>\r\nRCPT TO:<c@dest.test>\r\nBDAT 7\r\nX: 1\r\n\r"
           b"BDAT 5 LAST\r\n\n\r\n\r\nBLUB\r\nRSET\r\nMAIL FROM:<>\r\nDATA\r\nVRFY q\r\n"
           b"QUIT\r\n")
CODES = [250, 250, 250, 501, 354, 250, 250, 250, 250, 250, 500, 250, 250, 503, 252, 221]


def read_session(client):
    codes = [client.reply().code for _ in CODES]
    assert client.is_closed()
    return [503 if code == 554 else code for code in codes]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, len(SESSION)])
def test_whole_session_in_pieces(run, hop, relay_to, size):
    relay = relay_to(hop)
    with relay.client() as client:
        client.send_split(SESSION, size, 0.0003 if size < 8 else 0)
        assert read_session(client) == CODES
    messages = hop.wait(2)
    by_rcpt = {m.recipients[0]: m for m in messages}
    assert by_rcpt["b@dest.test"].data.endswith(b"Subject: 1\r\n\r\n.x\r\n")
    assert by_rcpt["c@dest.test"].data.endswith(b"X: 1\r\n\r\n\r\n\r\n")


def test_reading_nothing_while_sending_much(relay):
    """RFC 2920 section 3.2: no deadlock, no memory without end; the replies are all there."""
    with relay.session() as client:
        count = 20000
        import threading
        sender = threading.Thread(target=client.send, args=(b"NOOP\r\n" * count + b"QUIT\r\n",))
        sender.start()
        assert all(reply.code == 250 for reply in client.replies(count))
        assert client.reply().code == 221
        sender.join()
