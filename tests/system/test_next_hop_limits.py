# SPDX-License-Identifier: Apache-2.0
"""Limits towards a receiver: connections, messages on each, recipients, rate, reuse."""
import time

import pytest
from harness import mail
from harness.actions import disconnect, disconnect_after, late, reply
from harness.next_hop import EXTENSIONS
from harness.wait import until

BY_DATA = [e for e in EXTENSIONS if e != "CHUNKING"]


def send(relay, count=1, **options):
    with relay.session() as client:
        for number in range(count):
            client.mail(mail.message(f"n{number}"), **options)


def exactly_once(hop, count):
    assert sorted(m.field("Subject")[0] for m in hop.accepted) == \
        sorted(f"n{n}" for n in range(count))


@pytest.mark.parametrize("limit", [1, 3])
def test_connections(run, relay_to, workers, limit):
    hop = run.hop(extensions=["8BITMIME"])
    hop.on("MAIL", late(0.02))
    relay = relay_to(hop, workers=workers, site={"connections": limit})
    send(relay, 60)
    hop.wait(60, 30)
    assert hop.open_most == limit
    relay.wait_empty()
    exactly_once(hop, 60)


def test_connections_are_reused(hop, relay_to):
    relay = relay_to(hop, site={"connections": 1})
    send(relay, 100)
    hop.wait(100)
    assert len(hop.sessions) <= 2


def test_connection_is_kept_for_a_moment(hop, relay_to):
    relay = relay_to(hop, site={"idle_timeout": "3s"})
    for number in range(5):
        send(relay)
        until(lambda n=number: relay.counter("delivered") == n + 1, 10, "the delivery")
    assert len(hop.sessions) == 1
    until(lambda: hop.open_now == 0, 10, "the idle connection to close")
    assert hop.commands("QUIT")


def test_messages_per_connection(hop, relay_to):
    relay = relay_to(hop, site={"messages_per_connection": 7, "connections": 2})
    send(relay, 50)
    hop.wait(50)
    relay.wait_empty()
    exactly_once(hop, 50)
    assert all(session.finished <= 7 for session in hop.sessions)
    until(lambda: hop.open_now == 0, 10, "all connections to close")
    assert all(s.commands[-1][1] == "QUIT" for s in hop.sessions)


@pytest.mark.parametrize("connections", [1, 3])
@pytest.mark.parametrize("extensions", [["SIZE"], BY_DATA, EXTENSIONS],
                         ids=["plain", "data", "bdat"])
def test_receiver_that_ends_sessions_after_some_messages(run, relay_to, extensions, connections):
    """421 in place of MAIL: it goes out on the next connection, as those behind it that were not
    tried; nothing is put off for an hour."""
    hop = run.hop(extensions=extensions)

    def enough(session, _otherwise):
        session.reply("421 4.7.0 enough for now")
        while True:  # until the other side closes: a reset could overtake the 421
            session.receive()
    hop.on("MAIL", enough, when=lambda s: s.finished >= 5)
    relay = relay_to(hop, site={"connections": connections, "retry": ["1h"], "host_pause": "1h",
                                "host_pause_max": "1h"})
    send(relay, 40)
    hop.wait(40, 40)
    relay.wait_empty()
    exactly_once(hop, 40)
    assert not relay.account(type="TransientFailure")


def test_receiver_that_hangs_up_after_some_messages(run, relay_to):
    """The same without a word."""
    hop = run.hop(extensions=BY_DATA)
    hop.on("MAIL", disconnect(), when=lambda s: s.finished >= 5)
    relay = relay_to(hop, site={"connections": 1, "retry": ["1h"]})
    send(relay, 40)
    hop.wait(40, 40)
    relay.wait_empty()
    exactly_once(hop, 40)


def test_message_that_ends_every_connection_harms_no_other(run, relay_to):
    """Put off after a second connection died of it; its host is not taken for dead."""
    hop = run.hop(extensions=["SIZE"])
    hop.on("RCPT", disconnect(), when=lambda s: s.candidate == "poison@dest.test")
    relay = relay_to(hop, site={"connections": 1, "retry": ["1h"], "host_pause": "1h",
                                "host_pause_max": "1h"})
    send(relay)
    hop.wait(1)
    send(relay, recipients=["poison@dest.test"])
    relay.wait_account(1, type="TransientFailure", recipient="poison@dest.test")
    send(relay, 5)
    hop.wait(6)
    assert relay.queued() == 1


def test_recipients_share_a_transaction(hop, relay_to):
    recipients = [f"r{n}@dest.test" for n in range(50)]
    relay = relay_to(hop)
    send(relay, recipients=recipients)
    assert sorted(hop.wait(1)[0].recipients) == sorted(recipients)
    assert len(hop.commands("MAIL")) == 1


