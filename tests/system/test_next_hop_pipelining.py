# SPDX-License-Identifier: Apache-2.0
"""How the next hop is talked to: extensions, the pipelining window, lies about PIPELINING."""
import pytest
from harness import mail
from harness.actions import disconnect, disconnect_after, late, peek, reply
from harness.next_hop import EXTENSIONS
from harness.wait import until

BY_DATA = [e for e in EXTENSIONS if e != "CHUNKING"]
BARE = ["8BITMIME", "ENHANCEDSTATUSCODES"]


def send(relay, count=1, body=b"hello\r\n", **options):
    with relay.session() as client:
        for number in range(count):
            client.mail(mail.message(f"n{number}", body), **options)


def subjects(hop):
    return sorted(m.field("Subject")[0] for m in hop.accepted)


def test_ehlo_falls_back_to_helo(hop, relay_to):
    for code in ("500 5.5.1 what", "502 5.5.1 no"):
        hop.on("EHLO", reply(code))
    relay = relay_to(hop)
    send(relay, 2)
    hop.wait(2)
    assert hop.sessions[0].helo == "HELO relay.test"
    assert all("=" not in line for _, line in hop.commands("MAIL") + hop.commands("RCPT"))


def test_lock_step_without_pipelining(run, relay_to):
    hop = run.hop(extensions=BARE)
    relay = relay_to(hop)
    send(relay, 5, recipients=("b@dest.test", "c@dest.test"))
    hop.wait(5)
    for session in hop.sessions:
        for piece in session.pieces:
            assert piece.count(b"\r\n") == 1 or piece.endswith(b"\r\n.\r\n"), piece


def test_pipelining_can_be_forbidden(hop, relay_to):
    relay = relay_to(hop, site={"pipelining": False})
    send(relay, 5)
    hop.wait(5)
    assert all(m.chunks == 0 for m in hop.accepted)
    for session in hop.sessions:
        assert all(p.count(b"\r\n") == 1 or p.endswith(b"\r\n.\r\n") for p in session.pieces)


def test_next_transaction_leaves_with_the_dot(run, relay_to):
    """One round trip a message: MAIL, RCPT, DATA come before the reply to the dot."""
    hop = run.hop(extensions=BY_DATA)
    hop.on("CONNECT", late(1.0))  # the queue fills meanwhile
    hop.on("DOT", peek(enough=b"DATA\r\n"))
    relay = relay_to(hop, site={"connections": 1})
    send(relay, 10)
    hop.wait(10)
    relay.wait_empty()
    ahead = [octets for s in hop.sessions for octets in s.ahead]
    with_next = [a for a in ahead if a.startswith(b"MAIL FROM:") and a.endswith(b"DATA\r\n")]
    assert len(with_next) >= 8, ahead
    assert len(hop.accepted) == 10


def test_commands_of_one_transaction_leave_together(run, relay_to):
    hop = run.hop(extensions=BY_DATA)
    relay = relay_to(hop)
    send(relay, 1, recipients=[f"r{n}@dest.test" for n in range(20)])
    hop.wait(1)
    first = next(p for p in hop.sessions[0].pieces if p.startswith(b"MAIL"))
    assert first.count(b"RCPT TO:") == 20 and first.endswith(b"DATA\r\n")


def test_content_waits_for_354(run, relay_to):
    """Not pipelined: what follows DATA (RFC 2920)."""
    hop = run.hop(extensions=BY_DATA)
    hop.on("DATA", peek(0.3))
    relay = relay_to(hop)
    send(relay)
    hop.wait(1)
    assert hop.sessions[0].ahead == [b""]


def test_chunking_is_used(hop, relay_to):
    relay = relay_to(hop)
    body = mail.body_of_size(300000)
    send(relay, 3, body)
    hop.wait(3)
    assert all(m.chunks >= 1 and m.body == body for m in hop.accepted)
    assert not hop.commands("DATA")


