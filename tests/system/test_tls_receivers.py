# SPDX-License-Identifier: Apache-2.0
"""Deliveries by TLS to real receivers: Postfix's smtpd with and without Dovecot, each policy with
each certificate, and what happens when there is no way that the policy allows.
"""
import pytest
from harness import mail
from harness.actions import reply
from harness.certificates import Authority, self_signed
from harness.postfix import sasl_server, tls_client, tls_server
from harness.raw_client import RawClient
from harness.tls import server_context
from harness.wait import stays

POLICIES = ["none", "may", "encrypt", "verify"]
CERTIFICATES = ["good", "expired", "self-signed", "wrong-name", "unknown-issuer"]


@pytest.fixture(scope="module")
def shown(ca, tmp_path_factory):
    """Certificates of receivers, by what is wrong with them."""
    folder = tmp_path_factory.mktemp("receivers")
    return {"good": ca.issue("mx.dest.test", addresses=()),
            "expired": ca.issue("mx.dest.test", expired=True, addresses=()),
            "self-signed": self_signed(folder, "mx.dest.test"),
            "wrong-name": ca.issue("other.test", addresses=()),
            "unknown-issuer": Authority(folder / "ca", "Another CA").issue("mx.dest.test")}


@pytest.fixture(scope="module")
def name_server(run_module):
    return run_module.nsd({"dest.test": "@ MX 10 mx\nmx A 127.0.0.1"})


@pytest.fixture
def config_to(run, ca, name_server):
    """config_to(hop, policy): mail for dest.test goes to the MX host mx.dest.test, the hop."""
    def make(hop, policy, workers=2, **site):
        config = run.config(workers).change("top", resolver=[name_server.where])
        return config.site(tls=policy, tls_trust=ca.pem, port=hop.port, **site)
    return make


def send(relay, count=1, subject="test"):
    with relay.session() as client:
        for _ in range(count):
            client.mail(mail.message(subject))


def failure(relay):
    return relay.wait_account(1, type="TransientFailure")[0]


# ---- each policy with each certificate ----------------------------------------------------------


@pytest.mark.parametrize("wrong", CERTIFICATES)
@pytest.mark.parametrize("policy", POLICIES)
def test_policy_and_certificate(run, shown, policy, wrong, config_to):
    hop = run.hop(tls=server_context(shown[wrong]))
    relay = run.ringpost(config_to(hop, policy))
    send(relay)
    if policy == "verify" and wrong != "good":
        told = failure(relay)["response"]
        assert told["enhanced_code"] == {"class": 4, "subject": 7, "detail": 5}
        assert {"expired": "expired", "self-signed": "self-signed", "wrong-name": "mismatch",
                "unknown-issuer": "issuer"}[wrong] in told["content"], told
        assert not hop.accepted
        return
    session = hop.wait(1)[0].session
    assert bool(session.tls) == (policy != "none")
    delivery = relay.wait_account(1, type="Delivery")[0]
    if policy == "none":
        assert "tls_cipher" not in delivery
        return
    assert session.tls.server_name == "mx.dest.test"
    assert delivery["tls_cipher"] == session.tls.cipher
    assert delivery["tls_protocol_version"] == session.tls.version
    assert delivery["delivery_protocol"] == "ESMTPS"


@pytest.mark.parametrize("policy", POLICIES)
def test_no_starttls_offered(run, hop, policy, config_to):
    relay = run.ringpost(config_to(hop, policy))
    send(relay)
    if policy in ("none", "may"):
        assert not hop.wait(1)[0].session.tls
        return
    told = failure(relay)["response"]
    assert told["enhanced_code"] == {"class": 4, "subject": 7, "detail": 5}, told
    assert not hop.accepted and not hop.commands("MAIL")


@pytest.mark.parametrize("policy", ["may", "encrypt", "verify"])
@pytest.mark.parametrize("answer", ["454", "502", "garbage", "old"])
def test_tls_that_fails(run, shown, policy, answer, config_to):
    """`may` goes on in clear, and remembers; the others never do."""
    old = {"minimum": "1.0", "maximum": "1.1"} if answer == "old" else {}
    hop = run.hop(tls=Garbage() if answer == "garbage" else server_context(shown["good"], **old))
    if answer in ("454", "502"):
        hop.on("STARTTLS", reply(f"{answer} {answer[0]}.7.0 no TLS"))
    relay = run.ringpost(config_to(hop, policy, host_pause="1s"))
    send(relay)
    if policy == "may":
        assert not hop.wait(1)[0].session.tls
        tried = len(hop.commands("STARTTLS"))
        assert tried == 1
        send(relay, subject="second")
        hop.wait(2)
        return
    told = failure(relay)["response"]
    assert told["enhanced_code"] == {"class": 4, "subject": 7, "detail": 5}, told
    stays(lambda: not hop.commands("MAIL"), 1, "no MAIL in clear")


class Garbage:
    """In the place of an ssl.SSLContext: what comes back is no TLS."""

    @staticmethod
    def wrap_socket(connection, **_options):
        connection.sendall(b"HTTP/1.0 400 what is this?\r\n\r\n")
        connection.recv(65536)
        raise OSError("garbage sent")


