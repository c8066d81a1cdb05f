# SPDX-License-Identifier: Apache-2.0
"""`ringpost send`: what is built from files, as Python's email package and Perl's MIME::Parser read
it; how it is handed in, and what is said when it is not taken."""
import email
import email.policy
import email.utils
import hashlib
import json
import os
import random
import re
import subprocess
import time
from email.header import decode_header, make_header

import pytest
from harness import mail
from harness.actions import disconnect, raw, reply, stall
from harness.next_hop import EXTENSIONS

FROM = ("--from", "Ann Example <ann@source.test>")
TO = ("--to", "bob@dest.test")


@pytest.fixture
def send(binary):
    """send(*options, expect=0) -> the process, ended."""
    def start(*options, stdin=None, expect=0, sender=FROM):
        done = subprocess.run([binary, "send", *sender, *map(str, options)], input=stdin,
                              capture_output=True, timeout=60, check=False)
        said = done.stderr.decode()
        assert "Sanitizer" not in said and "runtime error" not in said, said
        assert done.returncode == expect, (done.returncode, said)
        return done
    return start


@pytest.fixture
def file(tmp_path):
    """file(name, octets) -> the path of a new file."""
    def write(name, octets):
        path = tmp_path / name
        path.write_bytes(octets)
        return path
    return write


def read(octets):
    """The message of correct octets."""
    assert octets.endswith(b"\r\n")
    assert not re.search(rb"(?<!\r)\n|\r(?!\n)", octets)
    assert max(map(len, octets.split(b"\r\n"))) <= 998
    header = octets.partition(b"\r\n\r\n")[0]
    assert max(map(len, header.split(b"\r\n"))) <= 78
    message = email.message_from_bytes(octets, policy=email.policy.default)
    for part in message.walk():
        assert not part.defects, part.defects
    for name in ("From", "Date", "Message-ID", "MIME-Version"):
        assert len(message.get_all(name, [])) == 1, octets[:2000]
    return message


def unix(text):
    return text.replace("\r\n", "\n")


def people(octets, field):
    """(name, address) of all; Python's reader of whole phrases leaves the white space between
    encoded-words in (RFC 2047 section 6.2), its reader of words does not."""
    raw_field = email.message_from_bytes(octets)[field]
    return [(str(make_header(decode_header(name))), address)
            for name, address in email.utils.getaddresses([raw_field])]


def attachments_of(message):
    return [(part.get_filename(), part.get_content_type(), part.get_payload(decode=True))
            for part in message.iter_attachments()]


# ---- through the relay --------------------------------------------------------------------------


def test_everything_at_once(send, file, hop, relay_to):
    relay = relay_to(hop)
    text, html = "Grüße aus Köln\n.leading dot\n\nFrom here on\n", "<img src='cid:logo'> Привет\n"
    image = random.Random(1).randbytes(5000)
    done = send(
        "--to", "Bob <bob@dest.test>", "--to", "c@dest.test", "--cc", '"Dee, D." <d@dest.test>',
        "--bcc", "hidden@dest.test", "--reply-to", "Ответ <reply@source.test>",
        "--subject", "Предложение: 50 % off, это очень длинная тема письма, которую надо сложить",
        "--text", file("t.txt", text.encode()), "--html", file("t.html", html.encode()),
        "--inline", f"logo={file('logo.png', image)}", "--attach", file("data.csv", b"a,b\r\n"),
        "--header", "List-Unsubscribe: <https://source.test/u?x=1>",
        "--header", "List-Unsubscribe-Post: List-Unsubscribe=One-Click",
        "--via", f"127.0.0.1:{relay.port}")
    assert re.fullmatch(rb"250 2\.0\.0 Ok: queued as \S+\n", done.stdout)
    taken = hop.wait()[0]
    assert taken.sender == "ann@source.test"
    assert sorted(taken.recipients) == ["bob@dest.test", "c@dest.test", "d@dest.test",
                                        "hidden@dest.test"]
    assert b"hidden" not in taken.data
    message = read(mail.without_trace(taken.data))
    assert message["From"] == "Ann Example <ann@source.test>"
    assert message["To"] == "Bob <bob@dest.test>, c@dest.test"
    assert [(a.display_name, a.addr_spec) for a in message["Cc"].addresses] == \
        [("Dee, D.", "d@dest.test")]
    assert message["Reply-To"].addresses[0].display_name == "Ответ"
    assert message["Subject"].startswith("Предложение: 50 % off, это")
    assert message["Subject"].endswith("надо сложить")
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert abs(email.utils.parsedate_to_datetime(message["Date"]).timestamp() - time.time()) < 60
    assert message.get_content_type() == "multipart/mixed"
    related, attached = message.iter_parts()
    assert related.get_content_type() == "multipart/related"
    assert related.get_param("type") == "multipart/alternative"
    alternative, logo = related.iter_parts()
    assert [unix(part.get_content()) for part in alternative.iter_parts()] == [text, html]
    assert logo["Content-ID"] == "<logo>" and logo.get_content_type() == "image/png"
    assert logo.get_content_disposition() == "inline" and logo.get_content() == image
    assert attached.get_content_type() == "text/csv" and attached.get_filename() == "data.csv"


