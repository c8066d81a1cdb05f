# SPDX-License-Identifier: Apache-2.0
"""A next hop that refuses, stalls, goes away, lies or talks nonsense, at each step."""
import itertools
import time

import pytest
from harness import mail
from harness.actions import (disconnect, disconnect_after, drip, good_and, keep_but_disconnect,
                             late, raw, raw_then_good, reply, slowly, stall)
from harness.next_hop import EXTENSIONS
from harness.wait import stays, until

STEPS = ["CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "DOT"]
BY_DATA = [e for e in EXTENSIONS if e != "CHUNKING"]
SIMPLE = ["8BITMIME", "ENHANCEDSTATUSCODES"]


KINDS = {"plain": SIMPLE, "pipelining": BY_DATA, "chunking": EXTENSIONS}
SHORT = {"greeting_timeout": "1s", "command_timeout": "1s", "data_timeout": "1s",
         "block_timeout": "1s", "dot_timeout": "1s"}


@pytest.fixture
def grid(run, relay_to):
    """The same fault at every step, in lock step, in a pipelined group and beside BDAT: a next hop
    and a domain for each, one relay for all, so that the waiting is done at the same time."""
    def start(fault, steps=STEPS, kinds=KINDS, site=None, times=1):
        """fault(step) -> an action. Returns (relay, {name: hop}); one message went to each."""
        hops = {}
        for kind, step in itertools.product(kinds, steps):
            if step != "DATA" or kind != "chunking":  # there is no DATA with CHUNKING
                hop = hops[f"{step}-{kind}".lower()] = run.hop(extensions=KINDS[kind])
                hop.on(step, fault(step), times=times)
        relay = relay_to(run.hop(), site=site, started=False)
        for name, hop in hops.items():
            relay.config.route(f"{name}.test", hop.where)
        relay.start()
        with relay.session() as client:
            for name in hops:
                client.mail(mail.message(name), recipients=[f"b@{name}.test"])
        return relay, hops
    return start


def delivered_once(relay, hops, seconds=15):
    """Each hop got its message, once, and the relay knows."""
    until(lambda: all(hop.accepted for hop in hops.values()), seconds,
          lambda: "a message at " + ", ".join(n for n, h in hops.items() if not h.accepted))
    relay.wait_empty()
    assert {n: len(h.accepted) for n, h in hops.items()} == dict.fromkeys(hops, 1)
    relay.wait_account(len(hops), type="Delivery")
    assert len(relay.account(type="Delivery")) == len(hops)


def send(relay, count=1, **options):
    with relay.session() as client:
        for number in range(count):
            client.mail(mail.message(f"n{number}"), **options)


# ---- once, then it works ------------------------------------------------------------------------


def test_temporary_refusal_then_delivered(grid):
    relay, hops = grid(lambda step: reply("450 4.7.1 try later"))
    delivered_once(relay, hops)
    failed = {r["recipient"]: r for r in relay.account(type="TransientFailure")}
    for name in hops:
        if not name.startswith(("connect", "ehlo")):
            response = failed[f"b@{name}.test"]["response"]
            assert response["code"] == 450 and "try later" in response["content"]
            assert response["enhanced_code"] == {"class": 4, "subject": 7, "detail": 1}


@pytest.mark.parametrize("reset", [False, True], ids=["close", "reset"])
def test_disconnect_then_delivered(grid, reset):
    delivered_once(*grid(lambda step: disconnect(reset)))


def test_421_then_delivered(grid):
    delivered_once(*grid(lambda step: disconnect_after("421 4.3.2 closing")))


def test_stall_is_timed_out_then_delivered(grid):
    delivered_once(*grid(lambda step: stall(), site=SHORT))


def test_drip_gains_no_time(grid):
    """An octet now and then is no answer: the deadline is that of the whole reply."""
    delivered_once(*grid(lambda step: drip(), site=SHORT), seconds=12)


GARBAGE = {
    "words": b"hello there", "unknown class": b"999 what", "four digits": b"2500 ok", "dash": b"-",
    "NUL": b"\0\0\0", "underscore": b"250_ok", "two digits": b"25", "long": b"3" * 5000,
    "codes differ": b"250-never\r\n251 the same code", "endless": b"\r\n".join([b"250-x"] * 3000),
}


@pytest.mark.parametrize("garbage", GARBAGE)
def test_garbage_then_delivered(grid, garbage):
    """Never taken for a 2yz: the message comes whole, once the hop is in its right mind."""
    relay, hops = grid(lambda step: raw(GARBAGE[garbage] + b"\r\n"), site=SHORT)
    delivered_once(relay, hops)


@pytest.mark.parametrize("extensions", [SIMPLE, BY_DATA, EXTENSIONS],
                         ids=["plain", "pipelining", "chunking"])
def test_octet_by_octet(run, relay_to, extensions):
    hop = run.hop(extensions=extensions)
    for step in STEPS:
        hop.on(step, slowly(0.001))
    relay = relay_to(hop)
    send(relay, 3)
    hop.wait(3)
    relay.wait_empty()
    assert len(hop.accepted) == 3


def test_replies_that_end_in_bare_lf(run, relay_to):
    hop = run.hop(extensions=SIMPLE)
    for step, text in (("CONNECT", b"220 x\n"), ("EHLO", b"250-x\n250 8BITMIME\n"),
                       ("MAIL", b"250 ok\n"), ("RCPT", b"250 ok\n")):
        def act(session, _otherwise, text=text):
            session.send(text)
            return int(text[:3])
        hop.on(step, act)
    relay = relay_to(hop)
    send(relay)
    hop.wait(1)


def test_replies_without_text_or_enhanced_codes(run, relay_to):
    hop = run.hop(extensions=["SIZE"])
    for step, text in (("CONNECT", "220 "), ("MAIL", "250 "), ("RCPT", "250 "), ("DOT", "250 ")):
        hop.on(step, reply(text))
    relay = relay_to(hop)
    send(relay)
    hop.wait(1)
    relay.wait_empty()


def test_unknown_codes_by_their_first_digit(hop, relay_to):
    hop.on("RCPT", reply("487 what"), times=1)
    hop.on("RCPT", reply("259 fine"))
    hop.on("DOT", reply("299 taken"))
    relay = relay_to(hop)
    send(relay)
    hop.wait(1)
    assert relay.account(type="TransientFailure")[0]["response"]["code"] == 487
    assert relay.wait_account(1, type="Delivery")[0]["response"]["code"] == 299


def test_second_reply_that_nobody_asked_for(run, relay_to):
    """Lock step: a reply too many is a broken receiver, never the answer to the next command."""
    hop = run.hop(extensions=SIMPLE)
    hop.on("RCPT", good_and(b"354 go\r\n250 done\r\n"), times=1)
    relay = relay_to(hop)
    send(relay)
    hop.wait(1)
    relay.wait_empty()
    assert len(relay.wait_account(1, type="Delivery")) == 1


def test_replies_before_they_were_due(run, relay_to):
    """250 to a dot that was never sent is no delivery."""
    hop = run.hop(extensions=SIMPLE)
    hop.on("CONNECT", good_and(b"250 hello\r\n250 ok\r\n250 ok\r\n354 go\r\n250 done\r\n"), times=3)
    relay = relay_to(hop)
    send(relay)
    hop.wait(1, 20)
    relay.wait_empty()
    assert len(hop.accepted) == 1 and len(relay.wait_account(1, type="Delivery")) == 1


def test_hangs_up_in_the_middle_of_the_content(run, relay_to):
    hop = run.hop(extensions=BY_DATA)

    def act(session, _otherwise):
        session.reply("354 go on")
        session.receive()
        session.drop(reset=True)
        return 0
    hop.on("DATA", act, times=1)
    relay = relay_to(hop)
    with relay.session() as client:
        client.mail(mail.message(body=mail.body_of_size(3 << 20)))
    message = hop.wait(1)[0]
    assert len(message.body) == 3 << 20


@pytest.mark.parametrize("body", [mail.body_of_size(3 << 20), b".dots\r\n" * (1 << 19)],
                         ids=["plain", "dots"])
def test_final_refusal_in_the_middle_of_the_content(run, relay_to, body):
    """552 and gone, before the dot: refused, whether all of the content was queued or not."""
    hop = run.hop(extensions=BY_DATA)

    def act(session, _otherwise):
        session.reply("354 go on")
        session.receive()
        session.reply("552 5.3.4 enough")
        time.sleep(0.2)
        session.drop()
        return 0
    hop.on("DATA", act, when=lambda s: s.message.sender != "")
    relay = relay_to(hop, site={"retry": ["1h"]})
    with relay.session() as client:
        client.mail(mail.message(body=body))
    fields = mail.Dsn(hop.wait_dsn(1)[0].data).recipient("b@dest.test")
    assert fields["Status"] == "5.3.4" and "enough" in fields["Diagnostic-Code"]
    assert not relay.account(type="Delivery", sender="a@source.test")


# ---- the reply is lost behind the dot -----------------------------------------------------------


@pytest.mark.parametrize("extensions", [SIMPLE, BY_DATA, EXTENSIONS],
                         ids=["plain", "pipelining", "chunking"])
def test_reply_lost_behind_the_dot(run, relay_to, extensions):
    """It may have been delivered: sent again (never lost), and counted."""
    hop = run.hop(extensions=extensions)
    hop.on("DOT", keep_but_disconnect(), times=1)
    relay = relay_to(hop)
    send(relay)
    hop.wait(2)
    relay.wait_empty()
    assert [m.field("Subject")[0] for m in hop.accepted] == ["n0", "n0"]
    assert relay.counter("possibly_doubled") == 1
    assert relay.counter("delivered") == 1


def test_only_what_was_sent_can_be_doubled(run, relay_to):
    """The reply to the first of many is lost: only those in flight can come twice."""
    hop = run.hop(extensions=EXTENSIONS)
    hop.on("DOT", keep_but_disconnect(), times=1)
    relay = relay_to(hop, site={"connections": 1})
    send(relay, 50)
    until(lambda: len({m.field("Subject")[0] for m in hop.accepted}) == 50, 20, "50 messages")
    relay.wait_empty()
    doubled = len(hop.accepted) - 50
    assert 1 <= doubled <= relay.counter("possibly_doubled")


# ---- for ever -----------------------------------------------------------------------------------


def test_final_refusal_bounces(run, grid):
    relay, hops = grid(lambda step: reply("550 5.7.1 we do not want it"),
                       ["MAIL", "RCPT", "DATA", "DOT"], times=None)
    records = relay.wait_account(len(hops), type="Bounce", sender="a@source.test")
    assert {r["recipient"] for r in records} == {f"b@{name}.test" for name in hops}
    for record in records:
        assert record["response"]["code"] == 550 and record["num_attempts"] == 1
        assert record["response"]["content"] == "we do not want it"
    assert not relay.account(type="TransientFailure")


@pytest.mark.parametrize("step, text", [("RCPT", "450 4.2.2 full"), ("CONNECT", "421 4.3.2 no")])
def test_temporary_for_ever_expires(run, relay_to, step, text):
    bad, good = run.hop(), run.hop()
    bad.on(step, reply(text))
    relay = relay_to(bad, site={"expiry": "4s"}, started=False)
    relay.config.route("source.test", good.where)
    relay.start()
    send(relay)
    notice = mail.Dsn(good.wait_dsn(1)[0].data)
    fields = notice.recipient("b@dest.test")
    assert fields["Action"] == "failed" and fields["Status"][0] in "45"
    assert text[10:] in fields["Diagnostic-Code"]
    assert len(relay.wait_account(1, type="Expiration")) == 1
    attempts = len(relay.account(type="TransientFailure"))
    assert 2 <= attempts <= 6
    relay.wait_empty()


def test_expires_while_it_waits_for_its_turn(run, relay_to):
    """Behind others at a receiver that takes its time: given up when its time is over, not later."""
    slow, good = run.hop(extensions=SIMPLE), run.hop()
    slow.on("DOT", stall())
    relay = relay_to(slow, site={"connections": 1, "expiry": "4s", "dot_timeout": "60s"},
                     started=False)
    relay.config.route("source.test", good.where)
    relay.start()
    send(relay, 10)
    notices = [mail.Dsn(message.data) for message in good.wait_dsn(9)]
    for notice in notices:
        assert notice.recipient("b@dest.test")["Status"] == "4.4.7"
    records = relay.wait_account(9, type="Expiration")
    assert len({r["id"] for r in records}) == 9
    until(lambda: relay.queued() == 1, 10, "all but the one that is being tried to be gone")
    assert len(slow.commands("MAIL")) == 1


def test_nobody_listens_expires(run, relay_to):
    dead, good = run.hop(), run.hop()
    dead.close()
    relay = relay_to(dead, site={"expiry": "3s"}, started=False)
    relay.config.route("source.test", good.where)
    relay.start()
    send(relay)
    notice = mail.Dsn(good.wait_dsn(1)[0].data)
    assert notice.recipient("b@dest.test")["Action"] == "failed"


def test_listens_again(hop, relay_to):
    hop.unlisten()
    relay = relay_to(hop)
    send(relay, 20)
    relay.wait_account(1, type="TransientFailure")
    hop.listen()
    hop.wait(20)
    relay.wait_empty()
    assert len(hop.accepted) == 20


def test_dead_host_is_remembered(hop, relay_to):
    """Many messages for a host that does not answer cost a few attempts to connect, not one each."""
    hop.on("CONNECT", disconnect())
    relay = relay_to(hop, site={"host_pause": "30s", "host_pause_max": "30s", "retry": ["30s"]})
    send(relay, 200)
    until(lambda: hop.sessions, 10, "the first attempt")
    relay.wait_account(200, type="TransientFailure")
    assert len(hop.sessions) <= 40
    count = len(hop.sessions)
    stays(lambda: len(hop.sessions) == count, 1.5, "no more attempts")
    assert relay.queued() == 200


def test_greylisting_delays_only_its_recipient(hop, relay_to):
    hop.on("RCPT", reply("450 4.2.0 greylisted"), times=1,
           when=lambda s: s.candidate == "grey@dest.test")
    relay = relay_to(hop)
    send(relay, recipients=("b@dest.test", "grey@dest.test", "c@dest.test"))
    first, second = hop.wait(2)
    assert first.recipients == ["b@dest.test", "c@dest.test"]
    assert second.recipients == ["grey@dest.test"]
    records = relay.wait_account(3, type="Delivery")
    assert {r["recipient"]: r["num_attempts"] for r in records} == {
        "b@dest.test": 1, "c@dest.test": 1, "grey@dest.test": 2}


def test_mixed_fate_of_recipients(hop, relay_to):
    hop.on("RCPT", reply("550 5.1.1 unknown"), when=lambda s: s.candidate == "no@dest.test")
    hop.on("RCPT", reply("450 4.2.0 later"), times=1, when=lambda s: s.candidate == "late@dest.test")
    relay = relay_to(hop)
    send(relay, recipients=("no@dest.test", "yes@dest.test", "late@dest.test"))
    notice = mail.Dsn(hop.wait_dsn(1)[0].data)
    assert [b["Final-Recipient"].split(";")[1].strip() for b in notice.recipients] == ["no@dest.test"]
    hop.wait(3)
    relay.wait_empty()
    mails = [m.recipients for m in hop.accepted if m.sender]
    assert sorted(mails) == [["late@dest.test"], ["yes@dest.test"]]


def test_retry_schedule_is_kept(hop, relay_to):
    hop.on("RCPT", reply("450 4.2.0 later"), times=3)
    relay = relay_to(hop, site={"retry": ["1s", "2s", "3s"]})
    send(relay)
    hop.wait(1, 25)
    times = [r["timestamp"] for r in relay.wait_account(3, type="TransientFailure")]
    times.append(hop.accepted[0].time)
    if times[0] > 1e12:
        times = [t / 1000 for t in times[:-1]] + times[-1:]
    pauses = [b - a for a, b in zip(times, times[1:])]
    for pause, planned in zip(pauses, (1, 2, 3)):
        assert planned * 0.8 - 0.2 <= pause <= planned * 1.2 + 1.5, pauses


def test_slow_receiver_costs_others_nothing(run, relay_to):
    slow, fast = run.hop(), run.hop()
    slow.on("DOT", stall())
    slow.on("MAIL", late(0.5))
    relay = relay_to(fast, site={"connections": 3}, workers=1, started=False)
    relay.config.route("slow.test", slow.where)
    relay.start()
    with relay.session() as client:
        for number in range(50):
            client.mail(mail.message(f"s{number}"), recipients=["b@slow.test"])
            client.mail(mail.message(f"f{number}"), recipients=["b@fast.test"])
    fast.wait(50, 5)


def test_leftover_reply_of_a_closed_connection(run, relay_to):
    """221 after a pause, unasked: the connection is idle, nothing was lost."""
    hop = run.hop(extensions=BY_DATA)
    hop.on("DOT", raw_then_good(b""), times=1)
    relay = relay_to(hop)
    send(relay)
    hop.wait(1)
    for session in hop.sessions:
        session.send(b"421 4.4.2 idle too long\r\n")
        session.drop()
    send(relay)
    hop.wait(2)
    relay.wait_empty()
    assert len(hop.accepted) == 2 and not relay.account(type="TransientFailure")