def test_never_in_clear_until_it_expires(run, hop, config_to):
    """A policy that cannot be met ends as a bounce, to the sender."""
    config = config_to(hop, "encrypt", expiry="3s")
    config.route("source.test", hop.where).site("source.test", tls="may")
    relay = run.ringpost(config)
    send(relay)
    notice = mail.Dsn(hop.wait_dsn(1, 30)[0].data)
    fields = notice.recipient("b@dest.test")
    assert fields["Action"] == "failed" and fields["Status"].startswith("4.7.5")
    assert not [m for m in hop.accepted if m.sender]


# ---- Postfix ------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["may", "encrypt", "verify"])
def test_postfix_that_requires_tls(run, hop, shown, policy, config_to):
    postfix = run.postfix(hop.where, **tls_server(shown["good"], "encrypt"))
    relay = run.ringpost(config_to(postfix, policy))
    send(relay, 20)
    hop.wait(20, 40)
    assert "TLS connection established from" in postfix.log()
    relay.wait_empty()
    assert all(record["delivery_protocol"] == "ESMTPS"
               for record in relay.wait_account(20, type="Delivery"))


def test_postfix_that_asks_for_our_certificate(run, hop, ca, shown, config_to):
    own = ca.issue("relay.test")
    postfix = run.postfix(hop.where, smtpd_tls_CAfile=ca.pem, smtpd_tls_ask_ccert="yes",
                          **tls_server(shown["good"], "encrypt", smtpd_tls_req_ccert="yes"))
    relay = run.ringpost(config_to(postfix, "encrypt", tls_certificate=own.chain,
                                   tls_key=own.key))
    send(relay)
    message = hop.wait(1, 30)[0]
    assert 'Client CN "relay.test"' in message.header.decode(), message.header
    assert "Trusted TLS connection established from" in postfix.log()


def test_postfix_resumes_our_sessions(run, hop, shown, workers, config_to):
    """Each message on a connection of its own: only the first handshake of a host is a full one."""
    postfix = run.postfix(hop.where, **tls_server(
        shown["good"], "encrypt", smtpd_tls_loglevel=2,
        smtpd_tls_session_cache_database="btree:${data_directory}/smtpd_scache"))
    relay = run.ringpost(config_to(postfix, "verify", workers, connections=1,
                                   messages_per_connection=1))
    send(relay, 10)
    hop.wait(10, 60)
    relay.wait_empty()
    assert (relay.counter("tls_out"), relay.counter("tls_out_resumed")) == (10, 9)


def test_smarthost_with_tls_and_a_password(run, hop, ca, workers):
    dovecot = run.dovecot({"relay": "its word"})
    postfix = run.postfix(hop.where, **tls_server(ca.issue("smart.test"), "encrypt"),
                          **sasl_server(dovecot))
    config = run.config(workers).site(tls="verify", tls_trust=ca.pem)
    config.route("*", postfix.where)
    config.routes["*"].update(user="relay", password="its word")
    relay = run.ringpost(config)
    send(relay, 10)
    hop.wait(10, 40)
    assert "sasl_username=relay" in postfix.log()


def test_smarthost_with_tls_from_the_first_octet(run, hop, ca):
    dovecot = run.dovecot({"relay": "its word"})
    postfix = run.postfix(hop.where, **tls_server(ca.issue("smart.test"), "encrypt"),
                          **sasl_server(dovecot))
    config = run.config().site(tls="verify", tls_trust=ca.pem)
    config.route("*", f"127.0.0.1:{postfix.tls_port}")
    config.routes["*"].update(tls="implicit", user="relay", password="its word")
    relay = run.ringpost(config)
    send(relay, 3)
    hop.wait(3, 40)
    assert all(record["delivery_protocol"] == "ESMTPSA"
               for record in relay.wait_account(3, type="Delivery"))


def test_smarthost_that_does_not_know_the_password(run, hop, ca):
    dovecot = run.dovecot({"relay": "its word"})
    postfix = run.postfix(hop.where, **tls_server(ca.issue("smart.test"), "encrypt"),
                          **sasl_server(dovecot))
    config = run.config().site(tls="encrypt", tls_trust=ca.pem, retry=["20s"])
    config.route("*", postfix.where)
    config.routes["*"].update(user="relay", password="another")
    relay = run.ringpost(config)
    send(relay)
    told = failure(relay)["response"]
    assert "cannot authenticate as relay: 535" in told["content"], told
    assert relay.queued() == 1 and not hop.sessions
    assert "another" not in relay.log()


def test_postfix_in_the_middle_of_both(run, hop, ca, shown, certificate, config_to):
    """Postfix -> Ringpost -> Postfix, TLS all the way: content as it was."""
    last = run.postfix(hop.where, **tls_server(shown["good"], "encrypt"))
    config = config_to(last, "verify").secure(certificate, require_tls=True)
    relay = run.ringpost(config)
    first = run.postfix(config.where, **tls_client(ca, "secure",
                                                   smtp_tls_secure_cert_match="relay.test"))
    content = mail.message("long way", mail.body_of_size(300_000))
    with RawClient(first.port) as client:
        client.ehlo()
        for _ in range(5):
            client.mail(content)
    for message in hop.wait(5, 60):
        assert mail.without_trace(message.data) == content
        assert message.header.decode().count(" with ESMTPS ") == 2
    relay.wait_empty()