def test_many_messages(send, file, hop, relay_to):
    relay = relay_to(hop)
    done = send(*TO, "--text", file("t", b"x\n"), "--count", 25, "--via", f"127.0.0.1:{relay.port}")
    assert done.stdout == b"25 messages accepted\n"
    assert len({m.field("Message-ID")[0] for m in hop.wait(25)}) == 25


# ---- what is built ------------------------------------------------------------------------------


def test_only_text(send):
    text = "one\ntwo\n"
    message = read(send(*TO, "--text", "-", "--dump", stdin=text.encode()).stdout)
    assert message.get_content_type() == "text/plain" and unix(message.get_content()) == text
    assert message["Content-Transfer-Encoding"] == "7bit" and message["Subject"] is None
    assert message["Message-ID"].endswith("@source.test>")


def test_nothing(send):
    assert read(send(*TO, "--dump").stdout).get_content() == ""


@pytest.mark.parametrize("text", [
    "", "\n", "no line end", "a\r\nb\r\n", "trailing \nspaces\t\n", ".\n..\n.x\n", "=20\n=\n",
    "x" * 998, "x" * 999, "é" * 5000, "ä" + "x" * 3000 + " \n", "=?utf-8?q?x?=\n",
    "日本語\n" * 50, "--=_boundary--\n", "a\0b\n", "From a\n>From b\n", "\x0b\x0c\x1b[1m\n"])
@pytest.mark.parametrize("part", ["--text", "--html"])
def test_any_text(send, part, text):
    octets = send(*TO, part, "-", "--dump", stdin=text.encode()).stdout
    assert max(octets) < 128
    got = read(octets).get_payload(decode=True).decode()
    expected = unix(text)
    if expected and not expected.endswith("\n"):
        expected += "\n"
    assert got == expected.replace("\n", "\r\n")


def test_bare_cr_in_text(send):
    octets = send(*TO, "--text", "-", "--dump", stdin=b"a\rb\n").stdout
    assert read(octets).get_payload(decode=True) == b"a\rb\r\n"


NAMES = ["plain.bin", "два слова и картинка.png", 'quo"ted \\ back.txt', "semi;colon=x.pdf",
         "é" * 100, "ж" * 120, "'single'.doc", "日本語の添付ファイル名がとても長い場合.zip", "a%20b.gz",
         "=?utf-8?q?x?=", "x" * 250, "two  blanks .txt", "mixed жук and latin " * 5 + "x"]


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_names_of_attachments(send, file, name):
    content = random.Random(2).randbytes(100)
    octets = send(*TO, "--attach", file(name, content), "--dump").stdout
    for line in octets.split(b"\r\n"):
        assert len(line) <= 78
    (_, _, payload), = attachments_of(read(octets))
    assert payload == content
    # The newer policy takes "'" in a token for a charset's end.
    assert email.message_from_bytes(octets).get_payload(0).get_filename() == name


