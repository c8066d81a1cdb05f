# SPDX-License-Identifier: Apache-2.0
"""Real clients log in: swaks, gsasl, Postfix's smtp; and a raw one that does what none would."""
import concurrent.futures
import os
import threading

import pytest
from harness import mail, scram
from harness.postfix import sasl_client, tls_client
from harness.raw_client import RawClient, b64
from harness.tls import client_context
from harness.tools import gsasl, swaks
from harness.wait import until

PASSWORD = "correct horse, battery"
MECHANISMS = ["plain", "login", "scram-sha-256"]
STRANGERS = {"relay_from": ["192.0.2.0/24"], "auth": MECHANISMS}  # who connects has to log in


@pytest.fixture
def auth_relay(run, hop, certificate):
    """auth_relay(listener settings) -> a relay with the users joe, and ann who may send as
    a@source.test only."""
    def start(workers=2, tls="starttls", started=True, limits=None, **listener):
        config = run.config(workers).route("*", hop.where)
        config.secure(certificate, tls=tls, **{**STRANGERS, **listener})
        config.top["users"] = os.path.join(os.path.dirname(config.top["control"]), "users")
        config.change("auth", **(limits or {}))
        relay = run.ringpost(config, start=False)
        relay.passwd("joe", PASSWORD, "--both", "--domains", "*")
        relay.passwd("ann", "ann's word", "--both", "--domains", "source.test,one@else.test")
        return relay.start() if started else relay
    return start


def secured(relay, source=None):
    client = RawClient(relay.port, source=source, timeout=40)
    client.ehlo()
    client.starttls(client_context())
    client.ehlo()
    return client


# ---- real clients -------------------------------------------------------------------------------


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize("kind", ["starttls", "implicit"])
def test_swaks_logs_in(hop, auth_relay, kind, mechanism):
    relay = auth_relay(tls=kind)
    options = ["--tls" if kind == "starttls" else "--tls-on-connect", "--auth", mechanism,
               "--auth-user", "joe", "--to", "b@dest.test", "--from", "a@source.test"]
    code, transcript = swaks(relay.port, *options, "--auth-password", PASSWORD)
    assert code == 0 and "235 2.7.0" in transcript, transcript
    assert " with ESMTPSA " in hop.wait(1)[0].field("Received")[0]
    code, transcript = swaks(relay.port, *options, "--auth-password", "wrong")
    assert code == 28 and "535 5.7.8" in transcript, transcript
    assert relay.wait_account(1, type="Reception")[0]["authn_id"] == "joe"


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "PLAIN", "LOGIN"])
def test_gsasl_logs_in(hop, ca, auth_relay, mechanism):
    relay = auth_relay()
    code, transcript = gsasl(relay.port, mechanism, "joe", PASSWORD, ca, ["--no-cb"])
    assert code == 0, transcript
    code, transcript = gsasl(relay.port, mechanism, "joe", "wrong", ca, ["--no-cb"])
    assert code != 0, transcript


def test_postfix_logs_in(run, hop, ca, auth_relay, workers):
    relay = auth_relay(workers)
    postfix = run.postfix(relay.config.where, **tls_client(ca, "encrypt"),
                          **sasl_client("ann", "ann's word"))
    with RawClient(postfix.port) as client:
        client.ehlo()
        for _ in range(10):
            client.mail(mail.message("by-postfix"))
        client.mail(mail.message("not-hers"), "a@third.test")
    for message in hop.wait(10, 30, of=lambda m: m.sender == "a@source.test"):
        assert " with ESMTPSA " in message.field("Received")[0]
    until(lambda: "553 5.7.1" in postfix.log(), 20, postfix.log)
    assert {m.sender for m in hop.accepted} <= {"a@source.test", ""}


# ---- mechanisms ---------------------------------------------------------------------------------


def test_login_and_plain_with_and_without_an_initial_response(hop, auth_relay):
    relay = auth_relay()
    plain = b64(f"\0joe\0{PASSWORD}")
    for lines in (["AUTH PLAIN " + plain], ["AUTH PLAIN", plain], ["auth plain " + plain],
                  ["AUTH LOGIN", b64("joe"), b64(PASSWORD)], ["AUTH LOGIN " + b64("joe"),
                                                              b64(PASSWORD)],
                  ["AUTH PLAIN " + b64(f"joe\0joe\0{PASSWORD}")]):
        with secured(relay) as client:
            for line in lines[:-1]:
                client.ok(line, 334)
            assert client.ok(lines[-1], 235).enhanced == "2.7.0", lines
            client.mail(mail.message())
    hop.wait(6)


