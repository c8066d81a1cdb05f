# SPDX-License-Identifier: Apache-2.0
"""Real clients hand mail in by TLS: s_client, swaks, posttls-finger, Postfix's smtp, Python's ssl.

Each is asked what it thinks of the certificate, and the mail is looked at behind the relay.
"""
import re
import ssl

import pytest
from harness import mail
from harness.certificates import self_signed
from harness.postfix import tls_client
from harness.raw_client import RawClient, stuff
from harness.tls import client_context
from harness.tools import SClient, posttls_finger, swaks
from harness.wait import until

KINDS = ["starttls", "implicit"]
# What posttls-finger and Postfix do when the server is to be verified.
SECURE = {"smtp_tls_secure_cert_match": "relay.test", "smtp_tls_loglevel": "1"}


def connect(relay, context, name="relay.test", session=None):
    """A client in TLS, whichever way the listener wants it."""
    if next(iter(relay.config.listeners.values()))["tls"] == "implicit":
        return RawClient(relay.port, tls=context, name=name, session=session)
    client = RawClient(relay.port)
    client.ehlo()
    return client.starttls(context, name, session)


def trace_of(message):
    """Our Received field."""
    return message.field("Received")[0]


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


# ---- openssl s_client ---------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["ecdsa", "rsa"])
@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_s_client_hands_in_a_message(hop, ca, secure_relay, kind, version, key):
    relay = secure_relay(hop, certificates=(ca.issue("relay.test", kind=key),), tls=kind)
    with SClient(relay.port, "-CAfile", ca.pem, "-verify_return_error", "-verify_hostname",
                 "relay.test", "-crlf", "-tls" + version.replace(".", "_"),
                 starttls=kind == "starttls") as client:
        client.wait("Verify return code: 0")
        client.type("EHLO typist.test\n")
        client.wait(r"250 [A-Z0-9]+\r?\n")
        for line, answer in (("MAIL FROM:<a@source.test>", "250 2.1.0"),
                             ("rcpt to:<b@dest.test>", "250 2.1.5"),  # R alone would renegotiate
                             ("DATA", "354"), ("Subject: typed\n\nhello\n.", "250 2.0.0"),
                             ("quit", "221")):
            client.type(line + "\n")
            client.wait(r"(?m)^" + answer)
    message = hop.wait(1)[0]
    assert message.field("Subject") == ["typed"] and message.body == b"hello\r\n"
    assert " with ESMTPS " in trace_of(message)
    assert f"TLSv{version}" in trace_of(message)


# ---- swaks --------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["tlsv1_2", "tlsv1_3"])
def test_swaks_hands_in_a_message(hop, ca, secure_relay, kind, protocol):
    relay = secure_relay(hop, tls=kind)
    code, transcript = swaks(relay.port, "--tls" if kind == "starttls" else "--tls-on-connect",
                             "--tls-protocol", protocol, "--tls-ca-path", ca.pem, "--tls-verify",
                             "--tls-sni", "relay.test", "--to", "b@dest.test", "--from",
                             "a@source.test", "--header", "Subject: by swaks")
    assert code == 0, transcript
    cipher = re.search(r"TLS started with cipher (\S+):(\S+):\d+", transcript)
    assert cipher.group(1) == protocol.replace("tls", "TLS").replace("_", "."), transcript
    message = hop.wait(1)[0]
    assert message.field("Subject") == ["by swaks"]
    assert cipher.group(1) in trace_of(message) and cipher.group(2) in trace_of(message)


def test_swaks_without_tls_where_it_is_required(hop, secure_relay):
    relay = secure_relay(hop, require_tls=True)
    code, transcript = swaks(relay.port, "--to", "b@dest.test", "--from", "a@source.test")
    assert code != 0 and "530 5.7.0" in transcript, transcript
    assert not hop.sessions


# ---- Postfix ------------------------------------------------------------------------------------


def test_posttls_finger_verifies(hop, ca, secure_relay, tmp_path):
    relay = secure_relay(hop)
    told = posttls_finger(tmp_path, relay.port, ca)
    assert "Verified TLS connection established" in told, told


def test_posttls_finger_sees_a_wrong_name(hop, ca, secure_relay, tmp_path):
    relay = secure_relay(hop, certificates=(ca.issue("other.test"),))
    told = posttls_finger(tmp_path, relay.port, ca)
    assert "hostname mismatch" in told and "Untrusted TLS connection" in told, told


def test_postfix_delivers_through_the_relay(run, hop, ca, secure_relay, workers):
    relay = secure_relay(hop, workers, require_tls=True)
    postfix = run.postfix(relay.config.where, **tls_client(ca, "secure", **SECURE))
    content = mail.message("by-postfix", mail.body_of_size(100_000))
    with RawClient(postfix.port) as client:
        client.ehlo()
        for _ in range(20):
            client.mail(content)
    for message in hop.wait(20, 60):
        assert mail.without_trace(message.data) == content
        assert " with ESMTPS " in trace_of(message)
    assert "Verified TLS connection established to" in postfix.log()


