# SPDX-License-Identifier: Apache-2.0
"""Delivery status notifications: when, to whom, and in what form (RFC 3461, 3464, 3834)."""
import email.utils
import time

import pytest
from harness import mail
from harness.actions import disconnect_after, keep_but_disconnect, raw, reply
from harness.next_hop import EXTENSIONS
from harness.wait import stays, until

NO_DSN = [e for e in EXTENSIONS if e != "DSN"]
TO = "b@dest.test"


@pytest.fixture
def pair(run, relay_to):
    """(relay, receiver of the mail, receiver of the notifications)."""
    def start(extensions=EXTENSIONS, **site):
        there, back = run.hop(extensions=extensions), run.hop()
        relay = relay_to(there, site=site, started=False)
        relay.config.route("source.test", back.where)
        return relay.start(), there, back
    return start


def inject(relay, content=None, sender="a@source.test", mail_params="", rcpt_params="",
           recipients=(TO,)):
    with relay.session() as client:
        client.ok(f"MAIL FROM:<{sender}>{mail_params}")
        for recipient in recipients:
            client.ok(f"RCPT TO:<{recipient}>{rcpt_params}")
        reply_to_data = client.data(mail.message() if content is None else content)
        assert reply_to_data.code == 250
        return reply_to_data.text.split()[-1]


def notice_of(back, count=1):
    return mail.Dsn(back.wait_dsn(count)[-1].data)


def refuse(hop, text="550 5.1.1 unknown user", **options):
    hop.on("RCPT", reply(text), **options)


# ---- form ---------------------------------------------------------------------------------------


def test_form_of_a_bounce(pair):
    relay, there, back = pair()
    refuse(there)
    inject(relay)
    message = back.wait_dsn(1)[0]
    assert (message.sender, message.recipients) == ("", ["a@source.test"])
    assert "NOTIFY=NEVER" in message.recipient_params["a@source.test"]
    notice = mail.Dsn(message.data)
    assert notice.message["To"].addresses[0].addr_spec == "a@source.test"
    assert notice.message["From"].addresses[0].domain == "relay.test"
    assert "multipart/report" in notice.message["Content-Type"]
    assert notice.message["MIME-Version"] == "1.0"
    assert notice.message_fields["Reporting-MTA"].replace(" ", "") == "dns;relay.test"
    arrival = email.utils.parsedate_to_datetime(notice.message_fields["Arrival-Date"])
    assert abs(arrival.timestamp() - time.time()) < 60
    fields = notice.recipient(TO)
    assert (fields["Action"], fields["Status"]) == ("failed", "5.1.1")
    assert fields["Diagnostic-Code"].startswith("smtp;")
    assert "550" in fields["Diagnostic-Code"] and "unknown user" in fields["Diagnostic-Code"]
    assert fields["Remote-MTA"].startswith("dns;")
    assert fields["Last-Attempt-Date"]
    assert fields["Original-Recipient"] is None and "Original-Envelope-Id" not in \
        notice.message_fields
    assert TO in notice.text and "unknown user" in notice.text
    assert notice.returned()["Subject"] == "test"


def test_notification_has_trace_and_no_return_path(pair):
    relay, there, back = pair()
    refuse(there)
    inject(relay)
    header = back.wait_dsn(1)[0].header.lower()
    assert b"return-path:" not in header


def test_one_notification_for_several_recipients(pair):
    relay, there, back = pair()
    refuse(there)
    inject(relay, recipients=[f"b{n}@dest.test" for n in range(5)])
    notice = notice_of(back)
    assert len(notice.recipients) == 5
    relay.wait_empty()
    assert len(back.accepted) == 1


def test_one_notification_for_several_domains(pair):
    """Refused or passed on together: told together, whatever domain."""
    relay, there, back = pair(NO_DSN)
    refuse(there, when=lambda s: s.candidate.startswith("no"))
    refuse(there, "450 4.2.0 later", when=lambda s: s.candidate.startswith("later"), times=1)
    inject(relay, rcpt_params=" NOTIFY=SUCCESS,FAILURE",
           recipients=["no@d1.test", "no@d2.test", "yes@d3.test", "no@d3.test", "yes@d4.test",
                       "later@d4.test"])
    first, second = (mail.Dsn(message.data) for message in back.wait_dsn(2))
    assert {b["Final-Recipient"][8:]: b["Action"] for b in first.recipients} == {
        "no@d1.test": "failed", "no@d2.test": "failed", "no@d3.test": "failed",
        "yes@d3.test": "relayed", "yes@d4.test": "relayed"}
    assert second.recipient("later@d4.test")["Action"] == "relayed"
    relay.wait_empty()
    assert len(back.accepted) == 2
    assert len(relay.account(type="Bounce")) == 3