def test_a_type_that_is_given(send, file):
    octets = send(*TO, "--attach", "/dev/null:image/png", "--attach", file("a:b", b"x"),
                  "--attach", "-:text/x-y", "--dump", stdin=b"z").stdout
    assert attachments_of(read(octets)) == [
        ("null", "image/png", b""), ("a:b", "application/octet-stream", b"x"),
        (None, "text/x-y", b"z")]


CONTENTS = [
    ("empty.bin", b"", "application/octet-stream"),
    ("one.jpg", b"\0", "image/jpeg"),
    ("big.ZIP", random.Random(3).randbytes(1 << 20), "application/zip"),
    ("unix.txt", b"a\nb\n\n", "text/plain"),
    ("dos.txt", b"a\r\nb", "text/plain"),
    ("latin1.txt", b"caf\xe9 au lait et encore du texte\r\n" * 9, "text/plain"),
    ("utf8.csv", "é;ü;some more text\r\n".encode() * 9, "text/csv"),
    ("long.log", b"x" * 100000 + b"\r\n", "text/plain"),
    ("unknown.xyz", b"x", "application/octet-stream"),
    ("noending", b"x", "application/octet-stream"),
    ("dots.txt", b".\r\n..\r\n.\r\n", "text/plain"),
]


@pytest.mark.parametrize("name, content, kind", CONTENTS, ids=[c[0] for c in CONTENTS])
def test_contents_of_attachments(send, file, hop, name, content, kind):
    """Octet for octet, also through dot-stuffing."""
    send(*TO, "--attach", file(name, content), "--via", hop.where)
    octets = hop.wait()[0].data
    assert max(octets) < 128
    assert attachments_of(read(octets)) == [(name, kind, content)]


def test_many_attachments(send, file):
    options = []
    for number in range(60):
        options += ["--attach", f"{file(f'a{number}.bin', bytes([number] * number))}:x/y"]
    got = attachments_of(read(send(*TO, *options, "--dump").stdout))
    assert got == [(f"a{n}.bin", "x/y", bytes([n] * n)) for n in range(60)]


def test_a_forwarded_message(send, file):
    """message/rfc822 has no encoding (RFC 2046 section 5.2.1); with 8-bit octets it is a file."""
    inner = b"From: x@y.test\nSubject: inner\n\nbody\n"
    octets = send(*TO, "--attach", file("m.eml", inner), "--dump").stdout
    part, = read(octets).iter_attachments()
    assert part.get_content_type() == "message/rfc822"
    assert part.get_content()["Subject"] == "inner"
    wide = file("w.eml", inner + "é".encode())
    assert attachments_of(read(send(*TO, "--attach", wide, "--dump").stdout)) == \
        [("w.eml", "application/octet-stream", inner + "é".encode())]
    nested = file("n.eml", octets)
    part, = read(send(*TO, "--attach", nested, "--dump").stdout).iter_attachments()
    assert [p.get_content_type() for p in part.walk()][1:] == \
        ["multipart/mixed", "message/rfc822", "text/plain"]


@pytest.mark.parametrize("name", [
    "Ann", "Ann B. Example", 'Quo "ted" \\', "Müller, Jörg", "日本語の名前" * 12, "a" * 200,
    "semi; colon: <angle>", "two  blanks", "x@y", "(comment)"])
def test_display_names(send, name):
    quoted = '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    octets = send("--to", f"{quoted} <bob@dest.test>", "--dump").stdout
    read(octets)
    assert people(octets, "To") == [(name, "bob@dest.test")]


