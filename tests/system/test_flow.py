# SPDX-License-Identifier: Apache-2.0
"""Mail in bulk through the whole relay: nothing lost, nothing doubled.

smtp-source and smtp-sink come from Debian's postfix; messages with ids of our own where it has to
be exact which one arrived.
"""
import collections
import re

import pytest
from harness import mail
from harness.sender import Sender
from harness.tools import smtp_source, swaks
from harness.wait import until


def ids_of(sink):
    return collections.Counter(re.findall(rb"(?mi)^Message-Id: (<[^>]+>)", sink.dump()))


@pytest.mark.parametrize("per_connection", [True, False], ids=["one-session", "session-each"])
def test_smtp_source_to_smtp_sink(run, relay_to, workers, per_connection):
    sink = run.sink()
    relay = relay_to(sink, workers)
    count = 3000 if per_connection else 1000
    smtp_source(relay.port, count, sessions=20, per_connection=per_connection)
    sink.wait_mails(count)
    relay.wait_empty()
    ids = ids_of(sink)
    assert len(ids) == count and set(ids.values()) == {1}
    assert relay.counter("messages_received") == relay.counter("delivered") == count
    assert relay.counter("messages_refused") == relay.counter("transient_failures") == 0


@pytest.mark.heavy
def test_ten_thousand(run, relay_to, workers):
    sink = run.sink()
    relay = relay_to(sink, workers)
    smtp_source(relay.port, 10000, sessions=50)
    sink.wait_mails(10000, 120)
    ids = ids_of(sink)
    assert len(ids) == 10000 and set(ids.values()) == {1}


@pytest.mark.heavy
def test_one_megabyte_messages(run, relay_to, workers):
    sink = run.sink()
    relay = relay_to(sink, workers)
    smtp_source(relay.port, 60, sessions=6, length=1 << 20)
    sink.wait_mails(60)
    relay.wait_empty()
    ids = ids_of(sink)
    assert len(ids) == 60 and set(ids.values()) == {1}


def test_fifty_recipients(run, relay_to, workers):
    """One transaction for the fifty."""
    sink = run.sink()
    relay = relay_to(sink, workers)
    smtp_source(relay.port, 100, sessions=5, recipients=50)
    sink.wait_mails(100)
    relay.wait_empty()
    assert sink.mails() == 100 and len(sink.rcpts()) == 5000
    assert relay.counter("delivered") == 5000
    assert relay.counter("transactions_out") == 100


@pytest.mark.parametrize("use_bdat", [False, True], ids=["data", "bdat"])
def test_unique_ids(run, hop, relay_to, workers, use_bdat):
    relay = relay_to(hop, workers)
    body = mail.body_of_size(4000)
    sender = Sender(relay.port, threads=8, total=1000, body=body, use_bdat=use_bdat,
                    domains=[f"d{n}.test" for n in range(20)])
    sender.start().join()
    assert len(sender.acknowledged) == 1000 and not sender.refused and not sender.errors
    hop.wait(1000, 40)
    relay.wait_empty()
    got = collections.Counter(m.recipients[0].split("@")[0] for m in hop.accepted)
    assert got == collections.Counter(sender.acknowledged.keys())
    for message in hop.accepted:
        name = message.recipients[0].split("@")[0]
        assert mail.without_trace(message.data) == sender.content(name)


def test_sink_that_drops_connections(run, relay_to):
    """smtp-sink hangs up after some messages (-q QUIT would be too kind): all arrive in the end."""
    sink = run.sink(options=["-Q", "RSET", "-m", "5"])
    relay = relay_to(sink, site={"connections": 20})
    smtp_source(relay.port, 500, sessions=10)
    sink.wait_mails(500)
    relay.wait_empty()
    assert set(ids_of(sink).values()) == {1}


@pytest.mark.parametrize("options", [["-e"], ["-p"], ["-P"], ["-E", "-N", "-8"], ["-a", "-C", "-F"]],
                         ids=["no-esmtp", "no-pipelining", "pix", "no-extensions", "other"])
def test_sinks_of_many_kinds(run, relay_to, options):
    sink = run.sink(options=options)
    relay = relay_to(sink)
    smtp_source(relay.port, 50, sessions=5)
    sink.wait_mails(50)
    relay.wait_empty()
    assert set(ids_of(sink).values()) == {1}


def test_ids_are_unique_and_in_the_account(run, hop, relay_to, workers):
    relay = relay_to(hop, workers)
    sender = Sender(relay.port, threads=4, total=300).start().join()
    hop.wait(300)
    receptions = relay.wait_account(300, type="Reception")
    deliveries = relay.wait_account(300, type="Delivery")
    ids = {record["id"] for record in receptions}
    assert len(ids) == 300 == len(sender.acknowledged)
    assert {record["id"] for record in deliveries} == ids
    assert {record["recipient"] for record in deliveries} == \
        {f"{name}@dest.test" for name in sender.acknowledged}


# ---- swaks --------------------------------------------------------------------------------------


def test_swaks(hop, relay_to):
    relay = relay_to(hop)
    code, transcript = swaks(relay.port, "--to", "b@dest.test,c@dest.test", "--from",
                             "a@source.test", "--header", "Subject: by swaks", "--body", "hello")
    assert code == 0, transcript
    message = hop.wait(1)[0]
    assert sorted(message.recipients) == ["b@dest.test", "c@dest.test"]
    assert message.field("Subject") == ["by swaks"]


def test_swaks_pipelining_and_8bit(hop, relay_to):
    relay = relay_to(hop)
    code, transcript = swaks(relay.port, "--to", "b@dest.test", "--pipeline", "--body", "grüße",
                             "--from", "<>")
    assert code == 0, transcript
    assert "grüße".encode() in hop.wait(1)[0].body


def test_swaks_is_refused(run, hop, relay_to):
    relay = relay_to(hop, listener={"relay_from": ["192.0.2.0/24"]})
    code, transcript = swaks(relay.port, "--to", "b@dest.test", "--from", "a@source.test")
    assert code == 24 and "550 5.7.1" in transcript, (code, transcript)


def test_swaks_quits_at_each_step(hop, relay_to):
    relay = relay_to(hop)
    for step in ("connect", "first-helo", "mail", "rcpt"):
        code, transcript = swaks(relay.port, "--to", "b@dest.test", "--from", "a@source.test",
                                 "--quit-after", step)
        assert code == 0, transcript
    for step in ("connect", "mail", "rcpt", "data"):
        swaks(relay.port, "--to", "b@dest.test", "--from", "a@source.test", "--drop-after", step)
    assert relay.session().ehlo().code == 250
    until(lambda: relay.counter("sessions_in") <= 1, 10, "the dropped sessions to end")
