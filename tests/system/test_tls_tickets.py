# SPDX-License-Identifier: Apache-2.0
"""TLS over time: tickets that any worker takes, their keys rotating, certificates that change."""
import os
import shutil
import signal
import time

import pytest
from harness import mail
from harness.clock import Clock, is_sanitized
from harness.raw_client import RawClient
from harness.tls import client_context
from harness.wait import until

VERSIONS = ["1.2", "1.3"]


def connect(relay, context, session=None):
    client = RawClient(relay.port)
    client.ehlo()
    client.starttls(context, session=session)
    client.ehlo()
    return client


def ticket(relay, context):
    """The session that a full handshake leaves. (With TLS 1.3 it comes with what is read first.)"""
    with connect(relay, context) as client:
        assert not client.socket.session_reused
        return client.socket.session


def resumes(relay, context, session):
    with connect(relay, context, session) as client:
        client.mail(mail.message())
        return client.socket.session_reused


# ---- tickets ------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
def test_every_worker_takes_the_ticket(hop, ca, secure_relay, workers, version):
    relay = secure_relay(hop, workers)
    context = client_context(ca, maximum=version)
    session = ticket(relay, context)
    # The kernel spreads connections over the workers: all of four had one of 24 (in 99.6 % of runs).
    assert [resumes(relay, context, session) for _ in range(24)] == [True] * 24


@pytest.mark.parametrize("version", VERSIONS)
def test_tickets_outlive_a_reload(hop, ca, secure_relay, version):
    relay = secure_relay(hop)
    context = client_context(ca, maximum=version)
    session = ticket(relay, context)
    relay.reload()
    relay.wait_log("reloaded")
    assert resumes(relay, context, session)


@pytest.mark.parametrize("version", VERSIONS)
def test_ticket_of_another_life(hop, ca, secure_relay, version):
    """A new process has other keys: a full handshake, no error."""
    relay = secure_relay(hop)
    context = client_context(ca, maximum=version)
    session = ticket(relay, context)
    relay.restart()
    assert not resumes(relay, context, session)
    assert resumes(relay, context, ticket(relay, context))


@pytest.mark.parametrize("version", VERSIONS)
def test_ticket_of_another_relay(hop, ca, secure_relay, version):
    context = client_context(ca, maximum=version)
    session = ticket(secure_relay(hop), context)
    assert not resumes(secure_relay(hop), context, session)


@pytest.fixture
def timed(hop, secure_relay, binary):
    """A relay and its clock, which begins five minutes behind a full hour: that is when keys change.
    """
    if is_sanitized(binary):
        pytest.skip("sanitizers want to be the first library")
    relay = secure_relay(hop, started=False)
    clock = Clock(relay)
    begin = 3600 + 300 - int(time.time()) % 3600
    clock.ahead(begin)
    return relay.start(), lambda hours: clock.ahead(begin + 3600 * hours)


@pytest.mark.parametrize("version", VERSIONS)
def test_keys_rotate(timed, ca, version):
    """A key serves an hour and is accepted for one more; then its tickets mean a full handshake."""
    (relay, after), context = timed, client_context(ca, maximum=version)
    session = ticket(relay, context)
    assert resumes(relay, context, session)
    after(1)
    assert resumes(relay, context, session)
    newer = ticket(relay, context)
    after(2)
    assert not resumes(relay, context, session)
    assert resumes(relay, context, newer)
    after(5)
    assert not resumes(relay, context, newer)
    assert resumes(relay, context, ticket(relay, context))


# ---- certificates that change -------------------------------------------------------------------


@pytest.fixture
def own(hop, ca, secure_relay, tmp_path):
    """A relay whose certificate's files are its own: own.put(certificate) replaces them."""
    names = [str(tmp_path / name) for name in ("chain.pem", "key.pem")]

    class Files:
        chain, key = names

        @staticmethod
        def put(certificate):
            for source, target in zip((certificate.chain, certificate.key), names):
                shutil.copy(source, target + ".new")
                os.rename(target + ".new", target)
            return certificate

    Files.put(ca.issue("relay.test"))
    relay = secure_relay(hop, certificates=(Files,))
    relay.files = Files
    return relay


def shown(relay, ca):
    with connect(relay, client_context(ca)) as client:
        return client.socket.getpeercert(True)


def test_new_certificate_in_the_middle_of_data(hop, ca, own):
    old, context = shown(own, ca), client_context(ca)
    with connect(own, context) as client:
        client.envelope()
        client.ok("DATA", 354)
        client.send(mail.message("began", b"one\r\n"))
        new = own.files.put(ca.issue("relay.test"))
        own.signal(signal.SIGHUP)
        until(lambda: shown(own, ca) == new.der, 15, "the new certificate")
        client.send("two\r\n.\r\n")
        assert client.reply().code == 250
        assert client.socket.getpeercert(True) == old != new.der
        client.mail(mail.message("after"))
    assert {m.field("Subject")[0] for m in hop.wait(2)} == {"began", "after"}
    assert hop.accepted[0].body == b"one\r\ntwo\r\n"


@pytest.mark.parametrize("wrong", ["empty", "garbage", "missing", "key-of-another", "no-key",
                                   "locked"])
def test_bad_certificate_keeps_the_old_one(hop, ca, own, wrong):
    old = shown(own, ca)
    chain, key = own.files.chain, own.files.key
    if wrong == "empty":
        open(chain, "w", encoding="ascii").close()
    elif wrong == "garbage":
        with open(chain, "w", encoding="ascii") as out:
            out.write("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    elif wrong == "missing":
        os.unlink(chain)
    elif wrong == "key-of-another":
        shutil.copy(ca.issue("relay.test").key, key)
    elif wrong == "no-key":
        os.unlink(key)
    else:
        with open(key, "w", encoding="ascii") as out:
            out.write("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n"
                      "-----END ENCRYPTED PRIVATE KEY-----\n")
    with connect(own, client_context(ca)) as client:
        client.envelope()
        own.signal(signal.SIGHUP)
        own.wait_log("has errors: the old configuration stays")
        assert os.path.basename(key if "key" in wrong or wrong == "locked" else chain) in own.log()
        assert client.data(mail.message()).code == 250
    assert shown(own, ca) == old
    hop.wait(1)
    own.files.put(ca.issue("relay.test"))
    own.reload()
    until(lambda: shown(own, ca) != old, 15, "the new certificate")


def test_tls_comes_and_goes_by_reload(hop, ca, own):
    settings = dict(next(iter(own.config.listeners.values())))
    own.config.listener(tls=None, certificate=None, key=None)
    own.reload()

    def offers():
        with own.session() as client:
            return "STARTTLS" in client.ehlo().texts
    until(lambda: not offers(), 10, "no STARTTLS")
    own.config.listener(**settings)
    own.reload()
    until(offers, 10, "STARTTLS again")
    assert shown(own, ca)