def test_a_list_of_addresses(send, hop):
    send("--to", '"A, B" <a@dest.test>, c@dest.test (Cee),, =?utf-8?q?D=C3=A9?= <"d d"@dest.test>',
         "--via", hop.where)
    message, = hop.wait()
    assert message.recipients == ["a@dest.test", "c@dest.test", '"d d"@dest.test']
    assert people(message.data, "To") == [("A, B", "a@dest.test"), ("Cee", "c@dest.test"),
                                          ("Dé", '"d d"@dest.test')]


def test_hundreds_of_recipients(send):
    options = [word for n in range(400) for word in ("--cc", f"Übersetzer {n} <u{n}@dest.test>")]
    octets = send(*options, "--dump").stdout
    read(octets)
    assert people(octets, "Cc") == [(f"Übersetzer {n}", f"u{n}@dest.test") for n in range(400)]


@pytest.mark.parametrize("subject", [
    "plain", "two  spaces", " leading", "trailing ", "word " * 150 + "end", "x" * 300, "é",
    "ж" * 500, "=?utf-8?q?x?=", "tab\there", "mixed жук and latin words " * 20 + "end", "🎉" * 40])
def test_subjects(send, subject):
    message = read(send(*TO, "--subject", subject, "--dump").stdout)
    # The value has no white space before it (RFC 5322 leaves that open, Python's reader strips it).
    assert message["Subject"] in (subject, subject.lstrip())


def test_own_fields(send):
    long_one = "References: " + " ".join(f"<{n}.{n * 7919}@source.test>" for n in range(60))
    message = read(send(*TO, "--header", long_one, "--header", "X-Kind: Größe 5", "--header",
                        "X-Empty:", "--dump").stdout)
    assert message["References"] == long_one[12:]
    assert message["X-Kind"] == "Größe 5" and message["X-Empty"] == ""


PERL = r"""
use strict; use warnings; use MIME::Parser; use MIME::WordDecoder; use JSON::PP; use Digest::MD5;
my $parser = MIME::Parser->new; $parser->output_to_core(1); $parser->tmp_to_core(1);
my $entity = $parser->parse(\*STDIN);
my @parts;
for my $part (grep { !$_->is_multipart } $entity->parts_DFS) {
    push @parts, [$part->effective_type, $part->head->recommended_filename // '',
                  Digest::MD5::md5_hex($part->bodyhandle->as_string)];
}
print JSON::PP->new->ascii->encode({ parts => \@parts, errors => [$parser->results->errors],
    subject => mime_to_perl_string($entity->head->get('Subject')) });
"""


def test_as_perl_reads_it(send, file):
    if subprocess.run(["perl", "-MMIME::Parser", "-e1"], capture_output=True, check=False).returncode:
        pytest.skip("perl has no MIME::Parser: libmime-tools-perl")
    image, big = random.Random(4).randbytes(3001), random.Random(5).randbytes(1 << 18)
    octets = send(*TO, "--subject", "Привет, мир", "--text", file("t", "Grüße\r\n".encode() * 3),
                  "--html", file("h", b"<p>hi\r\n"), "--inline", f"i={file('i.gif', image)}",
                  "--attach", file("big и большой.bin", big), "--dump").stdout
    done = subprocess.run(["perl", "-e", PERL], input=octets, capture_output=True, check=True)
    got = json.loads(done.stdout)
    assert got["errors"] == [] and got["subject"].strip() == "Привет, мир"
    kinds, names, sums = zip(*got["parts"])
    assert kinds == ("text/plain", "text/html", "image/gif", "application/octet-stream")
    assert names[2:] == ("i.gif", "big и большой.bin")
    # MIME::Parser makes line ends "\n" where there is no encoding.
    assert sums == tuple(hashlib.md5(octets).hexdigest() for octets in (
        "Grüße\r\n".encode() * 3, b"<p>hi\n", image, big))


# ---- how it is handed in ------------------------------------------------------------------------


