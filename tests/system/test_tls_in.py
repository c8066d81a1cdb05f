# SPDX-License-Identifier: Apache-2.0
"""TLS of clients: configuration, reload, timeouts, and what is told of it in trace and account."""
import shutil
import ssl

import pytest
from harness import mail, tls
from harness.certificates import self_signed
from harness.wait import until


@pytest.fixture
def context(ca):
    return tls.client_context(ca)


def peer(client):
    return client.socket.getpeercert(True)


# ---- what it looks like --------------------------------------------------------------------------


def test_starttls(hop, secure_relay, context):
    relay = secure_relay(hop)
    with relay.client() as client:
        assert "STARTTLS" in client.ehlo().texts
        client.starttls(context)
        assert client.command("MAIL FROM:<a@b.test>").code == 503  # EHLO is forgotten
        assert "STARTTLS" not in client.ehlo().texts
        assert client.command("STARTTLS").code == 503
        client.mail(mail.message())
    message = hop.wait(1)[0]
    version, cipher = client_version(context, relay)
    head = message.header.decode()
    assert f"([127.0.0.1])\r\n\t(using {version} with cipher {cipher})\r\n\tby relay.test" in head
    assert "with ESMTPS id" in head
    record, = relay.wait_account(type="Reception")
    assert record["tls_protocol_version"] == version
    assert record["tls_cipher"] == cipher
    assert record["reception_protocol"] == "ESMTPS"


def client_version(context, relay):
    with relay.session() as client:
        client.starttls(context)
        return client.socket.version(), client.socket.cipher()[0]


def test_tls_from_the_first_octet(hop, secure_relay, context):
    relay = secure_relay(hop, tls="implicit")
    with relay.client(tls=context) as client:
        assert "STARTTLS" not in client.ehlo().texts
        client.mail(mail.message())
        client.ok("QUIT", 221)
        assert client.rest() == b""
    assert b"with ESMTPS id" in hop.wait(1)[0].header
    assert relay.counter("tls_in") == 1


def test_a_large_message_and_a_pipeline(hop, secure_relay, context):
    relay = secure_relay(hop)
    content = mail.message(body=mail.body_of_size(3 << 20))
    with relay.session() as client:
        client.starttls(context)
        client.ehlo()
        client.mail(content)
        lines = b"MAIL FROM:<a@b.test>\r\nRCPT TO:<c@dest.test>\r\nBDAT 11 LAST\r\nA: b\r\n\r\nx\r\n"
        client.send(lines * 100)
        assert [reply.code for reply in client.replies(300)] == [250] * 300
    assert len(hop.wait(101)) == 101


def test_certificates_by_name(ca, hop, secure_relay, certificate, context):
    other = ca.issue("other.test")
    relay = secure_relay(hop, certificates=(certificate, other))
    for name, wanted in (("relay.test", certificate), ("other.test", other)):
        with relay.session() as client:
            client.starttls(context, name)
            assert peer(client) == wanted.der
    with relay.session() as client:
        client.starttls(tls.client_context(), "unknown.test")
        assert peer(client) == certificate.der


# ---- what is required ----------------------------------------------------------------------------


def test_require_tls(hop, secure_relay, context):
    relay = secure_relay(hop, require_tls=True)
    with relay.session() as client:
        for command in ("MAIL FROM:<a@b.test>", "RCPT TO:<a@b.test>", "DATA", "RSET", "HELO x",
                        "VRFY x", "HELP", "AUTH PLAIN x"):
            reply = client.command(command)
            assert (reply.code, reply.enhanced) == (530, "5.7.0"), command
        assert client.bdat(b"QUIT\r\n").code == 530
        client.ok("NOOP")
        client.starttls(context)
        client.ehlo()
        client.mail(mail.message())
    hop.wait(1)


def test_octets_behind_starttls(hop, secure_relay):
    relay = secure_relay(hop)
    with relay.session() as client:
        client.send("STARTTLS\r\nMAIL FROM:<evil@x.test>\r\n")
        reply = client.reply()
        assert (reply.code, reply.enhanced) == (421, "4.7.0")
        assert client.rest() == b""


def test_old_versions(hop, secure_relay):
    relay = secure_relay(hop, tls_version="1.3")
    with relay.session() as client:
        with pytest.raises((ssl.SSLError, OSError)):
            client.starttls(tls.client_context(maximum="1.2"))
    relay.wait_log(r"TLS handshake failed: .*protocol")
    with relay.session() as client:
        client.starttls(tls.client_context())
        assert client.socket.version() == "TLSv1.3"


def test_ciphers(hop, secure_relay):
    name = "ECDHE-ECDSA-CHACHA20-POLY1305"
    relay = secure_relay(hop, ciphers=name)
    with relay.session() as client:
        client.starttls(tls.client_context(maximum="1.2"))
        assert client.socket.cipher()[0] == name


# ---- clients that do not do their part -----------------------------------------------------------


@pytest.mark.parametrize("mode", ["starttls", "implicit"])
def test_no_handshake_within_the_time(hop, secure_relay, mode):
    relay = secure_relay(hop, tls=mode, tls_timeout="1s")
    with relay.client(greet=mode == "starttls") as client:
        if mode == "starttls":
            client.ehlo()
            client.ok("STARTTLS", 220)
        assert client.rest() == b""
    relay.wait_log("TLS handshake failed: no end of it in time")
    assert relay.counter("tls_in_failed") == 1
    until(lambda: relay.counter("sessions_in") == 0, 5, "no session")