def test_postfix_keeps_mail_from_a_relay_it_cannot_verify(run, hop, ca, secure_relay):
    relay = secure_relay(hop, certificates=(ca.issue("relay.test", expired=True),))
    postfix = run.postfix(relay.config.where, **tls_client(ca, "secure", **SECURE))
    with RawClient(postfix.port) as client:
        client.ehlo()
        client.mail(mail.message())
    until(lambda: "status=deferred (Server certificate not verified)" in postfix.log(), 30,
          postfix.log)
    assert not hop.sessions


# ---- certificates as clients see them -----------------------------------------------------------


@pytest.mark.parametrize("wrong, words", [("expired", "expired"), ("self-signed", "self.signed"),
                                          ("wrong-name", "mismatch"), ("no-chain", "unable to get")])
def test_clients_that_refuse_the_certificate(hop, ca, secure_relay, kind, wrong, words, tmp_path):
    good = ca.issue("relay.test")
    shown = {"expired": lambda: ca.issue("relay.test", expired=True),
             "self-signed": lambda: self_signed(tmp_path, "relay.test"),
             "wrong-name": lambda: ca.issue("other.test"),
             "no-chain": lambda: good.alone()}[wrong]()
    relay = secure_relay(hop, certificates=(shown,), tls=kind)
    with pytest.raises(ssl.SSLCertVerificationError, match=words):
        connect(relay, client_context(ca))
    with connect(relay, client_context()) as client:  # one that does not care
        assert client.socket.getpeercert(True) == shown.der
        client.ehlo()
        client.mail(mail.message())
    hop.wait(1)
    until(lambda: relay.counter("sessions_in") == 0, 10, "the end of the sessions")


def test_certificates_by_name(hop, ca, secure_relay, kind):
    first, second = ca.issue("relay.test"), ca.issue("second.test", "third.test")
    starred = ca.issue("*.stars.test")
    relay = secure_relay(hop, certificates=(first, second, starred), tls=kind)
    for name, expected in (("relay.test", first), ("second.test", second), ("THIRD.test", second),
                           ("a.stars.test", starred), ("stars.test", first),
                           ("a.b.stars.test", first), ("unknown.test", first), (None, first),
                           ("x" * 63 + ".test", first)):
        with connect(relay, client_context(), name) as client:
            assert client.socket.getpeercert(True) == expected.der, name


def test_rsa_and_ecdsa_for_one_name(hop, ca, secure_relay):
    ecdsa, rsa = ca.issue("relay.test"), ca.issue("relay.test", kind="rsa")
    relay = secure_relay(hop, certificates=(ecdsa, rsa))
    for ciphers, expected in (("ECDHE+aRSA", rsa), ("ECDHE+aECDSA", ecdsa)):
        with connect(relay, client_context(ca, maximum="1.2", ciphers=ciphers)) as client:
            assert client.socket.getpeercert(True) == expected.der


# ---- versions and ciphers -----------------------------------------------------------------------


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_old_versions_are_refused(hop, secure_relay, kind, version):
    relay = secure_relay(hop, tls=kind)
    with pytest.raises(OSError):
        connect(relay, client_context(minimum=version, maximum=version))
    with connect(relay, client_context()) as client:
        client.ehlo()


def test_least_version(hop, secure_relay):
    relay = secure_relay(hop, tls_version="1.3")
    with pytest.raises(OSError):
        connect(relay, client_context(maximum="1.2"))
    with connect(relay, client_context()) as client:
        assert client.socket.version() == "TLSv1.3"


@pytest.mark.parametrize("ciphers", ["NULL", "aNULL", "kRSA", "AES128-SHA:ECDHE-RSA-AES128-SHA",
                                     "ECDHE-RSA-AES256-SHA384"])
def test_weak_ciphers_are_refused(hop, ca, secure_relay, ciphers):
    relay = secure_relay(hop, certificates=(ca.issue("relay.test", kind="rsa"),))
    with pytest.raises(OSError):
        connect(relay, client_context(maximum="1.2", ciphers=ciphers + ":@SECLEVEL=0"))


def test_listed_ciphers(hop, secure_relay):
    relay = secure_relay(hop, ciphers="ECDHE-ECDSA-AES256-GCM-SHA384",
                         ciphersuites="TLS_CHACHA20_POLY1305_SHA256")
    for maximum, cipher in (("1.2", "ECDHE-ECDSA-AES256-GCM-SHA384"),
                            ("1.3", "TLS_CHACHA20_POLY1305_SHA256")):
        with connect(relay, client_context(maximum=maximum)) as client:
            assert client.socket.cipher()[0] == cipher


# ---- the dialogue -------------------------------------------------------------------------------


def test_starttls_in_the_dialogue(hop, secure_relay):
    relay = secure_relay(hop)
    with RawClient(relay.port) as client:
        assert "STARTTLS" in client.ehlo().texts
        client.ok("STARTTLS now", 501)
        client.envelope()
        client.ok("STARTTLS", 503)
        client.ok("RSET")
        client.starttls(client_context())
        client.ok("MAIL FROM:<a@source.test>", 503)  # RFC 3207 section 4.2: all is forgotten
        assert "STARTTLS" not in client.ehlo().texts
        assert client.command("STARTTLS").code == 503
        client.mail(mail.message())
    assert hop.wait(1)[0].recipients == ["b@dest.test"]


