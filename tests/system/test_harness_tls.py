# SPDX-License-Identifier: Apache-2.0
"""The TLS and AUTH parts of the harness against real programs, without ringpost: Postfix with
Dovecot, swaks, posttls-finger, gsasl, s_client and the scripted next hop, each with the other.
"""
import re
import ssl

import pytest
from harness import mail
from harness.certificates import self_signed
from harness.postfix import sasl_client, sasl_server, tls_client, tls_server
from harness.raw_client import RawClient
from harness.scram import Scram
from harness.tls import Tunnel, client_context, in_pieces, server_context
from harness.tools import SClient, gsasl, posttls_finger, swaks


@pytest.fixture(scope="module")
def postfix(run_module, ca, certificate):
    """A Postfix that relays for joe only, and only over TLS."""
    dovecot = run_module.dovecot({"joe": "secret word"})
    return run_module.postfix(**tls_server(certificate, "encrypt"), **sasl_server(dovecot))


@pytest.fixture
def tls_hop(run, certificate):
    return run.hop(tls=server_context(certificate), users={"joe": "secret"}, needs=("TLS", "AUTH"))


def test_postfix_wants_tls_and_a_user(postfix, ca):
    with RawClient(postfix.port) as client:
        client.ehlo()
        client.ok("MAIL FROM:<a@source.test>", 530)
        client.starttls(client_context(ca))
        assert "AUTH PLAIN LOGIN" in client.ehlo().texts
        client.ok("MAIL FROM:<a@source.test>")
        client.ok("RCPT TO:<b@dest.test>", 554)
        client.ok("RSET")
        assert client.auth_plain("joe", "wrong").code == 535
        assert client.auth_login("joe", "secret word").code == 235
        client.mail(mail.message())


def test_postfix_with_tls_from_the_first_octet(postfix, ca):
    with RawClient(postfix.tls_port, tls=client_context(ca)) as client:
        client.ehlo()
        assert client.auth_plain("joe", "secret word").code == 235


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_swaks_logs_in(postfix, mechanism):
    code, transcript = swaks(postfix.port, "--tls", "--auth", mechanism, "--auth-user", "joe",
                             "--auth-password", "secret word", "--to", "b@dest.test")
    assert code == 0, transcript
    assert re.search(r"TLS started with cipher TLSv1\.[23]", transcript)


def test_gsasl_logs_in(postfix, ca):
    code, transcript = gsasl(postfix.port, "PLAIN", "joe", "secret word", ca)
    assert code == 0, transcript
    code, transcript = gsasl(postfix.port, "PLAIN", "joe", "wrong", ca)
    assert code != 0, transcript


def test_posttls_finger_verifies(postfix, ca, tmp_path):
    told = posttls_finger(tmp_path, postfix.port, ca)
    assert "Verified TLS connection established" in told, told
    told = posttls_finger(tmp_path, postfix.port, ca, match=("other.test",))
    assert "hostname mismatch" in told and "Untrusted TLS connection established" in told, told


def test_s_client_is_typed_at(postfix, ca):
    with SClient(postfix.port, "-CAfile", ca.pem, "-verify_return_error", "-crlf") as client:
        client.wait("Verify return code: 0")
        client.type("EHLO there\n")
        client.wait("AUTH PLAIN LOGIN")
        client.type("QUIT\n")  # its own command, too: Q
        assert client.rest()[0] == 0


def test_postfix_sends_to_the_hop_with_tls_and_auth(run, ca, tls_hop):
    relay = run.postfix(tls_hop.where, **tls_client(ca, "encrypt"), **sasl_client("joe", "secret"))
    with RawClient(relay.port) as client:
        client.ehlo()
        client.mail(mail.message())
    session = tls_hop.wait(1)[0].session
    assert session.tls.version == "TLSv1.3" and session.user == "joe"