@pytest.mark.parametrize("options", [{}, {"initial": False}, {"gs2": "y,,"}, {"gs2": "n,a=joe,"}],
                         ids=["initial", "asked", "could-bind", "identity"])
def test_scram(hop, auth_relay, options):
    with secured(auth_relay()) as client:
        assert scram.log_in(client, "joe", PASSWORD, **options).code == 235
        client.mail(mail.message())
    hop.wait(1)


def at_once(work, items):
    """[work(item, source address)]: each from an address of its own, as failures are slowed."""
    with concurrent.futures.ThreadPoolExecutor(len(items)) as pool:
        return list(pool.map(work, items, (f"127.0.2.{n}" for n in range(1, len(items) + 1))))


SCRAM_CHANGES = {
    "binding": lambda text: text.replace("n,,", "p=tls-unique,,"),
    "extension": lambda text: text.replace("n=joe", "m=x,n=joe"),
    "nonce": lambda text: text.replace("r=", "r=x") if ",p=" in text else text,
    "proof": lambda text: text.replace(",p=", ",p=AAAA"),
    "flags": lambda text: text.replace("c=biws", "c=eSws"),
    "cut": lambda text: text[:-8],
    "empty": lambda text: "",
    "no-nonce": lambda text: "n,,n=joe",
    "other": lambda text: text.replace("n,,", "n,a=ann,"),
    "last-octet": lambda text: text[:-3] + "AA=" if ",p=" in text else text,
}


def test_scram_that_is_wrong(hop, auth_relay):
    relay = auth_relay()

    def work(name, source):
        with secured(relay, source) as client:
            reply = scram.log_in(client, "joe", PASSWORD, change=SCRAM_CHANGES[name])
            return name, reply.code in (501, 535) and client.command("MAIL FROM:<>").code
    assert at_once(work, list(SCRAM_CHANGES)) == [(name, 530) for name in SCRAM_CHANGES]


def test_wrong_passwords(hop, auth_relay):
    relay = auth_relay()
    cases = [(log_in, user, password)
             for log_in in (RawClient.auth_plain, RawClient.auth_login, scram.log_in)
             for user, password in (("joe", "wrong"), ("nobody", PASSWORD), ("joe", ""),
                                    ("JOE", PASSWORD), ("joe", PASSWORD + "x"),
                                    ("ann", PASSWORD), ("", ""))]

    def work(case, source):
        log_in, user, password = case
        with secured(relay, source) as client:
            reply = log_in(client, user, password)
            return case, reply.code in (501, 535) and client.command("MAIL FROM:<>").code
    assert at_once(work, cases) == [(case, 530) for case in cases]


def test_unknown_users_look_like_known_ones(hop, auth_relay):
    """The salt of a user who does not exist stays the same, too."""
    relay = auth_relay()

    def first(user):
        with secured(relay) as client:
            reply = client.ok("AUTH SCRAM-SHA-256 " + b64(f"n,,n={user},r=abc"), 334)
            return [part for part in scram._decoded(reply).split(",") if part[0] != "r"]
    assert first("nobody") == first("nobody") != first("somebody")
    assert len(first("nobody")[0]) == len(first("joe")[0]) and first("nobody")[1] == first("joe")[1]


# ---- order and syntax ---------------------------------------------------------------------------


def test_what_is_offered_where(hop, auth_relay):
    relay = auth_relay()
    with RawClient(relay.port) as client:
        assert not [text for text in client.ehlo().texts if text.startswith("AUTH")]
        answer = client.auth_plain("joe", PASSWORD)
        assert (answer.code, answer.enhanced) == (538, "5.7.11")
        client.starttls(client_context())
        offered, = [text for text in client.ehlo().texts if text.startswith("AUTH")]
        assert set(offered.split()[1:]) == {"PLAIN", "LOGIN", "SCRAM-SHA-256"}


