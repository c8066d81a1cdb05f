# SPDX-License-Identifier: Apache-2.0
"""The whole way: handed in by TLS and a password, signed, sent on by TLS, retried, and verified by
three other implementations.
"""
import os

import pytest
from harness import mail, verifiers
from harness.actions import reply
from harness.raw_client import RawClient
from harness.sender import Sender
from harness.tls import client_context, server_context
from harness.verifiers import DkimKey
from harness.wait import until

PASSWORD = "a pass word"


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    return [DkimKey(folder, "rsa1", "source.test"), DkimKey(folder, "ed1", "source.test", "ed25519"),
            DkimKey(folder, "plat", "platform.test")]


@pytest.fixture(scope="module")
def records(keys):
    return {key.name: key.record for key in keys}


@pytest.fixture(scope="module")
def key_server(run_module, records):
    def of(domain):
        return verifiers.zone_text({name: text for name, text in records.items()
                                    if name.endswith("." + domain)})
    return run_module.nsd({name: of(name) for name in ("source.test", "platform.test")})


@pytest.fixture
def secure_hop(run, ca):
    return run.hop(tls=server_context(ca.issue("smart.test")), needs=("TLS", "AUTH"),
                   users={"relay": "its word"})


@pytest.fixture
def relay(run, ca, certificate, secure_hop, keys, workers):
    config = run.config(workers).secure(certificate, require_tls=True,
                                        relay_from=["192.0.2.0/24"], auth=["plain"])
    config.top["users"] = os.path.join(os.path.dirname(config.top["control"]), "users")
    config.route("*", secure_hop.where).site(tls="verify", tls_trust=ca.pem)
    config.routes["*"].update(user="relay", password="its word")
    config.sign(keys)
    relay = run.ringpost(config, start=False)
    relay.passwd("joe", PASSWORD, "--domains", "source.test")
    return relay.start()


def logged_in(relay):
    client = RawClient(relay.port)
    client.ehlo()
    client.starttls(client_context())
    client.ehlo()
    assert client.auth_plain("joe", PASSWORD).code == 235
    return client


CONTENTS = {
    "plain": mail.message("plain"),
    "folded": mail.message("folded", headers=[
        "X-Long: " + "\r\n\t".join(f"part {n}" for n in range(40)),
        "List-Unsubscribe: <https://x.test/u>", "List-Unsubscribe-Post: List-Unsubscribe=One-Click"]),
    "empty": mail.message("empty", b""),
    "blank-lines": mail.message("blank", b"one\r\n\r\ntwo\r\n\r\n\r\n\r\n"),
    "white-space": mail.message("white", b" \t \r\n  one \t two  \r\n\t\r\n"),
    "8bit": mail.message("eight", "grüße\r\n".encode() * 50, ["X-Name: grüße"]),
    "large": mail.message("large", mail.body_of_size(3 << 20)),
}


def verify(message, key_server, records, folder):
    everyone = {"rsa1": "pass", "ed1": "pass", "plat": "pass"}
    assert verifiers.dkimpy(message, key_server) == everyone
    assert verifiers.opendkim(message, records, folder) == everyone
    perl = verifiers.mail_dkim(message, key_server)
    assert (perl["rsa1"], perl["plat"]) == ("pass", "pass"), perl


def test_signed_and_encrypted_on_the_whole_way(relay, secure_hop, key_server, records, tmp_path):
    with logged_in(relay) as client:
        for content in CONTENTS.values():
            client.mail(content, params=" BODY=8BITMIME")
    for message in secure_hop.wait(len(CONTENTS), 40):
        assert message.session.tls and message.session.user == "relay"
        assert " with ESMTPSA " in message.field("Received")[0]
        verify(message.data, key_server, records, tmp_path)
    relay.wait_empty()


def test_retries_send_the_same_octets(relay, secure_hop, key_server, records, tmp_path):
    secure_hop.on("DOT", reply("451 4.3.0 later"), times=2)
    with logged_in(relay) as client:
        client.mail(CONTENTS["folded"])
    secure_hop.wait(1, 30)
    first, second, third = [message.data for message in secure_hop.messages]
    assert first == second == third
    verify(third, key_server, records, tmp_path)


def test_restart_between_signing_and_sending(relay, secure_hop, key_server, records, tmp_path):
    secure_hop.on("MAIL", reply("451 4.3.0 later"), times=1)
    with logged_in(relay) as client:
        client.mail(CONTENTS["8bit"], params=" BODY=8BITMIME")
    until(lambda: secure_hop.commands("MAIL"), 15, "the first attempt")
    relay.restart()
    verify(secure_hop.wait(1, 30)[0].data, key_server, records, tmp_path)


def test_in_bulk_with_reloads(run, hop, ca, certificate, workers):
    """TLS on both sides, many short connections, the configuration read again and again: nothing is
    lost, nothing is doubled, nothing goes in clear."""
    hop.tls = server_context(ca.issue("smart.test"))
    config = run.config(workers).secure(certificate, require_tls=True).route("*", hop.where)
    relay = run.ringpost(config.site(tls="verify", tls_trust=ca.pem, messages_per_connection=20))
    context = client_context(ca)

    def secure(client):
        client.starttls(context)
        client.ehlo()
    sender = Sender(relay.port, threads=4, total=400, per_connection=10, secure=secure).start()
    while any(thread.is_alive() for thread in sender.threads):
        before = relay.log().count("reloaded")
        relay.reload()
        until(lambda: relay.log().count("reloaded") > before, 10, "the reload")
    sender.join()
    assert len(sender.acknowledged) == 400 and not sender.refused and not sender.errors
    messages = hop.wait(400, 60)
    assert sorted(m.field("Subject")[0] for m in messages) == sorted(sender.acknowledged)
    assert all(m.session.tls and mail.without_trace(m.data).endswith(sender.body)
               for m in messages)
    relay.wait_empty()
    assert relay.counter("transient_failures") == 0


def test_end_under_load(run, hop, ca, certificate, workers):
    """SIGTERM in the middle of TLS sessions: what was acknowledged is there, once."""
    hop.tls = server_context(ca.issue("smart.test"))
    config = run.config(workers).secure(certificate).route("*", hop.where)
    relay = run.ringpost(config.site(tls="encrypt"))
    context = client_context(ca)

    def secure(client):
        client.starttls(context)
        client.ehlo()
    sender = Sender(relay.port, threads=4, secure=secure).start()
    until(lambda: len(sender.acknowledged) > 50, 20, "some messages")
    relay.stop()
    sender.stop()
    relay.start()
    relay.wait_empty()
    got = [message.field("Subject")[0] for message in hop.accepted]
    assert set(sender.acknowledged) <= set(got) and len(got) == len(set(got))