def test_the_client_leaves_in_the_handshake(hop, secure_relay, context):
    relay = secure_relay(hop, tls="implicit")
    hello = tls.Tunnel(None, context).hello()
    for length in (0, 1, 5, 100, len(hello)):
        with relay.client(greet=False) as client:
            client.send(hello[:length])
    until(lambda: relay.counter("tls_in_failed") == 5, 5, "five failed handshakes")
    relay.wait_log("TLS handshake failed: the client has left")
    assert relay.counter("sessions_in") == 0


@pytest.mark.parametrize("mode", ["starttls", "implicit"])
def test_no_tls_at_all(hop, secure_relay, mode):
    relay = secure_relay(hop, tls=mode)
    with relay.client(greet=mode == "starttls") as client:
        if mode == "starttls":
            client.ehlo()
            client.ok("STARTTLS", 220)
        client.send(b"EHLO client.test\r\n" * 10)
        assert b"250" not in client.rest()
    relay.wait_log("TLS handshake failed: ")
    assert relay.counter("tls_in_failed") == 1
    until(lambda: relay.counter("sessions_in") == 0, 5, "no session")


def test_shutdown_does_not_wait_for_handshakes(hop, secure_relay):
    relay = secure_relay(hop)
    with relay.session() as client:
        client.ok("STARTTLS", 220)
        relay.stop(seconds=4)
        assert client.rest() == b""


# ---- configuration and reload --------------------------------------------------------------------


def test_new_certificates_after_a_reload(ca, run, hop, certificate, context, tmp_path):
    used = copy_of(certificate, tmp_path)
    relay = run.ringpost(run.config().route("*", hop.where).secure(used))
    with relay.session() as old, relay.session() as clear:
        old.starttls(context)
        assert peer(old) == certificate.der
        renewed = ca.issue("relay.test")
        shutil.copy(renewed.chain, used.chain)
        shutil.copy(renewed.key, used.key)
        relay.reload()
        relay.wait_log("reloaded ")
        old.ehlo()
        old.mail(mail.message())
        clear.starttls(context)  # what it was offered holds
        clear.ehlo()
        assert peer(clear) == certificate.der
    with relay.session() as client:
        client.starttls(context)
        assert peer(client) == renewed.der
    hop.wait(1)


def test_a_bad_certificate_keeps_the_old_ones(run, hop, certificate, context, tmp_path):
    used = copy_of(certificate, tmp_path)
    relay = run.ringpost(run.config().route("*", hop.where).secure(used))
    with relay.session() as old:
        old.starttls(context)
        with open(used.chain, "w", encoding="ascii") as file:
            file.write("nonsense\n")
        relay.reload()
        relay.wait_log(rf"ringpost.conf:\d+: certificate: {used.chain}: ")
        relay.wait_log("has errors: the old configuration stays")
        old.ehlo()
        old.mail(mail.message())
    with relay.session() as client:
        client.starttls(context)
        assert peer(client) == certificate.der
    hop.wait(1)


def test_sessions_are_resumed_across_a_reload(hop, secure_relay, context):
    relay = secure_relay(hop, workers=4)
    session = None
    for number in range(8):
        with relay.session() as client:
            client.starttls(context, session=session)
            client.ehlo()
            assert client.socket.session_reused == (session is not None)
            session = client.socket.session
        if number == 3:
            relay.reload()
            relay.wait_log("reloaded ")
    assert relay.counter("tls_in_resumed") == 7


@pytest.fixture
def broken(run, ca, certificate, tmp_path):
    """A configuration, and what is wrong with its certificates' line."""
    def make(what):
        own = self_signed(tmp_path, "relay.test")
        chain, key, words = {
            "missing": (str(tmp_path / "none.pem"), certificate.key, "cannot open"),
            "no certificate": (certificate.key, certificate.key, ""),
            "other key": (certificate.chain, own.key, "key"),
            "no key": (certificate.chain, str(tmp_path / "none.key"), "key"),
        }[what]
        config = run.config()
        config.listener(tls="starttls", certificate=[chain], key=[key])
        return config, words
    return make


@pytest.mark.parametrize("what", ["missing", "no certificate", "other key", "no key"])
def test_bad_files_are_told(run, broken, what):
    config, words = broken(what)
    relay = run.ringpost(config, start=False)
    done, path = relay.check(config.text())
    line = config.text().splitlines().index(
        next(line for line in config.text().splitlines() if "certificate" in line)) + 1
    assert done.returncode == 1
    assert f"{path}:{line}: certificate: " in done.stderr and words in done.stderr
    with pytest.raises(AssertionError, match="ended at once with 1"):
        relay.start()
    assert f"ringpost.conf:{line}: certificate: " in relay.stderr()


def test_expired_certificates_are_warned_about(run, ca):
    config = run.config().secure(ca.issue("relay.test", expired=True))
    relay = run.ringpost(config, start=False)
    done, path = relay.check(config.text())
    assert done.returncode == 0
    assert "expired at 2002-01-01T00:00:00" in done.stderr


def copy_of(certificate, folder):
    chain, key = str(folder / "used.pem"), str(folder / "used.key")
    shutil.copy(certificate.chain, chain)
    shutil.copy(certificate.key, key)
    return type(certificate)(chain, key, certificate.name)
