# SPDX-License-Identifier: Apache-2.0
"""TLS and AUTH to the next hop: each policy against each certificate, what does not work and what
then happens, sessions that are resumed, logins at smarthosts.
"""
import base64

import pytest
from harness import mail
from harness.actions import disconnect, raw, reply, stall
from harness.certificates import self_signed
from harness.clock import is_sanitized
from harness.net import free_port
from harness.postfix import sasl_server, tls_server
from harness.tls import server_context
from harness.wait import until

CLEAR = ("protocol", "ESMTP")


@pytest.fixture
def hop_of(run, ca, tmp_path):
    """hop_of(kind) -> a next hop that shows such a certificate; it is named by its address."""
    def start(kind="good", **options):
        certificate = {"good": lambda: ca.issue("hop.test"),
                       "rsa": lambda: ca.issue("hop.test", kind="rsa"),
                       "expired": lambda: ca.issue("hop.test", expired=True),
                       "self-signed": lambda: self_signed(tmp_path, "hop.test"),
                       "wrong-name": lambda: ca.issue("other.test", addresses=())}[kind]()
        return run.hop(tls=server_context(certificate, **options))
    return start


def send(relay, count=1, name="m"):
    with relay.session() as client:
        for number in range(count):
            client.mail(mail.message(f"{name}{number}"))


def closed(hop):
    """No connection is left that the next message could take."""
    until(lambda: hop.open_now == 0, 10, "the end of the connection")


def put_off(relay, text, count=1):
    """The message waits, with these words; returns the record."""
    until(lambda: any(text in r["response"]["content"]
                      for r in relay.account(type="TransientFailure")), 15,
          lambda: f"{text!r} in {relay.account(type='TransientFailure')}")
    until(lambda: relay.queued() == count, 15, lambda: f"{count} queued, not {relay.queued()}")
    return next(r for r in relay.account(type="TransientFailure")
                if text in r["response"]["content"])


# ---- what works ---------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["may", "encrypt", "verify"])
@pytest.mark.parametrize("kind", ["good", "rsa"])
def test_encrypted(relay_to, hop_of, ca, policy, kind):
    hop = hop_of(kind)
    relay = relay_to(hop, site={"tls": policy, "tls_trust": ca.pem})
    send(relay, 3)
    for message in hop.wait(3):
        assert message.session.tls.version == "TLSv1.3"
        assert not message.session.behind  # nothing was sent before the handshake
    record = relay.wait_account(3, type="Delivery")[0]
    assert record["delivery_protocol"] == "ESMTPS"
    assert record["tls_protocol_version"] == "TLSv1.3"
    assert record["tls_cipher"].startswith("TLS_")
    assert record["tls_peer_subject_name"] == ["hop.test"]
    assert record["tls_verified"] is True
    assert len(hop.commands("EHLO")) == 2 * len(hop.sessions)
    assert relay.counter("tls_out") == len(hop.sessions) and relay.counter("tls_out_failed") == 0


def test_in_clear_where_it_is_not_wanted_or_not_offered(relay_to, run, hop_of):
    hop, plain = hop_of(), run.hop()
    relay = relay_to(hop, site={"tls": "none"}, started=False)
    relay.config.route("plain.test", plain.where).site("plain.test", tls="may")
    relay.start()
    send(relay)
    with relay.session() as client:
        client.mail(mail.message("p"), recipients=["b@plain.test"])
    assert hop.wait(1)[0].session.tls is None
    plain.wait(1)
    for record in relay.wait_account(2, type="Delivery"):
        assert record["delivery_protocol"] == "ESMTP"
        assert not any(name.startswith("tls_") for name in record)
    assert not hop.commands("STARTTLS")


def test_old_tls(relay_to, hop_of, ca):
    """1.2 is fine by default, and not where 1.3 is asked for."""
    hop = hop_of(maximum="1.2")
    relay = relay_to(hop, site={"tls": "verify", "tls_trust": ca.pem})
    send(relay)
    assert hop.wait(1)[0].session.tls.version == "TLSv1.2"
    assert relay.wait_account(1, type="Delivery")[0]["tls_protocol_version"] == "TLSv1.2"
    relay.config.site(tls="encrypt", tls_version="1.3")
    relay.restart()
    send(relay)
    put_off(relay, "TLS handshake: ")
    assert hop.accepted_count == 1