def test_hundreds_of_failed_domains_are_told_together(pair):
    """Dead host: all of it expires at one time."""
    relay, there, back = pair(expiry="3s", retry=["1h"])
    there.close()
    recipients = [f"b{n}@d{n}.test" for n in range(200)]
    inject(relay, recipients=recipients)
    until(lambda: sum(len(mail.Dsn(m.data).recipients) for m in back.accepted) == 200, 20,
          "all to be told")
    relay.wait_empty()
    assert len(back.accepted) <= 20


@pytest.mark.parametrize("ret, full", [("", False), (" RET=HDRS", False), (" RET=FULL", True)])
def test_what_is_returned(pair, ret, full):
    relay, there, back = pair()
    refuse(there)
    content = mail.message("returned", b"secret body\r\n")
    inject(relay, content, mail_params=ret)
    notice = notice_of(back)
    assert notice.returned()["Subject"] == "returned"
    assert notice.returned()["Message-ID"] == "<returned@source.test>"
    assert notice.returns_all() == full
    assert (b"secret body" in notice.octets) == full


def test_big_messages_return_their_header_only(pair):
    relay, there, back = pair()
    refuse(there)
    inject(relay, mail.message("big", mail.body_of_size(1 << 20)), mail_params=" RET=FULL")
    notice = notice_of(back)
    assert not notice.returns_all() and len(notice.octets) < 100000
    assert notice.returned()["Subject"] == "big"


def test_8bit_original_comes_back_readable(pair):
    """As it was, and then announced as 8-bit; or only its header."""
    relay, there, back = pair()
    refuse(there)
    inject(relay, mail.message("x", "grüße\r\n".encode()), mail_params=" RET=FULL BODY=8BITMIME")
    message = back.wait_dsn(1)[0]
    notice = mail.Dsn(message.data)
    if notice.returns_all():
        assert "grüße".encode() in message.data and "BODY=8BITMIME" in message.params
        assert notice.returned_part["Content-Transfer-Encoding"] == "8bit"
    else:
        assert message.data.isascii()


def test_envid_and_orcpt_come_back_decoded(pair):
    """xtext: +2B is a plus, +3D an equals sign (RFC 3461 section 5)."""
    relay, there, back = pair()
    refuse(there)
    inject(relay, mail_params=" ENVID=a+2Bb+3Dc", rcpt_params=" ORCPT=rfc822;old+2Bname@x.test")
    notice = notice_of(back)
    assert notice.message_fields["Original-Envelope-Id"] == "a+b=c"
    value = notice.recipient(TO)["Original-Recipient"].replace(" ", "")
    assert value == "rfc822;old+name@x.test"


@pytest.mark.parametrize("octets", ["+0D+0AX-Evil:+201", "+0AX-Evil:", "+00", "a+1B[31m"])
def test_hostile_envid_and_orcpt(pair, octets):
    """xtext can hide any octet: refused, or harmless in the notification."""
    relay, there, back = pair()
    refuse(there)
    with relay.session() as client:
        taken = client.command(f"MAIL FROM:<a@source.test> ENVID=x{octets}")
        if taken.code != 250:
            assert taken.code == 501
            client.ok("MAIL FROM:<a@source.test>")
        taken = client.command(f"RCPT TO:<{TO}> ORCPT=rfc822;b{octets}")
        if taken.code != 250:
            assert taken.code == 501
            client.ok(f"RCPT TO:<{TO}>")
        assert client.data(mail.message()).code == 250
    notice = notice_of(back)
    assert b"\nX-Evil" not in notice.octets
    assert not set(notice.octets) & (set(range(32)) - {9, 10, 13})


