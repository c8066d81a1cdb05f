# SPDX-License-Identifier: Apache-2.0
"""AUTH of clients: who may send what, order of things, limits, reload, trace and account."""
import base64
import hashlib
import hmac
import os

import pytest
from harness import mail, tls
from harness.raw_client import b64
from harness.wait import until

USERS = {"joe": ("secret", "*"), "ann": ("p\u00e4ss word", "example.org,news@example.net")}


def verifier(password, iterations=4096):
    """RFC 5803; PLAIN and LOGIN are checked against it too."""
    octets, salt = password.encode(), os.urandom(12)
    salted = hashlib.pbkdf2_hmac("sha256", octets, salt, iterations)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    text = lambda data: base64.b64encode(data).decode()
    return (f"SCRAM-SHA-256${iterations}:{text(salt)}${text(stored)}:"
            f"{text(hmac.digest(salted, b'Server Key', 'sha256'))}")


def write_users(path, users):
    with open(path, "w", encoding="utf-8") as out:
        for name, (password, senders) in users.items():
            out.write(f"{name}:{verifier(password)}:{senders}\n")
    os.chmod(path, 0o600)


@pytest.fixture
def start(run, hop, certificate, tmp_path):
    """A relay where nobody may send without a name, unless the listener's settings say so."""
    def make(users=USERS, limits=None, **listener):
        path = str(tmp_path / "users")
        write_users(path, users)
        config = run.config().route("*", hop.where).change("top", users=path)
        config.secure(certificate).listener(auth=["plain", "login", "scram-sha-256"],
                                            relay_from=[]).listener(**listener)
        text = config.text()
        if limits:
            text += "auth {" + " ".join(f"{key} = {value}" for key, value in limits.items()) + "}\n"
            config.text = lambda: text
        return run.ringpost(config)
    return make


@pytest.fixture
def secure(ca):
    """A session with TLS that has said EHLO."""
    def make(relay):
        client = relay.session()
        client.starttls(tls.client_context(ca))
        client.ehlo()
        return client
    return make


def check(reply, code, enhanced):
    assert (reply.code, reply.enhanced) == (code, enhanced), reply


# ---- who may send --------------------------------------------------------------------------------


def test_a_user_may_relay_and_a_stranger_may_not(start, secure, hop):
    relay = start()
    with secure(relay) as client:
        check(client.command("MAIL FROM:<a@b.test>"), 530, "5.7.0")
        check(client.auth_plain("joe", "secret"), 235, "2.7.0")
        client.mail(mail.message())
    assert b"with ESMTPSA id" in hop.wait(1)[0].header
    record, = relay.wait_account(type="Reception")
    assert (record["authn_id"], record["reception_protocol"]) == ("joe", "ESMTPSA")
    assert b"joe" not in hop.accepted[0].header
    relay.wait_log('PLAIN as "joe"')


def test_senders_of_a_user(start, secure, hop):
    relay = start()
    with secure(relay) as client:
        check(client.auth_login("ann", "p\u00e4ss word"), 235, "2.7.0")
        for sender in ("a@other.test", "", "other@example.net", "a@sub.example.org"):
            check(client.command(f"MAIL FROM:<{sender}>"), 553, "5.7.1")
        for sender in ("a@example.org", "b@EXAMPLE.org", "news@example.net"):
            client.mail(mail.message(), sender=sender)
    hop.wait(3)


def test_a_user_of_the_network_keeps_to_its_senders(start, secure, hop):
    relay = start(relay_from=["127.0.0.0/8"])
    with secure(relay) as client:
        client.mail(mail.message(), sender="a@other.test")
        assert client.auth_plain("ann", "p\u00e4ss word").code == 235
        check(client.command("MAIL FROM:<a@other.test>"), 553, "5.7.1")
    hop.wait(1)


def test_a_reload_takes_a_user_away(start, secure, hop):
    relay = start()
    with secure(relay) as client:
        assert client.auth_plain("joe", "secret").code == 235
        client.mail(mail.message())
        write_users(relay.config.top["users"], {"ann": USERS["ann"]})
        relay.reload(relay.config.text())
        relay.wait_log("reloaded ")
        check(client.command("MAIL FROM:<a@b.test>"), 530, "5.7.0")
    with secure(relay) as client:
        check(client.auth_plain("joe", "secret"), 535, "5.7.8")
        assert client.auth_plain("ann", "p\u00e4ss word").code == 235
    hop.wait(1)


def test_a_bad_users_file_changes_nothing(start, secure):
    relay = start()
    with open(relay.config.top["users"], "a", encoding="utf-8") as users:
        users.write("nobody\n")
    relay.reload(relay.config.text())
    relay.wait_log(r"users:3: ")
    relay.wait_log("has errors: the old configuration stays")
    with secure(relay) as client:
        assert client.auth_plain("joe", "secret").code == 235
    done, _ = relay.check(relay.config.text())
    assert done.returncode == 1 and "users:3: " in done.stderr


# ---- in clear ------------------------------------------------------------------------------------