def test_recipients_of_several_domains_share_a_transaction(hop, relay_to, workers):
    """Domains of one site, or behind one smarthost; each recipient still has its own fate."""
    hop.on("RCPT", reply("450 4.2.0 later"), times=1,
           when=lambda s: s.candidate == "r2@d2.test")
    hop.on("RCPT", reply("550 5.1.1 unknown"), when=lambda s: s.candidate == "r4@d4.test")
    relay = relay_to(hop, workers=workers)
    recipients = [f"r{n}@d{n}.test" for n in range(10)]
    send(relay, recipients=recipients)
    relay.wait_empty()
    mails = [m.recipients for m in hop.accepted if m.sender]
    assert sorted(mails[0]) == [r for r in recipients if r[1] not in "24"]
    assert mails[1:] == [["r2@d2.test"]]
    records = {r["recipient"]: r for r in relay.wait_account(9, type="Delivery",
                                                             sender="a@source.test")}
    assert {r["queue"] for r in records.values()} == {a[3:] for a in records}
    assert records["r2@d2.test"]["num_attempts"] == 2
    assert relay.account(type="Bounce")[0]["recipient"] == "r4@d4.test"


def test_recipients_of_many_domains_keep_to_the_limit(run, relay_to):
    hop = run.hop(extensions=[*EXTENSIONS, "LIMITS RCPTDOMAINMAX=3"])
    relay = relay_to(hop, site={"recipients_per_transaction": 8})
    recipients = [f"r{n}@d{n % 20}.test" for n in range(50)]
    send(relay, recipients=recipients)
    relay.wait_empty()
    assert sorted(a for m in hop.accepted for a in m.recipients) == sorted(recipients)
    for message in hop.accepted:
        assert len(message.recipients) <= 8
        assert len({a.split("@")[1] for a in message.recipients}) <= 3


def test_recipients_per_transaction(hop, relay_to):
    recipients = [f"r{n}@dest.test" for n in range(50)]
    relay = relay_to(hop, site={"recipients_per_transaction": 8})
    send(relay, recipients=recipients)
    hop.wait(7)
    assert max(len(m.recipients) for m in hop.accepted) == 8
    assert sorted(a for m in hop.accepted for a in m.recipients) == sorted(recipients)


@pytest.mark.parametrize("text", ["452 4.5.3 too many recipients", "552 5.5.3 too many recipients"])
@pytest.mark.parametrize("extensions", [["SIZE"], BY_DATA, EXTENSIONS],
                         ids=["plain", "pipelining", "chunking"])
def test_receiver_takes_only_some_recipients(run, relay_to, text, extensions):
    """RFC 5321 section 4.5.3.1.10: 552 means 452 here; the rest follows at once, nobody bounces."""
    hop = run.hop(extensions=extensions)
    hop.on("RCPT", reply(text), when=lambda s: len(s.message.recipients) >= 10)
    recipients = [f"r{n}@dest.test" for n in range(35)]
    relay = relay_to(hop)
    send(relay, recipients=recipients)
    hop.wait(4, 20)
    relay.wait_empty()
    assert sorted(a for m in hop.accepted for a in m.recipients) == sorted(recipients)
    assert not relay.account(type="Bounce")


def test_recipient_limit_of_the_next_hop_is_obeyed(run, relay_to):
    """RFC 9422."""
    hop = run.hop(extensions=[*EXTENSIONS, "LIMITS RCPTMAX=5 MAILMAX=3"])
    relay = relay_to(hop, site={"connections": 1})
    send(relay, 2, recipients=[f"r{n}@dest.test" for n in range(12)])
    until(lambda: sum(len(m.recipients) for m in hop.accepted) == 24, 15, "24 recipients")
    assert max(len(m.recipients) for m in hop.messages) == 5
    assert all(s.finished <= 3 for s in hop.sessions)


def test_messages_per_second(hop, relay_to, workers):
    relay = relay_to(hop, workers=workers, site={"messages_per_second": 10})
    began = time.monotonic()
    send(relay, 30)
    hop.wait(30, 20)
    assert time.monotonic() - began > 2.0
    times = sorted(m.time for m in hop.accepted)
    for first, later in zip(times, times[15:]):
        assert later - first > 0.8  # never many more than ten in a second


def test_rate_does_not_slow_other_sites(run, relay_to):
    slow, fast = run.hop(), run.hop()
    relay = relay_to(fast, started=False)
    relay.config.route("slow.test", slow.where)
    relay.config.site("slow.test", **{**relay.config.sites["default"], "messages_per_second": 1})
    relay.start()
    with relay.session() as client:
        for number in range(50):
            client.mail(mail.message(f"s{number}"), recipients=["b@slow.test"])
        for number in range(50):
            client.mail(mail.message(f"n{number}"), recipients=["b@fast.test"])
    fast.wait(50, 10)
    assert len(slow.accepted) < 20


def test_receiver_that_refuses_more_connections(run, relay_to):
    """Others work: so it is a limit, and no reason to put the mail off."""
    hop = run.hop(extensions=BY_DATA)
    hop.on("CONNECT", disconnect_after("421 4.7.0 too many connections from you"),
           when=lambda s: hop.open_now > 2)
    hop.on("DOT", late(0.01))
    relay = relay_to(hop, site={"connections": 10})
    send(relay, 100)
    hop.wait(100, 30)
    relay.wait_empty()
    exactly_once(hop, 100)
    assert len(relay.account(type="TransientFailure")) <= 20