def test_chunking_without_pipelining(run, relay_to):
    """RFC 3030 does not ask for PIPELINING: BDAT, but nothing before the reply to what precedes."""
    hop = run.hop(extensions=[e for e in EXTENSIONS if e != "PIPELINING"])
    hop.on("RCPT", reply("550 5.1.1 unknown"), when=lambda s: s.candidate == "no@dest.test")
    relay = relay_to(hop, site={"connections": 1})
    body = b".\r\n..two\r\n" + mail.body_of_size(100000)
    send(relay, 3, body)
    send(relay, 1, body, sender="", recipients=["no@dest.test"])
    send(relay, 1, body, sender="", recipients=["no@dest.test", "b@dest.test"])
    hop.wait(4)
    relay.wait_empty()
    assert all(m.chunks == 1 and m.body == body for m in hop.accepted) and len(hop.accepted) == 4
    assert not hop.commands("DATA") and len(hop.commands("BDAT")) == 4
    for session in hop.sessions:
        for piece in session.pieces:
            assert sum(piece.count(verb) for verb in (b"MAIL FROM", b"RCPT TO", b"BDAT")) <= 1


def test_chunking_can_be_forbidden(hop, relay_to):
    relay = relay_to(hop, site={"chunking": False})
    send(relay, 3)
    hop.wait(3)
    assert not hop.commands("BDAT")


def test_several_messages_in_flight_with_chunking(hop, relay_to):
    hop.on("CONNECT", late(1.0))
    hop.on("DOT", peek(0.3, enough=b"LAST\r\n"))
    relay = relay_to(hop, site={"connections": 1})
    send(relay, 20)
    hop.wait(20)
    most = max(octets.count(b"BDAT") for s in hop.sessions for octets in s.ahead)
    assert most >= 2, "no window"


@pytest.mark.parametrize("extensions", [BY_DATA, EXTENSIONS], ids=["data", "bdat"])
def test_refusals_within_the_window(run, relay_to, extensions):
    """Every other message is refused at RCPT: each gets its own fate, none that of a neighbour."""
    hop = run.hop(extensions=extensions)
    hop.on("CONNECT", late(0.5))
    hop.on("RCPT", reply("550 5.1.1 odd"), when=lambda s: s.candidate.startswith("odd"))
    relay = relay_to(hop, site={"connections": 1})
    with relay.session() as client:
        for number in range(40):
            kind = "odd" if number % 2 else "even"
            client.mail(mail.message(f"{kind}{number}"), "", [f"{kind}{number}@dest.test"])
    hop.wait(20)
    relay.wait_empty()
    assert subjects(hop) == sorted(f"even{n}" for n in range(0, 40, 2))
    assert sorted(r["recipient"] for r in relay.wait_account(20, type="Bounce")) == \
        sorted(f"odd{n}@dest.test" for n in range(1, 40, 2))


@pytest.mark.parametrize("step", ["MAIL", "DOT"])
@pytest.mark.parametrize("extensions", [BY_DATA, EXTENSIONS], ids=["data", "bdat"])
def test_temporary_refusals_within_the_window(run, relay_to, extensions, step):
    hop = run.hop(extensions=extensions)
    hop.on("CONNECT", late(0.5))
    hop.on(step, reply("451 4.3.0 later"), times=7)
    relay = relay_to(hop, site={"connections": 1})
    send(relay, 30)
    hop.wait(30, 30)
    relay.wait_empty()
    assert subjects(hop) == sorted(f"n{n}" for n in range(30))


@pytest.mark.parametrize("extensions", [BY_DATA, EXTENSIONS], ids=["data", "bdat"])
def test_354_although_all_recipients_were_refused(run, relay_to, extensions):
    """RFC 2920 section 3.1: then a lone dot is due, and it is not delivered."""
    hop = run.hop(extensions=extensions)
    hop.on("RCPT", reply("550 5.1.1 unknown"), when=lambda s: s.message.sender)
    hop.on("DATA", reply("354 go on anyway"))
    relay = relay_to(hop)
    send(relay, 3)
    hop.wait_dsn(3)
    relay.wait_empty()
    assert not [m for m in hop.accepted if m.sender]
    assert not relay.account(type="Delivery", sender="a@source.test")


# ---- lies ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("extensions", [BY_DATA, EXTENSIONS], ids=["data", "bdat"])
def test_only_the_first_of_a_batch_is_answered(run, relay_to, extensions):
    """PIPELINING announced, all but the first command of each segment dropped: lock step then."""
    hop = run.hop(extensions=extensions)
    hop.one_of_batch = True
    relay = relay_to(hop, site={"command_timeout": "1s", "dot_timeout": "1s"})
    send(relay, 3)
    hop.wait(3, 40)
    relay.wait_empty(40)
    assert subjects(hop) == ["n0", "n1", "n2"]
    last = hop.sessions[-1]
    assert all(piece.count(b"\r\n") == 1 or piece.endswith(b"\r\n.\r\n") for piece in last.pieces)