# ---- hostile replies ----------------------------------------------------------------------------


@pytest.mark.parametrize("octets", [
    b"550 5.1.1 a\rX-Evil: 1\r\n",
    b"550 5.1.1 a\nX-Evil: 1\r\n",
    b"550-5.1.1 a\r\n550-X-Evil: 1\r\n550-\r\n550 --boundary--\r\n",
    b"550 5.1.1 \0\x01\x1b[31m\x07\x7f\x85\r\n",
    b"550 5.1.1 \xff\xfe\xc3\r\n",
    b"550 5.1.1 " + b"long " * 390 + b"\r\n",
    b"550-5.1.1 line\r\n" * 250 + b"550 5.1.1 end\r\n",
    b"550 5.1.1 (a \"quoted\" <tag>; x=y\r\n",
    b"550 " + b"x" * 2000 + b"\r\n",
    b"550 5.999.999 odd\r\n",
    b"550 5.1000.1 odd\r\n",
    b"550 2.0.0 wrong class\r\n",
    b"550\r\n",
    b"550 5.1.1 \xc2\x9b31m\xc2\x85 \xe2\x80\xa8 \xe2\x80\xa9 x\r\n",
], ids=range(14))
def test_hostile_reply_text_is_harmless(pair, octets):
    relay, there, back = pair(expiry="4s", retry=["1s"])

    def act(session, _otherwise):
        session.send(octets)
        return 550
    there.on("RCPT", act)
    inject(relay)
    notice = notice_of(back)
    fields = notice.recipient(TO)
    assert fields["Action"] == "failed" and fields["Status"][0] in "45"
    assert notice.octets.count(b"\r") == notice.octets.count(b"\n") == notice.octets.count(b"\r\n")
    assert not set(notice.octets) & (set(range(32)) - {9, 10, 13}), "control characters"
    for line in notice.octets.split(b"\r\n"):
        assert not line.startswith(b"X-Evil")
    assert len(notice.octets) < 64 << 10
    # The account stays one JSON object a line whatever the text.
    assert relay.wait_account(1, recipient=TO)


# ---- when ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("notify, due", [
    ("", True), (" NOTIFY=FAILURE", True), (" NOTIFY=FAILURE,DELAY", True),
    (" NOTIFY=NEVER", False), (" NOTIFY=SUCCESS", False), (" NOTIFY=DELAY", False)])
def test_notify_of_a_failure(pair, notify, due):
    relay, there, back = pair()
    refuse(there)
    inject(relay, rcpt_params=notify)
    relay.wait_account(1, type="Bounce")
    if due:
        assert notice_of(back).recipient(TO)["Action"] == "failed"
    relay.wait_empty()
    assert len(back.accepted) == (1 if due else 0)


@pytest.mark.parametrize("notify, due", [("", False), (" NOTIFY=SUCCESS", True),
                                         (" NOTIFY=NEVER", False), (" NOTIFY=FAILURE", False)])
def test_notify_of_success_behind_a_hop_without_dsn(pair, notify, due):
    relay, there, back = pair(NO_DSN)
    inject(relay, rcpt_params=notify)
    there.wait(1)
    if due:
        notice = notice_of(back)
        assert notice.recipient(TO)["Action"] == "relayed"
        assert notice.recipient(TO)["Status"].startswith("2.")
        assert not notice.returns_all()
    relay.wait_empty()
    assert len(back.accepted) == (1 if due else 0)


def test_notify_of_success_is_the_next_hops_job(pair):
    relay, there, back = pair(EXTENSIONS)
    inject(relay, rcpt_params=" NOTIFY=SUCCESS")
    there.wait(1)
    relay.wait_empty()
    assert not back.accepted
    assert "NOTIFY=SUCCESS" in there.accepted[0].recipient_params[TO]


