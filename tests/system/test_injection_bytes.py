# SPDX-License-Identifier: Apache-2.0
"""Bytes are sacred: what enters leaves identical, by DATA and BDAT in, by DATA and BDAT out."""
import pytest
from harness import mail
from harness.next_hop import EXTENSIONS

BODIES = {
    "empty": b"",
    "one empty line": b"\r\n",
    "spaces at line ends": b"a \r\n \r\n\t\r\nb\t \r\n",
    "leading dots": b".\r\n..\r\n...\r\n.a\r\n\r\n.\r\n",
    "dot on a line alone at the start": b".\r\nrest\r\n",
    "8-bit": bytes(range(128, 256)) + b"\r\nj\xc3\xbcrgen\r\n",
    "controls": b"\x01\x02\x07\x08\x0b\x0c\x1b[2J\x7f\r\n",
    "long lines": (b"x" * 998 + b"\r\n") * 5,
    "line of dots": b"." * 998 + b"\r\n",
    "many empty lines": b"\r\n" * 1000,
    "commands": b"QUIT\r\nRSET\r\nBDAT 5 LAST\r\nDATA\r\n.\r\nMAIL FROM:<x@y>\r\n",
    "one MB": mail.body_of_size(1 << 20),
    "one MB of dots": b".\r\n" * ((1 << 20) // 3),
}
OUT = {"DATA": [e for e in EXTENSIONS if e != "CHUNKING"], "BDAT": EXTENSIONS}


@pytest.fixture(scope="module", params=OUT)
def way(request, run_module):
    hop = run_module.hop(extensions=OUT[request.param])
    relay = run_module.ringpost(run_module.config(2).route("*", hop.where))
    return request.param, hop, relay


@pytest.mark.parametrize("way_in", ["data", "bdat"])
@pytest.mark.parametrize("body", BODIES)
def test_bytes_are_sacred(way, body, way_in):
    way_out, hop, relay = way
    relay.wait_empty()
    seen = len(hop.accepted)
    content = mail.message(body=BODIES[body])
    with relay.session() as client:
        client.envelope(params=" BODY=8BITMIME")
        assert getattr(client, way_in)(content).code == 250
    message = hop.wait(seen + 1)[seen]
    assert mail.without_trace(message.data) == content
    assert (message.chunks > 0) == (way_out == "BDAT")


@pytest.mark.parametrize("size", [1, 7, 100])
def test_bytes_in_small_pieces(way, size):
    _, hop, relay = way
    relay.wait_empty()
    seen = len(hop.accepted)
    content = mail.message(body=BODIES["leading dots"] + BODIES["8-bit"] + BODIES["commands"])
    from harness.raw_client import stuff
    with relay.session() as client:
        client.envelope(params=" BODY=8BITMIME")
        client.ok("DATA", 354)
        client.send_split(stuff(content) + b".\r\n", size)
        assert client.reply().code == 250
    assert mail.without_trace(hop.wait(seen + 1)[seen].data) == content


def test_missing_last_line_end(way):
    """By BDAT it can be missing. DATA cannot say so: there, one is added."""
    way_out, hop, relay = way
    relay.wait_empty()
    seen = len(hop.accepted)
    content = mail.message(body=b"no end")
    with relay.session() as client:
        client.envelope()
        assert client.bdat(content).code == 250
    data = mail.without_trace(hop.wait(seen + 1)[seen].data)
    assert data == content + (b"" if way_out == "BDAT" else b"\r\n")


def test_recipients_of_several_domains_get_the_same(way):
    _, hop, relay = way
    relay.wait_empty()
    seen = len(hop.accepted)
    content = mail.message(body=BODIES["leading dots"])
    recipients = [f"r{n}@d{n % 5}.test" for n in range(20)]
    with relay.session() as client:
        client.mail(content, recipients=recipients)

    def got():
        return sorted(address for m in hop.accepted[seen:] for address in m.recipients)
    from harness.wait import until
    until(lambda: got() == sorted(recipients), 15, lambda: f"all recipients; got {got()}")
    assert {mail.without_trace(m.data) for m in hop.accepted[seen:]} == {content}