def test_parameters_of_mail(send, file, run):
    """SIZE exactly; BODY=8BITMIME and SMTPUTF8 when needed and offered."""
    hop = run.hop()
    text = file("t", "é with some text\n".encode())
    send(*TO, "--text", text, "--via", hop.where)
    send(*TO, "--text", text, "--8bit", "--via", hop.where)
    send("--to", "jürgen@dest.test", "--text", text, "--via", hop.where)
    send("--bcc", "jürgen@dest.test", "--text", text, "--via", hop.where)
    plain, wide, utf8, hidden = hop.wait(4)
    assert [m.params for m in (plain, wide, utf8, hidden)] == [
        f"SIZE={len(plain.data)}", f"SIZE={len(wide.data)} BODY=8BITMIME",
        f"SIZE={len(utf8.data)} SMTPUTF8", f"SIZE={len(hidden.data)} SMTPUTF8"]
    assert "é with".encode() in wide.data and b"=C3=A9 with" in plain.data
    assert "To: jürgen@dest.test".encode() in utf8.data


def test_an_old_server(send, file, run):
    hop = run.hop(extensions=())
    hop.on("EHLO", reply("502 what?"))
    send(*TO, "--text", file("t", "é with some text\n".encode()), "--8bit", "--via", hop.where)
    message, = hop.wait()
    assert message.session.helo.startswith("HELO ") and message.params == ""
    assert max(message.data) < 128
    done = send("--to", "jürgen@dest.test", "--via", hop.where, expect=os.EX_UNAVAILABLE)
    assert b"SMTPUTF8" in done.stderr


def test_too_large_for_the_server(send, file, run):
    hop = run.hop(extensions=("SIZE 1000",))
    done = send(*TO, "--attach", file("a", bytes(2000)), "--via", hop.where,
                expect=os.EX_UNAVAILABLE)
    assert b"takes 1000 octets" in done.stderr and hop.commands("MAIL") == []


REFUSALS = [
    ("CONNECT", reply("554 5.3.2 closed"), os.EX_UNAVAILABLE, "after the greeting: 554 5.3.2 closed"),
    ("CONNECT", reply("421 4.3.2 busy"), os.EX_TEMPFAIL, "421 4.3.2 busy"),
    ("CONNECT", raw(b"SSH-2.0-x\r\n"), os.EX_PROTOCOL, "no reply of SMTP"),
    ("EHLO", disconnect(), os.EX_TEMPFAIL, "hung up after EHLO"),
    ("MAIL", reply("550 5.7.1 not you"), os.EX_UNAVAILABLE,
     "after MAIL FROM:<ann@source.test> SIZE"),
    ("MAIL", reply("452 4.3.1 full\n4.3.1 later"), os.EX_TEMPFAIL, "452 4.3.1 full later"),
    ("RCPT", reply("550 5.1.1 nobody"), os.EX_UNAVAILABLE,
     "after RCPT TO:<bob@dest.test>: 550 5.1.1 nobody"),
    ("RCPT", reply("450 4.2.0 greylisted"), os.EX_TEMPFAIL, "450 4.2.0 greylisted"),
    ("DATA", reply("554 5.5.1 no"), os.EX_UNAVAILABLE, "after DATA: 554 5.5.1 no"),
    ("DATA", reply("250 what"), os.EX_PROTOCOL, "after DATA: 250 what"),
    ("DOT", reply("554 5.7.1 spam"), os.EX_UNAVAILABLE, "after the message: 554 5.7.1 spam"),
    ("DOT", reply("451 4.3.0 later"), os.EX_TEMPFAIL, "after the message: 451 4.3.0 later"),
    ("DOT", disconnect(), os.EX_TEMPFAIL, "hung up after the message"),
    ("DOT", stall(), os.EX_TEMPFAIL, "no answer in time"),
]


@pytest.mark.parametrize("stage, action, status, words", REFUSALS,
                         ids=[f"{r[0]}-{n}" for n, r in enumerate(REFUSALS)])
def test_refusals(send, run, stage, action, status, words):
    hop = run.hop(extensions=[e for e in EXTENSIONS if not e.startswith("CHUNKING")])
    hop.on(stage, action)
    done = send(*TO, "--via", hop.where, "--timeout", 2, expect=status)
    assert words in done.stderr.decode() and done.stdout == b""
    assert hop.accepted == []