@pytest.mark.parametrize("action", [
    disconnect(), disconnect_after("421 4.7.0 synchronization error"),
    disconnect_after("451 4.7.0 one at a time")], ids=["silently", "421", "451"])
def test_hangs_up_on_batches(run, relay_to, action):
    """Again and again, whenever a batch comes: lock step is tried before the mail expires."""
    hop = run.hop(extensions=BY_DATA)
    hop.on("MAIL", action, when=lambda s: bool(s.buffer))
    relay = relay_to(hop)
    send(relay, 3)
    hop.wait(3, 20)
    relay.wait_empty()
    assert subjects(hop) == ["n0", "n1", "n2"]


def test_refuses_batches_for_good(run, relay_to):
    """A 5yz is taken at its word: a bounce, or lock step; but one end for each message."""
    hop = run.hop(extensions=BY_DATA)
    hop.on("MAIL", disconnect_after("554 5.5.0 pipelining error"), when=lambda s: bool(s.buffer))
    relay = relay_to(hop)
    send(relay, 3, sender="")
    relay.wait_empty()

    def ends():
        return sorted(r["id"] for kind in ("Delivery", "Bounce") for r in relay.account(type=kind))
    until(lambda: len(ends()) >= 3, 10, "three ends")
    assert len(set(ends())) == len(ends()) == 3


def test_lie_is_remembered(run, relay_to):
    """The next connection begins in lock step: no more timeouts."""
    hop = run.hop(extensions=BY_DATA)
    hop.one_of_batch = True
    relay = relay_to(hop, site={"command_timeout": "1s"})
    send(relay, 1)
    hop.wait(1, 20)
    until(lambda: hop.open_now == 0, 10, "the idle connection to close")
    hop.one_of_batch = False
    sessions = len(hop.sessions)
    send(relay, 3)
    hop.wait(4)
    for session in hop.sessions[sessions:]:
        assert all(p.count(b"\r\n") == 1 or p.endswith(b"\r\n.\r\n") for p in session.pieces)


# ---- what is offered, and what is not -----------------------------------------------------------


def test_parameters_only_as_offered(run, relay_to):
    hop = run.hop(extensions=["HELP"])
    relay = relay_to(hop)
    send(relay, params=" SIZE=100 BODY=8BITMIME RET=HDRS ENVID=x")
    hop.wait(1)
    assert [line for _, line in hop.commands("MAIL")] == ["MAIL FROM:<a@source.test>"]


def test_size_is_announced(hop, relay_to):
    relay = relay_to(hop)
    send(relay)
    message = hop.wait(1)[0]
    sizes = [p for p in message.params.split() if p.startswith("SIZE=")]
    assert sizes == [f"SIZE={len(message.data)}"]


def test_over_the_size_limit_of_the_next_hop(run, relay_to):
    hop = run.hop(extensions=["SIZE 20000", "PIPELINING"])
    relay = relay_to(hop)
    send(relay, body=mail.body_of_size(30000))
    notice = mail.Dsn(hop.wait_dsn(1)[0].data)
    assert notice.recipient("b@dest.test")["Status"] == "5.3.4"
    assert not [m for m in hop.messages if m.sender]


@pytest.mark.parametrize("word", ["SIZE", "SIZE 0"])
def test_size_without_a_limit(run, relay_to, word):
    hop = run.hop(extensions=[word])
    relay = relay_to(hop)
    send(relay, body=mail.body_of_size(100000))
    hop.wait(1)


def test_8bit_goes_with_body_8bitmime(hop, relay_to):
    relay = relay_to(hop)
    send(relay, body=b"j\xfcrgen\r\n", params=" BODY=8BITMIME")
    message = hop.wait(1)[0]
    assert "BODY=8BITMIME" in message.params and message.body == b"j\xfcrgen\r\n"


def test_8bit_to_a_hop_without_8bitmime_send(run, relay_to):
    hop = run.hop(extensions=["SIZE"])
    relay = relay_to(hop, site={"eight_bit": "send"})
    send(relay, body=b"j\xfcrgen\r\n", params=" BODY=8BITMIME")
    assert hop.wait(1)[0].body == b"j\xfcrgen\r\n"
    assert "BODY" not in hop.accepted[0].params