@pytest.mark.parametrize("kind", ["expired", "self-signed", "wrong-name", "rsa", "good"])
def test_clients_see_what_is_wrong(run, ca, kind, tmp_path):
    shown = {"expired": lambda: ca.issue("relay.test", expired=True),
             "self-signed": lambda: self_signed(tmp_path, "relay.test"),
             "wrong-name": lambda: ca.issue("other.test"),
             "rsa": lambda: ca.issue("relay.test", kind="rsa"),
             "good": lambda: ca.issue("relay.test")}[kind]()
    hop = run.hop(tls=server_context(shown))
    with RawClient(hop.port) as client:
        client.ehlo()
        if kind in ("rsa", "good"):
            client.starttls(client_context(ca))
            assert client.socket.getpeercert(True) == shown.der
            return
        with pytest.raises(ssl.SSLCertVerificationError, match={
                "expired": "expired", "self-signed": "self.signed",
                "wrong-name": "mismatch"}[kind]):
            client.starttls(client_context(ca))


def test_hop_with_tls_and_auth(tls_hop, ca):
    with RawClient(tls_hop.port) as client:
        assert "STARTTLS" in client.ehlo().texts
        client.ok("MAIL FROM:<>", 530)
        client.ok("AUTH PLAIN", 334)
        client.ok("!", 501)
        client.starttls(client_context(ca))
        assert {"STARTTLS", "AUTH PLAIN LOGIN"} & set(client.ehlo().texts) == {"AUTH PLAIN LOGIN"}
        client.ok("MAIL FROM:<>", 530)
        assert client.auth_login("joe", "wrong").code == 535
        assert client.auth_login("joe", "secret").code == 235
        client.ok("AUTH PLAIN", 503)
        client.mail(mail.message())
    assert tls_hop.accepted[0].session.user == "joe"


def test_hop_sees_what_came_behind_starttls(tls_hop):
    with RawClient(tls_hop.port) as client:
        client.send("STARTTLS\r\nRSET\r\n")
        assert client.reply().code == 220
        client.secure(client_context())
        assert "AUTH PLAIN LOGIN" in client.ehlo().texts
    assert tls_hop.sessions[0].behind == b"RSET\r\n"


def test_hop_resumes_and_asks_for_certificates(run, ca, certificate):
    hop = run.hop(tls=server_context(certificate, ca, maximum="1.2"))
    context = client_context(ca, ca.issue("client.test"))
    with RawClient(hop.port) as client:
        client.starttls(context)
        client.ehlo()
        session = client.socket.session
    with RawClient(hop.port) as client:
        client.starttls(context, session=session)
        client.ehlo()
        assert client.socket.session_reused and client.socket.version() == "TLSv1.2"
    facts = [(s.tls.resumed, s.tls.version, s.tls.client, s.tls.server_name) for s in hop.sessions]
    assert facts == [(False, "TLSv1.2", "client.test", "relay.test"),
                     (True, "TLSv1.2", "client.test", "relay.test")]
    with RawClient(hop.port) as client, pytest.raises((OSError, EOFError)):
        client.starttls(client_context(ca))
        client.ehlo()


def test_tunnel_in_single_octets(tls_hop, ca):
    with RawClient(tls_hop.port) as client:
        client.ok("STARTTLS", 220)
        client.socket = Tunnel(client.socket, client_context(ca),
                               how=in_pieces(client.socket)).handshake()
        client.ehlo()
        assert client.auth_plain("joe", "secret").code == 235
        client.mail(mail.message())
        assert sum(map(len, client.socket.flights)) > 800


def test_old_versions_can_be_spoken(run, certificate):
    hop = run.hop(tls=server_context(certificate, minimum="1.0", maximum="1.1"))
    with RawClient(hop.port) as client:
        client.starttls(client_context(minimum="1.0", maximum="1.1"))
        assert client.socket.version() == "TLSv1.1"


def test_scram_client_knows_the_vector():
    """RFC 7677 section 3."""
    server = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    client = Scram("user", "pencil")
    assert client.first() == "n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
    assert client.final(server).endswith(",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
    client.check("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")