def test_some_recipients_are_refused(send, run):
    hop = run.hop()
    hop.on("RCPT", reply("550 5.1.1 nobody"), times=1)
    hop.on("RCPT", reply("450 4.2.0 later"), times=1)
    done = send(*TO, "--to", "c@dest.test", "--to", "d@dest.test", "--via", hop.where,
                expect=os.EX_UNAVAILABLE)
    assert b"550 5.1.1" in done.stderr and b"450 4.2.0" in done.stderr
    assert hop.wait()[0].recipients == ["d@dest.test"]


def test_nobody_listens(send, run):
    hop = run.hop()
    hop.unlisten()
    assert b"refused" in send(*TO, "--via", hop.where, expect=os.EX_TEMPFAIL).stderr
    send(*TO, "--via", "no-such-host.invalid", expect=os.EX_NOHOST)
    for bad in ("", ":25", "127.0.0.1:", "[::1", "[::1]x"):
        send(*TO, "--via", bad, expect=os.EX_USAGE)


MISUSES = [
    ((), os.EX_USAGE), ((*TO, "--nonsense"), os.EX_USAGE), ((*TO, "--text"), os.EX_USAGE),
    ((*TO, "word"), os.EX_USAGE), ((*TO, "--count", "0"), os.EX_USAGE),
    ((*TO, "--header", "no colon"), os.EX_USAGE), ((*TO, "--inline", "x"), os.EX_USAGE),
    ((*TO, "--text", "-", "--html", "-"), os.EX_USAGE), (("--to", ""), os.EX_DATAERR),
    (("--to", "x y>"), os.EX_DATAERR), (("--to", "x"), os.EX_DATAERR),
    (("--bcc", "a@b>x"), os.EX_DATAERR), (("--to", "group: a@b.test;"), os.EX_DATAERR),
    (("--to", "a@b.test, , c"), os.EX_DATAERR), (("--to", "a@b.test (\x7f)"), os.EX_DATAERR), (("--to", "a@b.test\r\nRSET"), os.EX_DATAERR),
    (("--to", "A\nBcc: x@y.test <a@b.test>"), os.EX_DATAERR),
    ((*TO, "--subject", "a\nX: b"), os.EX_DATAERR), ((*TO, "--header", "X: a\nb"), os.EX_DATAERR),
    ((*TO, "--header", "Bcc: a@b"), os.EX_DATAERR), ((*TO, "--header", "A b: c"), os.EX_DATAERR),
    ((*TO, "--text", "/no/such/file"), os.EX_NOINPUT), ((*TO, "--attach", "/tmp"), os.EX_NOINPUT),
    ((*TO, "--attach", "/no/such/file:a/b"), os.EX_NOINPUT),
    ((*TO, "--attach", "/dev/null:"), os.EX_USAGE),
    ((*TO, "--attach", "/dev/null:multipart/mixed"), os.EX_DATAERR),
    ((*TO, "--inline", "x=/dev/null"), os.EX_DATAERR),
]


@pytest.mark.parametrize("options, status", MISUSES, ids=range(len(MISUSES)))
def test_misuse(send, hop, options, status):
    """Found before anybody is asked."""
    done = send("--via", hop.where, *options, stdin=b"", expect=status)
    assert done.stderr and hop.sessions == []


def test_text_that_is_not_utf8(send):
    assert b"UTF-8" in send(*TO, "--text", "-", stdin=b"caf\xe9", expect=os.EX_DATAERR).stderr


def test_from_is_one_address(send):
    assert b"--from" in send(*TO, sender=(), expect=os.EX_USAGE).stderr
    two = ("--from", "a@b.test, c@d.test")
    assert b"--from" in send(*TO, sender=two, expect=os.EX_USAGE).stderr


def test_help(send):
    assert b"--attach FILE" in send("--help").stdout