def test_not_in_clear(start, hop):
    relay = start()
    with relay.client() as client:
        assert not any(text.startswith("AUTH") for text in client.ehlo().texts)
        check(client.auth_plain("joe", "secret"), 538, "5.7.11")
        check(client.command("MAIL FROM:<a@b.test>"), 530, "5.7.0")


def test_in_clear_for_the_own_networks(start, hop):
    relay = start(tls=None, certificate=None, key=None, auth_clear=True, relay_from=["127.0.0.1/32"])
    with relay.client() as client:
        assert "AUTH PLAIN LOGIN SCRAM-SHA-256" in client.ehlo().texts
        assert client.auth_plain("joe", "secret").code == 235
        client.mail(mail.message())
    assert b"with ESMTPA id" in hop.wait(1)[0].header
    with relay.client(source="127.0.0.2") as client:
        assert not any(text.startswith("AUTH") for text in client.ehlo().texts)
        check(client.auth_plain("joe", "secret"), 538, "5.7.11")


def test_no_auth_without_users_who_can(start, secure):
    relay = start(users={})
    with secure(relay) as client:
        check(client.auth_plain("joe", "secret"), 502, "5.5.1")
        client.ok("MAIL FROM:<a@b.test>")
        check(client.command("RCPT TO:<b@c.test>"), 550, "5.7.1")
    assert "no user has a secret for PLAIN" in relay.stderr()


# ---- the exchange --------------------------------------------------------------------------------


def test_order_and_syntax(start, secure):
    relay = start(relay_from=["127.0.0.0/8"], max_auth_failures=100)
    with secure(relay) as client:
        check(client.command("AUTH"), 501, "5.5.4")
        check(client.command("AUTH GSSAPI"), 504, "5.5.4")
        check(client.command("AUTH PLAIN !"), 501, "5.5.2")
        client.ok("AUTH PLAIN", 334)
        check(client.command("*"), 501, "5.7.0")
        client.ok("AUTH LOGIN", 334)
        check(client.command("no base64"), 501, "5.5.2")
        check(client.command("AUTH PLAIN " + "A" * 13000), 500, "5.5.6")
        assert client.command("AUTH PLAIN " + "A" * 12000).code in (501, 535)
        client.ok("MAIL FROM:<a@b.test>")
        check(client.auth_plain("joe", "secret"), 503, "5.5.1")
        client.ok("RSET")
        assert client.auth_plain("joe", "secret").code == 235
        check(client.auth_plain("joe", "secret"), 503, "5.5.1")


def test_a_pipeline_waits_for_the_password(start, secure, hop):
    relay = start()
    with secure(relay) as client:
        client.send("AUTH PLAIN " + b64("\0joe\0secret") + "\r\nMAIL FROM:<a@b.test>\r\n"
                    "RCPT TO:<c@dest.test>\r\nDATA\r\n")
        assert [reply.code for reply in client.replies(4)] == [235, 250, 250, 354]
        client.send(b"x\r\n.\r\n")
        assert client.reply().code == 250
    hop.wait(1)


def test_octet_by_octet(start, secure):
    relay = start()
    with secure(relay) as client:
        client.send_split("AUTH PLAIN " + b64("\0joe\0secret") + "\r\n")
        assert client.reply().code == 235
    with secure(relay) as client:
        client.ok("AUTH LOGIN", 334)
        client.send_split(b64("joe") + "\r\n")
        assert client.reply().code == 334
        client.send_split(b64("secret") + "\r\n")
        assert client.reply().code == 235


def test_failures_end_the_session(start, secure):
    relay = start(max_auth_failures=2)
    with secure(relay) as client:
        check(client.auth_plain("joe", "wrong"), 535, "5.7.8")
        check(client.auth_plain("nobody", "wrong"), 535, "5.7.8")
        check(client.reply(), 421, "4.7.0")
        assert client.rest() == b""
    relay.wait_log('PLAIN as "nobody": failed')
    assert relay.counter("auth_failed") == 2


def test_an_address_that_guesses_is_shut_out(start, secure):
    relay = start(limits={"failures_per_client": 1})
    with secure(relay) as client:
        check(client.auth_plain("joe", "wrong"), 535, "5.7.8")
    with secure(relay) as client:
        assert client.auth_plain("joe", "secret").code == 421
        assert client.rest() == b""


def test_the_client_leaves_while_its_password_is_looked_at(start, secure):
    relay = start()
    for _ in range(2):
        client = secure(relay)
        client.send("AUTH PLAIN " + b64("\0joe\0wrong") + "\r\n")
        client.close()
    until(lambda: relay.counter("sessions_in") == 0, 10, "no session")
    with secure(relay) as client:
        client.ok("NOOP")


def test_shutdown_while_a_failure_takes_its_time(start, secure):
    relay = start()
    with secure(relay) as client:
        client.send("AUTH PLAIN " + b64("\0joe\0wrong") + "\r\n")
        relay.stop(seconds=8)
        assert client.rest()[:3] in (b"535", b"454", b"421")
