# SPDX-License-Identifier: Apache-2.0
"""Injection: only CRLF . CRLF ends DATA; everything near it is refused and never splits a message.

CVE-2023-51764, -51765, -51766 and their kin: two servers that disagree on where a message ends.
"""
import pytest
from harness import mail

SMUGGLED = (b"MAIL FROM:<evil@source.test>\r\nRCPT TO:<victim@dest.test>\r\nDATA\r\n"
            b"Subject: smuggled\r\n\r\nevil\r\n.\r\n")

ENDS = {
    "LF.LF": b"\n.\n", "LF.CRLF": b"\n.\r\n", "CRLF.LF": b"\r\n.\n", "CR.CR": b"\r.\r",
    "CRLF.CR": b"\r\n.\r", "CR.CRLF": b"\r.\r\n", "CR.LF": b"\r.\n", "LF.CR": b"\n.\r",
    "CRLF NUL.CRLF": b"\r\n\0.\r\n", "CRLF.NUL CRLF": b"\r\n.\0\r\n", "CRLF.CRCRLF": b"\r\n.\r\r\n",
    "CRCRLF.CRLF": b"\r\r\n.\r\n", "LFCRLF.LF": b"\n\r\n.\n", "CRLF.CRNULLF": b"\r\n.\r\0\n",
    "CRLF NUL": b"\r\n.\r\0\r\n",
}


@pytest.fixture(scope="module")
def hop_module(run_module):
    return run_module.hop()


@pytest.fixture(scope="module")
def relay(run_module, hop_module):
    return run_module.ringpost(run_module.config(1).route("*", hop_module.where))


def one_message(relay, hop, octets, size):
    """All of it as one DATA; then a good message; returns the reply and what came out."""
    relay.wait_empty()
    seen = len(hop.accepted)
    with relay.session() as client:
        client.envelope()
        client.ok("DATA", 354)
        client.send_split(octets, size)
        reply = client.reply()
        client.mail(mail.message("good"))
        client.ok("QUIT", 221)
    hop.wait(seen + 1)
    relay.wait_empty()
    return reply, hop.accepted[seen:]


@pytest.mark.parametrize("size", [1, 2, 1 << 20], ids=["octets", "pairs", "whole"])
@pytest.mark.parametrize("end", ENDS)
def test_smuggling_is_refused(relay, hop_module, end, size):
    octets = b"Subject: first\r\n\r\nbody" + ENDS[end] + SMUGGLED
    if end.startswith("CRCRLF"):  # ends the message for good; what follows are commands
        octets = octets[:octets.index(SMUGGLED)]
    reply, got = one_message(relay, hop_module, octets, size)
    assert reply.code == 550 and reply.enhanced.startswith("5."), reply
    assert [message.field("Subject") for message in got] == [["good"]]


@pytest.mark.parametrize("octet", [b"\r", b"\n", b"\0"], ids=["CR", "LF", "NUL"])
@pytest.mark.parametrize("content", [b"%s\r\n", b"a%sb\r\n", b"X: 1\r\n\r\na%s\r\n", b"X: 1%s\r\n\r\n",
                                     b"X: 1\r\n%s\r\n", b"X: 1\r\n\r\n" + b"y" * 70000 + b"%s\r\n"])
def test_bare_cr_lf_nul_in_data(relay, hop_module, content, octet):
    reply, got = one_message(relay, hop_module, content % octet + b".\r\n", 1 << 20)
    assert reply.code == 550 and reply.enhanced.startswith("5."), reply
    assert len(got) == 1


@pytest.mark.parametrize("octet", [b"\r", b"\n", b"\0"], ids=["CR", "LF", "NUL"])
@pytest.mark.parametrize("split", [0, 1, 7, 8])
def test_bare_cr_lf_nul_in_chunks(relay, hop_module, octet, split):
    relay.wait_empty()
    seen = len(hop_module.accepted)
    content = b"X: 1\r\n\r\na" + octet + b"b\r\n"
    with relay.session() as client:
        client.envelope()
        if split:
            assert client.bdat(content[:split], last=False).code == 250
            assert client.bdat(content[split:split + 2], last=False).code in (250, 550)
            reply = client.bdat(content[split + 2:])
        else:
            reply = client.bdat(content)
        assert reply.code in (550, 503), reply
        client.mail(mail.message("good"))
    assert [m.field("Subject") for m in hop_module.wait(seen + 1)[seen:]] == [["good"]]


def test_crlf_split_between_chunks_is_good(relay, hop_module):
    relay.wait_empty()
    seen = len(hop_module.accepted)
    with relay.session() as client:
        client.envelope()
        assert client.bdat(b"Subject: split\r", last=False).code == 250
        assert client.bdat(b"\n\r", last=False).code == 250
        assert client.bdat(b"\nbody\r\n.\r", last=False).code == 250
        assert client.bdat(b"\n.\r\nend\r\n").code == 250
    message = hop_module.wait(seen + 1)[seen]
    assert message.data.endswith(b"Subject: split\r\n\r\nbody\r\n.\r\n.\r\nend\r\n")


@pytest.mark.parametrize("end", [b"\r", b"X: 1\r\n\r\nbody\r"])
def test_chunks_that_end_in_cr(relay, end):
    with relay.session() as client:
        client.envelope()
        assert client.bdat(end).code == 550


@pytest.mark.parametrize("line", [b"NOOP\n", b"NOOP\r", b"NO\rOP\r\n", b"NOOP a\0b\r\n", b"\nNOOP\r\n",
                                  b"MAIL FROM:<a@b.test\n>\r\n", b"EHLO a\rb\r\n"])
def test_bare_cr_lf_nul_in_commands(relay, line):
    with relay.session() as client:
        client.send(line + b"NOOP\r\n" + b"QUIT\r\n")
        codes = []
        while 221 not in codes:
            codes.append(client.reply().code)
        assert codes[0] == 500 and codes.count(250) <= 1, codes
