# SPDX-License-Identifier: Apache-2.0
"""Injection: CHUNKING (RFC 3030) with its corners."""
import pytest
from harness import mail


@pytest.fixture(scope="module")
def hop_module(run_module):
    return run_module.hop()


@pytest.fixture(scope="module")
def relay(run_module, hop_module):
    return run_module.ringpost(run_module.config(2).route("*", hop_module.where))


@pytest.fixture
def client(relay):
    with relay.session() as session:
        yield session


@pytest.fixture
def taken(relay, hop_module):
    """taken() -> content of the messages that came since the test began."""
    relay.wait_empty()
    seen = len(hop_module.accepted)

    def wait(count=1):
        return [mail.without_trace(m.data) for m in hop_module.wait(seen + count)[seen:]]
    return wait


@pytest.mark.parametrize("sizes", [[None], [1, None], [10, 0, None], [5, 5, 5, None], [None, 0]])
def test_chunks_make_one_message(client, taken, sizes):
    """None: all the rest."""
    content = mail.message(body=b".\r\nBDAT 3\r\n.dot\r\n")
    client.envelope()
    left = content
    for index, size in enumerate(sizes):
        piece, left = (left, b"") if size is None else (left[:size], left[size:])
        assert client.bdat(piece, last=index == len(sizes) - 1).code == 250
    assert taken() == [content]


def test_empty_message(client, taken):
    client.envelope()
    assert client.bdat(b"").code == 250
    assert len(taken()) == 1


@pytest.mark.parametrize("ending", [b"no line end", b"two\r\nno end", b"\r\n"])
def test_last_line_without_crlf(client, hop_module, ending, taken):
    """It goes on by BDAT as it came."""
    content = mail.message(body=ending)
    client.envelope()
    assert client.bdat(content).code == 250
    assert taken() == [content]


def test_chunk_before_mail_or_rcpt_is_swallowed(client):
    client.send(b"BDAT 20 LAST\r\nQUIT\r\nQUIT\r\nQUIT\r\n\r\nNOOP\r\n")
    assert [reply.code for reply in client.replies(2)] == [503, 250]
    client.ok("MAIL FROM:<a@b.test>")
    client.send(b"BDAT 6\r\nQUIT\r\nNOOP\r\n")
    assert [reply.code for reply in client.replies(2)] == [503, 250]
    client.ok("RSET")
    client.mail(mail.message())


def test_chunk_with_all_recipients_refused(client):
    client.send(b"MAIL FROM:<a@b.test>\r\nRCPT TO:<b@@c.test>\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n")
    codes = [reply.code for reply in client.replies(4)]
    assert codes[:2] == [250, 501] and codes[2] in (503, 554) and codes[3] == 250


def test_data_behind_bdat_and_the_other_way(client):
    client.envelope()
    assert client.bdat(b"X: 1\r\n", last=False).code == 250
    client.ok("DATA", 503)
    client.ok("MAIL FROM:<x@y.test>", 503)
    client.ok("RCPT TO:<x@y.test>", 503)
    client.ok("RSET")
    client.ok("DATA", 503)
    client.mail(mail.message())


def test_chunk_after_a_failed_chunk(client):
    client.envelope()
    assert client.bdat(b"a\rb\r\n", last=False).code in (250, 550)
    reply = client.bdat(b"X: 1\r\n", last=False)
    assert reply.code in (503, 550)
    assert client.bdat(b"X: 1\r\n").code in (503, 550)
    client.ok("RSET")
    client.envelope()
    assert client.bdat(mail.message()).code == 250


@pytest.mark.parametrize("reset", ["RSET", "EHLO again.test"])
def test_reset_between_chunks(client, taken, reset):
    client.envelope()
    assert client.bdat(b"X: lost\r\n", last=False).code == 250
    client.ok(reset)
    assert client.bdat(b"").code == 503
    client.mail(mail.message("kept"))
    assert b"lost" not in taken()[0]


@pytest.mark.parametrize("line", ["BDAT", "BDAT x", "BDAT -1", "BDAT 1 FIRST", "BDAT 1 LAST x",
                                  "BDAT 99999999999999999999999", "BDAT 0x10", "BDAT 1e3"])
def test_bad_syntax_never_makes_content_commands(relay, line):
    """The length is unknown, so what follows cannot be told from commands: 501 and the end."""
    with relay.session() as client:
        client.envelope()
        client.send(f"{line}\r\nQUIT\r\n".encode())
        answer = client.rest()
        assert answer.startswith(b"501 "), answer
        assert b"\r\n421 " in answer or b"\r\n221 " in answer


def test_huge_chunk_of_nothing(relay):
    """Announced 50 GB: refused, and swallowed without storing it."""
    with relay.session() as client:
        client.envelope()
        before = relay.memory_kb()
        client.send(b"BDAT 53687091200 LAST\r\n")
        for _ in range(64):
            client.send(b"x" * (1 << 20))
        assert relay.memory_kb() - before < 40 << 10
    assert relay.is_running()


def test_pipelined_chunks_of_several_messages(client, taken):
    contents = [mail.message(f"n{n}", body=b"BDAT 1\r\n" * n) for n in range(20)]
    batch = b""
    for content in contents:
        batch += b"MAIL FROM:<a@b.test>\r\nRCPT TO:<b@dest.test>\r\n"
        batch += b"BDAT 9\r\n" + content[:9]
        batch += b"BDAT %d LAST\r\n" % (len(content) - 9) + content[9:]
    client.send(batch)
    assert {reply.code for reply in client.replies(80)} == {250}
    assert sorted(taken(20)) == sorted(contents)


def test_bdat_needs_ehlo(relay):
    with relay.client() as client:
        client.ok("HELO x.test")
        client.envelope()
        reply = client.bdat(mail.message())
        assert reply.code == 503
        client.ok("NOOP")