def test_strangers_have_to_log_in(hop, auth_relay):
    with secured(auth_relay()) as client:
        answer = client.command("MAIL FROM:<a@source.test>")
        if answer.code == 250:
            answer = client.command("RCPT TO:<b@dest.test>")
        assert (answer.code, answer.enhanced) == (530, "5.7.0")
    assert not hop.sessions


def test_networks_that_may_relay_need_no_password(hop, auth_relay):
    with secured(auth_relay(relay_from=["127.0.0.0/8"])) as client:
        client.mail(mail.message())
    assert " with ESMTPS " in hop.wait(1)[0].field("Received")[0]


def test_auth_in_clear_where_it_is_allowed(hop, auth_relay):
    relay = auth_relay(relay_from=["127.0.0.1/32"], auth_clear=True)
    with relay.session() as client:
        assert client.auth_plain("joe", PASSWORD).code == 235
        client.mail(mail.message())
        client.starttls(client_context())
        client.ehlo()
        assert client.auth_plain("joe", PASSWORD).code == 235  # it was forgotten
    assert " with ESMTPA " in hop.wait(1)[0].field("Received")[0]
    with RawClient(relay.port, source="127.0.0.2") as stranger:
        stranger.ehlo()
        assert stranger.auth_plain("joe", PASSWORD).code == 538


def test_order_and_syntax(hop, auth_relay):
    relay = auth_relay(relay_from=["127.0.0.0/8"])
    cases = [("AUTH", 501, "5.5.4"), ("AUTH CRAM-MD5", 504, "5.5.4"),
             ("AUTH PLAIN !!!", 501, "5.5.2"), ("AUTH PLAIN AGpv\tZQ==", 500, "5.5.2"),
             ("AUTH PLAIN = =", 501, "5.5.2"), ("AUTH PLAIN =", 501, "5.5.2"),
             ("AUTH PLAIN " + b64("joe"), 501, "5.5.2"),
             ("AUTH PLAIN " + b64("a\0b\0c\0d"), 535, "5.7.8"),
             ("AUTH PLAIN " + b64("ann\0joe\0" + PASSWORD), 535, "5.7.8")]

    def work(case, source):
        with secured(relay, source) as client:
            answer = client.command(case[0])
            return case[0], answer.code, answer.enhanced
    assert at_once(work, cases) == cases
    with secured(relay) as client:
        for line in ("*", "!", "a" * 20000):
            client.ok("AUTH LOGIN", 334)
            assert client.command(line).code in (500, 501), line[:9]
        client.envelope()
        assert client.auth_plain("joe", PASSWORD).code == 503
        client.ok("RSET")
        assert client.auth_plain("joe", PASSWORD).code == 235
        answer = client.auth_plain("joe", PASSWORD)
        assert (answer.code, answer.enhanced) == (503, "5.5.1")
        client.mail(mail.message())
    hop.wait(1)


def test_long_responses(hop, auth_relay):
    """RFC 4954 section 4.5: lines up to 12,288 octets; what is longer is no error of the session."""
    with secured(auth_relay()) as client:
        for size in (9000, 9100, 12288, 13000, 100_000):
            client.ok("AUTH PLAIN", 334)
            assert client.command("A" * (size - 2)).code in (500, 501, 535), size
        assert client.auth_plain("joe", PASSWORD).code == 235


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_lines_in_pieces(hop, auth_relay, size):
    relay = auth_relay(relay_from=["127.0.0.0/8"], auth_clear=True)
    with relay.session() as client:
        client.send_split("AUTH PLAIN\r\n" + b64(f"\0joe\0{PASSWORD}") + "\r\nNOOP\r\n", size)
        assert [answer.code for answer in client.replies(3)] == [334, 235, 250]


# ---- who may send as whom -----------------------------------------------------------------------


def test_permitted_reverse_paths(hop, auth_relay):
    with secured(auth_relay()) as client:
        assert client.auth_plain("ann", "ann's word").code == 235
        for sender, code in (("a@source.test", 250), ("A@SOURCE.test", 250),
                             ("one@else.test", 250), ("two@else.test", 553), ("", 553),
                             ("a@sub.source.test", 553), ("a@notsource.test", 553),
                             ("source.test", 553)):
            answer = client.command(f"MAIL FROM:<{sender}>")
            assert answer.code in (code, 501 if "@" not in sender and sender else code), sender
            if code == 553:
                assert answer.code == 501 or answer.enhanced == "5.7.1", answer
            client.ok("RSET")