def test_cipher_of_our_choice(relay_to, hop_of):
    hop = hop_of(maximum="1.2")
    relay = relay_to(hop, site={"tls": "encrypt", "tls_ciphers": "ECDHE-ECDSA-CHACHA20-POLY1305"})
    send(relay)
    assert hop.wait(1)[0].session.tls.cipher == "ECDHE-ECDSA-CHACHA20-POLY1305"


def test_large_content_both_ways_of_sending(relay_to, hop_of):
    hop = hop_of()
    relay = relay_to(hop, site={"tls": "encrypt"})
    body = mail.body_of_size(6 << 20)
    with relay.session() as client:
        client.mail(mail.message("big", body))
    assert hop.wait(1, 30)[0].body == body
    hop.extensions = ("PIPELINING", "8BITMIME")  # by DATA, with dots to be doubled
    relay.config.site(chunking=False)
    relay.restart()
    dots = b".\r\n..a\r\n" * 200000
    with relay.session() as client:
        client.mail(mail.message("dots", dots))
    assert hop.wait(2, 30)[1].body == dots


def test_mx_host_is_the_name_that_counts(run, ca):
    """SNI, and the name in the certificate: the MX host's, not the domain's."""
    port = free_port(["127.0.0.2", "127.0.0.3"])
    right = run.hop(address="127.0.0.2", port=port, tls=server_context(
        ca.issue("mx1.one.test", addresses=())))
    wrong = run.hop(address="127.0.0.3", port=port, tls=server_context(
        ca.issue("two.test", addresses=())))
    dns = run.nsd({"one.test": "@ MX 10 mx1\nmx1 A 127.0.0.2", "two.test": "@ MX 10 mx1\n"
                   "mx1 A 127.0.0.3"})
    config = run.config().site(port=port, tls="verify", tls_trust=ca.pem)
    relay = run.ringpost(config.change("top", resolver=[dns.where]))
    with relay.session() as client:
        client.mail(mail.message("1"), recipients=["b@one.test"])
        client.mail(mail.message("2"), recipients=["b@two.test"])
    assert right.wait(1)[0].session.tls.server_name == "mx1.one.test"
    put_off(relay, "ertificate")
    assert not wrong.messages
    relay.config.site("two.test", tls_names=["*.else.test", "two.test"])
    relay.restart()
    assert wrong.wait(1)[0].session.tls.server_name == "mx1.two.test"


def test_tls_from_the_first_octet(relay_to, hop_of, ca):
    hop = hop_of()
    hop.implicit, hop.users = True, {"joe": "secret"}
    relay = relay_to(hop, site={"tls": "verify", "tls_trust": ca.pem}, started=False)
    relay.config.route("*", hop.where, tls="implicit", user="joe", password="secret")
    relay.start()
    send(relay, 2)
    for message in hop.wait(2):
        assert message.session.tls and message.session.user == "joe"
    assert not hop.commands("STARTTLS")
    record = relay.wait_account(2, type="Delivery")[0]
    assert record["delivery_protocol"] == "ESMTPSA"
    assert record["site"] == f"smtps:joe@{hop.where}"


def test_our_certificate_is_shown(relay_to, hop_of, ca):
    ours = ca.issue("relay.test")
    hop = hop_of(ca=ca)
    relay = relay_to(hop, site={"tls": "encrypt", "tls_certificate": ours.chain,
                                "tls_key": ours.key})
    send(relay)
    assert hop.wait(1)[0].session.tls.client == "relay.test"


def test_postfix_that_insists(run, relay_to, ca, certificate):
    postfix = run.postfix(**tls_server(certificate, "encrypt"))
    relay = relay_to(run.hop(), site={"tls": "verify", "tls_trust": ca.pem}, started=False)
    relay.config.route("*", f"127.0.0.1:{postfix.port}")
    relay.start()
    send(relay, 20)
    relay.wait_account(20, type="Delivery", tls_verified=True)
    relay.wait_empty()