def test_8bit_to_a_hop_without_8bitmime_bounce(run, relay_to):
    hop = run.hop(extensions=["SIZE"])
    relay = relay_to(hop, site={"eight_bit": "bounce"})
    send(relay, body=b"j\xfcrgen\r\n", params=" BODY=8BITMIME")
    send(relay, body=b"seven bits\r\n", params=" BODY=8BITMIME")
    notice = mail.Dsn(hop.wait_dsn(1)[0].data)
    assert notice.recipient("b@dest.test")["Status"] == "5.6.3"
    hop.wait(2)
    assert [m.body for m in hop.accepted if m.sender] == [b"seven bits\r\n"]


def test_smtputf8_goes_on(hop, relay_to):
    relay = relay_to(hop)
    with relay.session() as client:
        client.mail(mail.message("grüße"), "jürgen@source.test", ["иван@dest.test"],
                    params=" SMTPUTF8")
    message = hop.wait(1)[0]
    assert "SMTPUTF8" in message.params.split()
    assert (message.sender, message.recipients) == ("jürgen@source.test", ["иван@dest.test"])


@pytest.mark.parametrize("needs", ["sender", "recipient", "header", "nothing"])
def test_smtputf8_to_a_hop_without_it(run, relay_to, needs):
    """Only what really needs it bounces (RFC 6531 section 3.2 lets a plain message go on)."""
    hop = run.hop(extensions=["8BITMIME", "SIZE"])
    relay = relay_to(hop)
    sender = "jürgen@source.test" if needs == "sender" else "a@source.test"
    recipient = "иван@dest.test" if needs == "recipient" else "b@dest.test"
    with relay.session() as client:
        client.mail(mail.message("grüße" if needs == "header" else "x"), sender, [recipient],
                    params=" SMTPUTF8")
    if needs == "nothing":
        assert "SMTPUTF8" not in hop.wait(1)[0].params
        return
    record = relay.wait_account(1, type="Bounce")[0]
    assert record["response"]["enhanced_code"] == {"class": 5, "subject": 6, "detail": 7}
    if needs != "sender":
        notice = mail.Dsn(hop.wait_dsn(1)[0].data)
        assert notice.recipients[0]["Status"] == "5.6.7"
    assert not [m for m in hop.accepted if m.sender]


def test_dsn_parameters_go_on(hop, relay_to):
    relay = relay_to(hop)
    with relay.session() as client:
        client.ok("MAIL FROM:<a@source.test> RET=HDRS ENVID=q+2Bx")
        client.ok("RCPT TO:<b@dest.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;old+2Bb@x.test")
        client.ok("RCPT TO:<c@dest.test> NOTIFY=NEVER")
        client.ok("RCPT TO:<d@dest.test>")
        assert client.data(mail.message()).code == 250
    message = hop.wait(1)[0]
    assert {"RET=HDRS", "ENVID=q+2Bx"} <= set(message.params.split())
    got = {a: set(p.split()) for a, p in message.recipient_params.items()}
    assert got["b@dest.test"] == {"NOTIFY=SUCCESS,DELAY", "ORCPT=rfc822;old+2Bb@x.test"}
    assert "NOTIFY=NEVER" in got["c@dest.test"]
    assert not any("NOTIFY" in p for p in got["d@dest.test"])


def test_real_postfix_as_next_hop(run, hop):
    """A strict receiver with PIPELINING, CHUNKING, DSN, SMTPUTF8; it passes all on to a hop."""
    postfix = run.postfix(hop.where)
    config = run.config().route("*", postfix.where).site(connections=4)
    relay = run.ringpost(config)
    body = b".dot\r\n" + mail.body_of_size(20000)
    send(relay, 100, body, recipients=("b@dest.test", "c@dest.test"))
    hop.wait(100, 40)
    relay.wait_empty()
    assert subjects(hop) == sorted(f"n{n}" for n in range(100))
    assert all(m.body == body for m in hop.accepted)
    assert not relay.account(type="TransientFailure")
    log = postfix.log()
    assert "improper command pipelining" not in log and "lost connection" not in log, log[-3000:]