def test_no_starttls_in_tls_from_the_first_octet(hop, secure_relay):
    relay = secure_relay(hop, tls="implicit")
    with connect(relay, client_context()) as client:
        assert "STARTTLS" not in client.ehlo().texts
        assert client.command("STARTTLS").code in (502, 503)


def test_tls_required(hop, secure_relay):
    relay = secure_relay(hop, require_tls=True)
    with RawClient(relay.port) as client:
        client.ehlo()
        for command in ("MAIL FROM:<a@source.test>", "RCPT TO:<b@dest.test>", "DATA",
                        "VRFY joe", "BDAT 0 LAST"):
            answer = client.command(command)
            assert (answer.code, answer.enhanced) == (530, "5.7.0"), command
        client.ok("NOOP")
        client.starttls(client_context())
        client.ehlo()
        client.mail(mail.message())
    hop.wait(1)


def test_no_tls_configured(hop, relay_to):
    with relay_to(hop).session() as client:
        assert "STARTTLS" not in client.ehlo().texts
        assert client.command("STARTTLS").code in (500, 502, 503)


# ---- content ------------------------------------------------------------------------------------


def test_large_message(hop, secure_relay, kind, workers):
    content = mail.message("large", mail.body_of_size(8 << 20))
    with connect(secure_relay(hop, workers, tls=kind), client_context()) as client:
        client.ehlo()
        client.mail(content)
        client.envelope()
        assert client.bdat(content).code == 250
    for message in hop.wait(2, 60):
        assert mail.without_trace(message.data) == content


def test_pipelining_in_one_record(hop, secure_relay):
    content = stuff(mail.message()) + b".\r\n"
    with connect(secure_relay(hop), client_context()) as client:
        client.ehlo()
        envelope = b"MAIL FROM:<a@source.test>\r\nRCPT TO:<b@dest.test>\r\n"
        chunk = b"Subject: x\r\n\r\n" + b"y" * 14 + b"\r\n"
        client.send((envelope + b"BDAT 30 LAST\r\n" + chunk) * 50)
        assert {answer.code for answer in client.replies(150)} == {250}
        client.send(envelope + b"DATA\r\n")
        assert [answer.code for answer in client.replies(3)] == [250, 250, 354]
        client.send(content)
        assert client.reply().code == 250
    hop.wait(51, 30)


def test_account_tells_of_tls(hop, secure_relay):
    relay = secure_relay(hop)
    with connect(relay, client_context()) as client:
        client.ehlo()
        client.mail(mail.message())
        cipher = client.socket.cipher()[0]
    hop.wait(1)
    record = relay.wait_account(1, type="Reception")[0]
    assert record["reception_protocol"] == "ESMTPS"
    assert record["tls_protocol_version"] == "TLSv1.3" and record["tls_cipher"] == cipher


@pytest.mark.parametrize("shown, words", [
    ("good", "verified"), ("expired", "certificate has expired"),
    ("stranger", "self-signed certificate"), ("", "")])
def test_client_certificates_are_told_of(hop, ca, secure_relay, kind, shown, words, tmp_path):
    """They decide nothing; Received and account say whose it was and what it is worth."""
    certificate = {"good": lambda: ca.issue("client.test"), "": lambda: None,
                   "expired": lambda: ca.issue("client.test", expired=True),
                   "stranger": lambda: self_signed(tmp_path, "client.test")}[shown]()
    relay = secure_relay(hop, tls=kind, client_trust=ca.pem)
    with connect(relay, client_context(certificate=certificate)) as client:
        client.ehlo()
        client.mail(mail.message())
    trace = trace_of(hop.wait(1)[0])
    record = relay.wait_account(1, type="Reception")[0]
    assert record["tls_verified"] is (shown == "good")
    if shown:
        assert f"(client certificate client.test: {words})" in trace
        assert record["tls_peer_subject_name"] == ["client.test"]
    else:
        assert "client certificate" not in trace and "tls_peer_subject_name" not in record


@pytest.mark.parametrize("setting, value, words", [
    ("client_trust", "/nowhere/ca.pem",
     "/nowhere/ca.pem: no trusted certificates: No such file or directory"),
    ("ciphers", "ROT13", "no cipher match"), ("ciphersuites", "ROT13", "no cipher match")])
def test_settings_beside_a_good_certificate_are_told_by_name(hop, secure_relay, setting, value,
                                                             words):
    relay = secure_relay(hop, started=False, **{setting: value})
    relay.write_config()
    line = 1 + [text.split()[:1] == [setting]
                for text in relay.config.text().splitlines()].index(True)
    done = relay.run("check", "-c", relay.file, check=False)
    assert done.returncode == 1
    assert f"{relay.file}:{line}: {setting}: {words}\n" in done.stderr