# ---- what does not ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind, words", [
    ("expired", "certificate has expired"), ("self-signed", "self-signed certificate"),
    ("wrong-name", "mismatch")])
def test_verify_says_what_is_wrong(relay_to, hop_of, ca, kind, words):
    hop = hop_of(kind)
    relay = relay_to(hop, site={"tls": "verify", "tls_trust": ca.pem})
    send(relay)
    record = put_off(relay, words)
    assert record["response"]["content"].startswith("TLS handshake: ")
    assert record["response"]["enhanced_code"] == {"class": 4, "subject": 7, "detail": 5}
    assert words in relay.queue("list")
    assert not hop.messages and not hop.commands("MAIL")


@pytest.mark.parametrize("kind", ["expired", "self-signed", "wrong-name"])
@pytest.mark.parametrize("policy", ["may", "encrypt"])
def test_others_take_any_certificate(relay_to, hop_of, ca, kind, policy):
    hop = hop_of(kind)
    relay = relay_to(hop, site={"tls": policy, "tls_trust": ca.pem})
    send(relay)
    assert hop.wait(1)[0].session.tls
    assert relay.wait_account(1, type="Delivery")[0]["tls_verified"] is False


def go_ahead_then(octets):
    """220, and when the client has begun its handshake these octets and the end."""
    def act(session, _otherwise):
        session.send(b"220 go\r\n")
        session.receive()
        session.send(octets)
        return disconnect()(session, None)
    return act