def test_notify_of_delay(pair):
    """To those who asked, once, and not with each attempt."""
    asked = {"one": " NOTIFY=DELAY", "two": " NOTIFY=DELAY,FAILURE", "three": "",
             "four": " NOTIFY=FAILURE", "five": " NOTIFY=NEVER"}
    relay, there, back = pair(delay_notice="2s", retry=["1s"], expiry="60s")
    refuse(there, "450 4.2.0 later", times=25)
    for name, params in asked.items():
        inject(relay, sender=f"{name}@source.test", rcpt_params=params)
    for message in back.wait_dsn(2):
        fields = mail.Dsn(message.data).recipient(TO)
        assert fields["Action"] == "delayed" and fields["Status"].startswith("4.")
        assert fields["Will-Retry-Until"]
    there.wait(5, 25)
    relay.wait_empty()
    assert sorted(m.recipients[0] for m in back.accepted) == ["one@source.test", "two@source.test"]


@pytest.mark.parametrize("what", ["bounce", "expiry"])
def test_null_sender_is_never_answered(pair, what):
    relay, there, back = pair(expiry="2s", retry=["1s"])
    refuse(there, "550 5.1.1 no" if what == "bounce" else "450 4.2.0 later")
    inject(relay, sender="", recipients=[TO])
    until(lambda: relay.account(type="Bounce") or relay.account(type="Expiration"), 15, "the end")
    relay.wait_empty()
    stays(lambda: not back.accepted and not there.accepted, 0.5)
    assert relay.counter("dsn_sent") == 0


def test_notification_that_bounces_is_the_end(pair):
    relay, there, back = pair()
    refuse(there)
    back.on("RCPT", reply("550 5.1.1 the sender is unknown too"))
    inject(relay)
    until(lambda: len(relay.account(type="Bounce")) == 2, 15, "both bounces")
    relay.wait_empty()
    assert relay.counter("dsn_sent") == 1


def test_notification_is_retried_like_any_mail(pair):
    relay, there, back = pair()
    refuse(there)
    back.on("RCPT", reply("450 4.2.0 later"), times=2)
    inject(relay)
    notice_of(back)
    relay.wait_empty()
    assert len(back.accepted) == 1


def test_no_bounce_for_mail_that_was_delivered(pair):
    """The reply to the dot is lost, the second try is refused: it may have arrived, so a bounce is
    right only for the refusal, and there is exactly one."""
    relay, there, back = pair()
    there.on("DOT", keep_but_disconnect(), times=1)
    there.on("RCPT", reply("550 5.7.1 seen that"), when=lambda s: s.number > 0)
    inject(relay)
    notice_of(back)
    relay.wait_empty()
    assert len(back.accepted) == 1 and len(there.accepted) == 1


def test_bounce_and_delivery_in_one_message(pair):
    relay, there, back = pair(NO_DSN)
    refuse(there, when=lambda s: s.candidate.startswith("no"))
    inject(relay, recipients=["yes@dest.test", "no@dest.test"],
           rcpt_params=" NOTIFY=SUCCESS,FAILURE")

    def actions():
        found = {}
        for message in back.accepted:
            for block in mail.Dsn(message.data).recipients:
                found[block["Final-Recipient"].partition(";")[2].strip()] = block["Action"]
        return found if len(found) == 2 else None
    assert until(actions, 15, "both notices") == {"yes@dest.test": "relayed",
                                                  "no@dest.test": "failed"}


def test_utf8_sender(pair):
    relay, there, back = pair()
    refuse(there)
    inject(relay, sender="jürgen@source.test", mail_params=" SMTPUTF8")
    message = back.wait_dsn(1)[0]
    assert message.recipients == ["jürgen@source.test"]
    assert "SMTPUTF8" in message.params


def test_quoted_and_odd_addresses(pair):
    relay, there, back = pair()
    refuse(there)
    odd = '"a b; X-Evil: 1"@dest.test'
    inject(relay, sender='"q q"@source.test', recipients=[odd])
    message = back.wait_dsn(1)[0]
    assert message.recipients == ['"q q"@source.test']
    notice = mail.Dsn(message.data)
    assert odd in notice.recipients[0]["Final-Recipient"]


def test_silent_end_of_a_connection_is_told_in_words(pair):
    relay, there, back = pair(expiry="2s", retry=["1s"])
    there.on("RCPT", disconnect_after("421 4.3.2 good night"))
    there.on("EHLO", raw(b"220 what\r\n"), skip=1)
    inject(relay)
    fields = notice_of(back).recipient(TO)
    assert fields["Status"][0] in "45" and fields["Action"] == "failed"