def test_users_change_by_reload(hop, auth_relay):
    relay = auth_relay()

    def accepted(user, password):
        with secured(relay) as client:
            return client.auth_plain(user, password).code == 235
    assert accepted("ann", "ann's word") and not accepted("new", "new word")
    with secured(relay) as client:
        assert client.auth_plain("ann", "ann's word").code == 235
        client.envelope()
        relay.passwd("new", "new word", "--domains", "*")
        relay.run("passwd", "-f", relay.config.top["users"], "--delete", "ann")
        relay.reload()
        relay.wait_log("reloaded")
        assert client.data(mail.message()).code == 250  # what was begun is ended
    assert accepted("new", "new word")
    with secured(relay) as client:  # not even from a memory of successes
        assert client.auth_plain("ann", "ann's word").code == 535
    hop.wait(1)


def test_bad_users_file_keeps_the_old_one(hop, auth_relay):
    relay = auth_relay()
    with open(relay.config.top["users"], "a", encoding="ascii") as out:
        out.write("broken line\n")
    relay.reload()
    relay.wait_log(r"users:3\b")
    with secured(relay) as client:
        assert client.auth_plain("joe", PASSWORD).code == 235


# ---- guessing -----------------------------------------------------------------------------------


def test_guessing_is_slowed_limited_and_logged(hop, auth_relay):
    """An address that guesses is sent away; another one, and the user from there, are not."""
    relay = auth_relay(1, limits={"failures_per_client": 3})
    codes = []
    for number in range(6):
        with secured(relay, "127.0.0.3") as client:
            codes.append(client.auth_plain("joe", f"guess{number}").code)
    assert codes[0] == 535 and codes[-1] == 421, codes
    with secured(relay, "127.0.0.3") as client:
        assert client.auth_plain("joe", PASSWORD).code == 421  # even the right one
    with secured(relay, "127.0.0.4") as client:
        assert client.auth_plain("joe", PASSWORD).code == 235
    relay.wait_log(r"127\.0\.0\.3.*joe|joe.*127\.0\.0\.3")
    assert "guess0" not in relay.log() + relay.stderr()
    assert relay.counter("auth_failed") >= 3


def test_hashing_stops_nobody(hop, auth_relay):
    """One worker, a dozen clients whose passwords are being hashed: mail goes on meanwhile."""
    relay = auth_relay(1, relay_from=["127.0.0.0/8"])
    answers = []

    def work(number):
        with secured(relay, f"127.0.1.{number}") as client:
            answers.append(client.auth_plain(f"user{number}", "wrong").code)
    threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 13)]
    for thread in threads:
        thread.start()
    with relay.session() as client:
        while any(thread.is_alive() for thread in threads):
            client.mail(mail.message())
    for thread in threads:
        thread.join()
    assert answers == [535] * 12
    relay.wait_empty()


def test_clients_that_go_while_their_password_is_hashed(hop, auth_relay, workers):
    relay = auth_relay(workers)
    for number in range(1, 31):  # from one address they would be slowed, 16 s each
        client = secured(relay, f"127.0.3.{number}")
        client.send("AUTH PLAIN " + b64("\0joe\0wrong") + "\r\n")
        client.close()
    until(lambda: relay.counter("sessions_in") == 0, 30, "the sessions to end")
    with secured(relay, "127.0.0.9") as client:
        assert client.auth_plain("joe", PASSWORD).code == 235


# ---- what is stored, what is told ---------------------------------------------------------------


def test_no_password_anywhere(hop, auth_relay):
    """Neither in files, nor in logs, nor in the account; the file is nobody else's to read."""
    relay = auth_relay()
    with secured(relay) as client:
        assert client.auth_plain("joe", PASSWORD).code == 235
        client.mail(mail.message())
    hop.wait(1)
    relay.stop()
    for folder, _, names in os.walk(relay.directory):
        for name in names:
            with open(os.path.join(folder, name), "rb") as file:
                text = file.read()
            assert PASSWORD.encode() not in text and b64(PASSWORD).encode() not in text, name
    assert os.stat(relay.config.top["users"]).st_mode & 0o077 == 0