BROKEN = {
    "garbage": lambda: go_ahead_then(b"this is not TLS at all\r\n" * 10),
    "gone-behind-220": lambda: go_ahead_then(b""),
    "gone": disconnect,
    "in-clear-behind-220": lambda: raw(b"220 go\r\n"),  # what follows is a command that it knows not
    "454": lambda: reply("454 4.7.0 TLS not available"),
    "554": lambda: reply("554 5.7.3 never"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_may_goes_on_in_clear_and_remembers(relay_to, hop_of, fault):
    hop = hop_of()
    hop.on("STARTTLS", BROKEN[fault]())
    relay = relay_to(hop, site={"tls": "may", "idle_timeout": "0s", "retry": ["60s"]})
    for number in range(3):
        send(relay, name=f"m{number}")
        assert hop.wait(number + 1)[number].session.tls is None
    assert not relay.account(type="TransientFailure")  # at once
    if fault.isdigit():  # an answer, not a failure
        assert relay.counter("tls_out_clear") == 0
        return
    assert len(hop.commands("STARTTLS")) == 1
    assert relay.counter("tls_out_failed") == 1 and relay.counter("tls_out_clear") == 1
    relay.wait_log("in clear for 3600 s")
    hop.behave()
    relay.queue("retry", "--all")
    closed(hop)
    send(relay, name="again")
    assert hop.wait(4)[3].session.tls


def test_may_forgets_in_time(relay_to, hop_of):
    hop = hop_of()
    hop.on("STARTTLS", disconnect(), times=1)
    relay = relay_to(hop, site={"tls": "may", "idle_timeout": "0s", "tls_fail_memory": "2s"})
    send(relay)
    assert hop.wait(1)[0].session.tls is None

    def encrypted():
        count = len(hop.accepted)
        closed(hop)
        send(relay, name=f"m{count}")
        return hop.wait(count + 1)[count].session.tls
    until(encrypted, 15, "TLS again", every=0.3)


@pytest.mark.parametrize("policy", ["encrypt", "verify"])
@pytest.mark.parametrize("fault", [*BROKEN, "not-offered"])
def test_never_in_clear(run, relay_to, hop_of, ca, policy, fault):
    hop = hop_of() if fault in BROKEN else run.hop()
    if fault in BROKEN:
        hop.on("STARTTLS", BROKEN[fault]())
    relay = relay_to(hop, site={"tls": policy, "tls_trust": ca.pem})
    send(relay)
    record = put_off(relay, "TLS")
    assert record["response"]["enhanced_code"] == {"class": 4, "subject": 7, "detail": 5}
    assert not hop.commands("MAIL")
    hop.behave()
    if fault in BROKEN:
        assert hop.wait(1)[0].session.tls
        relay.wait_empty()


@pytest.mark.parametrize("policy", ["encrypt", "verify"])
def test_a_domain_that_wants_tls_holds_no_other_up(run, relay_to, policy):
    """Both are at the same host, which has none: what fails for one says nothing about the other."""
    hop = run.hop()
    relay = relay_to(hop, workers=1, started=False)
    relay.config.site("strict.test", tls=policy)
    relay.start()
    with relay.session() as client:
        client.mail(mail.message("strict"), recipients=["a@strict.test"])
        put_off(relay, "TLS is required")
        client.mail(mail.message("other"), recipients=["b@other.test"])
    assert [message.recipients for message in hop.wait(1)] == [["b@other.test"]]
    until(lambda: relay.queued() == 1, 10, "one left")
    assert {record["recipient"] for record in relay.account(type="TransientFailure")} == {
        "a@strict.test"}


def test_never_in_clear_until_it_bounces(run, relay_to):
    hop, home = run.hop(), run.hop()
    relay = relay_to(hop, site={"tls": "encrypt", "expiry": "2s"}, started=False)
    relay.config.route("source.test", home.where).site("source.test", tls="may", expiry="60s")
    relay.start()
    send(relay)
    notice = mail.Dsn(home.wait_dsn()[0].data)
    told = notice.recipient("b@dest.test")
    assert told["Status"] == "4.7.5" and "TLS is required" in notice.text
    assert not hop.commands("MAIL")


def test_next_host_has_it(run, relay_to, hop_of):
    """A host without TLS is passed over where TLS is required."""
    plain, good = run.hop(), hop_of()
    relay = relay_to(plain, site={"tls": "encrypt"}, started=False)
    relay.config.route("*", [plain.where, good.where])
    relay.start()
    send(relay)
    assert good.wait(1)[0].session.tls
    assert not plain.commands("MAIL") and not relay.account(type="TransientFailure")


@pytest.mark.parametrize("policy", ["may", "encrypt"])
def test_words_behind_starttls_are_not_heard(relay_to, hop_of, policy):
    """Replies put in behind the 220: none of them may count as said through TLS."""
    hop = hop_of()
    hop.on("STARTTLS", raw(b"220 go\r\n250-hop.test\r\n250 SIZE 1\r\n"))
    relay = relay_to(hop, site={"tls": policy})
    send(relay)
    put_off(relay, "octets in clear behind the reply to STARTTLS")
    hop.behave()
    assert hop.wait(1)[0].session.tls
    assert relay.counter("tls_out_clear") == 0


def test_a_stalled_handshake_ends(relay_to, hop_of):
    hop = hop_of()
    hop.on("STARTTLS", lambda session, _: (session.send(b"220 go\r\n"), stall()(session, _)))
    relay = relay_to(hop, site={"tls": "may", "tls_timeout": "1s"})
    send(relay)
    assert hop.wait(1)[0].session.tls is None
    relay.wait_log("timed out while negotiating TLS")


# ---- resumption ---------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize("policy", ["may", "verify"])
def test_sessions_are_resumed(relay_to, hop_of, ca, version, policy):
    hop = hop_of(maximum=version)
    relay = relay_to(hop, site={"tls": policy, "tls_trust": ca.pem, "idle_timeout": "0s"})
    for number in range(4):
        send(relay, name=f"m{number}")
        hop.wait(number + 1)
        closed(hop)
    assert [session.tls.resumed for session in hop.sessions] == [False, True, True, True]
    records = relay.wait_account(4, type="Delivery")
    assert {r["tls_verified"] for r in records} == {True}
    assert {tuple(r["tls_peer_subject_name"]) for r in records} == {("hop.test",)}
    assert relay.counter("tls_out") == 4 and relay.counter("tls_out_resumed") == 3


def test_a_session_is_not_a_way_around_verification(relay_to, hop_of, ca):
    """One that was had without looking does not serve where one has to look."""
    hop = hop_of("wrong-name")
    relay = relay_to(hop, site={"tls": "may", "tls_trust": ca.pem, "idle_timeout": "0s"},
                     started=False)
    relay.config.route("strict.test", hop.where).site("strict.test", tls="verify")
    relay.start()
    send(relay)
    hop.wait(1)
    closed(hop)
    with relay.session() as client:
        client.mail(mail.message("s"), recipients=["b@strict.test"])
    put_off(relay, "mismatch")
    relay.config.site(tls="verify")
    relay.reload()
    relay.wait_log("reloaded")
    send(relay)
    put_off(relay, "mismatch", 2)
    assert hop.accepted_count == 1


def test_a_session_that_nobody_knows_any_more(relay_to, hop_of, ca):
    """The receiver has new keys: a full handshake, without any delay."""
    hop = hop_of()
    relay = relay_to(hop, site={"tls": "encrypt", "idle_timeout": "0s"})
    send(relay)
    hop.wait(1)
    closed(hop)
    hop.tls = server_context(ca.issue("hop.test"))
    send(relay)
    assert [message.session.tls.resumed for message in hop.wait(2)] == [False, False]
    closed(hop)
    hop.on("STARTTLS", go_ahead_then(b""), times=1)  # one that chokes on it
    send(relay)
    assert hop.wait(3)[2].session.tls
    assert not relay.account(type="TransientFailure")


# ---- reload -------------------------------------------------------------------------------------


def test_reload_while_connections_live(relay_to, hop_of, ca):
    hop = hop_of()
    relay = relay_to(hop, site={"tls": "encrypt", "idle_timeout": "30s"})
    for number in range(5):
        relay.reload()
        send(relay, 5, name=f"r{number}-")
    hop.wait(25)
    relay.config.site(tls="verify", tls_trust="/nowhere/ca.pem")
    relay.reload()
    relay.wait_log("TLS with receivers: /nowhere/ca.pem")
    send(relay)
    hop.wait(26)
    relay.config.site(tls_trust=ca.pem)
    relay.reload()
    send(relay)
    hop.wait(27)


def test_check_names_the_line(relay_to, hop):
    relay = relay_to(hop)
    text = relay.config.text() + 'site "x.test" {\n tls = verify\n tls_trust = "/nowhere/ca.pem"\n}\n'
    done, path = relay.check(text)
    assert done.returncode != 0
    assert f"{path}:{len(text.splitlines()) - 1}: TLS with receivers: /nowhere/ca.pem" in done.stderr


# ---- AUTH ---------------------------------------------------------------------------------------


@pytest.fixture
def smarthost(run, relay_to, ca, certificate):
    """smarthost(...) -> (hop, relay): one that wants TLS and a login, and the relay that has them."""
    def start(mechanisms="PLAIN LOGIN", tls=True, needs=("TLS", "AUTH"), workers=2, **login):
        hop = run.hop(tls=server_context(certificate) if tls else None,
                      users={"joe": "secret word"}, needs=needs, mechanisms=mechanisms)
        relay = relay_to(hop, workers, site={"tls_trust": ca.pem}, started=False)
        relay.config.route("*", hop.where, **{"user": "joe", "password": "secret word", **login})
        return hop, relay.start()
    return start


@pytest.mark.parametrize("mechanisms", ["PLAIN LOGIN", "LOGIN", "CRAM-MD5 PLAIN"])
def test_login(smarthost, mechanisms):
    hop, relay = smarthost(mechanisms)
    send(relay, 10)
    for message in hop.wait(10):
        assert message.session.user == "joe" and message.session.tls
    assert relay.wait_account(10, type="Delivery")[0]["delivery_protocol"] == "ESMTPSA"
    assert "secret" not in relay.log()


def test_password_from_a_file(smarthost, tmp_path):
    (tmp_path / "password").write_text("secret word\n", encoding="ascii")
    hop, relay = smarthost(password=None, password_file=str(tmp_path / "password"))
    send(relay)
    assert hop.wait(1)[0].session.user == "joe"


def memory_has(relay, *wanted):
    """Which of these the server's memory holds, but for the stack of its only worker: there the
    compiler leaves what it likes of a function's registers."""
    found = set()
    with open(f"/proc/{relay.process.pid}/maps", encoding="ascii") as maps, \
            open(f"/proc/{relay.process.pid}/mem", "rb") as memory:
        for line in maps:
            span, mode = line.split()[:2]
            if not mode.startswith("rw") or "[stack]" in line:
                continue
            begin, end = (int(at, 16) for at in span.split("-"))
            memory.seek(begin)
            octets = memory.read(end - begin)
            found |= {one for one in wanted if one in octets}
    return found


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_a_password_leaves_no_trace_when_another_takes_its_place(smarthost, binary, tmp_path,
                                                                 mechanism):
    if is_sanitized(binary):
        pytest.skip("has terabytes of shadow memory, and keeps what libraries free")
    old = "the word of yesterday"
    forms = [old.encode(), base64.b64encode(old.encode()),
             base64.b64encode(b"\0joe\0" + old.encode())]
    (tmp_path / "password").write_text(old + "\n", encoding="ascii")
    hop, relay = smarthost(mechanism, workers=1, password=None,
                           password_file=str(tmp_path / "password"))
    hop.users["joe"] = old
    send(relay)
    hop.wait(1)
    assert memory_has(relay, *forms) == {forms[0]}  # in use, and only so
    (tmp_path / "password").write_text("secret word\n", encoding="ascii")
    hop.users["joe"] = "secret word"
    relay.reload()
    relay.wait_log("reloaded ")
    send(relay)
    hop.wait(2)
    until(lambda: not memory_has(relay, *forms), 15, "the old password to be gone")


def test_wrong_password_waits(smarthost, tmp_path):
    (tmp_path / "password").write_text("wrong\n", encoding="ascii")
    hop, relay = smarthost(password=None, password_file=str(tmp_path / "password"))
    send(relay)
    record = put_off(relay, "cannot authenticate as joe: 535")
    assert record["response"]["code"] == 454
    assert not hop.commands("MAIL") and not relay.account(type="Bounce")
    (tmp_path / "password").write_text("secret word\n", encoding="ascii")
    relay.reload()
    assert hop.wait(1)[0].session.user == "joe"


def test_password_stays_home_without_tls(smarthost):
    hop, relay = smarthost(tls=False, needs=("AUTH",))
    send(relay)
    put_off(relay, "not sent in clear")
    assert not hop.commands("AUTH")


def test_password_in_clear_if_allowed(smarthost):
    hop, relay = smarthost(tls=False, needs=("AUTH",), auth_clear=True)
    send(relay)
    message = hop.wait(1)[0]
    assert message.session.user == "joe" and message.session.tls is None
    assert relay.wait_account(1, type="Delivery")[0]["delivery_protocol"] == "ESMTPA"


def test_two_logins_share_nothing(smarthost):
    hop, relay = smarthost()
    hop.users["ann"] = "other"
    relay.config.route("ann.test", hop.where, user="ann", password="other")
    relay.restart()
    with relay.session() as client:
        for number in range(6):
            client.mail(mail.message(f"x{number}"),
                        recipients=["b@ann.test" if number % 2 else "b@joe.test"])
    for message in hop.wait(6):
        assert message.session.user == message.recipients[0].split("@")[1].partition(".")[0]


def test_postfix_with_login(run, relay_to, certificate, ca):
    dovecot = run.dovecot({"joe": "secret word"})
    postfix = run.postfix(**tls_server(certificate, "encrypt"), **sasl_server(dovecot))
    relay = relay_to(run.hop(), site={"tls": "verify", "tls_trust": ca.pem}, started=False)
    relay.config.route("*", f"127.0.0.1:{postfix.port}", user="joe", password="secret word")
    relay.start()
    send(relay, 5)
    relay.wait_account(5, type="Delivery", delivery_protocol="ESMTPSA")
    relay.wait_empty()


def test_auth_is_not_asked_for_without_a_user(run, relay_to, certificate):
    hop = run.hop(tls=server_context(certificate), users={"joe": "x"})
    relay = relay_to(hop)
    send(relay)
    hop.wait(1)
    assert not hop.commands("AUTH")
    assert not relay.account(type="TransientFailure")
